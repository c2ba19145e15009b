//! Values that describe themselves: every byte of a value follows from its key, version and length.
//!
//! ```text
//!  0        8         12        16          24                    length
//!  | key    | version | length  | checksum  | pattern ...          |     all numbers little-endian
//!  | u64    | u32     | u32     | XXH3-64 of bytes 0..16 | words of a counter mixed with the checksum
//! ```
//!
//! A value shorter than the header has no room for a version: it is the first bytes of the pattern for (key, version 0,
//! length), so every wrong byte is still seen, only an older version of the same length is not.
//!
//! Promises: `verify` accepts exactly the bytes that `fill` wrote; one flipped bit anywhere, a cut, or another key's value
//! is an error that says what was found. Never allocates beyond the value itself.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the drawn header.
pub const HEADER_BYTES: usize = 24;

/// Dense number of a key; the key's text is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl KeyId {
    /// A number spread over all 64 bits: for shares and sizes that must not follow the id's order.
    pub fn spread(self) -> u64 {
        mix(self.0)
    }
}

/// What the reader knows about a value before seeing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This version with this length, nothing else.
    Exactly {
        /// Version that was written last.
        version: u32,
        /// Its length in bytes.
        length: u32,
    },
    /// One of these versions with this length: several writes of the key were under way at once.
    Within {
        /// Oldest version that it may be.
        oldest: u32,
        /// Newest version that was sent.
        newest: u32,
        /// The length of all of them.
        length: u32,
    },
    /// Any whole version of the key (it was written by an earlier run, or a write was answered with an error).
    AnyVersion,
}

/// What a good value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Version in the header; 0 when the value is too short to have one.
    pub version: u32,
    /// Length in bytes.
    pub length: u32,
}

/// Why a value is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Wrong {
    /// The value is longer or shorter than what was written.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// Bytes that should be there.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The header does not match its checksum.
    #[error("damaged header")]
    Header,
    /// A whole value, but of another key.
    #[error("the value of key {0}")]
    OtherKey(u64),
    /// A whole value of this key, but not the newest.
    #[error("version {found} instead of {expected}")]
    Version {
        /// Version that was written last.
        expected: u32,
        /// Version that came.
        found: u32,
    },
    /// A whole value of this key, but of a version that was overwritten before, or was never sent.
    #[error("version {found}, which is not within {oldest} and {newest}")]
    OtherVersion {
        /// Oldest version that it may be.
        oldest: u32,
        /// Newest version that was sent.
        newest: u32,
        /// Version that came.
        found: u32,
    },
    /// Another rank than the contents give.
    #[error("rank {found} instead of {expected}")]
    Rank {
        /// By the contents.
        expected: i64,
        /// As it came.
        found: i64,
    },
    /// Elements that are not there, or not in this order.
    #[error("other elements than the collection has there")]
    Elements,
    /// The header is good, a byte behind it is not.
    #[error("wrong byte at {at}")]
    Byte {
        /// Offset of the first wrong byte.
        at: usize,
    },
}

/// Appends the value of (key, version) with this length.
pub fn fill(out: &mut Vec<u8>, key: KeyId, version: u32, length: u32) {
    if (length as usize) < HEADER_BYTES {
        fill_pattern(out, length as usize, checksum(&head(key, 0, length)));
        return;
    }
    let head = head(key, version, length);
    let checksum = checksum(&head);
    out.extend_from_slice(&head);
    out.extend_from_slice(&checksum.to_le_bytes());
    fill_pattern(out, length as usize - HEADER_BYTES, checksum);
}

fn fill_pattern(out: &mut Vec<u8>, bytes: usize, checksum: u64) {
    let start = out.len();
    out.resize(start + bytes, 0);
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    for (index, place) in words.iter_mut().enumerate() {
        *place = word(checksum, index);
    }
    rest.copy_from_slice(&word(checksum, words.len())[..rest.len()]);
}

/// Checks every byte of a value that was read for `key`.
pub fn verify(value: &[u8], key: KeyId, expected: Expected) -> Result<Found, Wrong> {
    let length = value.len() as u32;
    if let Expected::Exactly { length: wanted, .. } | Expected::Within { length: wanted, .. } = expected
        && u64::from(wanted) != value.len() as u64
    {
        return Err(Wrong::Length { expected: wanted.into(), found: value.len() as u64 });
    }
    if value.len() < HEADER_BYTES {
        verify_pattern(value, 0, checksum(&head(key, 0, length)))?;
        return Ok(Found { version: 0, length });
    }
    let found = u32::from_le_bytes(value[8..12].try_into().expect("4 bytes"));
    let whole = u32::from_le_bytes(value[12..16].try_into().expect("4 bytes"));
    let checksum = checksum(value[..16].try_into().expect("16 bytes"));
    if value[16..HEADER_BYTES] != checksum.to_le_bytes() {
        return Err(Wrong::Header);
    }
    let owner = u64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
    if owner != key.0 {
        return Err(Wrong::OtherKey(owner));
    }
    if u64::from(whole) != value.len() as u64 {
        return Err(Wrong::Length { expected: whole.into(), found: value.len() as u64 });
    }
    verify_pattern(&value[HEADER_BYTES..], HEADER_BYTES, checksum)?;
    match expected {
        Expected::Exactly { version, .. } if version != found => Err(Wrong::Version { expected: version, found }),
        Expected::Within { oldest, newest, .. } if !(oldest..=newest).contains(&found) => {
            Err(Wrong::OtherVersion { oldest, newest, found })
        }
        _ => Ok(Found { version: found, length }),
    }
}

/// Compares word by word without a branch; the exact place is looked for only when something differs.
fn verify_pattern(bytes: &[u8], offset: usize, checksum: u64) -> Result<(), Wrong> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut difference = 0;
    for (index, found) in words.iter().enumerate() {
        difference |= u64::from_le_bytes(*found) ^ u64::from_le_bytes(word(checksum, index));
    }
    if difference == 0 && *rest == word(checksum, words.len())[..rest.len()] {
        return Ok(());
    }
    let expected = (0..=words.len()).flat_map(|index| word(checksum, index));
    let at = bytes.iter().zip(expected).position(|(found, expected)| *found != expected);
    Err(Wrong::Byte { at: offset + at.expect("something differs") })
}

fn head(key: KeyId, version: u32, length: u32) -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&key.0.to_le_bytes());
    head[8..12].copy_from_slice(&version.to_le_bytes());
    head[12..].copy_from_slice(&length.to_le_bytes());
    head
}

fn checksum(head: &[u8; 16]) -> u64 {
    xxh3_64(head)
}

fn word(checksum: u64, index: usize) -> [u8; 8] {
    mix(checksum.wrapping_add(index as u64)).to_le_bytes()
}

/// SplitMix64's finaliser: a bijection whose every output bit depends on every input bit.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value_of(key: u64, version: u32, length: u32) -> Vec<u8> {
        let mut value = Vec::new();
        fill(&mut value, KeyId(key), version, length);
        value
    }

    proptest! {
        #[test]
        fn what_was_filled_verifies(key: u64, version in 1u32.., length in 0u32..5_000) {
            let value = value_of(key, version, length);
            prop_assert_eq!(value.len(), length as usize);
            let found = verify(&value, KeyId(key), Expected::Exactly { version, length }).unwrap();
            prop_assert_eq!(found.length, length);
            if value.len() >= HEADER_BYTES {
                prop_assert_eq!(found.version, version);
            }
            prop_assert!(verify(&value, KeyId(key), Expected::AnyVersion).is_ok());
        }

        #[test]
        fn any_flipped_bit_is_seen(key: u64, version in 1u32.., length in 1u32..2_000, place: u64) {
            let mut value = value_of(key, version, length);
            let bit = (place % (u64::from(length) * 8)) as usize;
            value[bit / 8] ^= 1 << (bit % 8);
            let expected = Expected::Exactly { version, length };
            prop_assert!(verify(&value, KeyId(key), expected).is_err());
            prop_assert!(verify(&value, KeyId(key), Expected::AnyVersion).is_err());
        }

        #[test]
        fn a_cut_value_is_seen(key: u64, version in 1u32.., length in 1u32..2_000, cut: u32) {
            let value = value_of(key, version, length);
            let kept = (cut % length) as usize;
            let expected = Expected::Exactly { version, length };
            prop_assert!(verify(&value[..kept], KeyId(key), expected).is_err());
        }
    }

    #[test]
    fn every_byte_of_one_value_counts() {
        let value = value_of(7, 3, 100);
        for at in 0..value.len() {
            let mut wrong = value.clone();
            wrong[at] = wrong[at].wrapping_add(1);
            assert!(verify(&wrong, KeyId(7), Expected::AnyVersion).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_older_version_and_another_keys_value_are_named() {
        let expected = Expected::Exactly { version: 3, length: 64 };
        let old = value_of(7, 2, 64);
        assert_eq!(verify(&old, KeyId(7), expected), Err(Wrong::Version { expected: 3, found: 2 }));
        let window = |oldest, newest| Expected::Within { oldest, newest, length: 64 };
        assert!(verify(&old, KeyId(7), window(1, 2)).is_ok() && verify(&old, KeyId(7), window(2, 5)).is_ok());
        assert_eq!(verify(&old, KeyId(7), window(3, 5)), Err(Wrong::OtherVersion { oldest: 3, newest: 5, found: 2 }));
        assert!(verify(&old, KeyId(7), window(1, 1)).is_err(), "a version that was never sent");
        let other = value_of(8, 3, 64);
        assert_eq!(verify(&other, KeyId(7), expected), Err(Wrong::OtherKey(8)));
    }
}
