//! Whether keys are there and what they are: EXISTS, TOUCH, TYPE, DEL, UNLINK.
//!
//! Promises: a key named twice is removed once but counted twice by EXISTS and TOUCH, as in Redis.

use crate::command::context::Context;
use crate::command::reply::CommandError;

/// EXISTS key [key ...] and TOUCH key [key ...]: how many are there. The row's access makes the difference.
pub(super) fn count(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let present = context.views().iter().flatten().count();
    context.reply.integer(present as i64);
    Ok(())
}

/// DEL key [key ...] and UNLINK key [key ...]
pub(super) fn remove(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let mut removed = 0;
    for key in 0..context.keys() {
        if !context.is_repeat(key) {
            removed += i64::from(context.view(key).is_some());
            // What cannot be seen goes too: an expired value, and one that is damaged on the SSD.
            context.remove(key);
        }
    }
    context.reply.integer(removed);
    Ok(())
}

/// TYPE key
pub(super) fn kind(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let name = context.view(0).map_or("none", |view| view.kind.name());
    context.reply.simple(name);
    Ok(())
}
