//! The demo's work: 95 % reads and 5 % writes, zipf-popular, with a hot set that can be moved, and a load that can be changed,
//! while it goes.
//!
//! With an exponent of 1 the logarithm of a rank is spread evenly, so a rank is `keys` to the power of a number in 0..1.

use super::live::Live;
use crate::client::{Answer, Next, Workload};
use crate::report::WorkloadReport;
use crate::tally::{Kind, Tally};
use crate::value::{Expected, KeyId};
use crate::wire::NewValue;
use crate::workload::load::{KeyRange, LOADED_VERSION};
use crate::workload::{accepted, check};
use anyhow::Result;
use std::sync::atomic::Ordering;

/// One step in so many is a write.
const STEPS_PER_WRITE: u64 = 20;

/// A moved hot set lies this share of all keys further: far from where any earlier one was.
const MOVE_SHARE: f64 = 0.381_966;

/// The mix.
pub struct Mix<'a> {
    range: KeyRange,
    live: &'a Live,
    step: u64,
    in_flight: usize,
}

impl<'a> Mix<'a> {
    /// Over keys that a load has set; the range's order spreads the popular keys.
    pub fn new(range: KeyRange, live: &'a Live) -> Self {
        Self { range, live, step: 0, in_flight: 0 }
    }

    fn key(&self, random: u64) -> KeyId {
        let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (self.range.keys as f64).powf(part) as u64 - 1;
        let moved = (self.live.moves() as f64 * MOVE_SHARE).fract() * self.range.keys as f64;
        self.range.at((rank + moved as u64) % self.range.keys).expect("a rank below the number of keys")
    }
}

impl Workload for Mix<'_> {
    type Ticket = (KeyId, Kind);

    fn next(&mut self, _lane: usize, now_ns: u64, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Self::Ticket>> {
        if self.live.is_over() {
            return Ok(Next::Finished);
        }
        if self.in_flight >= self.live.in_flight() {
            return Ok(Next::Wait);
        }
        self.in_flight += 1;
        self.step += 1;
        let key = self.key(KeyId(self.step).spread());
        let speaker = &self.range.speaker;
        if !self.step.is_multiple_of(STEPS_PER_WRITE) {
            speaker.protocol.get(out, speaker.text.key(key));
            return Ok(Next::send((key, Kind::Get), now_ns));
        }
        let new = NewValue { version: LOADED_VERSION, length: self.range.sizes.of(key), ttl_s: None };
        speaker.set(out, speaker.text.key(key), new, tally);
        Ok(Next::send((key, Kind::Set), now_ns))
    }

    fn answered(&mut self, _lane: usize, (key, kind): Self::Ticket, answer: Answer<'_>, tally: &mut Tally) {
        self.in_flight -= 1;
        tally.answered(kind, answer.tier, answer.latency_ns, answer.now_ns);
        if kind == Kind::Get {
            self.live.answered(answer.tier, answer.latency_ns);
            let expected = Expected::Exactly { version: LOADED_VERSION, length: self.range.sizes.of(key) };
            check(key, expected, answer.reply, tally);
        } else {
            accepted(answer.reply, tally);
        }
        let faults = tally.wrong + tally.lost + tally.error_count();
        self.live.faults.store(faults, Ordering::Relaxed);
    }

    fn describe(&self) -> WorkloadReport {
        self.range.describe("95 % reads, 5 % writes, zipf 1, a hot set that moves")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permutation::Permutation;
    use crate::wire::{KeyText, Speech};
    use crate::workload::Speaker;
    use std::collections::HashMap;

    #[test]
    fn few_keys_are_read_often_and_a_move_exchanges_them() {
        let keys = 10_000;
        let live = Live::new();
        let order = Some(Permutation::new(keys, 1));
        let speaker = Speaker { protocol: Speech::Resp.protocol(), text: KeyText::new("k", 16) };
        let range = KeyRange { keys, speaker, sizes: "100".parse().unwrap(), order };
        let mix = Mix::new(range, &live);
        let popular = || {
            let mut counts: HashMap<KeyId, u64> = HashMap::new();
            for step in 0..100_000 {
                *counts.entry(mix.key(KeyId(step).spread())).or_default() += 1;
            }
            let mut sorted: Vec<_> = counts.into_iter().collect();
            sorted.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
            sorted.truncate(100);
            sorted
        };
        let before = popular();
        let share = before.iter().map(|(_, count)| count).sum::<u64>() as f64 / 100_000.0;
        // Of n keys the first r have ln(r) / ln(n) of the reads.
        assert!((share - 0.5).abs() < 0.02, "the first hundred of ten thousand: {share}");
        live.move_hot_set();
        let after = popular();
        assert!(after.iter().all(|(key, _)| before.iter().all(|(other, _)| key != other)));
    }
}
