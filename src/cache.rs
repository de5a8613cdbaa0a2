//! Results kept by the content they follow from, for other runs to take.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::lock::Lock;
use crate::write::{clear_partial, write_whole};
use crate::{Error, Result, checksum};

/// A folder of results, each in a file that is named for what it was computed from.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// How a kind of result is made, and kept in a file.
pub struct Entry<'a, T> {
    /// Name of the file: what the result is, and a [`Content`] of all it follows from.
    pub name: String,
    /// Computes the result.
    pub make: &'a dyn Fn() -> Result<T>,
    /// Writes the result to a file.
    pub save: &'a dyn Fn(&T, &Path) -> Result<()>,
    /// Reads the result from its file.
    pub open: &'a dyn Fn(&Path) -> Result<T>,
}

impl Cache {
    /// Results in this folder, which is made with the first of them.
    pub fn new(folder: &Path) -> Self {
        Cache { folder: folder.to_path_buf() }
    }

    /// The result from its file, or made and kept there. Where another process is making it, this one waits for that.
    ///
    /// # Errors
    /// Those of `entry`; data, for a kept file that is not as it was written; run, where the folder cannot be written.
    pub fn get<T>(&self, entry: &Entry<T>) -> Result<T> {
        Ok(self.take(entry, true)?.expect("a result after waiting"))
    }

    /// As [`Cache::get`], but gives nothing where another process is making the result.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub fn get_unless_busy<T>(&self, entry: &Entry<T>) -> Result<Option<T>> {
        self.take(entry, false)
    }

    fn take<T>(&self, entry: &Entry<T>, wait: bool) -> Result<Option<T>> {
        let path = self.folder.join(&entry.name);
        let sum = sum_of(&path);
        let open = || {
            let checked = match fs::read_to_string(&sum) {
                Ok(written) => checksum::check_file(&path, written.trim()),
                // Earlier programs wrote none.
                Err(_) => Ok(()),
            };
            let opened = checked.and_then(|()| (entry.open)(&path));
            opened.map(Some).map_err(|e| e.hint(format!("remove `{}` and run again", path.display())))
        };
        let beside = self.folder.join(format!("{}.lock", entry.name));
        if path.exists() {
            // A maker that was killed once its result stood left its lock.
            Lock::clear_left(&beside);
            return open();
        }
        fs::create_dir_all(&self.folder).map_err(|e| Error::writing(&self.folder, e))?;
        let _alone = match (wait, Lock::try_take(&beside)?) {
            (_, Some(lock)) => lock,
            (true, None) => Lock::wait(&beside)?,
            (false, None) => return Ok(None),
        };
        if path.exists() {
            return open();
        }
        clear_partial(&self.folder)?;
        // The result comes to its place with its checksum beside it, or not at all.
        let staged = next_to(&path, "staged");
        (entry.save)(&(entry.make)()?, &staged)?;
        write_whole(&sum, checksum::of_file(&staged)?.as_bytes())?;
        fs::rename(&staged, &path).map_err(|e| Error::writing(&path, e))?;
        open()
    }
}

/// The file beside a result that holds its checksum.
pub fn sum_of(path: &Path) -> PathBuf {
    next_to(path, "crc32")
}

fn next_to(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{ending}"));
    PathBuf::from(beside)
}

/// A name for content: 128 bits of its SHA-256.
#[derive(Default)]
pub struct Content(Sha256);

impl Content {
    /// The content of some settings, for [`Content::and`] to add to.
    pub fn new(settings: &str) -> Self {
        Content::default().and(settings.as_bytes())
    }

    /// Adds bytes, told apart from those before and after.
    pub fn and(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// 32 hexadecimal digits.
    pub fn name(self) -> String {
        crate::checksum::sha256_name(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn get(cache: &Cache, name: &str, made: &AtomicUsize) -> Result<Option<String>> {
        cache.get_unless_busy(&Entry {
            name: name.into(),
            make: &|| {
                made.fetch_add(1, Ordering::SeqCst);
                Ok("result".to_string())
            },
            save: &|text, path| crate::write::write_whole(path, text.as_bytes()),
            open: &|path| fs::read_to_string(path).map_err(|e| Error::reading(path, e)),
        })
    }

    #[test]
    fn a_result_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, made) = (Cache::new(&folder.path().join("cache")), AtomicUsize::new(0));
        for _ in 0..3 {
            assert_eq!(get(&cache, "a", &made).unwrap().as_deref(), Some("result"));
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
        let names: Vec<_> =
            fs::read_dir(folder.path().join("cache")).unwrap().map(|f| f.unwrap().file_name()).collect();
        let mut names = names;
        names.sort();
        assert_eq!(names, ["a", "a.crc32"], "no lock stays");
    }

    #[test]
    fn the_lock_of_a_killed_maker_goes_with_the_next_reader() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, made) = (Cache::new(folder.path()), AtomicUsize::new(0));
        get(&cache, "a", &made).unwrap();
        fs::write(folder.path().join("a.lock"), "").unwrap();
        assert_eq!(get(&cache, "a", &made).unwrap().as_deref(), Some("result"));
        assert!(!folder.path().join("a.lock").exists());
        let held = Lock::try_take(&folder.path().join("a.lock")).unwrap();
        assert_eq!(get(&cache, "a", &made).unwrap().as_deref(), Some("result"));
        assert!(folder.path().join("a.lock").exists(), "another process holds it");
        drop(held);
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn those_who_come_together_make_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, made) = (Cache::new(folder.path()), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let slow = Entry {
                        name: "a".into(),
                        make: &|| {
                            std::thread::sleep(std::time::Duration::from_millis(50));
                            made.fetch_add(1, Ordering::SeqCst);
                            Ok("result".to_string())
                        },
                        save: &|text: &String, path: &Path| crate::write::write_whole(path, text.as_bytes()),
                        open: &|path: &Path| fs::read_to_string(path).map_err(|e| Error::reading(path, e)),
                    };
                    assert_eq!(cache.get(&slow).unwrap(), "result");
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_does_not_wait_is_told_that_it_is_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, made) = (Cache::new(folder.path()), AtomicUsize::new(0));
        let lock = Lock::try_take(&folder.path().join("a.lock")).unwrap();
        assert_eq!(get(&cache, "a", &made).unwrap(), None);
        drop(lock);
        assert_eq!(get(&cache, "a", &made).unwrap().as_deref(), Some("result"));
    }

    #[test]
    fn a_damaged_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"\xff").unwrap();
        let error = get(&Cache::new(folder.path()), "a", &AtomicUsize::new(0)).unwrap_err().to_string();
        assert!(error.contains("hint: remove `") && error.contains("/a`"), "{error}");
    }

    #[test]
    fn a_result_with_a_flipped_bit_is_refused_and_one_that_was_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, made) = (Cache::new(folder.path()), AtomicUsize::new(0));
        get(&cache, "a", &made).unwrap();
        fs::write(folder.path().join("a"), b"resulT").unwrap();
        let error = get(&cache, "a", &made).unwrap_err().to_string();
        assert!(
            error.contains("/a`: is not as it was written") && error.contains("hint: remove `"),
            "{error}"
        );
        fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(get(&cache, "a", &made).unwrap().as_deref(), Some("result"));
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn content_has_bounds() {
        let name = |parts: &[&str]| {
            parts.iter().fold(Content::new("s"), |content, part| content.and(part.as_bytes())).name()
        };
        assert_eq!(name(&["ab", "c"]).len(), 32);
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
        assert_eq!(name(&["ab"]), name(&["ab"]));
    }
}
