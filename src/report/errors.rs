//! What is found best and worst, the same query in several languages, and pictures that are confused.

use maud::{Markup, html};

use super::cells::example_card;
use super::picture::shown;
use super::{Confusion, Errors, Extremes, FoundText, OfPicture, SideBySide, Told};

/// All of it, with a part to open for each language.
pub fn section(errors: &Errors) -> Markup {
    let Errors { languages, side_by_side, confusions } = errors;
    html! {
        @if !languages.is_empty() {
            h2 { "Best and worst" }
            p.quiet {
                "For each language what is found first by the widest margins, and what has the last ranks, of captions that look for pictures and of pictures "
                "that look for captions. ✓ marks what belongs together; the right answer stands apart where it is not among the first."
            }
            @for told in languages { (of_language(told)) }
        }
        @if !side_by_side.is_empty() {
            h2 { "The same query, language by language" }
            p.quiet { "The queries whose ranks differ most from language to language: with each the rank of its picture, and the pictures found first." }
            @for query in side_by_side { (beside(query)) }
        }
        @if !confusions.is_empty() {
            h2 { "Pictures that are confused" }
            p.quiet { "Pairs of which captions of the one most often find the other first; beside them by language how many do, both ways." }
            ul.confused { @for one in confusions { (confusion(one)) } }
        }
    }
}

fn of_language(told: &Told) -> Markup {
    let [looked, all] = told.captions;
    html! {
        details.told {
            summary {
                span.code { (told.language) } (looked) " captions"
                @if looked < all { " of " (all) ", evenly spread" }
            }
            (kinds("Captions that find their picture first", "Captions whose picture comes last", &told.texts, example_card))
            (kinds("Pictures that find their caption first", "Pictures whose captions come last", &told.pictures, of_picture))
        }
    }
}

fn kinds<T>(best: &str, worst: &str, some: &Extremes<T>, card: fn(&T) -> Markup) -> Markup {
    html! {
        @for (name, some) in [(best, &some.best), (worst, &some.worst)] {
            @if !some.is_empty() {
                h3 { (name) }
                @for one in some { (card(one)) }
            }
        }
    }
}

fn of_picture(one: &OfPicture) -> Markup {
    html! {
        article.query.picture {
            div.hits { div { (shown(&one.picture)) } }
            ol.near {
                @for (n, found) in one.found.iter().enumerate() { (text(n + 1, found)) }
                @if let Some((rank, found)) = &one.missed { (text(*rank, found)) }
            }
        }
    }
}

fn text(rank: usize, found: &FoundText) -> Markup {
    html! {
        li.right[found.right] {
            (rank) ". " (format!("{:.2} ", found.score))
            @if found.right { span.mark title="a caption of this picture" { "✓ " } }
            bdi dir="auto" { (found.text) }
        }
    }
}

fn beside(query: &[SideBySide]) -> Markup {
    html! {
        article.query.beside {
            @for one in query {
                div {
                    p {
                        span.code { (one.language) } "rank " (one.rank) " "
                        @if one.rank == 1 { span.mark { "✓ " } } @else { span.miss { "✗ " } }
                        bdi dir="auto" lang=(one.language) { (one.text) }
                    }
                    ol.hits {
                        @for hit in &one.hits { li.right[hit.right] { (shown(&hit.picture)) (format!("{:.2}", hit.score)) } }
                    }
                }
            }
        }
    }
}

fn confusion(one: &Confusion) -> Markup {
    let ways = |side: usize| {
        let all: usize = one.queries.iter().map(|(_, n)| n[side]).sum();
        let of = one.queries.iter().filter(|(_, n)| n[side] > 0).map(|(l, n)| format!("{l} {}", n[side]));
        format!("{all} ({})", of.collect::<Vec<_>>().join(", "))
    };
    let some = |side: usize| one.queries.iter().any(|(_, n)| n[side] > 0);
    html! {
        li.query {
            div.hits { @for picture in &one.pictures { div { (shown(picture)) } } }
            p.quiet {
                @if some(0) { "captions of the first that find the second: " (ways(0)) }
                @if some(0) && some(1) { br; }
                @if some(1) { "of the second that find the first: " (ways(1)) }
            }
        }
    }
}
