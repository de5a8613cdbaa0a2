//! What a run is worth on a split of its corpus.

use super::Run;
use super::start::every_language;
use crate::Result;
use crate::corpus::{Corpus, SplitName, Translated};
use crate::eval::{Consistency, Evaluation, ParallelScores};
use crate::inference::{Evaluated, Queries, embed_features, evaluate};
use crate::prepare::encode_captions;

impl Run {
    /// Retrieval on a split; with parallel captions in at least two languages, also how well they do together.
    ///
    /// `distractors`: whether the gallery holds the further pictures; `folds`: galleries that the pictures are cut into.
    pub fn evaluate(
        &mut self,
        corpus: &Corpus,
        split: SplitName,
        distractors: bool,
        folds: usize,
    ) -> Result<Evaluation> {
        self.check_width(&corpus.train.features)?;
        let further = corpus.distractors.as_ref();
        if distractors {
            super::distractors_there(corpus, &self.config)?;
        }
        let pictures = corpus.split(split);
        let captions = every_language(&self.encoder, pictures);
        let what = Evaluated {
            name: &split.to_string(),
            split: pictures,
            captions: &captions,
            human: &corpus.human,
            translated: &self.translated(corpus, split),
            distractors: further.filter(|_| distractors),
            folds,
        };
        let mut evaluation = evaluate(&mut self.model, &self.encoder.lexicon, &self.config, &what)?;
        evaluation.consistency = self.consistency(corpus, split)?;
        Ok(evaluation)
    }

    /// The queries of a split in languages that the model does not know.
    fn translated(&self, corpus: &Corpus, split: SplitName) -> Vec<Queries> {
        let pictures = corpus.split(split).features.rows();
        let queries = |t: &Translated| {
            let captions = encode_captions(&self.encoder, t.captions(split)?, pictures, t.reader);
            Some(Queries { language: t.language.clone(), reader: t.reader, human: t.human, captions })
        };
        corpus.translated.iter().filter_map(queries).collect()
    }

    /// Fitted on validation. On that split itself it would say nothing, so only the test split has it.
    fn consistency(&mut self, corpus: &Corpus, split: SplitName) -> Result<Option<Consistency>> {
        let Some(parallel) = corpus.parallel.as_ref().filter(|_| split == SplitName::Test) else {
            return Ok(None);
        };
        let both = |l: &usize| parallel.val[*l].is_some() && parallel.test[*l].is_some();
        let languages: Vec<usize> = (0..corpus.languages.len()).filter(both).collect();
        if languages.len() < 2 {
            return Ok(None);
        }
        let validation = self.parallel_scores(corpus, SplitName::Val, &languages)?;
        let test = self.parallel_scores(corpus, SplitName::Test, &languages)?;
        let (config, triplet) = (self.config.consistency(), &self.config.loss().triplet);
        Consistency::measure(config, triplet, &validation, &test, self.config.seed()).map(Some)
    }

    fn parallel_scores(
        &mut self,
        corpus: &Corpus,
        split: SplitName,
        languages: &[usize],
    ) -> Result<ParallelScores> {
        let texts = corpus.parallel.as_ref().and_then(|p| p.split(split)).unwrap_or_default();
        let mut sentences = Vec::new();
        for &l in languages {
            let texts: Vec<&str> = texts[l].iter().flatten().map(String::as_str).collect();
            sentences.push((corpus.languages[l].clone(), self.sentences(l, &texts).vectors));
        }
        let features = &corpus.split(split).features;
        let images = embed_features(&mut self.model.image, features, self.info.features)?;
        let image_of: Vec<u32> = (0..features.rows() as u32).collect();
        ParallelScores::new(&sentences, &image_of, &images, self.config.text().joint)
    }
}
