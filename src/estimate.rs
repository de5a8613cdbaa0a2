//! What a training will need, before it is run: parameters, memory, time.

use std::fs;
use std::time::{Duration, Instant};

use crate::config::{Config, Precision};
use crate::corpus::Features;
use crate::ops::matmul::{Packed, View};

/// What is counted of a corpus, for all configurations of a family that read it alike.
pub trait Counts {
    /// What a training needs.
    fn estimate(&self, config: &Config) -> Estimate;
}

/// What a trial needs; what cannot be known is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Trained parameters, and those at test time: at most so many, as latent tokens that no word uses are dropped. Of a
    /// trial that is done, or differs from one in its seed alone, what they were.
    pub parameters: Option<(usize, usize)>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Wall time, where a trial that differs in its seed alone is done.
    pub seconds: Option<f64>,
    /// Steps of the main training; of a trial that is done, or differs from one in its seed alone, what they were.
    pub updates: Option<usize>,
    /// Multiply–adds of training and pretraining.
    pub products: Option<f64>,
}

/// The share of a large product's rate that whole trainings reach on a CPU (0.45 to 0.6 for LA, HEM and SMALR on quiet processors).
const SHARE: f64 = 0.5;

/// Multiply–adds a second that a large product reaches on a thread of this machine; takes a moment to measure.
pub fn rate(precision: Precision) -> f64 {
    // Short enough to run between two turns of other processes.
    let (rows, inner, columns) = (256, 512, 512);
    let (a, b) = (vec![0.5; rows * inner], vec![0.5; inner * columns]);
    let (packed, mut c) = (Packed::new(View::new(&b, inner, columns), precision), vec![0.0; rows * columns]);
    let run = || packed.multiply(View::new(&a, rows, inner), &mut c, columns, false);
    (rows * inner * columns) as f64 / fastest(Duration::from_millis(100), run)
}

/// The seconds of the fastest of many runs: what other processes take from this one is no part of the processor's rate.
fn fastest(within: Duration, mut run: impl FnMut()) -> f64 {
    let (clock, mut fastest) = (Instant::now(), f64::INFINITY);
    while fastest.is_infinite() || clock.elapsed() < within {
        let one = Instant::now();
        run();
        fastest = fastest.min(one.elapsed().as_secs_f64());
    }
    fastest
}

/// Seconds that a training of so many multiply–adds takes on so many threads that have a [`rate`].
pub fn seconds(products: f64, rate: f64, threads: usize) -> f64 {
    products / (rate * SHARE * threads.max(1) as f64)
}

/// Of memory that can be counted: so many times as much is reserved, for what cannot.
const MARGIN: f64 = 1.5;
/// A process that has done nothing.
pub const EMPTY: u64 = 50_000_000;

/// What a part of the memory goes to, and the key to lower for less of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The part, as messages name it.
    pub what: &'static str,
    /// A key of the configuration.
    pub key: &'static str,
    /// Its size in bytes.
    pub bytes: u128,
}

impl Share {
    /// A part of so many floats, 4 bytes each.
    pub fn floats(what: &'static str, key: &'static str, floats: u128) -> Share {
        Share { what, key, bytes: 4 * floats }
    }
}

/// What shares come to, with what cannot be counted.
pub fn total(shares: &[Share]) -> u64 {
    let counted: u128 = shares.iter().map(|share| share.bytes).sum();
    EMPTY.saturating_add((counted as f64 * MARGIN) as u64)
}

/// Bytes as text, in units of 10⁹: `1.5 GB`.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Bytes of the files of some features.
pub fn bytes(features: &Features) -> u64 {
    features.files().map(|file| fs::metadata(file).map_or(0, |m| m.len())).sum()
}

/// A number of `/proc/PROCESS/status` in bytes, where there is such a file: `VmRSS:`, the resident set, or `VmHWM:`, its largest size so far.
pub fn process_memory(process: &str, name: &str) -> Option<u64> {
    kibibytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, name)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The memory of this machine, or of the share of it that this process may use: all of it, and what is free; in bytes.
pub fn machine() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let (total, free) = (kibibytes(&text, "MemTotal:")?, kibibytes(&text, "MemAvailable:")?);
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max").or(number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    let limit = limit.unwrap_or(u64::MAX);
    Some((total.min(limit), free.min(limit.saturating_sub(used))))
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_rate_is_that_of_the_fastest_run() {
        let mut first = true;
        let run = || sleep(Duration::from_millis(if std::mem::take(&mut first) { 40 } else { 0 }));
        let took = fastest(Duration::from_millis(60), run);
        assert!(took < 0.04, "{took}");
        assert!(fastest(Duration::ZERO, || ()).is_finite(), "one run at least");
        assert_eq!(seconds(8e9, 2e9, 4), 2.0);
    }
}
