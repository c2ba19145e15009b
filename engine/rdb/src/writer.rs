//! A file, written item by item.
//!
//! Promises: memory is one buffer and what [`crate::value_writer`] holds back; the file ends with its checksum; a value
//! that the chosen version cannot say is refused before a byte of it is written.
//! Never: seeks, and so never goes back to correct a count. What was promised and not kept is an error and the file spoilt.

use crate::checksum;
use crate::error::{Error, Reason};
use crate::lzf;
use crate::number::parse_integer;
use crate::options::{COMPRESSION_SAVES_BYTES, Settings, UNCOMPRESSED_BYTES_MAX};
use crate::reader::{About, ValueReader};
use crate::source::{
    LENGTH_14_BITS, LENGTH_32_BITS, LENGTH_64_BITS, STRING_8_BITS, STRING_16_BITS, STRING_32_BITS, STRING_LZF,
};
use crate::value_type::{ValueType, Version, opcode};
use crate::value_writer::ValueWriter;
use std::io::{BufRead, Write};

const BUFFER_BYTES: usize = 64 << 10;
/// Texts longer than this are not looked at for an integer of 32 bits ("-2147483648").
const SHORT_INTEGER_BYTES_MAX: usize = 11;

/// Writes a file.
pub struct Writer<W: Write> {
    sink: Sink<W>,
    key: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the head of a file. The output needs no buffer of its own.
    pub fn new(output: W, version: Version, settings: Settings) -> Result<Writer<W>, Error> {
        let mut sink = Sink::new(output, version, settings);
        sink.bytes(format!("REDIS{:04}", version.number()).as_bytes())?;
        Ok(Writer { sink, key: Vec::new() })
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.sink.offset()
    }

    /// A remark.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.opcode(opcode::AUX)?;
        self.sink.string(name)?;
        self.sink.string(value)
    }

    /// The keys that follow belong to this database.
    pub fn database(&mut self, number: u64) -> Result<(), Error> {
        self.opcode(opcode::DATABASE)?;
        self.sink.length(number)
    }

    /// About how many keys follow in this database; right behind [`Writer::database`].
    pub fn resize(&mut self, keys: u64, expiring: u64) -> Result<(), Error> {
        self.opcode(opcode::RESIZE)?;
        self.sink.length(keys)?;
        self.sink.length(expiring)
    }

    /// The source of a library of functions.
    pub fn function(&mut self, source: &[u8]) -> Result<(), Error> {
        self.opcode(opcode::FUNCTION)?;
        self.sink.string(source)
    }

    /// What a module saved beside the keys, as a reader gave it.
    pub fn module_aux(&mut self, raw: &[u8]) -> Result<(), Error> {
        self.opcode(opcode::MODULE_AUX)?;
        self.sink.bytes(raw)
    }

    /// A key; its value is written through the answer. Nothing is written if that is dropped unused.
    pub fn key(&mut self, key: &[u8], about: About) -> Result<ValueWriter<'_, W>, Error> {
        self.sink.refuse_unfinished()?;
        self.key.clear();
        self.key.extend_from_slice(key);
        Ok(ValueWriter::new(&mut self.sink, Some(Head { key: &self.key, about })))
    }

    /// A key with the value that a reader stands before: as it stands there if this version may hold it so, else packed
    /// anew in memory.
    pub fn copy<B: BufRead>(&mut self, key: &[u8], about: About, mut from: ValueReader<'_, B>) -> Result<(), Error> {
        let version = self.sink.version;
        let to = self.key(key, about)?;
        let drafts = [ValueType::HashExpiryDraft, ValueType::HashListpackExpiryDraft];
        if drafts.contains(&from.value_type()) || from.value_type().version_min() > version.number() {
            return to.value(&from.into_value()?);
        }
        let mut raw = to.raw(from.value_type())?;
        while let Some(bytes) = from.next_raw()? {
            raw.bytes(bytes)?;
        }
        raw.end()
    }

    /// The end mark and the checksum; flushes the output and gives it back.
    pub fn end(mut self) -> Result<W, Error> {
        self.opcode(opcode::END)?;
        self.sink.end_with_checksum()
    }

    fn opcode(&mut self, opcode: u8) -> Result<(), Error> {
        self.sink.refuse_unfinished()?;
        self.sink.byte(opcode)
    }
}

/// What stands in front of a value in a file and not in a payload.
pub(crate) struct Head<'w> {
    pub(crate) key: &'w [u8],
    pub(crate) about: About,
}

/// Where bytes go: buffered, summed, in lengths and strings.
pub(crate) struct Sink<W: Write> {
    output: W,
    buffer: Vec<u8>,
    flushed: u64,
    digest: checksum::Digest,
    encoder: lzf::Encoder,
    packed: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) settings: Settings,
    /// A value that was begun and not ended.
    unfinished: Option<ValueType>,
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(output: W, version: Version, settings: Settings) -> Sink<W> {
        Sink {
            output,
            buffer: Vec::new(),
            flushed: 0,
            digest: checksum::Digest::new(),
            encoder: lzf::Encoder::new(),
            packed: Vec::new(),
            version,
            settings,
            unfinished: None,
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    pub(crate) fn error(&self, reason: Reason) -> Error {
        Error::new(self.offset(), reason)
    }

    pub(crate) fn refuse_unfinished(&self) -> Result<(), Error> {
        match self.unfinished {
            Some(value_type) => Err(self.error(Reason::Unfinished(value_type))),
            None => Ok(()),
        }
    }

    /// What stands in front of a value, and its type. The value counts as unfinished until [`Sink::finish_value`].
    pub(crate) fn begin_value(&mut self, head: Option<&Head<'_>>, value_type: ValueType) -> Result<(), Error> {
        self.refuse_unfinished()?;
        self.unfinished = Some(value_type);
        if let Some(Head { about, .. }) = head {
            if let Some(time) = about.expires_at_ms {
                self.byte(opcode::EXPIRES_MS)?;
                self.bytes(&time.min(i64::MAX as u64).to_le_bytes())?;
            }
            if let Some(seconds) = about.idle_seconds {
                self.byte(opcode::IDLE)?;
                self.length(seconds)?;
            }
            if let Some(frequency) = about.frequency {
                self.bytes(&[opcode::FREQUENCY, frequency])?;
            }
        }
        self.byte(value_type as u8)?;
        match head {
            Some(head) => self.string(head.key),
            None => Ok(()),
        }
    }

    pub(crate) fn finish_value(&mut self) {
        self.unfinished = None;
    }

    pub(crate) fn byte(&mut self, byte: u8) -> Result<(), Error> {
        self.bytes(&[byte])
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
            if bytes.len() > BUFFER_BYTES {
                return self.put(bytes);
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        let put = self.put(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        put
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.digest.update(bytes);
        self.output.write_all(bytes).map_err(|error| Error::new(self.flushed, Reason::Io(error)))?;
        self.flushed += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn length(&mut self, length: u64) -> Result<(), Error> {
        if length < 1 << 6 {
            self.byte(length as u8)
        } else if length < 1 << 14 {
            self.bytes(&[LENGTH_14_BITS | (length >> 8) as u8, length as u8])
        } else if let Ok(short) = u32::try_from(length) {
            self.byte(LENGTH_32_BITS)?;
            self.bytes(&short.to_be_bytes())
        } else {
            self.byte(LENGTH_64_BITS)?;
            self.bytes(&length.to_be_bytes())
        }
    }

    /// A string in the shortest of its encodings, as Redis chooses.
    pub(crate) fn string(&mut self, text: &[u8]) -> Result<(), Error> {
        if text.len() <= SHORT_INTEGER_BYTES_MAX
            && let Some(integer) = parse_integer(text)
        {
            if let Ok(byte) = i8::try_from(integer) {
                return self.bytes(&[STRING_8_BITS, byte as u8]);
            }
            if let Ok(short) = i16::try_from(integer) {
                self.byte(STRING_16_BITS)?;
                return self.bytes(&short.to_le_bytes());
            }
            if let Ok(word) = i32::try_from(integer) {
                self.byte(STRING_32_BITS)?;
                return self.bytes(&word.to_le_bytes());
            }
        }
        if self.settings.compress && text.len() > UNCOMPRESSED_BYTES_MAX {
            let mut packed = std::mem::take(&mut self.packed);
            let pays = self.encoder.encode(text, text.len() - COMPRESSION_SAVES_BYTES, &mut packed);
            let written = if pays { Some(self.compressed(&packed, text.len())) } else { None };
            if packed.capacity() <= BUFFER_BYTES * 16 {
                self.packed = packed;
            }
            if let Some(written) = written {
                return written;
            }
        }
        self.length(text.len() as u64)?;
        self.bytes(text)
    }

    fn compressed(&mut self, packed: &[u8], bytes: usize) -> Result<(), Error> {
        self.byte(STRING_LZF)?;
        self.length(packed.len() as u64)?;
        self.length(bytes as u64)?;
        self.bytes(packed)
    }

    pub(crate) fn end_with_checksum(mut self) -> Result<W, Error> {
        self.flush()?;
        let sum = self.digest.sum();
        self.put(&sum.to_le_bytes())?;
        self.output.flush().map_err(|error| Error::new(self.flushed, Reason::Io(error)))?;
        Ok(self.output)
    }
}
