//! Writing whole strings: SET and its older forms, MSET, and the reads that also write (GETSET, GETDEL, GETEX).
//!
//! Promises: options are refused exactly where Redis refuses them; an expiry that has already passed removes the key.

use thermocline::{Access, Expiry, Kind};

use super::conditional::Comparison;
use super::{answer_string, string_view};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const MS_PER_SECOND: i64 = 1000;

/// When a value is to expire, as the options say it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Lifetime<'a> {
    /// No option.
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX, PX, EXAT, PXAT with their number.
    Time(TimeOption, &'a [u8]),
}

/// Which of the four.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum TimeOption {
    Seconds,
    Milliseconds,
    AtSeconds,
    AtMilliseconds,
}

impl TimeOption {
    fn named(word: &[u8]) -> Option<TimeOption> {
        const NAMES: [(&[u8], TimeOption); 4] = [
            (b"EX", TimeOption::Seconds),
            (b"PX", TimeOption::Milliseconds),
            (b"EXAT", TimeOption::AtSeconds),
            (b"PXAT", TimeOption::AtMilliseconds),
        ];
        NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, option)| *option)
    }

    fn is_absolute(self) -> bool {
        matches!(self, TimeOption::AtSeconds | TimeOption::AtMilliseconds)
    }
}

/// When SET writes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Condition<'a> {
    Always,
    IfMissing,
    IfPresent,
    If(Comparison<'a>),
}

/// The options of SET.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    lifetime: Lifetime<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(args: &Args<'a>) -> Result<SetOptions<'a>, CommandError> {
        let mut options = SetOptions { condition: Condition::Always, get: false, lifetime: Lifetime::Unsaid };
        let mut at = 3;
        while at < args.len() {
            let condition = options.condition;
            if args.is(at, "NX") && matches!(condition, Condition::Always | Condition::IfMissing) {
                options.condition = Condition::IfMissing;
            } else if args.is(at, "XX") && matches!(condition, Condition::Always | Condition::IfPresent) {
                options.condition = Condition::IfPresent;
            } else if args.is(at, "GET") {
                options.get = true;
            } else if condition == Condition::Always
                && let Some(comparison) = Comparison::parse(args, at)?
            {
                options.condition = Condition::If(comparison);
                at += 1;
            } else {
                at = parse_lifetime(args, at, &mut options.lifetime)?;
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Reads KEEPTTL, EX, PX, EXAT or PXAT; gives the place of its last word.
pub(super) fn parse_lifetime<'a>(
    args: &Args<'a>,
    at: usize,
    lifetime: &mut Lifetime<'a>,
) -> Result<usize, CommandError> {
    if args.is(at, "KEEPTTL") && !matches!(lifetime, Lifetime::Time(..)) {
        *lifetime = Lifetime::Keep;
        return Ok(at);
    }
    parse_time_option(args, at, lifetime)
}

/// Reads EX, PX, EXAT or PXAT with its number; gives the place of the number. The same option may come twice (the last
/// one counts), two different ones may not.
fn parse_time_option<'a>(args: &Args<'a>, at: usize, lifetime: &mut Lifetime<'a>) -> Result<usize, CommandError> {
    let option = TimeOption::named(args.at(at)).ok_or(CommandError::SYNTAX)?;
    let number = args.get(at + 1).ok_or(CommandError::SYNTAX)?;
    match *lifetime {
        Lifetime::Unsaid => {}
        Lifetime::Time(before, _) if before == option => {}
        _ => return Err(CommandError::SYNTAX),
    }
    *lifetime = Lifetime::Time(option, number);
    Ok(at + 1)
}

/// The Unix millisecond that an expiry option names. It must be after 1970 and fit a signed 64-bit number.
fn expires_at_ms(context: &Context<'_, '_>, option: TimeOption, number: &[u8]) -> Result<u64, CommandError> {
    let invalid = || CommandError::invalid_expire(context.name());
    let number = thermocline_value::parse_integer(number).ok_or(CommandError::NOT_INTEGER)?;
    if number <= 0 {
        return Err(invalid());
    }
    let ms = match option {
        TimeOption::Seconds | TimeOption::AtSeconds => number.checked_mul(MS_PER_SECOND).ok_or_else(invalid)?,
        TimeOption::Milliseconds | TimeOption::AtMilliseconds => number,
    };
    let at = if option.is_absolute() {
        ms
    } else {
        i64::try_from(context.now_ms()).ok().and_then(|now| now.checked_add(ms)).ok_or_else(invalid)?
    };
    Ok(at.cast_unsigned())
}

/// What becomes of the time to live of a value that is set.
pub(super) fn expiry_of(context: &Context<'_, '_>, lifetime: Lifetime<'_>) -> Result<Expiry, CommandError> {
    Ok(match lifetime {
        Lifetime::Unsaid | Lifetime::Persist => Expiry::Clear,
        Lifetime::Keep => Expiry::Keep,
        Lifetime::Time(option, number) => Expiry::At(expires_at_ms(context, option, number)?),
    })
}

/// Stores word `word` under key `key`. A moment that has passed is a removal.
pub(super) fn store(context: &mut Context<'_, '_>, key: usize, word: usize, expiry: Expiry) {
    match expiry {
        Expiry::At(at) if at <= context.now_ms() => {
            if context.view(key).is_some() {
                context.remove(key);
            }
        }
        _ => {
            let value = context.args.at(word);
            context.put(key, Kind::String, value, expiry);
        }
    }
}

/// SET needs the old value only to answer or to compare it.
pub(super) fn set_access(args: &Args<'_>) -> Access {
    let reads = (3..args.len()).any(|at| args.is(at, "GET") || Comparison::is_named(args, at));
    if reads { Access::Write } else { Access::Overwrite }
}

/// SET key value [NX | XX | IFEQ v | IFNE v | IFDEQ digest | IFDNE digest] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
pub(super) fn set(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let options = SetOptions::parse(&context.args)?;
    let expiry = expiry_of(context, options.lifetime)?;
    if options.get {
        let old = string_view(context, 0)?;
        answer_string(context, old);
    }
    let writes = match options.condition {
        Condition::Always => true,
        Condition::IfMissing => context.view(0).is_none(),
        Condition::IfPresent => context.view(0).is_some(),
        Condition::If(comparison) => comparison.passes(string_view(context, 0)?),
    };
    if writes {
        store(context, 0, 2, expiry);
    }
    if !options.get {
        if writes { context.reply.ok() } else { context.reply.null() }
    }
    Ok(())
}

/// SETEX key seconds value
pub(super) fn set_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    set_with_time(context, TimeOption::Seconds)
}

/// PSETEX key milliseconds value
pub(super) fn set_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    set_with_time(context, TimeOption::Milliseconds)
}

fn set_with_time(context: &mut Context<'_, '_>, option: TimeOption) -> Result<(), CommandError> {
    let at = expires_at_ms(context, option, context.args.at(2))?;
    store(context, 0, 3, Expiry::At(at));
    context.reply.ok();
    Ok(())
}

/// SETNX key value
pub(super) fn set_if_missing(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let missing = context.view(0).is_none();
    if missing {
        store(context, 0, 2, Expiry::Clear);
    }
    context.reply.integer(i64::from(missing));
    Ok(())
}

/// GETSET key value
pub(super) fn get_set(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let old = string_view(context, 0)?;
    answer_string(context, old);
    store(context, 0, 2, Expiry::Clear);
    Ok(())
}

/// GETDEL key
pub(super) fn get_remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let old = string_view(context, 0)?;
    answer_string(context, old);
    if old.is_some() {
        context.remove(0);
    }
    Ok(())
}

/// GETEX without options is a plain read.
pub(super) fn get_expire_access(args: &Args<'_>) -> Access {
    if args.len() > 2 { Access::Write } else { Access::Read }
}

/// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
pub(super) fn get_expire(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let mut lifetime = Lifetime::Unsaid;
    let mut at = 2;
    while at < context.args.len() {
        if context.args.is(at, "PERSIST") && !matches!(lifetime, Lifetime::Time(..)) {
            lifetime = Lifetime::Persist;
        } else {
            at = parse_time_option(&context.args, at, &mut lifetime)?;
        }
        at += 1;
    }
    let Some(view) = string_view(context, 0)? else {
        context.reply.null();
        return Ok(());
    };
    match lifetime {
        Lifetime::Unsaid | Lifetime::Keep => {}
        Lifetime::Persist => {
            if view.expires_at_ms.is_some() {
                context.expire(0, Expiry::Clear);
            }
        }
        Lifetime::Time(option, number) => {
            let at = expires_at_ms(context, option, number)?;
            if at <= context.now_ms() {
                context.remove(0);
            } else {
                context.expire(0, Expiry::At(at));
            }
        }
    }
    context.reply.bulk(view.value);
    Ok(())
}

/// MSET key value [key value ...]
pub(super) fn set_many(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    check_pairs(context)?;
    put_pairs(context);
    context.reply.ok();
    Ok(())
}

/// MSETNX key value [key value ...]: all or none.
pub(super) fn set_many_if_missing(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    check_pairs(context)?;
    let all_missing = context.views().iter().all(Option::is_none);
    if all_missing {
        put_pairs(context);
    }
    context.reply.integer(i64::from(all_missing));
    Ok(())
}

fn check_pairs(context: &Context<'_, '_>) -> Result<(), CommandError> {
    if context.args.len().is_multiple_of(2) {
        return Err(CommandError::arity(context.name()));
    }
    Ok(())
}

/// A key named twice keeps the last of its values.
fn put_pairs(context: &mut Context<'_, '_>) {
    for key in 0..context.keys() {
        let value = context.args.at(2 + 2 * key);
        context.put(key, Kind::String, value, Expiry::Clear);
    }
}

#[cfg(test)]
mod tests {
    use thermocline_resp::Span;

    use super::*;

    fn options(text: &str) -> Option<(String, bool, String)> {
        let mut start = 0;
        let spans: Vec<Span> = text
            .split(' ')
            .map(|word| {
                let span = Span { start, length: word.len() as u32 };
                start += span.length + 1;
                span
            })
            .collect();
        let options = SetOptions::parse(&Args::new(text.as_bytes(), &spans)).ok()?;
        let lifetime = match options.lifetime {
            Lifetime::Time(option, number) => format!("{option:?} {}", number.escape_ascii()),
            other => format!("{other:?}"),
        };
        Some((format!("{:?}", options.condition), options.get, lifetime))
    }

    #[test]
    fn the_same_option_may_come_twice_and_the_last_one_counts() {
        let expected = Some(("IfMissing".to_owned(), true, "Seconds 20".to_owned()));
        assert_eq!(options("SET k v NX ex 10 GET nx EX 20 get"), expected);
        assert_eq!(options("SET k v"), Some(("Always".to_owned(), false, "Unsaid".to_owned())));
        assert!(options("SET k v KEEPTTL XX KEEPTTL").is_some());
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for text in [
            "SET k v NX XX",
            "SET k v XX NX",
            "SET k v EX 10 PX 10",
            "SET k v EXAT 10 PXAT 10",
            "SET k v KEEPTTL EX 10",
            "SET k v EX 10 KEEPTTL",
            "SET k v PERSIST",
            "SET k v IFEQ",
            "SET k v IFEQ a IFEQ a",
            "SET k v NX IFEQ a",
            "SET k v IFNE a XX",
            "SET k v IFDEQ a",
            "SET k v EX",
            "SET k v 10",
        ] {
            assert_eq!(options(text), None, "{text}");
        }
    }
}
