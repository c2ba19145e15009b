//! Commands: what a client asks for (`draw.rs` draws them from the seed).
//!
//! Promises: values say which command wrote them, so no two are equal. Never: a command whose meaning depends on time other
//! than through expiry.

use crate::ledger::Number;
use crate::random::Random;
use crate::value::{Edits, head};
use std::rc::Rc;
use thermocline::{Access, Expiry};

/// What happens to one key of a command.
#[derive(Clone, Debug)]
pub enum Act {
    /// It is only looked at: a string, or how many elements a collection has.
    Look,
    /// All of it is looked at.
    LookWhole,
    /// One element of a collection is looked at.
    LookOne(u16),
    /// It gets a value.
    Put(Rc<[u8]>, Expiry),
    /// It goes.
    Remove,
    /// If it is there, its expiry changes.
    Expire(Expiry),
    /// Bytes are appended unless it is longer than this already; its expiry stays.
    Append(Rc<[u8]>, u64),
    /// It gets value and expiry of the key at this position, if that is there; else nothing happens. That key [`Act::Leave`]s behind
    /// it: a collection has one name.
    CopyOf(usize),
    /// It goes.
    Leave,
    /// Elements of the collection change, whatever its kind; of a string nothing.
    Elements(Edits),
}

impl Act {
    /// The position of the key that it copies.
    pub fn copied(&self) -> Option<usize> {
        if let Act::CopyOf(from) = self { Some(*from) } else { None }
    }

    /// May it change the key?
    pub fn writes(&self) -> bool {
        !matches!(self, Act::Look | Act::LookWhole | Act::LookOne(_))
    }

    /// In a few words.
    pub fn brief(&self) -> String {
        match self {
            Act::Put(value, expiry) => format!("put {} {expiry:?}", head(value)),
            Act::Append(value, _) => format!("append {}", head(value)),
            Act::Elements(edits) => {
                let few: Vec<String> = edits.all.iter().take(5).map(|edit| format!("{edit:?}")).collect();
                format!("{} edits of a {}: {}", edits.all.len(), edits.kind.name(), few.join(", "))
            }
            other => format!("{other:?}"),
        }
    }
}

/// One key of a command.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which key.
    pub key: Number,
    /// How it is accessed.
    pub access: Access,
    /// What happens to it.
    pub act: Act,
}

/// A command.
#[derive(Clone, Debug)]
pub enum Command {
    /// One group over keys of a database. `quick`: by the hot road first, if it has one key.
    Keys {
        /// Which database.
        database: u32,
        /// Its keys.
        parts: Vec<Part>,
        /// By `try_run` first.
        quick: bool,
    },
    /// A transaction: its parts one after the other over one layer, keys more than once.
    Group {
        /// Which database.
        database: u32,
        /// What happens, in order.
        parts: Vec<Part>,
        /// A key of this database that is watched first, and how often others may go on before the transaction.
        watched: Option<(Number, u32)>,
    },
    /// FLUSHDB.
    Flush(u32),
    /// SWAPDB of the two databases.
    Swap,
    /// A whole SCAN.
    Scan(u32, usize),
    /// Demote a key by hand.
    Demote(u32, Number),
    /// Promote a key by hand.
    Promote(u32, Number),
}

/// Kinds of commands, for their shares.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Set,
    SetLarge,
    Get,
    Remove,
    Append,
    Expire,
    Many,
    Rename,
    Flush,
    Swap,
    Scan,
    Demote,
    Promote,
    GetMany,
    Elements,
    LookOne,
    LookWhole,
    Group,
    Watch,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 19] = [
        Kind::Set,
        Kind::SetLarge,
        Kind::Get,
        Kind::Remove,
        Kind::Append,
        Kind::Expire,
        Kind::Many,
        Kind::Rename,
        Kind::Flush,
        Kind::Swap,
        Kind::Scan,
        Kind::Demote,
        Kind::Promote,
        Kind::GetMany,
        Kind::Elements,
        Kind::LookOne,
        Kind::LookWhole,
        Kind::Group,
        Kind::Watch,
    ];
    /// Their ordinary shares.
    pub const WEIGHTS: [u64; 19] = [300, 8, 120, 60, 60, 60, 80, 30, 3, 3, 10, 120, 40, 30, 240, 60, 20, 40, 15];

    /// Is it about elements of collections?
    pub fn is_of_elements(self) -> bool {
        matches!(self, Kind::Elements | Kind::LookOne | Kind::LookWhole)
    }
}

/// The bytes of a key.
pub fn name(key: Number) -> Vec<u8> {
    let mut name = format!("k{key:02}").into_bytes();
    if key % 5 == 4 {
        name.resize(20 + usize::from(key) * 9, b'.');
    }
    name
}

/// The number of a key's name.
pub fn number(name: &[u8]) -> Option<Number> {
    std::str::from_utf8(name.get(1..3)?).ok()?.parse().ok()
}

/// A value that says who wrote it.
pub fn value(key: Number, writer: u64, bytes: usize) -> Rc<[u8]> {
    let mut value = format!("{key}:{writer}:{bytes};").into_bytes();
    let mut filler = Random::new(writer);
    while value.len() < bytes {
        value.extend_from_slice(&filler.word().to_le_bytes());
    }
    value.into()
}
