//! What the commands of one group see of each other: a layer over the views of their keys.
//!
//! ```text
//!  views of the group's keys   [ a: "1" ] [ b: -   ] [ c: "x" ]      as they lie in the store
//!  after INCR a, SET b y       [ a: "2" ] [ b: "y" ] [  same  ]      what the third command sees
//!  finish                      a := "2", b := "y"                    one change for each key, one group
//! ```
//! Promises: a command sees what the ones before it in the group decided, as if they were done; in the end each key is written
//! at most once, whatever happened to it on the way. Never: touches the store.

use crate::change::{Change, Changes, Expiry, Kind, Payload, SpaceId, Tier, View};
use crate::collection::{NodeSource, NodesOf, tree_of};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use thermocline_value::{CollectionId, NodeId};

/// A value inside the group.
enum Bytes<'a> {
    Argument(&'a [u8]),
    Built(Vec<u8>),
}

impl Bytes<'_> {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Argument(bytes) => bytes,
            Bytes::Built(bytes) => bytes,
        }
    }
}

/// What the group has made of a key so far.
enum State<'a> {
    /// Nothing.
    Same,
    /// Its expiry is another.
    Expiring(Option<u64>),
    /// It has a new value.
    Value(Kind, Bytes<'a>, Option<u64>),
    /// It is gone. True: it had been set by the group.
    Gone(bool),
}

/// A node inside the group: `None` is a freed one.
type LayerNode = (Kind, Option<Vec<u8>>);

/// The layer.
pub struct Overlay<'v, 'a> {
    views: &'v [Option<View<'v>>],
    spaces: Vec<SpaceId>,
    states: Vec<State<'a>>,
    /// Keys that a command only told the watchers of.
    touched: Vec<bool>,
    /// Nodes that the group has changed, by collection.
    nodes: BTreeMap<CollectionId, BTreeMap<NodeId, LayerNode>>,
    now_ms: u64,
    /// An edit did not fit its node: the group must not go on.
    is_damaged: bool,
    changes: Changes<'a>,
}

impl<'v, 'a> Overlay<'v, 'a> {
    /// A layer over the views of all keys of the group, which lie in these spaces. Who sees an expired key is decided by `now_ms`.
    pub fn new(views: &'v [Option<View<'v>>], spaces: impl Iterator<Item = SpaceId>, now_ms: u64) -> Self {
        let states: Vec<State<'a>> = views.iter().map(|_| State::Same).collect();
        let spaces = spaces.collect();
        Overlay {
            views,
            spaces,
            touched: vec![false; states.len()],
            states,
            nodes: BTreeMap::new(),
            now_ms,
            is_damaged: false,
            changes: Changes::default(),
        }
    }

    /// Runs the body of one command over these keys of the group. A key may stand in `keys` twice: the body changes its first.
    pub fn step<R>(&mut self, keys: &[usize], body: impl FnOnce(&[Option<View<'_>>], &mut Changes<'a>) -> R) -> R {
        let mut changes = std::mem::take(&mut self.changes);
        changes.reset(keys.len());
        let views: SmallVec<[Option<View<'_>>; 2]> = keys.iter().map(|&key| self.view(key)).collect();
        let result = body(&views, &mut changes);
        drop(views);
        for (at, &key) in keys.iter().enumerate() {
            self.apply(key, changes.get(at), &changes);
        }
        for node in changes.nodes() {
            let space = self.spaces[keys[node.owner]];
            let Ok(payload) = node.payload(&changes, || self.node(space, node.collection, node.node)) else {
                self.is_damaged = true;
                continue;
            };
            self.nodes.entry(node.collection).or_default().insert(node.node, (node.kind, payload));
        }
        self.changes = changes;
        result
    }

    /// Did some command meet a node that is not what it should be?
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Did the last command set the key at this place of its keys, or change what is in it?
    pub fn has_put(&self, at: usize) -> bool {
        matches!(self.changes.get(at), Change::Put(..) | Change::Touch)
    }

    /// What a command sees of a key now.
    pub fn view(&self, key: usize) -> Option<View<'_>> {
        let nodes = Some(NodesOf { source: self, space: self.spaces[key] });
        let old = self.views[key].map(|view| View { nodes, ..view });
        let (kind, value, expires_at_ms) = match &self.states[key] {
            State::Same => return old,
            State::Gone(_) => return None,
            State::Expiring(expires_at_ms) => {
                let live = expires_at_ms.is_none_or(|at_ms| at_ms > self.now_ms);
                return old.filter(|_| live).map(|view| View { expires_at_ms: *expires_at_ms, ..view });
            }
            State::Value(kind, bytes, expires_at_ms) => (*kind, bytes.get(), *expires_at_ms),
        };
        if expires_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return None;
        }
        let heat = old.map_or(0, |view| view.heat);
        Some(View { kind, value, length: value.len() as u64, expires_at_ms, tier: Tier::Hot, heat, nodes })
    }

    /// Keys that are there now less keys that were there before the group, among these.
    pub fn grown(&self, keys: impl Iterator<Item = usize>) -> i64 {
        keys.map(|key| i64::from(self.view(key).is_some()) - i64::from(self.views[key].is_some())).sum()
    }

    fn apply(&mut self, key: usize, change: Change<'a>, changes: &Changes<'a>) {
        let seen = self.view(key).map(|view| view.expires_at_ms);
        let at = |expiry| match expiry {
            Expiry::Clear => None,
            Expiry::Keep => seen.flatten(),
            Expiry::At(at_ms) => Some(at_ms),
        };
        self.touched[key] |= matches!(change, Change::Touch);
        let state = &mut self.states[key];
        match change {
            Change::None => {}
            Change::Put(kind, payload, expiry) => {
                let bytes = match payload {
                    Payload::Argument(bytes) => Bytes::Argument(bytes),
                    Payload::Scratch(..) => Bytes::Built(changes.bytes(payload).to_vec()),
                };
                *state = State::Value(kind, bytes, at(expiry));
            }
            Change::Remove(_) => *state = State::Gone(matches!(state, State::Value(..) | State::Gone(true))),
            Change::Expire(expiry) if seen.is_some() => match state {
                State::Value(_, _, expires_at_ms) => *expires_at_ms = at(expiry),
                _ => *state = State::Expiring(at(expiry)),
            },
            Change::Expire(_) | Change::Edit(..) | Change::Touch => {}
        }
    }

    /// Stages the end of the group: one change for each key that `is_kept`, and those of the nodes of collections that a key
    /// names in the end.
    pub fn finish(self, changes: &mut Changes<'a>, is_kept: impl Fn(usize) -> bool) {
        let expiry = |expires_at_ms: Option<u64>| expires_at_ms.map_or(Expiry::Clear, Expiry::At);
        let views = self.views;
        let mut nodes = self.nodes;
        for (key, state) in self.states.into_iter().enumerate().filter(|(key, _)| is_kept(*key)) {
            let tree = match &state {
                State::Same | State::Expiring(_) => {
                    views[key].filter(|view| !view.kind.is_string()).and_then(|view| tree_of(view.value))
                }
                State::Value(kind, bytes, _) if !kind.is_string() => tree_of(bytes.get()),
                State::Value(..) | State::Gone(_) => None,
            };
            match state {
                // Whoever watches it is told, though it is what it was: LTRIM that trims nothing.
                State::Same if self.touched[key] => changes.touch_key(key),
                State::Same => {}
                State::Expiring(at_ms) => changes.expire(key, expiry(at_ms)),
                State::Value(kind, Bytes::Argument(bytes), at_ms) => changes.put(key, kind, bytes, expiry(at_ms)),
                State::Value(kind, Bytes::Built(bytes), at_ms) => {
                    changes.put_with(key, kind, expiry(at_ms), |into| into.extend_from_slice(&bytes));
                }
                State::Gone(false) => changes.remove(key),
                State::Gone(true) => changes.remove_again(key),
            }
            let Some(changed) = tree.and_then(|root| Some((root.collection, nodes.remove(&root.collection)?))) else {
                continue;
            };
            changes.touch_key(key);
            for (node, (kind, payload)) in changed.1 {
                changes.put_node(key, changed.0, node, kind, payload.as_deref());
            }
        }
    }
}

impl NodeSource for Overlay<'_, '_> {
    fn node(&self, space: SpaceId, collection: CollectionId, node: NodeId) -> Option<&[u8]> {
        if let Some((_, payload)) = self.nodes.get(&collection).and_then(|nodes| nodes.get(&node)) {
            return payload.as_deref();
        }
        let below = self.views.iter().flatten().find_map(|view| view.nodes)?;
        below.source.node(space, collection, node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: View<'_> = View {
        kind: Kind::String,
        value: b"old",
        length: 3,
        expires_at_ms: Some(50),
        tier: Tier::Cold,
        heat: 2,
        nodes: None,
    };

    fn seen(overlay: &Overlay<'_, '_>, key: usize) -> Option<(Vec<u8>, Option<u64>)> {
        overlay.view(key).map(|view| (view.value.to_vec(), view.expires_at_ms))
    }

    #[test]
    fn each_command_sees_what_the_earlier_ones_did() {
        let views = [Some(OLD), None];
        let mut overlay = Overlay::new(&views, std::iter::repeat_n(SpaceId(2), views.len()), 10);
        overlay.step(&[0, 1], |views, changes| {
            assert!(views[0].is_some() && views[1].is_none());
            changes.put_with(1, Kind::String, Expiry::At(90), |into| into.extend_from_slice(b"built"));
        });
        overlay.step(&[1], |views, changes| {
            assert_eq!(views[0].map(|view| view.value), Some(&b"built"[..]));
            changes.put(0, Kind::String, b"again", Expiry::Keep);
        });
        assert_eq!(seen(&overlay, 1), Some((b"again".to_vec(), Some(90))));
        overlay.step(&[0], |_, changes| changes.expire(0, Expiry::Clear));
        assert_eq!(seen(&overlay, 0), Some((b"old".to_vec(), None)));
        overlay.step(&[0], |_, changes| changes.remove(0));
        overlay.step(&[0], |_, changes| changes.expire(0, Expiry::At(99)));
        assert_eq!(seen(&overlay, 0), None);
        assert_eq!(overlay.grown(0..2), 0);
        assert_eq!(overlay.grown([0].into_iter()), -1);
    }

    #[test]
    fn a_command_that_only_tells_watchers_is_not_lost_in_a_group() {
        // LTRIM between MULTI and EXEC that trimmed nothing did not abort who watched the list.
        let views = [Some(OLD), Some(OLD)];
        let mut overlay = Overlay::new(&views, std::iter::repeat_n(SpaceId(2), views.len()), 10);
        overlay.step(&[1], |_, changes| changes.touch_key(0));
        overlay.step(&[1], |_, _| {});
        let mut changes = Changes::new(2);
        overlay.finish(&mut changes, |_| true);
        assert!(matches!(changes.get(0), Change::None));
        assert!(matches!(changes.get(1), Change::Touch));
    }

    #[test]
    fn a_key_is_written_once_at_the_end() {
        let views = [Some(OLD), None, None];
        let mut overlay = Overlay::new(&views, std::iter::repeat_n(SpaceId(2), views.len()), 10);
        for _ in 0..3 {
            overlay.step(&[0], |_, changes| changes.put(0, Kind::String, b"new", Expiry::Keep));
        }
        overlay.step(&[0], |_, changes| changes.expire(0, Expiry::At(70)));
        overlay.step(&[1], |_, changes| changes.put(0, Kind::String, b"x", Expiry::Clear));
        overlay.step(&[1], |_, changes| changes.remove(0));
        overlay.step(&[2], |_, changes| changes.put(0, Kind::String, b"lost", Expiry::Clear));
        let mut changes = Changes::new(3);
        overlay.finish(&mut changes, |key| key != 2);
        assert!(matches!(changes.get(0), Change::Put(Kind::String, Payload::Argument(b"new"), Expiry::At(70))));
        assert!(matches!(changes.get(1), Change::Remove(true)));
        assert!(matches!(changes.get(2), Change::None));
    }

    #[test]
    fn what_is_set_into_the_past_is_not_seen() {
        let views = [Some(OLD)];
        let mut overlay = Overlay::new(&views, std::iter::repeat_n(SpaceId(2), views.len()), 10);
        overlay.step(&[0], |_, changes| changes.put(0, Kind::String, b"late", Expiry::At(10)));
        assert_eq!(seen(&overlay, 0), None);
    }
}
