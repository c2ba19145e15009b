//! Clearing what is no longer named: the slots of flushed spaces, the extents of replaced values; in bounded steps.
//!
//! Promises: the caller of FLUSHDB or DEL pays O(1); memory and log space come back in the background; a crash resumes. Never:
//! a long hold of a latch.

use crate::arena::cell;
use crate::change::{Access, Changes};
use crate::engine::{Engine, Inner};
use crate::error::{Error, Result};
use crate::index::State;
use crate::large::extent_key;
use crate::log::Purpose;
use crate::log::record::RecordKind;
use crate::nodes::NodeKey;
use crate::options::{NODES_SWEPT_TOGETHER, SWEEP_SLOTS_PER_STEP};
use crate::place::{CLASS_SECTORS, Place, SECTOR_BYTES};
use crate::shard::Shard;
use crate::{Key, SpaceId};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use thermocline_memory::Handle;
use thermocline_value::{NodeId, Root};

/// Lets other tasks run once.
pub(crate) fn yield_now() -> Yield {
    Yield(false)
}

/// Future of [`yield_now`].
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Inner {
    /// Clears dropped spaces and pending extents, a step at a time. Returns true if there was something to do.
    pub(crate) async fn sweep(self: &Arc<Self>) -> bool {
        let mut cleared = false;
        // Heads before their extents: a head whose extents are gone would be read in vain again and again.
        for (twins, number) in [false, true].into_iter().flat_map(|t| (0..self.shards.len()).map(move |n| (t, n))) {
            while let Some(space) = self.dropped_space(number, twins) {
                cleared = true;
                while self.clear_some(number, space) {
                    yield_now().await;
                }
                if self.frozen.load(Ordering::Acquire) {
                    return false;
                }
            }
        }
        let due = self.pending.lock().iter().find(|p| !p.intent).copied();
        let Some(pending) = due else { return cleared };
        let engine = Engine { inner: self.clone() };
        if let Some(root) = pending.tree
            && self.sweep_tree(&engine, pending.space, &root).await.is_err()
        {
            return false;
        }
        for number in 0..pending.extents {
            let name = extent_key(pending.id, number);
            let key = self.key(pending.space.twin(), &name);
            let mut changes = Changes::new(1);
            let removed = engine.run(&[(key, Access::Overwrite)], &mut changes, |_, changes| changes.remove(0)).await;
            if removed.is_err() {
                return false;
            }
            yield_now().await;
        }
        if self.log.mode.logs()
            && self
                .log_fact(RecordKind::Swept, pending.space, &pending.id.to_le_bytes(), Purpose::Removal)
                .await
                .is_err()
        {
            return false;
        }
        self.pending.lock().retain(|p| p.id != pending.id);
        true
    }

    /// Removes the nodes below a root that nobody names any more: children before their parents, so that what is still there says
    /// what is left to do, after a crash too.
    async fn sweep_tree(self: &Arc<Self>, engine: &Engine, space: SpaceId, root: &Root) -> Result<()> {
        for top in [root.second, Some(root.tree)].into_iter().flatten() {
            // Inner nodes on the way down: their children, and how many of them are gone.
            let mut stack: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
            let mut next = Some(top.node);
            loop {
                if let Some(node) = next.take() {
                    let is_inner = stack.len() < usize::from(top.levels);
                    let children = if is_inner { self.children(engine, space, root, node).await? } else { Vec::new() };
                    stack.push((node, children));
                }
                let depth = stack.len();
                let Some((node, children)) = stack.last_mut() else { break };
                if depth == usize::from(top.levels) {
                    for leaves in children.chunks(NODES_SWEPT_TOGETHER) {
                        self.remove_nodes(engine, space, root, leaves).await?;
                        yield_now().await;
                    }
                    children.clear();
                }
                next = children.pop();
                if next.is_none() {
                    let node = *node;
                    stack.pop();
                    self.remove_nodes(engine, space, root, &[node]).await?;
                    yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// All nodes below a root, parents before their children.
    pub(crate) async fn nodes_below(
        self: &Arc<Self>,
        engine: &Engine,
        space: SpaceId,
        root: &Root,
    ) -> Result<Vec<NodeKey>> {
        let mut all = Vec::new();
        for top in [Some(root.tree), root.second].into_iter().flatten() {
            let mut level = vec![top.node];
            for height in (0..=top.levels).rev() {
                all.extend(level.iter().map(|node| self.node_key(space.twin(), root.collection, *node)));
                let mut below = Vec::new();
                for node in level.iter().filter(|_| height > 0) {
                    below.extend(self.children(engine, space, root, *node).await?);
                }
                level = below;
            }
        }
        Ok(all)
    }

    /// The children of an inner node; none if it is gone already.
    async fn children(
        self: &Arc<Self>,
        engine: &Engine,
        space: SpaceId,
        root: &Root,
        node: NodeId,
    ) -> Result<Vec<NodeId>> {
        let key = self.node_key(space.twin(), root.collection, node);
        let children = engine
            .run(&[(key.key(), Access::Read)], &mut Changes::new(1), |views, _| {
                views[0].and_then(|view| thermocline_value::children(view.value).ok()).unwrap_or_default()
            })
            .await;
        match children {
            Ok((children, _)) => Ok(children),
            // What lay below a damaged node nobody can name any more. It must not keep all other sweeps waiting.
            Err(Error::Corrupt { segment, offset }) => {
                tracing::warn!(
                    segment,
                    offset,
                    "a damaged node of a removed collection: what lay below it stays in the log"
                );
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn remove_nodes(
        self: &Arc<Self>,
        engine: &Engine,
        space: SpaceId,
        root: &Root,
        nodes: &[NodeId],
    ) -> Result<()> {
        let names: Vec<NodeKey> =
            nodes.iter().map(|node| self.node_key(space.twin(), root.collection, *node)).collect();
        let keys: Vec<(Key<'_>, Access)> = names.iter().map(|name| (name.key(), Access::Overwrite)).collect();
        // What proves cold ones may be too much to read together: one alone is never refused.
        let mut parts = vec![&keys[..]];
        while let Some(part) = parts.pop() {
            let mut changes = Changes::new(part.len());
            match engine.run(part, &mut changes, |_, changes| (0..part.len()).for_each(|n| changes.remove(n))).await {
                Ok(_) => {}
                Err(Error::OutOfMemory) if part.len() > 1 => parts.extend(part.chunks(1)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A space of this shard that no database names any more: a visible one, or a twin.
    fn dropped_space(&self, number: usize, twins: bool) -> Option<SpaceId> {
        let spaces = self.spaces.read().clone();
        self.shards[number]
            .lock()
            .spaces
            .iter()
            .map(|s| s.id)
            .find(|&s| !spaces.names(s) && (s.visible() != s) == twins)
    }

    /// Clears some slots of a dropped space in one shard. Returns true if there are more.
    fn clear_some(&self, number: usize, space: SpaceId) -> bool {
        let mut spans = Vec::new();
        let more = {
            let mut shard = self.shards[number].lock();
            if self.frozen.load(Ordering::Acquire) {
                return false; // the next start drops what is left
            }
            let shard = &mut *shard;
            let Some(at) = shard.spaces.iter().position(|s| s.id == space) else { return false };
            let mut slots = Vec::with_capacity(SWEEP_SLOTS_PER_STEP);
            shard.spaces[at].index.scan(0, SWEEP_SLOTS_PER_STEP, |_, slot, prefix, _| slots.push((slot, prefix)));
            for &(slot, prefix) in &slots {
                let Some((found, slot)) = shard.refind(space, prefix, slot) else { continue };
                self.forget(shard, slot, &mut spans);
                shard.remove_slot(space, found);
            }
            let more = !slots.is_empty();
            if !more {
                shard.spaces.remove(at);
            }
            more
        };
        for span in spans {
            self.region.give(span);
        }
        more
    }

    /// Gives back the cell and unnames the place of a slot that is about to go without a record of its own.
    pub(crate) fn forget(
        &self,
        shard: &mut Shard,
        slot: crate::index::Slot,
        spans: &mut Vec<thermocline_memory::Span>,
    ) {
        if slot.state() == State::Hot {
            let handle = Handle::from_bits(slot.place());
            let object = cell::read(shard.heap.bytes(handle));
            let (place, bytes) = (object.place, shard.record_bytes_of(&object));
            if place.is_some() {
                shard.deltas.remove(place);
                self.log.unname(place, bytes);
            }
            shard.free_cell(handle, spans);
        } else {
            // The exact length is on the SSD only; the class bounds it.
            self.log.unname(Place::from_bits(slot.place()), CLASS_SECTORS[usize::from(slot.class())] * SECTOR_BYTES);
        }
    }
}
