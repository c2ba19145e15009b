//! The checkpoint: the index with places only, written at a clean shutdown, so that a restart copies it back.
//!
//! ```text
//!  block 0 (4 KiB): | crc u32 | "TCCK" | store u32 | body crc u32 | generation u64 | B u64 | body bytes u64 | shard bits u8 | base bits u8 | 0 |
//!  body (from 4096): per index segment | space u64 | words u64 | u64 x words (index/export.rs) |
//!  crc over bytes 4..64 of block 0
//! ```
//! Promises: block 0 is written last, so a checkpoint is whole or not there. Never: believed beside a map with another `B`.

use super::record::{Seq, u32_at, u64_at};

/// File names of the two copies.
pub const FILES: [&str; 2] = ["checkpoint-0", "checkpoint-1"];
/// Where the body begins.
pub const BODY_OFFSET: u64 = 4096;
const MAGIC: [u8; 4] = *b"TCCK";
const HEADER_BYTES: usize = 64;

/// The header.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct CheckpointHeader {
    /// The store's id.
    pub store: u32,
    /// CRC-32 of the body.
    pub body_crc: u32,
    /// Generation of the map it belongs to.
    pub generation: u64,
    /// `B` of that map.
    pub b: Seq,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Shard bits of the exported segments.
    pub shard_bits: u8,
    /// Base bits of the exported segments.
    pub base_bits: u8,
}

impl CheckpointHeader {
    /// Block 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; BODY_OFFSET as usize];
        out[4..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.store.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.generation.to_le_bytes());
        out[24..32].copy_from_slice(&self.b.to_le_bytes());
        out[32..40].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[40] = self.shard_bits;
        out[41] = self.base_bits;
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
            body_crc: u32_at(from, 12),
            generation: u64_at(from, 16),
            b: u64_at(from, 24),
            body_bytes: u64_at(from, 32),
            shard_bits: from[40],
            base_bits: from[41],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_damage_is_not_believed() {
        let header =
            CheckpointHeader { store: 1, body_crc: 2, generation: 3, b: 4, body_bytes: 5, shard_bits: 6, base_bits: 7 };
        let mut bytes = header.encode();
        assert_eq!(CheckpointHeader::decode(&bytes), Some(header));
        bytes[30] ^= 1;
        assert_eq!(CheckpointHeader::decode(&bytes), None);
    }
}
