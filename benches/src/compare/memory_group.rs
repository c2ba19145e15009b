//! A memory control group for one server: its limit counts the page cache too, so that a server that keeps its values in
//! files does not get the whole machine as a second cache.
//!
//! Promises: the group lies below the group that this tool itself runs in, so every limit above it still holds; it has a name
//! of ours and is removed at the end. Never changes a group that it did not make.

use crate::procfs;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Tries to remove a group whose last process has just ended.
const REMOVE_TRIES: u32 = 50;
const REMOVE_INTERVAL: Duration = Duration::from_millis(20);

/// Groups of one process have different names.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A group that is ours.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Makes a group with this limit.
    pub fn create(limit_bytes: u64) -> Result<Self> {
        let own = procfs::read("/proc/self/cgroup").unwrap_or_default();
        let mounts = procfs::read("/proc/self/mounts").unwrap_or_default();
        Self::create_in(&find(&own, &mounts)?, limit_bytes)
    }

    fn create_in(place: &Place, limit_bytes: u64) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = place.parent.join(format!("thermocline-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("cannot make the memory group {}", folder.display()))?;
        let group = Self { folder };
        group.write(place.limit_file, &limit_bytes.to_string())?;
        Ok(group)
    }

    /// Puts a process in, before it has used much; what it starts later is in too.
    pub fn add(&self, process: u32) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        write(&path, text).with_context(|| format!("cannot write {text} to {}", path.display()))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(REMOVE_INTERVAL);
        }
        eprintln!("the memory group {} could not be removed: rmdir it", self.folder.display());
    }
}

/// Where a group can be made and how its limit is called there.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    parent: PathBuf,
    limit_file: &'static str,
}

/// Below our own group: version 1 where memory is a hierarchy of its own, else version 2.
fn find(own: &str, mounts: &str) -> Result<Place> {
    let own_of = |wanted: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            wanted(controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let mounted = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, folder, found, options, ..] = fields[..] else { return None };
            let fits = found == kind && option.is_none_or(|option| options.split(',').any(|part| part == option));
            fits.then(|| Path::new(folder).to_owned())
        })
    };
    let first = own_of(&|controllers| controllers.split(',').any(|name| name == "memory"));
    if let Some((path, mount)) = first.zip(mounted("cgroup", Some("memory"))) {
        return Ok(Place { parent: mount.join(path), limit_file: "memory.limit_in_bytes" });
    }
    let second = own_of(&|controllers| controllers.is_empty());
    if let Some((path, mount)) = second.zip(mounted("cgroup2", None)) {
        return Ok(Place { parent: mount.join(path), limit_file: "memory.max" });
    }
    bail!("no memory control groups are mounted here")
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own files of a control group")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_below_our_own_in_either_version() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let first = find("4:memory:/a/b\n0::/\n", mounts).unwrap();
        assert_eq!(first.parent, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(first.limit_file, "memory.limit_in_bytes");
        let second = find("0::/user.slice\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n").unwrap();
        assert_eq!(second, Place { parent: "/sys/fs/cgroup/user.slice".into(), limit_file: "memory.max" });
    }

    #[test]
    fn without_control_groups_there_is_a_clear_word() {
        assert!(find("", "").unwrap_err().to_string().contains("no memory control groups"));
    }

    #[test]
    fn a_group_that_cannot_be_made_names_its_place() {
        let place = Place { parent: "/does/not/exist".into(), limit_file: "memory.max" };
        let words = format!("{:#}", MemoryGroup::create_in(&place, 1 << 30).unwrap_err());
        assert!(words.contains("/does/not/exist/thermocline-bench-"), "{words}");
    }

    #[test]
    fn a_group_gets_its_limit_and_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { parent: folder.path().to_owned(), limit_file: "memory.max" };
        let group = MemoryGroup::create_in(&place, 512 << 20).unwrap();
        group.add(77).unwrap();
        let read = |file: &str| procfs::read(&group.folder.join(file).to_string_lossy()).unwrap();
        assert_eq!((read("memory.max").as_str(), read("cgroup.procs").as_str()), ("536870912", "77"));
        // An ordinary folder keeps its files, a group's are gone with it.
        std::fs::remove_dir_all(&group.folder).unwrap();
        std::fs::create_dir(&group.folder).unwrap();
        let made = group.folder.clone();
        drop(group);
        assert!(!made.exists(), "removed at the end");
    }
}
