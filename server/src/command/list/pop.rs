//! Taking elements from an end: LPOP, RPOP, LMPOP, and what their sisters that block do when there is something.
//!
//! Promises: a count is never more than what is there, whatever the words claim. A list without elements is no list: its key goes.

use std::ops::Range;

use thermocline::Collection;
use thermocline_value::{length, list};

use super::{End, MISCOUNTED, answer_ranks, list_of, remove_ranks};
use crate::command::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;

const NOT_POSITIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");
const NUMBER_OF_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
const COUNT: CommandError = CommandError::Static("ERR count should be greater than 0");

/// LPOP key [count]
pub(super) fn pop_left(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, End::Left)
}

/// RPOP key [count]
pub(super) fn pop_right(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    pop(context, End::Right)
}

fn pop(context: &mut Context<'_, '_>, end: End) -> Result<(), CommandError> {
    let args = context.args;
    if args.len() > 3 {
        return Err(CommandError::arity(context.name()));
    }
    let count = match args.len() {
        2 => None,
        _ => Some(args.integer(2).ok().and_then(|count| u64::try_from(count).ok()).ok_or(NOT_POSITIVE)?),
    };
    let Some(list) = list_of(context, 0)? else {
        match count {
            Some(_) => context.reply.null_array(),
            None => context.reply.null(),
        }
        return Ok(());
    };
    let ranks = end.ranks(count.unwrap_or(1), length(&list)?);
    if count.is_some() {
        context.reply.array((ranks.end - ranks.start) as usize);
    }
    take(context, 0, list, ranks, end)
}

/// Answers the elements of these ranks one by one, and removes them.
fn take(
    context: &mut Context<'_, '_>,
    key: usize,
    mut list: Collection<'_>,
    ranks: Range<u64>,
    end: End,
) -> Result<(), CommandError> {
    if ranks.end - ranks.start == 1 {
        // One alone brings its own way down.
        context.reply.bulk(list::at(&list, ranks.start)?.ok_or(MISCOUNTED)?);
    } else {
        answer_ranks(context, &list, ranks.clone(), end)?;
    }
    if ranks.end - ranks.start == length(&list)? {
        context.remove(key);
        return Ok(());
    }
    remove_ranks(&mut list, ranks)?;
    context.keep(key, list)
}

/// How what was popped is answered.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// The key, and one element behind it: BLPOP.
    Pair,
    /// The key, and an array of so many elements at most: LMPOP.
    Array(u64),
}

/// Pops from the first of the command's keys that exists, and answers. The first `first_word` names the first key. False: none
/// of them exists, and nothing was answered.
pub(super) fn pop_first(
    context: &mut Context<'_, '_>,
    first_word: usize,
    end: End,
    form: Form,
) -> Result<bool, CommandError> {
    for key in 0..context.keys() {
        let Some(list) = list_of(context, key)? else { continue };
        let count = match form {
            Form::Pair => 1,
            Form::Array(count) => count,
        };
        let ranks = end.ranks(count, length(&list)?);
        context.reply.array(2);
        context.reply.bulk(context.args.at(first_word + key));
        if let Form::Array(_) = form {
            context.reply.array((ranks.end - ranks.start) as usize);
        }
        take(context, key, list, ranks, end)?;
        return Ok(true);
    }
    Ok(false)
}

/// What LMPOP and BLMPOP say from the number of keys on.
#[derive(Copy, Clone, Debug)]
pub(super) struct MultiPop {
    /// The word of the first key.
    pub first_word: usize,
    /// Where elements are taken from.
    pub end: End,
    /// So many, or as many as there are.
    pub count: u64,
}

impl MultiPop {
    /// Reads `numkeys key [key ...] LEFT|RIGHT [COUNT count]` from word `at` on.
    pub fn read(args: &Args<'_>, at: usize) -> Result<MultiPop, CommandError> {
        let positive =
            |at: usize| args.integer(at).ok().and_then(|number| u64::try_from(number).ok()).filter(|n| *n > 0);
        let keys = positive(at).ok_or(NUMBER_OF_KEYS)?;
        let first_word = at + 1;
        // A number beyond the words leaves no word for the end.
        let behind = usize::try_from(keys).ok().and_then(|keys| first_word.checked_add(keys));
        let behind = behind.filter(|behind| *behind < args.len()).ok_or(CommandError::SYNTAX)?;
        let end = End::read(args, behind)?;
        let count = match args.len() - behind {
            1 => 1,
            3 if args.is(behind + 1, "COUNT") => positive(behind + 2).ok_or(COUNT)?,
            4.. if args.is(behind + 1, "COUNT") => {
                // What follows is wrong, but the count is looked at first.
                positive(behind + 2).ok_or(COUNT)?;
                return Err(CommandError::SYNTAX);
            }
            _ => return Err(CommandError::SYNTAX),
        };
        Ok(MultiPop { first_word, end, count })
    }
}

/// LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]
pub(super) fn pop_any(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let MultiPop { first_word, end, count } = MultiPop::read(&context.args, 1)?;
    if !pop_first(context, first_word, end, Form::Array(count))? {
        context.reply.null_array();
    }
    Ok(())
}
