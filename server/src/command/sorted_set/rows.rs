//! The rows of the sorted-set family: everything about its commands but what they do.

use super::{add, algebra, pop, random, range, read, remove, scan};
use crate::command::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape};

/// What all rows of the family share.
const SORTED_SET: Row =
    Row { categories: &[Category::SortedSet], group: Group::SortedSet, keys: ONE_KEY, ..Row::EMPTY };
const ONE_KEY: Keys = Keys::Range { first: 1, last: 1, step: 1 };
/// `numkeys key [key ...]`
const COUNTED: Keys = Keys::Count { at: 1, first: 2 };
/// `destination numkeys key [key ...]`
const DESTINATION_AND_COUNTED: Keys = Keys::Function { find: algebra::store_keys, shown: (1, 1, 1) };

/// The rows of the family.
pub const ROWS: &[Row] = &[
    Row {
        name: "zadd",
        arity: -4,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        since: "1.2.0",
        summary: "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        reply: Shape::Any,
        body: Body::Keys(add::add),
        ..SORTED_SET
    },
    Row {
        name: "zcard",
        arity: 2,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "1.2.0",
        summary: "Returns the number of members in a sorted set.",
        reply: Shape::Integer,
        body: Body::Keys(read::cardinality),
        ..SORTED_SET
    },
    Row {
        name: "zcount",
        arity: 4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "2.0.0",
        summary: "Returns the count of members in a sorted set that have scores within a range.",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        reply: Shape::Integer,
        body: Body::Keys(read::count_by_score),
        ..SORTED_SET
    },
    Row {
        name: "zdiff",
        arity: -3,
        access: RowAccess::Read,
        keys: COUNTED,
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "6.2.0",
        summary: "Returns the difference between multiple sorted sets.",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
        reply: Shape::Array,
        body: Body::Keys(algebra::difference),
        ..SORTED_SET
    },
    Row {
        name: "zdiffstore",
        arity: -4,
        access: RowAccess::Overwrite,
        keys: DESTINATION_AND_COUNTED,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        since: "6.2.0",
        summary: "Stores the difference of multiple sorted sets in a key.",
        complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
        reply: Shape::Integer,
        body: Body::Keys(algebra::store_difference),
        ..SORTED_SET
    },
    Row {
        name: "zincrby",
        arity: 4,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        since: "1.2.0",
        summary: "Increments the score of a member in a sorted set.",
        complexity: "O(log(N)) where N is the number of elements in the sorted set.",
        reply: Shape::Any,
        body: Body::Keys(add::increment),
        ..SORTED_SET
    },
    Row {
        name: "zinter",
        arity: -3,
        access: RowAccess::Read,
        keys: COUNTED,
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "6.2.0",
        summary: "Returns the intersect of multiple sorted sets.",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
        reply: Shape::Array,
        body: Body::Keys(algebra::intersection),
        ..SORTED_SET
    },
    Row {
        name: "zintercard",
        arity: -3,
        access: RowAccess::Read,
        keys: COUNTED,
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Returns the number of members of the intersect of multiple sorted sets.",
        complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        reply: Shape::Integer,
        body: Body::Keys(algebra::count_intersection),
        ..SORTED_SET
    },
    Row {
        name: "zinterstore",
        arity: -4,
        access: RowAccess::Overwrite,
        keys: DESTINATION_AND_COUNTED,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        since: "2.0.0",
        summary: "Stores the intersect of multiple sorted sets in a key.",
        complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
        reply: Shape::Integer,
        body: Body::Keys(algebra::store_intersection),
        ..SORTED_SET
    },
    Row {
        name: "zlexcount",
        arity: 4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "2.8.9",
        summary: "Returns the number of members in a sorted set within a lexicographical range.",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        reply: Shape::Integer,
        body: Body::Keys(read::count_by_member),
        ..SORTED_SET
    },
    Row {
        name: "zmpop",
        arity: -4,
        access: RowAccess::Write,
        keys: COUNTED,
        flags: Flags::of(&[Flag::Write, Flag::MovableKeys]),
        since: "7.0.0",
        summary: "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        reply: Shape::Any,
        body: Body::Keys(pop::pop_any),
        ..SORTED_SET
    },
    Row {
        name: "zmscore",
        arity: -3,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "6.2.0",
        summary: "Returns the score of one or more members in a sorted set.",
        complexity: "O(N) where N is the number of members being requested.",
        reply: Shape::Array,
        body: Body::Keys(read::scores),
        ..SORTED_SET
    },
    Row {
        name: "zpopmax",
        arity: -2,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        since: "5.0.0",
        summary: "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        reply: Shape::Array,
        body: Body::Keys(pop::pop_max),
        ..SORTED_SET
    },
    Row {
        name: "zpopmin",
        arity: -2,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        since: "5.0.0",
        summary: "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        reply: Shape::Array,
        body: Body::Keys(pop::pop_min),
        ..SORTED_SET
    },
    Row {
        name: "zrandmember",
        arity: -2,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "6.2.0",
        summary: "Returns one or more random members from a sorted set.",
        complexity: "O(N) where N is the number of elements returned",
        reply: Shape::Any,
        body: Body::Keys(random::random),
        ..SORTED_SET
    },
    Row {
        name: "zrange",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "1.2.0",
        summary: "Returns members in a sorted set within a range of indexes.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        reply: Shape::Array,
        body: Body::Keys(range::range),
        ..SORTED_SET
    },
    Row {
        name: "zrangebylex",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "2.8.9",
        summary: "Returns members in a sorted set within a lexicographical range.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        reply: Shape::Array,
        body: Body::Keys(range::by_member),
        ..SORTED_SET
    },
    Row {
        name: "zrangebyscore",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "1.0.5",
        summary: "Returns members in a sorted set within a range of scores.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        reply: Shape::Array,
        body: Body::Keys(range::by_score),
        ..SORTED_SET
    },
    Row {
        name: "zrangestore",
        arity: -5,
        access: RowAccess::Overwrite,
        keys: Keys::Function { find: range::store_keys, shown: (1, 2, 1) },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        since: "6.2.0",
        summary: "Stores a range of members from sorted set in a key.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
        reply: Shape::Integer,
        body: Body::Keys(range::store),
        ..SORTED_SET
    },
    Row {
        name: "zrank",
        arity: -3,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "2.0.0",
        summary: "Returns the index of a member in a sorted set ordered by ascending scores.",
        complexity: "O(log(N))",
        reply: Shape::Any,
        body: Body::Keys(read::rank),
        ..SORTED_SET
    },
    Row {
        name: "zrem",
        arity: -3,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write, Flag::Fast]),
        since: "1.2.0",
        summary: "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        reply: Shape::Integer,
        body: Body::Keys(remove::remove),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebylex",
        arity: 4,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write]),
        since: "2.8.9",
        summary: "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        reply: Shape::Integer,
        body: Body::Keys(remove::by_member),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebyrank",
        arity: 4,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write]),
        since: "2.0.0",
        summary: "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        reply: Shape::Integer,
        body: Body::Keys(remove::by_rank),
        ..SORTED_SET
    },
    Row {
        name: "zremrangebyscore",
        arity: 4,
        access: RowAccess::Write,
        flags: Flags::of(&[Flag::Write]),
        since: "1.2.0",
        summary: "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        reply: Shape::Integer,
        body: Body::Keys(remove::by_score),
        ..SORTED_SET
    },
    Row {
        name: "zrevrange",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "1.2.0",
        summary: "Returns members in a sorted set within a range of indexes in reverse order.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        reply: Shape::Array,
        body: Body::Keys(range::backward),
        ..SORTED_SET
    },
    Row {
        name: "zrevrangebylex",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "2.8.9",
        summary: "Returns members in a sorted set within a lexicographical range in reverse order.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        reply: Shape::Array,
        body: Body::Keys(range::by_member_backward),
        ..SORTED_SET
    },
    Row {
        name: "zrevrangebyscore",
        arity: -4,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "2.2.0",
        summary: "Returns members in a sorted set within a range of scores in reverse order.",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        reply: Shape::Array,
        body: Body::Keys(range::by_score_backward),
        ..SORTED_SET
    },
    Row {
        name: "zrevrank",
        arity: -3,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "2.0.0",
        summary: "Returns the index of a member in a sorted set ordered by descending scores.",
        complexity: "O(log(N))",
        reply: Shape::Any,
        body: Body::Keys(read::rank_backward),
        ..SORTED_SET
    },
    Row {
        name: "zscan",
        arity: -3,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly]),
        since: "2.8.0",
        summary: "Iterates over members and scores of a sorted set.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        reply: Shape::Array,
        body: Body::Keys(scan::scan),
        ..SORTED_SET
    },
    Row {
        name: "zscore",
        arity: 3,
        access: RowAccess::Read,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        since: "1.2.0",
        summary: "Returns the score of a member in a sorted set.",
        reply: Shape::Any,
        body: Body::Keys(read::score),
        ..SORTED_SET
    },
    Row {
        name: "zunion",
        arity: -3,
        access: RowAccess::Read,
        keys: COUNTED,
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        since: "6.2.0",
        summary: "Returns the union of multiple sorted sets.",
        complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        reply: Shape::Array,
        body: Body::Keys(algebra::union),
        ..SORTED_SET
    },
    Row {
        name: "zunionstore",
        arity: -4,
        access: RowAccess::Overwrite,
        keys: DESTINATION_AND_COUNTED,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        since: "2.0.0",
        summary: "Stores the union of multiple sorted sets in a key.",
        complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
        reply: Shape::Integer,
        body: Body::Keys(algebra::store_union),
        ..SORTED_SET
    },
];
