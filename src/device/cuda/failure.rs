//! What a GPU can do wrong, and what the user is told.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// What no operation can mend: it unwinds to [`guarded`], which makes an error of it.
pub(crate) struct Failure {
    pub what: String,
    pub hint: &'static str,
}

pub(crate) const NO_GPU: &str = "`nvidia-smi` should list a GPU and a driver as new as the CUDA toolkit tinyglot was built with; without a \
                      GPU, build it without `--features cuda`";
const NO_MEMORY: &str = "take fewer pictures or captions a batch (`train.images`, `train.captions`), or lower \
                         `train.gpu_features`; `nvidia-smi` shows what else uses the GPU. The last checkpoint is whole, \
                         `--resume` goes on from it";
const BROKEN: &str =
    "the driver's log (`dmesg`) may say more. The last checkpoint is whole, `--resume` goes on from it";
/// How dfdx and the driver call a full memory.
const OUT_OF_MEMORY: &str = "CUDA_ERROR_OUT_OF_MEMORY";

pub(crate) fn must<T, E: Debug>(done: std::result::Result<T, E>) -> T {
    done.unwrap_or_else(|why| std::panic::panic_any(Failure::of(&format!("{why:?}"))))
}

impl Failure {
    fn of(why: &str) -> Failure {
        match why.contains(OUT_OF_MEMORY) {
            true => Failure { what: "the GPU's memory is full".into(), hint: NO_MEMORY },
            false => Failure { what: format!("the GPU failed: {why}"), hint: BROKEN },
        }
    }

    /// Of a panic, if the GPU is its reason. Dfdx itself panics with the driver's error.
    fn from_panic(payload: Box<dyn Any + Send>) -> std::result::Result<Failure, Box<dyn Any + Send>> {
        let payload = match payload.downcast::<Failure>() {
            Ok(failure) => return Ok(*failure),
            Err(other) => other,
        };
        match payload.downcast_ref::<String>().filter(|message| message.contains("CUDA_ERROR_")) {
            Some(message) => Ok(Failure::of(message)),
            None => Err(payload),
        }
    }
}

/// How the GPU has failed first within the present [`guarded`].
static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// [`crate::device::guarded`]
///
/// # Errors
/// Those of the command; run, where the GPU cannot be used or fails.
pub fn guarded<T>(command: impl FnOnce() -> Result<T>) -> Result<T> {
    let usual = std::panic::take_hook();
    *FAILED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().filter(|text| text.contains("CUDA_ERROR_"));
        let failure = panic.payload().downcast_ref::<Failure>();
        if failure.is_none() && text.is_none() {
            return usual(panic);
        }
        // A GPU that is broken refuses to free memory, too: that panic, on the way of the first one, would abort.
        let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*failed {
            eprintln!("error: {why}, and stays so\nhint: {BROKEN}");
            std::process::exit(1);
        }
        *failed = Some(match (failure, text) {
            (Some(failure), _) => failure.what.clone(),
            (None, text) => format!("the GPU failed: {}", text.map_or("", String::as_str)),
        });
    }));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(command));
    let _ = std::panic::take_hook();
    match done.map_err(Failure::from_panic) {
        Ok(done) => done,
        Err(Ok(failure)) => Err(Error::run(failure.what).hint(failure.hint)),
        Err(Err(other)) => std::panic::resume_unwind(other),
    }
}
