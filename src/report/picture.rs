//! Pictures inside the page: files as data addresses.

use std::path::Path;

use data_encoding::BASE64;

use crate::{Error, Result};

/// A picture of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// As the data names it; shown where there is no file.
    pub id: String,
    /// The file's address with its content; without it the page shows the id.
    source: Option<String>,
}

/// Larger files would make the page slow to open.
const LARGEST: usize = 2 << 20;

impl Picture {
    /// A picture that is known by its id only.
    pub fn named(id: impl Into<String>) -> Picture {
        Picture { id: id.into(), source: None }
    }

    /// A PNG, JPEG, GIF or WebP file of at most 2 MiB, embedded as it is.
    ///
    /// # Errors
    /// Data, naming the file: not to be read, larger, or no such picture.
    pub fn read(id: impl Into<String>, path: &Path) -> Result<Picture> {
        let bytes = std::fs::read(path).map_err(|e| Error::reading(path, e))?;
        if bytes.len() > LARGEST {
            let what =
                format!("{} bytes are too many for a picture in a report, {LARGEST} at most", bytes.len());
            return Err(Error::data(what).at(path).hint("point `data.images` to smaller pictures"));
        }
        match media_type(&bytes) {
            Some(kind) => {
                let source = format!("data:{kind};base64,{}", BASE64.encode(&bytes));
                Ok(Picture { id: id.into(), source: Some(source) })
            }
            None => Err(Error::data("is not a PNG, JPEG, GIF or WebP picture")
                .at(path)
                .hint("point `data.images` to picture files")),
        }
    }

    /// The picture as a `data:` address; nothing, where it is known by its id only.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

/// What browsers show, by how its bytes begin.
pub(crate) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_embedded_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        let picture = Picture::read("1", &path).unwrap();
        assert_eq!(picture.source(), Some("data:image/png;base64,iVBORw0KGgo="));
        std::fs::write(&path, b"<script>").unwrap();
        let error = Picture::read("1", &path).unwrap_err().to_string();
        assert!(error.contains("1.png`: is not a PNG"), "{error}");
        std::fs::write(&path, vec![0x89; LARGEST + 1]).unwrap();
        assert!(Picture::read("1", &path).unwrap_err().to_string().contains("too many"));
        let missing = Picture::read("2", &folder.path().join("2.png")).unwrap_err().to_string();
        assert!(missing.contains("2.png`: cannot be read"), "{missing}");
    }
}
