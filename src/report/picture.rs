//! Pictures inside the page: small ones as they are, others as thumbnails, as data addresses. Each distinct one stands in the page once, as a symbol that is used
//! wherever it is shown.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use maud::{Markup, html};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::pixels::{Decoding, decode, thumbnail};

/// A picture of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// As the data names it; shown where there is no file.
    pub id: String,
    /// The file's address with its content; without it the page shows the id.
    source: Option<String>,
}

/// Bytes up to which a file is embedded as it is.
const SMALL: usize = 16 << 10;
/// Pixels of the longer side of a thumbnail: twice what the page shows, for fine screens.
const SIDE: usize = 288;
/// Bytes beyond which a thumbnail is made coarser: hardly any photograph's.
const COARSER: usize = 64 << 10;

impl Picture {
    /// A picture that is known by its id only.
    pub fn named(id: impl Into<String>) -> Picture {
        Picture { id: id.into(), source: None }
    }

    /// The picture in the bytes of a file: a PNG, JPEG, GIF or WebP of at most 16 KiB as it is, all else that [`decode`] reads as a JPEG of at most
    /// 288 pixels a side, upright as EXIF says.
    ///
    /// # Errors
    /// Data, without the name of the file: no picture, or one that cannot be read.
    pub fn new(id: impl Into<String>, bytes: &[u8]) -> Result<Picture> {
        let source = match media_type(bytes) {
            Some(kind) if bytes.len() <= SMALL => address(kind, bytes),
            _ => {
                let decoded = decode(bytes, &Decoding::default())
                    .map_err(|e| e.hint("point `data.images` to picture files"))?;
                address("image/jpeg", &thumbnail(&decoded.picture, SIDE, COARSER)?)
            }
        };
        Ok(Picture { id: id.into(), source: Some(source) })
    }

    /// What the page calls its symbol, by its content; nothing, where it is known by its id only.
    fn symbol(&self) -> Option<String> {
        let hash = Sha256::digest(self.source.as_ref()?.as_bytes());
        Some(format!("p{}", HEXLOWER.encode(&hash[..8])))
    }

    /// The picture as a `data:` address; nothing, where it is known by its id only.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

/// The picture, or its id.
pub(super) fn shown(picture: &Picture) -> Markup {
    html! {
        @match picture.symbol() {
            Some(symbol) => svg.photo viewBox="0 0 1 1" role="img" aria-label={ "Picture " (picture.id) } {
                title { (picture.id) }
                use href={ "#" (symbol) } {}
            },
            None => div.unseen { bdi { (picture.id) } },
        }
    }
}

/// The symbols of all pictures that a page [shows](shown), each once.
pub(super) fn symbols<'a>(pictures: impl Iterator<Item = &'a Picture>) -> Markup {
    let of = |picture: &'a Picture| Some((picture.symbol()?, picture.source()?));
    let distinct: BTreeMap<String, &str> = pictures.filter_map(of).collect();
    html! {
        @if !distinct.is_empty() {
            // Not `display: none`: some browsers then do not draw what is used.
            svg.symbols width="0" height="0" aria-hidden="true" {
                @for (symbol, source) in distinct {
                    symbol id=(symbol) viewBox="0 0 1 1" { image href=(source) width="1" height="1" {} }
                }
            }
        }
    }
}

fn address(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64.encode(bytes))
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
    use crate::pixels::Rgb;

    /// The picture back from the page.
    fn shown(picture: &Picture) -> Rgb {
        let bytes =
            picture.source().and_then(|source| source.strip_prefix("data:image/jpeg;base64,")).unwrap();
        let bytes = BASE64.decode(bytes.as_bytes()).unwrap();
        decode(&bytes, &Decoding::default()).unwrap().picture
    }

    #[test]
    fn small_files_are_embedded_as_they_are() {
        let picture = Picture::new("1", b"\x89PNG\r\n\x1a\n").unwrap();
        assert_eq!(picture.source(), Some("data:image/png;base64,iVBORw0KGgo="));
        let error = Picture::new("1", b"<script>").unwrap_err().to_string();
        assert!(error.contains("is no picture that is known\nhint: point `data.images`"), "{error}");
    }

    #[test]
    fn others_become_thumbnails_with_their_colours_and_proportions() {
        let (width, height) = (1000, 400);
        // Red to the left, blue to the right.
        let pixel = |n: usize| if n % width < width / 2 { [200, 30, 20] } else { [10, 40, 220] };
        let data: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        // BMP, which no page shows, from the bottom up and in blue, green and red.
        let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bytes.extend((width as u32).to_le_bytes());
        bytes.extend((height as u32).to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        bytes.extend(data.chunks_exact(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0]]));
        let picture = Picture::new("1", &bytes).unwrap();
        assert!(picture.source().unwrap().len() < SMALL);
        let small = shown(&picture);
        assert_eq!((small.width, small.height), (288, 116));
        let near = |x: usize, want: [u8; 3]| {
            let got = &small.row(58)[3 * x..][..3];
            assert!(got.iter().zip(want).all(|(&a, b)| a.abs_diff(b) < 6), "{got:?}, not {want:?}");
        };
        near(40, [200, 30, 20]);
        near(250, [10, 40, 220]);
    }
}
