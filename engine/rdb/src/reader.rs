//! A file, item by item.
//!
//! Promises: every byte up to the checksum is accounted for; a value that the caller did not read to its end is read, and
//! checked, on the way to the next item. Memory: see [`crate::Options`]. After an error the reader stops, except after
//! [`Reason::Empty`]: it stands behind that value then, and the next call goes on.
//! Never: decides. Expired keys, empty values and repeated keys are the caller's to judge.

use crate::body::Body;
use crate::error::{Error, Reason};
use crate::module::ModuleWalk;
use crate::options::Options;
use crate::source::Source;
use crate::value::{Element, Value};
use crate::value_type::{Kind, VERSION_VALKEY, ValueType, opcode};
use std::io::{BufRead, BufReader, Read};

const BUFFER_BYTES: usize = 64 << 10;
/// Files before this version end without a checksum.
const VERSION_WITH_CHECKSUM: u16 = 5;

/// Reads a file.
pub struct Reader<B> {
    source: Source<B>,
    body: Body,
    options: Options,
    version: u16,
    stand: Stand,
    key: Vec<u8>,
    other: Vec<u8>,
}

/// How the reader stands between two calls.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Stand {
    Between,
    InValue,
    Ended(Checksum),
    Stopped,
}

/// What was found behind the end mark.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Checksum {
    /// The right sum.
    Verified,
    /// None: an old version, or a server that was told not to sum (`rdbchecksum no`).
    Absent,
}

/// What stands in a file between its head and its end.
pub enum Item<'r, B> {
    /// A remark: `redis-ver`, `ctime`, `used-mem`, `aof-base` ... Unknown ones are to be ignored.
    Aux {
        /// Its name.
        name: &'r [u8],
        /// Its text.
        value: &'r [u8],
    },
    /// The keys that follow belong to this database.
    Database(u64),
    /// How many keys follow in this database, as a hint.
    Resize {
        /// All keys.
        keys: u64,
        /// Those that expire.
        expiring: u64,
    },
    /// How many keys follow in this slot of a cluster, as a hint.
    Slot {
        /// The slot.
        slot: u64,
        /// All keys.
        keys: u64,
        /// Those that expire.
        expiring: u64,
    },
    /// The source of a library of functions.
    Function(&'r [u8]),
    /// What a module saved beside the keys, as it stands in the file.
    ModuleAux(&'r [u8]),
    /// A key and its value.
    Key(Entry<'r, B>),
}

/// A key, what is known about it, and its value, yet to be read.
pub struct Entry<'r, B> {
    /// The key.
    pub key: &'r [u8],
    /// What is known about it.
    pub about: About,
    /// The value.
    pub value: ValueReader<'r, B>,
}

/// What is known about a key beside its value.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct About {
    /// When it goes, in milliseconds since 1970 (a time before that is 0).
    pub expires_at_ms: Option<u64>,
    /// Seconds since it was last used.
    pub idle_seconds: Option<u64>,
    /// How often it is used: the logarithmic counter of LFU.
    pub frequency: Option<u8>,
}

/// A value, element by element.
pub struct ValueReader<'r, B> {
    source: &'r mut Source<B>,
    body: &'r mut Body,
}

impl<R: Read> Reader<BufReader<R>> {
    /// Reads the head of a file. The input needs no buffer of its own.
    pub fn new(input: R, options: Options) -> Result<Reader<BufReader<R>>, Error> {
        Reader::with_buffered(BufReader::with_capacity(BUFFER_BYTES, input), options)
    }
}

impl<B: BufRead> Reader<B> {
    /// Reads the head of a file from an input with a buffer; what stands behind the file stays there.
    pub fn with_buffered(input: B, options: Options) -> Result<Reader<B>, Error> {
        let mut source = Source::new(input, options.string_bytes_max, true);
        let version = read_version(&mut source)?;
        if !options.accepts(version) {
            let reason = Reason::Version { found: version, newest: options.version_max };
            return Err(Error::new(0, reason));
        }
        let body = Body::new(options.duplicates);
        Ok(Reader { source, body, options, version, stand: Stand::Between, key: Vec::new(), other: Vec::new() })
    }

    /// The file's version; 80 for Valkey's own.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// What was found at the end; `None` before.
    pub fn checksum(&self) -> Option<Checksum> {
        match self.stand {
            Stand::Ended(checksum) => Some(checksum),
            _ => None,
        }
    }

    /// The input, right behind the last byte read: an AOF file may go on there.
    pub fn into_inner(self) -> Result<B, Error> {
        self.source.into_inner()
    }

    /// The next item; `None` at the end, with the checksum verified.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the reader")]
    pub fn next(&mut self) -> Result<Option<Item<'_, B>>, Error> {
        match self.stand {
            Stand::Ended(_) => return Ok(None),
            Stand::Stopped => return Err(self.source.error(Reason::Stopped)),
            Stand::Between => {}
            Stand::InValue if self.body.has_failed() => {
                self.stand = Stand::Stopped;
                return Err(self.source.error(Reason::Stopped));
            }
            Stand::InValue => {
                self.stand = Stand::Stopped;
                let skipped = self.skip_value();
                if matches!(skipped, Err(Error { reason: Reason::Empty, .. })) {
                    self.stand = Stand::Between;
                }
                skipped?;
            }
        }
        // Whatever goes wrong below leaves the reader without a place.
        self.stand = Stand::Stopped;
        let mut about = About::default();
        loop {
            let byte = self.source.byte()?;
            match byte {
                opcode::EXPIRES_MS => {
                    let time = i64::from_le_bytes(self.source.array()?);
                    about.expires_at_ms = Some(u64::try_from(time).unwrap_or(0));
                }
                opcode::EXPIRES_SECONDS => {
                    let seconds = i32::from_le_bytes(self.source.array()?);
                    about.expires_at_ms = Some(u64::try_from(seconds).unwrap_or(0) * 1000);
                }
                opcode::IDLE => about.idle_seconds = Some(self.source.length()?),
                opcode::FREQUENCY => about.frequency = Some(self.source.byte()?),
                opcode::END => {
                    self.stand = Stand::Ended(self.end()?);
                    return Ok(None);
                }
                opcode::SLOT..=u8::MAX => {
                    return self.mark(byte).map(Some);
                }
                _ => return self.entry(byte, about).map(|entry| Some(Item::Key(entry))),
            }
        }
    }

    fn skip_value(&mut self) -> Result<(), Error> {
        while self.body.next(&mut self.source)?.is_some() {}
        Ok(())
    }

    fn entry(&mut self, byte: u8, about: About) -> Result<Entry<'_, B>, Error> {
        let unknown = Error::new(self.source.offset() - 1, Reason::UnknownType(byte));
        let value_type = ValueType::from_byte(byte).ok_or(unknown)?;
        if value_type == ValueType::Module {
            return Err(self.source.error(Reason::PreRelease("a module's value")));
        }
        self.source.string(&mut self.key)?;
        self.body.take_up(value_type, self.version);
        self.stand = Stand::InValue;
        let value = ValueReader { source: &mut self.source, body: &mut self.body };
        Ok(Entry { key: &self.key, about, value })
    }

    /// An item that is no key.
    fn mark(&mut self, byte: u8) -> Result<Item<'_, B>, Error> {
        let source = &mut self.source;
        let item = match byte {
            opcode::AUX => {
                source.string(&mut self.key)?;
                source.string(&mut self.other)?;
                Item::Aux { name: &self.key, value: &self.other }
            }
            opcode::DATABASE => Item::Database(source.length()?),
            opcode::RESIZE => Item::Resize { keys: source.length()?, expiring: source.length()? },
            opcode::SLOT => Item::Slot { slot: source.length()?, keys: source.length()?, expiring: source.length()? },
            opcode::FUNCTION => {
                source.string(&mut self.other)?;
                Item::Function(&self.other)
            }
            opcode::FUNCTION_DRAFT => return Err(source.error(Reason::PreRelease("a function"))),
            // MODULE_AUX; every other number from SLOT up was handled.
            _ => {
                let bytes_max = self.options.string_bytes_max;
                source.keep_copy();
                let mut walk = ModuleWalk::new();
                while walk.step(source)? {
                    let bytes = source.copy().map_or(0, |copy| copy.len() as u64);
                    if bytes > bytes_max {
                        return Err(source.error(Reason::StringTooLong { bytes, bytes_max }));
                    }
                }
                self.other = source.copy().map(std::mem::take).unwrap_or_default();
                source.drop_copy();
                Item::ModuleAux(&self.other)
            }
        };
        self.stand = Stand::Between;
        Ok(item)
    }

    fn end(&mut self) -> Result<Checksum, Error> {
        if self.version < VERSION_WITH_CHECKSUM {
            return Ok(Checksum::Absent);
        }
        let computed = self.source.checksum()?;
        let stored = u64::from_le_bytes(self.source.array()?);
        match stored {
            0 => Ok(Checksum::Absent),
            _ if stored == computed => Ok(Checksum::Verified),
            _ => Err(self.source.error(Reason::Checksum { stored, computed })),
        }
    }
}

/// `REDIS` and four digits, or `VALKEY` and three.
fn read_version<B: BufRead>(source: &mut Source<B>) -> Result<u16, Error> {
    let head: [u8; 9] = source.array().map_err(|error| match error.reason {
        Reason::Truncated => Error::new(0, Reason::NotRdb),
        _ => error,
    })?;
    let number = |digits: &[u8]| {
        let all_digits = digits.iter().all(u8::is_ascii_digit);
        all_digits.then(|| digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
    };
    let version = match &head {
        [b'R', b'E', b'D', b'I', b'S', digits @ ..] => number(digits).filter(|version| *version != VERSION_VALKEY),
        [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => {
            number(digits).filter(|version| *version >= VERSION_VALKEY)
        }
        _ => None,
    };
    version.ok_or(Error::new(0, Reason::NotRdb))
}

impl<'r, B: BufRead> ValueReader<'r, B> {
    pub(crate) fn new(source: &'r mut Source<B>, body: &'r mut Body) -> ValueReader<'r, B> {
        ValueReader { source, body }
    }

    /// What kind of value it is.
    pub fn kind(&self) -> Kind {
        self.body.value_type().kind()
    }

    /// How it is laid out.
    pub fn value_type(&self) -> ValueType {
        self.body.value_type()
    }

    /// How many elements there are, if the layout says so in front; a hint until the last was read. Packed values and
    /// lists in nodes do not say.
    pub fn count_ahead(&mut self) -> Result<Option<u64>, Error> {
        self.body.count_ahead(self.source)
    }

    /// The next element; `None` at the end. A stream or a module's value comes in pieces of raw bytes.
    pub fn next_element(&mut self) -> Result<Option<Element<'_>>, Error> {
        self.body.next(self.source)
    }

    /// The next bytes of the value as they stand in the file, checked as if elements were read; `None` at the end. Any
    /// kind of value can be copied so, without being packed anew; elements must not have been asked for.
    pub fn next_raw(&mut self) -> Result<Option<&[u8]>, Error> {
        self.body.next_raw(self.source)
    }

    /// The whole value in memory.
    pub fn into_value(self) -> Result<Value, Error> {
        let mut value = Value::empty(self.body.value_type());
        while let Some(element) = self.body.next(self.source)? {
            value.push(element);
        }
        Ok(value)
    }
}
