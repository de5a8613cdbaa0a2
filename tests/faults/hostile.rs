//! A server that is asked 10,000 hostile requests: wrong paths, JSON, headers, lengths, protocols and pictures, connections that break, clients that are slow,
//! bodies of a gigabyte. It answers each properly or ends the connection, and others all along; nothing panics, and neither files nor memory are lost.
//!
//! `TINYGLOT_FAULTS_SEED` draws others. What is sent is the seed's; how clients come between one another is not.

use std::fs;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::requests::{AS_JSON, End, LARGE, Request, Requests};
use crate::server::{Answer, Server};
use crate::{follow, printed, text};

const REQUESTS: u64 = 10_000;
/// Requests before files and memory are counted: what a server keeps once, it has by then.
const FIRST: u64 = 4_000;
const CLIENTS: u64 = 4;
/// Those that send a header a byte at a time: more than a server takes connections.
const SLOW: usize = 560;
/// Those that are slow with a body, or with taking an answer, each.
const SLOW_ELSE: usize = 16;
/// The longest time in which others are answered, on a machine that is busy too.
const SOON: Duration = Duration::from_secs(8);
/// The longest time in which slow headers are waited for, and as much again for those that waited for a place.
const AT_LAST: Duration = Duration::from_secs(40);
/// KiB of memory that a server may have more after all requests: what its allocator scatters, not a body or a connection kept of each.
const MORE: u64 = 64 << 10;
/// What no answer may hold.
const SECRET: &[u8] = b"nobody may see this";

/// A server of photographs, of which one was replaced by a link to a file outside, and one by a file that takes long to send.
struct Place {
    _folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Place {
        let folder = follow::place();
        let at = |name: &str| folder.path().join(name);
        printed(&follow::words(&follow::command(folder.path())));
        fs::write(at("secret.png"), [b"\x89PNG\r\n\x1a\n", SECRET].concat()).expect("written");
        fs::remove_file(at("photos/1.png")).expect("removed");
        symlink(at("secret.png"), at("photos/1.png")).expect("a link");
        symlink(folder.path(), at("photos/outside")).expect("a link");
        fs::write(at("photos/2.jpg"), [b"\xff\xd8\xff".to_vec(), vec![7; 4 << 20]].concat())
            .expect("written");
        let (photos, tower) = (at("photos"), follow::golden("clip"));
        let more = ["--photos", text(&photos), "--tower", text(&tower), "--threads", "2"];
        let server = Server::start(&at("base"), &at("index"), &more);
        Place { server, _folder: folder }
    }
}

/// A connection that is kept while it goes.
struct Client<'a> {
    server: &'a Server,
    kept: Option<BufReader<TcpStream>>,
}

impl Client<'_> {
    fn fresh(&self) -> BufReader<TcpStream> {
        BufReader::new(self.server.connect())
    }

    /// Sends a request, and looks at what comes of it; gives the number of answers.
    fn send(&mut self, request: &Request) -> Result<usize, String> {
        // What ends a connection gets one of its own: the server may have ended a kept one by now.
        let (mut stream, kept) = match self.kept.take().filter(|_| matches!(request.end, End::Answered(_))) {
            Some(stream) => (stream, true),
            None => (self.fresh(), false),
        };
        // Whoever is refused early cannot send the rest.
        let _ = stream.get_mut().write_all(&request.bytes);
        let many = match request.end {
            End::Broken => return Ok(0),
            End::Closed => {
                let _ = stream.get_mut().shutdown(Shutdown::Write);
                usize::MAX
            }
            End::Answered(many) => many,
        };
        let mut answers = 0;
        while answers < many {
            match Answer::read(&mut stream, "GET") {
                Ok(answer) if answer.status == 100 => {}
                Ok(answer) => {
                    proper(&answer)?;
                    answers += 1;
                }
                Err(error) if is_end(&error) && many == usize::MAX => return Ok(answers),
                // The server had ended a connection before it was used again.
                Err(error) if is_end(&error) && answers == 0 && kept => return self.send(request),
                Err(error) => return Err(format!("after {answers} answers: {error}")),
            }
        }
        self.kept = Some(stream);
        Ok(answers)
    }
}

/// Whether the other side ended a connection.
fn is_end(error: &io::Error) -> bool {
    let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    ends.contains(&error.kind())
}

/// Whether an answer is one that a hostile request may have.
fn proper(answer: &Answer) -> Result<(), String> {
    let said = || format!("{} {:?} {}", answer.status, answer.headers, answer.text());
    let known = [200, 303, 304, 400, 403, 404, 405, 408, 413, 414, 415, 417, 431, 503];
    let hidden = !answer.body.windows(SECRET.len()).any(|part| part == SECRET);
    if !known.contains(&answer.status) || !hidden || answer.header("x-evil").is_some() {
        return Err(said());
    }
    if answer.header("content-type") == Some("application/json") {
        let json: Value = serde_json::from_slice(&answer.body).map_err(|e| format!("{e}: {}", said()))?;
        if answer.status >= 400 && !json["error"].is_string() {
            return Err(said());
        }
    }
    Ok(())
}

/// Sends the requests of so many numbers from several clients; gives the number of answers.
fn ask(server: &Server, requests: &Requests, numbers: Range<u64>) -> usize {
    let answers = AtomicUsize::new(0);
    thread::scope(|scope| {
        for one in 0..CLIENTS {
            let (numbers, answers) = (numbers.clone(), &answers);
            scope.spawn(move || {
                let mut client = Client { server, kept: None };
                for number in numbers.filter(|number| number % CLIENTS == one) {
                    let request = requests.draw(number);
                    match client.send(&request) {
                        Ok(some) => _ = answers.fetch_add(some, Ordering::Relaxed),
                        Err(what) => {
                            let start = &request.bytes[..request.bytes.len().min(600)];
                            panic!("request {number}, {:?}: {what}\n{}", request.end, start.escape_ascii());
                        }
                    }
                }
            });
        }
    });
    answers.into_inner()
}

/// Says that all is over, also where a test fails before.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks, as one who means well does, until it is over; gives the longest time that an answer took.
fn well_meant(server: &Server, over: &AtomicBool) -> Duration {
    let (mut longest, mut searches, mut found) = (Duration::ZERO, 0, 0);
    while !over.load(Ordering::Relaxed) {
        for (path, part) in
            [("/healthz", "\"ok\""), ("/api/search?q=ein%20Haus&language=de&k=2", "\"hits\":[{")]
        {
            let start = Instant::now();
            let answer = server.get(path);
            // Too many searches at a time may be told so, whether it is up may not.
            let busy = answer.status == 503 && path != "/healthz";
            assert!(
                busy || answer.status == 200 && answer.text().contains(part),
                "{path}: {}",
                answer.text()
            );
            if path != "/healthz" {
                searches += 1;
                found += usize::from(!busy);
            }
            longest = longest.max(start.elapsed());
            assert!(longest < SOON, "{path} is answered after {longest:?}");
        }
        sleep(Duration::from_millis(50));
    }
    assert!(found > 0 && 2 * found >= searches, "of {searches} searches {found} were answered");
    longest
}

/// A client that sends a byte now and then, and what was answered to it.
struct Slow {
    stream: TcpStream,
    answered: Vec<u8>,
    ended: bool,
}

impl Slow {
    fn new(server: &Server, begin: &str) -> Slow {
        let mut stream = server.connect();
        stream.write_all(begin.as_bytes()).expect("a connection");
        stream.set_nonblocking(true).expect("a connection");
        Slow { stream, answered: Vec::new(), ended: false }
    }

    fn go_on(&mut self) {
        let _ = self.stream.write(b"a");
        let mut some = [0; 4096];
        match self.stream.read(&mut some) {
            Ok(0) => self.ended = true,
            Ok(read) => self.answered.extend(&some[..read]),
            Err(error) => self.ended |= error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Clients that are slow until the server lets go of them; those that take no answers stay until all others are gone.
fn slow(server: &Server) {
    let start = Instant::now();
    let large = "GET /pictures?id=2.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(8);
    let _readers: Vec<Slow> = (0..SLOW_ELSE).map(|_| Slow::new(server, &large)).collect();
    let body =
        format!("POST /api/search HTTP/1.1\r\nHost: localhost\r\n{AS_JSON}Content-Length: 5000\r\n\r\n");
    let mut bodies: Vec<Slow> = (0..SLOW_ELSE).map(|_| Slow::new(server, &body)).collect();
    let header = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
    let mut headers: Vec<Slow> = (0..SLOW).map(|_| Slow::new(server, header)).collect();
    while headers.iter().chain(&bodies).any(|slow| !slow.ended) {
        let left = headers.iter().chain(&bodies).filter(|slow| !slow.ended).count();
        assert!(start.elapsed() < AT_LAST, "{left} slow clients are still waited for");
        headers.iter_mut().chain(&mut bodies).filter(|slow| !slow.ended).for_each(Slow::go_on);
        sleep(Duration::from_millis(200));
    }
    for slow in &bodies {
        let said = String::from_utf8_lossy(&slow.answered);
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("did not come within"), "{said}");
    }
}

/// Sends a body of a gigabyte, as long as it is taken: the answer, and the bytes that were sent.
fn sent(server: &Server, head: &str, chunk: &[u8]) -> (Answer, usize) {
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).expect("a connection");
    let mut all = 0;
    while all < 1 << 30 && stream.write_all(chunk).is_ok() {
        all += chunk.len();
    }
    (Answer::read(&mut BufReader::new(stream), "POST").expect("an answer"), all)
}

/// What is announced as a gigabyte is refused before it comes, and what only turns out to be, soon.
fn large(server: &Server) {
    for (path, kind, status) in [
        ("/api/search", "application/json", 413),
        ("/api/embed", "application/json", 413),
        ("/api/similar", "image/png", 413),
        ("/picture", "multipart/form-data; boundary=x", 413),
        ("/none", "image/png", 404),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n");
        let start = Instant::now();
        let answer = server.raw(format!("{head}{LARGE}\r\n").as_bytes());
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(start.elapsed() < Duration::from_secs(5), "{path} is refused after {:?}", start.elapsed());
        let (answer, bytes) = sent(server, &format!("{head}{LARGE}\r\n"), &[b' '; 1 << 16]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(bytes < 64 << 20, "{path} takes {bytes} bytes");
        let chunk = [&b"10000\r\n"[..], &[b' '; 1 << 16], b"\r\n"].concat();
        let (answer, bytes) = sent(server, &format!("{head}Transfer-Encoding: chunked\r\n\r\n"), &chunk);
        let said = answer.text();
        assert!(answer.status == status || path == "/picture" && answer.status == 400, "{path}: {said}");
        assert!(bytes < 64 << 20, "{path} takes {bytes} bytes");
    }
}

/// Open files of a process.
fn files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("its files").count()
}

/// KiB of memory that a process has.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().strip_suffix(" kB").and_then(|number| number.parse().ok()).expect("a number")
}

/// Waits until a process has as few files open as before.
fn closed(process: u32, before: usize, what: &str) {
    let start = Instant::now();
    while files(process) > before {
        assert!(start.elapsed() < SOON, "{} files are open {what}, {before} before", files(process));
        sleep(Duration::from_millis(50));
    }
}

/// All that is hostile at once, and one who means well; gives the number of answers, and the longest time of hers.
fn attacked(server: &Server, requests: &Requests, numbers: Range<u64>) -> (usize, Duration) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| well_meant(server, &over));
        let ends = Over(&over);
        let slow = scope.spawn(|| slow(server));
        let answers = ask(server, requests, numbers);
        large(server);
        let slow = slow.join();
        drop(ends);
        slow.expect("slow clients");
        (answers, watch.join().expect("one who means well"))
    })
}

#[test]
fn ten_thousand_hostile_requests_are_answered_and_lose_nothing() {
    let mut place = Place::new();
    let (server, process) = (&place.server, place.server.process());
    assert_eq!(server.get("/pictures?id=0.jpg").status, 200);
    assert_eq!(server.get("/pictures?id=1.png").status, 404, "a link leads outside");
    sleep(Duration::from_millis(200));
    let before = files(process);
    let seed = std::env::var("TINYGLOT_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let requests = Requests::new(seed, &follow::golden("pictures"));

    let start = Instant::now();
    attacked(server, &requests, REQUESTS..REQUESTS + FIRST);
    closed(process, before, "after the first requests");
    let (had, began) = (memory(process), start.elapsed());
    let (answers, longest) = attacked(server, &requests, 0..REQUESTS);
    closed(process, before, "afterwards");
    let has = memory(process);
    eprintln!(
        "{REQUESTS} requests after {FIRST} others, {answers} answers, others after {longest:?} at most; {had} KiB, then {has} KiB; {began:?}, {:?}",
        start.elapsed()
    );
    assert!(has < had + MORE, "{had} KiB were in memory, and now {has} KiB");
    assert!(place.server.lives());
    let (status, printed, said) = place.server.ended("TERM");
    assert_eq!((status, printed.as_str()), (Some(130), ""), "{said}");
    assert!(!said.contains("panicked") && said.ends_with("error: the server has ended\n"), "{said}");
}
