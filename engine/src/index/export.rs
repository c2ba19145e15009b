//! Segments as plain words, for a checkpoint: a restart copies them back and rehashes nothing.
//!
//! ```text
//!  word 0   hash prefix of the segment, left-aligned
//!  word 1   version 8 | shard bits 8 | base bits 8 | depth 8 | buckets 32      (highest bits first)
//!  word 2   length of the overflow list
//!  then     8 words per bucket (see bucket.rs), 2 words per key of the list: slot, tag
//! ```
//! Promises: segments exported one after the other, with inserts between the calls, cover each prefix once. An import believes
//! nothing: every key must stand where it will be looked for. Checksums are the file's business.

use super::Index;
use super::bucket::{Bucket, STORED_BITS};
use super::segment::{Entry, SIZES, Segment};
use super::slot::Slot;
use super::tree::{Node, bit_at, width};

const VERSION: u64 = 1;
const HEADER_WORDS: usize = 3;

/// Why words are no segment of this index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadSegment {
    /// Fewer words than the header says.
    Short,
    /// Another version, or other shard or base bits: insert the keys one by one instead.
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

impl Index {
    /// Appends the first segment from `cursor` on to `words`; answers the cursor for the next one, `None` at the end (which may
    /// append nothing). 0 begins. At most 8 KiB and the overflow list, so it may be called under the latch.
    pub fn export_segment(&self, cursor: u64, words: &mut Vec<u64>) -> Option<u64> {
        let (base, stored, next) = self.segment_from(cursor)?;
        let (node, depth) = self.bases[base as usize].descend(stored);
        let segment = node.segment().expect("a segment was found there");
        self.append(segment, self.prefix(base, stored & !(width(depth) - 1)), depth, words);
        next
    }

    /// Puts one exported segment from the head of `words` back; answers how many words it took. On an error nothing changed.
    pub fn import_segment(&mut self, words: &[u64]) -> Result<usize, BadSegment> {
        let (header, rest) = words.split_first_chunk::<HEADER_WORDS>().ok_or(BadSegment::Short)?;
        let [prefix, shape, overflow] = *header;
        let (depth, buckets) = ((shape >> 32) as u32 & 0xff, (shape & 0xffff_ffff) as usize);
        if depth > STORED_BITS || self.shape(depth, buckets) != shape {
            return Err(BadSegment::OtherShape);
        }
        if !SIZES.contains(&buckets) {
            return Err(BadSegment::Corrupt);
        }
        let (table, rest) = rest.split_at_checked(buckets * 8).ok_or(BadSegment::Short)?;
        let overflow =
            usize::try_from(overflow).ok().filter(|&length| length <= rest.len() / 2).ok_or(BadSegment::Short)?;
        let (base, first) = self.address(prefix);
        let same_shard = self.is_empty() || self.shard_prefix_of(prefix) == self.shard_prefix;
        let belongs = |stored: u32| (stored ^ first) >> (STORED_BITS - depth) == 0;
        let segment = parse(table, &rest[..overflow * 2], belongs).filter(|_| same_shard).ok_or(BadSegment::Corrupt)?;
        self.attach(base, first, depth, prefix, segment)?;
        Ok(HEADER_WORDS + buckets * 8 + overflow * 2)
    }

    fn shape(&self, depth: u32, buckets: usize) -> u64 {
        VERSION << 56
            | u64::from(self.shard_bits) << 48
            | u64::from(self.base_bits) << 40
            | u64::from(depth) << 32
            | buckets as u64
    }

    fn append(&self, segment: &Segment, prefix: u64, depth: u32, words: &mut Vec<u64>) {
        words.extend([prefix, self.shape(depth, segment.bucket_count()), segment.overflow.len() as u64]);
        for bucket in segment.buckets() {
            words.extend(bucket.words());
        }
        for entry in &segment.overflow {
            words.extend([entry.slot.bits(), u64::from(entry.tag)]);
        }
    }

    fn attach(&mut self, base: u32, first: u32, depth: u32, prefix: u64, segment: Segment) -> Result<(), BadSegment> {
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

fn parse(table: &[u64], list: &[u64], belongs: impl Fn(u32) -> bool) -> Option<Segment> {
    let (lines, _) = table.as_chunks::<8>();
    let buckets = lines.iter().map(Bucket::from_words).collect::<Option<Vec<Bucket>>>()?;
    let (pairs, _) = list.as_chunks::<2>();
    let overflow =
        pairs.iter().map(|&[slot, tag]| Some(Entry { slot: Slot::from_bits(slot)?, tag: u8::try_from(tag).ok()? }));
    Segment::from_parts(&buckets, overflow.collect::<Option<Vec<Entry>>>()?, belongs)
}
