//! The hash family: what clients may do with a hash, and with the lives of its fields.
//!
//! A field may have an expiry of its own. One that has passed is still an element of the collection until a command that
//! writes meets it; no command shows it before. Only HLEN of a large hash counts such fields: they are not looked for there.
//!
//! Promises: every command of Redis 7.2 that works on hashes, the field expiries of 7.4, and what 8.0 adds to them, with
//! their refusals and edges. Nodes that a command needs are named together, so that they come in one round.
//! Never: asks where a value lies; keeps anything between two calls of a body.

mod expiry;
mod extended;
mod random;
mod read;
mod scan;
mod write;

use std::collections::BTreeSet;

use thermocline::{Collection, Error, Kind};
use thermocline_value::{HashEntry, hash, length, parse_integer};

use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape};

const NO_FIELDS: CommandError =
    CommandError::Static("ERR Mandatory argument FIELDS is missing or not at the right position");
const BAD_FIELD_COUNT: CommandError = CommandError::Static("ERR Number of fields must be a positive integer");
const OTHER_FIELD_COUNT: CommandError =
    CommandError::Static("ERR The `numfields` parameter must match the number of arguments");

/// An answer takes at most this part of `maxmemory`.
const ANSWER_SHARE_MAX: u64 = 8;
/// A string in an answer takes at least so many bytes: `$0`, nothing, and two line ends.
const STRING_BYTES_MIN: u64 = 6;
/// So many fields are looked at where one that lives is wanted: the first few, and then the rest of them.
const LOOKED_AT_FIRST: u64 = 8;
const LOOKED_AT_MAX: u64 = 1024;

/// The hash under the command's key, if there is one.
fn existing<'c>(context: &Context<'c, '_>) -> Result<Option<Collection<'c>>, CommandError> {
    context.collection(0, Kind::Hash)
}

/// Brings what it takes to look at and change these fields.
fn ready<'f>(collection: &Collection<'_>, fields: impl Iterator<Item = &'f [u8]>) -> Result<(), CommandError> {
    if collection.is_run() {
        return Ok(());
    }
    Ok(collection.ready(|nodes, missing| {
        for field in fields {
            hash::touch_field(nodes, field, missing)?;
            if missing.is_full() {
                break;
            }
        }
        Ok(())
    })?)
}

/// Brings what it takes to walk over the whole hash.
fn ready_all(collection: &Collection<'_>) -> Result<(), CommandError> {
    let length = length(collection)?;
    Ok(collection.ready(|nodes, missing| hash::touch_ranks(nodes, 0..length, missing))?)
}

/// Whether a field's time is not over.
fn lives(context: &Context<'_, '_>, entry: &HashEntry<'_>) -> bool {
    entry.expiry_ms.is_none_or(|at| at > context.now_ms())
}

/// A field that lives.
fn find<'n>(
    context: &Context<'_, '_>,
    collection: &'n Collection<'_>,
    field: &[u8],
) -> Result<Option<HashEntry<'n>>, CommandError> {
    Ok(hash::get(collection, field)?.filter(|entry| lives(context, entry)))
}

/// Fields that are to go once all have been looked at: a removal may free a leaf whose neighbour is not in memory, so
/// nothing is looked for behind it.
type Doomed<'a> = BTreeSet<&'a [u8]>;

/// A field that lives and is not doomed. An expired one that is met here is doomed.
fn find_or_doom<'n, 'a>(
    context: &Context<'_, '_>,
    collection: &'n Collection<'_>,
    field: &'a [u8],
    doomed: &mut Doomed<'a>,
) -> Result<Option<HashEntry<'n>>, CommandError> {
    let Some(entry) = hash::get(collection, field)? else { return Ok(None) };
    if !lives(context, &entry) {
        doomed.insert(field);
    }
    Ok(Some(entry).filter(|_| !doomed.contains(field)))
}

/// Removes the doomed fields and hands the hash back. Without a field that lives the key goes.
fn finish(
    context: &mut Context<'_, '_>,
    mut collection: Collection<'_>,
    doomed: &Doomed<'_>,
) -> Result<(), CommandError> {
    for field in doomed {
        hash::remove(&mut collection, field)?;
    }
    if !doomed.is_empty() && length(&collection)? > 0 && all_expired(context, &collection)? {
        context.remove(0);
        return Ok(());
    }
    context.keep(0, collection)
}

/// Whether certainly no field lives. A large hash that begins with more than [`LOOKED_AT_MAX`] expired fields is not looked
/// at to its end.
fn all_expired(context: &Context<'_, '_>, collection: &Collection<'_>) -> Result<bool, CommandError> {
    if !hash::may_expire(collection)? {
        return Ok(false);
    }
    for ranks in [0..LOOKED_AT_FIRST, LOOKED_AT_FIRST..LOOKED_AT_MAX] {
        collection.ready(|nodes, missing| hash::touch_ranks(nodes, ranks.clone(), missing))?;
        let mut seen = 0;
        for entry in hash::walk(collection, ranks.start)?.take((ranks.end - ranks.start) as usize) {
            if lives(context, &entry?) {
                return Ok(false);
            }
            seen += 1;
        }
        if ranks.start + seen < ranks.end {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The word with the first field, where word `at` must be FIELDS and their number follows.
fn first_field(args: &Args<'_>, at: usize, bad_count: CommandError) -> Result<usize, CommandError> {
    if !args.is(at, "FIELDS") {
        return Err(NO_FIELDS);
    }
    let count = args.get(at + 1).and_then(parse_integer).filter(|count| *count > 0).ok_or(bad_count)?;
    let first = at + 2;
    if args.len().checked_sub(first) != usize::try_from(count).ok() {
        return Err(OTHER_FIELD_COUNT);
    }
    Ok(first)
}

/// Refuses an answer of so many bytes if it is too large.
fn fits(context: &Context<'_, '_>, bytes: u64) -> Result<(), CommandError> {
    if bytes > context.facts.engine().max_memory() / ANSWER_SHARE_MAX {
        return Err(CommandError::Engine(Error::OutOfMemory));
    }
    Ok(())
}

/// What all commands of the family have in common.
const HASH: Row = Row {
    keys: Keys::Range { first: 1, last: 1, step: 1 },
    categories: &[Category::Hash],
    group: Group::Hash,
    ..Row::EMPTY
};
/// Reads some fields.
const READ: Row = Row { access: RowAccess::Read, flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]), ..HASH };
/// Reads all fields, or any.
const READ_MANY: Row = Row { flags: Flags::of(&[Flag::ReadOnly]), ..READ };
/// Removes fields, or makes them shorter.
const REMOVE: Row = Row { access: RowAccess::Write, flags: Flags::of(&[Flag::Write, Flag::Fast]), ..HASH };
/// Makes the hash larger.
const WRITE: Row = Row { flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]), ..REMOVE };

/// The rows of the family.
pub const ROWS: &[Row] = &[
    Row {
        name: "hdel",
        arity: -3,
        since: "2.0.0",
        summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        complexity: "O(N) where N is the number of fields to be removed.",
        reply: Shape::Integer,
        body: Body::Keys(write::remove),
        ..REMOVE
    },
    Row {
        name: "hexists",
        arity: 3,
        since: "2.0.0",
        summary: "Determines whether a field exists in a hash.",
        reply: Shape::Integer,
        body: Body::Keys(read::exists),
        ..READ
    },
    Row {
        name: "hexpire",
        arity: -6,
        since: "7.4.0",
        summary: "Set expiry for hash field using relative time to expire (seconds)",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::expire_seconds),
        ..WRITE
    },
    Row {
        name: "hexpireat",
        arity: -6,
        since: "7.4.0",
        summary: "Set expiry for hash field using an absolute Unix timestamp (seconds)",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::expire_at_seconds),
        ..WRITE
    },
    Row {
        name: "hexpiretime",
        arity: -5,
        since: "7.4.0",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::moment_seconds),
        ..READ
    },
    Row {
        name: "hget",
        arity: 3,
        since: "2.0.0",
        summary: "Returns the value of a field in a hash.",
        reply: Shape::BulkOrNull,
        body: Body::Keys(read::get),
        ..READ
    },
    Row {
        name: "hgetall",
        arity: 2,
        since: "2.0.0",
        summary: "Returns all fields and values in a hash.",
        complexity: "O(N) where N is the size of the hash.",
        reply: Shape::Map,
        body: Body::Keys(read::all),
        ..READ_MANY
    },
    Row {
        name: "hgetdel",
        arity: -5,
        since: "8.0.0",
        summary: "Returns the value of a field and deletes it from the hash.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(extended::get_remove),
        ..REMOVE
    },
    Row {
        name: "hgetex",
        arity: -5,
        since: "8.0.0",
        summary: "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(extended::get_expire),
        ..REMOVE
    },
    Row {
        name: "hincrby",
        arity: 4,
        since: "2.0.0",
        summary: "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        reply: Shape::Integer,
        body: Body::Keys(write::increment_by),
        ..WRITE
    },
    Row {
        name: "hincrbyfloat",
        arity: 4,
        since: "2.6.0",
        summary: "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        reply: Shape::Bulk,
        body: Body::Keys(write::increment_by_float),
        ..WRITE
    },
    Row {
        name: "hkeys",
        arity: 2,
        since: "2.0.0",
        summary: "Returns all fields in a hash.",
        complexity: "O(N) where N is the size of the hash.",
        reply: Shape::Array,
        body: Body::Keys(read::fields),
        ..READ_MANY
    },
    Row {
        name: "hlen",
        arity: 2,
        since: "2.0.0",
        summary: "Returns the number of fields in a hash.",
        reply: Shape::Integer,
        body: Body::Keys(read::count),
        ..READ
    },
    Row {
        name: "hmget",
        arity: -3,
        since: "2.0.0",
        summary: "Returns the values of all fields in a hash.",
        complexity: "O(N) where N is the number of fields being requested.",
        reply: Shape::Array,
        body: Body::Keys(read::get_many),
        ..READ
    },
    Row {
        name: "hmset",
        arity: -4,
        since: "2.0.0",
        summary: "Sets the values of multiple fields.",
        complexity: "O(N) where N is the number of fields being set.",
        reply: Shape::Ok,
        body: Body::Keys(write::set_many),
        ..WRITE
    },
    Row {
        name: "hpersist",
        arity: -5,
        since: "7.4.0",
        summary: "Removes the expiration time for each specified field",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::persist),
        ..REMOVE
    },
    Row {
        name: "hpexpire",
        arity: -6,
        since: "7.4.0",
        summary: "Set expiry for hash field using relative time to expire (milliseconds)",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::expire_milliseconds),
        ..WRITE
    },
    Row {
        name: "hpexpireat",
        arity: -6,
        since: "7.4.0",
        summary: "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::expire_at_milliseconds),
        ..WRITE
    },
    Row {
        name: "hpexpiretime",
        arity: -5,
        since: "7.4.0",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::moment_milliseconds),
        ..READ
    },
    Row {
        name: "hpttl",
        arity: -5,
        since: "7.4.0",
        summary: "Returns the TTL in milliseconds of a hash field.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::ttl_milliseconds),
        ..READ
    },
    Row {
        name: "hrandfield",
        arity: -2,
        since: "6.2.0",
        summary: "Returns one or more random fields from a hash.",
        complexity: "O(N) where N is the number of fields returned",
        reply: Shape::Any,
        body: Body::Keys(random::pick),
        ..READ_MANY
    },
    Row {
        name: "hscan",
        arity: -3,
        since: "2.8.0",
        summary: "Iterates over fields and values of a hash.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        reply: Shape::Array,
        body: Body::Keys(scan::scan),
        ..READ_MANY
    },
    Row {
        name: "hset",
        arity: -4,
        since: "2.0.0",
        summary: "Creates or modifies the value of a field in a hash.",
        complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
        reply: Shape::Integer,
        body: Body::Keys(write::set),
        ..WRITE
    },
    Row {
        name: "hsetex",
        arity: -6,
        since: "8.0.0",
        summary: "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
        complexity: "O(N) where N is the number of fields being set.",
        reply: Shape::Integer,
        body: Body::Keys(extended::set_expire),
        ..WRITE
    },
    Row {
        name: "hsetnx",
        arity: 4,
        since: "2.0.0",
        summary: "Sets the value of a field in a hash only when the field doesn't exist.",
        reply: Shape::Integer,
        body: Body::Keys(write::set_if_missing),
        ..WRITE
    },
    Row {
        name: "hstrlen",
        arity: 3,
        since: "3.2.0",
        summary: "Returns the length of the value of a field.",
        reply: Shape::Integer,
        body: Body::Keys(read::value_length),
        ..READ
    },
    Row {
        name: "httl",
        arity: -5,
        since: "7.4.0",
        summary: "Returns the TTL in seconds of a hash field.",
        complexity: "O(N) where N is the number of specified fields",
        reply: Shape::Array,
        body: Body::Keys(expiry::ttl_seconds),
        ..READ
    },
    Row {
        name: "hvals",
        arity: 2,
        since: "2.0.0",
        summary: "Returns all values in a hash.",
        complexity: "O(N) where N is the size of the hash.",
        reply: Shape::Array,
        body: Body::Keys(read::values),
        ..READ_MANY
    },
];
