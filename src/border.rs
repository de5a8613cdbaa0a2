//! The border to crates that panic on input they did not foresee: their panics become errors, and say nothing by themselves.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::{Error, Result};

thread_local! {
    /// Whether a panic of this thread is caught and told as an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs another crate's code on input from outside; what it panics with is the error.
///
/// It must work on this thread alone, and what it changes must not be used after an error.
///
/// # Errors
/// What the work panicked with, as text.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                usual(panic);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.map_err(|payload| text(&*payload))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("it broke off").replace('\n', " ")
}

/// Ends a command from within work that cannot fail by its type, and hardly ever does; [`command`] gives the error back.
pub fn end(error: Error) -> ! {
    panic::resume_unwind(Box::new(error))
}

/// Runs a command; an error that [`end`] was called with, on any thread, is the command's.
///
/// # Errors
/// Those of the command, and these.
pub fn command<T>(command: impl FnOnce() -> Result<T>) -> Result<T> {
    match panic::catch_unwind(AssertUnwindSafe(command)) {
        Ok(done) => done,
        Err(payload) => match payload.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(other) => panic::resume_unwind(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(guarded(|| panic!("no {}", 1)).unwrap_err(), "no 1");
        assert_eq!(guarded(|| -> () { panic!("no") }).unwrap_err(), "no");
        assert!(guarded(|| [1][std::hint::black_box(1)]).unwrap_err().contains("index"));
        assert!(!GUARDED.get());
    }

    #[test]
    fn an_error_ends_a_command_from_any_thread() {
        let error = command(|| {
            [1, 2, 3, 4].par_iter().for_each(|&n| {
                if n == 3 {
                    end(Error::data("broken").at("a.json"));
                }
            });
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "`a.json`: broken");
        assert_eq!(command(|| Ok(1)).unwrap(), 1);
        assert!(
            panic::catch_unwind(|| command(|| -> Result<()> { panic::resume_unwind(Box::new(7)) })).is_err()
        );
    }
}
