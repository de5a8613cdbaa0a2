//! Parallel captions: translations of one another, for queries in several languages at once.

use super::SplitName;
use super::captions::lines;
use super::paths::{self, Paths};
use super::pictures::Pictures;
use crate::{Error, Result};

/// One caption a picture and language, all of a picture with the same meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallel {
    /// By language of the corpus; text n speaks of picture n of the split. `None` where the file is missing.
    pub val: Vec<Option<Vec<String>>>,
    /// The same of the test pictures.
    pub test: Vec<Option<Vec<String>>>,
}

impl Parallel {
    /// The texts of `val` or `test` by language; training has none.
    pub fn split(&self, name: SplitName) -> Option<&[Option<Vec<String>>]> {
        match name {
            SplitName::Val => Some(&self.val),
            SplitName::Test => Some(&self.test),
            SplitName::Train | SplitName::Distractors => None,
        }
    }

    pub(super) fn read(
        template: &str,
        languages: &[String],
        paths: &Paths,
        pictures: &Pictures,
        notes: &mut Vec<String>,
    ) -> Result<Parallel> {
        if !paths::has_split(template) || !paths::has_language(template) {
            return Err(Error::config(format!("`data.parallel` is `{template}`"))
                .hint("put `{split}` and `{language}` into the path"));
        }
        if pictures.shared() {
            return Err(Error::config("`data.parallel` speaks of pictures by order")
                .hint("it needs `{split}` in `data.features`"));
        }
        let mut read = |split| -> Result<Vec<Option<Vec<String>>>> {
            let rows = pictures.of(split).features.rows();
            let mut texts = Vec::new();
            for language in languages {
                let file = paths.resolve(template, Some(split), Some(language))?;
                if file.is_file() {
                    texts.push(Some(lines::read(&file, split, rows, 1)?));
                } else {
                    notes.push(format!(
                        "`{language}` has no parallel captions: there is no file `{}`",
                        file.display()
                    ));
                    texts.push(None);
                }
            }
            if texts.iter().all(Option::is_none) {
                return Err(Error::data(format!(
                    "no `{split}` file of `data.parallel`, `{template}`, exists"
                ))
                .hint("correct the path, which is relative to `data.root`, or leave it out"));
            }
            Ok(texts)
        };
        Ok(Parallel { val: read(SplitName::Val)?, test: read(SplitName::Test)? })
    }
}
