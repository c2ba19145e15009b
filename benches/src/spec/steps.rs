//! The steps of a workload, one after another, from a seed.
//!
//! Promises: the same workload and seed give the same steps; every key is one that exists (loaded, or inserted by these
//! steps); a scan ends at the newest key. Bounded: what is kept does not depend on the number of keys or steps.

use super::mix::Chooser;
use super::popularity::{Picker, Popularity};
use super::random::Random;
use super::sessions::Sessions;
use super::{Scans, Spec};
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
///
/// New keys get the numbers `keys`, `keys + 1`, ... of the workload. Only `Latest` reads them; for other popularities the
/// loaded keys stay the ones that are asked for.
#[derive(Debug, Clone)]
pub struct Steps {
    random: Random,
    chooser: Chooser,
    picker: Picker,
    sessions: Option<Box<Sessions>>,
    scans: Scans,
    sweep: u64,
    end: u64,
}

impl Steps {
    /// Begins. A workload without keys is taken for one with a single key.
    pub fn new(spec: &Spec, seed: u64) -> Self {
        let keys = spec.keys.max(1);
        let sessions = spec.popularity == Popularity::Sessions;
        Self {
            random: Random::new(seed),
            chooser: Chooser::new(&spec.mix),
            picker: Picker::new(spec.popularity, keys),
            sessions: sessions.then(|| Box::new(Sessions::new(keys))),
            scans: spec.scans,
            sweep: 0,
            end: keys,
        }
    }

    /// The next step.
    pub fn step(&mut self) -> Step {
        if let Some(sessions) = &mut self.sessions {
            return sessions.step(&mut self.random);
        }
        let operation = self.chooser.next(&mut self.random);
        match operation {
            Operation::Insert => {
                self.end += 1;
                Step { operation, key: KeyId(self.end - 1) }
            }
            Operation::Scan { .. } => self.scan(),
            _ => Step { operation, key: KeyId(self.picker.key(&mut self.random, self.end)) },
        }
    }

    /// Keys that exist: loaded and inserted.
    pub fn keys(&self) -> u64 {
        self.end
    }

    fn scan(&mut self) -> Step {
        let Scans { shortest, longest, sweep } = self.scans;
        let key = if sweep { self.sweep } else { self.picker.key(&mut self.random, self.end) };
        let wanted = u64::from(shortest) + self.random.below(u64::from(longest.saturating_sub(shortest)) + 1);
        let count = wanted.clamp(1, self.end - key);
        self.sweep = if key + count < self.end { key + count } else { 0 };
        Step { operation: Operation::Scan { count: count as u32 }, key: KeyId(key) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{all, named};
    use super::*;

    fn row(spec: &Spec, seed: u64) -> Vec<Step> {
        let mut steps = Steps::new(spec, seed);
        (0..10_000).map(|_| steps.step()).collect()
    }

    #[test]
    fn every_workload_keeps_to_keys_that_exist() {
        for spec in all() {
            for keys in [spec.keys, 1, 1_000] {
                let spec = Spec { keys, ..spec.clone() };
                let mut steps = Steps::new(&spec, 7);
                for _ in 0..10_000 {
                    let before = steps.keys();
                    let step = steps.step();
                    match step.operation {
                        Operation::Insert => assert_eq!(step.key.0, before, "{spec}"),
                        Operation::Scan { count } => assert!(step.key.0 + u64::from(count) <= before, "{spec}"),
                        _ => assert!(step.key.0 < before, "{spec}"),
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_steps_and_another_seed_others() {
        for spec in all() {
            assert_eq!(row(&spec, 3), row(&spec, 3), "{spec}");
            let sequential = spec.popularity == Popularity::Sequential;
            assert_eq!(row(&spec, 3) == row(&spec, 4), sequential, "{spec}");
        }
    }

    #[test]
    fn operations_come_in_the_shares_that_the_catalogue_names() {
        for spec in all() {
            let mut steps = Steps::new(&spec, 1);
            let reads = (0..100_000)
                .filter(|_| matches!(steps.step().operation, Operation::Read | Operation::ReadThrough))
                .count();
            let mix = spec.mix;
            let others = mix.update + mix.insert + mix.read_modify_write + mix.scan + mix.delete;
            let wanted = (mix.read + mix.read_through) / (mix.read + mix.read_through + others);
            assert!((reads as f64 / 1e5 - wanted).abs() < 0.01, "{spec}: {reads} not {wanted}");
        }
    }

    #[test]
    fn sweeps_follow_each_other_through_the_key_space() {
        let spec = Spec { keys: 1_050, ..named("scan-mix").unwrap() };
        let (mut next, mut sweeps) = (0, 0);
        for step in row(&spec, 1) {
            if let Operation::Scan { count } = step.operation {
                assert_eq!(step.key.0, next);
                next = (next + u64::from(count)) % 1_050;
                sweeps += 1;
            }
        }
        assert!(sweeps > 50, "{sweeps}");
    }

    #[test]
    fn scan_lengths_are_uniform_within_their_bounds() {
        let mut seen = [0u32; 101];
        for step in row(&named("ycsb-e").unwrap(), 1) {
            if let Operation::Scan { count } = step.operation {
                seen[count as usize] += 1;
            }
        }
        assert_eq!(seen[0], 0);
        assert!(seen[1..].iter().all(|&count| (45..=160).contains(&count)), "{seen:?}");
    }
}
