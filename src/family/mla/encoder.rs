//! An acquired model at work: sentences and pictures as vectors, and what they take.

use std::ops::Range;

use super::data::{check_width, unit};
use super::{Encoder, Mla, Way};
use crate::Result;
use crate::config::Precision;
use crate::corpus::PictureSource;
use crate::eval::{DualEncoder, Parameters, Sentences};
use crate::ops::tape::{data, data1};
use crate::ops::transformer::Pass;
use crate::optim::{ParameterTree, trained_count};
use crate::tower::Tower;

impl Mla {
    /// Sentences as unit vectors (sentences, joint), and the places of those that lost their end.
    pub fn unit_vectors(&self, way: Way, texts: &[&str], precision: Precision) -> (Vec<f32>, Vec<usize>) {
        let encoded = self.tokens(way, texts);
        let mut vectors = self.encode(way, &encoded.ids, Pass { precision, recompute: false });
        unit(&mut vectors, self.joint());
        (vectors, encoded.truncated)
    }

    /// The model as evaluations use it.
    pub fn encoder(&self, precision: Precision) -> MlaEncoder<'_> {
        MlaEncoder { mla: self, precision }
    }

    /// Trained ones, and those that sentences go through once their tokens' vectors are computed: the towers without their
    /// token embeddings, and the acquirers. The English tower counts where a language goes its way.
    pub fn parameters(&mut self) -> Parameters {
        let (train, mut test) = (trained_count(self) as u64, 0);
        // Types are part of the positions.
        let mut tower = |t: &mut Tower| {
            t.visit(&mut |name, x| match name {
                "tokens" | "types" | "projection.bias" => {}
                // With a bias.
                "projection.weight" => test += (x.count() + x.shape()[0]) as u64,
                _ => test += x.count() as u64,
            });
        };
        if matches!(self.encoder, Encoder::Tower(_)) || self.way(&self.own) == Some(Way::Tower) {
            tower(&mut self.tower);
        }
        if let Encoder::Bert(bert) = &mut self.encoder {
            tower(&mut bert.tower);
            test += (data(&bert.layer.weight).len() + data1(&bert.layer.bias).len()) as u64;
        }
        test += self.acquirers.iter().map(|a| a.parameters() as u64).sum::<u64>();
        Parameters { train, test }
    }
}

/// A model, acquired or in training, as evaluations use it.
pub struct MlaEncoder<'a> {
    mla: &'a Mla,
    precision: Precision,
}

impl DualEncoder for MlaEncoder<'_> {
    fn joint(&self) -> usize {
        self.mla.joint()
    }

    fn languages(&self) -> Vec<String> {
        self.mla.languages().into_iter().map(String::from).collect()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        let way = self.mla.way(self.mla.languages()[language]).expect("a language of the model");
        let (vectors, truncated) = self.mla.unit_vectors(way, texts, self.precision);
        Sentences { vectors, unknown: Vec::new(), truncated }
    }

    fn check_width(&self, pictures: &dyn PictureSource) -> Result<()> {
        check_width(self.mla, pictures)
    }

    fn some_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
        let width = pictures.width();
        let mut x = vec![0.0; rows.len() * width];
        pictures.copy_rows(rows.start, &mut x);
        unit(&mut x, width);
        x
    }
}
