//! A disk whose writes stay in memory: what is read comes from the disk below, as far as nothing was written over it.
//!
//! ```text
//!   read  --> blocks written here? --no--> the disk below       (queue reads of untouched bytes go to its own queue)
//!   write --> a block of 4 KiB in memory, up to a bound
//! ```
//! For offline tools: the engine recovers and reads a directory with it, and the directory stays as it is.
//!
//! Promises: the disk below is never written, created in, renamed in or removed from; memory is bounded by `bytes_max`, beyond it
//! writes fail for want of space. Never: durable. All that was written goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::check::{check_name, check_operation, end_of_file, no_such_file, no_such_name};
use crate::{
    BackendReport, Completion, Disk, Entry, FileId, Geometry, Operation, QUEUE_DEPTH_MAX, Queue, Request, WRITE_ALIGN,
};

const BLOCK_BYTES: u64 = WRITE_ALIGN as u64;

/// A disk over another one, which it never changes.
pub struct ShadowDisk {
    shadow: Arc<Shadow>,
}

struct Shadow {
    below: Arc<dyn Disk>,
    files: Mutex<Files>,
}

struct Files {
    bytes_max: u64,
    used_bytes: u64,
    names: BTreeMap<String, FileId>,
    files: Vec<Option<File>>,
}

#[derive(Default)]
struct File {
    /// Its name and its id below, while bytes of it may show.
    below: Option<(String, Option<FileId>)>,
    /// Bytes of the file below that show.
    below_bytes: u64,
    bytes: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl ShadowDisk {
    /// Over this disk, with room for so many bytes.
    ///
    /// # Errors
    /// The disk below cannot list its files.
    pub fn new(below: Arc<dyn Disk>, bytes_max: u64) -> io::Result<ShadowDisk> {
        let mut files = Files { bytes_max, used_bytes: 0, names: BTreeMap::new(), files: Vec::new() };
        for Entry { name, bytes } in below.list()? {
            files.names.insert(name.clone(), FileId(files.files.len() as u32));
            let below = Some((name, None));
            files.files.push(Some(File { below, below_bytes: bytes, bytes, blocks: BTreeMap::new() }));
        }
        Ok(ShadowDisk { shadow: Arc::new(Shadow { below, files: Mutex::new(files) }) })
    }
}

impl ShadowDisk {
    /// Over some files of this disk, which are open there: name, id and bytes of each. The others do not show.
    pub fn over(below: Arc<dyn Disk>, shown: Vec<(String, FileId, u64)>, bytes_max: u64) -> ShadowDisk {
        let mut files = Files { bytes_max, used_bytes: 0, names: BTreeMap::new(), files: Vec::new() };
        for (name, file, bytes) in shown {
            files.names.insert(name.clone(), FileId(files.files.len() as u32));
            let below = Some((name, Some(file)));
            files.files.push(Some(File { below, below_bytes: bytes, bytes, blocks: BTreeMap::new() }));
        }
        ShadowDisk { shadow: Arc::new(Shadow { below, files: Mutex::new(files) }) }
    }
}

impl Files {
    fn file(&mut self, file: FileId) -> io::Result<&mut File> {
        self.files.get_mut(file.0 as usize).and_then(Option::as_mut).ok_or_else(|| no_such_file(file))
    }

    fn forget(&mut self, file: FileId) {
        if let Some(file) = self.files[file.0 as usize].take() {
            self.used_bytes -= file.blocks.len() as u64 * BLOCK_BYTES;
        }
    }

    fn truncate(&mut self, file: FileId, bytes: u64) -> io::Result<()> {
        let file = self.file(file)?;
        let before = file.blocks.len() as u64;
        file.below_bytes = file.below_bytes.min(bytes);
        file.blocks.retain(|&block, _| block * BLOCK_BYTES < bytes);
        if let Some(last) = file.blocks.get_mut(&(bytes / BLOCK_BYTES)) {
            last[(bytes % BLOCK_BYTES) as usize..].fill(0);
        }
        file.bytes = bytes;
        let gone = before - file.blocks.len() as u64;
        self.used_bytes -= gone * BLOCK_BYTES;
        Ok(())
    }
}

impl Shadow {
    fn open(&self, name: &str) -> io::Result<FileId> {
        check_name(name)?;
        let mut files = self.files.lock();
        let id = *files.names.get(name).ok_or_else(|| no_such_name(name))?;
        if let Some((below, opened @ None)) = &mut files.file(id)?.below {
            *opened = Some(self.below.open(below)?);
        }
        Ok(id)
    }

    fn read(&self, id: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let (below, below_bytes, bytes, blocks) = {
            let mut files = self.files.lock();
            let file = files.file(id)?;
            let bytes = (into.len() as u64).min(file.bytes.saturating_sub(offset)) as usize;
            let range = offset / BLOCK_BYTES..=(offset + bytes as u64) / BLOCK_BYTES;
            let blocks: Vec<(u64, Box<[u8]>)> =
                file.blocks.range(range).map(|(&block, content)| (block, content.clone())).collect();
            let below = file.below.as_ref().and_then(|(_, opened)| *opened);
            (below, file.below_bytes, bytes, blocks)
        };
        let into = &mut into[..bytes];
        into.fill(0);
        if let Some(below) = below
            && offset < below_bytes
        {
            let shown = (bytes as u64).min(below_bytes - offset) as usize;
            self.below.read_at(below, offset, &mut into[..shown])?;
        }
        for (block, content) in blocks {
            let (start, end) = (block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
            let (from, to) = (start.max(offset), end.min(offset + bytes as u64));
            if from < to {
                into[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&content[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(bytes)
    }

    fn write(&self, id: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(from.len() as u64);
        let mut at = offset;
        while at < end {
            let block = at / BLOCK_BYTES;
            let start = block * BLOCK_BYTES;
            let to = end.min(start + BLOCK_BYTES);
            let piece = &from[(at - offset) as usize..(to - offset) as usize];
            let mut content = vec![0; BLOCK_BYTES as usize].into_boxed_slice();
            if piece.len() < content.len() {
                self.read(id, start, &mut content)?;
            }
            content[(at - start) as usize..(to - start) as usize].copy_from_slice(piece);
            let mut files = self.files.lock();
            let room = files.bytes_max - files.used_bytes;
            let file = files.file(id)?;
            let is_new = !file.blocks.contains_key(&block);
            if is_new && room < BLOCK_BYTES {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "no room in memory for what was written"));
            }
            file.blocks.insert(block, content);
            file.bytes = file.bytes.max(to);
            files.used_bytes += u64::from(is_new) * BLOCK_BYTES;
            at = to;
        }
        Ok(())
    }

    /// The file below and its id, if all of these bytes are read from there.
    fn untouched(&self, id: FileId, offset: u64, bytes: usize) -> Option<FileId> {
        let mut files = self.files.lock();
        let file = files.file(id).ok()?;
        let end = offset.checked_add(bytes as u64).filter(|&end| end <= file.below_bytes)?;
        let (_, below) = file.below.as_ref()?;
        let written = file.blocks.range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)).next().is_some();
        below.filter(|_| !written)
    }

    fn perform(&self, file: FileId, operation: &mut Operation) -> io::Result<usize> {
        check_operation(self.below.geometry(), operation)?;
        match operation {
            Operation::Read { offset, buffer } => match self.read(file, *offset, buffer)? {
                bytes if bytes == buffer.len() => Ok(bytes),
                _ => Err(end_of_file()),
            },
            Operation::Write { offset, buffer, bytes, .. } => {
                self.files.lock().file(file)?;
                self.write(file, *offset, &buffer[bytes.clone()])?;
                Ok(bytes.len())
            }
            Operation::Sync => self.files.lock().file(file).map(|_| 0),
        }
    }
}

impl Disk for ShadowDisk {
    fn open(&self, name: &str) -> io::Result<FileId> {
        self.shadow.open(name)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        check_name(name)?;
        let mut files = self.shadow.files.lock();
        let id = match files.names.get(name) {
            Some(&id) => {
                files.truncate(id, 0)?;
                files.file(id)?.below = None;
                id
            }
            None => {
                let id = FileId(files.files.len() as u32);
                files.files.push(Some(File::default()));
                files.names.insert(name.to_owned(), id);
                id
            }
        };
        if bytes > files.bytes_max - files.used_bytes {
            files.names.remove(name);
            files.forget(id);
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("no room for a file of {bytes} bytes")));
        }
        files.truncate(id, bytes)?;
        Ok(id)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let files = self.shadow.files.lock();
        let length = |file: FileId| files.files[file.0 as usize].as_ref().map_or(0, |file| file.bytes);
        Ok(files.names.iter().map(|(name, &file)| Entry { name: name.clone(), bytes: length(file) }).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let mut files = self.shadow.files.lock();
        let file = files.names.remove(name).ok_or_else(|| no_such_name(name))?;
        files.forget(file);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.shadow.open(from)?; // its name below is not looked for again
        let mut files = self.shadow.files.lock();
        let file = files.names.remove(from).ok_or_else(|| no_such_name(from))?;
        if let Some(replaced) = files.names.insert(to.to_owned(), file)
            && replaced != file
        {
            files.forget(replaced);
        }
        Ok(())
    }

    fn length(&self, file: FileId) -> io::Result<u64> {
        Ok(self.shadow.files.lock().file(file)?.bytes)
    }

    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.shadow.read(file, offset, into)
    }

    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        self.shadow.files.lock().file(file)?;
        self.shadow.write(file, offset, from)
    }

    fn sync(&self, file: FileId) -> io::Result<()> {
        self.shadow.files.lock().file(file).map(|_| ())
    }

    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()> {
        self.shadow.files.lock().truncate(file, bytes)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let files = self.shadow.files.lock();
        Ok(files.bytes_max - files.used_bytes)
    }

    fn geometry(&self) -> Geometry {
        self.shadow.below.geometry()
    }

    fn backend(&self) -> BackendReport {
        let below = self.shadow.below.backend();
        let reason = format!("reads of {}, writes stay in memory", below.name);
        BackendReport { name: "shadow", reason, ..below }
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        let below = self.shadow.below.queue()?;
        Ok(Box::new(ShadowQueue {
            shadow: self.shadow.clone(),
            below,
            sent: BTreeMap::new(),
            requests: VecDeque::new(),
            flushed: 0,
        }))
    }
}

struct ShadowQueue {
    shadow: Arc<Shadow>,
    below: Box<dyn Queue>,
    /// The id here of each file that a read below was sent for.
    sent: BTreeMap<FileId, FileId>,
    /// What is done here.
    requests: VecDeque<Request>,
    /// How many of `requests`, from the front, reap may complete.
    flushed: usize,
}

impl ShadowQueue {
    /// Completions from below carry the ids of below.
    fn rename(&self, completions: &mut [Completion]) {
        for completion in completions {
            if let Some(&here) = self.sent.get(&completion.file) {
                completion.file = here;
            }
        }
    }
}

impl Queue for ShadowQueue {
    fn submit(&mut self, request: Request) -> Result<(), Request> {
        if self.in_flight() >= QUEUE_DEPTH_MAX {
            return Err(request);
        }
        if let Operation::Read { offset, buffer } = &request.operation
            && let Some(below) = self.shadow.untouched(request.file, *offset, buffer.len())
        {
            let here = request.file;
            self.sent.insert(below, here);
            return self
                .below
                .submit(Request { file: below, ..request })
                .map_err(|request| Request { file: here, ..request });
        }
        self.requests.push_back(request);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = self.requests.len();
        self.below.flush()?;
        if self.flushed > 0 {
            (self.below.waker())(); // whoever sleeps on the descriptor below must reap here
        }
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Completion>) -> io::Result<usize> {
        let count = std::mem::take(&mut self.flushed);
        for Request { tag, file, mut operation } in self.requests.drain(..count) {
            let result = self.shadow.perform(file, &mut operation);
            into.push(Completion { tag, file, operation, result });
        }
        let from = into.len();
        let reaped = self.below.reap(into)?;
        self.rename(&mut into[from..]);
        Ok(count + reaped)
    }

    fn wait(&mut self, timeout: Duration, into: &mut Vec<Completion>) -> io::Result<usize> {
        self.flush()?;
        let count = self.reap(into)?;
        if count > 0 {
            return Ok(count);
        }
        let from = into.len();
        let waited = self.below.wait(timeout, into)?;
        self.rename(&mut into[from..]);
        Ok(waited)
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.below.waker()
    }

    fn poll_fd(&self) -> Option<RawFd> {
        self.below.poll_fd()
    }

    fn clear_readiness(&mut self) {
        self.below.clear_readiness();
    }

    fn in_flight(&self) -> usize {
        self.requests.len() + self.below.in_flight()
    }
}

impl Drop for ShadowQueue {
    /// As on a real disk, what was flushed happens first.
    fn drop(&mut self) {
        // Errors of the requests go with their completions.
        let _ = self.reap(&mut Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    fn over(bytes: &[u8]) -> (MemoryDisk, ShadowDisk) {
        let below = MemoryDisk::new(1 << 20);
        let file = below.create("segment", bytes.len() as u64).unwrap();
        below.write_at(file, 0, bytes).unwrap();
        let shadow = ShadowDisk::new(Arc::new(below.clone()), 64 << 10).unwrap();
        (below, shadow)
    }

    #[test]
    fn what_is_written_is_read_and_the_disk_below_stays_as_it_was() {
        let (below, shadow) = over(&[7; 10_000]);
        let file = shadow.open("segment").unwrap();
        shadow.write_at(file, 4090, &[9; 20]).unwrap();
        let mut read = vec![0; 10_000];
        assert_eq!(shadow.read_at(file, 0, &mut read).unwrap(), 10_000);
        let want: Vec<u8> = (0..10_000).map(|at| if (4090..4110).contains(&at) { 9 } else { 7 }).collect();
        assert!(read == want);
        shadow.truncate(file, 4100).unwrap();
        shadow.truncate(file, 9000).unwrap();
        shadow.read_at(file, 0, &mut read[..9000]).unwrap();
        assert!(read[4100..9000].iter().all(|&byte| byte == 0) && read[4099] == 9);
        shadow.create("segment", 100).unwrap();
        shadow.rename("segment", "other").unwrap();
        shadow.remove("other").unwrap();
        assert!(shadow.list().unwrap().is_empty());
        let file = below.open("segment").unwrap();
        let mut read = vec![0; 10_000];
        below.read_at(file, 0, &mut read).unwrap();
        assert!(read == [7; 10_000]);
    }

    #[test]
    fn a_queue_reads_what_was_written_and_what_lies_below() {
        let (_below, shadow) = over(&[7; 16_384]);
        let file = shadow.open("segment").unwrap();
        let mut queue = shadow.queue().unwrap();
        let mut buffer = crate::Buffer::new(4096);
        buffer.fill(9);
        let write = Operation::Write { offset: 4096, buffer: Arc::new(buffer), bytes: 0..4096, durable: true };
        queue.submit(Request { tag: 1, file, operation: write }).unwrap();
        let mut done = Vec::new();
        queue.wait(Duration::from_secs(1), &mut done).unwrap();
        assert_eq!(done.remove(0).result.unwrap(), 4096);
        for tag in 0..4 {
            let operation = Operation::Read { offset: tag * 4096, buffer: crate::Buffer::new(4096) };
            queue.submit(Request { tag, file, operation }).unwrap();
        }
        while done.len() < 4 {
            queue.wait(Duration::from_secs(1), &mut done).unwrap();
        }
        for Completion { tag, file: of, operation, result } in done {
            let Operation::Read { buffer, .. } = operation else { panic!("not a read") };
            assert_eq!((of, result.unwrap()), (file, 4096));
            assert!(buffer.iter().all(|&byte| byte == if tag == 1 { 9 } else { 7 }), "block {tag}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (_below, shadow) = over(&[]);
        assert_eq!(shadow.create("large", 1 << 30).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let file = shadow.create("small", 64 << 10).unwrap();
        shadow.write_at(file, 0, &[1; 64 << 10]).unwrap();
        shadow.write_at(file, 0, &[2; 64 << 10]).unwrap();
        let error = shadow.write_at(file, 1 << 20, &[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        shadow.truncate(file, 4096).unwrap();
        assert_eq!(shadow.free_bytes().unwrap(), 60 << 10);
    }
}
