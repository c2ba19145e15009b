//! The commit of a command that changes nodes of one collection and nothing else, all of them hot and in the shard of its key.
//!
//! It takes the steps of [`super::commit`] in their order; what it leaves out is to look each node up again, for the body has just
//! met it, and to copy a node of which only counts change: those are set where they lie.
//!
//! Promises: what happens is what the general road would have done. Never: begins with anything that it does not know how to end;
//! new nodes, freed ones and changes of the key's own record are for the general road.

use super::{Item, Missing, Step, append};
use crate::arena::cell;
use crate::change::{Access, Changes};
use crate::delta;
use crate::engine::Inner;
use crate::large::Assembled;
use crate::log::Appended;
use crate::nodes::{Asked, Met};
use crate::place::Place;
use crate::shard::Shard;
use crate::{Key, Kind};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::Ordering;
use thermocline_memory::{Handle, Span};
use thermocline_value::{ChildCount, CollectionId};

/// A node that is written anew, or logged.
struct Changed {
    /// Which of those that the body met.
    met: usize,
    kind: Kind,
    collection: CollectionId,
    /// The entry of the delta record.
    entry: Option<Vec<u8>>,
    /// Which room has the payload after the change; `None`: only a count changes.
    room: Option<usize>,
    /// That count.
    count: Option<CountAt>,
}

/// A count in a payload, and where.
struct CountAt {
    count: ChildCount,
    at: Range<usize>,
}

/// A node of which a count changes, while nothing is logged.
struct Counted {
    /// Which of those that the body met.
    met: usize,
    count: CountAt,
}

/// Commits. Returns the highest seq written, or `None` if this is not for this road. `rooms` are buffers whose memory is used again.
pub(crate) fn commit_hot(
    inner: &Inner,
    shard: &mut Shard,
    asked: &mut Asked,
    changes: &Changes<'_>,
    rooms: &mut Vec<Vec<u8>>,
    spans: &mut Vec<Span>,
) -> Result<Option<u64>, Missing> {
    if inner.is_disk_full() && !inner.closing.load(Ordering::Acquire) {
        return Err(Missing::Full);
    }
    let logs = inner.log.mode.logs();
    let mut counted: SmallVec<[Counted; 8]> = SmallVec::new();
    let mut items: SmallVec<[Item; 2]> = SmallVec::new();
    let mut changed: SmallVec<[Changed; 2]> = SmallVec::new();
    let (mut used, mut written) = (0, Vec::new());
    for change in changes.nodes() {
        let Some(met) = asked.place(change.collection, change.node) else { return Ok(None) };
        let Met { key, hash, hot, .. } = &asked.met[met];
        let Some((at, slot)) = *hot else { return Ok(None) };
        let object = shard.cell(Handle::from_bits(slot.place()));
        let mut counts = None;
        let edits = match (change.count(), change.edits(changes)) {
            (Some(count), _) => {
                let at = count.find(object.payload).map_err(|_| super::DAMAGED)?;
                let count_at = CountAt { count, at };
                if !logs {
                    counted.push(Counted { met, count: count_at });
                    continue;
                }
                counts = Some(count_at);
                written.clear();
                delta::put_edit(&mut written, &count.edit());
                &written[..]
            }
            (None, Some(edits)) => edits,
            (None, None) => return Ok(None),
        };
        let mut item = Item::absent(0, *hash);
        item.set_hot(&key.key(), at, slot, &object.outline());
        if object.deltas
            && let Some(dirty) = shard.deltas.get(object.place)
        {
            item.set_deltas(dirty);
        }
        let entry = if logs { item.delta_of(inner, change.node, edits, object.payload) } else { None };
        let count = counts.filter(|_| entry.is_some());
        let room = if count.is_some() {
            None
        } else {
            if rooms.len() == used {
                rooms.push(Vec::new());
            }
            let room = &mut rooms[used];
            room.clear();
            room.extend_from_slice(object.payload);
            delta::apply(edits, room).map_err(|_| super::DAMAGED)?;
            used += 1;
            Some(used - 1)
        };
        items.push(item);
        changed.push(Changed { met, kind: change.kind, collection: change.collection, entry, room, count });
    }
    let mut steps: SmallVec<[Step<'_>; 2]> = SmallVec::new();
    for (n, change) in changed.iter().enumerate() {
        let payload = change.room.map_or(&[][..], |room| &rooms[room]);
        let delta = change.entry.as_deref().map(|entry| (change.collection, entry));
        steps.push(Step { delta, ..Step::new(n, change.kind, Some(payload), None) });
    }
    let (appended, highest) = match take_and_append(inner, shard, asked, &changed, &items, &mut steps, logs) {
        Ok(logged) => logged,
        Err(missing) => {
            for (n, step) in steps.iter_mut().enumerate().rev() {
                step.give_back(shard, &asked.met[changed[n].met].key.key(), &items[n]);
            }
            return Err(missing);
        }
    };
    for (n, step) in steps.iter().enumerate() {
        let (change, item) = (&changed[n], &mut items[n]);
        let met = &mut asked.met[change.met];
        let appended = step.draft.map(|draft| appended[draft]);
        match &change.count {
            // No slot was inserted or removed: each stands where it was found.
            None => step.swap(inner, shard, &met.key.key(), item, appended, false, spans),
            Some(count) => step.set_count(inner, shard, &met.key.key(), item, appended, count),
        }
        // Its slot is another one now, and has its heat.
        met.hot = None;
    }
    for Counted { met, count } in counted {
        set_unlogged_count(inner, shard, &mut asked.met[met], &count);
    }
    shard.high_seq = shard.high_seq.max(highest);
    Ok(Some(highest))
}

/// Takes cells for what is written anew, then logs all as one group.
fn take_and_append(
    inner: &Inner,
    shard: &mut Shard,
    asked: &Asked,
    changed: &[Changed],
    items: &[Item],
    steps: &mut [Step<'_>],
    logs: bool,
) -> Result<(SmallVec<[Appended; 2]>, u64), Missing> {
    for (n, step) in steps.iter_mut().enumerate() {
        if changed[n].room.is_some()
            && let Some(bytes) = step.take_cell(shard, &asked.met[changed[n].met].key.key(), &items[n])
        {
            return Err(Missing::Cells(smallvec::smallvec![(items[n].guard, bytes)]));
        }
    }
    if !logs {
        return Ok((SmallVec::new(), 0));
    }
    let keys: SmallVec<[(Key<'_>, Access); 4]> =
        changed.iter().map(|change| (asked.met[change.met].key.key(), Access::Overwrite)).collect();
    append(inner, &keys, items, steps, &Assembled::default(), None, true)
}

/// Sets a count of a node while nothing is logged: what the SSD has of it is old then.
fn set_unlogged_count(inner: &Inner, shard: &mut Shard, met: &mut Met, count: &CountAt) {
    let Some((at, old)) = met.hot else { panic!("a node of which a count changes is hot") };
    let handle = Handle::from_bits(old.place());
    shard.counts.changes += 1;
    let object = shard.cell(handle);
    if object.place.is_some() {
        let (place, deltas) = (object.place, object.deltas);
        inner.log.unname(place, shard.record_bytes_of(&object));
        if deltas {
            shard.deltas.remove(place);
        }
    }
    let into = shard.heap.bytes_mut(handle);
    cell::set_version(into, Place::NONE, false);
    count.write(into);
    met.hot = Some((at, old.with_class(0)));
    if old.class() != 0 {
        shard.replace_slot(met.key.space, at, old, old.with_class(0));
    }
}

impl CountAt {
    /// Writes it into the node's cell.
    fn write(&self, into: &mut [u8]) {
        self.count.write(&mut cell::payload_mut(into)[self.at.clone()]);
    }
}

impl Step<'_> {
    /// [`Step::swap`] of a node of which only a count changes.
    fn set_count(
        &self,
        inner: &Inner,
        shard: &mut Shard,
        key: &Key<'_>,
        item: &mut Item,
        appended: Option<Appended>,
        count: &CountAt,
    ) {
        let (Some((at, old)), Some((handle, _))) = (item.at, item.handle) else {
            panic!("a node of which a count changes is hot")
        };
        item.changed = true;
        shard.counts.changes += 1;
        let payload_bytes = shard.cell(handle).payload.len();
        let (place, class) = self.change_version(inner, shard, key, item, old, payload_bytes, appended);
        let into = shard.heap.bytes_mut(handle);
        cell::set_version(into, place, self.delta.and(appended).is_some());
        count.write(into);
        let slot = old.with_class(class).with_heat((old.heat() + 1).min(3));
        shard.replace_slot(key.space, at, old, slot);
    }
}
