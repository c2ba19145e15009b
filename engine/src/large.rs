//! Strings too large for one record: a head and extents in the hidden twin space.
//!
//! ```text
//!  head record   key -> LargeHead { length, extent bytes, id }
//!  extent record (id u64, number u32) in the twin space -> bytes number x extent bytes ..
//! ```
//! Writing: an Intent is logged, the extents are written one by one (each an ordinary value that may be demoted, so that a
//! value larger than memory works), then one group commits the head. A crash in between leaves an intent, whose extents are
//! swept. Replacing or removing a head logs a Sweep in the same group.
//!
//! Promises: whole or absent; extents nobody names are swept, after a crash too. Never: an extent changed in place.

use crate::change::{Access, Changes, Expiry, Key, Kind, SpaceId};
use crate::engine::{Engine, Inner};
use crate::error::{Error, Result};
use crate::keylock::KeyLocks;
use crate::log::map::Pending;
use crate::log::record::{RecordKind, padded, record_bytes};
use crate::log::{Draft, FOREGROUND, NoRoom, Purpose};
use crate::options::{EXTENT_WINDOW, ROUNDS_MAX, VALUE_BYTES_MAX};
use crate::run::Run;
use crate::tier::sweep::yield_now;
use crate::wait::{Boxed, join_all};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_value::{LargeHead, Root};

/// Values of a command that lie in extents: assembled for the body, or written for the commit.
#[derive(Default)]
pub(crate) struct Assembled {
    values: Vec<(SpaceId, Vec<u8>, u64, Vec<u8>)>,
    heads: Vec<(usize, SpaceId, LargeHead)>,
    owner: Option<Arc<Inner>>,
}

impl Assembled {
    /// The assembled value of a head.
    pub(crate) fn value(&self, key: &Key<'_>, id: u64) -> Option<&[u8]> {
        self.values.iter().find(|v| v.0 == key.space && v.1 == key.bytes && v.2 == id).map(|v| v.3.as_slice())
    }

    /// The head written for a key's new value of this length.
    pub(crate) fn written(&self, key: usize, length: u64) -> Option<LargeHead> {
        self.new_head(key).filter(|h| h.length == length)
    }

    /// The head written for a key.
    pub(crate) fn new_head(&self, key: usize) -> Option<LargeHead> {
        self.heads.iter().find(|h| h.0 == key).map(|h| h.2)
    }

    /// The command is done. Heads that it wrote and did not commit (the body decided otherwise in the end) are swept.
    pub(crate) fn committed(&mut self) {
        if let Some(inner) = self.owner.as_ref().filter(|_| !self.heads.is_empty()) {
            inner.abandon(self.heads.drain(..).map(|(_, _, head)| head));
        }
    }

    /// The head that was written for a key's new value before, and is not wanted any more.
    fn replace(&mut self, number: usize) -> Option<LargeHead> {
        let at = self.heads.iter().position(|head| head.0 == number)?;
        Some(self.heads.swap_remove(at).2)
    }

    fn pinned_bytes(&self) -> u64 {
        self.values.iter().map(|v| v.3.len() as u64).sum()
    }
}

impl Drop for Assembled {
    /// Extents of a command that failed or was dropped are swept; the memory of assembled values is given back.
    fn drop(&mut self) {
        let Some(inner) = self.owner.take() else { return };
        inner.pinned_bytes.fetch_sub(self.pinned_bytes(), Ordering::Relaxed);
        let mut pending = inner.pending.lock();
        for (_, space, head) in &self.heads {
            match pending.iter_mut().find(|p| p.id == head.id) {
                Some(p) => p.intent = false,
                None => {
                    pending.push(Pending {
                        id: head.id,
                        space: *space,
                        extents: extents_of(head),
                        intent: false,
                        tree: None,
                    });
                }
            }
        }
    }
}

/// Extents of a value (a value has at most 512 MiB, so they fit).
pub(crate) fn extents_of(head: &LargeHead) -> u32 {
    u32::try_from(head.extents()).unwrap_or(u32::MAX)
}

/// Payload of a Sweep record of a collection's nodes: the root that nobody names any more.
pub(crate) fn tree_payload(root: &Root) -> SmallVec<[u8; 24]> {
    let mut out = Vec::with_capacity(24);
    root.encode(&mut out);
    SmallVec::from_vec(out)
}

/// Payload of a Sweep or Intent record of extents.
pub(crate) fn sweep_payload(id: u64, extents: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&id.to_le_bytes());
    out[8..].copy_from_slice(&extents.to_le_bytes());
    out
}

/// Key of an extent.
pub(crate) fn extent_key(id: u64, number: u32) -> [u8; 12] {
    sweep_payload(id, number)
}

impl Inner {
    /// Bytes of an extent: the largest payload of a record with an extent's key.
    pub(crate) fn extent_bytes(&self) -> usize {
        (self.record_bytes_max - padded(record_bytes(12, 0, false))) & !15
    }

    /// Reads all extents of a key's value, a window at a time.
    pub(crate) fn assemble<'f, 'k: 'f>(
        self: &'f Arc<Self>,
        number: usize,
        run: &'f mut Run<'k>,
    ) -> Boxed<'f, Result<()>> {
        Box::pin(async move {
            let key = run.keys[number].0;
            if run.rounds > 0 && run.locks.is_none() {
                run.locks = Some(KeyLocks::take(self, run.keys.iter().map(|(k, _)| *k), run.even_kept).await);
            }
            run.rounds += 1;
            let engine = Engine { inner: self.clone() };
            let mut changes = Changes::new(1);
            let owner_keys = [(key, Access::Overwrite)];
            // The head, as it is now.
            let mut head = None;
            let outcome = engine.peek_head(&owner_keys, run.owner(), &mut changes, &mut head).await;
            outcome?;
            let Some(head) = head else { return Ok(()) };
            if head.length > VALUE_BYTES_MAX {
                return Err(Error::TooLarge { what: "a string", bytes: head.length, bytes_max: VALUE_BYTES_MAX });
            }
            self.pin(head.length)?;
            let mut value = vec![0; head.length as usize];
            let extent = head.extent_bytes as usize;
            let twin = key.space.twin();
            let mut whole = true;
            for (window, slices) in value.chunks_mut(extent * EXTENT_WINDOW).enumerate() {
                let reads = slices.chunks_mut(extent).enumerate().map(|(i, into)| {
                    let number = (window * EXTENT_WINDOW + i) as u32;
                    let read: Boxed<'_, Result<bool>> = Box::pin(self.read_extent(twin, head.id, number, into));
                    read
                });
                for read in join_all(reads.collect()).await {
                    match read {
                        Ok(found) => whole &= found,
                        Err(error) => {
                            self.pinned_bytes.fetch_sub(head.length, Ordering::Relaxed);
                            return Err(error);
                        }
                    }
                }
            }
            if !whole {
                // Replaced meanwhile: its extents are being swept. The next attempt sees the new head.
                self.pinned_bytes.fetch_sub(head.length, Ordering::Relaxed);
                if !self.spaces.read().names(key.space) {
                    // Written while its database was flushed: the key is gone, as the flush wanted.
                    run.locks = None;
                    let remove: Boxed<'_, Result<((), crate::Done)>> =
                        Box::pin(engine.run(&owner_keys, &mut changes, |_, changes| changes.remove(0)));
                    return remove.await.map(|_| ());
                }
                if run.rounds > ROUNDS_MAX {
                    return Err(Error::PartsMissing { bytes: head.length });
                }
                yield_now().await;
                return Ok(());
            }
            run.large.owner.get_or_insert_with(|| self.clone());
            run.large.values.push((key.space, key.bytes.to_vec(), head.id, value));
            Ok(())
        })
    }

    async fn read_extent(self: &Arc<Self>, space: SpaceId, id: u64, number: u32, into: &mut [u8]) -> Result<bool> {
        let name = extent_key(id, number);
        let key = self.key(space, &name);
        let engine = Engine { inner: self.clone() };
        let mut found = false;
        engine
            .run(&[(key, Access::Read)], &mut Changes::new(1), |views, _| {
                found = views[0].is_some_and(|v| v.value.len() == into.len());
                if let (true, Some(view)) = (found, &views[0]) {
                    into.copy_from_slice(view.value);
                }
            })
            .await?;
        Ok(found)
    }

    /// Memory for an assembled value comes out of the arena's share.
    fn pin(&self, bytes: u64) -> Result<()> {
        let max = self.max_memory.load(Ordering::Relaxed) / 2;
        let before = self.pinned_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > max {
            self.pinned_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::TooLarge {
                what: "the values that commands hold in memory",
                bytes: before + bytes,
                bytes_max: max,
            });
        }
        self.region.set_limit_bytes(self.arena_limit_bytes());
        self.trim();
        Ok(())
    }

    /// Writes the extents of a staged value, so that the next attempt can commit its head.
    pub(crate) fn extend<'f, 'k: 'f, 'a: 'f>(
        self: &'f Arc<Self>,
        number: usize,
        run: &'f mut Run<'k>,
        changes: &'f Changes<'a>,
    ) -> Boxed<'f, Result<()>> {
        Box::pin(async move {
            let key = run.keys[number].0;
            if run.locks.is_none() {
                run.locks = Some(KeyLocks::take(self, run.keys.iter().map(|(k, _)| *k), run.even_kept).await);
                // What the body decided was decided without the locks: it decides again.
                return Ok(());
            }
            let crate::change::Change::Put(_, payload, _) = changes.get(number) else { return Ok(()) };
            let value = changes.bytes(payload);
            if value.len() as u64 > VALUE_BYTES_MAX {
                return Err(Error::TooLarge {
                    what: "a string",
                    bytes: value.len() as u64,
                    bytes_max: VALUE_BYTES_MAX,
                });
            }
            let extent = self.extent_bytes();
            let extents = value.len().div_ceil(extent) as u32;
            let id = self.intend(key.space, extents).await?;
            run.large.owner.get_or_insert_with(|| self.clone());
            self.abandon(run.large.replace(number).into_iter());
            let head = LargeHead { length: value.len() as u64, extent_bytes: extent as u32, id };
            run.large.heads.push((number, key.space, head));
            let engine = Engine { inner: self.clone() };
            for (n, bytes) in value.chunks(extent).enumerate() {
                let name = extent_key(id, n as u32);
                let extent_of = self.key(key.space.twin(), &name);
                let mut staged = Changes::new(1);
                let keys = [(extent_of, Access::Overwrite)];
                let write: Boxed<'_, Result<((), crate::Done)>> =
                    Box::pin(
                        engine.run(&keys, &mut staged, |_, changes| changes.put(0, Kind::Extent, bytes, Expiry::Clear)),
                    );
                write.await?;
            }
            Ok(())
        })
    }

    /// Sweeps the extents of those heads that are still an intent.
    fn abandon(&self, heads: impl Iterator<Item = LargeHead>) {
        for head in heads {
            let mut pending = self.pending.lock();
            if let Some(found) = pending.iter_mut().find(|pending| pending.id == head.id) {
                found.intent = false;
            }
        }
    }

    /// Logs an intent and returns its id.
    async fn intend(self: &Arc<Self>, space: SpaceId, extents: u32) -> Result<u64> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // Without a log, too: one may be begun before the head is committed, and its map knows what is pending.
        self.pending.lock().push(Pending { id, space, extents, intent: true, tree: None });
        if !self.log.mode.logs() {
            return Ok(id);
        }
        let payload = sweep_payload(id, extents);
        self.log_fact(RecordKind::Intent, space, &payload, Purpose::Growth)
            .await
            .inspect_err(|_| self.pending.lock().retain(|p| p.id != id))?;
        Ok(id)
    }

    /// Appends a record that no slot names.
    pub(crate) async fn log_fact(
        self: &Arc<Self>,
        kind: RecordKind,
        space: SpaceId,
        payload: &[u8],
        purpose: Purpose,
    ) -> Result<u64> {
        let draft = Draft { kind, space, hash: crate::hash::KeyHash(0), expiry: None, key: &[], payload, moved: None };
        loop {
            let ticket = self.log.room.ticket();
            let mut out = SmallVec::new();
            match self.log.append(FOREGROUND, purpose, || self.clock.monotonic_us(), &[draft], &mut out) {
                Ok(()) => return Ok(out[0].seq),
                Err(NoRoom::Failed) => return Err(self.refusal()),
                Err(_) if purpose == Purpose::Growth => self.log_room(ticket).await?,
                Err(_) => {
                    self.gc_wanted.store(true, Ordering::Release);
                    self.pump(false);
                    self.log.room.changed(ticket).await;
                }
            }
        }
    }
}

/// A string that is kept in extents, of a store that nobody changes meanwhile.
pub struct LongString {
    space: SpaceId,
    head: LargeHead,
}

impl LongString {
    /// Its bytes.
    pub fn length(&self) -> u64 {
        self.head.length
    }

    /// Its extents.
    pub fn extents(&self) -> u32 {
        extents_of(&self.head)
    }
}

impl Engine {
    /// The string under a key, if it is kept in extents: to read it without having it in memory whole.
    ///
    /// # Errors
    /// The head cannot be read.
    pub async fn long_string(&self, key: Key<'_>) -> Result<Option<LongString>> {
        let mut head = None;
        self.peek_head(&[(key, Access::Peek)], 0, &mut Changes::new(1), &mut head).await?;
        Ok(head.map(|head| LongString { space: key.space.twin(), head }))
    }

    /// The bytes of one of its extents.
    ///
    /// # Errors
    /// It is not there any more, or cannot be read.
    pub async fn extent(&self, string: &LongString, number: u32) -> Result<Vec<u8>> {
        let LongString { space, head } = string;
        let extent_bytes = u64::from(head.extent_bytes);
        let bytes = extent_bytes.min(head.length.saturating_sub(u64::from(number) * extent_bytes));
        let mut extent = vec![0; bytes as usize];
        match self.inner.read_extent(*space, head.id, number, &mut extent).await? {
            true => Ok(extent),
            false => Err(Error::PartsMissing { bytes: head.length }),
        }
    }

    /// The head of a key's value, if it is kept in extents.
    async fn peek_head(
        &self,
        keys: &[(Key<'_>, Access)],
        owner: u64,
        changes: &mut Changes<'_>,
        head: &mut Option<LargeHead>,
    ) -> Result<()> {
        let mut run = Run::new(keys);
        run.part_of_another = true;
        loop {
            match self.inner.head_of(&keys[0].0, &run.known, owner) {
                Ok(found) => {
                    *head = found;
                    changes.clear();
                    return Ok(());
                }
                Err(need) => {
                    let bring: Boxed<'_, Result<()>> = Box::pin(self.inner.bring(need, &mut run));
                    bring.await?;
                }
            }
        }
    }
}
