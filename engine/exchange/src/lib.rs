//! Between the store and other formats: the elements of a collection, and a collection as an RDB value.
//!
//! ```text
//!  Collection --each--> Element --CollectionWriter--> file or payload
//!  file or payload --ValueReader--> Element --add--> Collection
//! ```
//! The server (DUMP, RESTORE, COPY, DEBUG DIGEST) and the offline tool (dump, load, repair, compact) stand on it, so a value is
//! converted in one way only.
//!
//! Promises: streams; memory is bounded by an element. Never: judges an expiry, opens a file, waits, or knows a command.
#![forbid(unsafe_code)]

mod elements;
mod writer;

pub use elements::{Walk, Way, add, copy, each, element_bytes, is_collection, ready};
pub use writer::CollectionWriter;

use thermocline::Kind;

/// The store's kind for one of RDB's. `None`: the store has no such values.
pub fn kind_of(kind: thermocline_rdb::Kind) -> Option<Kind> {
    match kind {
        thermocline_rdb::Kind::String => Some(Kind::String),
        thermocline_rdb::Kind::List => Some(Kind::List),
        thermocline_rdb::Kind::Set => Some(Kind::Set),
        thermocline_rdb::Kind::Hash => Some(Kind::Hash),
        thermocline_rdb::Kind::SortedSet => Some(Kind::SortedSet),
        thermocline_rdb::Kind::Stream | thermocline_rdb::Kind::Module => None,
    }
}
