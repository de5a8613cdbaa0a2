//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a file beside its place, syncs it and moves it there: what it replaces may be mapped, and stays whole if the disk
/// is full.
///
/// # Errors
/// Run, naming the file; nothing is left of it then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_with(path, |out| out.write_all(bytes))
}

/// As [`write_whole`], for what `write` writes piece by piece.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    // Two processes may write the same file.
    partial.push(format!(".{}.partial", std::process::id()));
    let replace = || {
        let mut out = BufWriter::new(File::create(&partial)?);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)
    };
    replace().map_err(|e| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&partial);
        Error::writing(path, e)
    })
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
}
