//! Workloads by name: how many keys, how large, how popular, and what is done to them. No protocol, no clock.

mod steps;

pub use steps::{Operation, Step, Steps};

use crate::workload::ValueSizes;

/// A workload: everything that decides its steps, but not where they go.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where its parameters come from: a paper, a tool, a trace.
    pub source: &'static str,
    /// Keys that are loaded before it runs.
    pub keys: u64,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub sizes: ValueSizes,
}
