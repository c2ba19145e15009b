//! The store's start: recovered on a thread of its own, while clients are answered `-LOADING`.
//!
//! A start that is given up (SIGTERM, SHUTDOWN) leaves its thread where it is: the end of the process is to the directory what a
//! crash while recovering is, and that is survived at any moment.
//!
//! Promises: a line about the progress every second, one about what was found; the workers drive the disk before the first
//! command reaches the store. Never: a client made to wait for the start.

use std::sync::Arc;
use std::time::Duration;

use thermocline::Engine;
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
    tell_recovery(&engine);
    for (number, worker) in workers.iter().enumerate() {
        let driver =
            engine.driver().map_err(|error| format!("cannot open worker {number}'s lane to the disk: {error}"))?;
        if !worker.drive(driver).await {
            return Err(format!("worker {number} has ended while the store was loaded"));
        }
    }
    server.open(engine);
    Ok(())
}

type Opening = oneshot::Receiver<thermocline::Result<Engine>>;

fn begin(server: &Arc<Server>, startup: &Startup) -> Result<Opening, String> {
    let (opened, opening) = oneshot::channel();
    let (server, directory) = (server.clone(), startup.directory.clone());
    let (options, backend) = (startup.options.clone(), startup.backend);
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
fn tell_recovery(engine: &Engine) {
    let report = engine.recovery();
    if report.emptied {
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
