//! Natural language inference by a network on frozen vectors of sentences, learnt in some languages and measured in all (zero-shot transfer).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Kept, Measure, Metric, Setting, embed};
use crate::Result;
use crate::eval::classification::accuracy;
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{CLASSES, Groups, Inferences, Nli, mean};
use crate::eval::probe::{Batches, Network, train};
use crate::seed::derive;

/// Widths of the layers between vectors and classes.
const HIDDEN: [usize; 2] = [2048, 2048];
/// How they are trained.
const BATCHES: Batches = Batches { size: 256, rate: 5e-4, epochs: 50, patience: 4, seed: 0 };

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inferred {
    /// The languages that were learnt from.
    pub learnt: Vec<String>,
    /// Pairs to learn from, and to stop by.
    pub pairs: [usize; 2],
    /// The epoch that was best, and its accuracy on the pairs to stop by, in percent.
    pub stopped: (usize, f64),
    /// By language, with the pairs that were measured: accuracy in percent.
    pub languages: Vec<(String, usize, f64)>,
    /// Means of accuracies: of the languages that were not learnt from, of all, and of groups.
    pub means: Vec<(String, f64)>,
}

impl Measure for Inferred {
    const NAME: &'static str = "nli";

    const ABOUT: &'static str =
        "inference by a network on frozen vectors of sentences, and its transfer to other languages";

    const MAIN: &'static [&'static str] = &["accuracy"];

    type Set<'a> = &'a Nli;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        let none =
            "no premises and hypotheses are given: `--nli-train`, `--nli-dev` and `--nli-test` name them";
        data.given.nli.as_ref().ok_or(none.into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    fn measure(model: &dyn DualEncoder, nli: Self::Set<'_>, data: &Setting) -> Result<(Self, Vec<String>)> {
        infer(model, nli, &data.given.groups)
    }

    fn metrics(&self) -> Vec<Metric> {
        let rows =
            self.languages.iter().map(|(l, _, a)| (l, *a)).chain(self.means.iter().map(|(l, a)| (l, *a)));
        rows.map(|(of, accuracy)| Metric::percent("accuracy", Some(of), accuracy)).collect()
    }

    fn protocol(&self) -> String {
        format!(
            "a network of two layers of {} on frozen [p; h; |p − h|; p · h], learnt from {} pairs in `{}`, as it was after epoch {} of at most {}, \
             the best on {} others ({:.1} %); the other languages are transfer without training; percent",
            HIDDEN[0],
            self.pairs[0],
            self.learnt.join("`, `"),
            self.stopped.0,
            BATCHES.epochs,
            self.pairs[1],
            self.stopped.1
        )
    }
}

/// Pairs as vectors, those of premises and of hypotheses (pairs, width).
struct Vectors {
    premises: Vec<f32>,
    hypotheses: Vec<f32>,
    labels: Vec<u32>,
}

impl Vectors {
    /// What a network sees of pairs: [p; h; |p − h|; p · h], (pairs, 4 width).
    fn rows(&self, places: &[usize], width: usize) -> Vec<f32> {
        let mut rows = Vec::with_capacity(places.len() * 4 * width);
        for &n in places {
            let (p, h) = (&self.premises[n * width..][..width], &self.hypotheses[n * width..][..width]);
            rows.extend_from_slice(p);
            rows.extend_from_slice(h);
            rows.extend(p.iter().zip(h).map(|(p, h)| (p - h).abs()));
            rows.extend(p.iter().zip(h).map(|(p, h)| p * h));
        }
        rows
    }

    /// In percent.
    fn accuracy(&self, network: &Network, width: usize) -> f64 {
        let places: Vec<usize> = (0..self.labels.len()).collect();
        let logits = places.chunks(1024).flat_map(|some| network.logits(self.rows(some, width)));
        accuracy(&logits.collect::<Vec<f32>>(), &self.labels, CLASSES.len()).top1
    }
}

/// Trains a network on the pairs to learn from until those to stop by are classified no better, and measures it in every language.
///
/// # Errors
/// Data: a vector that is not finite, with file and line.
fn infer(model: &dyn DualEncoder, nli: &Nli, groups: &Groups) -> Result<(Inferred, Vec<String>)> {
    let (known, width) = (model.languages(), model.joint());
    let mut warnings = nli.notes.clone();
    let mut vectors = |sets: &[Inferences]| {
        let mut all = Vectors { premises: Vec::new(), hypotheses: Vec::new(), labels: Vec::new() };
        for set in sets {
            for (texts, out) in [(&set.premises, &mut all.premises), (&set.hypotheses, &mut all.hypotheses)] {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                out.extend(embed(
                    model,
                    set.language,
                    &texts,
                    &set.file,
                    |row| set.lines[row],
                    &mut warnings,
                )?);
            }
            all.labels.extend(&set.labels);
        }
        Ok(all)
    };
    let learn = vectors(&nli.train)?;
    let stop = vectors(&nli.dev)?;
    let network = Network::new(
        &[4 * width, HIDDEN[0], HIDDEN[1], CLASSES.len()],
        derive(BATCHES.seed, Inferred::NAME, 0),
    );
    let take = |places: &[usize]| learn.rows(places, width);
    let reached = |network: &Network| stop.accuracy(network, width);
    let (network, most, epoch) = train(network, &learn.labels, &take, &reached, BATCHES);
    let mut languages = Vec::new();
    for set in &nli.test {
        let asked = vectors(std::slice::from_ref(set))?;
        languages.push((known[set.language].clone(), asked.labels.len(), asked.accuracy(&network, width)));
    }
    let learnt: Vec<String> = nli.train.iter().map(|set| known[set.language].clone()).collect();
    let values: Vec<(Vec<&str>, f64)> = languages.iter().map(|(l, _, a)| (vec![l.as_str()], *a)).collect();
    let over = |some: &dyn Fn(&str) -> bool| {
        mean(&values.iter().filter(|(l, _)| some(l[0])).map(|v| v.1).collect::<Vec<f64>>())
    };
    let new = over(&|l| learnt.iter().all(|own| own != l)).map(|mean| ("not learnt".to_string(), mean));
    let mut means: Vec<(String, f64)> =
        new.into_iter().chain(over(&|_| true).map(|m| ("mean".into(), m))).collect();
    means.extend(groups.means(&values).into_iter().map(|(name, mean)| (name.to_string(), mean)));
    let pairs = [learn.labels.len(), stop.labels.len()];
    Ok((Inferred { learnt, pairs, stopped: (epoch, most), languages, means }, warnings))
}

impl fmt::Display for Inferred {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.languages.iter().map(|l| &l.0).chain(self.means.iter().map(|m| &m.0));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        writeln!(f, "{:width$}   pairs  accuracy", "language")?;
        for (language, pairs, accuracy) in &self.languages {
            writeln!(f, "{language:width$} {pairs:7} {accuracy:9.1}")?;
        }
        self.means.iter().try_for_each(|(of, accuracy)| writeln!(f, "{of:width$} {accuracy:17.1}"))?;
        write!(f, "{}", self.protocol())
    }
}
