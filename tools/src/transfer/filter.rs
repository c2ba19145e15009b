//! Which keys are meant: by pattern, type and database.
//!
//! Promises: patterns match as in SCAN. Never: looks at a value.

use clap::{Args, ValueEnum};
use thermocline::Kind;
use thermocline_transfer::Choice;
use thermocline_value::{Case, glob_match};

/// A type, as TYPE names it.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub enum Type {
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    Zset,
}

impl Type {
    /// The store's kind.
    pub fn kind(self) -> Kind {
        match self {
            Type::String => Kind::String,
            Type::List => Kind::List,
            Type::Set => Kind::Set,
            Type::Hash => Kind::Hash,
            Type::Zset => Kind::SortedSet,
        }
    }
}

/// Which keys are meant; all of them if nothing is said.
#[derive(Args, Clone, Default)]
pub struct Filter {
    /// Only keys that match this pattern, as in SCAN (`user:*`).
    #[arg(long, value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Only keys of this type; may be given more than once.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub types: Vec<Type>,
    /// Only this database; may be given more than once.
    #[arg(long = "db", value_name = "NUMBER")]
    pub databases: Vec<u32>,
}

impl Choice for Filter {
    fn has_database(&self, database: u32) -> bool {
        self.databases.is_empty() || self.databases.contains(&database)
    }

    fn passes(&self, database: u32, key: &[u8], kind: Kind) -> bool {
        self.has_database(database) && self.has_kind(kind) && self.matches(key)
    }
}

impl Filter {
    /// Is this kind meant?
    pub fn has_kind(&self, kind: Kind) -> bool {
        self.types.is_empty() || self.types.iter().any(|t| t.kind() == kind)
    }

    /// Is a key of this name meant?
    pub fn matches(&self, key: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| glob_match(pattern.as_bytes(), key, Case::Sensitive))
    }
}
