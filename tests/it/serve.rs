//! A server: the real command, asked over plain connections.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::corpus::{MADE, refused};
use crate::index::BY_PHOTOS;
use crate::server::Server;
use crate::{printed, text, tinyglot};

/// The index of the test pictures, whose ids are the names of their files without ending.
struct Indexed {
    _folder: TempDir,
    index: PathBuf,
}

static INDEXED: LazyLock<Indexed> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let index = folder.path().join("photos");
    make(&index);
    Indexed { _folder: folder, index }
});

fn make(index: &Path) {
    let (run, gallery, ids) = (MADE.run(), MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let make = ["index", text(&run), "--gallery", text(&gallery), "--ids", text(&ids)];
    printed(&[&make[..], &["--out", text(index), "-q"]].concat());
}

fn photos() -> PathBuf {
    MADE.path("data/images")
}

/// One server for all who only ask.
static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::start(&MADE.run(), &INDEXED.index, &["--photos", text(&photos())]));

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What the command finds.
fn searched(languages: &str, queries: &[&str]) -> Value {
    let run = MADE.run();
    let search = ["search", text(&run), "--language", languages, "--json", "-k", "5", "-q"];
    let line = printed(&[&search[..], &["--index", text(&INDEXED.index)], queries].concat());
    serde_json::from_str(&line).expect("JSON")
}

/// A caption of a test picture.
fn caption(language: &str) -> String {
    let captions =
        fs::read_to_string(MADE.path(&format!("data/captions/test.1.{language}"))).expect("captions");
    captions.lines().next().expect("a caption").to_string()
}

#[test]
fn it_finds_what_the_command_finds() {
    for language in ["de", "zh"] {
        let query = caption(language);
        let expected = searched(language, &[&query]);
        assert_eq!(expected["hits"].as_array().map(Vec::len), Some(5));
        let found = SERVER.get(&format!("/api/search?q={}&language={language}&k=5", encoded(&query)));
        assert_eq!((found.status, found.header("content-type")), (200, Some("application/json")));
        let found = found.json();
        for field in ["query", "language", "hits"] {
            assert_eq!(found[field], expected[field], "{field}");
        }
        assert_eq!(found["warnings"], json!([]));
        let posted = SERVER.post("/api/search", &json!({"q": query, "language": language, "k": 5}));
        assert_eq!(posted.json(), found);
    }
}

#[test]
fn several_languages_are_joined_as_the_command_joins_them() {
    let queries = [caption("en"), caption("de")];
    let expected = searched("en,de", &[&queries[0], &queries[1]]);
    let [en, de] = [&queries[0], &queries[1]].map(|text| encoded(text));
    let found = SERVER.get(&format!("/api/search?q={en}&q={de}&language=en,de&k=5")).json();
    assert_eq!((&found["hits"], &found["query"]), (&expected["hits"], &json!(queries)));
    let posted = SERVER.post("/api/search", &json!({"q": queries, "language": ["en", "de"], "k": 5}));
    assert_eq!(posted.json(), found);
}

#[test]
fn pictures_like_a_picture_are_the_nearest_vectors() {
    let vectors =
        tinyglot::corpus::Features::open(&[INDEXED.index.join("part-000001/vectors.npy")]).expect("vectors");
    let ids = fs::read_to_string(INDEXED.index.join("part-000001/ids.txt")).expect("ids");
    let ids: Vec<&str> = ids.lines().collect();
    let row = |row: usize| {
        let mut vector = vec![0.0; vectors.width()];
        tinyglot::corpus::PictureSource::copy_rows(&vectors, row, &mut vector);
        vector
    };
    let cosine = |n: usize| row(7).iter().zip(row(n)).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let mut others: Vec<usize> = (0..ids.len()).filter(|&n| n != 7).collect();
    others.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)));
    let found = SERVER.get(&format!("/api/similar?id={}&k=4", ids[7])).json();
    assert_eq!(found["id"], ids[7]);
    let hits = found["hits"].as_array().expect("hits");
    let rows: Vec<usize> = hits.iter().map(|hit| hit["row"].as_u64().expect("a row") as usize).collect();
    assert_eq!(rows, others[..4]);
    for hit in hits {
        let row = hit["row"].as_u64().expect("a row") as usize;
        assert_eq!(hit["id"], ids[row]);
        assert!((hit["score"].as_f64().expect("a score") - cosine(row)).abs() < 1e-5);
    }
    assert_eq!(SERVER.get("/api/similar?id=none").status, 404);
    let all = SERVER.get(&format!("/api/similar?id={}&k=1000", ids[7])).json();
    assert_eq!(all["hits"].as_array().map(Vec::len), Some(ids.len() - 1));
}

#[test]
fn vectors_are_those_of_embed() {
    let texts = ["ein rotes Haus", "zwei Boote", "xqzt"];
    let mut child = tinyglot()
        .args(["embed", text(&MADE.run()), "--language", "de", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    child.stdin.take().expect("its input").write_all((texts.join("\n") + "\n").as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let numbers = &output.stdout[output.stdout.len() - 3 * 16 * 4..];
    let expected: Vec<f32> =
        numbers.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four"))).collect();
    let found = SERVER.post("/api/embed", &json!({"language": "de", "texts": texts})).json();
    assert_eq!((&found["width"], &found["language"]), (&json!(16), &json!("de")));
    let vectors: Vec<Vec<f32>> = serde_json::from_value(found["vectors"].clone()).expect("vectors");
    assert_eq!(vectors.concat(), expected);
}

#[test]
fn bad_requests_are_told_why_and_the_server_goes_on() {
    let bad = [
        ("/api/search?q=Haus", "`language` is missing: the model knows en, de, zh"),
        ("/api/search?q=Haus&language=xx", "does not know the language `xx`; it knows en, de, zh"),
        ("/api/search?q=Haus&language=", "does not know the language ``"),
        ("/api/search?language=de", "`q` is missing"),
        ("/api/search?q=%20&language=de", "`q` is empty"),
        ("/api/search?q=a%00b&language=de", "NUL"),
        ("/api/search?q=Haus&language=de&k=0", "`k` is 0, and must be from 1 to 1000"),
        ("/api/search?q=Haus&language=de&k=1001", "`k` is 1001"),
        ("/api/search?q=Haus&language=de&k=-1", "`k` is `-1`"),
        ("/api/search?q=Haus&language=de&k=99999999999999999999", "whole number"),
        ("/api/search?q=Haus&language=de&k=1&k=2", "`k` is given 2 times"),
        ("/api/search?q=Haus&language=de,en", "`q` has 1 texts, `language` has 2"),
        ("/api/search?q=Haus&language=de&n=3", "`n` is no parameter here"),
        ("/api/similar", "`id` is missing"),
        ("/api/similar?id=a&k=0", "`k` is 0"),
    ];
    for (path, said) in bad {
        let answer = SERVER.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.error().contains(said), "{path}: {}", answer.error());
    }
    let long = format!("/api/search?language=de&q={}", "a".repeat(1001));
    assert!(SERVER.get(&long).error().contains("1001 characters"));
    for (path, status) in [
        ("/none", 404),
        ("/api", 404),
        ("/api/search/", 404),
        ("/pictures?id=..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/pictures?id=%2e%2e/secret", 404),
        ("/pictures?id=none", 404),
        ("/pictures?id=", 404),
        ("/pictures", 400),
        ("/pictures?row=3", 400),
        ("/pictures/3", 404),
    ] {
        assert_eq!(SERVER.get(path).status, status, "{path}");
    }
    assert!(SERVER.get("/none").error().contains("/api/openapi.json"));

    let kind = [("Content-Type", "application/json")];
    for (body, said) in [
        (&b"{"[..], "the body cannot be used"),
        (b"\xff", "the body cannot be used"),
        (b"[]", "the body cannot be used"),
        (b"{\"q\": \"Haus\", \"language\": \"de\", \"n\": 3}", "unknown field `n`"),
        (b"{\"q\": 7, \"language\": \"de\"}", "expected a text, or a list of texts"),
        (b"{\"q\": \"Haus\", \"language\": \"de\", \"k\": -3}", "-3"),
        (b"{\"q\": [], \"language\": \"de\"}", "`q` is missing"),
    ] {
        let answer = SERVER.ask("POST", "/api/search", &kind, body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.error().contains(said), "{}", answer.error());
    }
    let deep = "[".repeat(60_000);
    assert_eq!(SERVER.ask("POST", "/api/search", &kind, deep.as_bytes()).status, 400);
    assert_eq!(SERVER.ask("POST", "/api/search", &[("Content-Type", "text/plain")], b"{}").status, 415);
    let large = format!("{{\"q\": \"{}\", \"language\": \"de\"}}", "a".repeat(70_000));
    let answer = SERVER.ask("POST", "/api/search", &kind, large.as_bytes());
    assert_eq!((answer.status, answer.error().as_str()), (413, "the body is larger than 64 KiB"));
    assert_eq!(SERVER.post("/api/embed", &json!({"language": "de", "texts": []})).status, 400);
    assert_eq!(SERVER.post("/api/embed", &json!({"language": "de,en", "texts": ["a"]})).status, 400);
    assert_eq!(SERVER.ask("GET", "/", &[("X-Long", &"a".repeat(40_000))], b"").status, 431);
    assert_eq!(SERVER.raw(b"no request\r\n\r\n").status, 400);

    let healthy = SERVER.get("/healthz");
    assert_eq!((healthy.status, healthy.json()), (200, json!({"status": "ok"})));
}

#[test]
fn what_is_described_is_what_is_there() {
    let document = SERVER.get("/api/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let (place, mut described) = (path.as_str(), Vec::new());
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let answer = SERVER.ask(method, place, &[], b"");
            let there = methods.get(method.to_lowercase()).is_some();
            assert_eq!(answer.status != 405, there, "{method} {path}");
            // No picture was sent.
            if path != "/sent/{name}" {
                assert_ne!(answer.status, 404, "{method} {path}");
            }
            match there {
                true => {
                    described.push(method);
                    let known = &methods[method.to_lowercase()]["responses"];
                    assert!(
                        known[answer.status.to_string()].is_object(),
                        "{method} {path} {}",
                        answer.status
                    );
                }
                false => assert!(answer.error().contains("does not take this method")),
            }
        }
        let allowed = SERVER.ask("PATCH", place, &[], b"");
        let allowed = allowed.header("allow").expect("what is allowed");
        assert!(described.iter().all(|method| allowed.contains(method)), "{path}: {allowed}");
    }
    // The schemas have the fields of real answers.
    let fields = |schema: &str| document["components"]["schemas"][schema]["properties"].clone();
    for (schema, answer) in [
        ("Searched", SERVER.get("/api/search?q=Haus&language=de").json()),
        ("Similar", SERVER.get("/api/similar?id=test_00003").json()),
        ("Embedded", SERVER.post("/api/embed", &json!({"language": "de", "texts": ["Haus"]})).json()),
        ("Stats", SERVER.get("/api/stats").json()),
        ("Health", SERVER.get("/healthz").json()),
        ("Error", SERVER.get("/api/similar").json()),
    ] {
        let names = |value: &Value| -> Vec<String> {
            let mut names: Vec<String> = value.as_object().expect("fields").keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&fields(schema)), names(&answer), "{schema}");
    }
}

#[test]
fn it_says_what_it_has_and_what_was_asked() {
    let stats = SERVER.get("/api/stats").json();
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({"pictures": 20, "languages": ["en", "de", "zh"], "width": 16, "photos": true, "thumbnails": false, "sees": false, "version": version});
    assert_eq!(stats, expected);
    let metrics = SERVER.get("/metrics");
    assert!(metrics.header("content-type").expect("a type").starts_with("text/plain; version=0.0.4"));
    let text = metrics.text();
    assert!(text.contains("\ntinyglot_pictures 20\n"), "{text}");
    assert!(
        text.contains("tinyglot_requests_total{route=\"/api/stats\",method=\"GET\",status=\"200\"} "),
        "{text}"
    );
    assert!(text.contains("tinyglot_request_seconds_bucket{route=\"/api/stats\",le=\"+Inf\"} "), "{text}");
}

#[test]
fn the_page_shows_what_is_found() {
    let query = caption("de");
    let best = searched("de", &[&query])["hits"][0].clone();
    let page = SERVER.get(&format!("/?q={}&language=de", encoded(&query)));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let html = page.text();
    let first = html.split("<li>").nth(1).expect("a picture");
    let id = best["id"].as_str().expect("an id");
    for part in [
        format!("<img src=\"/pictures?id={id}\""),
        format!("aria-label=\"More like {id}\""),
        format!("{:.3}", best["score"].as_f64().expect("a score")),
    ] {
        assert!(first.contains(&part), "{part}: {first}");
    }
    assert!(html.contains("<option value=\"de\" selected>Deutsch (de)</option>"), "{html}");
    assert!(
        !html.contains("<script") && !html.contains("http:") && !html.contains("https:"),
        "nothing from elsewhere"
    );
    let like = SERVER.get(&format!("/?like={id}&language=de"));
    let own = format!("<img src=\"/pictures?id={id}\" alt=\"The picture itself\"");
    assert!(like.text().contains("Pictures like ") && like.text().contains(&own), "{}", like.text());
    let start = SERVER.ask("GET", "/", &[("Accept-Language", "fr, de-AT;q=0.7")], b"").text();
    assert!(start.contains("<h2>20 pictures</h2>") && start.contains("value=\"de\" selected"), "{start}");
    for (path, status, said) in [
        ("/?q=a&language=xx", 400, "does not know the language `xx`"),
        ("/?q=a&language=de&k=0", 400, "`k` is 0"),
        ("/?like=none", 404, "no picture `none`"),
        ("/?like=", 404, "no picture ``"),
    ] {
        let answer = SERVER.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(
            answer.text().contains("role=\"alert\"") && answer.text().contains(said),
            "{}",
            answer.text()
        );
    }
    let evil = SERVER.get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&language=en").text();
    assert!(!evil.contains("<script") && evil.contains("&lt;script&gt;"), "{evil}");
}

#[test]
fn pictures_are_those_of_the_index() {
    let ids = fs::read_to_string(INDEXED.index.join("part-000001/ids.txt")).expect("ids");
    let id = ids.lines().nth(3).expect("an id");
    let address = format!("/pictures?id={}", encoded(id));
    let answer = SERVER.get(&address);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    assert_eq!(answer.body, fs::read(photos().join(format!("{id}.png"))).expect("a picture"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let tag = answer.header("etag").expect("a tag");
    let again = SERVER.ask("GET", &address, &[("If-None-Match", tag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = SERVER.ask("HEAD", &address, &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let bare = Server::start(&MADE.run(), &INDEXED.index, &[]);
    assert!(bare.get(&address).error().contains("without `--photos`"));
    assert!(!bare.get("/").text().contains("<img"));
}

#[test]
fn many_ask_at_a_time() {
    let expected = SERVER.get("/api/search?q=ein%20Haus&language=de&k=3").json();
    std::thread::scope(|scope| {
        let ask = || (0..5).map(|_| SERVER.get("/api/search?q=ein%20Haus&language=de&k=3").json()).collect();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for one in all {
            let answers: Vec<Value> = one.join().expect("answers");
            assert!(answers.iter().all(|answer| *answer == expected));
        }
    });
}

const TOKEN: &str = "0123456789abcdef";

#[test]
fn others_need_the_token() {
    let (run, index) = (MADE.run(), &INDEXED.index);
    let open = ["serve", text(&run), "--index", text(index), "--port", "0", "--host", "0.0.0.0"];
    refused(&open, 2, &["others reach `0.0.0.0`", "--token"]);
    refused(&[&open[..], &["--token", "short"]].concat(), 2, &["16 or more", "openssl"]);
    let server = Server::start(&run, index, &["--host", "0.0.0.0", "--token", TOKEN]);
    let path = "/api/search?q=Haus&language=de";
    let without = server.get(path);
    assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    assert!(without.error().contains("token"));
    for path in ["/", "/metrics", "/none", "/pictures?id=0"] {
        assert_eq!(server.get(path).status, 401, "{path}");
    }
    assert_eq!(server.get("/healthz").status, 200);
    let with =
        |token: &str| server.ask("GET", path, &[("Authorization", &format!("Bearer {token}"))], b"").status;
    assert_eq!((with(TOKEN), with("0123456789abcdeg"), with("")), (200, 401, 401));
    let sent = server.get(&format!("/?q=Haus&language=de&token={TOKEN}"));
    assert_eq!((sent.status, sent.header("location")), (303, Some("/?q=Haus&language=de")));
    let cookie = sent.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie");
    assert!(!cookie.contains(TOKEN));
    assert_eq!(server.ask("GET", "/", &[("Cookie", cookie)], b"").status, 200);
    // A page of elsewhere whose name leads here.
    let foreign = SERVER.raw(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(foreign.status, 403);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&MADE.run(), &INDEXED.index, &["-v", "--threads", "1"]);
        assert_eq!(server.get("/healthz").status, 200);
        assert_eq!(server.get("/api/search?q=Haus&language=de").status, 200);
        // One that is there and asks for nothing is not waited for.
        let _idle = server.connect();
        let start = Instant::now();
        let (status, printed, said) = server.ended(signal);
        assert_eq!((status, printed.as_str()), (Some(130), ""), "{said}");
        assert!(said.contains("GET /healthz 200 ") && said.contains("the server has ended"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn an_index_that_is_made_again_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = folder.path().join("photos");
    make(&index);
    let server = Server::start(&MADE.run(), &index, &[]);
    let pictures = || server.get("/api/stats").json()["pictures"].as_u64().expect("a number");
    assert_eq!(pictures(), 20);
    fs::remove_dir_all(&index).expect("removed");
    let (run, gallery) = (MADE.run(), MADE.path("data/features/train.npy"));
    printed(&["index", text(&run), "--gallery", text(&gallery), "--out", text(&index), "-q"]);
    let start = Instant::now();
    while pictures() != 60 {
        assert!(start.elapsed() < Duration::from_secs(60), "it still has the old pictures");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(server.get("/api/similar?id=59").status, 200);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let (run, index) = (MADE.run(), &INDEXED.index);
    let serve = ["serve", text(&run), "--index"];
    let folder = tempfile::tempdir().expect("a folder");
    refused(&[&serve[..], &[text(folder.path())]].concat(), 4, &["no index here"]);
    let none = folder.path().join("none");
    refused(&[&serve[..], &[text(index), "--photos", text(&none)]].concat(), 4, &["none`: cannot be read"]);
    let port = SERVER.address.rsplit(':').next().expect("a port");
    refused(&[&serve[..], &[text(index), "--port", port]].concat(), 1, &["cannot listen on", "--port"]);
}

/// An index of photographs, and a server of it.
struct Photographed {
    place: TempDir,
    server: Server,
}

static PHOTOGRAPHED: LazyLock<Photographed> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a folder");
    let (photos, index) = (place.path().join("photos"), place.path().join("index"));
    BY_PHOTOS.put(&photos, 0..12);
    bring_up_to_date(&photos, &index);
    let server = Server::start(&BY_PHOTOS.run(), &index, &[]);
    Photographed { place, server }
});

fn bring_up_to_date(photos: &Path, index: &Path) {
    printed(&["index", text(&BY_PHOTOS.run()), "--photos", text(photos), "--out", text(index), "-q"]);
}

impl Photographed {
    fn photo(&self, name: &str) -> Vec<u8> {
        fs::read(self.place.path().join("photos").join(name)).expect("a photograph")
    }
}

/// The ids that an answer finds.
fn ids(found: &Value) -> Vec<String> {
    let hits = found["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["id"].as_str().expect("an id").to_string()).collect()
}

#[test]
fn thumbnails_are_those_of_the_index() {
    let Photographed { server, .. } = &*PHOTOGRAPHED;
    let stats = server.get("/api/stats").json();
    assert_eq!(
        (&stats["thumbnails"], &stats["sees"], &stats["photos"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let address = "/thumbnails?id=odd%2F003.png";
    let thumbnail = server.get(address);
    assert_eq!((thumbnail.status, thumbnail.header("content-type")), (200, Some("image/jpeg")));
    assert!(thumbnail.body.starts_with(b"\xff\xd8\xff") && thumbnail.body.len() <= 32 << 10);
    let tag = thumbnail.header("etag").expect("a tag").to_string();
    assert_eq!(server.ask("GET", address, &[("If-None-Match", &tag)], b"").status, 304);
    for path in
        ["/thumbnails?id=none", "/thumbnails?id=../003.png", "/sent/none", "/pictures?id=odd%2F003.png"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let indexed = fs::read_to_string(INDEXED.index.join("part-000001/ids.txt")).expect("ids");
    let first = encoded(indexed.lines().next().expect("an id"));
    assert!(SERVER.get(&format!("/thumbnails?id={first}")).error().contains("made of features"));
    let page = server.get("/").text();
    assert!(page.contains("src=\"/thumbnails?id=even%2F000.png\"") && !page.contains("/pictures?"), "{page}");
}

#[test]
fn only_some_photographs_are_searched() {
    let Photographed { server, .. } = &*PHOTOGRAPHED;
    let search = |more: &str| server.get(&format!("/api/search?q=Haus&language=de&k=20{more}")).json();
    let all = search("");
    assert_eq!(ids(&all).len(), 12);
    let even = search("&folder=even");
    let expected: Vec<String> = ids(&all).into_iter().filter(|id| id.starts_with("even/")).collect();
    assert_eq!(ids(&even), expected, "in the same order");
    assert_eq!(
        even["hits"][0],
        *all["hits"]
            .as_array()
            .expect("hits")
            .iter()
            .find(|hit| hit["id"] == even["hits"][0]["id"])
            .expect("it is there")
    );
    // Picture n was changed 20 + n days after New Year 2020.
    let days = ids(&search("&from=2020-01-24&to=2020-01-26"));
    let mut days: Vec<&str> = days.iter().map(String::as_str).collect();
    days.sort_unstable();
    assert_eq!(days, ["even/004.png", "odd/003.png", "odd/005.png"]);
    assert_eq!(ids(&search("&folder=odd&from=2020-01-24&to=2020-01-26")).len(), 2);
    assert_eq!(ids(&search("&folder=none")), Vec::<String>::new());
    let posted =
        server.post("/api/search", &json!({"q": "Haus", "language": "de", "k": 20, "folder": "even"}));
    assert_eq!(posted.json(), even);
    let like = server.get("/api/similar?id=even%2F002.png&folder=odd&k=20").json();
    assert_eq!(ids(&like).len(), 6);
    assert!(ids(&like).iter().all(|id| id.starts_with("odd/")), "{like}");
    for (more, said) in [
        ("&from=yesterday", "`from`: `yesterday` is no day"),
        ("&from=2020-02-01&to=2020-01-01", "before `from`"),
    ] {
        let answer = server.get(&format!("/api/search?q=Haus&language=de{more}"));
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains(said), "{}", answer.error());
    }
    let page = server.get("/?q=Haus&language=de&folder=odd&from=2020-01-22").text();
    assert!(
        page.contains("<option value=\"odd\" selected>") && page.contains("value=\"2020-01-22\""),
        "{page}"
    );
    assert!(page.contains("odd/003.png") && !page.contains("alt=\"Picture even/"), "{page}");
    assert!(page.contains("like=odd%2F001.png&amp;language=de&amp;folder=odd&amp;from=2020-01-22"), "{page}");
}

#[test]
fn a_picture_that_is_sent_finds_those_like_it() {
    let Photographed { server, .. } = &*PHOTOGRAPHED;
    let photo = PHOTOGRAPHED.photo("odd/007.png");
    let send =
        |path: &str, kind: &str, body: &[u8]| server.ask("POST", path, &[("Content-Type", kind)], body);
    let found = send("/api/similar?k=3", "image/png", &photo);
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    assert_eq!((ids(&found)[0].as_str(), ids(&found).len()), ("odd/007.png", 3));
    assert!((found["hits"][0]["score"].as_f64().expect("a score") - 1.0).abs() < 1e-3);
    let even = send("/api/similar?k=3&folder=even", "application/octet-stream", &photo).json();
    assert!(ids(&even).iter().all(|id| id.starts_with("even/")), "{even}");

    let form = |fields: &[(&str, &str)], file: &[u8]| {
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .into_bytes(),
            );
        }
        body.extend(b"--x\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"../a.png\"\r\nContent-Type: image/png\r\n\r\n");
        body.extend(file);
        body.extend(b"\r\n--x--\r\n");
        send("/picture", "multipart/form-data; boundary=x", &body)
    };
    let sent = form(&[("language", "de"), ("folder", "odd")], &photo);
    assert_eq!(sent.status, 303, "{}", sent.text());
    let address = sent.header("location").expect("an address").to_string();
    let page = server.get(&address).text();
    assert!(page.contains("Pictures like the one that you sent") && page.contains("odd/007.png"), "{page}");
    assert!(!page.contains("alt=\"Picture even/"), "{page}");
    let name = address.split(['=', '&']).nth(1).expect("a name");
    let thumbnail = server.get(&format!("/sent/{name}"));
    assert_eq!((thumbnail.status, thumbnail.header("content-type")), (200, Some("image/jpeg")));

    for (answer, status, said) in [
        (send("/api/similar", "image/png", b"<html>"), 400, "the picture is a page of HTML"),
        (send("/api/similar", "image/png", &photo[..photo.len() / 2]), 400, "cut short"),
        (send("/api/similar", "image/png", b""), 400, "is empty"),
        (send("/api/similar", "text/plain", &photo), 415, "must be a picture"),
        (send("/api/similar", "image/png", &vec![7; (16 << 20) + (70 << 10)]), 413, "larger than 16 MiB"),
        (
            SERVER.ask("POST", "/api/similar", &[("Content-Type", "image/png")], &photo),
            404,
            "no picture tower",
        ),
    ] {
        assert_eq!(answer.status, status, "{said}: {}", answer.text());
        assert!(answer.error().contains(said), "{said}: {}", answer.error());
    }
    for (answer, status, said) in [
        (form(&[], b""), 400, "no picture was chosen"),
        (form(&[("other", "1")], &photo), 400, "no field `other`"),
        (send("/picture", "multipart/form-data; boundary=x", b"--y"), 400, "cannot be read"),
        (send("/picture", "text/plain", b""), 400, "cannot be read"),
        (server.get("/?sent=0123"), 404, "send it again"),
    ] {
        assert_eq!(answer.status, status, "{said}: {}", answer.text());
        assert!(
            answer.text().contains(said) && answer.text().contains("role=\"alert\""),
            "{said}: {}",
            answer.text()
        );
    }
    // A picture of few bytes and many pixels.
    let mut bomb = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bomb.extend([60_000u32, 60_000].iter().flat_map(|side| side.to_le_bytes()));
    bomb.extend([1, 0, 24, 0]);
    bomb.extend([0; 24]);
    let answer = send("/api/similar", "image/bmp", &bomb);
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("60000 × 60000 pixels"), "{}", answer.error());
    assert!(!SERVER.get("/").text().contains("type=\"file\""), "nothing to see pictures with");
}

#[test]
fn an_index_that_follows_its_photographs_is_read_again() {
    let place = tempfile::tempdir().expect("a folder");
    let (photos, index) = (place.path().join("photos"), place.path().join("index"));
    BY_PHOTOS.put(&photos, 0..4);
    bring_up_to_date(&photos, &index);
    let server = Server::start(&BY_PHOTOS.run(), &index, &[]);
    // On a page that is open from before.
    let address = "/thumbnails?id=odd%2F001.png";
    let (kept, gone) = (server.get(address).body, "/thumbnails?id=even%2F000.png");
    assert_eq!(server.get(gone).status, 200);
    BY_PHOTOS.put(&photos, 4..6);
    fs::remove_file(photos.join("even/000.png")).expect("removed");
    bring_up_to_date(&photos, &index);
    let start = Instant::now();
    while server.get("/api/stats").json()["pictures"] != json!(5) {
        assert!(start.elapsed() < Duration::from_secs(60), "it still has the old pictures");
        // The old ones are whole though their files are gone.
        assert_eq!(server.get(address).status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    let found = server.get("/api/search?q=Haus&language=de&k=20").json();
    assert!(
        ids(&found).contains(&"odd/005.png".to_string())
            && !ids(&found).contains(&"even/000.png".to_string())
    );
    // Rows are others now; a picture is still itself, and one that is gone is no other.
    assert_eq!((server.get(address).body == kept, server.get(gone).status), (true, 404));
    assert!(server.get("/?like=even%2F000.png").text().contains("no picture `even/000.png`"));
}
