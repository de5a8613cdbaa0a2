//! Files mapped into memory, to be read only.
//!
//! A file that another process cuts short while it is mapped ends this process with SIGBUS: no way of mapping a file excludes
//! that. [`tell_of_cut_files`] has the command say which file it was, and end as for any input that cannot be used.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// A whole file, mapped.
#[derive(Debug)]
pub struct Map {
    map: Mmap,
    /// Ends before the map does.
    _listed: table::Listed,
}

impl Map {
    /// # Errors
    /// Kind `Data`, for a file that cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Map> {
        let file = File::open(path).map_err(|e| Error::reading(path, e))?;
        // SAFETY: the map is only read; files of input, checkpoints and vectors must stay as they are while they are used.
        // Who overwrites one in place gets wrong numbers; who cuts it short gets the message of this module.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::reading(path, e))?;
        let _listed = table::list(&map, path);
        Ok(Map { map, _listed })
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// From now on a mapped file that becomes shorter ends the process with a message and the exit status of wrong data, 4. Only
/// for commands: the process is ended from wherever it is.
pub fn tell_of_cut_files() {
    table::watch();
}

/// The maps there are, for a signal handler: it can take no lock and allocate nothing.
#[cfg(unix)]
mod table {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    /// More files than this at a time go without their name.
    const MOST: usize = 256;

    /// A map from `start` on; 0 where there is none.
    struct Entry {
        start: AtomicUsize,
        length: AtomicUsize,
        name: AtomicPtr<u8>,
        name_length: AtomicUsize,
    }

    impl Entry {
        const fn free() -> Entry {
            Entry {
                start: AtomicUsize::new(0),
                length: AtomicUsize::new(0),
                name: AtomicPtr::new(std::ptr::null_mut()),
                name_length: AtomicUsize::new(0),
            }
        }
    }

    static MAPS: [Entry; MOST] = [const { Entry::free() }; MOST];
    /// What was done on the signal before.
    static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

    /// Keeps the entry of a map, and the name in it.
    #[derive(Debug)]
    pub(super) struct Listed {
        place: Option<usize>,
        _name: Box<[u8]>,
    }

    pub(super) fn list(map: &[u8], path: &Path) -> Listed {
        let name: Box<[u8]> = path.as_os_str().as_bytes().into();
        // 1 is no address: the entry is taken, and not to be found yet.
        let take =
            |entry: &&Entry| entry.start.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let place = MAPS.iter().position(|entry| take(&entry));
        if let Some(entry) = place.map(|place| &MAPS[place]) {
            // SAFETY: it only asks. The end of the last page belongs to the map too.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as usize;
            entry.length.store(map.len().next_multiple_of(page), Ordering::SeqCst);
            entry.name.store(name.as_ptr().cast_mut(), Ordering::SeqCst);
            entry.name_length.store(name.len(), Ordering::SeqCst);
            entry.start.store(map.as_ptr() as usize, Ordering::SeqCst);
        }
        Listed { place, _name: name }
    }

    impl Drop for Listed {
        fn drop(&mut self) {
            if let Some(place) = self.place {
                MAPS[place].start.store(0, Ordering::SeqCst);
            }
        }
    }

    pub(super) fn watch() {
        // SAFETY: both are plain data of which all zeros are a value; the handler has the form that `SA_SIGINFO` asks for, and
        // keeps to what a signal handler may do.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before) != 0
                || BEFORE.set(before).is_err()
            {
                return;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = tell as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            // Where it is refused, the system's own message has to do.
            libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
        }
    }

    /// Says which mapped file has no byte at the address any more, and ends the process.
    extern "C" fn tell(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system passes a valid `info` for a signal that was asked for with `SA_SIGINFO`.
        let address = unsafe { (*info).si_addr() } as usize;
        let holds = |entry: &&Entry| {
            let start = entry.start.load(Ordering::SeqCst);
            let length = entry.length.load(Ordering::SeqCst);
            start > 1 && (start..start + length).contains(&address)
        };
        let Some(entry) = MAPS.iter().find(holds) else {
            // Nothing of ours: on return the same happens again, to whoever looked after it before.
            if let Some(before) = BEFORE.get() {
                // SAFETY: `before` is what this very call gave.
                unsafe { libc::sigaction(libc::SIGBUS, before, std::ptr::null_mut()) };
            }
            return;
        };
        let name = (entry.name.load(Ordering::SeqCst).cast_const(), entry.name_length.load(Ordering::SeqCst));
        let say = |(from, length): (*const u8, usize)| {
            // SAFETY: the bytes live as long as the entry; a message that cannot be written is lost.
            unsafe { libc::write(libc::STDERR_FILENO, from.cast(), length) };
        };
        let text = |text: &'static str| say((text.as_ptr(), text.len()));
        text("error: `");
        say(name);
        text(
            "`: became shorter while it was read, or its disk fails\nhint: write it again, and leave it as it is while it is \
             used; what was kept before is whole, and `--resume` goes on with a training\n",
        );
        // SAFETY: ends the process without running anything else of it.
        unsafe { libc::_exit(4) };
    }
}

#[cfg(not(unix))]
mod table {
    use std::path::Path;

    #[derive(Debug)]
    pub(super) struct Listed;

    pub(super) fn list(_: &[u8], _: &Path) -> Listed {
        Listed
    }

    pub(super) fn watch() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mapped_whole_and_their_places_are_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, b"some bytes").unwrap();
        // Far more than there are places, one after the other.
        for _ in 0..1000 {
            assert_eq!(&Map::open(&file).unwrap()[..4], b"some");
        }
        let all: Vec<Map> = (0..300).map(|_| Map::open(&file).unwrap()).collect();
        assert!(all.iter().all(|map| map.len() == 10));
        assert_eq!(Map::open(&folder.path().join("absent")).unwrap_err().exit_status(), 4);
    }
}
