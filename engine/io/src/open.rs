//! Opens a directory of the file system as a disk, with a ring where the kernel gives one and a pool of threads where not.
//!
//! Which it became, why, and what an operator can do about it is in the `BackendReport`. Asking for the ring alone fails
//! instead of falling back. The choice is made once, by trying, at open.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::bounce;
use crate::check::invalid;
use crate::directory::Directory;
use crate::pool::{self, Threads};
use crate::probe::Probe;
use crate::uring::{self, Refusal};
use crate::uring_queue::UringQueue;
use crate::{BackendReport, Disk, Entry, FileId, Geometry, Queue};

/// Which way queue requests go to the kernel.
#[derive(Clone, Copy, Eq, PartialEq, Debug, Default)]
pub enum BackendChoice {
    /// The ring if the kernel gives one, else the pool.
    #[default]
    Auto,
    /// The ring, or an error.
    Uring,
    /// The pool of threads.
    Pool,
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackendChoice::Auto => "auto",
            BackendChoice::Uring => "uring",
            BackendChoice::Pool => "pool",
        })
    }
}

impl FromStr for BackendChoice {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        match text {
            "auto" => Ok(BackendChoice::Auto),
            "uring" => Ok(BackendChoice::Uring),
            "pool" => Ok(BackendChoice::Pool),
            other => Err(invalid(format!("unknown disk backend {other:?}: auto, uring or pool"))),
        }
    }
}

/// Opens an existing directory. The caller makes it, and locks it (`lock_directory`).
pub fn open_directory(path: &Path, choice: BackendChoice) -> io::Result<Arc<dyn Disk>> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let probe = Probe::new(path).map_err(about)?;
    let (backend, mut report) = choose(choice, || uring::try_ring(&probe.file)).map_err(about)?;
    report.direct = probe.geometry.direct;
    report.notes.extend(probe.notes);
    let files = Arc::new(Directory::new(path, probe.geometry).map_err(about)?);
    Ok(Arc::new(DirectoryDisk { files, backend, report }))
}

enum Backend {
    Uring,
    Pool(Arc<Threads>),
}

struct DirectoryDisk {
    files: Arc<Directory>,
    backend: Backend,
    report: BackendReport,
}

/// `try_ring` answers with what is worth noting about the ring, or why there is none.
fn choose(
    choice: BackendChoice,
    try_ring: impl FnOnce() -> Result<String, Refusal>,
) -> io::Result<(Backend, BackendReport)> {
    let report = |name, reason: String, cure, notes| BackendReport { name, reason, cure, direct: false, notes };
    let refusal = match choice {
        BackendChoice::Pool => {
            return Ok((Backend::Pool(pool::start()?), report("pool", "asked for".to_owned(), None, Vec::new())));
        }
        BackendChoice::Auto | BackendChoice::Uring => match try_ring() {
            Ok(note) => {
                let reason = if choice == BackendChoice::Uring { "asked for" } else { "io_uring works here" };
                return Ok((Backend::Uring, report("uring", reason.to_owned(), None, vec![note])));
            }
            Err(refusal) => refusal,
        },
    };
    if choice == BackendChoice::Uring {
        return Err(io::Error::new(refusal.kind, format!("{}; {}", refusal.reason, refusal.cure)));
    }
    Ok((Backend::Pool(pool::start()?), report("pool", refusal.reason, Some(refusal.cure), Vec::new())))
}

impl Disk for DirectoryDisk {
    fn open(&self, name: &str) -> io::Result<FileId> {
        self.files.open(name)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        self.files.create(name, bytes)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        self.files.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn length(&self, file: FileId) -> io::Result<u64> {
        Ok(self.files.file(file)?.file.metadata()?.len())
    }

    fn read_at(&self, file: FileId, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        bounce::read_at(&*self.files.file(file)?, self.files.geometry, offset, into)
    }

    fn write_at(&self, file: FileId, offset: u64, from: &[u8]) -> io::Result<()> {
        bounce::write_at(&*self.files.file(file)?, self.files.geometry, offset, from)
    }

    fn sync(&self, file: FileId) -> io::Result<()> {
        self.files.file(file)?.file.sync_data()
    }

    fn truncate(&self, file: FileId, bytes: u64) -> io::Result<()> {
        let file = self.files.file(file)?;
        file.file.set_len(bytes)?;
        file.file.sync_data()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_bytes()
    }

    fn geometry(&self) -> Geometry {
        self.files.geometry
    }

    fn backend(&self) -> BackendReport {
        self.report.clone()
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        Ok(match &self.backend {
            Backend::Uring => Box::new(UringQueue::new(self.files.clone())?),
            Backend::Pool(threads) => Box::new(pool::PoolQueue::new(self.files.clone(), threads.clone())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Buffer, Operation, Request};

    fn refused() -> Result<String, Refusal> {
        Err(Refusal::new("io_uring_setup", &io::Error::from_raw_os_error(libc::EPERM), Some("2")))
    }

    #[test]
    fn without_a_ring_auto_takes_the_pool_and_says_why() {
        let (backend, report) = choose(BackendChoice::Auto, refused).unwrap();
        assert!(matches!(backend, Backend::Pool(_)));
        assert_eq!(report.name, "pool");
        assert!(report.reason.starts_with("io_uring_setup: Operation not permitted"), "{}", report.reason);
        assert!(report.reason.ends_with("(kernel.io_uring_disabled=2)"), "{}", report.reason);
        assert!(report.cure.unwrap().contains("sysctl"));
    }

    #[test]
    fn without_a_ring_asking_for_it_fails_with_the_cure() {
        let error = choose(BackendChoice::Uring, refused).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("sysctl"), "{error}");
    }

    #[test]
    fn asking_for_the_pool_does_not_try_the_ring() {
        let (_, report) = choose(BackendChoice::Pool, || panic!("tried the ring")).unwrap();
        assert_eq!((report.name, report.cure), ("pool", None));
    }

    #[test]
    fn choices_read_as_they_are_written() {
        for choice in [BackendChoice::Auto, BackendChoice::Uring, BackendChoice::Pool] {
            assert_eq!(choice.to_string().parse::<BackendChoice>().unwrap(), choice);
        }
        assert!("threads".parse::<BackendChoice>().is_err());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = open_directory(Path::new("/nonexistent/folder"), BackendChoice::Auto).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }

    /// Stands for a file system that refuses O_DIRECT.
    #[test]
    fn through_the_page_cache_reads_need_no_alignment() {
        let folder = tempfile::tempdir().unwrap();
        let geometry = Geometry { read_align: 1, write_align: 4096, direct: false };
        let (backend, report) = choose(BackendChoice::Pool, refused).unwrap();
        let files = Arc::new(Directory::new(folder.path(), geometry).unwrap());
        let disk = DirectoryDisk { files, backend, report };
        let file = disk.create("segment", 4096).unwrap();
        disk.write_at(file, 1000, &[7; 5000]).unwrap();
        assert_eq!(disk.length(file).unwrap(), 6000);
        let mut queue = disk.queue().unwrap();
        let operation = Operation::Read { offset: 999, buffer: Buffer::new(101) };
        queue.submit(Request { tag: 1, file, operation }).unwrap();
        let mut done = Vec::new();
        while done.is_empty() {
            queue.wait(Duration::from_secs(1), &mut done).unwrap();
        }
        assert_eq!(done[0].result.as_ref().unwrap(), &101);
        let Operation::Read { buffer, .. } = &done[0].operation else { panic!("not the read") };
        assert_eq!((buffer[0], &buffer[1..]), (0, &[7; 100][..]));
    }
}
