//! What others do while a waiting command (`queue.rs`) has its turn: they stand in line for the key that is kept for it, and who made
//! the key answers only when everybody who was called for it is served.
//!
//! ```text
//!  RPUSH k a --commit: cause 5, k kept for W--> [ W runs: BLMOVE k m --commit: m kept for V, causes 5 and 6 ]
//!     '- answers when 5 is settled: W is done, and V, too          LLEN k: stands in line until W is done
//! ```
//! A line lets one in at a time: who was let in lets in the next when it is through. Else each end of a turn would wake all who
//! stand there, to find the key kept for the next one.
//!
//! Promises: a client that was told that it pushed sees all that followed from it, as if one thread did everything. Never: a lock
//! held while a waker runs; anything at all while nobody waits.

use crate::engine::{Engine, Inner};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

/// Causes that are not settled: commits that called somebody.
#[derive(Default)]
pub(crate) struct Serving {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Cause>>,
}

/// One of them.
#[derive(Default)]
struct Cause {
    /// Commands that were called for it and are not done.
    calls: usize,
    wakers: Vec<Waker>,
}

impl Serving {
    /// A number nobody had.
    pub(crate) fn new_cause(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One more command was called for these.
    pub(crate) fn open(&self, causes: &[u64]) {
        let mut open = self.open.lock();
        for cause in causes {
            open.entry(*cause).or_default().calls += 1;
        }
    }

    /// A command that was called for these is done.
    pub(crate) fn close(&self, causes: &[u64]) {
        let mut wakers = Vec::new();
        if !causes.is_empty() {
            let mut open = self.open.lock();
            for cause in causes {
                let Some(found) = open.get_mut(cause) else { continue };
                found.calls -= 1;
                if found.calls == 0
                    && let Some(settled) = open.remove(cause)
                {
                    wakers.extend(settled.wakers);
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Engine {
    /// Waits until everybody is served who was called by a commit ([`crate::Done::cause`]), and who was called by those in turn.
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

/// Who stands in line for which key: by hash, by number.
#[derive(Default)]
pub(crate) struct Lines {
    /// Grows whenever a key is opened.
    version: AtomicU64,
    last: AtomicU64,
    standing: Mutex<HashMap<u128, BTreeMap<u64, Option<Waker>>>>,
}

impl Lines {
    /// A ticket taken before, or in the hold of, the look that found the key kept.
    pub(crate) fn ticket(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A key may be had: lets in the first of its line.
    pub(crate) fn open(&self, hash: u128) {
        self.version.fetch_add(1, Ordering::AcqRel);
        let first = {
            let mut standing = self.standing.lock();
            standing.get_mut(&hash).and_then(|line| line.first_entry()).and_then(|mut first| first.get_mut().take())
        };
        if let Some(waker) = first {
            waker.wake();
        }
    }
}

/// A place in the line for one key. Whoever gives it up lets in the next.
pub(crate) struct Place {
    inner: Arc<Inner>,
    hash: u128,
    number: u64,
}

impl Place {
    /// The last place.
    pub(crate) fn take(inner: &Arc<Inner>, hash: u128) -> Place {
        let number = inner.lines.last.fetch_add(1, Ordering::Relaxed);
        inner.lines.standing.lock().entry(hash).or_default().insert(number, None);
        Place { inner: inner.clone(), hash, number }
    }

    /// For which key.
    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// Waits until the key may be had, perhaps; `ticket` is of the look that found it kept.
    pub(crate) async fn let_in(&self, ticket: u64) {
        let lines = &self.inner.lines;
        std::future::poll_fn(|context| {
            let mut standing = lines.standing.lock();
            if lines.ticket() != ticket {
                return Poll::Ready(());
            }
            if let Some(waker) = standing.get_mut(&self.hash).and_then(|line| line.get_mut(&self.number)) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_last = {
            let mut standing = self.inner.lines.standing.lock();
            let is_last = standing.get_mut(&self.hash).is_some_and(|line| {
                line.remove(&self.number);
                line.is_empty()
            });
            if is_last {
                standing.remove(&self.hash);
            }
            is_last
        };
        if !is_last {
            self.inner.lines.open(self.hash);
        }
    }
}
