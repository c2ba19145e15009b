//! Cold reads of one pipeline, running together; and the answers behind them, kept in order.
//!
//! ```text
//!  GET cold1   GET hot   GET cold2   PING
//!  [future 1 | +hot]     [future 2 | +PONG]     drain: answer 1, hot, answer 2, PONG
//! ```
//! Promises: bounded in number and in bytes of waiting answers; answers leave in the order of the commands. Never starts
//! anything but what it is given.

use std::future::Future;
use std::pin::Pin;

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Most reads in flight for one connection.
const READS_MAX: usize = 64;
/// Most bytes of answers that wait behind unfinished reads.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What a finished read brings.
pub(super) struct ReadAnswer {
    pub(super) bytes: Vec<u8>,
    pub(super) wait_seq: u64,
}

type ReadFuture<'b> = Pin<Box<dyn Future<Output = ReadAnswer> + 'b>>;

/// A read and the answers of hot commands behind it.
#[derive(Default)]
struct Slot {
    answer: Vec<u8>,
    after: Vec<u8>,
}

/// The reads in flight.
#[derive(Default)]
pub(super) struct Reads<'b> {
    running: FuturesUnordered<Pin<Box<dyn Future<Output = (usize, ReadAnswer)> + 'b>>>,
    slots: Vec<Slot>,
    waiting_bytes: usize,
}

impl<'b> Reads<'b> {
    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether no more should be added before a drain.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= READS_MAX || self.waiting_bytes >= WAITING_BYTES_MAX
    }

    /// Adds a read.
    pub(super) fn push(&mut self, read: ReadFuture<'b>) {
        let slot = self.slots.len();
        self.slots.push(Slot::default());
        self.running.push(Box::pin(async move { (slot, read.await) }));
    }

    /// Keeps the answer of a command that finished behind the last read.
    pub(super) fn keep(&mut self, answer: &[u8]) {
        self.waiting_bytes += answer.len();
        self.slots.last_mut().expect("an answer waits only behind a read").after.extend_from_slice(answer);
    }

    /// Waits for all reads and appends all answers in order. Returns what the log must have reached before they leave.
    pub(super) async fn drain(&mut self, output: &mut Vec<u8>) -> u64 {
        let mut wait_seq = 0;
        while let Some((slot, answer)) = self.running.next().await {
            wait_seq = wait_seq.max(answer.wait_seq);
            self.slots[slot].answer = answer.bytes;
        }
        for slot in self.slots.drain(..) {
            output.extend_from_slice(&slot.answer);
            output.extend_from_slice(&slot.after);
        }
        self.waiting_bytes = 0;
        wait_seq
    }
}
