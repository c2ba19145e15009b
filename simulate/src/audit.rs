//! The audit after a recovery: reads everything, and finds the prefix of the ledger that the store is.
//!
//! Promises: value, expiry and existence of every key, DBSIZE and SCAN, and the engine's own invariants. Never: accepts less
//! than what was acknowledged.

use crate::client::{Seen, head};
use crate::command::{name, number};
use crate::ledger::{Entry, Keys, Ledger, Number, State};
use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use thermocline::{Access, Changes, Engine, Error};

/// What the store holds.
#[derive(Debug, Default)]
pub struct Holding {
    /// What was read, database by database.
    pub keys: Vec<Keys>,
    /// Keys that answered an error: (database, key).
    pub refused: BTreeSet<(usize, Number)>,
}

/// Reads all keys of all databases.
///
/// # Errors
/// A read that failed and that nothing excuses.
pub async fn read_all(engine: &Engine, plan: &Plan, excused: impl Fn(&Error) -> bool) -> Result<Holding, Error> {
    let mut holding = Holding::default();
    for database in 0..engine.databases() {
        let space = engine.space(database);
        let mut keys = Keys::new();
        for key in 0..plan.keys as Number {
            let name = name(key);
            let keyed = [(engine.key(space, &name), Access::Read)];
            let body = |views: &[Option<thermocline::View<'_>>], _: &mut Changes<'_>| views[0].as_ref().map(Seen::of);
            match engine.run(&keyed, &mut Changes::new(1), body).await {
                Ok((Some(seen), _)) => {
                    keys.insert(key, Entry { value: seen.value.into(), expiry: seen.expiry });
                }
                Ok((None, _)) => {}
                Err(error) if excused(&error) => {
                    holding.refused.insert((database as usize, key));
                }
                Err(error) => return Err(error),
            }
        }
        holding.keys.push(keys);
    }
    Ok(holding)
}

/// Compares DBSIZE and SCAN with what was read. `damaged`: slots may be there whose records do not hold, and whose keys nobody
/// knows.
///
/// # Errors
/// A read that failed and that nothing excuses.
pub async fn count_all(
    engine: &Engine,
    holding: &Holding,
    damaged: bool,
    excused: impl Fn(&Error) -> bool,
) -> Result<Option<String>, Error> {
    'databases: for (database, keys) in holding.keys.iter().enumerate() {
        let space = engine.space(database as u32);
        let length = engine.length(space);
        let mut found: BTreeMap<Number, u32> = BTreeMap::new();
        let mut cursor = 0;
        loop {
            let visit =
                |name: &[u8], _: &thermocline::View<'_>| *found.entry(number(name).unwrap_or(255)).or_default() += 1;
            cursor = match engine.scan(space, cursor, 3, visit).await {
                Ok(cursor) => cursor,
                Err(error) if excused(&error) => continue 'databases,
                Err(error) => return Err(error),
            };
            if cursor == 0 {
                break;
            }
        }
        found.retain(|key, _| !holding.refused.contains(&(database, *key)));
        if found.keys().ne(keys.keys()) || found.values().any(|&n| n != 1) {
            return Ok(Some(format!("database {database}: SCAN finds {found:?}, reads find {:?}", keys.keys())));
        }
        // Reading removes what has expired, if the log has room for the tombstone.
        let least = keys.len() as u64;
        let lingering = engine.expiring(space) - keys.values().filter(|e| e.expiry.is_some()).count() as u64;
        if length < least || length > least + lingering && !damaged {
            return Ok(Some(format!("database {database}: DBSIZE is {length}, reads find {least}")));
        }
    }
    Ok(None)
}

/// There is no number of effects after which the ledger is what the store holds and that keeps what was acknowledged.
#[derive(Debug)]
pub struct NoPrefix {
    /// A number that does not keep it.
    pub below: Option<usize>,
    /// In words.
    pub words: String,
}

/// The number of effects after which the ledger is what the store holds.
///
/// # Errors
/// There is none that keeps what was acknowledged.
pub fn find_prefix(ledger: &Ledger, holding: &Holding, now_ms: u64) -> Result<usize, NoPrefix> {
    let mut state = ledger.base.clone();
    let mut closest = (usize::MAX, String::new());
    let mut below = None;
    for count in 0..=ledger.effects.len() {
        if count > 0 {
            state.apply(&ledger.effects[count - 1]);
        }
        let (differences, words) = compare(&state, holding, now_ms);
        if differences == 0 {
            if count >= ledger.floor {
                return Ok(count);
            }
            below = Some(count);
        }
        if count >= ledger.floor && differences < closest.0 {
            closest = (differences, format!("after {count} effects {words}"));
        }
    }
    let all = ledger.effects.len();
    let words = match below {
        Some(count) => {
            format!(
                "LOST: the store is what it was after {count} effects of {all}, but {} were durable; {}",
                ledger.floor, closest.1
            )
        }
        None => format!("NO PREFIX: {} of {all} effects were durable; closest: {}", ledger.floor, closest.1),
    };
    Err(NoPrefix { below, words })
}

/// How many keys differ, and which. A key that answered an error differs from nothing.
pub fn compare(state: &State, holding: &Holding, now_ms: u64) -> (usize, String) {
    let (mut differences, mut words) = (0, String::new());
    for (database, held) in holding.keys.iter().enumerate() {
        let mut wanted = state.visible(database, now_ms);
        let space = state.databases.get(database).copied();
        wanted.retain(|key, _| !holding.refused.contains(&(database, *key)));
        let keys = held.keys().chain(wanted.keys().filter(|k| !held.contains_key(k)));
        for key in keys.filter(|key| !space.is_some_and(|space| state.is_foggy(space, **key))) {
            let (have, want) = (held.get(key), wanted.get(key));
            if have != want {
                differences += 1;
                if differences <= 3 {
                    let of = |e: Option<&Entry>| {
                        e.map_or("nothing".into(), |e| format!("{} until {:?}", head(&e.value), e.expiry))
                    };
                    words += &format!("[database {database} key {key}: holds {}, should hold {}] ", of(have), of(want));
                }
            }
        }
    }
    (differences, words)
}
