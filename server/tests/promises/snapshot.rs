//! The file of SAVE and BGSAVE is the store at one moment, whatever is written meanwhile; a real redis-server loads it and finds the
//! same; with `appendonly no` a crash serves it; a start on a foreign file serves that.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thermocline_port::Port;
use thermocline_rdb::{Item, Options, Reader, Value as Rdb};
use thermocline_resp::Value;

use crate::process::{Connection, Server, now, say};
use crate::store::{Store, filler, load, okay, refusal};

const DIRECTIVES: [&str; 6] = ["--maxmemory", "64mb", "--maxdisk", "1gb", "--enable-debug-command", "yes"];
const PATIENCE: Duration = Duration::from_secs(120);

fn text(connection: &mut Connection, words: &[&str]) -> String {
    match connection.call(words) {
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } | Value::Simple(bytes) => {
            String::from_utf8(bytes).expect("text")
        }
        other => panic!("no text: {}", crate::process::shown(&other)),
    }
}

fn field(connection: &mut Connection, name: &str) -> String {
    let info = text(connection, &["INFO", "persistence"]);
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no field {name}")).to_owned()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = now() + PATIENCE;
    while !is_so() {
        assert!(now() < until, "{what}: it takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A snapshot from the question to the file.
fn snapshot(connection: &mut Connection) {
    assert_eq!(text(connection, &["BGSAVE"]), "Background saving started");
    wait_for("a snapshot", || field(connection, "rdb_bgsave_in_progress") == "0");
    assert_eq!(field(connection, "rdb_last_bgsave_status"), "ok", "{}", field(connection, "rdb_last_bgsave_error"));
}

fn digest(connection: &mut Connection) -> String {
    // On a busy machine a digest of what is cold takes a while.
    connection.be_patient(2 * PATIENCE);
    text(connection, &["DEBUG", "DIGEST"])
}

/// All values of a file.
fn file(path: &Path) -> BTreeMap<(u64, Vec<u8>), Rdb> {
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    let input = BufReader::new(std::fs::File::open(path).expect("the file"));
    let mut reader = Reader::new(input, Options::default()).expect("an RDB file");
    let (mut database, mut found) = (0, BTreeMap::new());
    while let Some(item) = reader.next().expect("the file is sound") {
        match item {
            Item::Database(number) => database = number,
            Item::Key(entry) => {
                let key = entry.key.to_vec();
                let value = entry.value.into_value().expect("a value");
                assert!(found.insert((database, key), value).is_none(), "a key is there twice");
            }
            _ => {}
        }
    }
    found
}

/// One of each kind, small and large, with and without an end, hot and cold, in several databases.
fn fill(connection: &mut Connection) {
    for database in ["0", "3"] {
        connection.call(&["SELECT", database]);
        load(connection, "string", 300, 200, 7);
        for size in [3, 3000] {
            for first in (0..size).step_by(100) {
                let names: Vec<String> = (first..size.min(first + 100)).map(|n| format!("element {n}")).collect();
                let with = |head: &[&str], pair: bool| {
                    let mut words: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
                    for (number, name) in names.iter().enumerate() {
                        match (head[0], pair) {
                            ("ZADD", _) => words.extend([format!("{}.5", first + number), name.clone()]),
                            (_, true) => words.extend([name.clone(), format!("value {first} {number}")]),
                            _ => words.push(name.clone()),
                        }
                    }
                    words
                };
                for (kind, pair) in [("RPUSH", false), ("SADD", false), ("HSET", true), ("ZADD", true)] {
                    connection.call(&with(&[kind, &format!("{kind}:{size}")], pair));
                }
            }
        }
        connection.call(&["SADD", "integers", "1", "2", "300"]);
        connection.call(&["SET", "ends", "value", "PX", "600000"]);
        connection.call(&["PEXPIRE", "HSET:3000", "600000"]);
        connection.call(&[b"SET".as_slice(), b"extents", &filler(3, 1 << 20)]);
        // More than the reader of a snapshot has memory.
        connection.call(&[b"SET".as_slice(), b"many extents", &filler(4, 12 << 20)]);
        // Their trees stay where they are.
        for n in 0..8 {
            connection.call(&["COPY", "ZADD:3000", &format!("copy {n}")]);
            connection.call(&["RENAME", &format!("copy {n}"), &format!("renamed {n}")]);
        }
        connection.call(&["TIER", "DEMOTE", "string:1", "string:2", "HSET:3", "renamed 1"]);
    }
    connection.call(&["SELECT", "0"]);
}

/// A real server of Redis's kind on a directory; `None`, and a line that says so, if it is not on this machine.
struct Peer(Child, Port);

impl Peer {
    fn start(directory: &Path) -> Option<Peer> {
        let port = Port::reserve().expect("a port");
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--enable-debug-command",
            "yes",
        ]);
        command.arg("--dir").arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Peer(child, port)),
            Err(error) => {
                say(&format!("skipped: redis-server cannot be run on this machine: {error}"));
                None
            }
        }
    }

    fn connect(&self) -> Connection {
        let mut connected = None;
        wait_for("redis-server", || {
            let Some(mut connection) = Connection::to(self.1.number()) else { return false };
            let is_loaded = connection.call(&["PING"]) == Value::Simple(b"PONG".to_vec());
            connected = is_loaded.then_some(connection);
            is_loaded
        });
        connected.expect("it has answered")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Killing what has already ended fails, and that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_redis_loads_the_file_and_finds_the_same() {
    for appendonly in ["yes", "no"] {
        let store = Store::start(&[&DIRECTIVES[..], &["--appendonly", appendonly]].concat());
        let mut connection = store.server.connect();
        fill(&mut connection);
        let before = connection.number(&["LASTSAVE"]);
        assert_ne!(field(&mut connection, "rdb_changes_since_last_save"), "0");
        assert_eq!(connection.call(&["SAVE"]), okay());
        assert_eq!(field(&mut connection, "rdb_changes_since_last_save"), "0");
        assert_eq!(field(&mut connection, "rdb_saves"), "1");
        assert!(connection.number(&["LASTSAVE"]) >= before);
        let ours = digest(&mut connection);
        // The file alone, as an operator would carry it to a Redis.
        let elsewhere = tempfile::tempdir().expect("a directory");
        std::fs::copy(store.data.join("dump.rdb"), elsewhere.path().join("dump.rdb")).expect("the file");
        let Some(peer) = Peer::start(elsewhere.path()) else { return };
        assert_eq!(digest(&mut peer.connect()), ours, "appendonly {appendonly}");
    }
}

const ACCOUNTS: usize = 600;
const EACH: i64 = 1000;

/// Accounts whose sum never changes, the same sum in the fields of a large hash, and a log of all transfers in a list whose length
/// a counter tells: each transfer is one transaction.
fn transfers(connection: &mut Connection, seed: u64, ended: &AtomicBool) -> u64 {
    let (mut word, mut count) = (seed | 1, 0);
    while !ended.load(Ordering::Relaxed) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let [from, to] = [word % ACCOUNTS as u64, word / 1000 % ACCOUNTS as u64];
        let amount = (word % 17).to_string();
        for words in [
            vec!["MULTI".to_owned()],
            vec!["DECRBY".into(), format!("account:{from}"), amount.clone()],
            vec!["INCRBY".into(), format!("account:{to}"), amount.clone()],
            vec!["HINCRBY".into(), "accounts".into(), from.to_string(), format!("-{amount}")],
            vec!["HINCRBY".into(), "accounts".into(), to.to_string(), amount.clone()],
            vec!["RPUSH".into(), "journal".into(), format!("{from} {to} {amount} of some words that take room")],
            vec!["INCR".into(), "transfers".into()],
            vec!["SET".into(), format!("filler:{}", word % 30_000), "x".repeat(400)],
            vec!["EXEC".into()],
        ] {
            connection.push(&words);
        }
        connection.flush().expect("the server takes it");
        (0..9).for_each(|_| drop(connection.answer().expect("an answer")));
        count += 1;
        // On a slow machine the log would be full before the file is written.
        std::thread::sleep(Duration::from_millis(1));
    }
    count
}

fn number(value: &Rdb) -> i64 {
    match value {
        Rdb::String(bytes) => std::str::from_utf8(bytes).expect("digits").parse().expect("a number"),
        other => panic!("no number: {other:?}"),
    }
}

#[test]
fn the_file_is_one_moment_of_concurrent_transactions_and_the_memory_stays_bounded() {
    for appendonly in ["yes", "no"] {
        let store = Store::start(&[&DIRECTIVES[..], &["--appendonly", appendonly]].concat());
        let mut connection = store.server.connect();
        for account in 0..ACCOUNTS {
            connection.push(&["SET", &format!("account:{account}"), &EACH.to_string()]);
            connection.push(&["HSET", "accounts", &account.to_string(), &EACH.to_string()]);
        }
        connection.flush().expect("the server takes it");
        (0..2 * ACCOUNTS).for_each(|_| drop(connection.answer().expect("an answer")));
        // So many keys that the snapshot is read in several parts.
        load(&mut connection, "small", 350_000, 16, 1);
        let ended = AtomicBool::new(false);
        let mut seen = Vec::new();
        store.measured(64 << 20, || {
            std::thread::scope(|scope| {
                for seed in [11, 77] {
                    let (store, ended) = (&store, &ended);
                    scope.spawn(move || transfers(&mut store.server.connect(), seed, ended));
                }
                let _end = Ending(&ended);
                for _ in 0..2 {
                    std::thread::sleep(Duration::from_millis(300));
                    let before = text(&mut connection, &["GET", "transfers"]).parse::<i64>().expect("a number");
                    snapshot(&mut connection);
                    let after = text(&mut connection, &["GET", "transfers"]).parse::<i64>().expect("a number");
                    let found = file(&store.data.join("dump.rdb"));
                    let at = |name: &str| &found[&(0, name.as_bytes().to_vec())];
                    let sum: i64 = (0..ACCOUNTS).map(|account| number(at(&format!("account:{account}")))).sum();
                    assert_eq!(sum, ACCOUNTS as i64 * EACH, "appendonly {appendonly}: a transfer is there in part");
                    let Rdb::Hash(fields) = at("accounts") else { panic!("no hash") };
                    let sum: i64 = fields.iter().map(|field| number(&Rdb::String(field.value.to_vec()))).sum();
                    assert_eq!((fields.len(), sum), (ACCOUNTS, ACCOUNTS as i64 * EACH), "appendonly {appendonly}");
                    let Rdb::List(journal) = at("journal") else { panic!("no list") };
                    let transfers = number(at("transfers"));
                    assert_eq!(journal.len() as i64, transfers, "appendonly {appendonly}");
                    assert!(before <= transfers && transfers <= after, "{before} <= {transfers} <= {after}");
                    assert_eq!(found.keys().filter(|(_, key)| key.starts_with(b"small:")).count(), 350_000);
                    seen.push((transfers, after));
                }
            });
        });
        assert!(
            seen[0].1 > seen[0].0 || seen[1].1 > seen[1].0,
            "nothing was written while a snapshot was made: {seen:?}"
        );
        let words = store.server.words();
        let parts = |line: &str| line.split("parts=").nth(1)?.split_whitespace().next()?.parse::<u32>().ok();
        assert!(words.lines().filter_map(parts).all(|parts| parts > 1), "it was read in one part: {words}");
    }
}

struct Ending<'e>(&'e AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn one_at_a_time_and_what_cannot_be_written_leaves_the_last_file() {
    let store = Store::start(&DIRECTIVES);
    let mut connection = store.server.connect();
    load(&mut connection, "key", 2000, 100, 1);
    snapshot(&mut connection);
    let path = store.data.join("dump.rdb");
    let first = file(&path);
    assert_eq!(first.len(), 2000);

    assert_eq!(connection.call(&["CONFIG", "SET", "rdb-key-save-delay", "200"]), okay());
    connection.call(&["SET", "one", "more"]);
    assert_eq!(text(&mut connection, &["BGSAVE", "SCHEDULE"]), "Background saving started");
    assert_eq!(field(&mut connection, "rdb_bgsave_in_progress"), "1");
    for words in [&["BGSAVE"][..], &["SAVE"], &["BGSAVE", "SCHEDULE"]] {
        assert_eq!(refusal(connection.call(words)), "ERR Background save already in progress");
    }
    assert_eq!(refusal(connection.call(&["BGSAVE", "later"])), "ERR syntax error");
    wait_for("it", || field(&mut connection, "rdb_bgsave_in_progress") == "0");
    assert_eq!(file(&path).len(), 2001);

    // A folder of that name is in the way.
    assert_eq!(connection.call(&["CONFIG", "SET", "rdb-key-save-delay", "0", "dbfilename", "other.rdb"]), okay());
    std::fs::create_dir_all(store.data.join("other.rdb").join("in the way")).expect("a folder");
    let words = refusal(connection.call(&["SAVE"]));
    assert!(words.contains("other.rdb"), "{words}");
    assert_eq!(field(&mut connection, "rdb_last_bgsave_status"), "err");
    assert!(field(&mut connection, "rdb_last_bgsave_error").contains("other.rdb"));
    assert_eq!(file(&path).len(), 2001);
    let words = refusal(connection.call(&["CONFIG", "SET", "dbfilename", "../dump.rdb"]));
    assert!(words.contains("dbfilename can't be a path, just a filename"), "{words}");

    for words in [&["MULTI"][..], &["BGSAVE"]] {
        connection.call(words);
    }
    let scheduled = Value::Array(vec![Value::Simple(b"Background saving scheduled".to_vec())]);
    assert_eq!(connection.call(&["EXEC"]), scheduled);
}

#[test]
fn a_save_point_makes_a_file_where_nothing_is_logged_and_is_noted_where_everything_is() {
    for appendonly in ["no", "yes"] {
        let store = Store::start(&[&DIRECTIVES[..], &["--appendonly", appendonly, "--save", "3600", "1"]].concat());
        let mut connection = store.server.connect();
        load(&mut connection, "key", 50, 100, 1);
        assert_eq!(connection.call(&["CONFIG", "SET", "save", "1 10"]), okay());
        wait_for("a save point", || field(&mut connection, "rdb_changes_since_last_save") == "0");
        assert_eq!(store.data.join("dump.rdb").exists(), appendonly == "no");
    }
}

#[test]
fn fields_that_expire_are_in_the_file() {
    let store = Store::start(&DIRECTIVES);
    let mut connection = store.server.connect();
    connection.call(&["HSET", "hash", "stays", "1", "goes", "2"]);
    connection.call(&["HPEXPIRE", "hash", "600000", "FIELDS", "1", "goes"]);
    assert_eq!(connection.call(&["SAVE"]), okay());
    let found = file(&store.data.join("dump.rdb"));
    let Rdb::Hash(fields) = &found[&(0, b"hash".to_vec())] else { panic!("no hash") };
    let expiring: Vec<&[u8]> = fields.iter().filter(|f| f.expires_at_ms.is_some()).map(|f| &f.field[..]).collect();
    assert_eq!((fields.len(), expiring), (2, vec![b"goes".as_slice()]));
}

#[test]
fn shutdown_save_writes_the_file_and_nosave_does_not() {
    for (word, is_there) in [("NOSAVE", false), ("SAVE", true)] {
        let mut store = Store::start(&DIRECTIVES);
        let mut connection = store.server.connect();
        load(&mut connection, "key", 50, 100, 1);
        store.server.shut_down_with(&[word]);
        assert_eq!(store.data.join("dump.rdb").exists(), is_there, "{word}");
    }
}

/// After a crash with `appendonly no`: exactly what the last snapshot kept.
#[test]
fn kill_9_without_a_log_leaves_the_last_snapshot() {
    let directives = [&DIRECTIVES[..], &["--appendonly", "no", "--save", ""]].concat();
    let mut store = Store::start(&directives);
    let mut connection = store.server.connect();
    fill(&mut connection);
    // More than fits in memory: a good part of it is cold.
    load(&mut connection, "cold", 30_000, 3000, 3);
    snapshot(&mut connection);
    let at_the_snapshot = digest(&mut connection);
    for words in [&["FLUSHDB"][..], &["SET", "later", "1"], &["SELECT", "3"], &["RPUSH", "RPUSH:3000", "later"]] {
        connection.call(words);
    }
    load(&mut connection, "cold", 5000, 1500, 4);
    store.restart(&directives);
    let mut connection = store.server.connect();
    assert_eq!(digest(&mut connection), at_the_snapshot);
    assert_eq!(field(&mut connection, "rdb_changes_since_last_save"), "0");
    // And again, after a clean end and a crash in the middle of the next snapshot.
    connection.call(&["SET", "kept", "by the clean end"]);
    let at_the_end = digest(&mut connection);
    store.server.shut_down();
    // Ten minutes for 30,000 keys: however quick the machine is, the crash comes before the end.
    let with_points =
        [&DIRECTIVES[..], &["--appendonly", "no", "--save", "3600", "1", "--rdb-key-save-delay", "20000"]].concat();
    store.server = Server::start(&store.data, &with_points);
    let mut connection = store.server.connect();
    assert_eq!(digest(&mut connection), at_the_end);
    wait_for("the snapshot of the beginning", || field(&mut connection, "rdb_bgsave_in_progress") == "1");
    store.restart(&directives);
    assert_eq!(digest(&mut store.server.connect()), at_the_snapshot);
}

#[test]
fn without_a_snapshot_the_store_starts_empty_and_says_so() {
    let directives = [&DIRECTIVES[..], &["--appendonly", "no", "--save", ""]].concat();
    let mut store = Store::start(&directives);
    load(&mut store.server.connect(), "key", 100, 100, 1);
    store.restart(&directives);
    assert_eq!(store.server.connect().number(&["DBSIZE"]), 0);
    assert!(store.server.words().contains("the store starts empty"), "{}", store.server.words());
}

#[test]
fn a_foreign_file_is_loaded_where_nothing_else_is_and_a_damaged_one_is_refused() {
    let source = Store::start(&DIRECTIVES);
    let mut connection = source.server.connect();
    fill(&mut connection);
    assert_eq!(connection.call(&["SAVE"]), okay());
    let expected = digest(&mut connection);
    let path = source.data.join("dump.rdb");
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    let sound = std::fs::read(&path).expect("the file");
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir_all(&data).expect("a directory");
    let put = |bytes: &[u8]| {
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        std::fs::write(data.join("dump.rdb"), bytes).expect("the file");
    };
    let mut flipped = sound.clone();
    *flipped.last_mut().expect("a checksum") ^= 1;
    for damaged in [&flipped[..], &sound[..sound.len() / 2]] {
        put(damaged);
        let words = Server::start_or_refusal(&data, &DIRECTIVES).map(|_| ()).expect_err("a refusal");
        assert!(words.contains("dump.rdb cannot be loaded") && words.contains("nothing of it is served"), "{words}");
    }
    put(&sound);
    // The power goes in the middle of a load: the next start begins anew.
    let slow = [&DIRECTIVES[..], &["--key-load-delay", "2000"]].concat();
    let mut half = Server::start_unasked(&data, &slow);
    wait_for("the load", || half.words().contains("records so far"));
    half.kill();
    let mut loaded = Server::start(&data, &DIRECTIVES);
    assert_eq!(digest(&mut loaded.connect()), expected);
    // From now on the directory is what counts.
    loaded.connect().call(&["SET", "later", "1"]);
    let expected = digest(&mut loaded.connect());
    loaded.shut_down();
    let mut again = Server::start(&data, &DIRECTIVES);
    assert_eq!(digest(&mut again.connect()), expected);
    again.kill();
    let again = Server::start(&data, &DIRECTIVES);
    assert_eq!(
        digest(&mut again.connect()),
        expected,
        "an acknowledged write of the log survives, whatever the file says"
    );
}
