//! Keys: what trees sort by. A number first, then bytes.
//!
//! ```text
//!   hash, set, second tree of a sorted set    (hash of the field, the field)
//!   sorted set                                (the score as a sortable number, the member)
//!   list                                      no key: a position
//! ```
//!
//! A separator between two keys is as short as it can be: the right one's number alone if the left one's is smaller, else
//! the number and the right one's bytes up to the first that differs. So only equal hashes, or equal scores, cost tails.
//!
//! Promises: keys compare as (number, bytes), always.
//! Never: holds bytes of its own.

/// A key, or a separator between two.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct Key<'k> {
    pub(crate) prefix: u64,
    pub(crate) tail: &'k [u8],
}

impl<'k> Key<'k> {
    /// The shortest key above `left` and not above `right`.
    pub(crate) fn separator(left: &Key<'_>, right: &Key<'k>) -> Key<'k> {
        if left.prefix != right.prefix {
            return Key { prefix: right.prefix, tail: &[] };
        }
        let common = left.tail.iter().zip(right.tail).take_while(|(a, b)| a == b).count();
        Key { prefix: right.prefix, tail: &right.tail[..right.tail.len().min(common + 1)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_separator_lies_between(
            a in (0u64..3, proptest::collection::vec(0u8..3, 0..5)),
            b in (0u64..3, proptest::collection::vec(0u8..3, 0..5)),
        ) {
            prop_assume!(a != b);
            let (left, right) = if a < b { (&a, &b) } else { (&b, &a) };
            let left = Key { prefix: left.0, tail: &left.1 };
            let right = Key { prefix: right.0, tail: &right.1 };
            let separator = Key::separator(&left, &right);
            prop_assert!(left < separator && separator <= right);
        }
    }
}
