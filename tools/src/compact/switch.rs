//! The new directory takes the old one's place.
//!
//! ```text
//!   DIR = old   DIR.compact = new    --both names exchanged in one step-->    DIR = new   DIR.compact = old, removed
//!   where the file system cannot:    DIR -> DIR.compact-old, then DIR.compact -> DIR; the next run finds either half
//! ```
//! Promises: run again it goes on from whatever half it finds; files in the directory that are not ours come along. Never: leaves
//! the name without a directory, unless it is killed between two renames on a file system without the exchange.

use super::Paths;
use super::state::{State, sync_parent};
use crate::directory::Directory;
use crate::owner;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Switches, and answers where the new directory is.
///
/// # Errors
/// The file system refuses, or somebody else has changed the directories.
pub fn switch(paths: &Paths, state: &State) -> Result<PathBuf> {
    if let Some(into) = &paths.into {
        if store_of(into)? != Some(state.target) {
            if into.exists() {
                crate::store::clear_empty(into)?;
            }
            rename(&paths.staging, into)?;
        }
        return Ok(into.clone());
    }
    let old = old_name(paths);
    if store_of(&paths.source)? != Some(state.target) {
        if store_of(&paths.staging)? != Some(state.target) {
            bail!("{} is not the copy that was made: it was changed meanwhile", paths.staging.display());
        }
        if paths.source.exists() {
            let lock = Directory::open(&paths.source)?; // a server that has it now would go on writing to it
            if lock.superblock().map(super::state::Identity::of) != Some(state.source) {
                bail!(
                    "{} was changed since it was copied; remove {} and begin anew",
                    paths.source.display(),
                    paths.state.display()
                );
            }
            owner::take_over(&paths.source, &paths.staging)?;
            exchange(paths, &old)?;
        } else {
            rename(&paths.staging, &paths.source)?;
        }
    }
    for left in [&paths.staging, &old] {
        if left.exists() {
            bring_along(left, &paths.source)?;
            remove_ours(left)?;
        }
    }
    Ok(paths.source.clone())
}

fn old_name(paths: &Paths) -> PathBuf {
    let mut name = paths.source.clone().into_os_string();
    name.push(".compact-old");
    PathBuf::from(name)
}

/// The store in a directory, if there is one. One in use is an error.
fn store_of(path: &Path) -> Result<Option<u32>> {
    match Directory::open(path) {
        Ok(directory) => Ok(directory.superblock().map(|block| block.store)),
        Err(error) if error.to_string().contains("in use by process") => Err(error),
        Err(_) => Ok(None),
    }
}

fn exchange(paths: &Paths, old: &Path) -> Result<()> {
    match renameat_with(CWD, &paths.staging, CWD, &paths.source, RenameFlags::EXCHANGE) {
        Ok(()) => sync_parent(&paths.source),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rename(&paths.source, old)?;
            rename(&paths.staging, &paths.source)
        }
        Err(Errno::BUSY) => {
            bail!("{} cannot be renamed (is it a mount point?): --into writes elsewhere", paths.source.display())
        }
        Err(error) => Err(error)
            .with_context(|| format!("putting {} in the place of {}", paths.staging.display(), paths.source.display())),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("renaming {} to {}", from.display(), to.display()))?;
    sync_parent(to)
}

/// Files that are not ours move into the new directory.
fn bring_along(old: &Path, new: &Path) -> Result<()> {
    for entry in std::fs::read_dir(old).with_context(|| format!("listing {}", old.display()))? {
        let entry = entry.with_context(|| format!("listing {}", old.display()))?;
        let name = entry.file_name();
        let to = new.join(&name);
        if !is_left_behind(&name.to_string_lossy()) && !to.exists() {
            std::fs::rename(entry.path(), &to)
                .with_context(|| format!("moving {} to {}", entry.path().display(), to.display()))?;
        }
    }
    Ok(())
}

fn is_left_behind(name: &str) -> bool {
    Directory::is_ours(name) || name == "LOCK" || name == ".gitignore"
}

/// Removes our files and, if nothing else is in it, the directory.
///
/// # Errors
/// The file system refuses.
pub fn remove_ours(path: &Path) -> Result<()> {
    let about = || format!("removing {}", path.display());
    let mut is_empty = true;
    for entry in std::fs::read_dir(path).with_context(about)? {
        let entry = entry.with_context(about)?;
        if is_left_behind(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).with_context(about)?;
        } else {
            is_empty = false;
        }
    }
    if is_empty {
        std::fs::remove_dir(path).with_context(about)?;
    }
    Ok(())
}
