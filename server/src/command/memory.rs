//! MEMORY: what a key weighs.
//!
//! A string and a small collection lie in one cell, whose size is known. A large collection lies in nodes, each of which is in
//! memory or on the SSD by itself. What all of them would take is estimated, as Redis does, from a few elements:
//!
//! ```text
//!  cell of the root + elements x (mean bytes + bytes around an element) x (leaf + bytes around a node) / leaf
//! ```
//! Promises: looks at as many elements as SAMPLES says (5; 0 is all). Never: counts what lies on the SSD, but for the nodes of a
//! large collection, of which it does not ask where they lie.

use thermocline::{Access, Kind};
use thermocline_value::length;

use super::context::SessionContext;
use super::elements::{self, Walk, Way};
use super::look::{Look, look};
use super::reply::CommandError;
use super::row::{Body, Flag, Flags, Group, Keys, Row, RowAccess, SessionFuture, Shape};

const SAMPLES_DEFAULT: u64 = 5;
/// Around a node: its cell's head and name, its slot, its line in the node above.
const NODE_OVERHEAD_BYTES: f64 = 64.0;
/// Leaves are about 70 % full: of 2 KiB for a list, of 512 bytes for all others.
const LIST_LEAF_BYTES: f64 = 0.7 * 2048.0;
const LEAF_BYTES: f64 = 0.7 * 512.0;
const SCORE_BYTES: f64 = 8.0;

fn usage<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let args = context.args;
        let mut samples = SAMPLES_DEFAULT;
        let mut at = 3;
        while at < args.len() {
            if !args.is(at, "SAMPLES") || at + 1 == args.len() {
                return Err(CommandError::SYNTAX);
            }
            samples = u64::try_from(args.integer(at + 1)?).map_err(|_| CommandError::SYNTAX)?;
            at += 2;
        }
        if samples == 0 {
            samples = u64::MAX;
        }
        let engine = context.engine()?;
        let (database, name) = (context.session.database, args.at(2));
        match engine.locate(&engine.key(engine.space(database), name)).await? {
            None => context.reply.null(),
            Some(location) => {
                let nodes = look(engine, (database, name), Access::Peek, |seen| nodes_bytes(seen, samples)).await?;
                context.reply.integer(location.memory_bytes.saturating_add(nodes.unwrap_or(0)).cast_signed());
            }
        }
        Ok(())
    })
}

/// About what the nodes of a large collection take.
fn nodes_bytes(seen: &Look<'_>, samples: u64) -> Result<u64, CommandError> {
    let Some(collection) = seen.collection.as_ref().filter(|collection| !collection.is_run()) else { return Ok(0) };
    let count = length(collection)?;
    let (mut sampled, mut bytes) = (0u64, 0u64);
    elements::each(collection, 0..samples.min(count), Way::Forward, |element| {
        sampled += 1;
        bytes += elements::element_bytes(&element) as u64;
        Ok::<Walk, CommandError>(Walk::On)
    })?;
    let mean = bytes as f64 / sampled.max(1) as f64;
    // A member of a sorted set stands in both of its trees.
    let (stored, leaf) = match collection.kind() {
        Kind::List => (mean + 1.25, LIST_LEAF_BYTES),
        Kind::Set => (mean + 2.25, LEAF_BYTES),
        Kind::SortedSet => (2.0 * (mean + SCORE_BYTES) + 1.25 + 2.25, LEAF_BYTES),
        _ => (mean + 3.25, LEAF_BYTES),
    };
    let leaf = leaf.max(stored);
    Ok((count as f64 * stored * (leaf + NODE_OVERHEAD_BYTES) / leaf) as u64)
}

fn help(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    super::help(
        &mut context.reply,
        "MEMORY",
        &[
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. What lies on the SSD is not memory.",
            "    Of a large collection the bytes are estimated as if all of it were in memory, from",
            "    <count> elements (default: 5, 0 means all of them).",
        ],
    );
    Ok(())
}

const MEMORY: Row = Row { group: Group::Server, since: "4.0.0", ..Row::EMPTY };

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "memory",
    arity: -2,
    summary: "A container for memory diagnostics commands.",
    complexity: "Depends on subcommand.",
    subcommands: &[
        Row {
            name: "help",
            arity: 2,
            flags: Flags::of(&[Flag::Loading, Flag::Stale]),
            summary: "Returns helpful text about the different subcommands.",
            reply: Shape::Array,
            body: Body::Plain(help),
            ..MEMORY
        },
        Row {
            name: "usage",
            arity: -3,
            access: RowAccess::Peek,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            flags: Flags::of(&[Flag::ReadOnly]),
            summary: "Estimates the memory usage of a key.",
            complexity: "O(N) where N is the number of samples.",
            reply: Shape::Integer,
            body: Body::Session(usage),
            ..MEMORY
        },
    ],
    ..MEMORY
}];
