//! What is done to collections: the commands by name, and what each one is.
//!
//! Never: bytes on the wire, answers.

use crate::tally::Kind;
use clap::ValueEnum;

/// A command, or the filling of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Fills hashes: every field once. What the keys held before is gone (unless --from).
    FillHash,
    /// Fills sets.
    FillSet,
    /// Fills sorted sets: the score of a member is its number.
    FillSortedSet,
    /// Fills lists, in order.
    FillList,
    /// HSET of a field that is there: another value of the same length.
    Hset,
    /// HGET of a field that is there.
    Hget,
    /// HSCAN (COUNT 100) of every key to its end: every field must come.
    Hscan,
    /// SADD of a member that is new.
    Sadd,
    /// SISMEMBER of a member that is there.
    Sismember,
    /// ZADD of a member that is there: another score. ZRANK and ZRANGE check ranks, so they come before it.
    Zadd,
    /// ZRANK of a member.
    Zrank,
    /// ZRANGE by rank, 10 members.
    Zrange,
    /// ZRANGE BYSCORE, 10 members.
    ZrangeByScore,
    /// LPUSH of one element. LINDEX and LRANGE check places, so they come before it.
    Lpush,
    /// LPOP of one element.
    Lpop,
    /// RPOP of one element.
    Rpop,
    /// LINDEX.
    Lindex,
    /// LRANGE of the first 100 elements.
    Lrange,
}

/// A type of collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Fields and values.
    Hash,
    /// Members.
    Set,
    /// Members with scores.
    SortedSet,
    /// Values in a row.
    List,
}

impl Action {
    /// What is filled, if this fills.
    pub fn fills(self) -> Option<Shape> {
        match self {
            Self::FillHash => Some(Shape::Hash),
            Self::FillSet => Some(Shape::Set),
            Self::FillSortedSet => Some(Shape::SortedSet),
            Self::FillList => Some(Shape::List),
            _ => None,
        }
    }

    /// The command.
    pub fn word(self) -> &'static str {
        match self {
            Self::FillHash | Self::Hset => "HSET",
            Self::FillSet | Self::Sadd => "SADD",
            Self::FillSortedSet | Self::Zadd => "ZADD",
            Self::FillList => "RPUSH",
            Self::Hget => "HGET",
            Self::Hscan => "HSCAN",
            Self::Sismember => "SISMEMBER",
            Self::Zrank => "ZRANK",
            Self::Zrange | Self::ZrangeByScore => "ZRANGE",
            Self::Lpush => "LPUSH",
            Self::Lpop => "LPOP",
            Self::Rpop => "RPOP",
            Self::Lindex => "LINDEX",
            Self::Lrange => "LRANGE",
        }
    }

    /// How its answers are counted.
    pub fn kind(self) -> Kind {
        match self {
            Self::Hget | Self::Sismember | Self::Zrank | Self::Lindex => Kind::Get,
            Self::Hscan | Self::Zrange | Self::ZrangeByScore | Self::Lrange => Kind::Scan,
            Self::Lpop | Self::Rpop => Kind::Delete,
            _ => Kind::Set,
        }
    }

    /// It adds or removes elements: keys are taken in turn, so that all of them grow or shrink alike.
    pub fn takes_turns(self) -> bool {
        matches!(self, Self::Sadd | Self::Lpush | Self::Lpop | Self::Rpop)
    }
}
