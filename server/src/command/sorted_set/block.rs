//! The commands that wait for a member: BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! Each is its sister that does not wait, and the words on top of that. How waiting works stands in `dispatch/block.rs`.
//!
//! Promises: what is there is taken at once; the time is looked at even then. Never: waits itself.

use super::Form;
use super::pop::{MultiPop, Pop, pop_first};
use crate::command::blocking::{check_time, or_wait, sorted_set_rows};
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::Row;

/// BZPOPMIN key [key ...] timeout
fn pop_min(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, false)
}

/// BZPOPMAX key [key ...] timeout
fn pop_max(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, true)
}

fn pop(context: &mut Context<'_, '_>, highest: bool) -> Result<(), CommandError> {
    check_time(context, context.args.len() - 1)?;
    let found = pop_first(context, 1, &Pop { highest, count: 1, form: Form::Flat, names_key: true })?;
    or_wait(context, found, |reply| reply.null_array())
}

/// BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]
fn pop_any(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let MultiPop { first_word, pop } = MultiPop::read(&context.args, 2)?;
    check_time(context, 1)?;
    let found = pop_first(context, first_word, &pop)?;
    or_wait(context, found, |reply| reply.null_array())
}

/// Their rows.
pub const ROWS: &[Row] = &sorted_set_rows(pop_any, pop_max, pop_min);
