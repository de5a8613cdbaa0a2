//! The results of tasks that have no section of their own.

use maud::{Markup, html};

use crate::eval::TaskResult;

/// The metrics of a task by language, and its protocol.
pub fn section(result: &TaskResult) -> Markup {
    html! {
        h2 { "Task " (result.task) " (" (result.name) ")" }
        div.wide tabindex="0" role="region" aria-label={ (result.task) " of " (result.name) } {
            table {
                caption { "What " (result.task) " has found" }
                thead {
                    tr { th scope="col" { "metric" } th scope="col" { "language" } th scope="col" { "value" } th scope="col" { "unit" } }
                }
                tbody {
                    @for metric in &result.metrics {
                        tr {
                            th scope="row" { (metric.name) }
                            td { (metric.language.as_deref().unwrap_or("all")) }
                            td { (format!("{:.1}", metric.value)) }
                            td { (metric.unit) @if !metric.higher_is_better { ", lower is better" } }
                        }
                    }
                }
            }
        }
        p.note { (result.protocol) "." }
    }
}
