//! A module's value, passed through: its own opcodes are walked, not understood.
//!
//! ```text
//!   identity of the module: a length of 64 bits
//!   then, until 0:   1 length      2 length      3 <4 bytes>    4 <8 bytes>    5 string
//!                    (signed)      (unsigned)    float          double
//! ```
//!
//! What modules save beside the keys (`MODULE_AUX`) has `2 length`, the moment of saving, between identity and opcodes;
//! to this walk that is one more opcode.
//!
//! Promises: the end is found without the module. Never: a value of before Redis 4.0, which has no end marks.

use crate::error::{Error, Reason};
use crate::source::Source;
use std::io::BufRead;

pub(crate) struct ModuleWalk {
    begun: bool,
    string: Vec<u8>,
}

impl ModuleWalk {
    pub(crate) fn new() -> ModuleWalk {
        ModuleWalk { begun: false, string: Vec::new() }
    }

    /// Takes the identity or one opcode; false at the end.
    pub(crate) fn step<B: BufRead>(&mut self, source: &mut Source<B>) -> Result<bool, Error> {
        if !self.begun {
            self.begun = true;
            source.length()?;
            return Ok(true);
        }
        match source.length()? {
            0 => return Ok(false),
            1 | 2 => drop(source.length()?),
            3 => drop(source.array::<4>()?),
            4 => drop(source.array::<8>()?),
            5 => source.string(&mut self.string)?,
            _ => return Err(source.error(Reason::Module("an opcode that no version defines"))),
        }
        Ok(true)
    }
}
