//! The store's start: recovered on a thread of its own, while clients are answered `-LOADING`. Where there was nothing to recover and
//! an RDB file (`dbfilename`) lies in the directory, its keys are brought into the store before anybody is let in.
//!
//! Until the last key of the file is there the superblock says that nothing is logged: a crash, or a file that turns out to be
//! damaged, leaves nothing of it, and the next start begins anew. Then the store goes over to the mode that is asked for.
//!
//! A start that is given up (SIGTERM, SHUTDOWN) leaves its thread where it is: the end of the process is to the directory what a
//! crash while recovering is, and that is survived at any moment.
//!
//! Promises: a line about the progress every second, one about what was found; the workers drive the disk before the first
//! command reaches the store. Never: a client made to wait for the start.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thermocline::{Durability, Engine, Options, RecoveryProgress, block_on};
use thermocline_transfer::from_store::Counting;
use thermocline_transfer::into_store::IntoStore;
use thermocline_transfer::rdb::from_rdb;
use thermocline_transfer::{Counts, Everything, Sink};
use tokio::sync::oneshot;

use crate::config::Startup;
use crate::net::WorkerHandle;
use crate::server::Server;

/// How often the log tells how far it has come.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Opens the store, gives every worker its lane to the disk, and lets commands through.
///
/// # Errors
/// One sentence: what is wrong with the directory, and what to do.
pub async fn load(server: &Arc<Server>, startup: &Startup, workers: &[WorkerHandle]) -> Result<(), String> {
    let mut opening = begin(server, startup)?;
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TOLD_EVERY, TOLD_EVERY);
    let opened = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            _ = ticks.tick() => tell_progress(server),
        }
    };
    let engine = opened.map_err(|_| "the start of the store ended by a panic; its words stand above".to_owned())?;
    let engine = engine.map_err(|error| error.to_string())?;
    let file = snapshot_file(server, startup);
    let is_loaded = engine.recovery().holds_nothing() && file.is_file();
    tell_recovery(&engine, is_loaded);
    if file.is_file() && !is_loaded {
        tracing::info!("{} is not read: the store in the directory is what is served", file.display());
    }
    for (number, worker) in workers.iter().enumerate() {
        let driver =
            engine.driver().map_err(|error| format!("cannot open worker {number}'s lane to the disk: {error}"))?;
        if !worker.drive(driver).await {
            return Err(format!("worker {number} has ended while the store was loaded"));
        }
    }
    if is_loaded {
        let mut loading = begin_file(server, startup, &engine, file)?;
        let loaded = loop {
            tokio::select! {
                loaded = &mut loading => break loaded,
                _ = ticks.tick() => tell_progress(server),
            }
        };
        loaded.map_err(|_| "the loading of the snapshot ended by a panic; its words stand above".to_owned())??;
    }
    server.snapshots.opened(server, &engine, is_loaded);
    server.open(engine);
    Ok(())
}

/// Where the last snapshot, or somebody else's, would lie.
fn snapshot_file(server: &Server, startup: &Startup) -> PathBuf {
    startup.directory.join(server.settings.text("dbfilename"))
}

/// Brings the keys of a file into the empty store, and then the store to the mode that is asked for.
fn begin_file(
    server: &Arc<Server>,
    startup: &Startup,
    engine: &Engine,
    path: PathBuf,
) -> Result<oneshot::Receiver<Result<(), String>>, String> {
    let (loaded, loading) = oneshot::channel();
    let (server, engine, durability) = (server.clone(), engine.clone(), startup.options.durability);
    let run = move || {
        let result = bring_file(&server.progress, &engine, durability, &path).map_err(|error| {
            let file = path.display();
            format!(
                "{file} cannot be loaded: {error:#}; nothing of it is served. Restore a sound file, or move it away to start empty"
            )
        });
        // Nobody waits any more if the start was given up.
        let _ = loaded.send(result);
    };
    match std::thread::Builder::new().name("loader".into()).spawn(run) {
        Ok(_detached) => Ok(loading),
        Err(error) => Err(format!("cannot start a thread to load the snapshot: {error}")),
    }
}

fn bring_file(progress: &RecoveryProgress, engine: &Engine, durability: Durability, path: &Path) -> anyhow::Result<()> {
    let began_us = engine.monotonic_us();
    #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    tracing::info!(bytes, "Loading {}: the directory holds nothing else", path.display());
    progress.enter_file("loading the snapshot", bytes);
    let mut into = IntoStore::new(engine);
    let mut counting = Counting { sink: &mut into, counts: Counts::default() };
    let mut items = 0;
    let mut step = |bytes| {
        progress.reached(bytes, u64::from(items > 0));
        items += 1;
    };
    let passed = from_rdb(file, (&Everything, false, engine.now_ms()), &mut counting, &mut step)?;
    counting.flush()?;
    let counts = counting.counts;
    block_on(engine.set_durability(durability))?;
    let took = Duration::from_micros(engine.monotonic_us().saturating_sub(began_us));
    tracing::info!(
        keys = counts.keys,
        elements = counts.elements,
        expired = passed.expired,
        functions_left_out = passed.functions,
        ?took,
        "DB loaded from {}",
        path.display()
    );
    Ok(())
}

type Opening = oneshot::Receiver<thermocline::Result<Engine>>;

fn begin(server: &Arc<Server>, startup: &Startup) -> Result<Opening, String> {
    let (opened, opening) = oneshot::channel();
    let (server, directory) = (server.clone(), startup.directory.clone());
    let file = snapshot_file(&server, startup);
    let guests = file.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter().collect();
    let options = Options { guests, begins_unlogged: file.is_file(), ..startup.options.clone() };
    let backend = startup.backend;
    let run = move || {
        // Nobody waits any more if the start was given up.
        let _ = opened.send(Engine::open_directory_with(&directory, options, backend, &server.progress));
    };
    match std::thread::Builder::new().name("loader".into()).spawn(run) {
        Ok(_detached) => Ok(opening),
        Err(error) => Err(format!("cannot start a thread to load the store: {error}")),
    }
}

fn tell_progress(server: &Server) {
    let progress = &server.progress;
    let (loaded, total) = progress.bytes();
    tracing::info!(
        "Loading: {}, {} records so far, {} % of what is known to be read",
        progress.step_name(),
        progress.records(),
        loaded * 100 / total.max(1)
    );
}

/// What the start found in the directory, for the operator's log.
fn tell_recovery(engine: &Engine, is_loaded: bool) {
    let report = engine.recovery();
    if report.emptied && is_loaded {
        tracing::warn!(
            "appendonly was no and the last run did not end cleanly: the store is what the last snapshot kept"
        );
    } else if report.emptied {
        tracing::warn!("appendonly is no and the last run did not end cleanly: the store starts empty");
    }
    if report.truncated_bytes > 0 {
        tracing::warn!(
            "the log's torn tail of {} bytes was cut: the last writes before the crash are not there",
            report.truncated_bytes
        );
    }
    if !report.quarantined.is_empty() {
        tracing::warn!(
            "damaged segments are set apart and not served: {:?}; `thermocline verify` lists the damage",
            report.quarantined
        );
    }
    for note in &report.notes {
        tracing::warn!("{note}");
    }
    if !report.fresh {
        tracing::info!(
            "DB loaded from the log: {} keys in {:.3} seconds ({} records replayed, {} bytes truncated, {} segments damaged)",
            report.keys,
            report.us as f64 / 1e6,
            report.replayed,
            report.truncated_bytes,
            report.quarantined.len()
        );
    }
}
