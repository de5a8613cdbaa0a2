//! `metrics.jsonl`: what the trainer writes while it runs, one JSON object a line, and what reports read.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::eval::ordered;
use crate::write::write_whole;
use crate::{Error, Result};

/// One line, told apart by its `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum MetricsLine {
    /// After a training step.
    Step(Step),
    /// After a validation.
    Validation(Validation),
}

/// A training step (or the last of several, where not each is logged).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Steps of the training up to this one, of all stages.
    pub step: u64,
    /// Passes over the training pictures so far.
    pub epoch: f64,
    /// The sum of the weighted terms.
    pub loss: f64,
    /// Each loss that is on.
    #[serde(with = "ordered")]
    pub terms: Vec<(String, Term)>,
    /// Length (L2 norm) of the whole gradient before clipping.
    pub grad_norm: f64,
    /// Length (L2 norm) of all parameters.
    pub param_norm: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// 1/τ of a contrast whose temperature is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Tokens of sentences a second, since the line before or the end of an epoch.
    pub tokens_per_s: f64,
    /// Since the start of the run, in all its parts.
    pub seconds: f64,
}

/// A loss as computed, and as it enters the sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Before weighting.
    pub raw: f64,
    /// Times its weight.
    pub weighted: f64,
}

/// Mean recall on the validation split, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Steps taken when it was measured.
    pub step: u64,
    /// Passes over the training pictures so far.
    pub epoch: f64,
    /// By language.
    #[serde(rename = "mR", with = "ordered")]
    pub mr: Vec<(String, f64)>,
    /// The mean over the languages.
    #[serde(rename = "A")]
    pub a: f64,
}

impl MetricsLine {
    /// Steps that the training had taken, of all stages.
    pub fn step(&self) -> u64 {
        match self {
            MetricsLine::Step(line) => line.step,
            MetricsLine::Validation(line) => line.step,
        }
    }

    /// The line as written, without its end. Numbers that are not finite become `null` and cannot be read again.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are always JSON")
    }
}

/// All lines of a file; refuses lines that are not whole, and steps that go back.
///
/// # Errors
/// Data, naming the file and the line: not to be read, a line that is cut short or none of metrics, a step after a later one.
pub fn read(path: &Path) -> Result<Vec<MetricsLine>> {
    let file = File::open(path).map_err(|e| Error::reading(path, e))?;
    let mut lines: Vec<MetricsLine> = Vec::new();
    for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(|e| Error::reading(path, e))?;
        let parsed: MetricsLine =
            serde_json::from_slice(&line).map_err(|e| {
                Error::data("is not a line of metrics").at(path).line(number + 1).because(e).hint(
                    "remove the line; a last line that is cut short was being written when the run stopped",
                )
            })?;
        if let Some(last) = lines.last().filter(|last| last.step() > parsed.step()) {
            let what = format!("step {} stands after step {}", parsed.step(), last.step());
            return Err(Error::data(what)
                .at(path)
                .line(number + 1)
                .hint("the file holds two runs: keep the lines of one of them"));
        }
        lines.push(parsed);
    }
    Ok(lines)
}

/// Adds a line to a file that is open for that; `path` is for the error.
///
/// # Errors
/// Run, where the line cannot be written.
pub fn append(log: &mut File, path: &Path, line: &MetricsLine) -> Result<()> {
    log.write_all((line.json() + "\n").as_bytes()).map_err(|e| Error::writing(path, e))
}

/// Drops the lines of later steps, and what a kill or a full disk has left of a last line; nothing where there is no file.
///
/// # Errors
/// Data, as [`read`], for the whole lines; run, where the file cannot be written.
pub fn keep_until(path: &Path, step: u64) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read(path).map_err(|e| Error::reading(path, e))?;
    let end = text.iter().rposition(|&b| b == b'\n').map_or(0, |last| last + 1);
    write_whole(path, &text[..end])?;
    let kept: String = read(path)?.iter().filter(|l| l.step() <= step).map(|l| l.json() + "\n").collect();
    write_whole(path, kept.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const STEP: &str = r#"{"kind":"step","step":100,"epoch":1.25,"loss":0.3,"terms":{"triplet":{"raw":0.3,"weighted":0.3},"mclm":{"raw":2.0,"weighted":0.0002}},"grad_norm":1.0,"param_norm":50.0,"learning_rate":0.001,"tokens_per_s":52000.0,"seconds":12.3}"#;
    const VALIDATION: &str =
        r#"{"kind":"validation","step":100,"epoch":1.25,"mR":{"en":40.1,"de":35.9},"A":38.0}"#;

    fn read_text(text: &[u8]) -> Result<Vec<MetricsLine>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn lines_are_read_and_written_as_they_were() {
        let lines = read_text(format!("{STEP}\n{VALIDATION}\n").as_bytes()).unwrap();
        let MetricsLine::Step(step) = &lines[0] else { panic!("{lines:?}") };
        assert_eq!(step.terms[1], ("mclm".into(), Term { raw: 2.0, weighted: 0.0002 }));
        let MetricsLine::Validation(validation) = &lines[1] else { panic!("{lines:?}") };
        assert_eq!(validation.mr, [("en".to_string(), 40.1), ("de".to_string(), 35.9)]);
        assert_eq!([lines[0].json(), lines[1].json()], [STEP, VALIDATION]);
        assert_eq!(read_text(b"").unwrap(), []);
    }

    #[test]
    fn broken_lines_are_named() {
        let error = |bad: &[u8]| {
            let text = [STEP.as_bytes(), b"\n", bad, b"\n"].concat();
            read_text(&text).unwrap_err().to_string()
        };
        let cases: [(Vec<u8>, &str); 8] = [
            (STEP.as_bytes()[..60].to_vec(), "EOF while parsing"),
            (b"".to_vec(), "EOF while parsing"),
            (b"hello".to_vec(), "expected value"),
            (b"\xff\xfe".to_vec(), "expected value"),
            (STEP.replace("0.001", "null").into_bytes(), "expected f64"),
            (STEP.replace("\"loss\"", "\"lost\"").into_bytes(), "unknown field `lost`"),
            (STEP.replace("\"step\",", "\"epoch\",").into_bytes(), "unknown variant `epoch`"),
            (STEP.replace(":100,", ":99,").into_bytes(), "step 99 stands after step 100"),
        ];
        for (bad, expected) in cases {
            let message = error(&bad);
            assert!(message.contains("metrics.jsonl`:2: "), "{message}");
            assert!(message.contains(expected), "{message} lacks {expected}");
            assert!(message.contains("hint: "), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("metrics.jsonl")).unwrap_err();
        assert!(error.to_string().contains("metrics.jsonl`: cannot be read"), "{error}");
    }
}
