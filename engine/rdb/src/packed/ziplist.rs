//! Ziplists, read: what listpacks replaced in Redis 7.0.
//!
//! ```text
//!   +-----------+-----------------------+-----------------------------+---------+-----+----+
//!   | bytes in  | where the last        | elements (FFFF: count them) | element | ... | FF |
//!   | all, 4    | element begins, 4     | 2                           |         |     |    |    low bytes first
//!   +-----------+-----------------------+-----------------------------+---------+-----+----+
//!
//!   element = bytes of the element before, head, bytes of a string
//!     bytes before: one byte, or FE and 4 bytes, low first (also allowed for small numbers)
//!     00LLLLLL <L bytes>              01LLLLLL LLLLLLLL <L bytes>, high first
//!     10?????? <4 bytes, high first> <L bytes>
//!     C0 / D0 / F0 / E0 + 2 / 3 / 4 / 8 bytes of integer: see `step`      FE + 1 byte      F1 to FD: 0 to 12
//! ```
//!
//! Promises: every head, length, backward length and count is checked, and the place of the last element.
//! Never: writes one.

use super::{END, Flaw, Piece, array, framed, integer_of_24_bits, range};

const HEAD_BYTES: usize = 10;
const LONG_PREVIOUS: u8 = 0xFE;

pub(super) fn head(bytes: &[u8]) -> Result<(usize, Option<u64>), Flaw> {
    framed(bytes, HEAD_BYTES, 8)
}

pub(super) fn step(bytes: &[u8], at: usize, previous: usize) -> Result<Option<(Piece, usize)>, Flaw> {
    let end = bytes.len() - 1;
    let last_at = u32::from_le_bytes(array(bytes, 4)?) as usize;
    if at == end {
        let right = if previous == 0 { HEAD_BYTES } else { at - previous };
        if last_at != right {
            return Err(Flaw { at: 4, what: "its head does not say where the last element begins" });
        }
        return Ok(None);
    }
    let [first] = array(bytes, at)?;
    let (stored_previous, head_at) = match first {
        LONG_PREVIOUS => (u32::from_le_bytes(array(bytes, at + 1)?) as usize, at + 5),
        END => return Err(Flaw { at, what: "an end mark stands before the end" }),
        short => (usize::from(short), at + 1),
    };
    if stored_previous != previous {
        return Err(Flaw { at, what: "an element does not say the length of the one before" });
    }
    if head_at >= end {
        return Err(Flaw { at, what: "it ends inside an element" });
    }
    let [head] = array(bytes, head_at)?;
    let body_at = head_at + 1;
    let string =
        |body_at: usize, length: usize| range(body_at, length, end).map(|range| (range.end, Piece::Bytes(range)));
    let integer = |value: i64, value_bytes: usize| {
        range(body_at, value_bytes, end).map(|range| (range.end, Piece::Integer(value)))
    };
    let (after, piece) = match head {
        0..=0x3F => string(body_at, usize::from(head)),
        0x40..=0x7F => {
            let [low] = array(bytes, body_at)?;
            string(body_at + 1, usize::from(head & 0x3F) << 8 | usize::from(low))
        }
        0x80..=0xBF => string(body_at + 4, u32::from_be_bytes(array(bytes, body_at)?) as usize),
        0xC0 => integer(i64::from(i16::from_le_bytes(array(bytes, body_at)?)), 2),
        0xD0 => integer(i64::from(i32::from_le_bytes(array(bytes, body_at)?)), 4),
        0xE0 => integer(i64::from_le_bytes(array(bytes, body_at)?), 8),
        0xF0 => integer(integer_of_24_bits(array(bytes, body_at)?), 3),
        0xFE => integer(i64::from(i8::from_le_bytes(array(bytes, body_at)?)), 1),
        0xF1..=0xFD => integer(i64::from(head & 0x0F) - 1, 0),
        _ => Err(Flaw { at: head_at, what: "a byte begins no element" }),
    }?;
    Ok(Some((piece, after)))
}

#[cfg(test)]
mod tests {
    use super::super::{Form, texts_of};
    use super::*;

    /// A ziplist of elements given as their heads and bytes.
    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        let mut last_at = HEAD_BYTES;
        let mut previous = 0;
        for element in elements {
            last_at = bytes.len();
            if previous < 254 {
                bytes.push(previous as u8);
            } else {
                bytes.push(LONG_PREVIOUS);
                bytes.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            bytes.extend_from_slice(element);
            previous = bytes.len() - last_at;
        }
        bytes.push(END);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last_at as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
        bytes
    }

    fn texts(bytes: &[u8]) -> Result<Vec<String>, Flaw> {
        texts_of(Form::Ziplist, bytes)
    }

    #[test]
    fn every_kind_of_element_is_read() {
        let long = [&b"\x41\x2C"[..], &[b'x'; 300]].concat();
        let longest = [&b"\x80\x00\x00\x00\x02"[..], b"yz"].concat();
        let bytes = ziplist(&[
            b"\x02ab",
            &long,
            &longest,
            b"\xC0\xFE\xFF",
            b"\xD0\x00\x00\x00\x80",
            b"\xE0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xF0\xFF\xFF\xFF",
            b"\xFE\x80",
            b"\xF1",
            b"\xFD",
            b"\x00",
        ]);
        let expected = [
            "ab".to_owned(),
            "x".repeat(300),
            "yz".to_owned(),
            "-2".to_owned(),
            i32::MIN.to_string(),
            i64::MIN.to_string(),
            "-1".to_owned(),
            "-128".to_owned(),
            "0".to_owned(),
            "12".to_owned(),
            String::new(),
        ];
        assert_eq!(texts(&bytes).unwrap(), expected);
        assert_eq!(texts(&ziplist(&[])).unwrap(), [""; 0]);
    }

    #[test]
    fn damage_is_a_flaw() {
        let good = ziplist(&[b"\x02ab", b"\xF2", b"\xC0\x39\x30"]);
        for cut in 0..good.len() {
            texts(&good[..cut]).unwrap_err();
        }
        for (at, byte) in
            [(0, 1), (4, 10), (8, 2), (8, 4), (10, 1), (11, 3), (11, 0x3F), (14, 3), (15, 0xFF), (15, 0xC1)]
        {
            let mut bytes = good.clone();
            bytes[at] = byte;
            texts(&bytes).expect_err(&format!("byte {at} is {byte}"));
        }
    }
}
