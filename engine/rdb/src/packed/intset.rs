//! Intsets, read and written: a small set of integers, sorted.
//!
//! ```text
//!   +---------------------------+-----------+----------------------------------------------+
//!   | bytes per integer: 2, 4,  | integers  | the integers, signed, rising, low byte first |
//!   | 8; four bytes, low first  | 4         |                                              |
//!   +---------------------------+-----------+----------------------------------------------+
//! ```
//!
//! Promises: the count and the length agree, and each integer is above the one before, so none is there twice.
//! Never: sorts what it reads.

use super::{Flaw, Piece, array};

const HEAD_BYTES: usize = 8;

pub(super) fn head(bytes: &[u8]) -> Result<(usize, Option<u64>), Flaw> {
    if bytes.len() < HEAD_BYTES {
        return Err(Flaw { at: 0, what: "it is shorter than its head" });
    }
    let width = width(bytes)?;
    let count = u64::from(u32::from_le_bytes(array(bytes, 4)?));
    if count * width as u64 != (bytes.len() - HEAD_BYTES) as u64 {
        return Err(Flaw { at: 4, what: "the count in its head does not fit its length" });
    }
    Ok((HEAD_BYTES, Some(count)))
}

fn width(bytes: &[u8]) -> Result<usize, Flaw> {
    match u32::from_le_bytes(array(bytes, 0)?) {
        width @ (2 | 4 | 8) => Ok(width as usize),
        _ => Err(Flaw { at: 0, what: "its integers have neither 2, 4 nor 8 bytes" }),
    }
}

pub(super) fn step(bytes: &[u8], at: usize) -> Result<Option<(Piece, usize)>, Flaw> {
    if at == bytes.len() {
        return Ok(None);
    }
    let width = width(bytes)?;
    let integer = integer_at(bytes, at, width)?;
    if at > HEAD_BYTES && integer_at(bytes, at - width, width)? >= integer {
        return Err(Flaw { at, what: "its integers do not rise" });
    }
    Ok(Some((Piece::Integer(integer), at + width)))
}

fn integer_at(bytes: &[u8], at: usize, width: usize) -> Result<i64, Flaw> {
    Ok(match width {
        2 => i64::from(i16::from_le_bytes(array(bytes, at)?)),
        4 => i64::from(i32::from_le_bytes(array(bytes, at)?)),
        _ => i64::from_le_bytes(array(bytes, at)?),
    })
}

/// The intset of these integers, which it sorts.
pub(crate) fn build(integers: &mut [i64]) -> Vec<u8> {
    integers.sort_unstable();
    let fits = |low: i64, high: i64| integers.iter().all(|integer| (low..=high).contains(integer));
    let width = if fits(i64::from(i16::MIN), i64::from(i16::MAX)) {
        2
    } else if fits(i64::from(i32::MIN), i64::from(i32::MAX)) {
        4
    } else {
        8
    };
    let mut bytes = Vec::with_capacity(HEAD_BYTES + integers.len() * width);
    bytes.extend_from_slice(&(width as u32).to_le_bytes());
    bytes.extend_from_slice(&(integers.len() as u32).to_le_bytes());
    for integer in integers {
        bytes.extend_from_slice(&integer.to_le_bytes()[..width]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::{Form, texts_of};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damage_is_a_flaw() {
        let good = build(&mut [3, -1, 2]);
        assert_eq!(good, b"\x02\0\0\0\x03\0\0\0\xFF\xFF\x02\0\x03\0");
        assert_eq!(texts_of(Form::Intset, &good).unwrap(), ["-1", "2", "3"]);
        for cut in 0..good.len() {
            texts_of(Form::Intset, &good[..cut]).unwrap_err();
        }
        for (at, byte) in [(0, 3), (0, 4), (4, 2), (7, 0xFF), (10, 3), (10, 4), (13, 0x80)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            texts_of(Form::Intset, &bytes).expect_err(&format!("byte {at} is {byte}"));
        }
    }

    proptest! {
        #[test]
        fn what_was_built_is_read(
            integers in prop_oneof![
                prop::collection::btree_set(-40_000i64..40_000, 0..50),
                prop::collection::btree_set(any::<i64>(), 0..50),
            ],
        ) {
            let mut given: Vec<i64> = integers.iter().rev().copied().collect();
            let bytes = build(&mut given);
            let expected: Vec<String> = integers.iter().map(i64::to_string).collect();
            prop_assert_eq!(texts_of(Form::Intset, &bytes).unwrap(), expected);
        }
    }
}
