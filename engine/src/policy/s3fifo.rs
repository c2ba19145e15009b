//! S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023), counted in bytes, and an LRU
//! approximation (second chance) for comparison.
//!
//! The idea: most objects are never asked for again, so new ones pass through a small queue (10 %) and leave quickly; what is
//! asked for twice there, or comes back while it is still remembered as a ghost, goes to the main queue.
//!
//! Queues are rings of entries without links. An object that is deleted leaves its entry behind; the ring skips it when it
//! comes to it (8 bytes until then, compacted when stale entries outnumber live ones). Ghosts are not a queue: a cold slot
//! keeps two bits, the *epoch* in which it left. Epochs 1, 2, 3 follow each other whenever 0.6 of the capacity has become
//! ghosts; the present and the last one count, the third is being swept to zero meanwhile. So a ghost lives for 0.6 to 1.2
//! capacities.
//!
//! Promises: bytes are exact; a step looks at a bounded number of entries. Never: decides by time.

use super::{Entry, Look, Objects, Victim};
use crate::options::{EVICTION_STEPS_MAX, TierPolicy};
use std::collections::VecDeque;

const SMALL_PERCENT: usize = 10;
const HITS_TO_MAIN: u8 = 2;

/// The two queues.
pub struct S3Fifo {
    policy: TierPolicy,
    small: VecDeque<Entry>,
    main: VecDeque<Entry>,
    small_bytes: usize,
    main_bytes: usize,
    small_live: usize,
    main_live: usize,
}

impl S3Fifo {
    /// Empty queues.
    pub fn new(policy: TierPolicy) -> Self {
        S3Fifo {
            policy,
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_bytes: 0,
            main_bytes: 0,
            small_live: 0,
            main_live: 0,
        }
    }

    /// Would a new object (a remembered ghost or not) go to the main queue?
    pub fn goes_to_main(&self, ghost: bool) -> bool {
        ghost || self.policy == TierPolicy::Lru
    }

    /// An object became hot.
    pub fn insert(&mut self, entry: Entry, bytes: usize, main: bool) {
        if main {
            self.main.push_front(entry);
            self.main_bytes += bytes;
            self.main_live += 1;
        } else {
            self.small.push_front(entry);
            self.small_bytes += bytes;
            self.small_live += 1;
        }
    }

    /// An object left: demoted, removed or replaced.
    pub fn removed(&mut self, bytes: usize, main: bool) {
        if main {
            self.main_bytes -= bytes;
            self.main_live -= 1;
        } else {
            self.small_bytes -= bytes;
            self.small_live -= 1;
        }
    }

    /// Bytes in both queues.
    pub fn bytes(&self) -> usize {
        self.small_bytes + self.main_bytes
    }

    /// Objects in both queues.
    pub fn objects(&self) -> usize {
        self.small_live + self.main_live
    }

    /// DRAM of the rings.
    pub fn memory_bytes(&self) -> usize {
        (self.small.capacity() + self.main.capacity()) * size_of::<Entry>()
    }

    /// Who leaves next. The victim's entry is out of the ring; the caller must take the object out (and call `removed`) or put
    /// it back with [`S3Fifo::spare`].
    pub fn victim(&mut self, objects: &mut impl Objects) -> Option<Victim> {
        for _ in 0..EVICTION_STEPS_MAX {
            let from_small = !self.small.is_empty()
                && (self.small_bytes * 100 >= self.bytes() * SMALL_PERCENT || self.main.is_empty());
            let entry = if from_small { self.small.pop_back() } else { self.main.pop_back() }?;
            let Some(Look { bytes, heat, .. }) = objects.look(entry).filter(|l| l.main != from_small) else { continue };
            if from_small {
                if heat < HITS_TO_MAIN {
                    return Some(Victim { entry, from_small });
                }
                objects.set_heat(entry, 0);
                objects.set_main(entry);
                self.removed(bytes, false);
                self.insert(entry, bytes, true);
            } else {
                if heat == 0 {
                    return Some(Victim { entry, from_small });
                }
                objects.set_heat(entry, if self.policy == TierPolicy::Lru { 0 } else { heat - 1 });
                self.main.push_front(entry);
            }
        }
        None
    }

    /// The victim could not leave now: it stays, as the youngest of its queue.
    pub fn spare(&mut self, victim: Victim) {
        if victim.from_small {
            self.small.push_front(victim.entry);
        } else {
            self.main.push_front(victim.entry);
        }
    }

    /// An object moved to another cell: its entry changes, its rank stays at best (it re-enters its queue).
    pub fn moved(&mut self, entry: Entry, main: bool) {
        if main { self.main.push_front(entry) } else { self.small.push_front(entry) }
    }

    /// Drops all stale entries, and memory that is not needed.
    pub fn trim(&mut self, objects: &mut impl Objects) {
        drop_stale(&mut self.small, false, 0, objects);
        drop_stale(&mut self.main, true, 0, objects);
    }

    /// Drops stale entries when they outnumber the live ones. Returns how many were looked at.
    pub fn compact(&mut self, objects: &mut impl Objects) -> usize {
        let mut looked = 0;
        let rings = [(&mut self.small, self.small_live, false), (&mut self.main, self.main_live, true)];
        for (ring, live, main) in rings {
            if ring.len() > 2 * live + 64 {
                looked += ring.len();
                drop_stale(ring, main, live * 3 / 2, objects);
            }
        }
        looked
    }
}

/// Drops the entries of a ring whose objects are gone, and its memory beyond so many entries.
fn drop_stale(ring: &mut VecDeque<Entry>, main: bool, kept: usize, objects: &mut impl Objects) {
    ring.retain(|&entry| objects.look(entry).is_some_and(|look| look.main == main));
    ring.shrink_to(kept);
}

/// Epochs of ghosts.
pub struct Ghost {
    epoch: u8,
    bytes: usize,
}

impl Default for Ghost {
    fn default() -> Self {
        Ghost { epoch: 1, bytes: 0 }
    }
}

impl Ghost {
    /// The mark of an object of `bytes` that leaves now; `capacity` is the arena's size. True: a new epoch began, and a sweep
    /// for [`Ghost::stale`] marks must start over.
    pub fn mark(&mut self, bytes: usize, capacity: usize) -> (u8, bool) {
        self.bytes += bytes;
        let turned = self.bytes >= capacity * 6 / 10;
        if turned {
            self.bytes = 0;
            self.epoch = self.epoch % 3 + 1;
        }
        (self.epoch, turned)
    }

    /// Is a cold slot with this mark still remembered?
    pub fn remembers(&self, mark: u8) -> bool {
        mark != 0 && mark != self.stale()
    }

    /// The mark that must be swept before it is used again.
    pub fn stale(&self) -> u8 {
        self.epoch % 3 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Table(HashMap<Entry, (u8, bool)>);

    impl Objects for Table {
        fn look(&mut self, entry: Entry) -> Option<Look> {
            self.0.get(&entry).map(|&(heat, main)| Look { bytes: 1, heat, main })
        }
        fn set_heat(&mut self, entry: Entry, heat: u8) {
            self.0.get_mut(&entry).unwrap().0 = heat;
        }
        fn set_main(&mut self, entry: Entry) {
            self.0.get_mut(&entry).unwrap().1 = true;
        }
    }

    #[test]
    fn one_hit_wonders_leave_before_what_was_asked_for_twice() {
        let (mut fifo, mut table) = (S3Fifo::new(TierPolicy::S3Fifo), Table::default());
        for n in 0..10 {
            fifo.insert(Entry(n), 1, false);
            table.0.insert(Entry(n), (if n == 0 { 2 } else { 0 }, false));
        }
        let victim = fifo.victim(&mut table).unwrap();
        assert_eq!((victim.entry, victim.from_small), (Entry(1), true));
        assert_eq!(table.0[&Entry(0)], (0, true), "the twice asked for is in main, its counter starts again");
    }

    #[test]
    fn stale_entries_are_skipped_and_compacted() {
        let (mut fifo, mut table) = (S3Fifo::new(TierPolicy::S3Fifo), Table::default());
        for n in 0..1000 {
            fifo.insert(Entry(n), 1, false);
            table.0.insert(Entry(n), (0, false));
        }
        for n in 0..900 {
            table.0.remove(&Entry(n));
            fifo.removed(1, false);
        }
        assert!(fifo.compact(&mut table) > 0);
        assert_eq!(fifo.victim(&mut table).unwrap().entry, Entry(900));
        assert_eq!(fifo.objects(), 100);
    }

    #[test]
    fn an_entry_that_an_earlier_object_left_in_the_other_queue_is_stale() {
        let (mut fifo, mut table) = (S3Fifo::new(TierPolicy::S3Fifo), Table::default());
        fifo.insert(Entry(1), 1, false);
        fifo.removed(1, false);
        fifo.insert(Entry(1), 1, true); // the same key in the same cell, remembered as a ghost
        table.0.insert(Entry(1), (2, true));
        fifo.insert(Entry(2), 1, false);
        table.0.insert(Entry(2), (0, false));
        assert_eq!(fifo.victim(&mut table).unwrap().entry, Entry(2));
        fifo.removed(1, false);
        assert_eq!((fifo.objects(), fifo.bytes()), (1, 1));
    }

    #[test]
    fn ghosts_are_forgotten_after_two_epochs() {
        let mut ghost = Ghost::default();
        let (first, _) = ghost.mark(1, 100);
        assert!(ghost.remembers(first));
        while !ghost.mark(1, 100).1 {}
        assert!(ghost.remembers(first));
        while !ghost.mark(1, 100).1 {}
        assert!(!ghost.remembers(first));
    }
}
