//! The bitmap family: strings seen as arrays of bits.
//!
//! Promises: every refusal and edge as in Redis 7.2; no string grows past proto-max-bulk-len.
//! Never: computes on bits itself: that is `thermocline-value`.

mod field;

use std::ops::Range;

use thermocline::{Access, Expiry, Kind};
use thermocline_value::{
    BitOperation, count_bits, find_bit, get_bit, get_range, index_range, put_bit_operation, set_bit,
};

use super::string::string_view;
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::{Body, Category, Flag, Flags, Group, KeyArgument, Keys, Row, RowAccess, Shape};

const BITS_PER_BYTE: u64 = 8;
const BAD_OFFSET: CommandError = CommandError::Static("ERR bit offset is not an integer or out of range");
const BAD_BIT: CommandError = CommandError::Static("ERR bit is not an integer or out of range");

fn value<'c>(context: &Context<'c, '_>, key: usize) -> Result<&'c [u8], CommandError> {
    Ok(string_view(context, key)?.map_or(&[][..], |view| view.value))
}

/// A bit's place: not negative, and its byte within proto-max-bulk-len. `#3` is the third field of `field_bits` bits.
fn offset(context: &Context<'_, '_>, word: &[u8], field_bits: u32) -> Result<u64, CommandError> {
    let (number, factor) = match word {
        [b'#', number @ ..] if field_bits > 0 => (number, i64::from(field_bits)),
        number => (number, 1),
    };
    thermocline_value::parse_integer(number)
        .and_then(|number| number.checked_mul(factor))
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| offset / BITS_PER_BYTE < context.settings().proto_max_bulk_len())
        .ok_or(BAD_OFFSET)
}

/// `old` with zeros behind it until bit `offset` lies inside.
fn put_grown(old: &[u8], offset: u64, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(old);
    let length = old.len().max((offset / BITS_PER_BYTE) as usize + 1);
    into.resize(start + length, 0);
}

/// SETBIT key offset value
fn set(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let offset = offset(context, context.args.at(2), 0)?;
    let bit = match thermocline_value::parse_integer(context.args.at(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BAD_BIT),
    };
    let old = value(context, 0)?;
    let before = get_bit(old, offset);
    let grows = offset / BITS_PER_BYTE >= old.len() as u64;
    if grows || before != bit {
        context.put_with(0, Kind::String, Expiry::Keep, |buffer| {
            let start = buffer.len();
            put_grown(old, offset, buffer);
            set_bit(&mut buffer[start..], offset, bit);
        });
    }
    context.reply.integer(i64::from(before));
    Ok(())
}

/// GETBIT key offset
fn get(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let offset = offset(context, context.args.at(2), 0)?;
    let bit = get_bit(value(context, 0)?, offset);
    context.reply.integer(i64::from(bit));
    Ok(())
}

/// Whether a range's ends count bits (BIT) or bytes (BYTE, and when nothing is said).
fn counts_bits(args: &Args<'_>, at: usize) -> Result<bool, CommandError> {
    match args.get(at) {
        None => Ok(false),
        Some(_) if args.is(at, "BIT") => Ok(true),
        Some(_) if args.is(at, "BYTE") => Ok(false),
        Some(_) => Err(CommandError::SYNTAX),
    }
}

/// What `find` makes of start and end over the string's bits or bytes, as a range of bits.
fn bit_range(
    bytes: &[u8],
    by_bits: bool,
    (start, end): (i64, i64),
    find: fn(i64, i64, u64) -> Range<u64>,
) -> Range<u64> {
    let length = bytes.len() as u64;
    if by_bits {
        find(start, end, length * BITS_PER_BYTE)
    } else {
        let range = find(start, end, length);
        range.start * BITS_PER_BYTE..range.end * BITS_PER_BYTE
    }
}

/// BITCOUNT key [start end [BYTE | BIT]]
fn count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let (ends, by_bits) = match args.len() {
        2 => ((0, -1), false),
        4 | 5 => ((args.integer(2)?, args.integer(3)?), counts_bits(&args, 4)?),
        _ => return Err(CommandError::SYNTAX),
    };
    let bytes = value(context, 0)?;
    let count = count_bits(bytes, bit_range(bytes, by_bits, ends, get_range));
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// BITPOS key bit [start [end [BYTE | BIT]]]: without an end, the zeros behind the string count too.
fn position(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let bit = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::Static("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 6 {
        return Err(CommandError::SYNTAX);
    }
    let start = if args.len() > 3 { args.integer(3)? } else { 0 };
    let by_bits = counts_bits(&args, 5)?;
    let end = if args.len() > 4 { Some(args.integer(4)?) } else { None };
    let Some(view) = string_view(context, 0)? else {
        context.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let range = bit_range(view.value, by_bits, (start, end.unwrap_or(-1)), index_range);
    let looks_behind = !bit && end.is_none() && !range.is_empty();
    let found = match find_bit(view.value, bit, range.clone()) {
        Some(place) => place.cast_signed(),
        None if looks_behind => range.end.cast_signed(),
        None => -1,
    };
    context.reply.integer(found);
    Ok(())
}

/// The keys of BITOP: the destination first.
fn operation_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    keys.push(KeyArgument { word: 2, access: Access::Overwrite, database: None });
    keys.extend((3..args.len()).map(|word| KeyArgument { word, access: Access::Read, database: None }));
    Ok(())
}

/// BITOP AND|OR|XOR|NOT destkey key [key ...]: an empty result removes the destination.
fn operation(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    const OPERATIONS: [(&str, BitOperation); 4] =
        [("AND", BitOperation::And), ("OR", BitOperation::Or), ("XOR", BitOperation::Xor), ("NOT", BitOperation::Not)];
    let args = context.args;
    let operation = OPERATIONS
        .into_iter()
        .find_map(|(name, operation)| args.is(1, name).then_some(operation))
        .ok_or(CommandError::SYNTAX)?;
    if operation == BitOperation::Not && args.len() != 4 {
        return Err(CommandError::Static("ERR BITOP NOT must be called with a single source key."));
    }
    let mut sources = Vec::with_capacity(context.keys() - 1);
    for key in 1..context.keys() {
        sources.push(value(context, key)?);
    }
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    if length > 0 {
        context.put_with(0, Kind::String, Expiry::Clear, |buffer| {
            put_bit_operation(operation, &sources, buffer);
        });
    } else if context.view(0).is_some() {
        context.remove(0);
    }
    context.reply.integer(length as i64);
    Ok(())
}

const ONE_KEY: Keys = Keys::Range { first: 1, last: 1, step: 1 };

/// The rows of the family.
pub const ROWS: &[Row] = &[
    Row {
        name: "bitcount",
        arity: -2,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::Bitmap],
        since: "2.6.0",
        group: Group::Bitmap,
        summary: "Counts the number of set bits (population counting) in a string.",
        complexity: "O(N)",
        reply: Shape::Integer,
        body: Body::Keys(count),
        ..Row::EMPTY
    },
    Row {
        name: "bitfield",
        arity: -2,
        access: RowAccess::Chosen(field::access),
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::Bitmap],
        since: "3.2.0",
        group: Group::Bitmap,
        summary: "Performs arbitrary bitfield integer operations on strings.",
        complexity: "O(1) for each subcommand specified",
        reply: Shape::Array,
        body: Body::Keys(field::bit_field),
        ..Row::EMPTY
    },
    Row {
        name: "bitfield_ro",
        arity: -2,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &[Category::Bitmap],
        since: "6.0.0",
        group: Group::Bitmap,
        summary: "Performs arbitrary read-only bitfield integer operations on strings.",
        complexity: "O(1) for each subcommand specified",
        reply: Shape::Array,
        body: Body::Keys(field::bit_field_read_only),
        ..Row::EMPTY
    },
    Row {
        name: "bitop",
        arity: -4,
        keys: Keys::Function { find: operation_keys, shown: (2, -1, 1) },
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::Bitmap],
        since: "2.6.0",
        group: Group::Bitmap,
        summary: "Performs bitwise operations on multiple strings, and stores the result.",
        complexity: "O(N)",
        reply: Shape::Integer,
        body: Body::Keys(operation),
        ..Row::EMPTY
    },
    Row {
        name: "bitpos",
        arity: -3,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::Bitmap],
        since: "2.8.7",
        group: Group::Bitmap,
        summary: "Finds the first set (1) or clear (0) bit in a string.",
        complexity: "O(N)",
        reply: Shape::Integer,
        body: Body::Keys(position),
        ..Row::EMPTY
    },
    Row {
        name: "getbit",
        arity: 3,
        access: RowAccess::Read,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        categories: &[Category::Bitmap],
        since: "2.2.0",
        group: Group::Bitmap,
        summary: "Returns a bit value by offset.",
        complexity: "O(1)",
        reply: Shape::Integer,
        body: Body::Keys(get),
        ..Row::EMPTY
    },
    Row {
        name: "setbit",
        arity: 4,
        access: RowAccess::Write,
        keys: ONE_KEY,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        categories: &[Category::Bitmap],
        since: "2.2.0",
        group: Group::Bitmap,
        summary: "Sets or clears the bit at offset of the string value. Creates the key if it does not exist.",
        complexity: "O(N) where N is the length of the value",
        reply: Shape::Integer,
        body: Body::Keys(set),
        ..Row::EMPTY
    },
];
