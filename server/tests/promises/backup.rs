//! A backup made while clients write is the store at one moment: of each writer a prefix, with all that was acknowledged before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use thermocline::backup::{Folder, Listing, Manifest, prune};

use thermocline_resp::Value;

use crate::process::{Connection, Server, now};
use crate::store::{Store, filler, refusal};

const WRITERS: usize = 3;
const VALUE_BYTES: usize = 1500;
/// Writes of each writer before the backup.
const WRITES_BEFORE: u64 = 12_000;
const PATIENCE: Duration = Duration::from_secs(60);
const DIRECTIVES: [&str; 4] = ["--maxmemory", "64mb", "--maxdisk", "512mb"];

/// What a writer has sent, and what of it is acknowledged.
#[derive(Default)]
struct Written {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// An answer that is a text.
fn text<W: AsRef<[u8]>>(connection: &mut Connection, words: &[W]) -> Option<Vec<u8>> {
    match connection.call(words) {
        Value::Bulk(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

/// A field of INFO persistence.
fn field(store: &Store, name: &str) -> String {
    let info = text(&mut store.server.connect(), &["INFO", "persistence"]).expect("a text");
    let lines = String::from_utf8(info).expect("text");
    let line = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no field {name}")).to_owned()
}

#[test]
fn a_backup_under_load_is_a_prefix_of_what_each_client_wrote() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder_path = directory.path().join("backups");
    let folder_text = folder_path.display().to_string();
    let directives = [&DIRECTIVES[..], &["--backup-dir", &folder_text, "--backup-keep", "2"]].concat();
    let store = Store::start(&directives);
    let (ended, written): (_, [Written; WRITERS]) = (AtomicBool::new(false), Default::default());
    let counts = |of: fn(&Written) -> &AtomicU64| written.each_ref().map(|writer| of(writer).load(Ordering::Acquire));
    let wait = |done: &dyn Fn() -> bool| {
        let until = now() + PATIENCE;
        while !done() {
            assert!(now() < until, "it takes too long");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut moments = Vec::new();
    std::thread::scope(|scope| {
        for (number, writer) in written.iter().enumerate() {
            let (store, ended) = (&store, &ended);
            scope.spawn(move || {
                let mut connection = store.server.connect();
                while !ended.load(Ordering::Acquire) {
                    let at = writer.sent.fetch_add(1, Ordering::AcqRel);
                    // Many are written over: the store's garbage collection has work.
                    let (key, value) = (format!("{number}:{}", at % 9000), format!("{at}:"));
                    let value = [value.as_bytes(), &filler(at, VALUE_BYTES)].concat();
                    connection.call(&[b"SET", key.as_bytes(), &value]);
                    writer.acknowledged.store(at + 1, Ordering::Release);
                }
            });
        }
        wait(&|| counts(|w| &w.acknowledged).into_iter().all(|count| count >= WRITES_BEFORE));
        for name in ["one", "two", "three"] {
            let before = counts(|w| &w.acknowledged);
            let mut connection = store.server.connect();
            assert_eq!(text(&mut connection, &["TIER", "BACKUP", name]).expect("its name"), name.as_bytes());
            let after = counts(|w| &w.sent);
            moments.push((name, before, after));
            if field(&store, "backup_in_progress") == "1" {
                let twice = refusal(connection.call(&["TIER", "BACKUP", "again"]));
                // It may have ended between the two.
                assert!(twice.contains("is being made"), "{twice}");
            }
            wait(&|| field(&store, "backup_in_progress") == "0");
            assert_eq!(field(&store, "backup_last_status"), "ok", "{}", field(&store, "backup_last_error"));
            assert_eq!(field(&store, "backup_last_name"), name);
        }
        ended.store(true, Ordering::Release);
    });
    drop(store);

    let folder = Folder::open(&folder_path, false).expect("the folder");
    let names: Vec<String> =
        Listing::read(folder.disk()).expect("manifests").backups.into_iter().map(|named| named.0).collect();
    assert_eq!(names, ["two", "three"], "two are kept");
    assert!(prune(folder.disk(), 2).expect("nothing to do").is_empty());
    for (name, before, after) in moments.into_iter().skip(1) {
        let data = directory.path().join(name);
        {
            let into = Folder::open(&data, true).expect("an empty directory");
            let manifest = Manifest::read(folder.disk(), name).expect("a manifest");
            manifest.restore(folder.disk(), into.disk(), &mut |_| true).expect("it is restored");
        }
        let restored = Server::start(&data, &DIRECTIVES);
        for writer in 0..WRITERS {
            check_prefix(&restored, writer, before[writer], after[writer]);
        }
    }
}

/// What a writer wrote is there up to some write between the two, and nothing else.
fn check_prefix(restored: &Server, writer: usize, before: u64, after: u64) {
    let mut connection = restored.connect();
    let mut newest = 0;
    let mut there = Vec::new();
    for place in 0..9000_u64 {
        let Some(value) = text(&mut connection, &["GET".to_owned(), format!("{writer}:{place}")]) else { continue };
        let colon = value.iter().position(|&byte| byte == b':').expect("a value of ours");
        let at: u64 = std::str::from_utf8(&value[..colon]).expect("digits").parse().expect("a number");
        assert_eq!(&value[colon + 1..], filler(at, VALUE_BYTES), "writer {writer}, write {at}");
        assert_eq!(at % 9000, place);
        newest = newest.max(at + 1);
        there.push(at);
    }
    assert!(
        (before..=after).contains(&newest),
        "writer {writer}: {before} acknowledged before, {newest} there, {after} sent"
    );
    there.sort_unstable();
    let expected: Vec<u64> = (newest.saturating_sub(9000)..newest).collect();
    assert!(there == expected, "writer {writer}: the last 9000 of {newest} writes are there");
}

#[test]
fn a_backup_that_cannot_be_made_says_why() {
    let store = Store::start(&DIRECTIVES);
    let mut connection = store.server.connect();
    let unset = refusal(connection.call(&["TIER", "BACKUP"]));
    assert!(unset.contains("backup-dir"), "{unset}");

    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("file");
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    std::fs::write(&folder, b"not a folder").expect("a file");
    let folder_text = folder.display().to_string();
    let store = Store::start(&[&DIRECTIVES[..], &["--backup-dir", &folder_text]].concat());
    let mut connection = store.server.connect();
    let odd = refusal(connection.call(&["TIER", "BACKUP", "../elsewhere"]));
    assert!(odd.contains("letters"), "{odd}");
    assert!(text(&mut connection, &["TIER", "BACKUP", "one"]).is_some());
    let until = now() + PATIENCE;
    while field(&store, "backup_last_status") == "none" && now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(field(&store, "backup_last_status"), "err");
    assert!(field(&store, "backup_last_error").contains("file"), "{}", field(&store, "backup_last_error"));
    let wrong = refusal(connection.call(&["CONFIG", "SET", "backup-schedule", "25:00"]));
    assert!(wrong.contains("HH:MM"), "{wrong}");
}
