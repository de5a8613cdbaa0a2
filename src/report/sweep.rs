//! The page of a sweep: recall against what it costs, with the Pareto front, and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::along::Along;
use super::cells::{count, thousands};
use super::frame::number;
use super::frame::{Axis, Frame, range};
use super::groups::{Group, HEIGHT, Spread, WIDTH, colour, family_keys, key};
use crate::config::BEST;
use crate::eval::{Evaluation, front};
use crate::sweep::{Cost, Row, Status};

/// The whole page, which first shows recall against a cost: `by`, where that is known of any trial.
pub fn html(name: &str, rows: &[Row], by: Cost) -> String {
    let groups = Group::all(rows);
    let families = unique(rows.iter().map(|row| row.family.as_str()));
    let on_front = |cost: Cost| {
        let points: Vec<_> = groups.iter().map(|g| g.point(cost).map(|(x, y)| (x, y.mean))).collect();
        front(&points)
    };
    // Sweeps of earlier programs did not pack, or did not measure what they packed.
    let in_use = |cost: Cost| ![Cost::Train, Cost::Test].contains(&cost);
    let known = |cost: &Cost| !in_use(*cost) || groups.iter().any(|g| g.point(*cost).is_some());
    let costs: Vec<(Cost, Vec<usize>)> =
        Cost::ALL.into_iter().filter(known).map(|c| (c, on_front(c))).collect();
    let shown = costs.iter().position(|(cost, _)| *cost == by).unwrap_or(0);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (name) " · tinyglot" }
                style { (PreEscaped(include_str!("page.css"))) (PreEscaped(include_str!("sweep.css"))) }
            }
            body {
                main {
                    (header(name, rows, &groups))
                    @if let Some(along) = Along::of(&groups) { (along.section(&groups, &families)) }
                    @if !groups.is_empty() {
                        h2 { "What a model costs, and what that buys" }
                        div.chosen {
                            @for (n, (cost, _)) in costs.iter().enumerate() {
                                input id=(key(*cost)) type="radio" name="cost" checked[n == shown];
                                label for=(key(*cost)) { (cost.title()) }
                            }
                            @for (cost, front) in &costs {
                                div class=(key(*cost)) { (figure(&groups, &families, *cost, front)) }
                            }
                        }
                        (groups_table(&groups, &families, &costs[shown]))
                        (figures_table(&groups))
                    }
                    (trials_table(rows))
                }
                script { (PreEscaped(include_str!("sweep.js"))) }
            }
        }
    }
    .into_string()
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    names.for_each(|name| {
        if !unique.contains(&name) {
            unique.push(name);
        }
    });
    unique
}

/// What all trials chose their checkpoints by; where they differ, the usual.
fn chosen_by(rows: &[Row]) -> &str {
    match rows.first() {
        Some(first) if rows.iter().all(|row| row.by == first.by) => &first.by,
        _ => BEST[0],
    }
}

/// The model to choose: test tells what it is worth, not which it is.
fn chosen<'a, 'r>(groups: &'a [Group<'r>], by: &str) -> Option<&'a Group<'r>> {
    let value = |row: &Row| match row.chosen {
        Some(_) => row.worth(),
        None => row.val.as_ref().and_then(|e| e.metric(by)),
    };
    let val = |group: &Group| group.spread(value).map(|spread| spread.mean);
    let known = groups.iter().filter_map(|group| Some((group, val(group)?)));
    known.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(group, _)| group)
}

fn header(name: &str, rows: &[Row], groups: &[Group]) -> Markup {
    let done = rows.iter().filter(|row| row.status == Status::Done).count();
    let failed = rows.iter().filter(|row| row.status == Status::Failed).count();
    let by = chosen_by(rows);
    let best = chosen(groups, by).and_then(|group| Some((group, group.point(Cost::Train)?)));
    html! {
        header {
            h1 dir="auto" { (name) }
            p.lead {
                (count(rows.len() as u64, "trial")) ", " (done) " done"
                @if failed > 0 { ", " b { (failed) " failed" } }
                "."
                @if let Some((group, (x, y))) = best {
                    " The best " (if by == BEST[0] { "mean recall (A)" } else { by })
                    // The name of a figure says what it is of.
                    @if !by.contains('/') { " on val" }
                    " is that of " bdi { (group.name) } ", which has "
                    b { (y.text()) } " % on test with " b { (number(x)) } " trained parameters."
                }
            }
        }
    }
}

// The drawing in its own units; the page scales it.

/// Mean A on test against a cost, a point for each group, its ends over seeds, and the front.
fn figure(groups: &[Group], families: &[&str], cost: Cost, front: &[usize]) -> Markup {
    let points: Vec<_> = groups.iter().map(|group| group.point(cost)).collect();
    let all = || points.iter().flatten();
    let ends = || all().flat_map(|(_, y)| [y.low, y.high]);
    let (Some(x), Some(y)) = (range(all().map(|p| p.0)), range(ends())) else {
        return html! { p.nothing { "No values." } };
    };
    let frame = Frame::new(WIDTH, HEIGHT, Axis::log(x), Axis::linear(y, 6));
    let line = frame.path(front.iter().filter_map(|&n| points[n]).map(|(x, y)| (x, y.mean)));
    let title = format!("Mean recall on test against {}", cost.title());
    html! {
        figure.plot {
            figcaption { (title) }
            svg viewBox=(frame.view_box()) role="img" aria-label=(title) {
                (frame.axes(cost.title(), "mean recall A, %"))
                polyline.front points=(line) {}
                @for (n, group) in groups.iter().enumerate() {
                    @if let Some((x, y)) = points[n] {
                        @let (at, mean) = frame.at((x, y.mean));
                        a href={ "#" (group.id) } class={ "line " (colour(group.family, families)) } {
                            title { (group.label(cost)) }
                            @if y.n > 1 {
                                line.spread x1=(at) x2=(at) y1=(frame.at((x, y.low)).1) y2=(frame.at((x, y.high)).1) {}
                            }
                            circle.inside[!front.contains(&n)] cx=(at) cy=(mean) r="5.5" {}
                        }
                    }
                }
            }
            ul.legend {
                (family_keys(families))
                li {
                    svg.key viewBox="0 0 22 8" aria-hidden="true" { polyline.front points="0,4 22,4" {} }
                    span { "no other one costs less and has a higher mean" }
                }
            }
        }
        p.note {
            "A full point lies on the front, a hollow one behind it; a vertical line joins the lowest and the highest seed. "
            "Hover for the name, click to find it in the table."
        }
    }
}

/// A cell that sorts by its number.
fn cell(text: String, value: Option<f64>) -> Markup {
    html! { td data-v=(value.map_or(String::new(), |v| v.to_string())) { (text) } }
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".into())
}

fn mean_cell(spread: Option<Spread>) -> Markup {
    cell(dash(spread.map(|s| s.text())), spread.map(|s| s.mean))
}

fn groups_table(groups: &[Group], families: &[&str], (by, front): &(Cost, Vec<usize>)) -> Markup {
    let languages: Vec<&str> = unique(
        groups
            .iter()
            .flat_map(|g| &g.rows)
            .filter_map(|row| row.test.as_ref())
            .flat_map(|e| e.languages.iter().map(|(l, _)| l.as_str())),
    );
    let of_language =
        |e: &Evaluation, language: &str| e.languages.iter().find(|(l, _)| l == language).map(|(_, r)| r.mr);
    html! {
        div.wide tabindex="0" role="region" aria-label="Results by model" {
            table.sortable {
                caption {
                    "Mean recall in percent on test, mean ± standard deviation over seeds; ● is on the front of "
                    (by.title()) ". Click a head to sort."
                }
                thead {
                    tr {
                        th scope="col" { "model" } th scope="col" { "family" } th scope="col" { "front" }
                        th scope="col" { "seeds" } th scope="col" { "trained" } th scope="col" { "at test time" }
                        th scope="col" { "A" } th scope="col" { "HA" } th scope="col" { "val A" }
                        @for language in &languages { th scope="col" { (language) } }
                        th scope="col" { "MB" } th scope="col" { "packed, MB" } th scope="col" { "µs a sentence" }
                        th scope="col" { "resident, MB" } th scope="col" { "training, GB" } th scope="col" { "training, min" }
                    }
                }
                tbody {
                    @for (n, group) in groups.iter().enumerate() {
                        @let parameters = |p: Cost| group.spread(|row| p.of(row)).map(|s| s.mean);
                        tr id=(group.id) {
                            th scope="row" { bdi { (group.name) } }
                            td { span class={ "dot line " (colour(group.family, families)) } { "●" } " " (group.family) }
                            (cell((if front.contains(&n) { "●" } else { "" }).into(), Some(front.contains(&n) as u8 as f64)))
                            (cell(group.rows.len().to_string(), Some(group.rows.len() as f64)))
                            @for p in [Cost::Train, Cost::Test] {
                                (cell(dash(parameters(p).map(|n| thousands(n.round() as u64))), parameters(p)))
                            }
                            (mean_cell(group.test(|e| Some(e.a))))
                            (mean_cell(group.test(|e| e.ha)))
                            (mean_cell(group.spread(|row| row.val.as_ref().map(|e| e.a))))
                            @for language in &languages { (mean_cell(group.test(|e| of_language(e, language)))) }
                            (measure(group, 1e6, |row| row.bytes.map(|n| n as f64)))
                            (measure(group, 1e6, |row| Cost::Packed.of(row)))
                            (measure(group, 1.0, |row| Cost::Time.of(row)))
                            (measure(group, 1e6, |row| Cost::Memory.of(row)))
                            (measure(group, 1e9, |row| row.peak_memory.map(|n| n as f64)))
                            (measure(group, 60.0, |row| row.train_seconds))
                        }
                    }
                }
            }
        }
    }
}

/// All further figures.
fn figures_table(groups: &[Group]) -> Markup {
    let names =
        unique(groups.iter().flat_map(|g| &g.rows).flat_map(|row| row.figures.iter().map(|f| f.0.as_str())));
    let of = |row: &Row, name: &str| row.figures.iter().find(|f| f.0 == name).map(|f| f.1);
    html! {
        @if !names.is_empty() {
            h2 { "Further figures" }
            div.wide tabindex="0" role="region" aria-label="Further figures by model" {
                table.sortable {
                    caption { "As task/set/metric/language, mean ± standard deviation over seeds. Click a head to sort." }
                    thead {
                        tr {
                            th scope="col" { "model" }
                            @for name in &names { th scope="col" { (name) } }
                        }
                    }
                    tbody {
                        @for group in groups {
                            tr {
                                th scope="row" { bdi { (group.name) } }
                                @for name in &names { (mean_cell(group.spread(|row| of(row, name)))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A mean in a larger unit.
fn measure(group: &Group, unit: f64, value: impl Fn(&Row) -> Option<f64>) -> Markup {
    let mean = group.spread(value).map(|s| s.mean / unit);
    cell(dash(mean.map(number)), mean)
}

fn trials_table(rows: &[Row]) -> Markup {
    html! {
        h2 { "All trials" }
        div.wide tabindex="0" role="region" aria-label="All trials" {
            table.sortable {
                thead {
                    tr {
                        th scope="col" { "trial" } th scope="col" { "seed" } th scope="col" { "id" }
                        th scope="col" { "status" } th scope="col" { "starts" } th scope="col" { "val A" }
                        th scope="col" { "A" } th scope="col" { "minutes" } th scope="col" { "why it failed" }
                    }
                }
                tbody {
                    @for row in rows {
                        @let a = |e: &Option<Evaluation>| e.as_ref().map(|e| e.a);
                        tr {
                            th scope="row" { bdi { (row.name) } }
                            (cell(row.seed.to_string(), Some(row.seed as f64)))
                            td { code { (row.id) } }
                            td { (row.status) }
                            (cell(row.attempts.to_string(), Some(f64::from(row.attempts))))
                            (cell(dash(a(&row.val).map(|a| format!("{a:.1}"))), a(&row.val)))
                            (cell(dash(a(&row.test).map(|a| format!("{a:.1}"))), a(&row.test)))
                            (cell(number(row.seconds / 60.0), Some(row.seconds)))
                            td.why { (row.error.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
