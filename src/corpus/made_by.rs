//! What made a file of features, as `embed-images` notes it beside them, in the file of the same name that ends in `.json`.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::PictureSource;
use crate::{Error, Result};

/// The picture tower and the preprocessing that made features. Those of two makers cannot be compared, whatever their width.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The architecture of the tower, e.g. `clip`.
    pub architecture: String,
    /// SHA-256 of its weights.
    pub weights_sha256: String,
    /// SHA-256 of how photographs become its pixels.
    pub preprocessing_sha256: String,
    /// Whether the vectors are of unit length.
    pub unit: bool,
}

/// How much of it there is.
#[derive(Deserialize)]
struct Extent {
    rows: usize,
    width: usize,
}

impl MadeBy {
    /// What is noted beside a file of features of this extent; nothing, where no such note is there: others may have made a file of its name.
    ///
    /// # Errors
    /// Data, where the note is of other features than these.
    pub(super) fn beside(features: &Path, rows: usize, width: usize) -> Result<Option<MadeBy>> {
        let file = features.with_extension("json");
        let noted = std::fs::read(&file).ok().and_then(|text| {
            let made: MadeBy = serde_json::from_slice(&text).ok()?;
            Some((made, serde_json::from_slice::<Extent>(&text).ok()?))
        });
        let Some((made, extent)) = noted else { return Ok(None) };
        match (extent.rows, extent.width) == (rows, width) {
            true => Ok(Some(made)),
            false => {
                let name = features.file_name().unwrap_or_default().to_string_lossy();
                let what = format!(
                    "speaks of {} rows of {} numbers, but `{name}` has {rows} of {width}",
                    extent.rows, extent.width
                );
                Err(Error::data(what)
                    .at(file)
                    .hint("make the features again, or remove this file if something else made them"))
            }
        }
    }
}

impl fmt::Display for MadeBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MadeBy { architecture, weights_sha256, preprocessing_sha256, unit } = self;
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let (weights, preprocessing) = (short(weights_sha256), short(preprocessing_sha256));
        let unit = if *unit { ", at unit length" } else { "" };
        write!(f, "a {architecture} (weights {weights}…, preprocessing {preprocessing}…{unit})")
    }
}

/// Refuses pictures that something else made than `expected`, which `of` tells; where one of the two is not known, nothing.
///
/// # Errors
/// Data, naming the file and both makers.
pub(crate) fn same_maker(pictures: &dyn PictureSource, expected: Option<&MadeBy>, of: &str) -> Result<()> {
    match (pictures.made_by(), expected) {
        (Some(made), Some(expected)) if made != expected => {
            Err(other_maker(pictures.place(0).0, made, of, expected))
        }
        _ => Ok(()),
    }
}

/// The error for features of two makers.
pub(super) fn other_maker(file: &Path, made: &MadeBy, of: &str, expected: &MadeBy) -> Error {
    Error::data(format!("holds features by {made}, but {of} by {expected}")).at(file).hint(
        "make both by `tinyglot embed-images` with one tower, one preprocessing and the same `--unit`; the `.json` beside a file of features says \
         what made it",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::corpus::{Features, write_npy};

    const NOTE: &str = r#"{"tinyglot": "0", "architecture": "clip", "weights_sha256": "aaaaaaaaaaaaaaaa", "preprocessing_sha256": "bb",
        "preprocessing": {}, "exif": true, "precision": "f32", "unit": false, "width": 2, "photographs": 3, "rows": 2, "left_out": 1}"#;

    #[test]
    fn files_of_one_maker_go_together_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in ["a.npy", "b.npy"] {
            write_npy(file(name), 2, 2, &[1.0, 2.0, 3.0, name.len() as f32]).unwrap();
        }
        let open = || Features::open(&[file("a.npy"), file("b.npy")]);
        let maker = || open().unwrap().made_by().map(|made| made.architecture.clone());
        assert_eq!(maker(), None);
        fs::write(file("b.json"), NOTE).unwrap();
        assert_eq!(maker().as_deref(), Some("clip"));
        fs::write(file("a.json"), NOTE.replace("f32", "bf16")).unwrap();
        assert_eq!(maker().as_deref(), Some("clip"), "precision makes no other features");
        for (from, to, said) in [
            ("aaaaaaaaaaaaaaaa", "cccccccccccccccc", "weights cccccccccccc…"),
            ("\"bb\"", "\"dd\"", "preprocessing dd…"),
            ("\"unit\": false", "\"unit\": true", ", at unit length)"),
            ("\"clip\"", "\"vit\"", "a vit ("),
        ] {
            fs::write(file("b.json"), NOTE.replace(from, to)).unwrap();
            let error = open().unwrap_err().to_string();
            assert!(error.contains("b.npy`: holds features by ") && error.contains(said), "{error}");
            assert!(
                error.contains("a.npy` are by a clip (weights aaaaaaaaaaaa…, preprocessing bb…)"),
                "{error}"
            );
        }
        fs::write(file("b.json"), NOTE.replace("\"rows\": 2", "\"rows\": 7")).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("b.json`: speaks of 7 rows of 2 numbers, but `b.npy` has 2 of 2"), "{error}");
        // What others have put there says nothing.
        for other in ["[]", "{\"rows\": 9}", "not JSON", &NOTE.replace("weights_sha256", "weights")] {
            fs::write(file("b.json"), other).unwrap();
            assert_eq!(maker().as_deref(), Some("clip"));
        }
    }
}
