//! The short road: a command on one key whose value is in DRAM, or which is not there at all.
//!
//! The same for a collection that is a tree, if all nodes that the body meets are hot and here, and it only edits them (`commit/hot.rs`).
//!
//! It takes the steps of the general road (`run.rs`) in their order, and leaves out the lists: one latch, one look, the body, the
//! commit of one step. Whatever is not so simple (a cold slot, a held key, a value whose time is over, a string in extents, a
//! change of expiry alone, a log that has failed) is left to the general road, before anything has changed.
//!
//! Promises: what happens is what the general road would have done. Never: waits, allocates on the heap for a read.

use crate::Key;
use crate::arena::cell::{Cell, Outline};
use crate::change::{Access, Change, Changes, Done, Kind, Tier, View};
use crate::collection::NodesOf;
use crate::commit::{Item, Missing, Step, commit_hot, commit_one};
use crate::engine::Inner;
use crate::index::{Slot, SlotRef};
use crate::nodes::{Asked, Source};
use crate::planted::{self, Bug};
use crate::run::count;
use crate::serve::Summons;
use crate::shard::{Shard, Sight};
use crate::tier::fetch::Known;
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;
use thermocline_memory::Handle;
use thermocline_value::Root;

/// Why an attempt on the short road did not run to its end. Nothing was changed.
pub(crate) enum Short {
    /// It is a case for the general road. The body may have run.
    General,
    /// There was no cell: (shard, bytes).
    NoCell(usize, usize),
}

#[inline]
fn view_of<'v>(object: &Cell<'v>, slot: Slot) -> View<'v> {
    View {
        kind: object.kind,
        value: object.payload,
        length: object.payload.len() as u64,
        expires_at_ms: object.expiry,
        tier: Tier::Hot,
        heat: slot.heat(),
        nodes: None,
    }
}

impl Inner {
    /// One attempt.
    #[inline]
    pub(crate) fn attempt_short<'a, R>(
        &self,
        key: &Key<'_>,
        access: Access,
        changes: &mut Changes<'a>,
        body: &mut impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<(R, Done), Short> {
        let hash = self.hash_of(key);
        let number = self.shard_of(hash);
        let mut shard = self.shards[number].lock();
        if !shard.held.is_empty() || self.closed.load(Ordering::Acquire) {
            return Err(Short::General);
        }
        if !changes.is_untouched() {
            changes.clear();
        }
        let (result, found, tier) = match shard.sight(key, hash) {
            Sight::Absent => (body(&[None], changes), None, Tier::Miss),
            Sight::Unknown => return Err(Short::General),
            Sight::Hot(at, slot, object) => {
                if object.kind == Kind::LargeString || object.expiry.is_some_and(|at| at <= self.clock.now_ms()) {
                    return Err(Short::General);
                }
                if !object.kind.is_string() && Root::is_root(object.payload) {
                    return self.run_tree(shard, number, key, access, (at, slot), changes, body);
                }
                let view = view_of(&object, slot);
                (body(&[Some(view)], changes), Some((at, slot, object.outline())), Tier::Hot)
            }
        };
        if !changes.is_untouched() {
            if !changes.nodes().is_empty() {
                return Err(Short::General);
            }
            let done = self.change_one(shard, number, key, access, hash, found, changes)?;
            return Ok((result, done));
        }
        if let (Some((at, slot, _)), true) = (found, access != Access::Peek) {
            shard.touch(key.space, at, slot);
            if self.is_sampled(hash) {
                self.note_hot(&shard, hash, slot);
            }
        }
        let wait_seq = self.wait_short(shard.high_seq, 0)?;
        count(&mut shard, tier, false, access);
        Ok((result, Done { wait_seq, tier, read_us: 0, cause: 0 }))
    }

    /// A command on a collection that is a tree, if all that it asks for is hot and in this shard, and it changes nodes that are
    /// there and nothing else: a split, a merge or another root is for the general road.
    #[expect(clippy::too_many_arguments, reason = "one hold of the latch needs all of it")]
    #[inline(never)]
    fn run_tree<'a, R>(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        number: usize,
        key: &Key<'_>,
        access: Access,
        (at, slot): (SlotRef, Slot),
        changes: &mut Changes<'a>,
        body: &mut impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<(R, Done), Short> {
        if access == Access::Overwrite {
            return Err(Short::General);
        }
        let known = Known::default();
        let mut asked = Asked::default();
        let result = {
            let source = Source::new(self, smallvec::smallvec![(number, &*shard)], &known, &mut asked);
            let object = shard.cell(Handle::from_bits(slot.place()));
            let mut view = view_of(&object, slot);
            view.nodes = Some(NodesOf { source: &source, space: key.space });
            body(&[Some(view)], changes)
        };
        let seen_seq = shard.high_seq;
        let (mut written, mut spans) = (0, Vec::new());
        if !changes.is_untouched() {
            if !matches!(changes.get(0), Change::Touch) || changes.wants_nodes() || changes.nodes().is_empty() {
                return Err(Short::General);
            }
            let mut rooms = std::mem::take(&mut changes.rooms);
            let committed = commit_hot(self, &mut shard, &mut asked, changes, &mut rooms, &mut spans);
            changes.rooms = rooms;
            written = match committed {
                Ok(Some(seq)) => seq,
                Err(Missing::Cells(cells)) => return Err(Short::NoCell(number, cells[0].1)),
                Ok(None) | Err(_) => return Err(Short::General),
            };
            if !shard.watches.is_empty() && !planted::is(Bug::WatchSkipsNodes) {
                shard.watches.changed(key, false);
            }
        }
        if access != Access::Peek {
            shard.touch(key.space, at, slot);
            for node in &asked.met {
                if let Some((at, slot)) = node.hot {
                    shard.touch(node.key.space, at, slot);
                    self.note_node(&mut shard, node);
                }
            }
        }
        let wait_seq = self.wait_short(seen_seq, written)?;
        count(&mut shard, Tier::Hot, false, access);
        let hash = self.hash_of(key);
        if self.is_sampled(hash) {
            self.note(&shard, key, hash, Tier::Hot, access);
        }
        drop(shard);
        if written > 0 {
            self.pump_if_ripe();
        }
        // Spans that became empty go back here, without the latch.
        drop(spans);
        Ok((result, Done { wait_seq, tier: Tier::Hot, read_us: 0, cause: 0 }))
    }

    /// What the answer must wait for. While the log has failed the general road decides what may be answered.
    #[inline]
    fn wait_short(&self, seen: u64, written: u64) -> Result<u64, Short> {
        let wait_seq = self.wait_seq(seen, written);
        match wait_seq != 0 && written == 0 && self.log.failure().is_some() {
            true => Err(Short::General),
            false => Ok(wait_seq),
        }
    }

    /// Commits what the body decided.
    #[expect(clippy::too_many_arguments, reason = "one hold of the latch needs all of it")]
    fn change_one(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        number: usize,
        key: &Key<'_>,
        access: Access,
        hash: u64,
        found: Option<(SlotRef, Slot, Outline)>,
        changes: &Changes<'_>,
    ) -> Result<Done, Short> {
        let mut item = Item::absent(0, hash);
        if let Some((at, slot, object)) = &found {
            item.set_hot(key, *at, *slot, object);
        }
        let tier = item.tier;
        let step = match changes.get(0) {
            Change::Put(kind, payload, expiry) => {
                let (bytes, expiry) = (changes.bytes(payload), item.expiry_after(expiry));
                if !self.is_ordinary(key.bytes.len(), bytes.len(), true) {
                    return Err(Short::General);
                }
                Some(Step::new(0, kind, Some(bytes), expiry))
            }
            Change::Remove(false) => found.map(|_| Step::new(0, Kind::String, None, None)),
            Change::Remove(true) | Change::Expire(_) | Change::Edit(..) | Change::Touch | Change::None => {
                return Err(Short::General);
            }
        };
        let (seen_seq, mut written, mut spans) = (shard.high_seq, 0, Vec::new());
        if let Some(step) = step {
            written = match commit_one(self, &mut shard, key, &mut item, step, &mut spans) {
                Ok(seq) => seq,
                Err(Missing::Cells(cells)) => return Err(Short::NoCell(number, cells[0].1)),
                Err(_) => return Err(Short::General),
            };
        }
        let wait_seq = self.wait_short(seen_seq, written)?;
        count(&mut shard, tier, false, access);
        if self.is_sampled(hash) {
            self.note(&shard, key, hash, tier, access);
        }
        let mut summons = Summons::default();
        let cause = match shard.queues.is_empty() {
            true => 0,
            false => summons.collect_one(self, &mut shard),
        };
        drop(shard);
        if written > 0 {
            self.pump_if_ripe();
        }
        summons.send(self);
        // Spans that became empty go back here, without the latch.
        drop(spans);
        Ok(Done { wait_seq, tier, read_us: 0, cause })
    }
}
