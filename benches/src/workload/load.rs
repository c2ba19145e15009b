//! Bulk load: every key is set once, version 1, in sequence or in a random order.

use super::{ValueSizes, accepted};
use crate::client::{Answer, Next, Workload};
use crate::permutation::Permutation;
use crate::tally::{Kind, Tally};
use crate::value::KeyId;
use crate::wire::{self, KeyText, NewValue};
use anyhow::Result;

/// The version that a load writes.
pub const LOADED_VERSION: u32 = 1;

/// What every pass over a loaded key range needs.
#[derive(Debug, Clone)]
pub struct KeyRange {
    /// Number of keys.
    pub keys: u64,
    /// Their text.
    pub text: KeyText,
    /// The sizes of their values.
    pub sizes: ValueSizes,
    /// A random order of the keys; `None` is the sequence itself.
    pub order: Option<Permutation>,
}

impl KeyRange {
    /// The key at this step of the pass, `None` behind the last.
    pub fn at(&self, step: u64) -> Option<KeyId> {
        let within = step < self.keys;
        within.then(|| KeyId(self.order.map_or(step, |order| order.at(step))))
    }
}

/// Sets every key of a range.
pub struct Load {
    range: KeyRange,
    ttl_s: Option<u32>,
    step: u64,
}

impl Load {
    /// A load that has sent nothing yet.
    pub fn new(range: KeyRange, ttl_s: Option<u32>) -> Self {
        Self { range, ttl_s, step: 0 }
    }
}

impl Workload for Load {
    type Ticket = ();

    fn next(&mut self, _lane: usize, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<()>> {
        let Some(key) = self.range.at(self.step) else {
            return Ok(Next::Finished);
        };
        self.step += 1;
        let new = NewValue { version: LOADED_VERSION, length: self.range.sizes.of(key), ttl_s: self.ttl_s };
        wire::set(out, &self.range.text, key, None, new);
        tally.value_bytes_sent += u64::from(new.length);
        tally.key_bytes_sent += self.range.text.length(key, None) as u64;
        Ok(Next::Send(()))
    }

    fn answered(&mut self, _lane: usize, (): (), answer: Answer, tally: &mut Tally) {
        tally.answered(Kind::Set, answer.tier, answer.latency_ns, answer.now_ns);
        accepted(&answer.value, tally);
    }
}
