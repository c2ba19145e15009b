//! What the commands have in common that wait for a key: their time, and the rows of those that pop sorted sets.
//!
//! Promises: a time is read as Redis 7.2 reads it: seconds with a fraction, rounded up to a millisecond; 0 is for ever, and so is
//! what is rounded up to it. Never: waits (`dispatch/block.rs` does).

use std::time::Duration;

use thermocline::Kind;
use thermocline_resp::Reply;
use thermocline_value::{ParsedFloat, parse_float};

use super::context::Context;
use super::reply::CommandError;
use super::row::{Blocking, Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape, Waits};

const NO_TIME: CommandError = CommandError::Static("ERR timeout is not a float or out of range");
const TIME_NEGATIVE: CommandError = CommandError::Static("ERR timeout is negative");
const TIME_TOO_LONG: CommandError = CommandError::Static("ERR timeout is out of range");

/// How long these words say; `None`: for ever.
///
/// # Errors
/// It is no number, negative, or ends behind all times.
pub(crate) fn time(word: &[u8], now_ms: u64) -> Result<Option<Duration>, CommandError> {
    let milliseconds = match parse_float(word).ok_or(NO_TIME)? {
        ParsedFloat::Finite(seconds) => seconds.whole_above(3),
        ParsedFloat::Infinite if word.starts_with(b"-") => i64::MIN,
        ParsedFloat::Infinite => i64::MAX,
    };
    let milliseconds = u64::try_from(milliseconds).map_err(|_| TIME_NEGATIVE)?;
    if milliseconds > (i64::MAX as u64).saturating_sub(now_ms) {
        return Err(TIME_TOO_LONG);
    }
    Ok((milliseconds > 0).then(|| Duration::from_millis(milliseconds)))
}

/// Refuses a time that is none: a body asks where Redis does, among its other words.
pub(super) fn check_time(context: &Context<'_, '_>, at: usize) -> Result<(), CommandError> {
    time(context.args.at(at), context.now_ms()).map(|_| ())
}

/// The end of a body: it has `found` something and answered, or the client waits; where it may not, `nothing` answers.
pub(super) fn or_wait(
    context: &mut Context<'_, '_>,
    found: bool,
    nothing: impl FnOnce(&mut Reply<'_>),
) -> Result<(), CommandError> {
    if found { Ok(()) } else { context.wait(nothing) }
}

/// A body.
type KeysBody = fn(&mut Context<'_, '_>) -> Result<(), CommandError>;

/// The rows of BZMPOP, BZPOPMAX and BZPOPMIN, by their bodies: [`check_time`], then what ZMPOP and its kin do to the first key
/// that exists, then [`or_wait`].
pub(super) const fn sorted_set_rows(pop_any: KeysBody, pop_max: KeysBody, pop_min: KeysBody) -> [Row; 3] {
    const POP: Row = Row {
        access: RowAccess::Write,
        keys: Keys::Range { first: 1, last: -2, step: 1 },
        flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::Fast]),
        categories: &[Category::SortedSet],
        since: "5.0.0",
        group: Group::SortedSet,
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        reply: Shape::Array,
        ..Row::EMPTY
    };
    const fn blocks(body: KeysBody, time_word: i16) -> Body {
        Body::Blocking(Blocking { body, kind: Kind::SortedSet, waits: Waits::All, time_word })
    }
    [
        Row {
            name: "bzmpop",
            arity: -5,
            keys: Keys::Count { at: 2, first: 3 },
            flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
            since: "7.0.0",
            summary: "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
            complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
            body: blocks(pop_any, 1),
            ..POP
        },
        Row {
            name: "bzpopmax",
            arity: -3,
            summary: "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  Deletes the sorted set if the last element was popped.",
            body: blocks(pop_max, -1),
            ..POP
        },
        Row {
            name: "bzpopmin",
            arity: -3,
            summary: "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
            body: blocks(pop_min, -1),
            ..POP
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_redis_reads_them() {
        let read = |word: &str| time(word.as_bytes(), 1_700_000_000_000).map_err(|error| error.text().into_owned());
        let lasts = |milliseconds| Ok(Some(Duration::from_millis(milliseconds)));
        for (word, expected) in [
            ("0", Ok(None)),
            ("-0.0001", Ok(None)),
            ("0.0001", lasts(1)),
            ("1.5", lasts(1500)),
            ("0x1p-4", lasts(63)),
            ("9223370336854775", lasts(9_223_370_336_854_775_000)),
        ] {
            assert_eq!(read(word), expected, "{word}");
        }
        for (word, refusal) in [
            ("", NO_TIME),
            ("x", NO_TIME),
            (" 1", NO_TIME),
            ("nan", NO_TIME),
            ("1e5000", NO_TIME),
            ("-1", TIME_NEGATIVE),
            ("-inf", TIME_NEGATIVE),
            ("inf", TIME_TOO_LONG),
            ("1e18", TIME_TOO_LONG),
            ("9223372036854775", TIME_TOO_LONG),
        ] {
            assert_eq!(read(word), Err(refusal.text().into_owned()), "{word}");
        }
    }
}
