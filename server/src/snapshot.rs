//! Snapshots: SAVE, BGSAVE, save points, and the RDB file that they write.
//!
//! ```text
//!  asked for --moment fixed ([`thermocline::snapshot`])--> answered (SAVE: when the file is there)
//!                                      '--> a thread of low priority: .dump.rdb.part written, synced, renamed to dump.rdb
//! ```
//! Promises: one at a time; the file that has the name is whole and of one moment, and stays until the next one is; what became of
//! the last one stands in INFO and the log. Never: a fork; a client that waits for another's SAVE; keeps the server from ending.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, bail};
use thermocline::snapshot::Snapshot;
use thermocline::{Durability, Engine};
use thermocline_rdb::Version;
use thermocline_transfer::from_store::{Counting, FromStore};
use thermocline_transfer::rdb::{IntoRdb, NeedsVersion};
use thermocline_transfer::{Counts, Everything};
use tokio::sync::watch;

use crate::command::reply::CommandError;
use crate::server::Server;

/// After one that failed save points rest so long.
const RETRY_MS: u64 = 5000;
/// Bytes after which what was written is brought to the device (`rdb-save-incremental-fsync`), and the room that is left looked at.
const LOOK_EVERY_BYTES: u64 = 4 << 20;
/// A file that would leave the file system less than so many segments is given up.
const LEFT_SEGMENTS: u64 = 16;
/// Bytes written at once.
const WRITE_BYTES: usize = 256 << 10;
/// How much less than the workers the writing thread counts to the scheduler.
const NICE: i32 = 5;

const RUNNING: CommandError = CommandError::Static("ERR Background save already in progress");

/// What is known of snapshots.
#[derive(Default)]
pub struct Snapshots(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// How many have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// When the running one began, in monotonic microseconds.
    running: Option<u64>,
    /// One is wanted as soon as it can be begun.
    scheduled: bool,
    ending: bool,
    /// Unix milliseconds of the last one that succeeded; 0: none yet.
    last_save_ms: u64,
    /// Changes of the store up to it.
    changes: u64,
    tried_ms: u64,
    error: Option<String>,
    took: Option<Duration>,
    saves: u64,
    /// Keys of the last file.
    keys: u64,
    /// A hash has had fields that expire: only version 12 can say so.
    needs_version_12: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Snapshots {
    /// Fields of INFO.
    pub fn fields(&self, server: &Server) -> Vec<(&'static str, String)> {
        let changes = server.store().map_or(0, |engine| engine.stats().changes);
        let now_us = server.monotonic_us();
        let last_save_s = self.last_save_s(server);
        let state = self.0.lock();
        let seconds = |took: Option<Duration>| took.map_or("-1".to_owned(), |took| took.as_secs().to_string());
        let current = state.running.map(|began_us| Duration::from_micros(now_us.saturating_sub(began_us)));
        vec![
            ("rdb_changes_since_last_save", changes.saturating_sub(state.changes).to_string()),
            ("rdb_bgsave_in_progress", u8::from(state.running.is_some()).to_string()),
            ("rdb_last_save_time", last_save_s.to_string()),
            ("rdb_last_bgsave_status", if state.error.is_none() { "ok" } else { "err" }.to_owned()),
            ("rdb_last_bgsave_error", state.error.clone().unwrap_or_default()),
            ("rdb_last_bgsave_time_sec", seconds(state.took)),
            ("rdb_current_bgsave_time_sec", seconds(current)),
            ("rdb_saves", state.saves.to_string()),
            ("rdb_last_save_keys", state.keys.to_string()),
        ]
    }

    /// Unix seconds of the last save; the start counts as one.
    pub fn last_save_s(&self, server: &Server) -> u64 {
        self.0.lock().last_save_ms.max(server.about.started_ms) / 1000
    }

    /// The server ends: one under way is given up.
    pub fn end(&self) {
        self.0.lock().ending = true;
    }

    /// The store is open: what is in it now counts as saved. Where nothing is logged, though, and it is not from a file, a crash of this
    /// life would lose what the last one kept: one is made at once, if there are save points.
    pub fn opened(&self, server: &Server, engine: &Engine, is_from_file: bool) {
        let is_kept = is_from_file || engine.recovery().keys == 0 || engine.durability() != Durability::None;
        let mut state = self.0.lock();
        state.changes = engine.stats().changes;
        state.scheduled = !is_kept && !server.settings.text("save").is_empty();
    }

    /// One is to be begun as soon as that is possible.
    pub fn schedule(&self) {
        self.0.lock().scheduled = true;
    }

    /// Begins a snapshot: when this returns, its moment is fixed.
    ///
    /// # Errors
    /// One is being made; what the store says.
    pub async fn begin(&self, server: &Server) -> Result<(), CommandError> {
        let claim = self.claim(server)?;
        let (path, part) = paths(server);
        let engine = server.engine().clone();
        let changes = engine.stats().changes;
        let began = engine.begin_snapshot().await.map_err(anyhow::Error::from);
        let snapshot = match began {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let words = format!("{error:#}");
                claim.end(Err(error));
                return Err(CommandError::Built(format!("ERR {words}").into_bytes()));
            }
        };
        let job = Job {
            claim,
            engine,
            path,
            part,
            changes,
            syncs: server.settings.is_yes("rdb-save-incremental-fsync"),
            key_delay_us: server.settings.text("rdb-key-save-delay").parse().unwrap_or(0),
        };
        let thread = std::thread::Builder::new().name("snapshot".into());
        // A job that gets no thread is dropped, and says so.
        thread
            .spawn(move || job.run(snapshot))
            .map(|_detached| ())
            .map_err(|error| CommandError::Built(format!("ERR no thread for the snapshot: {error}").into_bytes()))
    }

    /// Makes a snapshot: when this returns, the file is there.
    ///
    /// # Errors
    /// As [`Snapshots::begin`]; and if it could not be written.
    pub async fn save(&self, server: &Server) -> Result<(), CommandError> {
        let mut ended = self.0.ended.subscribe();
        let before = *ended.borrow_and_update();
        self.begin(server).await?;
        // The sender lives as long as `self`, so this cannot fail.
        let _ = ended.wait_for(|count| *count > before).await;
        match self.0.lock().error.clone() {
            None => Ok(()),
            Some(words) => Err(CommandError::Built(format!("ERR the snapshot was not written: {words}").into_bytes())),
        }
    }

    fn claim(&self, server: &Server) -> Result<Claim, CommandError> {
        let mut state = self.0.lock();
        if state.running.is_some() {
            return Err(RUNNING);
        }
        state.running = Some(server.monotonic_us());
        state.scheduled = false;
        state.tried_ms = server.now_ms();
        Ok(Claim { shared: self.0.clone(), is_over: false })
    }

    /// Is a snapshot to be begun, by a save point or because it was scheduled? Where everything is logged a save point that is
    /// reached is only noted: what it asks for has happened.
    pub fn is_due(&self, server: &Server) -> bool {
        let Some(engine) = server.store() else { return false };
        let last_ms = self.last_save_s(server) * 1000;
        let mut state = self.0.lock();
        if state.running.is_some() || state.ending {
            return false;
        }
        if state.scheduled {
            return true;
        }
        let points = server.settings.text("save");
        if points.is_empty() {
            return false; // what follows looks at every shard
        }
        let (now_ms, changes) = (server.now_ms(), engine.stats().changes);
        let rests = state.error.is_some() && now_ms < state.tried_ms + RETRY_MS;
        if rests || !is_reached(&points, now_ms.saturating_sub(last_ms) / 1000, changes.saturating_sub(state.changes)) {
            return false;
        }
        if engine.durability() == Durability::None {
            return true;
        }
        (state.last_save_ms, state.changes) = (now_ms, changes);
        false
    }
}

/// Is one of these save points (`seconds changes seconds changes ..`) reached?
fn is_reached(points: &str, seconds: u64, changes: u64) -> bool {
    let numbers: Vec<u64> = points.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.chunks_exact(2).any(|point| changes >= point[1].max(1) && seconds > point[0])
}

/// The file, and the one that is written until it is whole: its name has a dot, which the store leaves alone.
fn paths(server: &Server) -> (PathBuf, PathBuf) {
    let directory = PathBuf::from(server.settings.text("dir"));
    let name = server.settings.text("dbfilename");
    (directory.join(&name), directory.join(format!(".{name}.part")))
}

/// The right to make a snapshot.
struct Claim {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Claim {
    fn end(mut self, result: anyhow::Result<Saved>) {
        let mut state = self.shared.lock();
        match result {
            Ok(saved) => {
                state.last_save_ms = saved.ended_ms;
                state.changes = saved.changes;
                state.took = Some(saved.took);
                state.keys = saved.counts.keys;
                state.saves += 1;
                state.error = None;
            }
            Err(error) => {
                tracing::error!("Background saving error: {error:#}");
                state.error = Some(format!("{error:#}"));
            }
        }
        drop(state);
        self.over();
    }

    fn over(&mut self) {
        self.is_over = true;
        self.shared.lock().running = None;
        self.shared.ended.send_modify(|count| *count += 1);
    }
}

impl Drop for Claim {
    /// Whoever asked has gone before the moment was fixed, or there was no thread.
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.lock().error = Some("it was given up before it began".to_owned());
            self.over();
        }
    }
}

/// What one that succeeded says.
struct Saved {
    ended_ms: u64,
    changes: u64,
    took: Duration,
    counts: Counts,
}

/// The thread's part.
struct Job {
    claim: Claim,
    engine: Engine,
    path: PathBuf,
    part: PathBuf,
    /// Changes of the store when it began.
    changes: u64,
    syncs: bool,
    /// Test option: each key takes so much longer.
    key_delay_us: i64,
}

impl Job {
    fn run(self, snapshot: Snapshot) {
        let began_us = self.engine.monotonic_us();
        // The workers come first; where that cannot be said it is only slower for them.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the snapshot's thread has the workers' priority");
        }
        tracing::info!(seq = snapshot.seq(), parts = snapshot.parts(), "Background saving started");
        let written = self.write(&snapshot);
        drop(snapshot);
        if written.is_err() {
            let _ = std::fs::remove_file(&self.part); // nobody misses it
        }
        let took = Duration::from_micros(self.engine.monotonic_us().saturating_sub(began_us));
        let result = written.map(|(counts, bytes)| {
            let file = self.path.display();
            tracing::info!(keys = counts.keys, elements = counts.elements, bytes, ?took, %file, "Background saving terminated with success");
            Saved { ended_ms: self.engine.now_ms(), changes: self.changes, took, counts }
        });
        self.claim.end(result);
    }

    fn write(&self, snapshot: &Snapshot) -> anyhow::Result<(Counts, u64)> {
        let mut version = match self.claim.shared.lock().needs_version_12 {
            true => Version::REDIS_7_4,
            false => Version::REDIS_7_0,
        };
        let written = loop {
            match self.attempt(snapshot, version) {
                Err(error) if error.is::<NeedsVersion>() && version < Version::REDIS_7_4 => {
                    tracing::info!("{error}; the file is begun anew in version 12");
                    self.claim.shared.lock().needs_version_12 = true;
                    version = Version::REDIS_7_4;
                }
                attempt => break attempt,
            }
        };
        // Where the log took its segments back that is the reason of whatever else went wrong.
        snapshot.still_there()?;
        written
    }

    fn attempt(&self, snapshot: &Snapshot, version: Version) -> anyhow::Result<(Counts, u64)> {
        let about = || format!("writing {}", self.part.display());
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        let file = File::create(&self.part).with_context(about)?;
        let left_bytes = LEFT_SEGMENTS * self.engine.options().segment_bytes();
        let file = Synced { file, bytes: 0, unlooked: LOOK_EVERY_BYTES, syncs: self.syncs, left_bytes };
        let output = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut rdb = IntoRdb::begin(output, version, snapshot.created_ms(), snapshot.keys().to_vec())?;
        let mut counts = Counts::default();
        snapshot.read(|part| {
            let engine = part.engine.clone();
            let mut counting = Counting { sink: &mut rdb, counts };
            let mut step = |_, _, looked| self.step(snapshot, looked);
            let mut is_elsewhere = |space, key: &[u8], payload: &[u8]| part.is_elsewhere(space, key, payload);
            let mut walk = FromStore {
                engine: &engine,
                choice: &Everything,
                salvage: None,
                leaves_out: Some(&mut is_elsewhere),
                step: &mut step,
            };
            walk.run((0, 0), &mut counting)?;
            counts = counting.counts;
            anyhow::Ok(())
        })?;
        let synced = rdb.end()?.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(about)?;
        synced.file.sync_all().with_context(about)?;
        std::fs::rename(&self.part, &self.path)
            .with_context(|| format!("naming the snapshot {}", self.path.display()))?;
        sync_directory(&self.path).with_context(|| format!("syncing the directory of {}", self.path.display()))?;
        Ok((counts, synced.bytes))
    }

    /// Between two steps of the walk.
    fn step(&self, snapshot: &Snapshot, looked: u64) -> anyhow::Result<()> {
        if self.claim.shared.lock().ending {
            bail!("the server ends");
        }
        if self.key_delay_us > 0 {
            std::thread::sleep(Duration::from_micros(self.key_delay_us as u64 * looked));
        }
        Ok(snapshot.still_there()?)
    }
}

/// Makes a renaming durable.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    let directory = File::open(directory)?;
    directory.sync_all()
}

/// A file that goes to the device while it is written: not all at once at its end, beside the log's flushes. And it leaves the log
/// room for its next segments.
struct Synced {
    file: File,
    bytes: u64,
    /// Bytes since it was synced and the room was looked at.
    unlooked: u64,
    syncs: bool,
    left_bytes: u64,
}

impl Synced {
    fn look(&mut self) -> std::io::Result<()> {
        self.unlooked = 0;
        if self.syncs {
            self.file.sync_data()?;
        }
        let room = rustix::fs::fstatvfs(&self.file)?;
        let free_bytes = room.f_bavail * room.f_frsize;
        if free_bytes < self.left_bytes {
            let words = format!(
                "the file system has {free_bytes} bytes left, and the log needs them; make room, or lower maxdisk"
            );
            return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, words));
        }
        Ok(())
    }
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.unlooked >= LOOK_EVERY_BYTES {
            self.look()?;
        }
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        self.unlooked += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_point_is_reached_when_both_its_numbers_are() {
        assert!(!is_reached("", 1_000_000, 1_000_000));
        assert!(!is_reached("60 10", 60, 10) && is_reached("60 10", 61, 10) && !is_reached("60 10", 61, 9));
        assert!(is_reached("3600 1 60 10", 61, 10) && !is_reached("3600 1 60 10", 61, 1));
        assert!(!is_reached("0 0", 5, 0), "nothing has changed");
    }
}
