//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: what they do to the session. Queueing and executing are the dispatcher's.
//!
//! Promises: states and words are Redis 7.2's: DISCARD and EXEC forget what was watched, WATCH is refused inside MULTI and does
//! nothing once a watched key has changed. Never: touches a value.

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, SessionFuture, Shape};
use crate::transaction::Transaction;

fn multi(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    if context.session.transaction.is_some() {
        return Err(CommandError::Static("ERR MULTI calls can not be nested"));
    }
    let engine = context.engine()?.clone();
    context.session.begin(Transaction::new(engine));
    context.reply.ok();
    Ok(())
}

fn discard(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    if context.session.take_transaction().is_none() {
        return Err(CommandError::Static("ERR DISCARD without MULTI"));
    }
    context.session.watcher = None;
    context.reply.ok();
    Ok(())
}

fn watch<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let engine = context.engine()?;
        let session = &mut *context.session;
        if session.transaction.is_some() {
            return Err(CommandError::Static("ERR WATCH inside MULTI is not allowed"));
        }
        let database = session.database;
        let watcher = session.watcher.get_or_insert_with(|| Box::new(engine.watcher()));
        if !watcher.is_changed() {
            let names: Vec<(u32, &[u8])> = context.args.from(1).map(|name| (database, name)).collect();
            watcher.watch(&names).await?;
        }
        context.reply.ok();
        Ok(())
    })
}

fn unwatch(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.session.watcher = None;
    context.reply.ok();
    Ok(())
}

const TRANSACTION: Row =
    Row { group: Group::Transactions, categories: &[Category::Transaction], reply: Shape::Ok, ..Row::EMPTY };
const OPEN: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy];

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "discard",
        arity: 1,
        flags: Flags::of(OPEN),
        since: "2.0.0",
        summary: "Discards a transaction.",
        complexity: "O(N), when N is the number of queued commands",
        at_once: true,
        body: Body::Plain(discard),
        ..TRANSACTION
    },
    Row {
        name: "exec",
        arity: 1,
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::SkipSlowlog]),
        since: "1.2.0",
        summary: "Executes all commands in a transaction.",
        complexity: "Depends on commands in the transaction",
        reply: Shape::Any,
        at_once: true,
        body: Body::Exec,
        ..TRANSACTION
    },
    Row {
        name: "multi",
        arity: 1,
        flags: Flags::of(OPEN),
        since: "1.2.0",
        summary: "Starts a transaction.",
        complexity: "O(1)",
        at_once: true,
        body: Body::Plain(multi),
        ..TRANSACTION
    },
    Row {
        name: "unwatch",
        arity: 1,
        flags: Flags::of(OPEN),
        since: "2.2.0",
        summary: "Forgets about watched keys of a transaction.",
        complexity: "O(1)",
        body: Body::Plain(unwatch),
        ..TRANSACTION
    },
    Row {
        name: "watch",
        arity: -2,
        access: RowAccess::Peek,
        keys: Keys::Range { first: 1, last: -1, step: 1 },
        flags: Flags::of(OPEN),
        since: "2.2.0",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        complexity: "O(1) for every key.",
        at_once: true,
        body: Body::Session(watch),
        ..TRANSACTION
    },
];
