//! What a run counts while it goes: operations, latencies by kind and by tier, wrong values, errors.
//!
//! Bounded: histograms are fixed, error kinds and remembered wrong values are few, the timeline has its own bound.

mod recorder;

pub use recorder::Recorder;

use crate::value::{KeyId, Wrong};
use crate::wire::Tier;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

const ERROR_KINDS_MAX: usize = 32;
const WRONG_SHOWN_MAX: usize = 10;
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// What kind of command an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GET.
    Get,
    /// SET.
    Set,
    /// DEL.
    Delete,
    /// Many keys in one request.
    Scan,
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
    /// Latencies of DEL.
    pub delete: Latencies,
    /// Latencies of reads of many keys at once.
    pub scan: Latencies,
    /// GETs served from DRAM.
    pub hot: Latencies,
    /// GETs served from the SSD.
    pub cold: Latencies,
    /// GETs of keys that are not there, when the server tells tiers.
    pub miss: Latencies,
    /// Reads that found a value.
    pub found: u64,
    /// Reads that found none.
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
    /// Elements that a collection took as new, by its own answers.
    pub elements_added: u64,
    /// Bytes of values sent.
    pub value_bytes_sent: u64,
    /// Bytes of keys sent with SET.
    pub key_bytes_sent: u64,
    /// The run over time.
    pub timeline: Recorder,
}

impl Tally {
    /// Begins to count anew at this moment of the run, behind a warm-up. Wrong values and errors are kept: they matter
    /// whenever they came.
    pub fn restart(&mut self, now_ns: u64) {
        let before = std::mem::take(self);
        self.wrong = before.wrong;
        self.wrong_shown = before.wrong_shown;
        self.errors = before.errors;
        self.first_error = before.first_error;
        self.timeline = Recorder::starting(now_ns);
    }

    /// Counts an answer at this moment of the run.
    pub fn answered(&mut self, kind: Kind, tier: Option<Tier>, latency_ns: u64, now_ns: u64) {
        let tier = tier.filter(|_| kind == Kind::Get);
        match kind {
            Kind::Get => self.get.0.saturating_record(latency_ns),
            Kind::Set => self.set.0.saturating_record(latency_ns),
            Kind::Delete => self.delete.0.saturating_record(latency_ns),
            Kind::Scan => self.scan.0.saturating_record(latency_ns),
        }
        match tier {
            Some(Tier::Hot) => self.hot.0.saturating_record(latency_ns),
            Some(Tier::Cold) => self.cold.0.saturating_record(latency_ns),
            Some(Tier::Miss) => self.miss.0.saturating_record(latency_ns),
            None => {}
        }
        self.timeline.answered(tier, latency_ns, now_ns);
    }

    /// Counts a wrong value and remembers the first ones.
    pub fn wrong_value(&mut self, key: KeyId, wrong: Wrong) {
        self.wrong += 1;
        self.timeline.error();
        if self.wrong_shown.len() < WRONG_SHOWN_MAX {
            self.wrong_shown.push(format!("key {}: {wrong}", key.0));
        }
    }

    /// Counts an error by its code (`ERR`, `OOM`, ...).
    pub fn error(&mut self, text: &str) {
        self.timeline.error();
        self.first_error.get_or_insert_with(|| text.to_owned());
        let code = text.split(' ').next().unwrap_or_default();
        let known = self.errors.len() < ERROR_KINDS_MAX || self.errors.contains_key(code);
        *self.errors.entry(if known { code } else { "other" }.to_owned()).or_default() += 1;
    }

    /// Answers so far.
    pub fn operations(&self) -> u64 {
        [&self.get, &self.set, &self.delete, &self.scan].iter().map(|latencies| latencies.0.len()).sum()
    }

    /// All latencies by their name in reports.
    pub fn by_name(&self) -> [(&'static str, &Latencies); 7] {
        [
            ("get", &self.get),
            ("set", &self.set),
            ("delete", &self.delete),
            ("scan", &self.scan),
            ("hot", &self.hot),
            ("cold", &self.cold),
            ("miss", &self.miss),
        ]
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}
