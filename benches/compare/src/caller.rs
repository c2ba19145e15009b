//! A caller: takes steps, asks the store, verifies every byte, counts.
//!
//! Promises: an answer is good only if it is a whole version between the last acknowledged when it was asked for and the
//! newest begun when it came. Never: keeps a value.

use crate::store::{Key, Store};
use crate::versions::Versions;
use crate::workload::{Action, Scene};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use thermocline_bench::clock::Clock;
use thermocline_bench::tally::Latencies;
use thermocline_bench::value::{self, Expected, KeyId, Wrong};

const SHOWN_MAX: usize = 5;
/// Steps after which a caller lets the others run.
const STEPS_IN_A_ROW: u32 = 16;
/// Errors after which a scene gives up.
const ERRORS_MAX: u64 = 1_000;
/// Latencies that a caller gathers before it adds them to the scene's: a histogram for each caller would take more DRAM than
/// some engines.
const GATHERED_MAX: usize = 64;

/// What all callers of a scene share.
pub struct Shared<S> {
    /// The store.
    pub store: Arc<S>,
    /// What was written.
    pub versions: Arc<Versions>,
    /// The scene.
    pub scene: Scene,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// The next step.
    pub next: AtomicU64,
    /// What all callers have counted.
    pub tally: Mutex<Tally>,
    /// End early.
    pub stop: Arc<AtomicBool>,
    /// Began with the scene.
    pub clock: Clock,
}

/// What was counted.
#[derive(Default)]
pub struct Tally {
    /// Reads.
    pub get: Latencies,
    /// Writes.
    pub put: Latencies,
    /// Keys that should be there and are not.
    pub missing: u64,
    /// Whole values of an older version than the last acknowledged.
    pub stale: u64,
    /// Values with a wrong byte, of another key, or of a version that nobody wrote.
    pub wrong: u64,
    /// Calls that failed.
    pub errors: u64,
    /// The first of both in words.
    pub shown: Vec<String>,
}

impl Tally {
    /// Answers.
    pub fn operations(&self) -> u64 {
        self.get.0.len() + self.put.0.len()
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(text());
        }
    }
}

/// Latencies of one caller on their way to the tally.
#[derive(Default)]
struct Gathered {
    get_ns: Vec<u64>,
    put_ns: Vec<u64>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.get_ns.len() + self.put_ns.len() >= GATHERED_MAX
    }

    fn add_to(&mut self, tally: &Mutex<Tally>) {
        let mut tally = lock(tally);
        self.get_ns.drain(..).for_each(|ns| tally.get.0.saturating_record(ns));
        self.put_ns.drain(..).for_each(|ns| tally.put.0.saturating_record(ns));
    }
}

/// Takes steps until there are none left, the time is over or the run is stopped.
pub async fn run<S: Store>(shared: Arc<Shared<S>>) {
    let mut gathered = Gathered::default();
    let mut value = Vec::with_capacity(shared.value_bytes as usize);
    let mut in_a_row = 0;
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let began = shared.clock.nanoseconds();
        if number >= shared.scene.steps
            || began as f64 > shared.scene.seconds_max * 1e9
            || shared.stop.load(Ordering::Relaxed)
        {
            break;
        }
        let (id, action) = shared.scene.step(number);
        // A key that another caller is writing is read instead.
        match (action == Action::Put).then(|| shared.versions.begin(id)).flatten() {
            Some(writing) => {
                value.clear();
                value::fill(&mut value, id, writing.version, shared.value_bytes);
                match shared.store.put(&Key::of(id), &value).await {
                    Ok(()) => writing.acknowledge(),
                    Err(error) => failed(&shared, || format!("put of key {}: {error:#}", id.0)),
                }
                gathered.put_ns.push(shared.clock.nanoseconds() - began);
            }
            None => {
                get(&shared, id).await;
                gathered.get_ns.push(shared.clock.nanoseconds() - began);
            }
        }
        if gathered.is_full() {
            gathered.add_to(&shared.tally);
        }
        in_a_row += 1;
        if in_a_row == STEPS_IN_A_ROW {
            in_a_row = 0;
            let_others_run().await;
        }
    }
    gathered.add_to(&shared.tally);
}

async fn get<S: Store>(shared: &Shared<S>, id: KeyId) {
    let oldest = shared.versions.acknowledged(id);
    let length = shared.value_bytes;
    let answer = shared.store.get(&Key::of(id), |value| value.map(|bytes| verify(bytes, id, length))).await;
    match answer {
        Ok(Some(Ok(version))) => {
            let newest = shared.versions.newest(id);
            if version < oldest || version > newest {
                let mut tally = lock(&shared.tally);
                if version < oldest {
                    tally.stale += 1;
                } else {
                    tally.wrong += 1;
                }
                tally.show(|| format!("key {}: version {version}, not within {oldest} and {newest}", id.0));
            }
        }
        Ok(Some(Err(wrong))) => {
            let mut tally = lock(&shared.tally);
            tally.wrong += 1;
            tally.show(|| format!("key {}: {wrong}", id.0));
        }
        Ok(None) if oldest > 0 => lock(&shared.tally).missing += 1,
        Ok(None) => {}
        Err(error) => failed(shared, || format!("get of key {}: {error:#}", id.0)),
    }
}

fn failed<S>(shared: &Shared<S>, text: impl FnOnce() -> String) {
    let mut tally = lock(&shared.tally);
    tally.errors += 1;
    tally.show(text);
    if tally.errors >= ERRORS_MAX {
        shared.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("no panic under this lock")
}

fn verify(bytes: &[u8], id: KeyId, length: u32) -> Result<u32, Wrong> {
    let found = value::verify(bytes, id, Expected::AnyVersion)?;
    if found.length != length {
        return Err(Wrong::Length { expected: length.into(), found: found.length.into() });
    }
    Ok(found.version)
}

/// Pending once, and woken at once.
async fn let_others_run() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Arguments;
    use anyhow::Result;
    use clap::Parser as _;
    use std::collections::HashMap;

    /// A map that breaks what it is told to break.
    #[derive(Default)]
    struct Broken {
        values: Mutex<HashMap<[u8; 16], Vec<u8>>>,
        flips: Option<[u8; 16]>,
        forgets: Option<[u8; 16]>,
        drops_updates_of: Option<[u8; 16]>,
    }

    impl Store for Broken {
        fn settings(&self) -> Vec<String> {
            Vec::new()
        }

        async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
            let mut value = self.values.lock().unwrap().get(&key.0).cloned();
            if self.flips == Some(key.0)
                && let Some(value) = &mut value
            {
                value[300] ^= 1;
            }
            if self.forgets == Some(key.0) {
                value = None;
            }
            Ok(see(value.as_deref()))
        }

        async fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
            let mut values = self.values.lock().unwrap();
            if self.drops_updates_of == Some(key.0) && values.contains_key(&key.0) {
                return Ok(());
            }
            values.insert(key.0, value.to_vec());
            Ok(())
        }

        fn flush(&self) -> Result<()> {
            Ok(())
        }

        fn close(self) -> Result<()> {
            Ok(())
        }

        fn dram_bytes(&self) -> Option<u64> {
            None
        }
    }

    /// Counts of all scenes together.
    fn tally_of(store: Broken) -> Tally {
        let plan = Arguments::parse_from(["compare-engines", "--keys", "2000"]).plan();
        let (store, versions) = (Arc::new(store), Arc::new(Versions::new(plan.keys, 0)));
        let mut whole = Tally::default();
        for scene in std::iter::once(Scene::load(&plan)).chain(Scene::reads(&plan)) {
            let outstanding = scene.outstanding;
            let shared = Arc::new(Shared {
                store: store.clone(),
                versions: versions.clone(),
                scene,
                value_bytes: plan.value_bytes,
                next: AtomicU64::new(0),
                tally: Mutex::new(whole),
                stop: Arc::default(),
                clock: Clock::start(),
            });
            store.drive((0..outstanding).map(|_| run(shared.clone())).collect()).unwrap();
            whole = std::mem::take(&mut shared.tally.lock().unwrap());
        }
        whole
    }

    /// The most popular key: every zipf scene meets it.
    fn popular() -> Option<[u8; 16]> {
        let plan = Arguments::parse_from(["compare-engines", "--keys", "2000"]).plan();
        let scene = Scene::reads(&plan).pop().unwrap();
        let mut counts = HashMap::new();
        (0..scene.steps).for_each(|n| *counts.entry(scene.step(n).0).or_insert(0) += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| Key::of(id).0)
    }

    #[test]
    fn a_good_store_passes() {
        let tally = tally_of(Broken::default());
        assert_eq!((tally.wrong, tally.stale, tally.missing, tally.errors), (0, 0, 0, 0), "{:?}", tally.shown);
        assert!(tally.operations() > 6_000);
    }

    #[test]
    fn a_flipped_bit_a_lost_key_and_a_lost_update_are_seen() {
        let flipped = tally_of(Broken { flips: popular(), ..Broken::default() });
        assert!(flipped.wrong > 0 && flipped.shown[0].contains("wrong byte"), "{:?}", flipped.shown);
        let lost = tally_of(Broken { forgets: popular(), ..Broken::default() });
        assert!(lost.missing > 0 && lost.wrong == 0);
        let stale = tally_of(Broken { drops_updates_of: popular(), ..Broken::default() });
        assert!(stale.stale > 0 && stale.wrong == 0 && stale.shown[0].contains("version 1"), "{:?}", stale.shown);
    }
}
