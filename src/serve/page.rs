//! The page: a sentence, and pictures. It is whole without a script, so every search has an address, and works with keyboard and screen reader
//! as pages do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::answer::Refusal;
use super::api::Pairs;
use super::find::{self, Found, LONGEST, MOST, OneOrMore, Query};
use super::languages::own_name;
use crate::config::same_code;

/// Pictures that are shown at first, and each further time.
const SHOWN: usize = 24;

/// What is asked for: a text and its language in each row of the form, or a picture.
struct Asked {
    rows: Vec<(String, String)>,
    like: Option<usize>,
    k: usize,
    /// The language that empty rows begin with.
    language: String,
}

/// What is shown below the form.
struct Shown {
    /// What the pictures are.
    title: Markup,
    hits: Vec<Found>,
    warnings: Vec<String>,
    /// Whether the hits have scores.
    scored: bool,
}

pub async fn style() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "private, max-age=300");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), kept], include_str!("page.css"))
}

pub async fn icon() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "private, max-age=86400");
    ([(header::CONTENT_TYPE, "image/svg+xml"), kept], include_str!("icon.svg"))
}

pub async fn page(State(state): State<Arc<super::State>>, uri: Uri, headers: HeaderMap) -> Response {
    let mut asked = Asked::read(&state, &Pairs::any(&uri), &headers);
    let shown = match &mut asked {
        Ok(asked) => shown(&state, asked).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let asked = asked.unwrap_or_else(|_| Asked::nothing(preferred(&state.languages, &headers)));
    match shown {
        Ok(shown) => Html(whole(&state, &asked, Ok(&shown)).into_string()).into_response(),
        Err(refusal) => refusal.with_page(Html(whole(&state, &asked, Err(&refusal)).into_string())),
    }
}

impl Asked {
    fn nothing(language: String) -> Asked {
        Asked { rows: Vec::new(), like: None, k: SHOWN, language }
    }

    fn read(state: &super::State, pairs: &Pairs, headers: &HeaderMap) -> Result<Asked, Refusal> {
        let (texts, languages) = (pairs.all("q"), pairs.all("language"));
        let language = languages.first().cloned().unwrap_or_else(|| preferred(&state.languages, headers));
        let languages = languages.into_iter().map(Some).chain(std::iter::repeat(None));
        let rows = texts.into_iter().zip(languages).map(|(text, given)| {
            let language = given.unwrap_or_else(|| language.clone());
            (text.trim().to_string(), language)
        });
        let rows = rows.filter(|(text, _)| !text.is_empty()).collect();
        let k = find::count(pairs.number("k")?.unwrap_or(SHOWN))?;
        Ok(Asked { rows, like: pairs.number("like")?, k, language })
    }

    /// The address of the same with more pictures.
    fn more(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_string(), 2);
        self.rows.iter().for_each(|(text, language)| {
            query.append_pair("q", text).append_pair("language", language);
        });
        if let Some(row) = self.like {
            query.append_pair("like", &row.to_string()).append_pair("language", &self.language);
        }
        query.append_pair("k", &(self.k + SHOWN).min(MOST).to_string()).finish() + "#results"
    }

    fn like(&self, row: usize) -> String {
        let language = self.rows.first().map_or(&self.language, |(_, language)| language);
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_string(), 2);
        query.append_pair("like", &row.to_string()).append_pair("language", language).finish()
    }
}

/// The first language that a browser asks for and the model knows, else the model's first.
fn preferred(languages: &[String], headers: &HeaderMap) -> String {
    let wanted =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = wanted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    let main = |code: &str| code.split(['-', '_']).next().unwrap_or_default().to_string();
    let known = |wanted: &str| {
        let exactly = languages.iter().find(|code| same_code(code, wanted));
        exactly.or_else(|| languages.iter().find(|code| same_code(&main(code), &main(wanted))))
    };
    wanted.filter(|wanted| !wanted.is_empty()).find_map(known).unwrap_or(&languages[0]).clone()
}

/// Looks for what is asked for; without anything, shows pictures all over the index.
async fn shown(state: &super::State, asked: &Asked) -> Result<Shown, Refusal> {
    let opened = state.opened();
    if let Some(row) = asked.like {
        let missing = || Refusal::missing("the index has no picture with this number");
        let id = opened.id(row).ok_or_else(missing)?.to_string();
        let k = asked.k;
        let similar = state.ask(move |_| find::similar(&opened, row, k)).await?;
        let title = html! { "Pictures like " bdi { (id) } };
        return Ok(Shown { title, hits: similar.hits, warnings: Vec::new(), scored: true });
    }
    if asked.rows.is_empty() {
        let ids = opened.index.ids();
        let some = (0..ids.len()).step_by(ids.len().div_ceil(SHOWN).max(1));
        let hits = some.map(|row| Found { id: ids[row].clone(), row, score: 0.0 }).collect();
        let title = html! { "Some of " (ids.len()) " pictures" };
        return Ok(Shown { title, hits, warnings: Vec::new(), scored: false });
    }
    let (texts, languages) = asked.rows.iter().cloned().unzip();
    let query = Query::new(texts, languages, asked.k)?;
    let searched = state.ask(move |run| find::searched(run, &opened, query)).await?;
    let texts = match searched.query {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(all) => all,
    };
    let title = html! {
        (searched.hits.len()) " pictures for "
        @for (n, text) in texts.iter().enumerate() {
            @if n > 0 { " and " }
            q { bdi { (text) } }
        }
    };
    Ok(Shown { title, hits: searched.hits, warnings: searched.warnings, scored: true })
}

fn whole(state: &super::State, asked: &Asked, shown: Result<&Shown, &Refusal>) -> Markup {
    let query = asked.rows.first().map(|(text, _)| text.as_str());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if let Some(query) = query { (query) " – " } "tinyglot" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#results" { "Skip to the pictures" }
                header {
                    h1 { a href="/" { "tinyglot" } }
                    (form(&state.languages, asked))
                }
                main #results tabindex="-1" {
                    @match shown {
                        Ok(shown) => (results(state.photos.is_some(), asked, shown)),
                        Err(refusal) => p.error role="alert" { (refusal) },
                    }
                }
            }
        }
    }
}

/// A row, and further ones for the same in other languages.
fn form(languages: &[String], asked: &Asked) -> Markup {
    let first = asked.rows.first();
    let (text, language) = first.map_or(("", &asked.language), |(text, language)| (text.as_str(), language));
    let others = asked.rows.get(1..).unwrap_or_default();
    // The next language that is not yet there.
    let used =
        |code: &String| asked.rows.iter().any(|(_, used)| same_code(used, code)) || same_code(code, language);
    let free = languages.iter().find(|code| !used(code));
    html! {
        form role="search" action="/" method="get" {
            (row(languages, text, language, 0, asked.rows.is_empty() && asked.like.is_none()))
            @if languages.len() > 1 {
                details open[!others.is_empty()] {
                    summary { "The same in another language" }
                    p.hint { "Said in two languages, a picture is found more surely." }
                    @for (n, (text, language)) in others.iter().enumerate() { (row(languages, text, language, n + 1, false)) }
                    @if let Some(free) = free { (row(languages, "", free, others.len() + 1, false)) }
                }
            }
        }
    }
}

/// `start`: whether nothing has been asked for yet, so that one begins by typing.
fn row(languages: &[String], text: &str, language: &str, n: usize, start: bool) -> Markup {
    let (field, choice) = (format!("q{n}"), format!("language{n}"));
    html! {
        div.row {
            label.unseen for=(field) { @if n == 0 { "What the picture shows" } @else { "The same in another language" } }
            input id=(field) name="q" type="search" dir="auto" value=(text) maxlength=(LONGEST) autocomplete="off"
                placeholder=[(n == 0).then_some("What does the picture show?")] required[n == 0] autofocus[start];
            label.unseen for=(choice) { "Language of this text" }
            select id=(choice) name="language" {
                @for code in languages {
                    option value=(code) selected[same_code(code, language)] {
                        @if let Some(name) = own_name(code) { (name) " (" (code) ")" } @else { (code) }
                    }
                }
            }
            @if n == 0 { button type="submit" { "Search" } }
        }
    }
}

fn results(photos: bool, asked: &Asked, shown: &Shown) -> Markup {
    let more = shown.scored && shown.hits.len() == asked.k && asked.k < MOST;
    html! {
        h2 { (shown.title) }
        @if photos { @if let Some(row) = asked.like {
            a.picture.own href={ "/pictures/" (row) } { img src={ "/pictures/" (row) } alt="The picture itself"; }
        } }
        @for warning in &shown.warnings { p.warning { bdi { (warning) } } }
        ol.hits {
            @for hit in &shown.hits { (picture(photos, asked, hit, shown.scored)) }
        }
        @if more { p.more { a href=(asked.more()) { "Show more" } } }
    }
}

fn picture(photos: bool, asked: &Asked, hit: &Found, scored: bool) -> Markup {
    let file = format!("/pictures/{}", hit.row);
    html! {
        li {
            @if photos {
                a.picture href=(file) { img src=(file) alt={ "Picture " (hit.id) } loading="lazy" decoding="async"; }
            }
            div.about {
                span.name dir="auto" title=(hit.id) { (hit.id) }
                @if scored { span.score title="Cosine of query and picture" { (format!("{:.3}", hit.score).replace('-', "−")) } }
            }
            a.like href=(asked.like(hit.row)) aria-label={ "More like " (hit.id) } { "More like this" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_language_is_chosen_where_the_model_knows_it() {
        let languages = ["en", "de", "pt_BR"].map(String::from);
        let chosen = |wanted: &str| {
            let headers = [(header::ACCEPT_LANGUAGE, wanted.parse().unwrap())].into_iter().collect();
            preferred(&languages, &headers)
        };
        assert_eq!(chosen("fr-FR,de-AT;q=0.8,en;q=0.5"), "de");
        assert_eq!(chosen("pt;q=1"), "pt_BR");
        assert_eq!(chosen("ja, *;q=0.1"), "en");
        assert_eq!(chosen(""), "en");
    }

    #[test]
    fn what_is_asked_for_is_escaped() {
        let evil = "\"><script>alert(1)</script>&";
        let rows = vec![(evil.to_string(), "en".to_string())];
        let asked = Asked { rows, like: None, k: 24, language: "en".to_string() };
        let hit = Found { id: evil.to_string(), row: 3, score: -0.5 };
        let shown = Shown {
            title: html! { (evil) },
            hits: vec![hit],
            warnings: vec![evil.to_string()],
            scored: true,
        };
        let text = form(&["en".into(), evil.into()], &asked).into_string()
            + &results(true, &asked, &shown).into_string();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)") && text.contains("−0.500"), "{text}");
        assert_eq!(
            asked.more(),
            "/?q=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26&language=en&k=48#results"
        );
    }
}
