//! What an evaluation is about, and retrieval by a model that takes texts as they are.

use super::{Evaluation, Parameters, retrieval_in_folds};
use crate::config::Source;
use crate::corpus::{Corpus, SplitName};
use crate::{Error, Result};

/// What an evaluation of a model that takes texts as they are is about.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub split: SplitName,
    /// Whether the gallery holds the further pictures of the corpus.
    pub distractors: bool,
    /// Whether texts that are read as another language ask, too.
    pub translated: bool,
    /// Whose captions ask, of a language that both people and machines wrote in: [`crate::corpus::Split::queries`].
    pub by: Source,
    /// Galleries that the pictures are cut into.
    pub folds: usize,
    /// Whether the data are the run's own: what is fitted on them then stays with it.
    pub keep: bool,
}

impl Scope {
    /// What training looks at.
    pub const VALIDATION: Scope = Scope { translated: false, ..Scope::whole(SplitName::Val) };

    /// All captions of a split that count, in one gallery of its pictures.
    pub const fn whole(split: SplitName) -> Scope {
        Scope { split, distractors: false, translated: true, by: Source::Human, folds: 1, keep: false }
    }

    /// Refuses an evaluation that nobody asks in.
    pub(crate) fn nobody_asks(&self) -> Error {
        let split = self.split;
        match self.by {
            Source::Human => {
                Error::data(format!("the split `{split}` has no captions in a language of the model"))
            }
            Source::Machine => Error::data(format!(
                "no language of the split `{split}` has captions by people and by machines to compare"
            ))
            .hint(
                "leave out `--captions machine`: a language with machine captions alone is asked in by those",
            ),
        }
    }
}

/// Texts of a language as unit vectors (texts, joint); nothing, where the language is not known.
pub type Vectors<'a> = &'a dyn Fn(&str, &[&str]) -> Option<Vec<f32>>;

/// An evaluation once the pictures have their vectors.
pub struct RetrievalTask<'a> {
    pub scope: Scope,
    /// Pictures of the split and those after them (pictures, joint), unit length.
    pub pictures: &'a [f32],
    pub joint: usize,
    pub parameters: Parameters,
}

impl RetrievalTask<'_> {
    /// Retrieval in every language that the split has captions of and `vectors` knows, and in those that are read as one.
    ///
    /// # Errors
    /// Data, where there is no such language.
    pub fn of(self, corpus: &Corpus, vectors: Vectors) -> Result<Evaluation> {
        let Scope { split: name, translated, folds, by, .. } = self.scope;
        let split = corpus.split(name);
        let rows = split.features.rows();
        let own = corpus.languages.iter().enumerate().map(|(l, language)| {
            let queries = split.queries(l, by);
            (language, language, queries.captions, queries.human)
        });
        let further =
            corpus.translated.iter().filter(|_| translated && by == Source::Human).filter_map(|t| {
                let captions = t.captions(name)?.into();
                Some((&t.language, &corpus.languages[t.reader], captions, t.human(name)))
            });
        let mut languages = Vec::new();
        for (language, reader, captions, human) in own.chain(further) {
            let (texts, image_of): (Vec<&str>, Vec<u32>) =
                captions.iter().map(|c| (&c.text[..], c.image)).unzip();
            let sentences = if texts.is_empty() { None } else { vectors(reader, &texts) };
            let Some(sentences) = sentences else { continue };
            let result = retrieval_in_folds(&sentences, &image_of, self.pictures, rows, self.joint, folds)?;
            languages.push((language.clone(), result, human));
        }
        if languages.is_empty() {
            return Err(self.scope.nobody_asks());
        }
        let more = self.pictures.len() / self.joint - rows;
        let evaluation = Evaluation::new(name.to_string(), rows, more, folds, languages, self.parameters);
        Ok(Evaluation { by, ..evaluation })
    }
}
