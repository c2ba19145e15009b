//! Lists of tasks that wait for something to change.
//!
//! Promises: whoever registers before looking again cannot miss a change. Never: a lock held while a waker runs.

use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// Tasks that wait for the same kind of change.
#[derive(Default)]
pub struct WaitList {
    version: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
}

impl WaitList {
    /// A ticket taken before looking: [`WaitList::changed`] returns once something changed after it.
    pub fn ticket(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Something changed: wakes everybody.
    pub fn notify(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for waker in wakers {
            waker.wake();
        }
    }

    /// Somebody waits.
    pub fn is_waited_for(&self) -> bool {
        !self.wakers.lock().is_empty()
    }

    /// Waits for a change after `ticket`.
    pub fn changed(&self, ticket: u64) -> Changed<'_> {
        Changed { list: self, ticket }
    }
}

/// Pending once, without waking: a background task comes back at its next period.
pub fn next_period() -> NextPeriod {
    NextPeriod(false)
}

/// Future of [`next_period`].
pub struct NextPeriod(bool);

impl Future for NextPeriod {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Future of [`WaitList::changed`].
pub struct Changed<'w> {
    list: &'w WaitList,
    ticket: u64,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.list.ticket() != self.ticket {
            return Poll::Ready(());
        }
        self.list.wakers.lock().push(cx.waker().clone());
        if self.list.ticket() != self.ticket { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A future on the heap: breaks the cycle where commands run commands (extents, removals).
pub(crate) type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// Polls all futures until all are done; results in order.
pub async fn join_all<F: Future + Unpin>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<Option<F>> = futures.into_iter().map(Some).collect();
    let mut results: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut all = true;
        for (slot, result) in waiting.iter_mut().zip(&mut results) {
            if let Some(future) = slot {
                match Pin::new(future).poll(cx) {
                    Poll::Ready(output) => {
                        *result = Some(output);
                        *slot = None;
                    }
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
