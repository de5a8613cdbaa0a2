//! How far a long command is: a bar with the time left on a terminal, a line every few seconds elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::Terminal;

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// The progress of one task of known length.
#[derive(Debug)]
pub struct Progress {
    view: View,
    task: Task,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines { terminal: Terminal, last: Instant },
    Silent,
}

#[derive(Debug)]
struct Task {
    name: String,
    total: u64,
    done: u64,
    /// Steps that an earlier run had done.
    before: u64,
    start: Instant,
    note: String,
}

impl Progress {
    /// Starts a task of `total` steps.
    pub fn new(terminal: &Terminal, name: &str, total: u64) -> Self {
        let now = Instant::now();
        let view = if terminal.is_quiet() {
            View::Silent
        } else if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}, {eta} left {msg}");
            let bar = ProgressBar::new(total).with_style(style.expect("a template that is right"));
            bar.set_prefix(name.to_owned());
            View::Bar(terminal.bars().add(bar))
        } else {
            View::Lines { terminal: terminal.clone(), last: now }
        };
        let task = Task { name: name.to_owned(), total, done: 0, before: 0, start: now, note: String::new() };
        Progress { view, task }
    }

    /// Says that an earlier run had done so many steps already; they do not count for the time left.
    pub fn resumed_at(mut self, done: u64) -> Self {
        (self.task.done, self.task.before) = (done, done);
        if let View::Bar(bar) = &self.view {
            bar.set_position(done);
            bar.reset_eta();
        }
        self
    }

    /// Shows `text` behind the numbers, e.g. the loss.
    pub fn note(&mut self, text: &str) {
        text.clone_into(&mut self.task.note);
        if let View::Bar(bar) = &self.view {
            bar.set_message(text.to_owned());
        }
    }

    /// `steps` more are done.
    pub fn advance(&mut self, steps: u64) {
        self.task.done += steps;
        match &mut self.view {
            View::Bar(bar) => bar.inc(steps),
            View::Lines { terminal, last } if last.elapsed() >= PAUSE => {
                terminal.say(&self.task.line(self.task.start.elapsed()));
                *last = Instant::now();
            }
            View::Lines { .. } | View::Silent => {}
        }
    }

    /// Ends the task; the bar goes, a line stays.
    pub fn finish(self) {
        match self.view {
            View::Bar(bar) => bar.finish_and_clear(),
            View::Lines { terminal, .. } => terminal.say(&self.task.line(self.task.start.elapsed())),
            View::Silent => {}
        }
    }
}

/// The stages of a preparation, one bar after the other.
#[derive(Debug)]
pub struct Stages {
    terminal: Terminal,
    current: Option<(String, Progress)>,
}

impl Stages {
    /// Shows the stages of some work; none has begun.
    pub fn new(terminal: &Terminal) -> Self {
        Stages { terminal: terminal.clone(), current: None }
    }

    /// `done` of `total` steps of a stage are done; another stage than before ends that one.
    pub fn at(&mut self, stage: &str, done: usize, total: usize, loss: f32) {
        if self.current.as_ref().is_none_or(|(name, _)| name != stage) {
            self.finish();
            let progress = Progress::new(&self.terminal, stage, total as u64);
            if let View::Lines { terminal, .. } = &progress.view {
                // The first step may take minutes.
                terminal.say(&progress.task.line(Duration::ZERO));
            }
            self.current = Some((stage.to_owned(), progress));
        }
        if let Some((_, progress)) = &mut self.current {
            if loss != 0.0 {
                progress.note(&format!("loss {loss:.3}"));
            }
            progress.advance((done as u64).saturating_sub(progress.task.done));
        }
    }

    /// Ends the last stage.
    pub fn finish(&mut self) {
        if let Some((_, mut progress)) = self.current.take() {
            // Stages that tell nothing while they work are done when the next one begins.
            progress.task.done = progress.task.total;
            progress.finish();
        }
    }
}

impl Task {
    fn line(&self, spent: Duration) -> String {
        let Task { name, total, done, before, note, .. } = self;
        let percent = done.saturating_mul(100).checked_div(*total).unwrap_or(100);
        let mut line = format!("{name}: {done}/{total} ({percent} %), ");
        if *done >= *total {
            line += &format!("took {}", time(spent));
        } else if done == before {
            line += "begun";
        } else {
            let left = spent.mul_f64((total - done) as f64 / (done - before) as f64);
            line += &format!("{} left", time(left));
        }
        if !note.is_empty() {
            line += &format!(", {note}");
        }
        line
    }
}

/// A duration as a person says it: `7 s`, `3 min 20 s`, `2 h 5 min`.
pub fn time(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(done: u64, total: u64, before: u64, note: &str, seconds: u64) -> String {
        let task =
            Task { name: "epoch 1".into(), total, done, before, start: Instant::now(), note: note.into() };
        task.line(Duration::from_secs(seconds))
    }

    #[test]
    fn lines_tell_share_and_time_left() {
        assert_eq!(line(50, 200, 0, "loss 0.12", 40), "epoch 1: 50/200 (25 %), 2 min 0 s left, loss 0.12");
        assert_eq!(line(200, 200, 0, "", 7500), "epoch 1: 200/200 (100 %), took 2 h 5 min");
        assert_eq!(line(0, 200, 0, "", 9), "epoch 1: 0/200 (0 %), begun");
        assert_eq!(line(0, 0, 0, "", 0), "epoch 1: 0/0 (100 %), took 0 s");
        assert_eq!(line(150, 200, 100, "", 40), "epoch 1: 150/200 (75 %), 40 s left");
    }

    #[test]
    fn progress_counts_from_where_the_run_was() {
        let mut progress = Progress::new(&Terminal::new(true, false), "train", 10).resumed_at(4);
        progress.advance(2);
        assert_eq!(progress.task.done, 6);
        progress.finish();
    }
}
