//! Reading strings: GET, MGET, STRLEN, GETRANGE, LCS.
//!
//! Promises: changes nothing.

use thermocline_value::{
    CommonSubsequence, SubsequenceError, common_subsequence, common_subsequence_length, get_range,
};

use super::{answer_string, string_view};
use crate::command::context::Context;
use crate::command::reply::CommandError;

/// GET key
pub(super) fn get(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let view = string_view(context, 0)?;
    answer_string(context, view);
    Ok(())
}

/// MGET key [key ...]: what is no string is answered as if it were missing.
pub(super) fn get_many(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    context.reply.array(context.keys());
    for key in 0..context.keys() {
        let view = string_view(context, key).unwrap_or(None);
        answer_string(context, view);
    }
    Ok(())
}

/// STRLEN key
pub(super) fn length(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let length = string_view(context, 0)?.map_or(0, |view| view.length);
    context.reply.integer(length.cast_signed());
    Ok(())
}

/// GETRANGE key start end, and SUBSTR, its first name.
pub(super) fn range(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let start = context.args.integer(2)?;
    let end = context.args.integer(3)?;
    let value = string_view(context, 0)?.map_or(&[][..], |view| view.value);
    let range = get_range(start, end, value.len() as u64);
    context.reply.bulk(&value[range.start as usize..range.end as usize]);
    Ok(())
}

/// What LCS is to answer.
struct SubsequenceOptions {
    length_only: bool,
    runs: bool,
    run_lengths: bool,
    run_bytes_min: i64,
}

impl SubsequenceOptions {
    fn parse(context: &Context<'_, '_>) -> Result<SubsequenceOptions, CommandError> {
        let args = &context.args;
        let mut options = SubsequenceOptions { length_only: false, runs: false, run_lengths: false, run_bytes_min: 0 };
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "IDX") {
                options.runs = true;
            } else if args.is(at, "LEN") {
                options.length_only = true;
            } else if args.is(at, "WITHMATCHLEN") {
                options.run_lengths = true;
            } else if args.is(at, "MINMATCHLEN") && at + 1 < args.len() {
                at += 1;
                options.run_bytes_min = args.integer(at)?;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        if options.runs && options.length_only {
            return Err(CommandError::Static("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

/// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]
pub(super) fn longest_common_subsequence(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let mut strings = [&[][..]; 2];
    for (key, string) in strings.iter_mut().enumerate() {
        let view = string_view(context, key)
            .map_err(|_| CommandError::Static("ERR The specified keys must contain string values"))?;
        *string = view.map_or(&[][..], |view| view.value);
    }
    let [first, second] = strings;
    let options = SubsequenceOptions::parse(context)?;
    let table_bytes_max = context.settings().proto_max_bulk_len();
    if options.length_only {
        let length = common_subsequence_length(first, second, table_bytes_max).map_err(refusal)?;
        context.reply.integer(i64::from(length));
        return Ok(());
    }
    let found = common_subsequence(first, second, table_bytes_max).map_err(refusal)?;
    if options.runs {
        answer_runs(context, &found, &options);
    } else {
        context.reply.bulk(&found.bytes);
    }
    Ok(())
}

fn answer_runs(context: &mut Context<'_, '_>, found: &CommonSubsequence, options: &SubsequenceOptions) {
    let reply = &mut context.reply;
    let is_shown = |length: u32| i64::from(length) >= options.run_bytes_min;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(found.runs.iter().filter(|run| is_shown(run.length())).count());
    for run in found.runs.iter().filter(|run| is_shown(run.length())) {
        reply.array(2 + usize::from(options.run_lengths));
        for (start, end) in [run.first, run.second] {
            reply.array(2);
            reply.integer(i64::from(start));
            reply.integer(i64::from(end));
        }
        if options.run_lengths {
            reply.integer(i64::from(run.length()));
        }
    }
    reply.bulk(b"len");
    reply.integer(found.bytes.len() as i64);
}

fn refusal(error: SubsequenceError) -> CommandError {
    CommandError::Static(match error {
        SubsequenceError::TooLong => "ERR String too long for LCS",
        SubsequenceError::TableTooLarge => {
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
        }
    })
}
