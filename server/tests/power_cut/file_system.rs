//! A file system in an image file, on a loop device, that can be shut down as the power going would.
//!
//! Needs root, mkfs, mount and, to cut the power, xfs_io. Promises: unmounted and gone with its handle, however the test ends.
//! Never: touches another file system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

const UNMOUNT_TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A mounted file system.
pub struct FileSystem {
    at: PathBuf,
    image: PathBuf,
    _directory: TempDir,
}

impl FileSystem {
    /// Makes one of `bytes` (xfs wants 300 MB) and mounts it; why not, where that does not work.
    pub fn mount(kind: &str, bytes: u64) -> Result<FileSystem, String> {
        let directory = tempfile::Builder::new().prefix("crash-").tempdir().expect("a directory");
        let (image, at) = (directory.path().join("image"), directory.path().join("disk"));
        std::fs::create_dir(&at).expect("a directory");
        let image_word = image.to_string_lossy();
        run("truncate", &["-s", &bytes.to_string(), &image_word])?;
        match kind {
            "xfs" => run("mkfs.xfs", &["-q", &image_word])?,
            _ => run(&format!("mkfs.{kind}"), &["-q", "-F", "-m", "0", &image_word])?,
        }
        let system = FileSystem { at, image, _directory: directory };
        system.mount_again()?;
        Ok(system)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// From now on nothing more reaches the device: neither what lies in the page cache nor the journal's buffers.
    pub fn cut_power(&self) -> Result<(), String> {
        run("xfs_io", &["-x", "-c", "shutdown", &self.at.to_string_lossy()])
    }

    /// After a cut: forgets what was cached, and mounts what the device holds.
    pub fn restore_power(&self) -> Result<(), String> {
        unmount(&self.at)?;
        self.mount_again()
    }

    fn mount_again(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.image.to_string_lossy(), &self.at.to_string_lossy()])
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // A test that failed between a cut and the next mount has nothing to unmount.
        let _ = unmount(&self.at);
    }
}

/// Unmounts. A process that another thread starts holds our open files for the moment between its fork and its exec: try again.
pub fn unmount(at: &Path) -> Result<(), String> {
    let mut unmounted = Ok(());
    for _ in 0..UNMOUNT_TRIES {
        unmounted = run("umount", &[&at.to_string_lossy()]);
        if unmounted.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    unmounted
}

/// Runs a program; its last words, where it fails.
pub fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.lines().last().unwrap_or("failed without a word")))
}
