//! `thermocline dump` and `load`: what goes through a file, a directory or a running server is what it was.
//!
//! With redis-server as Debian has it (`THERMOCLINE_RDB_PEER=/path/to/server` for another); without one those tests say that they
//! are skipped.
#![expect(clippy::disallowed_methods, reason = "prepares and compares files by hand")]

#[path = "../../../engine/rdb/tests/peer/fill.rs"]
#[expect(dead_code, reason = "shared with the codec's tests")]
mod fill;
#[path = "../../../engine/rdb/tests/peer/server.rs"]
#[expect(dead_code, reason = "shared with the codec's tests")]
mod server;
mod tool;

use server::{Answer, Server, program};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tool::{fails, json, tool, works};

/// Small segments, so that large values have many extents and groups are bounded.
const SMALL: [&str; 4] = ["--max-disk", "256mb", "--memory", "64mb"];

fn load(directory: &Path, from: &Path) -> serde_json::Value {
    json(tool("load").arg(directory).arg(from).args(SMALL).arg("--json"))
}

fn dump(directory: &Path, to: &Path, more: &[&str]) -> serde_json::Value {
    json(tool("dump").arg(directory).arg("-o").arg(to).args(["--memory", "64mb", "--json"]).args(more))
}

/// Every kind in every size that matters, in two databases, and a few that are large: extents, trees of several levels.
fn filled(program: &str, directory: &Path) -> Server {
    let mut server = Server::start(program, directory);
    fill::fill(&mut server, 7);
    server.run(&["FUNCTION", "FLUSH"]);
    server.run(&["SELECT", "0"]);
    server.run(&[&b"SET"[..], b"large", &b"0123456789abcdef".repeat(200_000)]);
    for (command, key, words) in
        [("RPUSH", "large:list", 1), ("SADD", "large:set", 1), ("HSET", "large:hash", 2), ("ZADD", "large:sorted", 2)]
    {
        for part in 0..30 {
            let mut all = vec![command.to_owned(), key.to_owned()];
            for n in 0..1000 {
                all.push((part * 1000 + n).to_string());
                all.extend((1..words).map(|_| format!("element {part} {n}")));
            }
            server.run(&all);
        }
    }
    server.run(&["PEXPIREAT", "large:list", "4102444800123"]);
    server
}

fn without_streams(server: &mut Server) {
    for database in ["0", "11"] {
        server.run(&["SELECT", database]);
        for key in server.run(&["KEYS", "stream:*"]).array() {
            server.run(&[b"DEL".to_vec(), key.bytes()]);
        }
    }
}

/// The digest of everything, and when each key expires.
fn portrait(server: &mut Server) -> (String, BTreeMap<Vec<u8>, Answer>) {
    let digest = server.run(&["DEBUG", "DIGEST"]).text();
    let mut times = BTreeMap::new();
    for database in ["0", "11"] {
        server.run(&["SELECT", database]);
        for key in server.run(&["KEYS", "*"]).array() {
            let key = key.bytes();
            let time = server.run(&[b"PEXPIRETIME".to_vec(), key.clone()]);
            times.insert([database.as_bytes(), b" ", &key].concat(), time);
        }
    }
    (digest, times)
}

fn is_version_10(server: &mut Server) -> bool {
    let Answer::Bytes(info) = server.run(&["INFO", "server"]) else { panic!("INFO is text") };
    String::from_utf8_lossy(&info).contains("redis_version:7.0")
}

#[test]
fn what_a_redis_holds_comes_back_equal_through_directories_rdb_files_and_lines_of_json() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let start = |name: &str| {
        fs::create_dir_all(path(name)).unwrap();
        Server::start(&program, &path(name))
    };
    fs::create_dir_all(path("redis")).unwrap();
    let mut redis = filled(&program, &path("redis"));
    without_streams(&mut redis);
    let want = portrait(&mut redis);
    let keys = want.1.len();
    let version: &[&str] = if is_version_10(&mut redis) { &["--rdb-version", "10"] } else { &[] };

    // From the running server into a directory, from there into a file that a fresh server loads.
    let port = redis.run(&["CONFIG", "GET", "port"]).array().pop().unwrap().text();
    let address = format!("127.0.0.1:{port}");
    let report = json(tool("load").arg(path("store")).args(["--from", &address]).args(SMALL).arg("--json"));
    assert_eq!(report["keys"], keys, "{report:#}");
    fs::create_dir_all(path("second")).unwrap();
    let report = dump(&path("store"), &path("second/dump.rdb"), version);
    assert_eq!(report["keys"], keys, "{report:#}");
    let mut second = start("second");
    assert_eq!(portrait(&mut second), want, "the second server differs");

    // Its own file into a directory, from there as lines of JSON into another one, and from there into a third server.
    second.run(&["SAVE"]);
    let report = load(&path("store-2"), &path("second/dump.rdb"));
    assert_eq!((&report["keys"], &report["left_out"]["unsupported"]), (&keys.into(), &0.into()), "{report:#}");
    dump(&path("store-2"), &path("all.jsonl"), &[]);
    load(&path("store-3"), &path("all.jsonl"));
    fs::create_dir_all(path("third")).unwrap();
    dump(&path("store-3"), &path("third/dump.rdb"), version);
    assert_eq!(portrait(&mut start("third")), want, "the third server differs");
    for store in ["store", "store-2", "store-3"] {
        works(tool("verify").arg(path(store)));
    }
}

#[test]
fn streams_and_functions_are_refused_by_name_or_counted() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("redis")).unwrap();
    let mut redis = Server::start(&program, &path("redis"));
    redis.run(&["XADD", "events", "*", "a", "b"]);
    redis.run(&["SET", "k", "v"]);
    redis.run(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
    redis.run(&["SAVE"]);
    let port = redis.run(&["CONFIG", "GET", "port"]).array().pop().unwrap().text();
    let address = format!("127.0.0.1:{port}");
    let file = path("redis/dump.rdb");
    for source in [vec!["--from", &address], vec![file.to_str().unwrap()]] {
        let command = || {
            let mut command = tool("load");
            command.arg(path("store")).args(SMALL).arg("--merge").args(&source);
            command
        };
        let error = fails(&mut command());
        assert!(error.contains("'events'") && error.contains("--skip-unsupported"), "{error}");
        let report = json(command().args(["--skip-unsupported", "--json"]));
        assert_eq!((&report["keys"], &report["left_out"]["unsupported"]), (&1.into(), &1.into()), "{report:#}");
    }
}

/// Lines of every kind, fields that expire among them, as `dump` writes them: sorted, since a directory has no order.
fn lines() -> Vec<String> {
    let far = 4_102_444_800_123u64;
    let mut lines = vec![
        format!(r#"{{"db":0,"key":"h","type":"hash","value":[["b","2",{far}],["c","3",{}],["a","1"]]}}"#, far + 5),
        format!(r#"{{"db":0,"key":"s","type":"string","expires_at_ms":{far},"value":"text"}}"#),
        r#"{"db":0,"key":{"base64":"/wA="},"type":"string","value":{"base64":"gA=="}}"#.to_owned(),
        r#"{"db":3,"key":"l","type":"list","value":["a","","a"]}"#.to_owned(),
        r#"{"db":3,"key":"user:1","type":"set","value":["m"]}"#.to_owned(),
        r#"{"db":3,"key":"user:2","type":"zset","value":[["m","-inf"],["n",0.1]]}"#.to_owned(),
    ];
    lines.sort();
    lines
}

fn written(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn sorted(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn fields_that_expire_keep_their_times_through_rdb_and_json_and_are_refused_where_rdb_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    written(&path("in.jsonl"), &lines());
    load(&path("store"), &path("in.jsonl"));
    let report = dump(&path("store"), &path("out.rdb"), &[]);
    assert_eq!((&report["keys"], &report["expiring"]), (&6.into(), &1.into()), "{report:#}");
    assert_eq!(&fs::read(path("out.rdb")).unwrap()[..9], b"REDIS0012", "a newer version was chosen");
    load(&path("store-2"), &path("out.rdb"));
    dump(&path("store-2"), &path("out.jsonl"), &[]);
    assert_eq!(sorted(&path("out.jsonl")), lines());
    let error = fails(tool("dump").arg(path("store")).arg("-o").arg(path("old.rdb")).args(["--rdb-version", "10"]));
    assert!(error.contains("'h'") && error.contains("12 (Redis 7.4)"), "{error}");
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.starts_with("old.rdb")), "a part of a file was left");
}

#[test]
fn a_dump_has_what_the_filter_means_and_leaves_the_directory_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    written(&path("in.jsonl"), &lines());
    load(&path("store"), &path("in.jsonl"));
    let files = || -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(path("store")).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .filter(|(name, _)| name != "LOCK")
            .collect()
    };
    let before = files();
    for (filter, keys) in [
        (vec![], 6),
        (vec!["--pattern", "user:*"], 2),
        (vec!["--type", "string"], 2),
        (vec!["--type", "set", "--type", "zset", "--db", "3"], 2),
        (vec!["--db", "0", "--db", "3", "--pattern", "?"], 3),
        (vec!["--db", "7"], 0),
    ] {
        for to in ["out.jsonl", "out.rdb"] {
            assert_eq!(dump(&path("store"), &path(to), &filter)["keys"], keys, "{filter:?} {to}");
        }
    }
    assert!(files() == before, "dump has changed the directory");
    let error = fails(tool("dump").arg(path("store")).arg("-o").arg(path("x.rdb")).args(["--db", "99"]));
    assert!(error.contains("no database 99"), "{error}");
    let report =
        json(tool("load").arg(path("part")).arg(path("in.jsonl")).args(["--type", "string", "--json"]).args(SMALL));
    assert_eq!((&report["keys"], &report["left_out"]["filtered"]), (&2.into(), &4.into()), "{report:#}");
    let out = works(tool("dump").arg(path("part")).args(["-o", "-", "--format", "jsonl"]));
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[test]
fn a_directory_in_use_or_with_keys_or_not_ours_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    written(&path("in.jsonl"), &lines());
    load(&path("store"), &path("in.jsonl"));
    let error = fails(tool("load").arg(path("store")).arg(path("in.jsonl")).args(SMALL));
    assert!(error.contains("holds 6 keys") && error.contains("--merge"), "{error}");
    let more = r#"{"key":"s","type":"string","value":"new"}"#.to_owned();
    written(&path("more.jsonl"), &[more]);
    json(tool("load").arg(path("store")).arg(path("more.jsonl")).args(SMALL).args(["--merge", "--json"]));
    let out = works(tool("dump").arg(path("store")).args(["-o", "-", "--format", "jsonl", "--pattern", "s"]));
    assert_eq!(
        out, "{\"db\":0,\"key\":\"s\",\"type\":\"string\",\"value\":\"new\"}\n",
        "the old time went with the old value"
    );

    let lock = thermocline_io::lock_directory(&path("store")).unwrap();
    let commands = || {
        let (mut load, mut dump) = (tool("load"), tool("dump"));
        load.arg(path("store")).arg(path("in.jsonl")).arg("--merge");
        dump.arg(path("store")).arg("-o").arg(path("x.rdb"));
        [load, dump]
    };
    for mut command in commands() {
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("in use by process"), "{error}");
    }
    drop(lock);
    fs::create_dir(path("photos")).unwrap();
    fs::write(path("photos/holiday.jpg"), b"x").unwrap();
    let error = fails(tool("load").arg(path("photos")).arg(path("in.jsonl")));
    assert!(error.contains("holiday.jpg"), "{error}");
    assert_eq!(fs::read_dir(path("photos")).unwrap().count(), 1, "nothing was put into it");
}

/// Closing a store into which nothing was ever written failed: its checkpoint's table has no bytes, and a disk refuses to write none.
#[test]
fn a_store_of_no_keys_is_loaded_and_dumped_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    written(&path("in.jsonl"), &[]);
    assert_eq!(load(&path("store"), &path("in.jsonl"))["keys"], 0);
    assert_eq!(dump(&path("store"), &path("out.rdb"), &[])["keys"], 0);
    assert_eq!(load(&path("store"), &path("out.rdb"))["keys"], 0);
    works(tool("verify").arg(path("store")));
}

#[test]
fn a_file_that_is_damaged_or_none_is_refused_and_says_what_was_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    written(&path("in.jsonl"), &lines());
    load(&path("store"), &path("in.jsonl"));
    dump(&path("store"), &path("out.rdb"), &[]);
    let mut bytes = fs::read(path("out.rdb")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path("bad.rdb"), &bytes).unwrap();
    let error = fails(tool("load").arg(path("other")).arg(path("bad.rdb")).args(SMALL));
    assert!(error.contains("checksum") && error.contains("6 keys before it"), "{error}");
    let error = fails(tool("load").arg(path("third")).arg(path("in.jsonl")).args(["--format", "rdb"]).args(SMALL));
    assert!(error.contains("not an RDB file"), "{error}");
    let error = fails(tool("load").arg(path("third")).arg(path("holiday.jpg")));
    assert!(error.contains("--format"), "{error}");
}
