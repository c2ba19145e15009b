//! Segments as plain words, for a checkpoint: a restart copies them back and rehashes nothing.
//!
//! ```text
//!  word 0   hash prefix of the segment, left-aligned
//!  word 1   version 8 | 0 8 | base bits 8 | depth 8 | buckets 32      (highest bits first)
//!  word 2   length of the overflow list
//!  then     8 words per bucket (see bucket.rs), 2 words per key of the list: slot, tag
//! ```
//! Promises: segments exported one after the other, with inserts between the calls, cover each prefix once. An import believes
//! nothing: every key must stand where it will be looked for. The number of shards may have changed meanwhile: a base segment lies
//! in one shard whatever it is. Checksums are the file's business.

use super::Index;
use super::bucket::STORED_BITS;
use super::segment::{Entry, SIZES, Segment};
use super::slot::Slot;
use super::tree::{Node, bit_at, width};

const VERSION: u64 = 1;
const HEADER_WORDS: usize = 3;
const HEADER_BYTES: usize = HEADER_WORDS * 8;

/// Why words are no segment of this index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadSegment {
    /// Fewer words than the header says.
    Short,
    /// Another version, or other base bits.
    OtherShape,
    /// The contents contradict each other.
    Corrupt,
    /// Keys with this prefix are in the index already.
    Overlap,
}

impl std::fmt::Display for BadSegment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            BadSegment::Short => "the index segment ends too early",
            BadSegment::OtherShape => "the index segment was written with another version or other sizes",
            BadSegment::Corrupt => "the index segment is corrupt",
            BadSegment::Overlap => "the index segment is there twice",
        })
    }
}

impl std::error::Error for BadSegment {}

/// An exported segment, checked and ready to be attached: what takes time is done before any latch is taken.
#[derive(Debug)]
pub struct Part {
    prefix: u64,
    base_bits: u32,
    depth: u32,
    segment: Segment,
}

impl Part {
    /// Parses the segment at the head of `bytes` (its words in little-endian), less the slots that `keep` refuses; answers how many
    /// bytes it took, too. `keep` is asked about empty slots as well; `coming` hears of most slots a little before.
    pub fn parse(
        base_bits: u32,
        bytes: &[u8],
        coming: impl Fn(Slot),
        keep: impl FnMut(Slot) -> bool,
    ) -> Result<(Part, usize), BadSegment> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BadSegment::Short)?;
        let header = header.as_chunks::<8>().0;
        let [prefix, shaped, overflow] = [0, 1, 2].map(|at: usize| u64::from_le_bytes(header[at]));
        let (depth, buckets) = ((shaped >> 32) as u32 & 0xff, (shaped & 0xffff_ffff) as usize);
        if depth > STORED_BITS || shape(base_bits, depth, buckets) != shaped {
            return Err(BadSegment::OtherShape);
        }
        if !SIZES.contains(&buckets) {
            return Err(BadSegment::Corrupt);
        }
        let (table, rest) = rest.split_at_checked(buckets * 64).ok_or(BadSegment::Short)?;
        let overflow =
            usize::try_from(overflow).ok().filter(|&length| length <= rest.len() / 16).ok_or(BadSegment::Short)?;
        let list = rest[..overflow * 16].as_chunks::<16>().0;
        let list = list.iter().map(entry).collect::<Option<Vec<Entry>>>().ok_or(BadSegment::Corrupt)?;
        let first = (prefix << base_bits >> (64 - STORED_BITS)) as u32;
        let belongs = |stored: u32| (stored ^ first) >> (STORED_BITS - depth) == 0;
        let lines = table.as_chunks::<64>().0;
        let segment = Segment::from_lines(lines, list, belongs, coming, keep).ok_or(BadSegment::Corrupt)?;
        Ok((Part { prefix, base_bits, depth, segment }, HEADER_BYTES + buckets * 64 + overflow * 16))
    }

    /// The first bits of the hashes of its keys, left-aligned.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }
}

fn shape(base_bits: u32, depth: u32, buckets: usize) -> u64 {
    VERSION << 56 | u64::from(base_bits) << 40 | u64::from(depth) << 32 | buckets as u64
}

impl Index {
    /// Appends the first segment from `cursor` on to `words`, each slot as `as_stored` says (`None`: without it); answers the
    /// cursor for the next one, `None` at the end (which may append nothing). 0 begins. At most 8 KiB and the overflow list, so it
    /// may be called under the latch.
    pub fn export_segment(
        &self,
        cursor: u64,
        words: &mut Vec<u64>,
        as_stored: impl FnMut(Slot) -> Option<Slot>,
    ) -> Option<u64> {
        let (base, stored, next) = self.segment_from(cursor)?;
        let (node, depth) = self.bases[base as usize].descend(stored);
        let segment = node.segment().expect("a segment was found there");
        self.append(segment, self.prefix(base, stored & !(width(depth) - 1)), depth, words, as_stored);
        next
    }

    /// Puts a parsed segment in. On an error nothing changed.
    pub fn attach(&mut self, part: Part) -> Result<(), BadSegment> {
        let (base, first) = self.address(part.prefix);
        if part.base_bits != self.base_bits
            || !self.is_empty() && self.shard_prefix_of(part.prefix) != self.shard_prefix
        {
            return Err(BadSegment::OtherShape);
        }
        self.plant(base, first, part.depth, part.prefix, part.segment)
    }

    fn append(
        &self,
        segment: &Segment,
        prefix: u64,
        depth: u32,
        words: &mut Vec<u64>,
        mut as_stored: impl FnMut(Slot) -> Option<Slot>,
    ) {
        let header = words.len();
        words.extend([prefix, shape(self.base_bits, depth, segment.bucket_count()), 0]);
        for bucket in segment.buckets() {
            let mut copy = *bucket;
            for (at, slot) in bucket.entries() {
                match as_stored(slot) {
                    Some(stored) => copy.replace(at, stored),
                    None => {
                        copy.take(at);
                    }
                }
            }
            words.extend(copy.words());
        }
        for entry in &segment.overflow {
            if let Some(stored) = as_stored(entry.slot) {
                words.extend([stored.with_hash(entry.slot.hash()).bits(), u64::from(entry.tag)]);
                words[header + 2] += 1;
            }
        }
    }

    fn plant(&mut self, base: u32, first: u32, depth: u32, prefix: u64, segment: Segment) -> Result<(), BadSegment> {
        if segment.keys() == 0 {
            return Ok(());
        }
        let (end, end_depth) = self.bases[base as usize].descend(first);
        if !matches!(end, Node::Empty) || end_depth > depth {
            return Err(BadSegment::Overlap);
        }
        if self.is_empty() {
            self.shard_prefix = self.shard_prefix_of(prefix);
        }
        self.keys += segment.keys() as u64;
        self.bytes += segment.bytes() + u64::from(depth - end_depth) * size_of::<[Node; 2]>() as u64;
        let (mut node, end_depth) = self.bases[base as usize].descend_mut(first);
        for level in end_depth..depth {
            *node = Node::Branch(Box::default());
            let Node::Branch(children) = node else { unreachable!("just made") };
            node = &mut children[bit_at(first, level)];
        }
        *node = Node::Leaf(Box::new(segment));
        Ok(())
    }
}

/// A key of the overflow list: its slot, and its tag.
fn entry(bytes: &[u8; 16]) -> Option<Entry> {
    let words = bytes.as_chunks::<8>().0;
    let slot = Slot::from_bits(u64::from_le_bytes(words[0]))?;
    Some(Entry { slot, tag: u8::try_from(u64::from_le_bytes(words[1])).ok()? })
}
