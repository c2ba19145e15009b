//! ZSCAN.
//!
//! Promises: a member that stays is answered exactly once from cursor 0 to cursor 0, whatever changes meanwhile.

use thermocline_resp::write_double;
use thermocline_value::{Case, glob_match, sorted_set};

use super::{MEMBER_ANSWER_BYTES_MIN, fits, sorted_set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::keyspace::{SCAN_BROUGHT_MAX, cursor};
use crate::command::reply::CommandError;

/// Members shown in one call when COUNT is not said.
const COUNT_DEFAULT: i64 = 10;

struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: i64,
    with_scores: bool,
}

impl<'a> Options<'a> {
    fn read(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options { pattern: None, count: COUNT_DEFAULT, with_scores: true };
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "NOSCORES") {
                options.with_scores = false;
                at += 1;
                continue;
            }
            let value = args.get(at + 1).ok_or(CommandError::SYNTAX)?;
            if args.is(at, "COUNT") {
                options.count = args.integer(at + 1)?;
                if options.count < 1 {
                    return Err(CommandError::SYNTAX);
                }
            } else if args.is(at, "MATCH") {
                options.pattern = Some(value);
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }
}

/// ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]
pub(super) fn scan(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let cursor = cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let Some(collection) = sorted_set_of(context, 0)? else {
        context.reply.array(2);
        context.reply.bulk(b"0");
        context.reply.array(0);
        return Ok(());
    };
    let options = Options::read(&args)?;
    let brought = SCAN_BROUGHT_MAX.min(options.count as u64);
    collection.ready(|nodes, missing| sorted_set::touch_scan(nodes, cursor, brought, missing))?;
    let mut found = Vec::new();
    let mut bytes = 0;
    let next = sorted_set::scan(&collection, cursor, options.count as usize, |entry| {
        if options.pattern.is_none_or(|pattern| glob_match(pattern, entry.member, Case::Sensitive)) {
            bytes += entry.member.len() as u64 + MEMBER_ANSWER_BYTES_MIN;
            found.push(entry);
        }
    })?;
    fits(context, bytes)?;
    context.reply.array(2);
    context.reply.bulk(next.to_string().as_bytes());
    context.reply.array(if options.with_scores { found.len() * 2 } else { found.len() });
    let mut text = Vec::new();
    for entry in found {
        context.reply.bulk(entry.member);
        if options.with_scores {
            // A text in both protocols.
            text.clear();
            write_double(&mut text, entry.score);
            context.reply.bulk(&text);
        }
    }
    Ok(())
}
