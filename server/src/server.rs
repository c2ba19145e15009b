//! What all workers share: the store, the settings, who is connected, what was counted, and how the server ends.
//!
//! Promises: everything here may be used from any thread. Never: sockets or sessions.

use std::path::PathBuf;

use thermocline::Engine;
use tokio::sync::watch;

use crate::clients::Clients;
use crate::config::Settings;
use crate::counters::Counters;

/// The shared parts of the server.
pub struct Server {
    /// The store.
    pub engine: Engine,
    /// The settings.
    pub settings: Settings,
    /// Who is connected.
    pub clients: Clients,
    /// What was counted.
    pub counters: Counters,
    /// Facts of this run that do not change.
    pub about: About,
    shutdown: watch::Sender<bool>,
}

/// Facts of this run that do not change.
pub struct About {
    /// Forty hexadecimal digits.
    pub run_id: String,
    /// When the server started, unix milliseconds.
    pub started_ms: u64,
    /// The port clients use.
    pub port: u16,
    /// The file of the command line.
    pub config_file: Option<PathBuf>,
    /// Which way the disk is used.
    pub io_backend: String,
    /// Why, and what would change it.
    pub io_backend_reason: String,
    /// Workers.
    pub workers: usize,
    /// Memory of the machine (or of its cgroup).
    pub machine_bytes: u64,
    /// The store's budget at start.
    pub max_memory: u64,
    /// The log's budget at start.
    pub max_disk: u64,
}

impl Server {
    /// A server around an open store.
    pub fn new(engine: Engine, settings: Settings, about: About) -> Server {
        Server {
            engine,
            settings,
            clients: Clients::default(),
            counters: Counters::new(about.workers),
            about,
            shutdown: watch::Sender::new(false),
        }
    }

    /// Asks everyone to finish.
    pub fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Whether the end was asked for.
    pub fn is_ending(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Waits until the end is asked for.
    pub async fn ending(&self) {
        let mut receiver = self.shutdown.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = receiver.wait_for(|ending| *ending).await;
    }

    /// Unix seconds of the last save: the log is the database, so the start counts.
    pub fn last_save_s(&self) -> u64 {
        self.about.started_ms / 1000
    }
}
