//! Reads a loaded key range back and checks every byte. A key that is not there is counted as lost.

use super::check;
use super::load::{KeyRange, LOADED_VERSION};
use crate::client::{Answer, Next, Workload};
use crate::report::WorkloadReport;
use crate::tally::{Kind, Tally};
use crate::value::{Expected, KeyId};
use anyhow::Result;

/// Gets every key of a range.
pub struct ReadBack {
    range: KeyRange,
    step: u64,
}

impl ReadBack {
    /// A pass that has read nothing yet.
    pub fn new(range: KeyRange) -> Self {
        Self { range, step: 0 }
    }
}

impl Workload for ReadBack {
    type Ticket = KeyId;

    fn next(&mut self, _lane: usize, now_ns: u64, out: &mut Vec<u8>, _tally: &mut Tally) -> Result<Next<KeyId>> {
        let Some(key) = self.range.at(self.step) else {
            return Ok(Next::Finished);
        };
        self.step += 1;
        self.range.speaker.protocol.get(out, self.range.speaker.text.key(key));
        Ok(Next::send(key, now_ns))
    }

    fn answered(&mut self, _lane: usize, key: KeyId, answer: Answer<'_>, tally: &mut Tally) {
        tally.answered(Kind::Get, answer.tier, answer.latency_ns, answer.now_ns);
        let expected = Expected::Exactly { version: LOADED_VERSION, length: self.range.sizes.of(key) };
        check(key, expected, answer.reply, tally);
    }

    fn describe(&self) -> WorkloadReport {
        self.range.describe("verify")
    }
}
