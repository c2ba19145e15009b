//! The steps of a workload, one after another, from a seed.

use super::Spec;
use crate::value::KeyId;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// GET; a miss is only counted.
    Read,
    /// GET, and on a miss SET: a cache in front of something.
    ReadThrough,
    /// SET of a key that exists.
    Update,
    /// SET of a new key.
    Insert,
    /// GET, then SET of the next version.
    ReadModifyWrite,
    /// GET of this many keys in order from this one (one MGET where the protocol has it).
    Scan {
        /// Keys.
        count: u32,
    },
    /// DEL.
    Delete,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub operation: Operation,
    /// To which key (the first, for a scan).
    pub key: KeyId,
}

/// An endless row of steps that follows from a workload and a seed.
#[derive(Debug, Clone)]
pub struct Steps {
    next: u64,
    keys: u64,
}

impl Steps {
    /// Begins.
    pub fn new(spec: &Spec, seed: u64) -> Self {
        Self { next: seed, keys: spec.keys }
    }

    /// The next step.
    pub fn step(&mut self) -> Step {
        self.next = (self.next + 1) % self.keys;
        Step { operation: Operation::Read, key: KeyId(self.next) }
    }
}
