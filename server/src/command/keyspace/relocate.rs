//! The same value under another name: RENAME, RENAMENX, COPY, MOVE. The time to live goes along.
//!
//! A large collection lies in nodes. They belong to the collection and to its database, not to its key's name: RENAME hands the
//! root to the new key as it is, in no time; COPY and MOVE make another collection of the same elements.
//!
//! Promises: both keys change in one group or neither does; nothing is changed when the answer is an error or 0.

use thermocline::{Access, Expiry, View};

use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::elements::{any_collection, copy};
use crate::command::reply::CommandError;
use crate::command::row::KeyArgument;

const SOURCE: usize = 0;
const TARGET: usize = 1;

fn key(word: usize, access: Access, database: Option<u32>) -> KeyArgument {
    KeyArgument { word, access, database }
}

/// The keys of RENAME: the source is needed whole and goes, the target is overwritten.
pub(super) fn rename_keys(_args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    keys.extend([key(1, Access::Write, None), key(2, Access::Overwrite, None)]);
    Ok(())
}

/// RENAME key newkey
pub(super) fn rename(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let source = context.view(SOURCE).ok_or(CommandError::NO_SUCH_KEY)?;
    if !context.is_repeat(TARGET) {
        write_target(context, &source);
        context.remove(SOURCE);
    }
    context.reply.ok();
    Ok(())
}

/// RENAMENX key newkey
pub(super) fn rename_if_missing(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let source = context.view(SOURCE).ok_or(CommandError::NO_SUCH_KEY)?;
    let moves = context.view(TARGET).is_none();
    if moves {
        write_target(context, &source);
        context.remove(SOURCE);
    }
    context.reply.integer(i64::from(moves));
    Ok(())
}

/// The keys of MOVE: the same name here and there.
pub(super) fn move_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    let target = database(args, 2)?;
    keys.extend([key(1, Access::Write, None), key(1, Access::Overwrite, Some(target))]);
    Ok(())
}

/// MOVE key db
pub(super) fn move_to_database(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let target = database(&context.args, 2)?;
    if target == context.facts().database {
        return Err(CommandError::SAME_OBJECT);
    }
    let source = context.view(SOURCE).filter(|_| context.view(TARGET).is_none());
    if let Some(source) = source {
        copy_target(context, &source, (target, context.args.at(1)))?;
        context.remove(SOURCE);
    }
    context.reply.integer(i64::from(source.is_some()));
    Ok(())
}

#[derive(Default)]
struct CopyOptions {
    database: Option<u32>,
    replace: bool,
}

impl CopyOptions {
    /// Reads on until something is wrong; what was read before that stays.
    fn parse(&mut self, args: &Args<'_>) -> Result<(), CommandError> {
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "REPLACE") {
                self.replace = true;
            } else if args.is(at, "DB") && at + 1 < args.len() {
                at += 1;
                self.database = Some(database(args, at)?);
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }
}

/// The keys of COPY. A database comes before a wrong option behind it: the dispatcher refuses the one, the body the other.
pub(super) fn copy_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    let mut options = CopyOptions::default();
    let parsed = options.parse(args);
    if options.database.is_none() {
        parsed?;
    }
    keys.extend([key(1, Access::Read, None), key(2, Access::Overwrite, options.database)]);
    Ok(())
}

/// COPY source destination [DB destination-db] [REPLACE]
pub(super) fn copy_key(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let mut options = CopyOptions::default();
    options.parse(&context.args)?;
    if context.is_repeat(TARGET) {
        return Err(CommandError::SAME_OBJECT);
    }
    let source = context.view(SOURCE).filter(|_| options.replace || context.view(TARGET).is_none());
    if let Some(source) = source {
        let target = options.database.unwrap_or(context.facts().database);
        copy_target(context, &source, (target, context.args.at(2)))?;
    }
    context.reply.integer(i64::from(source.is_some()));
    Ok(())
}

/// The value as it is becomes the target's.
fn write_target(context: &mut Context<'_, '_>, source: &View<'_>) {
    context.put_with(TARGET, source.kind, expiry_of(source), |buffer| buffer.extend_from_slice(source.value));
}

/// A copy of the value becomes that of the target, which has this name in this database.
fn copy_target<'c>(
    context: &mut Context<'c, '_>,
    source: &View<'c>,
    (database, name): (u32, &'c [u8]),
) -> Result<(), CommandError> {
    match any_collection(context, Some(source)).filter(|collection| !collection.is_run()) {
        None => write_target(context, source),
        Some(from) => {
            let mut into = context.new_collection_for(source.kind, database, name);
            copy(&from, &mut into)?;
            context.replace(TARGET, into, expiry_of(source))?;
        }
    }
    Ok(())
}

fn expiry_of(view: &View<'_>) -> Expiry {
    view.expires_at_ms.map_or(Expiry::Clear, Expiry::At)
}

/// A database's number as Redis reads it. Whether there is one with that number, the dispatcher knows.
fn database(args: &Args<'_>, at: usize) -> Result<u32, CommandError> {
    let number = int(args, at, None)?;
    u32::try_from(number).map_err(|_| CommandError::DATABASE)
}

/// Word `at` as a C int; `refusal` is the text for anything else, if there is a special one.
pub(super) fn int(args: &Args<'_>, at: usize, refusal: Option<&'static str>) -> Result<i32, CommandError> {
    let special = |error| refusal.map_or(error, CommandError::Static);
    let number = args.integer(at).map_err(special)?;
    i32::try_from(number).map_err(|_| {
        special(CommandError::Static("ERR value is out of range, value must between -2147483648 and 2147483647"))
    })
}
