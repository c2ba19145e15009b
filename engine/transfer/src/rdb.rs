//! RDB files, both directions.
//!
//! Promises: a file written here loads in the Redis of its version; a file is read to its checksum. Never: an expired key is
//! brought, or a stream, a module's value or a function passed over without being counted.

use crate::{Choice, Elements, Head, Sink};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, Read, Write};
use thermocline_exchange::{CollectionWriter, kind_of};
use thermocline_rdb::{About, Duplicates, Element, Item, Options, Reader, Settings, ValueReader, Version, Writer};

/// Writes a file.
pub struct IntoRdb<W: Write> {
    writer: Writer<W>,
    version: Version,
    database: Option<u32>,
    keys: Vec<(u64, u64)>,
}

/// A value that the chosen version cannot say.
#[derive(Debug, thiserror::Error)]
#[error("key '{key}' is a hash with fields that expire: RDB version {version} has no such thing, 12 (Redis 7.4) has")]
pub struct NeedsVersion {
    key: String,
    version: u8,
}

impl<W: Write> IntoRdb<W> {
    /// Begins a file. `keys`: keys of each database and how many of them expire, as a hint to the reader.
    ///
    /// # Errors
    /// The output fails.
    pub fn begin(output: W, version: Version, now_ms: u64, keys: Vec<(u64, u64)>) -> Result<IntoRdb<W>> {
        let mut writer = Writer::new(output, version, Settings::default())?;
        let server = match version {
            Version::REDIS_7_0 => "7.0.0",
            Version::REDIS_7_2 => "7.2.0",
            _ => "7.4.0",
        };
        writer.aux(b"redis-ver", server.as_bytes())?;
        writer.aux(b"redis-bits", b"64")?;
        writer.aux(b"ctime", (now_ms / 1000).to_string().as_bytes())?;
        Ok(IntoRdb { writer, version, database: None, keys })
    }

    /// The end mark and the checksum.
    ///
    /// # Errors
    /// The output fails.
    pub fn end(self) -> Result<W> {
        Ok(self.writer.end()?)
    }
}

impl<W: Write> Sink for IntoRdb<W> {
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
        let (count, earliest_ms) = match head.kind {
            thermocline::Kind::String => (1, None),
            _ => elements.survey()?.context("the number of elements is not known")?,
        };
        if count == 0 {
            return Ok(());
        }
        if earliest_ms.is_some() && self.version < Version::REDIS_7_4 {
            let (key, version) = (head.key.escape_ascii().to_string(), self.version.number());
            return Err(NeedsVersion { key, version }.into());
        }
        if self.database != Some(head.database) {
            self.database = Some(head.database);
            self.writer.database(head.database.into())?;
            if let Some(&(keys, expiring)) = self.keys.get(head.database as usize) {
                self.writer.resize(keys, expiring)?;
            }
        }
        let about = About { expires_at_ms: head.expires_at_ms, ..About::default() };
        let mut value = Some(self.writer.key(&head.key, about)?);
        if head.kind == thermocline::Kind::String {
            let mut long = None;
            let is_long = elements.pieces(&mut |length, piece| {
                if let Some(value) = value.take() {
                    long = Some(value.long_string(length)?);
                }
                Ok(long.as_mut().map_or(Ok(()), |long| long.write(piece))?)
            })?;
            if let (true, Some(long)) = (is_long, long) {
                return Ok(long.end()?);
            }
            return elements.each(&mut |element| {
                let (Element::String(bytes), Some(value)) = (element, value.take()) else {
                    bail!("a string is one element");
                };
                Ok(value.string(bytes)?)
            });
        }
        let Some(value) = value else { return Ok(()) };
        let mut writer = CollectionWriter::begin(value, head.kind, count, earliest_ms)?;
        elements.each(&mut |element| Ok(writer.add(element)?))?;
        Ok(writer.end()?)
    }
}

/// What was passed over.
#[derive(Clone, Copy, Default, Debug, serde::Serialize)]
pub struct Passed {
    /// Keys that have expired.
    pub expired: u64,
    /// Keys that the filter does not mean.
    pub filtered: u64,
    /// Streams and values of modules.
    pub unsupported: u64,
    /// Libraries of functions, and what modules keep beside the keys.
    pub functions: u64,
}

/// Brings the keys of a file to `sink`. `skip`: streams and values of modules are counted instead of refused. `step` is told the
/// bytes read so far.
///
/// # Errors
/// The file is damaged or holds what cannot be carried, or the sink takes a key not.
pub fn from_rdb(
    input: impl Read,
    (choice, skip, now_ms): (&dyn Choice, bool, u64),
    sink: &mut dyn Sink,
    step: &mut dyn FnMut(u64),
) -> Result<Passed> {
    let options = Options { duplicates: Duplicates::LeaveToReceiver, ..Options::default() };
    let mut reader = Reader::new(input, options)?;
    let (mut passed, mut database) = (Passed::default(), 0);
    loop {
        step(reader.offset());
        let entry = match reader.next()? {
            None => return Ok(passed),
            Some(Item::Database(number)) => {
                database = u32::try_from(number).with_context(|| format!("database {number}"))?;
                continue;
            }
            Some(Item::Function(_) | Item::ModuleAux(_)) => {
                passed.functions += 1;
                continue;
            }
            Some(Item::Key(entry)) => entry,
            Some(_) => continue,
        };
        let Some(kind) = kind_of(entry.value.kind()) else {
            if !skip {
                bail!(
                    "key '{}' of db{database} is a stream or a module's value, which is not carried yet; `thermocline load --skip-unsupported` leaves it out",
                    entry.key.escape_ascii()
                );
            }
            passed.unsupported += 1;
            continue;
        };
        let head = Head { database, key: entry.key.to_vec(), kind, expires_at_ms: entry.about.expires_at_ms };
        if head.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            passed.expired += 1;
        } else if !choice.passes(database, &head.key, kind) {
            passed.filtered += 1;
        } else {
            let mut value = FromReader { value: entry.value, now_ms };
            sink.take(&head, &mut value)
                .with_context(|| format!("key '{}' of db{database}", head.key.escape_ascii()))?;
        }
    }
}

/// A value of a file or a payload.
pub struct FromReader<'r, B> {
    /// Where it is read from.
    pub value: ValueReader<'r, B>,
    /// Fields that have expired by then are not shown.
    pub now_ms: u64,
}

impl<B: BufRead> Elements for FromReader<'_, B> {
    fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        while let Some(element) = self.value.next_element()? {
            let is_over = matches!(element, Element::Field { expires_at_ms: Some(at_ms), .. } if at_ms <= self.now_ms);
            if !is_over {
                see(element)?;
            }
        }
        Ok(())
    }
}
