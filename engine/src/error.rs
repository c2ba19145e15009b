//! What can go wrong, as small kinds with their context.
//!
//! Promises: a miss is never an error; each error says what, where and (in `Display`) what to do. Never: a panic for
//! something the world can do.

use std::fmt;
use std::io;

/// Result of an engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the engine refused or failed.
#[derive(Clone, Debug)]
pub enum Error {
    /// Memory and disk are both full and the eviction policy refuses growing writes.
    OutOfMemory,
    /// Writes are refused because the disk failed or is full; reads go on.
    Misconfigured {
        /// What happened, with the file and the system's words.
        reason: String,
    },
    /// A record failed its checksum: it is never served.
    Corrupt {
        /// Segment that holds the record.
        segment: u32,
        /// Byte offset in the segment.
        offset: u32,
    },
    /// Extents of a large value are not there any more: their segment was damaged or lost. The rest is never served.
    PartsMissing {
        /// Length of the whole value.
        bytes: u64,
    },
    /// A node of a collection is not there: its segment was damaged or lost. The rest is never served.
    NodeMissing,
    /// A key, value or group is larger than a bound.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The bound in bytes.
        bytes_max: u64,
    },
    /// The changes of one group are more than the log takes at once.
    GroupTooLarge {
        /// Their size in bytes.
        bytes: u64,
        /// The bound in bytes.
        bytes_max: u64,
    },
    /// The operating system refused an operation.
    Io {
        /// What was tried, with the file's name.
        what: String,
        /// The system's error kind.
        kind: io::ErrorKind,
        /// The system's words.
        words: String,
    },
    /// Another process holds the data directory.
    InUse {
        /// The words of the lock.
        words: String,
    },
    /// The data directory is not ours, too new, or damaged beyond starting.
    Format {
        /// File and reason.
        words: String,
    },
    /// An option is out of its range.
    InvalidOption {
        /// Option, value and range.
        words: String,
    },
    /// A backup, or a restore, was not made.
    Backup {
        /// What was wrong, where, and what to do.
        words: String,
    },
    /// A snapshot was not made.
    Snapshot {
        /// What was wrong, and what to do.
        words: String,
    },
    /// The engine has been closed.
    Closed,
}

impl Error {
    /// Wraps a system error with what was tried.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Error::Io { what: what.into(), kind: error.kind(), words: error.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfMemory => write!(f, "command not allowed when used memory > 'maxmemory'."),
            Error::Misconfigured { reason } => write!(
                f,
                "Writes are refused because the log cannot be written: {reason}. Reads go on. Free space or repair the disk, then retry."
            ),
            Error::Corrupt { segment, offset } => write!(
                f,
                "the record at segment {segment}, offset {offset} failed its checksum; DEL or SET may replace the key, `thermocline verify` lists the damage"
            ),
            Error::PartsMissing { bytes } => write!(
                f,
                "parts of this value of {bytes} bytes are not in the log any more; DEL or SET may replace the key, `thermocline verify` lists the damage"
            ),
            Error::NodeMissing => write!(
                f,
                "a part of this collection is not in the log any more; DEL removes the key, `thermocline verify` lists the damage"
            ),
            Error::TooLarge { what, bytes, bytes_max } => {
                write!(f, "{what} of {bytes} bytes exceeds the bound of {bytes_max} bytes")
            }
            Error::GroupTooLarge { bytes, bytes_max } => write!(
                f,
                "the changes of one command or transaction take {bytes} bytes of the log, more than the {bytes_max} that are possible together; do it in parts, or set a larger maxdisk"
            ),
            Error::Io { what, words, .. } => write!(f, "{what}: {words}"),
            Error::InUse { words }
            | Error::Format { words }
            | Error::InvalidOption { words }
            | Error::Backup { words }
            | Error::Snapshot { words } => f.write_str(words),
            Error::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for Error {}
