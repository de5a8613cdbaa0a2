//! What is answered where, and what holds for all answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use super::answer::Refusal;
use super::{Told, api, openapi, page, uploads};

type Shared = Arc<super::State>;

/// Each path with what answers it; `openapi.rs` describes them.
pub fn routes() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/", get(page::page)),
        ("/picture", post(page::picture_sent).layer(picture())),
        ("/style.css", get(page::style)),
        ("/icon.svg", get(page::icon)),
        ("/pictures", get(api::picture)),
        ("/thumbnails", get(api::thumbnail)),
        ("/sent/{name}", get(api::upload)),
        ("/api/search", get(api::search_get).post(api::search_post)),
        ("/api/similar", get(api::similar).post(api::similar_to).layer(picture())),
        ("/api/embed", post(api::embed)),
        ("/api/stats", get(api::stats)),
        ("/api/openapi.json", get(openapi::openapi)),
        ("/healthz", get(api::health)),
        ("/metrics", get(api::metrics)),
    ]
}

/// The limit of a body that is a picture, with what a form says beside it.
fn picture() -> DefaultBodyLimit {
    DefaultBodyLimit::max(uploads::LARGEST + api::BODY)
}

pub fn router(state: Shared) -> Router {
    let router =
        routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router
        .fallback(|| async { Refusal::missing("nothing is here: `/api/openapi.json` lists what there is") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(api::BODY))
        .layer(middleware::from_fn_with_state(state.clone(), around))
        .with_state(state)
}

/// Lets in who may ask, and counts what is answered.
async fn around(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    // Whether it is up is no secret.
    let instead = match route == "/healthz" {
        true => None,
        false => state.guard.instead(request.uri(), request.headers()),
    };
    let mut response = match instead {
        None => next.run(request).await,
        Some(answer) => answer,
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, took) = (response.status().as_u16(), start.elapsed());
    state.metrics.count(&route, method.as_str(), status, took);
    (state.told)(Told::Answered { method: method.as_str(), path: &path, status, took });
    response
}

/// The page has no script, and takes nothing from elsewhere.
const ALWAYS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described() {
        let routes: BTreeSet<String> = routes().into_iter().map(|(path, _)| path.to_string()).collect();
        let document = openapi::document(&[]);
        let described = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(routes, described);
    }
}
