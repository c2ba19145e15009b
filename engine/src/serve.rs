//! Turns (`queue.rs`) in their order, and what everybody else does meanwhile.
//!
//! ```text
//!  EXEC { RPUSH k a; RPUSH m b } --commit--> cause 5:  k of W | m of X        W runs: BLMOVE k n  ->  k of W | m of X | n of V
//!     '- answers when line 5 is empty                  ^ called               W is done           ->           m of X | n of V
//! ```
//! Whatever commit gives turns is a cause with a line of them. The first in line is called; the next when that one is done. A turn
//! that goes on to the next in its queue stays where it was in the line, and turns that a called command gives come behind all
//! others: so one push is followed by what Redis's single thread does after it, in that order.
//!
//! Who made the keys answers when its line is empty, and so does who was called. Who needs a key that is kept stands at its
//! door, and is let in when the turn is over; one at a time, and who was let in lets in the next: else each end of a turn would
//! wake all who stand there, to find the key kept again.
//!
//! Promises: a client that was told that it pushed sees all that followed from it, as if one thread did everything. Never: a lock
//! held while a waker runs; anything at all while nobody waits.

use crate::change::{Access, Key};
use crate::engine::{Engine, Inner};
use crate::queue::{Asks, Call, Ended, Given};
use crate::run::Guards;
use crate::shard::Shard;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

/// Numbers of causes.
pub(crate) type Causes = SmallVec<[u64; 1]>;

/// Causes whose lines are not empty.
#[derive(Default)]
pub(crate) struct Serving {
    last: AtomicU64,
    turns: AtomicU64,
    open: Mutex<HashMap<u64, Cause>>,
}

/// A commit that gave turns, and what follows from it.
#[derive(Default)]
struct Cause {
    line: VecDeque<InLine>,
    /// Whoever waits until it is empty.
    wakers: Vec<Waker>,
}

/// A turn: at which key, whose.
struct InLine {
    hash: u128,
    call: Arc<Call>,
    is_called: bool,
}

impl Serving {
    /// Numbers turns in the order in which they are given.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// A turn comes behind all others of these causes. Under the latch: it could be over before anybody came to write it down.
    fn add(&self, causes: &Causes, given: &Given) {
        let mut open = self.open.lock();
        for cause in causes {
            let turn = InLine { hash: given.hash, call: given.call.clone(), is_called: false };
            open.entry(*cause).or_default().line.push_back(turn);
        }
    }

    /// A turn goes on to the next in its queue. Under the latch.
    pub(crate) fn hand_over(&self, causes: &Causes, from: u64, given: &Given) {
        let mut open = self.open.lock();
        for cause in causes {
            let mut line = open.get_mut(cause).into_iter().flat_map(|cause| &mut cause.line);
            if let Some(turn) = line.find(|turn| turn.hash == given.hash && turn.call.number() == from) {
                *turn = InLine { hash: given.hash, call: given.call.clone(), is_called: false };
            }
        }
    }

    /// A turn is over.
    fn end(&self, ended: &Ended) {
        let mut wakers = Vec::new();
        let mut open = self.open.lock();
        for cause in &ended.causes {
            let Some(found) = open.get_mut(cause) else { continue };
            let is_it = |turn: &InLine| turn.hash == ended.hash && turn.call.number() == ended.number;
            if let Some(at) = found.line.iter().position(is_it) {
                found.line.remove(at);
            }
            if found.line.is_empty() {
                wakers.append(&mut found.wakers);
                open.remove(cause);
            }
        }
        drop(open);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Calls the first in line, if it was not called yet.
    fn call_first(&self, cause: u64) {
        let first = {
            let mut open = self.open.lock();
            let first = open.get_mut(&cause).and_then(|cause| cause.line.front_mut());
            first.and_then(|first| (!std::mem::replace(&mut first.is_called, true)).then(|| first.call.clone()))
        };
        if let Some(first) = first {
            first.call();
        }
    }
}

/// What is to be said once the latches are given back.
#[derive(Default)]
pub(crate) struct Summons {
    /// Causes whose lines have changed.
    causes: Causes,
    ended: Vec<Ended>,
}

impl Summons {
    /// Collects what a commit has brought about. Answers its cause; 0 if it gave no turn, and nobody was called for it.
    pub(crate) fn collect(
        &mut self,
        inner: &Inner,
        guards: &mut Guards<'_>,
        keys: &[(Key<'_>, Access)],
        asks: Option<Asks<'_>>,
    ) -> u64 {
        let asks = asks.filter(Asks::stands);
        let is_quiet = |shard: &Shard| shard.queues.given.is_empty() && shard.queues.ended.is_empty();
        if asks.is_none() && guards.iter().all(|guard| is_quiet(&guard.1)) {
            return 0;
        }
        // What a called command brings about belongs to what it was called for.
        let causes = asks.map(|asks| asks.causes(inner, guards, keys)).unwrap_or_default();
        self.gather(inner, guards.iter_mut().map(|guard| &mut *guard.1), causes)
    }

    /// The same for a commit in one shard that no waiting command made.
    pub(crate) fn collect_one(&mut self, inner: &Inner, shard: &mut Shard) -> u64 {
        self.gather(inner, std::iter::once(shard), Causes::new())
    }

    fn gather<'s>(&mut self, inner: &Inner, shards: impl Iterator<Item = &'s mut Shard>, mut causes: Causes) -> u64 {
        let mut given = Vec::new();
        for shard in shards {
            self.ended.append(&mut shard.queues.ended);
            for turn in std::mem::take(&mut shard.queues.given) {
                if causes.is_empty() {
                    causes.push(inner.serving.last.fetch_add(1, Ordering::Relaxed) + 1);
                }
                shard.queues.explain(&turn, &causes);
                given.push(turn);
            }
        }
        given.sort_unstable_by_key(|turn| turn.order);
        given.iter().for_each(|turn| inner.serving.add(&causes, turn));
        let cause = causes.first().copied().unwrap_or(0);
        self.causes.extend(causes);
        cause
    }

    /// A turn is over, and goes on to nobody.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    /// These lines have changed.
    pub(crate) fn touch(&mut self, causes: &Causes) {
        self.causes.extend(causes.iter().copied());
    }

    /// Says it. No latch is held.
    #[inline]
    pub(crate) fn send(self, inner: &Inner) {
        if !(self.causes.is_empty() && self.ended.is_empty()) {
            self.send_all(inner);
        }
    }

    #[cold]
    fn send_all(mut self, inner: &Inner) {
        for ended in &self.ended {
            inner.serving.end(ended);
            inner.doors.open(ended.hash);
            self.causes.extend(ended.causes.iter().copied());
        }
        if !self.ended.is_empty() {
            inner.unlocked.notify();
        }
        self.causes.iter().for_each(|cause| inner.serving.call_first(*cause));
    }
}

impl Engine {
    /// Waits until everybody is served who was called for this cause ([`crate::Done::cause`]), and who was called by those in turn.
    pub async fn served(&self, cause: u64) {
        std::future::poll_fn(|context| {
            let mut open = self.inner.serving.open.lock();
            let Some(cause) = open.get_mut(&cause) else { return Poll::Ready(()) };
            if !cause.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                cause.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Who stands at the door of which kept key: by hash, by number.
#[derive(Default)]
pub(crate) struct Doors {
    /// Grows whenever a key is opened.
    version: AtomicU64,
    last: AtomicU64,
    standing: Mutex<HashMap<u128, BTreeMap<u64, Option<Waker>>>>,
}

impl Doors {
    /// A ticket taken before, or in the hold of, the look that found the key kept.
    pub(crate) fn ticket(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A key may be had: lets in the first at its door.
    pub(crate) fn open(&self, hash: u128) {
        self.version.fetch_add(1, Ordering::AcqRel);
        let first = {
            let mut standing = self.standing.lock();
            standing.get_mut(&hash).and_then(|door| door.first_entry()).and_then(|mut first| first.get_mut().take())
        };
        if let Some(waker) = first {
            waker.wake();
        }
    }
}

/// A place at the door of one key. Whoever gives it up lets in the next.
pub(crate) struct AtDoor {
    inner: Arc<Inner>,
    hash: u128,
    number: u64,
}

impl AtDoor {
    /// The last place.
    pub(crate) fn take(inner: &Arc<Inner>, hash: u128) -> AtDoor {
        let number = inner.doors.last.fetch_add(1, Ordering::Relaxed);
        inner.doors.standing.lock().entry(hash).or_default().insert(number, None);
        AtDoor { inner: inner.clone(), hash, number }
    }

    /// For which key.
    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// Waits until the key may be had, perhaps; `ticket` is of the look that found it kept.
    pub(crate) async fn let_in(&self, ticket: u64) {
        let doors = &self.inner.doors;
        std::future::poll_fn(|context| {
            let mut standing = doors.standing.lock();
            if doors.ticket() != ticket {
                return Poll::Ready(());
            }
            if let Some(waker) = standing.get_mut(&self.hash).and_then(|door| door.get_mut(&self.number)) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for AtDoor {
    fn drop(&mut self) {
        let is_last = {
            let mut standing = self.inner.doors.standing.lock();
            let is_last = standing.get_mut(&self.hash).is_some_and(|door| {
                door.remove(&self.number);
                door.is_empty()
            });
            if is_last {
                standing.remove(&self.hash);
            }
            is_last
        };
        if !is_last {
            self.inner.doors.open(self.hash);
        }
    }
}
