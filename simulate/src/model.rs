//! A command inside the oracle: what its parts should see, and what they change.
//!
//! Promises: parts come one after the other, each sees what those before it did. Never: changes the ledger.

use crate::act::{Seen, Shown};
use crate::command::{Act, Part};
use crate::elements::Found;
use crate::ledger::{Delta, Entry, Ledger, Number};
use crate::value::{Elements, Value, head};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use thermocline::{Access, Expiry, Kind, SpaceId};

/// The ledger as one command sees it.
pub struct Draft<'l> {
    ledger: &'l Ledger,
    space: SpaceId,
    now_ms: u64,
    /// Keys whose damaged records were replaced unseen.
    replaced: BTreeSet<Number>,
    changed: BTreeMap<Number, Option<Entry>>,
    deltas: Vec<Delta>,
}

impl<'l> Draft<'l> {
    /// Before the first part.
    pub fn new(ledger: &'l Ledger, space: SpaceId, replaced: BTreeSet<Number>, now_ms: u64) -> Draft<'l> {
        Draft { ledger, space, now_ms, replaced, changed: BTreeMap::new(), deltas: Vec::new() }
    }

    /// The changes: of each key the last, and none of one that was not there before and is not in the end. A damaged record replaced
    /// unseen makes no difference to that: of a key that was known to be absent it was what was left of an expired value, or another
    /// key's, and no reader and no watcher ever sees its removal.
    pub fn into_deltas(self) -> Vec<Delta> {
        let Draft { ledger, space, now_ms, mut deltas, .. } = self;
        let mut met = BTreeSet::new();
        deltas.reverse();
        deltas.retain(|delta| {
            let Some((_, key)) = delta.key() else { return true };
            let was_there = || ledger.now.is_foggy(space, key) || ledger.now.get(space, key, now_ms).is_some();
            met.insert(key) && (!matches!(delta, Delta::Remove(..)) || was_there())
        });
        deltas.reverse();
        deltas
    }

    fn get(&self, key: Number) -> Option<&Entry> {
        match self.changed.get(&key) {
            Some(entry) => entry.as_ref().filter(|entry| entry.visible(self.now_ms)),
            None if self.replaced.contains(&key) => None,
            None => self.ledger.now.get(self.space, key, self.now_ms),
        }
    }

    /// Does nobody know what the key is?
    fn is_foggy(&self, key: Number) -> bool {
        let is_known = matches!(
            self.deltas.iter().rev().find(|delta| delta.key().is_some_and(|(_, of)| of == key)),
            Some(Delta::Put(..) | Delta::Remove(..))
        );
        !is_known && (self.ledger.now.is_foggy(self.space, key) || self.is_believed(key))
    }

    fn is_believed(&self, key: Number) -> bool {
        self.deltas.iter().any(|delta| matches!(delta, Delta::Believed(_, of, _) if *of == key))
    }

    fn put(&mut self, key: Number, entry: Entry) {
        self.changed.insert(key, Some(entry.clone()));
        self.deltas.push(Delta::Put(self.space, key, entry));
    }

    fn believe(&mut self, key: Number, entry: Entry) {
        self.changed.insert(key, Some(entry.clone()));
        self.deltas.push(Delta::Believed(self.space, key, entry));
    }

    fn remove(&mut self, key: Number) {
        self.changed.insert(key, None);
        self.deltas.push(Delta::Remove(self.space, key));
    }

    /// What is wrong with what a part saw, if anything.
    pub fn difference(&self, part: &Part, seen: Option<&Seen>) -> Option<String> {
        if self.replaced.contains(&part.key) || self.is_foggy(part.key) {
            return None;
        }
        match (seen, self.get(part.key)) {
            (None, None) => None,
            (Some(seen), Some(want)) => {
                if !agrees(&seen.shown, part, &want.value) {
                    return Some(format!("saw {}, but it is {}", brief(&seen.shown), want.value.head()));
                }
                let words = || format!("saw expiry {:?}, but it is {:?}", seen.expiry, want.expiry);
                (seen.expiry != want.expiry).then(words)
            }
            (Some(seen), None) => Some(format!("saw {}, but it is not there", brief(&seen.shown))),
            (None, Some(want)) => Some(format!("saw nothing, but it is {}", want.value.head())),
        }
    }

    /// What this one of the command's parts changes.
    pub fn act(&mut self, parts: &[Part], at: usize) {
        let part = &parts[at];
        let key = part.key;
        let old = self.get(key).cloned();
        let expiry_of = |expiry: &Expiry| match expiry {
            Expiry::Clear => None,
            Expiry::Keep => old.as_ref().and_then(|entry| entry.expiry),
            Expiry::At(ms) => Some(*ms),
        };
        match &part.act {
            Act::Look | Act::LookWhole | Act::LookOne(_) => {}
            Act::Put(value, expiry) => {
                self.put(key, Entry { value: Value::Bytes(value.clone()), expiry: expiry_of(expiry) });
            }
            Act::Remove if self.replaced.contains(&key) || self.is_foggy(key) => self.remove(key),
            // What an earlier part has put goes, even if its time was over at once: nothing of it is logged.
            Act::Remove if self.changed.contains_key(&key) => self.remove(key),
            Act::Remove | Act::Leave => {
                if old.is_some() {
                    self.remove(key);
                }
            }
            Act::Expire(_) if self.is_foggy(key) => {}
            Act::Expire(expiry) => {
                if let Some(entry) = &old {
                    self.put(key, Entry { value: entry.value.clone(), expiry: expiry_of(expiry) });
                }
            }
            Act::Append(bytes, longest) => {
                let empty: Rc<[u8]> = [].into();
                let before = old.as_ref().map_or(Some(&empty), |entry| entry.value.bytes());
                if let Some(before) = before.filter(|before| before.len() as u64 <= *longest) {
                    let value = Value::Bytes([&before[..], bytes].concat().into());
                    self.put(key, Entry { value, expiry: expiry_of(&Expiry::Keep) });
                }
            }
            Act::CopyOf(from) => self.copy(parts[*from].key, key),
            Act::Elements(edits) => {
                let mut elements = match &old {
                    Some(Entry { value: Value::Bytes(_), .. }) => return,
                    Some(Entry { value: Value::Elements(elements), .. }) => (**elements).clone(),
                    None => Elements::new(edits.kind),
                };
                elements.edit(edits);
                let is_empty = elements.all.is_empty();
                let value = Value::Elements(Rc::new(elements));
                let entry = Entry { value, expiry: expiry_of(&Expiry::Keep) };
                if self.is_foggy(key) {
                    self.believe(key, entry);
                } else if is_empty && old.is_some() {
                    self.remove(key);
                } else if !is_empty && old.as_ref() != Some(&entry) {
                    self.put(key, entry);
                }
            }
        }
    }

    fn copy(&mut self, from: Number, to: Number) {
        let is_foggy = self.is_foggy(from);
        let Some(entry) = self.get(from).cloned() else { return };
        let is_known = entry.value.kind().is_string(); // of a string that can be read at all everything is known
        if is_foggy && !is_known { self.believe(to, entry) } else { self.put(to, entry) }
    }
}

/// Is what was shown what there should be?
fn agrees(shown: &Shown, part: &Part, want: &Value) -> bool {
    let elements = match (shown, want) {
        (Shown::Bytes(bytes, length), Value::Bytes(want)) => {
            let all = matches!(part.access, Access::Read | Access::Write) || !bytes.is_empty();
            return *length == want.len() as u64 && (!all || bytes[..] == want[..]);
        }
        (Shown::Bytes(..), _) | (_, Value::Bytes(_)) => return false,
        (_, Value::Elements(elements)) => &**elements,
    };
    let is_of = |kind: &Kind, length: Option<u64>| {
        *kind == elements.kind && length.is_none_or(|length| length == elements.all.len() as u64)
    };
    match shown {
        Shown::Bytes(..) => false,
        Shown::Kind(kind) => is_of(kind, None),
        Shown::Length(kind, length) => is_of(kind, Some(*length)),
        Shown::One(kind, length, found) => {
            let Act::LookOne(number) = part.act else { return false };
            let rank = |element| (elements.kind == Kind::SortedSet).then(|| elements.rank(element));
            let wanted = elements.find(number).map(|element| Found { element, rank: rank(element) });
            is_of(kind, Some(*length)) && *found == wanted
        }
        Shown::Whole(all) => all == elements,
    }
}

fn brief(shown: &Shown) -> String {
    match shown {
        Shown::Bytes(bytes, _) => head(bytes),
        Shown::Whole(elements) => elements.head(),
        other => format!("{other:?}"),
    }
}

/// What a key is believed to hold after a look that nothing contradicts.
pub fn believed(seen: &Seen, before: Option<&Entry>) -> Entry {
    let old = before.map(|entry| entry.value.clone());
    let value = match &seen.shown {
        Shown::Bytes(bytes, _) => Value::Bytes(bytes.as_slice().into()),
        Shown::Whole(elements) => Value::Elements(Rc::new(elements.clone())),
        Shown::Kind(kind) | Shown::Length(kind, _) | Shown::One(kind, ..) => {
            old.filter(|value| value.kind() == *kind).unwrap_or_else(|| Value::Elements(Rc::new(Elements::new(*kind))))
        }
    };
    Entry { value, expiry: seen.expiry }
}
