//! Retrieval of pictures by captions and of captions by pictures, in every language that a split has captions in.

use super::clip_benchmark::Entry;
use super::{Kept, Measure, Metric, Reads, Setting, TaskResult};
use crate::corpus::Corpus;
use crate::eval::encoder::{DualEncoder, add_pictures};
use crate::eval::{Evaluation, Parameters, Retrieval, Scope, retrieval_in_folds};
use crate::{Error, Result};

impl Measure for Evaluation {
    /// It stands before the names of its metrics in `train.best`.
    const NAME: &'static str = "recall";

    const ABOUT: &'static str = "recall both ways in every language, mR, A and HA";

    const MAIN: &'static [&'static str] = &["A", "mR"];

    const READS: Reads = Reads::Captions;

    type Set<'a> = (&'a Corpus, Scope);

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        data.captions()
    }

    fn kept(&(_, scope): &Self::Set<'_>, data: &Setting) -> Result<Kept> {
        Ok(data.kept(scope))
    }

    fn measure(
        model: &dyn DualEncoder,
        (corpus, scope): Self::Set<'_>,
        data: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        let evaluation = evaluate(model, corpus, scope, data.parameters)?;
        let (split, data) = (data.set.to_string(), data.fingerprint.clone());
        Ok((Evaluation { split, data, ..evaluation }, Vec::new()))
    }

    fn protocol(&self) -> String {
        self.protocol()
    }

    fn metrics(&self) -> Vec<Metric> {
        let [t2i, i2t] = directions(&self.languages);
        let mut all = vec![Metric::percent("A", None, self.a)];
        all.extend(self.ha.map(|ha| Metric::percent("HA", None, ha)));
        all.extend([Metric::percent("t2i", None, t2i), Metric::percent("i2t", None, i2t)]);
        for (language, r) in &self.languages {
            let language = Some(language.as_str());
            all.push(Metric::percent("mR", language, r.mr));
            for (way, side) in [("t2i", &r.t2i), ("i2t", &r.i2t)] {
                for (name, value) in [("R@1", side.r1), ("R@5", side.r5), ("R@10", side.r10)] {
                    all.push(Metric::percent(format!("{way}.{name}"), language, value));
                }
                all.push(Metric::rank(format!("{way}.median_rank"), language, side.median_rank));
            }
        }
        all
    }

    fn clip_benchmark(&self) -> Vec<Entry> {
        self.languages.iter().map(|(language, found)| Entry::retrieval(language, found)).collect()
    }
}

/// Retrieval in every language that the model knows and captions ask in.
///
/// # Errors
/// Data: no distractors where they are asked for, pictures of another width, no captions that ask, or vectors that are not finite.
pub fn evaluate(
    model: &dyn DualEncoder,
    corpus: &Corpus,
    scope: Scope,
    parameters: Parameters,
) -> Result<Evaluation> {
    let known = model.languages();
    let vectors = |reader: &str, texts: &[&str]| {
        let place = known.iter().position(|l| l == reader)?;
        Some(model.sentences(place, texts).vectors)
    };
    of_vectors(corpus, scope, parameters, &gallery(model, corpus, scope)?, model.joint(), &vectors)
}

/// The pictures of a split and, where they are asked for, the distractors after them (pictures, joint).
///
/// # Errors
/// Data: no distractors where they are asked for; as [`DualEncoder::pictures`].
pub(crate) fn gallery(model: &dyn DualEncoder, corpus: &Corpus, scope: Scope) -> Result<Vec<f32>> {
    let mut pictures = Vec::new();
    add_pictures(model, &corpus.split(scope.split).features, &mut pictures)?;
    if scope.distractors {
        let further = corpus.distractors.as_ref().ok_or_else(|| {
            Error::data("the corpus has no distractors")
                .hint("they are the split `distractors` of `data.features`")
        })?;
        add_pictures(model, further, &mut pictures)?;
    }
    Ok(pictures)
}

/// Texts of a language as unit vectors (texts, joint); nothing, where the language is not known.
pub type Vectors<'a> = &'a dyn Fn(&str, &[&str]) -> Option<Vec<f32>>;

/// As [`evaluate`], where the pictures of the split and those after them have their vectors: (pictures, joint), unit length.
///
/// # Errors
/// Data: no captions that ask, or vectors that are not finite.
pub(crate) fn of_vectors(
    corpus: &Corpus,
    scope: Scope,
    parameters: Parameters,
    pictures: &[f32],
    joint: usize,
    vectors: Vectors,
) -> Result<Evaluation> {
    let (rows, folds) = (corpus.split(scope.split).features.rows(), scope.folds);
    let mut languages = Vec::new();
    for asked in scope.asked(corpus) {
        let (texts, image_of): (Vec<&str>, Vec<u32>) =
            asked.captions.iter().map(|c| (&c.text[..], c.image)).unzip();
        let Some(sentences) = vectors(asked.reader, &texts) else { continue };
        let result = retrieval_in_folds(&sentences, &image_of, pictures, rows, joint, folds)?;
        languages.push((asked.language.to_string(), result, asked.human));
    }
    if languages.is_empty() {
        return Err(scope.nobody_asks());
    }
    let more = pictures.len() / joint - rows;
    let evaluation = Evaluation::new(scope.split.to_string(), rows, more, folds, languages, parameters);
    Ok(Evaluation { by: scope.by, ..evaluation })
}

/// The means of a direction's three recalls over the languages, text to image and image to text.
fn directions(languages: &[(String, Retrieval)]) -> [f64; 2] {
    let mean = |of: &dyn Fn(&Retrieval) -> f64| {
        languages.iter().map(|(_, r)| of(r)).sum::<f64>() / languages.len() as f64
    };
    [mean(&|r| r.t2i.mean_of_three()), mean(&|r| r.i2t.mean_of_three())]
}

impl Evaluation {
    /// The figure that `train.best` names: `recall.A`, `recall.HA`, `recall.t2i`, `recall.i2t`, or `recall.` and a language for its mR. Nothing
    /// where it was not measured.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let [t2i, i2t] = directions(&self.languages);
        match name.strip_prefix(Self::NAME)?.strip_prefix('.')? {
            "A" => Some(self.a),
            "HA" => self.ha,
            "t2i" => Some(t2i),
            "i2t" => Some(i2t),
            language => self.languages.iter().find(|(l, _)| l == language).map(|(_, r)| r.mr),
        }
    }
}

impl From<&Evaluation> for TaskResult {
    /// Its consistency has a result of its own.
    fn from(e: &Evaluation) -> TaskResult {
        let alone = Evaluation { consistency: None, by_language: None, ..e.clone() };
        alone.result((e.name(), e.data.clone()))
    }
}
