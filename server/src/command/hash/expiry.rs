//! Expiries of fields: setting them, clearing them, asking for them.
//!
//! Promises: a moment that has passed removes the field; numbers that would overflow are refused. Each field gets an answer
//! of its own, in the order of the words.

use thermocline_value::{HashEntry, hash, parse_integer};

use super::{BAD_FIELD_COUNT, Doomed, existing, find, find_or_doom, finish, first_field, ready};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const MS_PER_SECOND: i64 = 1000;
/// The last moment that Redis takes for a field: a bit before the year 4200.
const MOMENT_MS_MAX: i64 = (1 << 46) - 1;
const NEGATIVE: CommandError = CommandError::Static("ERR invalid expire time, must be >= 0");
const BAD_COUNT: CommandError = CommandError::Static("ERR Parameter `numFields` should be greater than 0");

/// What a field is answered.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const REFUSED: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// What a given or answered time counts.
#[derive(Copy, Clone, Eq, PartialEq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// What it counts from.
#[derive(Copy, Clone, Eq, PartialEq)]
pub(super) enum From {
    Now,
    Epoch,
}

/// The Unix millisecond that a word names.
pub(super) fn moment(context: &Context<'_, '_>, word: &[u8], unit: Unit, from: From) -> Result<u64, CommandError> {
    let number = parse_integer(word).ok_or(CommandError::NOT_INTEGER)?;
    if number < 0 {
        return Err(NEGATIVE);
    }
    let scale = if unit == Unit::Seconds { MS_PER_SECOND } else { 1 };
    let base = if from == From::Now { context.now_ms().cast_signed() } else { 0 };
    number
        .checked_mul(scale)
        .and_then(|ms| ms.checked_add(base))
        .filter(|at| *at <= MOMENT_MS_MAX)
        .map(i64::cast_unsigned)
        .ok_or_else(|| CommandError::invalid_expire(context.name()))
}

/// HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn expire_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Seconds, From::Now)
}

/// HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn expire_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Milliseconds, From::Now)
}

/// HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn expire_at_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Seconds, From::Epoch)
}

/// HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
pub(super) fn expire_at_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Milliseconds, From::Epoch)
}

fn expire(context: &mut Context<'_, '_>, unit: Unit, from: From) -> Result<(), CommandError> {
    let args = context.args;
    let collection = existing(context)?;
    let at = moment(context, args.at(2), unit, from)?;
    let condition = Condition::named(&args, 3);
    let first = first_field(&args, if condition == Condition::Always { 3 } else { 4 }, BAD_COUNT)?;
    let Some(mut collection) = collection else { return answer_no_fields(context, first) };
    ready(&collection, args.from(first))?;
    let is_past = at <= context.now_ms();
    let mut doomed = Doomed::new();
    context.reply.array(args.from(first).len());
    for field in args.from(first) {
        let answer = match find_or_doom(context, &collection, field, &mut doomed)? {
            None => NO_FIELD,
            Some(entry) if !condition.allows(at, entry.expiry_ms) => REFUSED,
            Some(_) if is_past => {
                doomed.insert(field);
                REMOVED
            }
            Some(entry) => {
                let value = entry.value.to_vec();
                hash::set(&mut collection, &HashEntry { field, value: &value, expiry_ms: Some(at) })?;
                DONE
            }
        };
        context.reply.integer(answer);
    }
    finish(context, collection, &doomed)
}

/// When an expiry is set. Only one of them may be said.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Condition {
    Always,
    IfNone,
    IfSome,
    IfGreater,
    IfLess,
}

impl Condition {
    fn named(args: &Args<'_>, at: usize) -> Condition {
        const NAMES: [(&str, Condition); 4] = [
            ("NX", Condition::IfNone),
            ("XX", Condition::IfSome),
            ("GT", Condition::IfGreater),
            ("LT", Condition::IfLess),
        ];
        NAMES.iter().find(|(name, _)| args.is(at, name)).map_or(Condition::Always, |(_, condition)| *condition)
    }

    /// A field without expiry lives for ever: nothing is greater, everything is less.
    fn allows(self, at: u64, current: Option<u64>) -> bool {
        match self {
            Condition::Always => true,
            Condition::IfNone => current.is_none(),
            Condition::IfSome => current.is_some(),
            Condition::IfGreater => current.is_some_and(|current| at > current),
            Condition::IfLess => current.is_none_or(|current| at < current),
        }
    }
}

/// HPERSIST key FIELDS numfields field [field ...]
pub(super) fn persist(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let collection = existing(context)?;
    let first = first_field(&args, 2, BAD_FIELD_COUNT)?;
    let Some(mut collection) = collection else { return answer_no_fields(context, first) };
    ready(&collection, args.from(first))?;
    let mut doomed = Doomed::new();
    context.reply.array(args.from(first).len());
    for field in args.from(first) {
        let answer = match find_or_doom(context, &collection, field, &mut doomed)? {
            None => NO_FIELD,
            Some(HashEntry { expiry_ms: None, .. }) => NO_EXPIRY,
            Some(entry) => {
                let value = entry.value.to_vec();
                hash::set(&mut collection, &HashEntry { field, value: &value, expiry_ms: None })?;
                DONE
            }
        };
        context.reply.integer(answer);
    }
    finish(context, collection, &doomed)
}

/// HTTL key FIELDS numfields field [field ...]
pub(super) fn ttl_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_times(context, Unit::Seconds, From::Now)
}

/// HPTTL key FIELDS numfields field [field ...]
pub(super) fn ttl_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_times(context, Unit::Milliseconds, From::Now)
}

/// HEXPIRETIME key FIELDS numfields field [field ...]
pub(super) fn moment_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_times(context, Unit::Seconds, From::Epoch)
}

/// HPEXPIRETIME key FIELDS numfields field [field ...]
pub(super) fn moment_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_times(context, Unit::Milliseconds, From::Epoch)
}

/// Seconds are rounded up, unlike a key's.
fn answer_times(context: &mut Context<'_, '_>, unit: Unit, from: From) -> Result<(), CommandError> {
    let args = context.args;
    let collection = existing(context)?;
    let first = first_field(&args, 2, BAD_FIELD_COUNT)?;
    let Some(collection) = collection else { return answer_no_fields(context, first) };
    ready(&collection, args.from(first))?;
    let base = if from == From::Now { context.now_ms() } else { 0 };
    context.reply.array(args.from(first).len());
    for field in args.from(first) {
        let answer = match find(context, &collection, field)?.map(|entry| entry.expiry_ms) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(at)) => {
                let ms = at.saturating_sub(base).cast_signed();
                if unit == Unit::Seconds { ms.cast_unsigned().div_ceil(1000).cast_signed() } else { ms }
            }
        };
        context.reply.integer(answer);
    }
    Ok(())
}

/// There is no such hash, so none of the fields.
fn answer_no_fields(context: &mut Context<'_, '_>, first: usize) -> Result<(), CommandError> {
    let count = context.args.from(first).len();
    context.reply.array(count);
    for _ in 0..count {
        context.reply.integer(NO_FIELD);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_expiry_lives_for_ever() {
        assert!(!Condition::IfGreater.allows(u64::MAX, None) && Condition::IfLess.allows(u64::MAX, None));
        assert!(Condition::IfGreater.allows(6, Some(5)) && !Condition::IfGreater.allows(5, Some(5)));
        assert!(Condition::IfLess.allows(4, Some(5)) && !Condition::IfLess.allows(5, Some(5)));
        assert!(Condition::IfNone.allows(5, None) && !Condition::IfNone.allows(5, Some(5)));
        assert!(!Condition::IfSome.allows(5, None) && Condition::IfSome.allows(5, Some(5)));
    }
}
