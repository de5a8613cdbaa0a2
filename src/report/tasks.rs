//! The results of tasks that have no section of their own.

use maud::{Markup, html};

use crate::eval::TaskResult;
use crate::eval::task::Measure;
use crate::eval::task::classification::Classification;
use crate::eval::task::space::Space;
use crate::eval::task::table::Grid;

/// What a task has found: its pictures where it has some, else its metrics by language; and its protocol.
pub fn section(result: &TaskResult) -> Markup {
    html! {
        h2 { "Task " (result.task) " (" (result.name) ")" }
        @match &*result.task {
            Space::NAME => (super::space::pictures(result)),
            Classification::NAME => {
                (metrics(result))
                @if let Some(found) = Classification::of(result) { (confused(&found)) }
            }
            _ => (metrics(result)),
        }
        p.note { (result.protocol) "." }
    }
}

fn metrics(result: &TaskResult) -> Markup {
    let grid = Grid::of(result);
    html! {
        div.wide tabindex="0" role="region" aria-label={ (result.task) " of " (result.name) } {
            table {
                caption { "What " (result.task) " has found" }
                thead {
                    tr {
                        th scope="col" { "of" }
                        @for (name, lower) in &grid.columns {
                            th scope="col" title=[lower.then_some("lower is better")] { (name) @if *lower { " ↓" } }
                        }
                    }
                }
                tbody {
                    @for (of, values) in &grid.rows {
                        tr {
                            th scope="row" { (of) }
                            @for value in values { td { @if let Some(value) = value { (format!("{value:.1}")) } } }
                        }
                    }
                }
            }
        }
    }
}

/// Confusions of classes that are shown.
const CONFUSED: usize = 15;

/// Which classes are taken for which others.
fn confused(found: &Classification) -> Markup {
    let confused = found.confused(CONFUSED);
    let names = found.names().unwrap_or_default();
    let percent = |value: f64| format!("{value:.1}");
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let several = found.languages.len() > 1;
    html! {
        @if !confused.is_empty() {
            div.wide.more tabindex="0" role="region" aria-label="Classes that are taken for others" {
                table {
                    caption { "Classes that are most often taken for others: percent of the pictures of the class" }
                    thead {
                        tr {
                            th scope="col" { "class" } th scope="col" { "taken for" } th scope="col" { "pictures" }
                            @if several { th scope="col" { "mean" } }
                            @for l in &found.languages { th scope="col" { (l.language) } }
                        }
                    }
                    tbody {
                        @for one in &confused {
                            tr {
                                th scope="row" { bdi dir="auto" { (names[one.class]) } }
                                td { bdi dir="auto" { (names[one.taken_for]) } }
                                td { (one.pictures.round()) }
                                @if several { td { (percent(mean(&one.shares))) } }
                                @for share in &one.shares { td { (percent(*share)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
