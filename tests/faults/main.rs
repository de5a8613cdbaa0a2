//! What comes from outside goes wrong: kills and full disks at any file operation, concurrent starts, signals, and mutated
//! input. Whatever happens, the next command goes on or says what is wrong, and ends in the bits of an undisturbed run.
//!
//! A bounded sample of the faults runs always; `TINYGLOT_FAULTS=all` runs every one of them (minutes to hours).
//! `TINYGLOT_FAULTS_SEED` draws another sample.

#[path = "../shared/acquisition.rs"]
mod acquisition;
mod campaign;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod disk;
mod edits;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod files;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod follow;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod hostile;
mod inputs;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod kills;
mod memory;
mod mutate;
mod places;
#[path = "../shared/program.rs"]
mod program;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod requests;
mod runs;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "../shared/server.rs"]
mod server;
#[cfg(unix)]
mod signals;
mod starts;
mod tensors;

use program::{Ran, ended, printed, run, text, tinyglot};

#[global_allocator]
static ALLOCATOR: memory::Bounded = memory::Bounded;

/// Whether every fault is tried.
fn all() -> bool {
    std::env::var("TINYGLOT_FAULTS").is_ok_and(|value| value == "all")
}

/// Numbers from 0 that are tried of so many: all of them, or so many spread over them, at places that the seed draws.
fn sample(of: usize, some: usize) -> Vec<usize> {
    if all() || some >= of {
        return (0..of).collect();
    }
    let seed = std::env::var("TINYGLOT_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let place = |n: usize| {
        let (from, to) = (n * of / some, (n + 1) * of / some);
        from + tinyglot::seed::derive(seed, "fault", n as u64) as usize % (to - from)
    };
    (0..some).map(place).collect()
}
