//! Watched keys: whoever watches one learns whether it was changed, without a version of any key in DRAM.
//!
//! ```text
//!  Watcher (one per client) -- mark: changed? ----.
//!     keys: (database, name)                       |  the same mark
//!  Shard: 128-bit hash -> [ (name, seen, mark) ] --'  guarded by the shard's latch
//! ```
//! A commit that changes a key looks it up in its shard's table, in the hold in which it swaps the slot; with no watcher in the
//! shard that is one comparison. Demotion, promotion and GC commit nothing, so they mark nobody. A key whose time had come when
//! it was watched is watched as a missing one: its removal is no change. A key whose time comes later is found by its expiry,
//! which is kept here; it cannot move without a mark.
//!
//! FLUSHDB and SWAPDB hold all latches: they mark whoever watches a key that is or was there, and take the rest along into the
//! new space.
//!
//! Promises: no change is missed, no hash collision aborts anybody (names are compared); WATCH and UNWATCH of n keys cost n
//! steps. Never: a version, a copy of a value, or a cost on the hot road while nobody watches.

use crate::change::{Access, Changes, Key};
use crate::engine::{Engine, Inner, Spaces};
use crate::error::{Error, Result};
use crate::index::State;
use crate::options::{WATCH_KEYS_PER_RUN, WATCHED_SHARE_MAX};
use crate::run::Guards;
use crate::shard::Found;
use crate::tier::fetch::Known;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// DRAM of one watched key beside its name: the entries here and in the shard.
const WATCH_BYTES: usize = 160;

/// Set once, by the first change of any key that is watched with it.
#[derive(Default)]
pub(crate) struct Mark(AtomicBool);

impl Mark {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One client's interest in one key.
struct Watch {
    mark: Arc<Mark>,
    database: u32,
    name: Arc<[u8]>,
    /// The key was there when it was watched.
    seen: bool,
}

/// The watched keys of one shard.
#[derive(Default)]
pub(crate) struct Watches(HashMap<u128, SmallVec<[Watch; 1]>>);

impl Watches {
    /// Nobody watches a key of this shard.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A key has changed. `expired`: it was only removed because its time was over.
    pub(crate) fn changed(&self, key: &Key<'_>, expired: bool) {
        let Some(watches) = self.0.get(&key.hash.0) else { return };
        for watch in watches.iter().filter(|w| *w.name == *key.bytes && (w.seen || !expired)) {
            watch.mark.set();
        }
    }

    /// False: it is watched with this mark already.
    fn add(&mut self, key: &Key<'_>, watch: Watch) -> bool {
        let watches = self.0.entry(key.hash.0).or_default();
        let is_new = !watches.iter().any(|w| Arc::ptr_eq(&w.mark, &watch.mark) && w.name == watch.name);
        if is_new {
            watches.push(watch);
        }
        is_new
    }

    fn see(&mut self, key: &Key<'_>, mark: &Arc<Mark>) {
        for watch in self.0.get_mut(&key.hash.0).into_iter().flatten() {
            watch.seen |= Arc::ptr_eq(&watch.mark, mark) && *watch.name == *key.bytes;
        }
    }

    fn remove(&mut self, key: &Key<'_>, mark: &Arc<Mark>) {
        if let Some(watches) = self.0.get_mut(&key.hash.0) {
            watches.retain(|w| !(Arc::ptr_eq(&w.mark, mark) && *w.name == *key.bytes));
            if watches.is_empty() {
                self.0.remove(&key.hash.0);
            }
        }
        if self.0.is_empty() {
            self.0 = HashMap::new(); // its memory goes, too
        }
    }

    /// Takes out all watches of these databases.
    fn take(&mut self, databases: &[bool], into: &mut Vec<Watch>) {
        self.0.retain(|_, watches| {
            let (gone, kept): (SmallVec<[Watch; 1]>, SmallVec<[Watch; 1]>) =
                std::mem::take(watches).into_iter().partition(|w| databases[w.database as usize]);
            *watches = kept;
            into.extend(gone);
            !watches.is_empty()
        });
    }
}

/// A key that a client watches.
struct Watched {
    database: u32,
    name: Arc<[u8]>,
    expires_at_ms: Option<u64>,
}

/// The keys that one client watches.
pub struct Watcher {
    engine: Engine,
    mark: Arc<Mark>,
    keys: Vec<Watched>,
    bytes: usize,
}

impl Watcher {
    /// Watches keys, each with its database. Cold ones are read once, to know whether they are there.
    ///
    /// # Errors
    /// More than the share of `maxmemory` that watched keys of one client may take; a read failed.
    pub async fn watch(&mut self, names: &[(u32, &[u8])]) -> Result<()> {
        for part in names.chunks(WATCH_KEYS_PER_RUN) {
            self.watch_some(part).await?;
        }
        Ok(())
    }

    async fn watch_some(&mut self, names: &[(u32, &[u8])]) -> Result<()> {
        let engine = self.engine.clone();
        let inner = &engine.inner;
        let first = self.keys.len();
        for (database, name) in names {
            let bytes = WATCH_BYTES + name.len();
            if (self.bytes + bytes) as u64 > engine.max_memory() / WATCHED_SHARE_MAX {
                return Err(Error::OutOfMemory);
            }
            let name: Arc<[u8]> = (*name).into();
            let watch = Watch { mark: self.mark.clone(), database: *database, name: name.clone(), seen: false };
            if inner.at_watched(*database, &name, |watches, key| watches.add(key, watch)) {
                self.bytes += bytes;
                engine.charge_clients(bytes as i64);
                self.keys.push(Watched { database: *database, name, expires_at_ms: None });
            }
        }
        // What changes from here on is marked. What is there now?
        let new = &mut self.keys[first..];
        loop {
            let plan = engine.plan_spaces();
            let keys: Vec<(Key<'_>, Access)> =
                new.iter().map(|w| (inner.key(plan.space(w.database), &w.name), Access::Peek)).collect();
            let mut seen = Vec::new();
            let mut changes = Changes::new(keys.len());
            engine
                .run(&keys, &mut changes, |views, _| {
                    seen.clear();
                    seen.extend(views.iter().map(|view| view.map(|view| view.expires_at_ms)));
                })
                .await?;
            if !plan.holds(inner) {
                continue;
            }
            for (watched, seen) in new.iter_mut().zip(seen) {
                if let Some(expires_at_ms) = seen {
                    watched.expires_at_ms = expires_at_ms;
                    inner.at_watched(watched.database, &watched.name, |watches, key| watches.see(key, &self.mark));
                }
            }
            return Ok(());
        }
    }

    /// Has a watched key changed, or has its time come?
    pub fn is_changed(&self) -> bool {
        if self.mark.is_set() {
            return true;
        }
        let now_ms = std::cell::OnceCell::new();
        self.keys
            .iter()
            .filter_map(|w| w.expires_at_ms)
            .any(|at_ms| at_ms <= *now_ms.get_or_init(|| self.engine.now_ms()))
    }

    /// Watches nothing any more, and has seen no change.
    pub fn clear(&mut self) {
        let mark = std::mem::take(&mut self.mark);
        for watched in self.keys.drain(..) {
            let inner = &self.engine.inner;
            inner.at_watched(watched.database, &watched.name, |watches, key| watches.remove(key, &mark));
        }
        self.engine.charge_clients(-(self.bytes as i64));
        self.bytes = 0;
    }

    /// DRAM that the watched keys take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Index hashes of the watched keys, with this map of databases.
    pub(crate) fn hashes<'s>(&'s self, spaces: &'s Spaces) -> impl Iterator<Item = u64> + 's {
        let inner = &self.engine.inner;
        self.keys.iter().map(|w| inner.hash_of(&inner.key(spaces.of_database[w.database as usize], &w.name)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Engine {
    /// A client that may watch keys.
    pub fn watcher(&self) -> Watcher {
        Watcher { engine: self.clone(), mark: Arc::default(), keys: Vec::new(), bytes: 0 }
    }
}

impl Inner {
    /// Does something with the table of the shard where a database's key belongs, under that shard's latch.
    fn at_watched<R>(&self, database: u32, name: &[u8], act: impl FnOnce(&mut Watches, &Key<'_>) -> R) -> R {
        let engine_space = || crate::SpaceId(self.space_of[database as usize].load(Ordering::Acquire));
        loop {
            let space = engine_space();
            let key = self.key(space, name);
            let mut shard = self.shards[self.shard_of(self.hash_of(&key))].lock();
            // The map changes only under all latches: under one it stands still.
            if engine_space() == space {
                return act(&mut shard.watches, &key);
            }
        }
    }

    /// The map of databases has changed, and all latches are held: who watched a key that was there, is now, or was `touched` in
    /// between, is marked; the others go on watching in the new space.
    pub(crate) fn move_watches(
        &self,
        guards: &mut Guards<'_>,
        before: &Spaces,
        after: &Spaces,
        touched: &[(u32, &[u8])],
    ) {
        let differs: Vec<bool> = before.of_database.iter().zip(&after.of_database).map(|(b, a)| b != a).collect();
        let mut moved = Vec::new();
        for (_, shard) in guards.iter_mut().filter(|g| !g.1.watches.is_empty()) {
            shard.watches.take(&differs, &mut moved);
        }
        for watch in moved {
            let name = watch.name.clone();
            let key = self.key(after.of_database[watch.database as usize], &name);
            let hash = self.hash_of(&key);
            let shard = &mut guards[self.shard_of(hash)].1;
            // A cold slot that is not proven counts as the key: with 35 bits or more of its hash it nearly always is.
            let is_there = match shard.find(&key, hash, &Known::default(), &self.log) {
                Found::Absent => false,
                Found::Hot(_, slot, handle) => {
                    debug_assert_eq!(slot.state(), State::Hot);
                    shard.cell(handle).expiry.is_none_or(|at_ms| at_ms > self.clock.now_ms())
                }
                Found::Cold(..) | Found::Corrupt(..) | Found::Unknown(_) => true,
            };
            if watch.seen || is_there || touched.contains(&(watch.database, &*name)) {
                watch.mark.set();
            } else {
                shard.watches.add(&key, watch);
            }
        }
    }
}

/// The shards of these hashes, each once, in order.
pub(crate) fn shards_of(inner: &Inner, hashes: impl Iterator<Item = u64>) -> SmallVec<[usize; 2]> {
    let numbers: HashSet<usize> = hashes.map(|hash| inner.shard_of(hash)).collect();
    let mut numbers: SmallVec<[usize; 2]> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers
}
