//! A start that takes long: clients are let in at once, hear `-LOADING`, and can see how far it has come.
//!
//! `key-load-delay` (Redis's own test setting) makes each record of the start take so many microseconds more.

use std::time::Duration;

use thermocline_resp::Value;

use crate::support::{Connection, Server};

const KEYS: usize = 2000;
/// Two seconds for each start, if nobody takes it back.
const SLOW: &[&str] = &["--key-load-delay", "1000"];
const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";

fn filled() -> Server {
    let server = Server::start(&["--appendfsync", "always"]);
    let mut connection = server.connect();
    for key in 0..KEYS {
        connection.command(&["SET", &format!("key:{key}"), &format!("value {key}")]);
    }
    for _ in 0..KEYS {
        connection.expect("+OK\r\n");
    }
    server
}

/// A field of INFO persistence.
fn field(connection: &mut Connection, name: &str) -> Option<String> {
    let text = connection.text(&["INFO", "persistence"]);
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_end().to_owned()))
}

fn number(connection: &mut Connection, name: &str) -> f64 {
    field(connection, name).unwrap_or_else(|| panic!("INFO has no {name}")).parse().expect("a number")
}

#[test]
fn a_client_that_comes_early_sees_the_progress_and_is_served_afterwards() {
    for clean in [false, true] {
        let mut server = filled();
        server.signal(if clean { "TERM" } else { "KILL" });
        server.wait();
        let server = server.again_unasked(SLOW);
        let mut connection = server.connect();
        connection.ask("PING", LOADING);
        connection.ask("GET key:1", LOADING);
        connection.ask("MULTI", LOADING);
        connection.ask("EXEC", "-ERR EXEC without MULTI\r\n");
        connection.ask("DEBUG OBJECT key:1", LOADING);
        connection.ask("CONFIG SET maxmemory 100mb", LOADING);
        connection.ask("ECHO heard", "$5\r\nheard\r\n");
        connection.ask("SELECT 1", "+OK\r\n");
        connection.ask("SELECT 16", "-ERR DB index is out of range\r\n");
        connection.ask("SELECT 0", "+OK\r\n");
        connection.ask("CLIENT SETNAME early", "+OK\r\n");
        connection.ask("CLIENT SETINFO LIB-NAME test", "+OK\r\n");
        assert!(connection.text(&["CLIENT", "LIST"]).contains("name=early"));
        assert!(matches!(connection.call(&["TIME"]), Value::Array(two) if two.len() == 2));
        assert!(matches!(connection.call(&["HELLO", "3"]), Value::Map(_)));
        for section in ["everything", "server", "clients", "memory", "stats", "keyspace", "tier"] {
            connection.text(&["INFO", section]);
        }
        assert_eq!(number(&mut connection, "loading"), 1.0);
        assert!(number(&mut connection, "loading_start_time") > 1.6e9);
        let mut records = Vec::new();
        while records.last().is_none_or(|&last| last < KEYS as f64 / 4.0) {
            records.push(number(&mut connection, "loading_records"));
            assert!(records.is_sorted(), "progress only grows: {records:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (loaded, total) =
            (number(&mut connection, "loading_loaded_bytes"), number(&mut connection, "loading_total_bytes"));
        assert!(total > 0.0 && loaded <= total, "{loaded} of {total}");
        assert!((0.0..=100.0).contains(&number(&mut connection, "loading_loaded_perc")));
        assert!(number(&mut connection, "loading_eta_seconds") >= 0.0);
        let step = field(&mut connection, "loading_step").expect("its name");
        assert_eq!(step, if clean { "reading footers" } else { "replaying the log" });
        connection.ask("CONFIG SET key-load-delay 0", "+OK\r\n");
        server.wait_until_loaded();
        connection.ask("PING", "+PONG\r\n");
        assert_eq!(number(&mut connection, "loading"), 0.0);
        assert_eq!(field(&mut connection, "loading_records"), None);
        connection.ask("DBSIZE", &format!(":{KEYS}\r\n"));
        connection.ask("GET key:7", "$7\r\nvalue 7\r\n");
        assert!(connection.text(&["CLIENT", "LIST"]).contains("name=early"), "it is the same connection");
    }
}

#[test]
fn a_start_that_is_given_up_ends_at_once_and_harms_nothing() {
    let mut server = filled();
    server.signal("KILL");
    server.wait();
    for _ in 0..3 {
        server = server.again_unasked(&["--key-load-delay", "100000"]);
        let mut connection = server.connect();
        connection.ask("PING", LOADING);
        server.signal("TERM");
        connection.expect_end();
        assert_eq!(server.wait().code(), Some(0));
    }
    server = server.again_unasked(&["--key-load-delay", "100000"]);
    server.connect().send(b"SHUTDOWN\r\n");
    assert_eq!(server.wait().code(), Some(0));
    let server = server.again_unasked(&[]);
    server.wait_until_loaded();
    server.connect().ask("DBSIZE", &format!(":{KEYS}\r\n"));
}

#[test]
fn a_start_that_fails_late_ends_the_process_with_its_reason() {
    let mut server = filled();
    server.signal("KILL");
    server.wait();
    let mut log = std::fs::read_dir(server.directory.path().join("data")).expect("its files");
    let superblocks = log.by_ref().filter_map(|entry| {
        let path = entry.expect("an entry").path();
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("superblock-")).then_some(path)
    });
    superblocks.for_each(|path| std::fs::remove_file(path).expect("it is ours"));
    let data = server.directory.path().join("data");
    let port = thermocline_port::Port::reserve().expect("a port");
    let (code, words) = crate::support::run_to_end(
        crate::support::program()
            .args(["--port", &port.to_string(), "--maxmemory", "64mb", "--maxdisk", "256mb"])
            .arg("--dir")
            .arg(&data),
    );
    assert_eq!(code, Some(1), "{words}");
    assert!(words.lines().count() == 1 && words.contains("no valid superblock"), "{words}");
}
