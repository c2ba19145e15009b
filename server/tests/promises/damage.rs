//! Bytes that rot on the SSD: never served, named in the log, and cured by DEL and SET.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use thermocline_resp::Value;

use crate::process::{Connection, shown};
use crate::store::{Store, demote, filler, load, okay, read, refusal};

const KEYS: usize = 3000;
const VALUE_BYTES: usize = 1000;
/// Behind a record's header and key, within its value.
const INTO_THE_VALUE_BYTES: u64 = 200;
const DIRECTIVES: [&str; 6] = ["--maxmemory", "64mb", "--maxdisk", "64mb", "--appendfsync", "always"];

/// Where a cold key lies, by TIER KEY: segment and offset.
fn place(connection: &mut Connection, key: &str) -> (u64, u64) {
    let Value::Array(flat) = connection.call(&["TIER", "KEY", key]) else { panic!("no map") };
    let mut fields = HashMap::new();
    for pair in flat.chunks_exact(2) {
        if let (Value::Bulk(name), Value::Integer(number)) = (&pair[0], &pair[1]) {
            fields.insert(String::from_utf8(name.clone()).expect("text"), *number as u64);
        }
    }
    (fields["segment"], fields["offset"])
}

/// Turns one bit of the file around.
fn flip(data: &Path, (segment, offset): (u64, u64)) {
    let path = data.join(format!("segment-{segment:06}"));
    #[expect(clippy::disallowed_methods, reason = "damages a file by hand")]
    let file = OpenOptions::new().read(true).write(true).open(path).expect("a segment");
    let (mut byte, at) = ([0], offset + INTO_THE_VALUE_BYTES);
    file.read_exact_at(&mut byte, at).expect("it is there");
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).expect("written");
    file.sync_all().expect("synced");
}

fn words(store: &Store) -> String {
    #[expect(clippy::disallowed_methods, reason = "the server's words")]
    std::fs::read_to_string(store.data.with_extension("log")).expect("text")
}

/// Every key answers its value; a damaged one may answer `-CORRUPT` instead. Returns those that do.
fn corrupt(connection: &mut Connection, damaged: &[usize]) -> Vec<usize> {
    let mut corrupt = Vec::new();
    read(connection, "key", KEYS, |number, value| match value {
        Value::Bulk(bytes) => assert!(bytes == filler(number as u64, VALUE_BYTES), "key:{number} is wrong"),
        Value::Error(text) if damaged.contains(&number) && text.starts_with(b"CORRUPT ") => corrupt.push(number),
        other => panic!("key:{number} answers {}", shown(&other)),
    });
    corrupt
}

#[test]
fn a_flipped_byte_under_a_running_server_is_never_served_and_del_and_set_cure_it() {
    let store = Store::start(&DIRECTIVES);
    let mut connection = store.server.connect();
    load(&mut connection, "key", KEYS, VALUE_BYTES, 0);
    demote(&mut connection, "key", KEYS);
    let damaged = [7, 1500, 2900];
    let places = damaged.map(|number| place(&mut connection, &format!("key:{number}")));
    places.iter().for_each(|&place| flip(&store.data, place));
    let corrupt_ones = corrupt(&mut connection, &damaged);
    assert!(!corrupt_ones.is_empty(), "no damage was met");
    assert!(connection.info("corrupt_records") >= corrupt_ones.len() as u64);
    let text = words(&store);
    for number in &corrupt_ones {
        let (segment, offset) = places[damaged.iter().position(|one| one == number).expect("it is damaged")];
        let told = |line: &str| line.contains(&segment.to_string()) && line.contains(&offset.to_string());
        assert!(text.lines().any(told), "no line names segment {segment} and offset {offset}: {text}");
    }
    let gone = format!("key:{}", corrupt_ones[0]);
    let told = refusal(connection.call(&["STRLEN", &gone]));
    assert!(told.contains("DEL or SET"), "{told}");

    assert_eq!(connection.number(&["DBSIZE"]) as usize, KEYS);
    // Nobody can say whether the damaged record was this key's: so DEL may answer 0, but the damage is gone.
    connection.number(&["DEL", &gone]);
    assert_eq!(connection.call(&["GET", &gone]), Value::Null);
    assert_eq!(connection.number(&["DBSIZE"]) as usize, KEYS - 1);
    for number in damaged {
        let bytes = filler(number as u64, VALUE_BYTES);
        assert_eq!(connection.call(&[b"SET", format!("key:{number}").as_bytes(), &bytes]), okay());
    }
    assert!(corrupt(&mut connection, &[]).is_empty());
    assert_eq!(connection.number(&["DBSIZE"]) as usize, KEYS);
}

#[test]
fn bytes_flipped_between_two_runs_are_reported_and_never_served() {
    let mut store = Store::start(&DIRECTIVES);
    let mut connection = store.server.connect();
    load(&mut connection, "key", KEYS, VALUE_BYTES, 0);
    // What lies behind the damage shows that it is no torn tail.
    load(&mut connection, "later", KEYS, VALUE_BYTES, 0);
    let damaged = [3, 900, 2000];
    demote(&mut connection, "key", KEYS);
    let places = damaged.map(|number| place(&mut connection, &format!("key:{number}")));
    store.server.kill();
    places.iter().for_each(|&place| flip(&store.data, place));
    store.server = crate::process::Server::start(&store.data, &DIRECTIVES);
    let mut connection = store.server.connect();
    let (mut refused, mut absent) = (0, 0);
    for key in ["key", "later"] {
        read(&mut connection, key, KEYS, |number, value| match value {
            Value::Bulk(bytes) => assert!(bytes == filler(number as u64, VALUE_BYTES), "{key}:{number} is wrong"),
            Value::Error(text) => {
                assert!(text.starts_with(b"CORRUPT "), "{}", String::from_utf8_lossy(&text));
                refused += 1;
            }
            Value::Null => absent += 1,
            other => panic!("{key}:{number} answers {}", shown(&other)),
        });
    }
    let text = words(&store);
    let told = text.lines().any(|line| line.contains("damage") || line.contains("failed its checksum"));
    println!("{refused} keys answer CORRUPT, {absent} nothing; told: {told}");
    assert!(told, "nothing was said: {text}");
    // Only the damaged keys are lost: what lies behind them in their chunk is found again by its checksums.
    assert_eq!((refused, absent), (damaged.len(), 0));
    // All can be set again.
    load(&mut connection, "key", KEYS, VALUE_BYTES, 0);
    assert!(corrupt(&mut connection, &[]).is_empty());
}
