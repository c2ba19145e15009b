//! HGETDEL, HGETEX, HSETEX: reading or setting fields together with what becomes of them.
//!
//! Promises: options are refused where Redis 8 refuses them; an expiry that has already passed removes the fields.

use thermocline::Kind;
use thermocline_value::{HashEntry, hash, parse_integer};

use super::expiry::{From, Unit, moment};
use super::{BAD_FIELD_COUNT, Doomed, existing, find, find_or_doom, finish, first_field, fits, ready};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const TWO_CONDITIONS: CommandError = CommandError::Static("ERR Only one of FXX or FNX arguments can be specified");
const TWO_LIFETIMES: CommandError =
    CommandError::Static("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const NO_TIME: CommandError = CommandError::Static("ERR missing expire time");
const BAD_PAIR_COUNT: CommandError = CommandError::Static("ERR invalid number of fields");

/// What happens to the expiry of a field.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Lifetime {
    /// Nothing was said: a read leaves it as it is, a set clears it.
    Unsaid,
    /// PERSIST
    Persist,
    /// KEEPTTL
    Keep,
    /// EX, PX, EXAT, PXAT
    Until(u64),
}

/// The unit and origin of EX, PX, EXAT or PXAT.
fn time_option(args: &Args<'_>, at: usize) -> Option<(Unit, From)> {
    const NAMES: [(&str, Unit, From); 4] = [
        ("EX", Unit::Seconds, From::Now),
        ("PX", Unit::Milliseconds, From::Now),
        ("EXAT", Unit::Seconds, From::Epoch),
        ("PXAT", Unit::Milliseconds, From::Epoch),
    ];
    NAMES.iter().find(|(name, ..)| args.is(at, name)).map(|(_, unit, from)| (*unit, *from))
}

/// HGETDEL key FIELDS numfields field [field ...]
pub(super) fn get_remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let collection = existing(context)?;
    let first = first_field(&args, 2, BAD_FIELD_COUNT)?;
    let Some(collection) = collection else { return answer_nulls(context, first) };
    ready(&collection, args.from(first))?;
    let mut doomed = Doomed::new();
    context.reply.array(args.from(first).len());
    let start = context.reply.position();
    for field in args.from(first) {
        match find_or_doom(context, &collection, field, &mut doomed)? {
            None => context.reply.null(),
            Some(entry) => {
                context.reply.bulk(entry.value);
                doomed.insert(field);
            }
        }
        fits(context, (context.reply.position() - start) as u64)?;
    }
    finish(context, collection, &doomed)
}

/// HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field ...]
pub(super) fn get_expire(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let collection = existing(context)?;
    let (lifetime, fields_at) = match time_option(&args, 2) {
        Some((unit, from)) => (Lifetime::Until(moment(context, args.at(3), unit, from)?), 4),
        None if args.is(2, "PERSIST") => (Lifetime::Persist, 3),
        None => (Lifetime::Unsaid, 2),
    };
    let first = first_field(&args, fields_at, BAD_FIELD_COUNT)?;
    let Some(mut collection) = collection else { return answer_nulls(context, first) };
    ready(&collection, args.from(first))?;
    let now_ms = context.now_ms();
    let mut doomed = Doomed::new();
    context.reply.array(args.from(first).len());
    let start = context.reply.position();
    for field in args.from(first) {
        let Some(entry) = find_or_doom(context, &collection, field, &mut doomed)? else {
            context.reply.null();
            continue;
        };
        context.reply.bulk(entry.value);
        fits(context, (context.reply.position() - start) as u64)?;
        let expiry_ms = match lifetime {
            Lifetime::Until(at) if at <= now_ms => {
                doomed.insert(field);
                continue;
            }
            Lifetime::Until(at) => Some(at),
            Lifetime::Persist => None,
            Lifetime::Unsaid | Lifetime::Keep => continue,
        };
        let value = entry.value.to_vec();
        hash::set(&mut collection, &HashEntry { field, value: &value, expiry_ms })?;
    }
    finish(context, collection, &doomed)
}

fn answer_nulls(context: &mut Context<'_, '_>, first: usize) -> Result<(), CommandError> {
    let count = context.args.from(first).len();
    context.reply.array(count);
    for _ in 0..count {
        context.reply.null();
    }
    Ok(())
}

/// When HSETEX sets the fields.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Condition {
    Always,
    /// FNX: none of them exists.
    IfNone,
    /// FXX: all of them exist.
    IfAll,
}

/// What the words of HSETEX say.
struct SetOptions {
    condition: Condition,
    lifetime: Lifetime,
    /// The word with the first field.
    first: usize,
}

impl SetOptions {
    fn parse(context: &Context<'_, '_>) -> Result<SetOptions, CommandError> {
        let args = &context.args;
        let mut options = SetOptions { condition: Condition::Always, lifetime: Lifetime::Unsaid, first: 0 };
        let mut at = 2;
        while at < args.len() {
            if args.is(at, "FIELDS") {
                options.first = first_pair(context, at)?;
                return Ok(options);
            }
            let condition = if args.is(at, "FNX") {
                Some(Condition::IfNone)
            } else if args.is(at, "FXX") {
                Some(Condition::IfAll)
            } else {
                None
            };
            let time = time_option(args, at);
            if let Some(condition) = condition {
                if options.condition != Condition::Always {
                    return Err(TWO_CONDITIONS);
                }
                options.condition = condition;
            } else if time.is_some() || args.is(at, "KEEPTTL") {
                if options.lifetime != Lifetime::Unsaid {
                    return Err(TWO_LIFETIMES);
                }
                options.lifetime = match time {
                    None => Lifetime::Keep,
                    Some((unit, from)) => {
                        at += 1;
                        Lifetime::Until(moment(context, args.get(at).ok_or(NO_TIME)?, unit, from)?)
                    }
                };
            } else {
                return Err(CommandError::Built([b"ERR unknown argument: ", args.at(at)].concat()));
            }
            at += 1;
        }
        Err(CommandError::arity(context.name()))
    }

    fn pairs<'a>(&self, args: &Args<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        args.from(self.first).step_by(2).zip(args.from(self.first + 1).step_by(2))
    }
}

/// The word with the first field, where word `at` is FIELDS and the number of the pairs behind it follows.
fn first_pair(context: &Context<'_, '_>, at: usize) -> Result<usize, CommandError> {
    let args = &context.args;
    let first = at + 2;
    let arity = || CommandError::arity(context.name());
    let words = args.len().checked_sub(first).filter(|words| *words > 0).ok_or_else(arity)?;
    let count = parse_integer(args.at(at + 1))
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or(BAD_PAIR_COUNT)?;
    if count.cast_unsigned() * 2 != words as u64 {
        return Err(arity());
    }
    Ok(first)
}

/// HSETEX key [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS numfields field value [field value ...]
pub(super) fn set_expire(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let options = SetOptions::parse(context)?;
    let mut collection = context.collection_or_new(0, Kind::Hash)?;
    ready(&collection, options.pairs(&args).map(|(field, _)| field))?;
    let mut doomed = Doomed::new();
    if options.condition != Condition::Always {
        let wanted = options.condition == Condition::IfAll;
        for (field, _) in options.pairs(&args) {
            if find_or_doom(context, &collection, field, &mut doomed)?.is_some() != wanted {
                context.reply.integer(0);
                return finish(context, collection, &doomed);
            }
        }
        // They are set in a moment.
        doomed.clear();
    }
    let now_ms = context.now_ms();
    for (field, value) in options.pairs(&args) {
        let expiry_ms = match options.lifetime {
            Lifetime::Until(at) if at <= now_ms => {
                if hash::get(&collection, field)?.is_some() {
                    doomed.insert(field);
                }
                continue;
            }
            Lifetime::Until(at) => Some(at),
            Lifetime::Keep => find(context, &collection, field)?.and_then(|old| old.expiry_ms),
            Lifetime::Unsaid | Lifetime::Persist => None,
        };
        hash::set(&mut collection, &HashEntry { field, value, expiry_ms })?;
    }
    context.reply.integer(1);
    finish(context, collection, &doomed)
}
