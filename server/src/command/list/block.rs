//! The commands that wait for an element: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP.
//!
//! Each is its sister that does not wait, and the words on top of that. How waiting works stands in `dispatch/block.rs`.
//!
//! Promises: what is there is taken at once; the time is looked at even then. Never: waits itself.

use super::End;
use super::pop::{Form, MultiPop, pop_first};
use super::transfer::move_one;
use crate::command::blocking::{check_time, or_wait};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// BLPOP key [key ...] timeout
pub(super) fn pop_left(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, End::Left)
}

/// BRPOP key [key ...] timeout
pub(super) fn pop_right(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, End::Right)
}

fn pop(context: &mut Context<'_, '_>, end: End) -> Result<(), CommandError> {
    check_time(context, context.args.len() - 1)?;
    let found = pop_first(context, 1, end, Form::Pair)?;
    or_wait(context, found, |reply| reply.null_array())
}

/// BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn pop_any(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let MultiPop { first_word, end, count } = MultiPop::read(&context.args, 2)?;
    check_time(context, 1)?;
    let found = pop_first(context, first_word, end, Form::Array(count))?;
    or_wait(context, found, |reply| reply.null_array())
}

/// BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout
pub(super) fn transfer(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let (from, to) = (End::read(&context.args, 3)?, End::read(&context.args, 4)?);
    move_or_wait(context, from, to)
}

/// BRPOPLPUSH source destination timeout
pub(super) fn pop_push(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    move_or_wait(context, End::Right, End::Left)
}

fn move_or_wait(context: &mut Context<'_, '_>, from: End, to: End) -> Result<(), CommandError> {
    check_time(context, context.args.len() - 1)?;
    let found = move_one(context, from, to)?;
    or_wait(context, found, |reply| reply.null())
}
