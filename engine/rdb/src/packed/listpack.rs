//! Listpacks, read and written: elements that can be walked in both directions.
//!
//! ```text
//!   +---------------------+---------------------+---------+-----+---------+----+
//!   | bytes in all        | elements (FFFF:     | element | ... | element | FF |
//!   | 4 bytes, low first  | count them) 2 bytes |         |     |         |    |
//!   +---------------------+---------------------+---------+-----+---------+----+
//!
//!   element = head, bytes of a string, length backwards
//!     0xxxxxxx                       0 to 127
//!     10LLLLLL <L bytes>             a string below 64 bytes
//!     110xxxxx xxxxxxxx              13 signed bits, high first
//!     1110LLLL LLLLLLLL <L bytes>    a string below 4,096 bytes, high first
//!     F0 <4 bytes, low first> <L bytes>
//!     F1 / F2 / F3 / F4 + 2 / 3 / 4 / 8 bytes    a signed integer, low first
//!
//!   length backwards: bytes of head and string in groups of seven bits, high group first; every byte but the first has
//!   its top bit set, so that it can be read from its end.  5: 05    300: 02 AC    20,000: 01 9C A0
//! ```
//!
//! `[12, "ab"]` is `0D 00 00 00  02 00  0C 01  82 61 62 03  FF`.
//!
//! One trap: elements of exactly 2^14 - 1 bytes (and 2^21 - 1, 2^28 - 1). Redis up to 8.0 spends one byte more than needed
//! on their length backwards, Valkey 9.1 does not. Both are read; the writer packs no element of such a size
//! ([`can_hold`]), so that neither server trips.
//!
//! Promises: every head, length and count is checked; a listpack that was written here is read by Redis 7 and later.
//! Never: more than 2^32 - 1 bytes; [`Builder`] is used far below that.

use super::{COUNT_UNKNOWN, END, Flaw, Piece, array, framed, integer_of_24_bits, range};
use crate::number::parse_integer;

const HEAD_BYTES: usize = 6;
/// Element sizes whose length backwards two servers write differently.
const CONTESTED_BYTES: [usize; 3] = [(1 << 14) - 1, (1 << 21) - 1, (1 << 28) - 1];
/// Room for a head and a length backwards.
const OVERHEAD_BYTES_MAX: usize = 5 + 5;

pub(super) fn head(bytes: &[u8]) -> Result<(usize, Option<u64>), Flaw> {
    framed(bytes, HEAD_BYTES, 4)
}

pub(super) fn step(bytes: &[u8], at: usize) -> Result<Option<(Piece, usize)>, Flaw> {
    let end = bytes.len() - 1;
    if at == end {
        return Ok(None);
    }
    let [first] = array(bytes, at)?;
    let string = |head_bytes: usize, length: usize| {
        range(at + head_bytes, length, end).map(|range| (Piece::Bytes(range), head_bytes + length))
    };
    let integer = |value: i64, element_bytes: usize| Ok((Piece::Integer(value), element_bytes));
    let (piece, element_bytes) = match first {
        0..=0x7F => integer(i64::from(first), 1),
        0x80..=0xBF => string(1, usize::from(first & 0x3F)),
        0xC0..=0xDF => {
            let [high, low] = array(bytes, at)?;
            // The three bits of the head are shifted out, the sign is shifted in.
            integer(i64::from(i16::from_be_bytes([high, low]) << 3 >> 3), 2)
        }
        0xE0..=0xEF => {
            let [high, low] = array(bytes, at)?;
            string(2, usize::from(high & 0x0F) << 8 | usize::from(low))
        }
        0xF0 => string(5, u32::from_le_bytes(array(bytes, at + 1)?) as usize),
        0xF1 => integer(i64::from(i16::from_le_bytes(array(bytes, at + 1)?)), 3),
        0xF2 => integer(integer_of_24_bits(array(bytes, at + 1)?), 4),
        0xF3 => integer(i64::from(i32::from_le_bytes(array(bytes, at + 1)?)), 5),
        0xF4 => integer(i64::from_le_bytes(array(bytes, at + 1)?), 9),
        _ => Err(Flaw { at, what: "a byte begins no element" }),
    }?;
    let backwards_at = at + element_bytes;
    let mut backwards_bytes = length_backwards_bytes(element_bytes);
    if CONTESTED_BYTES.contains(&element_bytes) && bytes.get(backwards_at) == Some(&0) {
        backwards_bytes += 1;
    }
    let stored = bytes
        .get(backwards_at..backwards_at + backwards_bytes)
        .filter(|_| backwards_at + backwards_bytes <= end)
        .ok_or(Flaw { at: backwards_at, what: "an element reaches behind the end" })?;
    let mut right = [0; 5];
    put_length_backwards(element_bytes, &mut right[..backwards_bytes]);
    if stored != &right[..backwards_bytes] {
        return Err(Flaw { at: backwards_at, what: "an element's length backwards is not its length" });
    }
    Ok(Some((piece, backwards_at + backwards_bytes)))
}

/// The fewest bytes that hold an element's length backwards.
fn length_backwards_bytes(element_bytes: usize) -> usize {
    let bits = usize::BITS - element_bytes.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

/// Fills `into` with the groups of seven bits.
fn put_length_backwards(element_bytes: usize, into: &mut [u8]) {
    let groups = into.len();
    for (index, byte) in into.iter_mut().enumerate() {
        let group = (element_bytes >> (7 * (groups - 1 - index)) & 0x7F) as u8;
        *byte = if index == 0 { group } else { group | 0x80 };
    }
}

/// Whether a string of that many bytes can stand in a listpack that every server reads.
pub(crate) fn can_hold(string_bytes: usize) -> bool {
    !CONTESTED_BYTES.contains(&(string_bytes + string_head_bytes(string_bytes)))
}

fn string_head_bytes(string_bytes: usize) -> usize {
    match string_bytes {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    }
}

/// At most as many bytes as a string of that length takes.
pub(crate) fn element_bytes_max(string_bytes: usize) -> usize {
    string_bytes + OVERHEAD_BYTES_MAX
}

/// Bytes of a listpack without elements.
pub const EMPTY_BYTES: usize = HEAD_BYTES + 1;

/// Bytes that this text takes as an element of a listpack: as an integer if it is the one spelling of one.
pub fn element_bytes(text: &[u8]) -> usize {
    let bytes = match parse_integer(text) {
        Some(integer) => integer_bytes(integer),
        None => string_head_bytes(text.len()) + text.len(),
    };
    bytes + length_backwards_bytes(bytes)
}

fn integer_bytes(integer: i64) -> usize {
    match integer {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7FFF => 3,
        -0x80_0000..=0x7F_FFFF => 4,
        -0x8000_0000..=0x7FFF_FFFF => 5,
        _ => 9,
    }
}

/// Builds a listpack element by element.
pub(crate) struct Builder {
    bytes: Vec<u8>,
    count: u64,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder { bytes: vec![0; HEAD_BYTES], count: 0 }
    }

    /// Bytes so far, the end mark included.
    pub(crate) fn bytes_so_far(&self) -> usize {
        self.bytes.len() + 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends text: as an integer if it is the one spelling of one.
    pub(crate) fn push(&mut self, text: &[u8]) {
        match parse_integer(text) {
            Some(integer) => self.push_integer(integer),
            None => self.push_bytes(text),
        }
    }

    /// Appends text that must stay text.
    pub(crate) fn push_bytes(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        let length = text.len();
        match string_head_bytes(length) {
            1 => self.bytes.push(0x80 | length as u8),
            2 => self.bytes.extend_from_slice(&(0xE000 | length as u16).to_be_bytes()),
            _ => {
                self.bytes.push(0xF0);
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.end_element(start);
    }

    pub(crate) fn push_integer(&mut self, integer: i64) {
        let start = self.bytes.len();
        let little = integer.to_le_bytes();
        match integer_bytes(integer) {
            1 => self.bytes.push(little[0]),
            2 => self.bytes.extend_from_slice(&(0xC000 | integer as u16 & 0x1FFF).to_be_bytes()),
            3 => self.put_head_and(0xF1, &little[..2]),
            4 => self.put_head_and(0xF2, &little[..3]),
            5 => self.put_head_and(0xF3, &little[..4]),
            _ => self.put_head_and(0xF4, &little),
        }
        self.end_element(start);
    }

    fn put_head_and(&mut self, head: u8, bytes: &[u8]) {
        self.bytes.push(head);
        self.bytes.extend_from_slice(bytes);
    }

    fn end_element(&mut self, start: usize) {
        let element_bytes = self.bytes.len() - start;
        let backwards_at = self.bytes.len();
        self.bytes.resize(backwards_at + length_backwards_bytes(element_bytes), 0);
        put_length_backwards(element_bytes, &mut self.bytes[backwards_at..]);
        self.count += 1;
    }

    /// The listpack; the builder begins a new one.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::replace(&mut self.bytes, vec![0; HEAD_BYTES]);
        bytes.push(END);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
        bytes[4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
        self.count = 0;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Form, texts_of};
    use super::*;
    use proptest::prelude::*;

    fn texts(bytes: &[u8]) -> Result<Vec<String>, Flaw> {
        texts_of(Form::Listpack, bytes)
    }

    fn built(elements: &[&[u8]]) -> Vec<u8> {
        let mut builder = Builder::new();
        for element in elements {
            builder.push(element);
        }
        builder.end()
    }

    #[test]
    fn the_drawing_is_right() {
        assert_eq!(built(&[b"12", b"ab"]), b"\x0D\0\0\0\x02\0\x0C\x01\x82ab\x03\xFF");
        for (length, backwards) in [(5, &[5][..]), (300, &[0x02, 0xAC]), (20_000, &[0x01, 0x9C, 0xA0])] {
            let mut into = vec![0; length_backwards_bytes(length)];
            put_length_backwards(length, &mut into);
            assert_eq!(into, backwards);
        }
    }

    #[test]
    fn a_length_that_servers_write_differently_is_read_in_both_ways_and_not_written() {
        let text = vec![b'x'; (1 << 14) - 1 - 5];
        assert!(!can_hold(text.len()) && can_hold(text.len() + 1) && can_hold(text.len() - 1));
        let short = built(&[&text, b"z"]);
        assert_eq!(texts(&short).unwrap().len(), 2);
        let mut long = short.clone();
        let at = 6 + 5 + text.len();
        assert_eq!(long[at..at + 2], [0x7F, 0xFF]);
        long.splice(at..at + 2, [0, 0xFF, 0xFF]);
        let length = long.len() as u32;
        long[..4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(texts(&long).unwrap(), texts(&short).unwrap());
    }

    #[test]
    fn each_integer_takes_the_fewest_bytes() {
        for (integer, element_bytes) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (-1, 2),
            (-4096, 2),
            (4095, 2),
            (4096, 3),
            (-4097, 3),
            (32_767, 3),
            (32_768, 4),
            (-32_769, 4),
            (8_388_607, 4),
            (8_388_608, 5),
            (i64::from(i32::MIN), 5),
            (1 << 31, 9),
            (i64::MIN, 9),
        ] {
            let mut builder = Builder::new();
            builder.push_integer(integer);
            let bytes = builder.end();
            assert_eq!(bytes.len(), HEAD_BYTES + element_bytes + 1 + 1, "{integer}");
            assert_eq!(texts(&bytes).unwrap(), [integer.to_string()]);
        }
    }

    #[test]
    fn damage_is_a_flaw() {
        let good = built(&[b"12", b"ab"]);
        assert_eq!(texts(&good).unwrap(), ["12", "ab"]);
        for cut in 0..good.len() {
            texts(&good[..cut]).unwrap_err();
        }
        let damaged = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            texts(&bytes).unwrap_err()
        };
        assert_eq!(damaged(4, 3).what, "the count in its head is not the number of its elements");
        assert_eq!(damaged(4, 1).what, "the count in its head is not the number of its elements");
        assert_eq!(damaged(7, 2).what, "an element's length backwards is not its length");
        assert_eq!(damaged(8, 0xBF).what, "an element reaches behind the end");
        assert_eq!(damaged(8, 0x85).at, 9);
        assert_eq!(damaged(8, 0xF5).what, "a byte begins no element");
        assert_eq!(damaged(12, 0xFE).what, "its last byte is not the end mark");
    }

    #[test]
    fn more_elements_than_the_head_can_say_are_counted() {
        let mut builder = Builder::new();
        for number in 0..70_000 {
            builder.push_integer(number);
        }
        let bytes = builder.end();
        assert_eq!(bytes[4..6], [0xFF, 0xFF]);
        assert_eq!(texts(&bytes).unwrap().len(), 70_000);
    }

    proptest! {
        #[test]
        fn what_was_built_is_read(
            elements in prop::collection::vec(
                prop_oneof![
                    any::<i64>().prop_map(|n| n.to_string().into_bytes()),
                    (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
                    prop::collection::vec(any::<u8>(), 0..70),
                    (0usize..20_000).prop_map(|length| vec![b'x'; length]),
                ],
                0..20,
            ),
        ) {
            let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            let bytes = built(&elements);
            let expected: Vec<String> = elements.iter().map(|text| text.escape_ascii().to_string()).collect();
            prop_assert_eq!(texts(&bytes).unwrap(), expected);
            let estimate: usize = elements.iter().map(|text| element_bytes_max(text.len())).sum();
            prop_assert!(bytes.len() <= HEAD_BYTES + 1 + estimate);
            let exact: usize = elements.iter().map(|text| element_bytes(text)).sum();
            prop_assert_eq!(bytes.len(), EMPTY_BYTES + exact);
        }
    }
}
