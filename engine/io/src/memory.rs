//! A disk in memory: for tests, and for what need not outlive the process.
//!
//! Files are byte vectors behind one lock; lengths together never pass the configured capacity. Queue requests complete when
//! they are reaped, in the order of submission. Everything is "durable" at once, nothing survives the disk, nothing fails
//! but for want of space.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::check::{check_name, check_operation, end_of_file, no_such_file, no_such_name};
use crate::{
    BackendReport, Completion, Disk, Entry, FileId, Geometry, Operation, QUEUE_DEPTH_MAX, Queue, Request, WRITE_ALIGN,
};

const GEOMETRY: Geometry = Geometry { read_align: 1, write_align: WRITE_ALIGN, direct: false };

/// A disk in memory. Clones share the files.
#[derive(Clone)]
pub struct MemoryDisk {
    files: Arc<Mutex<Files>>,
}

struct Files {
    capacity_bytes: u64,
    used_bytes: u64,
    names: BTreeMap<String, FileId>,
    contents: Vec<Option<Vec<u8>>>,
}

impl MemoryDisk {
    /// An empty disk of this size.
    pub fn new(capacity_bytes: u64) -> Self {
        let files = Files { capacity_bytes, used_bytes: 0, names: BTreeMap::new(), contents: Vec::new() };
        MemoryDisk { files: Arc::new(Mutex::new(files)) }
    }
}

impl Files {
    fn content(&mut self, file: FileId) -> io::Result<&mut Vec<u8>> {
        self.contents.get_mut(file.0 as usize).and_then(Option::as_mut).ok_or_else(|| no_such_file(file))
    }

    fn forget(&mut self, file: FileId) {
        let content = self.contents[file.0 as usize].take().expect("a named file has content");
        self.used_bytes -= content.len() as u64;
    }

    fn set_length(&mut self, file: FileId, bytes: u64) -> io::Result<()> {
        let before = self.content(file)?.len() as u64;
        let used = self.used_bytes - before;
        if bytes > before && bytes > self.capacity_bytes - used {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("no room for a file of {bytes} bytes")));
        }
        self.content(file)?.resize(bytes as usize, 0);
        self.used_bytes = used + bytes;
        Ok(())
    }

    fn read(&mut self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let content = self.content(file)?;
        let from = content.get(offset.min(content.len() as u64) as usize..).unwrap_or_default();
        let bytes = from.len().min(into.len());
        into[..bytes].copy_from_slice(&from[..bytes]);
        Ok(bytes)
    }

    fn write(&mut self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(from.len() as u64);
        if end > self.content(file)?.len() as u64 {
            self.set_length(file, end)?;
        }
        self.content(file)?[offset as usize..end as usize].copy_from_slice(from);
        Ok(())
    }

    fn perform(&mut self, file: FileId, operation: &mut Operation) -> io::Result<usize> {
        check_operation(GEOMETRY, operation)?;
        match operation {
            Operation::Read { offset, buffer } => match self.read(file, *offset, buffer)? {
                bytes if bytes == buffer.len() => Ok(bytes),
                _ => Err(end_of_file()),
            },
            Operation::Write { offset, buffer, bytes, .. } => {
                self.write(file, *offset, &buffer[bytes.clone()])?;
                Ok(bytes.len())
            }
            Operation::Sync => self.content(file).map(|_| 0),
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<FileId> {
        check_name(name)?;
        self.files.lock().names.get(name).copied().ok_or_else(|| no_such_name(name))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        check_name(name)?;
        let mut files = self.files.lock();
        let file = match files.names.get(name) {
            Some(&file) => {
                files.set_length(file, 0)?;
                file
            }
            None => {
                let file = FileId(files.contents.len() as u32);
                files.contents.push(Some(Vec::new()));
                files.names.insert(name.to_owned(), file);
                file
            }
        };
        let allocated = files.set_length(file, bytes);
        if allocated.is_err() {
            files.names.remove(name);
            files.forget(file);
        }
        allocated.map(|()| file)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let files = self.files.lock();
        let length = |file: FileId| files.contents[file.0 as usize].as_ref().map_or(0, |content| content.len() as u64);
        Ok(files.names.iter().map(|(name, &file)| Entry { name: name.clone(), bytes: length(file) }).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let mut files = self.files.lock();
        let file = files.names.remove(name).ok_or_else(|| no_such_name(name))?;
        files.forget(file);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut files = self.files.lock();
        let file = files.names.remove(from).ok_or_else(|| no_such_name(from))?;
        if let Some(replaced) = files.names.insert(to.to_owned(), file) {
            files.forget(replaced);
        }
        Ok(())
    }

    fn length(&self, file: FileId) -> io::Result<u64> {
        Ok(self.files.lock().content(file)?.len() as u64)
    }

    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.files.lock().read(file, offset, into)
    }

    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        self.files.lock().write(file, offset, from)
    }

    fn sync(&self, file: FileId) -> io::Result<()> {
        self.files.lock().content(file).map(|_| ())
    }

    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()> {
        self.files.lock().set_length(file, bytes)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let files = self.files.lock();
        Ok(files.capacity_bytes - files.used_bytes)
    }

    fn geometry(&self) -> Geometry {
        GEOMETRY
    }

    fn backend(&self) -> BackendReport {
        BackendReport { name: "memory", reason: "asked for".to_owned(), cure: None, direct: false, notes: Vec::new() }
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(MemoryQueue {
            files: self.files.clone(),
            requests: VecDeque::new(),
            flushed: 0,
            wake: Arc::default(),
        }))
    }
}

/// A wake that was asked for and not yet seen, and the sleeper it is for.
type Wake = (Mutex<bool>, Condvar);

struct MemoryQueue {
    files: Arc<Mutex<Files>>,
    requests: VecDeque<Request>,
    /// How many of `requests`, from the front, reap may complete.
    flushed: usize,
    wake: Arc<Wake>,
}

impl Queue for MemoryQueue {
    fn submit(&mut self, request: Request) -> Result<(), Request> {
        if self.requests.len() == QUEUE_DEPTH_MAX {
            return Err(request);
        }
        self.requests.push_back(request);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = self.requests.len();
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize> {
        let count = std::mem::take(&mut self.flushed);
        let mut files = self.files.lock();
        for Request { tag, file, mut operation } in self.requests.drain(..count) {
            let result = files.perform(file, &mut operation);
            into.push(Completion { tag, file, operation, result });
        }
        Ok(count)
    }

    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
        self.flush()?;
        let count = self.reap(into)?;
        let (woken, sleeper) = &*self.wake;
        let mut woken = woken.lock();
        if count == 0 && !*woken {
            sleeper.wait_while_for(&mut woken, |woken| !*woken, timeout);
        }
        if count == 0 {
            *woken = false;
        }
        Ok(count)
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let wake = self.wake.clone();
        Arc::new(move || {
            *wake.0.lock() = true;
            wake.1.notify_one();
        })
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn clear_readiness(&mut self) {
        *self.wake.0.lock() = false;
    }

    fn in_flight(&self) -> usize {
        self.requests.len()
    }
}

impl Drop for MemoryQueue {
    /// As on a real disk, what was flushed happens first.
    fn drop(&mut self) {
        // Reaping memory cannot fail; errors of the requests go with their completions.
        let _ = self.reap(&mut Vec::new());
    }
}
