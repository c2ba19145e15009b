//! Keys on their way from one place to another: the seam between where they come from and where they go.
//!
//! ```text
//!  from_store   a store (the engine)      \                          /  into_store   a store
//!  rdb          an RDB file                >-- Head + elements -->  {   rdb          an RDB file
//!  lines of JSON, a running server        /                          \  lines of JSON              (those are the tool's)
//! ```
//! The offline tool (dump, load, repair, compact) and the server (SAVE, the start from an RDB file) stand on it. Blocking: for a
//! thread of its own, while the store is driven elsewhere.
//!
//! Promises: streams; memory is bounded by the largest string and a batch of elements, not by a collection or the number of keys.
//! Never: a key with a part of its elements left out without an error; a file opened, a command known.
#![forbid(unsafe_code)]

pub mod from_store;
pub mod into_store;
pub mod rdb;

use anyhow::Result;
use thermocline::Kind;
use thermocline_rdb::Element;

/// Which keys are meant.
pub trait Choice {
    /// Is this database meant?
    fn has_database(&self, database: u32) -> bool;

    /// Is a key of this database, name and kind meant?
    fn passes(&self, database: u32, key: &[u8], kind: Kind) -> bool;
}

/// All keys.
pub struct Everything;

impl Choice for Everything {
    fn has_database(&self, _database: u32) -> bool {
        true
    }

    fn passes(&self, _database: u32, _key: &[u8], _kind: Kind) -> bool {
        true
    }
}

/// A key, without its value.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its database.
    pub database: u32,
    /// Its name.
    pub key: Vec<u8>,
    /// String, list, hash, set or sorted set.
    pub kind: Kind,
    /// Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

/// The elements of one value.
pub trait Elements {
    /// Shows each element once, in order; a string is one element.
    ///
    /// # Errors
    /// The value cannot be read, or what `see` says.
    fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()>;

    /// Shows a string that is too large to be in memory whole, piece by piece, with its length each time. False, and nothing shown: it
    /// is none, or comes whole.
    ///
    /// # Errors
    /// The value cannot be read, or what `see` says.
    fn pieces(&mut self, _see: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<bool> {
        Ok(false)
    }

    /// How many elements there are, and the earliest time at which one of them expires. `None`: nobody knows before the end.
    ///
    /// # Errors
    /// The value cannot be read.
    fn survey(&mut self) -> Result<Option<(u64, Option<u64>)>> {
        Ok(None)
    }
}

/// Where keys go.
pub trait Sink {
    /// Takes a key with its value. One that turns out to have no elements is left out.
    ///
    /// # Errors
    /// The value could not be read, or not be written.
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()>;

    /// Passes on what is still held back.
    ///
    /// # Errors
    /// It could not be written.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What was done, for the report.
#[derive(Clone, Copy, Default, Debug, serde::Serialize)]
pub struct Counts {
    /// Keys.
    pub keys: u64,
    /// Of them, with a time to live.
    pub expiring: u64,
    /// Elements of collections, and strings.
    pub elements: u64,
    /// Bytes of keys and elements.
    pub bytes: u64,
}

impl Counts {
    /// Counts a key.
    pub fn key(&mut self, head: &Head) {
        self.keys += 1;
        self.expiring += u64::from(head.expires_at_ms.is_some());
        self.bytes += head.key.len() as u64;
    }

    /// Counts an element.
    pub fn element(&mut self, element: &Element<'_>) {
        self.elements += 1;
        self.bytes += thermocline_exchange::element_bytes(element) as u64;
    }
}

/// A value that is in memory whole.
#[derive(Clone, Debug)]
pub enum Owned {
    /// A string, an item of a list or a member of a set.
    Bytes(Vec<u8>),
    /// A field of a hash: name, value, time.
    Field(Vec<u8>, Vec<u8>, Option<u64>),
    /// A member of a sorted set.
    Scored(Vec<u8>, f64),
}

impl Owned {
    /// A copy of an element. Streams and values of modules have none.
    pub fn of(element: &Element<'_>) -> Option<Owned> {
        Some(match *element {
            Element::String(bytes) | Element::Item(bytes) => Owned::Bytes(bytes.to_vec()),
            Element::Field { field, value, expires_at_ms } => {
                Owned::Field(field.to_vec(), value.to_vec(), expires_at_ms)
            }
            Element::Scored { member, score } => Owned::Scored(member.to_vec(), score),
            Element::Raw(_) => return None,
        })
    }

    /// The element.
    pub fn element(&self) -> Element<'_> {
        match self {
            Owned::Bytes(bytes) => Element::Item(bytes),
            Owned::Field(field, value, expires_at_ms) => Element::Field { field, value, expires_at_ms: *expires_at_ms },
            Owned::Scored(member, score) => Element::Scored { member, score: *score },
        }
    }
}
