//! The hot-set list: where the values lie that were hot, so that a restart can bring them back. A hint, nothing depends on it.
//!
//! ```text
//!  block 0 (4 KiB): | crc u32 | "TCHL" | store u32 | entries crc u32 | generation u64 | entries u64 | 0 |
//!  entries (from 4096), hottest first: u64 each: place 40 | rank 3 | 0      (lowest bits first; rank: main queue 1 | heat 2)
//!  crc over bytes 4..32 of block 0
//! ```
//! Promises: a list is whole or not there. Never: names a key (an entry counts only if the record at its place says whose it is,
//! and that key's slot still names the place).

use super::record::{u32_at, u64_at};

/// File names of the two copies: generation g goes to file g mod 2.
pub const FILES: [&str; 2] = ["hot-0", "hot-1"];
/// Where the entries begin.
pub const BODY_OFFSET: u64 = 4096;
const MAGIC: [u8; 4] = *b"TCHL";
const HEADER_BYTES: usize = 32;
const PLACE_BITS: u32 = 40;

/// Ranks that an entry may have.
pub const RANKS: usize = 8;

/// The header.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct HotListHeader {
    /// The store's id.
    pub store: u32,
    /// CRC-32 of the entries.
    pub entries_crc: u32,
    /// Counts up with each list.
    pub generation: u64,
    /// How many there are.
    pub entries: u64,
}

impl HotListHeader {
    /// Block 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; BODY_OFFSET as usize];
        out[4..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.store.to_le_bytes());
        out[12..16].copy_from_slice(&self.entries_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.generation.to_le_bytes());
        out[24..32].copy_from_slice(&self.entries.to_le_bytes());
        let crc = crc32fast::hash(&out[4..HEADER_BYTES]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads block 0.
    pub fn decode(from: &[u8]) -> Option<HotListHeader> {
        if from.len() < HEADER_BYTES
            || from[4..8] != MAGIC
            || crc32fast::hash(&from[4..HEADER_BYTES]) != u32_at(from, 0)
        {
            return None;
        }
        Some(HotListHeader {
            store: u32_at(from, 8),
            entries_crc: u32_at(from, 12),
            generation: u64_at(from, 16),
            entries: u64_at(from, 24),
        })
    }
}

/// An entry of the list.
pub fn entry(place: u64, rank: u8) -> u64 {
    place | u64::from(rank) << PLACE_BITS
}

/// Its place and rank.
pub fn split(entry: u64) -> (u64, u8) {
    (entry & ((1 << PLACE_BITS) - 1), (entry >> PLACE_BITS) as u8 & (RANKS as u8 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_and_an_entry_come_back() {
        let header = HotListHeader { store: 1, entries_crc: 2, generation: 3, entries: 4 };
        let mut block = header.encode();
        assert_eq!(HotListHeader::decode(&block), Some(header));
        block[25] ^= 1;
        assert_eq!(HotListHeader::decode(&block), None);
        assert_eq!(split(entry((1 << 40) - 1, 5)), ((1 << 40) - 1, 5));
    }
}
