//! Reads a loaded key range back and checks every byte. A key that is not there is counted as lost.

use super::load::{KeyRange, LOADED_VERSION};
use super::refused;
use crate::client::{Answer, Next, Workload};
use crate::tally::{Kind, Tally};
use crate::value::{self, Expected, KeyId};
use crate::wire;
use anyhow::Result;
use thermocline_resp::Value;

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

    fn next(&mut self, _lane: usize, out: &mut Vec<u8>, _tally: &mut Tally) -> Result<Next<KeyId>> {
        let Some(key) = self.range.at(self.step) else {
            return Ok(Next::Finished);
        };
        self.step += 1;
        wire::get(out, &self.range.text, key, None);
        Ok(Next::Send(key))
    }

    fn answered(&mut self, _lane: usize, key: KeyId, answer: Answer, tally: &mut Tally) {
        tally.answered(Kind::Get, answer.tier, answer.latency_ns, answer.now_ns);
        match &answer.value {
            Value::Bulk(found) => {
                tally.found += 1;
                let expected = Expected::Exactly { version: LOADED_VERSION, length: self.range.sizes.of(key) };
                if let Err(wrong) = value::verify(found, key, expected) {
                    tally.wrong_value(key, wrong);
                }
            }
            Value::Null => {
                tally.missed += 1;
                tally.lost += 1;
            }
            other => refused(other, tally),
        }
    }
}
