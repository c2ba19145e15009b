//! The disk that lies: for running the engine on one thread under a seed, through crashes and faults.
//!
//! ```text
//!   submit ─> flush ─> outstanding ──step(): one, chosen by the seed──> completed ─> reap
//!                                                                          │
//!                              plain write: visible, pending    durable write, sync: durable
//! ```
//!
//! Promises: the same seed and the same calls give the same disk, bit for bit. What was made durable survives `power_cut`,
//! unless a fault that is switched on says otherwise. A plain write is visible when it completes; a sync makes durable what
//! had completed in its file when the sync was *submitted*, a durable write vouches for itself alone. Create, rename, remove
//! and truncate are durable on return.
//!
//! It keeps no time, sleeps never, and costs little: a fresh 4-MiB store is a few vectors of empty pages.

mod crash;
mod faults;
mod image;
mod perform;
mod queue;
mod random;
mod state;
mod wounds;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

pub use faults::{Faults, Injected};

use self::queue::FaultQueue;
use self::state::{Shared, State};
use crate::check::check_name;
use crate::{BackendReport, Disk, Entry, FileId, Geometry, Queue, WRITE_ALIGN};

/// As strict as a device with 512-byte sectors, so that misaligned requests are found in simulation.
const GEOMETRY: Geometry = Geometry { read_align: 512, write_align: WRITE_ALIGN, direct: true };

/// The lying disk. Clones share it.
#[derive(Clone)]
pub struct FaultDisk {
    state: Shared,
}

impl FaultDisk {
    /// An empty disk of this size whose chances follow from the seed.
    pub fn new(capacity_bytes: u64, seed: u64, faults: Faults) -> Self {
        FaultDisk { state: Arc::new(Mutex::new(State::new(capacity_bytes, seed, faults))) }
    }

    /// How many requests were flushed and have not completed.
    pub fn outstanding(&self) -> usize {
        self.state.lock().outstanding.len()
    }

    /// Completes one outstanding request (or a part of it, with `short_io`) chosen by the seed. False if there was none.
    pub fn step(&self) -> bool {
        self.state.lock().step()
    }

    /// The power goes. What was not durable is there or not, piece by piece; requests vanish; queues are dead.
    pub fn power_cut(&self) {
        self.state.lock().power_cut();
    }

    /// The process dies and the page cache stays. Completed writes are visible and still pending; those in flight happened or
    /// not; queues are dead.
    pub fn kill(&self) {
        self.state.lock().kill();
    }

    /// Changes the probabilities from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Flips the bits of `mask` in one stored byte.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.find(name)?;
        state.flip(file, offset, mask)
    }

    /// Is anything in this range of a file damaged, so that it does not read as it was written? For an oracle; false if there is
    /// no such file.
    pub fn is_wounded(&self, name: &str, range: std::ops::Range<u64>) -> bool {
        let state = self.state.lock();
        state.find(name).is_ok_and(|file| state.wounds.touch(file, &range))
    }

    /// What is damaged: file and range.
    pub fn wounds(&self) -> Vec<(String, std::ops::Range<u64>)> {
        let state = self.state.lock();
        state.wounds.open().map(|(file, range)| (state.name(file), range)).collect()
    }

    /// The faults committed so far.
    pub fn injected(&self) -> Injected {
        self.state.lock().injected
    }
}

impl Disk for FaultDisk {
    fn open(&self, name: &str) -> io::Result<FileId> {
        check_name(name)?;
        self.state.lock().find(name)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        check_name(name)?;
        self.state.lock().create(name, bytes)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        Ok(self.state.lock().list())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.state.lock().remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.state.lock().rename(from, to)
    }

    fn length(&self, file: FileId) -> io::Result<u64> {
        Ok(self.state.lock().file(file)?.visible.length())
    }

    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.state.lock().read(file, offset, into)
    }

    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        self.state.lock().write(file, offset, from, false)
    }

    fn sync(&self, file: FileId) -> io::Result<()> {
        let mut state = self.state.lock();
        let all = state.write_number;
        state.sync(file, all)
    }

    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let length = state.file(file)?.visible.length();
        if bytes > length {
            state.check_space(bytes - length)?;
        }
        state.file(file)?.set_length(bytes);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state.lock().free_bytes())
    }

    fn geometry(&self) -> Geometry {
        GEOMETRY
    }

    fn backend(&self) -> BackendReport {
        let notes = vec!["a simulated disk: nothing is stored".to_owned()];
        BackendReport { name: "fault", reason: "asked for".to_owned(), cure: None, direct: true, notes }
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(FaultQueue::new(self.state.clone())))
    }
}
