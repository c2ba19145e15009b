//! The commit: turns what a body decided into records, cells and slots, in the hold of the latches in which the body ran.
//!
//! Order inside the hold: cells are taken and slots inserted first (both can be missing, and are given back), then all records
//! get their positions and seqs in one reservation of the log, and from there on nothing can fail: cells are filled, slots
//! swapped, old places unnamed.
//!
//! Promises: whole or nothing. Never: a slot swapped in another hold than the one that took the record's position.

mod hot;

pub(crate) use hot::commit_hot;

use crate::arena::cell::{Cell, Outline, cell_bytes};
use crate::change::{Access, Change, Changes, Expiry, Kind, Tier};
use crate::collection::{NODE_NAME_BYTES, tree_of};
use crate::delta::{self, Before, Dirty, NODE_BYTES_LOGGED_WHOLE};
use crate::engine::Inner;
use crate::error::Error;
use crate::index::{Slot, SlotRef, State};
use crate::large::{Assembled, extents_of, sweep_payload, tree_payload};
use crate::log::map::Pending;
use crate::log::record::{RecordKind, Seq, padded, record_bytes};
use crate::log::{Appended, Draft, FOREGROUND, Log, NoRoom, Purpose};
use crate::options::ROOMY_CELL_BYTES_MAX;
use crate::place::Place;
use crate::planted::{self, Bug};
use crate::run::Guards;
use crate::shard::Shard;
use crate::space::SpacePlan;
use crate::tier::fetch::KnownRecord;
use crate::{Key, SpaceId};
use smallvec::SmallVec;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_memory::{Handle, Heap, Span};
use thermocline_value::{CollectionId, LARGE_HEAD_BYTES, LargeHead, NodeId, Root};

/// One key of a command, between the look and the commit.
#[derive(Clone)]
pub(crate) struct Item {
    /// Which of the held latches.
    pub(crate) guard: usize,
    /// Index hash.
    pub(crate) hash: u64,
    /// Where it was found.
    pub(crate) tier: Tier,
    /// It is there, but its time is over.
    pub(crate) expired: bool,
    /// It was changed by the commit.
    pub(crate) changed: bool,
    /// Head of a string kept in extents.
    pub(crate) large: Option<LargeHead>,
    /// Root of a collection that is a tree.
    pub(crate) tree: Option<Root>,
    /// Seq of its last delta, if the version at its place is older.
    last_delta: Option<Seq>,
    at: Option<(SlotRef, Slot)>,
    /// Its cell, and what it needs there.
    handle: Option<(Handle, usize)>,
    /// Place of the present version and the bytes of its record.
    old_place: Place,
    old_bytes: u32,
    old_expiry: Option<u64>,
    old_kind: Option<Kind>,
    /// The record of a cold value, for a change of its expiry.
    cold: Option<Arc<KnownRecord>>,
}

impl Item {
    #[inline]
    pub(crate) fn absent(guard: usize, hash: u64) -> Self {
        Item {
            guard,
            hash,
            tier: Tier::Miss,
            expired: false,
            changed: false,
            large: None,
            tree: None,
            last_delta: None,
            at: None,
            handle: None,
            old_place: Place::NONE,
            old_bytes: 0,
            old_expiry: None,
            old_kind: None,
            cold: None,
        }
    }

    #[inline]
    pub(crate) fn set_hot(&mut self, key: &Key<'_>, at: SlotRef, slot: Slot, object: &Outline) {
        let (key_bytes, payload_bytes, has_expiry) = (key.bytes.len(), object.payload_bytes, object.expiry.is_some());
        self.tier = Tier::Hot;
        self.at = Some((at, slot));
        let need = cell_bytes(key.space, key_bytes, payload_bytes, has_expiry);
        self.handle = Some((Handle::from_bits(slot.place()), need));
        self.old_place = object.place;
        self.old_bytes = padded(record_bytes(key_bytes, payload_bytes, has_expiry)) as u32;
        self.old_expiry = object.expiry;
        self.old_kind = Some(object.kind);
    }

    /// What has changed since the version at its place is in deltas.
    pub(crate) fn set_deltas(&mut self, dirty: &Dirty) {
        self.old_bytes = dirty.base_bytes;
        self.last_delta = Some(dirty.last_seq);
    }

    pub(crate) fn set_cold(&mut self, at: SlotRef, slot: Slot, known: &Arc<KnownRecord>) {
        let record = known.record();
        self.tier = Tier::Cold;
        self.at = Some((at, slot));
        self.old_place = Place::from_bits(slot.place());
        self.old_bytes = padded(record.bytes()) as u32;
        self.old_expiry = record.expiry;
        if let RecordKind::Value(kind) = record.kind {
            self.old_kind = Some(kind);
        }
        self.cold = Some(known.clone());
    }

    /// The slot lies in damage: it may be this key, and is replaced or removed as if it were.
    pub(crate) fn set_corrupt(&mut self, at: SlotRef, slot: Slot) {
        self.tier = Tier::Cold;
        self.at = Some((at, slot));
        self.old_place = Place::from_bits(slot.place());
        self.old_bytes = 0;
        self.expired = true;
    }

    pub(crate) fn set_large(&mut self, payload: &[u8]) {
        self.large = LargeHead::decode(payload).ok();
    }

    /// The payload of the present version.
    fn payload<'v>(&'v self, shard: &'v Shard) -> Option<&'v [u8]> {
        match (self.handle, &self.cold) {
            (Some((handle, _)), _) => Some(shard.cell(handle).payload),
            (None, Some(known)) => Some(known.record().payload),
            (None, None) => None,
        }
    }

    /// The entry that logs a change of a node as its edits, if that pays: the version that is there is in the log, the node is
    /// large or changes often, and the shard's table of deltas takes one more.
    fn delta_of(&self, inner: &Inner, node: NodeId, edits: &[u8], old: &[u8]) -> Option<Vec<u8>> {
        let often = self.last_delta.is_some() || self.tier == Tier::Hot && self.at.is_some_and(|at| at.1.heat() > 0);
        let is_large = old.len() > NODE_BYTES_LOGGED_WHOLE;
        let pays = 2 * edits.len() < old.len() && (is_large || often);
        if !pays || !inner.log.mode.logs() || !self.old_place.is_some() {
            return None;
        }
        let bytes = padded(record_bytes(NODE_NAME_BYTES, old.len() + edits.len(), false)) as u64;
        let before = match self.last_delta {
            Some(seq) => Before::Delta(seq),
            // What is large gains most: half of the places are kept for it.
            None if inner.log.deltas.nodes() < inner.deltas_max() / if is_large { 1 } else { 2 }
                && inner.log.takes_delta(bytes) =>
            {
                Before::Full(crc32fast::hash(old))
            }
            None => return None,
        };
        let mut entry = Vec::with_capacity(edits.len() + 24);
        delta::put_entry(&mut entry, node, before, edits);
        Some(entry)
    }

    /// It is there, and a crash now would leave it so.
    pub(crate) fn is_whole(&self, log: &Log) -> bool {
        self.old_place.is_some() && self.last_delta.is_none() && log.is_whole(self.old_place)
    }

    /// When the key's next version expires.
    #[inline]
    pub(crate) fn expiry_after(&self, expiry: Expiry) -> Option<u64> {
        match expiry {
            Expiry::Clear => None,
            Expiry::Keep => self.old_expiry.filter(|_| self.at.is_some() && !self.expired),
            Expiry::At(ms) => Some(ms),
        }
    }

    /// The slot, as it was found.
    #[inline]
    pub(crate) fn place(&self) -> Option<(SlotRef, Slot)> {
        self.at
    }

    /// Was it found in this slot of the shard behind this guard?
    pub(crate) fn is_at(&self, guard: usize, slot: Slot) -> bool {
        self.guard == guard && self.at.is_some_and(|at| at.1 == slot)
    }

    /// The slot, found again (other keys of the group may have moved it).
    pub(crate) fn still_there(&self, shard: &Shard, key: &Key<'_>) -> Option<(SlotRef, Slot)> {
        let (_, slot) = self.at?;
        shard.refind(key.space, self.hash, slot)
    }
}

/// What a commit lacks; nothing has changed.
pub(crate) enum Missing {
    /// Cells: (shard, bytes) each.
    Cells(SmallVec<[(usize, usize); 2]>),
    Log(NoRoom),
    Full,
    Extend(usize),
    TooLarge(Error),
}

/// What becomes of one key.
pub(crate) struct Step<'s> {
    item: usize,
    kind: Kind,
    /// `None`: removed.
    payload: Option<&'s [u8]>,
    expiry: Option<u64>,
    /// The cell it will be in; `None`: it stays cold.
    cell: Option<Handle>,
    /// The cell is a new one (not the old one written over).
    fresh: bool,
    inserted: Option<SlotRef>,
    draft: Option<usize>,
    /// It is logged as an entry of a delta record of this collection.
    delta: Option<(CollectionId, &'s [u8])>,
}

/// Commits. Returns the highest seq written (0: nothing was).
#[expect(clippy::too_many_arguments, reason = "one hold of the latches needs all of it")]
pub(crate) fn commit(
    inner: &Inner,
    guards: &mut Guards<'_>,
    keys: &[(Key<'_>, Access)],
    items: &mut [Item],
    changes: &Changes<'_>,
    large: &Assembled,
    spaces: Option<&SpacePlan>,
    spans: &mut Vec<Span>,
) -> Result<u64, Missing> {
    let spaces = spaces.filter(|plan| plan.is_change() && !changes.is_refused());
    if changes.is_empty() && !items.iter().any(|i| i.expired && i.at.is_some()) && spaces.is_none() {
        return Ok(0);
    }
    let mut copies: SmallVec<[Vec<u8>; 2]> = SmallVec::new();
    let plan = plan(inner, guards, keys, items, changes, large, &mut copies)?;
    if plan.is_empty() && spaces.is_none() {
        tell_watchers(guards, keys, items, changes);
        return Ok(0);
    }
    let growing = plan.iter().any(|p| p.2.is_some());
    if growing && inner.is_disk_full() && !inner.closing.load(Ordering::Acquire) {
        return Err(Missing::Full);
    }
    let mut steps: SmallVec<[Step<'_>; 2]> = SmallVec::new();
    for (item, kind, value, expiry) in &plan {
        let (payload, delta) = match value {
            None => (None, None),
            Some(Value::Staged(payload)) => (Some(changes.bytes(*payload)), None),
            Some(Value::Copy(at)) => (Some(copies[*at].as_slice()), None),
            Some(Value::Edited(at, collection)) => {
                (Some(copies[*at].as_slice()), Some((*collection, copies[*at + 1].as_slice())))
            }
        };
        steps.push(Step { delta, ..Step::new(*item, *kind, payload, *expiry) });
    }
    let result = take(guards, keys, items, &mut steps)
        .and_then(|()| append(inner, keys, items, &mut steps, large, spaces, growing));
    let (appended, highest) = match result {
        Ok(done) => done,
        Err(missing) => {
            for step in steps.iter_mut().rev() {
                let item = &items[step.item];
                step.give_back(&mut guards[item.guard].1, &keys[step.item].0, item);
            }
            // A read that met an expired key does not fail because the removal has no room yet.
            return if changes.is_empty() && spaces.is_none() { Ok(0) } else { Err(missing) };
        }
    };
    tell_watchers(guards, keys, items, changes);
    let moved = steps.len() > 1 || steps.iter().any(|s| s.inserted.is_some());
    for step in &steps {
        let item = &mut items[step.item];
        let shard = &mut guards[item.guard].1;
        step.swap(inner, shard, &keys[step.item].0, item, step.draft.map(|d| appended[d]), moved, spans);
        shard.high_seq = shard.high_seq.max(highest);
    }
    if let Some(plan) = spaces {
        inner.switch_spaces(guards, plan, changes.touched(), highest);
    }
    settle_extents(inner, keys, items, &steps, large);
    Ok(highest)
}

impl Inner {
    /// Whether a value fits in one record; larger ones are kept in extents. What may expire one day leaves room for that, or a
    /// change of its expiry alone would make a record that is too large.
    #[inline]
    pub(crate) fn is_ordinary(&self, key_bytes: usize, value_bytes: usize, may_expire: bool) -> bool {
        padded(record_bytes(key_bytes, value_bytes, may_expire)) <= self.record_bytes_max
    }
}

/// The commit of a command on one key that stores a value of ordinary size, or removes the key: what
/// [`commit`] does for each of its steps, in the same order, without lists.
#[inline(always)]
pub(crate) fn commit_one<'s>(
    inner: &Inner,
    shard: &mut Shard,
    key: &Key<'_>,
    item: &mut Item,
    mut step: Step<'s>,
    spans: &mut Vec<Span>,
) -> Result<u64, Missing> {
    let growing = step.payload.is_some();
    if growing && inner.is_disk_full() && !inner.closing.load(Ordering::Acquire) {
        return Err(Missing::Full);
    }
    if let Some(bytes) = step.take_cell(shard, key, item) {
        return Err(Missing::Cells(smallvec::smallvec![(item.guard, bytes)]));
    }
    step.take_slot(shard, key, item);
    let mut highest = 0;
    let mut appended = None;
    if inner.log.mode.logs() {
        debug_assert!(
            item.large.is_none() && item.tree.is_none(),
            "what leaves more than a record takes the general road"
        );
        let (draft, now_us) = (draft_of(key, &step), || inner.clock.monotonic_us());
        let mut written = SmallVec::new();
        let result = inner.log.append(FOREGROUND, purpose_of(growing), now_us, slice::from_ref(&draft), &mut written);
        if let Err(no_room) = result {
            step.give_back(shard, key, item);
            return Err(Missing::Log(no_room));
        }
        appended = written.first().copied();
        highest = appended.map_or(0, |a| a.seq);
    }
    step.swap(inner, shard, key, item, appended, false, spans);
    shard.high_seq = shard.high_seq.max(highest);
    Ok(highest)
}

/// An edit does not fit the node that it is for.
const DAMAGED: Missing = Missing::TooLarge(Error::NodeMissing);

enum Value<'p> {
    Staged(crate::change::Payload<'p>),
    Copy(usize),
    /// A copy, and behind it the entry of the delta record that says how it came about.
    Edited(usize, CollectionId),
}

type Planned<'p> = SmallVec<[(usize, Kind, Option<Value<'p>>, Option<u64>); 2]>;

/// What the decisions mean, key by key.
fn plan<'p>(
    inner: &Inner,
    guards: &Guards<'_>,
    keys: &[(Key<'_>, Access)],
    items: &mut [Item],
    changes: &'p Changes<'_>,
    large: &Assembled,
    copies: &mut SmallVec<[Vec<u8>; 2]>,
) -> Result<Planned<'p>, Missing> {
    let mut out = Planned::new();
    for n in 0..keys.len() {
        let key = &keys[n].0;
        let item = &items[n];
        match changes.get(n) {
            Change::None if item.expired && item.at.is_some() && item.old_bytes > 0 => {
                // Lazy expiry: a command that meets it removes it. Only once per key of a group.
                if keys[..n].iter().any(|(k, _)| k.space == key.space && k.bytes == key.bytes) {
                    continue;
                }
                out.push((n, Kind::String, None, None));
            }
            Change::None | Change::Touch => {}
            Change::Remove(_) => {
                if item.at.is_some() {
                    out.push((n, Kind::String, None, None));
                }
            }
            Change::Put(kind, payload, expiry) => {
                let bytes = changes.bytes(payload);
                let expiry = item.expiry_after(expiry);
                let may_expire = n < changes.keys() && kind != Kind::Extent;
                if inner.is_ordinary(key.bytes.len(), bytes.len(), may_expire) {
                    out.push((n, kind, Some(Value::Staged(payload)), expiry));
                    continue;
                }
                if n >= changes.keys() {
                    return Err(Missing::TooLarge(Error::TooLarge {
                        what: "an element of a collection",
                        bytes: bytes.len() as u64,
                        bytes_max: (inner.record_bytes_max - 64) as u64,
                    }));
                }
                let head_bytes = record_bytes(key.bytes.len(), LARGE_HEAD_BYTES, true);
                if padded(head_bytes) > inner.record_bytes_max {
                    return Err(Missing::TooLarge(Error::TooLarge {
                        what: "a key",
                        bytes: key.bytes.len() as u64,
                        bytes_max: (inner.record_bytes_max - LARGE_HEAD_BYTES - 64) as u64,
                    }));
                }
                let Some(head) = large.written(n, bytes.len() as u64) else { return Err(Missing::Extend(n)) };
                copies.push(head.encode().to_vec());
                out.push((n, Kind::LargeString, Some(Value::Copy(copies.len() - 1)), expiry));
            }
            Change::Edit(kind, edits) => {
                let edits = changes.bytes(edits);
                let old = item.payload(&guards[item.guard].1).ok_or(DAMAGED)?;
                let mut payload = old.to_vec();
                delta::apply(edits, &mut payload).map_err(|_| DAMAGED)?;
                let Some(node) = changes.node(n) else { return Err(DAMAGED) };
                let entry = item.delta_of(inner, node.node, edits, old);
                copies.push(payload);
                let value = match entry {
                    Some(entry) => {
                        copies.push(entry);
                        Value::Edited(copies.len() - 2, node.collection)
                    }
                    None => Value::Copy(copies.len() - 1),
                };
                out.push((n, kind, Some(value), None));
            }
            Change::Expire(expiry) if item.at.is_some() && !item.expired => {
                let Some(payload) = item.payload(&guards[item.guard].1) else { continue };
                copies.push(payload.to_vec());
                out.push((
                    n,
                    item.old_kind.unwrap_or(Kind::String),
                    Some(Value::Copy(copies.len() - 1)),
                    item.expiry_after(expiry),
                ));
            }
            Change::Expire(_) => {}
        }
    }
    Ok(out)
}

/// Marks who watches a key for which there is no step: one that the group set and removed and that was not there before, or a
/// collection of which only nodes change. Only when nothing can be missing any more, else the group would find its own mark
/// when it tries again.
fn tell_watchers(guards: &Guards<'_>, keys: &[(Key<'_>, Access)], items: &[Item], changes: &Changes<'_>) {
    for (n, item) in items.iter().enumerate().take(changes.keys()) {
        let is_told = match changes.get(n) {
            Change::Remove(true) => item.at.is_none(),
            Change::Touch => !planted::is(Bug::WatchSkipsNodes),
            _ => false,
        };
        if is_told {
            guards[item.guard].1.watches.changed(&keys[n].0, false);
        }
    }
}

/// Takes cells and inserts slots: everything that may be missing.
fn take(
    guards: &mut Guards<'_>,
    keys: &[(Key<'_>, Access)],
    items: &[Item],
    steps: &mut [Step<'_>],
) -> Result<(), Missing> {
    let mut missing = SmallVec::new();
    for step in steps.iter_mut() {
        let item = &items[step.item];
        let (number, shard) = &mut guards[item.guard];
        if let Some(bytes) = step.take_cell(shard, &keys[step.item].0, item) {
            missing.push((*number, bytes));
        }
    }
    if !missing.is_empty() {
        return Err(Missing::Cells(missing));
    }
    for step in steps.iter_mut() {
        let item = &items[step.item];
        step.take_slot(&mut guards[item.guard].1, &keys[step.item].0, item);
    }
    Ok(())
}

/// One reservation for all records of the group.
fn append(
    inner: &Inner,
    keys: &[(Key<'_>, Access)],
    items: &[Item],
    steps: &mut [Step<'_>],
    large: &Assembled,
    spaces: Option<&SpacePlan>,
    growing: bool,
) -> Result<(SmallVec<[Appended; 2]>, u64), Missing> {
    let mut appended = SmallVec::new();
    // Asked under the latches: who switches the log on waits for them.
    if !inner.log.mode.logs() {
        return Ok((appended, 0));
    }
    let mut sweeps: SmallVec<[(SpaceId, SmallVec<[u8; 24]>); 2]> = SmallVec::new();
    let mut commits: SmallVec<[(SpaceId, [u8; 8]); 2]> = SmallVec::new();
    for step in &*steps {
        let space = keys[step.item].0.space;
        if let Some(head) = replaced(&items[step.item], step) {
            sweeps.push((space, SmallVec::from_slice(&sweep_payload(head.id, extents_of(&head)))));
        }
        if let Some(root) = abandoned(&items[step.item], step, steps)
            && !planted::is(Bug::TreeSweepUnlogged)
        {
            sweeps.push((space, tree_payload(&root)));
        }
        if let Some(head) = large.new_head(step.item).filter(|_| step.kind == Kind::LargeString) {
            commits.push((space, head.id.to_le_bytes()));
        }
    }
    let extra = |kind, space, payload| Draft {
        kind,
        space,
        hash: crate::hash::KeyHash(0),
        expiry: None,
        key: &[],
        payload,
        moved: None,
    };
    let map = spaces.map(SpacePlan::payload);
    let deltas = delta_records(keys, steps);
    let mut drafts: SmallVec<[Draft<'_>; 4]> = SmallVec::new();
    drafts.extend(map.iter().map(|map| extra(RecordKind::Spaces, SpaceId(0), map)));
    let drafts_of_map = drafts.len();
    drafts.extend(deltas.iter().map(|(_, space, payload)| extra(RecordKind::Delta, *space, payload)));
    for step in steps.iter_mut() {
        let key = &keys[step.item].0;
        if let Some((collection, _)) = step.delta {
            let number = deltas.iter().position(|record| record.0 == collection);
            step.draft = number.map(|number| drafts_of_map + number);
            continue;
        }
        step.draft = Some(drafts.len());
        drafts.push(draft_of(key, step));
    }
    for (space, sweep) in &sweeps {
        drafts.push(extra(RecordKind::Sweep, *space, &sweep[..]));
    }
    for (space, id) in &commits {
        drafts.push(extra(RecordKind::Committed, *space, &id[..]));
    }
    if drafts.len() > 1 {
        let bytes: u64 = drafts.iter().map(|draft| draft.padded_bytes() as u64).sum();
        let bytes_max = inner.group_bytes_max();
        if bytes > bytes_max {
            return Err(Missing::TooLarge(Error::GroupTooLarge { bytes, bytes_max }));
        }
    }
    let is_sweep = || keys.iter().all(|(key, _)| key.space.visible() != key.space);
    let purpose = if !growing && is_sweep() { Purpose::Sweep } else { purpose_of(growing) };
    let is_of_nodes = |step: &Step<'_>| keys[step.item].0.space.visible() != keys[step.item].0.space;
    let groups = if planted::is(Bug::SplitApart) && drafts.len() > 2 && steps.iter().any(is_of_nodes) { 2 } else { 1 };
    for group in drafts.chunks(drafts.len().div_ceil(groups).max(1)) {
        let now_us = || inner.clock.monotonic_us();
        inner.log.append(FOREGROUND, purpose, now_us, group, &mut appended).map_err(Missing::Log)?;
    }
    inner.counters.deltas.fetch_add(deltas.len() as u64, Ordering::Relaxed);
    let highest = appended.last().map_or(0, |a: &Appended| a.seq);
    Ok((appended, highest))
}

/// The record of a step that is not a delta.
#[inline]
fn draft_of<'d>(key: &Key<'d>, step: &Step<'d>) -> Draft<'d> {
    Draft {
        kind: if step.payload.is_some() { RecordKind::Value(step.kind) } else { RecordKind::Tombstone },
        space: key.space,
        hash: key.hash,
        expiry: step.expiry.filter(|_| !planted::is(Bug::TtlNotLogged)),
        key: key.bytes,
        payload: step.payload.unwrap_or_default(),
        moved: None,
    }
}

#[inline]
fn purpose_of(growing: bool) -> Purpose {
    if growing { Purpose::Growth } else { Purpose::Removal }
}

/// The delta records of a group: one for each collection.
fn delta_records(keys: &[(Key<'_>, Access)], steps: &[Step<'_>]) -> SmallVec<[(CollectionId, SpaceId, Vec<u8>); 1]> {
    let mut records: SmallVec<[(CollectionId, SpaceId, Vec<u8>); 1]> = SmallVec::new();
    for step in steps {
        let Some((collection, entry)) = step.delta else { continue };
        match records.iter_mut().find(|record| record.0 == collection) {
            Some(record) => record.2.extend_from_slice(entry),
            None => {
                let mut payload = Vec::with_capacity(128);
                payload.extend_from_slice(&collection.0.to_le_bytes());
                payload.extend_from_slice(entry);
                records.push((collection, keys[step.item].0.space, payload));
            }
        }
    }
    records
}

/// The head whose extents nobody will name any more after this step.
fn replaced(item: &Item, step: &Step<'_>) -> Option<LargeHead> {
    let head = item.large?;
    let same = step.kind == Kind::LargeString
        && step.payload.and_then(|p| LargeHead::decode(p).ok()).is_some_and(|new| new.id == head.id);
    (!same).then_some(head)
}

/// The tree that nobody will name any more after this step of the group: another key may name it now.
fn abandoned(item: &Item, step: &Step<'_>, steps: &[Step<'_>]) -> Option<Root> {
    let root = item.tree?;
    let names = |step: &Step<'_>| {
        !step.kind.is_string()
            && step.payload.and_then(tree_of).is_some_and(|named| named.collection == root.collection)
    };
    (!names(step) && !steps.iter().any(names)).then_some(root)
}

impl<'s> Step<'s> {
    /// What is to become of key `item`: a value, or nothing.
    pub(crate) fn new(item: usize, kind: Kind, payload: Option<&'s [u8]>, expiry: Option<u64>) -> Self {
        Step { item, kind, payload, expiry, cell: None, fresh: false, inserted: None, draft: None, delta: None }
    }

    /// Finds a cell for the new value: the old one if it has the right size. Answers how large a cell is missing, if one is.
    #[inline(always)]
    fn take_cell(&mut self, shard: &mut Shard, key: &Key<'_>, item: &Item) -> Option<usize> {
        let payload = self.payload?;
        let need = cell_bytes(key.space, key.bytes.len(), payload.len(), self.expiry.is_some());
        self.cell = match item.handle {
            Some((handle, old)) if old == need || Heap::class_bytes(old) == Heap::class_bytes(need) => Some(handle),
            Some((handle, _)) if self.kind == Kind::ListNode => return self.take_roomy_cell(shard, handle, need),
            _ => {
                self.fresh = true;
                shard.alloc(need)
            }
        };
        self.cell.is_none().then_some(need)
    }

    /// A cell for a leaf of a list that was changed. It grows or shrinks at an end, element by element, through a dozen sizes of
    /// cells: it keeps one that is large enough, and a new one leaves room for as much again.
    fn take_roomy_cell(&mut self, shard: &mut Shard, old: Handle, need: usize) -> Option<usize> {
        if shard.heap.bytes(old).len() >= need {
            self.cell = Some(old);
            return None;
        }
        let need = need.max((2 * need).min(ROOMY_CELL_BYTES_MAX));
        self.fresh = true;
        self.cell = shard.alloc(need);
        self.cell.is_none().then_some(need)
    }

    /// Inserts a slot for a key that has none.
    #[inline(always)]
    fn take_slot(&mut self, shard: &mut Shard, key: &Key<'_>, item: &Item) {
        if let (Some(cell), None) = (self.cell, item.at) {
            self.insert_slot(shard, key, item.hash, cell);
        }
    }

    /// Apart from [`Step::take_slot`], which so needs no frame for the many keys that have one.
    #[inline(never)]
    fn insert_slot(&mut self, shard: &mut Shard, key: &Key<'_>, hash: u64, cell: Handle) {
        let provisional = Slot::new(State::Hot, cell.bits()).with_ttl(self.expiry.is_some());
        self.inserted = Some(shard.insert_slot(key.space, hash, provisional));
    }

    /// Undoes both.
    fn give_back(&mut self, shard: &mut Shard, key: &Key<'_>, item: &Item) {
        if self.inserted.take().is_some()
            && let Some(cell) = self.cell
            && let Some((at, _)) = slot_of(shard, key.space, item.hash, cell)
        {
            shard.remove_slot(key.space, at);
        }
        if let Some(cell) = self.cell.take()
            && self.fresh
        {
            let bytes = shard.heap.bytes(cell).len();
            shard.put_aside(bytes, cell);
        }
    }

    /// Swaps the key's slot. Nothing here can fail. `moved`: slots may have moved since they were found.
    #[expect(clippy::too_many_arguments, reason = "one hold of the latches needs all of it")]
    #[inline(always)]
    fn swap(
        &self,
        inner: &Inner,
        shard: &mut Shard,
        key: &Key<'_>,
        item: &mut Item,
        appended: Option<Appended>,
        moved: bool,
        spans: &mut Vec<Span>,
    ) {
        item.changed = true;
        shard.counts.changes += 1;
        if self.payload.is_none() && item.expired && item.old_bytes > 0 {
            shard.counts.expired += 1;
        }
        if !shard.watches.is_empty() {
            shard.watches.changed(key, item.expired && self.payload.is_none());
        }
        if !shard.queues.is_empty() && self.payload.is_some() {
            shard.give_turn(inner, key, self.kind);
        }
        let at = match (item.at, self.cell, self.inserted) {
            (Some(found), _, _) if !moved => Some(found),
            (Some((_, slot)), _, _) => shard.refind(key.space, item.hash, slot),
            (None, Some(_), Some(at)) if !moved => shard.space(key.space).map(|s| (at, s.index.get(at))),
            (None, Some(cell), _) => slot_of(shard, key.space, item.hash, cell),
            _ => None,
        };
        let Some((at, old)) = at else { panic!("a slot that was found or inserted in this hold is still there") };
        let was_ghost = item.tier == Tier::Cold && shard.ghost.remembers(old.heat());
        let heat = if item.tier == Tier::Hot { (old.heat() + 1).min(3) } else { 0 };
        let delta = self.delta.and(appended);
        let payload_bytes = self.payload.map_or(0, <[u8]>::len);
        let (place, class) = self.change_version(inner, shard, key, item, old, payload_bytes, appended);
        match (self.payload, self.cell) {
            (Some(payload), Some(cell)) => {
                let object = Cell {
                    place,
                    kind: self.kind,
                    main: false,
                    deltas: delta.is_some(),
                    space: key.space,
                    expiry: self.expiry,
                    key: key.bytes,
                    payload,
                };
                let slot = Slot::hot(cell.bits(), class, self.expiry.is_some(), heat);
                shard.replace_slot(key.space, at, old, slot);
                if self.fresh {
                    if let Some((handle, _)) = item.handle {
                        shard.free_cell(handle, spans);
                    }
                    shard.place_cell(cell, item.hash, object, was_ghost);
                } else {
                    let into = shard.heap.bytes_mut(cell);
                    let main = crate::arena::cell::is_main(into);
                    crate::arena::cell::write(into, &Cell { main, ..object });
                }
            }
            _ => {
                shard.remove_slot(key.space, at);
                if let Some((handle, _)) = item.handle {
                    shard.free_cell(handle, spans);
                }
            }
        }
    }
}

impl Step<'_> {
    /// The old version goes, or gets a delta: where what is hot lies on the SSD now. `payload_bytes`: of the new version.
    #[expect(clippy::too_many_arguments, reason = "one hold of the latches needs all of it")]
    #[inline]
    fn change_version(
        &self,
        inner: &Inner,
        shard: &mut Shard,
        key: &Key<'_>,
        item: &Item,
        old: Slot,
        payload_bytes: usize,
        appended: Option<Appended>,
    ) -> (Place, u8) {
        if let Some(delta) = self.delta.and(appended) {
            let dirty = Dirty {
                hash: item.hash,
                space: key.space,
                base_bytes: item.old_bytes,
                full_bytes: padded(record_bytes(key.bytes.len(), payload_bytes, false)) as u32,
                first_seq: delta.seq,
                last_seq: delta.seq,
            };
            // The record of the last full version stays what a start begins with.
            shard.deltas.note(item.old_place, dirty);
            return (item.old_place, old.class());
        }
        if item.tier != Tier::Miss && item.old_place.is_some() {
            inner.log.unname(item.old_place, item.old_bytes);
            if item.last_delta.is_some() {
                shard.deltas.remove(item.old_place);
            }
        }
        appended.map_or((Place::NONE, 0), |a| (a.place, a.class))
    }
}

/// The slot that names a cell.
fn slot_of(shard: &Shard, space: SpaceId, hash: u64, cell: Handle) -> Option<(SlotRef, Slot)> {
    shard.space(space)?.index.find(hash, |_, s| s.state() == State::Hot && s.place() == cell.bits())
}

/// Sweeps of replaced extents and abandoned trees begin, intents of committed extents end.
fn settle_extents(inner: &Inner, keys: &[(Key<'_>, Access)], items: &[Item], steps: &[Step<'_>], large: &Assembled) {
    for step in steps {
        let new_head = large.new_head(step.item).filter(|_| step.kind == Kind::LargeString);
        let old_head = replaced(&items[step.item], step);
        let old_tree = abandoned(&items[step.item], step, steps);
        if new_head.is_none() && old_head.is_none() && old_tree.is_none() {
            continue;
        }
        let space = keys[step.item].0.space;
        let mut pending = inner.pending.lock();
        pending.extend(old_tree.map(|root| Pending::of_tree(space, root)));
        if let Some(head) = new_head {
            pending.retain(|p| p.id != head.id);
        }
        if let Some(head) = old_head {
            pending.push(Pending { id: head.id, space, extents: extents_of(&head), intent: false, tree: None });
        }
    }
}
