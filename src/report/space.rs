//! Pictures of the space: sentences and languages in the plane, and what lies nearest across languages.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Deserialize;

use super::frame::range;
use super::plot::COLOURS;
use crate::eval::TaskResult;
use crate::eval::space::Point;
use crate::eval::task::space::{Alike, Example, Space};

/// The side of a drawing, in its own units, and the room round what is drawn.
const SIDE: f64 = 640.0;
const ROOM: f64 = 24.0;
/// Lines of whole cliques at most; where there would be more, translations are joined to their middle.
const LINES: usize = 20_000;

/// All pictures of a result of the task `space`.
pub fn pictures(result: &TaskResult) -> Markup {
    let Ok(space) = Space::deserialize(&result.details) else { return html! {} };
    let colours = Colours::of(&space);
    html! {
        div.curves.pair {
            (sentences(&space, &colours))
            @if !space.map.is_empty() { (map(&space, &colours)) }
        }
        (alike(&space.alike))
        (nearest(&space))
        @if !space.examples.is_empty() {
            h3 { "Nearest sentences across languages" }
            p.quiet {
                "For each language the sentence whose nearest ones are least often its translations, and the one in the middle; ✓ marks a translation."
            }
            @for example in &space.examples { (card(example)) }
        }
        p.note {
            "The numbers behind the pictures are kept as CSV beside the result: "
            code { "evaluation/" (result.task) "/" (result.name) ".points.csv" } ", "
            code { ".svcca.csv" } ", " code { ".map.csv" } " and " code { ".nearest.csv" } "."
        }
    }
}

/// Colours of languages: those of their groups where there are groups.
struct Colours<'a> {
    /// Names for the legend, in the order of the colours.
    names: Vec<&'a str>,
    /// The name of each language.
    of: Vec<(&'a str, &'a str)>,
}

impl<'a> Colours<'a> {
    fn of(space: &'a Space) -> Colours<'a> {
        let (mut names, mut of): (Vec<&str>, Vec<(&str, &str)>) = Default::default();
        for side in &space.sides {
            let language = side.language.as_str();
            let group = space.groups.iter().find(|(_, members)| members.iter().any(|m| m == language));
            let name = match (group, space.groups.is_empty()) {
                (Some((group, _)), _) => group.as_str(),
                (None, true) => language,
                (None, false) => "in no group",
            };
            if !names.contains(&name) {
                names.push(name);
            }
            of.push((language, name));
        }
        Colours { names, of }
    }

    fn class(&self, language: &str) -> String {
        let name = self.of.iter().find(|(l, _)| *l == language).map_or("", |(_, name)| name);
        format!("c{}", self.names.iter().position(|n| *n == name).unwrap_or(0) % COLOURS)
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for (n, name) in self.names.iter().enumerate() {
                    li { span class={ "dot line c" (n % COLOURS) } { "●" } span { (name) } }
                }
            }
        }
    }
}

/// Brings points into the drawing, with the same scale for both axes.
fn placed<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> impl Fn(&Point) -> (f64, f64) {
    let ends = [0, 1].map(|axis| range(points.clone().map(|p| p[axis])).unwrap_or((0.0, 1.0)));
    let span = ends.iter().map(|(low, high)| high - low).fold(0.0, f64::max);
    let scale = if span > 0.0 { (SIDE - 2.0 * ROOM) / span } else { 0.0 };
    move |p| {
        let at = |axis: usize| SIDE / 2.0 + (p[axis] - (ends[axis].0 + ends[axis].1) / 2.0) * scale;
        // Upwards is up.
        (at(0), SIDE - at(1))
    }
}

fn sentences(space: &Space, colours: &Colours) -> Markup {
    let place = placed(space.sides.iter().flat_map(|side| &side.points));
    let (joins, whole) = joins(space, &place);
    let dots = |points: &[Point]| {
        let dot = |p: &Point| {
            let (x, y) = place(p);
            format!("M{x:.1} {y:.1}h.01")
        };
        points.iter().map(dot).collect::<String>()
    };
    let points: usize = space.sides.iter().map(|side| side.points.len()).sum();
    let title = format!("{points} sentences, by t-SNE");
    html! {
        figure.plot {
            figcaption { (title) }
            svg viewBox={ "0 0 " (SIDE) " " (SIDE) } role="img" aria-label=(title) {
                path.joins d=(joins) {}
                @for side in &space.sides {
                    path class={ "dots " (colours.class(&side.language)) } d=(dots(&side.points)) { title { (side.language) } }
                }
            }
            (colours.legend())
            p.note {
                @if whole { "Lines join translations; " } @else { "Lines join translations with their middle; " }
                "the longer, the farther apart they are. Distances between far groups say little. "
                (format!("{:.1} % trustworthy: so far neighbours here are neighbours among the vectors.", 100.0 * space.trustworthiness))
            }
        }
    }
}

/// Lines between translations, and whether every two are joined.
fn joins(space: &Space, place: &impl Fn(&Point) -> (f64, f64)) -> (String, bool) {
    let mut cliques: BTreeMap<(usize, usize), Vec<(f64, f64)>> = BTreeMap::new();
    for side in &space.sides {
        for (&line, point) in side.lines.iter().zip(&side.points) {
            cliques.entry((side.set, line)).or_default().push(place(point));
        }
    }
    let whole = cliques.values().map(|c| c.len() * (c.len() - 1) / 2).sum::<usize>() <= LINES;
    let line = |(ax, ay): (f64, f64), (bx, by): (f64, f64)| format!("M{ax:.1} {ay:.1}L{bx:.1} {by:.1}");
    let of = |clique: &[(f64, f64)]| -> String {
        if whole {
            let pairs = (0..clique.len()).flat_map(|a| (a + 1..clique.len()).map(move |b| (a, b)));
            return pairs.map(|(a, b)| line(clique[a], clique[b])).collect();
        }
        let n = clique.len() as f64;
        let middle =
            (clique.iter().map(|p| p.0).sum::<f64>() / n, clique.iter().map(|p| p.1).sum::<f64>() / n);
        clique.iter().map(|p| line(*p, middle)).collect()
    };
    (cliques.values().map(|clique| of(clique)).collect(), whole)
}

fn map(space: &Space, colours: &Colours) -> Markup {
    let place = placed(space.map.iter().map(|(_, p)| p));
    let title = "Languages by SVCCA, as Laplacian eigenmaps";
    html! {
        figure.plot {
            figcaption { (title) }
            svg viewBox={ "0 0 " (SIDE) " " (SIDE) } role="img" aria-label=(title) {
                @for (language, point) in &space.map {
                    @let (x, y) = place(point);
                    g class=(colours.class(language)) {
                        circle cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="5" {}
                        text.named x=(format!("{x:.1}")) y=(format!("{:.1}", y - 9.0)) text-anchor="middle" { (language) }
                    }
                }
            }
            (colours.legend())
            p.note { "Near languages have vectors that a linear map turns into each other’s. The axes have no meaning of their own." }
        }
    }
}

/// A table of every two languages.
fn alike(all: &[Alike]) -> Markup {
    let mut languages: Vec<&str> = Vec::new();
    for code in all.iter().flat_map(|a| [a.first.as_str(), a.second.as_str()]) {
        if !languages.contains(&code) {
            languages.push(code);
        }
    }
    let of = |a: &str, b: &str| {
        let same = |one: &&Alike| [(a, b), (b, a)].contains(&(one.first.as_str(), one.second.as_str()));
        all.iter().find(same).map(|one| 100.0 * one.svcca)
    };
    let tint =
        |value: f64| format!("background:color-mix(in srgb,var(--c0) {:.0}%,var(--card))", 0.6 * value);
    html! {
        @if !all.is_empty() {
            div.wide.more tabindex="0" role="region" aria-label="SVCCA of languages" {
                table {
                    caption { "SVCCA of every two languages, × 100" }
                    thead { tr { td {} @for language in &languages { th scope="col" { (language) } } } }
                    tbody {
                        @for a in &languages {
                            tr {
                                th scope="row" { (a) }
                                @for b in &languages {
                                    @match of(a, b) {
                                        Some(value) => td style=(tint(value)) { (format!("{value:.1}")) },
                                        None => td { @if a == b { "" } @else { "–" } },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn nearest(space: &Space) -> Markup {
    html! {
        div.wide.more tabindex="0" role="region" aria-label="Nearest across languages" {
            table {
                caption { "In percent of the sentences of the picture: the nearest one in any other language, whether it is a translation and where it is" }
                thead {
                    tr { th scope="col" { "of" } th scope="col" { "is a translation" } th scope="col" { "is in" } }
                }
                tbody {
                    @for one in &space.nearest {
                        tr {
                            th scope="row" { (one.language) }
                            td { (format!("{:.1}", one.translation)) }
                            td {
                                @for (n, (language, share)) in one.of.iter().enumerate() {
                                    @if n > 0 { " · " } (language) " " (format!("{share:.0}"))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn card(example: &Example) -> Markup {
    html! {
        article.query {
            blockquote {
                span.code { (example.language) } bdi dir="auto" lang=(example.language) { (example.text) }
            }
            ul.near {
                @for found in &example.found {
                    li {
                        span.code { (found.language) } (format!("{:.2} ", found.cosine))
                        @if found.translation {
                            span.mark title="its translation" { "✓ " }
                        } @else {
                            span.miss title="another sentence" { "✗ " }
                        }
                        bdi dir="auto" lang=(found.language) { (found.text) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::task::space::{Found, Nearest, Placed};

    fn space(lines: usize, languages: usize) -> Space {
        let codes: Vec<String> = (0..languages).map(|n| format!("l{n}")).collect();
        let side = |n: usize| Placed {
            language: codes[n].clone(),
            set: 0,
            lines: (1..=lines).collect(),
            points: (0..lines).map(|line| [line as f64, n as f64]).collect(),
        };
        let found =
            vec![Found { language: "l1".into(), text: "b<c".into(), cosine: 0.5, translation: false }];
        Space {
            perplexity: 5.0,
            neighbours: 3,
            trustworthiness: 0.925,
            sides: (0..languages).map(side).collect(),
            alike: vec![Alike {
                first: "l0".into(),
                second: "l1".into(),
                sentences: lines,
                directions: [2, 3],
                svcca: 0.5,
            }],
            map: codes.iter().enumerate().map(|(n, l)| (l.clone(), [n as f64, 0.0])).collect(),
            nearest: vec![Nearest {
                language: "l0".into(),
                translation: 50.0,
                of: vec![("l1".into(), 100.0)],
            }],
            examples: vec![Example { language: "l0".into(), line: 1, text: "a".into(), found }],
            groups: Vec::new(),
        }
    }

    #[test]
    fn translations_are_joined_two_by_two_or_by_their_middle() {
        let place = |p: &Point| (p[0], p[1]);
        let (lines, whole) = joins(&space(2, 3), &place);
        assert!(whole);
        assert_eq!(lines.matches('L').count(), 6);
        assert!(lines.starts_with("M0.0 0.0L0.0 1.0M0.0 0.0L0.0 2.0M0.0 1.0L0.0 2.0"), "{lines}");
        let (lines, whole) = joins(&space(1000, 7), &place);
        assert!(!whole);
        assert_eq!(lines.matches('L').count(), 7000);
    }

    #[test]
    fn the_drawing_keeps_proportions_and_stays_inside() {
        let points = [[0.0, 0.0], [10.0, 5.0]];
        let place = placed(points.iter());
        let ((ax, ay), (bx, by)) = (place(&points[0]), place(&points[1]));
        assert_eq!((ax, bx), (ROOM, SIDE - ROOM));
        assert!((bx - ax - 2.0 * (ay - by)).abs() < 1e-9 && ay > by, "{ay} {by}");
        let alone = placed(points[..1].iter())(&points[0]);
        assert_eq!(alone, (SIDE / 2.0, SIDE / 2.0));
    }

    #[test]
    fn the_page_has_all_pictures_and_escapes_sentences() {
        let space = Space { groups: vec![("seen".into(), vec!["l0".into()])], ..space(3, 3) };
        let result = TaskResult {
            task: "space".into(),
            name: "test".into(),
            data: None,
            protocol: String::new(),
            metrics: Vec::new(),
            details: serde_json::to_value(&space).unwrap(),
            warnings: Vec::new(),
        };
        let page = pictures(&result).into_string();
        for said in [
            "9 sentences, by t-SNE",
            "Laplacian",
            "50.0",
            "b&lt;c",
            "in no group",
            "92.5 %",
            "test.points.csv",
        ] {
            assert!(page.contains(said), "{said} is not in {page}");
        }
    }
}
