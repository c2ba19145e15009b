//! What the log does with a change, and what an acknowledgement means: two halves of one atomic, changed at run time.
//!
//! ```text
//!   bits 0-1  the log:  0 nothing is logged, 1 at the log's pace, 2 every second, 3 each group is flushed
//!   bits 2-3  promised: the same numbers; never more than the log does
//! ```
//! The halves differ only while the mode is being raised (switch.rs): first the log does more, then more is promised.
//!
//! Who appends asks for the log's half under the latch of its key: whoever changes it takes every latch once, and knows then that
//! nobody appends by the old mode any more. A chunk's write carries with it what its completion will mean, so it counts as what it
//! was when it was submitted. Who acknowledges asks for the promised half in the hold in which it committed.
//!
//! Promises: a reader sees both halves of one moment. Never: more promised than the log does.

use crate::options::Durability;
use std::sync::atomic::{AtomicU8, Ordering};

/// All modes, by number.
const MODES: [Durability; 4] = [Durability::None, Durability::No, Durability::EverySecond, Durability::Always];

/// The mode of a log.
pub struct Mode(AtomicU8);

impl Mode {
    /// A log that does what is promised.
    pub fn new(durability: Durability) -> Mode {
        Mode(AtomicU8::new(packed(durability, durability)))
    }

    /// What the log does.
    #[inline]
    pub fn log(&self) -> Durability {
        MODES[usize::from(self.0.load(Ordering::Acquire) & 3)]
    }

    /// What an acknowledgement means.
    #[inline]
    pub fn promised(&self) -> Durability {
        MODES[usize::from(self.0.load(Ordering::Acquire) >> 2)]
    }

    /// Is every change logged when it happens?
    #[inline]
    pub fn logs(&self) -> bool {
        self.log().logs()
    }

    /// Changes both halves at once.
    pub(crate) fn set(&self, promised: Durability, log: Durability) {
        self.0.store(packed(promised, log), Ordering::Release);
    }
}

fn packed(promised: Durability, log: Durability) -> u8 {
    let number = |durability: Durability| durability as u8;
    assert!(number(promised) <= number(log), "nothing is promised that the log does not do");
    number(promised) << 2 | number(log)
}

const _: () = {
    let mut number = 0;
    while number < MODES.len() {
        assert!(MODES[number] as usize == number, "a mode's number is its place");
        number += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_come_back() {
        for promised in MODES {
            for log in MODES.into_iter().filter(|log| *log as u8 >= promised as u8) {
                let mode = Mode::new(Durability::None);
                mode.set(promised, log);
                assert_eq!((mode.promised(), mode.log(), mode.logs()), (promised, log, log != Durability::None));
            }
        }
    }
}
