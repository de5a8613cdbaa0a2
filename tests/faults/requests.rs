//! Requests that a seed draws, of which few are what a server expects.

use std::fs;
use std::path::Path;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::mutate::mutated;

/// What is sent, and what may come of it.
pub struct Request {
    pub bytes: Vec<u8>,
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its end is plain: there is one answer to each of so many requests.
    Answered(usize),
    /// Nothing follows it: there may be answers, and the connection ends.
    Closed,
    /// It is broken off at once.
    Broken,
}

const PATHS: [&str; 16] = [
    "/",
    "/picture",
    "/pictures",
    "/pictures?id=",
    "/thumbnails?id=",
    "/sent/",
    "/style.css",
    "/api/search",
    "/api/similar",
    "/api/similar?id=",
    "/api/embed",
    "/api/stats",
    "/healthz",
    "/metrics",
    "/none",
    "*",
];
/// Names within the index and outside it, ways out of a folder, and what is no text.
const PIECES: [&str; 36] = [
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..\\",
    "..%5c",
    "....//",
    "//",
    "/./",
    "/etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "secret.png",
    "outside/secret.png",
    "0.jpg",
    "1.png",
    "%00",
    "\0",
    "%0d%0aX-Evil:%201",
    "%ff%fe",
    "%c0%ae%c0%ae/",
    "%",
    "%zz",
    "%u0000",
    "?id=",
    "&q=ein%20Haus&language=de",
    "&k=",
    "#",
    ";",
    " ",
    "\"><script>",
    "\u{202e}日本",
    "{}",
    "{name}",
];
const KEYS: [&str; 10] = ["q", "language", "k", "id", "folder", "from", "to", "like", "sent", "token"];
const VALUES: [&str; 24] = [
    "",
    "0",
    "-1",
    "10",
    "1000",
    "1001",
    "18446744073709551615",
    "18446744073709551616",
    "1e3",
    "NaN",
    "ein%20Haus",
    "de",
    "de,en",
    "de,,,,",
    "xx",
    "0.jpg",
    "..",
    "%00",
    "%F0%9F%98%80",
    "%ED%A0%80",
    "%E2%80%AE",
    "2024-02-30",
    "9999-12-31",
    "-2147483648-01-01",
];
const BODIES: [&str; 4] = [
    r#"{"q": "ein Haus", "language": "de", "k": 3}"#,
    r#"{"q": ["ein Haus", "a house"], "language": ["de", "en"], "k": 3, "folder": "a", "from": "2020-01-01", "to": "2024-12-31"}"#,
    r#"{"texts": ["ein Haus", "zwei Boote"], "language": "de"}"#,
    r#"{"language": "de", "texts": []}"#,
];
/// In place of a part of a body.
const JSON: [&str; 20] = [
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "1e-400",
    "-9223372036854775809",
    "3.5",
    "null",
    "true",
    "{}",
    "[[]]",
    "[null]",
    r#""\ud800""#,
    r#""\u0000""#,
    r#""\x""#,
    r#"{"q": 1, "q": 2}"#,
    "\u{feff}",
    "/* */",
    "'de'",
    "99999999999999999999999999999999999999999999",
];
const METHODS: [&str; 12] = [
    "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "PROPFIND", "G\u{0}T",
    "PRI",
];
const HEADERS: [&str; 28] = [
    "Host: evil.example",
    "Host:",
    "Authorization: Bearer ",
    "Authorization: Basic AAAA",
    "Cookie: tinyglot=; tinyglot=00; =; ;;;",
    "Accept-Language: de;q=NaN, en;q=-1, *;q=9e99, ,;;q",
    "If-None-Match: *",
    "If-None-Match: \"0-0\", W/\"",
    "Range: bytes=0-18446744073709551615",
    "Expect: 100-continue",
    "Expect: a miracle",
    "Connection: upgrade, keep-alive, close",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "X-Forwarded-For: ' OR 1=1 --",
    "X-Original-URL: /metrics",
    "Content-Type: application/json; charset=utf-16",
    "Content-Type: \u{e9}",
    "Content-Encoding: gzip",
    "Accept: */*;q=x",
    "no header at all",
    " Folded: yes",
    ": nothing",
    "B\u{0}d: 1",
    "Bad: \u{1}\u{7f}",
    "Sp ace : 1",
    "Transfer-Encoding: identity",
];
/// Lengths that a body of five bytes does not have.
const LENGTHS: [&str; 10] =
    ["0", "3", "4000", "-1", "+5", "5 5", "5\r\nContent-Length: 6", "5, 5", "18446744073709551616", "0x5"];
const CHUNKS: [&str; 10] = [
    "5\r\nhello\r\n",
    "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "10000000000000000\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "4\r\nhello\r\n0\r\n\r\n",
    "zz\r\n\r\n",
    "5;a=\"b\r\nhello\r\n0\r\n\r\n",
    "0\r\nTrailer: 1\r\nContent-Length: 7\r\n\r\n",
    "\r\n\r\n",
];
/// What speaks another protocol.
const OTHERS: [&[u8]; 7] = [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"GET /\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\r\n\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n",
];
/// A gigabyte.
pub const LARGE: &str = "Content-Length: 1073741824\r\n";
pub const AS_JSON: &str = "Content-Type: application/json\r\n";

/// Draws requests.
pub struct Requests {
    seed: u64,
    /// Small files of pictures.
    pictures: Vec<Vec<u8>>,
}

impl Requests {
    /// With pictures of a folder.
    pub fn new(seed: u64, pictures: &Path) -> Requests {
        let entries = fs::read_dir(pictures).expect("a folder");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        Requests { seed, pictures: files.iter().map(|file| fs::read(file).expect("a picture")).collect() }
    }

    /// The request of a number; its kinds take turns.
    pub fn draw(&self, number: u64) -> Request {
        let mut dice =
            ChaCha8Rng::seed_from_u64(tinyglot::seed::derive(self.seed, "hostile request", number));
        let dice = &mut dice;
        let (bytes, end) = match number % 16 {
            0 | 1 => (get(&path(dice)), End::Answered(1)),
            2 | 3 => (get(&query(dice)), End::Answered(1)),
            4..=6 => (json(dice, number, self.seed), End::Answered(1)),
            7 | 8 => (headers(dice), End::Closed),
            9 => (lengths(dice), End::Closed),
            10 => (chunks(dice), End::Closed),
            11 => (large(dice), End::Answered(1)),
            12 => (self.picture(dice, number), End::Answered(1)),
            13 => {
                let mut bytes = [get("/api/search?q=ein%20Haus&language=de"), json(dice, number, self.seed)]
                    [dice.random_range(0..2)]
                .clone();
                bytes.truncate(dice.random_range(0..=bytes.len()));
                (bytes, End::Broken)
            }
            14 => match dice.random_bool(0.5) {
                true => (OTHERS.choose(dice).expect("one").to_vec(), End::Closed),
                false => ((0..dice.random_range(1..300)).map(|_| dice.random()).collect(), End::Closed),
            },
            _ => {
                let many = dice.random_range(2..10);
                (get("/api/search?q=ein%20Haus&language=de&k=2").repeat(many), End::Answered(many))
            }
        };
        Request { bytes, end }
    }

    /// A picture that is sent, mostly one that was changed.
    fn picture(&self, dice: &mut ChaCha8Rng, number: u64) -> Vec<u8> {
        let whole = self.pictures.choose(dice).expect("pictures");
        let picture = match dice.random_bool(0.9) {
            true => mutated(whole, number / 16, self.seed).0,
            false => whole.clone(),
        };
        if dice.random_bool(0.5) {
            return post("/api/similar?k=2", "Content-Type: image/png\r\n", &picture);
        }
        let name = ["picture", "language", "other", ""].choose(dice).expect("one");
        let mut form =
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"../a\"\r\n\r\n")
                .into_bytes();
        form.extend(picture);
        form.extend(b"\r\n--x--\r\n");
        if dice.random_bool(0.3) {
            form = mutated(&form, number / 16, !self.seed).0;
        }
        let boundary = ["x", "x", "x", "y", "", "\"", "a b"].choose(dice).expect("one");
        post("/picture", &format!("Content-Type: multipart/form-data; boundary={boundary}\r\n"), &form)
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn post(path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

fn path(dice: &mut ChaCha8Rng) -> String {
    let mut path = PATHS.choose(dice).expect("one").to_string();
    for _ in 0..dice.random_range(0..6) {
        path += PIECES.choose(dice).expect("one");
    }
    match dice.random_range(0..40) {
        0 => path += &"a".repeat(dice.random_range(1..80_000)),
        1 => path += &"../".repeat(dice.random_range(1..3000)),
        _ => {}
    }
    path
}

fn query(dice: &mut ChaCha8Rng) -> String {
    let path = PATHS.choose(dice).expect("one").trim_end_matches("?id=");
    let mut pairs = String::new();
    for _ in 0..dice.random_range(1..6) {
        pairs += &format!("&{}={}", KEYS.choose(dice).expect("one"), VALUES.choose(dice).expect("one"));
    }
    if dice.random_ratio(1, 40) {
        pairs = "&q=a&language=de".repeat(dice.random_range(1..1500));
    }
    format!("{path}?{}", &pairs[1..])
}

fn json(dice: &mut ChaCha8Rng, number: u64, seed: u64) -> Vec<u8> {
    let body = BODIES.choose(dice).expect("one");
    let body = match dice.random_range(0..8) {
        0..=2 => mutated(body.as_bytes(), number, seed).0,
        3 | 4 => {
            let parts: Vec<&str> = body.split_inclusive([':', ',', '[', ']']).collect();
            let at = dice.random_range(0..parts.len());
            let other = JSON.choose(dice).expect("one");
            [&parts[..at], &[*other], &parts[at + 1..]].concat().concat().into_bytes()
        }
        5 => {
            let open = ["[", "{\"q\":", "{\"q\":[", "\"", "[[],"].choose(dice).expect("one");
            open.repeat(dice.random_range(1..12_000)).into_bytes()
        }
        6 => {
            let long = ["a", "語", "\\u0301", "ا", " ", "\\n"].choose(dice).expect("one");
            let long = long.repeat(dice.random_range(1..12_000));
            format!("{{\"q\": \"{long}\", \"language\": \"de\"}}").into_bytes()
        }
        _ => {
            let texts = vec!["\"Haus\""; dice.random_range(0..600)].join(",");
            format!("{{\"texts\": [{texts}], \"language\": \"de\"}}").into_bytes()
        }
    };
    let path = ["/api/search", "/api/embed", "/api/similar", "/picture"].choose(dice).expect("one");
    post(path, AS_JSON, &body)
}

fn headers(dice: &mut ChaCha8Rng) -> Vec<u8> {
    let method = METHODS.choose(dice).expect("one");
    let mut head = format!("{method} {} HTTP/1.1\r\n", PATHS.choose(dice).expect("one"));
    if dice.random_bool(0.8) {
        head += "Host: localhost\r\n";
    }
    for _ in 0..dice.random_range(0..5) {
        head += &format!("{}\r\n", HEADERS.choose(dice).expect("one"));
    }
    match dice.random_range(0..10) {
        0 => (0..dice.random_range(1..2000)).for_each(|n| head += &format!("X-{n}: {n}\r\n")),
        1 => head += &format!("X: {}\r\n", "a".repeat(dice.random_range(1..100_000))),
        2 => head += &format!("{}: x\r\n", "a".repeat(dice.random_range(1..70_000))),
        _ => {}
    }
    (head + "\r\n").into_bytes()
}

fn lengths(dice: &mut ChaCha8Rng) -> Vec<u8> {
    let length = LENGTHS.choose(dice).expect("one");
    let path = PATHS.choose(dice).expect("one");
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{AS_JSON}Content-Length: {length}\r\n\r\nhello")
        .into_bytes()
}

fn chunks(dice: &mut ChaCha8Rng) -> Vec<u8> {
    let path = PATHS.choose(dice).expect("one");
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{AS_JSON}Transfer-Encoding: chunked\r\n");
    if dice.random_ratio(1, 4) {
        head += ["Content-Length: 5\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n"]
            .choose(dice)
            .expect("one");
    }
    let mut body = CHUNKS.choose(dice).expect("one").to_string();
    match dice.random_range(0..10) {
        0 => body = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(dice.random_range(1..40_000))),
        1 => body = "1\r\n{\r\n".repeat(dice.random_range(1..20_000)),
        2 => body = format!("0\r\n{}\r\n", "T: 1\r\n".repeat(dice.random_range(1..3000))),
        _ => {}
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// Announces a gigabyte.
fn large(dice: &mut ChaCha8Rng) -> Vec<u8> {
    let (path, more) = [
        ("/api/search", AS_JSON),
        ("/api/embed", AS_JSON),
        ("/api/similar", "Content-Type: image/png\r\n"),
        ("/picture", "Content-Type: multipart/form-data; boundary=x\r\n"),
        ("/none", ""),
    ]
    .choose(dice)
    .expect("one");
    let begun = vec![b'['; dice.random_range(0..2000)];
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{LARGE}{more}\r\n");
    [head.as_bytes(), &begun].concat()
}
