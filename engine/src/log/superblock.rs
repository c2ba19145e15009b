//! The superblock: what must be known before anything else can be read. In two files, one written after the other.
//!
//! ```text
//!  | crc u32 | "TCSB" | format u32 | store u32 | generation u64 | secret u64 | next seq u64 | segment bytes u32 | base bits u8 | mode u8 |
//!  | clean u8 | 0 | next space u32 | databases u32 | cuts u32 | unproven u32 | space u32 x databases | (segment u32, epoch u32, length u32) x cuts |
//!  crc over bytes 4.. of the used length, seeded with nothing: the superblock says where everything else is
//! ```
//! `unproven`: one more than the seqs below next seq that are not known to be durable; 0 = nothing is known.
//!
//! Promises: one copy is whole at any time, both are when something relies on it (copies.rs). Never: a newer format opened.

use super::copies;
use super::record::{Seq, u32_at, u64_at};
use crate::change::SpaceId;
use crate::error::{Error, Result};

/// Format of the directory that this build writes. The history is in docs/FORMAT.md.
pub const FORMAT: u32 = 3;
/// File names of the two copies.
pub const FILES: [&str; 2] = ["superblock-0", "superblock-1"];
const MAGIC: [u8; 4] = *b"TCSB";
const FIXED_BYTES: usize = 64;

/// A cut: what of a segment is valid beyond the map.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Cut {
    /// Segment number.
    pub segment: u32,
    /// Its epoch when it was cut.
    pub epoch: u32,
    /// Bytes before the cut.
    pub length: u32,
}

/// The superblock's content.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Superblock {
    /// Format of the build that wrote it; it is written with [`FORMAT`].
    pub format: u32,
    /// The store's id, part of every checksum.
    pub store: u32,
    /// Counts up with each write.
    pub generation: u64,
    /// Seed of the key hash.
    pub secret: u64,
    /// Above every seq seen, even beyond cuts.
    pub next_seq: Seq,
    /// Everything up to here was durable when it was written, and what earlier lives wrote behind it is void (0: unknown).
    pub durable_seq: Seq,
    /// Size of a segment file.
    pub segment_bytes: u32,
    /// Base bits of the index directory.
    pub base_bits: u8,
    /// 0 = `appendonly no`, 1 = logged.
    pub mode: u8,
    /// The last shutdown was clean: the checkpoint holds everything.
    pub clean: bool,
    /// Next space id to hand out.
    pub next_space: u32,
    /// Space of each logical database.
    pub spaces: Vec<SpaceId>,
    /// Cuts not yet covered by a durable map.
    pub cuts: Vec<Cut>,
}

impl Superblock {
    /// Its two files, in the order in which they are written.
    pub(crate) fn file_names(&self) -> [&'static str; 2] {
        copies::in_order(FILES, self.generation)
    }

    /// The bytes of a copy, a multiple of 4 KiB.
    pub fn encode(&self) -> Vec<u8> {
        let used = FIXED_BYTES + 4 * self.spaces.len() + 12 * self.cuts.len();
        let mut out = vec![0; used.next_multiple_of(4096)];
        out[4..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.store.to_le_bytes());
        out[16..24].copy_from_slice(&self.generation.to_le_bytes());
        out[24..32].copy_from_slice(&self.secret.to_le_bytes());
        out[32..40].copy_from_slice(&self.next_seq.to_le_bytes());
        out[40..44].copy_from_slice(&self.segment_bytes.to_le_bytes());
        out[44] = self.base_bits;
        out[45] = self.mode;
        out[46] = u8::from(self.clean);
        out[48..52].copy_from_slice(&self.next_space.to_le_bytes());
        out[52..56].copy_from_slice(&(self.spaces.len() as u32).to_le_bytes());
        out[56..60].copy_from_slice(&(self.cuts.len() as u32).to_le_bytes());
        let unproven = u32::try_from(self.next_seq.saturating_sub(self.durable_seq)).unwrap_or(0);
        out[60..64].copy_from_slice(&unproven.to_le_bytes());
        let mut at = FIXED_BYTES;
        for space in &self.spaces {
            out[at..at + 4].copy_from_slice(&space.0.to_le_bytes());
            at += 4;
        }
        for cut in &self.cuts {
            for word in [cut.segment, cut.epoch, cut.length] {
                out[at..at + 4].copy_from_slice(&word.to_le_bytes());
                at += 4;
            }
        }
        let crc = crc32fast::hash(&out[4..used]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a copy. `Ok(None)`: no valid copy here. A newer format is an error in words.
    pub fn decode(from: &[u8]) -> Result<Option<Superblock>> {
        if from.len() < FIXED_BYTES || from[4..8] != MAGIC {
            return Ok(None);
        }
        let (databases, cuts) = (u32_at(from, 52) as usize, u32_at(from, 56) as usize);
        let used = match databases.checked_mul(4).zip(cuts.checked_mul(12)).map(|(a, b)| FIXED_BYTES + a + b) {
            Some(used) if used <= from.len() => used,
            _ => return Ok(None),
        };
        if crc32fast::hash(&from[4..used]) != u32_at(from, 0) {
            return Ok(None);
        }
        let format = u32_at(from, 8);
        if format > FORMAT {
            return Err(Error::Format {
                words: format!(
                    "the data directory has format {format}, this build reads up to {FORMAT}; start the newer version, or choose another `dir`"
                ),
            });
        }
        Ok(Some(Superblock {
            format,
            store: u32_at(from, 12),
            generation: u64_at(from, 16),
            secret: u64_at(from, 24),
            next_seq: u64_at(from, 32),
            durable_seq: match u32_at(from, 60) {
                0 => 0,
                unproven => u64_at(from, 32).saturating_sub(u64::from(unproven)),
            },
            segment_bytes: u32_at(from, 40),
            base_bits: from[44],
            mode: from[45],
            clean: from[46] != 0,
            next_space: u32_at(from, 48),
            spaces: (0..databases).map(|i| SpaceId(u32_at(from, FIXED_BYTES + 4 * i))).collect(),
            cuts: (0..cuts)
                .map(|i| {
                    let at = FIXED_BYTES + 4 * databases + 12 * i;
                    Cut { segment: u32_at(from, at), epoch: u32_at(from, at + 4), length: u32_at(from, at + 8) }
                })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            format: FORMAT,
            store: 5,
            generation: 6,
            secret: 7,
            next_seq: 8,
            durable_seq: 5,
            segment_bytes: 65536,
            base_bits: 10,
            mode: 1,
            clean: true,
            next_space: 40,
            spaces: vec![SpaceId(0), SpaceId(8)],
            cuts: vec![Cut { segment: 1, epoch: 2, length: 3 }],
        }
    }

    #[test]
    fn a_superblock_comes_back() {
        assert_eq!(Superblock::decode(&sample().encode()).unwrap(), Some(sample()));
    }

    #[test]
    fn damage_is_not_believed_and_a_newer_format_is_refused_with_words() {
        let mut bytes = sample().encode();
        bytes[33] ^= 1;
        assert_eq!(Superblock::decode(&bytes).unwrap(), None);
        let mut newer = sample().encode();
        newer[8] = 9;
        let used = FIXED_BYTES + 8 + 12;
        let crc = crc32fast::hash(&newer[4..used]);
        newer[..4].copy_from_slice(&crc.to_le_bytes());
        assert!(Superblock::decode(&newer).unwrap_err().to_string().contains("format 9"));
    }
}
