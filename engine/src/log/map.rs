//! The liveness map: which records of the log are live, as of a seq `B`. Small, durable in two files, one written after the other.
//!
//! ```text
//!  header 64: | crc u32 | "TCMP" | store u32 | segments u32 | generation u64 | B u64 | last seq u64 | body bytes u64 | spaces u32 | sweeps u32 | next space u32 | proven u32 |
//!  body:      space u32 x spaces
//!             sweeps: | id u64 | space u32 | extents u32 | state u32 (0 sweep, 1 intent) |
//!                     extents 0: the nodes of a tree; its root follows (engine/value/src/packed/root.rs), in 24 bytes
//!             per segment: | segment u32 | epoch u32 | covered u32 | grain shift u8, stream u8, 0 u16 | bit words u32 | live bytes u64 | earliest expiry u64 | u64 x words |
//!  crc over bytes 4.. of header and body
//! ```
//! `proven`: so many seqs behind `last seq` were durable too when the map was written. The bits may speak of what they killed.
//!
//! One bit per grain: a grain is so small that no two values of its segment start in the same one (docs/decisions/0003).
//!
//! Promises: a record below `covered` is live iff its bit is set; everything else is "beyond the map" and is replayed. A map is
//! written only when everything that killed one of its dead is durable. Never: half a map believed.

use super::record::{Seq, u32_at, u64_at};
use crate::change::SpaceId;
use thermocline_value::Root;

/// File names of the two copies.
pub const FILES: [&str; 2] = ["map-0", "map-1"];
const MAGIC: [u8; 4] = *b"TCMP";
const HEADER_BYTES: usize = 64;
const ROOT_BYTES: usize = Root::BYTES_MAX;
const SEGMENT_FIXED_BYTES: usize = 36;

/// One segment's part of a map.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct MapSegment {
    /// Segment number.
    pub segment: u32,
    /// Its epoch.
    pub epoch: u32,
    /// Bytes that this map speaks of.
    pub covered: u32,
    /// log2 of the grain in bytes.
    pub grain_shift: u8,
    /// The stream that wrote it (0 in maps of format 1).
    pub stream: u8,
    /// Live bytes, for the choice of victims.
    pub live_bytes: u64,
    /// No value in it expires before this Unix millisecond (`u64::MAX`: none expires).
    pub earliest_expiry_ms: u64,
    /// One bit per grain.
    pub bits: Vec<u64>,
}

impl MapSegment {
    /// Is the record at `offset` live?
    pub fn live(&self, offset: u32) -> bool {
        let grain = (offset >> self.grain_shift) as usize;
        offset < self.covered && self.bits.get(grain / 64).is_some_and(|w| w >> (grain % 64) & 1 == 1)
    }

    /// Counts the records that it calls live and that are found.
    pub fn finder(&self) -> Finder<'_> {
        Finder { map: self, whole: self.covered >> self.grain_shift, found: 0 }
    }

    /// No bit is set below the covered length.
    pub fn none_live(&self) -> bool {
        self.bits.iter().all(|&w| w == 0)
    }
}

/// How many of the records that a map calls live are there. The grain in which `covered` lies does not count: its bit may be that of a
/// record behind.
pub struct Finder<'m> {
    map: &'m MapSegment,
    /// Grains that lie wholly below `covered`.
    whole: u32,
    found: u32,
}

impl Finder<'_> {
    /// The record at this offset is there.
    #[inline]
    pub fn note(&mut self, offset: u32) {
        self.found += u32::from(offset >> self.map.grain_shift < self.whole);
    }

    /// How many were not.
    pub fn missing(&self) -> u32 {
        let bits =
            self.map.bits.iter().enumerate().map(|(at, word)| match (self.whole as usize).saturating_sub(at * 64) {
                0 => 0,
                left @ 1..64 => word & (u64::MAX >> (64 - left)),
                _ => *word,
            });
        let live: u32 = bits.map(u64::count_ones).sum();
        live.saturating_sub(self.found)
    }
}

/// The part of a map that grows with the log, encoded segment by segment, so that no two forms of it are in memory at once.
#[derive(Default)]
pub struct MapBody {
    bytes: Vec<u8>,
    segments: u32,
}

impl MapBody {
    /// Adds a segment with these bits (not its own).
    pub fn push(&mut self, entry: &MapSegment, bits: impl ExactSizeIterator<Item = u64>) {
        let grain = u32::from(entry.grain_shift) | u32::from(entry.stream) << 8;
        for word in [entry.segment, entry.epoch, entry.covered, grain, bits.len() as u32] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(&entry.live_bytes.to_le_bytes());
        self.bytes.extend_from_slice(&entry.earliest_expiry_ms.to_le_bytes());
        bits.for_each(|word| self.bytes.extend_from_slice(&word.to_le_bytes()));
        self.segments += 1;
    }

    /// Other covered lengths, in order. Only a planted bug wants that.
    pub fn set_covered(&mut self, lengths: impl Iterator<Item = u32>) {
        let mut at = 0;
        for covered in lengths {
            let Some(entry) = self.bytes.get_mut(at..at + SEGMENT_FIXED_BYTES) else { return };
            entry[8..12].copy_from_slice(&covered.to_le_bytes());
            at += SEGMENT_FIXED_BYTES + 8 * u32_at(entry, 16) as usize;
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Unfinished work on extents that a crash must resume.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Pending {
    /// Id of the value whose extents these are.
    pub id: u64,
    /// Visible space of the value.
    pub space: SpaceId,
    /// How many extents there may be.
    pub extents: u32,
    /// An intent (not committed yet) rather than a sweep.
    pub intent: bool,
    /// The nodes below this root are to be swept, not extents (of which there are 0 then).
    pub tree: Option<Root>,
}

impl Pending {
    /// The sweep of a tree.
    pub fn of_tree(space: SpaceId, root: Root) -> Pending {
        Pending { id: root.collection.0, space, extents: 0, intent: false, tree: Some(root) }
    }
}

/// A whole map.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct Map {
    /// Counts up with each write.
    pub generation: u64,
    /// The first seq that this map does not speak of.
    pub b: Seq,
    /// The foreground stream's last seq at `B` (a cut makes it differ from B - 1).
    pub last_seq: Seq,
    /// Everything up to here was durable when the map was written.
    pub durable_seq: Seq,
    /// Next space id.
    pub next_space: u32,
    /// Space of each database.
    pub spaces: Vec<SpaceId>,
    /// Sweeps and intents.
    pub pending: Vec<Pending>,
    /// Per segment.
    pub segments: Vec<MapSegment>,
}

impl Map {
    /// The bytes of a copy with these segments instead of its own, a multiple of 4 KiB: a head, and the body as it came.
    pub fn encode_with(&self, store: u32, body: MapBody) -> (Vec<u8>, Vec<u8>) {
        let mut head = vec![0; HEADER_BYTES];
        for space in &self.spaces {
            head.extend_from_slice(&space.0.to_le_bytes());
        }
        for p in &self.pending {
            head.extend_from_slice(&p.id.to_le_bytes());
            for word in [p.space.0, p.extents, u32::from(p.intent)] {
                head.extend_from_slice(&word.to_le_bytes());
            }
            if let Some(root) = &p.tree {
                let start = head.len();
                root.encode(&mut head);
                head.resize(start + ROOT_BYTES, 0);
            }
        }
        let bytes = (head.len() - HEADER_BYTES + body.bytes.len()) as u64;
        head[4..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&store.to_le_bytes());
        head[12..16].copy_from_slice(&body.segments.to_le_bytes());
        head[16..24].copy_from_slice(&self.generation.to_le_bytes());
        head[24..32].copy_from_slice(&self.b.to_le_bytes());
        head[32..40].copy_from_slice(&self.last_seq.to_le_bytes());
        head[40..48].copy_from_slice(&bytes.to_le_bytes());
        head[48..52].copy_from_slice(&(self.spaces.len() as u32).to_le_bytes());
        head[52..56].copy_from_slice(&(self.pending.len() as u32).to_le_bytes());
        head[56..60].copy_from_slice(&self.next_space.to_le_bytes());
        let proven = u32::try_from(self.durable_seq.saturating_sub(self.last_seq)).unwrap_or(u32::MAX);
        head[60..64].copy_from_slice(&proven.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[4..]);
        crc.update(&body.bytes);
        head[..4].copy_from_slice(&crc.finalize().to_le_bytes());
        let mut rest = body.bytes;
        let padded = (head.len() + rest.len()).next_multiple_of(4096) - head.len();
        rest.resize(padded, 0);
        (head, rest)
    }

    /// The generation of a whole copy of this store.
    pub fn peek(store: u32, from: &[u8]) -> Option<u64> {
        if from.len() < HEADER_BYTES || from[4..8] != MAGIC || u32_at(from, 8) != store {
            return None;
        }
        let end = usize::try_from(u64_at(from, 40)).ok()?.checked_add(HEADER_BYTES)?;
        let whole = end <= from.len() && crc32fast::hash(&from[4..end]) == u32_at(from, 0);
        whole.then(|| u64_at(from, 16))
    }

    /// Reads a copy of this store.
    pub fn decode(store: u32, from: &[u8]) -> Option<Map> {
        Map::peek(store, from)?;
        let mut at = HEADER_BYTES;
        let mut word = || {
            let w = from.get(at..at + 4).map(|_| u32_at(from, at));
            at += 4;
            w
        };
        let spaces = (0..u32_at(from, 48)).map(|_| word().map(SpaceId)).collect::<Option<Vec<_>>>()?;
        let mut pending = Vec::new();
        for _ in 0..u32_at(from, 52) {
            let id = u64::from(word()?) | u64::from(word()?) << 32;
            let mut p = Pending { id, space: SpaceId(word()?), extents: word()?, intent: word()? != 0, tree: None };
            if p.extents == 0 {
                let words = (0..ROOT_BYTES / 4).map(|_| word()).collect::<Option<Vec<_>>>()?;
                p.tree = Root::decode_front(&words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>()).ok();
                p.tree?;
            }
            pending.push(p);
        }
        let mut segments = Vec::new();
        for _ in 0..u32_at(from, 12) {
            let fixed = from.get(at..at + SEGMENT_FIXED_BYTES)?;
            at += SEGMENT_FIXED_BYTES;
            let bits = from.get(at..at + 8 * u32_at(fixed, 16) as usize)?.as_chunks::<8>().0;
            at += 8 * bits.len();
            segments.push(MapSegment {
                segment: u32_at(fixed, 0),
                epoch: u32_at(fixed, 4),
                covered: u32_at(fixed, 8),
                grain_shift: fixed[12],
                stream: fixed[13],
                live_bytes: u64_at(fixed, 20),
                earliest_expiry_ms: u64_at(fixed, 28),
                bits: bits.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            });
        }
        Some(Map {
            generation: u64_at(from, 16),
            b: u64_at(from, 24),
            last_seq: u64_at(from, 32),
            durable_seq: u64_at(from, 32) + u64::from(u32_at(from, 60)),
            next_space: u32_at(from, 56),
            spaces,
            pending,
            segments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thermocline_value::{CollectionId, NodeId, TreeTop};

    #[test]
    fn a_map_comes_back_and_damage_is_not_believed() {
        let tree = TreeTop { node: NodeId::new(77), levels: 2 };
        let root = Root { collection: CollectionId(5), tree, second: None, expiries: false };
        let map = Map {
            generation: 3,
            b: 100,
            last_seq: 98,
            durable_seq: 105,
            next_space: 34,
            spaces: vec![SpaceId(0), SpaceId(2)],
            pending: vec![
                Pending { id: u64::MAX - 4, space: SpaceId(2), extents: 9, intent: true, tree: None },
                Pending::of_tree(SpaceId(4), root),
            ],
            segments: vec![MapSegment {
                segment: 7,
                epoch: 2,
                covered: 8192,
                grain_shift: 5,
                stream: 2,
                live_bytes: 1 << 40,
                earliest_expiry_ms: 1 << 50,
                bits: vec![1, u64::MAX],
            }],
        };
        let mut body = MapBody::default();
        map.segments.iter().for_each(|s| body.push(s, s.bits.iter().copied()));
        let (head, rest) = map.encode_with(11, body);
        let bytes = [head, rest].concat();
        assert!(bytes.len().is_multiple_of(4096));
        assert_eq!(Map::decode(11, &bytes), Some(map.clone()));
        assert_eq!(Map::decode(12, &bytes), None);
        for at in (0..200).step_by(3) {
            let mut bad = bytes.clone();
            bad[at] ^= 2;
            let read = Map::decode(11, &bad);
            assert!(read.is_none() || read == Some(map.clone()), "byte {at}");
        }
        assert!(map.segments[0].live(0) && !map.segments[0].live(32) && map.segments[0].live(64 * 32));
        let missing = |segment: &MapSegment, found: &[u32]| {
            let mut finder = segment.finder();
            found.iter().for_each(|&offset| finder.note(offset));
            finder.missing()
        };
        assert_eq!(missing(&map.segments[0], &[0, 64 * 32, 70 * 32]), 1 + 64 - 3);
        let half = MapSegment { covered: 32 * 65 + 16, ..map.segments[0].clone() };
        assert_eq!(missing(&half, &[0, 65 * 32]), 1, "the last grain may speak of what lies behind");
    }
}
