//! What the comparison asks of an engine, whichever it is.
//!
//! Promises: every engine answers the same calls; a value is seen where the engine has it, without a copy that the engine does
//! not force. How many requests are outstanding is the engine's own way (`drive`): threads where calls block, futures where
//! they do not. Never: measures or verifies anything itself.

use anyhow::Result;
use std::future::Future;
use thermocline::block_on;
use thermocline_bench::value::KeyId;

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// Stack of a calling thread: a thread per outstanding request must not be charged 8 MiB.
const STACK_BYTES: usize = 256 << 10;

/// A key as the engines see it: `key:` and twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// The text of this number.
    pub fn of(id: KeyId) -> Self {
        let mut text = *b"key:000000000000";
        let mut rest = id.0;
        for digit in text[4..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self(text)
    }
}

/// An engine that is open.
pub trait Store: Sized + Send + Sync + 'static {
    /// How it was opened, for people.
    fn settings(&self) -> Vec<String>;

    /// Shows the value, or that there is none, to `see`; only the answer of its last call counts.
    fn get<R: Send>(
        &self,
        key: &Key,
        see: impl FnMut(Option<&[u8]>) -> R + Send,
    ) -> impl Future<Output = Result<R>> + Send;

    /// Stores a value.
    fn put(&self, key: &Key, value: &[u8]) -> impl Future<Output = Result<()>> + Send;

    /// Waits until what was put is on the SSD and no background work is left.
    fn flush(&self) -> Result<()>;

    /// Ends the store so that it can be opened again.
    fn close(self) -> Result<()>;

    /// DRAM that the engine says it uses, if it says so.
    fn dram_bytes(&self) -> Option<u64>;

    /// Runs all callers at once to their ends.
    fn drive<F>(&self, callers: Vec<F>) -> Result<Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        thread_each(callers)
    }
}

/// A thread for each caller: for engines whose calls block.
fn thread_each<F>(callers: Vec<F>) -> Result<Vec<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let threads: Vec<_> = callers
        .into_iter()
        .map(|caller| std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| block_on(caller)))
        .collect::<std::io::Result<_>>()?;
    threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a caller panicked"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_sixteen_bytes_and_differ() {
        assert_eq!(&Key::of(KeyId(0)).0, b"key:000000000000");
        assert_eq!(&Key::of(KeyId(1_999_999)).0, b"key:000001999999");
    }

    #[test]
    fn every_caller_runs_to_its_end() {
        let callers: Vec<_> = (0..64).map(|number| async move { number }).collect();
        assert_eq!(thread_each(callers).unwrap(), (0..64).collect::<Vec<_>>());
    }
}
