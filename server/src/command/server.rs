//! The small commands of the server family: time, saving, the end.
//!
//! Promises: SHUTDOWN finishes what runs and closes the store; SAVE answers when the file is there. Never: settings (`config.rs`) or numbers (`info.rs`).

use super::context::{Context, SessionContext};
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, SessionFuture, Shape};

fn time(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let now_ms = context.now_ms();
    context.reply.array(2);
    context.reply.bulk_integer((now_ms / 1000) as i64);
    context.reply.bulk_integer((now_ms % 1000 * 1000) as i64);
    Ok(())
}

fn lastsave(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.reply.integer(context.server.snapshots.last_save_s(context.server) as i64);
    Ok(())
}

fn save<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        context.engine()?;
        context.server.snapshots.save(context.server).await?;
        context.reply.ok();
        Ok(())
    })
}

fn bgsave<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        context.engine()?;
        match context.args.get(1) {
            None => {}
            Some(word) if context.args.len() == 2 && word.eq_ignore_ascii_case(b"schedule") => {}
            Some(_) => return Err(CommandError::SYNTAX),
        }
        let snapshots = &context.server.snapshots;
        // SCHEDULE is for a server that could not fork just now: here one can always be begun.
        if context.session.is_executing {
            snapshots.schedule();
            context.reply.simple("Background saving scheduled");
        } else {
            snapshots.begin(context.server).await?;
            context.reply.simple("Background saving started");
        }
        Ok(())
    })
}

fn shutdown<'c>(context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(end(context))
}

async fn end(context: SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let (mut save, mut force) = (None, false);
    for at in 1..args.len() {
        match args.at(at).to_ascii_lowercase().as_slice() {
            b"save" if save != Some(false) => save = Some(true),
            b"nosave" if save != Some(true) => save = Some(false),
            b"now" => {}
            b"force" => force = true,
            b"abort" if args.len() == 2 => return Err(CommandError::Static("ERR No shutdown in progress.")),
            _ => return Err(CommandError::SYNTAX),
        }
    }
    tracing::info!("User requested shutdown...");
    // The log is the database, and it is always closed whole: a file is written for those only who ask for it.
    if save == Some(true)
        && context.server.store().is_some()
        && let Err(error) = context.server.snapshots.save(context.server).await
        && !force
    {
        tracing::error!(?error, "the file of SHUTDOWN SAVE was not written: the server goes on");
        return Err(CommandError::Static("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    context.session.ending = true;
    context.server.begin_shutdown();
    Ok(())
}

const SERVER: Row = Row { group: Group::Server, ..Row::EMPTY };

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "bgsave",
        arity: -1,
        flags: Flags::of(&[Flag::Admin, Flag::NoScript]),
        summary: "Asynchronously saves the database(s) to disk.",
        reply: Shape::Simple,
        body: Body::Session(bgsave),
        ..SERVER
    },
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
        name: "save",
        arity: 1,
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::NoMulti]),
        summary: "Synchronously saves the database(s) to disk.",
        complexity: "O(N) where N is the total number of keys in all databases",
        reply: Shape::Ok,
        body: Body::Session(save),
        ..SERVER
    },
    Row {
        name: "shutdown",
        arity: -1,
        flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale, Flag::NoMulti, Flag::AllowBusy]),
        summary: "Synchronously saves the database(s) to disk and shuts down the Redis server.",
        reply: Shape::Nothing,
        body: Body::Session(shutdown),
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
