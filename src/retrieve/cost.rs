//! What a model costs in use: how long a sentence takes, and how much memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Retriever;
use crate::config::Config;
use crate::corpus::{Corpus, SplitName, Wanted};
use crate::estimate::process_memory;
use crate::ops::scratch::give_back_freed_memory;
use crate::{Error, Result};

/// What a model costs in use. It is measured, so that it differs from one time to the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseCost {
    /// Sentences that were read, one at a time.
    pub sentences: usize,
    /// Microseconds from the text of one sentence to its vector, on one thread: the median of all readings.
    pub sentence_us: f64,
    /// Milliseconds from the folder to a model that reads sentences.
    pub open_ms: f64,
    /// Bytes by which opening the model and reading the sentences let the resident set of the process grow, pages of mapped files included; where
    /// `/proc` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

/// Captions of each language that are read.
const EACH: usize = 100;
/// Readings of each caption that count. One before them fills caches.
const ROUNDS: usize = 5;

/// Opens a model.
type Open<'a> = &'a (dyn Fn() -> Result<Box<dyn Retriever>> + Sync);

impl UseCost {
    /// Measures a model on captions of its validation split, by its configuration. The process has opened none before.
    ///
    /// # Errors
    /// Those of `open`; data, where captions cannot be read, or there is none.
    pub fn measure(config: &Config, open: Open) -> Result<UseCost> {
        let texts = captions(config)?;
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let alone = alone.map_err(|e| Error::run("a thread cannot be started").because(e))?;
        alone.install(|| measured(open, &texts))
    }
}

/// By language, captions of validation from all over the split.
fn captions(config: &Config) -> Result<Vec<(String, Vec<String>)>> {
    let corpus = Corpus::load_part(config.data(), config.base(), Wanted::only(SplitName::Val, None, false))
        .map_err(|e| e.hint("if the data have moved, `--set data.root=DIR` tells where to"))?;
    let some = |(language, captions): (&String, &Vec<crate::corpus::Caption>)| {
        let step = captions.len().div_ceil(EACH).max(1);
        (language.clone(), captions.iter().step_by(step).map(|c| c.text.clone()).collect())
    };
    let all: Vec<(String, Vec<String>)> =
        corpus.languages.iter().zip(&corpus.val.captions).map(some).collect();
    match all.iter().all(|(_, texts)| texts.is_empty()) {
        true => Err(Error::data("the validation split has no caption to measure with")
            .hint("give some in `data.captions`")),
        false => Ok(all),
    }
}

fn measured(open: Open, texts: &[(String, Vec<String>)]) -> Result<UseCost> {
    give_back_freed_memory();
    let (before, clock) = (resident(), Instant::now());
    let run = open()?;
    let opened = clock.elapsed();
    let (mut times, mut sentences) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        for (language, texts) in texts {
            let language = run.language(language)?;
            for text in texts {
                let clock = Instant::now();
                black_box(run.sentences(language, &[text]));
                match round {
                    0 => sentences += 1,
                    _ => times.push(clock.elapsed()),
                }
            }
        }
    }
    let resident_bytes = before.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    Ok(UseCost {
        sentences,
        sentence_us: 1e6 * median(&mut times).as_secs_f64(),
        open_ms: 1e3 * opened.as_secs_f64(),
        resident_bytes,
    })
}

fn resident() -> Option<u64> {
    process_memory("self", "VmRSS:")
}

/// The middle one, the upper of two; some time there is.
fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |ms: &[u64]| {
            let mut times: Vec<Duration> = ms.iter().map(|&ms| Duration::from_millis(ms)).collect();
            median(&mut times).as_millis()
        };
        assert_eq!([of(&[7]), of(&[900, 1, 2]), of(&[5, 3])], [7, 2, 5]);
    }

    #[test]
    fn what_the_process_holds_is_seen() {
        let before = resident();
        let held = vec![1u8; 64 << 20];
        let after = resident();
        assert_eq!(held.iter().map(|&x| u64::from(x)).sum::<u64>(), 64 << 20);
        assert!(
            before.is_none() || after.zip(before).is_some_and(|(after, before)| after > before + (32 << 20))
        );
    }
}
