//! SINTER, SUNION, SDIFF, what their STORE forms put in a key, and SINTERCARD.
//!
//! Promises: every key is looked at before anything is answered: one of another type is refused even beside a missing one. A
//! stored result takes the place of whatever its key held, time to live included; an empty one removes the key.

use thermocline::{Access, Collection, Expiry, Kind};
use thermocline_value::{length, parse_integer, set};

use super::algebra::{Visit, intersect, subtract, unite};
use super::{Gathered, fits, set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::KeyArgument;

const NO_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: CommandError = CommandError::Static("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: CommandError = CommandError::Static("ERR LIMIT can't be negative");
/// The destination of a STORE form is its first key.
const TARGET: usize = 0;

/// What is made of several sets.
#[derive(Copy, Clone)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// Shows the members of the result to `visit`.
    fn run(self, mut sets: Vec<Option<Collection<'_>>>, visit: impl Visit) -> Result<(), CommandError> {
        match self {
            Operation::Intersection => match sets.into_iter().collect::<Option<Vec<_>>>() {
                Some(sets) => intersect(&sets, u64::MAX, visit),
                None => Ok(()),
            },
            Operation::Union => {
                let sets: Vec<_> = sets.into_iter().flatten().collect();
                unite(&sets, visit)
            }
            Operation::Difference => {
                let others: Vec<_> = sets.drain(1..).flatten().collect();
                match sets.pop().flatten() {
                    Some(first) => subtract(&first, &others, visit),
                    None => Ok(()),
                }
            }
        }
    }

    fn answer(self, context: &mut Context<'_, '_>) -> Result<(), CommandError> {
        let sets = sets_from(context, 0)?;
        let mut found = Gathered::default();
        self.run(sets, |member| {
            found.add(member);
            fits(context, found.bytes())
        })?;
        context.reply.set(found.count);
        context.reply.raw(&found.answers);
        Ok(())
    }

    fn store(self, context: &mut Context<'_, '_>) -> Result<(), CommandError> {
        let sets = sets_from(context, TARGET + 1)?;
        let mut result = context.new_collection(Kind::Set);
        let mut bytes = 0;
        self.run(sets, |member| {
            bytes += member.len() as u64;
            fits(context, bytes)?;
            set::add(&mut result, member)?;
            Ok(())
        })?;
        let count = length(&result)?;
        context.replace(TARGET, result, Expiry::Clear)?;
        context.reply.integer(count.cast_signed());
        Ok(())
    }
}

/// The sets under all keys from this one on.
fn sets_from<'c>(context: &Context<'c, '_>, first: usize) -> Result<Vec<Option<Collection<'c>>>, CommandError> {
    (first..context.keys()).map(|key| set_of(context, key)).collect()
}

/// The keys of a STORE form: the destination first.
pub(super) fn store_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    keys.push(KeyArgument { word: 1, access: Access::Overwrite, database: None });
    keys.extend((2..args.len()).map(|word| KeyArgument { word, access: Access::Read, database: None }));
    Ok(())
}

/// SINTER key [key ...]
pub(super) fn intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Intersection.answer(context)
}

/// SUNION key [key ...]
pub(super) fn union(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Union.answer(context)
}

/// SDIFF key [key ...]
pub(super) fn difference(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Difference.answer(context)
}

/// SINTERSTORE destination key [key ...]
pub(super) fn store_intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Intersection.store(context)
}

/// SUNIONSTORE destination key [key ...]
pub(super) fn store_union(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Union.store(context)
}

/// SDIFFSTORE destination key [key ...]
pub(super) fn store_difference(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Operation::Difference.store(context)
}

/// SINTERCARD numkeys key [key ...] [LIMIT limit]
pub(super) fn count_intersection(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let keys = args.integer(1).ok().filter(|&keys| keys > 0).ok_or(NO_KEYS)?;
    if keys > args.len() as i64 - 2 {
        return Err(TOO_MANY_KEYS);
    }
    let mut limit = 0;
    let mut at = 2 + keys as usize;
    while at < args.len() {
        let value = args.get(at + 1).filter(|_| args.is(at, "LIMIT")).ok_or(CommandError::SYNTAX)?;
        limit = parse_integer(value).and_then(|limit| u64::try_from(limit).ok()).ok_or(NEGATIVE_LIMIT)?;
        at += 2;
    }
    let sets = sets_from(context, 0)?;
    let mut count = 0;
    if let Some(sets) = sets.into_iter().collect::<Option<Vec<_>>>() {
        // 0 is no limit.
        let limit = if limit == 0 { u64::MAX } else { limit };
        intersect(&sets, limit, |_| {
            count += 1;
            Ok(())
        })?;
    }
    context.reply.integer(count);
    Ok(())
}
