//! Whole databases: KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.
//!
//! Promises: a walk goes in small steps and lets others run between them; a key that is there all the time is met.
//! Never: returns an expired key, or touches the keys it passes.

use thermocline::View;
use thermocline_resp::Reply;
use thermocline_value::{Case, glob_match};

use super::relocate::int;
use crate::command::args::Args;
use crate::command::context::SessionContext;
use crate::command::reply::CommandError;
use crate::command::row::SessionFuture;

/// Keys asked of the store at once: about as many as can be looked at in 200 microseconds.
const STEP_KEYS: usize = 256;
/// Keys that SCAN looks at when COUNT is not said.
const COUNT_DEFAULT: i64 = 10;

/// Which keys a walk returns.
struct Filter<'a> {
    /// None: all of them.
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl Filter<'_> {
    fn passes(&self, key: &[u8], view: &View<'_>) -> bool {
        self.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(view.kind.name().as_bytes()))
            && self.pattern.is_none_or(|pattern| glob_match(pattern, key, Case::Sensitive))
    }
}

/// A lone star is no pattern: it matches the empty key too.
fn pattern(word: &[u8]) -> Option<&[u8]> {
    (word != b"*").then_some(word)
}

/// Keys found, already as answers.
struct Found {
    answers: Vec<u8>,
    count: usize,
}

/// Walks from `cursor` over about `keys_max` keys; gives the next cursor.
async fn walk(
    context: &SessionContext<'_>,
    mut cursor: u64,
    keys_max: u64,
    filter: &Filter<'_>,
    found: &mut Found,
) -> Result<u64, CommandError> {
    let space = context.engine().space(context.session.database);
    let protocol = context.reply.protocol();
    let mut seen = 0;
    loop {
        let step = (keys_max - seen).min(STEP_KEYS as u64) as usize;
        cursor = context
            .engine()
            .scan(space, cursor, step, |key, view| {
                seen += 1;
                if filter.passes(key, view) {
                    Reply::new(&mut found.answers, protocol).bulk(key);
                    found.count += 1;
                }
            })
            .await?;
        if cursor == 0 || seen >= keys_max {
            return Ok(cursor);
        }
        tokio::task::yield_now().await;
    }
}

/// KEYS pattern
pub(super) fn keys(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        let filter = Filter { pattern: pattern(context.args.at(1)), kind: None };
        let mut found = Found { answers: Vec::new(), count: 0 };
        walk(&context, 0, u64::MAX, &filter, &mut found).await?;
        context.reply.array(found.count);
        context.reply.raw(&found.answers);
        Ok(())
    })
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn scan(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        let (cursor, count, filter) = scan_options(&context.args)?;
        let mut found = Found { answers: Vec::new(), count: 0 };
        let next = walk(&context, cursor, count, &filter, &mut found).await?;
        context.reply.array(2);
        context.reply.bulk(next.to_string().as_bytes());
        context.reply.array(found.count);
        context.reply.raw(&found.answers);
        Ok(())
    })
}

fn scan_options<'a>(args: &Args<'a>) -> Result<(u64, u64, Filter<'a>), CommandError> {
    let cursor = cursor(args.at(1)).ok_or(CommandError::CURSOR)?;
    let mut count = COUNT_DEFAULT;
    let mut filter = Filter { pattern: None, kind: None };
    let mut at = 2;
    while at < args.len() {
        let value = args.get(at + 1).ok_or(CommandError::SYNTAX)?;
        if args.is(at, "COUNT") {
            count = args.integer(at + 1)?;
            if count < 1 {
                return Err(CommandError::SYNTAX);
            }
        } else if args.is(at, "MATCH") {
            filter.pattern = pattern(value);
        } else if args.is(at, "TYPE") {
            filter.kind = Some(value);
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 2;
    }
    Ok((cursor, count.cast_unsigned(), filter))
}

fn cursor(word: &[u8]) -> Option<u64> {
    let all_digits = word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| all_digits)?.parse().ok()
}

/// RANDOMKEY
pub(super) fn random_key(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        let space = context.engine().space(context.session.database);
        match context.engine().random_key(space).await? {
            Some(key) => context.reply.bulk(&key),
            None => context.reply.null(),
        }
        Ok(())
    })
}

/// DBSIZE
pub(super) fn count(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let space = context.engine().space(context.session.database);
    context.reply.integer(context.engine().length(space).cast_signed());
    Ok(())
}

/// FLUSHDB [ASYNC | SYNC]: both are the same, a database is replaced by an empty one.
pub(super) fn flush_database(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        check_flush_option(&context.args)?;
        let done = context.engine().flush_database(context.session.database).await?;
        context.must_wait(&done);
        context.reply.ok();
        Ok(())
    })
}

/// FLUSHALL [ASYNC | SYNC]
pub(super) fn flush_all(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        check_flush_option(&context.args)?;
        let done = context.engine().flush_all().await?;
        context.must_wait(&done);
        context.reply.ok();
        Ok(())
    })
}

fn check_flush_option(args: &Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(CommandError::SYNTAX),
    }
}

/// SWAPDB index1 index2
pub(super) fn swap_databases(mut context: SessionContext<'_>) -> SessionFuture<'_> {
    Box::pin(async move {
        let first = int(&context.args, 1, Some("ERR invalid first DB index"))?;
        let second = int(&context.args, 2, Some("ERR invalid second DB index"))?;
        let existing = |number: i32| {
            u32::try_from(number)
                .ok()
                .filter(|&number| number < context.engine().databases())
                .ok_or(CommandError::DATABASE)
        };
        let (first, second) = (existing(first)?, existing(second)?);
        if first != second {
            let done = context.engine().swap_databases(first, second).await?;
            context.must_wait(&done);
        }
        context.reply.ok();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_decimal_and_64_bits() {
        assert_eq!(cursor(b"18446744073709551615"), Some(u64::MAX));
        for word in ["", "-1", "+1", " 1", "1a", "18446744073709551616"] {
            assert_eq!(cursor(word.as_bytes()), None, "{word:?}");
        }
    }
}
