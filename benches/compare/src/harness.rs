//! What the comparison itself costs per step: a store that holds everything in a table and does nothing else.
//!
//! So a slow caller is never taken for a slow engine: the figure is part of every engine's CPU per operation.

use crate::caller::{self, Shared};
use crate::settings::Plan;
use crate::store::{Key, Store};
use crate::versions::Versions;
use crate::workload::Scene;
use anyhow::Result;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use thermocline::block_on;
use thermocline_bench::clock::Clock;
use thermocline_bench::procfs;
use thermocline_bench::value::{self, KeyId};

const KEYS: u64 = 1_000;
const STEPS: u64 = 400_000;

/// Values by their numbers; takes no new ones.
struct Table(Vec<Vec<u8>>);

impl Store for Table {
    fn settings(&self) -> Vec<String> {
        Vec::new()
    }

    async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
        let number = key.0[4..].iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        Ok(see(self.0.get(number).map(Vec::as_slice)))
    }

    async fn put(&self, _: &Key, _: &[u8]) -> Result<()> {
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

/// CPU microseconds of one verified read by this plan, without an engine.
pub fn cpu_us_per_operation(plan: &Plan) -> Option<f64> {
    let plan = Plan { keys: KEYS, ..plan.clone() };
    let values = (0..KEYS).map(|id| {
        let mut bytes = Vec::new();
        value::fill(&mut bytes, KeyId(id), 1, plan.value_bytes);
        bytes
    });
    let shared = Arc::new(Shared {
        store: Arc::new(Table(values.collect())),
        versions: Arc::new(Versions::new(KEYS, 1)),
        scene: Scene::harness(&plan, STEPS),
        value_bytes: plan.value_bytes,
        next: AtomicU64::new(0),
        tally: Mutex::default(),
        stop: Arc::default(),
        clock: Clock::start(),
    });
    let before = procfs::thread_cpu_seconds()?;
    block_on(caller::run(shared.clone()));
    let spent = procfs::thread_cpu_seconds()? - before;
    let tally = std::mem::take(&mut *shared.tally.lock().ok()?);
    (tally.wrong + tally.stale + tally.missing == 0).then(|| spent * 1e6 / tally.operations().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Arguments;
    use clap::Parser as _;

    #[test]
    fn the_caller_itself_has_a_price() {
        let plan = Arguments::parse_from(["compare-engines"]).plan();
        assert!(cpu_us_per_operation(&plan).expect("every read is good") > 0.0);
    }
}
