//! Redis's file format, RDB, and the payloads of DUMP: read and written element by element.
//!
//! ```text
//!   file     "REDIS" "0011"                                 or "VALKEY" "080": read, not written
//!            items, each begun by one byte:
//!              FA  string, string                           a remark (redis-ver, ctime, ...)
//!              F5  string                                   a library of functions
//!              F7  see module.rs                            what a module keeps beside the keys
//!              FE  length                                   the database of the keys that follow
//!              FB  length, length                           how many keys follow, how many of them expire
//!              F4  length, length, length                   a slot of a cluster, the same of it
//!              FC  8 bytes of milliseconds, low first  \
//!              FD  4 bytes of seconds, low first        |   about the next key: expiry, expiry,
//!              F8  length                               |   seconds unused, LFU counter
//!              F9  1 byte                              /
//!              00 to 19 (hex)  string, value                a key: the byte is the value's type
//!            FF, CRC-64 of all before it (8 bytes, low first; 0: not summed)
//!
//!   payload  type, value, version, CRC-64                   see payload.rs
//! ```
//!
//! Lengths and strings are drawn in source.rs, types of values in value_type.rs and body.rs, packed values in packed/,
//! LZF in lzf.rs. A whole file, one key `k` that holds `5`:
//!
//! ```text
//!   52 45 44 49 53 30 30 31 31   FE 00   00  01 6B  C0 05   FF  <8 bytes>
//!   R  E  D  I  S  0  0  1  1    db 0    string, "k", "5"   end
//! ```
//!
//! Copying every key of one file into another:
//!
//! ```
//! # fn main() -> Result<(), thermocline_rdb::Error> {
//! use thermocline_rdb::{About, Item, Options, Reader, Settings, Version, Writer};
//!
//! let mut writer = Writer::new(Vec::new(), Version::REDIS_7_2, Settings::default())?;
//! writer.database(0)?;
//! let mut hash = writer.key(b"user:1", About::default())?.hash(2)?;
//! hash.field(b"name", b"Ada", None)?;
//! hash.field(b"born", b"1815", None)?;
//! hash.end()?;
//! let file = writer.end()?;
//!
//! let mut copy = Writer::new(Vec::new(), Version::REDIS_7_2, Settings::default())?;
//! let mut reader = Reader::new(&file[..], Options::default())?;
//! while let Some(item) = reader.next()? {
//!     match item {
//!         Item::Database(number) => copy.database(number)?,
//!         Item::Key(entry) => copy.copy(entry.key, entry.about, entry.value)?,
//!         _ => {}
//!     }
//! }
//! assert_eq!(copy.end()?, file);
//! # Ok(())
//! # }
//! ```
//!
//! Where to read more: the replicator wiki "RDB dump data format" (leonchen83/redis-replicator) and the "Redis Rdb Dump
//! Structures" of injinj/rdbparser. What a server can be asked was asked: files and payloads of Redis 7.0.15 and 8.0.6 and
//! Valkey 9.1.2, and old layouts given to them (tests/peer). Not confirmed by any server here, because none at hand writes
//! them: values of modules, slots of a cluster, the two drafts of hashes that expire, and streams of the first layout.
//!
//! Promises: foreign bytes are an answer or an [`Error`] with a place and a reason; they never panic, nothing is allocated
//! because they claim a length, and work is linear in their number. Elements are handed over one at a time: memory is
//! bounded by the longest string, not by the collection (see [`Duplicates`] for the one exception and how to decline it).
//! A file written here loads in the Redis of its version.
//! Never: opens a file, reads a clock, knows the engine or a command, or understands a stream or a module's value: these
//! pass through as bytes that were checked.
#![forbid(unsafe_code)]

mod body;
mod checksum;
mod error;
mod lzf;
mod module;
mod number;
mod options;
mod packed;
pub mod payload;
mod reader;
mod source;
mod stream;
mod twice;
mod value;
mod value_type;
mod value_writer;
mod writer;

pub use error::{Error, Reason};
pub use options::{Duplicates, Options, Settings, Thresholds};
pub use packed::Form;
pub use packed::listpack::{EMPTY_BYTES as LISTPACK_EMPTY_BYTES, element_bytes as listpack_element_bytes};
pub use reader::{About, Checksum, Entry, Item, Reader, ValueReader};
pub use value::{Element, HashField, Raw, ScoredMember, Value};
pub use value_type::{Kind, VERSION_READ_MAX, VERSION_VALKEY, ValueType, Version};
pub use value_writer::{HashWriter, ListWriter, LongStringWriter, RawWriter, SetWriter, SortedSetWriter, ValueWriter};
pub use writer::Writer;
