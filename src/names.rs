//! Names from outside as parts of paths: what a file, a configuration or a command line calls something never leads out of
//! the folder that it belongs to.

use std::path::{Component, Path, PathBuf};

use crate::error::Kind;
use crate::{Error, Result};

/// Whether a text can be the code of a language: ASCII letters and digits, with `-` or `_` between them. Codes become parts of the
/// names of files and of parameters.
pub fn is_code(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    text.split(['-', '_']).all(plain)
}

/// The code of a language that was given in a place of some kind.
///
/// # Errors
/// Of that kind, for a text that is no code.
pub fn code(text: &str, kind: Kind) -> Result<&str> {
    match is_code(text) {
        true => Ok(text),
        false => Err(Error::new(kind, format!("`{text}` is no language code"))
            .hint("a language code is made of ASCII letters and digits, with `-` or `_` between them")),
    }
}

/// The file of a folder that is named for a language: `CODE.ENDING`.
///
/// # Errors
/// Data, for a text that is no code.
pub fn file(folder: &Path, language: &str, ending: &str) -> Result<PathBuf> {
    match code(language, Kind::Data) {
        Ok(code) => Ok(folder.join(format!("{code}.{ending}"))),
        Err(error) => Err(error.at(folder)),
    }
}

/// Whether a text, as a path, stays in the folder that it starts from: `a` and `a/b`, but not `../a`, `/a` or an empty one.
pub fn stays_inside(text: &str) -> bool {
    // A backslash divides names where the corpus may come from.
    let mut parts = Path::new(text).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_))) && !text.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: [&str; 8] = ["", ".", "..", "../de", "/etc/de", "a/../../de", "..\\de", "\\\\host\\de"];

    #[test]
    fn a_code_is_one_name_and_never_a_path() {
        for good in ["de", "deu_Latn", "zh-Hans", "x1"] {
            assert_eq!(
                file(Path::new("run"), good, "words").unwrap(),
                Path::new("run").join(format!("{good}.words"))
            );
        }
        for bad in OUTSIDE.iter().chain(&["a/b", "d e", "dé", "de.", "de\0", "C:de"]) {
            let error = file(Path::new("run"), bad, "words").unwrap_err();
            assert_eq!((error.exit_status(), is_code(bad)), (4, false), "{bad}");
            assert!(
                error.to_string().contains(&format!("`run`: `{bad}` is no language code\nhint: ")),
                "{error}"
            );
        }
        assert_eq!(code("../de", Kind::Usage).unwrap_err().exit_status(), 2);
    }

    #[test]
    fn what_leads_out_of_a_folder_is_seen() {
        assert!(["a", "a/b.png", "val2014/1", "a..b", "…"].iter().all(|text| stays_inside(text)));
        for bad in OUTSIDE {
            assert!(!stays_inside(bad), "{bad}");
        }
    }
}
