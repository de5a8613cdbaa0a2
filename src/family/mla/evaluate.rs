//! What an acquired model is worth on a split of its corpus.

use super::data::{embed, pictures, unit};
use super::{Encoder, Mla, Way};
use crate::Result;
use crate::config::Precision;
use crate::corpus::Corpus;
use crate::eval::{Evaluation, Parameters};
use crate::eval::{RetrievalTask, Scope};
use crate::ops::tape::{data, data1};
use crate::tower::Tower;

impl Mla {
    /// Sentences as unit vectors (sentences, joint).
    pub fn unit_vectors(&self, way: Way, texts: &[&str], precision: Precision) -> Vec<f32> {
        let mut vectors = embed(self, way, texts, precision, &mut 0);
        unit(&mut vectors, self.joint());
        vectors
    }

    /// Retrieval in every language that the model knows and the split has captions of.
    ///
    /// # Errors
    /// Data: features that are not as wide as the joint space; as [`RetrievalTask::of`].
    pub fn evaluate(
        &self,
        corpus: &Corpus,
        parameters: Parameters,
        scope: Scope,
        precision: Precision,
    ) -> Result<Evaluation> {
        let mut images = pictures(self, &corpus.split(scope.split).features, true)?;
        if let Some(features) = corpus.distractors.as_ref().filter(|_| scope.distractors) {
            images.extend(pictures(self, features, true)?);
        }
        let joint = self.joint();
        let retrieval = RetrievalTask { scope, pictures: &images, joint, parameters };
        let vectors = |language: &str, texts: &[&str]| {
            self.way(language).map(|way| self.unit_vectors(way, texts, precision))
        };
        retrieval.of(corpus, &vectors)
    }

    /// Trained ones, and those that sentences go through once their tokens' vectors are computed: the towers without their
    /// token embeddings, and the acquirers. The English tower counts where a language goes its way.
    pub fn parameters(&mut self) -> Parameters {
        let (mut train, mut test) = (0, 0);
        self.visit(&mut |_, parameter| train += parameter.count() as u64);
        let mut tower =
            |t: &Tower| t.visit(&mut |name, x| test += if name == "tokens" { 0 } else { x.len() as u64 });
        if matches!(self.encoder, Encoder::Tower(_)) || self.way(&self.own) == Some(Way::Tower) {
            tower(&self.tower);
        }
        if let Encoder::Bert(bert) = &self.encoder {
            tower(&bert.tower);
            test += (data(&bert.layer.weight).len() + data1(&bert.layer.bias).len()) as u64;
        }
        test += self.acquirers.iter().map(|a| a.parameters() as u64).sum::<u64>();
        Parameters { train, test }
    }
}
