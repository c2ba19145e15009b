//! What a folder of backups holds: its manifests, those that nobody understands, and what is in it for no backup.
//!
//! Promises: a manifest that is not understood hides no other, and as long as there is one nothing is removed, for what it names is not
//! known. What an interrupted backup has left goes with the next one that is made. Never: removes a file whose name is not one of ours.

use super::{MANIFEST_ENDING, Manifest, PART_ENDING, is_name, manifest_name, refused};
use crate::error::{Error, Result};
use crate::log::{map, superblock};
use std::collections::BTreeSet;
use thermocline_io::Disk;

/// The backups of a folder.
#[derive(Default)]
pub struct Listing {
    /// Their names with their manifests, oldest first.
    pub backups: Vec<(String, Manifest)>,
    /// The names of those whose manifests are damaged or of a later format, and why.
    pub not_understood: Vec<(String, Error)>,
}

impl Listing {
    /// Reads all manifests of a folder. Blocking.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    pub fn read(folder: &dyn Disk) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in folder.list().map_err(|error| Error::io("listing the folder of backups", &error))? {
            let Some(name) = entry.name.strip_suffix(MANIFEST_ENDING) else { continue };
            match Manifest::read(folder, name) {
                Ok(manifest) => listing.backups.push((name.to_owned(), manifest)),
                Err(error) => listing.not_understood.push((name.to_owned(), error)),
            }
        }
        listing.backups.sort_by(|(a, left), (b, right)| (left.created_ms, a).cmp(&(right.created_ms, b)));
        Ok(listing)
    }

    /// Whether there is a backup of this name, understood or not.
    pub fn has(&self, name: &str) -> bool {
        let mut names =
            self.backups.iter().map(|(name, _)| name).chain(self.not_understood.iter().map(|(name, _)| name));
        names.any(|there| there == name)
    }

    /// Fails with the first manifest that is not understood: nothing may be removed then.
    fn is_understood(&self) -> Result<()> {
        match self.not_understood.first() {
            None => Ok(()),
            Some((name, error)) => Err(refused(format!(
                "nothing is removed from the folder of backups as long as {} is in it, whose files are not known ({error}); move it away",
                manifest_name(name)
            ))),
        }
    }
}

/// Removes all but the `keep` newest backups of a folder, and what no other backup names. Answers the names of what went.
///
/// # Errors
/// [`Error::Backup`] if a manifest is not understood: nothing is removed then; [`Error::Io`].
pub fn prune(folder: &dyn Disk, keep: usize) -> Result<Vec<String>> {
    let listing = Listing::read(folder)?;
    listing.is_understood()?;
    let old = &listing.backups[..listing.backups.len().saturating_sub(keep)];
    // Manifests first: an object that nothing names is only waste.
    for (name, _) in old {
        remove(folder, &manifest_name(name))?;
    }
    remove_unnamed(folder)?;
    Ok(old.iter().map(|(name, _)| name.clone()).collect())
}

/// Removes what no manifest names: what interrupted backups have left, and half files. The folder is the caller's alone ([`super::Folder`]).
///
/// # Errors
/// As [`prune`].
pub(super) fn remove_unnamed(folder: &dyn Disk) -> Result<()> {
    let listing = Listing::read(folder)?;
    listing.is_understood()?;
    let named: BTreeSet<&str> =
        listing.backups.iter().flat_map(|(_, manifest)| &manifest.files).map(|file| file.object.as_str()).collect();
    for entry in folder.list().map_err(|error| Error::io("listing the folder of backups", &error))? {
        if is_ours(&entry.name) && !named.contains(entry.name.as_str()) {
            remove(folder, &entry.name)?;
        }
    }
    Ok(())
}

fn remove(folder: &dyn Disk, name: &str) -> Result<()> {
    folder.remove(name).map_err(|error| Error::io(format!("removing {name}"), &error))
}

/// Does a backup give this name to the copy of a segment, to one of its small files, or to a file that is not whole yet?
fn is_ours(name: &str) -> bool {
    let (whole, is_part) = match name.strip_suffix(PART_ENDING) {
        Some(whole) => (whole, true),
        None => (name, false),
    };
    let of_a_backup = |ending: &str| {
        let before = whole.strip_suffix(ending).and_then(|before| before.strip_suffix('.'));
        before.is_some_and(|before| is_name(before.as_bytes()))
    };
    let is_segment = whole.strip_prefix("segment-").is_some_and(|rest| {
        let fields: Vec<&str> = rest.split('.').collect();
        matches!(fields[..], [_, epoch, end, life]
            if epoch.starts_with('e') && (end.starts_with('f') || end.starts_with('s')) && life.starts_with('l'))
    });
    is_segment
        || superblock::FILES.into_iter().chain(map::FILES).any(of_a_backup)
        || is_part && of_a_backup(MANIFEST_ENDING.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn what_a_backup_writes_is_told_from_what_somebody_else_put_there() {
        for ours in [
            "segment-00000c.e7.f01234567.l89abcdef01234567",
            "segment-00000d.e2.s181.l89abcdef01234567.part",
            "backup-1796071512.superblock-0",
            "first.map-1.part",
            "first.backup.part",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "first.backup",
            "notes.txt",
            "segment-00000c",
            "segment-00000c.old.copy.mine",
            "superblock-0",
            "LOCK",
            "x.part",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
