//! The results of tasks that have no section of their own.

use maud::{Markup, html};

use crate::eval::TaskResult;
use crate::eval::task::space;
use crate::eval::task::table::Grid;

/// What a task has found: its pictures where it has some, else its metrics by language; and its protocol.
pub fn section(result: &TaskResult) -> Markup {
    html! {
        h2 { "Task " (result.task) " (" (result.name) ")" }
        @match &*result.task {
            space::NAME => (super::space::pictures(result)),
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
