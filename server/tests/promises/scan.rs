//! SCAN while the index grows, values are demoted and GC moves them.
//!
//! THERMOCLINE_SCAN_KEYS says how many keys must each be seen once (default 100,000).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use thermocline_resp::Value;

use crate::process::Connection;
use crate::store::{PIPELINE, Store, filler, load, okay};

const KEYS: usize = 100_000;
const VALUE_BYTES: usize = 400;

/// All keys of one complete SCAN; none may come twice.
fn scan(connection: &mut Connection) -> HashSet<String> {
    let (mut cursor, mut keys) = ("0".to_owned(), HashSet::new());
    loop {
        let Value::Array(parts) = connection.call(&["SCAN", &cursor, "COUNT", "500"]) else { panic!("no array") };
        let [Value::Bulk(next), Value::Array(names)] = &parts[..] else { panic!("no cursor and keys: {parts:?}") };
        for name in names {
            let Value::Bulk(name) = name else { panic!("no key: {name:?}") };
            let name = String::from_utf8(name.clone()).expect("text");
            assert!(!keys.contains(&name), "{name} came twice");
            keys.insert(name);
        }
        cursor = String::from_utf8(next.clone()).expect("text");
        if cursor == "0" {
            return keys;
        }
    }
}

/// Adds `new` keys, removes some of them, and overwrites stable ones.
fn disturb(connection: &mut Connection, count: usize) {
    for first in (0..count).step_by(PIPELINE) {
        for number in first..first + PIPELINE {
            let bytes = filler(number as u64, VALUE_BYTES);
            connection.push(&[b"SET", format!("new:{number}").as_bytes(), &bytes]);
            connection.push(&[b"SET", format!("stable:{}", number * 7 % count).as_bytes(), &bytes]);
            connection.push(&["DEL", &format!("new:{}", number.wrapping_sub(1000) / 2 * 2)]);
        }
        connection.flush().expect("the server takes it");
        for _ in 0..PIPELINE {
            assert_eq!(connection.answer().expect("an answer"), okay());
            assert_eq!(connection.answer().expect("an answer"), okay());
            assert!(matches!(connection.answer().expect("an answer"), Value::Integer(_)));
        }
    }
}

#[test]
fn every_key_comes_once_through_growth_demotion_and_gc() {
    let keys = std::env::var("THERMOCLINE_SCAN_KEYS").map_or(KEYS, |text| text.parse().expect("a number"));
    // Room for one and a half times what lives at the end: so GC must work.
    let max_disk = (keys * (VALUE_BYTES + 100) * 2 * 3 / 2).to_string();
    let store = Store::start(&["--maxmemory", "64mb", "--maxdisk", &max_disk]);
    load(&mut store.server.connect(), "stable", keys, VALUE_BYTES, 0);
    let ended = AtomicBool::new(false);
    let scans = std::thread::scope(|scope| {
        scope.spawn(|| {
            disturb(&mut store.server.connect(), keys);
            ended.store(true, Ordering::Relaxed);
        });
        let (mut connection, mut scans) = (store.server.connect(), 0);
        while !ended.load(Ordering::Relaxed) || scans == 0 {
            let found = scan(&mut connection);
            let missed = (0..keys).find(|number| !found.contains(&format!("stable:{number}")));
            assert_eq!(missed, None, "a stable key was missed in scan {scans}");
            scans += 1;
        }
        scans
    });
    let mut connection = store.server.connect();
    let found = scan(&mut connection);
    assert_eq!(found.len() as i64, connection.number(&["DBSIZE"]), "nothing moves: SCAN and DBSIZE agree");
    let (demotions, compacted) = (connection.info("demotions"), connection.info("gc_segments_freed"));
    println!("{keys} keys, {scans} scans, {demotions} demotions, {compacted} segments compacted");
    assert!(demotions > 0 && compacted > 0, "the scan was not disturbed: {demotions} {compacted}");
}
