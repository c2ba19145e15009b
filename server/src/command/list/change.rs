//! Changing a list where it is: LSET, LTRIM.
//!
//! Promises: what LTRIM takes away is not looked at; LSET touches one element.

use thermocline_value::{length, list};

use super::{index_from, list_of, ranks_between, remove_ranks};
use crate::command::context::Context;
use crate::command::reply::CommandError;

const NO_SUCH_INDEX: CommandError = CommandError::Static("ERR index out of range");

/// LSET key index element
pub(super) fn set(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let mut list = list_of(context, 0)?.ok_or(CommandError::NO_SUCH_KEY)?;
    let index = index_from(context.args.integer(2)?, length(&list)?).ok_or(NO_SUCH_INDEX)?;
    list.ready(|list, missing| list::touch_ranks(list, index..index + 1, missing))?;
    if !list::set(&mut list, index, context.args.at(3))? {
        return Err(NO_SUCH_INDEX);
    }
    context.keep(0, list)?;
    context.reply.ok();
    Ok(())
}

/// LTRIM key start stop
pub(super) fn trim(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let (start, stop) = (context.args.integer(2)?, context.args.integer(3)?);
    if let Some(mut list) = list_of(context, 0)? {
        let length = length(&list)?;
        let kept = ranks_between(start, stop, length);
        if kept.is_empty() {
            context.remove(0);
        } else {
            let (front, back) = (0..kept.start, kept.end..length);
            list.ready(|list, missing| {
                list::touch_remove(list, back.clone(), missing)?;
                list::touch_remove(list, front.clone(), missing)
            })?;
            remove_ranks(&mut list, back)?;
            remove_ranks(&mut list, front)?;
            context.keep(0, list)?;
            // Redis tells whoever watches the key even when nothing goes.
            context.touch(0);
        }
    }
    context.reply.ok();
    Ok(())
}
