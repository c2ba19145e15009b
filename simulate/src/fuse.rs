//! A disk whose power goes in the middle of a blocking call: recovery and shutdown talk to the disk without a queue, so a crash
//! inside them must be counted in calls.
//!
//! Promises: after the fuse has blown every blocking call fails until it is set again. Never: changes what the disk does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use thermocline_io::{BackendReport, Disk, Entry, FaultDisk, FileId, Geometry, Queue};

/// The lying disk behind a fuse. Clones share both.
#[derive(Clone)]
pub struct Fuse {
    disk: FaultDisk,
    left: Arc<AtomicI64>,
}

impl Fuse {
    /// A fuse that does not blow until it is set.
    pub fn new(disk: FaultDisk) -> Fuse {
        Fuse { disk, left: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    /// Blows after so many changing calls.
    pub fn set(&self, calls: i64) {
        self.left.store(calls, Ordering::Relaxed);
    }

    /// Never blows.
    pub fn mend(&self) {
        self.set(i64::MAX);
    }

    /// It may blow, or has.
    pub fn is_set(&self) -> bool {
        self.left.load(Ordering::Relaxed) != i64::MAX
    }

    /// It has blown.
    pub fn blown(&self) -> bool {
        self.left.load(Ordering::Relaxed) <= 0
    }

    fn burn(&self) -> io::Result<()> {
        if self.left.load(Ordering::Relaxed) != i64::MAX {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.blown() { Err(io::Error::new(io::ErrorKind::BrokenPipe, "the power is gone")) } else { Ok(()) }
    }
}

impl Disk for Fuse {
    fn open(&self, name: &str) -> io::Result<FileId> {
        self.alive()?;
        self.disk.open(name)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        self.burn()?;
        self.disk.create(name, bytes)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        self.alive()?;
        self.disk.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.burn()?;
        self.disk.rename(from, to)
    }

    fn length(&self, file: FileId) -> io::Result<u64> {
        self.alive()?;
        self.disk.length(file)
    }

    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.alive()?;
        self.disk.read_at(file, offset, into)
    }

    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        self.burn()?;
        self.disk.write_at(file, offset, from)
    }

    fn sync(&self, file: FileId) -> io::Result<()> {
        self.burn()?;
        self.disk.sync(file)
    }

    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()> {
        self.burn()?;
        self.disk.truncate(file, bytes)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn backend(&self) -> BackendReport {
        self.disk.backend()
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        self.disk.queue()
    }
}
