//! What adding a language gave, and what it cost: kept in the run's `growth/`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The addition of one language to a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Its code.
    pub language: String,
    /// Training captions of pictures.
    pub captions: usize,
    /// Training sentences that are translations, without pictures.
    pub translations: usize,
    /// Different words of the training sentences.
    pub vocabulary: usize,
    /// Words with a vector of their own.
    pub own_words: usize,
    /// Width of those vectors.
    pub word_width: usize,
    /// Parameters added, by part. No latent token is ever added.
    pub parameters: Vec<(String, u64)>,
    /// Bytes that the run's folder grew by; almost all of them are the word vectors, for unseen words.
    pub file_bytes: u64,
    /// The epoch that was kept; 0 is the start.
    pub best_epoch: usize,
    /// Multiply–adds of matrix products, as [`crate::family::smalr::cost`] counts them.
    pub products: u64,
    /// The same of the base's training.
    pub base_products: u64,
    /// Sentences that training saw, each as often as it was shown.
    pub sentences_shown: u64,
    /// The same of the base's training.
    pub base_sentences_shown: u64,
    /// By stage.
    pub seconds: Vec<(String, f64)>,
    /// Of the base's training.
    pub base_seconds: f64,
    /// SHA-256 of everything shared, before and after.
    pub shared: [String; 2],
    /// Whether what all languages share was trained, so that the old ones change.
    pub unfrozen: bool,
    /// Mean recall of every language before and after.
    pub results: Vec<Change>,
    /// The new language by the number of its sentences, with the same word vectors.
    pub curve: Vec<Point>,
    /// How well the frozen tokenizer of an acquisition knows the languages that it was learnt with, and then the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Pieces>,
    /// Training sentences whose end was cut, as they are longer than the model reads (`words.max_tokens`, or the tower's context).
    #[serde(default)]
    pub truncated: usize,
}

/// How a frozen tokenizer takes the training sentences of a language.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pieces {
    /// Its code.
    pub language: String,
    /// Characters of a token in the mean, white space left out: few where it has no words of the language.
    pub characters: f64,
    /// Tokens that stand for what it does not know, in percent.
    pub unknown: f64,
}

/// Mean recall in percent, where the split has captions of the language.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its code.
    pub language: String,
    /// On validation and test pictures.
    pub before: [Option<f64>; 2],
    /// On the same, when the language had been added.
    pub after: [Option<f64>; 2],
}

/// A point of the learning curve: sentences, and mean recall on validation and test pictures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Sentences that it was trained on.
    pub sentences: usize,
    /// Mean recall in percent, on validation and test pictures.
    pub mr: [Option<f64>; 2],
}

impl Growth {
    /// Parameters that the language has added, of all parts.
    pub fn parameters_added(&self) -> u64 {
        self.parameters.iter().map(|p| p.1).sum()
    }

    /// Of those parameters, 4 each.
    pub fn parameter_bytes(&self) -> u64 {
        4 * self.parameters_added()
    }

    /// The share of the base training's multiply–adds, in percent.
    pub fn share(&self) -> f64 {
        100.0 * self.products as f64 / self.base_products.max(1) as f64
    }

    /// Seconds of all stages.
    pub fn seconds(&self) -> f64 {
        self.seconds.iter().map(|s| s.1).sum()
    }

    /// Whether the old languages' results are what they were, to the last bit.
    pub fn unchanged(&self) -> bool {
        self.results.iter().filter(|r| r.language != self.language).all(|r| {
            let bits = |of: [Option<f64>; 2]| of.map(|x| x.map(f64::to_bits));
            bits(r.before) == bits(r.after)
        })
    }

    /// What was added and what it cost, in sentences.
    pub fn facts(&self) -> Vec<String> {
        let parts: Vec<String> = self.parameters.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let stages: Vec<String> = self.seconds.iter().map(|(name, s)| format!("{name} {s:.1}")).collect();
        // A language of an acquisition has no words of its own.
        let (words, files) = match self.vocabulary {
            0 => (String::new(), ""),
            all => {
                let (own, width) = (self.own_words, self.word_width);
                (
                    format!("; {own} of {all} words have vectors of their own, {width} wide"),
                    ", nearly all word vectors",
                )
            }
        };
        let mut facts = vec![format!(
            "learnt from {} captions and {} translations{words}",
            self.captions, self.translations
        )];
        facts.extend(self.tokenizer());
        if self.truncated > 0 {
            facts.push(format!(
                "{} sentences are longer than the model reads and lose their end",
                self.truncated
            ));
        }
        // What is shared may have been trained in place of anything added.
        let added = match self.parameters.is_empty() {
            true => "added no parameters: those that all languages share were trained".to_string(),
            false => format!(
                "added {} parameters, {} bytes ({}); the folder grew by {} bytes{files}",
                self.parameters_added(),
                self.parameter_bytes(),
                parts.join(", "),
                self.file_bytes
            ),
        };
        facts.extend([
            added,
            format!(
                "compute: {:.2} % of the base training's multiply–adds ({:.3e} of {:.3e}); sentences shown: {} and {}",
                self.share(),
                self.products as f64,
                self.base_products as f64,
                self.sentences_shown,
                self.base_sentences_shown
            ),
            format!(
                "seconds: {:.1} ({}); the base's training took {:.1}",
                self.seconds(),
                stages.join(", "),
                self.base_seconds
            ),
        ]);
        facts
    }

    /// What the frozen tokenizer makes of the languages.
    fn tokenizer(&self) -> Option<String> {
        let (new, old) = self.pieces.split_last()?;
        let of = |p: &Pieces| format!("{} {:.1}", p.language, p.characters);
        let old: Vec<String> = old.iter().map(of).collect();
        let (new, unknown) = (of(new), new.unknown);
        Some(format!(
            "characters a token of the frozen tokenizer: {new} ({}); {unknown:.1} % of its tokens are unknown ones",
            old.join(", ")
        ))
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let one = |x: Option<f64>| x.map_or("   –".to_string(), |x| format!("{x:4.1}"));
        writeln!(f, "mR in percent    val before  after   test before  after")?;
        for r in &self.results {
            let [val, test] = [0, 1].map(|i| (one(r.before[i]), one(r.after[i])));
            writeln!(f, "{:16} {:>10} {:>6} {:>13} {:>6}", r.language, val.0, val.1, test.0, test.1)?;
        }
        if !self.unfrozen {
            writeln!(
                f,
                "the old languages' results are the same to the last bit: {}",
                yes(self.unchanged())
            )?;
        }
        for point in &self.curve {
            let [val, test] = point.mr.map(one);
            writeln!(f, "{} sentences: val {val}, test {test}", point.sentences)?;
        }
        let facts = self.facts();
        write!(f, "{}", facts.join("\n"))
    }
}

fn yes(so: bool) -> &'static str {
    if so { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(language: &str, before: Option<f64>, after: f64) -> Change {
        Change { language: language.into(), before: [None, before], after: [None, Some(after)] }
    }

    #[test]
    fn the_last_bit_counts_for_the_old_languages_alone() {
        let results = vec![change("en", Some(0.1 + 0.2), 0.1 + 0.2), change("cs", None, 30.0)];
        let mut growth = Growth { language: "cs".into(), results, ..Growth::default() };
        assert!(growth.unchanged() && growth.to_string().contains("the same to the last bit: yes"));
        growth.results[0].after[1] = Some(0.3);
        assert!(!growth.unchanged() && growth.to_string().contains("the same to the last bit: no"));
    }

    #[test]
    fn shares_and_sums_are_those_of_the_parts() {
        let growth = Growth {
            parameters: vec![("a".into(), 30), ("b".into(), 12)],
            products: 5,
            base_products: 200,
            seconds: vec![("x".into(), 1.5), ("y".into(), 2.0)],
            ..Growth::default()
        };
        let sums = (growth.parameters_added(), growth.parameter_bytes(), growth.share(), growth.seconds());
        assert_eq!(sums, (42, 168, 2.5, 3.5));
        let json = serde_json::to_string(&growth).unwrap();
        assert_eq!(serde_json::from_str::<Growth>(&json).unwrap(), growth);
        assert!(serde_json::from_str::<Growth>(&json.replace("curve", "curse")).is_err());
    }
}
