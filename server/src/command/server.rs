//! The small commands of the server family: time, the end, the last save.
//!
//! Promises: SHUTDOWN finishes what runs and closes the store. Never: settings (`config.rs`) or numbers (`info.rs`).

use super::context::{Context, SessionContext};
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, Shape};

fn time(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let now_ms = context.now_ms();
    context.reply.array(2);
    context.reply.bulk_integer((now_ms / 1000) as i64);
    context.reply.bulk_integer((now_ms % 1000 * 1000) as i64);
    Ok(())
}

fn lastsave(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.reply.integer(context.server.last_save_s() as i64);
    Ok(())
}

fn shutdown(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let mut save = None;
    for at in 1..args.len() {
        match args.at(at).to_ascii_lowercase().as_slice() {
            b"save" if save != Some(false) => save = Some(true),
            b"nosave" if save != Some(true) => save = Some(false),
            b"now" | b"force" => {}
            b"abort" if args.len() == 2 => return Err(CommandError::Static("ERR No shutdown in progress.")),
            _ => return Err(CommandError::SYNTAX),
        }
    }
    // SAVE and NOSAVE are the same here: the log is the database, and it is always closed whole.
    tracing::info!("User requested shutdown...");
    context.session.ending = true;
    context.server.begin_shutdown();
    Ok(())
}

const SERVER: Row = Row { group: Group::Server, ..Row::EMPTY };

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "lastsave",
        arity: 1,
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        categories: &[Category::Dangerous],
        summary: "Returns the Unix timestamp of the last successful save to disk.",
        reply: Shape::Integer,
        body: Body::Plain(lastsave),
        ..SERVER
    },
    Row {
        name: "shutdown",
        arity: -1,
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::NoMulti, Flag::AllowBusy]),
        summary: "Synchronously saves the database(s) to disk and shuts down the Redis server.",
        reply: Shape::Nothing,
        body: Body::Plain(shutdown),
        ..SERVER
    },
    Row {
        name: "time",
        arity: 1,
        since: "2.6.0",
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        summary: "Returns the server time.",
        reply: Shape::Array,
        body: Body::Keys(time),
        ..SERVER
    },
];
