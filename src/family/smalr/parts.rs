//! Sentences that are read some at a time, so that a large batch needs little memory (gradient caching; Gao et al. 2021).
//!
//! The batch's tokens are embedded once: a batch normalisation of characters counts all of them. What grows with the sentences is what
//! recurrent networks keep of each token; that is computed part by part, and again when its gradient is asked for.

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::device::Matrix;
use crate::loss::cached::{Parts, in_parts};
use crate::loss::terms::Taped;
use crate::ops::leaf::Leaf;
use crate::ops::rows::select;
use crate::ops::sequences::Sequences;
use crate::optim::{Parameter, ParameterTree};

/// Some sentences of a batch, as they are read.
pub struct Part<'a> {
    /// Their distinct tokens (distinct, width).
    pub tokens: Matrix<Taped>,
    /// In terms of these.
    pub sentences: &'a Arc<Sequences>,
    /// Where they stand in the batch.
    pub places: Range<usize>,
}

/// What `read` makes of all sentences of a batch, (sentences, width of what it makes), `size` of them at a time; 0 takes all at once.
///
/// `tokens` (distinct, width) are the batch's. `read` gives the vectors of a part in its order; what it makes of a sentence depends on that
/// sentence and on its place in the batch alone.
pub fn read_in_parts<M, F>(
    model: &M,
    tokens: &Matrix,
    sentences: &Arc<Sequences>,
    size: usize,
    read: F,
) -> Matrix<Taped>
where
    M: ParameterTree + Clone + 'static,
    F: Fn(&M, Part) -> Matrix<Taped> + 'static,
{
    if size == 0 || size >= sentences.len() {
        let places = 0..sentences.len();
        return read(model, Part { tokens: tokens.leaky_trace(), sentences, places });
    }
    let parts = cut(sentences, size, tokens.shape().0);
    in_parts(Reader { model: model.clone(), tokens: Leaf::trained(tokens.clone()) }, Read { parts, read })
}

/// What vectors of sentences are made of.
struct Reader<M> {
    model: M,
    /// (distinct, width), those of the batch.
    tokens: Leaf<Matrix>,
}

impl<M: ParameterTree> ParameterTree for Reader<M> {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.model.visit(f);
        f("tokens", Parameter::matrix(&mut self.tokens.value, &mut self.tokens.rate));
    }
}

/// Some sentences: the rows of the batch's tokens that they read, themselves in terms of these, and their places.
struct Piece {
    rows: Vec<u32>,
    sentences: Arc<Sequences>,
    places: Range<usize>,
}

struct Read<F> {
    parts: Vec<Piece>,
    read: F,
}

impl<M, F: Fn(&M, Part) -> Matrix<Taped>> Parts<Reader<M>> for Read<F> {
    fn count(&self) -> usize {
        self.parts.len()
    }

    fn forward(&self, reader: &Reader<M>, part: usize) -> Matrix<Taped> {
        let Piece { rows, sentences, places } = &self.parts[part];
        let tokens = select(reader.tokens.value.leaky_trace(), rows);
        (self.read)(&reader.model, Part { tokens, sentences, places: places.clone() })
    }
}

/// The sentences, `size` at a time; their tokens are rows of `distinct` ones.
fn cut(all: &Sequences, size: usize, distinct: usize) -> Vec<Piece> {
    // By row the number that it has in the part.
    let mut numbers = vec![u32::MAX; distinct];
    let some = |first: usize| {
        let places = first..all.len().min(first + size);
        let (mut rows, mut sentences) = (Vec::new(), Sequences::new());
        for s in places.clone() {
            sentences.push(all.get(s).iter().map(|&row| {
                let number = &mut numbers[row as usize];
                if *number == u32::MAX {
                    *number = rows.len() as u32;
                    rows.push(row);
                }
                *number
            }));
        }
        rows.iter().for_each(|&row| numbers[row as usize] = u32::MAX);
        if rows.is_empty() && distinct > 0 {
            // Sentences without tokens; operations have a row at least.
            rows.push(0);
        }
        Piece { rows, sentences: Arc::new(sentences), places }
    };
    (0..all.len()).step_by(size).map(some).collect()
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
