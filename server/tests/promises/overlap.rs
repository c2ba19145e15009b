//! Deletes and overwrites while records of the same blocks are being read.

use std::sync::atomic::{AtomicUsize, Ordering};

use thermocline_resp::Value;

use crate::process::shown;
use crate::store::{Store, demote, filler, load, okay, read};

const KEYS: usize = 200;
const VALUE_BYTES: usize = 120;
const ROUNDS: u64 = 60;

/// The value of a key in a round.
fn expected(number: usize, round: u64) -> Vec<u8> {
    filler(number as u64 + round * 1000, VALUE_BYTES)
}

#[test]
fn a_read_sees_the_old_value_or_the_new_one_and_never_the_old_one_again() {
    let store = Store::start(&["--maxmemory", "64mb", "--maxdisk", "256mb"]);
    let (mut writer, mut reader) = (store.server.connect(), store.server.connect());
    for round in 1..=ROUNDS {
        load(&mut writer, "key", KEYS, VALUE_BYTES, round * 1000);
        demote(&mut writer, "key", KEYS);
        // Keys below this have been changed, and the change acknowledged.
        let changed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..KEYS {
                    change(&mut writer, number, round);
                    changed.store(number + 1, Ordering::Release);
                }
            });
            // Walks with the writer, so that its reads are in flight when the change comes.
            let mut at = 0;
            while at < KEYS {
                let before = changed.load(Ordering::Acquire);
                let window = at..KEYS.min(at + 32);
                window.clone().for_each(|number| reader.push(&["GET", &format!("key:{number}")]));
                reader.flush().expect("the server takes it");
                for number in window {
                    let value = reader.answer().expect("an answer");
                    let is_new = is_changed(&value, number, round);
                    let is_old = value == Value::Bulk(expected(number, round));
                    assert!(is_new || is_old, "round {round}: key:{number} answers {}", shown(&value));
                    assert!(number >= before || is_new, "round {round}: key:{number} answers what it no longer holds");
                }
                at = (at + 16).min(changed.load(Ordering::Acquire)).max(at + 1);
            }
        });
        read(&mut reader, "key", KEYS, |number, value| {
            assert!(is_changed(&value, number, round), "round {round}: key:{number} answers {}", shown(&value));
        });
    }
}

/// Every third key is removed, the others are overwritten.
fn change(connection: &mut crate::process::Connection, number: usize, round: u64) {
    let key = format!("key:{number}");
    if number.is_multiple_of(3) {
        assert_eq!(connection.number(&["DEL", &key]), 1, "round {round}: {key} was there");
    } else {
        let bytes = expected(number, round + 100_000);
        assert_eq!(connection.call(&[b"SET", key.as_bytes(), &bytes]), okay());
    }
}

fn is_changed(value: &Value, number: usize, round: u64) -> bool {
    match value {
        Value::Null => number.is_multiple_of(3),
        Value::Bulk(bytes) => !number.is_multiple_of(3) && *bytes == expected(number, round + 100_000),
        _ => false,
    }
}
