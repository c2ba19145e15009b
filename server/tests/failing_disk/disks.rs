//! Disks that go bad and get well again, at a word.
//!
//! ```text
//!  full      ext4 on a loop device; a file takes all the room there is, and goes
//!  EIO       xfs on a RAM disk (zram) that refuses to store anything beyond a limit: every write fails, reads go on. Its log is on
//!            another one that stays well: a journal that cannot be written ends a file system for good, and the server with it
//!  slow      ext4 on a loop device; a control group lets the server do 200 reads and 200 writes a second
//! ```
//! Promises: device, mount and group are gone with their handle. Never: touches a disk that it did not make.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file_system::{FileSystem, run};

const BYTES: u64 = 384 << 20;
const LOG_BYTES: u64 = 96 << 20;
const SLOW_IOPS: u32 = 200;
/// What the filler leaves: less than a segment.
const LEFT_BYTES: u64 = 1 << 20;

/// A disk with a switch.
pub trait Disk {
    fn name(&self) -> String;
    fn path(&self) -> &Path;
    /// Writers make new keys all the time, so the store grows: with what it has it does not get far.
    fn is_for_growth(&self) -> bool {
        false
    }
    /// From now on it is bad for this process.
    fn spoil(&mut self, process: u32) -> Result<(), String>;
    fn mend(&mut self) -> Result<(), String>;
}

#[expect(clippy::disallowed_methods, reason = "the kernel's switches, not files of the store")]
fn put(path: &str, word: &str) -> Result<(), String> {
    std::fs::write(path, word).map_err(|error| format!("{path}: {error}"))
}

/// A file system that somebody else fills.
pub struct Full(FileSystem);

impl Full {
    pub fn make() -> Result<Full, String> {
        FileSystem::mount("ext4", 2 * BYTES).map(Full)
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Disk for Full {
    fn name(&self) -> String {
        "full: ext4, another file takes the rest".to_owned()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn is_for_growth(&self) -> bool {
        true
    }

    fn spoil(&mut self, _: u32) -> Result<(), String> {
        let free = rustix::fs::statvfs(self.path()).map_err(|error| error.to_string())?;
        let bytes = free.f_bavail * free.f_frsize - LEFT_BYTES;
        run("fallocate", &["-l", &bytes.to_string(), &self.filler().to_string_lossy()])
    }

    fn mend(&mut self) -> Result<(), String> {
        std::fs::remove_file(self.filler()).map_err(|error| error.to_string())
    }
}

/// A device whose writes fail with EIO.
pub struct Broken {
    at: tempfile::TempDir,
    data: Ram,
    _log: Ram,
}

impl Broken {
    pub fn make() -> Result<Broken, String> {
        let (data, log) = (Ram::make(BYTES)?, Ram::make(LOG_BYTES)?);
        let at = tempfile::Builder::new().prefix("crash-").tempdir().expect("a directory");
        let (device, logdev) = (data.device(), format!("logdev={}", log.device()));
        let log_words = format!("{logdev},size={LOG_BYTES},sectsize=4096");
        run("mkfs.xfs", &["-q", "-f", "-s", "size=4096", "-l", &log_words, &device])?;
        run("mount", &["-t", "xfs", "-o", &logdev, &device, &at.path().to_string_lossy()])?;
        Ok(Broken { at, data, _log: log })
    }
}

impl Disk for Broken {
    fn name(&self) -> String {
        "EIO: xfs, every write to the device fails".to_owned()
    }

    fn path(&self) -> &Path {
        self.at.path()
    }

    fn spoil(&mut self, _: u32) -> Result<(), String> {
        self.data.limit(1)
    }

    fn mend(&mut self) -> Result<(), String> {
        self.data.limit(0)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        let _ = self.data.limit(0);
        crate::file_system::unmount(self.at.path()).expect("nobody uses it any more");
    }
}

/// A RAM disk of the kernel's.
struct Ram(u32);

impl Ram {
    fn make(bytes: u64) -> Result<Ram, String> {
        #[expect(clippy::disallowed_methods, reason = "the kernel's switches, not files of the store")]
        let number =
            std::fs::read_to_string("/sys/class/zram-control/hot_add").map_err(|error| format!("zram: {error}"))?;
        let ram = Ram(number.trim().parse().map_err(|_| format!("zram has no number: {number}"))?);
        put(&ram.switch("disksize"), &bytes.to_string())?;
        Ok(ram)
    }

    fn device(&self) -> String {
        format!("/dev/zram{}", self.0)
    }

    fn switch(&self, name: &str) -> String {
        format!("/sys/block/zram{}/{name}", self.0)
    }

    /// Bytes that it stores at most; 0: no limit.
    fn limit(&self, bytes: u64) -> Result<(), String> {
        put(&self.switch("mem_limit"), &bytes.to_string())
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // A device that was never used cannot be reset; it is removed all the same.
        let _ = put(&self.switch("reset"), "1");
        let _ = put("/sys/class/zram-control/hot_remove", &self.0.to_string());
    }
}

/// A device that is slow for one process.
pub struct Slow {
    system: FileSystem,
    group: String,
}

impl Slow {
    pub fn make() -> Result<Slow, String> {
        let system = FileSystem::mount("ext4", BYTES)?;
        let group = format!("/sys/fs/cgroup/blkio/thermocline-test-{}", std::process::id());
        std::fs::create_dir(&group).map_err(|error| format!("{group}: {error}"))?;
        let slow = Slow { system, group };
        slow.limit(0)?;
        Ok(slow)
    }

    fn limit(&self, iops: u32) -> Result<(), String> {
        let device = std::fs::metadata(self.system.path()).map_err(|error| error.to_string())?.dev();
        let word = format!("{}:{} {iops}", rustix::fs::major(device), rustix::fs::minor(device));
        put(&format!("{}/blkio.throttle.read_iops_device", self.group), &word)?;
        put(&format!("{}/blkio.throttle.write_iops_device", self.group), &word)
    }
}

impl Disk for Slow {
    fn name(&self) -> String {
        format!("slow: ext4, {SLOW_IOPS} IOPS")
    }

    fn path(&self) -> &Path {
        self.system.path()
    }

    fn spoil(&mut self, process: u32) -> Result<(), String> {
        put(&format!("{}/cgroup.procs", self.group), &process.to_string())?;
        self.limit(SLOW_IOPS)
    }

    fn mend(&mut self) -> Result<(), String> {
        self.limit(0)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.limit(0);
        // Its process has been waited for, so the group is empty.
        let _ = std::fs::remove_dir(&self.group);
    }
}
