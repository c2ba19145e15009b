//! What a reader accepts and how a writer packs: every limit of this crate in one place.
//!
//! Promises: the defaults are Redis's own. Never: read from anywhere; the caller sets them.

use crate::value_type::{VERSION_READ_MAX, VERSION_VALKEY};

/// What a reader accepts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The newest version of Redis's that is accepted, at most [`VERSION_READ_MAX`]. A server that says it is Redis 7.2
    /// refuses 12 in RESTORE.
    pub version_max: u16,
    /// Whether Valkey's own version 80 is accepted beside Redis's.
    pub valkey: bool,
    /// The longest string, packed value or module string. Nothing longer is ever held.
    pub string_bytes_max: u64,
    /// Who looks for members and fields that are there twice.
    pub duplicates: Duplicates,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            version_max: VERSION_READ_MAX,
            valkey: true,
            string_bytes_max: 512 << 20,
            duplicates: Duplicates::Refuse,
        }
    }
}

impl Options {
    /// Whether a file or payload of `version` may be read.
    pub(crate) fn accepts(&self, version: u16) -> bool {
        (1..=self.version_max.min(VERSION_READ_MAX)).contains(&version) || (self.valkey && version == VERSION_VALKEY)
    }
}

/// Who looks for members and fields that are there twice in a set, hash or sorted set.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Duplicates {
    /// The reader, at 16 bytes of memory per element (about 18 to 36 with the table's free room) while a collection is
    /// read. Two elements are taken for one with a chance of 2^-128.
    Refuse,
    /// The receiver, which puts the elements into a map of its own anyway. The reader's memory is then independent of the
    /// size of collections.
    LeaveToReceiver,
}

/// How a writer packs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether strings of more than 20 bytes are compressed where that saves at least four bytes (`rdbcompression`).
    pub compress: bool,
    /// What is small enough to be packed.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { compress: true, thresholds: Thresholds::default() }
    }
}

/// What is small enough to be packed: Redis's settings of the same names.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// `hash-max-listpack-entries`.
    pub hash_listpack_entries_max: u64,
    /// `hash-max-listpack-value`.
    pub hash_listpack_bytes_max: usize,
    /// `set-max-intset-entries`.
    pub set_intset_entries_max: u64,
    /// `set-max-listpack-entries`.
    pub set_listpack_entries_max: u64,
    /// `set-max-listpack-value`.
    pub set_listpack_bytes_max: usize,
    /// `zset-max-listpack-entries`.
    pub sorted_set_listpack_entries_max: u64,
    /// `zset-max-listpack-value`.
    pub sorted_set_listpack_bytes_max: usize,
    /// `list-max-listpack-size`: elements per node, or -1 to -5 for 4 to 64 KiB per node.
    pub list_listpack_size: i32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            hash_listpack_entries_max: 512,
            hash_listpack_bytes_max: 64,
            set_intset_entries_max: 512,
            set_listpack_entries_max: 128,
            set_listpack_bytes_max: 64,
            sorted_set_listpack_entries_max: 128,
            sorted_set_listpack_bytes_max: 64,
            list_listpack_size: -2,
        }
    }
}

/// Strings up to this many bytes are not worth compressing.
pub(crate) const UNCOMPRESSED_BYTES_MAX: usize = 20;
/// Compression must save at least this many bytes.
pub(crate) const COMPRESSION_SAVES_BYTES: usize = 4;
/// The most that a writer holds back of a collection to see whether it can be packed. What is longer is written as a plain
/// table or list, which every server packs again to its own taste as it loads.
pub(crate) const HELD_BYTES_MAX: usize = 1 << 20;
/// The last moment at which a field of a hash can expire: Redis holds it in 48 bits.
pub(crate) const FIELD_TIME_MS_MAX: u64 = (1 << 48) - 1;
