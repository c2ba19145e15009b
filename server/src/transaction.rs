//! What a client has queued between MULTI and EXEC.
//!
//! Promises: the words are copied once and lie together; their memory is charged to the store's budget and bounded. Never: runs
//! anything (`dispatch/group.rs` does).

use thermocline::{Engine, Error};
use thermocline_resp::Span;

use crate::command::Args;
use crate::command::reply::CommandError;
use crate::command::table::CommandId;

/// The queue of one client takes at most this part of `maxmemory`.
const QUEUE_SHARE_MAX: u64 = 8;

/// A queue that began with MULTI.
pub struct Transaction {
    engine: Engine,
    words: Vec<u8>,
    spans: Vec<Span>,
    queue: Vec<Queued>,
    aborted: bool,
    charged_bytes: usize,
}

/// A queued command: its words are `spans[first..end]`.
struct Queued {
    id: CommandId,
    first: usize,
    end: usize,
}

impl Transaction {
    /// An empty queue.
    pub fn new(engine: Engine) -> Transaction {
        Transaction {
            engine,
            words: Vec::new(),
            spans: Vec::new(),
            queue: Vec::new(),
            aborted: false,
            charged_bytes: 0,
        }
    }

    /// Adds a command. Nothing is kept once the transaction cannot be executed any more.
    pub fn push(&mut self, id: CommandId, args: Args<'_>) -> Result<(), CommandError> {
        if self.aborted {
            return Ok(());
        }
        let words: usize = args.from(0).map(<[u8]>::len).sum();
        let bytes_max = (self.engine.max_memory() / QUEUE_SHARE_MAX).min(u64::from(u32::MAX));
        if (self.bytes() + words) as u64 > bytes_max {
            return Err(CommandError::Engine(Error::OutOfMemory));
        }
        let first = self.spans.len();
        for word in args.from(0) {
            self.spans.push(Span { start: self.words.len() as u32, length: word.len() as u32 });
            self.words.extend_from_slice(word);
        }
        self.queue.push(Queued { id, first, end: self.spans.len() });
        self.charge();
        Ok(())
    }

    /// A command could not be queued: EXEC will refuse.
    pub fn abort(&mut self) {
        self.aborted = true;
        (self.words, self.spans, self.queue) = Default::default();
        self.charge();
    }

    /// Whether EXEC must refuse.
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// How many commands are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The commands in order.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = (CommandId, Args<'_>)> {
        self.queue.iter().map(|queued| (queued.id, Args::new(&self.words, &self.spans[queued.first..queued.end])))
    }

    /// Memory that the queue takes.
    pub fn bytes(&self) -> usize {
        self.words.capacity() + self.spans.capacity() * size_of::<Span>() + self.queue.capacity() * size_of::<Queued>()
    }

    fn charge(&mut self) {
        let bytes = self.bytes();
        if bytes != self.charged_bytes {
            self.engine.charge_clients(bytes as i64 - self.charged_bytes as i64);
            self.charged_bytes = bytes;
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.engine.charge_clients(-(self.charged_bytes as i64));
    }
}
