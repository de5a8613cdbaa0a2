//! What a run finds best and worst of the test pictures, and what it takes for what.

use std::collections::BTreeMap;

use super::hits::Album;
use crate::Result;
use crate::corpus::{Caption, Corpus, SplitName};
use crate::error::InFile;
use crate::eval::consistency::together::together;
use crate::eval::encoder::add_pictures;
use crate::eval::similarity::{check_finite, each_row};
use crate::report::{Confusion, Errors, Example, Extremes, FoundText, OfPicture, SideBySide, Told};
use crate::retrieve::{Hit, Retriever};

/// Captions looked at of each language, evenly spread where there are more.
const LOOKED: usize = 5000;
/// Best and worst ones shown of each language and direction.
const SHOWN: usize = 2;
/// Queries shown side by side.
const QUERIES: usize = 3;
/// What is shown of all that a query finds.
const FIRSTS: usize = 3;
/// Pairs of confused pictures shown, of those that so many queries confuse.
const PAIRS: usize = 8;
const OFTEN: usize = 2;

/// Best and worst queries of each language, the same query in several languages, and pictures that are confused.
pub(super) fn errors(run: &dyn Retriever, corpus: &Corpus, album: &mut Album) -> Result<Errors> {
    let mut pictures = Vec::new();
    add_pictures(&*run.encoder(), &corpus.test.features, &mut pictures)?;
    let look = ErrorAnalysis { run, corpus, pictures };
    let (mut looked, mut confused) = (Vec::new(), BTreeMap::new());
    for (language, code) in corpus.languages.iter().enumerate() {
        let captions = look.captions(language);
        if captions.is_empty() {
            continue;
        }
        let texts: Vec<&str> = captions.iter().map(|c| c.text.as_str()).collect();
        let vectors = look.sentences(language, &texts)?;
        let asked = look.ask(&vectors, &captions.iter().map(|c| c.image).collect::<Vec<u32>>());
        count(code, captions.iter().map(|c| c.image).zip(&asked), &mut confused);
        looked.push(Looked { language, captions, vectors, asked });
    }
    // The page has room for so many pictures: those of all languages together come first.
    let side_by_side = look.side_by_side(album)?;
    let confusions = confusions(confused, album);
    let languages = looked.iter().map(|looked| look.told(looked, album)).collect();
    Ok(Errors { languages, side_by_side, confusions })
}

/// The captions of a language that were looked at.
struct Looked<'a> {
    language: usize,
    captions: Vec<&'a Caption>,
    /// (captions, joint)
    vectors: Vec<f32>,
    asked: Vec<Asked>,
}

/// What a query finds.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    /// The rank of what it asks for, from 1: of several answers that of the best one. Equal scores are before it.
    rank: usize,
    /// How far the score of what it asks for is above that of the best other one.
    margin: f32,
    /// What has the highest scores, and these.
    first: Vec<(u32, f32)>,
    /// The answer.
    own: (u32, f32),
}

impl Asked {
    /// Of the scores of all; `right` tells the answers, of which there is one or more.
    fn of(scores: &[f32], right: impl Fn(u32) -> bool) -> Option<Asked> {
        let better = |best: Option<(u32, f32)>, one: (u32, f32)| match best {
            Some(best) if best.1 >= one.1 => Some(best),
            _ => Some(one),
        };
        let all = || scores.iter().enumerate().map(|(n, &score)| (n as u32, score));
        let own = all().filter(|one| right(one.0)).fold(None, better)?;
        let other = all().filter(|one| !right(one.0)).fold(None, better);
        let rank = 1 + all().filter(|one| !right(one.0) && one.1 >= own.1).count();
        let mut order: Vec<(u32, f32)> = all().collect();
        let first = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if order.len() > FIRSTS {
            order.select_nth_unstable_by(FIRSTS, first);
            order.truncate(FIRSTS);
        }
        order.sort_by(first);
        Some(Asked { rank, margin: other.map_or(0.0, |other| own.1 - other.1), first: order, own })
    }
}

/// Places of the best queries (the first answers by most) and of the worst (the last ranks, of equal ones those that miss by most).
fn extremes(asked: &[Asked]) -> [Vec<usize>; 2] {
    let mut order: Vec<usize> = (0..asked.len()).collect();
    let better = |a: &usize, b: &usize| {
        let (x, y) = (&asked[*a], &asked[*b]);
        x.rank.cmp(&y.rank).then(y.margin.total_cmp(&x.margin)).then(a.cmp(b))
    };
    order.sort_by(better);
    let best: Vec<usize> = order.iter().copied().take(SHOWN).filter(|&n| asked[n].rank == 1).collect();
    let worst = order.iter().rev().copied().take(SHOWN).filter(|&n| asked[n].rank > 1).collect();
    [best, worst]
}

struct ErrorAnalysis<'a> {
    run: &'a dyn Retriever,
    corpus: &'a Corpus,
    /// (test pictures, joint)
    pictures: Vec<f32>,
}

impl ErrorAnalysis<'_> {
    /// The captions of a language that are looked at.
    fn captions(&self, language: usize) -> Vec<&Caption> {
        let all = &self.corpus.test.captions[language];
        let count = all.len().min(LOOKED);
        (0..count).map(|n| &all[n * all.len() / count]).collect()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Result<Vec<f32>> {
        let place = self.run.language(&self.corpus.languages[language])?;
        let vectors = self.run.sentences(place, texts).vectors;
        check_finite(&vectors, self.run.joint(), "query").in_file(&self.run.folder().path)?;
        Ok(vectors)
    }

    /// What each sentence finds among the pictures; `image_of` is what it speaks of.
    fn ask(&self, vectors: &[f32], image_of: &[u32]) -> Vec<Asked> {
        each_row(vectors, &self.pictures, self.run.joint(), |n, scores| {
            Asked::of(scores, |picture| picture == image_of[n]).expect("a caption has its picture")
        })
    }

    /// What each picture with captions finds among them.
    fn tell(&self, vectors: &[f32], captions: &[&Caption]) -> Vec<Option<(u32, Asked)>> {
        each_row(&self.pictures, vectors, self.run.joint(), |picture, scores| {
            let picture = picture as u32;
            Asked::of(scores, |n| captions[n as usize].image == picture).map(|asked| (picture, asked))
        })
    }

    /// The best and the worst of a language.
    fn told(&self, looked: &Looked, album: &mut Album) -> Told {
        let Looked { language, captions, vectors, asked } = looked;
        let code = &self.corpus.languages[*language];
        let [best, worst] = extremes(asked).map(|places| {
            let example = |n: usize| example(code, captions[n], &asked[n], album);
            places.into_iter().map(example).collect()
        });
        let texts = Extremes { best, worst };
        let (rows, told): (Vec<u32>, Vec<Asked>) = self.tell(vectors, captions).into_iter().flatten().unzip();
        let [best, worst] = extremes(&told).map(|places| {
            let of = |n: usize| of_picture(rows[n], &told[n], captions, album);
            places.into_iter().map(of).collect()
        });
        let counts = [captions.len(), self.corpus.test.captions[*language].len()];
        Told { language: code.clone(), captions: counts, texts, pictures: Extremes { best, worst } }
    }

    /// The queries in several languages whose ranks differ most from language to language.
    fn side_by_side(&self, album: &mut Album) -> Result<Vec<Vec<SideBySide>>> {
        let Some(set) = together(self.corpus, SplitName::Test).into_iter().next() else {
            return Ok(Vec::new());
        };
        let rows: Vec<usize> = (0..set.image_of.len().min(LOOKED)).collect();
        let mut by_language = Vec::new();
        for (&language, texts) in set.languages.iter().zip(&set.texts) {
            let vectors = self.sentences(language, &texts[..rows.len()])?;
            by_language.push(self.ask(&vectors, &set.image_of));
        }
        // The share of the worst rank in the best: how many times farther it is.
        let apart = |row: usize| {
            let ranks = || by_language.iter().map(|asked| asked[row].rank as f64);
            ranks().fold(0.0, f64::max) / ranks().fold(f64::INFINITY, f64::min)
        };
        let mut order = rows;
        order.sort_by(|&a, &b| apart(b).total_cmp(&apart(a)).then(a.cmp(&b)));
        let shown = order.into_iter().take(QUERIES).map(|row| {
            let of = |(n, &language): (usize, &usize)| {
                let asked = &by_language[n][row];
                let mut hit =
                    |&(found, score): &(u32, f32)| album.hit(set.image_of[row], &Hit { row: found, score });
                SideBySide {
                    language: self.corpus.languages[language].clone(),
                    text: set.texts[n][row].into(),
                    rank: asked.rank,
                    hits: asked.first.iter().map(&mut hit).collect(),
                }
            };
            set.languages.iter().enumerate().map(of).collect()
        });
        Ok(shown.collect())
    }
}

fn example(code: &str, caption: &Caption, asked: &Asked, album: &mut Album) -> Example {
    let mut hit = |&(row, score): &(u32, f32)| album.hit(caption.image, &Hit { row, score });
    let hits = asked.first.iter().map(&mut hit).collect();
    let missed = (asked.rank > FIRSTS).then(|| (asked.rank, hit(&asked.own)));
    Example { language: code.into(), query: caption.text.clone(), translation: None, hits, missed }
}

fn of_picture(row: u32, asked: &Asked, captions: &[&Caption], album: &mut Album) -> OfPicture {
    let text = |&(n, score): &(u32, f32)| FoundText {
        text: captions[n as usize].text.clone(),
        score,
        right: captions[n as usize].image == row,
    };
    OfPicture {
        picture: album.hit(row, &Hit { row, score: 0.0 }).picture,
        found: asked.first.iter().map(text).collect(),
        missed: (asked.rank > FIRSTS).then(|| (asked.rank, text(&asked.own))),
    }
}

/// For each two pictures, the lower row first, how often a caption of the one finds the other first, both ways, by language.
type Confused = BTreeMap<(u32, u32), BTreeMap<String, [usize; 2]>>;

fn count<'a>(code: &str, asked: impl Iterator<Item = (u32, &'a Asked)>, all: &mut Confused) {
    for (own, asked) in asked.filter(|(_, asked)| asked.rank > 1) {
        let taken = asked.first.first().map_or(own, |first| first.0);
        if taken != own {
            let counts = all.entry((own.min(taken), own.max(taken))).or_default();
            counts.entry(code.to_string()).or_default()[usize::from(own > taken)] += 1;
        }
    }
}

/// The pairs that are confused most often.
fn confusions(all: Confused, album: &mut Album) -> Vec<Confusion> {
    let total = |counts: &BTreeMap<String, [usize; 2]>| counts.values().flatten().sum::<usize>();
    let mut often: Vec<_> = all.into_iter().filter(|(_, counts)| total(counts) >= OFTEN).collect();
    often.sort_by(|a, b| total(&b.1).cmp(&total(&a.1)).then(a.0.cmp(&b.0)));
    let shown = often.into_iter().take(PAIRS).map(|((a, b), counts)| Confusion {
        pictures: [a, b].map(|row| album.hit(row, &Hit { row, score: 0.0 }).picture),
        queries: counts.into_iter().collect(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(scores: &[f32], right: &[u32]) -> Asked {
        Asked::of(scores, |n| right.contains(&n)).unwrap()
    }

    #[test]
    fn the_best_answer_has_its_rank_after_equal_ones() {
        let found = asked(&[0.1, 0.7, 0.3, 0.3], &[2]);
        assert_eq!((found.rank, found.own), (3, (2, 0.3)), "an equal one is before it");
        assert!((found.margin + 0.4).abs() < 1e-6);
        assert_eq!(found.first.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 2, 3]);
        let several = asked(&[0.1, 0.7, 0.3, 0.9], &[0, 3]);
        assert_eq!((several.rank, several.own.0), (1, 3));
        assert_eq!(Asked::of(&[0.5], |_| false), None);
        assert_eq!(asked(&[0.5], &[0]).margin, 0.0, "alone");
    }

    #[test]
    fn best_ones_are_right_and_worst_ones_wrong() {
        let all = [
            asked(&[0.9, 0.1], &[0]),
            asked(&[0.1, 0.9], &[0]),
            asked(&[0.9, 0.8], &[0]),
            asked(&[0.3, 0.4], &[0]),
            asked(&[0.9, 0.3], &[0]),
        ];
        assert_eq!(extremes(&all), [vec![0, 4], vec![1, 3]]);
        assert_eq!(extremes(&all[..1]), [vec![0], vec![]], "nothing is wrong");
        assert_eq!(extremes(&all[1..2]), [vec![], vec![0]]);
    }

    #[test]
    fn confusions_are_counted_both_ways() {
        let mut all = Confused::new();
        let wrong = |first: u32| Asked { rank: 2, margin: -0.1, first: vec![(first, 0.5)], own: (0, 0.4) };
        let right = Asked { rank: 1, margin: 0.1, first: vec![(3, 0.5)], own: (3, 0.5) };
        let two = [wrong(7), wrong(3), wrong(7)];
        count("de", [3, 7, 3].into_iter().zip(&two), &mut all);
        count("en", [(3, &right), (3, &wrong(7))].into_iter(), &mut all);
        assert_eq!(all.keys().collect::<Vec<_>>(), [&(3, 7)]);
        assert_eq!((all[&(3, 7)]["de"], all[&(3, 7)]["en"]), ([2, 1], [1, 0]));
    }
}
