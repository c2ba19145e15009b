//! Scores: packed in one to nine bytes, and as numbers that sort as the scores do.
//!
//! ```text
//!   whole numbers below 2^47 in size    varint(zigzag(score) + 1)      0 -> 01   -1 -> 02   1 -> 03   1000 -> D1 0F
//!   everything else                     00, then the 8 bytes of the f64, little-endian
//! ```
//!
//! Counters, ranks and points take 1-3 bytes, milliseconds since 1970 six, instead of eight; in both trees of a sorted set.
//! To sort, an f64's bits are flipped: all of them if it is negative, else only the sign. So -inf < -1 < 0 < 1 < inf as u64.
//!
//! Promises: a score has one encoding and is read back bit by bit, except that -0 is stored as 0, which is
//! what Redis reads back too.
//! Never: holds a NaN; decoding one is an error.

use crate::codec::{CodecError, put_varint, take_varint};

const WHOLE_LIMIT: f64 = (1u64 << 47) as f64;

/// Most bytes of a packed score.
#[cfg(test)]
const SCORE_BYTES_MAX: usize = 9;

/// Appends a packed score.
pub(crate) fn put_score(score: f64, into: &mut Vec<u8>) {
    let whole = score as i64;
    if score.abs() < WHOLE_LIMIT && whole as f64 == score {
        put_varint(((whole << 1) ^ (whole >> 63)) as u64 + 1, into);
    } else {
        into.push(0);
        into.extend_from_slice(&score.to_bits().to_le_bytes());
    }
}

/// Takes a packed score from the front of `bytes`.
#[inline]
pub(crate) fn take_score(bytes: &mut &[u8]) -> Result<f64, CodecError> {
    let packed = take_varint(bytes)?;
    if packed > 0 {
        let zigzag = packed - 1;
        let whole = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let score = whole as f64;
        return if score.abs() < WHOLE_LIMIT { Ok(score) } else { Err(CodecError::BadField) };
    }
    let (score, rest) = bytes.split_first_chunk::<8>().ok_or(CodecError::Truncated)?;
    let score = f64::from_bits(u64::from_le_bytes(*score));
    if score.is_nan() || (score.abs() < WHOLE_LIMIT && score as i64 as f64 == score) {
        return Err(CodecError::BadField);
    }
    *bytes = rest;
    Ok(score)
}

/// A number that compares as the score does. Both zeros are one number.
#[inline]
pub(crate) fn sortable(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(score: f64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_score(score, &mut bytes);
        bytes
    }

    #[test]
    fn the_drawing_at_the_head_is_true() {
        assert_eq!(packed(0.0), [0x01]);
        assert_eq!(packed(-0.0), [0x01]);
        assert_eq!(packed(-1.0), [0x02]);
        assert_eq!(packed(1.0), [0x03]);
        assert_eq!(packed(1000.0), [0xD1, 0x0F]);
        assert_eq!(packed(1.7e12).len(), 6);
        assert_eq!(packed(0.5), [0, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F]);
        assert_eq!(packed(f64::INFINITY).len(), SCORE_BYTES_MAX);
    }

    #[test]
    fn not_a_number_is_refused() {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&f64::NAN.to_bits().to_le_bytes());
        assert_eq!(take_score(&mut &bytes[..]), Err(CodecError::BadField));
    }

    fn scores() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<i64>().prop_map(|n| n as f64),
            (-5000i64..5000).prop_map(|n| n as f64),
            any::<f64>().prop_filter("a number", |score| !score.is_nan()),
            proptest::sample::select(vec![0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324]),
        ]
    }

    proptest! {
        #[test]
        fn a_score_is_read_back(score in scores()) {
            let bytes = packed(score);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_score(&mut rest).unwrap(), score);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn sortable_numbers_sort_as_scores_do(a in scores(), b in scores()) {
            prop_assert_eq!(sortable(a).cmp(&sortable(b)), a.partial_cmp(&b).unwrap());
        }

        #[test]
        fn foreign_bytes_have_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Ok(score) = take_score(&mut rest) {
                prop_assert_eq!(&packed(score)[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
