//! Where parts of a string begin and end: the index arithmetic of GETRANGE, SETRANGE and APPEND.
//!
//! Indexes count from the front from 0, or, negative, from the end: -1 is the last byte.
//! Promises: what is answered lies inside the string; every edge answers as Redis answers, the odd ones too (an end
//! before the front counts as the first byte, unless both ends are negative and crossed).
//! Never: allocates; the caller decides where bytes go.

use std::ops::Range;

/// What start and end name in a string of `length` units. Empty if there is nothing between them.
pub fn index_range(start: i64, end: i64, length: u64) -> Range<u64> {
    // A string's length fits i64 by far (512 MiB); the clamp keeps the arithmetic honest for any caller.
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if length == 0 {
        return 0..0;
    }
    let from_front = |index: i64| {
        if index < 0 { (length + index).max(0) } else { index }
    };
    let start = from_front(start);
    let end = from_front(end).min(length - 1);
    if start > end { 0..0 } else { start as u64..end as u64 + 1 }
}

/// True if both ends are negative and crossed, which GETRANGE and BITCOUNT call empty before they look at the length.
pub fn is_crossed(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

/// What GETRANGE start end names: as [`index_range`], but crossed negative ends name nothing.
pub fn get_range(start: i64, end: i64, length: u64) -> Range<u64> {
    if is_crossed(start, end) { 0..0 } else { index_range(start, end, length) }
}

/// The length after writing `patch_length` bytes at `offset`, or `None` if it would pass `length_max`.
pub fn length_after_set_range(old_length: u64, offset: u64, patch_length: u64, length_max: u64) -> Option<u64> {
    let end = offset.checked_add(patch_length).filter(|&end| end <= length_max)?;
    Some(old_length.max(end))
}

/// Appends `old` with `patch` written over it at `offset` to `into`; a gap is filled with zeros.
/// The caller has checked the length with [`length_after_set_range`].
pub fn put_set_range(old: &[u8], offset: usize, patch: &[u8], into: &mut Vec<u8>) {
    let end = offset + patch.len();
    into.reserve(old.len().max(end));
    into.extend_from_slice(&old[..offset.min(old.len())]);
    into.extend(std::iter::repeat_n(0, offset.saturating_sub(old.len())));
    into.extend_from_slice(patch);
    if let Some(rest) = old.get(end..) {
        into.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_odd_edges_of_get_range_are_redis_edges() {
        assert_eq!(get_range(0, -1, 5), 0..5);
        assert_eq!(get_range(-3, -1, 5), 2..5);
        assert_eq!(get_range(-1, -3, 5), 0..0, "both negative and crossed");
        assert_eq!(get_range(0, -100, 5), 0..1, "an end before the front is the first byte");
        assert_eq!(get_range(-100, -100, 5), 0..1);
        assert_eq!(get_range(-100, -200, 5), 0..0);
        assert_eq!(index_range(-100, -200, 5), 0..1, "BITPOS does not ask whether they are crossed");
        assert_eq!(get_range(4, 3, 5), 0..0);
        assert_eq!(get_range(5, 10, 5), 0..0);
        assert_eq!(get_range(0, 0, 0), 0..0);
        assert_eq!(get_range(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(get_range(i64::MAX, i64::MIN, 5), 0..0);
    }

    #[test]
    fn a_string_never_passes_its_limit() {
        assert_eq!(length_after_set_range(3, 5, 5, 10), Some(10));
        assert_eq!(length_after_set_range(20, 5, 5, 10), Some(20), "a longer old string is not this write's doing");
        assert_eq!(length_after_set_range(3, 6, 5, 10), None);
        assert_eq!(length_after_set_range(3, u64::MAX, 1, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn a_range_lies_inside(start in -20i64..20, end in -20i64..20, length in 0u64..16) {
            let range = get_range(start, end, length);
            prop_assert!(range.start <= range.end && range.end <= length);
            if start >= 0 && end >= 0 {
                let expected = (0..length).filter(|&i| start as u64 <= i && i <= end as u64).count() as u64;
                prop_assert_eq!(range.end - range.start, expected);
            }
        }

        #[test]
        fn a_patch_lands_and_the_rest_stays(old in any::<Vec<u8>>(), offset in 0usize..300, patch in any::<Vec<u8>>()) {
            let mut new = b"before".to_vec();
            put_set_range(&old, offset, &patch, &mut new);
            prop_assert_eq!(&new[..6], b"before");
            let new = &new[6..];
            let length = length_after_set_range(old.len() as u64, offset as u64, patch.len() as u64, 1000).unwrap();
            prop_assert_eq!(new.len() as u64, length);
            for (place, &byte) in new.iter().enumerate() {
                let expected = if place >= offset && place < offset + patch.len() { patch[place - offset] } else { old.get(place).copied().unwrap_or(0) };
                prop_assert_eq!(byte, expected);
            }
        }
    }
}
