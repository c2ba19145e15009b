//! What a run counts while it goes: operations, latencies by kind and by tier, wrong values, errors.
//!
//! Bounded: histograms are fixed, error kinds and remembered wrong values are few, one number per second of the timeline.

use crate::value::{KeyId, Wrong};
use crate::wire::Tier;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

const ERROR_KINDS_MAX: usize = 32;
const WRONG_SHOWN_MAX: usize = 10;
const TIMELINE_SECONDS_MAX: usize = 86_400;
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// What kind of command an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GET.
    Get,
    /// SET.
    Set,
}

/// Latencies in nanoseconds, three digits.
pub struct Latencies(pub Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(100, LATENCY_NS_MAX, 3).expect("bounds in order"))
    }
}

/// All counters of a run.
#[derive(Default)]
pub struct Tally {
    /// Latencies of GET.
    pub get: Latencies,
    /// Latencies of SET.
    pub set: Latencies,
    /// GETs served from DRAM.
    pub hot: Latencies,
    /// GETs served from the SSD.
    pub cold: Latencies,
    /// GETs of keys that are not there, when the server tells tiers.
    pub miss: Latencies,
    /// GETs that found a value.
    pub found: u64,
    /// GETs that found none.
    pub missed: u64,
    /// Of these, keys that this run had written: lost, evicted or expired.
    pub lost: u64,
    /// SETs that fill in a miss: answers beyond the requests of the trace.
    pub fill_ins: u64,
    /// Values from before this run.
    pub preexisting: u64,
    /// Wrong values.
    pub wrong: u64,
    /// The first of them, in words.
    pub wrong_shown: Vec<String>,
    /// Error answers by their first word.
    pub errors: BTreeMap<String, u64>,
    /// The first error in full.
    pub first_error: Option<String>,
    /// Bytes of values sent.
    pub value_bytes_sent: u64,
    /// Bytes of keys sent with SET.
    pub key_bytes_sent: u64,
    /// Answers in each second of the run.
    pub timeline: Vec<u64>,
}

impl Tally {
    /// Counts an answer at this moment of the run.
    pub fn answered(&mut self, kind: Kind, tier: Option<Tier>, latency_ns: u64, now_ns: u64) {
        match kind {
            Kind::Get => self.get.0.saturating_record(latency_ns),
            Kind::Set => self.set.0.saturating_record(latency_ns),
        }
        if kind == Kind::Get
            && let Some(tier) = tier
        {
            let by_tier = match tier {
                Tier::Hot => &mut self.hot,
                Tier::Cold => &mut self.cold,
                Tier::Miss => &mut self.miss,
            };
            by_tier.0.saturating_record(latency_ns);
        }
        let second = ((now_ns / 1_000_000_000) as usize).min(TIMELINE_SECONDS_MAX);
        if self.timeline.len() <= second {
            self.timeline.resize(second + 1, 0);
        }
        self.timeline[second] += 1;
    }

    /// Counts a wrong value and remembers the first ones.
    pub fn wrong_value(&mut self, key: KeyId, wrong: Wrong) {
        self.wrong += 1;
        if self.wrong_shown.len() < WRONG_SHOWN_MAX {
            self.wrong_shown.push(format!("key {}: {wrong}", key.0));
        }
    }

    /// Counts an error by its code (`ERR`, `OOM`, ...).
    pub fn error(&mut self, text: &str) {
        self.first_error.get_or_insert_with(|| text.to_owned());
        let code = text.split(' ').next().unwrap_or_default();
        if self.errors.len() < ERROR_KINDS_MAX || self.errors.contains_key(code) {
            *self.errors.entry(code.to_owned()).or_default() += 1;
        } else {
            *self.errors.entry("other".to_owned()).or_default() += 1;
        }
    }

    /// Answers so far.
    pub fn operations(&self) -> u64 {
        self.get.0.len() + self.set.0.len()
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}
