//! Results as tables: Markdown for people, CSV for programs.

use super::{Metric, TaskResult};

/// The figures of a result as rows by language and columns by name, in the order in which they first come.
pub struct Grid<'a> {
    /// Name, and whether a lower figure is the better one.
    pub columns: Vec<(&'a str, bool)>,
    /// What it is of (`all` for all languages), and for each column its figure.
    pub rows: Vec<(&'a str, Vec<Option<f64>>)>,
}

impl<'a> Grid<'a> {
    /// Of the figures of a result.
    pub fn of(result: &'a TaskResult) -> Grid<'a> {
        let mut grid = Grid { columns: Vec::new(), rows: Vec::new() };
        let language = |metric: &'a Metric| metric.language.as_deref().unwrap_or("all");
        for metric in &result.metrics {
            if !grid.columns.iter().any(|(name, _)| *name == metric.name) {
                grid.columns.push((&metric.name, !metric.higher_is_better));
            }
        }
        for metric in &result.metrics {
            let of = language(metric);
            let column = grid.columns.iter().position(|(name, _)| *name == metric.name);
            let row = grid.rows.iter().position(|(name, _)| *name == of).unwrap_or_else(|| {
                grid.rows.push((of, vec![None; grid.columns.len()]));
                grid.rows.len() - 1
            });
            if let Some(column) = column {
                grid.rows[row].1[column] = Some(metric.value);
            }
        }
        grid
    }
}

/// A section for each result: its figures and their protocol.
pub fn markdown(results: &[TaskResult]) -> String {
    let plain = |text: &str| text.replace('|', "\\|");
    let section = |result: &TaskResult| {
        let grid = Grid::of(result);
        let mut text = format!("## {} ({})\n\n| |", result.task, plain(&result.name));
        for (name, lower) in &grid.columns {
            text += &format!(" {}{} |", plain(name), if *lower { " ↓" } else { "" });
        }
        text += &format!("\n|---|{}\n", "---:|".repeat(grid.columns.len()));
        for (of, values) in &grid.rows {
            let cells = values.iter().map(|v| v.map_or_else(|| " |".into(), |v| format!(" {v:.1} |")));
            text += &format!("| {} |{}\n", plain(of), cells.collect::<String>());
        }
        text + &format!("\n{}.\n", result.protocol)
    };
    results.iter().map(section).collect::<Vec<_>>().join("\n")
}

/// One figure a line, as exact as it was found, with its protocol.
pub fn csv(results: &[TaskResult]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head =
        ["task", "name", "language", "metric", "value", "unit", "higher_is_better", "data", "protocol"];
    writer.write_record(head).expect("to memory");
    for result in results {
        for Metric { name, language, value, unit, higher_is_better } in &result.metrics {
            let (value, better) = (value.to_string(), higher_is_better.to_string());
            let (language, data) =
                (language.as_deref().unwrap_or("all"), result.data.as_deref().unwrap_or_default());
            let row =
                [&result.task, &result.name, language, name, &value, unit, &better, data, &result.protocol];
            writer.write_record(row).expect("to memory");
        }
    }
    String::from_utf8(writer.into_inner().expect("to memory")).expect("of texts")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn result() -> TaskResult {
        TaskResult {
            task: "bitext".into(),
            name: "a|b".into(),
            data: Some("ab12".into()),
            protocol: "1000 sentences, \"k\" = 4".into(),
            metrics: vec![
                Metric::percent("accuracy", Some("de→en"), 12.25),
                Metric::error("error", Some("de→en"), 87.75),
                Metric::percent("accuracy", None, 1.0),
            ],
            details: Value::Null,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn tables_have_a_row_for_each_language_and_the_protocol_below() {
        assert_eq!(
            markdown(&[result()]),
            "## bitext (a\\|b)\n\n| | accuracy | error ↓ |\n|---|---:|---:|\n| de→en | 12.2 | 87.8 |\n| all | 1.0 | |\n\n\
             1000 sentences, \"k\" = 4.\n"
        );
    }

    #[test]
    fn csv_has_a_line_for_each_figure() {
        let text = csv(&[result()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[2],
            "bitext,a|b,de→en,error,87.75,percent,false,ab12,\"1000 sentences, \"\"k\"\" = 4\""
        );
        assert!(lines[3].starts_with("bitext,a|b,all,accuracy,1,"), "{text}");
    }
}
