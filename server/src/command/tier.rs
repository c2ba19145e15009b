//! TIER: where values lie, and moving them by hand.
//!
//! Promises: DEMOTE and PROMOTE change no value; INFO, KEY and the counts are for people and tools, fields are only ever added.
//! These are the only commands that know there is an SSD.

use thermocline::Tier;

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, SessionFuture, Shape};
use crate::config::memory;
use crate::metrics::tier_fields;

/// As clients read it.
pub(super) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Hot => "hot",
        Tier::Cold => "cold",
        Tier::Miss => "miss",
    }
}

fn info(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let fields = tier_fields(context.server);
    context.reply.map(fields.len());
    for (name, value) in fields {
        context.reply.bulk(name.as_bytes());
        context.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// What these sizes of `maxmemory` would do; `TIER ADVISE [size ...]`.
fn advise(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let mut sizes = Vec::new();
    for word in context.args.from(2) {
        let text = String::from_utf8_lossy(word);
        let bytes = memory::bytes(&text).filter(|&bytes| bytes >= thermocline::options::MAX_MEMORY_BYTES_MIN);
        sizes.push(bytes.ok_or_else(|| {
            CommandError::built(format_args!(
                "ERR '{text}' is no size of maxmemory: give bytes such as 4gb, at least 64mb"
            ))
        })?);
    }
    if !context.server.settings.is_yes("tier-advise") {
        return Err(CommandError::built(format_args!(
            "ERR no requests are sampled: start the server with tier-advise yes"
        )));
    }
    let Some(advice) = context.engine()?.advise(&sizes) else {
        return Err(CommandError::built(format_args!(
            "ERR nothing was read yet: ask again when clients have read for a while"
        )));
    };
    let reply = &mut context.reply;
    reply.map(7);
    reply.bulk(b"maxmemory");
    reply.integer(advice.max_memory as i64);
    reply.bulk(b"reads_per_second");
    reply.double(rounded(advice.reads_per_second, 1e1));
    reply.bulk(b"sampled_keys");
    reply.integer(advice.sampled_keys as i64);
    reply.bulk(b"sample_rate");
    reply.double(rounded(advice.sample_rate, 1e6));
    reply.bulk(b"sampled_reads");
    reply.integer(advice.sampled_reads as i64);
    reply.bulk(b"sample_bytes");
    reply.integer(advice.sample_bytes as i64);
    reply.bulk(b"sizes");
    reply.array(advice.sizes.len());
    for size in &advice.sizes {
        reply.map(3);
        reply.bulk(b"maxmemory");
        reply.integer(size.max_memory as i64);
        reply.bulk(b"hot_share");
        reply.double(rounded(size.hot_share, 1e4));
        reply.bulk(b"ssd_reads_per_second");
        reply.double(rounded(size.cold_reads_per_second, 1e1));
    }
    Ok(())
}

/// As many digits as the estimate deserves.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

fn key<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let engine = context.engine()?;
        let key = engine.key(engine.space(context.session.database), context.args.at(2));
        let Some(location) = engine.locate(&key).await? else {
            context.reply.null();
            return Ok(());
        };
        let numbers = [
            ("length", location.length as i64),
            ("memory_bytes", location.memory_bytes as i64),
            ("disk_bytes", i64::from(location.place_bytes)),
            ("read_bytes", i64::from(location.reads_bytes)),
            ("segment", location.segment.map_or(-1, i64::from)),
            ("epoch", i64::from(location.epoch)),
            ("offset", i64::from(location.offset)),
            ("heat", i64::from(location.heat)),
            ("expires_at_ms", location.expires_at_ms.map_or(-1, |at_ms| at_ms as i64)),
        ];
        let reply = &mut context.reply;
        reply.map(numbers.len() + 3);
        reply.bulk(b"tier");
        reply.bulk(tier_name(location.tier).as_bytes());
        reply.bulk(b"type");
        reply.bulk(location.kind.name().as_bytes());
        reply.bulk(b"dirty");
        reply.boolean(location.dirty);
        for (name, number) in numbers {
            reply.bulk(name.as_bytes());
            reply.integer(number);
        }
        Ok(())
    })
}

fn backup<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        context.engine()?;
        let name = context.server.backups.begin(context.server, context.args.get(2)).await?;
        context.reply.bulk(name.as_bytes());
        Ok(())
    })
}

fn demote<'c>(context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(each(context, true))
}

fn promote<'c>(context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(each(context, false))
}

/// Moves each key; answers how many lie there now.
async fn each(mut context: SessionContext<'_>, demote: bool) -> Result<(), CommandError> {
    let engine = context.engine()?;
    let space = engine.space(context.session.database);
    let mut moved = 0;
    for word in context.args.from(2) {
        let key = engine.key(space, word);
        let there = if demote { engine.demote(&key).await? } else { engine.promote(&key).await? };
        moved += i64::from(there);
    }
    context.reply.integer(moved);
    Ok(())
}

fn help(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    super::help(
        &mut context.reply,
        "TIER",
        &[
            "ADVISE [<maxmemory> ...]",
            "    Return which share of the reads other sizes of maxmemory would serve from memory, and how many reads a",
            "    second would go to the SSD: by a sample of what was asked for of late. Sizes as in the configuration: 4gb.",
            "BACKUP [<name>]",
            "    Begin a copy of everything acknowledged so far into backup-dir. Returns its name; INFO persistence",
            "    tells how far it is. `thermocline restore` makes a data directory of it.",
            "DEMOTE <key> [<key> ...]",
            "    Move values to the SSD. Returns how many lie there now.",
            "INFO",
            "    Return the numbers of both tiers.",
            "KEY <key>",
            "    Return where a key lies and what it takes.",
            "PROMOTE <key> [<key> ...]",
            "    Move values into memory. Returns how many lie there now.",
        ],
    );
    Ok(())
}

const TIER: Row = Row { group: Group::Server, since: "7.2.0", ..Row::EMPTY };

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "tier",
    arity: -2,
    summary: "A container for commands about memory and SSD.",
    complexity: "Depends on subcommand.",
    subcommands: &[
        Row {
            name: "advise",
            arity: -2,
            flags: Flags::of(&[Flag::Admin]),
            summary: "Returns what other sizes of maxmemory would do to the hit ratio.",
            complexity: "O(N) where N is the number of sizes",
            reply: Shape::Map,
            body: Body::Plain(advise),
            ..TIER
        },
        Row {
            name: "backup",
            arity: -2,
            flags: Flags::of(&[Flag::Admin, Flag::NoMulti]),
            summary: "Begins a backup of the store into backup-dir.",
            complexity: "O(1); the copy goes on in the background",
            reply: Shape::Bulk,
            body: Body::Session(backup),
            ..TIER
        },
        Row {
            name: "demote",
            arity: -3,
            access: RowAccess::Peek,
            keys: Keys::Range { first: 2, last: -1, step: 1 },
            categories: &[Category::Keyspace],
            summary: "Moves values to the SSD.",
            complexity: "O(N) where N is the number of keys",
            reply: Shape::Integer,
            body: Body::Session(demote),
            ..TIER
        },
        Row {
            name: "help",
            arity: 2,
            flags: Flags::of(&[Flag::Loading, Flag::Stale]),
            summary: "Returns helpful text about the different subcommands.",
            reply: Shape::Array,
            body: Body::Plain(help),
            ..TIER
        },
        Row {
            name: "info",
            arity: 2,
            flags: Flags::of(&[Flag::Stale]),
            summary: "Returns the numbers of both tiers.",
            reply: Shape::Map,
            body: Body::Plain(info),
            ..TIER
        },
        Row {
            name: "key",
            arity: 3,
            access: RowAccess::Peek,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            categories: &[Category::Keyspace],
            flags: Flags::of(&[Flag::ReadOnly]),
            summary: "Returns where a key lies and what it takes.",
            reply: Shape::Map,
            body: Body::Session(key),
            ..TIER
        },
        Row {
            name: "promote",
            arity: -3,
            access: RowAccess::Peek,
            keys: Keys::Range { first: 2, last: -1, step: 1 },
            categories: &[Category::Keyspace],
            summary: "Moves values into memory.",
            complexity: "O(N) where N is the number of keys",
            reply: Shape::Integer,
            body: Body::Session(promote),
            ..TIER
        },
    ],
    ..TIER
}];
