//! What K and O hold: strings, and collections of a few elements and as many more as are asked for.
//!
//! Promises: the same words each time; the small collections are one record, the large ones trees of many nodes.

use thermocline_server::command::row::{Group, Row};

/// What K holds. The number of a collection: so many elements beside the few that the examples name.
#[derive(Debug)]
pub enum Content {
    String(String),
    Hash(usize),
    List(usize),
    Set(usize),
    SortedSet(usize),
}

impl Content {
    /// The command that makes K.
    pub fn words(&self) -> Vec<&str> {
        const MORE: usize = 1500;
        static NAMES: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| (0..MORE).map(|number| format!("more:{number:04}")).collect());
        static NUMBERS: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| (0..MORE).map(|number| number.to_string()).collect());
        let names = || NAMES.iter().map(String::as_str);
        let numbers = || NUMBERS.iter().map(String::as_str);
        match self {
            Content::String(value) => vec!["SET", "K", value],
            Content::Hash(more) => ["HSET", "K", "f", "v", "g", "5"]
                .into_iter()
                .chain(names().zip(numbers()).take(*more).flat_map(|(name, number)| [name, number]))
                .collect(),
            Content::List(more) => ["RPUSH", "K", "3", "1", "2"].into_iter().chain(numbers().take(*more)).collect(),
            Content::Set(more) => ["SADD", "K", "1", "2", "x"].into_iter().chain(names().take(*more)).collect(),
            Content::SortedSet(more) => ["ZADD", "K", "1", "a", "2.5", "b"]
                .into_iter()
                .chain(names().zip(numbers()).take(*more).flat_map(|(name, number)| [number, name]))
                .collect(),
        }
    }

    /// The command that makes O.
    pub fn other(&self) -> Vec<&'static str> {
        match self {
            Content::String(_) => vec!["SET", "O", "other"],
            Content::Hash(_) => vec!["HSET", "O", "f", "w"],
            Content::List(_) => vec!["RPUSH", "O", "9"],
            Content::Set(_) => vec!["SADD", "O", "1", "z"],
            Content::SortedSet(_) => vec!["ZADD", "O", "7", "a", "1", "z"],
        }
    }

    /// Whether K is asked this: a string everything, a collection what is for its type or for all.
    pub fn is_asked(&self, row: &Row) -> bool {
        let own = match self {
            Content::String(_) => return true,
            Content::Hash(_) => Group::Hash,
            Content::List(_) => Group::List,
            Content::Set(_) => Group::Set,
            Content::SortedSet(_) => Group::SortedSet,
        };
        [own, Group::Generic, Group::Transactions].contains(&row.group) || row.name == "set"
    }
}
