//! The engine and this process, before and after a pass: what `run` asks a server for with INFO and finds in `/proc`.

use crate::observe::Observed;
use crate::procfs::{self, ProcessSample};
use std::collections::BTreeMap;
use thermocline::{Engine, Stats};

/// The state when the pass began.
pub struct Watch {
    stats: Stats,
    process: Option<ProcessSample>,
    cpu_seconds: Option<f64>,
}

impl Watch {
    /// Looks.
    pub fn begin(engine: &Engine) -> Self {
        Self {
            stats: engine.stats(),
            process: procfs::sample(std::process::id()),
            cpu_seconds: procfs::process_cpu_seconds(),
        }
    }

    /// Looks again.
    pub fn finish(self, engine: &Engine) -> Observed {
        let cpu_seconds = procfs::process_cpu_seconds().zip(self.cpu_seconds).map(|(after, before)| after - before);
        let process = procfs::sample(std::process::id());
        let both = self.process.zip(process);
        let stats = engine.stats();
        let number = |(name, value): (&'static str, u64)| (name.to_owned(), value as f64);
        let before: BTreeMap<_, _> = self.stats.fields().into_iter().map(number).collect();
        let mut after: BTreeMap<_, _> = stats.fields().into_iter().map(number).collect();
        let change = |(name, value): (&String, &f64)| {
            let change = value - before.get(name).unwrap_or(&0.0);
            (change != 0.0).then(|| (name.clone(), change))
        };
        let tier_changes = after.iter().filter_map(change).collect();
        let ratios = [
            ("write_amplification", stats.write_amplification_milli() as f64 / 1e3),
            ("reads_per_cold_get", stats.reads_per_cold_get_milli() as f64 / 1e3),
            ("bytes_per_cold_get", stats.bytes_per_cold_get() as f64),
        ];
        after.extend(ratios.map(|(name, value)| (name.to_owned(), value)));
        Observed {
            version: format!("thermocline {}", env!("CARGO_PKG_VERSION")),
            max_memory_bytes: Some(stats.max_memory),
            rss_max_bytes: process.map(|sample| sample.rss_bytes),
            rss_peak_bytes: process.map(|sample| sample.rss_peak_bytes),
            cpu_seconds,
            read_bytes: both.map(|(before, after)| after.read_bytes.saturating_sub(before.read_bytes)),
            write_bytes: both.map(|(before, after)| after.write_bytes.saturating_sub(before.write_bytes)),
            tier_changes,
            tier_after: after,
            ..Observed::default()
        }
    }
}
