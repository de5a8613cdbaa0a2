//! What a run is worth on a split of its corpus.

use super::Run;
use super::start::every_language;
use crate::Result;
use crate::corpus::{Corpus, SplitName, Translated};
use crate::eval::Evaluation;
use crate::inference::{Evaluated, Queries, evaluate};
use crate::prepare::encode_captions;

impl Run {
    /// Retrieval on a split; on test, where captions have translations, also how well they do together.
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
        if split == SplitName::Test {
            self.ask_together(corpus, distractors, &mut evaluation)?;
        }
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
}
