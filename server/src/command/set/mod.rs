//! The set family: members without order, each once.
//!
//! Promises: every command of Redis 7.2 on sets, its refusals and edges included; no answer and no stored result takes more than
//! an eighth of `maxmemory`. Sets have no order in common with Redis: neither does its own between two encodings.
//! Never: asks where a value lies, or looks into nodes: that is `thermocline-value`.

mod algebra;
mod combine;
mod members;
mod pick;
mod random;
mod scan;

use thermocline::{Collection, Error, Kind};
use thermocline_resp::{Protocol, Reply};
use thermocline_value::{CodecError, Fault, Missing, NodeId};

use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape};

/// One answer, or one result that is about to be stored, takes at most this part of `maxmemory`.
const ANSWER_SHARE_MAX: u64 = 8;
/// A member in an answer takes at least so many bytes: `$0`, nothing, and two line ends.
const ANSWERED_BYTES_MIN: u64 = 6;
/// Where one in so many members or more is looked for, nearly every leaf is needed: the set is brought as it stands. After each
/// round of reads a body begins again, and look-ups made again cost more than leaves.
const NEARLY_ALL: u64 = 8;
/// A set whose elements are not as many as it says.
const MISCOUNTED: Fault = Fault::Corrupt(NodeId::ROOT, CodecError::BadField);

/// Refuses an answer or a result of so many bytes if it is too large.
fn fits(context: &Context<'_, '_>, bytes: u64) -> Result<(), CommandError> {
    if bytes > context.facts.engine().max_memory() / ANSWER_SHARE_MAX {
        return Err(CommandError::Engine(Error::OutOfMemory));
    }
    Ok(())
}

/// The set under key `key`, if there is one.
fn set_of<'c>(context: &Context<'c, '_>, key: usize) -> Result<Option<Collection<'c>>, CommandError> {
    context.collection(key, Kind::Set)
}

/// Asks of one set what it takes to find, add or remove these members.
fn ready_for<'m>(set: &Collection<'_>, members: impl Iterator<Item = &'m [u8]>) -> Result<(), Fault> {
    set.ready(|set, missing| touch_each(set, members, missing))
}

fn touch_each<'m>(
    set: &Collection<'_>,
    members: impl Iterator<Item = &'m [u8]>,
    missing: &mut Missing,
) -> Result<(), Fault> {
    for member in members {
        if missing.is_full() {
            break;
        }
        thermocline_value::set::touch_member(set, member, missing)?;
    }
    Ok(())
}

/// Members on their way into an answer, when their number is known only at the end.
#[derive(Default)]
struct Gathered {
    /// As answers: the same in both protocols.
    answers: Vec<u8>,
    count: usize,
}

impl Gathered {
    fn add(&mut self, member: &[u8]) {
        Reply::new(&mut self.answers, Protocol::Two).bulk(member);
        self.count += 1;
    }

    fn bytes(&self) -> u64 {
        self.answers.len() as u64
    }
}

const ONE_KEY: Keys = Keys::Range { first: 1, last: 1, step: 1 };
const ALL_KEYS: Keys = Keys::Range { first: 1, last: -1, step: 1 };
const STORE_KEYS: Keys = Keys::Function { find: combine::store_keys, shown: (1, -1, 1) };

/// What most rows of the family have in common.
const SET: Row = Row {
    access: RowAccess::Read,
    keys: ONE_KEY,
    categories: &[Category::Set],
    flags: Flags::of(&[Flag::ReadOnly]),
    group: Group::Set,
    ..Row::EMPTY
};

/// The rows of the family.
pub const ROWS: &[Row] = &[
    Row {
        name: "sadd",
        arity: -3,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple \
                     arguments.",
        reply: Shape::Integer,
        body: Body::Keys(members::add),
        ..SET
    },
    Row {
        name: "scard",
        arity: 2,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        summary: "Returns the number of members in a set.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(members::count),
        ..SET
    },
    Row {
        name: "sdiff",
        arity: -2,
        keys: ALL_KEYS,
        summary: "Returns the difference of multiple sets.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        reply: Shape::Array,
        body: Body::Keys(combine::difference),
        ..SET
    },
    Row {
        name: "sdiffstore",
        arity: -3,
        access: RowAccess::Keyless,
        keys: STORE_KEYS,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        summary: "Stores the difference of multiple sets in a key.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        reply: Shape::Integer,
        body: Body::Keys(combine::store_difference),
        ..SET
    },
    Row {
        name: "sinter",
        arity: -2,
        keys: ALL_KEYS,
        summary: "Returns the intersect of multiple sets.",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        reply: Shape::Array,
        body: Body::Keys(combine::intersection),
        ..SET
    },
    Row {
        name: "sintercard",
        arity: -3,
        keys: Keys::Count { at: 1, first: 2 },
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Returns the number of members of the intersect of multiple sets.",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        reply: Shape::Integer,
        body: Body::Keys(combine::count_intersection),
        ..SET
    },
    Row {
        name: "sinterstore",
        arity: -3,
        access: RowAccess::Keyless,
        keys: STORE_KEYS,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        summary: "Stores the intersect of multiple sets in a key.",
        complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        reply: Shape::Integer,
        body: Body::Keys(combine::store_intersection),
        ..SET
    },
    Row {
        name: "sismember",
        arity: 3,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        summary: "Determines whether a member belongs to a set.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(members::has),
        ..SET
    },
    Row {
        name: "smembers",
        arity: 2,
        summary: "Returns all members of a set.",
        complexity: "O(N) where N is the set cardinality.",
        reply: Shape::Array,
        body: Body::Keys(members::all),
        ..SET
    },
    Row {
        name: "smismember",
        arity: -3,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "6.2.0",
        summary: "Determines whether multiple members belong to a set.",
        complexity: "O(N) where N is the number of elements being checked for membership",
        reply: Shape::Array,
        body: Body::Keys(members::has_each),
        ..SET
    },
    Row {
        name: "smove",
        arity: 4,
        access: RowAccess::Write,
        keys: Keys::Range { first: 1, last: 2, step: 1 },
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        summary: "Moves a member from one set to another.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(members::move_to),
        ..SET
    },
    Row {
        name: "spop",
        arity: -2,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        summary: "Returns one or more random members from a set after removing them. Deletes the set if the last \
                  member was popped.",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        reply: Shape::Any,
        body: Body::Keys(random::pop),
        ..SET
    },
    Row {
        name: "srandmember",
        arity: -2,
        summary: "Get one or multiple random members from a set",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed \
                     count.",
        reply: Shape::Any,
        body: Body::Keys(random::show),
        ..SET
    },
    Row {
        name: "srem",
        arity: -3,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        summary: "Removes one or more members from a set. Deletes the set if the last member was removed.",
        complexity: "O(N) where N is the number of members to be removed.",
        reply: Shape::Integer,
        body: Body::Keys(members::remove),
        ..SET
    },
    Row {
        name: "sscan",
        arity: -3,
        since: "2.8.0",
        summary: "Iterates over members of a set.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the \
                     cursor to return back to 0. N is the number of elements inside the collection.",
        reply: Shape::Array,
        body: Body::Keys(scan::scan),
        ..SET
    },
    Row {
        name: "sunion",
        arity: -2,
        keys: ALL_KEYS,
        summary: "Returns the union of multiple sets.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        reply: Shape::Array,
        body: Body::Keys(combine::union),
        ..SET
    },
    Row {
        name: "sunionstore",
        arity: -3,
        access: RowAccess::Keyless,
        keys: STORE_KEYS,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        summary: "Stores the union of multiple sets in a key.",
        complexity: "O(N) where N is the total number of elements in all given sets.",
        reply: Shape::Integer,
        body: Body::Keys(combine::store_union),
        ..SET
    },
];
