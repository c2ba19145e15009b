//! WAIT and WAITAOF: a client waits until what it wrote is somewhere else, too.
//!
//! There are no replicas: a WAIT for one ends with its time. WAITAOF 1 0 brings the log to the device at once, whatever
//! `appendfsync` says, so it never waits for the clock.
//!
//! Promises: words are Redis 7.2's; only this client waits; inside a transaction nobody does. Never: touches a value.

use std::time::Duration;

use super::Args;
use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, SessionFuture, Shape};
use crate::clients::SentOn;

/// A time in milliseconds; `None`: for ever.
fn timeout(args: &Args<'_>, at: usize, now_ms: u64) -> Result<Option<Duration>, CommandError> {
    let milliseconds =
        args.integer(at).map_err(|_| CommandError::Static("ERR timeout is not an integer or out of range"))?;
    let milliseconds = u64::try_from(milliseconds).map_err(|_| CommandError::Static("ERR timeout is negative"))?;
    if milliseconds > (i64::MAX as u64).saturating_sub(now_ms) {
        return Err(CommandError::Static("ERR timeout is out of range"));
    }
    Ok((milliseconds > 0).then(|| Duration::from_millis(milliseconds)))
}

/// Waits for something, until the time is over, somebody sends the client on, or it is gone. `None`: it did not come.
///
/// # Errors
/// The client was sent on with one.
async fn wait_for<T>(
    context: &SessionContext<'_>,
    time: Option<Duration>,
    comes: impl Future<Output = T>,
) -> Result<Option<T>, CommandError> {
    let waiting = context.session.client.wait();
    let over = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        came = comes => Ok(Some(came)),
        () = over => Ok(None),
        how = waiting.sent_on() => if how == SentOn::Error { Err(CommandError::UNBLOCKED) } else { Ok(None) },
    }
}

/// Waits for what never comes.
async fn wait_in_vain(context: &SessionContext<'_>, time: Option<Duration>) -> Result<(), CommandError> {
    wait_for(context, time, std::future::pending::<()>()).await.map(|_| ())
}

/// WAIT numreplicas timeout
fn wait<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let replicas = context.args.integer(1)?;
        let time = timeout(&context.args, 2, context.server.now_ms())?;
        if replicas > 0 && !context.session.is_executing {
            wait_in_vain(&context, time).await?;
        }
        context.reply.integer(0);
        Ok(())
    })
}

/// WAITAOF numlocal numreplicas timeout
fn wait_for_log<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let args = context.args;
        let local = args.integer(1)?;
        if !(0..=1).contains(&local) {
            return Err(CommandError::Static("ERR value is out of range, value must between 0 and 1"));
        }
        let replicas = args.integer(2)?;
        if replicas < 0 {
            return Err(CommandError::Static("ERR value is out of range, must be positive"));
        }
        let engine = context.engine()?;
        let time = timeout(&args, 3, engine.now_ms())?;
        let logs = engine.durability().logs();
        if local > 0 && !logs {
            return Err(CommandError::Static(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        // What anybody has written covers what this client has.
        let seq = engine.written_seq();
        if !context.session.is_executing {
            let began_us = engine.monotonic_us();
            let mut is_over = false;
            if local > 0 && !engine.is_durable(seq) {
                is_over = wait_for(&context, time, engine.flush_log(seq)).await?.transpose()?.is_none();
            }
            if replicas > 0 && !is_over {
                let spent = Duration::from_micros(engine.monotonic_us().saturating_sub(began_us));
                wait_in_vain(&context, time.map(|time| time.saturating_sub(spent))).await?;
            }
        }
        context.reply.array(2);
        context.reply.integer(i64::from(logs && engine.is_durable(seq)));
        context.reply.integer(0);
        Ok(())
    })
}

const WAIT: Row = Row {
    group: Group::Generic,
    categories: &[Category::Connection],
    flags: Flags::of(&[Flag::Blocking]),
    complexity: "O(1)",
    ..Row::EMPTY
};

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "wait",
        arity: 3,
        since: "3.0.0",
        summary: "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        reply: Shape::Integer,
        body: Body::Session(wait),
        ..WAIT
    },
    Row {
        name: "waitaof",
        arity: 4,
        since: "7.2.0",
        summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
        reply: Shape::Array,
        body: Body::Session(wait_for_log),
        ..WAIT
    },
];
