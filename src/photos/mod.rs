//! Photographs: a folder, a list of names or a tar, and their features by a picture tower.

mod alike;
mod embed;
mod featured;
mod files;
mod in_memory;
mod merge;
mod tower;
mod work;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checksum::sha256;
use crate::corpus::read_ids;
use crate::shard::Shard;
use crate::{Error, Result};

pub use alike::{Alike, alike};
pub use embed::{Options, Summary, Told, embed};
pub use featured::{featured, is_featured};
pub use files::{Files, template};
pub use in_memory::InMemory;
pub use merge::merge;
pub(crate) use tower::list_of_bad;
pub use tower::{EmbeddedPhoto, EmbeddingOptions, PhotoObserver, PictureTower};

/// Photographs in the order of their rows; none of them is open.
#[derive(Debug)]
pub struct Photographs {
    all: Vec<Photograph>,
    /// What was passed over while looking for them.
    pub notes: Vec<String>,
    /// Of which they are one part, if they are.
    whole: Option<Whole>,
}

/// Photographs that several machines go through, each its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    /// Which shard these are.
    shard: Shard,
    /// All photographs.
    photographs: usize,
    /// SHA-256 of the names of all.
    names_sha256: String,
}

/// What tells a file from its earlier and later contents, as far as that is known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub modified: u64,
}

#[derive(Debug)]
struct Photograph {
    /// As it is called in the file of ids.
    name: String,
    place: Place,
    /// Why its name cannot be an id.
    fault: Option<&'static str>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Entry { tar: PathBuf, offset: u64, size: u64 },
}

/// Endings of photographs, also of those that cannot be read: they are to be missed.
const ENDINGS: [&str; 14] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif",
];

/// Bytes of a file beyond which it is none.
const LARGEST: u64 = 1 << 30;

/// Bytes that a tar's entries are multiples of.
const BLOCK: u64 = 512;

fn is_photograph(name: &Path) -> bool {
    let ending = name.extension().and_then(OsStr::to_str);
    ending.is_some_and(|own| ENDINGS.iter().any(|ending| ending.eq_ignore_ascii_case(own)))
}

/// Whether a file is a tar, by its ending.
fn is_packed_in(source: &Path) -> bool {
    source.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tar"))
}

impl Photograph {
    fn new(name: &OsStr, place: Place) -> Photograph {
        let text = name.to_string_lossy().replace('\\', if cfg!(windows) { "/" } else { "\\" });
        let fault = if name.to_str().is_none() {
            Some("its name is not UTF-8: rename it")
        } else if text.chars().any(char::is_control) {
            Some("its name holds a line feed or another control character: rename it")
        } else if text.trim() != text {
            Some("its name begins or ends with white space: rename it")
        } else {
            None
        };
        Photograph { name: text, place, fault }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        if let Some(fault) = self.fault {
            return Err(Error::data(fault));
        }
        let failed = |e: io::Error| Error::data("cannot be read").because(e);
        let large = || Error::data(format!("is larger than {} MiB", LARGEST >> 20));
        let mut bytes = Vec::new();
        match &self.place {
            Place::File(path) => {
                let about = fs::metadata(path).map_err(failed)?;
                if !about.is_file() {
                    return Err(Error::data("is no file"));
                }
                if about.len() > LARGEST {
                    return Err(large());
                }
                File::open(path)
                    .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
                    .map_err(failed)?;
            }
            &Place::Entry { size, .. } if size > LARGEST => return Err(large()),
            Place::Entry { tar, offset, size } => {
                let mut file = File::open(tar).map_err(failed)?;
                file.seek(SeekFrom::Start(*offset)).map_err(failed)?;
                file.take(*size).read_to_end(&mut bytes).map_err(failed)?;
                if (bytes.len() as u64) < *size {
                    return Err(Error::data("is cut short, as the tar is"));
                }
            }
        }
        Ok(bytes)
    }
}

impl Photographs {
    /// Those of a folder, also of folders within, sorted by name; those of a `.tar`, in its order; else those of a list, one name a line,
    /// which are looked for in `root` or beside the list.
    ///
    /// # Errors
    /// Data: nothing to be read, a list with a name twice, or no photograph at all.
    pub fn open(source: &Path, root: Option<&Path>) -> Result<Photographs> {
        let about = fs::metadata(source).map_err(|e| Error::reading(source, e))?;
        let name = source.file_name().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
        let photographs = if about.is_dir() {
            folder(source)?
        } else if is_packed_in(source) {
            tar(source)?
        } else if [".tar.gz", ".tgz", ".tar.zst", ".zip"].iter().any(|ending| name.ends_with(ending)) {
            return Err(Error::data("is packed").at(source).hint("unpack it to a folder, or to a `.tar`"));
        } else {
            list(source, root)?
        };
        match photographs.all.is_empty() {
            true => Err(Error::data("holds no photograph")
                .at(source)
                .hint(format!("photographs are files that end in {}", ENDINGS.join(", ")))),
            false => Ok(photographs),
        }
    }

    /// The given files, in their order, by their paths.
    pub fn of_files(files: Vec<PathBuf>) -> Photographs {
        let all =
            files.into_iter().map(|file| Photograph::new(&file.clone().into_os_string(), Place::File(file)));
        Photographs { all: all.collect(), notes: Vec::new(), whole: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The name of one, as the file of ids has it.
    pub fn name(&self, n: usize) -> &str {
        &self.all[n].name
    }

    /// Size and time of one's file, or of the tar that it is in: one with the same is taken for the same. None, where there is no such file.
    pub fn stamp(&self, n: usize) -> Option<Stamp> {
        let (file, size) = match &self.all[n].place {
            Place::File(file) => (file, None),
            Place::Entry { tar, size, .. } => (tar, Some(*size)),
        };
        let about = fs::metadata(file).ok()?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Stamp { bytes: size.unwrap_or(about.len()), modified: modified.as_nanos().try_into().ok()? })
    }

    /// Those whose names are told by `keep`, in their order.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Photographs {
        self.all.retain(|photograph| keep(&photograph.name));
        self
    }

    /// One shard of them, in their order; its features say of what it is a part.
    ///
    /// # Errors
    /// Usage, where there are more shards than photographs.
    pub fn shard(mut self, shard: Shard) -> Result<Photographs> {
        let (photographs, names_sha256) = (self.len(), self.names_sha256());
        if shard.place().1 > photographs {
            return Err(Error::usage(format!(
                "there are {photographs} photographs, too few for shard {shard}"
            ))
            .hint("divide them into fewer shards"));
        }
        self.all = self.all.drain(shard.rows(photographs)).collect();
        self.whole = Some(Whole { shard, photographs, names_sha256 });
        Ok(self)
    }

    /// SHA-256 of the names of all, a line feed after each.
    fn names_sha256(&self) -> String {
        let mut names = Sha256::new();
        self.all.iter().for_each(|photograph| names.update(format!("{}\n", photograph.name)));
        sha256(names)
    }

    /// The bytes of one.
    ///
    /// # Errors
    /// Data, without its name: it cannot be read, or its name cannot be an id.
    pub fn bytes(&self, n: usize) -> Result<Vec<u8>> {
        self.all[n].bytes()
    }
}

/// What was passed over, with an example.
fn passed_over(others: &[PathBuf]) -> Vec<String> {
    let note =
        |first: &PathBuf| format!("{} other files are passed over, e.g. `{}`", others.len(), first.display());
    others.first().map(note).into_iter().collect()
}

fn folder(root: &Path) -> Result<Photographs> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut folders = vec![PathBuf::new()];
    // Links may lead in a circle.
    let mut seen = HashSet::new();
    while let Some(within) = folders.pop() {
        let path = root.join(&within);
        let failed = |e| Error::reading(&path, e);
        if !seen.insert(path.canonicalize().map_err(failed)?) {
            continue;
        }
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = within.join(entry.map_err(failed)?.file_name());
            match root.join(&name).is_dir() {
                true => folders.push(name),
                false if is_photograph(&name) => found.push(name),
                false => others.push(name),
            }
        }
    }
    found.sort();
    others.sort();
    let all = found.iter().map(|name| Photograph::new(name.as_os_str(), Place::File(root.join(name))));
    Ok(Photographs { all: all.collect(), notes: passed_over(&others), whole: None })
}

fn list(file: &Path, root: Option<&Path>) -> Result<Photographs> {
    let root = root.unwrap_or_else(|| file.parent().unwrap_or(Path::new("")));
    let names = read_ids(file)?;
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().position(|name| !seen.insert(name)) {
        return Err(Error::data(format!("names `{}` a second time", names[twice]))
            .at(file)
            .line(twice + 1)
            .hint("name each photograph once"));
    }
    let all = names.iter().map(|name| Photograph::new(OsStr::new(name), Place::File(root.join(name))));
    Ok(Photographs { all: all.collect(), notes: Vec::new(), whole: None })
}

fn tar(path: &Path) -> Result<Photographs> {
    let failed = |e: io::Error| Error::data("is no whole tar").at(path).because(e);
    let file = File::open(path).map_err(|e| Error::reading(path, e))?;
    let length = file.metadata().map_err(failed)?.len();
    let (mut all, mut others, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut end = 0;
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        end = (entry.raw_file_position() + entry.size()).next_multiple_of(BLOCK);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(failed)?.into_owned();
        if !is_photograph(&name) {
            others.push(name);
            continue;
        }
        if !seen.insert(name.clone()) {
            let name = name.display();
            return Err(Error::data(format!("holds `{name}` twice")).at(path).hint("pack each once"));
        }
        let place =
            Place::Entry { tar: path.to_path_buf(), offset: entry.raw_file_position(), size: entry.size() };
        all.push(Photograph::new(name.as_os_str(), place));
    }
    // An empty block ends a tar.
    if length < end + BLOCK {
        return Err(Error::data("is cut short: a tar without its end")
            .at(path)
            .hint("copy or pack it again"));
    }
    Ok(Photographs { all, notes: passed_over(&others), whole: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(photographs: &Photographs) -> Vec<&str> {
        (0..photographs.len()).map(|n| photographs.name(n)).collect()
    }

    #[test]
    fn a_folder_is_searched_in_depth_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["z.JPG", "b/1.png", "b/c/2.webp", "a.txt", "b.gif"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let found = Photographs::open(folder.path(), None).unwrap();
        assert_eq!(names(&found), ["b/1.png", "b/c/2.webp", "b.gif", "z.JPG"]);
        assert_eq!(found.bytes(1).unwrap(), b"b/c/2.webp");
        assert_eq!(found.notes, ["1 other files are passed over, e.g. `a.txt`"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end_and_names_that_are_no_text_are_told() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"\xff.jpg")), b"").unwrap();
        fs::write(folder.path().join("two\nlines.jpg"), b"").unwrap();
        let found = Photographs::open(folder.path(), None).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.bytes(0).unwrap_err().to_string().contains("line feed"));
        assert!(found.bytes(1).unwrap_err().to_string().contains("not UTF-8"));
    }

    #[test]
    fn files_are_taken_in_their_order_by_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("2.jpg"), b"two").unwrap();
        let given = Photographs::of_files(vec![file("2.jpg"), file("1.jpg"), file("2.jpg")]);
        assert_eq!((given.len(), given.name(2)), (3, file("2.jpg").to_str().unwrap()));
        assert_eq!(given.bytes(2).unwrap(), b"two");
        assert!(given.bytes(1).unwrap_err().to_string().starts_with("cannot be read: "));
    }

    #[test]
    fn a_list_keeps_its_order_and_names_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("names.txt");
        fs::write(&list, "2.jpg\n1.jpg\n").unwrap();
        fs::write(folder.path().join("1.jpg"), b"one").unwrap();
        let found = Photographs::open(&list, None).unwrap();
        assert_eq!(names(&found), ["2.jpg", "1.jpg"]);
        assert_eq!(found.bytes(1).unwrap(), b"one");
        assert!(found.bytes(0).unwrap_err().to_string().starts_with("cannot be read: "));
        let elsewhere = Photographs::open(&list, Some(Path::new("/nowhere"))).unwrap();
        assert!(elsewhere.bytes(1).is_err());
        fs::write(&list, "a.jpg\nb.jpg\na.jpg\n").unwrap();
        let text = Photographs::open(&list, None).unwrap_err().to_string();
        assert!(text.contains("names.txt`:3: names `a.jpg` a second time"), "{text}");
    }

    #[test]
    fn a_tar_is_read_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        for (name, bytes) in [("k/7.jpg", &b"seven"[..]), ("k/7.txt", b"text"), ("k/3.png", b"three")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        builder.finish().unwrap();
        let found = Photographs::open(&path, None).unwrap();
        assert_eq!(names(&found), ["k/7.jpg", "k/3.png"]);
        assert_eq!(found.bytes(1).unwrap(), b"three");
        let whole = fs::read(&path).unwrap();
        for length in [300, 515, 700, 1024, 3 * 1024] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(Photographs::open(&path, None).is_err(), "{length} bytes");
        }
        let packed = folder.path().join("shard.tar.gz");
        fs::write(&packed, b"").unwrap();
        assert!(
            Photographs::open(&packed, None).unwrap_err().to_string().contains("is packed\nhint: unpack")
        );
    }
}
