//! Photographs by the paths that a configuration gives them, which may lead into a tar.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Photograph, Place, is_packed_in, tar};
use crate::{Error, Result};

/// Reads files whose paths may lead into a tar: `photos.tar/7.jpg`. What a tar holds is looked up once.
#[derive(Debug, Default)]
pub struct Files {
    tars: HashMap<PathBuf, HashMap<OsString, Photograph>>,
}

impl Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Data, naming it: not to be read, or not in the tar.
    pub fn bytes(&mut self, path: &Path) -> Result<Vec<u8>> {
        let Some(archive) = path.ancestors().skip(1).find(|above| is_packed_in(above) && above.is_file())
        else {
            return Photograph::new(OsStr::new(""), Place::File(path.to_path_buf()))
                .bytes()
                .map_err(|e| e.at(path));
        };
        if !self.tars.contains_key(archive) {
            let all = tar(archive)?
                .all
                .into_iter()
                .map(|photograph| (OsString::from(&photograph.name), photograph));
            self.tars.insert(archive.to_path_buf(), all.collect());
        }
        let within = path.strip_prefix(archive).expect("an ancestor");
        let found = self.tars[archive].get(within.as_os_str());
        let photograph = found.ok_or_else(|| Error::data("is not in the tar").at(path))?;
        photograph.bytes().map_err(|e| e.at(path))
    }
}

/// `data.images` for photographs, a folder, a list of names or a tar, as [`super::Photographs::open`] takes them: the path of each, `{id}` standing for its
/// name. None, where the path cannot stand in a configuration.
pub fn template(source: &Path) -> Option<String> {
    let source = std::path::absolute(source).ok()?;
    let folder = match source.is_dir() || is_packed_in(&source) {
        true => source.as_path(),
        false => source.parent()?,
    };
    let folder = folder.to_str().filter(|folder| !folder.contains(['{', '}']))?;
    Some(format!("{}/{{id}}", folder.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_from_folders_and_tars() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("a")).unwrap();
        fs::write(place.path().join("a/7.jpg"), "seven").unwrap();
        let archive = place.path().join("all.tar");
        let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
        tar.append_path_with_name(place.path().join("a/7.jpg"), "within/7.jpg").unwrap();
        tar.finish().unwrap();
        let mut files = Files::default();
        for source in [place.path().join("a"), place.path().join("list.txt"), archive] {
            let template = template(&source).unwrap();
            let id = match source.extension().and_then(OsStr::to_str) {
                Some("tar") => "within/7.jpg",
                Some(_) => "a/7.jpg",
                None => "7.jpg",
            };
            let bytes = |files: &mut Files, id: &str| files.bytes(Path::new(&template.replace("{id}", id)));
            assert_eq!(bytes(&mut files, id).unwrap(), b"seven", "{template}");
            let error = bytes(&mut files, "8.jpg").unwrap_err().to_string();
            assert!(error.contains("/8.jpg`: "), "{error}");
        }
        assert_eq!(template(&place.path().join("a{b}/c")), None);
    }
}
