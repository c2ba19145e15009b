//! The requests of each kind of I/O, one after another, and what is made of their completions.
//!
//! Buffers go round: a completed request's buffer is the next one's. Offsets follow from a seed. Never waits.

use super::DeviceArguments;
use super::block::{self, random};
use super::case::{Case, Kind};
use super::scratch::{Scratch, WRITE_STAMP_BYTES};
use std::sync::Arc;
use thermocline_io::{Buffer, FileId, Operation};

/// Bytes of one request that fills a scratch file.
pub const FILL_BYTES: u32 = 1 << 20;

/// Wrong blocks that are remembered in words.
const SHOWN_MAX: usize = 10;

/// A row of requests.
pub trait Pattern {
    /// The first operation of the next request; `None` when there are no more.
    fn start(&mut self) -> Option<Operation>;
    /// Takes what has completed. `Some` is a further operation of the same request.
    fn follow(&mut self, operation: Operation) -> Option<Operation>;
    /// What was read and was not what was written.
    fn wrong(&self) -> WrongReads {
        WrongReads::default()
    }
}

/// Blocks that were not what was written.
#[derive(Debug, Clone, Default)]
pub struct WrongReads {
    /// How many.
    pub count: u64,
    /// The first ones in words.
    pub shown: Vec<String>,
}

/// The pattern of a row and the file that it works on.
pub fn of(scratch: &Scratch, case: Case, arguments: &DeviceArguments, seed: u64) -> (FileId, Box<dyn Pattern>) {
    let write = |sync| Write::new(scratch.write_bytes, case.block_bytes, arguments.seed, sync);
    match case.kind {
        Kind::RandomRead => {
            let reads = RandomRead::new(scratch.read_bytes, case.block_bytes, arguments.seed, seed, arguments.verify);
            (scratch.read, Box::new(reads))
        }
        Kind::SequentialWrite => (scratch.write, Box::new(write(Durable::No))),
        Kind::DurableWrite => (scratch.write, Box::new(write(Durable::AtOnce))),
        Kind::WriteThenSync => (scratch.write, Box::new(write(Durable::BySync))),
    }
}

/// An operation's place in words, for an error.
pub fn place(operation: &Operation) -> String {
    match operation {
        Operation::Read { offset, buffer } => format!("read of {} bytes at {offset}", buffer.len()),
        Operation::Write { offset, bytes, .. } => format!("write of {} bytes at {offset}", bytes.len()),
        Operation::Sync => "sync".to_owned(),
    }
}

/// Reads of aligned blocks at uniformly random places.
pub struct RandomRead {
    blocks: u64,
    block_bytes: u32,
    seed: u64,
    state: u64,
    whole: bool,
    spare: Vec<Buffer>,
    left: u64,
    wrong: WrongReads,
}

impl RandomRead {
    /// Reads of a file that was filled with `seed`; the places follow from `order`.
    pub fn new(file_bytes: u64, block_bytes: u32, seed: u64, order: u64, whole: bool) -> Self {
        let blocks = file_bytes / u64::from(block_bytes);
        let (spare, wrong) = (Vec::new(), WrongReads::default());
        Self { blocks, block_bytes, seed, state: order, whole, spare, left: u64::MAX, wrong }
    }

    /// Only so many requests.
    #[cfg(test)]
    pub fn limited(self, requests: u64) -> Self {
        Self { left: requests, ..self }
    }
}

impl Pattern for RandomRead {
    fn start(&mut self) -> Option<Operation> {
        self.left = self.left.checked_sub(1)?;
        let index = (u128::from(random(&mut self.state)) * u128::from(self.blocks)) >> 64;
        let buffer = self.spare.pop().unwrap_or_else(|| Buffer::new(self.block_bytes as usize));
        Some(Operation::Read { offset: index as u64 * u64::from(self.block_bytes), buffer })
    }

    fn follow(&mut self, operation: Operation) -> Option<Operation> {
        let Operation::Read { offset, buffer } = operation else { panic!("only reads were asked for") };
        if let Err(wrong) = block::check(&buffer, offset, self.seed, self.whole) {
            self.wrong.count += 1;
            if self.wrong.shown.len() < SHOWN_MAX {
                self.wrong.shown.push(format!("the block at {offset}: {wrong}"));
            }
        }
        self.spare.push(buffer);
        None
    }

    fn wrong(&self) -> WrongReads {
        self.wrong.clone()
    }
}

/// When a write is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Some day.
    No,
    /// When it completes.
    AtOnce,
    /// When the sync behind it completes.
    BySync,
}

/// Writes one behind another, from the start again at the end of the file.
pub struct Write {
    file_bytes: u64,
    bytes: u32,
    seed: u64,
    durable: Durable,
    offset: u64,
    spare: Vec<Arc<Buffer>>,
}

impl Write {
    /// Writes over a file that was filled with `seed`.
    pub fn new(file_bytes: u64, bytes: u32, seed: u64, durable: Durable) -> Self {
        Self { file_bytes, bytes, seed, durable, offset: 0, spare: Vec::new() }
    }
}

impl Pattern for Write {
    fn start(&mut self) -> Option<Operation> {
        let (offset, size) = (self.offset, self.bytes as usize);
        self.offset = (offset + u64::from(self.bytes)) % self.file_bytes;
        let mut buffer = self.spare.pop().unwrap_or_else(|| {
            let mut buffer = Buffer::new(size);
            block::fill(&mut buffer, WRITE_STAMP_BYTES, offset, self.seed);
            Arc::new(buffer)
        });
        let bytes = Arc::get_mut(&mut buffer).expect("a completed write's buffer is nobody else's");
        block::restamp(bytes, WRITE_STAMP_BYTES, offset, self.seed);
        Some(Operation::Write { offset, buffer, bytes: 0..size, durable: self.durable == Durable::AtOnce })
    }

    fn follow(&mut self, operation: Operation) -> Option<Operation> {
        let Operation::Write { buffer, .. } = operation else { return None };
        self.spare.push(buffer);
        (self.durable == Durable::BySync).then_some(Operation::Sync)
    }
}

/// Writes a file once in full.
pub struct Fill<F> {
    file_bytes: u64,
    block_bytes: usize,
    seed: u64,
    offset: u64,
    spare: Vec<Arc<Buffer>>,
    told: F,
}

impl<F: FnMut(u64)> Fill<F> {
    /// Of whole mebibytes; `told` hears how much has been asked for.
    pub fn new(file_bytes: u64, block_bytes: usize, seed: u64, told: F) -> Self {
        assert!(file_bytes.is_multiple_of(u64::from(FILL_BYTES)), "a scratch file is whole mebibytes");
        Self { file_bytes, block_bytes, seed, offset: 0, spare: Vec::new(), told }
    }
}

impl<F: FnMut(u64)> Pattern for Fill<F> {
    fn start(&mut self) -> Option<Operation> {
        let offset = self.offset;
        if offset == self.file_bytes {
            return None;
        }
        self.offset += u64::from(FILL_BYTES);
        (self.told)(self.offset);
        let size = FILL_BYTES as usize;
        let mut buffer = self.spare.pop().unwrap_or_else(|| Arc::new(Buffer::new(size)));
        let bytes = Arc::get_mut(&mut buffer).expect("a completed write's buffer is nobody else's");
        block::fill(bytes, self.block_bytes, offset, self.seed);
        Some(Operation::Write { offset, buffer, bytes: 0..size, durable: false })
    }

    fn follow(&mut self, operation: Operation) -> Option<Operation> {
        if let Operation::Write { buffer, .. } = operation {
            self.spare.push(buffer);
        }
        None
    }
}
