//! Which versions of a key a read may see, when any connection may read and write any key at any time.
//!
//! Writes of this run are numbered in the order in which they are sent; the number is the value's version. A write that is
//! sent behind the answers of others overwrites them. So each write remembers `settled`: every number below it had its answer
//! when the write was sent. Once the write itself is answered, no version of its key below `settled` may ever be seen again:
//!
//! ```text
//!   write 7 of key k  |=====|                         answered: versions of k from 7's `settled` on
//!   write 8 of key k      |=======|                   overlaps 7: either may win, both stay allowed
//!   write 9 of key k                |====|            settled is 9: from its answer on only 9 is allowed
//!   a read of k                            |==|       sent now: 9, or whatever is written while it is under way
//! ```
//! A server that loses a write is found out unless the lost one overlapped its successor. What an earlier run left carries
//! that run's numbers: it is checked byte by byte, its version only against the range. Memory: 4 bytes per key (8 once keys are
//! deleted), and one byte per write between the oldest without an answer and the newest.

use crate::tally::Tally;
use crate::value::{self, Expected, KeyId};
use anyhow::{Result, bail};
use std::collections::VecDeque;

/// A write under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Its number, the version that it writes.
    pub version: u32,
    /// All writes below this number had their answers when it was sent.
    settled: u32,
}

/// A key as a read must find it: taken when the read is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    oldest: u32,
}

/// The book of all keys.
#[derive(Debug)]
pub struct Versions {
    /// For each key the oldest version that a read may see; 0 while this run knows of none.
    oldest: Vec<u32>,
    /// For each key the newest deletion that was sent, 0 for none; empty while there was none at all.
    deleted: Vec<u32>,
    /// The same for all keys, until the first write.
    oldest_at_first: u32,
    /// The number of this run's first write.
    first: u32,
    /// The lowest number without an answer.
    settled: u32,
    next: u32,
    /// Has number `settled + i` its answer?
    answered: VecDeque<bool>,
}

impl Versions {
    /// Keys of which nothing is known; numbers start behind `last`, which an earlier pass has written.
    pub fn new(keys: u64, last: u32) -> Self {
        Self::of(keys, 0, last)
    }

    /// Every key has this version, by an earlier pass.
    pub fn loaded(keys: u64, version: u32) -> Self {
        Self::of(keys, version, version)
    }

    fn of(keys: u64, oldest: u32, last: u32) -> Self {
        let first = last + 1;
        Self {
            oldest: vec![oldest; usize::try_from(keys).expect("keys fit into memory")],
            deleted: Vec::new(),
            oldest_at_first: oldest,
            first,
            settled: first,
            next: first,
            answered: VecDeque::new(),
        }
    }

    /// A write is about to be sent.
    pub fn write(&mut self, key: KeyId) -> Result<Write> {
        if self.next == u32::MAX {
            bail!("{} writes: more than a value can count; use a shorter run", self.next);
        }
        let index = key.0 as usize;
        if self.oldest.len() <= index {
            self.oldest.resize(index + 1, 0);
        }
        let write = Write { version: self.next, settled: self.settled };
        self.next += 1;
        self.answered.push_back(false);
        Ok(write)
    }

    /// A deletion is about to be sent.
    pub fn delete(&mut self, key: KeyId) -> Result<Write> {
        let write = self.write(key)?;
        if self.deleted.len() < self.oldest.len() {
            self.deleted.resize(self.oldest.len(), 0);
        }
        self.deleted[key.0 as usize] = write.version;
        Ok(write)
    }

    /// A write has its answer; one that was refused may have left its value or not.
    pub fn written(&mut self, key: KeyId, write: Write, accepted: bool) {
        self.answered[(write.version - self.settled) as usize] = true;
        while self.answered.front() == Some(&true) {
            self.answered.pop_front();
            self.settled += 1;
        }
        if accepted {
            let oldest = &mut self.oldest[key.0 as usize];
            *oldest = write.settled.max(*oldest);
        }
    }

    /// A read is about to be sent.
    pub fn read(&self, key: KeyId) -> Seen {
        // A run that only reads spares itself a cache miss per request.
        let untouched = self.next == self.first;
        let known = || self.oldest.get(key.0 as usize).copied().unwrap_or(0);
        Seen { oldest: if untouched { self.oldest_at_first } else { known() } }
    }

    /// A read found this value, of which only `length` bytes are right.
    pub fn found(&self, key: KeyId, seen: Seen, found: &[u8], length: u32, tally: &mut Tally) {
        tally.found += 1;
        let oldest = seen.oldest;
        let newest = self.next - 1;
        let known = if oldest == 0 { Expected::AnyVersion } else { Expected::Within { oldest, newest, length } };
        match value::verify(found, key, known) {
            // A write of this run may be seen before it is answered.
            Ok(found) => tally.preexisting += u64::from(oldest == 0 && !(self.first..=newest).contains(&found.version)),
            Err(wrong) => tally.wrong_value(key, wrong),
        }
    }

    /// A read found nothing.
    pub fn missing(&self, key: KeyId, seen: Seen, tally: &mut Tally) {
        tally.missed += 1;
        let deleted = self.deleted.get(key.0 as usize).copied().unwrap_or(0);
        tally.lost += u64::from(seen.oldest > 0 && deleted < seen.oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: KeyId = KeyId(0);
    const LENGTH: u32 = 40;

    fn is_wrong(versions: &Versions, seen: Seen, version: u32) -> bool {
        let mut value = Vec::new();
        value::fill(&mut value, KEY, version, LENGTH);
        let mut tally = Tally::default();
        versions.found(KEY, seen, &value, LENGTH, &mut tally);
        tally.wrong > 0
    }

    fn is_lost(versions: &Versions, seen: Seen) -> bool {
        let mut tally = Tally::default();
        versions.missing(KEY, seen, &mut tally);
        tally.lost > 0
    }

    #[test]
    fn an_answered_write_forbids_what_it_overwrote() {
        let mut versions = Versions::loaded(1, 1);
        let before = versions.read(KEY);
        let write = versions.write(KEY).unwrap();
        assert!(!is_wrong(&versions, before, 1) && !is_wrong(&versions, before, write.version));
        versions.written(KEY, write, true);
        assert!(is_wrong(&versions, versions.read(KEY), 1), "a lost update");
        assert!(!is_wrong(&versions, before, 1), "a read that was under way may see the old value");
        assert!(is_wrong(&versions, before, 3), "a version that was never sent");
    }

    #[test]
    fn of_two_writes_at_once_either_may_win_until_a_third() {
        let mut versions = Versions::loaded(1, 1);
        let (first, second) = (versions.write(KEY).unwrap(), versions.write(KEY).unwrap());
        versions.written(KEY, second, true);
        versions.written(KEY, first, true);
        let seen = versions.read(KEY);
        assert!(!is_wrong(&versions, seen, first.version) && !is_wrong(&versions, seen, second.version));
        assert!(is_wrong(&versions, seen, 1));
        let third = versions.write(KEY).unwrap();
        versions.written(KEY, third, true);
        assert!(is_wrong(&versions, versions.read(KEY), second.version));
    }

    #[test]
    fn a_deleted_key_may_be_gone_until_it_is_written_again() {
        let mut versions = Versions::loaded(1, 1);
        assert!(is_lost(&versions, versions.read(KEY)));
        let deletion = versions.delete(KEY).unwrap();
        assert!(!is_lost(&versions, versions.read(KEY)));
        versions.written(KEY, deletion, true);
        assert!(!is_lost(&versions, versions.read(KEY)));
        assert!(is_wrong(&versions, versions.read(KEY), 1), "it came back");
        let write = versions.write(KEY).unwrap();
        versions.written(KEY, write, true);
        assert!(is_lost(&versions, versions.read(KEY)));
    }

    proptest! {
        /// A register that applies each write somewhere between its sending and its answer never looks wrong.
        #[test]
        fn a_right_server_is_never_accused(steps in proptest::collection::vec((0u8..4, any::<usize>()), 1..200)) {
            let mut versions = Versions::loaded(1, 1);
            let mut value = Some(1u32);
            let mut waiting: Vec<(Write, bool)> = Vec::new();
            let mut applied: Vec<(Write, bool)> = Vec::new();
            let mut reads: Vec<(Seen, Option<u32>)> = Vec::new();
            for (action, choice) in steps {
                match action {
                    0 => {
                        let delete = choice % 5 == 0;
                        let write = if delete { versions.delete(KEY) } else { versions.write(KEY) }.unwrap();
                        waiting.push((write, delete));
                    }
                    1 if !waiting.is_empty() => {
                        let (write, delete) = waiting.swap_remove(choice % waiting.len());
                        value = if delete { None } else { Some(write.version) };
                        applied.push((write, delete));
                    }
                    2 if !applied.is_empty() => {
                        let (write, _) = applied.swap_remove(choice % applied.len());
                        versions.written(KEY, write, true);
                    }
                    _ => {
                        reads.push((versions.read(KEY), value));
                        let (seen, found) = reads.swap_remove(choice % reads.len());
                        match found {
                            Some(version) => prop_assert!(!is_wrong(&versions, seen, version)),
                            None => prop_assert!(!is_lost(&versions, seen)),
                        }
                    }
                }
            }
        }
    }
}
