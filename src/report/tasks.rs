//! The results of tasks that have no section of their own.

use maud::{Markup, html};

use crate::eval::TaskResult;
use crate::eval::task::table::Grid;

/// The metrics of a task by language, and its protocol.
pub fn section(result: &TaskResult) -> Markup {
    let grid = Grid::of(result);
    html! {
        h2 { "Task " (result.task) " (" (result.name) ")" }
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
        p.note { (result.protocol) "." }
    }
}
