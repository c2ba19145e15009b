//! The audit after a recovery: reads everything, and finds the prefix of the ledger that the store is.
//!
//! Promises: value, expiry and existence of every key, DBSIZE and SCAN, and the engine's own invariants. Never: accepts less
//! than what was acknowledged.

use crate::command::{name, number};
use crate::elements::{Trouble, whole};
use crate::ledger::{Delta, Entry, Keys, Ledger, Number, State};
use crate::plan::Plan;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use thermocline::{Access, Changes, Collection, Engine, Error, SpaceId, View};
use thermocline_value::Fault;

/// What the store holds.
#[derive(Debug, Default)]
pub struct Holding {
    /// What was read, database by database.
    pub keys: Vec<Keys>,
    /// Keys that answered an error: (database, key).
    pub refused: BTreeSet<(usize, Number)>,
    /// Nodes of the trees in each database.
    pub nodes: Vec<u64>,
}

/// Why a key could not be read.
#[derive(Debug)]
pub enum Refusal {
    /// The engine said so.
    Error(Error),
    /// What it showed is not a sound value.
    Trouble(Trouble),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Error(error) => write!(formatter, "{error}"),
            Refusal::Trouble(trouble) => write!(formatter, "{trouble:?}"),
        }
    }
}

/// Reads all keys of all databases, collections whole.
///
/// # Errors
/// A read that failed and that nothing excuses.
pub async fn read_all(engine: &Engine, plan: &Plan, excused: impl Fn(&Refusal) -> bool) -> Result<Holding, Refusal> {
    let mut holding = Holding::default();
    for database in 0..engine.databases() {
        let space = engine.space(database);
        let mut keys = Keys::new();
        let mut nodes = 0;
        for key in 0..plan.keys as Number {
            match read_one(engine, space, key).await {
                Ok(Some((entry, of_tree))) => {
                    nodes += of_tree;
                    keys.insert(key, entry);
                }
                Ok(None) => {}
                Err(refusal) if excused(&refusal) => {
                    holding.refused.insert((database as usize, key));
                }
                Err(refusal) => return Err(refusal),
            }
        }
        holding.keys.push(keys);
        holding.nodes.push(nodes);
    }
    Ok(holding)
}

/// One key, and the nodes of its tree.
async fn read_one(engine: &Engine, space: SpaceId, key: Number) -> Result<Option<(Entry, u64)>, Refusal> {
    let name = name(key);
    let keyed = [(engine.key(space, &name), Access::Read)];
    let mut changes = Changes::new(1);
    let body = |views: &[Option<View<'_>>], changes: &mut Changes<'_>| {
        let Some(view) = &views[0] else { return Ok(None) };
        if view.kind.is_string() {
            return Ok(Some((Value::Bytes(view.value.into()), view.expires_at_ms, 0)));
        }
        let whole = whole(&Collection::of(engine, view, (space, &name)));
        if matches!(whole, Err(Trouble::Fault(Fault::Missing(_)))) {
            changes.want_nodes();
        }
        whole.map(|(elements, nodes)| Some((Value::Elements(Rc::new(elements)), view.expires_at_ms, nodes)))
    };
    let (read, _) = engine.run(&keyed, &mut changes, body).await.map_err(Refusal::Error)?;
    let found = read.map_err(Refusal::Trouble)?;
    Ok(found.map(|(value, expiry, nodes)| (Entry { value, expiry }, nodes)))
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
    let mut beside = Beside::new(ledger, holding, now_ms);
    let mut closest = (usize::MAX, 0);
    let mut below = None;
    for count in 0..=ledger.effects.len() {
        beside.go_on_to(count);
        let differences = beside.differences();
        if differences == 0 {
            if count >= ledger.floor {
                return Ok(count);
            }
            below = Some(count);
        }
        if count >= ledger.floor && differences < closest.0 {
            closest = (differences, count);
        }
    }
    let (all, floor) = (ledger.effects.len(), ledger.floor);
    let mut nearest = Beside::new(ledger, holding, now_ms);
    nearest.go_on_to(closest.1);
    let closest = format!("after {} effects {}", closest.1, nearest.words());
    let words = match below {
        Some(count) => format!(
            "LOST: the store is what it was after {count} effects of {all}, but {floor} were durable; {closest}"
        ),
        None => format!("NO PREFIX: {floor} of {all} effects were durable; closest: {closest}"),
    };
    Err(NoPrefix { below, words })
}

/// A ledger, effect by effect, beside what the store holds: only keys that an effect touches are compared again.
pub struct Beside<'b> {
    ledger: &'b Ledger,
    holding: &'b Holding,
    now_ms: u64,
    state: State,
    count: usize,
    differing: BTreeSet<(usize, Number)>,
}

impl<'b> Beside<'b> {
    /// Before the first effect.
    pub fn new(ledger: &'b Ledger, holding: &'b Holding, now_ms: u64) -> Beside<'b> {
        let state = ledger.base.clone();
        let mut beside = Beside { ledger, holding, now_ms, state, count: 0, differing: BTreeSet::new() };
        beside.compare_all();
        beside
    }

    /// Goes on until so many effects are done.
    pub fn go_on_to(&mut self, count: usize) {
        while self.count < count {
            let effect = &self.ledger.effects[self.count];
            self.state.apply(effect);
            self.count += 1;
            let mut keys = effect.deltas.iter().map(Delta::key);
            if keys.clone().any(|key| key.is_none()) {
                self.compare_all();
                continue;
            }
            while let Some(Some((space, key))) = keys.next() {
                for database in 0..self.holding.keys.len() {
                    if self.state.databases.get(database) == Some(&space) {
                        self.compare(database, key);
                    }
                }
            }
        }
    }

    /// How many keys differ. One that answered an error differs from nothing.
    pub fn differences(&self) -> usize {
        self.differing.len()
    }

    /// The first few of them.
    pub fn words(&self) -> String {
        let mut words = String::new();
        for &(database, key) in self.differing.iter().take(3) {
            let of = |entry: Option<&Entry>| {
                entry.map_or("nothing".into(), |entry| format!("{} until {:?}", entry.value.head(), entry.expiry))
            };
            let (have, want) = self.pair(database, key);
            words += &format!("[database {database} key {key}: holds {}, should hold {}] ", of(have), of(want));
        }
        words
    }

    fn pair(&self, database: usize, key: Number) -> (Option<&Entry>, Option<&Entry>) {
        let have = self.holding.keys[database].get(&key);
        let want = self.state.databases.get(database).and_then(|space| self.state.get(*space, key, self.now_ms));
        (have, want)
    }

    fn compare(&mut self, database: usize, key: Number) {
        let is_foggy = self.state.databases.get(database).is_some_and(|space| self.state.is_foggy(*space, key));
        let (have, want) = self.pair(database, key);
        // What damage took from a start may be there for the next: a write that went astray and was not durable is undone by a power
        // cut, and then the record below it is sound again. The map calls it live until another one is written. It comes back as the
        // newest that the key was, or not at all, and never over anything that was written since.
        let is_back = || {
            let space = self.state.databases.get(database);
            self.ledger.returns && space.is_some_and(|space| self.state.was(*space, key, have, self.now_ms))
        };
        if !is_foggy && have != want && !self.holding.refused.contains(&(database, key)) && !is_back() {
            self.differing.insert((database, key));
        } else {
            self.differing.remove(&(database, key));
        }
    }

    fn compare_all(&mut self) {
        self.differing.clear();
        for database in 0..self.holding.keys.len() {
            let space = self.state.databases.get(database);
            let wanted = space.and_then(|space| self.state.spaces.get(&space.0)).into_iter().flatten();
            let keys: BTreeSet<Number> =
                wanted.map(|(key, _)| *key).chain(self.holding.keys[database].keys().copied()).collect();
            keys.into_iter().for_each(|key| self.compare(database, key));
        }
    }
}
