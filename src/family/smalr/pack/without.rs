//! A lexicon without some words and vectors.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::rows_of;
use crate::config::Precision;
use crate::family::LeftOut;
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::embedding::kmeans::nearest;
use crate::family::smalr::embedding::lexicon::Translations;
use crate::family::smalr::embedding::{Lexicon, Slot};
use crate::ops::matmul::{Packed, View};

/// Vectors that are compared with all others at a time.
const TILE: usize = 48;

/// What can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// The vector of a word, by its id.
    Own { language: usize, id: u32 },
    /// A latent vector.
    Latent(u32),
    /// A word of a vocabulary that has a latent vector, by its id.
    Word { language: usize, id: u32 },
}

impl Item {
    /// Its place among the three kinds.
    pub fn kind(&self) -> usize {
        match self {
            Item::Own { .. } => 0,
            Item::Latent(_) => 1,
            Item::Word { .. } => 2,
        }
    }
}

/// The rows of tables that are left, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    latents: Vec<u32>,
    /// By the name of the table.
    own: BTreeMap<String, Vec<u32>>,
}

impl Kept {
    /// All that there are.
    pub fn all(lexicon: &Lexicon) -> Kept {
        let own = |l: usize| (0..lexicon.own(l) as u32).collect();
        let languages = lexicon.languages.iter().enumerate();
        Kept {
            latents: (0..lexicon.latents as u32).collect(),
            own: languages.map(|(l, code)| (table(code), own(l))).collect(),
        }
    }

    /// The rows that are left of a table; nothing, for what is no table of words.
    pub fn rows(&self, name: &str) -> Option<&[u32]> {
        match name {
            "embedding.latent" => Some(&self.latents),
            _ => self.own.get(name).map(Vec::as_slice),
        }
    }

    /// What was left out, and what there was.
    pub fn left_out(&self, before: &Lexicon, after: &Lexicon) -> LeftOut {
        let words = |lexicon: &Lexicon| lexicon.vocabularies.iter().map(|v| v.len()).sum::<usize>();
        let own = |lexicon: &Lexicon| (0..lexicon.languages.len()).map(|l| lexicon.own(l)).sum::<usize>();
        let less = |of: &dyn Fn(&Lexicon) -> usize| [of(before) - of(after), of(before)];
        LeftOut { words: less(&words), own: less(&own), latents: less(&|lexicon| lexicon.latents) }
    }
}

/// The name of the table of a language's own words.
fn table(code: &str) -> String {
    format!("embedding.{code}.words")
}

/// Takes words and vectors out of an encoder. `latents` are the vectors (latents, width); `fallback` says for a word with a vector of its own, by
/// language and id, which latent one it takes without: a word that has none goes too.
pub(super) fn leave_out(
    encoder: &mut Encoder,
    gone: &BTreeSet<Item>,
    latents: &[f32],
    fallback: &[Vec<Option<u32>>],
) -> Kept {
    let lexicon = &mut encoder.lexicon;
    let (all, width) = (lexicon.latents as u32, latents.len() / lexicon.latents.max(1));
    let (left, lost): (Vec<u32>, Vec<u32>) = (0..all).partition(|&t| !gone.contains(&Item::Latent(t)));
    let mut moved = vec![0; all as usize];
    left.iter().zip(0..).for_each(|(&t, new)| moved[t as usize] = new);
    for (&t, new) in lost.iter().zip(neighbours(latents, width, &lost, &left)) {
        moved[t as usize] = new;
    }
    let (mut own, mut ids) = (BTreeMap::new(), Vec::new());
    for (l, code) in lexicon.languages.iter().enumerate() {
        let (mut rows, mut slots, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (id, slot) in (0..).zip(&lexicon.slots[l]) {
            let slot = match *slot {
                _ if gone.contains(&Item::Word { language: l, id }) => None,
                Slot::Own(_) if gone.contains(&Item::Own { language: l, id }) => {
                    fallback[l][id as usize].map(|t| Slot::Latent(moved[t as usize]))
                }
                Slot::Own(row) => {
                    rows.push(row);
                    Some(Slot::Own(rows.len() as u32 - 1))
                }
                Slot::Latent(t) => Some(Slot::Latent(moved[t as usize])),
                // A word of a vocabulary is of its own language.
                Slot::Other { .. } => None,
            };
            if let Some(slot) = slot {
                slots.push(slot);
                kept.push(id);
            }
        }
        own.insert(table(code), rows);
        lexicon.slots[l] = slots;
        lexicon.vocabularies[l] = lexicon.vocabularies[l].some(&kept);
        ids.push(kept);
    }
    if let Some(Translations { into, words }) = &mut lexicon.translations {
        let new = |id: u32| ids[*into].binary_search(&id).ok().map(|new| new as u32);
        for words in words {
            *words = words.iter().filter_map(|(word, id)| Some((word.clone(), new(*id)?))).collect();
        }
    }
    lexicon.latents = left.len();
    if !encoder.scorer.keys.is_empty() && !lost.is_empty() {
        encoder.scorer.keep(&left);
    }
    Kept { latents: left, own }
}

/// For each lost vector the place of the nearest of those that are left (Euclid).
fn neighbours(latents: &[f32], width: usize, lost: &[u32], left: &[u32]) -> Vec<u32> {
    if lost.is_empty() || left.is_empty() {
        return vec![0; lost.len()];
    }
    // |a − b|² is least where a · b − |b|² / 2 is largest.
    let with = |rows: &[u32], last: &dyn Fn(&[f32]) -> f32| -> Vec<f32> {
        let rows = rows_of(latents, width, rows);
        rows.chunks(width).flat_map(|row| row.iter().copied().chain([last(row)])).collect()
    };
    let points = with(lost, &|_| 1.0);
    let centres = with(left, &|row| -row.iter().map(|x| x * x).sum::<f32>() / 2.0);
    nearest(&points, &centres, width + 1).0
}

/// For each of some vectors of (latents, width) the nearest other one (Euclid); itself, where there is no other.
pub(super) fn nearest_other(latents: &[f32], width: usize, rows: &[u32]) -> Vec<u32> {
    let n = latents.len() / width;
    let halves: Vec<f32> =
        latents.chunks(width).map(|row| row.iter().map(|x| x * x).sum::<f32>() / 2.0).collect();
    let packed = Packed::new(View::new(latents, n, width).t(), Precision::F32);
    let some = |rows: &[u32]| -> Vec<u32> {
        let (points, mut scores) = (rows_of(latents, width, rows), vec![0.0; rows.len() * n]);
        packed.multiply(View::new(&points, rows.len(), width), &mut scores, n, false);
        let best = |(row, scores): (&u32, &[f32])| {
            let others =
                (0u32..).zip(scores.iter().zip(&halves).map(|(s, h)| s - h)).filter(|(t, _)| t != row);
            others.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map_or(*row, |(t, _)| t)
        };
        rows.iter().zip(scores.chunks(n)).map(best).collect()
    };
    rows.par_chunks(TILE).flat_map_iter(some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Score, Unseen};
    use crate::family::smalr::embedding::Scorer;
    use crate::words::Vocabulary;

    /// Three words, each twice: two with vectors of their own, of which one can fall back, and one that has a latent one.
    fn encoder() -> Encoder {
        let sentence: Vec<String> = ["a", "b", "c", "a", "b", "c"].map(String::from).to_vec();
        let words = Vocabulary::build([&sentence[..]].into_iter(), 1);
        let lexicon = Lexicon {
            languages: vec!["en".into(), "de".into()],
            vocabularies: vec![words.clone(), words],
            slots: vec![vec![Slot::Own(0), Slot::Own(1), Slot::Latent(2)]; 2],
            latents: 4,
            translations: None,
            spellings: None,
        };
        let keys = (0..8).map(|x| x as f32).collect();
        // Keys have the width of layers.
        let layer = crate::ops::linear::LinearWeights::new(
            crate::ops::tape::matrix(vec![0.0; 6], 2, 3),
            crate::ops::tape::vector(vec![0.0; 2]),
        );
        let scorer = Scorer { layers: vec![layer.clone(), layer], keys, score: Score::Cosine };
        Encoder { lexicon, segmenters: Vec::new(), vectors: Vec::new(), scorer, unseen: Unseen::Drop }
    }

    const LATENTS: [f32; 8] = [0.0, 0.0, 10.0, 0.0, 9.0, 1.0, 1.0, 1.0];

    #[test]
    fn words_move_to_what_is_left() {
        let mut encoder = encoder();
        let whole = encoder.lexicon.clone();
        let gone = [
            Item::Latent(2),
            Item::Own { language: 0, id: 0 },
            Item::Own { language: 0, id: 1 },
            Item::Word { language: 1, id: 2 },
        ];
        let fallback = vec![vec![Some(3), None, None], vec![None; 3]];
        let kept = leave_out(&mut encoder, &gone.into(), &LATENTS, &fallback);
        let lexicon = &encoder.lexicon;
        // Of English `a` takes latent 3, now 2; `b` has no other vector; `c` takes the nearest of latent 2, which is 1.
        assert_eq!(lexicon.slots, [vec![Slot::Latent(2), Slot::Latent(1)], vec![Slot::Own(0), Slot::Own(1)]]);
        let words = |l: usize| lexicon.vocabularies[l].iter().map(|w| w.0.to_string()).collect::<Vec<_>>();
        assert_eq!((words(0), words(1)), (vec!["a".into(), "c".into()], vec!["a".into(), "b".into()]));
        assert_eq!(kept.rows("embedding.latent"), Some(&[0, 1, 3][..]));
        assert_eq!(kept.rows("embedding.en.words"), Some(&[][..]));
        assert_eq!(kept.rows("embedding.de.words"), Some(&[0, 1][..]));
        assert_eq!(kept.rows("text.gru.weight_ih"), None);
        assert_eq!(encoder.scorer.keys, [0.0, 1.0, 2.0, 3.0, 6.0, 7.0]);
        let left_out = LeftOut { words: [2, 6], own: [2, 4], latents: [1, 4] };
        assert_eq!(kept.left_out(&whole, lexicon), left_out);
    }

    #[test]
    fn without_anything_to_leave_out_all_stays() {
        let mut encoder = encoder();
        let whole = encoder.lexicon.clone();
        let kept = leave_out(&mut encoder, &BTreeSet::new(), &LATENTS, &[vec![None; 3], vec![None; 3]]);
        assert_eq!(kept, Kept::all(&whole));
        assert_eq!(
            (&encoder.lexicon.slots, &encoder.lexicon.vocabularies),
            (&whole.slots, &whole.vocabularies)
        );
    }

    #[test]
    fn the_nearest_other_is_never_oneself() {
        assert_eq!(nearest_other(&LATENTS, 2, &[0, 1, 2, 3]), [3, 2, 1, 0]);
        assert_eq!(nearest_other(&[1.0, 2.0], 2, &[0]), [0]);
    }
}
