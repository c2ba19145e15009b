//! Bulk load: every key is set once, version 1, in sequence or in a random order.

use super::schedule::Schedule;
use super::{Speaker, ValueSizes, accepted};
use crate::client::{Answer, Next, Workload};
use crate::permutation::Permutation;
use crate::report::{LoopReport, WorkloadReport};
use crate::tally::{Kind, Tally};
use crate::value::KeyId;
use crate::wire::NewValue;
use anyhow::Result;

/// The version that a load writes.
pub const LOADED_VERSION: u32 = 1;

/// What every pass over a loaded key range needs.
#[derive(Clone)]
pub struct KeyRange {
    /// Number of keys.
    pub keys: u64,
    /// Their text, and the language.
    pub speaker: Speaker,
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

    /// The pass in words.
    pub fn describe(&self, name: &str) -> WorkloadReport {
        let order = if self.order.is_some() { "random" } else { "sequential" };
        let parameters =
            [("keys", self.keys.to_string()), ("values", self.sizes.to_string()), ("order", order.to_owned())];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value)).into();
        WorkloadReport { name: name.to_owned(), source: None, parameters }
    }
}

/// Sets every key of a range.
pub struct Load<F> {
    range: KeyRange,
    /// Time to live of a key, in seconds.
    ttl_of: F,
    schedule: Schedule,
    step: u64,
}

impl<F: Fn(KeyId) -> Option<u32>> Load<F> {
    /// A load that has sent nothing yet; `ttl_of` gives a key's time to live in seconds.
    pub fn new(range: KeyRange, ttl_of: F, schedule: Schedule) -> Self {
        Self { range, ttl_of, schedule, step: 0 }
    }
}

impl<F: Fn(KeyId) -> Option<u32>> Workload for Load<F> {
    type Ticket = ();

    fn next(&mut self, _lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<()>> {
        let Some(key) = self.range.at(self.step) else {
            return Ok(Next::Finished);
        };
        if self.schedule.due_ns(now_ns) > now_ns {
            return Ok(Next::Later(self.schedule.due_ns(now_ns)));
        }
        let due_ns = self.schedule.take(now_ns);
        self.schedule.sent(due_ns, now_ns);
        self.step += 1;
        let new = NewValue { version: LOADED_VERSION, length: self.range.sizes.of(key), ttl_s: (self.ttl_of)(key) };
        self.range.speaker.set(out, self.range.speaker.text.key(key), new, tally);
        Ok(Next::send((), due_ns))
    }

    fn answered(&mut self, _lane: usize, (): (), answer: Answer<'_>, tally: &mut Tally) {
        tally.answered(Kind::Set, answer.tier, answer.latency_ns, answer.now_ns);
        accepted(answer.reply, tally);
    }

    fn describe(&self) -> WorkloadReport {
        self.range.describe("load")
    }

    fn pacing(&self, ended_ns: u64) -> LoopReport {
        let report = self.schedule.report(ended_ns);
        if self.step == self.range.keys { LoopReport { unsent_at_end: 0, ..report } } else { report }
    }
}
