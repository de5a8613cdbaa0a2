//! Locks between processes, also of several machines with a shared disk: the system's lock on a file, which ends with its
//! holder however that ends, and in the file who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A lock that is held until this is dropped; its file is there as long.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Who holds a lock, as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of its machine.
    pub host: String,
    /// Process id on that machine.
    pub process: u32,
    /// Its command line.
    pub command: String,
    /// Seconds since 1970.
    pub since: u64,
}

/// Looks at a file that is removed meanwhile, time after time; disks that tell files apart badly need an end.
const TRIES: usize = 100;
/// Time between two tries of one who waits.
const PAUSE: Duration = Duration::from_millis(50);

impl Lock {
    /// Takes a lock; nothing where another one holds it.
    ///
    /// # Errors
    /// Run, where the file cannot be made or written.
    pub fn try_take(path: &Path) -> Result<Option<Lock>> {
        let failed = |e: io::Error| Error::writing(path, e);
        for again in (0..TRIES).rev() {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = open.map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                // A disk without locks: what the file says must do.
                Err(TryLockError::Error(_)) if Holder::of(path).is_some_and(|holder| holder.may_live()) => {
                    return Ok(None);
                }
                Err(TryLockError::Error(_)) => {}
            }
            if again > 0 && !is_at(&file, path) {
                // The one before has removed it meanwhile.
                continue;
            }
            let lock = Lock { path: path.to_path_buf(), file };
            lock.say(&Holder::this()).map_err(failed)?;
            return Ok(Some(lock));
        }
        Ok(None)
    }

    /// Takes a lock, or says who holds it. `what` is what the lock guards.
    ///
    /// # Errors
    /// Run, naming the holder; run, where the file cannot be made or written.
    pub fn take(path: &Path, what: &Path) -> Result<Lock> {
        let mut taken = Lock::try_take(path)?;
        if taken.is_none() {
            // One that clears what was left holds it for a moment.
            std::thread::sleep(PAUSE);
            taken = Lock::try_take(path)?;
        }
        match taken {
            Some(lock) => Ok(lock),
            None => {
                let holder = Holder::of(path).map_or("another process".into(), |holder| holder.to_string());
                Err(Error::run(format!("is being written by {holder}")).at(what).hint(format!(
                    "wait for it, or stop it; should it have ended, on a disk without locks, remove `{}`",
                    path.display()
                )))
            }
        }
    }

    /// Takes a lock when it is free.
    ///
    /// # Errors
    /// Run, where the file cannot be made or written.
    pub fn wait(path: &Path) -> Result<Lock> {
        loop {
            match Lock::try_take(path)? {
                Some(lock) => return Ok(lock),
                None => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Removes the file of a lock whose holder was killed, for commands that need no lock. One that is held stays, and so do all on
    /// a disk without locks.
    pub fn clear_left(path: &Path) {
        let Ok(file) = File::open(path) else { return };
        if file.try_lock().is_ok() {
            // Removed while it is held, as a lock that is dropped.
            drop(Lock { path: path.to_path_buf(), file });
        }
    }

    fn say(&self, holder: &Holder) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(serde_json::to_string(holder).expect("plain data").as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held: another one who has it open sees that it is not this file any more.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

impl Holder {
    fn this() -> Holder {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let words = std::env::args().collect::<Vec<_>>();
        Holder { host: host(), process: std::process::id(), command: words.join(" "), since }
    }

    /// What a lock's file says.
    fn of(path: &Path) -> Option<Holder> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Whether it may still be there: another machine's processes cannot be seen from here.
    fn may_live(&self) -> bool {
        let processes = Path::new("/proc");
        self.host != host()
            || !processes.join("self").exists()
            || processes.join(self.process.to_string()).exists()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now = Holder::this().since;
        let (hours, seconds) = (now.saturating_sub(self.since) / 3600, now.saturating_sub(self.since) % 3600);
        let Holder { host, process, command, .. } = self;
        let minutes = seconds / 60;
        write!(
            f,
            "process {process} on `{host}`, since {hours} h {minutes} min {} s: `{command}`",
            seconds % 60
        )
    }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|key| std::env::var(key).ok()));
    name.map_or("unknown".into(), |name| name.trim().to_string())
}

/// Whether an open file is the one that stands at a path now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |of: fs::Metadata| (of.dev(), of.ino());
    let (open, there) = (file.metadata().map(place), fs::metadata(path).map(place));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_until_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let held = Lock::take(&path, folder.path()).unwrap();
        let message = Lock::take(&path, folder.path()).unwrap_err().to_string();
        let who =
            format!("is being written by process {} on `{}`, since 0 h 0 min ", std::process::id(), host());
        assert!(message.contains(&who), "{message}");
        assert!(message.contains(&std::env::args().next().unwrap()), "{message}");
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(!path.exists(), "nothing stays");
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn what_a_killed_process_left_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let dead = Holder { host: "elsewhere".into(), process: 1, command: "x".into(), since: 0 };
        for left in ["", "{", &serde_json::to_string(&dead).unwrap()] {
            fs::write(&path, left).unwrap();
            let lock = Lock::take(&path, folder.path()).unwrap();
            assert_eq!(Holder::of(&path).unwrap().process, std::process::id());
            drop(lock);
        }
    }

    #[test]
    fn a_lock_that_was_left_is_removed_and_one_that_is_held_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        Lock::clear_left(&path);
        fs::write(&path, "{").unwrap();
        Lock::clear_left(&path);
        assert!(!path.exists());
        let held = Lock::take(&path, folder.path()).unwrap();
        Lock::clear_left(&path);
        assert!(path.exists() && Lock::try_take(&path).unwrap().is_none());
        drop(held);
    }

    #[test]
    fn one_at_a_time_has_it_though_its_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, inside, taken) = (folder.path().join("lock"), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(lock) = Lock::try_take(&path).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
