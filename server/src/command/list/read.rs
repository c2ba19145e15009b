//! Looking: LINDEX, LLEN, LRANGE.
//!
//! Promises: only the part that is asked for is brought into memory.

use thermocline_value::{length, list};

use super::{End, answer_ranks, index_from, list_of};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// LINDEX key index
pub(super) fn element_at(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let Some(list) = list_of(context, 0)? else {
        context.reply.null();
        return Ok(());
    };
    let index = context.args.integer(2)?;
    let found = match index_from(index, length(&list)?) {
        Some(index) => {
            list.ready(|list, missing| list::touch_ranks(list, index..index + 1, missing))?;
            list::at(&list, index)?
        }
        None => None,
    };
    match found {
        Some(element) => context.reply.bulk(element),
        None => context.reply.null(),
    }
    Ok(())
}

/// LLEN key
pub(super) fn count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let count = match list_of(context, 0)? {
        Some(list) => length(&list)?,
        None => 0,
    };
    context.reply.integer(count.cast_signed());
    Ok(())
}

/// LRANGE key start stop
pub(super) fn range(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let (start, stop) = (context.args.integer(2)?, context.args.integer(3)?);
    let Some(list) = list_of(context, 0)? else {
        context.reply.array(0);
        return Ok(());
    };
    let ranks = super::ranks_between(start, stop, length(&list)?);
    context.reply.array((ranks.end - ranks.start) as usize);
    answer_ranks(context, &list, ranks, End::Left)
}
