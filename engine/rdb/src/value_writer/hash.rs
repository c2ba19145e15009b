//! A hash, written: a listpack or a table, each with or without fields that expire.
//!
//! Promises: Redis's thresholds; in a listpack of fields that expire the first to go stands first and those that stay
//! stand last, as Redis 7.4 wants. Never: holds more than [`HELD_BYTES_MAX`] and one field.

use super::Promise;
use super::held::Held;
use crate::error::{Error, Reason};
use crate::options::{FIELD_TIME_MS_MAX, HELD_BYTES_MAX};
use crate::packed::listpack::{self, Builder};
use crate::value_type::ValueType;
use crate::writer::{Head, Sink};
use std::io::Write;

/// Writes a hash's fields, in any order.
#[must_use = "a value that is not ended spoils the file"]
pub struct HashWriter<'w, W: Write> {
    sink: &'w mut Sink<W>,
    head: Option<Head<'w>>,
    promise: Promise,
    /// No field expires before; `None` if none expires at all.
    earliest_ms: Option<u64>,
    /// Fields and values by turns, and the fields' times, while a listpack is possible.
    held: Held,
    times: Vec<Option<u64>>,
    in_table: bool,
    listpack: bool,
}

impl<'w, W: Write> HashWriter<'w, W> {
    pub(super) fn new(
        sink: &'w mut Sink<W>,
        head: Option<Head<'w>>,
        fields: u64,
        earliest_ms: Option<u64>,
    ) -> HashWriter<'w, W> {
        let listpack = fields <= sink.settings.thresholds.hash_listpack_entries_max;
        let promise = Promise::new(fields);
        HashWriter {
            sink,
            head,
            promise,
            earliest_ms,
            held: Held::default(),
            times: Vec::new(),
            in_table: false,
            listpack,
        }
    }

    /// The next field. A time needs [`super::ValueWriter::hash_that_expires`].
    pub fn field(&mut self, field: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<(), Error> {
        self.promise.count(self.sink)?;
        if let Some(time) = expires_at_ms {
            match self.earliest_ms {
                None => {
                    let version = self.sink.version.number();
                    let what = "a field that expires in a hash begun as one without";
                    return Err(self.sink.error(Reason::NeedsVersion { what, version }));
                }
                Some(earliest_ms) if time < earliest_ms => {
                    return Err(self.sink.error(Reason::ExpiresTooEarly { expires_at_ms: time, earliest_ms }));
                }
                Some(_) if time > FIELD_TIME_MS_MAX => return Err(self.sink.error(Reason::FieldTime(time))),
                Some(_) => {}
            }
        }
        if self.in_table {
            return self.row(field, value, expires_at_ms);
        }
        self.held.push(field);
        self.held.push(value);
        self.times.push(expires_at_ms);
        let bytes_max = self.sink.settings.thresholds.hash_listpack_bytes_max;
        let fits = |text: &[u8]| text.len() <= bytes_max && listpack::can_hold(text.len());
        self.listpack &= fits(field) && fits(value) && self.held.bytes() <= HELD_BYTES_MAX;
        if self.listpack {
            return Ok(());
        }
        self.in_table = true;
        let value_type = if self.earliest_ms.is_some() { ValueType::HashExpiry } else { ValueType::Hash };
        self.sink.begin_value(self.head.as_ref(), value_type)?;
        if let Some(earliest_ms) = self.earliest_ms {
            self.sink.bytes(&earliest_ms.to_le_bytes())?;
        }
        self.sink.length(self.promise.claimed)?;
        let held = std::mem::take(&mut self.held);
        for (index, time) in std::mem::take(&mut self.times).into_iter().enumerate() {
            self.row(held.get(2 * index), held.get(2 * index + 1), time)?;
        }
        Ok(())
    }

    fn row(&mut self, field: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> Result<(), Error> {
        if let Some(earliest_ms) = self.earliest_ms {
            self.sink.length(expires_at_ms.map_or(0, |time| time - earliest_ms + 1))?;
        }
        self.sink.string(field)?;
        self.sink.string(value)
    }

    /// The hash is complete.
    pub fn end(self) -> Result<(), Error> {
        self.promise.check(self.sink)?;
        if self.in_table {
            self.sink.finish_value();
            return Ok(());
        }
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        // Stable, so that a hash without times keeps its order.
        order.sort_by_key(|&index| self.times[index].unwrap_or(u64::MAX));
        let mut builder = Builder::new();
        for index in order {
            builder.push(self.held.get(2 * index));
            builder.push(self.held.get(2 * index + 1));
            if self.earliest_ms.is_some() {
                builder.push_integer(self.times[index].unwrap_or(0) as i64);
            }
        }
        match self.earliest_ms {
            None => self.sink.begin_value(self.head.as_ref(), ValueType::HashListpack)?,
            Some(earliest_ms) => {
                self.sink.begin_value(self.head.as_ref(), ValueType::HashListpackExpiry)?;
                self.sink.bytes(&earliest_ms.to_le_bytes())?;
            }
        }
        self.sink.string(&builder.end())?;
        self.sink.finish_value();
        Ok(())
    }
}
