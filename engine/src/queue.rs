//! Queues at keys: a command that found nothing stands here until a key is made that it waits for.
//!
//! ```text
//!  Waiter (one for each command)         Shard: 128-bit hash -> [ queue (name, kind): 7 -> call, 12 -> call, 15 -> call ]
//!     call, the keys where it stands       '---------------- guarded by the shard's latch      ^ whose turn it is
//! ```
//! 1. The command's body looks at its keys and finds nothing: in that very hold of the latches it is put into the queue of each key
//!    it waits for. Its number is given in the same hold, so two commands stand in the same order wherever both stand.
//! 2. A commit that puts a value of the right kind under a key gives the turn to the first in that key's queue, in the hold in
//!    which it swaps the slot. From then on the key is kept for that command: whoever else needs it comes back when the turn is
//!    over. So nobody is overtaken, whichever thread is faster.
//! 3. The command is called, and runs again like any other: it is logged, it may read the SSD. If it finds nothing now (what was put
//!    there has expired) it goes on standing where it stood. If it is done, or given up, it leaves all queues; a turn it had goes to
//!    the next, if the key still holds something.
//!
//! Who made the keys, and in which order those are called who got a turn by one commit, is in `serve.rs`.
//!
//! A waiting command waits for no other, so no two wait for each other. A key at which it stands while another has the turn there
//! is not there for it: what is left will come to it. A key at which it does not stand (the target of a move) it may change although
//! that is kept for another: that one will not find less. And whoever has locked a key goes before whoever has the turn there.
//!
//! FLUSHDB and SWAPDB hold all latches: the queues of the databases that changed go along into the new spaces, and what is there
//! by then gives the turn to the first.
//!
//! Promises: what a command does in one group counts as one moment: a key that is made and removed by one group calls nobody. No
//! call is lost, no turn outlives its command. Never: a cost on the hot road while nobody waits (one comparison at a commit).

use crate::change::{Access, Changes, Done, Key, Kind};
use crate::engine::{Engine, Inner, Spaces};
use crate::error::{Error, Result};
use crate::options::WATCHED_SHARE_MAX;
use crate::run::{GroupEnd, Guards, Scope};
use crate::serve::{Causes, Summons};
use crate::shard::{Found, HeldKey, RESERVED, Shard};
use crate::tier::fetch::Known;
use crate::{SpaceId, View};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

/// DRAM of one place in a queue beside the key's name.
const PLACE_BYTES: usize = 200;

/// A command that waits, as shards know it.
#[derive(Default)]
pub(crate) struct Call {
    /// Its number in every queue; 0 before it stands in one.
    number: AtomicU64,
    state: Mutex<CallState>,
}

#[derive(Default)]
struct CallState {
    is_called: bool,
    waker: Option<Waker>,
}

impl Call {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Tells the command that it is its turn. Not under a latch: what a waker does is not ours.
    pub(crate) fn call(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.is_called = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Who has the turn at a key.
struct Turn {
    number: u64,
    /// What brought it about.
    causes: Causes,
}

/// The commands that wait until one key is of one kind.
struct Queue {
    database: u32,
    name: Box<[u8]>,
    kind: Kind,
    waiting: BTreeMap<u64, Arc<Call>>,
    /// For whom the key is kept.
    turn: Option<Turn>,
}

/// A turn that was given or is over, on its way to `serve.rs`.
pub(crate) struct Given {
    pub(crate) hash: u128,
    pub(crate) kind: Kind,
    pub(crate) call: Arc<Call>,
    /// Turns of one hold are in order by this.
    pub(crate) order: u64,
}

/// The same.
pub(crate) struct Ended {
    pub(crate) hash: u128,
    pub(crate) number: u64,
    pub(crate) causes: Causes,
}

/// The queues of one shard.
#[derive(Default)]
pub(crate) struct Queues {
    table: HashMap<u128, SmallVec<[Queue; 1]>>,
    /// Turns that were given in this hold of the latch.
    pub(crate) given: Vec<Given>,
    /// Turns that are over since this hold.
    pub(crate) ended: Vec<Ended>,
}

impl Queues {
    /// Nobody waits for a key of this shard.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn of(&mut self, key: &Key<'_>, kind: Kind) -> Option<&mut Queue> {
        self.table.get_mut(&key.hash.0)?.iter_mut().find(|q| q.kind == kind && *q.name == *key.bytes)
    }

    /// Puts a command into a queue. One that stands there keeps its place.
    fn enter(&mut self, key: &Key<'_>, database: u32, kind: Kind, call: &Arc<Call>) {
        if self.of(key, kind).is_none() {
            let queue = Queue { database, name: key.bytes.into(), kind, waiting: BTreeMap::new(), turn: None };
            self.table.entry(key.hash.0).or_default().push(queue);
        }
        if let Some(queue) = self.of(key, kind) {
            queue.waiting.entry(call.number()).or_insert_with(|| call.clone());
        }
    }

    /// Forgets a queue in which nobody stands.
    fn forget_empty(&mut self, hash: u128) {
        if let Some(queues) = self.table.get_mut(&hash) {
            queues.retain(|queue| !queue.waiting.is_empty());
            if queues.is_empty() {
                self.table.remove(&hash);
            }
        }
        if self.table.is_empty() {
            self.table = HashMap::new(); // its memory goes, too
        }
    }

    /// Writes down what brought a turn about.
    pub(crate) fn explain(&mut self, given: &Given, causes: &Causes) {
        let queues = self.table.get_mut(&given.hash).into_iter().flatten();
        for turn in queues.filter(|queue| queue.kind == given.kind).filter_map(|queue| queue.turn.as_mut()) {
            if turn.number == given.call.number() {
                turn.causes.clone_from(causes);
            }
        }
    }

    /// Takes out all queues of these databases.
    fn take(&mut self, databases: &[bool]) -> Vec<(u128, Queue)> {
        let mut taken = Vec::new();
        self.table.retain(|hash, queues| {
            let (gone, kept): (SmallVec<[Queue; 1]>, SmallVec<[Queue; 1]>) =
                std::mem::take(queues).into_iter().partition(|q| databases[q.database as usize]);
            *queues = kept;
            taken.extend(gone.into_iter().map(|queue| (*hash, queue)));
            !queues.is_empty()
        });
        taken
    }
}

impl Shard {
    /// A value of this kind was put under a key: the first who waits for that has the turn.
    #[cold]
    pub(crate) fn give_turn(&mut self, inner: &Inner, key: &Key<'_>, kind: Kind) {
        let Some(queue) = self.queues.of(key, kind).filter(|queue| queue.turn.is_none()) else { return };
        let Some((number, call)) = queue.waiting.first_key_value() else { return };
        queue.turn = Some(Turn { number: *number, causes: Causes::new() });
        let call = call.clone();
        self.queues.given.push(Given { hash: key.hash.0, kind, call, order: inner.serving.next_turn() });
        self.held.push(HeldKey { hash: key.hash.0, owner: RESERVED });
    }

    /// The turn of this command at this key is over, if it has it.
    fn end_turn(&mut self, key: &Key<'_>, kind: Kind, number: u64) -> Option<Causes> {
        let queue = self.queues.of(key, kind)?;
        let turn = queue.turn.take_if(|turn| turn.number == number)?;
        self.keep_no_more(key.hash.0);
        Some(turn.causes)
    }

    fn keep_no_more(&mut self, hash: u128) {
        if let Some(at) = self.held.iter().position(|h| h.hash == hash && h.owner == RESERVED) {
            self.held.swap_remove(at);
        }
    }

    /// Is the key kept for a waiting command, so that others must come back later?
    #[inline]
    pub(crate) fn is_kept(&self, hash: u128, owner: u64) -> bool {
        !self.held.is_empty()
            && self.held.iter().any(|h| h.hash == hash && h.owner == RESERVED)
            && !self.held.iter().any(|h| h.hash == hash && h.owner == owner)
    }

    /// This command leaves a queue. A turn that it had goes to the next, if there is something left.
    fn leave(&mut self, inner: &Inner, key: &Key<'_>, kind: Kind, number: u64, summons: &mut Summons) {
        if let Some(queue) = self.queues.of(key, kind) {
            queue.waiting.remove(&number);
        }
        if let Some(causes) = self.end_turn(key, kind, number) {
            if self.may_hold(inner, key, kind) {
                self.give_turn(inner, key, kind);
            }
            match self.queues.given.pop() {
                Some(next) => {
                    self.queues.explain(&next, &causes);
                    inner.serving.hand_over(&causes, number, &next);
                    summons.touch(&causes);
                }
                None => summons.end(Ended { hash: key.hash.0, number, causes }),
            }
        }
        self.queues.forget_empty(key.hash.0);
    }

    /// Does the key hold a value of this kind? Of a cold slot nobody knows without reading it: then yes.
    fn may_hold(&self, inner: &Inner, key: &Key<'_>, kind: Kind) -> bool {
        match self.find(key, inner.hash_of(key), &Known::default(), &inner.log) {
            Found::Absent => false,
            Found::Hot(_, _, handle) => {
                let object = self.cell(handle);
                object.kind == kind && object.expiry.is_none_or(|at_ms| at_ms > inner.clock.now_ms())
            }
            Found::Cold(..) | Found::Corrupt(..) | Found::Unknown(_) => true,
        }
    }
}

/// What a waiting command asks of an attempt.
#[derive(Copy, Clone)]
pub(crate) struct Asks<'w> {
    call: &'w Arc<Call>,
    kind: Kind,
    /// The keys it waits for, with their databases: the first ones of the run.
    names: &'w [(u32, &'w [u8])],
    /// There is room for its places in the queues.
    fits: bool,
}

impl Asks<'_> {
    /// It stands in queues: no kept key holds it up.
    pub(crate) fn stands(&self) -> bool {
        self.call.number() != 0
    }

    /// Has somebody else the turn at this key, the run's `number`th, at which it stands? Then it is not there for it.
    pub(crate) fn hides(&self, shard: &Shard, hash: u128, number: usize) -> bool {
        let is_others = |turn: &Turn| turn.number != self.call.number();
        let mut queues = shard.queues.table.get(&hash).into_iter().flatten();
        self.stands() && number < self.names.len() && queues.any(|queue| queue.turn.as_ref().is_some_and(is_others))
    }

    /// Nothing is there, in this hold of the latches: it stands in the queues from here on, and its turns are over.
    ///
    /// # Errors
    /// Its places would take too much memory.
    pub(crate) fn stand(&self, inner: &Inner, guards: &mut Guards<'_>, keys: &[(Key<'_>, Access)]) -> Result<()> {
        if !self.fits {
            return Err(Error::OutOfMemory);
        }
        if !self.stands() {
            self.call.number.store(inner.owners.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        }
        let number = self.call.number();
        for ((key, _), (database, _)) in keys.iter().zip(self.names) {
            if let Some(shard) = shard_of(inner, guards, key) {
                shard.queues.enter(key, *database, self.kind, self.call);
                if let Some(causes) = shard.end_turn(key, self.kind, number) {
                    shard.queues.ended.push(Ended { hash: key.hash.0, number, causes });
                }
            }
        }
        Ok(())
    }

    /// What it was called for: what it brings about belongs to that.
    pub(crate) fn causes(&self, inner: &Inner, guards: &mut Guards<'_>, keys: &[(Key<'_>, Access)]) -> Causes {
        let mut causes = Causes::new();
        for (key, _) in keys.iter().take(self.names.len()) {
            let queue = shard_of(inner, guards, key).and_then(|shard| shard.queues.of(key, self.kind));
            if let Some(turn) = queue.and_then(|queue| queue.turn.as_ref())
                && turn.number == self.call.number()
            {
                causes.extend(turn.causes.iter().copied());
            }
        }
        causes.sort_unstable();
        causes.dedup();
        causes
    }
}

/// The shard of a key, if its latch is held.
fn shard_of<'g>(inner: &Inner, guards: &'g mut Guards<'_>, key: &Key<'_>) -> Option<&'g mut Shard> {
    let number = inner.shard_of(inner.hash_of(key));
    guards.iter_mut().find(|guard| guard.0 == number).map(|guard| &mut *guard.1)
}

/// A command that may wait until one of its keys is there.
pub struct Waiter {
    engine: Engine,
    kind: Kind,
    call: Arc<Call>,
    /// Where it stands.
    places: Vec<(u32, Box<[u8]>)>,
    bytes: usize,
}

impl Waiter {
    /// Runs the command over its keys, each with its database, as [`Engine::run`] does. If the body finds nothing and says so
    /// ([`Changes::wait`]), the answer is `None`, and the command stands in the queues of its first `waits_for` keys.
    ///
    /// # Errors
    /// As [`Engine::run`]; the places in the queues take too much memory.
    pub async fn run<'a, R>(
        &mut self,
        keys: &[(u32, &[u8], Access)],
        waits_for: usize,
        changes: &mut Changes<'a>,
        mut body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>) -> R,
    ) -> Result<Option<(R, Done)>> {
        let engine = self.engine.clone();
        let waited = keys.iter().take(waits_for);
        let names: Vec<(u32, &[u8])> = waited.map(|(database, name, _)| (*database, *name)).collect();
        let bytes: usize = names.iter().map(|(_, name)| PLACE_BYTES + 2 * name.len()).sum();
        let fits = bytes as u64 <= engine.max_memory() / WATCHED_SHARE_MAX;
        loop {
            let plan = engine.plan_spaces();
            let keys: Vec<(Key<'_>, Access)> = keys
                .iter()
                .map(|(database, name, access)| (engine.key(plan.space(*database), name), *access))
                .collect();
            // Whoever calls from here on calls for what this run may not see.
            self.call.state.lock().is_called = false;
            let asks = Asks { call: &self.call, kind: self.kind, names: &names, fits };
            let scope = Scope { plan: Some(&plan), watcher: None, asks: Some(asks) };
            match engine.drive(&keys, None, changes, &mut body, scope).await? {
                GroupEnd::Ran(..) if changes.waits() => break,
                GroupEnd::Ran(result, done) => return Ok(Some((result, done))),
                // Databases were swapped: the keys are others.
                GroupEnd::Watched | GroupEnd::Moved => {}
            }
        }
        if self.places.is_empty() {
            self.places = names.iter().map(|(database, name)| (*database, (*name).into())).collect();
            self.bytes = bytes;
            engine.charge_clients(bytes as i64);
        }
        Ok(None)
    }

    /// Returns when it has a turn: then it is to run again.
    pub async fn called(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.call.state.lock();
            if state.is_called {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Waiter {
    /// It is done, or gives up.
    fn drop(&mut self) {
        let inner = &self.engine.inner;
        for (database, name) in self.places.drain(..) {
            let mut summons = Summons::default();
            inner.at_queue(database, &name, |shard, key| {
                shard.leave(inner, key, self.kind, self.call.number(), &mut summons);
            });
            summons.send(inner);
        }
        self.engine.charge_clients(-(self.bytes as i64));
    }
}

impl Engine {
    /// A command that may wait for a key of this kind.
    pub fn waiter(&self, kind: Kind) -> Waiter {
        Waiter { engine: self.clone(), kind, call: Arc::default(), places: Vec::new(), bytes: 0 }
    }

    /// How many keys are waited for.
    pub fn keys_waited_for(&self) -> u64 {
        self.inner.shards.iter().map(|shard| shard.lock().queues.table.len() as u64).sum()
    }
}

impl Inner {
    /// Does something in the shard where a database's key belongs, under that shard's latch.
    fn at_queue(&self, database: u32, name: &[u8], act: impl FnOnce(&mut Shard, &Key<'_>)) {
        let space_now = || SpaceId(self.space_of[database as usize].load(Ordering::Acquire));
        loop {
            let space = space_now();
            let key = self.key(space, name);
            let mut shard = self.shards[self.shard_of(self.hash_of(&key))].lock();
            // The map changes only under all latches: under one it stands still.
            if space_now() == space {
                return act(&mut shard, &key);
            }
        }
    }

    /// The map of databases has changed, and all latches are held: the queues go along into the new spaces, and what is there gives
    /// the turn to the first.
    pub(crate) fn move_queues(&self, guards: &mut Guards<'_>, before: &Spaces, after: &Spaces) {
        let differs: Vec<bool> = before.of_database.iter().zip(&after.of_database).map(|(b, a)| b != a).collect();
        let mut moved = Vec::new();
        for (_, shard) in guards.iter_mut().filter(|g| !g.1.queues.is_empty()) {
            for (hash, mut queue) in shard.queues.take(&differs) {
                // One that was given in this very hold was not told to anybody.
                shard.queues.given.retain(|given| given.hash != hash || given.kind != queue.kind);
                if let Some(Turn { number, causes }) = queue.turn.take() {
                    shard.keep_no_more(hash);
                    shard.queues.ended.push(Ended { hash, number, causes });
                }
                moved.push(queue);
            }
        }
        for queue in moved {
            let Queue { database, name, kind, waiting, .. } = queue;
            let key = self.key(after.of_database[database as usize], &name);
            let shard = &mut guards[self.shard_of(self.hash_of(&key))].1;
            for call in waiting.values() {
                shard.queues.enter(&key, database, kind, call);
            }
            if shard.may_hold(self, &key, kind) {
                shard.give_turn(self, &key, kind);
            }
        }
    }
}
