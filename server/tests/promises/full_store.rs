//! Memory and SSD both full: the policy decides, and removals always succeed.

use thermocline_resp::Value;

use crate::process::{Connection, shown};
use crate::store::{PIPELINE, Store, filler, okay, read};

const VALUE_BYTES: usize = 4000;
/// Together a multiple of what fits, and whole pipelines.
const KEYS: usize = 60_160;
const FULL: [&str; 4] = ["--maxmemory", "64mb", "--maxdisk", "64mb"];

/// Sets keys in pipelines until all are set or one is refused; how many were accepted, and the refusal.
fn fill(connection: &mut Connection, first: usize) -> (usize, Option<Value>) {
    let (mut accepted, mut refused) = (0, None);
    for start in (first..first + KEYS).step_by(PIPELINE) {
        for number in start..start + PIPELINE {
            let bytes = filler(number as u64, VALUE_BYTES);
            connection.push(&[b"SET", format!("key:{number}").as_bytes(), &bytes]);
        }
        connection.flush().expect("the server takes it");
        for _ in 0..PIPELINE {
            match connection.answer().expect("an answer") {
                answer if answer == okay() && refused.is_none() => accepted += 1,
                answer if answer == okay() => panic!("accepted after a refusal within one pipeline"),
                answer => refused = Some(answer),
            }
        }
        if refused.is_some() {
            break;
        }
    }
    (accepted, refused)
}

#[test]
fn with_allkeys_lru_writes_go_on_and_the_oldest_keys_go() {
    let mut directives = FULL.to_vec();
    directives.extend(["--maxmemory-policy", "allkeys-lru"]);
    let store = Store::start(&directives);
    let mut connection = store.server.connect();
    store.measured(64 << 20, || {
        let (accepted, refused) = fill(&mut connection, 0);
        assert_eq!(refused, None, "after {accepted} keys");
    });
    let evictions = connection.info("evictions");
    assert!(evictions > 0);
    let (mut there, mut late) = (0, 0);
    read(&mut connection, "key", KEYS, |number, value| match value {
        Value::Null => {}
        Value::Bulk(bytes) => {
            assert_eq!(bytes, filler(number as u64, VALUE_BYTES), "key:{number}");
            there += 1;
            late += i64::from(number >= KEYS / 2);
        }
        other => panic!("key:{number}: {}", shown(&other)),
    });
    println!("{there} keys are there, {evictions} were evicted");
    assert_eq!(there, connection.number(&["DBSIZE"]));
    // An SSD that evicts while it is nearly empty would keep far fewer.
    assert!(there as usize * VALUE_BYTES > 32 << 20, "only {there} keys are left");
    assert!(late * 2 > there, "{late} of the {there} keys left are of the younger half");
}

#[test]
fn with_noeviction_writes_are_refused_with_words_and_removals_make_room() {
    let store = Store::start(&FULL);
    let mut connection = store.server.connect();
    let (accepted, refused) = fill(&mut connection, 0);
    let words = crate::store::refusal(refused.expect("it cannot take everything"));
    assert!(words.starts_with("OOM command not allowed when used memory > 'maxmemory'"), "{words}");
    println!("refused after {accepted} keys of {VALUE_BYTES} bytes");
    // The SSD adds to memory: a store that refused when memory alone was full would have taken less.
    assert!(accepted * VALUE_BYTES > 48 << 20, "{accepted} keys");
    read(&mut connection, "key", accepted, |number, value| {
        assert_eq!(value, Value::Bulk(filler(number as u64, VALUE_BYTES)), "key:{number}");
    });
    for first in (0..accepted / 2).step_by(PIPELINE) {
        let keys = first..(accepted / 2).min(first + PIPELINE);
        keys.clone().for_each(|number| connection.push(&["DEL", &format!("key:{number}")]));
        connection.flush().expect("the server takes it");
        keys.for_each(|_| assert_eq!(connection.answer().expect("an answer"), Value::Integer(1)));
    }
    let (again, _) = fill(&mut connection, 1_000_000);
    assert!(again > accepted / 4, "{again} keys fit after {} were removed", accepted / 2);
}
