//! Opens the store in a directory with the engine itself: to read, with all writes kept in memory, or to write.
//!
//! Promises: a directory in use, or not ours, is refused before anything in it is touched; a store opened to read leaves the
//! directory as it is. Never: a second reading of the format beside the engine's.

use crate::directory::Directory;
use crate::{owner, print};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thermocline::options::{SEGMENT_BYTES_MAX, SEGMENTS_MIN};
use thermocline::{BackendChoice, Durability, Engine, EvictionPolicy, Options, SystemClock, block_on};
use thermocline_io::{DirectoryLock, Disk, ShadowDisk, open_directory};

/// What a store opened to read may write into memory: what recovery writes again, a map, a few segments' heads.
const SHADOW_BYTES_MAX: u64 = 1 << 30;
/// Segments beyond those that are there, so that a store opened to read never has to collect garbage.
const SPARE_SEGMENTS: u64 = 64;
/// Segment size of a new directory when nothing is said: that of a `maxdisk` of 4 GiB.
const SEGMENT_BYTES_NEW: u64 = 16 << 20;

/// How much memory the store gets.
#[derive(Args, Clone)]
pub struct Memory {
    /// Memory for the store (the index of many keys may take more: about 12 bytes per key).
    #[arg(long, value_name = "BYTES", default_value = "256mb", value_parser = crate::size::parse)]
    pub memory: u64,
}

/// A store opened to read.
pub struct ReadStore {
    /// The store.
    pub engine: Engine,
    /// What the superblock says.
    pub block: thermocline::log::superblock::Superblock,
    /// Kept so that nobody else opens the directory.
    _lock: DirectoryLock,
}

impl ReadStore {
    /// Opens it.
    ///
    /// # Errors
    /// In use, not ours, damaged beyond starting, or emptied by a crash under `appendonly no`.
    pub fn open(path: &Path, memory: u64) -> Result<ReadStore> {
        let directory = Directory::open(path)?;
        let block = directory.need_superblock()?.clone();
        let shown = path.display();
        let below = open_directory(path, BackendChoice::Auto).with_context(|| format!("cannot open {shown}"))?;
        let segments = directory.segments.last().map_or(0, |(id, _)| u64::from(*id) + 1);
        let disk: Arc<dyn Disk> = Arc::new(ShadowDisk::new(below, SHADOW_BYTES_MAX)?);
        let segment_bytes = u64::from(block.segment_bytes);
        let options = Options {
            max_memory: memory,
            max_disk: (segments + SPARE_SEGMENTS).max(SEGMENTS_MIN) * segment_bytes,
            durability: if block.mode == 0 { Durability::None } else { Durability::No },
            databases: block.spaces.len() as u32,
            segment_bytes: Some(segment_bytes),
            hot_list: false,
            ..Options::default()
        };
        let engine = Engine::open(disk, options, Arc::new(SystemClock::new()))
            .map_err(|error| anyhow::anyhow!("{shown} cannot be read: {error}"))?;
        if engine.recovery().emptied {
            bail!("{shown} holds nothing: `appendonly no`, and the last shutdown was not clean");
        }
        engine.set_active_expire(false);
        let _runs_to_the_end = engine.spawn_driver().context("cannot start the thread that reads the disk")?;
        Ok(ReadStore { engine, block, _lock: directory.lock })
    }

    /// What start found wrong, in words; `None`: nothing was lost.
    pub fn damage(&self) -> Option<String> {
        let report = self.engine.recovery();
        (report.lost_records > 0).then(|| {
            let lost = print::count(report.lost_records, "record");
            format!("at most {lost} cannot be found any more ({})", report.notes.join("; "))
        })
    }

    /// Keys of these databases.
    pub fn keys(&self, databases: &[u32]) -> u64 {
        databases.iter().map(|&database| self.engine.length(self.engine.space(database))).sum()
    }
}

/// A store opened to write.
pub struct WriteStore {
    /// The store.
    pub engine: Engine,
    path: PathBuf,
    driver: std::thread::JoinHandle<()>,
}

/// How a store is opened to write.
pub struct Wanted {
    /// Memory for it.
    pub memory: u64,
    /// Bytes its log may take; `None`: what the file system has.
    pub max_disk: Option<u64>,
    /// Segment size if it is new.
    pub segment_bytes: Option<u64>,
    /// Databases at least.
    pub databases: u32,
}

impl WriteStore {
    /// Opens it, or makes it where nothing is yet.
    ///
    /// # Errors
    /// In use, not ours, or damaged beyond starting.
    pub fn open(path: &Path, wanted: &Wanted) -> Result<WriteStore> {
        let shown = path.display();
        let block = match is_absent_or_empty(path)? {
            true => None,
            false => Directory::open(path)?.superblock().cloned(), // gives the lock back: the engine takes it
        };
        let segment_bytes = match (&block, wanted.max_disk) {
            (Some(block), _) => u64::from(block.segment_bytes),
            (None, Some(max_disk)) => Options { max_disk, ..Options::default() }.segment_bytes(),
            (None, None) => wanted.segment_bytes.unwrap_or(SEGMENT_BYTES_NEW),
        };
        let here = block.as_ref().map_or(0, |block| block.spaces.len() as u32);
        let options = Options {
            max_memory: wanted.memory,
            max_disk: match wanted.max_disk {
                Some(max_disk) => max_disk,
                None => room(path)?.max(SEGMENTS_MIN * segment_bytes),
            },
            durability: Durability::No,
            databases: wanted.databases.max(here),
            eviction: EvictionPolicy::NoEviction,
            segment_bytes: Some(segment_bytes.min(SEGMENT_BYTES_MAX)),
            hot_list: false,
            ..Options::default()
        };
        let engine = Engine::open_directory(path, options, BackendChoice::Auto)
            .map_err(|error| anyhow::anyhow!("{shown} cannot be opened: {error}"))?;
        let driver = engine.spawn_driver().context("cannot start the thread that drives the disk")?;
        Ok(WriteStore { engine, path: path.to_owned(), driver })
    }

    /// Makes everything durable and leaves the directory as a clean shutdown does, its owner's.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn close(self) -> Result<()> {
        block_on(self.engine.close()).context("the store could not be closed")?;
        self.driver.join().map_err(|_| anyhow::anyhow!("the thread that drives the disk has panicked"))?;
        owner::give_back(&self.path)
    }
}

/// Nothing is there yet, or nothing but names with a dot.
///
/// # Errors
/// The directory cannot be listed.
pub fn is_absent_or_empty(path: &Path) -> Result<bool> {
    if !path.exists() {
        return Ok(true);
    }
    let list = std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in list {
        let name = entry.with_context(|| format!("cannot list {}", path.display()))?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && name != "LOCK" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a directory that holds nothing but names with a dot and a lock file.
///
/// # Errors
/// There is more in it, or the file system refuses.
pub fn clear_empty(path: &Path) -> Result<()> {
    let about = || format!("removing the empty {}", path.display());
    for entry in std::fs::read_dir(path).with_context(about)? {
        std::fs::remove_file(entry.with_context(about)?.path()).with_context(about)?;
    }
    std::fs::remove_dir(path).with_context(about)
}

/// What the log may take: what the file system has free, and what the directory's own files hold.
fn room(path: &Path) -> Result<u64> {
    let own = match path.is_dir() {
        false => 0,
        true => open_directory(path, BackendChoice::Pool)?.list()?.iter().map(|file| file.bytes).sum(),
    };
    Ok(free_bytes(path)? + own)
}

/// What the file system of this path has free; the path itself need not be there yet.
///
/// # Errors
/// Nobody may write there.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let existing = path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let disk = open_directory(existing, BackendChoice::Pool)
        .with_context(|| format!("cannot see how much room {} has", existing.display()))?;
    Ok(disk.free_bytes()?)
}
