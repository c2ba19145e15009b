//! The scratch files: made in a folder of their own, written once in full, removed at the end whatever happens.
//!
//! ```text
//!   FOLDER/thermocline-device/   read    --file-size bytes, only read once filled
//!                                write   a quarter of that, only written
//!                                LOCK    one run per folder
//! ```
//!
//! What a killed run has left is taken over and removed by the next. Never removes a file that it does not know by name.

use super::drive;
use super::pattern::{FILL_BYTES, Fill};
use crate::procfs;
use crate::progress::Progress;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thermocline_io::{BackendChoice, DirectoryLock, Disk, FileId, lock_directory, open_directory};

const FOLDER_NAME: &str = "thermocline-device";
const LOCK_NAME: &str = "LOCK";
const READ_NAME: &str = "read";
const WRITE_NAME: &str = "write";
const UNIT_BYTES: u64 = FILL_BYTES as u64;
const FILL_DEPTH: usize = 8;

/// Bytes that are left free for others.
const SPARE_BYTES: u64 = 64 << 20;

/// Blocks of the file that is written.
pub const WRITE_STAMP_BYTES: usize = 4096;

/// The scratch files, while they are there.
pub struct Scratch {
    /// It as a disk.
    pub disk: Arc<dyn Disk>,
    /// The folder, its file system and device in words.
    pub place: String,
    /// The file that is read.
    pub read: FileId,
    /// Its bytes.
    pub read_bytes: u64,
    /// The file that is written.
    pub write: FileId,
    /// Its bytes.
    pub write_bytes: u64,
    made: Made,
}

/// The folder of the files. Dropping it removes what is there by then.
struct Made {
    path: PathBuf,
    _lock: DirectoryLock,
}

impl Drop for Made {
    fn drop(&mut self) {
        for name in [READ_NAME, WRITE_NAME, LOCK_NAME] {
            // One that cannot be removed keeps the folder, which is told below.
            let _ = std::fs::remove_file(self.path.join(name));
        }
        if let Err(error) = std::fs::remove_dir(&self.path) {
            eprintln!("thermocline-bench: {} is left behind: {error}", self.path.display());
        }
    }
}

impl Scratch {
    /// Makes the files, allocated and not yet written.
    pub fn make(folder: &Path, file_bytes: u64, backend: BackendChoice) -> Result<Self> {
        let read_bytes = file_bytes.next_multiple_of(UNIT_BYTES);
        let write_bytes = (read_bytes / 4).next_multiple_of(UNIT_BYTES);
        let folder = folder.canonicalize().with_context(|| format!("the folder {}", folder.display()))?;
        let path = folder.join(FOLDER_NAME);
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
            _ => {}
        }
        let lock = lock_directory(&path).context("another run measures here")?;
        let made = Made { path, _lock: lock };
        let disk = open_directory(&made.path, backend)?;
        for name in [READ_NAME, WRITE_NAME] {
            match disk.remove(name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let needed = read_bytes + write_bytes + SPARE_BYTES;
        let free = disk.free_bytes()?;
        if free < needed {
            bail!(
                "{}: {} MiB are free and {} MiB are needed; choose a smaller --file-size or another folder",
                folder.display(),
                free >> 20,
                needed >> 20
            );
        }
        let read = disk.create(READ_NAME, read_bytes)?;
        let write = disk.create(WRITE_NAME, write_bytes)?;
        Ok(Self { disk, place: place(&folder), read, read_bytes, write, write_bytes, made })
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.made.path
    }

    /// Where the file is that is read.
    pub fn read_path(&self) -> PathBuf {
        self.path().join(READ_NAME)
    }

    /// Where the file is that is written.
    pub fn write_path(&self) -> PathBuf {
        self.path().join(WRITE_NAME)
    }

    /// The backend and why it is this one.
    pub fn backend(&self) -> String {
        let report = self.disk.backend();
        let name = if report.name == "uring" { "io_uring" } else { report.name };
        let cure = report.cure.map(|cure| format!("; {cure}"));
        let notes = report.notes.into_iter().map(|note| format!("; {note}"));
        [format!("{name} ({})", report.reason)].into_iter().chain(cure).chain(notes).collect()
    }

    /// Writes both files once in full. `false` when it was stopped.
    pub fn fill(&self, block_bytes: u32, seed: u64, stop: &AtomicBool) -> Result<bool> {
        let progress = Progress::start("fill MiB", Some((self.read_bytes + self.write_bytes) >> 20));
        let files = [
            (self.read, self.read_bytes, block_bytes as usize, 0),
            (self.write, self.write_bytes, WRITE_STAMP_BYTES, self.read_bytes),
        ];
        for (file, bytes, block_bytes, before) in files {
            let mut fill = Fill::new(bytes, block_bytes, seed, |written| {
                progress.step((before + written) >> 20, "");
            });
            let mut queue = self.disk.queue()?;
            drive::pump(
                &mut *queue,
                file,
                FILL_DEPTH,
                &mut fill,
                drive::Limit { ns: u64::MAX, stop, batch: FILL_DEPTH },
            )?;
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            self.disk.sync(file)?;
        }
        Ok(true)
    }
}

/// The folder with its file system and its device, as `/proc/self/mountinfo` tells.
fn place(folder: &Path) -> String {
    let mounts = procfs::read("/proc/self/mountinfo").unwrap_or_default();
    let mounted = mounts.lines().filter_map(mount).filter(|(point, _, _)| folder.starts_with(point));
    match mounted.max_by_key(|(point, _, _)| point.len()) {
        Some((_, kind, _)) if kind == "tmpfs" || kind == "ramfs" => {
            format!("{}: {kind}, which is DRAM and no device", folder.display())
        }
        Some((_, kind, device)) => format!("{}: {kind} on {device}", folder.display()),
        None => folder.display().to_string(),
    }
}

/// Mount point, file system and device of a line such as `24 1 254:0 / /mnt rw,relatime - ext4 /dev/vda rw`.
fn mount(line: &str) -> Option<(String, String, String)> {
    let (head, tail) = line.split_once(" - ")?;
    let mut tail = tail.split(' ');
    let point = head.split(' ').nth(4)?.replace("\\040", " ");
    Some((point, tail.next()?.to_owned(), tail.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_from_its_line() {
        let line = "24 1 254:0 / /mnt/my\\040disk rw,relatime shared:1 - ext4 /dev/vda rw,discard";
        let (point, kind, device) = mount(line).unwrap();
        assert_eq!((point.as_str(), kind.as_str(), device.as_str()), ("/mnt/my disk", "ext4", "/dev/vda"));
        assert_eq!(mount("nonsense"), None);
    }

    #[test]
    fn a_second_run_in_the_same_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = Scratch::make(folder.path(), 16 << 20, BackendChoice::Auto).unwrap();
        let second = Scratch::make(folder.path(), 16 << 20, BackendChoice::Auto).err().unwrap();
        assert!(format!("{second:#}").contains("another run"), "{second:#}");
        drop(first);
        assert!(!folder.path().join(FOLDER_NAME).exists());
    }

    #[test]
    fn what_a_killed_run_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER_NAME);
        std::fs::create_dir(&path).unwrap();
        let disk = open_directory(&path, BackendChoice::Auto).unwrap();
        disk.create(READ_NAME, 4096).unwrap();
        drop(disk);
        drop(Scratch::make(folder.path(), 16 << 20, BackendChoice::Auto).unwrap());
        assert!(!path.exists());
    }
}
