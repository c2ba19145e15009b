//! A set, written: an intset, a listpack (since version 11), or a table.
//!
//! Promises: Redis's thresholds. Never: holds more than [`HELD_BYTES_MAX`] and one member.

use super::Promise;
use super::held::Held;
use crate::error::Error;
use crate::number::parse_integer;
use crate::options::HELD_BYTES_MAX;
use crate::packed::intset;
use crate::packed::listpack::{self, Builder};
use crate::value_type::ValueType;
use crate::writer::{Head, Sink};
use std::io::Write;

/// Writes a set's members, in any order.
#[must_use = "a value that is not ended spoils the file"]
pub struct SetWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    head: Option<Head<'w>>,
    promise: Promise,
    /// Whether these forms are still possible.
    intset: bool,
    listpack: bool,
    held: Held,
    in_table: bool,
}

impl<'w, W: Write> SetWriter<'w, W> {
    pub(super) fn new(sink: &'w mut Sink<W>, head: Option<Head<'w>>, members: u64) -> SetWriter<'w, W> {
        let thresholds = &sink.settings.thresholds;
        let intset = members <= thresholds.set_intset_entries_max;
        let listpack = members <= thresholds.set_listpack_entries_max
            && sink.version.number() >= ValueType::SetListpack.version_min();
        SetWriter {
            sink,
            head,
            promise: Promise::new(members),
            intset,
            listpack,
            held: Held::default(),
            in_table: false,
        }
    }

    /// The next member.
    pub fn member(&mut self, member: &[u8]) -> Result<(), Error> {
        self.promise.count(self.sink)?;
        if self.in_table {
            return self.sink.string(member);
        }
        self.held.push(member);
        let bytes_max = self.sink.settings.thresholds.set_listpack_bytes_max;
        self.intset &= parse_integer(member).is_some();
        self.listpack &= member.len() <= bytes_max && listpack::can_hold(member.len());
        if (self.intset || self.listpack) && self.held.bytes() <= HELD_BYTES_MAX {
            return Ok(());
        }
        self.in_table = true;
        self.sink.begin_value(self.head.as_ref(), ValueType::Set)?;
        self.sink.length(self.promise.claimed)?;
        std::mem::take(&mut self.held).iter().try_for_each(|member| self.sink.string(member))
    }

    /// The set is complete.
    pub fn end(self) -> Result<(), Error> {
        self.promise.check(self.sink)?;
        if self.in_table {
            self.sink.finish_value();
            return Ok(());
        }
        let (value_type, packed) = if self.intset {
            let mut integers: Vec<i64> = self.held.iter().filter_map(parse_integer).collect();
            (ValueType::SetIntset, intset::build(&mut integers))
        } else {
            let mut builder = Builder::new();
            self.held.iter().for_each(|member| builder.push(member));
            (ValueType::SetListpack, builder.end())
        };
        self.sink.begin_value(self.head.as_ref(), value_type)?;
        self.sink.string(&packed)?;
        self.sink.finish_value();
        Ok(())
    }
}
