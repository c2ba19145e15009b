//! What values are made of: kinds, the bytes inside payloads, and the pure operations on strings.
//!
//! Promises: every function is a plain function of its arguments, and bounded by their size. Foreign bytes never panic.
//! Never: does I/O, reads a clock, or knows a command, a reply or a socket. Errors here are small kinds; the words a
//! client reads are the server's.
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as thermocline_value;

mod bit_field;
mod bits;
pub mod codec;
mod collection;
mod common_subsequence;
mod digest;
mod double;
mod encoding;
mod float;
mod glob;
mod integer;
mod kind;
mod large_head;
mod natural;
mod packed;
mod range;
mod tree;

pub use bit_field::{FieldType, Overflow};
pub use bits::{BitOperation, count_bits, find_bit, get_bit, put_bit_operation, set_bit};
pub use codec::CodecError;
pub use collection::{Census, children, empty_record, hash, length, list, set, sorted_set, verify};
pub use common_subsequence::{
    CommonSubsequence, SharedRun, SubsequenceError, common_subsequence, common_subsequence_length,
};
pub use digest::{digest, parse_digest};
pub use double::{nearest_double, parse_double};
pub use encoding::{EMBEDDED_BYTES_MAX, StringEncoding};
pub use float::{Extended, FLOAT_TEXT_BYTES_MAX, ParsedFloat, parse_float};
pub use glob::{Case, glob_match};
pub use integer::{INTEGER_BYTES_MAX, IncrementError, increment, parse_integer, put_integer};
pub use kind::Kind;
pub use large_head::{LARGE_HEAD_BYTES, LargeHead};
pub use packed::node_edit::{ChildCount, NodeEdit};
pub use packed::root::{Root, TreeTop};
pub use range::{get_range, index_range, is_crossed, length_after_set_range, put_set_range};
pub use tree::nodes::{CollectionId, Fault, Missing, NodeId, Nodes};
pub use tree::shape::{EXPIRY_MS_MAX, HashEntry, ScoredMember};

// The model tests run twice: from `tests/` over nodes of the real sizes, and from here over tiny ones, so that a few hundred
// elements make a tree of many levels.
#[cfg(test)]
#[path = "../tests/model/mod.rs"]
mod model;
