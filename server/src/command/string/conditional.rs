//! Compare, then act: the conditions of SET beyond NX and XX, DELIFEQ, and MSETEX, whose condition is about all of its keys.
//!
//! Promises: a comparison and what follows from it are one command: nobody comes between. A key that holds no string cannot be
//! compared, and is refused.
//! Never: compares what the words do not ask to be compared: without a condition the old value is not read.

use thermocline::{Access, View};
use thermocline_value::{digest, parse_digest, parse_integer};

use super::set::{Lifetime, expiry_of, parse_lifetime, store};
use super::string_view;
use crate::command::args::Args;
use crate::command::context::Context;
use crate::command::reply::CommandError;
use crate::command::row::KeyArgument;

/// Which value the key must have, or must not have.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Comparison<'a> {
    wanted: Wanted<'a>,
    /// True: the value must be another one. That of a missing key is.
    differs: bool,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Wanted<'a> {
    Bytes(&'a [u8]),
    Digest(u64),
}

impl<'a> Comparison<'a> {
    /// Whether word `at` begins a comparison: IFEQ, IFNE, IFDEQ, IFDNE.
    pub(super) fn is_named(args: &Args<'_>, at: usize) -> bool {
        ["IFEQ", "IFNE", "IFDEQ", "IFDNE"].iter().any(|name| args.is(at, name))
    }

    /// The comparison that words `at` and `at + 1` say, if they say one.
    pub(super) fn parse(args: &Args<'a>, at: usize) -> Result<Option<Comparison<'a>>, CommandError> {
        let Some(value) = args.get(at + 1).filter(|_| Comparison::is_named(args, at)) else { return Ok(None) };
        let by_digest = args.is(at, "IFDEQ") || args.is(at, "IFDNE");
        let wanted = if by_digest {
            let digest = parse_digest(value);
            Wanted::Digest(digest.ok_or(CommandError::Static("ERR must be exactly 16 hexadecimal characters"))?)
        } else {
            Wanted::Bytes(value)
        };
        Ok(Some(Comparison { wanted, differs: args.is(at, "IFNE") || args.is(at, "IFDNE") }))
    }

    /// Whether the string that is there (or none) passes.
    pub(super) fn passes(self, view: Option<View<'_>>) -> bool {
        let equal = view.is_some_and(|view| match self.wanted {
            Wanted::Bytes(bytes) => view.value == bytes,
            Wanted::Digest(wanted) => digest(view.value) == wanted,
        });
        equal != self.differs
    }
}

/// DELIFEQ key value
pub(super) fn remove_if_equal(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let equal = string_view(context, 0)?.is_some_and(|view| view.value == context.args.at(2));
    if equal {
        context.remove(0);
    }
    context.reply.integer(i64::from(equal));
    Ok(())
}

/// How many pairs MSETEX has, if its words are as many.
fn pair_count(args: &Args<'_>) -> Result<usize, CommandError> {
    let count = parse_integer(args.at(1))
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .ok_or(CommandError::Static("ERR invalid numkeys value"))? as usize;
    if count > (args.len() - 2) / 2 {
        return Err(CommandError::Static("ERR wrong number of key-value pairs"));
    }
    Ok(count)
}

/// The keys of MSETEX. A wrong number is the body's to refuse.
pub(super) fn pair_keys(args: &Args<'_>, keys: &mut Vec<KeyArgument>) -> Result<(), CommandError> {
    let count = pair_count(args).unwrap_or(0);
    keys.extend((0..count).map(|pair| KeyArgument { word: 2 + 2 * pair, access: Access::Overwrite, database: None }));
    Ok(())
}

/// MSETEX numkeys key value [key value ...] [NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]: all or none.
pub(super) fn set_many_expire(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let count = pair_count(&args)?;
    let mut lifetime = Lifetime::Unsaid;
    // What NX and XX want to be true of each key.
    let mut must_exist = None;
    let mut at = 2 + 2 * count;
    while at < args.len() {
        if args.is(at, "NX") && must_exist != Some(true) {
            must_exist = Some(false);
        } else if args.is(at, "XX") && must_exist != Some(false) {
            must_exist = Some(true);
        } else {
            at = parse_lifetime(&args, at, &mut lifetime)?;
        }
        at += 1;
    }
    let expiry = expiry_of(context, lifetime)?;
    let sets = must_exist.is_none_or(|wanted| context.views().iter().all(|view| view.is_some() == wanted));
    if sets {
        for key in 0..count {
            store(context, key, 3 + 2 * key, expiry);
        }
    }
    context.reply.integer(i64::from(sets));
    Ok(())
}

#[cfg(test)]
mod tests {
    use thermocline_resp::Span;

    use super::*;

    fn with_words<T>(text: &str, read: impl FnOnce(&Args<'_>) -> T) -> T {
        let mut start = 0;
        let spans: Vec<Span> = text
            .split(' ')
            .map(|word| {
                let span = Span { start, length: word.len() as u32 };
                start += span.length + 1;
                span
            })
            .collect();
        read(&Args::new(text.as_bytes(), &spans))
    }

    #[test]
    fn a_claimed_number_of_pairs_beyond_the_words_is_no_key() {
        for count in ["0", "-1", "x", "2", "2147483648", "9223372036854775807"] {
            with_words(&format!("MSETEX {count} k v NX"), |args| {
                let mut keys = Vec::new();
                assert!(pair_keys(args, &mut keys).is_ok() && keys.is_empty(), "{count}");
                assert!(pair_count(args).is_err(), "{count}");
            });
        }
        with_words("MSETEX 2 k v l w NX", |args| {
            let mut keys = Vec::new();
            assert!(pair_keys(args, &mut keys).is_ok());
            assert_eq!(keys.iter().map(|key| key.word).collect::<Vec<_>>(), [2, 4]);
        });
    }

    #[test]
    fn the_value_of_a_missing_key_is_another_one() {
        for (text, passes) in [("IFEQ v", false), ("IFNE v", true)] {
            with_words(text, |args| {
                let comparison = Comparison::parse(args, 0).ok().flatten().expect("a comparison");
                assert_eq!(comparison.passes(None), passes, "{text}");
            });
        }
        assert!(with_words("IFDEQ 123", |args| Comparison::parse(args, 0).is_err()));
        assert!(with_words("IFEQ", |args| matches!(Comparison::parse(args, 0), Ok(None))));
    }
}
