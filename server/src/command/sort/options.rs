//! The words of SORT behind its key.
//!
//! Promises: read in Redis's order, with its refusals; of options given twice the last counts, of GET all. Never: looks at a key.

use std::ops::Range;

use super::pattern::has_star;
use crate::command::args::Args;
use crate::command::reply::CommandError;

/// What SORT was asked.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) descending: bool,
    pub(super) alpha: bool,
    pub(super) by: Option<&'a [u8]>,
    pub(super) get: Vec<&'a [u8]>,
    pub(super) store: Option<&'a [u8]>,
    /// Offset and count; a negative count is all.
    limit: Option<(i64, i64)>,
    /// A BY without a star was given, at whatever place: nothing is weighed.
    unsorted: bool,
}

impl<'a> Options<'a> {
    pub(super) fn parse(args: &Args<'a>, may_store: bool) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut at = 2;
        while at < args.len() {
            let behind = args.len() - at - 1;
            let is = |word| args.is(at, word);
            if is("ASC") {
                options.descending = false;
            } else if is("DESC") {
                options.descending = true;
            } else if is("ALPHA") {
                options.alpha = true;
            } else if is("LIMIT") && behind >= 2 {
                options.limit = Some((args.integer(at + 1)?, args.integer(at + 2)?));
                at += 2;
            } else if is("STORE") && behind >= 1 && may_store {
                options.store = args.get(at + 1);
                at += 1;
            } else if is("BY") && behind >= 1 {
                let pattern = args.at(at + 1);
                options.by = Some(pattern);
                options.unsorted |= !has_star(pattern);
                at += 1;
            } else if is("GET") && behind >= 1 {
                options.get.push(args.at(at + 1));
                at += 1;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// Whether elements stay in the order in which they lie (BY without a star).
    pub(super) fn is_unsorted(&self) -> bool {
        self.unsorted
    }

    /// The places of the answer among `count` elements.
    pub(super) fn window(&self, count: u64) -> Range<u64> {
        let (offset, limit) = self.limit.unwrap_or((0, -1));
        let start = offset.max(0).cast_unsigned().min(count);
        let end = u64::try_from(limit).map_or(count, |limit| start.saturating_add(limit).min(count));
        start..end
    }
}

/// The word of the key that STORE names, as the permissions see it: the last one.
pub(super) fn store_word(args: &Args<'_>) -> Option<usize> {
    let mut found = None;
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "LIMIT") {
            at += 2;
        } else if args.is(at, "GET") || args.is(at, "BY") {
            at += 1;
        } else if args.is(at, "STORE") && at + 1 < args.len() {
            at += 1;
            found = Some(at);
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(limit: (i64, i64), count: u64) -> Range<u64> {
        Options { limit: Some(limit), ..Options::default() }.window(count)
    }

    #[test]
    fn a_window_stays_within_the_elements() {
        assert_eq!(Options::default().window(5), 0..5);
        assert_eq!(window((1, 2), 5), 1..3);
        assert_eq!(window((-7, 2), 5), 0..2);
        assert_eq!(window((3, -1), 5), 3..5);
        assert_eq!(window((3, 0), 5), 3..3);
        assert_eq!(window((9, 9), 5), 5..5);
        assert_eq!(window((i64::MAX, i64::MAX), 5), 5..5);
        assert_eq!(window((0, i64::MIN), 0), 0..0);
    }
}
