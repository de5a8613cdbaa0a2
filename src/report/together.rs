//! Queries in several languages at once: their recalls, and some of them before and after.

use maud::{Markup, html};

use super::cells::{recall_head, recall_row};
use super::picture::shown;
use super::{Compared, ReportHit};
use crate::eval::consistency::{ByLanguage, WAYS};
use crate::eval::{Consistency, Evaluation};

/// All of it, of the evaluation and of the queries.
pub fn section(
    evaluation: Option<&Evaluation>,
    consistency: Option<&Consistency>,
    compared: &[Compared],
) -> Markup {
    let by_language = evaluation.and_then(|e| e.by_language.as_ref());
    html! {
        @if by_language.is_some() || consistency.is_some() || !compared.is_empty() {
            h2 { "The same query in several languages" }
        }
        @if let Some(by_language) = by_language { (by_language_tables(by_language)) }
        @if let Some(consistency) = consistency { (consistency_table(consistency)) }
        @if !compared.is_empty() {
            h3 { "Queries before and after CLC-C" }
            p.quiet {
                "The picture found first for a query alone, and for it with its translations by CLC-C; below, the picture that each "
                "language finds first alone. ✓ marks the query’s own picture. Shown are, for each language, the first test query "
                "that CLC-C corrects and the first that it spoils, where there are such among the first 1,000."
            }
            @for one in compared { (card(one)) }
        }
    }
}

/// As tables 1 and 2 of the paper, then every recall, as its tables 7 to 12.
fn by_language_tables(c: &ByLanguage) -> Markup {
    let measured = || c.languages.iter().filter(|(_, coverage)| coverage.alone.is_some());
    let one = |x: Option<f64>| x.map_or("–".into(), |x| format!("{x:.1}"));
    html! {
        @if measured().next().is_some() {
            div.wide tabindex="0" role="region" aria-label="Mean recall with translations" {
                table {
                    caption { "Mean recall (mR) in percent of all captions by people, alone and with their translations" }
                    thead {
                        tr {
                            th scope="col" { "query" }
                            @for (language, _) in &c.languages { th scope="col" { (language) } }
                            th.from scope="col" { "HA" }
                        }
                    }
                    tbody {
                        @for (n, way) in WAYS.iter().enumerate() {
                            tr {
                                th scope="row" { (way) }
                                @for (_, coverage) in &c.languages {
                                    td { (one(coverage.rows().nth(n).map(|(_, r)| r.mr))) }
                                }
                                td.from.mr { (one(c.ha.map(|ha| ha.values()[n]))) }
                            }
                        }
                    }
                }
            }
            div.wide.more tabindex="0" role="region" aria-label="Recall with translations" {
                table {
                    caption { "Recall in percent" }
                    (recall_head("query in"))
                    @for (language, coverage) in measured() {
                        tbody.joined { @for (way, r) in coverage.rows() { (recall_row(language, &format!(" {way}"), r)) } }
                    }
                }
            }
        }
        p.note { (c.note()) }
    }
}

fn consistency_table(c: &Consistency) -> Markup {
    let shares: Vec<String> = c.weights.iter().map(|(l, w)| format!("{l} {w:.2}")).collect();
    html! {
        div.wide.more tabindex="0" role="region" aria-label="Cross-lingual consistency" {
            table {
                caption { "Recall in percent of " (c.queries) " parallel queries over " (c.images) " pictures" }
                (recall_head("query in"))
                tbody { @for (language, r) in &c.languages { (recall_row(language, "", r)) } }
                tbody.joined { @for (name, r) in c.rows().skip(c.languages.len()) { (recall_row(name, "", r)) } }
            }
        }
        p.note {
            "CLC-A: the mean of the languages’ scores. CLC-C: the network of the paper, fitted on the validation split. "
            "Weighted: one weight per language, fitted there too, by a convex loss (" (shares.join(", ")) ")."
        }
    }
}

fn card(one: &Compared) -> Markup {
    html! {
        article.query {
            blockquote {
                span.code { (one.language) }
                bdi dir="auto" lang=(one.language) { (one.query) }
            }
            ol.hits.two { (first("alone", &one.before)) (first("CLC-C", &one.after)) }
            ol.hits.said {
                @for said in &one.said {
                    li class=(side(&said.hit)) {
                        (shown(&said.hit.picture))
                        span.code { (said.language) } (mark(&said.hit)) br;
                        bdi dir="auto" lang=(said.language) { (said.text) }
                    }
                }
            }
        }
    }
}

fn first(name: &str, hit: &ReportHit) -> Markup {
    html! {
        li class=(side(hit)) { (shown(&hit.picture)) b { (name) } " " (mark(hit)) }
    }
}

fn side(hit: &ReportHit) -> &'static str {
    if hit.right { "right" } else { "wrong" }
}

fn mark(hit: &ReportHit) -> Markup {
    html! {
        @if hit.right {
            span.mark title="the picture of this query" { "✓" }
        } @else {
            span.miss title="another picture" { "✗" }
        }
    }
}
