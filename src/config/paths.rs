//! Paths in a configuration start from where they were written: the folder of the file, or the current one for `--set`.

use std::path::{Component, Path, PathBuf};

use toml::Value;

use crate::{Error, Result};

/// The keys with such paths; those of `[data]` start from `data.root` and stay as they are.
const KEYS: [&str; 9] = [
    "data.root",
    "words.tokenizer",
    "words.vectors",
    "acquire.tower",
    "acquire.embedding",
    "contrastive.checkpoint",
    "contrastive.start",
    "teacher.run",
    "teacher.tower",
];

/// The full path of the folder that `file` is in, without links where it exists.
pub(super) fn folder_of(file: &Path) -> Result<PathBuf> {
    let full = std::path::absolute(file).map_err(|source| Error::reading(file, source))?;
    let folder = full.parent().unwrap_or(&full).to_path_buf();
    Ok(folder.canonicalize().unwrap_or(folder))
}

/// The full path of the current folder.
pub(super) fn current() -> Result<PathBuf> {
    let here = Path::new(".");
    here.canonicalize().map_err(|source| Error::reading(here, source))
}

/// Makes the paths in `value`, the value of `key` (empty for a whole document), start from `folder`.
pub(super) fn anchor(key: &str, value: &mut Value, folder: &Path) {
    for path in KEYS {
        let rest = match path.strip_prefix(key) {
            Some("") => "",
            Some(rest) if key.is_empty() => rest,
            Some(rest) if rest.starts_with('.') => &rest[1..],
            _ => continue,
        };
        let mut steps = rest.split('.').filter(|step| !step.is_empty());
        let target = steps.try_fold(&mut *value, |at, step| at.get_mut(step));
        if let Some(Value::String(path)) = target
            // Where the folder is not Unicode, the path stays as it is, and the rule on `data.root` tells.
            && let Some(full) = climb(folder, Path::new(&*path)).to_str()
        {
            *path = full.to_owned();
        }
    }
}

/// `folder` joined with `path`, less the `.` and `..` that `path` begins with; `folder` has no links on the way.
pub(super) fn climb(folder: &Path, path: &Path) -> PathBuf {
    let mut folder = folder.to_path_buf();
    let mut steps = path.components();
    loop {
        let rest = steps.as_path();
        match steps.next() {
            None => return folder,
            Some(Component::CurDir) => {}
            Some(Component::ParentDir) if folder.pop() => {}
            Some(_) => return folder.join(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_dots_go_up_and_full_paths_stay() {
        let climb = |path: &str| climb(Path::new("/a/b"), Path::new(path)).display().to_string();
        assert_eq!(climb("."), "/a/b");
        assert_eq!(climb("../c/d"), "/a/c/d");
        assert_eq!(climb("./x/../y"), "/a/b/x/../y");
        assert_eq!(climb("../../../c"), "/../c");
        assert_eq!(climb("/data"), "/data");
    }

    #[test]
    fn paths_are_found_at_and_below_a_key() {
        let folder = Path::new("/here");
        let mut table: Value = toml::from_str("root = '../x'\ntext = 'y'").unwrap();
        anchor("data", &mut table, folder);
        assert_eq!(table.to_string(), "{ root = \"/x\", text = \"y\" }");
        let mut file = Value::String("cc.{language}.bin".into());
        anchor("words.vectors", &mut file, folder);
        assert_eq!(file.as_str(), Some("/here/cc.{language}.bin"));
        anchor("data.text", &mut file, Path::new("/there"));
        assert_eq!(file.as_str(), Some("/here/cc.{language}.bin"));
    }
}
