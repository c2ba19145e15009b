//! Blocks that say where they belong: what a read must find, known without remembering anything.
//!
//! ```text
//!  0        8      16                24                32                     block
//!  | offset | seed | XXH3 of 32..end | XXH3 of 0..24   | random bytes ...      |   all numbers little-endian u64
//! ```
//!
//! Checking the first 32 bytes finds a block from another place, another run, or never written; checking all of it finds
//! every damaged byte. The random bytes do not compress. Never allocates.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

const HEAD_BYTES: usize = 32;
const BODY_SUM: usize = 16;
const HEAD_SUM: usize = 24;

/// Why a block is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WrongBlock {
    /// The head does not match its checksum.
    #[error("the first 32 bytes are damaged or were never written")]
    Head,
    /// A whole block, but of another place.
    #[error("it holds the block of offset {0}")]
    OtherOffset(u64),
    /// A whole block, but of another run.
    #[error("it holds a block of a run with seed {0}")]
    OtherSeed(u64),
    /// A byte behind the head is wrong.
    #[error("a byte behind the first 32 is wrong")]
    Body,
}

/// One step of SplitMix64.
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Makes `bytes` the blocks that belong at `offset`.
pub fn fill(bytes: &mut [u8], block_bytes: usize, offset: u64, seed: u64) {
    for (block, at) in bytes.chunks_exact_mut(block_bytes).zip((offset..).step_by(block_bytes)) {
        let mut state = seed ^ at.rotate_left(32);
        for word in block[HEAD_BYTES..].chunks_exact_mut(8) {
            word.copy_from_slice(&random(&mut state).to_le_bytes());
        }
        let sum = xxh3_64(&block[HEAD_BYTES..]);
        block[BODY_SUM..HEAD_SUM].copy_from_slice(&sum.to_le_bytes());
    }
    restamp(bytes, block_bytes, offset, seed);
}

/// Makes filled blocks those of another offset: new heads, the same random bytes.
pub fn restamp(bytes: &mut [u8], block_bytes: usize, offset: u64, seed: u64) {
    for (block, at) in bytes.chunks_exact_mut(block_bytes).zip((offset..).step_by(block_bytes)) {
        block[..8].copy_from_slice(&at.to_le_bytes());
        block[8..16].copy_from_slice(&seed.to_le_bytes());
        let sum = xxh3_64(&block[..HEAD_SUM]);
        block[HEAD_SUM..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Checks one block: its head, or all of it.
pub fn check(block: &[u8], offset: u64, seed: u64, whole: bool) -> Result<(), WrongBlock> {
    let number = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("8 bytes"));
    if number(HEAD_SUM) != xxh3_64(&block[..HEAD_SUM]) {
        return Err(WrongBlock::Head);
    }
    if number(8) != seed {
        return Err(WrongBlock::OtherSeed(number(8)));
    }
    if number(0) != offset {
        return Err(WrongBlock::OtherOffset(number(0)));
    }
    if whole && number(BODY_SUM) != xxh3_64(&block[HEAD_BYTES..]) {
        return Err(WrongBlock::Body);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flipped_bit_is_seen() {
        let mut bytes = vec![0; 1024];
        fill(&mut bytes, 512, 8192, 7);
        assert_eq!(check(&bytes[512..], 8704, 7, true), Ok(()));
        for bit in 0..512 * 8 {
            let mut block = bytes[..512].to_vec();
            assert_eq!(check(&block, 8192, 7, true), Ok(()));
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&block, 8192, 7, true).is_err(), "bit {bit}");
            assert_eq!(check(&block, 8192, 7, false).is_err(), bit / 8 < HEAD_BYTES, "bit {bit}");
        }
    }

    #[test]
    fn a_block_of_another_place_or_run_is_named() {
        let mut block = vec![0; 4096];
        assert_eq!(check(&block, 0, 7, false), Err(WrongBlock::Head), "never written");
        fill(&mut block, 4096, 4096, 7);
        assert_eq!(check(&block, 0, 7, false), Err(WrongBlock::OtherOffset(4096)));
        assert_eq!(check(&block, 4096, 8, false), Err(WrongBlock::OtherSeed(7)));
        restamp(&mut block, 4096, 0, 8);
        assert_eq!(check(&block, 0, 8, true), Ok(()));
    }
}
