//! What is sent: a bulk load, its verification, a trace. Each keeps what it needs to check every answer.

pub mod load;
pub mod read_back;
pub mod replay;
pub mod schedule;
mod sizes;

pub use sizes::{SizeError, ValueSizes, parse_bytes};

use crate::tally::Tally;
use thermocline_resp::Value;

/// Counts anything but OK as an error; true for OK.
fn accepted(answer: &Value, tally: &mut Tally) -> bool {
    match answer {
        Value::Simple(text) if text == b"OK" => return true,
        Value::Error(text) => tally.error(&String::from_utf8_lossy(text)),
        other => tally.error(&format!("UNEXPECTED answer to SET: {other:?}")),
    }
    false
}

/// Counts an answer to GET that is neither a value nor null.
fn refused(answer: &Value, tally: &mut Tally) {
    match answer {
        Value::Error(text) => tally.error(&String::from_utf8_lossy(text)),
        other => tally.error(&format!("UNEXPECTED answer to GET: {other:?}")),
    }
}
