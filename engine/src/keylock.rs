//! Key locks: logical, awaited, all or none.
//!
//! A latch guards nanoseconds; a key lock guards a command that must read the SSD between looking and changing. Whoever holds
//! one never waits for another: all locks of a command are taken in one hold of the latches, or none is.
//!
//! Promises: no deadlock (all or none), released when dropped. Never: blocks a thread.

use crate::change::Key;
use crate::engine::Inner;
use crate::shard::{HeldKey, RESERVED};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Held key locks.
pub(crate) struct KeyLocks {
    inner: Arc<Inner>,
    held: SmallVec<[(usize, HeldKey); 2]>,
    owner: u64,
}

impl KeyLocks {
    /// Takes the locks of all keys, waiting until all are free at once. `even_kept`: for a waiting command, which no kept key holds
    /// up.
    pub(crate) async fn take<'k>(inner: &Arc<Inner>, keys: impl Iterator<Item = Key<'k>>, even_kept: bool) -> KeyLocks {
        let owner = inner.owners.fetch_add(1, Ordering::Relaxed);
        let mut held: SmallVec<[(usize, HeldKey); 2]> =
            keys.map(|k| (inner.shard_of(inner.hash_of(&k)), HeldKey { hash: k.hash.0, owner })).collect();
        held.sort_unstable_by_key(|h| (h.0, h.1.hash));
        held.dedup();
        loop {
            let ticket = inner.unlocked.ticket();
            if Self::try_take(inner, &held, even_kept) {
                return KeyLocks { inner: inner.clone(), held, owner };
            }
            inner.unlocked.changed(ticket).await;
        }
    }

    fn try_take(inner: &Inner, held: &[(usize, HeldKey)], even_kept: bool) -> bool {
        let mut numbers: SmallVec<[usize; 2]> = held.iter().map(|h| h.0).collect();
        numbers.dedup();
        let mut guards: SmallVec<[_; 2]> = numbers.iter().map(|&n| (n, inner.shards[n].lock())).collect();
        let stands_in_the_way =
            |held: &HeldKey, hash: u128| held.hash == hash && !(even_kept && held.owner == RESERVED);
        let free = held.iter().all(|(n, key)| {
            guards.iter().find(|g| g.0 == *n).is_some_and(|g| !g.1.held.iter().any(|h| stands_in_the_way(h, key.hash)))
        });
        if free {
            for (n, key) in held {
                if let Some(guard) = guards.iter_mut().find(|g| g.0 == *n) {
                    guard.1.held.push(*key);
                }
            }
        }
        free
    }

    /// Who holds them.
    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }
}

impl Drop for KeyLocks {
    fn drop(&mut self) {
        // In the order of the shards: each is latched once, however many keys it has.
        for keys in self.held.chunk_by(|one, other| one.0 == other.0) {
            self.inner.shards[keys[0].0].lock().held.retain(|h| h.owner != self.owner);
        }
        self.inner.unlocked.notify();
    }
}
