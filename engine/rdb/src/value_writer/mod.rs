//! One value, written: whole, or begun with a promised count and fed element by element.
//!
//! A collection that may be small enough to be packed is held back until that is decided; then its type goes out, in front
//! of the key, and the rest follows. What is held is at most 1 MiB and what the thresholds allow.
//!
//! Promises: what a real server reads back is what was given; packed values follow Redis's thresholds and its order
//! (sorted sets by score and member, fields by their time); the promised count is kept or `end` says that it was not.
//! Never: looks for elements given twice; the caller's collection cannot hold one twice.

mod hash;
mod held;
mod list;
mod set;
mod sorted_set;

pub use hash::HashWriter;
pub use list::ListWriter;
pub use set::SetWriter;
pub use sorted_set::SortedSetWriter;

use crate::error::{Error, Reason};
use crate::value::Value;
use crate::value_type::{Kind, ValueType};
use crate::writer::{Head, Sink};
use std::io::Write;

/// Where one value goes.
pub struct ValueWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    head: Option<Head<'w>>,
}

/// A string that comes in pieces.
pub struct LongStringWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    claimed: u64,
    found: u64,
}

impl<W: Write> LongStringWriter<'_, W> {
    /// The next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.found += piece.len() as u64;
        if self.found > self.claimed {
            return Err(self.sink.error(Reason::Count { claimed: self.claimed, found: self.found }));
        }
        self.sink.bytes(piece)
    }

    /// All bytes have come.
    pub fn end(self) -> Result<(), Error> {
        if self.found < self.claimed {
            return Err(self.sink.error(Reason::Count { claimed: self.claimed, found: self.found }));
        }
        self.sink.finish_value();
        Ok(())
    }
}

impl<'w, W: Write> ValueWriter<'w, W> {
    pub(crate) fn new(sink: &'w mut Sink<W>, head: Option<Head<'w>>) -> ValueWriter<'w, W> {
        ValueWriter { sink, head }
    }

    /// A string.
    pub fn string(self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.begin_value(self.head.as_ref(), ValueType::String)?;
        self.sink.string(bytes)?;
        self.sink.finish_value();
        Ok(())
    }

    /// A string of so many bytes, which come in pieces. It is not packed.
    pub fn long_string(self, bytes: u64) -> Result<LongStringWriter<'w, W>, Error> {
        self.sink.begin_value(self.head.as_ref(), ValueType::String)?;
        self.sink.length(bytes)?;
        Ok(LongStringWriter { sink: self.sink, claimed: bytes, found: 0 })
    }

    /// A list of so many elements, given from head to tail.
    pub fn list(self, elements: u64) -> Result<ListWriter<'w, W>, Error> {
        self.refuse_empty(elements)?;
        Ok(ListWriter::new(self.sink, self.head, elements))
    }

    /// A set of so many members.
    pub fn set(self, members: u64) -> Result<SetWriter<'w, W>, Error> {
        self.refuse_empty(members)?;
        Ok(SetWriter::new(self.sink, self.head, members))
    }

    /// A hash of so many fields, none of which expires.
    pub fn hash(self, fields: u64) -> Result<HashWriter<'w, W>, Error> {
        self.refuse_empty(fields)?;
        Ok(HashWriter::new(self.sink, self.head, fields, None))
    }

    /// A hash of so many fields of which some expire, none before `earliest_ms` (any time that is not later than the
    /// first will do; nearer is shorter). Version 12 and later.
    pub fn hash_that_expires(self, fields: u64, earliest_ms: u64) -> Result<HashWriter<'w, W>, Error> {
        self.refuse_empty(fields)?;
        self.refuse_before(ValueType::HashExpiry.version_min(), "a hash field that expires")?;
        Ok(HashWriter::new(self.sink, self.head, fields, Some(earliest_ms)))
    }

    /// A sorted set of so many members, in any order.
    pub fn sorted_set(self, members: u64) -> Result<SortedSetWriter<'w, W>, Error> {
        self.refuse_empty(members)?;
        Ok(SortedSetWriter::new(self.sink, self.head, members))
    }

    /// A value as it stood in another file: bytes that a reader has checked.
    pub fn raw(self, value_type: ValueType) -> Result<RawWriter<'w, W>, Error> {
        let what = match value_type {
            ValueType::HashExpiryDraft | ValueType::HashListpackExpiryDraft => {
                return Err(self.sink.error(Reason::NeedsVersion {
                    what: "a hash as it stood in a draft of the format",
                    version: self.sink.version.number(),
                }));
            }
            known => match known.kind() {
                Kind::Stream => "a stream as it stood in a newer file",
                _ => "a value as it stood in a newer file",
            },
        };
        self.refuse_before(value_type.version_min(), what)?;
        self.sink.begin_value(self.head.as_ref(), value_type)?;
        Ok(RawWriter { sink: self.sink })
    }

    /// A whole value.
    pub fn value(self, value: &Value) -> Result<(), Error> {
        match value {
            Value::String(bytes) => self.string(bytes),
            Value::List(elements) => {
                let mut list = self.list(elements.len() as u64)?;
                elements.iter().try_for_each(|element| list.element(element))?;
                list.end()
            }
            Value::Set(members) => {
                let mut set = self.set(members.len() as u64)?;
                members.iter().try_for_each(|member| set.member(member))?;
                set.end()
            }
            Value::Hash(fields) => {
                let mut hash = match fields.iter().filter_map(|field| field.expires_at_ms).min() {
                    None => self.hash(fields.len() as u64)?,
                    Some(earliest_ms) => self.hash_that_expires(fields.len() as u64, earliest_ms)?,
                };
                for field in fields {
                    hash.field(&field.field, &field.value, field.expires_at_ms)?;
                }
                hash.end()
            }
            Value::SortedSet(members) => {
                let mut sorted_set = self.sorted_set(members.len() as u64)?;
                members.iter().try_for_each(|one| sorted_set.member(&one.member, one.score))?;
                sorted_set.end()
            }
            Value::Stream(raw) | Value::Module(raw) => {
                let mut writer = self.raw(raw.value_type())?;
                writer.bytes(raw.bytes())?;
                writer.end()
            }
        }
    }

    fn refuse_empty(&self, elements: u64) -> Result<(), Error> {
        if elements == 0 { Err(self.sink.error(Reason::Empty)) } else { Ok(()) }
    }

    fn refuse_before(&self, version_min: u8, what: &'static str) -> Result<(), Error> {
        let version = self.sink.version.number();
        if version < version_min { Err(self.sink.error(Reason::NeedsVersion { what, version })) } else { Ok(()) }
    }
}

/// Writes bytes that a reader has checked.
#[must_use = "a value that is not ended spoils the file"]
pub struct RawWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
}

impl<W: Write> RawWriter<'_, W> {
    /// The next bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.bytes(bytes)
    }

    /// The value is complete.
    pub fn end(self) -> Result<(), Error> {
        self.sink.finish_value();
        Ok(())
    }
}

/// The count that was promised and what came of it.
struct Promise {
    claimed: u64,
    found: u64,
}

impl Promise {
    fn new(claimed: u64) -> Promise {
        Promise { claimed, found: 0 }
    }

    fn count<W: Write>(&mut self, sink: &Sink<W>) -> Result<(), Error> {
        self.found += 1;
        if self.found > self.claimed { self.broken(sink) } else { Ok(()) }
    }

    fn check<W: Write>(&self, sink: &Sink<W>) -> Result<(), Error> {
        if self.found == self.claimed { Ok(()) } else { self.broken(sink) }
    }

    fn broken<W: Write>(&self, sink: &Sink<W>) -> Result<(), Error> {
        Err(sink.error(Reason::Count { claimed: self.claimed, found: self.found }))
    }
}
