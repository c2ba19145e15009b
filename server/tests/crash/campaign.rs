//! Rounds of writing, a crash, a start and a check. What a crash is - kill -9 alone, or the power as well - is the caller's to say.
//!
//! Four connections write pipelines of SET, MSET, DEL, PEXPIREAT, HSET, HDEL and transactions over a store that is larger than its memory and whose log
//! wraps, so demotion, promotion and GC run when the crash comes. After every third crash another one comes within recovery.
//!
//! Promises checked: the server starts by itself; nothing wrong is ever served; what survives is a prefix with whole groups, one
//! cut for all writers; no more is lost than is allowed; DBSIZE is exact. Never: asks the server what it thinks it holds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::oracle::{Cuts, State, cuts, lost, one_cut};
use crate::process::{Server, resident_bytes_max, say};
use crate::value::FIELDS_FROM;
use crate::value::mixed;
use crate::writer::{self, SOON_MS_MAX, Writer, unix_ms};

/// How long DBSIZE may count keys whose time is over.
const ROOM_WAIT: Duration = Duration::from_millis(100);
const ROOM_WAITS_MAX: u32 = 50;

/// Connections that write.
const WRITERS: usize = 4;
/// A crash comes this long after the writers began, and up to so much later.
const WRITING_MS: (u64, u64) = (400, 1400);
/// Writers rest so long between pipelines in every other round: slow ones leave more in the log's buffer than fast ones.
const REST: Duration = Duration::from_millis(15);
/// A crash within recovery comes at most this late.
const RECOVERING_MS_MAX: u64 = 60;
/// What `everysec` may lose.
pub const LOST_MAX: Duration = Duration::from_secs(2);

/// What a campaign does.
pub struct Campaign<'a> {
    /// What it is called in its summary line.
    pub name: &'a str,
    /// Where the store is.
    pub data: PathBuf,
    /// The server's.
    pub appendfsync: &'a str,
    /// Crashes, without those within recovery.
    pub rounds: u64,
}

/// What a campaign saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Crashes, with those within recovery.
    pub crashes: u64,
    pub acknowledged: usize,
    /// Acknowledged changes that did not survive.
    pub lost: usize,
    pub lost_max: Duration,
    pub keys: i64,
    pub truncated_bytes: u64,
    pub cold_hits: u64,
    pub segments_compacted: u64,
}

impl Campaign<'_> {
    /// What may be lost.
    fn allowed(&self) -> Option<Duration> {
        (self.appendfsync != "always").then_some(LOST_MAX)
    }

    /// Crashes and checks. `crash` stops the running server for good and returns the moment after which nothing was answered.
    pub fn run(&self, mut crash: impl FnMut(&mut Server) -> Instant) -> Seen {
        let directives = ["--maxmemory", "64mb", "--maxdisk", "160mb", "--appendfsync", self.appendfsync];
        let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
        let mut before: Vec<_> = vec![vec![None; writer::KEYS]; WRITERS];
        let mut seen = Seen::default();
        let mut random = 1;
        let mut server = Server::start(&self.data, &directives);
        for round in 0..self.rounds {
            random = mixed(random);
            let rest = if round % 2 == 1 { REST } else { Duration::ZERO };
            let mut watcher = server.connect();
            let crashed = std::thread::scope(|scope| {
                for writer in &mut writers {
                    let connection = server.connect();
                    scope.spawn(move || writer.run(connection, rest, u64::MAX));
                }
                std::thread::sleep(Duration::from_millis(WRITING_MS.0 + random % WRITING_MS.1));
                seen.cold_hits += watcher.info("cold_hits");
                seen.segments_compacted += watcher.info("gc_segments_freed");
                let resident_bytes = server.resident_bytes();
                assert!(resident_bytes <= resident_bytes_max(64 << 20), "{resident_bytes} bytes are resident");
                crash(&mut server)
            });
            let expired_ms = unix_ms() + SOON_MS_MAX;
            seen.crashes += 1;
            if round % 3 == 2 {
                let mut recovering = Server::start_unasked(&self.data, &directives);
                std::thread::sleep(Duration::from_millis(random % RECOVERING_MS_MAX));
                crash(&mut recovering);
                seen.crashes += 1;
            }
            server = Server::start(&self.data, &directives);
            std::thread::sleep(Duration::from_millis(expired_ms.saturating_sub(unix_ms())));
            before = self.check(&server, &writers, &before, crashed, &mut seen).unwrap_or_else(|words| {
                panic!("{}, crash {round} of appendfsync {}: {words}", self.name, self.appendfsync)
            });
            for (writer, states) in writers.iter_mut().zip(&before) {
                writer.restart(states.clone());
            }
        }
        // Whoever comes here has seen nothing wrong.
        say(&format!(
            "{}, appendfsync {}: {} crashes, {} writes acknowledged, {} lost, 0 wrong, longest loss {:?}; {seen:?}",
            self.name, self.appendfsync, seen.crashes, seen.acknowledged, seen.lost, seen.lost_max
        ));
        seen
    }

    /// What is there now, if it can be explained.
    fn check(
        &self,
        server: &Server,
        writers: &[Writer],
        before: &[Vec<State>],
        crashed: Instant,
        seen: &mut Seen,
    ) -> Result<Vec<Vec<State>>, String> {
        let mut all: Vec<Cuts> = Vec::new();
        for (writer, base) in writers.iter().zip(before) {
            let read = writer.read(&mut server.connect())?;
            let cuts = cuts(base, &writer.changes, read, unix_ms())?;
            let lost = lost(&cuts, &writer.changes, crashed, self.allowed())?;
            seen.lost += lost.changes;
            seen.lost_max = seen.lost_max.max(lost.time);
            seen.acknowledged += writer.changes.iter().filter(|change| change.acknowledged.is_some()).count();
            all.push(cuts);
        }
        let pairs: Vec<_> = all.iter().zip(writers).map(|(cuts, writer)| (cuts, &*writer.changes)).collect();
        one_cut(&pairs)?;
        let states: Vec<_> = all.into_iter().map(|cuts| cuts.states).collect();
        let mut watcher = server.connect();
        seen.keys = watcher.number(&["DBSIZE"]);
        seen.truncated_bytes += watcher.info("recovery_truncated_bytes");
        // All fields of a writer are one key.
        let keys_of = |states: &[State]| {
            let (keys, fields) = states.split_at(FIELDS_FROM);
            keys.iter().flatten().count() + usize::from(fields.iter().any(Option::is_some))
        };
        let there: usize = states.iter().map(|states| keys_of(states)).sum();
        // A read that meets an expired key leaves it where it is if the log has no room for its end yet, right after a start: it
        // counts until somebody looks again.
        for _ in 0..ROOM_WAITS_MAX {
            if seen.keys as usize <= there {
                break;
            }
            std::thread::sleep(ROOM_WAIT);
            for writer in writers {
                writer.read(&mut server.connect())?;
            }
            seen.keys = watcher.number(&["DBSIZE"]);
        }
        if seen.keys as usize != there {
            return Err(format!("DBSIZE is {} with {there} keys", seen.keys));
        }
        Ok(states)
    }
}
