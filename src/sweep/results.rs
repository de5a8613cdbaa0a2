//! What came of each trial: one row, as JSON and as CSV.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state::{Status, TrialState};
use super::{Placed, Trial};
use crate::checkpoint::RunFolder;
use crate::config::BEST;
use crate::eval::consistency::WAYS;
use crate::eval::task::consistency::Joint;
use crate::eval::task::{Figure, Measure};
use crate::eval::{Evaluation, Retrieval, TaskResult, ordered};
use crate::{Error, Result};

/// A trial and all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The trial's eight hexadecimal digits.
    pub id: String,
    /// Variant and axes; trials that differ in their seed alone have one name.
    pub name: String,
    /// Trials of one family have one colour on the sweep's page.
    pub family: String,
    /// `seed` of its configuration.
    pub seed: u64,
    /// Each axis' key and value, as TOML writes it.
    #[serde(with = "ordered")]
    pub axes: Vec<(String, String)>,
    /// Its place in the sweep's own plot, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plot: Option<Placed>,
    /// Where it stands.
    pub status: Status,
    /// Starts so far, those after a kill or an interruption included.
    pub attempts: u32,
    /// Why it failed, while it is failed.
    pub error: Option<String>,
    /// Trained parameters.
    pub parameters_train: Option<u64>,
    /// Parameters needed to answer queries.
    pub parameters_test: Option<u64>,
    /// Size of the best checkpoint's model.
    pub bytes: Option<u64>,
    /// Size of all files of the run as `tinyglot pack` packs it; sweeps of earlier programs did not pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed_bytes: Option<u64>,
    /// Microseconds from a sentence to its vector by the packed run ([`crate::retrieve::UseCost`]); earlier programs did not measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence_us: Option<f64>,
    /// Bytes of memory that the packed run takes, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Largest resident memory of the training, in bytes.
    pub peak_memory: Option<u64>,
    /// Wall time of all attempts.
    pub seconds: f64,
    /// Wall time of the training steps and validations alone.
    pub train_seconds: Option<f64>,
    /// What trials are compared by: a figure ([`figures`]), or `train.best`, what validation chose its checkpoint by.
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    pub by: String,
    /// What it was compared by at each rung of the halving; more is better.
    pub rungs: Vec<f64>,
    /// The checkpoint that was best on validation, on the validation split.
    pub val: Option<Evaluation>,
    /// The same on test.
    pub test: Option<Evaluation>,
    /// The figure that trials are compared by, where the sweep names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Figure>,
    /// All further figures of its results, by name ([`figures`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "ordered")]
    pub figures: Vec<(String, f64)>,
}

/// Whether rows have a figure in their evaluations on val and test.
pub(super) fn has_columns(figure: &Figure) -> bool {
    let starts = |task: &str, name: &str| figure.of.starts_with(&format!("{task}/{name}/"));
    ["val", "test"].iter().any(|name| starts(Evaluation::NAME, name) || starts(Joint::NAME, name))
}

/// All figures that a run keeps: of the task `recall`, then of others.
///
/// # Errors
/// Data, where a result cannot be read.
pub fn figures(run: &RunFolder) -> Result<Vec<Figure>> {
    Ok(run.all_results()?.iter().flat_map(TaskResult::figures).collect())
}

/// The figure of a name.
///
/// # Errors
/// Config, where the run has none of it, with the nearest ones.
pub fn figure(run: &RunFolder, name: &str) -> Result<Figure> {
    let all = figures(run)?;
    if let Some(figure) = all.iter().find(|figure| figure.of == name) {
        return Ok(figure.clone());
    }
    let all: Vec<String> = all.into_iter().map(|figure| figure.of).collect();
    Err(Error::config(format!("there is no figure `{name}`"))
        .hint(format!("`by`: {}", Figure::near(name, &all))))
}

fn usual() -> String {
    BEST[0].into()
}

fn is_usual(by: &str) -> bool {
    by == BEST[0]
}

impl Row {
    /// What the sweep's file and the state say.
    pub fn new(trial: &Trial, state: &TrialState) -> Row {
        Row {
            id: trial.id.clone(),
            name: trial.name.clone(),
            family: trial.family.clone(),
            seed: trial.seed,
            axes: trial.axes.clone(),
            plot: trial.plot.clone(),
            status: state.status,
            attempts: state.attempts,
            error: state.error.clone(),
            parameters_train: None,
            parameters_test: None,
            bytes: None,
            packed_bytes: None,
            sentence_us: None,
            resident_bytes: None,
            peak_memory: state.peak_memory,
            seconds: state.seconds,
            train_seconds: None,
            by: trial.config.train().best.clone(),
            rungs: state.rungs.clone(),
            val: None,
            test: None,
            chosen: None,
            figures: Vec::new(),
        }
    }

    /// What trials are compared by; more is better. Nothing where it was not measured.
    pub fn worth(&self) -> Option<f64> {
        match &self.chosen {
            Some(figure) => Some(figure.worth()),
            None => self.val.as_ref().and_then(|e| e.metric(&self.by)),
        }
    }

    /// The name with the seed.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name, self.seed)
    }
}

/// One JSON object a line.
pub fn jsonl(rows: &[Row]) -> String {
    rows.iter().map(|row| serde_json::to_string(row).expect("plain data") + "\n").collect()
}

/// Reads what [`jsonl`] wrote.
///
/// # Errors
/// Data, with the line that is not a row.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::reading(path, e))?;
    let row = |(n, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| {
            let e = Error::data("is not a result of a trial").at(path).line(n + 1).because(e);
            e.hint("remove the file and run the sweep again: it is written from the trials' folders")
        })
    };
    text.lines().enumerate().map(row).collect()
}

/// The rows as a table with a head (RFC 4180): all axes, and all measures of all languages of both splits. What a row
/// does not have is empty.
pub fn csv(rows: &[Row]) -> String {
    let rows: Vec<Vec<(String, String)>> = rows.iter().map(cells).collect();
    let mut head: Vec<&str> = Vec::new();
    for row in &rows {
        let mut last = 0;
        for (name, _) in row {
            last = match head.iter().position(|known| known == name) {
                Some(place) => place + 1,
                // Beside its neighbour, so that the columns of a language stay together.
                None => {
                    head.insert(last, name);
                    last + 1
                }
            };
        }
    }
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    table.write_record(&head).expect("memory takes it");
    for row in &rows {
        let cell = |name: &&str| row.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
        table.write_record(head.iter().map(cell)).expect("as many cells as the head has");
    }
    String::from_utf8(table.into_inner().expect("memory takes it")).expect("cells are text")
}

/// The columns of a row.
fn cells(row: &Row) -> Vec<(String, String)> {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or(String::new(), |value| value.to_string())
    }
    let mut cells: Vec<(String, String)> = vec![
        ("id".into(), row.id.clone()),
        ("name".into(), row.name.clone()),
        ("family".into(), row.family.clone()),
        ("seed".into(), row.seed.to_string()),
    ];
    cells.extend(row.axes.iter().cloned());
    if let Some(plot) = row.plot.as_ref().filter(|plot| row.axes.iter().all(|(key, _)| *key != plot.x)) {
        cells.push((plot.x.clone(), plot.value.to_string()));
    }
    cells.extend([
        ("status".into(), row.status.to_string()),
        ("attempts".into(), row.attempts.to_string()),
        ("error".into(), text(row.error.as_deref())),
        ("parameters_train".into(), text(row.parameters_train)),
        ("parameters_test".into(), text(row.parameters_test)),
        ("bytes".into(), text(row.bytes)),
        ("packed_bytes".into(), text(row.packed_bytes)),
        ("sentence_us".into(), text(row.sentence_us)),
        ("resident_bytes".into(), text(row.resident_bytes)),
        ("peak_memory".into(), text(row.peak_memory)),
        ("seconds".into(), row.seconds.to_string()),
        ("train_seconds".into(), text(row.train_seconds)),
    ]);
    cells.extend(row.rungs.iter().enumerate().map(|(n, a)| (format!("rung.{}", n + 1), a.to_string())));
    for (split, evaluation) in [("val", &row.val), ("test", &row.test)] {
        let Some(evaluation) = evaluation else { continue };
        cells.push((format!("{split}.A"), evaluation.a.to_string()));
        cells.push((format!("{split}.HA"), text(evaluation.ha)));
        for (language, retrieval) in &evaluation.languages {
            measures(&format!("{split}.{language}"), retrieval, &mut cells);
        }
        for (name, retrieval) in evaluation.consistency.iter().flat_map(|c| c.rows().collect::<Vec<_>>()) {
            measures(&format!("{split}.parallel.{name}"), retrieval, &mut cells);
        }
        let Some(by_language) = &evaluation.by_language else { continue };
        for (language, coverage) in &by_language.languages {
            for (way, retrieval) in coverage.rows() {
                measures(&format!("{split}.{language}.{way}"), retrieval, &mut cells);
            }
        }
        for (way, mr) in by_language.ha.iter().flat_map(|ha| WAYS.into_iter().zip(ha.values())) {
            cells.push((format!("{split}.HA.{way}"), mr.to_string()));
        }
    }
    cells.extend(row.figures.iter().map(|(of, value)| (of.clone(), value.to_string())));
    cells
}

fn measures(above: &str, retrieval: &Retrieval, cells: &mut Vec<(String, String)>) {
    cells.push((format!("{above}.mR"), retrieval.mr.to_string()));
    for (way, recall) in [("t2i", &retrieval.t2i), ("i2t", &retrieval.i2t)] {
        for (name, value) in [
            ("R@1", recall.r1),
            ("R@5", recall.r5),
            ("R@10", recall.r10),
            ("median_rank", recall.median_rank),
            ("mean_rank", recall.mean_rank),
        ] {
            cells.push((format!("{above}.{way}.{name}"), value.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Parameters, Recall};

    fn row(id: &str, axes: &[(&str, &str)], languages: &[&str]) -> Row {
        let side = Recall { r1: 0.1 + 0.2, r5: 2.0, r10: 3.0, median_rank: 4.0, mean_rank: 5.0, ties: 0 };
        let one = Retrieval { captions: 10, mr: 30.25, t2i: side.clone(), i2t: side };
        let languages = languages.iter().map(|l| (l.to_string(), one.clone(), false)).collect();
        let evaluation = Evaluation::new("test", 5, 0, 1, languages, Parameters { train: 9, test: 4 });
        Row {
            id: id.into(),
            name: "HEM, \"K\"=500".into(),
            family: "HEM".into(),
            seed: 3,
            axes: axes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            plot: None,
            status: Status::Done,
            attempts: 1,
            error: Some("two\nlines".into()),
            parameters_train: Some(9),
            parameters_test: None,
            bytes: None,
            packed_bytes: None,
            sentence_us: None,
            resident_bytes: None,
            peak_memory: None,
            seconds: 1.5,
            train_seconds: None,
            by: usual(),
            rungs: vec![20.5],
            val: None,
            test: Some(evaluation),
            chosen: None,
            figures: Vec::new(),
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let placed = Placed { x: "loss.mclm.lstm".into(), log: true, value: 1e-4 };
        let rows = vec![
            row("a", &[("text.encoder", "\"gru\"")], &["en"]),
            Row { plot: Some(placed), by: "recall.de".into(), ..row("b", &[], &["de", "en"]) },
        ];
        std::fs::write(&path, jsonl(&rows)).unwrap();
        assert_eq!(read(&path).unwrap(), rows);
        std::fs::write(&path, jsonl(&rows).replacen("\"seed\":3", "\"seed\":-3", 1)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("results.jsonl`:1: is not a result of a trial"), "{error}");
    }

    #[test]
    fn the_table_has_all_axes_and_languages_of_all_rows() {
        let at = |x: &str, value| Some(Placed { x: x.into(), log: false, value });
        let rows = [
            // The axis says it already.
            Row { plot: at("train.clip", 2.0), ..row("a", &[("train.clip", "2.0")], &["en"]) },
            row("b", &[("text.encoder", "\"gru\"")], &["de", "en"]),
        ];
        let text = csv(&rows);
        // The error has a line end of its own, in quotes.
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 4);
        let head: Vec<&str> = lines[0].split(',').collect();
        assert_eq!(head[..7], ["id", "name", "family", "seed", "text.encoder", "train.clip", "status"]);
        assert!(head.contains(&"test.de.t2i.R@1") && head.contains(&"test.en.i2t.mean_rank"), "{head:?}");
        assert!(
            lines[1].starts_with(
                "a,\"HEM, \"\"K\"\"=500\",HEM,3,,2.0,done,1,\"two\nlines\",9,,,,,,,1.5,,20.5,30.25,,"
            ),
            "{text}"
        );
        assert!(lines[2].starts_with("b,\"HEM, \"\"K\"\"=500\",HEM,3,\"\"\"gru\"\"\",,done,"), "{text}");
        assert!(lines[1].contains("0.30000000000000004"), "all digits");
        let text = csv(&[Row { plot: at("languages", 4.0), ..row("a", &[], &["en"]) }]);
        assert!(text.starts_with("id,name,family,seed,languages,status,"), "{text}");
        assert!(text.contains(",HEM,3,4,done,"), "{text}");
    }
}
