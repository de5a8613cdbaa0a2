//! Ctrl-C and SIGTERM: the first asks the command to stop at a good place, the second stops it at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether the command looks at the flag.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// The exit status of a command stopped by Ctrl-C, as shells have it: 128 and the number of the signal.
const STOPPED: i32 = 130;

/// Whether the user has asked to stop; the trainer looks after every step.
pub fn flag() -> &'static AtomicBool {
    &ASKED
}

/// From now on the first signal sets the flag. Only for commands that look at it.
pub fn watch() -> Result<()> {
    let on_signal = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(STOPPED);
        }
        let _ = writeln!(std::io::stderr(), "stopping after this step; once more stops at once");
    };
    ctrlc::set_handler(on_signal).map_err(|e| Error::run("signals cannot be watched").because(e))?;
    WATCHED.store(true, Ordering::SeqCst);
    Ok(())
}

/// From now on the end of standard input is a signal too: a process that was started by another one stops when that one
/// asks, and also when it is killed. Where nobody looks at the flag, it stops at once.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        if !WATCHED.load(Ordering::SeqCst) {
            std::process::exit(STOPPED);
        }
        ASKED.store(true, Ordering::SeqCst);
    });
}
