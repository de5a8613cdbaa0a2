//! What a run is worth on a split of its corpus.

use crate::Result;
use crate::config::Source;
use crate::corpus::{Corpus, SplitName, Translated};
use crate::eval::Evaluation;
use crate::eval::Scope;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::inference::{Evaluated, Queries, evaluate};
use crate::family::smalr::prepare::encode_captions;

impl SmalrRun {
    /// Retrieval on a split; on test, where captions have translations, also how well they do together.
    ///
    /// # Errors
    /// Data: no distractors where they are asked for, features of another width, no captions that ask, or vectors that are not finite.
    pub fn evaluate(&self, corpus: &Corpus, scope: Scope) -> Result<Evaluation> {
        crate::retrieve::asked_pictures_there(corpus, scope, &self.config)?;
        let Scope { split, by, .. } = scope;
        let pictures = corpus.split(split);
        self.check_width(&pictures.features)?;
        let rows = pictures.features.rows();
        let (mut captions, mut human) = (Vec::new(), Vec::new());
        for l in 0..corpus.languages.len() {
            let queries = pictures.queries(l, by);
            captions.push(encode_captions(&self.encoder, &queries.captions, rows, l));
            human.push(queries.human);
        }
        // A comparison of who wrote the captions is about the model's own languages.
        let alone = by == Source::Machine;
        let what = Evaluated {
            scope,
            split: pictures,
            captions: &captions,
            human: &human,
            translated: &if alone || !scope.translated { Vec::new() } else { self.translated(corpus, split) },
            distractors: corpus.distractors.as_ref().filter(|_| scope.distractors),
        };
        let mut evaluation =
            evaluate(&self.model, self.parameters, &self.encoder.lexicon, &self.config, &what)?;
        if split == SplitName::Test && !alone {
            self.ask_together(corpus, scope, &mut evaluation)?;
        }
        Ok(evaluation)
    }

    /// The queries of a split in languages that the model does not know.
    fn translated(&self, corpus: &Corpus, split: SplitName) -> Vec<Queries> {
        let pictures = corpus.split(split).features.rows();
        let queries = |t: &Translated| {
            let captions = encode_captions(&self.encoder, t.captions(split)?, pictures, t.reader);
            Some(Queries { language: t.language.clone(), reader: t.reader, human: t.human(split), captions })
        };
        corpus.translated.iter().filter_map(queries).collect()
    }
}
