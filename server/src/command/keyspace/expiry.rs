//! Times to live: asking for them, setting them, clearing them.
//!
//! Promises: a moment that has passed removes the key; numbers that would overflow are refused, as in Redis.

use thermocline::Expiry;

use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const MS_PER_SECOND: i64 = 1000;
const NO_KEY: i64 = -2;
const NO_EXPIRY: i64 = -1;

#[derive(Copy, Clone, Eq, PartialEq)]
enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    /// Milliseconds in this unit, to the nearest.
    fn of_ms(self, ms: i64) -> i64 {
        match self {
            Unit::Seconds => ms.saturating_add(MS_PER_SECOND / 2) / MS_PER_SECOND,
            Unit::Milliseconds => ms,
        }
    }
}

/// What a given or answered time counts from.
#[derive(Copy, Clone, Eq, PartialEq)]
enum From {
    Now,
    Epoch,
}

/// TTL key
pub(super) fn ttl_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer(context, Unit::Seconds, From::Now)
}

/// PTTL key
pub(super) fn ttl_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer(context, Unit::Milliseconds, From::Now)
}

/// EXPIRETIME key
pub(super) fn moment_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer(context, Unit::Seconds, From::Epoch)
}

/// PEXPIRETIME key
pub(super) fn moment_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer(context, Unit::Milliseconds, From::Epoch)
}

fn answer(context: &mut Context<'_, '_>, unit: Unit, from: From) -> Result<(), CommandError> {
    let answer = match context.view(0).map(|view| view.expires_at_ms) {
        None => NO_KEY,
        Some(None) => NO_EXPIRY,
        Some(Some(at)) => {
            let ms = match from {
                From::Now => at.saturating_sub(context.now_ms()),
                From::Epoch => at,
            };
            unit.of_ms(ms.cast_signed())
        }
    };
    context.reply.integer(answer);
    Ok(())
}

/// PERSIST key
pub(super) fn persist(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let expires = context.view(0).is_some_and(|view| view.expires_at_ms.is_some());
    if expires {
        context.expire(0, Expiry::Clear);
    }
    context.reply.integer(i64::from(expires));
    Ok(())
}

/// EXPIRE key seconds [NX | XX | GT | LT]
pub(super) fn expire_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Seconds, From::Now)
}

/// PEXPIRE key milliseconds [NX | XX | GT | LT]
pub(super) fn expire_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Milliseconds, From::Now)
}

/// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
pub(super) fn expire_at_seconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Seconds, From::Epoch)
}

/// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
pub(super) fn expire_at_milliseconds(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    expire(context, Unit::Milliseconds, From::Epoch)
}

fn expire(context: &mut Context<'_, '_>, unit: Unit, from: From) -> Result<(), CommandError> {
    let conditions = Conditions::parse(&context.args)?;
    let invalid = || CommandError::invalid_expire(context.name());
    let now = i64::try_from(context.now_ms()).map_err(|_| invalid())?;
    let mut at = context.args.integer(2)?;
    if unit == Unit::Seconds {
        at = at.checked_mul(MS_PER_SECOND).ok_or_else(invalid)?;
    }
    if from == From::Now {
        at = at.checked_add(now).ok_or_else(invalid)?;
    }
    let applies = match context.view(0) {
        None => false,
        Some(view) => conditions.allow(at, view.expires_at_ms.map(u64::cast_signed)),
    };
    if applies {
        if at <= now {
            context.remove(0);
        } else {
            context.expire(0, Expiry::At(at.cast_unsigned()));
        }
    }
    context.reply.integer(i64::from(applies));
    Ok(())
}

/// NX, XX, GT, LT.
#[derive(Copy, Clone, Default)]
struct Conditions {
    if_none: bool,
    if_some: bool,
    if_greater: bool,
    if_less: bool,
}

impl Conditions {
    fn parse(args: &Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for at in 3..args.len() {
            let condition = match args.at(at).to_ascii_lowercase().as_slice() {
                b"nx" => &mut conditions.if_none,
                b"xx" => &mut conditions.if_some,
                b"gt" => &mut conditions.if_greater,
                b"lt" => &mut conditions.if_less,
                _ => {
                    let mut text = b"ERR Unsupported option ".to_vec();
                    text.extend_from_slice(args.at(at));
                    return Err(CommandError::Built(text));
                }
            };
            *condition = true;
        }
        let Conditions { if_none, if_some, if_greater, if_less } = conditions;
        if if_none && (if_some || if_greater || if_less) {
            return Err(CommandError::Static("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if if_greater && if_less {
            return Err(CommandError::Static("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// A key without expiry lives for ever: nothing is greater, everything is less.
    fn allow(self, at: i64, current: Option<i64>) -> bool {
        let refused = (self.if_none && current.is_some())
            || (self.if_some && current.is_none())
            || (self.if_greater && current.is_none_or(|current| at <= current))
            || (self.if_less && current.is_some_and(|current| at >= current));
        !refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_to_the_nearest() {
        assert_eq!([0, 499, 500, 1499, 1500].map(|ms| Unit::Seconds.of_ms(ms)), [0, 0, 1, 1, 2]);
        assert_eq!(Unit::Seconds.of_ms(i64::MAX), i64::MAX / 1000, "the end of time does not wrap");
    }

    #[test]
    fn a_key_without_expiry_lives_for_ever() {
        let greater = Conditions { if_greater: true, ..Conditions::default() };
        let less = Conditions { if_less: true, ..Conditions::default() };
        assert!(!greater.allow(i64::MAX, None) && less.allow(i64::MAX, None));
        assert!(greater.allow(6, Some(5)) && !greater.allow(5, Some(5)));
        assert!(less.allow(4, Some(5)) && !less.allow(5, Some(5)));
    }
}
