//! Parts of a sorted set: between two ranks, two scores or two members; all become ranks.
//!
//! ```text
//!   by score   1  (1  +inf             by member   [abc  (abc  -  +             by rank   0  -1
//!      1 a   1 b   2 c   3 d           (1 3      ->  ranks 2..4:  c d
//!     ^     ^     ^     ^     ^        [b [c     ->  ranks 1..3   (scores must be equal for that to mean anything)
//!     0     1     2     3     4
//! ```
//!
//! Promises: ends are read as Redis reads them, the odd ones too (an empty text is the score 0, blanks before a score are
//! skipped, a zero byte ends it).
//! Never: counts by walking.

use std::ops::Range;

use thermocline::Collection;
use thermocline_value::sorted_set::{self, Bound};
use thermocline_value::{Fault, length, nearest_double};

use super::ready_each;
use crate::command::reply::CommandError;

const BAD_SCORE: CommandError = CommandError::Static("ERR min or max is not a float");
const BAD_MEMBER: CommandError = CommandError::Static("ERR min or max not valid string range item");

/// Up to so many members are looked at one by one (a listpack's size in Redis).
const MEMBERS_WALKED_MAX: u64 = 128;

/// By what a part is named.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum By {
    Rank,
    Score,
    Member,
}

/// A part of a sorted set, from its lowest element to its highest.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Part<'a> {
    Ranks(i64, i64),
    Scores(ScoreEnd, ScoreEnd),
    Members(MemberEnd<'a>, MemberEnd<'a>),
}

/// An end of a part by score.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct ScoreEnd {
    score: f64,
    excluded: bool,
}

/// An end of a part by member.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum MemberEnd<'a> {
    BeforeAll,
    BehindAll,
    Including(&'a [u8]),
    Excluding(&'a [u8]),
}

impl ScoreEnd {
    fn read(word: &[u8]) -> Result<ScoreEnd, CommandError> {
        let (excluded, text) = match word {
            [b'(', text @ ..] => (true, text),
            text => (false, text),
        };
        // Redis hands the word to C, which reads up to a zero byte, skips blanks, and makes a 0 of nothing.
        let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
        let score = if text.is_empty() {
            0.0
        } else {
            let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
            nearest_double(&text[blanks..]).ok_or(BAD_SCORE)?
        };
        Ok(ScoreEnd { score, excluded })
    }
}

impl<'a> MemberEnd<'a> {
    fn read(word: &'a [u8]) -> Result<MemberEnd<'a>, CommandError> {
        match word {
            [b'-'] | [b'-', 0, ..] => Ok(MemberEnd::BeforeAll),
            [b'+'] | [b'+', 0, ..] => Ok(MemberEnd::BehindAll),
            [b'[', member @ ..] => Ok(MemberEnd::Including(member)),
            [b'(', member @ ..] => Ok(MemberEnd::Excluding(member)),
            _ => Err(BAD_MEMBER),
        }
    }

    /// Does this low end leave the member out?
    fn is_above(self, member: &[u8]) -> bool {
        match self {
            MemberEnd::BeforeAll => false,
            MemberEnd::BehindAll => true,
            MemberEnd::Including(end) => member < end,
            MemberEnd::Excluding(end) => member <= end,
        }
    }

    /// Does this high end leave the member out?
    fn is_below(self, member: &[u8]) -> bool {
        match self {
            MemberEnd::BeforeAll => true,
            MemberEnd::BehindAll => false,
            MemberEnd::Including(end) => member > end,
            MemberEnd::Excluding(end) => member >= end,
        }
    }

    fn place(self, score: f64, is_low: bool) -> Place<'a> {
        match self {
            MemberEnd::BeforeAll => Place::Front,
            MemberEnd::BehindAll => Place::Back,
            MemberEnd::Including(member) if is_low => Place::At(Bound::Before(score, member)),
            MemberEnd::Including(member) => Place::At(Bound::After(score, member)),
            MemberEnd::Excluding(member) if is_low => Place::At(Bound::After(score, member)),
            MemberEnd::Excluding(member) => Place::At(Bound::Before(score, member)),
        }
    }
}

/// Where a part begins or ends.
#[derive(Copy, Clone)]
enum Place<'a> {
    Front,
    Back,
    At(Bound<'a>),
}

impl<'a> Part<'a> {
    /// Reads the words that name the lowest and the highest element.
    pub(super) fn read(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Part<'a>, CommandError> {
        let integer = |word| thermocline_value::parse_integer(word).ok_or(CommandError::NOT_INTEGER);
        match by {
            By::Rank => Ok(Part::Ranks(integer(low)?, integer(high)?)),
            By::Score => Ok(Part::Scores(ScoreEnd::read(low)?, ScoreEnd::read(high)?)),
            By::Member => Ok(Part::Members(MemberEnd::read(low)?, MemberEnd::read(high)?)),
        }
    }

    /// Between which ranks it lies.
    pub(super) fn ranks(&self, collection: &Collection<'_>) -> Result<Range<u64>, Fault> {
        let length = length(collection)?;
        let (low, high) = match *self {
            Part::Ranks(start, end) => return Ok(between(start, end, length)),
            Part::Scores(low, high) => {
                let before = |score| Place::At(Bound::BeforeScore(score));
                let after = |score| Place::At(Bound::AfterScore(score));
                let low = if low.excluded { after(low.score) } else { before(low.score) };
                let high = if high.excluded { before(high.score) } else { after(high.score) };
                (low, high)
            }
            Part::Members(low, high) => {
                ready_each(collection, std::iter::once(0..1), |nodes, ranks, missing| {
                    sorted_set::touch_ranks(nodes, ranks, missing)
                })?;
                // All scores are equal, or nobody knows what comes.
                let Some(first) = sorted_set::at(collection, 0)? else { return Ok(0..0) };
                if length <= MEMBERS_WALKED_MAX {
                    return walked(collection, length, low, high);
                }
                (low.place(first.score, true), high.place(first.score, false))
            }
        };
        ready_each(collection, [low, high], |nodes, place, missing| match place {
            Place::At(bound) => sorted_set::touch_bound(nodes, &bound, missing),
            Place::Front | Place::Back => Ok(()),
        })?;
        let rank = |place| match place {
            Place::Front => Ok(0),
            Place::Back => Ok(length),
            Place::At(bound) => sorted_set::rank_of(collection, &bound),
        };
        let start = rank(low)?;
        Ok(start..rank(high)?.max(start))
    }
}

/// The run of members between two ends, found as Redis finds it in a small sorted set: where scores differ, too, and the members
/// have no order, it begins with the first that is not below the low end, and ends before the first that is above the high end.
fn walked(
    collection: &Collection<'_>,
    length: u64,
    low: MemberEnd<'_>,
    high: MemberEnd<'_>,
) -> Result<Range<u64>, Fault> {
    ready_each(collection, std::iter::once(0..length), |nodes, ranks, missing| {
        sorted_set::touch_ranks(nodes, ranks, missing)
    })?;
    let mut found = 0..0;
    for (rank, element) in (0..).zip(sorted_set::walk(collection, 0, false)?) {
        let member = element?.member;
        if found.is_empty() && low.is_above(member) {
            continue;
        }
        if high.is_below(member) {
            break;
        }
        found = if found.is_empty() { rank..rank + 1 } else { found.start..rank + 1 };
    }
    Ok(found)
}

/// What two ranks name, of which negative ones count from the end. Unlike a string's range, an end before the front names nothing.
fn between(start: i64, end: i64, length: u64) -> Range<u64> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_front = |rank: i64| if rank < 0 { length + rank } else { rank };
    let start = from_front(start).max(0);
    let end = from_front(end).min(length - 1);
    if start > end { 0..0 } else { start as u64..end as u64 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_from_both_ends() {
        assert_eq!(between(0, -1, 5), 0..5);
        assert_eq!(between(-2, 99, 5), 3..5);
        assert_eq!(between(-100, 0, 5), 0..1);
        assert_eq!(between(0, -100, 5), 0..0, "an end before the front names nothing");
        assert_eq!(between(3, 2, 5), 0..0);
        assert_eq!(between(5, 9, 5), 0..0);
        assert_eq!(between(0, -1, 0), 0..0);
        assert_eq!(between(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(between(i64::MAX, i64::MIN, 5), 0..0);
    }

    #[test]
    fn ends_by_score_are_read_as_c_reads_them() {
        let read = |word: &[u8]| ScoreEnd::read(word).ok().map(|end| (end.score, end.excluded));
        assert_eq!(read(b"1.5"), Some((1.5, false)));
        assert_eq!(read(b"(-inf"), Some((f64::NEG_INFINITY, true)));
        assert_eq!(read(b""), Some((0.0, false)));
        assert_eq!(read(b"("), Some((0.0, true)));
        assert_eq!(read(b" \t7"), Some((7.0, false)));
        assert_eq!(read(b"( 7"), Some((7.0, true)));
        assert_eq!(read(b"7\0what"), Some((7.0, false)));
        assert_eq!(read(b"1e999"), Some((f64::INFINITY, false)));
        for word in [b"  ".as_slice(), b"7 ", b"nan", b"((1", b"[1", b"x"] {
            assert_eq!(read(word), None, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn an_end_leaves_out_what_lies_beyond_it() {
        let (b, not_b) = (MemberEnd::Including(b"b"), MemberEnd::Excluding(b"b"));
        assert_eq!(
            [b.is_above(b"a"), b.is_above(b"b"), not_b.is_above(b"b"), not_b.is_above(b"c")],
            [true, false, true, false]
        );
        assert_eq!(
            [b.is_below(b"c"), b.is_below(b"b"), not_b.is_below(b"b"), not_b.is_below(b"a")],
            [true, false, true, false]
        );
    }

    #[test]
    fn ends_by_member_say_whether_they_are_meant() {
        assert_eq!(MemberEnd::read(b"-").unwrap(), MemberEnd::BeforeAll);
        assert_eq!(MemberEnd::read(b"+").unwrap(), MemberEnd::BehindAll);
        assert_eq!(MemberEnd::read(b"[").unwrap(), MemberEnd::Including(b""));
        assert_eq!(MemberEnd::read(b"(\xFF").unwrap(), MemberEnd::Excluding(b"\xFF"));
        for word in [b"".as_slice(), b"a", b"-a", b"++"] {
            assert!(MemberEnd::read(word).is_err(), "{}", word.escape_ascii());
        }
    }
}
