//! BITFIELD and BITFIELD_RO: integers of any width at any bit.
//!
//! Promises: all operations are read and checked before the first one runs.

use thermocline::{Access, Expiry, Kind};
use thermocline_value::{FieldType, Overflow, parse_integer};

use super::{offset, put_grown, value};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const BAD_TYPE: CommandError = CommandError::Static(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

#[derive(Copy, Clone)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

#[derive(Copy, Clone)]
struct Operation {
    field: FieldType,
    offset: u64,
    action: Action,
}

impl Operation {
    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.field.bits()) - 1
    }

    /// Runs over the bytes; `None` is an overflow that was to fail.
    fn run(&self, bytes: &mut [u8]) -> Option<i64> {
        let old = self.field.get(bytes, self.offset);
        let (new, answer) = match self.action {
            Action::Get => return Some(old),
            Action::Set(number, overflow) => (self.field.fit(number, overflow)?, old),
            Action::Add(by, overflow) => {
                let new = self.field.fit_sum(old, by, overflow)?;
                (new, new)
            }
        };
        self.field.set(bytes, self.offset, new);
        Some(answer)
    }
}

fn field_type(word: &[u8]) -> Option<FieldType> {
    let (signed, bits) = match word {
        [b'i', bits @ ..] => (true, bits),
        [b'u', bits @ ..] => (false, bits),
        _ => return None,
    };
    FieldType::new(signed, u32::try_from(parse_integer(bits)?).ok()?)
}

fn parse(context: &Context<'_, '_>) -> Result<Vec<Operation>, CommandError> {
    let args = &context.args;
    let mut overflow = Overflow::Wrap;
    let mut operations = Vec::new();
    let mut at = 2;
    while at < args.len() {
        let behind = args.len() - at - 1;
        if args.is(at, "OVERFLOW") && behind >= 1 {
            overflow = match args.at(at + 1).to_ascii_lowercase().as_slice() {
                b"wrap" => Overflow::Wrap,
                b"sat" => Overflow::Saturate,
                b"fail" => Overflow::Fail,
                _ => return Err(CommandError::Static("ERR Invalid OVERFLOW type specified")),
            };
            at += 2;
            continue;
        }
        let gets = args.is(at, "GET") && behind >= 2;
        let sets = args.is(at, "SET") && behind >= 3;
        let adds = args.is(at, "INCRBY") && behind >= 3;
        if !(gets || sets || adds) {
            return Err(CommandError::SYNTAX);
        }
        let field = field_type(args.at(at + 1)).ok_or(BAD_TYPE)?;
        let offset = offset(context, args.at(at + 2), field.bits())?;
        let action = if gets {
            Action::Get
        } else {
            let number = args.integer(at + 3)?;
            if sets { Action::Set(number, overflow) } else { Action::Add(number, overflow) }
        };
        operations.push(Operation { field, offset, action });
        at += if gets { 3 } else { 4 };
    }
    Ok(operations)
}

/// BITFIELD that only gets is a read.
pub(super) fn access(args: &Args<'_>) -> Access {
    let writes = (2..args.len()).any(|at| args.is(at, "SET") || args.is(at, "INCRBY"));
    if writes { Access::Write } else { Access::Read }
}

/// BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET type offset value | INCRBY type offset increment ...]
pub(super) fn bit_field(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let operations = parse(context)?;
    let old = value(context, 0)?;
    let last_written = operations.iter().filter(|o| o.writes()).map(Operation::last_bit).max();
    let mut answers = Vec::with_capacity(operations.len());
    match last_written {
        None => answers.extend(operations.iter().map(|operation| Some(operation.field.get(old, operation.offset)))),
        Some(last_bit) => {
            let mut bytes = Vec::new();
            put_grown(old, last_bit, &mut bytes);
            answers.extend(operations.iter().map(|operation| operation.run(&mut bytes)));
            // What changes no bit is no write: who watches the key is not told.
            if bytes != old {
                context.put_with(0, Kind::String, Expiry::Keep, |buffer| buffer.extend_from_slice(&bytes));
            }
        }
    }
    context.reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => context.reply.integer(number),
            None => context.reply.null(),
        }
    }
    Ok(())
}

/// BITFIELD_RO key [GET type offset ...]
pub(super) fn bit_field_read_only(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    if parse(context)?.iter().any(Operation::writes) {
        return Err(CommandError::Static("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    bit_field(context)
}
