//! What is sent: a bulk load, its verification, a trace, a workload by name. Each keeps what it needs to check every answer.

pub mod load;
pub mod named;
pub mod read_back;
pub mod replay;
pub mod schedule;
pub mod versions;

pub use crate::spec::{SizeError, ValueSizes, parse_bytes};
pub use versions::Versions;

use crate::tally::Tally;
use crate::value::{self, Expected, KeyId};
use crate::wire::{Key, KeyText, NewValue, Protocol, Reply};

/// How a workload's keys are spelt, and in which language.
#[derive(Clone)]
pub struct Speaker {
    /// The language.
    pub protocol: &'static dyn Protocol,
    /// The keys' text.
    pub text: KeyText,
}

impl Speaker {
    /// Appends a SET and counts its bytes.
    pub(crate) fn set(&self, out: &mut Vec<u8>, key: Key<'_>, new: NewValue, tally: &mut Tally) {
        self.protocol.set(out, key, new);
        tally.value_bytes_sent += u64::from(new.length);
        tally.key_bytes_sent += key.length() as u64;
    }
}

/// Counts the answer to a GET of a key that is there: a value that must be this one, or a loss.
pub(crate) fn check(key: KeyId, expected: Expected, reply: Reply<'_>, tally: &mut Tally) {
    match reply {
        Reply::Value(found) => {
            tally.found += 1;
            if let Err(wrong) = value::verify(found, key, expected) {
                tally.wrong_value(key, wrong);
            }
        }
        Reply::Missing => {
            tally.missed += 1;
            tally.lost += 1;
        }
        other => refused(other, "GET", tally),
    }
}

/// Counts anything but OK as an error; true for OK.
pub(crate) fn accepted(reply: Reply<'_>, tally: &mut Tally) -> bool {
    if reply != Reply::Done {
        refused(reply, "SET", tally);
    }
    reply == Reply::Done
}

/// Counts an answer that this command should not have.
pub(crate) fn refused(reply: Reply<'_>, command: &str, tally: &mut Tally) {
    match reply {
        Reply::Refused(text) => tally.error(&String::from_utf8_lossy(text)),
        other => tally.error(&format!("UNEXPECTED answer to {command}: {}", shown(other))),
    }
}

fn shown(reply: Reply<'_>) -> String {
    match reply {
        Reply::Other(text) => String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned(),
        Reply::Value(value) => format!("a value of {} bytes", value.len()),
        Reply::Many(_) => "many values".to_owned(),
        other => format!("{other:?}"),
    }
}
