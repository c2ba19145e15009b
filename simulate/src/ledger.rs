//! The oracle: what every command did, in the order of the log.
//!
//! A command's effect is entered in the very poll in which the engine committed it, so the order of effects is the order of
//! seqs. The ledger knows the state after all effects (for live reads) and can be asked for the state after any number of
//! them (for recoveries).
//!
//! Promises: knows nothing of the engine's insides. Never: guesses; an expired key is judged by the clock, like a reader does.

use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use thermocline::SpaceId;

/// Number of a key; its bytes follow from it.
pub type Number = u8;

/// A value and its expiry.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Unix milliseconds.
    pub expiry: Option<u64>,
}

impl Entry {
    /// Is it there for a reader at this time?
    pub fn visible(&self, now_ms: u64) -> bool {
        self.expiry.is_none_or(|e| e > now_ms)
    }
}

/// The keys of a space.
pub type Keys = BTreeMap<Number, Entry>;

/// All databases.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Space of each database.
    pub databases: Vec<SpaceId>,
    /// Keys per space.
    pub spaces: BTreeMap<u32, Keys>,
    /// Keys that answer an error: nobody knows what they are until they are written again.
    pub fog: BTreeSet<(u32, Number)>,
    /// Keys that a start told to be lost, or to be what they were before, and what they should be, until they are written again.
    pub lost: BTreeMap<(u32, Number), Option<Entry>>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Delta {
    /// A key has this value now.
    Put(SpaceId, Number, Entry),
    /// A key whose value nobody knows was changed: this is what it would be if it was what it is believed to be.
    Believed(SpaceId, Number, Entry),
    /// A key is gone.
    Remove(SpaceId, Number),
    /// The databases are these spaces now.
    Databases(Vec<SpaceId>),
}

impl Delta {
    /// The key that it is about.
    pub fn key(&self) -> Option<(SpaceId, Number)> {
        match self {
            Delta::Put(space, key, _) | Delta::Believed(space, key, _) | Delta::Remove(space, key) => {
                Some((*space, *key))
            }
            Delta::Databases(_) => None,
        }
    }
}

/// What one command changed; whole or absent.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Seq of the log's last record after it.
    pub seq: u64,
    /// The changes.
    pub deltas: Vec<Delta>,
}

impl State {
    /// The visible entry of a key.
    pub fn get(&self, space: SpaceId, key: Number, now_ms: u64) -> Option<&Entry> {
        self.spaces.get(&space.0)?.get(&key).filter(|e| e.visible(now_ms))
    }

    /// Is this what a lost key was?
    pub fn was(&self, space: SpaceId, key: Number, entry: Option<&Entry>, now_ms: u64) -> bool {
        let lost = self.lost.get(&(space.0, key));
        lost.is_some_and(|lost| lost.as_ref().filter(|lost| lost.visible(now_ms)) == entry)
    }

    /// Does nobody know what this key is?
    pub fn is_foggy(&self, space: SpaceId, key: Number) -> bool {
        self.fog.contains(&(space.0, key))
    }

    /// Applies an effect.
    pub fn apply(&mut self, effect: &Effect) {
        for delta in &effect.deltas {
            if let Some((space, key)) = delta.key() {
                self.lost.remove(&(space.0, key));
            }
            match delta {
                Delta::Put(space, key, entry) => {
                    self.fog.remove(&(space.0, *key));
                    self.spaces.entry(space.0).or_default().insert(*key, entry.clone());
                }
                Delta::Believed(space, key, entry) => {
                    self.fog.insert((space.0, *key));
                    self.spaces.entry(space.0).or_default().insert(*key, entry.clone());
                }
                Delta::Remove(space, key) => {
                    self.fog.remove(&(space.0, *key));
                    self.spaces.entry(space.0).or_default().remove(key);
                }
                Delta::Databases(databases) => self.databases.clone_from(databases),
            }
        }
    }

    /// The visible keys of a database.
    pub fn visible(&self, database: usize, now_ms: u64) -> Keys {
        let keys = self.databases.get(database).and_then(|space| self.spaces.get(&space.0));
        keys.into_iter().flatten().filter(|(_, e)| e.visible(now_ms)).map(|(k, e)| (*k, e.clone())).collect()
    }
}

/// The history of one life.
#[derive(Debug, Default)]
pub struct Ledger {
    /// State when the life began.
    pub base: State,
    /// State after all effects.
    pub now: State,
    /// The effects.
    pub effects: Vec<Effect>,
    /// How many effects must survive.
    pub floor: usize,
    /// The power has gone since: what was lost may be there again.
    pub returns: bool,
    touched: BTreeMap<(u32, Number), usize>,
    /// The same, without changes that only whoever looks into a collection sees.
    outlined: BTreeMap<(u32, Number), usize>,
    /// Commands entered, with or without an effect.
    steps: usize,
    /// By which of them a key was written last.
    written: BTreeMap<(u32, Number), usize>,
    /// By which of them the databases were changed last, and the effects then.
    moved: (usize, usize),
}

impl Ledger {
    /// A ledger that begins with a state.
    pub fn new(base: State) -> Ledger {
        Ledger { now: base.clone(), base, ..Ledger::default() }
    }

    /// Enters an effect of a command that writes these keys of a space, perhaps what they are already.
    pub fn enter(&mut self, effect: Effect, space: SpaceId, writing: impl Iterator<Item = Number>) {
        self.steps += 1;
        for key in writing {
            self.written.insert((space.0, key), self.steps);
        }
        if effect.deltas.is_empty() {
            return;
        }
        let count = self.effects.len() + 1;
        for delta in &effect.deltas {
            if let Some((space, key)) = delta.key()
                && !self.is_inside(delta, space, key)
            {
                self.outlined.insert((space.0, key), count);
            }
        }
        self.now.apply(&effect);
        self.effects.push(effect);
        if self.effects[count - 1].deltas.iter().any(|delta| matches!(delta, Delta::Databases(_))) {
            self.moved = (self.steps, count);
        }
        for delta in &self.effects[count - 1].deltas {
            if let Some((space, key)) = delta.key() {
                self.touched.insert((space.0, key), count);
            }
        }
    }

    /// All that was put, in order.
    pub fn puts(&self) -> impl Iterator<Item = (SpaceId, Number, &Entry)> {
        self.effects.iter().flat_map(|e| &e.deltas).filter_map(|delta| match delta {
            Delta::Put(space, key, entry) => Some((*space, *key, entry)),
            Delta::Believed(..) | Delta::Remove(..) | Delta::Databases(_) => None,
        })
    }

    /// The keys whose values were changed although nobody knew them.
    pub fn believed(&self) -> impl Iterator<Item = (SpaceId, Number)> {
        self.effects.iter().flat_map(|e| &e.deltas).filter_map(|delta| match delta {
            Delta::Believed(space, key, _) => Some((*space, *key)),
            Delta::Put(..) | Delta::Remove(..) | Delta::Databases(_) => None,
        })
    }

    /// The state after some effects.
    pub fn state_after(&self, count: usize) -> State {
        let mut state = self.base.clone();
        self.effects[..count].iter().for_each(|effect| state.apply(effect));
        state
    }

    /// How many effects must survive so that what a reader saw of this key survives.
    pub fn depends_on(&self, space: SpaceId, key: Number) -> usize {
        self.touched.get(&(space.0, key)).copied().unwrap_or(0)
    }

    /// The same for a reader that saw of a collection only that it is there, of which kind, and when it expires.
    pub fn outline_depends_on(&self, space: SpaceId, key: Number) -> usize {
        self.outlined.get(&(space.0, key)).copied().unwrap_or(0)
    }

    /// Does this change only elements of a collection that was there?
    fn is_inside(&self, delta: &Delta, space: SpaceId, key: Number) -> bool {
        let old = self.now.spaces.get(&space.0).and_then(|keys| keys.get(&key));
        let outline = |entry: &Entry| entry.value.elements().map(|elements| (elements.kind, entry.expiry));
        match delta {
            Delta::Put(_, _, entry) | Delta::Believed(_, _, entry) => {
                old.and_then(outline).is_some_and(|old| outline(entry) == Some(old))
            }
            Delta::Remove(..) | Delta::Databases(_) => false,
        }
    }

    /// How many commands were entered.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// By which of them a key was written last, perhaps with what it was already.
    pub fn written(&self, space: SpaceId, key: Number) -> usize {
        self.written.get(&(space.0, key)).copied().unwrap_or(0)
    }

    /// By which command the databases were changed last, and how many effects there were then.
    pub fn moved(&self) -> (usize, usize) {
        self.moved
    }

    /// The first `count` effects were acknowledged as durable.
    pub fn acknowledge(&mut self, count: usize) {
        self.floor = self.floor.max(count);
    }

    /// The seq up to which the log must be durable if the first `count` effects are.
    pub fn seq_of(&self, count: usize) -> u64 {
        count.checked_sub(1).and_then(|last| self.effects.get(last)).map_or(0, |effect| effect.seq)
    }

    /// Everything up to this seq was durable.
    pub fn durable_to(&mut self, watermark: u64) {
        let count = self.effects.partition_point(|e| e.seq <= watermark);
        self.acknowledge(count);
    }

    /// Does any database have this space now?
    pub fn names(&self, space: SpaceId) -> bool {
        self.now.databases.contains(&space)
    }
}
