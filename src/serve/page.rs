//! The page: a sentence, and pictures. It is whole without a script, so every search has an address, and works with keyboard and screen reader
//! as pages do.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::answer::Refusal;
use super::api::{self, Pairs};
use super::find::{self, Filter, Found, LONGEST, MOST, OneOrMore, Opened, Query};
use super::languages::own_name;
use super::uploads::LARGEST;
use crate::config::same_code;
use crate::pixels::Day;

/// Pictures that are shown at first, and each further time.
const SHOWN: usize = 24;

/// What is asked for: a text and its language in each row of the form, a picture of the index, or one that was sent.
struct Asked {
    rows: Vec<(String, String)>,
    /// By its id: rows are others once the index is read again.
    like: Option<String>,
    sent: Option<String>,
    k: usize,
    filter: Filter,
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

/// Takes a picture that is sent by the form, and leads to the page with those like it.
pub async fn picture_sent(
    State(state): State<Arc<super::State>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    match sent(&state, request).await {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(refusal) => {
            let asked = Asked::nothing(preferred(&state.languages, &headers));
            refusal.with_page(Html(whole(&state, &asked, Err(&refusal)).into_string()))
        }
    }
}

/// The address of the page for a form with a picture.
async fn sent(state: &super::State, request: Request) -> Result<String, Refusal> {
    api::announced(&request, LARGEST + api::BODY).map_err(|_| api::too_large(LARGEST))?;
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|e| Refusal::bad(format!("the form cannot be read: {e}")))?;
    let mut others: Vec<(String, String)> = Vec::new();
    let unread = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => api::too_large(LARGEST),
        _ => Refusal::bad(format!("the form cannot be read: {error}")),
    };
    let read = async {
        let mut picture = Bytes::new();
        while let Some(field) = form.next_field().await.map_err(unread)? {
            let name = field.name().unwrap_or_default().to_string();
            match name.as_str() {
                "picture" => picture = field.bytes().await.map_err(unread)?,
                "language" | "folder" | "from" | "to" => {
                    others.push((name, field.text().await.map_err(unread)?))
                }
                _ => return Err(Refusal::bad(format!("the form has no field `{name}`"))),
            }
        }
        match picture.is_empty() {
            true => Err(Refusal::bad("no picture was chosen")),
            false => Ok(picture),
        }
    };
    let upload = api::sent(state, async || api::in_time(api::SENDING, read).await).await?;
    let mut query = form_urlencoded::Serializer::for_suffix("/?".to_string(), 2);
    query.append_pair("sent", &upload.name);
    query.extend_pairs(others.iter().filter(|(_, value)| !value.is_empty()));
    Ok(query.finish())
}

impl Asked {
    fn nothing(language: String) -> Asked {
        Asked { rows: Vec::new(), like: None, sent: None, k: SHOWN, filter: Filter::default(), language }
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
        let sent = pairs.all("sent").pop();
        Ok(Asked { rows, like: pairs.all("like").pop(), sent, k, filter: pairs.filter()?, language })
    }

    /// Whether nothing has been asked for yet.
    fn is_nothing(&self) -> bool {
        self.rows.is_empty() && self.like.is_none() && self.sent.is_none()
    }

    /// The address of the same with more pictures.
    fn more(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_string(), 2);
        self.rows.iter().for_each(|(text, language)| {
            query.append_pair("q", text).append_pair("language", language);
        });
        let like = self.like.clone().map(|id| ("like", id));
        let sent = self.sent.clone().map(|sent| ("sent", sent));
        for (key, value) in like.into_iter().chain(sent) {
            query.append_pair(key, &value).append_pair("language", &self.language);
        }
        query.extend_pairs(self.filters());
        query.append_pair("k", &(self.k + SHOWN).min(MOST).to_string()).finish() + "#results"
    }

    fn like(&self, id: &str) -> String {
        let language = self.rows.first().map_or(&self.language, |(_, language)| language);
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_string(), 2);
        query.append_pair("like", id).append_pair("language", language);
        query.extend_pairs(self.filters()).finish()
    }

    /// The filter, as an address has it.
    fn filters(&self) -> Vec<(&'static str, String)> {
        let Filter { folder, from, to } = &self.filter;
        let day = |day: &Option<Day>| day.map(|day| day.to_string());
        let all = [("folder", folder.clone()), ("from", day(from)), ("to", day(to))];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
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
    if let Some(id) = &asked.like {
        let row = opened.row(id)?;
        let (k, filter) = (asked.k, asked.filter.clone());
        let similar = state.ask(move |_| find::similar(&opened, row, k, &filter)).await?;
        let title = html! { "Pictures like " bdi { (id) } };
        return Ok(Shown { title, hits: similar.hits, warnings: Vec::new(), scored: true });
    }
    if let Some(sent) = &asked.sent {
        let (upload, k, filter) = (state.uploads.find(sent)?, asked.k, asked.filter.clone());
        let hits = state.ask(move |_| find::similar_to(&opened, &upload.vector, k, &filter)).await?;
        let title = html! { "Pictures like the one that you sent" };
        return Ok(Shown { title, hits, warnings: Vec::new(), scored: true });
    }
    if asked.rows.is_empty() {
        let (hits, count) = some(&opened, &asked.filter);
        let title = html! { @if hits.len() < count { "Some of " } (count) " pictures" };
        return Ok(Shown { title, hits, warnings: Vec::new(), scored: false });
    }
    let (texts, languages) = asked.rows.iter().cloned().unzip();
    let query = Query::new(texts, languages, asked.k, asked.filter.clone())?;
    let searched = state.ask(move |model| find::searched(model.run, &opened, query)).await?;
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

/// Some pictures all over those that a filter lets through, and how many these are.
fn some(opened: &Opened, filter: &Filter) -> (Vec<Found>, usize) {
    let rows = filter.rows(&opened.index);
    let count = rows.as_ref().map_or(opened.index.ids().len(), Vec::len);
    let row = |n: usize| rows.as_ref().map_or(n, |rows| rows[n] as usize);
    let some = (0..count).step_by(count.div_ceil(SHOWN).max(1)).map(row);
    (some.map(|row| opened.found(row, 0.0)).collect(), count)
}

fn whole(state: &super::State, asked: &Asked, shown: Result<&Shown, &Refusal>) -> Markup {
    let opened = state.opened();
    let folders = opened.index.has_photographs().then(|| opened.folders());
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
                    (form(&state.languages, asked, folders))
                    @if state.sees { (sending(asked)) }
                }
                main #results tabindex="-1" {
                    @match shown {
                        Ok(shown) => (results(Places::of(state), asked, shown)),
                        Err(refusal) => p.error role="alert" { (refusal) },
                    }
                }
            }
        }
    }
}

/// A row, further ones for the same in other languages, and which pictures are searched, where there are folders and days.
fn form(languages: &[String], asked: &Asked, folders: Option<&[String]>) -> Markup {
    let first = asked.rows.first();
    let (text, language) = first.map_or(("", &asked.language), |(text, language)| (text.as_str(), language));
    let others = asked.rows.get(1..).unwrap_or_default();
    // The next language that is not yet there.
    let used =
        |code: &String| asked.rows.iter().any(|(_, used)| same_code(used, code)) || same_code(code, language);
    let free = languages.iter().find(|code| !used(code));
    html! {
        form role="search" action="/" method="get" {
            (row(languages, text, language, 0, asked.is_nothing()))
            @if languages.len() > 1 {
                details open[!others.is_empty()] {
                    summary { "The same in another language" }
                    p.hint { "Said in two languages, a picture is found more surely." }
                    @for (n, (text, language)) in others.iter().enumerate() { (row(languages, text, language, n + 1, false)) }
                    @if let Some(free) = free { (row(languages, "", free, others.len() + 1, false)) }
                }
            }
            @if let Some(folders) = folders { (filters(&asked.filter, folders)) }
        }
    }
}

/// A folder, and days from one to another.
fn filters(filter: &Filter, folders: &[String]) -> Markup {
    let chosen = filter.folder.as_deref().unwrap_or_default();
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    html! {
        details open[!filter.is_none()] {
            summary { "Only some pictures" }
            div.filters {
                @if !folders.is_empty() {
                    label { "Folder" select name="folder" {
                        option value="" { "All folders" }
                        @for folder in folders { option value=(folder) selected[folder == chosen] { (folder) } }
                    } }
                }
                label { "From" input name="from" type="date" value=[day(filter.from)]; }
                label { "Until" input name="to" type="date" value=[day(filter.to)]; }
            }
        }
    }
}

/// A place to drop a picture on, or to choose one. What is chosen above stays chosen.
fn sending(asked: &Asked) -> Markup {
    html! {
        details open[asked.sent.is_some()] {
            summary { "Search by a picture" }
            form.sending action="/picture" method="post" enctype="multipart/form-data" {
                label.unseen for="picture" { "A picture: drop one here, or choose it" }
                input id="picture" name="picture" type="file" accept="image/*" title="Drop a picture here, or choose one" required;
                input type="hidden" name="language" value=(asked.language);
                @for (key, value) in asked.filters() { input type="hidden" name=(key) value=(value); }
                button type="submit" { "Search by picture" }
            }
            p.hint { "Drop a picture on the field, or choose one." }
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

/// Where pictures are.
#[derive(Clone, Copy)]
struct Places {
    /// Files below `--photos`.
    files: bool,
    /// Thumbnails of the index.
    thumbnails: bool,
}

impl Places {
    fn of(state: &super::State) -> Places {
        Places { files: state.photos.is_some(), thumbnails: state.opened().index.has_photographs() }
    }

    /// What is shown of a picture.
    fn small(self, id: &str) -> Option<String> {
        match self.thumbnails {
            true => Some(address("/thumbnails", id)),
            false => self.whole(id),
        }
    }

    /// The file of a picture.
    fn whole(self, id: &str) -> Option<String> {
        self.files.then(|| address("/pictures", id))
    }
}

/// The address of what there is of a picture.
fn address(path: &str, id: &str) -> String {
    form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1).append_pair("id", id).finish()
}

fn results(places: Places, asked: &Asked, shown: &Shown) -> Markup {
    let more = shown.scored && shown.hits.len() == asked.k && asked.k < MOST;
    let sent = asked.sent.as_ref().map(|sent| format!("/sent/{sent}"));
    let own = asked.like.as_ref().and_then(|id| places.small(id)).or(sent);
    let file = asked.like.as_ref().and_then(|id| places.whole(id));
    html! {
        h2 { (shown.title) }
        @if let Some(own) = own {
            a.picture.own href=[file] { img src=(own) alt="The picture itself"; }
        }
        @for warning in &shown.warnings { p.warning { bdi { (warning) } } }
        @if shown.hits.is_empty() { p.hint { "No picture is in this folder, or of these days." } }
        ol.hits {
            @for hit in &shown.hits { (picture(places, asked, hit, shown.scored)) }
        }
        @if more { p.more { a href=(asked.more()) { "Show more" } } }
    }
}

fn picture(places: Places, asked: &Asked, hit: &Found, scored: bool) -> Markup {
    html! {
        li {
            @if let Some(small) = places.small(&hit.id) {
                a.picture href=[places.whole(&hit.id)] { img src=(small) alt={ "Picture " (hit.id) } loading="lazy" decoding="async"; }
            }
            div.about {
                span.name dir="auto" title=(hit.id) { (hit.id) }
                @if scored { span.score title="Cosine of query and picture" { (format!("{:.3}", hit.score).replace('-', "−")) } }
            }
            @if let Some(date) = &hit.date { time.date datetime=(date) { (date) } }
            a.like href=(asked.like(&hit.id)) aria-label={ "More like " (hit.id) } { "More like this" }
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
        let filter = Filter { folder: Some(evil.to_string()), ..Filter::default() };
        let asked = Asked { rows, filter, ..Asked::nothing("en".to_string()) };
        let hit = Found { id: evil.to_string(), row: 3, score: -0.5, date: None };
        let shown = Shown {
            title: html! { (evil) },
            hits: vec![hit],
            warnings: vec![evil.to_string()],
            scored: true,
        };
        let text = form(&["en".into(), evil.into()], &asked, Some(&[evil.into()])).into_string()
            + &results(Places { files: true, thumbnails: false }, &asked, &shown).into_string()
            + &sending(&asked).into_string();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)") && text.contains("−0.500"), "{text}");
        assert_eq!(
            asked.more(),
            "/?q=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26&language=en\
             &folder=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26&k=48#results"
        );
    }
}
