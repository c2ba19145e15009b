//! HSCAN of whole hashes: every field must come, with its value.
//!
//! Promises: a field that never came is a loss, a field or value that is none of the key's is a wrong value; a field that
//! comes twice is allowed, as Redis allows it. Bounded: a bit per field of the keys under way, one key per connection.

use super::element::{self, Spelling, number};
use crate::client::{Answer, Next, Workload};
use crate::report::WorkloadReport;
use crate::tally::{Kind, Tally};
use crate::value::{self, Expected, Wrong};
use crate::wire::{Reply, bulk};
use crate::workload::refused;
use anyhow::{Context as _, Result};
use thermocline_resp::{Value, decode};

/// COUNT of each step.
const COUNT: u64 = 100;

/// Where a connection stands.
struct Walk {
    key: u64,
    cursor: Vec<u8>,
    /// A bit per field that came.
    seen: Vec<u64>,
    in_flight: bool,
}

/// The scans, under way.
pub struct Scan {
    spelling: Spelling,
    keys: u64,
    elements: u64,
    walks: Vec<Walk>,
    parameters: WorkloadReport,
}

impl Scan {
    /// Begins on so many connections.
    pub fn new(
        spelling: Spelling,
        (keys, elements): (u64, u64),
        connections: usize,
        parameters: WorkloadReport,
    ) -> Self {
        let walk = |lane: usize| Walk { key: lane as u64, cursor: b"0".to_vec(), seen: Vec::new(), in_flight: false };
        Self { spelling, keys, elements, walks: (0..connections).map(walk).collect(), parameters }
    }

    /// The fields of a step; a step that makes no sense is an error.
    fn take(&mut self, lane: usize, bytes: &[u8], tally: &mut Tally) -> Result<()> {
        let (cursor, fields_at) = decode(bytes)?.context("a step without a cursor")?;
        let (Value::Bulk(cursor), Some((Value::Array(fields), _))) = (cursor, decode(&bytes[fields_at..])?) else {
            anyhow::bail!("neither cursor nor fields");
        };
        let lanes = self.walks.len() as u64;
        let walk = &mut self.walks[lane];
        walk.seen.resize(self.elements.div_ceil(64) as usize, 0);
        for pair in fields.chunks(2) {
            let [Value::Bulk(field), Value::Bulk(value)] = pair else { anyhow::bail!("a field without a value") };
            let element = self.spelling.element(field).filter(|element| *element < self.elements);
            let Some(element) = element else {
                tally.wrong_value(element::owner(walk.key, 0), Wrong::Elements);
                continue;
            };
            tally.found += 1;
            walk.seen[(element / 64) as usize] |= 1 << (element % 64);
            let owner = element::owner(walk.key, element);
            if let Err(wrong) = value::verify(value, owner, Expected::AnyVersion) {
                tally.wrong_value(owner, wrong);
            }
        }
        walk.cursor = cursor;
        if walk.cursor == b"0" {
            let came: u64 = walk.seen.iter().map(|bits| u64::from(bits.count_ones())).sum();
            tally.missed += self.elements - came;
            tally.lost += self.elements - came;
            walk.seen.clear();
            walk.key += lanes;
        }
        Ok(())
    }
}

impl Workload for Scan {
    type Ticket = ();

    fn next(&mut self, lane: usize, now_ns: u64, out: &mut Vec<u8>, _tally: &mut Tally) -> Result<Next<()>> {
        let walk = &mut self.walks[lane];
        if walk.key >= self.keys {
            return Ok(Next::Finished);
        }
        if walk.in_flight {
            return Ok(Next::Wait);
        }
        walk.in_flight = true;
        self.spelling.begin(out, 5, "HSCAN", walk.key);
        bulk(out, &walk.cursor);
        bulk(out, b"COUNT");
        number(out, COUNT);
        Ok(Next::send((), now_ns))
    }

    fn answered(&mut self, lane: usize, (): (), answer: Answer<'_>, tally: &mut Tally) {
        tally.answered(Kind::Scan, None, answer.latency_ns, answer.now_ns);
        self.walks[lane].in_flight = false;
        let taken = match answer.reply {
            Reply::Many(bytes) => self.take(lane, bytes, tally),
            other => {
                refused(other, "HSCAN", tally);
                Err(anyhow::anyhow!("no step"))
            }
        };
        if let Err(error) = taken {
            tally.error(&format!("UNEXPECTED answer to HSCAN: {error:#}"));
            // Without a cursor there is no next step.
            self.walks[lane].key = self.keys;
        }
    }

    fn describe(&self) -> WorkloadReport {
        self.parameters.clone()
    }
}
