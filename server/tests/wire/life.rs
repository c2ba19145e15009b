//! The life of the process: how it refuses to start, and how it ends.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use thermocline_port::Port;

use crate::support::{Server, program, run_to_end};

/// Runs a start that must fail: its words on standard error.
fn refused(words: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut all = vec!["--port", "0"];
    all.extend_from_slice(words);
    let (code, text) = run_to_end(program().current_dir(directory.path()).args(&all));
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing was touched");
    assert_eq!(text.lines().count(), 1, "one sentence: {text}");
    text
}

#[test]
fn a_start_that_cannot_work_is_one_clear_sentence_and_code_1() {
    assert!(refused(&["--maxmemory", "63mb"]).contains("64mb"));
    assert!(refused(&["--maxdisk", "1mb"]).contains("maxdisk"));
    assert!(refused(&["--maxmemori", "1gb"]).contains("--maxmemori"));
    assert!(refused(&["--maxmemory", "lots"]).contains("argument must be a memory or percent value"));
    assert!(refused(&["oops"]).contains("--port"));
}

#[test]
fn a_busy_port_proposes_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its number").port().to_string();
    let text = refused(&["--port", &port, "--maxmemory", "64mb", "--maxdisk", "256mb"]);
    assert!(text.contains(&format!("Failed listening on port {port}")) && text.contains("--port"), "{text}");
}

#[test]
fn a_directory_in_use_is_refused() {
    let server = Server::start(&[]);
    let data = server.directory.path().join("data");
    let port = Port::reserve().expect("a port");
    let (code, text) = run_to_end(
        program().args(["--port", &port.to_string(), "--maxmemory", "64mb", "--maxdisk", "256mb", "--dir"]).arg(&data),
    );
    assert_eq!(code, Some(1), "{text}");
    assert!(text.lines().count() == 1 && text.contains("in use"), "{text}");
    server.connect().ask("PING", "+PONG\r\n");
}

#[test]
fn help_and_version_are_printed() {
    for (word, expected) in [("--help", "--maxmemory"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = program().arg(word).output().expect("it runs");
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(expected), "{output:?}");
    }
}

#[test]
fn six_lines_for_people_and_the_log_lines_that_scripts_wait_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let port = Port::reserve().expect("a port");
    let mut process = program()
        .args(["--port", &port.to_string(), "--maxmemory", "64mb", "--maxdisk", "256mb", "--dir"])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().expect("its output")));
    let mut text = Vec::new();
    while !text.last().is_some_and(|line: &String| line.contains("Ready to accept connections")) {
        text.push(lines.next().expect("it says it is ready").expect("text"));
    }
    let start = text.iter().position(|line| line.trim_start().starts_with("DRAM")).expect("the first of six");
    for (line, word) in text[start..].iter().zip(["DRAM", "SSD", "directory", "durability", "disk I/O", "port"]) {
        assert!(line.trim_start().starts_with(word), "{line}");
    }
    assert!(text.iter().any(|line| line.contains(" PID: ")));
    process.kill().expect("it runs");
    process.wait().expect("it ends");
}

#[test]
fn a_termination_is_graceful_and_the_data_is_there_again() {
    let mut server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SET a kept", "+OK\r\n");
    server.signal("TERM");
    connection.expect_end();
    assert_eq!(server.wait().code(), Some(0));
    let again = Server::start(&["--dir", server.directory.path().join("data").to_str().expect("text")]);
    again.connect().ask("GET a", "$4\r\nkept\r\n");
}

#[test]
fn systemd_hears_when_the_store_is_open_and_when_it_is_being_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("notify");
    let listener = UnixDatagram::bind(&socket).expect("a socket");
    listener.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let heard = || {
        let mut bytes = [0; 256];
        let count = listener.recv(&mut bytes).expect("words");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let port = Port::reserve().expect("a port");
    let mut process = program()
        .args([
            "--supervised",
            "systemd",
            "--port",
            &port.to_string(),
            "--maxmemory",
            "64mb",
            "--maxdisk",
            "256mb",
            "--dir",
        ])
        .arg(directory.path().join("data"))
        .env("NOTIFY_SOCKET", &socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let first = heard();
    // A start that takes longer than a moment says so.
    let ready = if first.starts_with("STATUS=Opening") { heard() } else { first };
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    let ended = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().expect("kill runs");
    assert!(ended.success());
    assert!(heard().starts_with("STOPPING=1\n"));
    assert!(process.wait().expect("it ends").success());
}

#[test]
fn shutdown_ends_the_process() {
    let mut server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n");
    connection.ask("SHUTDOWN NOSAVE SAVE", "-ERR syntax error\r\n");
    connection.send(b"SHUTDOWN NOSAVE\r\n");
    connection.expect_end();
    assert_eq!(server.wait().code(), Some(0));
}
