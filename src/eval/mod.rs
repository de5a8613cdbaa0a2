//! What a model is worth: ranks, recall, cross-lingual consistency.

pub mod classification;
pub mod consistency;
pub mod correlation;
pub mod crossed;
pub mod encoder;
mod front;
pub mod given;
pub mod growth;
pub mod mining;
pub mod ordered;
pub mod probe;
pub mod recall;
mod scope;
pub mod similarity;
pub mod space;
pub mod task;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Source;

pub use consistency::{ByLanguage, Consistency, Coverage, Fitted, ParallelScores, clc_a, joined};
pub use encoder::{DualEncoder, Sentences};
pub use front::front;
pub use growth::Growth;
pub use recall::{Recall, Retrieval, TIE_RULE, retrieval, retrieval_in_folds};
pub use scope::Scope;
pub use task::{Metric, Setting, TASKS, Task, TaskResult};

/// Retrieval on a split in every language; as JSON it is what `evaluate --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Document", try_from = "Document")]
pub struct Evaluation {
    /// Name of the split that was evaluated.
    pub split: String,
    /// Whose captions asked: machines' only for a comparison with those by people, of languages that have both.
    pub by: Source,
    /// SHA-256 of the captions and pictures, `corpus::fingerprint_of`.
    pub data: Option<String>,
    /// Pictures with captions, and further ones in the gallery.
    pub images: usize,
    /// Further pictures in the gallery; 0 without them.
    pub distractors: usize,
    /// Galleries that the pictures were cut into; 1 is one gallery of them all.
    pub folds: usize,
    /// By language, in the order of the tables.
    pub languages: Vec<(String, Retrieval)>,
    /// For each language whether people wrote its captions.
    pub human: Vec<bool>,
    /// Mean mR of all languages, in percent.
    pub a: f64,
    /// Mean mR of the languages with human captions, if there are any.
    pub ha: Option<f64>,
    /// Numbers of parameters of the model.
    pub parameters: Parameters,
    /// The same queries in several languages, where the corpus has parallel captions.
    pub consistency: Option<Consistency>,
    /// Captions with their translations, by the language of the captions.
    pub by_language: Option<ByLanguage>,
}

/// What an evaluation is kept by: the set of pictures, and how it was asked where that is not as usual.
pub fn name(set: &str, by: Source, distractors: bool, folds: usize) -> String {
    let mut name = set.to_string();
    if by == Source::Machine {
        name += "-machine";
    }
    if distractors {
        name += "-distractors";
    }
    if folds > 1 {
        name += &format!("-folds{folds}");
    }
    name
}

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Trained.
    pub train: u64,
    /// Needed to answer queries, with universal vectors of the vocabulary computed beforehand.
    pub test: u64,
}

impl From<(usize, usize)> for Parameters {
    fn from((train, test): (usize, usize)) -> Parameters {
        Parameters { train: train as u64, test: test as u64 }
    }
}

impl Evaluation {
    /// `languages`: (code, its retrieval, whether people wrote the captions), at least one.
    pub fn new(
        split: impl Into<String>,
        images: usize,
        distractors: usize,
        folds: usize,
        languages: Vec<(String, Retrieval, bool)>,
        parameters: Parameters,
    ) -> Evaluation {
        let human: Vec<bool> = languages.iter().map(|l| l.2).collect();
        let mean = |mrs: Vec<f64>| (!mrs.is_empty()).then(|| mrs.iter().sum::<f64>() / mrs.len() as f64);
        let a = mean(languages.iter().map(|l| l.1.mr).collect()).unwrap_or(f64::NAN);
        let ha = mean(languages.iter().filter(|l| l.2).map(|l| l.1.mr).collect());
        let languages = languages.into_iter().map(|(language, retrieval, _)| (language, retrieval)).collect();
        Evaluation {
            split: split.into(),
            by: Source::Human,
            data: None,
            images,
            distractors,
            folds,
            languages,
            human,
            a,
            ha,
            parameters,
            consistency: None,
            by_language: None,
        }
    }

    /// What it is kept by.
    pub fn name(&self) -> String {
        name(&self.split, self.by, self.distractors > 0, self.folds)
    }

    /// Queries of both directions and all languages that met a tie.
    pub fn ties(&self) -> usize {
        self.languages.iter().map(|(_, r)| r.t2i.ties + r.i2t.ties).sum()
    }

    /// How the figures were made, in a sentence.
    pub fn protocol(&self) -> String {
        let gallery = match (self.folds, self.distractors) {
            (0 | 1, 0) => format!("{} pictures", self.images),
            (0 | 1, more) => format!("{} pictures and {more} distractors", self.images),
            (folds, _) => {
                format!("{} pictures, mean over {folds} galleries of {}", self.images, self.images / folds)
            }
        };
        let (who, ha) = match self.by {
            Source::Human => ("every caption asks", ", HA that of human captions"),
            Source::Machine => {
                ("captions by machines ask, of languages that people wrote some in, too: each", "")
            }
        };
        format!(
            "{gallery}; {who} for its picture, every picture for any of its captions; \
             mR is the mean of the six recalls, A that of all languages{ha}; percent"
        )
    }

    /// The tie rule, and how many ties were met.
    pub fn tie_note(&self) -> String {
        format!("{TIE_RULE}; {} queries met ties", self.ties())
    }
}

/// The JSON of an [`Evaluation`], in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    split: String,
    /// Whose captions asked, where it is not as usual.
    #[serde(default, rename = "captions", skip_serializing_if = "usual")]
    by: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    images: usize,
    distractors: usize,
    folds: usize,
    protocol: String,
    ties: String,
    #[serde(with = "ordered")]
    languages: Vec<(String, Retrieval)>,
    human: Vec<String>,
    #[serde(rename = "A")]
    a: f64,
    #[serde(rename = "HA")]
    ha: Option<f64>,
    parameters: Parameters,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consistency: Option<Consistency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_language: Option<ByLanguage>,
}

fn usual(by: &Source) -> bool {
    *by == Source::Human
}

impl From<Evaluation> for Document {
    fn from(e: Evaluation) -> Document {
        let human =
            e.languages.iter().zip(&e.human).filter(|(_, human)| **human).map(|((l, _), _)| l.clone());
        Document {
            human: human.collect(),
            protocol: e.protocol(),
            ties: e.tie_note(),
            split: e.split,
            by: e.by,
            data: e.data,
            images: e.images,
            distractors: e.distractors,
            folds: e.folds,
            languages: e.languages,
            a: e.a,
            ha: e.ha,
            parameters: e.parameters,
            consistency: e.consistency,
            by_language: e.by_language,
        }
    }
}

impl TryFrom<Document> for Evaluation {
    type Error = String;

    fn try_from(d: Document) -> Result<Evaluation, String> {
        if d.languages.is_empty() {
            return Err("an evaluation of no language".into());
        }
        if let Some(unknown) = d.human.iter().find(|h| d.languages.iter().all(|(l, _)| l != *h)) {
            return Err(format!("`human` names `{unknown}`, which is not among the languages"));
        }
        let languages = d.languages.into_iter().map(|(l, r)| {
            let human = d.human.contains(&l);
            (l, r, human)
        });
        let languages = languages.collect();
        let evaluation = Evaluation::new(d.split, d.images, d.distractors, d.folds, languages, d.parameters);
        let (consistency, by_language) = (d.consistency, d.by_language);
        Ok(Evaluation { consistency, by_language, by: d.by, data: d.data, ..evaluation })
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = self.languages.iter().map(|(l, _)| l.chars().count()).max().unwrap_or(0).max(8);
        writeln!(f, "{:width$}           text → image             image → text", "")?;
        writeln!(
            f,
            "{:width$} captions   R@1   R@5  R@10 median   R@1   R@5  R@10 median    mR",
            "language"
        )?;
        for ((language, r), human) in self.languages.iter().zip(&self.human) {
            write!(f, "{language:width$} {:8}", r.captions)?;
            for side in [&r.t2i, &r.i2t] {
                write!(f, " {:5.1} {:5.1} {:5.1} {:6.1}", side.r1, side.r5, side.r10, side.median_rank)?;
            }
            writeln!(f, " {:5.1}{}", r.mr, if *human { "" } else { " *" })?;
        }
        write!(f, "A {:.1}", self.a)?;
        if let Some(ha) = self.ha {
            write!(f, ", HA {ha:.1}")?;
        }
        writeln!(
            f,
            "; parameters: {} trained, {} at test time",
            self.parameters.train, self.parameters.test
        )?;
        if self.human.contains(&false) {
            writeln!(f, "* captions by machines")?;
        }
        writeln!(f, "`{}`: {}", self.split, self.protocol())?;
        write!(f, "{}", self.tie_note())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BEST, best_in};

    fn example() -> Evaluation {
        let side = |r1| Recall { r1, r5: 33.5, r10: 45.0, median_rank: 14.0, mean_rank: 60.25, ties: 1 };
        let one = |r1, mr| Retrieval { captions: 10, mr, t2i: side(r1), i2t: side(8.0) };
        let languages = vec![
            ("ja".into(), one(12.5, 40.0), true),
            ("de".into(), one(1.0, 30.0), true),
            ("af".into(), one(2.0, 20.0), false),
        ];
        Evaluation::new("test", 5, 2, 1, languages, Parameters { train: 18_000_000, test: 7_100_000 })
    }

    #[test]
    fn json_has_the_promised_shape_and_order() {
        let json = serde_json::to_string(&example()).unwrap();
        assert!(json.starts_with(r#"{"split":"test","images":5,"distractors":2,"#), "{json}");
        let ja = r#""languages":{"ja":{"captions":10,"mR":40.0,"t2i":{"R@1":12.5,"R@5":33.5,"R@10":45.0,"median_rank":14.0,"mean_rank":60.25,"ties":1},"i2t":{"R@1":8.0"#;
        assert!(json.contains(ja), "{json}");
        let end = r#""human":["ja","de"],"A":30.0,"HA":35.0,"parameters":{"train":18000000,"test":7100000}}"#;
        assert!(json.ends_with(end), "{json}");
        assert!(json.contains("in expectation over their orders; 6 queries met ties"));
        assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), example());
    }

    #[test]
    fn what_is_asked_otherwise_has_a_name_of_its_own() {
        let whole = Evaluation { distractors: 0, ..example() };
        assert_eq!(whole.name(), "test");
        let machine = Evaluation { by: Source::Machine, data: Some("ab".into()), ..whole.clone() };
        assert_eq!(machine.name(), "test-machine");
        assert!(machine.protocol().contains("captions by machines ask"), "{}", machine.protocol());
        let json = serde_json::to_string(&machine).unwrap();
        assert!(json.starts_with(r#"{"split":"test","captions":"machine","data":"ab","images":5"#), "{json}");
        assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), machine);
        assert_eq!(Evaluation { folds: 5, ..machine }.name(), "test-machine-folds5");
        assert_eq!(example().name(), "test-distractors");
    }

    #[test]
    fn every_metric_that_can_choose_a_checkpoint_is_measured() {
        let e = example();
        let [a, ha, t2i, i2t] = BEST.map(|name| e.metric(name).expect("measured"));
        assert_eq!((a, ha), (30.0, 35.0));
        let near = |x: f64, expected: f64| (x - expected).abs() < 1e-9;
        // (12.5 + 1 + 2) / 3 in the mean first, then 33.5 and 45.
        assert!(near(t2i, (15.5 / 3.0 + 78.5) / 3.0) && near(i2t, (8.0 + 78.5) / 3.0), "{t2i} {i2t}");
        assert_eq!(e.metric(&best_in("de")), Some(30.0));
        assert_eq!([e.metric("recall.xx"), e.metric("A"), e.metric("recallA")], [None; 3]);
        let metrics = task::Measure::metrics(&e);
        let of = |name: &str, language| {
            metrics.iter().find(|m| m.name == name && m.language.as_deref() == language)
        };
        assert_eq!(of("t2i", None).map(|m| m.value), Some(t2i));
        assert_eq!(of("mR", Some("af")).map(|m| m.value), Some(20.0));
        assert!(of("t2i.median_rank", Some("ja")).is_some_and(|m| !m.higher_is_better && m.unit == "rank"));
    }

    #[test]
    fn without_human_captions_ha_is_null() {
        let (language, retrieval) = example().languages.swap_remove(2);
        let e = Evaluation::new("val", 5, 0, 5, vec![(language, retrieval, false)], example().parameters);
        let json = serde_json::to_string(&e).unwrap();
        assert!(
            json.contains(r#""A":20.0,"HA":null"#) && json.contains("mean over 5 galleries of 1"),
            "{json}"
        );
    }

    #[test]
    fn broken_json_is_refused() {
        let json = serde_json::to_string(&example()).unwrap();
        let error = |json: String| serde_json::from_str::<Evaluation>(&json).unwrap_err().to_string();
        assert!(error(json.replace(r#"["ja","de"]"#, r#"["xx"]"#)).contains("names `xx`"));
        assert!(error(json.replace(r#""de":{"#, r#""ja":{"#)).contains("`ja` stands twice"));
        assert!(error(json.replace(r#""R@1""#, r#""R@2""#)).contains("unknown field `R@2`"));
    }

    #[test]
    fn table_marks_machine_translations() {
        let text = example().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("language captions   R@1") && lines[1].ends_with("mR"));
        assert_eq!(lines[2], "ja             10  12.5  33.5  45.0   14.0   8.0  33.5  45.0   14.0  40.0");
        assert!(lines[4].ends_with("20.0 *"), "{}", lines[4]);
        assert_eq!(lines[5], "A 30.0, HA 35.0; parameters: 18000000 trained, 7100000 at test time");
    }
}
