//! Cold reads of one pipeline, running together; and the answers behind them, kept in order.
//!
//! ```text
//!  GET cold1   GET hot   GET cold2   PING
//!  [future 1 | +hot]     [future 2 | +PONG]     drain: answer 1, hot, answer 2, PONG
//! ```
//! Promises: bounded in number and in bytes of waiting answers; answers leave in the order of the commands. How large a cold
//! value is, nobody knows before it is read: so the number that may run together starts low, doubles while answers are small,
//! and falls at once to what 1 MiB allows when they are not. Never starts anything but what it is given.

use std::future::Future;
use std::pin::Pin;

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Most reads in flight for one connection.
const READS_MAX: usize = 64;
/// Most bytes of answers that wait behind unfinished reads, and that reads running together should bring.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Reads that run together before anything is known of a client's values.
pub(crate) const READS_AT_FIRST: usize = 8;

/// What a finished read brings.
pub(super) struct ReadAnswer {
    pub(super) bytes: Vec<u8>,
    pub(super) wait_seq: u64,
}

/// A read with the number of its slot.
type ReadFuture<'b> = Pin<Box<dyn Future<Output = (usize, ReadAnswer)> + 'b>>;

/// A read and the answers of hot commands behind it.
#[derive(Default)]
struct Slot {
    answer: Vec<u8>,
    after: Vec<u8>,
}

/// The reads in flight.
pub(super) struct Reads<'b> {
    running: FuturesUnordered<ReadFuture<'b>>,
    slots: Vec<Slot>,
    waiting_bytes: usize,
    together_max: usize,
}

impl<'b> Reads<'b> {
    /// None yet; at most `together_max` at once.
    pub(super) fn new(together_max: usize) -> Self {
        Reads { running: FuturesUnordered::new(), slots: Vec::new(), waiting_bytes: 0, together_max }
    }

    /// How many may run together, by what was seen so far.
    pub(super) fn together_max(&self) -> usize {
        self.together_max
    }

    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether no more should be added before a drain.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.together_max || self.waiting_bytes >= WAITING_BYTES_MAX
    }

    /// Adds a read.
    pub(super) fn push(&mut self, read: impl Future<Output = ReadAnswer> + 'b) {
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
        if self.slots.is_empty() {
            return 0;
        }
        let mut wait_seq = 0;
        let mut largest_bytes = 1;
        while let Some((slot, answer)) = self.running.next().await {
            wait_seq = wait_seq.max(answer.wait_seq);
            largest_bytes = largest_bytes.max(answer.bytes.len());
            self.slots[slot].answer = answer.bytes;
        }
        for slot in self.slots.drain(..) {
            output.extend_from_slice(&slot.answer);
            output.extend_from_slice(&slot.after);
        }
        self.waiting_bytes = 0;
        self.together_max = (WAITING_BYTES_MAX / largest_bytes).clamp(1, READS_MAX.min(self.together_max * 2));
        wait_seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn drained(reads: &mut Reads<'_>, lengths: &[usize]) -> Vec<u8> {
        for (number, length) in lengths.iter().copied().enumerate() {
            reads.push(async move {
                // The first finishes last.
                tokio::time::sleep(std::time::Duration::from_millis(if number == 0 { 5 } else { 0 })).await;
                ReadAnswer { bytes: vec![b'0' + number as u8; length], wait_seq: number as u64 }
            });
        }
        reads.keep(b"behind");
        let mut output = Vec::new();
        assert_eq!(reads.drain(&mut output).await, lengths.len() as u64 - 1);
        output
    }

    #[tokio::test]
    async fn answers_leave_in_order_whatever_finishes_first() {
        let mut reads = Reads::new(READS_AT_FIRST);
        assert_eq!(drained(&mut reads, &[1, 2, 1]).await, b"0112behind");
        assert!(reads.is_empty());
    }

    #[tokio::test]
    async fn small_answers_let_more_run_together_and_large_ones_fewer() {
        let mut reads = Reads::new(READS_AT_FIRST);
        drained(&mut reads, &[1]).await;
        assert_eq!(reads.together_max(), 16);
        drained(&mut reads, &[1]).await;
        drained(&mut reads, &[1]).await;
        drained(&mut reads, &[1]).await;
        assert_eq!(reads.together_max(), READS_MAX);
        drained(&mut reads, &[1, 1 << 20]).await;
        assert_eq!(reads.together_max(), 1);
        drained(&mut reads, &[100 << 10]).await;
        assert_eq!(reads.together_max(), 2);
    }
}
