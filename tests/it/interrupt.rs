//! Ctrl-C and SIGTERM.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tinyglot::cli::interrupt;
use tinyglot::stop::Saves;

/// Set in the copy of this test that gets the signals.
const CHILD: &str = "TINYGLOT_TEST_CHILD";

#[test]
fn first_signal_asks_and_second_stops_with_130() {
    if std::env::var_os(CHILD).is_some() {
        wait_for_signals();
    }
    for signal in ["INT", "TERM"] {
        let test = "interrupt::first_signal_asks_and_second_stops_with_130";
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([test, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a copy of this test");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut until = |wanted: &str| lines.any(|line| line.expect("a line").ends_with(wanted));
        assert!(until("watching"));
        send(signal, &child);
        assert!(until("asked to stop"), "the first {signal} sets the flag");
        send(signal, &child);
        assert_eq!(child.wait().expect("an end").code(), Some(130), "the second {signal} stops at once");
    }
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("the command `kill`").success());
}

/// Says when it watches and when it was asked to stop, and then does not stop by itself for a while.
fn wait_for_signals() {
    let say = |line: &str| {
        // Past the test harness, which may hold back what tests print.
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("a reader");
    };
    assert!(!interrupt::flag().load(Ordering::SeqCst));
    interrupt::watch().expect("signals");
    let _saves = Saves::begin();
    say("watching");
    for _ in 0..6000 {
        if interrupt::flag().load(Ordering::SeqCst) {
            say("asked to stop");
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(60));
    std::process::exit(9);
}
