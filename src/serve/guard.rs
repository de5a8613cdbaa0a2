//! Who may ask: whoever knows the token, or without one whoever is on this machine.

use std::hint::black_box;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use crate::{Error, Result};

/// Characters of the shortest token.
const SHORTEST: usize = 16;
const COOKIE: &str = "tinyglot";
const MAKE: &str = "make one, for example with `openssl rand -hex 16`";

/// What lets requests in.
#[derive(Debug)]
pub enum Guard {
    /// Whoever speaks to this machine by a name of its own: no page of another site does, whatever address its name is given.
    Here,
    /// The token's SHA-256.
    Token([u8; 32]),
}

impl Guard {
    /// # Errors
    /// Usage: a token that can be guessed, or that no header holds.
    pub fn new(token: Option<&str>) -> Result<Guard> {
        let Some(token) = token else { return Ok(Guard::Here) };
        if token.len() < SHORTEST || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let what = format!("the token is not {SHORTEST} or more ASCII letters, digits and signs");
            return Err(Error::usage(what).hint(MAKE));
        }
        Ok(Guard::Token(digest(token)))
    }

    /// What is answered in place of a request, where it may not pass: a refusal, or to whom the address has the token, the same address without it
    /// and a cookie.
    pub fn instead(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let token = match self {
            Guard::Here if is_here(uri, headers) => return None,
            Guard::Here => {
                let what = "the address has another name than `localhost` and `127.0.0.1`, for which the server needs `--token`";
                return Some(Refusal::new(StatusCode::FORBIDDEN, what).into_response());
            }
            Guard::Token(token) => token,
        };
        let bearer = text(headers, header::AUTHORIZATION).find_map(|value| {
            let (kind, given) = value.split_once(' ')?;
            kind.eq_ignore_ascii_case("bearer").then_some(given.trim())
        });
        let mut cookies = text(headers, header::COOKIE).flat_map(|all| all.split(';'));
        let cookie = cookies.find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        if bearer.is_some_and(|given| same(&digest(given), token))
            || cookie.is_some_and(|given| same(given.as_bytes(), self::cookie(token).as_bytes()))
        {
            return None;
        }
        let (others, given) = taken(uri);
        Some(match given {
            Some(given) if same(&digest(&given), token) => sent_on(uri.path(), &others, token),
            _ => {
                let what =
                    "the token is missing or wrong: `Authorization: Bearer TOKEN`, or once `?token=TOKEN`";
                Refusal::new(StatusCode::UNAUTHORIZED, what).into_response()
            }
        })
    }
}

/// Whether a request came by a name of this machine.
fn is_here(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok());
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((six, _)) => six,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

/// The query of an address without the token, and the token.
fn taken(uri: &Uri) -> (String, Option<String>) {
    let mut others = form_urlencoded::Serializer::new(String::new());
    let mut token = None;
    for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "token" => token = Some(value.into_owned()),
            _ => _ = others.append_pair(&key, &value),
        }
    }
    (others.finish(), token)
}

fn sent_on(path: &str, query: &str, token: &[u8; 32]) -> Response {
    // A path that begins with two slashes would be another host's address.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    let to = if query.is_empty() { path } else { format!("{path}?{query}") };
    let kept = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", cookie(token));
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in [(header::LOCATION, to), (header::SET_COOKIE, kept)] {
        response.headers_mut().insert(name, HeaderValue::try_from(value).expect("ASCII"));
    }
    response
}

/// What the cookie holds: from it the token cannot be told.
fn cookie(token: &[u8; 32]) -> String {
    HEXLOWER.encode(&Sha256::digest([&b"cookie "[..], token].concat()))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Whether both are the same, in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn instead(guard: &Guard, uri: &str, headers: &[(&'static str, &str)]) -> Option<Response> {
        let headers =
            headers.iter().map(|&(name, value)| (name.try_into().unwrap(), value.try_into().unwrap()));
        guard.instead(&uri.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn only_names_of_this_machine_are_let_in_without_a_token() {
        let guard = Guard::new(None).unwrap();
        for host in ["localhost:8080", "127.0.0.1:1", "[::1]:8080", "LOCALHOST", "127.0.0.2"] {
            assert!(instead(&guard, "/", &[("host", host)]).is_none(), "{host}");
        }
        for host in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"]
        {
            let refused = instead(&guard, "/", &[("host", host)]).unwrap();
            assert_eq!(refused.status(), 403, "{host}");
        }
        assert_eq!(instead(&guard, "/", &[]).unwrap().status(), 403);
    }

    #[test]
    fn the_token_comes_in_a_header_or_once_in_the_address_and_then_in_a_cookie() {
        let guard = Guard::new(Some(TOKEN)).unwrap();
        let bearer = |token: &str| instead(&guard, "/", &[("authorization", &format!("Bearer {token}"))]);
        assert!(bearer(TOKEN).is_none());
        for wrong in ["", "0123456789abcdeg", "0123456789abcdef0", "0123456789abcde"] {
            assert_eq!(bearer(wrong).unwrap().status(), 401, "{wrong}");
        }
        let sent = instead(&guard, "/?q=a+b&token=0123456789abcdef&k=3", &[]).unwrap();
        assert_eq!(
            (sent.status().as_u16(), &sent.headers()["location"]),
            (303, &"/?q=a+b&k=3".parse().unwrap())
        );
        let set = sent.headers()["set-cookie"].to_str().unwrap();
        assert!(set.contains("HttpOnly; SameSite=Strict") && !set.contains(TOKEN), "{set}");
        let cookie = format!("other=1; {}", set.split(';').next().unwrap());
        assert!(instead(&guard, "/", &[("cookie", &cookie)]).is_none());
        assert_eq!(instead(&guard, "/", &[("cookie", &format!("tinyglot={TOKEN}"))]).unwrap().status(), 401);
        let elsewhere = instead(&guard, "//evil.example/?token=0123456789abcdef", &[]).unwrap();
        assert_eq!(elsewhere.headers()["location"], "/evil.example/");
    }

    #[test]
    fn tokens_that_can_be_guessed_are_refused() {
        for token in ["", "short", "0123456789 abcdef", "0123456789äbcdef"] {
            assert!(Guard::new(Some(token)).unwrap_err().to_string().contains("openssl"), "{token}");
        }
    }
}
