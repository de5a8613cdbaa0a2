//! Answers in JSON, and why there is none.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::Error;
use crate::error::Kind;

/// A status, and what is told: `{"error": "…"}`, on the page as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    what: String,
}

impl Refusal {
    pub fn new(status: StatusCode, what: impl Into<String>) -> Refusal {
        Refusal { status, what: what.into() }
    }

    /// The request itself is wrong.
    pub fn bad(what: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, what)
    }

    /// Nothing is there.
    pub fn missing(what: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, what)
    }

    /// It may go well later.
    pub fn busy(what: &str) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, what)
    }

    /// The server's own fault.
    pub fn broken() -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the search broke off: the server's log says why")
    }

    /// What the library refuses as wrong usage is the asker's fault, and told as it is; nothing for all else, which is the server's.
    pub fn of(error: &Error) -> Option<Refusal> {
        (error.kind() == Kind::Usage).then(|| Refusal::bad(error.to_string().replace("\nhint: ", "; ")))
    }

    #[cfg(test)]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// With its status, as a page that is already written.
    pub fn with_page(&self, page: impl IntoResponse) -> Response {
        self.marked(page.into_response())
    }

    fn marked(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.marked(json_of(&json!({ "error": self.what })))
    }
}

/// A value as an answer.
pub fn json_of(value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("a value of text and finite numbers");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
