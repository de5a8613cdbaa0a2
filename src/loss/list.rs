//! What a step minimises, as a list: pairs of streams of a batch, each with its loss and its weight.

use std::ops::Range;

use super::imitation::{Imitation, imitate};
use super::terms::{Taped, Total};
use super::{Contrast, contrast, grouped_contrast};
use crate::device::{Matrix, Scalar};

/// How two streams are compared.
#[derive(Clone, Copy)]
pub enum Comparison<'a> {
    /// By the cosines of all items with all: [`Streams::similarities`].
    Contrast(Contrast<'a>),
    /// Row by row, the student's stream first, then the teacher's: [`Streams::matched`].
    Imitation(Imitation),
}

impl<'a> From<Contrast<'a>> for Comparison<'a> {
    fn from(contrast: Contrast<'a>) -> Self {
        Comparison::Contrast(contrast)
    }
}

impl From<Imitation> for Comparison<'_> {
    fn from(imitation: Imitation) -> Self {
        Comparison::Imitation(imitation)
    }
}

/// A loss between two streams of a batch, e.g. its pictures and its sentences. `S` names the streams.
pub struct PairLoss<'a, S> {
    /// The name of the term in the metrics.
    pub name: &'static str,
    /// The stream of rows, then that of columns.
    pub between: [S; 2],
    /// The loss, with its margin or its temperature.
    pub by: Comparison<'a>,
    /// In the sum; a loss with 0 is left out.
    pub weight: f32,
}

/// Cosines of items of two streams.
pub struct Similarities {
    /// (rows, columns)
    pub matrix: Matrix<Taped>,
    /// The picture of each row.
    pub rows: Vec<u32>,
    /// The picture of each column.
    pub columns: Vec<u32>,
    /// Columns that are compared by themselves, whose losses are averaged: on a GPU what else are several matrices. None, where all columns
    /// are one group.
    pub groups: Option<Vec<Range<usize>>>,
}

/// The vectors of a batch, by streams.
pub trait Streams {
    /// The names of the streams.
    type Stream: Copy;

    /// The items of two streams that are compared, in one matrix or in several (e.g. one a language), whose losses are averaged. None,
    /// where the batch has nothing to compare.
    fn similarities(&self, between: [Self::Stream; 2]) -> Vec<Similarities>;

    /// Vectors of the same items in two streams, row n of both of one item; in one part or in several, as above. Streams without a teacher
    /// have none.
    fn matched(&self, _between: [Self::Stream; 2]) -> Vec<(Matrix<Taped>, Matrix)> {
        Vec::new()
    }
}

impl Total {
    /// Adds the terms of a list, in its order.
    pub fn compare<B: Streams>(&mut self, batch: &B, losses: &[PairLoss<B::Stream>]) {
        for loss in losses.iter().filter(|loss| loss.weight > 0.0) {
            let parts: Vec<Scalar<Taped>> = match loss.by {
                Comparison::Contrast(by) => {
                    let value = |s: Similarities| match &s.groups {
                        None => contrast(s.matrix, &s.rows, &s.columns, by),
                        Some(groups) => grouped_contrast(s.matrix, &s.rows, &s.columns, groups, by),
                    };
                    batch.similarities(loss.between).into_iter().map(value).collect()
                }
                Comparison::Imitation(by) => {
                    let value = |(student, teacher): (Matrix<Taped>, Matrix)| imitate(student, &teacher, by);
                    batch.matched(loss.between).into_iter().map(value).collect()
                }
            };
            self.add(loss.name, loss.weight, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use dfdx::prelude::*;

    use super::*;
    use crate::gradcheck::{matrix_gradient, noise};
    use crate::loss::{InfoNce, Temperature};
    use crate::ops::linear::similarity;
    use crate::ops::tape::matrix;

    /// Two languages beside pictures.
    struct Batch {
        images: Matrix,
        languages: [Matrix; 2],
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Stream {
        Pictures,
        Sentences,
        Nobody,
    }

    impl Streams for Batch {
        type Stream = Stream;

        fn similarities(&self, [rows, columns]: [Stream; 2]) -> Vec<Similarities> {
            let all: Vec<u32> = (0..3).collect();
            let one = |rows: &Matrix, columns: &Matrix| Similarities {
                matrix: similarity(rows.leaky_trace(), columns.leaky_trace()),
                rows: all.clone(),
                columns: all.clone(),
                groups: None,
            };
            match (rows, columns) {
                (Stream::Pictures, Stream::Sentences) => {
                    self.languages.iter().map(|l| one(&self.images, l)).collect()
                }
                (Stream::Sentences, Stream::Sentences) => vec![one(&self.languages[0], &self.languages[1])],
                _ => Vec::new(),
            }
        }
    }

    fn batch() -> Batch {
        let m = |seed| matrix(noise(3 * 4, seed), 3, 4);
        Batch { images: m(1), languages: [m(2), m(3)] }
    }

    fn nce(
        name: &'static str,
        between: [Stream; 2],
        temperature: f32,
        weight: f32,
    ) -> PairLoss<'static, Stream> {
        PairLoss {
            name,
            between,
            by: Contrast::InfoNce(InfoNce::at(Temperature::Fixed(temperature))).into(),
            weight,
        }
    }

    #[test]
    fn the_sum_weighs_every_term_and_its_gradient_is_a_slope() {
        use Stream::*;
        let losses = [
            nce("i2t", [Pictures, Sentences], 0.5, 2.0),
            nce("off", [Pictures, Sentences], 0.1, 0.0),
            nce("none", [Nobody, Sentences], 0.1, 1.0),
            nce("t2t", [Sentences, Sentences], 0.7, 0.5),
        ];
        let sum = |batch: &Batch| {
            let mut total = Total::default();
            total.compare(batch, &losses);
            total.finish()
        };
        let made = batch();
        let (loss, terms) = sum(&made);
        let (value, terms) = terms.read();
        assert_eq!(terms.iter().map(|t| t.name).collect::<Vec<_>>(), ["i2t", "t2t"]);
        assert!((value - (2.0 * terms[0].raw + 0.5 * terms[1].raw)).abs() < 1e-6);
        let grads = loss.expect("a loss").backward();
        matrix_gradient("images", &made.images, &grads, 1e-3, 1e-2, |m| {
            sum(&Batch { images: m.clone(), ..batch() }).1.read().0
        });
        let second = made.languages[1].clone();
        matrix_gradient("sentences", &second, &grads, 1e-3, 1e-2, |m| {
            let first = batch().languages[0].clone();
            sum(&Batch { languages: [first, m.clone()], ..batch() }).1.read().0
        });
    }
}
