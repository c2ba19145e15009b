//! RESP2 and RESP3 without I/O: bytes in, argument places out; answers in, bytes out.
//!
//! Promises: never copies an argument, never panics on any input, never believes a claimed length (memory is taken for what
//! arrived), and gives the same result however the network cut the bytes. Never: sockets, clocks, commands.
#![forbid(unsafe_code)]

mod decode;
mod double;
mod inline;
mod parse;
mod reply;

pub use decode::{DecodeError, Value, decode};
pub use double::write_double;
pub use parse::{Limits, Parsed, Parser, ProtocolError, Span, usual};
pub use reply::{Protocol, Reply, write_integer};
