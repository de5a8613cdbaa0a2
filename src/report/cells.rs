//! What the pages share: counts, rows of recalls, pictures.

use super::frame::number;
use maud::{Markup, html};

use super::picture::shown;
use super::{Example, ReportHit};
use crate::eval::Retrieval;

pub(super) fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The columns that all tables of recall have.
pub(super) fn recall_head(first: &str) -> Markup {
    html! {
        thead {
            tr {
                td {} td {}
                th.from colspan="4" scope="colgroup" { "text → image" }
                th.from colspan="4" scope="colgroup" { "image → text" }
                td.from {}
            }
            tr {
                th scope="col" { (first) } th scope="col" { "mR" }
                @for _ in 0..2 {
                    th.from scope="col" { "R@1" } th scope="col" { "R@5" } th scope="col" { "R@10" }
                    th scope="col" { "median" }
                }
                th.from scope="col" { "captions" }
            }
        }
    }
}

pub(super) fn recall_row(name: &str, note: &str, r: &Retrieval) -> Markup {
    let one = |x: f64| format!("{x:.1}");
    html! {
        tr {
            th scope="row" { (name) (note) }
            td.mr { (one(r.mr)) }
            @for side in [&r.t2i, &r.i2t] {
                td.from { (one(side.r1)) } td { (one(side.r5)) } td { (one(side.r10)) }
                td { (number(side.median_rank)) }
            }
            td.from { (r.captions) }
        }
    }
}

/// A query and what it finds.
pub(super) fn example_card(example: &Example) -> Markup {
    html! {
        article.query {
            blockquote {
                span.code { (example.language) }
                bdi dir="auto" lang=(example.language) { (example.query) }
                @if let Some(translation) = &example.translation {
                    br; bdi.quiet dir="auto" { (translation) }
                }
            }
            ol.hits {
                @for (rank, hit) in example.hits.iter().enumerate() { (found(rank + 1, hit, false)) }
                @if let Some((rank, hit)) = &example.missed { (found(*rank, hit, true)) }
            }
        }
    }
}

fn found(rank: usize, hit: &ReportHit, apart: bool) -> Markup {
    html! {
        li.right[hit.right].apart[apart] {
            (shown(&hit.picture))
            (rank) ". " (format!("{:.2}", hit.score))
            @if hit.right { span.mark title="the picture of this query" { " ✓" } }
        }
    }
}

/// 7086944 as 7,086,944.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
