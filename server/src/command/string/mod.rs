//! The string family: what clients may do with a string.
//!
//! Promises: every command of Redis 7.2 that works on strings, its refusals and edges included, and the conditional ones of
//! Redis 8.4 and Valkey 9.
//! Never: asks where a value lies, or computes on bytes itself: that is `thermocline-value`.

mod change;
mod conditional;
mod read;
mod set;

use thermocline::View;

use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape};

/// The string under key `key`, or nothing if there is no such key.
pub(super) fn string_view<'c>(context: &Context<'c, '_>, key: usize) -> Result<Option<View<'c>>, CommandError> {
    match context.view(key) {
        Some(view) if !view.kind.is_string() => Err(CommandError::WRONG_TYPE),
        view => Ok(view),
    }
}

fn answer_string(context: &mut Context<'_, '_>, view: Option<View<'_>>) {
    match view {
        Some(view) => context.reply.bulk(view.value),
        None => context.reply.null(),
    }
}

const ONE_KEY: Keys = Keys::Range { first: 1, last: 1, step: 1 };

/// The rows of the family.
pub const ROWS: &[Row] = &[
    Row {
        name: "append",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "2.0.0",
        group: Group::String,
        summary: "Appends a string to the value of a key. Creates the key if it does not exist.",
        complexity: "O(N) where N is the length of the value",
        reply: Shape::Integer,
        body: Body::Keys(change::append),
        ..Row::EMPTY
    },
    Row {
        name: "decr",
        arity: 2,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(change::decrement_by_one),
        ..Row::EMPTY
    },
    Row {
        name: "decrby",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Decrements a number from the integer value of a key. Uses 0 as initial value if the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(change::decrement_by),
        ..Row::EMPTY
    },
    Row {
        name: "delifeq",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &[Category::String],
        since: "9.0.0",
        group: Group::String,
        summary: "Delete key if value matches string.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(conditional::remove_if_equal),
        ..Row::EMPTY
    },
    Row {
        name: "get",
        arity: 2,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Returns the string value of a key.",
        complexity: "O(1)",
        reply: Shape::BulkOrNull,
        body: Body::Keys(read::get),
        ..Row::EMPTY
    },
    Row {
        name: "getdel",
        arity: 2,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &[Category::String],
        since: "6.2.0",
        group: Group::String,
        summary: "Returns the string value of a key after deleting the key.",
        complexity: "O(1)",
        reply: Shape::BulkOrNull,
        body: Body::Keys(set::get_remove),
        ..Row::EMPTY
    },
    Row {
        name: "getex",
        arity: -2,
        access: RowAccess::Chosen(set::get_expire_access),
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        categories: &[Category::String],
        since: "6.2.0",
        group: Group::String,
        summary: "Returns the string value of a key after setting its expiration time.",
        complexity: "O(1)",
        reply: Shape::BulkOrNull,
        body: Body::Keys(set::get_expire),
        ..Row::EMPTY
    },
    Row {
        name: "getrange",
        arity: 4,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::String],
        since: "2.4.0",
        group: Group::String,
        summary: "Returns a substring of the string stored at a key.",
        complexity: "O(N) where N is the length of the returned string",
        reply: Shape::Bulk,
        body: Body::Keys(read::range),
        ..Row::EMPTY
    },
    Row {
        name: "getset",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Returns the previous string value of a key after setting it to a new value.",
        complexity: "O(1)",
        reply: Shape::BulkOrNull,
        body: Body::Keys(set::get_set),
        ..Row::EMPTY
    },
    Row {
        name: "incr",
        arity: 2,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(change::increment_by_one),
        ..Row::EMPTY
    },
    Row {
        name: "incrby",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(change::increment_by),
        ..Row::EMPTY
    },
    Row {
        name: "incrbyfloat",
        arity: 3,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "2.6.0",
        group: Group::String,
        summary: "Increments the floating point value of a key by a number. Uses 0 as initial value if the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Bulk,
        body: Body::Keys(change::increment_by_float),
        ..Row::EMPTY
    },
    Row {
        name: "lcs",
        arity: -3,
        access: RowAccess::Read,
        keys: Keys::Range { first: 1, last: 2, step: 1 },
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::String],
        since: "7.0.0",
        group: Group::String,
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M) where N and M are the lengths of the strings",
        reply: Shape::Any,
        body: Body::Keys(read::longest_common_subsequence),
        ..Row::EMPTY
    },
    Row {
        name: "mget",
        arity: -2,
        access: RowAccess::Read,
        keys: Keys::Range { first: 1, last: -1, step: 1 },
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Returns the string values of one or more keys.",
        complexity: "O(N) where N is the number of keys",
        reply: Shape::Array,
        body: Body::Keys(read::get_many),
        ..Row::EMPTY
    },
    Row {
        name: "mset",
        arity: -3,
        access: RowAccess::Overwrite,
        keys: Keys::Range { first: 1, last: -1, step: 2 },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "1.0.1",
        group: Group::String,
        summary: "Creates or modifies the string values of one or more keys.",
        complexity: "O(N) where N is the number of keys",
        reply: Shape::Ok,
        body: Body::Keys(set::set_many),
        ..Row::EMPTY
    },
    Row {
        name: "msetex",
        arity: -4,
        access: RowAccess::Overwrite,
        keys: Keys::Function { find: conditional::pair_keys, shown: (0, 0, 0) },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        categories: &[Category::String],
        since: "8.4.0",
        group: Group::String,
        summary: "Atomically sets multiple string keys with a shared expiration in a single operation.",
        complexity: "O(N) where N is the number of keys to set.",
        reply: Shape::Integer,
        body: Body::Keys(conditional::set_many_expire),
        ..Row::EMPTY
    },
    Row {
        name: "msetnx",
        arity: -3,
        access: RowAccess::Overwrite,
        keys: Keys::Range { first: 1, last: -1, step: 2 },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "1.0.1",
        group: Group::String,
        summary: "Modifies the string values of one or more keys only when none of the keys exist.",
        complexity: "O(N) where N is the number of keys",
        reply: Shape::Integer,
        body: Body::Keys(set::set_many_if_missing),
        ..Row::EMPTY
    },
    Row {
        name: "psetex",
        arity: 4,
        access: RowAccess::Overwrite,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "2.6.0",
        group: Group::String,
        summary: "Sets both string value and expiration time in milliseconds of a key. The key is created if it does not exist.",
        complexity: "O(1)",
        reply: Shape::Ok,
        body: Body::Keys(set::set_milliseconds),
        ..Row::EMPTY
    },
    Row {
        name: "set",
        arity: -3,
        access: RowAccess::Chosen(set::set_access),
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Sets the string value of a key, ignoring its type. The key is created if it does not exist.",
        complexity: "O(1)",
        reply: Shape::OkBulkOrNull,
        body: Body::Keys(set::set),
        ..Row::EMPTY
    },
    Row {
        name: "setex",
        arity: 4,
        access: RowAccess::Overwrite,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "2.0.0",
        group: Group::String,
        summary: "Sets the string value and expiration time of a key. Creates the key if it does not exist.",
        complexity: "O(1)",
        reply: Shape::Ok,
        body: Body::Keys(set::set_seconds),
        ..Row::EMPTY
    },
    Row {
        name: "setnx",
        arity: 3,
        access: RowAccess::Overwrite,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Sets the string value of a key only when the key does not exist.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(set::set_if_missing),
        ..Row::EMPTY
    },
    Row {
        name: "setrange",
        arity: 4,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::String],
        since: "2.2.0",
        group: Group::String,
        summary: "Overwrites a part of a string value with another by an offset. Creates the key if it does not exist.",
        complexity: "O(N) where N is the length of the value",
        reply: Shape::Integer,
        body: Body::Keys(change::set_range),
        ..Row::EMPTY
    },
    Row {
        name: "strlen",
        arity: 2,
        access: RowAccess::Peek,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &[Category::String],
        since: "2.2.0",
        group: Group::String,
        summary: "Returns the length of a string value.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(read::length),
        ..Row::EMPTY
    },
    Row {
        name: "substr",
        arity: 4,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::String],
        since: "1.0.0",
        group: Group::String,
        summary: "Returns a substring from a string value.",
        complexity: "O(N) where N is the length of the returned string",
        reply: Shape::Bulk,
        body: Body::Keys(read::range),
        ..Row::EMPTY
    },
];
