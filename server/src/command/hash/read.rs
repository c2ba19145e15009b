//! Reading hashes: one field, some, all, how many.
//!
//! Promises: changes nothing; an expired field is as good as missing.
//! Never: walks a hash for what a look at one field can say.

use thermocline::Collection;
use thermocline_value::{hash, length};

use super::{STRING_BYTES_MIN, existing, find, fits, lives, ready, ready_all};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// HGET key field
pub(super) fn get(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let collection = existing(context)?;
    answer_field(context, collection.as_ref(), context.args.at(2))
}

/// HMGET key field [field ...]
pub(super) fn get_many(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let fields = context.args.from(2);
    let collection = existing(context)?;
    if let Some(collection) = &collection {
        ready(collection, context.args.from(2))?;
    }
    context.reply.array(fields.len());
    let start = context.reply.position();
    for field in fields {
        answer_field(context, collection.as_ref(), field)?;
        fits(context, (context.reply.position() - start) as u64)?;
    }
    Ok(())
}

fn answer_field(
    context: &mut Context<'_, '_>,
    collection: Option<&Collection<'_>>,
    field: &[u8],
) -> Result<(), CommandError> {
    let entry = match collection {
        Some(collection) => find(context, collection, field)?,
        None => None,
    };
    match entry {
        Some(entry) => context.reply.bulk(entry.value),
        None => context.reply.null(),
    }
    Ok(())
}

/// HEXISTS key field
pub(super) fn exists(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let exists = match existing(context)? {
        Some(collection) => find(context, &collection, context.args.at(2))?.is_some(),
        None => false,
    };
    context.reply.integer(i64::from(exists));
    Ok(())
}

/// HSTRLEN key field
pub(super) fn value_length(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let length = match existing(context)? {
        Some(collection) => find(context, &collection, context.args.at(2))?.map_or(0, |entry| entry.value.len()),
        None => 0,
    };
    context.reply.integer(length as i64);
    Ok(())
}

/// HLEN key: of a large hash, fields count until they are removed. Redis counts like this at any size, and removes expired
/// fields soon; in a small one they are left out here, where nobody removes them meanwhile.
pub(super) fn count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = match existing(context)? {
        Some(collection) if collection.is_run() => living(context, &collection)?,
        Some(collection) => length(&collection)?,
        None => 0,
    };
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// How many fields live. All nodes are there if some may have expired.
pub(super) fn living(context: &Context<'_, '_>, collection: &Collection<'_>) -> Result<u64, CommandError> {
    if !hash::may_expire(collection)? {
        return Ok(length(collection)?);
    }
    let mut count = 0;
    for entry in hash::walk(collection, 0)? {
        count += u64::from(lives(context, &entry?));
    }
    Ok(count)
}

/// What of each field is answered.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Part {
    Field,
    Value,
    Both,
}

/// HGETALL key
pub(super) fn all(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_all(context, Part::Both)
}

/// HKEYS key
pub(super) fn fields(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_all(context, Part::Field)
}

/// HVALS key
pub(super) fn values(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    answer_all(context, Part::Value)
}

fn answer_all(context: &mut Context<'_, '_>, part: Part) -> Result<(), CommandError> {
    let Some(collection) = existing(context)? else {
        if part == Part::Both {
            context.reply.map(0)
        } else {
            context.reply.array(0)
        }
        return Ok(());
    };
    // A hash that cannot be answered is not brought into memory either.
    let strings = if part == Part::Both { 2 } else { 1 };
    fits(context, length(&collection)?.saturating_mul(strings * STRING_BYTES_MIN))?;
    ready_all(&collection)?;
    let count = living(context, &collection)? as usize;
    if part == Part::Both {
        context.reply.map(count)
    } else {
        context.reply.array(count)
    }
    let start = context.reply.position();
    for entry in hash::walk(&collection, 0)? {
        let entry = entry?;
        if !lives(context, &entry) {
            continue;
        }
        if part != Part::Value {
            context.reply.bulk(entry.field);
        }
        if part != Part::Field {
            context.reply.bulk(entry.value);
        }
        fits(context, (context.reply.position() - start) as u64)?;
    }
    Ok(())
}
