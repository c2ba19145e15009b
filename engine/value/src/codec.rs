//! The bytes inside payloads: varints and length-prefixed elements, the codec of packed runs.
//!
//! A varint holds a u64 in groups of seven bits, lowest group first; the top bit of a byte says that another follows.
//!
//! ```text
//!   value 5        05
//!   value 300      AC 02             300 = 0b10_0101100: low group 0101100 with the top bit set, then 10
//!   value 2^64-1   FF FF FF FF FF FF FF FF FF 01      (ten bytes, the longest)
//! ```
//!
//! An element is its length as a varint, then its bytes; a run is elements one after the other, to the end:
//!
//! ```text
//!   +--------+---------+--------+---------+
//!   | len 3  | f o o   | len 0  |         |     03 66 6F 6F 00     the run ["foo", ""]
//!   +--------+---------+--------+---------+
//! ```
//!
//! Promises: what was written is read back; every value has exactly one encoding (a longer one is refused), so equal
//! runs are equal bytes; reading foreign bytes gives an answer or an error, never a panic, and never reads past the end.
//! Never: allocates by a length it was told; an element is a slice of what is really there.

/// Bytes of the longest varint.
pub const VARINT_BYTES_MAX: usize = 10;

/// Why packed bytes could not be read.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum CodecError {
    /// The bytes end inside a varint or an element.
    Truncated,
    /// A varint above 2^64-1, or one with needless groups.
    BadVarint,
    /// A fixed-width structure with a field outside its limits.
    BadField,
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            CodecError::Truncated => "packed bytes end too early",
            CodecError::BadVarint => "a varint is too large or not in its shortest form",
            CodecError::BadField => "a field of a packed structure is outside its limits",
        })
    }
}

impl std::error::Error for CodecError {}

/// How many bytes `value` takes as a varint: 1 to [`VARINT_BYTES_MAX`].
#[inline]
pub const fn varint_bytes(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Takes a varint from the front of `bytes`, which then begins after it.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Result<u64, CodecError> {
    // Most varints are lengths below 128.
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*byte));
    }
    // Up to eight groups at once: the first byte without its top bit ends the varint, then the groups close up.
    if let Some(word) = bytes.first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let bits = ends.trailing_zeros() + 1;
            let groups = word & (u64::MAX >> (64 - bits)) & 0x7F7F_7F7F_7F7F_7F7F;
            if bits > 8 && groups >> (bits - 8) == 0 {
                return Err(CodecError::BadVarint);
            }
            let pairs = groups & 0x007F_007F_007F_007F | (groups & 0x7F00_7F00_7F00_7F00) >> 1;
            let fours = pairs & 0x0000_3FFF_0000_3FFF | (pairs & 0x3FFF_0000_3FFF_0000) >> 2;
            *bytes = &bytes[bits as usize / 8..];
            return Ok(fours & 0x0FFF_FFFF | (fours & 0x0FFF_FFFF_0000_0000) >> 4);
        }
    }
    take_long_varint(bytes)
}

/// A varint at the end of the bytes, or one of nine or ten groups.
fn take_long_varint(bytes: &mut &[u8]) -> Result<u64, CodecError> {
    let mut value = 0u64;
    for place in 0..VARINT_BYTES_MAX {
        let Some(&byte) = bytes.get(place) else {
            return Err(CodecError::Truncated);
        };
        let group = u64::from(byte & 0x7F);
        if place == VARINT_BYTES_MAX - 1 && group > 1 {
            return Err(CodecError::BadVarint);
        }
        value |= group << (7 * place);
        if byte & 0x80 == 0 {
            if group == 0 && place > 0 {
                return Err(CodecError::BadVarint);
            }
            *bytes = &bytes[place + 1..];
            return Ok(value);
        }
    }
    Err(CodecError::BadVarint)
}

/// How many bytes an element of this length takes in a run.
#[inline]
pub const fn element_bytes(length: usize) -> usize {
    varint_bytes(length as u64) + length
}

/// Appends one element.
#[inline]
pub fn put_element(element: &[u8], into: &mut Vec<u8>) {
    put_varint(element.len() as u64, into);
    into.extend_from_slice(element);
}

/// Takes one element from the front of `bytes`, which then begins after it.
#[inline]
pub fn take_element<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], CodecError> {
    let mut rest = *bytes;
    let length = take_varint(&mut rest)?;
    if length > rest.len() as u64 {
        return Err(CodecError::Truncated);
    }
    let (element, rest) = rest.split_at(length as usize);
    *bytes = rest;
    Ok(element)
}

/// Walks the elements of a run. After the first error it ends.
pub fn elements(run: &[u8]) -> Elements<'_> {
    Elements { rest: run }
}

/// The iterator of [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Elements<'r> {
    type Item = Result<&'r [u8], CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = take_element(&mut self.rest);
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let mut bytes = Vec::new();
        put_varint(300, &mut bytes);
        assert_eq!(bytes, [0xAC, 0x02]);
        bytes.clear();
        put_varint(u64::MAX, &mut bytes);
        assert_eq!(bytes, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
        bytes.clear();
        put_element(b"foo", &mut bytes);
        put_element(b"", &mut bytes);
        assert_eq!(bytes, [0x03, 0x66, 0x6F, 0x6F, 0x00]);
    }

    #[test]
    fn a_needlessly_long_varint_is_refused() {
        assert_eq!(take_varint(&mut &[0x80, 0x00][..]), Err(CodecError::BadVarint));
        assert_eq!(take_varint(&mut &[0xFF; 11][..]), Err(CodecError::BadVarint));
        let mut over = [0xFF; 10];
        over[9] = 0x02;
        assert_eq!(take_varint(&mut &over[..]), Err(CodecError::BadVarint));
    }

    #[test]
    fn an_element_longer_than_its_run_is_truncated() {
        let mut huge = Vec::new();
        put_varint(u64::MAX, &mut huge);
        huge.push(7);
        let mut rest = &huge[..];
        assert_eq!(take_element(&mut rest), Err(CodecError::Truncated));
        assert_eq!(rest.len(), huge.len(), "a failed take leaves the bytes alone");
        assert_eq!(elements(&huge).count(), 1, "a run ends at its first error");
    }

    proptest! {
        #[test]
        fn a_varint_is_read_back(value in any::<u64>(), shift in 0u32..64, tail in any::<Vec<u8>>()) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            prop_assert_eq!(bytes.len(), varint_bytes(value));
            for cut in 0..bytes.len() {
                prop_assert_eq!(take_varint(&mut &bytes[..cut]), Err(CodecError::Truncated));
            }
            bytes.extend_from_slice(&tail);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_varint(&mut rest), Ok(value));
            prop_assert_eq!(rest, &tail[..]);
        }

        #[test]
        fn both_ways_to_read_a_varint_agree(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x7Fu8..0x83], 8..20)) {
            let (mut one, mut other) = (&bytes[..], &bytes[..]);
            prop_assert_eq!(take_varint(&mut one), take_long_varint(&mut other));
            prop_assert_eq!(one, other);
        }

        #[test]
        fn a_run_is_read_back(run in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut bytes = Vec::new();
            for element in &run {
                put_element(element, &mut bytes);
            }
            prop_assert_eq!(bytes.len(), run.iter().map(|e| element_bytes(e.len())).sum::<usize>());
            let read: Result<Vec<&[u8]>, _> = elements(&bytes).collect();
            prop_assert_eq!(read.unwrap(), run);
        }

        #[test]
        fn foreign_bytes_give_an_answer_and_one_encoding(bytes in any::<Vec<u8>>()) {
            let mut rest = &bytes[..];
            if let Ok(value) = take_varint(&mut rest) {
                let mut again = Vec::new();
                put_varint(value, &mut again);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
            for element in elements(&bytes).flatten() {
                prop_assert!(element.len() <= bytes.len());
            }
        }
    }
}
