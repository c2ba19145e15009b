//! With a real server: its files and payloads are read, ours are loaded, and the values are equal.
//!
//! With redis-server as Debian has it; `THERMOCLINE_RDB_PEER=/path/to/valkey-server cargo test --test peer` for another.
//! Without one the tests say that they are skipped.
#![expect(clippy::disallowed_methods, reason = "puts files where a server loads them")]

mod fill;
mod server;
#[path = "../ziplist/mod.rs"]
mod ziplist;

use crc::{CRC_64_REDIS, Crc};
use fill::{fill, fill_small};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use server::{Answer, Server, program};
use std::fs::{self, File};
use std::path::Path;
use thermocline_rdb::{
    Checksum, Item, Kind, Options, Reader, Settings, Thresholds, VERSION_VALKEY, Value, Version, Writer, payload,
};
use ziplist::ziplist;

const CHANGED_PAYLOADS: usize = 20_000;

/// The version to write for a server that writes `version` itself. Valkey reads Redis's files up to 11.
fn version_for(version: u16) -> Version {
    if version == VERSION_VALKEY {
        return Version::REDIS_7_2;
    }
    Version::from_number(version as u8).expect("a server of Redis 7.0 or later")
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum How {
    /// Every value in memory, written anew.
    Values,
    /// As the writer copies what it can.
    Copied,
}

/// Reads `from` and writes all of it to `to`; answers how many keys there are.
fn rewrite(from: &Path, to: &Path, how: How, settings: Settings) -> u64 {
    let mut reader = Reader::new(File::open(from).unwrap(), Options::default()).unwrap();
    let mut writer = Writer::new(File::create(to).unwrap(), version_for(reader.version()), settings).unwrap();
    let mut keys = 0;
    while let Some(item) = reader.next().unwrap() {
        match item {
            Item::Aux { name, value } => writer.aux(name, value).unwrap(),
            Item::Database(number) => writer.database(number).unwrap(),
            Item::Resize { keys, expiring } => writer.resize(keys, expiring).unwrap(),
            Item::Function(source) => writer.function(source).unwrap(),
            Item::ModuleAux(raw) => writer.module_aux(raw).unwrap(),
            Item::Slot { .. } => {}
            Item::Key(entry) => {
                keys += 1;
                match how {
                    How::Copied => writer.copy(entry.key, entry.about, entry.value).unwrap(),
                    How::Values => {
                        let value = entry.value.into_value().unwrap();
                        writer.key(entry.key, entry.about).unwrap().value(&value).unwrap();
                    }
                }
            }
        }
    }
    assert_eq!(reader.checksum(), Some(Checksum::Verified));
    writer.end().unwrap();
    keys
}

/// Everything by which two servers can be told apart: digest, and for each key of each database encoding and expiry.
fn portrait(server: &mut Server) -> Vec<String> {
    let mut portrait = vec![server.run(&["DEBUG", "DIGEST"]).text()];
    portrait.push(format!("{:?}", server.run(&["FUNCTION", "LIST", "WITHCODE"])));
    for database in ["0", "11"] {
        server.run(&["SELECT", database]);
        for key in keys(server) {
            let about = |server: &mut Server, words: &[&[u8]]| format!("{:?}", server.run(&[words, &[&key]].concat()));
            let encoding = about(server, &[b"OBJECT", b"ENCODING"]);
            let expiry = about(server, &[b"PEXPIRETIME"]);
            let digest = about(server, &[b"DEBUG", b"DIGEST-VALUE"]);
            if key.starts_with(b"hash:expiring") {
                let mut fields: Vec<Vec<u8>> =
                    server.run(&[b"HKEYS", &key[..]]).array().into_iter().map(Answer::bytes).collect();
                fields.sort();
                let mut words = [&b"HPEXPIRETIME"[..], &key, b"FIELDS"].map(<[u8]>::to_vec).to_vec();
                words.push(fields.len().to_string().into_bytes());
                words.extend(fields);
                portrait.push(format!("{:?}", server.run(&words)));
            }
            portrait.push(format!("{database} {} {encoding} {expiry} {digest}", key.escape_ascii()));
        }
    }
    portrait
}

fn keys(server: &mut Server) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = server.run(&["KEYS", "*"]).array().into_iter().map(Answer::bytes).collect();
    keys.sort();
    keys
}

/// Has payloads checked in full; not every server lets that be set.
fn sanitise(server: &mut Server) {
    server.ask(&["CONFIG", "SET", "sanitize-dump-payload", "yes"]);
}

/// A server that was filled, and whether our writer can say everything that is in it.
fn filled(program: &str, directory: &Path, seed: u64) -> Server {
    let mut server = Server::start(program, directory);
    let knows_field_expiry = fill(&mut server, seed);
    server.run(&["SAVE"]);
    let version = Reader::new(File::open(directory.join("dump.rdb")).unwrap(), Options::default()).unwrap().version();
    if knows_field_expiry && version_for(version) < Version::REDIS_7_4 {
        // Valkey's fields that expire are read, but only Redis's are written.
        let mut expiring = 0;
        let mut reader = Reader::new(File::open(directory.join("dump.rdb")).unwrap(), Options::default()).unwrap();
        while let Some(item) = reader.next().unwrap() {
            if let Item::Key(entry) = item
                && let Value::Hash(fields) = entry.value.into_value().unwrap()
            {
                expiring +=
                    fields.iter().filter(|field| field.expires_at_ms.is_some_and(|time| time > 1 << 40)).count();
            }
        }
        assert!(expiring > 100, "{expiring} fields that expire");
        for database in ["0", "11"] {
            server.run(&["SELECT", database]);
            for key in server.run(&["KEYS", "hash:expiring:*"]).array() {
                server.run(&[b"DEL".to_vec(), key.bytes()]);
            }
        }
        server.run(&["SAVE"]);
    }
    server
}

#[test]
fn a_server_loads_our_file_and_every_value_is_equal() {
    let Some(program) = program() else { return };
    for (seed, how, compress) in [(1, How::Values, true), (2, How::Values, false), (3, How::Copied, true)] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = filled(&program, directory.path(), seed);
        // A server packs anew what shrank only as it loads: its own file is loaded first.
        server.run(&["DEBUG", "RELOAD"]);
        let expected = portrait(&mut server);
        let again = tempfile::tempdir().unwrap();
        let settings = Settings { compress, ..Settings::default() };
        let keys = rewrite(&directory.path().join("dump.rdb"), &again.path().join("dump.rdb"), how, settings);
        assert!(keys > 250, "{keys} keys");
        let mut loaded = Server::start(&program, again.path());
        for (expected, found) in expected.iter().zip(portrait(&mut loaded)) {
            assert_eq!(&found, expected, "{how:?}, compress {compress}");
        }
        println!("{keys} keys, {how:?}, compress {compress}: equal");
        // And what that server saves in its turn is read once more.
        loaded.run(&["SAVE"]);
        assert_eq!(loaded.directory(), again.path());
        let third = again.path().join("third.rdb");
        assert_eq!(rewrite(&again.path().join("dump.rdb"), &third, How::Values, Settings::default()), keys);
    }
}

#[test]
fn frequencies_and_idle_times_are_read_and_written() {
    let Some(program) = program() else { return };
    for policy in ["allkeys-lfu", "allkeys-lru"] {
        let directory = tempfile::tempdir().unwrap();
        let again = tempfile::tempdir().unwrap();
        let mut server = Server::start(&program, directory.path());
        server.run(&["CONFIG", "SET", "maxmemory-policy", policy]);
        // A counter must not decay because a minute ends just now.
        server.run(&["CONFIG", "SET", "lfu-decay-time", "0"]);
        let payload = payload::encode(&Value::String(b"v".to_vec()), Version::REDIS_7_0, &Settings::default()).unwrap();
        let about = if policy == "allkeys-lfu" { ["FREQ", "77"] } else { ["IDLETIME", "5000"] };
        let words: Vec<&[u8]> = vec![b"RESTORE", b"k", b"0", &payload, about[0].as_bytes(), about[1].as_bytes()];
        server.run(&words);
        server.run(&["SAVE"]);
        rewrite(&directory.path().join("dump.rdb"), &again.path().join("dump.rdb"), How::Values, Settings::default());
        let mut reader = Reader::new(File::open(again.path().join("dump.rdb")).unwrap(), Options::default()).unwrap();
        let mut met = 0;
        while let Some(item) = reader.next().unwrap() {
            if let Item::Key(entry) = item {
                met += 1;
                match policy {
                    "allkeys-lfu" => assert_eq!(entry.about.frequency, Some(77)),
                    // The second may turn between RESTORE and SAVE.
                    _ => assert!((5000..5060).contains(&entry.about.idle_seconds.unwrap()), "{:?}", entry.about),
                }
            }
        }
        assert_eq!(met, 1);
    }
}

#[test]
fn payloads_go_both_ways() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = filled(&program, directory.path(), 4);
    server.run(&["SELECT", "0"]);
    sanitise(&mut server);
    let always_tables = Thresholds {
        hash_listpack_entries_max: 0,
        set_intset_entries_max: 0,
        set_listpack_entries_max: 0,
        sorted_set_listpack_entries_max: 0,
        list_listpack_size: 1,
        ..Thresholds::default()
    };
    let always_packed = Thresholds {
        hash_listpack_entries_max: u64::MAX,
        hash_listpack_bytes_max: usize::MAX,
        set_intset_entries_max: u64::MAX,
        set_listpack_entries_max: u64::MAX,
        set_listpack_bytes_max: usize::MAX,
        sorted_set_listpack_entries_max: u64::MAX,
        sorted_set_listpack_bytes_max: usize::MAX,
        list_listpack_size: -5,
    };
    let (mut payloads, mut restored) = (0, 0);
    for key in keys(&mut server) {
        let dumped = server.run(&[&b"DUMP"[..], &key]).bytes();
        let foot = dumped.len() - 10;
        let version = version_for(u16::from_le_bytes([dumped[foot], dumped[foot + 1]]));
        let value = payload::decode(&dumped, &Options::default())
            .unwrap_or_else(|error| panic!("{}: {error}", key.escape_ascii()));
        let digest = server.run(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]);
        // A server packs anew what shrank only as it loads: the encoding that counts is the one of its own payload.
        server.run(&[b"RESTORE", &b"copy"[..], b"0", &dumped, b"REPLACE"]);
        let encoding = server.run(&["OBJECT", "ENCODING", "copy"]);
        // Whether a key expires is part of its digest.
        let expires = server.run(&[&b"PEXPIRETIME"[..], &key]) != Answer::Integer(-1);
        let time: &[u8] = if expires { b"4000000000000" } else { b"0" };
        payloads += 1;
        for (thresholds, compress, default) in [
            (Thresholds::default(), true, true),
            (always_tables.clone(), false, false),
            (always_packed.clone(), true, false),
        ] {
            let ours = payload::encode(&value, version, &Settings { compress, thresholds }).unwrap();
            server.run(&[b"RESTORE", &b"copy"[..], time, &ours, b"REPLACE", b"ABSTTL"]);
            let shown = key.escape_ascii();
            assert_eq!(server.run(&["DEBUG", "DIGEST-VALUE", "copy"]), digest, "{shown} as type {}", ours[0]);
            // Under other thresholds than its own the server may keep what it was given.
            if default {
                assert_eq!(server.run(&["OBJECT", "ENCODING", "copy"]), encoding, "{shown} as type {}", ours[0]);
            }
            restored += 1;
        }
    }
    assert!(payloads > 100, "{payloads} payloads");
    println!("{payloads} payloads decoded, {restored} of ours restored, all equal");
}

/// A body sealed as version 10, which every server reads.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = [body, &10u16.to_le_bytes()].concat();
    let sum = Crc::<u64>::new(&CRC_64_REDIS).checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn layouts_that_no_server_writes_any_more_are_read_as_the_server_reads_them() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(&program, directory.path());
    sanitise(&mut server);
    // A ziplist of "ab", 12 and 300 in its three sizes; of members and scores; a zipmap; old scores; an old quicklist.
    let items = ziplist_string(&[b"\x02ab", b"\xFD", b"\xC0\x2C\x01"]);
    let pairs = ziplist_string(&[b"\x02ab", b"\xF3", b"\x02cd", b"\x031.5"]);
    let bodies: Vec<Vec<u8>> = vec![
        [&[10u8][..], &items].concat(),
        [&[14u8, 2][..], &items, &items].concat(),
        [&[13u8][..], &pairs].concat(),
        [&[12u8][..], &pairs].concat(),
        b"\x09\x0E\x02\x01a\x02\x00bc\x01d\x01\x01e\xEE\xFF".to_vec(),
        b"\x03\x03\x01a\x031.5\x01b\xFE\x01c\x04-2e3".to_vec(),
        b"\x01\x02\x01a\xC0\x05".to_vec(),
        b"\x0B\x10\x04\0\0\0\x02\0\0\0\xFE\xFF\xFF\xFF\0\0\x01\0".to_vec(),
    ];
    for body in bodies {
        let ours = payload::decode(&sealed(&body), &Options::default())
            .unwrap_or_else(|error| panic!("type {}: {error}", body[0]));
        server.run(&[b"RESTORE", &b"old"[..], b"0", &sealed(&body), b"REPLACE"]);
        let theirs = payload::decode(&server.run(&["DUMP", "old"]).bytes(), &Options::default()).unwrap();
        assert_eq!(sorted(ours.clone()), sorted(theirs), "type {}", body[0]);
        assert!(!matches!(ours.kind(), Kind::String));
    }
}

/// A string that is a ziplist of these elements.
fn ziplist_string(elements: &[&[u8]]) -> Vec<u8> {
    let bytes = ziplist(elements);
    [&[bytes.len() as u8], &bytes[..]].concat()
}

fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Set(members) => members.sort(),
        Value::Hash(fields) => fields.sort_by(|a, b| a.field.cmp(&b.field)),
        Value::SortedSet(members) => members.sort_by(|a, b| a.member.cmp(&b.member)),
        _ => {}
    }
    value
}

#[test]
fn what_is_accepted_here_the_server_accepts_and_reads_alike() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(&program, directory.path());
    sanitise(&mut server);
    fill_small(&mut server);
    let payloads: Vec<Vec<u8>> = keys(&mut server).iter().map(|key| server.run(&[b"DUMP", &key[..]]).bytes()).collect();
    let mut chance = SmallRng::seed_from_u64(11);
    let mut counts = [[0usize; 2]; 2];
    for round in 0..CHANGED_PAYLOADS {
        let payload = &payloads[round % payloads.len()];
        let mut body = payload[..payload.len() - 10].to_vec();
        for _ in 0..chance.random_range(1..3) {
            let at = chance.random_range(1..body.len());
            body[at] = if chance.random() { chance.random() } else { body[at] ^ 1 << chance.random_range(0..8) };
        }
        let changed = sealed(&body);
        let ours = payload::decode(&changed, &Options::default());
        let theirs = server.ask(&[b"RESTORE", &b"changed"[..], b"0", &changed, b"REPLACE"]);
        let accepted = !matches!(theirs, Answer::Error(_));
        counts[usize::from(ours.is_ok())][usize::from(accepted)] += 1;
        match (ours, accepted) {
            (Ok(ours), true) => {
                let dumped = server.run(&["DUMP", "changed"]).bytes();
                let theirs = payload::decode(&dumped, &Options::default()).unwrap();
                if !matches!(ours.kind(), Kind::Stream) {
                    assert_eq!(sorted(ours), sorted(theirs), "round {round}: {}", changed.escape_ascii());
                }
            }
            (Ok(_), false) => panic!("round {round}: only we accept {}: {theirs:?}", changed.escape_ascii()),
            // The server also takes a score with something behind it, a value that reaches into the checksum, bytes behind
            // the value.
            (Err(_), _) => {}
        }
    }
    let [[neither, only_they], [_, both]] = counts;
    println!("accepted by both and equal: {both}, only by the server: {only_they}, by none: {neither}");
    assert!(both > CHANGED_PAYLOADS / 10 && neither > CHANGED_PAYLOADS / 10);
}

#[test]
fn the_earliest_time_of_a_hash_may_be_promised_too_early() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(&program, directory.path());
    for fields in [3u64, 600] {
        for earliest_ms in [0, 1_000, 4_000_000_000_000] {
            let mut encoder = payload::Encoder::new(Version::REDIS_7_4, Settings::default());
            let mut hash = encoder.value().hash_that_expires(fields, earliest_ms).unwrap();
            for number in 0..fields {
                let time = (number % 2 == 1).then_some(4_000_000_000_000 + number);
                hash.field(format!("f{number}").as_bytes(), b"v", time).unwrap();
            }
            hash.end().unwrap();
            let ours = encoder.end().unwrap();
            let words = [&b"RESTORE"[..], b"h", b"0", &ours, b"REPLACE"];
            if let Answer::Error(error) = server.ask(&words) {
                assert!(error.contains("version or checksum"), "{error}");
                println!("skipped: {program} reads no hash whose fields expire in Redis's layout");
                return;
            }
            let times = server.run(&["HPEXPIRETIME", "h", "FIELDS", "3", "f0", "f1", "f2"]);
            assert_eq!(times, Answer::Array([-1, 4_000_000_000_001, -1].map(Answer::Integer).to_vec()));
        }
    }
}

#[test]
fn a_file_of_nothing_loads() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::new(Vec::new(), Version::REDIS_7_0, Settings::default()).unwrap();
    fs::write(directory.path().join("dump.rdb"), writer.end().unwrap()).unwrap();
    let mut server = Server::start(&program, directory.path());
    assert_eq!(server.run(&["DBSIZE"]), Answer::Integer(0));
}
