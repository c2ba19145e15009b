//! The commit: turns what a body decided into records, cells and slots, in the hold of the latches in which the body ran.
//!
//! Order inside the hold: cells are taken and slots inserted first (both can be missing, and are given back), then all records
//! get their positions and seqs in one reservation of the log, and from there on nothing can fail: cells are filled, slots
//! swapped, old places unnamed.
//!
//! Promises: whole or nothing. Never: a slot swapped in another hold than the one that took the record's position.

use crate::arena::cell::{Cell, cell_bytes};
use crate::change::{Access, Change, Changes, Expiry, Kind, Tier};
use crate::engine::Inner;
use crate::error::Error;
use crate::index::{Slot, SlotRef, State};
use crate::large::{Assembled, extents_of, sweep_payload};
use crate::log::map::Pending;
use crate::log::record::{RecordKind, padded, record_bytes};
use crate::log::{Appended, Draft, FOREGROUND, Log, NoRoom, Purpose};
use crate::place::Place;
use crate::run::Guards;
use crate::shard::Shard;
use crate::space::SpacePlan;
use crate::tier::fetch::KnownRecord;
use crate::{Key, SpaceId};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_memory::{Handle, Heap, Span};
use thermocline_value::{LARGE_HEAD_BYTES, LargeHead};

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
    at: Option<(SlotRef, Slot)>,
    handle: Option<Handle>,
    /// Place of the present version and the bytes of its record.
    old_place: Place,
    old_bytes: u32,
    old_expiry: Option<u64>,
    old_kind: Option<Kind>,
    /// The record of a cold value, for a change of its expiry.
    cold: Option<Arc<KnownRecord>>,
}

impl Item {
    pub(crate) fn absent(guard: usize, hash: u64) -> Self {
        Item {
            guard,
            hash,
            tier: Tier::Miss,
            expired: false,
            changed: false,
            large: None,
            at: None,
            handle: None,
            old_place: Place::NONE,
            old_bytes: 0,
            old_expiry: None,
            old_kind: None,
            cold: None,
        }
    }

    pub(crate) fn set_hot(&mut self, at: SlotRef, slot: Slot, handle: Handle, object: &Cell<'_>) {
        self.tier = Tier::Hot;
        self.at = Some((at, slot));
        self.handle = Some(handle);
        self.old_place = object.place;
        self.old_bytes = Shard::record_bytes_of(object);
        self.old_expiry = object.expiry;
        self.old_kind = Some(object.kind);
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

    /// It is there, and a crash now would leave it so.
    pub(crate) fn is_whole(&self, log: &Log) -> bool {
        self.old_place.is_some() && log.is_whole(self.old_place)
    }

    /// The slot, as it was found.
    pub(crate) fn place(&self) -> Option<(SlotRef, Slot)> {
        self.at
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
struct Step<'s> {
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
        let payload = match value {
            None => None,
            Some(Value::Staged(payload)) => Some(changes.bytes(*payload)),
            Some(Value::Copy(at)) => Some(copies[*at].as_slice()),
        };
        steps.push(Step {
            item: *item,
            kind: *kind,
            payload,
            expiry: *expiry,
            cell: None,
            fresh: false,
            inserted: None,
            draft: None,
        });
    }
    let result = take(guards, keys, items, &mut steps)
        .and_then(|()| append(inner, keys, items, &mut steps, large, spaces, growing));
    let (appended, highest) = match result {
        Ok(done) => done,
        Err(missing) => {
            give_back(guards, keys, items, &mut steps);
            // A read that met an expired key does not fail because the removal has no room yet.
            return if changes.is_empty() && spaces.is_none() { Ok(0) } else { Err(missing) };
        }
    };
    tell_watchers(guards, keys, items, changes);
    let expired = |s: &&Step<'_>| s.payload.is_none() && items[s.item].expired && items[s.item].old_bytes > 0;
    let expired = steps.iter().filter(expired).count();
    inner.counters.expired.fetch_add(expired as u64, Ordering::Relaxed);
    let new_keys = steps.iter().any(|s| s.inserted.is_some());
    for step in &steps {
        swap(
            inner,
            guards,
            keys,
            &mut items[step.item],
            step,
            step.draft.map(|d| appended[d]),
            new_keys || steps.len() > 1,
            spans,
        );
    }
    for step in &steps {
        let shard = &mut guards[items[step.item].guard].1;
        shard.high_seq = shard.high_seq.max(highest);
    }
    if let Some(plan) = spaces {
        inner.switch_spaces(guards, plan, changes.touched(), highest);
    }
    settle_extents(inner, keys, items, &steps, large);
    inner.counters.changes.fetch_add(steps.len() as u64, Ordering::Relaxed);
    Ok(highest)
}

enum Value<'p> {
    Staged(crate::change::Payload<'p>),
    Copy(usize),
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
        let there = item.at.is_some() && !item.expired;
        let old_expiry = item.old_expiry.filter(|_| there);
        let expiry_of = |expiry| match expiry {
            Expiry::Clear => None,
            Expiry::Keep => old_expiry,
            Expiry::At(ms) => Some(ms),
        };
        match changes.get(n) {
            Change::None if item.expired && item.at.is_some() && item.old_bytes > 0 => {
                // Lazy expiry: a command that meets it removes it. Only once per key of a group.
                if keys[..n].iter().any(|(k, _)| k.space == key.space && k.bytes == key.bytes) {
                    continue;
                }
                out.push((n, Kind::String, None, None));
            }
            Change::None => {}
            Change::Remove(_) => {
                if item.at.is_some() {
                    out.push((n, Kind::String, None, None));
                }
            }
            Change::Put(kind, payload, expiry) => {
                let bytes = changes.bytes(payload);
                let expiry = expiry_of(expiry);
                let whole = record_bytes(key.bytes.len(), bytes.len(), expiry.is_some());
                if padded(whole) <= inner.record_bytes_max {
                    out.push((n, kind, Some(Value::Staged(payload)), expiry));
                    continue;
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
            Change::Expire(expiry) if there => {
                let payload = match (item.handle, &item.cold) {
                    (Some(handle), _) => guards[item.guard].1.cell(handle).payload.to_vec(),
                    (None, Some(known)) => known.record().payload.to_vec(),
                    (None, None) => continue,
                };
                copies.push(payload);
                out.push((
                    n,
                    item.old_kind.unwrap_or(Kind::String),
                    Some(Value::Copy(copies.len() - 1)),
                    expiry_of(expiry),
                ));
            }
            Change::Expire(_) => {}
        }
    }
    Ok(out)
}

/// Marks who watches a key that the group set and removed and that was not there before: for it there is no step. Only when
/// nothing can be missing any more, else the group would find its own mark when it tries again.
fn tell_watchers(guards: &Guards<'_>, keys: &[(Key<'_>, Access)], items: &[Item], changes: &Changes<'_>) {
    for (n, item) in items.iter().enumerate().filter(|(_, item)| item.at.is_none()) {
        if matches!(changes.get(n), Change::Remove(true)) {
            guards[item.guard].1.watches.changed(&keys[n].0, false);
        }
    }
}

/// Takes cells and inserts slots: everything that may be missing.
fn take(
    guards: &mut Guards<'_>,
    keys: &[(Key<'_>, Access)],
    items: &[Item],
    steps: &mut SmallVec<[Step<'_>; 2]>,
) -> Result<(), Missing> {
    let mut missing = SmallVec::new();
    for step in steps.iter_mut() {
        let item = &items[step.item];
        let key = &keys[step.item].0;
        let (number, shard) = &mut guards[item.guard];
        let Some(payload) = step.payload else { continue };
        let need = cell_bytes(key.space, key.bytes.len(), payload.len(), step.expiry.is_some());
        let same = item.handle.filter(|&h| Heap::class_bytes(need) == shard.heap.bytes(h).len());
        step.cell = match same {
            Some(handle) => Some(handle),
            None => {
                step.fresh = true;
                let cell = shard.alloc(need);
                if cell.is_none() {
                    missing.push((*number, need));
                }
                cell
            }
        };
    }
    if !missing.is_empty() {
        return Err(Missing::Cells(missing));
    }
    for step in steps.iter_mut() {
        let item = &items[step.item];
        if let (Some(cell), None) = (step.cell, item.at) {
            let provisional = Slot::new(State::Hot, cell.bits()).with_ttl(step.expiry.is_some());
            let shard = &mut guards[item.guard].1;
            step.inserted = Some(shard.insert_slot(keys[step.item].0.space, item.hash, provisional));
        }
    }
    Ok(())
}

/// One reservation for all records of the group.
fn append(
    inner: &Inner,
    keys: &[(Key<'_>, Access)],
    items: &[Item],
    steps: &mut SmallVec<[Step<'_>; 2]>,
    large: &Assembled,
    spaces: Option<&SpacePlan>,
    growing: bool,
) -> Result<(SmallVec<[Appended; 2]>, u64), Missing> {
    let mut appended = SmallVec::new();
    // Asked under the latches: who switches the log on waits for them.
    if !inner.log.mode.logs() {
        return Ok((appended, 0));
    }
    let mut sweeps: SmallVec<[(SpaceId, [u8; 12]); 2]> = SmallVec::new();
    let mut commits: SmallVec<[(SpaceId, [u8; 8]); 2]> = SmallVec::new();
    for step in steps.iter() {
        let space = keys[step.item].0.space;
        if let Some(head) = replaced(&items[step.item], step) {
            sweeps.push((space, sweep_payload(head.id, extents_of(&head))));
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
    let mut drafts: SmallVec<[Draft<'_>; 4]> = SmallVec::new();
    drafts.extend(map.iter().map(|map| extra(RecordKind::Spaces, SpaceId(0), map)));
    for step in steps.iter_mut() {
        let key = &keys[step.item].0;
        step.draft = Some(drafts.len());
        drafts.push(Draft {
            kind: if step.payload.is_some() { RecordKind::Value(step.kind) } else { RecordKind::Tombstone },
            space: key.space,
            hash: key.hash,
            expiry: step.expiry.filter(|_| !crate::planted::is(crate::planted::Bug::TtlNotLogged)),
            key: key.bytes,
            payload: step.payload.unwrap_or_default(),
            moved: None,
        });
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
    let purpose = if growing { Purpose::Growth } else { Purpose::Removal };
    inner
        .log
        .append(FOREGROUND, purpose, || inner.clock.monotonic_us(), &drafts, &mut appended)
        .map_err(Missing::Log)?;
    let highest = appended.last().map_or(0, |a: &Appended| a.seq);
    Ok((appended, highest))
}

/// The head whose extents nobody will name any more after this step.
fn replaced(item: &Item, step: &Step<'_>) -> Option<LargeHead> {
    let head = item.large?;
    let same = step.kind == Kind::LargeString
        && step.payload.and_then(|p| LargeHead::decode(p).ok()).is_some_and(|new| new.id == head.id);
    (!same).then_some(head)
}

fn give_back(guards: &mut Guards<'_>, keys: &[(Key<'_>, Access)], items: &[Item], steps: &mut SmallVec<[Step<'_>; 2]>) {
    for step in steps.iter_mut().rev() {
        let item = &items[step.item];
        let shard = &mut guards[item.guard].1;
        let space = keys[step.item].0.space;
        if step.inserted.take().is_some()
            && let Some(cell) = step.cell
            && let Some((at, _)) = shard
                .space(space)
                .and_then(|s| s.index.find(item.hash, |_, s| s.state() == State::Hot && s.place() == cell.bits()))
        {
            shard.remove_slot(space, at);
        }
        if let Some(cell) = step.cell.take()
            && step.fresh
        {
            let bytes = shard.heap.bytes(cell).len();
            shard.put_aside(bytes, cell);
        }
    }
}

/// Swaps one key's slot. Nothing here can fail.
#[expect(clippy::too_many_arguments, reason = "one hold of the latches needs all of it")]
fn swap(
    inner: &Inner,
    guards: &mut Guards<'_>,
    keys: &[(Key<'_>, Access)],
    item: &mut Item,
    step: &Step<'_>,
    appended: Option<Appended>,
    moved: bool,
    spans: &mut Vec<Span>,
) {
    let key = &keys[step.item].0;
    let shard = &mut guards[item.guard].1;
    item.changed = true;
    if !shard.watches.is_empty() {
        shard.watches.changed(key, item.expired && step.payload.is_none());
    }
    let at = match (item.at, step.cell, step.inserted) {
        (Some((at, slot)), _, _) if !moved => Some((at, slot)),
        (Some((_, slot)), _, _) => shard.refind(key.space, item.hash, slot),
        (None, Some(cell), Some(at)) if !moved || at_is(shard, key.space, at, cell) => {
            Some((at, Slot::new(State::Hot, cell.bits())))
        }
        (None, Some(cell), _) => shard
            .space(key.space)
            .and_then(|s| s.index.find(item.hash, |_, s| s.state() == State::Hot && s.place() == cell.bits())),
        _ => None,
    };
    let Some((at, old)) = at else { panic!("a slot that was found or inserted in this hold is still there") };
    let was_ghost = item.tier == Tier::Cold && shard.ghost.remembers(old.heat());
    let heat = if item.tier == Tier::Hot { (old.heat() + 1).min(3) } else { 0 };
    // The old version goes.
    if item.tier != Tier::Miss && item.old_place.is_some() {
        inner.log.unname(item.old_place, item.old_bytes);
    }
    match (step.payload, step.cell) {
        (Some(payload), Some(cell)) => {
            let (place, class) = appended.map_or((Place::NONE, 0), |a| (a.place, a.class));
            let object = Cell {
                place,
                kind: step.kind,
                main: false,
                space: key.space,
                expiry: step.expiry,
                key: key.bytes,
                payload,
            };
            let slot = shard.space(key.space).map(|s| s.index.get(at)).unwrap_or(old);
            let slot = slot
                .with_state(State::Hot)
                .with_place(cell.bits())
                .with_class(class)
                .with_ttl(step.expiry.is_some())
                .with_heat(heat);
            shard.set_slot(key.space, at, slot);
            if step.fresh {
                if let Some(handle) = item.handle {
                    shard.free_cell(handle, spans);
                }
                shard.place_cell(cell, item.hash, object, was_ghost);
            } else {
                let main = shard.cell(cell).main;
                crate::arena::cell::write(shard.heap.bytes_mut(cell), &Cell { main, ..object });
            }
        }
        _ => {
            shard.remove_slot(key.space, at);
            if let Some(handle) = item.handle {
                shard.free_cell(handle, spans);
            }
        }
    }
}

fn at_is(shard: &Shard, space: SpaceId, at: SlotRef, cell: Handle) -> bool {
    shard.space(space).is_some_and(|s| s.index.get(at).state() == State::Hot && s.index.get(at).place() == cell.bits())
}

/// Sweeps of replaced extents begin, intents of committed ones end.
fn settle_extents(inner: &Inner, keys: &[(Key<'_>, Access)], items: &[Item], steps: &[Step<'_>], large: &Assembled) {
    for step in steps {
        let new_head = large.new_head(step.item).filter(|_| step.kind == Kind::LargeString);
        let old_head = replaced(&items[step.item], step);
        if new_head.is_none() && old_head.is_none() {
            continue;
        }
        let mut pending = inner.pending.lock();
        if let Some(head) = new_head {
            pending.retain(|p| p.id != head.id);
        }
        if let Some(head) = old_head {
            let space = keys[step.item].0.space;
            pending.push(Pending { id: head.id, space, extents: extents_of(&head), intent: false });
        }
    }
}
