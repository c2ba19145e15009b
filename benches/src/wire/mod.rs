//! What goes over the wire: commands as bytes, straight into the output buffer, and answers as places in the input buffer.
//!
//! Promises: a value is generated where it is sent and checked where it arrived, no copy between; half an answer is `None`,
//! nonsense is an error, neither panics; a claimed length takes no memory. Never: sockets, clocks, statistics.

mod key;
mod memcached;
mod resp;

pub use key::{Key, KeyText};
pub(crate) use resp::{bulk, header};
pub use resp::{command, split_tier};

use crate::control::{Control, Target};
use crate::observe::Info;
use anyhow::Result;
use clap::ValueEnum;
use std::fmt;
use thiserror::Error;

/// Longest line that is not a value.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Where the server found a value, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In DRAM.
    Hot,
    /// On the SSD.
    Cold,
    /// Nowhere.
    Miss,
}

/// The facts of a value to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewValue {
    /// Version that the value will carry.
    pub version: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Time to live, if any.
    pub ttl_s: Option<u32>,
}

/// An answer, in the input buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A value.
    Value(&'a [u8]),
    /// There is no such key.
    Missing,
    /// It was done.
    Done,
    /// So many keys were deleted.
    Count(i64),
    /// The answers of a read of many keys, one behind the other; [`Protocol::parse`] reads them.
    Many(&'a [u8]),
    /// It was refused, and why.
    Refused(&'a [u8]),
    /// Something else.
    Other(&'a [u8]),
}

/// An answer with what was said about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The answer.
    pub reply: Reply<'a>,
    /// Where the server found the value, when it tells.
    pub tier: Option<Tier>,
    /// Bytes of the buffer that it took.
    pub length: usize,
}

/// The bytes are no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the server does not speak the protocol: {reason}; it sent {shown:?}")]
pub struct WireError {
    reason: &'static str,
    shown: String,
}

impl WireError {
    fn new(reason: &'static str, bytes: &[u8]) -> Self {
        Self { reason, shown: String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned() }
    }
}

/// A language of key-value servers.
pub trait Protocol: Sync {
    /// Reads a key.
    fn get(&self, out: &mut Vec<u8>, key: Key<'_>);
    /// Writes a key.
    fn set(&self, out: &mut Vec<u8>, key: Key<'_>, new: NewValue);
    /// Removes a key.
    fn delete(&self, out: &mut Vec<u8>, key: Key<'_>);
    /// Reads so many keys, from this one on.
    fn get_many(&self, out: &mut Vec<u8>, first: Key<'_>, count: u32);
    /// Reads the answer at the start of `input`; `None` while it is incomplete.
    fn parse<'a>(&self, input: &'a [u8]) -> Result<Option<Parsed<'a>>, WireError>;
    /// Reads the answer to [`Protocol::get_many`].
    fn parse_many<'a>(&self, input: &'a [u8], count: u32) -> Result<Option<Parsed<'a>>, WireError>;
    /// Makes a fresh connection ready: password, database. A server that is still loading says so here.
    fn greet(&self, control: &mut Control, target: &Target) -> Result<()>;
    /// Asks for the tier of every answer; false when the server does not know the question.
    fn ask_for_tiers(&self, control: &mut Control) -> Result<bool>;
    /// What the server says of itself. An error only when it says nothing any more.
    fn ask(&self, control: &mut Control) -> Result<Info>;
}

/// The languages by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Speech {
    /// Redis and what is compatible with it.
    #[default]
    Resp,
    /// Memcached's text commands. A scan is as many `get`s in one write; no tiers.
    Memcached,
}

impl Speech {
    /// The language itself.
    pub fn protocol(self) -> &'static dyn Protocol {
        match self {
            Self::Resp => &resp::Resp,
            Self::Memcached => &memcached::Memcached,
        }
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resp => "resp",
            Self::Memcached => "memcached",
        })
    }
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line(input: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, WireError> {
    let rest = &input[at..];
    match rest.iter().position(|byte| *byte == b'\r') {
        Some(end) if end + 1 == rest.len() => Ok(None),
        Some(end) if rest[end + 1] == b'\n' => Ok(Some((&rest[..end], at + end + 2))),
        Some(_) => Err(WireError::new("a line without its end", rest)),
        None if rest.len() > LINE_BYTES_MAX => Err(WireError::new("an endless line", rest)),
        None => Ok(None),
    }
}

/// The value of so many bytes at `at`, and what lies behind its line end.
fn sized(input: &[u8], at: usize, length: usize) -> Result<Option<(&[u8], usize)>, WireError> {
    let Some(end) = at.checked_add(length).filter(|end| end + 2 <= input.len()) else {
        return Ok(None);
    };
    if input[end..end + 2] != *b"\r\n" {
        return Err(WireError::new("a value that does not end where it should", &input[at..]));
    }
    Ok(Some((&input[at..end], end + 2)))
}
