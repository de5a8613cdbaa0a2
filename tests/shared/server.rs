//! A server, the real command, asked over plain connections.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{text, tinyglot};

/// A server on a port of its own; the process ends with it, and with this one.
pub struct Server {
    child: Child,
    pub address: String,
    rest: BufReader<ChildStdout>,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[allow(dead_code, reason = "each test program uses some")]
impl Answer {
    /// Reads one answer to a method, and no byte of what follows it.
    ///
    /// # Errors
    /// A connection that breaks; what is no HTTP is invalid data, and the end of the connection before the answer's end an unexpected one.
    pub fn read(from: &mut impl BufRead, method: &str) -> io::Result<Answer> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            match line.strip_suffix("\r\n") {
                Some("") => break,
                Some(whole) => lines.push(whole.to_string()),
                None if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Err(wrong(format!("a header ends with {line:?}"))),
            }
        }
        let first = lines.first().cloned().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| wrong(format!("no status in {first:?}")))?;
        let header = |line: &String| {
            let (name, value) = line.split_once(": ").ok_or_else(|| wrong(format!("no header: {line:?}")))?;
            Ok((name.to_lowercase(), value.to_string()))
        };
        let headers = lines[1..].iter().map(header).collect::<io::Result<_>>()?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method != "HEAD" && status >= 200 && status != 304 {
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            answer.body = vec![0; length.ok_or_else(|| wrong(format!("no length in {lines:?}")))?];
            from.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What an error says.
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json.as_object().expect("an object").len(), 1, "{json}");
        json["error"].as_str().expect("text").to_string()
    }
}

#[allow(dead_code, reason = "each test program uses some")]
impl Server {
    pub fn start(run: &Path, index: &Path, more: &[&str]) -> Server {
        let mut child = tinyglot()
            .args(["serve", text(run), "--index", text(index), "--port", "0", "--with-parent"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut rest = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        rest.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("http://").and_then(|rest| rest.strip_suffix('\n'));
        let Some(address) = address.map(String::from) else {
            let mut said = String::new();
            child.stderr.take().expect("errors").read_to_string(&mut said).expect("text");
            panic!("it prints {line:?} and says {said}");
        };
        Server { child, address, rest }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    pub fn connect(&self) -> TcpStream {
        let port = self.address.rsplit(':').next().expect("a port");
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
        stream
    }

    /// Sends a request as it is, and reads the answer.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // Whoever is refused early cannot send the rest.
        let _ = stream.write_all(request);
        let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "" };
        let mut stream = BufReader::new(stream);
        let answer = Answer::read(&mut stream, method).unwrap_or_else(|e| panic!("{e}"));
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{read:?}: {} bytes follow the answer", rest.len());
        answer
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(&[request.as_bytes(), b"\r\n", body].concat())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// Asks it to end, and gives its exit status and what it said.
    #[cfg(unix)]
    pub fn ended(mut self, signal: &str) -> (Option<i32>, String, String) {
        // Whose end is a signal too.
        let input = self.child.stdin.take();
        let sent =
            std::process::Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("the command `kill`").success());
        let status = self.child.wait().expect("an end").code();
        drop(input);
        let (mut printed, mut said) = (String::new(), String::new());
        self.rest.read_to_string(&mut printed).expect("text");
        self.child.stderr.take().expect("errors").read_to_string(&mut said).expect("text");
        (status, printed, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
