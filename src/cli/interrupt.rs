//! Ctrl-C and SIGTERM: a command that has something to save is asked to stop at a good place, and the second signal stops it at
//! once; any other command stops at once. Either way it ends with status 130.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::STOPPED;
use crate::{Error, Result, stop};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the user has asked to stop; the trainer looks after every step.
pub fn flag() -> &'static AtomicBool {
    &ASKED
}

/// From now on signals ask to stop. Once in a process.
///
/// # Errors
/// Run, where the system does not let signals be watched.
pub fn watch() -> Result<()> {
    let on_signal = || match asked() {
        true => say("stopping at the next good place; once more stops at once"),
        false => now(),
    };
    ctrlc::set_handler(on_signal).map_err(|e| Error::run("signals cannot be watched").because(e))
}

/// From now on the end of standard input is a signal too: a process that was started by another one stops when that one
/// asks, and also when it is killed.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // Whoever has asked already, a signal to all processes of a terminal, meant the same.
        if !stop::saves() {
            now();
        }
        ASKED.store(true, Ordering::SeqCst);
    });
}

/// Asks to stop; false, where nobody looks, or looked the first time.
fn asked() -> bool {
    !ASKED.swap(true, Ordering::SeqCst) && stop::saves()
}

fn now() -> ! {
    say("interrupted");
    std::process::exit(STOPPED.into());
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
