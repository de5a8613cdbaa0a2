//! What a teacher's vectors teach in a step.

use crate::corpus::{Corpus, TeacherVectors};
use crate::family::smalr::batch::{Batch, Taught};
use crate::sampler::{Draw, gathered};

/// A teacher's vectors, and which of them the training captions have.
pub struct Teacher<'a> {
    vectors: &'a TeacherVectors,
    /// By language and caption.
    captions: Vec<Vec<Option<u32>>>,
}

impl<'a> Teacher<'a> {
    /// Nothing, where a corpus was not taught.
    pub fn new(corpus: &'a Corpus) -> Option<Self> {
        let vectors = corpus.teacher.as_deref()?;
        let row = |l: usize| {
            let reads = vectors.languages.contains(&l);
            let captions = corpus.train.captions[l].iter();
            captions.map(|c| vectors.row(&corpus.languages[l], &c.text).filter(|_| reads)).collect()
        };
        Some(Teacher { vectors, captions: (0..corpus.languages.len()).map(row).collect() })
    }

    /// One by which captions are taught by rows of these vectors, by language and caption.
    pub fn of_rows(vectors: &'a TeacherVectors, captions: Vec<Vec<Option<u32>>>) -> Self {
        Teacher { vectors, captions }
    }

    /// What a batch is taught, by language; `draw` is its captions, `paired` by language and sentence of pairs the row of its vector.
    pub fn of(&self, batch: &Batch, draw: &Draw, paired: &[Vec<Option<u32>>]) -> Vec<Taught> {
        let mut all = Vec::new();
        for (l, draws) in draw.captions.iter().enumerate() {
            let captions = draws.iter().map(|&(caption, _)| self.captions[l][caption as usize]);
            let lines = paired.get(l).into_iter().flatten().copied();
            let places = batch.groups[l].clone().chain(batch.paired.groups.get(l).cloned().unwrap_or(0..0));
            let rows = captions.chain(lines).zip(places);
            let (ids, sentences): (Vec<u32>, Vec<u32>) =
                rows.filter_map(|(row, place)| Some((row?, place as u32))).unzip();
            if !ids.is_empty() {
                let vectors =
                    gathered(&ids, self.vectors.width(), |row, x| self.vectors.copy_row(row as u32, x));
                all.push(Taught { sentences, ids, vectors });
            }
        }
        all
    }
}
