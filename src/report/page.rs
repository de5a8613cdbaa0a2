//! The page of a run, from top to bottom.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cells::{count, example_card, recall_head, recall_row, thousands};
use super::frame::number;
use super::picture::symbols;
use super::plot::{Plot, Series};
use super::{Example, MetricsLine, RunReport, Step, Validation};
use crate::eval::Evaluation;

/// The whole page.
pub fn html(report: &RunReport) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.name) " · tinyglot" }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (symbols(report.pictures().into_iter()))
                main {
                    (header(report))
                    @for evaluation in &report.evaluations { (evaluation_table(evaluation)) }
                    (super::together::section(report.evaluations.first(), report.consistency.as_ref(), &report.compared))
                    @for result in &report.results { (super::tasks::section(result)) }
                    @for growth in &report.growths { (super::growth::section(growth)) }
                    (examples(&report.examples))
                    (super::errors::section(&report.errors))
                    (curves(&report.metrics))
                    (parts(report))
                    @if !report.config.is_empty() {
                        h2 { "Configuration" }
                        details {
                            summary { "Every setting of this run, defaults included" }
                            pre { code { (report.config) } }
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

fn header(report: &RunReport) -> Markup {
    html! {
        header {
            h1 dir="auto" { (report.name) }
            @if let Some(e) = report.evaluations.first() {
                p.lead {
                    "Mean recall (A) " b { (format!("{:.1}", e.a)) } " % on the " (e.split) " split, over "
                    (count(e.languages.len() as u64, "language")) ", with "
                    b { (number(e.parameters.train as f64)) } " trained parameters, "
                    b { (number(e.parameters.test as f64)) } " at test time."
                }
            }
            dl {
                @for (name, value) in &report.facts {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

fn evaluation_table(e: &Evaluation) -> Markup {
    html! {
        h2 { "Retrieval on the " (e.split) " split" @if e.name() != e.split { " (" (e.name()) ")" } }
        div.wide tabindex="0" role="region" aria-label={ "Retrieval on " (e.name()) } {
            table {
                caption { "Recall in percent, by language" }
                (recall_head("language"))
                tbody {
                    @for ((language, r), human) in e.languages.iter().zip(&e.human) {
                        (recall_row(language, if *human { "" } else { " *" }, r))
                    }
                }
                tfoot {
                    (total_row("A (all)", Some(e.a)))
                    (total_row("HA (human)", e.ha))
                }
            }
        }
        p.note {
            @if e.human.contains(&false) { "* Captions by machines. " }
            (capital(&e.protocol())) ". " (capital(&e.tie_note())) "."
        }
    }
}

fn total_row(name: &str, value: Option<f64>) -> Markup {
    html! {
        @if let Some(value) = value {
            tr { th scope="row" { (name) } td { (format!("{value:.1}")) } td.from colspan="9" {} }
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn examples(examples: &[Example]) -> Markup {
    html! {
        @if !examples.is_empty() {
            h2 { "Example queries" }
            p.quiet {
                "The pictures found first; a frame and a tick mark the one that the query was written for, which stands apart where it is not among them."
            }
            @for example in examples { (example_card(example)) }
        }
    }
}

fn curves(metrics: &[MetricsLine]) -> Markup {
    let mut steps: Vec<&Step> = Vec::new();
    let mut validations: Vec<&Validation> = Vec::new();
    for line in metrics {
        match line {
            MetricsLine::Step(step) => steps.push(step),
            MetricsLine::Validation(validation) => validations.push(validation),
        }
    }
    let losses = terms_plot(&steps, "Losses, weighted", |t| t.weighted);
    // With all weights 1 both are one.
    let weighed = steps.iter().flat_map(|s| &s.terms).any(|(_, t)| t.raw != t.weighted);
    let raw = weighed.then(|| terms_plot(&steps, "Losses, raw", |t| t.raw));
    let losses = [validation_plot(&validations), losses].into_iter().chain(raw);
    let plots = losses.chain([
        step_plot(&steps, "Learning rate", "rate", |s| s.learning_rate),
        step_plot(&steps, "Length of the gradient", "norm", |s| s.grad_norm),
        step_plot(&steps, "Length of the parameters", "norm", |s| s.param_norm),
        step_plot(&steps, "Speed", "tokens/s", |s| s.tokens_per_s),
    ]);
    let scaled = steps.iter().any(|s| s.scale.is_some());
    let plots =
        plots
            .chain(scaled.then(|| {
                step_plot(&steps, "Scale of the contrast", "1/τ", |s| s.scale.unwrap_or(f64::NAN))
            }));
    html! {
        @if !metrics.is_empty() {
            h2 { "Training" }
            div.curves { @for plot in plots { (plot.figure()) } }
            p.quiet { "Bold: the last value. Long curves are drawn as means of neighbouring steps." }
        }
    }
}

fn validation_plot(validations: &[&Validation]) -> Plot {
    let of = |name: &str, value: &dyn Fn(&Validation) -> Option<f64>| Series {
        name: name.into(),
        points: validations.iter().filter_map(|v| Some((v.epoch, value(v)?))).collect(),
        important: name == "A",
    };
    let mut series = vec![of("A", &|v| Some(v.a))];
    for language in names(validations.iter().map(|v| &v.mr)) {
        series.push(of(language, &|v| v.mr.iter().find(|(l, _)| l == language).map(|(_, mr)| *mr)));
    }
    Plot {
        title: "Mean recall on validation".into(),
        x: "epoch".into(),
        y: "mR, %".into(),
        log_y: false,
        series,
    }
}

fn terms_plot(steps: &[&Step], title: &str, value: fn(&super::Term) -> f64) -> Plot {
    let series = names(steps.iter().map(|s| &s.terms)).into_iter().map(|name| Series {
        name: name.into(),
        points: steps
            .iter()
            .filter_map(|s| Some((s.epoch, value(&s.terms.iter().find(|(n, _)| n == name)?.1))))
            .collect(),
        important: false,
    });
    scaled(title, "loss", series.collect())
}

fn step_plot(steps: &[&Step], title: &str, y: &str, value: fn(&Step) -> f64) -> Plot {
    let points = steps.iter().map(|s| (s.epoch, value(s))).collect();
    let series = vec![Series { name: y.into(), points, important: false }];
    match title {
        "Learning rate" => Plot { title: title.into(), x: "epoch".into(), y: y.into(), log_y: false, series },
        _ => scaled(title, y, series),
    }
}

/// Over epochs; with powers of ten where the values span more than a factor of thirty.
fn scaled(title: &str, y: &str, series: Vec<Series>) -> Plot {
    let values = || series.iter().flat_map(|s| &s.points).map(|p| p.1).filter(|v| *v > 0.0);
    let log_y = values().fold(0.0, f64::max) > 30.0 * values().fold(f64::INFINITY, f64::min);
    Plot { title: title.into(), x: "epoch".into(), y: y.into(), log_y, series }
}

/// Names in the order in which they first come.
fn names<'a, V: 'a>(lines: impl Iterator<Item = &'a Vec<(String, V)>>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in lines.flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn parts(report: &RunReport) -> Markup {
    let parts = &report.parts;
    let largest = parts.iter().map(|p| p.train.max(p.test)).max().unwrap_or(0).max(1);
    let bar = |n: u64| format!("width:{:.1}%", 100.0 * n as f64 / largest as f64);
    html! {
        @if !parts.is_empty() {
            h2 { "Parameters" }
            div.wide tabindex="0" role="region" aria-label="Parameters by part" {
                table.bars {
                    caption {
                        "Numbers of parameters: " span.swatch.train {} "trained, " span.swatch.test {} "at test time"
                    }
                    thead {
                        tr {
                            th scope="col" { "part" } th scope="col" { "trained" } th scope="col" { "at test time" }
                            td {}
                        }
                    }
                    tbody {
                        @for part in parts {
                            tr {
                                th scope="row" { (part.name) }
                                td { (thousands(part.train)) } td { (thousands(part.test)) }
                                td.bar aria-hidden="true" {
                                    @if part.train > 0 { div.train style=(bar(part.train)) {} }
                                    @if part.test > 0 { div.test style=(bar(part.test)) {} }
                                }
                            }
                        }
                    }
                    tfoot {
                        tr {
                            th scope="row" { "in all" }
                            td { (thousands(parts.iter().map(|p| p.train).sum())) }
                            td { (thousands(parts.iter().map(|p| p.test).sum())) }
                            td {}
                        }
                    }
                }
            }
            p.note { "At test time the vocabulary’s universal vectors are computed beforehand and looked up." }
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
