//! Whole databases change: FLUSHDB, FLUSHALL, SWAPDB.
//!
//! Promises: a database is replaced by an empty one at once, whatever its size; in a transaction the change is part of its
//! group. Never: walks over keys.

use super::relocate::int;
use crate::command::args::Args;
use crate::command::context::Facts;
use crate::command::reply::CommandError;
use crate::command::row::DatabaseChange;

/// FLUSHDB [ASYNC | SYNC]: both are the same.
pub(super) fn flush(args: &Args<'_>, facts: Facts<'_>) -> Result<DatabaseChange, CommandError> {
    check_flush_option(args)?;
    Ok(DatabaseChange::Flush(facts.database))
}

/// FLUSHALL [ASYNC | SYNC]
pub(super) fn flush_all(args: &Args<'_>, _facts: Facts<'_>) -> Result<DatabaseChange, CommandError> {
    check_flush_option(args)?;
    Ok(DatabaseChange::FlushAll)
}

fn check_flush_option(args: &Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(CommandError::SYNTAX),
    }
}

/// SWAPDB index1 index2
pub(super) fn swap(args: &Args<'_>, facts: Facts<'_>) -> Result<DatabaseChange, CommandError> {
    let first = int(args, 1, Some("ERR invalid first DB index"))?;
    let second = int(args, 2, Some("ERR invalid second DB index"))?;
    let existing = |number: i32| {
        let number = u32::try_from(number).ok();
        number.filter(|number| *number < facts.engine().databases()).ok_or(CommandError::DATABASE)
    };
    Ok(DatabaseChange::Swap(existing(first)?, existing(second)?))
}
