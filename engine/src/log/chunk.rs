//! A chunk: what one flush writes. It starts on a physical block and is never appended to after it was written.
//!
//! ```text
//!  0         4         8          12       13     16          24          32           40          44        48         56       64
//!  | crc u32 | "TCHK"  | epoch u32|stream u8| 0   | prev seq  | last seq  | watermark  | bytes u32 | used u32| store u32| 0     |
//!  followed by records, 16-byte aligned, then zeros to the next block
//!  crc        CRC-32 over bytes 4..64, seeded with (store id, segment, epoch, offset)
//!  prev seq   the foreground stream's seq just before the first record: a hole between chunks or segments is seen
//!  last seq   the highest seq in the chunk (foreground: its last record)
//!  watermark  everything up to here was durable when this was written
//!  bytes      whole chunk with padding (a multiple of the block); used: header and records
//! ```
//! Seqs inside a foreground chunk are consecutive, so a hole inside it is seen too; a torn block breaks a record's checksum.
//!
//! Promises: a header that decodes was written at this place. Never: a block with acknowledged records rewritten.

use super::record::{Address, Seq, u32_at, u64_at};

/// Bytes of the header.
pub const CHUNK_HEADER_BYTES: usize = 64;
const MAGIC: [u8; 4] = *b"TCHK";

/// A decoded chunk header.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct ChunkHeader {
    /// The segment's epoch when it was written.
    pub epoch: u32,
    /// 0 = foreground, 1.. = GC generations.
    pub stream: u8,
    /// The stream's seq before the first record.
    pub prev_seq: Seq,
    /// Highest seq in the chunk.
    pub last_seq: Seq,
    /// Durable up to here when it was written.
    pub watermark: Seq,
    /// Whole bytes.
    pub bytes: u32,
    /// Bytes of header and records.
    pub used: u32,
}

impl ChunkHeader {
    /// Writes the header at the start of `into`. The address' epoch is the header's.
    pub fn encode(&self, address: Address, into: &mut [u8]) {
        let into = &mut into[..CHUNK_HEADER_BYTES];
        into.fill(0);
        into[4..8].copy_from_slice(&MAGIC);
        into[8..12].copy_from_slice(&self.epoch.to_le_bytes());
        into[12] = self.stream;
        into[16..24].copy_from_slice(&self.prev_seq.to_le_bytes());
        into[24..32].copy_from_slice(&self.last_seq.to_le_bytes());
        into[32..40].copy_from_slice(&self.watermark.to_le_bytes());
        into[40..44].copy_from_slice(&self.bytes.to_le_bytes());
        into[44..48].copy_from_slice(&self.used.to_le_bytes());
        into[48..52].copy_from_slice(&address.store.to_le_bytes());
        let mut crc = Address { epoch: self.epoch, ..address }.crc();
        crc.update(&into[4..]);
        let crc = crc.finalize();
        into[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header; the epoch of `address` is ignored (the header says it, and its checksum proves it).
    pub fn decode(address: Address, from: &[u8]) -> Option<ChunkHeader> {
        if from.len() < CHUNK_HEADER_BYTES || from[4..8] != MAGIC {
            return None;
        }
        let epoch = u32_at(from, 8);
        let mut crc = Address { epoch, ..address }.crc();
        crc.update(&from[4..CHUNK_HEADER_BYTES]);
        if crc.finalize() != u32_at(from, 0) && !crate::planted::is(crate::planted::Bug::SkipCrc) {
            return None;
        }
        Some(ChunkHeader {
            epoch,
            stream: from[12],
            prev_seq: u64_at(from, 16),
            last_seq: u64_at(from, 24),
            watermark: u64_at(from, 32),
            bytes: u32_at(from, 40),
            used: u32_at(from, 44),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_believed_only_at_its_place() {
        let here = Address { store: 1, segment: 2, epoch: 0, offset: 8192 };
        let header =
            ChunkHeader { epoch: 4, stream: 0, prev_seq: 9, last_seq: 12, watermark: 8, bytes: 4096, used: 300 };
        let mut bytes = vec![0; 4096];
        header.encode(here, &mut bytes);
        assert_eq!(ChunkHeader::decode(here, &bytes), Some(header));
        assert_eq!(ChunkHeader::decode(here.at(4096), &bytes), None);
        bytes[20] ^= 1;
        assert_eq!(ChunkHeader::decode(here, &bytes), None);
    }
}
