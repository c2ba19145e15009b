//! The frozen key hash: XXH3-128 of the key's bytes, seeded with the store's secret (superblock).
//!
//! ```text
//! 128 bits:  | index hash 64 | footer only 32 | unused 32 |
//!            `------ 96 bits in footers ------'
//! ```
//!
//! A node of a collection begins with the eight bits that its collection's id begins with, so that the nodes of one collection
//! share a shard, and, as long as the key is not renamed, the key's.
//!
//! Promises: the same key, space and secret give the same bits for ever (docs/FORMAT.md). The space is mixed in, so equal
//! keys of two spaces do not share a bucket. Never: a hash that an attacker can predict without the secret.

use crate::change::SpaceId;
use crate::collection::NODE_NAME_BYTES;

/// All 128 bits of a key's hash.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// The 64 bits that the index and SCAN cursors use.
    pub fn index(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The 96 bits that a footer keeps, as stored bytes (little-endian).
    pub fn footer(self) -> [u8; 12] {
        let bytes = (self.0 >> 32).to_le_bytes();
        let mut out = [0; 12];
        out.copy_from_slice(&bytes[..12]);
        out
    }

    /// The hash as far as a footer knows it (the low 32 bits are zero).
    pub fn from_footer(bytes: [u8; 12]) -> Self {
        let mut wide = [0; 16];
        wide[..12].copy_from_slice(&bytes);
        KeyHash(u128::from_le_bytes(wide) << 32)
    }
}

/// Computes key hashes for one store.
#[derive(Copy, Clone, Debug)]
pub struct Hasher {
    secret: u64,
    index_mask: u64,
}

impl Hasher {
    /// A hasher with the store's secret. `index_bits_kept` is 64 except in tests, which cut the index hash to a few bits so
    /// that nothing may depend on it; the footers' 96 bits stay whole.
    pub fn new(secret: u64, index_bits_kept: u32) -> Self {
        let index_mask = if index_bits_kept >= 64 { u64::MAX } else { !(u64::MAX >> index_bits_kept) };
        Hasher { secret, index_mask }
    }

    /// The hash of `key` in `space`.
    pub fn hash(&self, space: SpaceId, key: &[u8]) -> KeyHash {
        let seed = self.secret ^ u64::from(space.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(key, seed);
        if space.visible() != space
            && let Some(id) = key.first_chunk::<8>().filter(|_| key.len() == NODE_NAME_BYTES)
        {
            return KeyHash(hash << 8 >> 8 | u128::from(id[7]) << 120);
        }
        KeyHash(hash)
    }

    /// The frozen hash of a field or member, the same in all collections: it decides where the field stands in its tree.
    pub fn field(&self, field: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(field, self.secret) & self.index_mask
    }

    /// The index's 64 bits of a hash (all of them, except in tests).
    pub fn index(&self, hash: KeyHash) -> u64 {
        hash.index() & self.index_mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_keeps_the_index_hash() {
        let hash = Hasher::new(7, 64).hash(SpaceId(2), b"key");
        assert_eq!(KeyHash::from_footer(hash.footer()).index(), hash.index());
        assert_eq!(KeyHash::from_footer(hash.footer()).footer(), hash.footer());
    }

    #[test]
    fn the_hash_is_frozen() {
        assert_eq!(
            Hasher::new(1, 64).hash(SpaceId(0), b"thermocline").0,
            xxhash_rust::xxh3::xxh3_128_with_seed(b"thermocline", 1)
        );
    }
}
