//! Zipmaps, read: small hashes before Redis 2.6.
//!
//! ```text
//!   +--------------------+--------------------------------------------------------------+-----+----+
//!   | pairs (FE or more: | length, field, length, bytes free behind the value (1 byte), | ... | FF |
//!   | count them) 1 byte | value, free bytes                                            |     |    |
//!   +--------------------+--------------------------------------------------------------+-----+----+
//!   length: one byte below FE, or FE and 4 bytes, low first
//! ```
//!
//! Promises: every length and the count of pairs are checked. Never: writes one.

use super::{Flaw, Piece, array, range};

const COUNT_UNKNOWN: u8 = 0xFE;
const LONG: u8 = 0xFE;
const END: u8 = 0xFF;

pub(super) fn head(bytes: &[u8]) -> Result<(usize, Option<u64>), Flaw> {
    if bytes.len() < 2 {
        return Err(Flaw { at: 0, what: "it is shorter than its head and end" });
    }
    if bytes.last() != Some(&END) {
        return Err(Flaw { at: bytes.len() - 1, what: "its last byte is not the end mark" });
    }
    Ok((1, (bytes[0] < COUNT_UNKNOWN).then_some(u64::from(bytes[0]))))
}

pub(super) fn step(bytes: &[u8], at: usize, is_value: bool) -> Result<Option<(Piece, usize)>, Flaw> {
    let end = bytes.len() - 1;
    if at == end && !is_value {
        return Ok(None);
    }
    let [first] = array(bytes, at)?;
    let (length, behind) = match first {
        END => return Err(Flaw { at, what: "an end mark stands before the end" }),
        LONG => (u32::from_le_bytes(array(bytes, at + 1)?) as usize, at + 5),
        short => (usize::from(short), at + 1),
    };
    if !is_value {
        let field = range(behind, length, end)?;
        let after = field.end;
        return Ok(Some((Piece::Bytes(field), after)));
    }
    let [free] = array(bytes, behind)?;
    let value = range(behind + 1, length, end)?;
    let after = range(value.end, usize::from(free), end)?.end;
    Ok(Some((Piece::Bytes(value), after)))
}

#[cfg(test)]
mod tests {
    use super::super::{Form, texts_of};

    #[test]
    fn pairs_are_read_and_damage_is_a_flaw() {
        let long = [&b"\x02\x01a\xFE\x2C\x01\x00\x00\x00"[..], &[b'x'; 300], b"\x01b\x00\x02\xAA\xAA\xFF"].concat();
        assert_eq!(texts_of(Form::Zipmap, &long).unwrap(), ["a", &"x".repeat(300), "b", ""]);
        let good = b"\x01\x01a\x02\x01bc\xEE\xFF";
        assert_eq!(texts_of(Form::Zipmap, good).unwrap(), ["a", "bc"]);
        for cut in 0..good.len() {
            texts_of(Form::Zipmap, &good[..cut]).unwrap_err();
        }
        for (at, byte) in [(0, 0), (0, 2), (1, 0xFF), (1, 0x20), (3, 9), (4, 2), (4, 0), (8, 0)] {
            let mut bytes = *good;
            bytes[at] = byte;
            texts_of(Form::Zipmap, &bytes).expect_err(&format!("byte {at} is {byte}"));
        }
    }
}
