//! Strings seen as arrays of bits: read, count, search, combine. Bit 0 is the highest bit of byte 0.
//!
//! ```text
//!   byte      0         1
//!   bit     0......7  8.....15      "a" = 0x61 = 0110 0001: bits 1, 2 and 7 are set
//! ```
//!
//! Promises: what lies behind the end of a string is zero; ranges are of bits, half open, and clipped to the string.
//! Never: grows a string by itself.

use std::ops::Range;

/// The bit at `offset`.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|place| bytes.get(place));
    byte.is_some_and(|byte| byte >> (7 - offset % 8) & 1 == 1)
}

/// Sets the bit at `offset`, which must lie inside.
pub fn set_bit(bytes: &mut [u8], offset: u64, value: bool) {
    let byte = &mut bytes[(offset / 8) as usize];
    let mask = 1 << (7 - offset % 8);
    if value {
        *byte |= mask;
    } else {
        *byte &= !mask;
    }
}

/// How many bits of the range are set.
pub fn count_bits(bytes: &[u8], range: Range<u64>) -> u64 {
    let range = clip(bytes, range);
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let whole: u64 = bytes[first..=last].iter().map(|byte| u64::from(byte.count_ones())).sum();
    let before = bytes[first] & !first_mask(range.start);
    let after = bytes[last] & !last_mask(range.end);
    whole - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// The first bit of the range that has this value.
pub fn find_bit(bytes: &[u8], value: bool, range: Range<u64>) -> Option<u64> {
    let range = clip(bytes, range);
    if range.is_empty() {
        return None;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // A byte of `uniform` holds nothing wanted; exclusive or with it makes the wanted bits ones.
    let uniform = if value { 0x00 } else { 0xFF };
    let wanted = |place: usize| {
        let mut byte = bytes[place] ^ uniform;
        if place == first {
            byte &= first_mask(range.start);
        }
        if place == last {
            byte &= last_mask(range.end);
        }
        byte
    };
    let found = |place: usize| {
        let byte = wanted(place);
        (byte != 0).then(|| place as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if let Some(bit) = found(first) {
        return Some(bit);
    }
    let inner = first + 1;
    let skipped = bytes
        .get(inner..last)
        .map_or(0, |middle| middle.iter().position(|&byte| byte != uniform).unwrap_or(middle.len()));
    (inner + skipped..=last).find_map(found)
}

fn clip(bytes: &[u8], range: Range<u64>) -> Range<u64> {
    range.start..range.end.min(bytes.len() as u64 * 8)
}

/// The bits of its byte from `start` on.
fn first_mask(start: u64) -> u8 {
    0xFF >> (start % 8)
}

/// The bits of the last byte before `end`.
fn last_mask(end: u64) -> u8 {
    match end % 8 {
        0 => 0xFF,
        bits => !(0xFF >> bits),
    }
}

/// How BITOP combines.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum BitOperation {
    /// Set where all are set.
    And,
    /// Set where any is set.
    Or,
    /// Set where an odd number is set.
    Xor,
    /// Set where the only source is not.
    Not,
}

/// Appends the combination of the sources, as long as the longest of them; shorter ones are padded with zeros.
/// [`BitOperation::Not`] takes one source.
pub fn put_bit_operation(operation: BitOperation, sources: &[&[u8]], into: &mut Vec<u8>) {
    let Some((first, others)) = sources.split_first() else {
        return;
    };
    let start = into.len();
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    into.extend_from_slice(first);
    into.resize(start + length, 0);
    let result = &mut into[start..];
    if operation == BitOperation::Not {
        assert!(others.is_empty(), "NOT has one source");
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for source in others {
        let (shared, behind) = result.split_at_mut(source.len());
        match operation {
            BitOperation::And => {
                shared.iter_mut().zip(*source).for_each(|(byte, other)| *byte &= other);
                behind.fill(0);
            }
            BitOperation::Or => shared.iter_mut().zip(*source).for_each(|(byte, other)| *byte |= other),
            BitOperation::Xor => shared.iter_mut().zip(*source).for_each(|(byte, other)| *byte ^= other),
            BitOperation::Not => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|offset| get_bit(bytes, offset)).collect()
    }

    #[test]
    fn the_drawing_at_the_head_is_true() {
        let set: Vec<u64> = (0..8).filter(|&offset| get_bit(b"a", offset)).collect();
        assert_eq!(set, [1, 2, 7]);
        assert!(!get_bit(b"a", 8) && !get_bit(b"a", u64::MAX));
    }

    proptest! {
        #[test]
        fn counting_and_finding_agree_with_looking_at_each_bit(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 0..24), start in 0u64..200, length in 0u64..200, value in any::<bool>()) {
            let range = start..start + length;
            let all = bits(&bytes);
            let inside: Vec<u64> = (0..all.len() as u64).filter(|offset| range.contains(offset)).collect();
            let count = inside.iter().filter(|&&offset| all[offset as usize]).count() as u64;
            prop_assert_eq!(count_bits(&bytes, range.clone()), count);
            let first = inside.iter().copied().find(|&offset| all[offset as usize] == value);
            prop_assert_eq!(find_bit(&bytes, value, range), first);
        }

        #[test]
        fn setting_a_bit_sets_that_bit_alone(bytes in proptest::collection::vec(any::<u8>(), 1..9), place in any::<prop::sample::Index>(), value in any::<bool>()) {
            let offset = place.index(bytes.len() * 8);
            let mut changed = bytes.clone();
            set_bit(&mut changed, offset as u64, value);
            let mut expected = bits(&bytes);
            expected[offset] = value;
            prop_assert_eq!(bits(&changed), expected);
        }

        #[test]
        fn combining_is_bit_by_bit(sources in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 1..4)) {
            let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let length = sources.iter().map(|source| source.len()).max().unwrap_or(0) as u64;
            let columns = (0..length * 8).map(|offset| sources.iter().filter(|source| get_bit(source, offset)).count());
            let columns: Vec<usize> = columns.collect();
            let run = |operation, sources: &[&[u8]]| {
                let mut into = Vec::new();
                put_bit_operation(operation, sources, &mut into);
                bits(&into)
            };
            prop_assert_eq!(run(BitOperation::And, &sources), columns.iter().map(|&set| set == sources.len()).collect::<Vec<_>>());
            prop_assert_eq!(run(BitOperation::Or, &sources), columns.iter().map(|&set| set > 0).collect::<Vec<_>>());
            prop_assert_eq!(run(BitOperation::Xor, &sources), columns.iter().map(|&set| set % 2 == 1).collect::<Vec<_>>());
            prop_assert_eq!(run(BitOperation::Not, &sources[..1]), bits(sources[0]).iter().map(|&bit| !bit).collect::<Vec<_>>());
        }
    }
}
