//! Test queries before and after CLC-C (Burns et al. 2020, figures 5 and 6).

use super::hits::Album;
use crate::Result;
use crate::corpus::{Corpus, SplitName};
use crate::eval::Fitted;
use crate::eval::consistency::together::{Together, together};
use crate::eval::encoder::add_pictures;
use crate::eval::similarity::Kernel;
use crate::report::{Compared, Said};
use crate::retrieve::{Hit, Retriever};

/// Queries looked at, of each language of captions, and at a time.
const LOOKED: usize = 1000;
const BLOCK: usize = 100;

/// For each query language the first query whose picture CLC-C corrects, and the first that it spoils.
pub(super) fn compared(
    run: &dyn Retriever,
    corpus: &Corpus,
    album: &mut Album,
    notes: &mut Vec<String>,
) -> Result<Vec<Compared>> {
    let fitted = match run.fitted() {
        Ok(Some(fitted)) => fitted,
        Ok(None) => return Ok(Vec::new()),
        Err(error) => {
            notes.push(format!("no queries before and after CLC-C: {error}"));
            return Ok(Vec::new());
        }
    };
    let mut pictures = Vec::new();
    add_pictures(&*run.encoder(), &corpus.test.features, &mut pictures)?;
    let mut all = Vec::new();
    for set in together(corpus, SplitName::Test) {
        if set.languages.iter().map(|&l| &corpus.languages[l]).ne(&fitted.languages) {
            notes.push("no queries before and after CLC-C: it was fitted on other languages".to_string());
            break;
        }
        let lookout = Lookout { run, corpus, set: &set, fitted: &fitted, pictures: &pictures };
        for (place, row, firsts) in lookout.find()? {
            let mut show = |picture: u32| album.hit(set.image_of[row], &Hit { row: picture, score: 0.0 });
            let said = set.languages.iter().zip(&set.texts).zip(&firsts.each).map(|((&l, texts), &first)| {
                Said { language: corpus.languages[l].clone(), text: texts[row].into(), hit: show(first) }
            });
            let said = said.collect();
            all.push(Compared {
                language: corpus.languages[set.languages[place]].clone(),
                query: set.texts[place][row].into(),
                before: show(firsts.each[place]),
                after: show(firsts.joined),
                said,
            });
        }
    }
    Ok(all)
}

/// The pictures that come first for a query.
struct Firsts {
    /// In each language.
    each: Vec<u32>,
    /// By CLC-C.
    joined: u32,
    /// Whether another picture has as high a score by CLC-C.
    tied: bool,
}

struct Lookout<'a> {
    run: &'a dyn Retriever,
    corpus: &'a Corpus,
    set: &'a Together<'a>,
    fitted: &'a Fitted,
    pictures: &'a [f32],
}

impl Lookout<'_> {
    /// For each query language, as its place in the set, the rows of a corrected and of a spoiled query.
    fn find(&self) -> Result<Vec<(usize, usize, Firsts)>> {
        let set = self.set;
        let askers: Vec<usize> = (0..set.languages.len())
            .filter(|&l| set.language.is_none_or(|of| of == set.languages[l]))
            .collect();
        let mut found: Vec<[Option<(usize, Firsts)>; 2]> = askers.iter().map(|_| [None, None]).collect();
        let rows = set.image_of.len().min(LOOKED);
        for start in (0..rows).step_by(BLOCK) {
            for (n, firsts) in self.firsts(start..rows.min(start + BLOCK))?.into_iter().enumerate() {
                let (row, own) = (start + n, set.image_of[start + n]);
                for (&place, found) in askers.iter().zip(&mut found) {
                    // Where CLC-C gives no picture more than another it finds none.
                    if firsts.tied {
                        continue;
                    }
                    let kind = match (firsts.each[place] == own, firsts.joined == own) {
                        (false, true) => 0,
                        (true, false) => 1,
                        _ => continue,
                    };
                    let firsts = Firsts { each: firsts.each.clone(), joined: firsts.joined, tied: false };
                    found[kind].get_or_insert((row, firsts));
                }
            }
            if found.iter().flatten().all(Option::is_some) {
                break;
            }
        }
        let flat = askers.into_iter().zip(found).flat_map(|(place, found)| {
            found.into_iter().flatten().map(move |(row, firsts)| (place, row, firsts))
        });
        Ok(flat.collect())
    }

    fn firsts(&self, rows: std::ops::Range<usize>) -> Result<Vec<Firsts>> {
        let (kernel, joint) = (Kernel::detect(), self.run.joint());
        let mut scores = Vec::new();
        for (&l, texts) in self.set.languages.iter().zip(&self.set.texts) {
            let place = self.run.language(&self.corpus.languages[l])?;
            let vectors = self.run.sentences(place, &texts[rows.clone()]).vectors;
            scores.push(kernel.matrix(&vectors, self.pictures, joint));
        }
        let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
        let joined = self.fitted.clc_c(&scores);
        let count = self.pictures.len() / joint;
        let of = |n: usize| {
            let row = |scores: &[f32]| first(&scores[n * count..(n + 1) * count]);
            let (joined, tied) = row(&joined);
            Firsts { each: scores.iter().map(|of| row(of).0).collect(), joined, tied }
        };
        Ok((0..rows.len()).map(of).collect())
    }
}

/// The place of the highest score, the first of several, and whether there are several.
fn first(scores: &[f32]) -> (u32, bool) {
    let (mut best, mut tied) = (0, false);
    for (place, score) in scores.iter().enumerate().skip(1) {
        if *score > scores[best] {
            (best, tied) = (place, false);
        } else if *score == scores[best] {
            tied = true;
        }
    }
    (best as u32, tied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_scores_is_known_to_be_one_of_several() {
        assert_eq!(first(&[0.1, 0.7, 0.3]), (1, false));
        assert_eq!(first(&[0.2, 0.2, 0.1]), (0, true));
        assert_eq!(first(&[0.2, 0.2, 0.4]), (2, false));
        assert_eq!(first(&[0.0, 0.0]), (0, true));
    }
}
