//! One index segment: 1 to 128 buckets, two-choice cuckoo inside.
//!
//! A key may stand in two buckets, its home and its other one, both computed from its 23 stored bits; so a key can be moved,
//! and the whole segment rehashed, without reading a key. When both are full, a breadth-first search over the buckets frees a
//! place by moving others to their second bucket. It looks into at most 8 full buckets: a search of all 128 saves
//! 0.2 bytes per key and makes inserts twice as slow (550 instead of 280 ns, measured).
//!
//! Keys whose 23 bits are all equal ("twins") have the same two buckets wherever they are, so growing would not help them. They
//! yield: when their buckets are full they go to the overflow list, and a twin in a bucket makes way for a key without twins.
//! Therefore only keys with *different* bits make a segment grow.
//!
//! Worked example: 3 buckets, all 21 slots taken, a key comes with home 0 and other 2. Bucket 0 holds a key whose other bucket
//! is 1, full as well: the search goes on from 1, finds nothing, from 2, finds nothing: the answer is [`NoRoom::Grow`].
//!
//! The buckets lie in chunks of 16, the last of which may be shorter. Nearly all index memory is therefore in blocks of one
//! size, 1 KiB: with one block per table, all growing through the same sizes at the same time, a common allocator held twice
//! the memory that was in use (measured: 20.8 bytes per key resident for 10.3 in use).
//! Never: allocates in `insert`, knows which hash prefix it serves.

use super::bucket::{Bucket, SLOTS, slots_of};
use super::slot::Slot;

/// The numbers of buckets a segment may have: x1.25 or less per step from 4 on, and never more than one new chunk.
pub(super) const SIZES: [usize; 24] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, BUCKETS_MAX];
/// Buckets of a whole chunk.
pub(super) const CHUNK_BUCKETS: usize = 16;
/// How far ahead of a stored line its slots are announced: about as many as may be on their way at once.
const LINES_AHEAD: usize = 4;
/// A segment with this many buckets splits.
pub(super) const BUCKETS_MAX: usize = 128;
/// Full buckets that the search for room looks into.
const SEARCH_BUCKETS_MAX: usize = 8;
/// A child of a split starts with at most this share of its slots in use, in percent.
const CHILD_FILL_PERCENT: usize = 90;
/// A segment with a smaller share in use is worth shrinking.
const SPARSE_PERCENT: usize = 50;

const _: () = assert!(BUCKETS_MAX * SLOTS <= 900, "a growth step touches at most 900 slots");

/// A key beyond its two buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) tag: u8,
}

impl Entry {
    pub(super) fn new(stored: u32, slot: Slot) -> Entry {
        Entry { slot, tag: stored as u8 }
    }

    pub(super) fn stored(self) -> u32 {
        self.slot.hash() << 8 | u32::from(self.tag)
    }
}

/// Where in a segment a slot is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Position(u32);

const IN_OVERFLOW: u32 = 1 << 31;

/// A position, taken apart.
enum Home {
    Bucket(usize, usize),
    Overflow(usize),
}

impl Position {
    fn in_bucket(bucket: usize, slot: usize) -> Position {
        Position((bucket * 8 + slot) as u32)
    }

    fn in_overflow(at: usize) -> Position {
        Position(u32::try_from(at).expect("an overflow list is short") | IN_OVERFLOW)
    }

    fn home(self) -> Home {
        let at = (self.0 & !IN_OVERFLOW) as usize;
        if self.0 & IN_OVERFLOW == 0 { Home::Bucket(at / 8, at % 8) } else { Home::Overflow(at) }
    }
}

/// Why an insert did not happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoRoom {
    /// The segment needs more buckets, or a split.
    Grow,
    /// The overflow list is full.
    Overflow,
}

/// A run of buckets: whole chunks first, a shorter one at the end.
pub(super) type Chunk = Box<[Bucket]>;

/// The segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    chunks: [Chunk; BUCKETS_MAX / CHUNK_BUCKETS],
    bucket_count: u32,
    keys: u32,
    pub(super) overflow: Vec<Entry>,
}

/// The smallest size in which this many keys leave room for more.
pub(super) fn size_for(keys: usize) -> usize {
    let fits = |size: usize| size * SLOTS * CHILD_FILL_PERCENT >= keys * 100;
    SIZES.into_iter().find(|&size| fits(size)).unwrap_or(BUCKETS_MAX)
}

/// Length of chunk `number` in a segment of so many buckets.
pub(super) fn chunk_length(buckets: usize, number: usize) -> usize {
    buckets.saturating_sub(number * CHUNK_BUCKETS).min(CHUNK_BUCKETS)
}

/// Whether so many keys would fit in a clearly smaller table.
pub(super) fn is_sparse(keys: usize, buckets: usize) -> bool {
    keys * 100 < buckets * SLOTS * SPARSE_PERCENT && size_for(keys) < buckets
}

/// Home bucket and other bucket of these stored bits among `buckets`. All bits take part in both.
#[inline]
fn pair(stored: u32, buckets: usize) -> (usize, usize) {
    let mixed = u64::from(stored).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let range = |bits: u64| (bits as usize * buckets) >> 32;
    let (home, other) = (range(mixed >> 32), range(mixed & 0xffff_ffff));
    // One bucket twice would halve the choice.
    (home, if other == home { (home + 1) % buckets } else { other })
}

impl Segment {
    pub(super) fn keys(&self) -> usize {
        self.keys as usize
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.bucket_count as usize
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.chunks.iter().flatten()
    }

    #[inline]
    fn bucket(&self, number: usize) -> &Bucket {
        &self.chunks[number / CHUNK_BUCKETS][number % CHUNK_BUCKETS]
    }

    #[inline]
    fn bucket_mut(&mut self, number: usize) -> &mut Bucket {
        &mut self.chunks[number / CHUNK_BUCKETS][number % CHUNK_BUCKETS]
    }

    #[inline]
    fn pair(&self, stored: u32) -> (usize, usize) {
        pair(stored, self.bucket_count())
    }

    /// What it takes on the heap, its own box included.
    pub(super) fn bytes(&self) -> u64 {
        let entries = self.overflow.capacity() * size_of::<Entry>();
        (size_of::<Segment>() + self.bucket_count() * size_of::<Bucket>() + entries) as u64
    }

    #[inline]
    pub(super) fn prefetch(&self, stored: u32) {
        let (home, other) = self.pair(stored);
        thermocline_memory::prefetch_read(self.bucket(home));
        thermocline_memory::prefetch_read(self.bucket(other));
    }

    /// Asks for its head, which says where the buckets are.
    #[inline]
    pub(super) fn prefetch_head(&self) {
        for part in self.chunks.iter().step_by(4) {
            thermocline_memory::prefetch_read(part);
        }
        thermocline_memory::prefetch_read(&self.bucket_count);
    }

    /// Visits the slots whose stored bits are equal, until `stop` says true.
    #[inline]
    pub(super) fn find(&self, stored: u32, mut stop: impl FnMut(Position, Slot) -> bool) -> Option<(Position, Slot)> {
        let (home, other) = self.pair(stored);
        let mut bucket = home;
        loop {
            for (at, slot) in self.bucket(bucket).matches(stored) {
                let position = Position::in_bucket(bucket, at);
                if stop(position, slot) {
                    return Some((position, slot));
                }
            }
            if bucket == other {
                break;
            }
            bucket = other;
        }
        if self.bucket(home).has_overflow() {
            for (at, entry) in self.overflow.iter().enumerate().filter(|(_, entry)| entry.stored() == stored) {
                let position = Position::in_overflow(at);
                if stop(position, entry.slot) {
                    return Some((position, entry.slot));
                }
            }
        }
        None
    }

    #[inline]
    pub(super) fn get(&self, position: Position) -> Slot {
        match position.home() {
            Home::Bucket(bucket, at) => self.bucket(bucket).slot(at),
            Home::Overflow(at) => self.overflow[at].slot,
        }
    }

    /// Changes all but the stored bits.
    #[inline]
    pub(super) fn set(&mut self, position: Position, slot: Slot) {
        match position.home() {
            Home::Bucket(bucket, at) => self.bucket_mut(bucket).replace(at, slot),
            Home::Overflow(at) => {
                let entry = &mut self.overflow[at];
                entry.slot = slot.with_hash(entry.slot.hash());
            }
        }
    }

    pub(super) fn remove(&mut self, position: Position) -> Slot {
        self.keys -= 1;
        match position.home() {
            Home::Bucket(bucket, at) => self.bucket_mut(bucket).take(at),
            Home::Overflow(at) => self.overflow.swap_remove(at).slot,
        }
    }

    /// Every slot in use with its stored bits.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Position, u32, Slot)) {
        for (number, bucket) in self.buckets().enumerate() {
            for (at, slot) in bucket.entries() {
                visit(Position::in_bucket(number, at), bucket.stored(at), slot);
            }
        }
        for (at, entry) in self.overflow.iter().enumerate() {
            visit(Position::in_overflow(at), entry.stored(), entry.slot);
        }
    }

    /// Puts a key in, or changes nothing. Does not allocate.
    pub(super) fn insert(&mut self, stored: u32, slot: Slot) -> Result<Position, NoRoom> {
        let (home, other) = self.pair(stored);
        let room = [home, other].into_iter().find_map(|bucket| Some((bucket, self.bucket(bucket).vacancy()?)));
        let (bucket, at) = match room {
            Some(room) => room,
            None if self.has_twin(stored) => return self.insert_into_overflow(stored, slot),
            None => match self.make_room(home, other) {
                Some(room) => room,
                None => self.evict_twin(home, other)?,
            },
        };
        self.bucket_mut(bucket).put(at, stored, slot);
        self.keys += 1;
        Ok(Position::in_bucket(bucket, at))
    }

    /// Moves all keys out.
    pub(super) fn drain(&mut self, keys: &mut Vec<(u32, Slot)>) {
        self.for_each(|_, stored, slot| keys.push((stored, slot)));
        self.chunks.iter_mut().for_each(|chunk| chunk.fill(Bucket::default()));
        self.overflow.clear();
        self.keys = 0;
    }

    /// Gives an empty segment another number of buckets: chunks that stay whole stay, others go to `give` or come from `take`.
    pub(super) fn resize(&mut self, buckets: usize, mut take: impl FnMut(usize) -> Chunk, mut give: impl FnMut(Chunk)) {
        debug_assert_eq!(self.keys, 0);
        for (number, chunk) in self.chunks.iter_mut().enumerate() {
            let length = chunk_length(buckets, number);
            if chunk.len() != length {
                let new = if length == 0 { Chunk::default() } else { take(length) };
                let old = std::mem::replace(chunk, new);
                if !old.is_empty() {
                    give(old);
                }
            }
        }
        self.bucket_count = buckets as u32;
    }

    /// Puts keys in where a failure is very rare, because there is room to spare.
    pub(super) fn fill(&mut self, keys: impl Iterator<Item = (u32, Slot)>) {
        for (stored, slot) in keys {
            if self.insert(stored, slot).is_err() {
                // The list is right for any key. This may allocate, a few bytes.
                self.overflow.reserve(1);
                let _position = self.insert_into_overflow(stored, slot).expect("room was made");
            }
        }
    }

    /// Takes a longer overflow list and hands out the old one.
    pub(super) fn exchange_overflow(&mut self, mut longer: Vec<Entry>) -> Vec<Entry> {
        longer.extend_from_slice(&self.overflow);
        std::mem::replace(&mut self.overflow, longer)
    }

    /// A segment of stored lines, less what `keep` refuses; `None` when a line contradicts itself, a key is where it cannot be found,
    /// or `belongs` refuses its bits.
    pub(super) fn from_lines(
        lines: &[[u8; 64]],
        mut overflow: Vec<Entry>,
        belongs: impl Fn(u32) -> bool,
        coming: impl Fn(Slot),
        mut keep: impl FnMut(Slot) -> bool,
    ) -> Option<Segment> {
        let (all, buckets) = (lines, lines.len());
        let mut segment = Segment { bucket_count: buckets as u32, ..Segment::default() };
        let mut keys = 0;
        for (part, (chunk, lines)) in segment.chunks.iter_mut().zip(lines.chunks(CHUNK_BUCKETS)).enumerate() {
            *chunk = vec![Bucket::default(); lines.len()].into();
            for (at, (bucket, line)) in chunk.iter_mut().zip(lines).enumerate() {
                let number = part * CHUNK_BUCKETS + at;
                if let Some(later) = all.get(number + LINES_AHEAD) {
                    slots_of(later).for_each(&coming);
                }
                keys += bucket.set_from(line, |stored, slot| {
                    let (home, other) = pair(stored, buckets);
                    (((number == home) | (number == other)) & belongs(stored), keep(slot))
                })?;
            }
        }
        let sound = overflow.iter().all(|entry| {
            let announced = segment.bucket(segment.pair(entry.stored()).0).has_overflow();
            announced && !entry.slot.is_empty() && belongs(entry.stored())
        });
        overflow.retain(|entry| keep(entry.slot));
        segment.keys = keys + overflow.len() as u32;
        segment.overflow = overflow;
        sound.then_some(segment)
    }

    fn has_twin(&self, stored: u32) -> bool {
        let (home, other) = self.pair(stored);
        self.bucket(home).matches(stored).next().is_some() || self.bucket(other).matches(stored).next().is_some()
    }

    fn insert_into_overflow(&mut self, stored: u32, slot: Slot) -> Result<Position, NoRoom> {
        if self.overflow.len() == self.overflow.capacity() {
            return Err(NoRoom::Overflow);
        }
        let (home, _) = self.pair(stored);
        self.bucket_mut(home).announce_overflow();
        self.overflow.push(Entry::new(stored, slot));
        self.keys += 1;
        Ok(Position::in_overflow(self.overflow.len() - 1))
    }

    /// Sends a key with twins from one of these buckets to the overflow list.
    fn evict_twin(&mut self, home: usize, other: usize) -> Result<(usize, usize), NoRoom> {
        for bucket in [home, other] {
            for at in 0..SLOTS {
                let stored = self.bucket(bucket).stored(at);
                let (first, second) = self.pair(stored);
                let in_first = self.bucket(first).matches(stored).count();
                let in_second = if second == first { 0 } else { self.bucket(second).matches(stored).count() };
                if in_first + in_second < 2 {
                    continue;
                }
                let slot = self.bucket(bucket).slot(at);
                self.insert_into_overflow(stored, slot)?;
                self.bucket_mut(bucket).take(at);
                self.keys -= 1;
                return Ok((bucket, at));
            }
        }
        Err(NoRoom::Grow)
    }

    /// Frees a slot in one of two full buckets by moving keys along the shortest chain that ends in a bucket with room.
    fn make_room(&mut self, home: usize, other: usize) -> Option<(usize, usize)> {
        /// A bucket reached by the search: from which step, by which slot of that step's bucket.
        #[derive(Clone, Copy)]
        struct Step {
            bucket: u8,
            from: u8,
            by: u8,
        }
        const ROOT: u8 = u8::MAX;
        let mut steps = [Step { bucket: 0, from: ROOT, by: 0 }; 2 + SEARCH_BUCKETS_MAX * SLOTS];
        let mut reached = 1_u128 << home | 1_u128 << other;
        let mut length = 1;
        steps[0].bucket = home as u8;
        if other != home {
            steps[1].bucket = other as u8;
            length = 2;
        }
        let mut next = 0;
        while next < length.min(SEARCH_BUCKETS_MAX) {
            let bucket = steps[next].bucket as usize;
            for by in 0..SLOTS {
                let (first, second) = self.pair(self.bucket(bucket).stored(by));
                let target = if first == bucket { second } else { first };
                if reached >> target & 1 == 1 {
                    continue;
                }
                reached |= 1 << target;
                let Some(mut vacancy) = self.bucket(target).vacancy() else {
                    steps[length] = Step { bucket: target as u8, from: next as u8, by: by as u8 };
                    length += 1;
                    continue;
                };
                // Backwards along the chain: each key moves into the place the one behind it left.
                let (mut target, mut by, mut at) = (target, by, next);
                loop {
                    let source = steps[at].bucket as usize;
                    let stored = self.bucket(source).stored(by);
                    let slot = self.bucket_mut(source).take(by);
                    self.bucket_mut(target).put(vacancy, stored, slot);
                    (target, vacancy) = (source, by);
                    if steps[at].from == ROOT {
                        return Some((target, vacancy));
                    }
                    by = steps[at].by as usize;
                    at = steps[at].from as usize;
                }
            }
            next += 1;
        }
        None
    }
}
