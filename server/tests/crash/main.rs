//! kill -9 of the real server under load, again and again; an oracle outside decides what must be there.
//!
//! Four connections write pipelines of SET, MSET, DEL, PEXPIREAT and transactions over a store that is larger than its memory and whose log
//! wraps, so demotion, promotion and GC run when the kill comes. Every third kill is followed by another one within recovery.
//! THERMOCLINE_KILLS says how many (default 6 for each mode).
//!
//! Promises checked: nothing wrong is ever served; what survives is a prefix with whole groups, one cut for all writers;
//! `always` loses nothing acknowledged, `everysec` at most 2 s; DBSIZE is exact.

use std::time::Duration;

use crate::oracle::{Cuts, cuts, lost, one_cut};
use crate::process::{Server, now, resident_bytes_max};
use crate::value::mixed;
use crate::writer::{SOON_MS_MAX, Writer, unix_ms};

mod oracle;
#[path = "../promises/process.rs"]
mod process;
mod value;
mod writer;

const WRITERS: usize = 4;
const KILLS: u64 = 6;
/// So many changes are more than the disk holds. A machine that is too busy for them tests less.
const ENOUGH_TO_WRAP: usize = 45_000;
/// A kill comes this long after the writers began, and up to so much later.
const WRITING_MS: (u64, u64) = (600, 1600);
/// Writers rest so long between pipelines in every other round: slow ones leave more in the log's buffer than fast ones.
const REST: Duration = Duration::from_millis(15);
/// A kill within recovery comes at most this late.
const RECOVERING_MS_MAX: u64 = 60;
const LOST_MAX: Duration = Duration::from_secs(2);

fn kills() -> u64 {
    std::env::var("THERMOCLINE_KILLS").map_or(KILLS, |text| text.parse().expect("THERMOCLINE_KILLS is a number"))
}

/// What a campaign saw.
#[derive(Debug, Default)]
struct Seen {
    kills: u64,
    acknowledged: usize,
    keys: i64,
    lost_max: Duration,
    truncated_bytes: u64,
    cold_hits: u64,
    segments_compacted: u64,
}

/// Kills and checks; `allowed` is how much time may be lost.
fn campaign(appendfsync: &str, allowed: Option<Duration>) -> Seen {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let directives = ["--maxmemory", "64mb", "--maxdisk", "160mb", "--appendfsync", appendfsync];
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut before: Vec<_> = vec![vec![None; writer::KEYS]; WRITERS];
    let mut seen = Seen::default();
    let mut random = 1;
    let mut server = Server::start(&data, &directives);
    for round in 0..kills() {
        random = mixed(random);
        let rest = if round % 2 == 1 { REST } else { Duration::ZERO };
        let mut watcher = server.connect();
        let killed = std::thread::scope(|scope| {
            for writer in &mut writers {
                let connection = server.connect();
                scope.spawn(move || writer.run(connection, rest));
            }
            std::thread::sleep(Duration::from_millis(WRITING_MS.0 + random % WRITING_MS.1));
            seen.cold_hits += watcher.info("cold_hits");
            seen.segments_compacted += watcher.info("gc_segments_freed");
            let resident_bytes = server.resident_bytes();
            assert!(resident_bytes <= resident_bytes_max(64 << 20), "{resident_bytes} bytes are resident");
            let killed = now();
            server.kill();
            killed
        });
        let expired_ms = unix_ms() + SOON_MS_MAX;
        if round % 3 == 2 {
            let mut recovering = Server::start_unasked(&data, &directives);
            std::thread::sleep(Duration::from_millis(random % RECOVERING_MS_MAX));
            recovering.kill();
        }
        server = Server::start(&data, &directives);
        std::thread::sleep(Duration::from_millis(expired_ms.saturating_sub(unix_ms())));
        let fail = |words: String| -> ! { panic!("kill {round} of appendfsync {appendfsync}: {words}") };
        let all: Vec<Cuts> = (writers.iter().zip(&before))
            .map(|(writer, base)| {
                let read = writer.read(&mut server.connect()).unwrap_or_else(|words| fail(words));
                let cuts = cuts(base, &writer.changes, read, unix_ms()).unwrap_or_else(|words| fail(words));
                let lost = lost(&cuts, &writer.changes, killed, allowed).unwrap_or_else(|words| fail(words));
                seen.lost_max = seen.lost_max.max(lost);
                seen.acknowledged += writer.changes.iter().filter(|change| change.acknowledged.is_some()).count();
                cuts
            })
            .collect();
        let pairs: Vec<_> = all.iter().zip(&writers).map(|(cuts, writer)| (cuts, &*writer.changes)).collect();
        one_cut(&pairs).unwrap_or_else(|words| fail(words));
        before = all.into_iter().map(|cuts| cuts.states).collect();
        let mut watcher = server.connect();
        seen.keys = watcher.number(&["DBSIZE"]);
        seen.truncated_bytes += watcher.info("recovery_truncated_bytes");
        assert_eq!(seen.keys as usize, before.iter().flatten().flatten().count(), "DBSIZE is exact");
        for (writer, states) in writers.iter_mut().zip(&before) {
            writer.restart(states.clone());
        }
        seen.kills += 1;
    }
    println!("appendfsync {appendfsync}: {seen:?}");
    seen
}

#[test]
fn always_loses_nothing_that_was_acknowledged() {
    let seen = campaign("always", None);
    assert!(seen.acknowledged > 0 && seen.lost_max.is_zero());
}

#[test]
fn everysec_loses_two_seconds_at_most_and_keeps_a_prefix() {
    let seen = campaign("everysec", Some(LOST_MAX));
    assert!(seen.acknowledged > 0);
    if seen.acknowledged >= ENOUGH_TO_WRAP {
        assert!(seen.cold_hits > 0 && seen.segments_compacted > 0, "it must be larger than memory and wrap: {seen:?}");
    }
}
