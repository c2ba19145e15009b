//! A caller: takes steps, asks the store, verifies every byte, counts.
//!
//! Promises: an answer is good only if it is a whole version between the last acknowledged when it was asked for and the
//! newest begun when it came. Never: keeps a value.

use crate::store::{Key, Store};
use crate::versions::Versions;
use crate::workload::{Action, Scene};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use thermocline_bench::clock::Clock;
use thermocline_bench::tally::Latencies;
use thermocline_bench::value::{self, Expected, KeyId, Wrong};

const SHOWN_MAX: usize = 5;
/// Steps after which a caller lets the others run.
const STEPS_IN_A_ROW: u32 = 16;
/// Errors after which a caller gives up.
const ERRORS_MAX: u64 = 1_000;

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
    /// End early.
    pub stop: Arc<AtomicBool>,
    /// Began with the scene.
    pub clock: Clock,
}

/// What a caller has counted.
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
    /// Adds another caller's.
    pub fn add(&mut self, other: Tally) {
        for (mine, theirs) in [(&mut self.get, other.get), (&mut self.put, other.put)] {
            mine.0.add(&theirs.0).expect("all histograms have the same bounds");
        }
        self.missing += other.missing;
        self.stale += other.stale;
        self.wrong += other.wrong;
        self.errors += other.errors;
        let room = SHOWN_MAX.saturating_sub(self.shown.len());
        self.shown.extend(other.shown.into_iter().take(room));
    }

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

/// Takes steps until there are none left, the time is over or the run is stopped.
pub async fn run<S: Store>(shared: Arc<Shared<S>>) -> Tally {
    let mut tally = Tally::default();
    let mut value = Vec::with_capacity(shared.value_bytes as usize);
    let mut in_a_row = 0;
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.scene.steps || shared.stop.load(Ordering::Relaxed) || tally.errors >= ERRORS_MAX {
            return tally;
        }
        let began = shared.clock.nanoseconds();
        if began as f64 > shared.scene.seconds_max * 1e9 {
            return tally;
        }
        let (id, action) = shared.scene.step(number);
        // A key that another caller is writing is read instead.
        match (action == Action::Put).then(|| shared.versions.begin(id)).flatten() {
            Some(writing) => {
                value.clear();
                value::fill(&mut value, id, writing.version, shared.value_bytes);
                match shared.store.put(&Key::of(id), &value).await {
                    Ok(()) => writing.acknowledge(),
                    Err(error) => {
                        tally.errors += 1;
                        tally.show(|| format!("put of key {}: {error:#}", id.0));
                    }
                }
                tally.put.0.saturating_record(shared.clock.nanoseconds() - began);
            }
            None => {
                get(&shared, id, &mut tally).await;
                tally.get.0.saturating_record(shared.clock.nanoseconds() - began);
            }
        }
        in_a_row += 1;
        if in_a_row == STEPS_IN_A_ROW {
            in_a_row = 0;
            let_others_run().await;
        }
    }
}

async fn get<S: Store>(shared: &Shared<S>, id: KeyId, tally: &mut Tally) {
    let oldest = shared.versions.acknowledged(id);
    let length = shared.value_bytes;
    let answer = shared.store.get(&Key::of(id), |value| value.map(|bytes| verify(bytes, id, length))).await;
    match answer {
        Ok(Some(Ok(version))) => {
            let newest = shared.versions.newest(id);
            if !(oldest..=newest).contains(&version) {
                if version < oldest {
                    tally.stale += 1;
                } else {
                    tally.wrong += 1;
                }
                tally.show(|| format!("key {}: version {version}, not within {oldest} and {newest}", id.0));
            }
        }
        Ok(Some(Err(wrong))) => {
            tally.wrong += 1;
            tally.show(|| format!("key {}: {wrong}", id.0));
        }
        Ok(None) if oldest > 0 => tally.missing += 1,
        Ok(None) => {}
        Err(error) => {
            tally.errors += 1;
            tally.show(|| format!("get of key {}: {error:#}", id.0));
        }
    }
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
    use std::sync::Mutex;

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
                stop: Arc::default(),
                clock: Clock::start(),
            });
            let callers = (0..outstanding).map(|_| run(shared.clone())).collect();
            store.drive(callers).unwrap().into_iter().for_each(|tally| whole.add(tally));
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
