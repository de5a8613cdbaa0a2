//! Paths as the configuration writes them, with `{split}` and `{language}`.

use std::path::{Path, PathBuf};

use super::SplitName;
use crate::error::Kind;
use crate::{Error, Result, names};

/// The folder that all paths of the data section start from.
pub(super) struct Paths {
    folder: PathBuf,
    /// What `{split}` stands for in place of `test`.
    test: Option<String>,
}

impl Paths {
    pub(super) fn new(base: &Path, root: &Path) -> Paths {
        Paths { folder: base.join(root), test: None }
    }

    /// Paths of another set of pictures in place of those to test on.
    pub(super) fn with_test(self, test: Option<String>) -> Paths {
        Paths { test, ..self }
    }

    /// Puts the split and the language in; a placeholder without a value is an error.
    pub(super) fn resolve(
        &self,
        template: &str,
        split: Option<SplitName>,
        language: Option<&str>,
    ) -> Result<PathBuf> {
        let mut path = template.to_string();
        if let Some(split) = split {
            let name = match (split, &self.test) {
                (SplitName::Test, Some(name)) => name.clone(),
                _ => split.to_string(),
            };
            path = path.replace("{split}", &name);
        }
        if let Some(language) = language {
            names::code(language, Kind::Config)?;
            path = path.replace("{language}", language);
        }
        match placeholder(&path) {
            None => Ok(self.folder.join(path)),
            Some(name) => Err(Error::config(format!("`{template}`: nothing stands for `{name}` here")).hint(
                "paths know `{split}` and `{language}`; `{language}` needs the `languages` of its source",
            )),
        }
    }
}

pub(super) fn has_split(template: &str) -> bool {
    template.contains("{split}")
}

pub(super) fn has_language(template: &str) -> bool {
    template.contains("{language}")
}

fn placeholder(path: &str) -> Option<&str> {
    let start = path.find('{')?;
    let end = start + path[start..].find('}')?;
    Some(&path[start..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let paths = Paths::new(Path::new("a"), Path::new("b"));
        let path = paths.resolve("t/{split}.1.{language}", Some(SplitName::Val), Some("de")).unwrap();
        assert_eq!(path, Path::new("a/b/t/val.1.de"));
    }

    #[test]
    fn placeholders_without_a_value_are_refused() {
        let paths = Paths::new(Path::new("a"), Path::new("b"));
        for (template, name) in [("{lang}.txt", "`{lang}`"), ("{split}.txt", "`{split}`")] {
            let error = paths.resolve(template, None, Some("de")).unwrap_err();
            assert_eq!(error.exit_status(), 3);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
