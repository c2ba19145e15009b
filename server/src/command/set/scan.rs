//! SSCAN: a set, some members at a time.
//!
//! Promises: a member that stays is answered exactly once, whatever changes between two calls. COUNT is a wish: a call goes on
//! to the end of a leaf, and ends sooner when its answer has become large, or much was seen and the next leaf is not in memory.

use thermocline_value::{Case, Fault, glob_match, set};

use super::{Gathered, fits, set_of};
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::keyspace::{SCAN_BROUGHT_MAX, cursor};
use crate::command::reply::CommandError;

/// Members that are looked at when COUNT is not said.
const COUNT_DEFAULT: u64 = 10;
/// Leaf by leaf: then comes a look at the size of the answer.
const STEP: usize = 1;
/// Bytes of members for which one call reads from the SSD. Beyond that it shows what is in memory.
const BROUGHT_BYTES_MAX: usize = 64 << 10;

struct Options<'a> {
    count: u64,
    /// None: all of them.
    pattern: Option<&'a [u8]>,
}

fn options<'a>(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options { count: COUNT_DEFAULT, pattern: None };
    let mut at = 3;
    while at < args.len() {
        let value = args.get(at + 1).ok_or(CommandError::SYNTAX)?;
        if args.is(at, "COUNT") {
            options.count =
                args.integer(at + 1)?.try_into().ok().filter(|&count| count > 0).ok_or(CommandError::SYNTAX)?;
        } else if args.is(at, "MATCH") {
            // A lone star is no pattern.
            options.pattern = Some(value).filter(|pattern| *pattern != b"*");
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 2;
    }
    Ok(options)
}

/// SSCAN key cursor [MATCH pattern] [COUNT count]
pub(super) fn scan(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let mut next = cursor(args.at(2)).ok_or(CommandError::CURSOR)?;
    let mut found = Gathered::default();
    match set_of(context, 0)? {
        None => next = 0,
        Some(members) => {
            let Options { count, pattern } = options(&args)?;
            let (mut seen, mut seen_bytes) = (0, 0);
            while seen < count {
                let step = set::scan(&members, next, STEP, |member| {
                    seen += 1;
                    seen_bytes += member.len();
                    if pattern.is_none_or(|pattern| glob_match(pattern, member, Case::Sensitive)) {
                        found.add(member);
                    }
                });
                match step {
                    Ok(cursor) => next = cursor,
                    Err(Fault::Missing(node)) => {
                        let more = count.min(SCAN_BROUGHT_MAX).saturating_sub(seen);
                        if more == 0 || seen_bytes > BROUGHT_BYTES_MAX {
                            break;
                        }
                        members.ready(|members, missing| set::touch_scan(members, next, more, missing))?;
                        return Err(Fault::Missing(node).into());
                    }
                    Err(fault) => return Err(fault.into()),
                }
                // The next leaf may be one large member, so half of what fits is enough.
                if next == 0 || fits(context, found.bytes().saturating_mul(2)).is_err() {
                    break;
                }
            }
        }
    }
    context.reply.array(2);
    context.reply.bulk(next.to_string().as_bytes());
    context.reply.array(found.count);
    context.reply.raw(&found.answers);
    Ok(())
}
