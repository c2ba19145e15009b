//! FLUSHALL during heavy writes: afterwards only what was written after it is there, and the same again after a kill.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thermocline_resp::Value;

use crate::process::now;
use crate::store::{Store, filler, load, okay, read};

const WRITERS: usize = 3;
const BATCH: usize = 16;
const VALUE_BYTES: usize = 2000;
const FLUSHES: usize = 4;
const BETWEEN: Duration = Duration::from_millis(400);
/// So long after the last write everything is on the device in `everysec`.
const SYNCED: Duration = Duration::from_millis(2000);
const DIRECTIVES: [&str; 4] = ["--maxmemory", "64mb", "--maxdisk", "512mb"];

#[test]
fn after_flushall_only_what_was_written_after_it_is_there() {
    let mut store = Store::start(&DIRECTIVES);
    // Cold keys too must go.
    load(&mut store.server.connect(), "old", 50_000, VALUE_BYTES, 0);
    let ended = AtomicBool::new(false);
    let (written, last_flush) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let (store, ended) = (&store, &ended);
                    move || write(store, writer, ended)
                })
            })
            .collect();
        let mut connection = store.server.connect();
        let mut last_flush = (now(), now());
        for _ in 0..FLUSHES {
            std::thread::sleep(BETWEEN);
            let sent = now();
            assert_eq!(connection.call(&["FLUSHALL"]), okay());
            last_flush = (sent, now());
        }
        std::thread::sleep(BETWEEN);
        ended.store(true, Ordering::Relaxed);
        (writers.into_iter().map(|writer| writer.join().expect("it writes")).collect::<Vec<_>>(), last_flush)
    });
    let there = check(&store, &written, last_flush);
    assert!(there > 0, "something was written after the last one");
    std::thread::sleep(SYNCED);
    store.restart(&DIRECTIVES);
    assert_eq!(check(&store, &written, last_flush), there, "nothing came back, nothing is lost");
}

/// Sets `writer:0`, `writer:1` and so on; returns when each batch was sent and acknowledged.
fn write(store: &Store, writer: usize, ended: &AtomicBool) -> Vec<(Instant, Instant)> {
    let (mut connection, mut times) = (store.server.connect(), Vec::new());
    while !ended.load(Ordering::Relaxed) {
        let first = times.len() * BATCH;
        for number in first..first + BATCH {
            let bytes = filler(number as u64, VALUE_BYTES);
            connection.push(&[b"SET", format!("{writer}:{number}").as_bytes(), &bytes]);
        }
        let sent = now();
        connection.flush().expect("the server takes it");
        for _ in 0..BATCH {
            assert_eq!(connection.answer().expect("an answer"), okay());
        }
        times.push((sent, now()));
    }
    times
}

/// Reads everything; how many keys there are.
fn check(store: &Store, written: &[Vec<(Instant, Instant)>], (flush_sent, flush_done): (Instant, Instant)) -> i64 {
    let (mut connection, mut there) = (store.server.connect(), 0);
    for (writer, times) in written.iter().enumerate() {
        read(&mut connection, &writer.to_string(), times.len() * BATCH, |number, value| {
            let (sent, acknowledged) = times[number / BATCH];
            match value {
                Value::Null => {
                    assert!(sent < flush_done, "{writer}:{number} was written after the last FLUSHALL and is gone")
                }
                Value::Bulk(bytes) => {
                    assert!(
                        acknowledged > flush_sent,
                        "{writer}:{number} was written before the last FLUSHALL and is there"
                    );
                    assert_eq!(bytes, filler(number as u64, VALUE_BYTES));
                    there += 1;
                }
                other => panic!("{writer}:{number}: {other:?}"),
            }
        });
    }
    assert_eq!(connection.number(&["DBSIZE"]), there, "nothing else is there");
    there
}
