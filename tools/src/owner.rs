//! Whose files they are: what root writes in somebody's directory stays that somebody's, for the server runs as that user.
//!
//! Promises: nothing is touched that has the right owner already, so who is not root notices nothing. Never: follows a link.

use anyhow::{Context, Result};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

/// Gives every file in a directory the directory's own owner.
///
/// # Errors
/// The file system refuses.
pub fn give_back(directory: &Path) -> Result<()> {
    let about = || format!("giving what is in {} its owner", directory.display());
    let wanted = directory.metadata().with_context(about)?;
    for entry in std::fs::read_dir(directory).with_context(about)? {
        let entry = entry.with_context(about)?;
        let present = entry.metadata().with_context(about)?;
        if (wanted.uid(), wanted.gid()) != (present.uid(), present.gid()) && present.is_file() {
            lchown(entry.path(), Some(wanted.uid()), Some(wanted.gid())).with_context(about)?;
        }
    }
    Ok(())
}

/// Gives a directory, and every file in it, the owner and the mode of another: it is to take its place.
///
/// # Errors
/// The file system refuses.
pub fn take_over(from: &Path, to: &Path) -> Result<()> {
    let about = || format!("giving {} the owner of {}", to.display(), from.display());
    let (wanted, present) = (from.metadata().with_context(about)?, to.metadata().with_context(about)?);
    std::fs::set_permissions(to, wanted.permissions()).with_context(about)?;
    if (wanted.uid(), wanted.gid()) != (present.uid(), present.gid()) {
        lchown(to, Some(wanted.uid()), Some(wanted.gid())).with_context(about)?;
    }
    give_back(to)
}
