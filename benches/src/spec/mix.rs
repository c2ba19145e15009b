//! What a workload does, in shares, and the draw of the next operation.

use super::random::Random;
use super::steps::Operation;
use std::fmt;

/// Shares of the operations. They need not sum to 1: only their proportions count.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mix {
    /// GET; a miss is only counted.
    pub read: f64,
    /// GET, on a miss SET.
    pub read_through: f64,
    /// SET of a key that exists.
    pub update: f64,
    /// SET of a new key.
    pub insert: f64,
    /// GET, then SET.
    pub read_modify_write: f64,
    /// GET of several keys in order.
    pub scan: f64,
    /// DEL.
    pub delete: f64,
}

impl Mix {
    /// Only reads and updates.
    pub fn reads(share: f64) -> Self {
        Self { read: share, update: 1.0 - share, ..Self::default() }
    }

    /// The same workload with this share of reads of every kind; what writes keeps its proportions (updates where nothing
    /// wrote), and so does what reads (plain reads where nothing read).
    pub fn with_read_share(self, share: f64) -> Self {
        let reading = self.read + self.read_through + self.scan;
        let writing = self.update + self.insert + self.read_modify_write + self.delete;
        let of = |part: f64, whole: f64, share: f64| if whole > 0.0 { part / whole * share } else { 0.0 };
        Self {
            read: if reading > 0.0 { of(self.read, reading, share) } else { share },
            read_through: of(self.read_through, reading, share),
            scan: of(self.scan, reading, share),
            update: if writing > 0.0 { of(self.update, writing, 1.0 - share) } else { 1.0 - share },
            insert: of(self.insert, writing, 1.0 - share),
            read_modify_write: of(self.read_modify_write, writing, 1.0 - share),
            delete: of(self.delete, writing, 1.0 - share),
        }
    }

    /// Shares by operation and name, in a fixed order.
    fn parts(&self) -> [(Operation, &'static str, f64); 7] {
        [
            (Operation::Read, "read", self.read),
            (Operation::ReadThrough, "read-through", self.read_through),
            (Operation::Update, "update", self.update),
            (Operation::Insert, "insert", self.insert),
            (Operation::ReadModifyWrite, "read-modify-write", self.read_modify_write),
            (Operation::Scan { count: 1 }, "scan", self.scan),
            (Operation::Delete, "delete", self.delete),
        ]
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: f64 = self.parts().iter().map(|part| part.2).sum();
        let mut gap = "";
        for (_, name, share) in self.parts().into_iter().filter(|part| part.2 > 0.0) {
            let percent = format!("{:.1}", share / total * 100.0);
            write!(f, "{gap}{} % {name}", percent.trim_end_matches(".0"))?;
            gap = ", ";
        }
        Ok(())
    }
}

/// Draws operations.
#[derive(Debug, Clone)]
pub(super) struct Chooser {
    /// Upper bounds of the operations that happen; the last takes the rest.
    bounds: Vec<(u64, Operation)>,
}

impl Chooser {
    /// A mix of nothing reads.
    pub(super) fn new(mix: &Mix) -> Self {
        let parts: Vec<_> = mix.parts().into_iter().filter(|part| part.2 > 0.0).collect();
        let total: f64 = parts.iter().map(|part| part.2).sum();
        let mut sum = 0.0;
        let bound = |(operation, _, share): (Operation, &str, f64)| {
            sum += share / total;
            ((sum * u64::MAX as f64) as u64, operation)
        };
        let mut bounds: Vec<_> = parts.into_iter().map(bound).collect();
        match bounds.last_mut() {
            Some(last) => last.0 = u64::MAX,
            None => bounds.push((u64::MAX, Operation::Read)),
        }
        Self { bounds }
    }

    pub(super) fn next(&self, random: &mut Random) -> Operation {
        if self.bounds.len() == 1 {
            return self.bounds[0].1;
        }
        let bits = random.bits();
        let found = self.bounds.iter().find(|(bound, _)| bits <= *bound);
        found.expect("the last bound is the largest number").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_in_their_shares() {
        let mix = Mix { read: 5.0, update: 3.0, delete: 2.0, ..Mix::default() };
        let (chooser, mut random) = (Chooser::new(&mix), Random::new(1));
        let mut counts = [0u32; 3];
        for _ in 0..100_000 {
            match chooser.next(&mut random) {
                Operation::Read => counts[0] += 1,
                Operation::Update => counts[1] += 1,
                Operation::Delete => counts[2] += 1,
                other => panic!("{other:?} has no share"),
            }
        }
        for (count, wanted) in counts.into_iter().zip([50_000, 30_000, 20_000]) {
            assert!(count.abs_diff(wanted) < 700, "{counts:?}");
        }
        assert_eq!(mix.to_string(), "50 % read, 30 % update, 20 % delete");
    }

    #[test]
    fn a_read_share_keeps_the_proportions_of_the_rest() {
        let mix = Mix { read_through: 0.6, update: 0.1, insert: 0.3, ..Mix::default() }.with_read_share(0.2);
        let wanted = [0.2, 0.2, 0.6];
        for (share, wanted) in [mix.read_through, mix.update, mix.insert].into_iter().zip(wanted) {
            assert!((share - wanted).abs() < 1e-9, "{mix:?}");
        }
        assert_eq!(Mix::reads(1.0).with_read_share(0.5).update, 0.5, "nothing wrote: updates do");
        assert_eq!(Mix::reads(0.0).with_read_share(0.5).read, 0.5, "nothing read: reads do");
    }
}
