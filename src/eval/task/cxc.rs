//! Crisscrossed Captions: similarity of captions, of pictures, and of both, and retrieval within and across them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Kept, Measure, Metric, Setting, told};
use crate::eval::correlation::spearman;
use crate::eval::crossed::{Pair, SAMPLES, recall, sampled};
use crate::eval::encoder::{DualEncoder, add_pictures};
use crate::eval::given::{Cxc, KINDS, Rated};
use crate::eval::{Recall, TIE_RULE};
use crate::{Error, Result};

/// From which rating on a pair belongs together. Not held against the figures of Parekh et al. (2021) yet: MSCOCO was not at hand.
pub const POSITIVE: f64 = 3.0;

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crossed {
    /// Pictures that there are.
    pub pictures: usize,
    /// Captions of them.
    pub captions: usize,
    /// Of STS, SIS and SITS.
    pub rated: Vec<Correlated>,
    /// Text to text, image to image, image to text and text to image.
    pub retrieval: Vec<Way>,
}

/// Correlations of cosines with ratings, −1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlated {
    /// `STS`, `SIS` or `SITS`.
    pub kind: String,
    /// How many pairs there are.
    pub pairs: usize,
    /// Mean of Spearman's ρ over samples.
    pub mean: f64,
    /// Its standard deviation over samples.
    pub deviation: f64,
    /// Spearman's ρ of all pairs.
    pub all: f64,
}

/// Retrieval one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// `t2t`, `i2i`, `i2t` or `t2i`.
    pub way: String,
    /// How many ask: those that something belongs to.
    pub queries: usize,
    /// What they find; nothing where nobody asks.
    pub found: Option<Recall>,
}

impl Measure for Crossed {
    const NAME: &'static str = "cxc";

    const ABOUT: &'static str = "Crisscrossed Captions: similarity of captions and pictures beside ratings, retrieval within and across";

    const MAIN: &'static [&'static str] = &["spearman", "R@1"];

    type Set<'a> = &'a Cxc;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        let none =
            "no Crisscrossed Captions are given: `--cxc`, `--cxc-captions` and `--cxc-images` name them";
        data.given.cxc.as_ref().ok_or(none.into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    fn measure(model: &dyn DualEncoder, cxc: Self::Set<'_>, data: &Setting) -> Result<(Self, Vec<String>)> {
        crossed(model, cxc, data.config.seed())
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for Correlated { kind, mean, deviation, all, .. } in &self.rated {
            metrics.push(Metric::correlation("spearman", Some(kind), *mean));
            metrics.push(Metric {
                higher_is_better: false,
                ..Metric::correlation("spearman.deviation", Some(kind), *deviation)
            });
            metrics.push(Metric::correlation("spearman.all", Some(kind), *all));
        }
        for Way { way, found, .. } in &self.retrieval {
            let Some(found) = found else { continue };
            for (name, value) in [("R@1", found.r1), ("R@5", found.r5), ("R@10", found.r10)] {
                metrics.push(Metric::percent(name, Some(way), value));
            }
            metrics.push(Metric::rank("mean_rank", Some(way), found.mean_rank));
        }
        metrics
    }

    fn protocol(&self) -> String {
        format!(
            "{} pictures and their {} captions; cosines beside ratings: Spearman's ρ, mean and standard deviation over {SAMPLES} samples of half of the queries \
             (the first ones of pairs) with one of their pairs each, and of all pairs, × 100; retrieval among all of them, where captions of one picture, a caption and its \
             picture, and what is rated {POSITIVE} or more belong together, the best one counts, nothing finds itself, and what nothing belongs to does not ask; {TIE_RULE}; percent",
            self.pictures, self.captions
        )
    }
}

/// Measures a model by the ratings of a split.
///
/// # Errors
/// Data: pictures of another width than the model's, vectors that are not finite, or correlations that are undefined.
fn crossed(model: &dyn DualEncoder, cxc: &Cxc, seed: u64) -> Result<(Crossed, Vec<String>)> {
    let (width, mut pictures) = (model.joint(), Vec::new());
    model.check_width(&*cxc.pictures)?;
    add_pictures(model, &*cxc.pictures, &mut pictures)?;
    let texts: Vec<&str> = cxc.texts.iter().map(String::as_str).collect();
    let sentences = model.sentences(cxc.language, &texts);
    let code = &model.languages()[cxc.language];
    let warnings = told(&sentences, &texts, code, &cxc.file);
    if let Some(at) = crate::finite::first_fault(&sentences.vectors) {
        let what = format!("the model's vector of `{}` is not finite", texts[at / width]);
        return Err(Error::data(what).at(&cxc.file));
    }
    let sentences = sentences.vectors;
    // What the two sides of each kind are.
    let sides = [(&sentences, &sentences), (&pictures, &pictures), (&sentences, &pictures)];
    let mut rated = Vec::new();
    for ((kind, pairs), (first, second)) in KINDS.iter().zip(&cxc.rated).zip(sides) {
        let row = |side: &[f32], n: u32| side[n as usize * width..][..width].to_vec();
        let pair = |&Rated { first: a, second: b, score }: &Rated| {
            let (x, y) = (row(first, a), row(second, b));
            Pair {
                query: a,
                cosine: x.iter().zip(&y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum(),
                score,
            }
        };
        let pairs: Vec<Pair> = pairs.iter().map(pair).collect();
        let undefined = |e: Error| e.within(kind.to_uppercase());
        let (mean, deviation) = sampled(&pairs, seed).map_err(undefined)?;
        let (cosines, scores): (Vec<f64>, Vec<f64>) = pairs.iter().map(|p| (p.cosine, p.score)).unzip();
        let all = spearman(&cosines, &scores).map_err(undefined)?;
        rated.push(Correlated { kind: kind.to_uppercase(), pairs: pairs.len(), mean, deviation, all });
    }
    let right = Right::of(cxc);
    let ways = [
        ("t2t", &sentences, &sentences, &right.captions_of_caption, true),
        ("i2i", &pictures, &pictures, &right.pictures_of_picture, true),
        ("i2t", &pictures, &sentences, &right.captions_of_picture, false),
        ("t2i", &sentences, &pictures, &right.pictures_of_caption, false),
    ];
    let retrieval = ways.map(|(way, asked, among, right, same)| {
        let (found, queries) = recall(asked, among, width, right, same);
        Way { way: way.into(), queries, found }
    });
    let count = |vectors: &[f32]| vectors.len() / width;
    let found = Crossed {
        pictures: count(&pictures),
        captions: count(&sentences),
        rated,
        retrieval: retrieval.into(),
    };
    Ok((found, warnings))
}

/// What belongs to each caption and each picture, rising.
struct Right {
    captions_of_caption: Vec<Vec<u32>>,
    pictures_of_picture: Vec<Vec<u32>>,
    captions_of_picture: Vec<Vec<u32>>,
    pictures_of_caption: Vec<Vec<u32>>,
}

impl Right {
    /// A caption has its picture and the other captions of that; what is rated high enough comes to it.
    fn of(cxc: &Cxc) -> Right {
        let (captions, pictures) = (cxc.texts.len(), cxc.pictures.rows());
        let mut captions_of_picture = vec![Vec::new(); pictures];
        let mut pictures_of_caption = vec![Vec::new(); captions];
        for (caption, &picture) in cxc.image_of.iter().enumerate() {
            captions_of_picture[picture as usize].push(caption as u32);
            pictures_of_caption[caption].push(picture);
        }
        let others = |caption: usize| {
            let all = captions_of_picture[cxc.image_of[caption] as usize].iter();
            all.copied().filter(|&other| other as usize != caption).collect()
        };
        let mut captions_of_caption: Vec<Vec<u32>> = (0..captions).map(others).collect();
        let mut pictures_of_picture = vec![Vec::new(); pictures];
        let [sts, sis, sits] =
            [0, 1, 2].map(|kind| cxc.rated[kind].iter().filter(|pair| pair.score >= POSITIVE));
        for (both, pairs) in [(&mut captions_of_caption, sts), (&mut pictures_of_picture, sis)] {
            for pair in pairs.filter(|pair| pair.first != pair.second) {
                both[pair.first as usize].push(pair.second);
                both[pair.second as usize].push(pair.first);
            }
        }
        for pair in sits {
            pictures_of_caption[pair.first as usize].push(pair.second);
            captions_of_picture[pair.second as usize].push(pair.first);
        }
        let mut right =
            Right { captions_of_caption, pictures_of_picture, captions_of_picture, pictures_of_caption };
        let Right {
            captions_of_caption: a,
            pictures_of_picture: b,
            captions_of_picture: c,
            pictures_of_caption: d,
        } = &mut right;
        for all in [a, b, c, d].into_iter().flatten() {
            all.sort_unstable();
            all.dedup();
        }
        right
    }
}

impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "rated    pairs  spearman (samples)   of all")?;
        for Correlated { kind, pairs, mean, deviation, all } in &self.rated {
            let samples = format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation);
            writeln!(f, "{kind:5} {pairs:8}  {samples:>18}  {:7.1}", 100.0 * all)?;
        }
        writeln!(f, "way   queries    R@1   R@5  R@10  mean rank")?;
        for Way { way, queries, found } in &self.retrieval {
            match found {
                Some(Recall { r1, r5, r10, mean_rank, .. }) => {
                    writeln!(f, "{way:5} {queries:7} {r1:6.1} {r5:5.1} {r10:5.1} {mean_rank:10.1}")?
                }
                None => writeln!(f, "{way:5} {queries:7}")?,
            }
        }
        write!(f, "{}", self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Features, write_npy};

    #[test]
    fn what_belongs_together_comes_from_captions_and_ratings() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("f.npy");
        write_npy(file.clone(), 3, 1, &[0.5; 3]).unwrap();
        let rated = |first, second, score| Rated { first, second, score };
        let cxc = Cxc {
            name: "c".into(),
            data: String::new(),
            language: 0,
            file: file.clone(),
            pictures: Box::new(Features::open(&[file]).unwrap()),
            texts: (0..4).map(|n| n.to_string()).collect(),
            image_of: vec![0, 0, 1, 2],
            rated: [
                vec![rated(0, 2, 3.0), rated(1, 3, 2.99), rated(0, 1, 5.0)],
                vec![rated(2, 0, 4.0), rated(1, 0, 1.0)],
                vec![rated(3, 0, 3.5), rated(2, 1, 5.0)],
            ],
        };
        let right = Right::of(&cxc);
        assert_eq!(right.captions_of_caption, [vec![1, 2], vec![0], vec![0], vec![]]);
        assert_eq!(right.pictures_of_picture, [vec![2], vec![], vec![0]]);
        assert_eq!(right.captions_of_picture, [vec![0, 1, 3], vec![2], vec![3]]);
        assert_eq!(right.pictures_of_caption, [vec![0], vec![0], vec![1], vec![0, 2]]);
    }
}
