//! HSCAN: a hash, a few fields at a time.
//!
//! Promises: a field that stays is shown exactly once; a small hash is shown at once, whatever COUNT says.
//! Never: shows an expired field.

use thermocline_value::{Case, HashEntry, glob_match, hash};

use super::{existing, fits, lives};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::keyspace::{SCAN_BROUGHT_MAX, cursor};
use crate::command::reply::CommandError;

/// Fields that are looked at when COUNT is not said.
const COUNT_DEFAULT: i64 = 10;

/// What is to be shown.
struct Options<'a> {
    /// None: every field.
    pattern: Option<&'a [u8]>,
    count: usize,
    values: bool,
}

impl<'a> Options<'a> {
    fn parse(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options { pattern: None, count: COUNT_DEFAULT as usize, values: true };
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "COUNT") && at + 1 < args.len() {
                let count = args.integer(at + 1)?;
                options.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::SYNTAX)?;
                at += 2;
            } else if args.is(at, "MATCH") && at + 1 < args.len() {
                options.pattern = Some(args.at(at + 1)).filter(|pattern| *pattern != b"*");
                at += 2;
            } else if args.is(at, "NOVALUES") {
                options.values = false;
                at += 1;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(options)
    }

    fn shows(&self, field: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, field, Case::Sensitive))
    }
}

/// HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
pub(super) fn scan(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let cursor = cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let Some(collection) = existing(context)? else {
        // Options are not looked at then.
        context.reply.array(2);
        context.reply.bulk(b"0");
        context.reply.array(0);
        return Ok(());
    };
    let options = Options::parse(&args)?;
    let brought = SCAN_BROUGHT_MAX.min(options.count as u64);
    collection.ready(|nodes, missing| hash::touch_scan(nodes, cursor, brought, missing))?;
    let mut found: Vec<HashEntry<'_>> = Vec::new();
    let next = hash::scan(&collection, cursor, options.count, |entry| {
        if lives(context, &entry) && options.shows(entry.field) {
            found.push(entry);
        }
    })?;
    context.reply.array(2);
    context.reply.bulk(next.to_string().as_bytes());
    context.reply.array(if options.values { found.len() * 2 } else { found.len() });
    let start = context.reply.position();
    for entry in found {
        context.reply.bulk(entry.field);
        if options.values {
            context.reply.bulk(entry.value);
        }
        fits(context, (context.reply.position() - start) as u64)?;
    }
    Ok(())
}
