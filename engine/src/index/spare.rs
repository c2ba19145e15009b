//! Memory for growth, allocated before the latch is taken and freed after it was left.
//!
//! ```text
//!  loop {
//!      match latch.lock().index.insert(hash, slot, &mut spare) {
//!          Ok(at) => ...,
//!          Err(NeedsMemory { bytes }) => { charge bytes to the budget; spare.refill() }     // the latch is free here
//!      }
//!  }
//! ```
//! Promises: after `refill` the same insert gets one step further; what growth no longer needs waits here until the next
//! `refill` or the end, so the latch holder calls no allocator. Bounded: about 30 KiB.

use super::bucket::{Bucket, SLOTS};
use super::segment::{BUCKETS_MAX, CHUNK_BUCKETS, Chunk, Entry, Segment, chunk_length};
use super::slot::Slot;
use super::tree::Node;

/// Segments of a single bucket, as fresh ones are, kept in stock.
const FRESH_STOCK: usize = 4;
/// Whole chunks kept in stock.
const CHUNK_STOCK: usize = 1;
/// Chunks held at most: those of a segment, twice.
const CHUNKS_MAX: usize = 2 * BUCKETS_MAX / CHUNK_BUCKETS;

/// An insert must wait for `Spare::refill`, which will take about this much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NeedsMemory {
    /// Bytes to charge before the refill.
    pub bytes: u64,
}

impl std::fmt::Display for NeedsMemory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the index needs {} bytes to grow", self.bytes)
    }
}

impl std::error::Error for NeedsMemory {}

/// What one growth step takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Whole chunks.
    pub(super) chunks: usize,
    /// Buckets of each shorter chunk; 0 is none.
    pub(super) tails: [usize; 2],
    pub(super) segments: usize,
    pub(super) branches: usize,
    /// Capacity of an overflow list; 0 is none.
    pub(super) overflow: usize,
    /// Keys that are moved.
    pub(super) keys: usize,
}

impl Wanted {
    /// And what makes a table of `buckets` out of an `old` one.
    pub(super) fn with_table(mut self, old: usize, buckets: usize) -> Wanted {
        for number in 0..BUCKETS_MAX / CHUNK_BUCKETS {
            match chunk_length(buckets, number) {
                length if length == chunk_length(old, number) => {}
                CHUNK_BUCKETS => self.chunks += 1,
                tail => {
                    if let Some(free) = self.tails.iter_mut().find(|tail| **tail == 0) {
                        *free = tail;
                    }
                }
            }
        }
        self
    }

    /// And the box of a segment.
    pub(super) fn with_segment(mut self) -> Wanted {
        self.segments += 1;
        self
    }

    fn bytes(&self) -> u64 {
        let buckets = self.chunks * CHUNK_BUCKETS + self.tails.iter().sum::<usize>();
        let parts = self.segments * size_of::<Segment>() + self.branches * size_of::<[Node; 2]>();
        let keys = self.overflow * size_of::<Entry>() + self.keys * size_of::<(u32, Slot)>();
        (buckets * size_of::<Bucket>() + parts + keys) as u64
    }

    /// Lengths of the chunks that `stock` does not have.
    fn missing<'a>(&self, stock: &'a [Chunk]) -> impl Iterator<Item = usize> + use<'a> {
        let has = move |buckets: usize| stock.iter().filter(|chunk| chunk.len() == buckets).count();
        let whole = self.chunks.saturating_sub(has(CHUNK_BUCKETS));
        let [first, second] = self.tails;
        let tails = [(first, 1), (second, if first == second { 2 } else { 1 })];
        let tails = tails.into_iter().filter(move |&(buckets, count)| buckets > 0 && has(buckets) < count);
        std::iter::repeat_n(CHUNK_BUCKETS, whole).chain(tails.map(|(buckets, _)| buckets))
    }
}

/// Pre-allocated memory for growth. By default nothing is in stock: the first insert into an empty index asks for a refill.
#[expect(clippy::vec_box, reason = "the boxes themselves are what the tree takes")]
#[derive(Debug, Default)]
pub struct Spare {
    chunks: Vec<Chunk>,
    segments: Vec<Box<Segment>>,
    branches: Vec<Box<[Node; 2]>>,
    overflow: Vec<Entry>,
    /// Where keys wait while their segment changes.
    keys: Vec<(u32, Slot)>,
    wanted: Wanted,
}

impl Spare {
    /// Allocates what the last insert was short of, and a small stock. Frees what growth left over. Call it outside the latch.
    pub fn refill(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        let held = std::mem::replace(&mut self.chunks, Vec::with_capacity(CHUNKS_MAX));
        let stocked = Wanted { chunks: wanted.chunks.max(CHUNK_STOCK), ..wanted };
        for chunk in held {
            let same = self.chunks.iter().filter(|kept| kept.len() == chunk.len()).count();
            let enough = match chunk.len() {
                CHUNK_BUCKETS => stocked.chunks,
                1 => FRESH_STOCK,
                length => stocked.tails.iter().filter(|&&tail| tail == length).count(),
            };
            if same < enough {
                self.chunks.push(chunk);
            }
        }
        let missing: Vec<usize> = stocked.missing(&self.chunks).collect();
        self.chunks.extend(missing.into_iter().map(new_chunk));
        let fresh = self.chunks.iter().filter(|chunk| chunk.len() == 1).count();
        self.chunks.extend((fresh..FRESH_STOCK).map(|_| new_chunk(1)));
        self.segments.resize_with(FRESH_STOCK.max(wanted.segments), Box::default);
        self.branches.resize_with(wanted.branches.max(1), || Box::new([Node::Empty, Node::Empty]));
        self.overflow = Vec::with_capacity(wanted.overflow);
        self.keys.shrink_to(wanted.keys.max(BUCKETS_MAX * SLOTS));
        self.keys.reserve(wanted.keys);
    }

    /// What it holds just now.
    pub fn bytes(&self) -> u64 {
        let buckets: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        let parts = Wanted {
            segments: self.segments.len(),
            branches: self.branches.len(),
            overflow: self.overflow.capacity(),
            keys: self.keys.capacity(),
            ..Wanted::default()
        };
        parts.bytes() + (buckets * size_of::<Bucket>()) as u64
    }

    /// Makes sure that all of `wanted` is here, or notes it for the refill.
    pub(super) fn demand(&mut self, wanted: Wanted) -> Result<(), NeedsMemory> {
        let has_parts = self.segments.len() >= wanted.segments && self.branches.len() >= wanted.branches;
        let has_lists = self.overflow.capacity() >= wanted.overflow && self.keys.capacity() >= wanted.keys;
        if has_parts && has_lists && wanted.missing(&self.chunks).next().is_none() {
            return Ok(());
        }
        self.wanted = wanted;
        Err(NeedsMemory { bytes: wanted.bytes() })
    }

    // What follows takes what `demand` made sure of.

    pub(super) fn segment(&mut self, buckets: usize) -> Box<Segment> {
        let mut segment = self.segments.pop().expect("demanded before");
        self.resize(&mut segment, buckets);
        segment
    }

    /// Changes the number of buckets of an empty segment; left-over chunks go into the stock.
    pub(super) fn resize(&mut self, segment: &mut Segment, buckets: usize) {
        let mut left_over: [Chunk; BUCKETS_MAX / CHUNK_BUCKETS] = Default::default();
        let mut free = left_over.iter_mut();
        segment.resize(
            buckets,
            |length| {
                let at = self.chunks.iter().position(|chunk| chunk.len() == length).expect("demanded before");
                self.chunks.swap_remove(at)
            },
            |old| *free.next().expect("a segment has no more chunks than this") = old,
        );
        let room = CHUNKS_MAX - self.chunks.len().min(CHUNKS_MAX);
        self.chunks.extend(left_over.into_iter().filter(|chunk| !chunk.is_empty()).take(room));
    }

    /// Takes all keys of a segment out; the list comes back by `put_back`.
    pub(super) fn drain(&mut self, segment: &mut Segment) -> Vec<(u32, Slot)> {
        let mut keys = std::mem::take(&mut self.keys);
        segment.drain(&mut keys);
        keys
    }

    pub(super) fn put_back(&mut self, mut keys: Vec<(u32, Slot)>) {
        keys.clear();
        self.keys = keys;
    }

    pub(super) fn list(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.overflow)
    }

    pub(super) fn retire_list(&mut self, mut list: Vec<Entry>) {
        list.clear();
        self.overflow = list;
    }

    pub(super) fn branch(&mut self) -> Box<[Node; 2]> {
        self.branches.pop().expect("demanded before")
    }
}

fn new_chunk(buckets: usize) -> Chunk {
    vec![Bucket::default(); buckets].into_boxed_slice()
}
