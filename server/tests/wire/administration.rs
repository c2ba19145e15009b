//! CONFIG, INFO, COMMAND, the metrics page: what operators and client libraries ask.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::Server;
use thermocline_port::Port;
use thermocline_resp::Value;

fn pairs(value: Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    match value {
        Value::Array(words) => words.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (text(name), text(value))).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_are_read_by_pattern_and_set_all_or_none() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    assert_eq!(
        pairs(connection.call(&["CONFIG", "GET", "MAXMEMORY"])),
        [("maxmemory".to_owned(), (64u64 << 20).to_string())]
    );
    assert_eq!(
        pairs(connection.call(&["CONFIG", "GET", "hash-max-*-entries"])),
        [
            ("hash-max-listpack-entries".to_owned(), "512".to_owned()),
            ("hash-max-ziplist-entries".to_owned(), "512".to_owned())
        ]
    );
    connection.ask("CONFIG SET hash-max-ziplist-entries 7", "+OK\r\n");
    assert_eq!(pairs(connection.call(&["CONFIG", "GET", "hash-max-listpack-entries"]))[0].1, "7");
    connection.ask(
        "CONFIG SET timeout 5 hz many",
        "-ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer\r\n",
    );
    assert_eq!(pairs(connection.call(&["CONFIG", "GET", "timeout"]))[0].1, "0");
    connection.ask("CONFIG SET nope 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'\r\n");
    connection.ask("CONFIG SET hz", "-ERR wrong number of arguments for 'config|set' command\r\n");
    connection.ask("CONFIG SET hz 10 timeout", "-ERR wrong number of arguments for 'config|set' command\r\n");
    connection.ask(
        "CONFIG SET hz 1 hz 2",
        "-ERR CONFIG SET failed (possibly related to argument 'hz') - duplicate parameter\r\n",
    );
    connection.ask(
        "CONFIG SET port 1",
        "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config\r\n",
    );
    connection.ask("CONFIG SET maxmemory 80mb", "+OK\r\n");
    assert_eq!(pairs(connection.call(&["CONFIG", "GET", "maxmemory"]))[0].1, (80u64 << 20).to_string());
    assert!(connection.text(&["CONFIG", "SET", "maxmemory", "1mb"]).contains("argument 'maxmemory'"));
    assert_eq!(pairs(connection.call(&["CONFIG", "GET", "maxmemory"]))[0].1, (80u64 << 20).to_string());
    connection.ask("CONFIG SET appendfsync always", "+OK\r\n");
    connection.ask("SET flushed 1", "+OK\r\n");
    connection.ask("CONFIG SET requirepass secret", "+OK\r\n");
    server.connect().ask("PING", "-NOAUTH Authentication required.\r\n");
}

#[test]
fn info_has_what_clients_read() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("SET a 1", "+OK\r\n");
    connection.ask("NOPE", "-ERR unknown command 'NOPE', with args beginning with: \r\n");
    connection.ask("GET", "-ERR wrong number of arguments for 'get' command\r\n");
    let info = connection.text(&["INFO"]);
    for line in [
        "redis_version:7.2.4",
        "redis_mode:standalone",
        "arch_bits:64",
        "cluster_enabled:0",
        "role:master",
        "blocked_clients:0",
    ] {
        assert!(info.contains(&format!("{line}\r\n")), "{line} is missing in {info}");
    }
    assert!(info.contains("db0:keys=1,expires=0,avg_ttl=0\r\n"), "{info}");
    assert!(info.contains("errorstat_ERR:count=2\r\n"), "{info}");
    assert!(!info.contains("cmdstat_"), "{info}");
    let info = connection.text(&["INFO", "commandstats", "TIER"]);
    assert!(info.starts_with("# Commandstats\r\n") && info.contains("\r\n\r\n# Tier\r\n"), "{info}");
    assert!(
        info.contains("cmdstat_set:calls=1,")
            && info.contains("cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1"),
        "{info}"
    );
    connection.ask("CONFIG RESETSTAT", "+OK\r\n");
    assert!(!connection.text(&["INFO", "commandstats"]).contains("cmdstat_set"));
}

#[test]
fn the_table_describes_itself() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let Value::Integer(count) = connection.call(&["COMMAND", "COUNT"]) else { panic!("a number") };
    let Value::Array(all) = connection.call(&["COMMAND"]) else { panic!("an array") };
    assert_eq!(all.len() as i64, count);
    let Value::Array(names) = connection.call(&["COMMAND", "LIST"]) else { panic!("an array") };
    assert_eq!(names.len() as i64, count);
    let Value::Array(get) = connection.call(&["COMMAND", "INFO", "get", "nope"]) else { panic!("an array") };
    let Value::Array(facts) = &get[0] else { panic!("an array") };
    assert_eq!(facts.len(), 10);
    assert_eq!(facts[1..2], [Value::Integer(2)]);
    assert_eq!(facts[3..6], [Value::Integer(1), Value::Integer(1), Value::Integer(1)]);
    assert_eq!(get[1], Value::Null);
    connection.ask("COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    connection.ask("COMMAND GETKEYS PING", "-ERR The command has no key arguments\r\n");
    connection.ask("COMMAND GETKEYS NOPE a", "-ERR Invalid command specified\r\n");
    connection.ask("COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command\r\n");
    connection.ask("COMMAND GETKEYS MEMORY USAGE a", "*1\r\n$1\r\na\r\n");
    assert_eq!(connection.text(&["COMMAND", "LIST", "FILTERBY"]), "ERR syntax error");
    let Value::Array(docs) = connection.call(&["COMMAND", "DOCS", "get", "nope"]) else { panic!("an array") };
    assert_eq!(docs.len(), 2);
}

#[test]
fn debug_obeys_its_switch() {
    let server = Server::start(&["--enable-debug-command", "no"]);
    assert!(server.connect().text(&["DEBUG", "SLEEP", "0"]).starts_with("ERR DEBUG command not allowed."));
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.ask("DEBUG SLEEP 0.01", "+OK\r\n");
    connection.ask("DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    connection.ask("DEBUG OBJECT missing", "-ERR no such key\r\n");
    connection.ask("MEMORY USAGE missing", "$-1\r\n");
}

#[test]
fn the_metrics_port_answers_prometheus_and_health() {
    let port = Port::reserve().expect("a port");
    let server = Server::start(&["--metrics-port", &port.to_string()]);
    server.connect().ask("SET a 1", "+OK\r\n");
    let fetch = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port.number())).expect("the port is open");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("it takes a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        text
    };
    assert!(fetch("/health").ends_with("\r\n\r\nok\n"));
    let page = fetch("/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains("thermocline_commands_total{command=\"set\"} 1\n") && page.contains("thermocline_hot_keys "),
        "{page}"
    );
    assert!(fetch("/nope").starts_with("HTTP/1.1 404 "));
}

#[test]
fn advice_about_memory_rests_on_what_was_read() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    assert!(connection.text(&["TIER", "ADVISE"]).starts_with("ERR nothing was read yet"));
    assert!(connection.text(&["TIER", "ADVISE", "lots"]).starts_with("ERR 'lots' is no size of maxmemory"));
    assert!(connection.text(&["TIER", "ADVISE", "1mb"]).contains("at least 64mb"));
    for round in 0..3 {
        for key in 0..200 {
            let key = format!("key:{key}");
            match round {
                0 => assert_eq!(connection.text(&["SET", &key, &"v".repeat(400)]), "OK"),
                _ => assert_eq!(connection.text(&["GET", &key]).len(), 400),
            }
        }
    }
    connection.ask("HELLO 3", "");
    connection.answer();
    let advice = pairs_of(connection.call(&["TIER", "ADVISE", "64mb", "256mb"]));
    assert_eq!(advice["sampled_keys"], Value::Integer(200), "{advice:?}");
    // A note is lost if the background takes them away at that very moment.
    assert!(matches!(advice["sampled_reads"], Value::Integer(380..=400)), "{advice:?}");
    let Value::Array(sizes) = &advice["sizes"] else { panic!("{advice:?}") };
    assert_eq!(sizes.len(), 2);
    for (size, bytes) in sizes.iter().zip([64, 256]) {
        let size = pairs_of(size.clone());
        assert_eq!(size["maxmemory"], Value::Integer(bytes << 20));
        assert_eq!(size["hot_share"], Value::Double(1.0), "everything fits: {size:?}");
    }
    // What was read of another store says nothing.
    connection.ask("FLUSHALL", "+OK\r\n");
    assert!(connection.text(&["TIER", "ADVISE"]).starts_with("ERR nothing was read yet"));
    let silent = Server::start(&["--tier-advise", "no"]);
    assert!(silent.connect().text(&["TIER", "ADVISE"]).contains("tier-advise yes"));
}

/// A map's values by their names.
fn pairs_of(value: Value) -> std::collections::HashMap<String, Value> {
    let Value::Map(pairs) = value else { panic!("no map: {value:?}") };
    let text = |name| match name {
        Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("no name: {other:?}"),
    };
    pairs.into_iter().map(|(name, value)| (text(name), value)).collect()
}

#[test]
fn the_metrics_page_tells_how_the_last_backup_went() {
    let port = Port::reserve().expect("a port");
    let folder = tempfile::tempdir().expect("a directory");
    let backups = folder.path().join("backups");
    let server = Server::start(&["--metrics-port", &port.to_string(), "--backup-dir", backups.to_str().expect("text")]);
    let page = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port.number())).expect("the port is open");
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("it takes a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        text
    };
    let before = page();
    assert!(before.contains("thermocline_backup_in_progress 0\n"), "{before}");
    assert!(!before.contains("thermocline_backup_last_"), "there was none: {before}");
    for (name, ok) in [("7", 1), ("7", 0)] {
        server.connect().ask(&format!("TIER BACKUP {name}"), "$1\r\n7\r\n");
        let mut text = page();
        while !text.contains(&format!("thermocline_backup_last_ok {ok}\n")) {
            std::thread::sleep(std::time::Duration::from_millis(10));
            text = page();
        }
        assert!(text.contains("thermocline_backup_last_time "), "{text}");
        assert!(!text.contains("backup_last_name") && !text.contains("backup_last_error"), "{text}");
    }
}
