//! Looking at a whole database: KEYS, SCAN, RANDOMKEY, DBSIZE.
//!
//! A body says what is looked for; the keys are gathered from the store; the answer is made of them. A transaction puts the keys
//! that it touches between the two, as its earlier commands left them.
//!
//! Promises: a walk goes in small steps and lets others run between them; a key that is there all the time is met.
//! Never: returns an expired key, or touches the keys it passes.

use thermocline::{Engine, Error, SpaceId, View};
use thermocline_resp::{Protocol, Reply};
use thermocline_value::{Case, glob_match};

use crate::command::args::Args;
use crate::command::reply::CommandError;

/// Keys asked of the store at once: about as many as can be looked at in 200 microseconds.
const STEP_KEYS: usize = 256;
/// Keys that SCAN looks at when COUNT is not said.
const COUNT_DEFAULT: i64 = 10;
/// Picks of RANDOMKEY that may fall on a key of the transaction before the database is walked.
const PICKS: usize = 16;

/// What is looked for.
pub struct Walk<'a> {
    want: Want,
    cursor: u64,
    keys_max: u64,
    filter: Filter<'a>,
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum Want {
    Keys,
    Scan,
    Random,
    Count,
}

/// Which keys a walk returns.
struct Filter<'a> {
    /// None: all of them.
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl Filter<'_> {
    const NONE: Filter<'static> = Filter { pattern: None, kind: None };

    fn passes(&self, key: &[u8], view: &View<'_>) -> bool {
        self.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(view.kind.name().as_bytes()))
            && self.pattern.is_none_or(|pattern| glob_match(pattern, key, Case::Sensitive))
    }
}

/// A lone star is no pattern: it matches the empty key too.
fn pattern(word: &[u8]) -> Option<&[u8]> {
    (word != b"*").then_some(word)
}

/// What was found in the store.
#[derive(Default)]
pub struct Gathered {
    /// Keys, already as answers (the same in both protocols).
    answers: Vec<u8>,
    count: usize,
    next: u64,
    /// Keys of the database.
    length: u64,
}

impl Gathered {
    fn add(&mut self, key: &[u8]) {
        Reply::new(&mut self.answers, Protocol::Two).bulk(key);
        self.count += 1;
    }
}

impl Walk<'_> {
    /// Looks for it in the store, leaving out the keys that `is_known` to the caller.
    pub async fn gather(
        &self,
        engine: &Engine,
        space: SpaceId,
        is_known: impl Fn(&[u8]) -> bool,
    ) -> Result<Gathered, Error> {
        let mut found = Gathered::default();
        match self.want {
            Want::Count => found.length = engine.length(space),
            Want::Random => {
                for _ in 0..PICKS {
                    match engine.random_key(space).await? {
                        Some(key) if is_known(&key) => {}
                        Some(key) => {
                            found.add(&key);
                            return Ok(found);
                        }
                        None => return Ok(found),
                    }
                }
                self.walk(engine, space, is_known, &mut found).await?;
            }
            Want::Keys | Want::Scan => self.walk(engine, space, is_known, &mut found).await?,
        }
        Ok(found)
    }

    async fn walk(
        &self,
        engine: &Engine,
        space: SpaceId,
        is_known: impl Fn(&[u8]) -> bool,
        found: &mut Gathered,
    ) -> Result<(), Error> {
        let mut seen = 0;
        found.next = self.cursor;
        loop {
            let step = (self.keys_max - seen).min(STEP_KEYS as u64) as usize;
            found.next = engine
                .scan(space, found.next, step, |key, view| {
                    seen += 1;
                    let enough = self.want == Want::Random && found.count > 0;
                    if !enough && self.filter.passes(key, view) && !is_known(key) {
                        found.add(key);
                    }
                })
                .await?;
            if found.next == 0 || seen >= self.keys_max || (self.want == Want::Random && found.count > 0) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Answers with what was gathered and with the keys that were left out, as they are now; `grown`: by how many keys the
    /// caller has made the database larger.
    pub fn answer<'k>(
        &self,
        found: &Gathered,
        known: impl Iterator<Item = (&'k [u8], View<'k>)>,
        grown: i64,
        reply: &mut Reply<'_>,
    ) {
        let mut more = Gathered::default();
        for (key, _) in known.filter(|(key, view)| self.filter.passes(key, view)) {
            more.add(key);
            if self.want == Want::Random {
                break;
            }
        }
        match self.want {
            Want::Count => reply.integer(found.length.saturating_add_signed(grown).cast_signed()),
            Want::Random => match (found.count, more.count) {
                (0, 0) => reply.null(),
                (0, _) => reply.raw(&more.answers),
                _ => reply.raw(&found.answers),
            },
            Want::Keys | Want::Scan => {
                if self.want == Want::Scan {
                    reply.array(2);
                    reply.bulk(found.next.to_string().as_bytes());
                }
                reply.array(found.count + more.count);
                reply.raw(&found.answers);
                reply.raw(&more.answers);
            }
        }
    }
}

/// KEYS pattern
pub(super) fn keys<'a>(args: &Args<'a>) -> Result<Walk<'a>, CommandError> {
    let filter = Filter { pattern: pattern(args.at(1)), kind: None };
    Ok(Walk { want: Want::Keys, cursor: 0, keys_max: u64::MAX, filter })
}

/// RANDOMKEY
pub(super) fn random_key<'a>(_args: &Args<'a>) -> Result<Walk<'a>, CommandError> {
    Ok(Walk { want: Want::Random, cursor: 0, keys_max: u64::MAX, filter: Filter::NONE })
}

/// DBSIZE
pub(super) fn count<'a>(_args: &Args<'a>) -> Result<Walk<'a>, CommandError> {
    Ok(Walk { want: Want::Count, cursor: 0, keys_max: 0, filter: Filter::NONE })
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn scan<'a>(args: &Args<'a>) -> Result<Walk<'a>, CommandError> {
    let cursor = cursor(args.at(1)).ok_or(CommandError::CURSOR)?;
    let mut count = COUNT_DEFAULT;
    let mut filter = Filter::NONE;
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
    Ok(Walk { want: Want::Scan, cursor, keys_max: count.cast_unsigned(), filter })
}

/// Elements of a collection for which one call of HSCAN, SSCAN or ZSCAN reads from the SSD. Beyond that it shows what is in memory.
pub(crate) const SCAN_BROUGHT_MAX: u64 = 1_000;

/// The cursor of SCAN, HSCAN, SSCAN and ZSCAN: decimal, 64 bits.
pub(crate) fn cursor(word: &[u8]) -> Option<u64> {
    let all_digits = word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| all_digits)?.parse().ok()
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
