//! The demo's work: 95 % reads and 5 % writes, zipf-popular, with a hot set that can be moved, and a load that can be changed,
//! while it goes.
//!
//! With an exponent of 1 the logarithm of a rank is spread evenly, so a rank is `keys` to the power of a number in 0..1.

use super::live::Live;
use crate::client::{Answer, Next, Workload};
use crate::tally::{Kind, Tally};
use crate::value::{self, Expected, KeyId};
use crate::wire::{self, NewValue};
use crate::workload::load::{KeyRange, LOADED_VERSION};
use anyhow::Result;
use std::sync::atomic::Ordering;
use thermocline_resp::Value;

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

    fn next(&mut self, _lane: usize, out: &mut Vec<u8>, tally: &mut Tally) -> Result<Next<Self::Ticket>> {
        if self.live.is_over() {
            return Ok(Next::Finished);
        }
        if self.in_flight >= self.live.in_flight() {
            return Ok(Next::Wait);
        }
        self.in_flight += 1;
        self.step += 1;
        let key = self.key(KeyId(self.step).spread());
        if !self.step.is_multiple_of(STEPS_PER_WRITE) {
            wire::get(out, &self.range.text, key, None);
            return Ok(Next::Send((key, Kind::Get)));
        }
        let new = NewValue { version: LOADED_VERSION, length: self.range.sizes.of(key), ttl_s: None };
        wire::set(out, &self.range.text, key, None, new);
        tally.value_bytes_sent += u64::from(new.length);
        tally.key_bytes_sent += self.range.text.length(key, None) as u64;
        Ok(Next::Send((key, Kind::Set)))
    }

    fn answered(&mut self, _lane: usize, (key, kind): Self::Ticket, answer: Answer, tally: &mut Tally) {
        self.in_flight -= 1;
        tally.answered(kind, answer.tier, answer.latency_ns, answer.now_ns);
        match (kind, &answer.value) {
            (Kind::Get, Value::Bulk(found)) => {
                self.live.answered(answer.tier, answer.latency_ns);
                tally.found += 1;
                let expected = Expected::Exactly { version: LOADED_VERSION, length: self.range.sizes.of(key) };
                if let Err(wrong) = value::verify(found, key, expected) {
                    tally.wrong_value(key, wrong);
                }
            }
            (Kind::Get, Value::Null) => {
                self.live.answered(answer.tier, answer.latency_ns);
                tally.missed += 1;
                tally.lost += 1;
            }
            (Kind::Set, Value::Simple(text)) if text == b"OK" => {}
            (_, Value::Error(text)) => tally.error(&String::from_utf8_lossy(text)),
            (_, other) => tally.error(&format!("UNEXPECTED answer: {other:?}")),
        }
        let faults = tally.wrong + tally.lost + tally.error_count();
        self.live.faults.store(faults, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permutation::Permutation;
    use crate::wire::KeyText;
    use std::collections::HashMap;

    #[test]
    fn few_keys_are_read_often_and_a_move_exchanges_them() {
        let keys = 10_000;
        let live = Live::new();
        let order = Some(Permutation::new(keys, 1));
        let range = KeyRange { keys, text: KeyText::new("k", 16), sizes: "100".parse().unwrap(), order };
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
