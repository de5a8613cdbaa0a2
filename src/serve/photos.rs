//! The files of pictures, below one folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::answer::Refusal;
use crate::report::media_type;
use crate::{Error, Result};

/// What an id may lack, of the kinds that browsers show.
const ENDINGS: [&str; 8] = ["jpg", "png", "jpeg", "webp", "gif", "JPG", "PNG", "JPEG"];
/// Bytes of the largest file that is given.
const LARGEST: u64 = 64 << 20;

/// A folder of pictures whose names are ids, or ids with an ending.
#[derive(Debug)]
pub struct Photos {
    /// Without links.
    root: PathBuf,
}

/// A picture's file.
#[derive(Debug)]
pub struct Photo {
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Photos {
    /// # Errors
    /// Data, where it is no folder.
    pub fn open(folder: &Path) -> Result<Photos> {
        let root = folder.canonicalize().map_err(|e| Error::reading(folder, e))?;
        match root.is_dir() {
            true => Ok(Photos { root }),
            false => {
                Err(Error::data("is no folder").at(folder).hint("name the folder that holds the pictures"))
            }
        }
    }

    /// The file of a picture by its id, which never is outside the folder, whatever the id says and wherever links lead.
    pub fn file(&self, id: &str) -> Option<PathBuf> {
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(id).components().all(plain) {
            return None;
        }
        let given = std::iter::once(id.to_string());
        given.chain(ENDINGS.iter().map(|ending| format!("{id}.{ending}"))).find_map(|name| {
            let file = self.root.join(name).canonicalize().ok()?;
            (file.starts_with(&self.root) && file.is_file()).then_some(file)
        })
    }

    /// What tells a file from its earlier and later contents, for caches.
    pub fn tag(file: &Path) -> Option<String> {
        let about = fs::metadata(file).ok()?;
        let changed = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let name = crc32fast::hash(file.as_os_str().as_encoded_bytes());
        Some(format!("\"{name:x}-{changed:x}-{:x}\"", about.len()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is no picture that a browser shows, is too large, or cannot be read.
    pub fn read(file: &Path) -> Result<Photo, Refusal> {
        let unread = || Refusal::missing("the picture's file cannot be read");
        let mut bytes = Vec::new();
        let open = File::open(file).map_err(|_| unread())?;
        open.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|_| unread())?;
        if bytes.len() as u64 > LARGEST {
            return Err(Refusal::missing(format!("the picture's file is larger than {} MiB", LARGEST >> 20)));
        }
        let kind = media_type(&bytes)
            .ok_or_else(|| Refusal::missing("the picture's file is no JPEG, PNG, WebP or GIF"))?;
        Ok(Photo { media_type: kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_ids_with_and_without_ending_and_never_outside() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("photos"), place.path().join("secret.png"));
        fs::create_dir_all(root.join("a")).unwrap();
        for file in [&outside, &root.join("a/1.png"), &root.join("2.JPG"), &root.join("v1.5.webp")] {
            fs::write(file, b"\x89PNG\r\n\x1a\n").unwrap();
        }
        let photos = Photos::open(&root).unwrap();
        let found = |id: &str| {
            let name =
                |file: PathBuf| file.strip_prefix(&photos.root).unwrap().to_str().unwrap().replace('\\', "/");
            photos.file(id).map(name)
        };
        assert_eq!(found("a/1").as_deref(), Some("a/1.png"));
        assert_eq!(found("a/1.png").as_deref(), Some("a/1.png"));
        assert_eq!(found("./2").as_deref(), Some("2.JPG"));
        assert_eq!(found("v1.5").as_deref(), Some("v1.5.webp"));
        let absolute = outside.to_str().unwrap();
        for id in ["../secret", "../secret.png", "a/../../secret.png", absolute, "a", "", "none", "a\0b"] {
            assert_eq!(found(id), None, "{id}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, root.join("link.png")).unwrap();
            std::os::unix::fs::symlink(place.path(), root.join("up")).unwrap();
            std::os::unix::fs::symlink(root.join("2.JPG"), root.join("within.jpg")).unwrap();
            assert_eq!((found("link"), found("up/secret.png")), (None, None));
            assert_eq!(found("within").as_deref(), Some("2.JPG"));
        }
        assert!(Photos::open(&outside).unwrap_err().to_string().contains("is no folder"));
        assert!(Photos::open(&root.join("none")).is_err());
    }

    #[test]
    fn only_pictures_are_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("1.png");
        fs::write(&file, b"\x89PNG\r\n\x1a\n").unwrap();
        assert_eq!(Photos::read(&file).unwrap().media_type, "image/png");
        let tag = Photos::tag(&file).unwrap();
        fs::write(&file, b"<svg onload=alert(1)>").unwrap();
        assert_ne!(Photos::tag(&file).unwrap(), tag);
        assert_eq!(Photos::read(&file).unwrap_err().status(), 404);
    }
}
