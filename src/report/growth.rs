//! What the page of a run says of a language that was added to it.

use maud::{Markup, html};

use crate::eval::Growth;

/// The table of all languages before and after, the learning curve, and what it cost.
pub fn section(growth: &Growth) -> Markup {
    let one = |x: Option<f64>| x.map_or("–".to_string(), |x| format!("{x:.1}"));
    html! {
        h2 { "The added language " bdi { (growth.language) } }
        div.wide tabindex="0" role="region" aria-label={ "Before and after adding " (growth.language) } {
            table {
                caption { "Mean recall in percent, before and after" }
                thead {
                    tr {
                        td {}
                        th.from colspan="2" scope="colgroup" { "val" } th.from colspan="2" scope="colgroup" { "test" }
                    }
                    tr {
                        th scope="col" { "language" }
                        @for _ in 0..2 { th.from scope="col" { "before" } th scope="col" { "after" } }
                    }
                }
                tbody {
                    @for r in &growth.results {
                        tr {
                            th scope="row" { (r.language) }
                            @for i in 0..2 { td.from { (one(r.before[i])) } td { (one(r.after[i])) } }
                        }
                    }
                }
            }
        }
        @if !growth.curve.is_empty() {
            table {
                caption { "Mean recall by the number of sentences learnt from, with the same word vectors" }
                thead {
                    tr { th scope="col" { "sentences" } th.from scope="col" { "val" } th scope="col" { "test" } }
                }
                tbody {
                    @for point in &growth.curve {
                        tr {
                            th scope="row" { (point.sentences) }
                            td.from { (one(point.mr[0])) } td { (one(point.mr[1])) }
                        }
                    }
                }
            }
        }
        ul.note {
            li {
                @if growth.unfrozen { "What all languages share was trained, so all of them change." }
                @else if growth.unchanged() { "The old languages’ results are the same to the last bit." }
                @else { "The old languages’ results have changed." }
            }
            @for fact in growth.facts() { li { (fact) } }
        }
    }
}
