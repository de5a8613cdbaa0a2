//! The interface of JSON, and the pictures.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::{Refusal, json_of};
use super::find::{self, Filter, OneOrMore, Query, SimilarTo};
use super::photos::Photos;
use super::uploads::{self, Upload};

type Shared = State<Arc<super::State>>;
type Answer = Result<Response, Refusal>;

/// Pictures where no number is given.
const FEW: usize = 10;
/// The longest time that a body is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// As long for a picture.
pub const SENDING: Duration = Duration::from_secs(60);
/// Bytes of the largest body of JSON.
pub const BODY: usize = 64 << 10;

/// A search: a text, or one in each of several languages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// What the pictures show, in each language
    q: OneOrMore,
    /// The language, or languages in the order of `q`; may be left out where the model knows one alone
    language: Option<OneOrMore>,
    /// How many pictures, from 1 to 1000 [default: 10]
    #[schemars(range(min = 1, max = 1000))]
    k: Option<usize>,
    /// Only photographs of this folder, and those within
    folder: Option<String>,
    /// Only photographs of this day or later, as 2024-05-31
    from: Option<String>,
    /// Only photographs of this day or earlier
    to: Option<String>,
}

/// Sentences that are to become vectors.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbedBody {
    /// From 1 to 256 sentences, of 1000 characters at most
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 1000)))]
    texts: Vec<String>,
    /// Their language; may be left out where the model knows one alone
    language: Option<String>,
}

/// What the server has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats {
    /// Pictures of the index
    pictures: usize,
    /// The languages that the model knows
    languages: Vec<String>,
    /// Numbers of a vector
    width: usize,
    /// Whether `/pictures` has files
    photos: bool,
    /// Whether `/thumbnails` has pictures, and pictures have days
    thumbnails: bool,
    /// Whether pictures can be sent to be searched by
    sees: bool,
    /// Version of tinyglot
    version: String,
}

/// The server answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// Always `ok`
    status: String,
}

pub async fn search_get(State(state): Shared, uri: Uri) -> Answer {
    let pairs = Pairs::read(&uri, &["q", "language", "k", "folder", "from", "to"])?;
    let languages = languages(&state, pairs.all("language"))?;
    let query = Query::new(pairs.all("q"), languages, pairs.number("k")?.unwrap_or(FEW), pairs.filter()?)?;
    search(&state, query).await
}

pub async fn search_post(State(state): Shared, request: Request) -> Answer {
    let body: SearchBody = body(request).await?;
    let languages = languages(&state, body.language.map(OneOrMore::into_vec).unwrap_or_default())?;
    let filter = Filter::new([body.folder, body.from, body.to])?;
    search(&state, Query::new(body.q.into_vec(), languages, body.k.unwrap_or(FEW), filter)?).await
}

async fn search(state: &super::State, query: Query) -> Answer {
    let opened = state.opened();
    Ok(json_of(&state.ask(move |model| find::searched(model.run, &opened, query)).await?))
}

pub async fn similar(State(state): Shared, uri: Uri) -> Answer {
    let pairs = Pairs::read(&uri, &["id", "k", "folder", "from", "to"])?;
    let filter = pairs.filter()?;
    let k = find::count(pairs.number("k")?.unwrap_or(FEW))?;
    let opened = state.opened();
    let row = opened.row(&named(&pairs)?)?;
    Ok(json_of(&state.ask(move |_| find::similar(&opened, row, k, &filter)).await?))
}

pub async fn similar_to(State(state): Shared, uri: Uri, request: Request) -> Answer {
    let pairs = Pairs::read(&uri, &["k", "folder", "from", "to"])?;
    let (k, filter) = (find::count(pairs.number("k")?.unwrap_or(FEW))?, pairs.filter()?);
    let kind = media_type(&request);
    if !kind.to_ascii_lowercase().starts_with("image/")
        && !kind.eq_ignore_ascii_case("application/octet-stream")
    {
        let what = "the body must be a picture, with `Content-Type: image/jpeg` or another of `image`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    let upload = sent(&state, async move || bytes(request, uploads::LARGEST, SENDING).await).await?;
    let opened = state.opened();
    let hits = state.ask(move |_| find::similar_to(&opened, &upload.vector, k, &filter)).await?;
    Ok(json_of(&SimilarTo { hits }))
}

/// A picture that is being sent, as a vector.
pub async fn sent(
    state: &super::State,
    bytes: impl AsyncFnOnce() -> Result<Bytes, Refusal>,
) -> Result<Arc<Upload>, Refusal> {
    if !state.sees {
        return Err(Refusal::missing(
            "the server has no picture tower to see pictures with: start it with `--tower`",
        ));
    }
    let Ok(_place) = state.uploads.places.try_acquire() else {
        return Err(Refusal::busy("too many pictures are being sent at a time: ask again in a second"));
    };
    let bytes = bytes().await?;
    let upload = state.ask(move |model| uploads::seen(model, &bytes)).await?;
    Ok(state.uploads.keep(upload))
}

pub async fn upload(State(state): Shared, name: Result<Path<String>, PathRejection>) -> Answer {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let upload = state.uploads.find(&name)?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], upload.thumbnail.clone()).into_response())
}

/// The id of the picture that is meant.
fn named(pairs: &Pairs) -> Result<String, Refusal> {
    pairs.one("id")?.ok_or_else(|| Refusal::bad("`id` is missing: name a picture of the index"))
}

pub async fn thumbnail(State(state): Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let opened = state.opened();
    let row = opened.row(&named(&Pairs::read(&uri, &["id"])?)?)?;
    let bytes = opened.index.thumbnail(row).ok_or_else(|| {
        Refusal::missing("the index has no thumbnails: it was made of features, not of photographs")
    })?;
    let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(bytes), bytes.len());
    let tag = HeaderValue::try_from(tag).expect("ASCII");
    let kept =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    match headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        true => Ok((StatusCode::NOT_MODIFIED, kept).into_response()),
        false => Ok((kept, [(header::CONTENT_TYPE, "image/jpeg")], bytes.to_vec()).into_response()),
    }
}

pub async fn embed(State(state): Shared, request: Request) -> Answer {
    let body: EmbedBody = body(request).await?;
    let texts = find::check_texts(&body.texts)?;
    let language = languages(&state, body.language.into_iter().collect())?;
    let [language] = <[String; 1]>::try_from(language)
        .map_err(|_| Refusal::bad("`language` names several: these sentences are in one"))?;
    Ok(json_of(&state.ask(move |model| find::embedded(model.run, language, &texts)).await?))
}

pub async fn stats(State(state): Shared) -> Response {
    json_of(&Stats {
        pictures: state.opened().index.ids().len(),
        languages: state.languages.clone(),
        width: state.joint,
        photos: state.photos.is_some(),
        thumbnails: state.opened().index.has_photographs(),
        sees: state.sees,
        version: env!("CARGO_PKG_VERSION").to_string(),
    })
}

pub async fn health() -> Response {
    json_of(&Health { status: "ok".to_string() })
}

pub async fn metrics(State(state): Shared) -> Response {
    let pictures = state.opened().index.ids().len();
    let text = state.metrics.text(&[("tinyglot_pictures", "Pictures of the index.", pictures)]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub async fn picture(State(state): Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let id = named(&Pairs::read(&uri, &["id"])?)?;
    // Files that the index does not have are nobody's to see.
    state.opened().row(&id)?;
    if state.photos.is_none() {
        return Err(Refusal::missing("the server was started without `--photos`"));
    }
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let read = move || {
        let photos = state.photos.as_ref().expect("asked for before");
        let missing = || Refusal::missing(format!("no file of the picture `{id}` is below `--photos`"));
        let file = photos.file(&id).ok_or_else(missing)?;
        let tag = Photos::tag(&file).and_then(|tag| HeaderValue::try_from(tag).ok()).ok_or_else(missing)?;
        let kept = [
            (header::ETAG, tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        ];
        if known == Some(tag) {
            return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
        }
        let photo = Photos::read(&file)?;
        Ok((kept, [(header::CONTENT_TYPE, photo.media_type)], photo.bytes).into_response())
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(Refusal::broken()))
}

/// The languages that are meant: lists are spread, and the only one that the model knows need not be named.
fn languages(state: &super::State, given: Vec<String>) -> Result<Vec<String>, Refusal> {
    let given: Vec<String> =
        given.iter().flat_map(|some| some.split(',')).map(|code| code.trim().to_string()).collect();
    match (&given[..], &state.languages[..]) {
        ([], [only]) => Ok(vec![only.clone()]),
        ([], all) => Err(Refusal::bad(format!("`language` is missing: the model knows {}", all.join(", ")))),
        _ => Ok(given),
    }
}

/// What follows `?` in an address.
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// # Errors
    /// Other keys than those known.
    fn read(uri: &Uri, known: &[&str]) -> Result<Pairs, Refusal> {
        let pairs = Pairs::any(uri);
        match pairs.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(pairs),
            Some((key, _)) => {
                Err(Refusal::bad(format!("`{key}` is no parameter here: there are {}", known.join(", "))))
            }
        }
    }

    /// With whatever keys.
    pub fn any(uri: &Uri) -> Pairs {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Pairs(pairs.into_owned().collect())
    }

    /// All that a key is given.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(given, _)| given == key).map(|(_, value)| value.clone()).collect()
    }

    /// What a key is given.
    ///
    /// # Errors
    /// Where it is given twice.
    fn one(&self, key: &str) -> Result<Option<String>, Refusal> {
        let mut all = self.all(key);
        match all.len() {
            0 | 1 => Ok(all.pop()),
            times => Err(Refusal::bad(format!("`{key}` is given {times} times"))),
        }
    }

    /// Which pictures are meant.
    ///
    /// # Errors
    /// What is no such filter.
    pub fn filter(&self) -> Result<Filter, Refusal> {
        Filter::new([self.one("folder")?, self.one("from")?, self.one("to")?])
    }

    /// The number that a key is given.
    ///
    /// # Errors
    /// What is no whole number from 0.
    pub fn number(&self, key: &str) -> Result<Option<usize>, Refusal> {
        let number = |text: String| {
            text.parse().map_err(|_| Refusal::bad(format!("`{key}` is `{text}`, and must be a whole number")))
        };
        self.one(key)?.map(number).transpose()
    }
}

/// A body of JSON.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    if !media_type(&request).eq_ignore_ascii_case("application/json") {
        let what = "the body must be JSON, with `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    let bytes = bytes(request, BODY, PATIENCE).await?;
    serde_json::from_slice(&bytes).map_err(|e| Refusal::bad(format!("the body cannot be used: {e}")))
}

/// What a request says that its body is.
fn media_type(request: &Request) -> &str {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// A body that comes in time, and is not larger than its route allows: `most` bytes.
async fn bytes(request: Request, most: usize, within: Duration) -> Result<Bytes, Refusal> {
    announced(&request, most)?;
    in_time(within, async {
        Bytes::from_request(request, &()).await.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(most),
            _ => Refusal::bad("the body cannot be read"),
        })
    })
    .await
}

/// Refuses a body before it comes, where its announced length is beyond `most` bytes: nobody waits for it.
pub fn announced(request: &Request, most: usize) -> Result<(), Refusal> {
    match request.body().size_hint().lower() > most as u64 {
        true => Err(too_large(most)),
        false => Ok(()),
    }
}

/// What is said of a body beyond so many bytes.
pub fn too_large(most: usize) -> Refusal {
    let size = if most < 1 << 20 { format!("{} KiB", most >> 10) } else { format!("{} MiB", most >> 20) };
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {size}"))
}

/// What comes of a body within a time.
pub async fn in_time<T>(
    within: Duration,
    body: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(within, body).await.unwrap_or_else(|_| {
        let what = format!("the body did not come within {} seconds", within.as_secs());
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, what))
    })
}
