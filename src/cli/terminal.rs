//! What a person reads while a command works: lines and bars on standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;

use crate::Error;

/// How much is said, and the bars below which lines must not be torn. Clones share the bars.
#[derive(Debug, Clone)]
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    bars: MultiProgress,
}

impl Terminal {
    /// `quiet` leaves out lines and warnings; `verbose` shows details too.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Terminal { quiet, verbose, bars: MultiProgress::new() }
    }

    /// Prints a line, unless quiet.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.print(line);
        }
    }

    /// Prints a line if more is wanted.
    pub fn detail(&self, line: &str) {
        if self.verbose {
            self.print(line);
        }
    }

    /// Prints a line that begins with `warning:`, unless quiet.
    pub fn warn(&self, line: &str) {
        self.say(&format!("{} {line}", paint("warning:", YELLOW, has_colour())));
    }

    fn print(&self, line: &str) {
        // A closed standard error is no reason to stop.
        self.bars.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }
}

/// Prints `error: …` and, on lines of their own, its hints.
pub fn complain(error: &Error) {
    let _ = writeln!(io::stderr(), "{}", complaint(error, has_colour()));
}

fn complaint(error: &Error, colour: bool) -> String {
    let text = format!("{} {error}", paint("error:", RED, colour));
    text.replace("\nhint:", &format!("\n{}", paint("hint:", CYAN, colour)))
}

const RED: u8 = 31;
const YELLOW: u8 = 33;
const CYAN: u8 = 36;

fn paint(word: &str, colour: u8, on: bool) -> String {
    if on { format!("\x1b[1;{colour}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Colour is for terminals, and not where `NO_COLOR` is set (no-color.org).
fn has_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_hints_are_coloured_only_where_asked() {
        let error = Error::data("no such file").at("a.npy").hint("look elsewhere");
        assert_eq!(complaint(&error, false), "error: `a.npy`: no such file\nhint: look elsewhere");
        let coloured = "\x1b[1;31merror:\x1b[0m `a.npy`: no such file\n\x1b[1;36mhint:\x1b[0m look elsewhere";
        assert_eq!(complaint(&error, true), coloured);
    }
}
