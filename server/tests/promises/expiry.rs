//! Expiry that nobody asks for: keys go by themselves, hot or cold.

use std::time::Duration;

use crate::process::now;
use crate::store::{PIPELINE, Store, demote, filler, load, okay};

const KEYS: usize = 1000;
const VALUE_BYTES: usize = 300;
const TTL_MS: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn hot_and_cold_keys_go_within_seconds_though_nobody_asks_for_them() {
    let directives = ["--maxmemory", "64mb", "--maxdisk", "256mb", "--appendfsync", "always"];
    let mut store = Store::start(&directives);
    let mut connection = store.server.connect();
    load(&mut connection, "stays", KEYS, VALUE_BYTES, 0);
    for key in ["hot", "cold"] {
        for first in (0..KEYS).step_by(PIPELINE) {
            let last = KEYS.min(first + PIPELINE);
            for number in first..last {
                let (name, bytes) = (format!("{key}:{number}"), filler(number as u64, VALUE_BYTES));
                connection.push(&[b"SET", name.as_bytes(), &bytes, b"PX", TTL_MS.to_string().as_bytes()]);
            }
            connection.flush().expect("the server takes it");
            (first..last).for_each(|_| assert_eq!(connection.answer().expect("an answer"), okay()));
        }
    }
    demote(&mut connection, "cold", KEYS);
    assert_eq!(connection.number(&["DBSIZE"]) as usize, 3 * KEYS);
    let began = now();
    while connection.number(&["DBSIZE"]) as usize > KEYS {
        assert!(began.elapsed() < PATIENCE, "{} keys are left", connection.number(&["DBSIZE"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("all gone {:?} after the last SET, whose TTL was {TTL_MS} ms", began.elapsed());
    assert_eq!(connection.info("expired_keys") as usize, 2 * KEYS);
    store.restart(&directives);
    assert_eq!(store.server.connect().number(&["DBSIZE"]) as usize, KEYS, "what expired does not come back");
}
