//! A memory cgroup for a child: what it reads through the page cache counts as its DRAM.
//!
//! Promises: works with either version of cgroups; removed at the end. Where it may not be made, the result says so.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use thermocline_bench::procfs;

/// Where the hierarchies usually are, with the file that limits.
const PLACES: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A cgroup of our own.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one with a limit.
    pub fn make(name: &str, limit_bytes: u64) -> Result<Self> {
        for (place, limit) in PLACES {
            let path = Path::new(place).join(format!("compare-engines-{}-{name}", std::process::id()));
            if std::fs::create_dir(&path).is_err() {
                continue;
            }
            let cgroup = Self { path };
            if write(&cgroup.path.join(limit), &limit_bytes.to_string()).is_ok() {
                return Ok(cgroup);
            }
        }
        bail!("no memory cgroup may be made (run as root)")
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its process may not be quite gone; an empty folder that stays harms nobody.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Puts this process into a cgroup.
pub fn enter(path: &Path) -> Result<()> {
    write(&path.join("cgroup.procs"), &std::process::id().to_string())
        .with_context(|| format!("entering {}", path.display()))
}

/// The limit that this process lives under, for the child to tell.
pub fn limit(path: &Path) -> Option<u64> {
    PLACES.iter().find_map(|(_, file)| procfs::read(path.join(file).to_str()?)?.trim().parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own files about a cgroup")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}
