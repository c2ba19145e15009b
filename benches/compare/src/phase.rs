//! A child process: opens its engine, runs the scenes of its phase, tells its parent by JSON lines on standard output.
//!
//! Promises: what is measured is this process alone; a signal ends the scene early, and the store is still closed. The load is
//! measured until everything is on the SSD, background work is over and the store is closed.

use crate::caller::{self, Shared, Tally};
use crate::engines::EngineName;
use crate::report::SceneReport;
use crate::settings::{PhaseName, Plan};
use crate::store::Store;
use crate::versions::Versions;
use crate::workload::Scene;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thermocline_bench::clock::Clock;
use thermocline_bench::procfs::{self, ProcessSample};
use thermocline_bench::report::LatencyReport;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// What a child is told.
pub struct Child<'c> {
    /// Its engine.
    pub engine: EngineName,
    /// What it does.
    pub phase: PhaseName,
    /// Where its data lies.
    pub directory: &'c Path,
    /// Set by a signal.
    pub stop: Arc<AtomicBool>,
}

/// A line from a child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The store is open.
    Opened {
        /// Version of the engine.
        version: String,
        /// How it was opened.
        settings: Vec<String>,
        /// How long that took.
        seconds: f64,
    },
    /// A scene begins.
    Began {
        /// Its name.
        scene: String,
        /// Its steps.
        steps: u64,
    },
    /// Steps done.
    Progress(u64),
    /// A scene has ended.
    Scene(Box<SceneReport>),
}

/// Runs a phase.
pub fn run<S: Store>(plan: &Plan, child: &Child<'_>, open: impl FnOnce(&Path, &Plan) -> Result<S>) -> Result<()> {
    let clock = Clock::start();
    let store = open(child.directory, plan).with_context(|| format!("opening {}", child.directory.display()))?;
    tell(&Message::Opened { version: child.engine.version(), settings: store.settings(), seconds: clock.seconds() })?;
    match child.phase {
        PhaseName::Load => {
            let versions = Arc::new(Versions::new(plan.keys, 0));
            let measured = Measured::begin(Scene::load(plan), &versions, plan, store, child)?;
            let Measured { store, .. } = &measured;
            store.flush()?;
            let dram_bytes = store.dram_bytes();
            let (store, scene) = measured.part()?;
            store.close()?;
            tell(&Message::Scene(Box::new(scene.end(dram_bytes))))
        }
        PhaseName::Read => {
            let versions = Arc::new(Versions::new(plan.keys, 1));
            let mut store = store;
            for scene in Scene::reads(plan) {
                if child.stop.load(Ordering::Relaxed) {
                    break;
                }
                let shown = scene.shown;
                let (back, open_scene) = Measured::begin(scene, &versions, plan, store, child)?.part()?;
                store = back;
                let report = open_scene.end(store.dram_bytes());
                // A warm-up is shown only if it has seen something wrong.
                if shown || !report.is_good() {
                    tell(&Message::Scene(Box::new(report)))?;
                }
            }
            store.close()
        }
    }
}

/// A scene whose callers have ended, with its store.
struct Measured<S> {
    store: Arc<S>,
    scene: OpenScene,
}

/// A scene that is still being measured: closing its store may belong to it.
struct OpenScene {
    scene: Scene,
    clock: Clock,
    before: Option<ProcessSample>,
    tally: Tally,
}

impl<S: Store> Measured<S> {
    fn begin(scene: Scene, versions: &Arc<Versions>, plan: &Plan, store: S, child: &Child<'_>) -> Result<Self> {
        tell(&Message::Began { scene: scene.name.to_owned(), steps: scene.steps })?;
        forget_peak();
        let before = procfs::sample(std::process::id());
        let clock = Clock::start();
        let shared = Arc::new(Shared {
            store: Arc::new(store),
            versions: versions.clone(),
            scene,
            value_bytes: plan.value_bytes,
            next: AtomicU64::new(0),
            tally: Mutex::default(),
            stop: child.stop.clone(),
            clock,
        });
        let store = shared.store.clone();
        let ended = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let teller = threads.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    std::thread::park_timeout(PROGRESS_INTERVAL);
                    let done = shared.next.load(Ordering::Relaxed).min(shared.scene.steps);
                    // Nobody listens any more: end.
                    if tell(&Message::Progress(done)).is_err() {
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                }
            });
            let driven = store.drive((0..shared.scene.outstanding).map(|_| caller::run(shared.clone())).collect());
            ended.store(true, Ordering::Relaxed);
            teller.thread().unpark();
            driven
        })?;
        let tally = std::mem::take(&mut *shared.tally.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?);
        let scene = shared.scene.clone();
        Ok(Self { store, scene: OpenScene { scene, clock, before, tally } })
    }

    /// The store alone again, and the scene.
    fn part(self) -> Result<(S, OpenScene)> {
        let store = Arc::into_inner(self.store).context("a caller still holds the store")?;
        Ok((store, self.scene))
    }
}

impl OpenScene {
    fn end(self, dram_bytes: Option<u64>) -> SceneReport {
        let seconds = self.clock.seconds();
        let tally = self.tally;
        let operations = tally.operations();
        let spent = self.before.zip(procfs::sample(std::process::id()));
        let per_operation = |amount: f64| amount / operations.max(1) as f64;
        let bytes = |of: fn(&ProcessSample) -> u64| {
            spent.map(|(before, after)| per_operation(of(&after).saturating_sub(of(&before)) as f64))
        };
        SceneReport {
            name: self.scene.name.to_owned(),
            outstanding: self.scene.outstanding,
            complete: operations == self.scene.steps,
            operations,
            seconds,
            operations_per_second: operations as f64 / seconds.max(1e-9),
            cpu_us_per_operation: spent
                .map(|(before, after)| per_operation((after.cpu_seconds - before.cpu_seconds) * 1e6)),
            read_bytes_per_operation: bytes(|sample| sample.read_bytes),
            written_bytes_per_operation: bytes(|sample| sample.write_bytes),
            rss_max_bytes: spent.map(|(_, after)| after.rss_peak_bytes),
            dram_bytes,
            get: LatencyReport::of(&tally.get),
            put: LatencyReport::of(&tally.put),
            missing: tally.missing,
            stale: tally.stale,
            wrong: tally.wrong,
            errors: tally.errors,
            shown: tally.shown,
        }
    }
}

/// Lets the kernel count the highest resident memory anew. Where it refuses, the peak is that since the start.
#[expect(clippy::disallowed_methods, reason = "the kernel's own file about this process")]
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn tell(message: &Message) -> Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes())?;
    Ok(output.flush()?)
}
