//! What all workers share: the store, the settings, who is connected, what was counted, and how the server ends.
//!
//! The store comes late: clients are served while it is recovered, those commands at least that need none ([`Flag::Loading`]).
//!
//! Promises: everything here may be used from any thread; once the store is there it stays. Never: sockets or sessions.
//!
//! [`Flag::Loading`]: crate::command::row::Flag::Loading

use std::path::PathBuf;
use std::sync::OnceLock;

use thermocline::{Clock, Engine, RecoveryProgress, SystemClock};
use tokio::sync::watch;

use crate::backup::Backups;
use crate::clients::Clients;
use crate::config::Settings;
use crate::counters::Counters;
use crate::snapshot::Snapshots;

/// The shared parts of the server.
pub struct Server {
    engine: OnceLock<Engine>,
    clock: SystemClock,
    /// How far the store's recovery has come.
    pub progress: RecoveryProgress,
    /// The settings.
    pub settings: Settings,
    /// Who is connected.
    pub clients: Clients,
    /// Backups.
    pub backups: Backups,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// What was counted.
    pub counters: Counters,
    /// Facts of this run that do not change.
    pub about: About,
    /// Whoever changes settings that the store follows: store and settings change together.
    pub changing: tokio::sync::Mutex<()>,
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
        let server = Server::loading(settings, about);
        server.open(engine);
        server
    }

    /// A server whose store is still being recovered.
    pub fn loading(settings: Settings, about: About) -> Server {
        let progress = RecoveryProgress::default();
        progress.delay_records_us(settings.number("key-load-delay"));
        Server {
            engine: OnceLock::new(),
            clock: SystemClock::new(),
            progress,
            settings,
            clients: Clients::default(),
            backups: Backups::default(),
            snapshots: Snapshots::default(),
            counters: Counters::new(about.workers),
            about,
            changing: tokio::sync::Mutex::default(),
            shutdown: watch::Sender::new(false),
        }
    }

    /// The store is there: every command is served from now on.
    pub fn open(&self, engine: Engine) {
        assert!(self.engine.set(engine).is_ok(), "a server has one store");
    }

    /// The store, if it is open.
    pub fn store(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// The store. For what runs only once it is open: commands without the flag `loading`, and what comes behind them.
    pub fn engine(&self) -> &Engine {
        self.engine.get().expect("nothing that needs the store is let through before it is open")
    }

    /// Unix milliseconds, by the store's clock if it is open.
    pub fn now_ms(&self) -> u64 {
        self.store().map_or_else(|| self.clock.now_ms(), Engine::now_ms)
    }

    /// Monotonic microseconds, by the store's clock if it is open.
    pub fn monotonic_us(&self) -> u64 {
        self.store().map_or_else(|| self.clock.monotonic_us(), Engine::monotonic_us)
    }

    /// How many logical databases there are.
    pub fn databases(&self) -> u32 {
        self.store().map_or_else(|| self.settings.number("databases") as u32, Engine::databases)
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
}
