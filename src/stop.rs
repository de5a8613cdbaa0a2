//! Stopping before the end. Work that has something to save looks at a flag and stops at a good place; all else may be stopped at
//! any moment, since files are whole or not there.

use std::sync::atomic::{AtomicUsize, Ordering};

static SAVING: AtomicUsize = AtomicUsize::new(0);

/// While one of these is there, work looks at its flag, and has something to save when it stops.
#[derive(Debug)]
pub struct Saves(());

impl Saves {
    /// From now on there is something to save.
    pub fn begin() -> Saves {
        SAVING.fetch_add(1, Ordering::SeqCst);
        Saves(())
    }
}

impl Drop for Saves {
    fn drop(&mut self) {
        SAVING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether any work of this process would stop at a good place.
pub fn saves() -> bool {
    SAVING.load(Ordering::SeqCst) > 0
}
