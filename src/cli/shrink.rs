//! `tinyglot shrink`.

use std::path::PathBuf;

use super::pack::format;
use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::{Packing, ReservedFolder};
use crate::family::LeftOut;
use crate::numbers::Format;
use crate::run::{Shrunk, Tried, Wish};
use crate::{Result, run};

/// Make the best model that a number of bytes has room for
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The run is packed in several ways: with layers and the vectors of words in f16, int8, int4 or by parts, and with many, few or no n-grams for unseen
words. Where that is still too much, words and vectors are left out that are worth least for their bytes: how often training saw them, times how
far sentences of validation move without them. Every way is written, read and measured on validation as it would be shipped; the best by
the mean of its languages' mR is made. It is used as a run is, as what `tinyglot pack` makes.

What fitted and what each language loses against the run is told (with -v also what did not fit). A budget that nothing fits is an error that says the smallest that
something would.

Examples:
  tinyglot shrink runs/multi30k --bytes 3MB --out model
  tinyglot shrink runs/multi30k --bytes 800kB --languages cs,de --out model
  tinyglot shrink runs/multi30k --bytes 5MB --weights int8 --ngrams 1000 --out model")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Bytes that all files of the model may take: a number, or with kB, MB, KiB or MiB behind it
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub bytes: u64,
    /// Languages that the model is for; not of models whose languages share what reads them [default: all of the run]
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// Folder to make
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// N-grams to keep of each language, at most [default: several are tried]
    #[arg(long, value_name = "N")]
    pub ngrams: Option<usize>,
    /// Numbers that weights are kept in [default: several are tried]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub weights: Option<Format>,
    /// Numbers that the vectors of words are kept in [default: several are tried]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub rows: Option<Format>,
    /// Set a key of `data` over the configuration, e.g. data.root=DIR
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// A number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        other => return Err(format!("`{other}` is no unit: B, kB, MB, GB, KiB or MiB")),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * factor < 1e15 => Ok((number * factor) as u64),
        _ => Err(format!("`{number}` is no number of bytes")),
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let place = ReservedFolder::new(&args.out)?;
    let Args { bytes, languages, ngrams, weights, rows, set, .. } = args;
    let wish = Wish { bytes, languages, ngrams, weights, rows, set };
    let shrunk = run::shrink(&args.run, &wish, place, &mut |tried| match tried.a {
        Some(_) => terminal.say(&told(tried)),
        None => terminal.detail(&told(tried)),
    })?;
    terminal.say(&format!("chosen: {}", told(&shrunk.chosen)));
    losses(&shrunk).iter().for_each(|line| terminal.say(line));
    stdout::print(&format!("{}\n", shrunk.packed.folder.path.display()))
}

/// A way and what came of it.
fn told(tried: &Tried) -> String {
    let Tried { packing: Packing { ngrams, .. }, left_out, bytes, a } = tried;
    let [weights, rows] = tried.packing.formats().map(Format::name);
    let a = a.map_or("too large".into(), |a| format!("A {a:.1} on validation"));
    let mut less = Vec::new();
    let LeftOut { words, own, latents } = left_out;
    for (what, [gone, all]) in [("words", words), ("own vectors", own), ("latent vectors", latents)] {
        if *gone > 0 {
            less.push(format!("{gone} of {all} {what}"));
        }
    }
    let less = if less.is_empty() { String::new() } else { format!(", without {}", less.join(" and ")) };
    format!("layers {weights}, words {rows}, {ngrams} n-grams{less}: {}, {a}", size(*bytes))
}

fn size(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.2} MB", bytes as f64 / 1e6)
    }
}

/// What each language loses, and all together.
fn losses(shrunk: &Shrunk) -> Vec<String> {
    let line = |what: &str, before: f64, after: f64| {
        format!("{what} on validation: {before:.1} → {after:.1} ({:+.1})", after - before)
    };
    let [before, after] = shrunk.means();
    let languages =
        shrunk.languages.iter().map(|(l, before, after)| line(&format!("mR of `{l}`"), before.mr, after.mr));
    languages.chain([line("A", before, after)]).collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("800", 800),
            ("800B", 800),
            ("1.5kB", 1500),
            ("3MB", 3_000_000),
            ("3 MB", 3_000_000),
            ("2KiB", 2048),
            ("0.5MiB", 524_288),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MB", "-3MB", "3Mb", "0", "1e3", "3.3.3kB", "9999999GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
