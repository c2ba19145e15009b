//! Which units of a region are free: runs by address (to join neighbours) and by length (to find the best fit).
//!
//! Promises: a run handed out is in no other run until it comes back; neighbours always join, so two free runs never touch.
//! Costs O(log runs) per call. Never touches the pages themselves.

use std::collections::{BTreeMap, BTreeSet};

/// Consecutive units: the first and how many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) units: u32,
}

/// The free runs of one region.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    by_address: BTreeMap<u32, u32>,
    by_length: BTreeSet<(u32, u32)>,
}

impl Runs {
    pub(crate) fn new(units: u32) -> Runs {
        let mut runs = Runs::default();
        runs.put(Run { first: 0, units });
        runs
    }

    /// The shortest run that is long enough, the lowest of those; its rest stays free.
    pub(crate) fn take(&mut self, units: u32) -> Option<Run> {
        let &(length, first) = self.by_length.range((units, 0)..).next()?;
        self.remove(Run { first, units: length });
        if length > units {
            self.add(Run { first: first + units, units: length - units });
        }
        Some(Run { first, units })
    }

    /// Takes a run back and joins it with its free neighbours.
    pub(crate) fn put(&mut self, mut run: Run) {
        if run.units == 0 {
            return;
        }
        if let Some((&first, &units)) = self.by_address.range(..run.first).next_back() {
            assert!(first + units <= run.first, "units given back twice");
            if first + units == run.first {
                self.remove(Run { first, units });
                run = Run { first, units: units + run.units };
            }
        }
        let end = run.first + run.units;
        if let Some((&first, &units)) = self.by_address.range(run.first..).next() {
            assert!(first >= end, "units given back twice");
            if first == end {
                self.remove(Run { first, units });
                run.units += units;
            }
        }
        self.add(run);
    }

    fn add(&mut self, run: Run) {
        self.by_address.insert(run.first, run.units);
        self.by_length.insert((run.units, run.first));
    }

    fn remove(&mut self, run: Run) {
        self.by_address.remove(&run.first);
        self.by_length.remove(&(run.units, run.first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_again() {
        let mut runs = Runs::new(10);
        let (a, b, c) = (runs.take(3).unwrap(), runs.take(3).unwrap(), runs.take(4).unwrap());
        assert_eq!(runs.take(1), None);
        runs.put(a);
        runs.put(c);
        assert_eq!(runs.take(5), None, "3 and 4 do not touch");
        runs.put(b);
        assert_eq!(runs.take(10), Some(Run { first: 0, units: 10 }));
    }

    #[test]
    fn the_best_fit_is_taken() {
        let mut runs = Runs::new(100);
        let (long, wall, short) = (runs.take(8).unwrap(), runs.take(1).unwrap(), runs.take(2).unwrap());
        let _second_wall = runs.take(1).unwrap();
        runs.put(long);
        runs.put(short);
        assert_eq!(runs.take(2), Some(short));
        assert_eq!(wall.first, 8);
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn giving_back_twice_is_a_bug_that_stops() {
        let mut runs = Runs::new(10);
        let run = runs.take(4).unwrap();
        runs.put(run);
        runs.put(run);
    }
}
