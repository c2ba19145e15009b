//! What can be wrong with a file, a payload, or the use of a writer: a place and a reason.
//!
//! Promises: every error says the byte where the reader stood (from the beginning of the file or payload) and, for a fault
//! inside a packed value, the byte inside that value after decompression. The words are for an operator; kinds are for code.
//! Never: carries bytes of the file, so a log line cannot be forged by one.

use crate::packed::Form;
use crate::value_type::ValueType;
use std::fmt;

/// A reason, and where it was met.
#[derive(Debug)]
pub struct Error {
    /// Bytes from the beginning of the file or payload (for a writer: bytes written so far).
    pub offset: u64,
    /// For a fault in a packed value: bytes from the beginning of that value once decompressed; `offset` is its first byte.
    pub inside: Option<u64>,
    /// What was wrong there.
    pub reason: Reason,
}

/// What can be wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The input or output failed.
    #[error("input or output failed: {0}")]
    Io(std::io::Error),
    /// The first bytes are not `REDIS` and a version.
    #[error("not an RDB file: it does not begin with REDIS or VALKEY and a version number")]
    NotRdb,
    /// A format that this code does not read, or that the caller does not accept.
    #[error("RDB version {found} is not accepted here (the newest is {newest}): write it with an older server")]
    Version {
        /// What the file or payload says.
        found: u16,
        /// The newest version that would do.
        newest: u16,
    },
    /// The bytes end in the middle of something.
    #[error("the bytes end too early: the file or payload was cut")]
    Truncated,
    /// The first byte of a length that no version defines, or a string encoding where a number is needed.
    #[error("byte {0:#04x} begins no length")]
    BadLength(u8),
    /// The first byte of a string in an encoding that no version defines.
    #[error("byte {0:#04x} begins no string")]
    BadString(u8),
    /// Neither an opcode nor a type of value.
    #[error("byte {0} is no opcode and no type of value known here")]
    UnknownType(u8),
    /// Values of modules before Redis 4.0 final and functions before Redis 7.0 final carry no end that can be found.
    #[error("{0} of a pre-release of Redis: its end cannot be found")]
    PreRelease(&'static str),
    /// A string above the caller's limit.
    #[error("a string of {bytes} bytes is above the limit of {bytes_max}")]
    StringTooLong {
        /// What the file claims.
        bytes: u64,
        /// The limit, [`crate::Options::string_bytes_max`].
        bytes_max: u64,
    },
    /// Bytes that are not LZF of the claimed length.
    #[error("compressed bytes are damaged: {0}")]
    Compression(&'static str),
    /// A packed value that breaks the rules of its form.
    #[error("a damaged {form}: {what}")]
    Packed {
        /// Which form.
        form: Form,
        /// Which rule.
        what: &'static str,
    },
    /// A stream that breaks the rules of streams.
    #[error("a damaged stream: {0}")]
    Stream(&'static str),
    /// A module's value that breaks the rules of its opcodes.
    #[error("a damaged value of a module: {0}")]
    Module(&'static str),
    /// More or fewer elements than promised.
    #[error("{claimed} elements were promised and {found} are there")]
    Count {
        /// What was promised.
        claimed: u64,
        /// What is there (when more than promised: the first too many).
        found: u64,
    },
    /// A field or member that is there twice.
    #[error("element {0} is there a second time")]
    Duplicate(u64),
    /// A score that is no number.
    #[error("the score of element {0} is not a number")]
    BadScore(u64),
    /// A field's time beyond what every server holds.
    #[error("a field expires at {0} ms, which is beyond the format's last moment, 2^48 - 1 ms")]
    FieldTime(u64),
    /// A collection of nothing. The reader stands behind it and can go on.
    #[error("a collection without elements")]
    Empty,
    /// The bytes are not those that were written.
    #[error("the checksum is {computed:016x} and should be {stored:016x}: the bytes are damaged")]
    Checksum {
        /// As stored behind the bytes.
        stored: u64,
        /// As computed from the bytes.
        computed: u64,
    },
    /// Bytes behind a payload's value.
    #[error("{0} bytes follow the value")]
    TrailingBytes(u64),
    /// The caller took elements and then wanted the bytes as they stand.
    #[error("the bytes of a value must be asked for before its elements")]
    Begun,
    /// The reader met an error before and does not know where it stands.
    #[error("an earlier error left the reader without a place in the file")]
    Stopped,
    /// The writer's version has no way to say this.
    #[error("{what} cannot be written in RDB version {version}: choose a newer version")]
    NeedsVersion {
        /// What was to be written.
        what: &'static str,
        /// The writer's version.
        version: u8,
    },
    /// A collection was begun and never ended: the file or payload is spoilt.
    #[error("a value of type {0} was begun and not ended: what was written is spoilt")]
    Unfinished(ValueType),
    /// A field expires before the earliest time that was promised.
    #[error("a field expires at {expires_at_ms} ms, before the {earliest_ms} ms promised at the beginning of its hash")]
    ExpiresTooEarly {
        /// The field's time.
        expires_at_ms: u64,
        /// The promise.
        earliest_ms: u64,
    },
}

impl Error {
    pub(crate) fn new(offset: u64, reason: Reason) -> Error {
        Error { offset, inside: None, reason }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (byte {}", self.reason, self.offset)?;
        if let Some(inside) = self.inside {
            write!(formatter, ", byte {inside} of the packed value that begins there")?;
        }
        formatter.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}
