//! Files that are whole or not there.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::{Error, Result};

/// The ending of what is being written.
const PARTIAL: &str = "partial";

/// Writes a file beside its place, syncs it and moves it there: what it replaces may be mapped, and stays whole if the disk
/// is full.
///
/// # Errors
/// Run, naming the file; nothing is left of it then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_with(path, |out| out.write_all(bytes))
}

/// As [`write_whole`], for what `write` writes piece by piece.
///
/// # Errors
/// As [`write_whole`]; as `write` says.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let (partial, file) = beside(path).map_err(|e| Error::writing(path, e))?;
    let replace = || {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(path.parent().unwrap_or(Path::new("")))
    };
    replace().map_err(|e| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&partial);
        Error::writing(path, e)
    })
}

/// Copies the files of a folder, but for what is within its folders, into one that is made where it is not there.
///
/// # Errors
/// Data, naming a file that cannot be read; run, naming one that cannot be written.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::writing(to, e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::reading(from, e))? {
        let file = entry.map_err(|e| Error::reading(from, e))?.path();
        let bytes = fs::read(&file).map_err(|e| Error::reading(&file, e))?;
        write_whole(&to.join(file.file_name().expect("a file of the folder")), &bytes)?;
    }
    Ok(())
}

/// A new file beside another one, of a name of its own: two processes may write the same file. It is locked while it is open, so
/// that one whose writer was killed is known from one that is being written.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{:08x}.{PARTIAL}", RandomState::new().build_hasher().finish() as u32));
        let partial = PathBuf::from(partial);
        let file = match OpenOptions::new().write(true).create_new(true).open(&partial) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Where there are no locks, nobody takes it for one that was left behind.
        let _ = file.lock();
        // Taken for one in the moment before.
        if partial.exists() {
            return Ok((partial, file));
        }
    }
}

/// Removes what killed processes have left half-written in a folder; what is being written stays.
///
/// # Errors
/// Run, where something cannot be removed.
pub fn clear_partial(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()) {
        let left = path.extension().is_some_and(|ending| ending == PARTIAL);
        let Some(file) = left.then(|| File::open(&path).ok()).flatten() else { continue };
        if file.try_lock().is_ok() {
            fs::remove_file(&path).map_err(|e| Error::writing(&path, e))?;
        }
    }
    Ok(())
}

/// As [`clear_partial`], of one file alone: in a folder of the user's other programs may have files of such names.
///
/// # Errors
/// Run, where something cannot be removed.
pub fn clear_partial_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for partial in entries.flatten().map(|entry| entry.path()) {
        let middle = partial.file_name().and_then(|own| own.to_str()).and_then(|own| own.strip_prefix(name));
        let middle = middle.and_then(|m| m.strip_prefix('.')?.strip_suffix(PARTIAL)?.strip_suffix('.'));
        let left = middle.is_some_and(|m| m.len() == 8 && m.bytes().all(|b| b.is_ascii_hexdigit()));
        if left && File::open(&partial).is_ok_and(|file| file.try_lock().is_ok()) {
            fs::remove_file(&partial).map_err(|e| Error::writing(&partial, e))?;
        }
    }
    Ok(())
}

/// A file of a name of its own that begins with `name`, in a folder for such, removed when it is dropped. Those of the name whose
/// makers were killed are removed before.
///
/// # Errors
/// As the system says.
pub fn temporary(folder: &Path, name: &str) -> io::Result<NamedTempFile> {
    let (prefix, ending) = (format!("{name}."), format!(".{PARTIAL}"));
    for entry in fs::read_dir(folder)?.flatten() {
        let named =
            entry.file_name().to_str().is_some_and(|n| n.starts_with(&prefix) && n.ends_with(&ending));
        if named && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // Others' files cannot be removed, and are left to them.
            let _ = fs::remove_file(entry.path());
        }
    }
    loop {
        let made = Builder::new().prefix(&prefix).suffix(&ending).tempfile_in(folder)?;
        // As in `beside`.
        let _ = made.as_file().lock();
        if made.path().exists() {
            return Ok(made);
        }
    }
}

/// Makes renamed and new entries of a folder last, where the system has folders to sync.
///
/// # Errors
/// As the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match cfg!(unix) {
        true => match File::open(folder)?.sync_all() {
            // Some disks have nothing to sync for a folder.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            done => done,
        },
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_whole(&path, b"old").unwrap();
        let full = |out: &mut BufWriter<File>| {
            out.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = write_whole_with(&path, full).unwrap_err().to_string();
        assert!(error.contains("/a`"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("full")).unwrap();
        let error = write_whole(&taken, b"new").unwrap_err();
        assert_eq!(error.exit_status(), 1);
        assert!(error.to_string().contains("taken`: cannot be written"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no half file stays");
        assert!(write_whole(&folder.path().join("missing/a"), b"").is_err());
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn of_one_file_only_its_own_halves_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for name in ["a.bin.0123abcd.partial", "a.bin.part.partial", "b.bin.0123abcd.partial", "a.bin"] {
            fs::write(folder.path().join(name), b"half").unwrap();
        }
        clear_partial_of(&path).unwrap();
        assert!(!folder.path().join("a.bin.0123abcd.partial").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_temporary_file_is_removed_when_it_is_dropped_or_its_maker_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        for name in ["text.0123ab.partial", "other.0123ab.partial", "text.own"] {
            fs::write(folder.path().join(name), b"left").unwrap();
        }
        let one = temporary(folder.path(), "text").unwrap();
        let other = temporary(folder.path(), "text").unwrap();
        assert!(one.path().exists() && other.path().exists());
        assert_eq!(names().len(), 4);
        drop((one, other));
        assert_eq!(names(), ["other.0123ab.partial", "text.own"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(folder.path().join("a.0123abcd.partial"), b"half").unwrap();
        write_whole_with(&path, |out| {
            clear_partial(folder.path()).unwrap();
            out.write_all(b"whole")
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        clear_partial(&folder.path().join("missing")).unwrap();
    }
}
