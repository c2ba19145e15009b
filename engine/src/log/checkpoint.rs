//! The checkpoint: the index with places only, so that a restart copies it back instead of reading the log.
//!
//! ```text
//!  block 0 (4 KiB): | crc u32 | "TCC2" | store u32 | table crc u32 | generation u64 | map generation u64 | B u64 |
//!                   | table offset u64 | table bytes u32 | frames u32 | segments u32 | base bits u8 | 0 .. |
//!  frames (from 4096, each on a block): per index segment | space u64 | words u64 | u64 x words (index/export.rs) |
//!  table: frames   | offset u64 | bytes u32 | crc u32 |
//!         segments | segment u32 | epoch u32 | covered u32 |
//!  crc over bytes 4..72 of block 0; a frame's over its bytes
//! ```
//! `B` and the covered lengths are fixed before the first slot is read; the slots are read while writes go on. A slot that names
//! a place at or beyond the lengths, or in a segment of another epoch, is newer than the checkpoint and void: the log says it.
//! Of the others those count whose bit is live in a map that was *begun* after the last slot was read: such a map has the named
//! generation or a higher one.
//!
//! Promises: block 0 is zeroed first and written last, so a checkpoint is whole or not there. Never: used beside an older map.

use super::record::{Seq, u32_at, u64_at};

/// File names of the two copies: generation g goes to file g mod 2.
pub const FILES: [&str; 2] = ["checkpoint-0", "checkpoint-1"];
/// Where the frames begin.
pub const BODY_OFFSET: u64 = 4096;
const MAGIC: [u8; 4] = *b"TCC2";
const HEADER_BYTES: usize = 72;
const FRAME_BYTES: usize = 16;
const LENGTH_BYTES: usize = 12;

/// The header.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct CheckpointHeader {
    /// The store's id.
    pub store: u32,
    /// CRC-32 of the table.
    pub table_crc: u32,
    /// Counts up with each checkpoint.
    pub generation: u64,
    /// A map of this generation or a higher one may be used with it.
    pub map_generation: u64,
    /// The first seq that it does not speak of.
    pub b: Seq,
    /// Where the table lies.
    pub table_offset: u64,
    /// Its length.
    pub table_bytes: u32,
    /// Frames.
    pub frames: u32,
    /// Segments whose lengths it knows.
    pub segments: u32,
    /// Base bits of the exported segments.
    pub base_bits: u8,
}

/// A run of whole index segments.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Frame {
    /// Where it lies in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u32,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// How much of a segment a checkpoint speaks of.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Length {
    /// Segment number.
    pub segment: u32,
    /// Its epoch.
    pub epoch: u32,
    /// Bytes covered.
    pub covered: u32,
}

/// Where the frames are and what they speak of.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct Table {
    /// In the order of the file.
    pub frames: Vec<Frame>,
    /// As of `B`.
    pub lengths: Vec<Length>,
}

impl CheckpointHeader {
    /// Block 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; BODY_OFFSET as usize];
        out[4..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.store.to_le_bytes());
        out[12..16].copy_from_slice(&self.table_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.generation.to_le_bytes());
        out[24..32].copy_from_slice(&self.map_generation.to_le_bytes());
        out[32..40].copy_from_slice(&self.b.to_le_bytes());
        out[40..48].copy_from_slice(&self.table_offset.to_le_bytes());
        out[48..52].copy_from_slice(&self.table_bytes.to_le_bytes());
        out[52..56].copy_from_slice(&self.frames.to_le_bytes());
        out[56..60].copy_from_slice(&self.segments.to_le_bytes());
        out[60] = self.base_bits;
        let crc = crc32fast::hash(&out[4..HEADER_BYTES]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads block 0.
    pub fn decode(from: &[u8]) -> Option<CheckpointHeader> {
        if from.len() < HEADER_BYTES
            || from[4..8] != MAGIC
            || crc32fast::hash(&from[4..HEADER_BYTES]) != u32_at(from, 0)
        {
            return None;
        }
        Some(CheckpointHeader {
            store: u32_at(from, 8),
            table_crc: u32_at(from, 12),
            generation: u64_at(from, 16),
            map_generation: u64_at(from, 24),
            b: u64_at(from, 32),
            table_offset: u64_at(from, 40),
            table_bytes: u32_at(from, 48),
            frames: u32_at(from, 52),
            segments: u32_at(from, 56),
            base_bits: from[60],
        })
    }
}

impl Table {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frames.len() * FRAME_BYTES + self.lengths.len() * LENGTH_BYTES);
        for frame in &self.frames {
            out.extend_from_slice(&frame.offset.to_le_bytes());
            out.extend_from_slice(&frame.bytes.to_le_bytes());
            out.extend_from_slice(&frame.crc.to_le_bytes());
        }
        for length in &self.lengths {
            for word in [length.segment, length.epoch, length.covered] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out
    }

    /// The table that a header speaks of.
    pub fn decode(header: &CheckpointHeader, from: &[u8]) -> Option<Table> {
        let (frames, lengths) = (header.frames as usize * FRAME_BYTES, header.segments as usize * LENGTH_BYTES);
        if from.len() != frames + lengths || crc32fast::hash(from) != header.table_crc {
            return None;
        }
        let (frames, lengths) = from.split_at(frames);
        Some(Table {
            frames: frames
                .chunks_exact(FRAME_BYTES)
                .map(|f| Frame { offset: u64_at(f, 0), bytes: u32_at(f, 8), crc: u32_at(f, 12) })
                .collect(),
            lengths: lengths
                .chunks_exact(LENGTH_BYTES)
                .map(|l| Length { segment: u32_at(l, 0), epoch: u32_at(l, 4), covered: u32_at(l, 8) })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_table_come_back_and_damage_is_not_believed() {
        let table = Table {
            frames: vec![Frame { offset: 4096, bytes: 77, crc: 5 }, Frame { offset: 8192, bytes: 1, crc: 6 }],
            lengths: vec![Length { segment: 3, epoch: 9, covered: 4160 }],
        };
        let bytes = table.encode();
        let header = CheckpointHeader {
            store: 1,
            table_crc: crc32fast::hash(&bytes),
            generation: 3,
            map_generation: 8,
            b: 4,
            table_offset: 12288,
            table_bytes: bytes.len() as u32,
            frames: 2,
            segments: 1,
            base_bits: 7,
        };
        let block = header.encode();
        assert_eq!(CheckpointHeader::decode(&block), Some(header));
        assert_eq!(Table::decode(&header, &bytes), Some(table));
        for at in 0..HEADER_BYTES {
            let mut bad = block.clone();
            bad[at] ^= 1;
            assert_eq!(CheckpointHeader::decode(&bad), None, "byte {at}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Table::decode(&header, &bad), None, "byte {at}");
        }
    }
}
