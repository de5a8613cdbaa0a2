//! What an acquired model is worth on a split of its corpus.

use super::Mla;
use super::data::{embed, pictures, unit};
use crate::config::Precision;
use crate::corpus::{Corpus, SplitName};
use crate::eval::{Evaluation, Parameters, retrieval_in_folds};
use crate::model::count;
use crate::{Error, Result};

impl Mla {
    /// The place of a language: 0 is the tower's own, then those acquired.
    pub fn place(&self, language: &str) -> Option<usize> {
        self.languages().iter().position(|l| *l == language)
    }

    /// Sentences of a language as unit vectors (sentences, joint).
    pub fn unit_vectors(&self, language: usize, texts: &[&str], precision: Precision) -> Vec<f32> {
        let mut vectors = embed(self, language, texts, precision, &mut 0);
        unit(&mut vectors, self.joint());
        vectors
    }

    /// Retrieval in every language that the model knows and the split has captions of.
    pub fn evaluate(
        &mut self,
        corpus: &Corpus,
        split: SplitName,
        precision: Precision,
        distractors: bool,
        folds: usize,
    ) -> Result<Evaluation> {
        let pictured = corpus.split(split);
        let mut images = pictures(self, &pictured.features)?;
        let mut more = 0;
        if let Some(features) = corpus.distractors.as_ref().filter(|_| distractors) {
            images.extend(pictures(self, features)?);
            more = features.rows();
        }
        let (rows, joint) = (pictured.features.rows(), self.joint());
        let mut languages = Vec::new();
        for (l, language) in corpus.languages.iter().enumerate() {
            let (texts, image_of): (Vec<&str>, Vec<u32>) =
                pictured.captions[l].iter().map(|c| (&c.text[..], c.image)).unzip();
            let Some(place) = self.place(language).filter(|_| !texts.is_empty()) else { continue };
            let sentences = self.unit_vectors(place, &texts, precision);
            let result = retrieval_in_folds(&sentences, &image_of, &images, rows, joint, folds)?;
            languages.push((language.clone(), result, corpus.human[l]));
        }
        if languages.is_empty() {
            let what = format!("the split `{split}` has no captions in a language of the model");
            return Err(Error::data(what));
        }
        let parameters = self.parameters();
        Ok(Evaluation::new(split.to_string(), rows, more, folds, languages, parameters))
    }

    /// Trained ones, and those that a sentence goes through once its tokens' vectors are computed: the tower without its
    /// token embedding, and the acquirers.
    pub fn parameters(&mut self) -> Parameters {
        let (mut train, mut test) = (0, 0);
        self.visit(&mut |_, parameter| train += count(&parameter) as u64);
        self.tower.visit(&mut |name, x| test += if name == "tokens" { 0 } else { x.len() as u64 });
        test += self.acquirers.iter().map(|a| a.parameters() as u64).sum::<u64>();
        Parameters { train, test }
    }
}
