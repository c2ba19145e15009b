//! The list family: elements in the order in which they were put.
//!
//! Promises: every command of Redis 7.2 on lists, its refusals and edges included; no answer takes more than an eighth of
//! `maxmemory`. The commands that wait are in `block.rs`; how waiting works stands in `dispatch/block.rs`.
//! Never: asks where a value lies, or looks into nodes: that is `thermocline-value`.

mod block;
mod change;
mod pop;
mod push;
mod read;
mod search;
mod transfer;

use std::ops::Range;

use thermocline::{Collection, Error, Kind};
use thermocline_value::{CodecError, Fault, NodeId, list};

use crate::command::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::{Blocking, Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape, Waits};

/// One answer takes at most this part of `maxmemory`.
const ANSWER_SHARE_MAX: u64 = 8;
/// An element in an answer takes at least so many bytes: `$0`, nothing, and two line ends.
const ANSWERED_BYTES_MIN: u64 = 6;
/// A list whose elements are not as many as it says.
const MISCOUNTED: Fault = Fault::Corrupt(NodeId::ROOT, CodecError::BadField);

/// An end of a list.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

impl End {
    /// Reads LEFT or RIGHT.
    fn read(args: &Args<'_>, at: usize) -> Result<End, CommandError> {
        match (args.is(at, "LEFT"), args.is(at, "RIGHT")) {
            (true, _) => Ok(End::Left),
            (_, true) => Ok(End::Right),
            _ => Err(CommandError::SYNTAX),
        }
    }

    /// The ranks of so many elements at this end.
    fn ranks(self, count: u64, length: u64) -> Range<u64> {
        let count = count.min(length);
        if self == End::Left { 0..count } else { length - count..length }
    }

    /// The index that an element gets which is put here.
    fn gap(self) -> u64 {
        if self == End::Left { 0 } else { u64::MAX }
    }
}

/// The list under key `key`, if there is one.
fn list_of<'c>(context: &Context<'c, '_>, key: usize) -> Result<Option<Collection<'c>>, CommandError> {
    context.collection(key, Kind::List)
}

/// The element that an index names: from the head, or, negative, from the tail.
fn index_from(index: i64, length: u64) -> Option<u64> {
    let index = if index < 0 { length.checked_sub(index.unsigned_abs())? } else { index.unsigned_abs() };
    (index < length).then_some(index)
}

/// The elements from one index to another, this one included. Nothing if they are crossed.
fn ranks_between(start: i64, stop: i64, length: u64) -> Range<u64> {
    let from_head = |index: i64| {
        let length = i128::from(length);
        if index < 0 { length + i128::from(index) } else { i128::from(index).min(length) }
    };
    let start = from_head(start).max(0);
    let end = (from_head(stop) + 1).min(i128::from(length));
    if start < end { start as u64..end as u64 } else { 0..0 }
}

/// Removes the elements of these ranks.
fn remove_ranks(list: &mut Collection<'_>, ranks: Range<u64>) -> Result<(), Fault> {
    let mut left = ranks.end.saturating_sub(ranks.start);
    while left > 0 {
        let removed = list::remove_some(list, ranks.start, left)?;
        if removed == 0 {
            return Err(MISCOUNTED);
        }
        left -= removed;
    }
    Ok(())
}

/// Answers the elements of these ranks, those at `from` first. The head of an array is the caller's.
fn answer_ranks(
    context: &mut Context<'_, '_>,
    list: &Collection<'_>,
    ranks: Range<u64>,
    from: End,
) -> Result<(), CommandError> {
    let count = ranks.end.saturating_sub(ranks.start);
    if count == 0 {
        return Ok(());
    }
    fits(context, count.saturating_mul(ANSWERED_BYTES_MIN))?;
    list.ready(|list, missing| list::touch_ranks(list, ranks.clone(), missing))?;
    let first = if from == End::Left { ranks.start } else { ranks.end - 1 };
    let begin = context.reply.position();
    let mut answered = 0;
    for element in list::walk(list, first, from == End::Right)?.take(count as usize) {
        context.reply.bulk(element?);
        fits(context, (context.reply.position() - begin) as u64)?;
        answered += 1;
    }
    if answered < count { Err(MISCOUNTED.into()) } else { Ok(()) }
}

/// Refuses an answer of so many bytes if it is too large.
fn fits(context: &Context<'_, '_>, bytes: u64) -> Result<(), CommandError> {
    if bytes > context.facts.engine().max_memory() / ANSWER_SHARE_MAX {
        return Err(CommandError::Engine(Error::OutOfMemory));
    }
    Ok(())
}

const ONE_KEY: Keys = Keys::Range { first: 1, last: 1, step: 1 };
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };
const KEYS_AND_TIME: Keys = Keys::Range { first: 1, last: -2, step: 1 };

const READ: Row = Row {
    access: RowAccess::Read,
    keys: ONE_KEY,
    flags: Flags::of(&[Flag::ReadOnly]),
    categories: &[Category::List],
    group: Group::List,
    ..Row::EMPTY
};
const WRITE: Row = Row { access: RowAccess::Write, flags: Flags::of(&[Flag::Write]), ..READ };
const GROWING: Flags = Flags::of(&[Flag::Write, Flag::DenyOom]);
const GROWING_FAST: Flags = Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

/// The rows of the family.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "blmove",
        arity: 6,
        keys: TWO_KEYS,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Blocking]),
        since: "6.2.0",
        summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved.",
        reply: Shape::BulkOrNull,
        body: Body::Blocking(Blocking { body: block::transfer, kind: Kind::List, waits: Waits::First, time_word: -1 }),
        ..WRITE
    },
    Row {
        name: "blmpop",
        arity: -5,
        keys: Keys::Count { at: 2, first: 3 },
        flags: Flags::of(&[Flag::Write, Flag::Blocking, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        reply: Shape::Array,
        body: Body::Blocking(Blocking { body: block::pop_any, kind: Kind::List, waits: Waits::All, time_word: 1 }),
        ..WRITE
    },
    Row {
        name: "blpop",
        arity: -3,
        keys: KEYS_AND_TIME,
        flags: Flags::of(&[Flag::Write, Flag::Blocking]),
        since: "2.0.0",
        summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        complexity: "O(N) where N is the number of provided keys.",
        reply: Shape::Array,
        body: Body::Blocking(Blocking { body: block::pop_left, kind: Kind::List, waits: Waits::All, time_word: -1 }),
        ..WRITE
    },
    Row {
        name: "brpop",
        arity: -3,
        keys: KEYS_AND_TIME,
        flags: Flags::of(&[Flag::Write, Flag::Blocking]),
        since: "2.0.0",
        summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        complexity: "O(N) where N is the number of provided keys.",
        reply: Shape::Array,
        body: Body::Blocking(Blocking { body: block::pop_right, kind: Kind::List, waits: Waits::All, time_word: -1 }),
        ..WRITE
    },
    Row {
        name: "brpoplpush",
        arity: 4,
        keys: TWO_KEYS,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Blocking]),
        since: "2.2.0",
        summary: "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped.",
        reply: Shape::BulkOrNull,
        body: Body::Blocking(Blocking { body: block::pop_push, kind: Kind::List, waits: Waits::First, time_word: -1 }),
        ..WRITE
    },
    Row {
        name: "lindex",
        arity: 3,
        summary: "Returns an element from a list by its index.",
        complexity: "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).",
        reply: Shape::BulkOrNull,
        body: Body::Keys(read::element_at),
        ..READ
    },
    Row {
        name: "linsert",
        arity: 5,
        keys: ONE_KEY,
        flags: GROWING,
        since: "2.2.0",
        summary: "Inserts an element before or after another element in a list.",
        complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
        reply: Shape::Integer,
        body: Body::Keys(search::insert),
        ..WRITE
    },
    Row {
        name: "llen",
        arity: 2,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        summary: "Returns the length of a list.",
        reply: Shape::Integer,
        body: Body::Keys(read::count),
        ..READ
    },
    Row {
        name: "lmove",
        arity: 5,
        keys: TWO_KEYS,
        flags: GROWING,
        since: "6.2.0",
        summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
        reply: Shape::BulkOrNull,
        body: Body::Keys(transfer::transfer),
        ..WRITE
    },
    Row {
        name: "lmpop",
        arity: -4,
        keys: Keys::Count { at: 1, first: 2 },
        flags: Flags::of(&[Flag::Write, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        reply: Shape::Array,
        body: Body::Keys(pop::pop_any),
        ..WRITE
    },
    Row {
        name: "lpop",
        arity: -2,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        summary: "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
        complexity: "O(N) where N is the number of elements returned",
        reply: Shape::Any,
        body: Body::Keys(pop::pop_left),
        ..WRITE
    },
    Row {
        name: "lpos",
        arity: -3,
        since: "6.0.6",
        summary: "Returns the index of matching elements in a list.",
        complexity: "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
        reply: Shape::Any,
        body: Body::Keys(search::position),
        ..READ
    },
    Row {
        name: "lpush",
        arity: -3,
        flags: GROWING_FAST,
        summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        reply: Shape::Integer,
        body: Body::Keys(push::push_left),
        ..WRITE
    },
    Row {
        name: "lpushx",
        arity: -3,
        flags: GROWING_FAST,
        since: "2.2.0",
        summary: "Prepends one or more elements to a list only when the list exists.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        reply: Shape::Integer,
        body: Body::Keys(push::push_left_if_there),
        ..WRITE
    },
    Row {
        name: "lrange",
        arity: 4,
        summary: "Returns a range of elements from a list.",
        complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
        reply: Shape::Array,
        body: Body::Keys(read::range),
        ..READ
    },
    Row {
        name: "lrem",
        arity: 4,
        summary: "Removes elements from a list. Deletes the list if the last element was removed.",
        complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
        reply: Shape::Integer,
        body: Body::Keys(search::remove),
        ..WRITE
    },
    Row {
        name: "lset",
        arity: 4,
        flags: GROWING,
        summary: "Sets the value of an element in a list by its index.",
        complexity: "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
        reply: Shape::Ok,
        body: Body::Keys(change::set),
        ..WRITE
    },
    Row {
        name: "ltrim",
        arity: 4,
        summary: "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
        complexity: "O(N) where N is the number of elements to be removed by the operation.",
        reply: Shape::Ok,
        body: Body::Keys(change::trim),
        ..WRITE
    },
    Row {
        name: "rpop",
        arity: -2,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        summary: "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
        complexity: "O(N) where N is the number of elements returned",
        reply: Shape::Any,
        body: Body::Keys(pop::pop_right),
        ..WRITE
    },
    Row {
        name: "rpoplpush",
        arity: 3,
        keys: TWO_KEYS,
        flags: GROWING,
        since: "1.2.0",
        summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
        reply: Shape::BulkOrNull,
        body: Body::Keys(transfer::pop_push),
        ..WRITE
    },
    Row {
        name: "rpush",
        arity: -3,
        flags: GROWING_FAST,
        summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        reply: Shape::Integer,
        body: Body::Keys(push::push_right),
        ..WRITE
    },
    Row {
        name: "rpushx",
        arity: -3,
        flags: GROWING_FAST,
        since: "2.2.0",
        summary: "Appends an element to a list only when the list exists.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        reply: Shape::Integer,
        body: Body::Keys(push::push_right_if_there),
        ..WRITE
    },
];
