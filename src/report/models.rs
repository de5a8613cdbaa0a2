//! The table of models: what several runs, of whatever family, reach on several tasks, beside one another.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cells::{count, thousands};
use super::groups::Spread;
use crate::eval::TaskResult;
use crate::eval::task::{Figure, task};
use crate::{Error, Result};

/// A run, with what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What its row is called; runs of one name are one model with several seeds.
    pub name: String,
    /// The folder of the run.
    pub run: String,
    /// `seed` of its configuration.
    pub seed: u64,
    /// Parameters that were trained, and those that queries need.
    pub parameters: [u64; 2],
    /// Its results of all tasks.
    pub results: Vec<TaskResult>,
}

/// A figure of some of the models.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    /// The figure's name, `TASK/NAME/METRIC/LANGUAGE`.
    of: String,
    /// Its parts: task and set, metric, language.
    parts: [String; 3],
    higher_is_better: bool,
}

/// Models as rows, figures as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// By name, in the order in which they were given.
    rows: Vec<(String, Vec<Measured>)>,
    columns: Vec<Column>,
    /// How the figures were made: of which task and set and, where they differ, which rows, and the protocol.
    protocols: Vec<(String, String)>,
    /// Tasks and sets that some were measured on other data of.
    apart: Vec<String>,
    /// What stands in the way of a comparison, for people.
    pub notes: Vec<String>,
}

impl Models {
    /// The table of some runs. `wanted`: names of figures, in which `*` stands for any letters but `/`; none for the main figures of all tasks.
    ///
    /// # Errors
    /// Usage, where no run has a figure that is wanted, with the nearest ones.
    pub fn new(models: Vec<Measured>, wanted: &[String]) -> Result<Models> {
        let columns = columns(&models, wanted)?;
        let mut rows: Vec<(String, Vec<Measured>)> = Vec::new();
        for model in models {
            match rows.iter_mut().find(|(name, _)| *name == model.name) {
                Some((_, seeds)) => seeds.push(model),
                None => rows.push((model.name.clone(), vec![model])),
            }
        }
        let mut models =
            Models { rows, columns, protocols: Vec::new(), apart: Vec::new(), notes: Vec::new() };
        models.compare();
        Ok(models)
    }

    /// Notes the protocols of all that is shown, and what was measured on other data.
    fn compare(&mut self) {
        let mut sets: Vec<&str> = Vec::new();
        for column in &self.columns {
            if !sets.contains(&column.parts[0].as_str()) {
                sets.push(&column.parts[0]);
            }
        }
        for set in sets {
            // What was said of how it was made, and of which data, with the rows that said it.
            let (mut said, mut data) = (Vec::<(&str, Vec<&str>)>::new(), Vec::<(&str, Vec<&str>)>::new());
            for model in self.rows.iter().flat_map(|(_, seeds)| seeds) {
                let of = |result: &&TaskResult| format!("{}/{}", result.task, result.name) == set;
                let Some(result) = model.results.iter().find(of) else { continue };
                let kept = [(&mut said, Some(result.protocol.as_str())), (&mut data, result.data.as_deref())];
                for (all, what) in kept.into_iter().filter_map(|(all, what)| Some((all, what?))) {
                    match all.iter_mut().find(|(other, _)| *other == what) {
                        Some((_, names)) if names.contains(&model.name.as_str()) => {}
                        Some((_, names)) => names.push(&model.name),
                        None => all.push((what, vec![&model.name])),
                    }
                }
            }
            if data.len() > 1 {
                let names: Vec<String> =
                    data.iter().map(|(_, names)| format!("`{}`", names.join("`, `"))).collect();
                let names = names.join(" and for ");
                self.notes.push(format!("{set} is of other data for {names}: their figures do not compare"));
                self.apart.push(set.to_string());
            }
            let several = said.len() > 1;
            self.protocols.extend(said.iter().map(|(protocol, names)| {
                let of = if several { format!("{set} ({})", names.join(", ")) } else { set.to_string() };
                (of, protocol.to_string())
            }));
        }
    }

    /// What a row has in a column.
    fn spread(&self, seeds: &[Measured], column: &Column) -> Option<Spread> {
        Spread::of(seeds.iter().filter_map(|model| value(model, column)))
    }

    /// Of each column the best mean as it is printed, where several rows have one, of the same data.
    fn best(&self) -> Vec<Option<String>> {
        let of = |column: &Column| {
            let means = self.rows.iter().filter_map(|(_, seeds)| self.spread(seeds, column)).map(|s| s.mean);
            let means: Vec<f64> = means.collect();
            let better = |a: f64, b: f64| if (a > b) == column.higher_is_better { a } else { b };
            let comparable = means.len() > 1 && !self.apart.contains(&column.parts[0]);
            comparable.then(|| means.into_iter().reduce(better).map(|mean| format!("{mean:.1}")))?
        };
        self.columns.iter().map(of).collect()
    }

    /// The cells of a row: what they say, and whether it is the best of the column.
    fn cells(&self, seeds: &[Measured], best: &[Option<String>]) -> Vec<(String, bool)> {
        let cell = |(column, best): (&Column, &Option<String>)| match self.spread(seeds, column) {
            None => (String::new(), false),
            Some(spread) => {
                let missing = if spread.n < seeds.len() { format!(" ({})", spread.n) } else { String::new() };
                (spread.text() + &missing, best.as_ref() == Some(&format!("{:.1}", spread.mean)))
            }
        };
        self.columns.iter().zip(best).map(cell).collect()
    }

    /// Of each row the seeds, as a list, and the parameters, where those of all its runs are equal.
    fn about(seeds: &[Measured]) -> [String; 3] {
        let all: Vec<String> = seeds.iter().map(|model| model.seed.to_string()).collect();
        let parameters = |n: usize| {
            let first = seeds[0].parameters[n];
            match seeds.iter().all(|m| m.parameters[n] == first) {
                true => thousands(first),
                false => String::new(),
            }
        };
        [all.join(" "), parameters(0), parameters(1)]
    }

    /// As Markdown: means ± standard deviation over the runs of a name, the best in bold, the protocols below.
    pub fn markdown(&self) -> String {
        let plain = |text: &str| text.replace('|', "\\|");
        let mut text = String::from("| model | seed | trained | at test time |");
        for Column { parts: [set, metric, language], higher_is_better, .. } in &self.columns {
            let arrow = if *higher_is_better { "" } else { " ↓" };
            let head = [set, metric, language].map(|part| plain(part)).join(" ");
            text += &format!(" {}{arrow} |", head.trim_end());
        }
        text += &format!("\n|---|---|---:|---:|{}\n", "---:|".repeat(self.columns.len()));
        let best = self.best();
        for (name, seeds) in &self.rows {
            text += &format!("| {} | {} |", plain(name), Models::about(seeds).join(" | "));
            for (cell, best) in self.cells(seeds, &best) {
                text += &match best {
                    true => format!(" **{cell}** |"),
                    false if cell.is_empty() => " |".into(),
                    false => format!(" {cell} |"),
                };
            }
            text.push('\n');
        }
        text.push('\n');
        for note in &self.notes {
            text += &format!("**{note}.**\n\n");
        }
        let protocols = self.protocols.iter().map(|(of, protocol)| format!("- {of}: {protocol}.\n"));
        text + &protocols.collect::<String>()
    }

    /// As CSV with a head (RFC 4180): a line for each run, figures as exact as they were found.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let head = ["model", "run", "seed", "parameters_train", "parameters_test"].map(String::from);
        let figures = self.columns.iter().map(|column| column.of.clone());
        writer.write_record(head.into_iter().chain(figures)).expect("to memory");
        for model in self.rows.iter().flat_map(|(_, seeds)| seeds) {
            let [train, test] = model.parameters.map(|n| n.to_string());
            let about = [model.name.clone(), model.run.clone(), model.seed.to_string(), train, test];
            let cell = |column| value(model, column).map_or(String::new(), |value| value.to_string());
            writer.write_record(about.into_iter().chain(self.columns.iter().map(cell))).expect("to memory");
        }
        String::from_utf8(writer.into_inner().expect("to memory")).expect("of texts")
    }

    /// As a page of its own.
    pub fn html(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Models · tinyglot" }
                    style { (PreEscaped(include_str!("page.css"))) }
                }
                body { main {
                    header {
                        h1 { "Models" }
                        p.lead { (count(self.rows.len() as u64, "model")) ", " (count(self.columns.len() as u64, "figure")) "." }
                    }
                    (self.section())
                } }
            }
        }
        .into_string()
    }

    /// The table with its protocols, as a section of a page.
    fn section(&self) -> Markup {
        let best = self.best();
        html! {
            div.wide tabindex="0" role="region" aria-label="Models by task" {
                table {
                    caption { "Models by task; mean ± standard deviation over seeds; the best is bold" }
                    thead {
                        @for part in 0..2 {
                            tr {
                                td colspan="4" {}
                                @for (name, columns) in self.spans(part) { th.from colspan=(columns) scope="colgroup" { (name) } }
                            }
                        }
                        tr {
                            @for name in ["model", "seed", "trained", "at test time"] { th scope="col" { (name) } }
                            @for column in &self.columns {
                                th scope="col" title=(column.of) {
                                    (if column.parts[2].is_empty() { "all" } else { &column.parts[2] })
                                    @if !column.higher_is_better { " ↓" }
                                }
                            }
                        }
                    }
                    tbody {
                        @for (name, seeds) in &self.rows {
                            tr {
                                th scope="row" { bdi { (name) } }
                                @for about in Models::about(seeds) { td { (about) } }
                                @for (cell, best) in self.cells(seeds, &best) {
                                    td { @if best { b { (cell) } } @else { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
            @for note in &self.notes { p { b { (note) "." } } }
            @for (of, protocol) in &self.protocols { p.note { (of) ": " (protocol) "." } }
        }
    }

    /// Heads over columns that have the first parts of their names, up to `part`, in common: the last of these, and how many columns.
    fn spans(&self, part: usize) -> Vec<(&str, usize)> {
        let mut spans: Vec<(&[String], usize)> = Vec::new();
        for column in &self.columns {
            match spans.last_mut() {
                Some((parts, columns)) if *parts == &column.parts[..=part] => *columns += 1,
                _ => spans.push((&column.parts[..=part], 1)),
            }
        }
        spans.into_iter().map(|(parts, columns)| (parts[part].as_str(), columns)).collect()
    }
}

/// The figure of a column.
fn value(model: &Measured, column: &Column) -> Option<f64> {
    let mut figures = model.results.iter().flat_map(TaskResult::figures);
    figures.find(|figure| figure.of == column.of).map(|figure| figure.value)
}

/// The figures that are shown, in the order in which they first come: tasks and sets together, in each the metrics together.
fn columns(models: &[Measured], wanted: &[String]) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    for result in models.iter().flat_map(|model| &model.results) {
        let main = task(&result.task).map_or(&[][..], |task| task.main());
        for (metric, Figure { of, higher_is_better, .. }) in result.metrics.iter().zip(result.figures()) {
            let shown = match wanted.is_empty() {
                true => main.contains(&&*metric.name),
                false => wanted.iter().any(|pattern| matches(pattern, &of)),
            };
            if !shown || columns.iter().any(|column| column.of == of) {
                continue;
            }
            let set = format!("{}/{}", result.task, result.name);
            let parts = [set, metric.name.clone(), metric.language.clone().unwrap_or_default()];
            columns.push(Column { of, parts, higher_is_better });
        }
    }
    for pattern in wanted {
        if !columns.iter().any(|column| matches(pattern, &column.of)) {
            let all: Vec<String> =
                models.iter().flat_map(|m| &m.results).flat_map(TaskResult::figures).map(|f| f.of).collect();
            return Err(
                Error::usage(format!("no run has a figure `{pattern}`")).hint(Figure::near(pattern, &all))
            );
        }
    }
    // Where figures are named, they come as they are named.
    let place = |column: &Column| wanted.iter().position(|pattern| matches(pattern, &column.of));
    let first = |column: &Column, upto: usize| {
        columns.iter().position(|other| other.parts[..=upto] == column.parts[..=upto])
    };
    let keys: Vec<_> = columns.iter().map(|c| (place(c), first(c, 0), first(c, 1))).collect();
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|&n| keys[n]);
    Ok(order.into_iter().map(|n| columns[n].clone()).collect())
}

/// Whether a name is as a pattern says, in which `*` stands for any letters but `/`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let end = rest.find('/').unwrap_or(rest.len());
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).take_while(|at| *at <= end);
    ends.into_iter().any(|at| matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::eval::Metric;

    fn result(task: &str, data: &str, metrics: Vec<Metric>) -> TaskResult {
        TaskResult {
            task: task.into(),
            name: "set".into(),
            data: Some(data.into()),
            protocol: format!("as {task} is"),
            metrics,
            details: Value::Null,
            warnings: Vec::new(),
        }
    }

    fn model(name: &str, seed: u64, accuracy: f64, data: &str) -> Measured {
        let bitext = vec![
            Metric::percent("cosine.accuracy", Some("de→en"), accuracy),
            Metric::error("cosine.error", Some("de→en"), 100.0 - accuracy),
            Metric::percent("cosine.accuracy", Some("en→de"), accuracy / 2.0),
        ];
        let sts = vec![Metric::correlation("spearman", Some("en"), accuracy / 1000.0)];
        let mut results = vec![result("bitext", data, bitext)];
        if name == "a" {
            results.push(result("sts", "s", sts));
        }
        Measured {
            name: name.into(),
            run: format!("runs/{name}{seed}"),
            seed,
            parameters: [1_500_000, 700],
            results,
        }
    }

    fn three() -> Vec<Measured> {
        vec![model("a", 0, 40.0, "d"), model("b|c", 0, 41.0, "d"), model("a", 1, 44.0, "d")]
    }

    #[test]
    fn runs_of_a_name_are_one_row_and_the_best_is_bold() {
        let models = Models::new(three(), &[]).unwrap();
        assert_eq!(
            models.markdown(),
            "| model | seed | trained | at test time | bitext/set cosine.accuracy de→en | bitext/set cosine.accuracy en→de | sts/set spearman en |\n\
             |---|---|---:|---:|---:|---:|---:|\n\
             | a | 0 1 | 1,500,000 | 700 | **42.0 ± 2.8** | **21.0 ± 1.4** | 4.2 ± 0.3 |\n\
             | b\\|c | 0 | 1,500,000 | 700 | 41.0 | 20.5 | |\n\n\
             - bitext/set: as bitext is.\n- sts/set: as sts is.\n"
        );
        let page = models.html();
        assert!(page.contains("<b>42.0 ± 2.8</b>") && page.contains("as bitext is."), "{page}");
        assert!(page.contains(r#"colspan="2" scope="colgroup">cosine.accuracy"#), "{page}");
    }

    #[test]
    fn figures_are_chosen_by_patterns_in_their_order() {
        let wanted = ["sts/*/spearman/*", "bitext/set/*.error/de→en"].map(String::from);
        let models = Models::new(three(), &wanted).unwrap();
        let csv = models.csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(
            lines[0],
            "model,run,seed,parameters_train,parameters_test,sts/set/spearman/en,bitext/set/cosine.error/de→en"
        );
        assert_eq!((lines[1], lines[3]), ("a,runs/a0,0,1500000,700,4,60", "b|c,runs/b|c0,0,1500000,700,,59"));
        assert!(
            models.markdown().contains("cosine.error de→en ↓ |")
                && models.markdown().contains("| **58.0 ± 2.8** |")
        );
        let error =
            Models::new(three(), &["bitext/set/cosine.acuracy/de→en".into()]).unwrap_err().to_string();
        assert!(
            error.contains("no run has a figure") && error.contains("`bitext/set/cosine.accuracy/de→en`"),
            "{error}"
        );
    }

    #[test]
    fn patterns_stop_at_parts() {
        for (pattern, name, fits) in [
            ("recall/*/A", "recall/test/A", true),
            ("recall/*", "recall/test/A", false),
            ("recall/*/mR/*", "recall/test/mR/pt-BR", true),
            ("*/*/A", "recall/test/A", true),
            ("recall/t*t/A", "recall/test/A", true),
            ("recall/t*x/A", "recall/test/A", false),
            ("bitext/*/*.accuracy/*→en", "bitext/t/cosine.accuracy/de→en", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn figures_on_other_data_are_told() {
        let models = Models::new(vec![model("a", 0, 40.0, "d"), model("b", 0, 41.0, "e")], &[]).unwrap();
        assert_eq!(
            models.notes,
            ["bitext/set is of other data for `a` and for `b`: their figures do not compare"]
        );
        assert!(models.markdown().contains("**bitext/set is of other data"));
        assert!(!models.markdown().contains("**41.0**"), "none of them is the best");
    }
}
