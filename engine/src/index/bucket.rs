//! Seven slots in one cache line.
//!
//! ```text
//!  word 0: | control | tag 6 | tag 5 | tag 4 | tag 3 | tag 2 | tag 1 | tag 0 |     control is the top byte
//!  word 1: | slot 0 |   ...   word 7: | slot 6 |
//!  control: bit 0..6 = slot i is in use; bit 7 = a key of this bucket lies in the segment's overflow list
//! ```
//! A tag is the lower 8 of a key's 23 stored bits. All seven are compared in one step; false candidates are sorted out by the
//! 15 bits in the slot. A tag whose slot is not in use is 0.

use super::slot::Slot;

/// Slots in a bucket.
pub(super) const SLOTS: usize = 7;
const BYTES_LOW: u64 = 0x0001_0101_0101_0101;
const BYTES_HIGH: u64 = 0x0080_8080_8080_8080;
const CONTROL_SHIFT: u32 = 56;
const OVERFLOW: u64 = 1 << 63;
const IN_USE: u8 = 0x7f;

/// The line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    header: u64,
    slots: [Slot; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64 && align_of::<Bucket>() == 64 && SLOTS * 8 + 8 == 64);

/// The stored bits of a key: `hash 15 | tag 8`, as a number below 2^23.
pub(super) const STORED_BITS: u32 = 23;

impl Bucket {
    #[inline]
    fn in_use(&self) -> u8 {
        (self.header >> CONTROL_SHIFT) as u8 & IN_USE
    }

    #[inline]
    pub(super) fn has_overflow(&self) -> bool {
        self.header & OVERFLOW != 0
    }

    pub(super) fn announce_overflow(&mut self) {
        self.header |= OVERFLOW;
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.in_use().count_ones() as usize
    }

    /// The first slot without a key.
    #[inline]
    pub(super) fn vacancy(&self) -> Option<usize> {
        let free = (self.in_use() ^ IN_USE).trailing_zeros() as usize;
        (free < SLOTS).then_some(free)
    }

    /// Slots in use whose 23 bits are `stored`.
    #[inline]
    pub(super) fn matches(&self, stored: u32) -> impl Iterator<Item = (usize, Slot)> + '_ {
        // A byte of `differ` is 0 where the tag is equal. The trick finds zero bytes; a borrow can only add a false candidate
        // above a true one, and the check of tag and hash below removes it.
        let differ = (self.header ^ (BYTES_LOW * u64::from(stored & 0xff))) & !(0xff << CONTROL_SHIFT);
        let mut zero = differ.wrapping_sub(BYTES_LOW) & !differ & BYTES_HIGH;
        std::iter::from_fn(move || {
            while zero != 0 {
                let at = (zero.trailing_zeros() / 8) as usize;
                zero &= zero - 1;
                if self.in_use() >> at & 1 == 1 && self.stored(at) == stored {
                    return Some((at, self.slots[at]));
                }
            }
            None
        })
    }

    /// All slots in use.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, Slot)> + '_ {
        (0..SLOTS).filter(|&at| self.in_use() >> at & 1 == 1).map(|at| (at, self.slots[at]))
    }

    #[inline]
    pub(super) fn slot(&self, at: usize) -> Slot {
        self.slots[at]
    }

    /// The 23 stored bits of a slot in use.
    #[inline]
    pub(super) fn stored(&self, at: usize) -> u32 {
        self.slots[at].hash() << 8 | (self.header >> (at * 8)) as u32 & 0xff
    }

    /// Puts a key's slot here; the upper 15 bits of `stored` must be in the slot already.
    pub(super) fn put(&mut self, at: usize, stored: u32, slot: Slot) {
        debug_assert!(slot.hash() == stored >> 8 && !slot.is_empty());
        self.header &= !(0xff << (at * 8));
        self.header |= u64::from(stored & 0xff) << (at * 8) | 1 << (CONTROL_SHIFT as usize + at);
        self.slots[at] = slot;
    }

    /// Changes all but the stored bits.
    #[inline]
    pub(super) fn replace(&mut self, at: usize, slot: Slot) {
        self.slots[at] = slot.with_hash(self.slots[at].hash());
    }

    pub(super) fn take(&mut self, at: usize) -> Slot {
        self.header &= !(0xff << (at * 8) | 1 << (CONTROL_SHIFT as usize + at));
        std::mem::take(&mut self.slots[at])
    }

    /// The line as eight words, for a checkpoint.
    pub(super) fn words(&self) -> [u64; 8] {
        let mut words = [self.header; 8];
        for (word, slot) in words[1..].iter_mut().zip(&self.slots) {
            *word = slot.bits();
        }
        words
    }

    /// Takes over a stored line (`words` in little-endian) and answers how many keys it kept. `judge` sees the stored bits and slot of
    /// each place, an empty one's too, and says whether a key belongs there and whether it is kept. `None`: one does not belong
    /// there, or header and slots contradict each other.
    ///
    /// Without a branch per slot: which ones are kept nobody can predict, and so what `judge` looks up for several is on its way at
    /// once.
    #[inline]
    pub(super) fn set_from(
        &mut self,
        line: &[u8; 64],
        mut judge: impl FnMut(u32, Slot) -> (bool, bool),
    ) -> Option<u32> {
        let words = line.as_chunks::<8>().0;
        let header = u64::from_le_bytes(words[0]);
        let (mut sound, mut kept, mut tags) = (true, 0u64, 0u64);
        for at in 0..SLOTS {
            let word = u64::from_le_bytes(words[at + 1]);
            let slot = Slot::from_bits(word).unwrap_or_default();
            let in_use = header >> (CONTROL_SHIFT as usize + at) & 1 == 1;
            let (belongs, keep) = judge(slot.hash() << 8 | (header >> (at * 8)) as u32 & 0xff, slot);
            sound &= (slot.bits() == word) & (slot.is_empty() != in_use) & (belongs | !in_use);
            let keep = keep & in_use;
            kept |= u64::from(keep) << at;
            tags |= (u64::from(keep) * 0xff) << (at * 8);
            self.slots[at] = slot.only_if(keep);
        }
        self.header = header & (OVERFLOW | tags | kept << CONTROL_SHIFT);
        sound.then_some(kept.count_ones())
    }
}

/// The slots of a stored line, before anything is checked.
#[inline]
pub(super) fn slots_of(line: &[u8; 64]) -> impl Iterator<Item = Slot> {
    line.as_chunks::<8>().0[1..].iter().map(|&word| Slot::from_bits(u64::from_le_bytes(word)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::slot::State;
    use super::*;

    fn slot(stored: u32, place: u64) -> Slot {
        Slot::new(State::Hot, place).with_hash(stored >> 8)
    }

    #[test]
    fn a_match_needs_all_stored_bits_and_a_slot_in_use() {
        let mut bucket = Bucket::default();
        for (at, stored) in [0x12345, 0x12344, 0x22345, 0x12345, 0x12246].into_iter().enumerate() {
            bucket.put(at, stored, slot(stored, at as u64));
        }
        let found = |bucket: &Bucket, stored| bucket.matches(stored).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(found(&bucket, 0x12345), [0, 3]);
        assert_eq!(found(&bucket, 0x12344), [1]);
        assert_eq!(found(&bucket, 0), [] as [usize; 0], "empty slots have tag 0 and hash 0, but are not in use");
        assert_eq!(bucket.take(3).place(), 3);
        assert_eq!(found(&bucket, 0x12345), [0]);
        assert_eq!((bucket.vacancy(), bucket.count()), (Some(3), 4));
    }

    #[test]
    fn every_pair_of_tags_is_told_apart() {
        for tag in 0..=255 {
            let mut bucket = Bucket::default();
            for at in 0..SLOTS {
                let stored = (tag + at as u32) & 0xff;
                bucket.put(at, stored, slot(stored, 1));
            }
            for asked in 0..=255_u32 {
                let expected = asked.wrapping_sub(tag) & 0xff;
                assert_eq!(bucket.matches(asked).count(), usize::from(expected < SLOTS as u32));
            }
        }
    }

    #[test]
    fn words_round_trip_and_contradictions_are_refused() {
        let mut bucket = Bucket::default();
        bucket.put(2, 0x7fff01, slot(0x7fff01, 9));
        bucket.announce_overflow();
        let line = |words: &[u64; 8]| -> [u8; 64] {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.try_into().unwrap()
        };
        let mut words = bucket.words();
        let mut back = Bucket::default();
        assert_eq!(back.set_from(&line(&words), |_, _| (true, true)), Some(1));
        assert_eq!((back.stored(2), back.has_overflow(), back.count()), (0x7fff01, true, 1));
        assert_eq!(back.set_from(&line(&words), |_, _| (false, true)), None, "it was refused");
        assert_eq!((back.set_from(&line(&words), |_, _| (true, false)), back.words()[0]), (Some(0), OVERFLOW));
        bucket.put(6, 0x1234aa, slot(0x1234aa, 7));
        let kept = back.set_from(&line(&bucket.words()), |stored, slot| (!slot.is_empty(), stored == 0x1234aa));
        assert_eq!((kept, back.stored(6), back.slot(2), back.count()), (Some(1), 0x1234aa, Slot::EMPTY, 1));
        words[5] = slot(1, 1).bits();
        let contradicts = Bucket::default().set_from(&line(&words), |_, _| (true, true)).is_none();
        assert!(contradicts, "a slot in use that the control byte does not know");
    }
}
