//! JSON files of a run: of a version, and with their own checksum.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{DAMAGED, VERSION};
use crate::write::write_whole;
use crate::{Error, Result, checksum};

/// What stands before the digits of the checksum, the last value of a file.
const BEFORE: &str = ",\n  \"checksum\": \"";
const AFTER: &str = "\"\n}";

/// What a run has taken differs between runs to the same bits, and so must not count: a damaged one misleads nobody.
const PASSED_OVER: &str = "  \"seconds\": ";

/// The checksum of an object as text, without its seconds.
fn checksum_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(PASSED_OVER)).collect();
    checksum::of(lines.join("\n").as_bytes())
}

/// Writes an object with its checksum: that of the text as it would be without.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(content).expect("plain data");
    let whole = match text.strip_suffix("\n}") {
        Some(open) => format!("{open}{BEFORE}{}{AFTER}\n", checksum_of(&text)),
        None => text + "\n",
    };
    write_whole(path, whole.as_bytes())
}

/// Reads an object; `what` says what it should be, `hint` what to do where it is not. Files of earlier programs have no
/// checksum.
///
/// # Errors
/// Data, naming the file and, where there is one, the line: not JSON, not such an object, not as it was written.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, what: &str, hint: &str) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|e| Error::reading(path, e).hint(hint))?;
    parse(&text, path, what, hint)
}

fn parse<T: DeserializeOwned>(text: &str, path: &Path, what: &str, hint: &str) -> Result<T> {
    let broken = |e: serde_json::Error| {
        Error::data(format!("not {what}")).at(path).line(e.line()).because(e).hint(hint)
    };
    let Some((before, digits)) = split(text) else { return serde_json::from_str(text).map_err(broken) };
    let content = format!("{before}\n}}");
    let parsed = serde_json::from_str(&content).map_err(broken)?;
    let found = checksum_of(&content);
    if found == digits { Ok(parsed) } else { Err(checksum::differs(&found, digits).at(path)) }
}

/// The text before the checksum, and its digits.
fn split(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.rsplit_once(BEFORE)?;
    Some((before, rest.trim_end().strip_suffix(AFTER)?))
}

/// As [`read`], for a file that says its version; another one is refused before all else.
pub(crate) fn read_versioned<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    read_versioned_or(path, what, ["use the program that wrote it, or train again", DAMAGED])
}

/// As [`read_versioned`]; with what to do about another version, and about a file that is no such object.
pub(crate) fn read_versioned_or<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    [remedy, hint]: [&str; 2],
) -> Result<T> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let text = fs::read_to_string(path).map_err(|e| Error::reading(path, e).hint(DAMAGED))?;
    // Other fields may be those of another version.
    let Head { version } = serde_json::from_str(&text)
        .map_err(|e| Error::data(format!("not {what}")).at(path).line(e.line()).because(e).hint(DAMAGED))?;
    if version != VERSION {
        let what = format!("{what} of version {version}; this program reads version {VERSION}");
        return Err(Error::data(what).at(path).hint(remedy));
    }
    parse(&text, path, what, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        version: u32,
        name: String,
        score: f64,
        seconds: f64,
    }

    #[test]
    fn what_is_written_reads_back_and_every_change_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let thing = Thing {
            version: VERSION,
            name: "狗\",\n  \"checksum\": \"".into(),
            score: 0.1 + 0.2,
            seconds: 0.0,
        };
        write(&path, &thing).unwrap();
        assert_eq!(read_versioned::<Thing>(&path, "a thing").unwrap(), thing);
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let seconds = text.find(PASSED_OVER).unwrap() + PASSED_OVER.len()..text.find(BEFORE).unwrap();
        for at in (0..bytes.len() - 1).filter(|at| !seconds.contains(at)) {
            for bit in [0, 2, 5, 7] {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                fs::write(&path, &changed).unwrap();
                let error = read_versioned::<Thing>(&path, "a thing").unwrap_err().to_string();
                assert!(error.starts_with(&format!("`{}`", path.display())), "{at}: {error}");
            }
        }
        fs::write(&path, text.replace("\"seconds\": 0.0", "\"seconds\": 7.5")).unwrap();
        let later = read_versioned::<Thing>(&path, "a thing").unwrap();
        assert_eq!(
            later.seconds, 7.5,
            "runs to the same bits have the same checksum, however long they took"
        );
        let edited = text.replace("0.3000", "0.4000");
        fs::write(&path, &edited).unwrap();
        let error = read::<Thing>(&path, "a thing", "again").unwrap_err().to_string();
        assert!(error.contains("is not as it was written: its checksum is"), "{error}");
        fs::write(&path, serde_json::to_string(&thing).unwrap()).unwrap();
        assert_eq!(read::<Thing>(&path, "a thing", "again").unwrap(), thing, "as earlier programs wrote it");
    }
}
