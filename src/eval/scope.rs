//! What an evaluation is about: whose captions ask, for which pictures.

use std::borrow::Cow;

use crate::Error;
use crate::config::Source;
use crate::corpus::{Caption, Corpus, Queries, SplitName};

/// What an evaluation on the pictures and captions of a corpus is about.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The pictures and captions that are asked.
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

/// The captions of a language that ask for their pictures.
pub(crate) struct Asked<'a> {
    pub language: &'a str,
    /// The language that they are in: another one, where the model does not know their own.
    pub reader: &'a str,
    pub captions: Cow<'a, [Caption]>,
    /// Whether people wrote them.
    pub human: bool,
}

impl Scope {
    /// What asks, by language, in the order of the tables: the languages of the corpus, then those that are read as one of them.
    pub(crate) fn asked<'a>(&self, corpus: &'a Corpus) -> Vec<Asked<'a>> {
        let Scope { split: name, translated, by, .. } = *self;
        let split = corpus.split(name);
        let own = corpus.languages.iter().enumerate().map(|(l, language)| {
            let Queries { captions, human } = split.queries(l, by);
            Asked { language, reader: language, captions, human }
        });
        // A comparison of who wrote the captions is about the model's own languages.
        let further = corpus.translated.iter().filter(|_| translated && by == Source::Human);
        let further = further.filter_map(|t| {
            let (captions, human) = (t.captions(name)?.into(), t.human(name));
            Some(Asked { language: &t.language, reader: &corpus.languages[t.reader], captions, human })
        });
        own.chain(further).filter(|asked| !asked.captions.is_empty()).collect()
    }
}
