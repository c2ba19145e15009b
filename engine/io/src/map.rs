//! Read-only mappings for the offline tool: a window of a file as bytes, without a copy.
//!
//! Only under the directory's lock, for the time of which nobody of ours changes a file; the borrow of the lock says so. The
//! pages are brought in at once: a sector that the device cannot read is an error in words here, not a signal later.
//!
//! Promises: never writes; holds no more memory than the window. Never: used by the server, whose reads are completions.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Advice, Mmap, MmapOptions};

use crate::DirectoryLock;

/// A window of a file. It goes with the lock's borrow.
pub struct MappedFile<'l> {
    map: Option<Mmap>,
    _lock: PhantomData<&'l DirectoryLock>,
}

impl<'l> MappedFile<'l> {
    /// Maps at most `bytes_max` bytes from `from` on; fewer at the file's end. `lock` is that of the file's directory.
    ///
    /// # Errors
    /// The file cannot be opened or mapped, or the device cannot read the range.
    pub fn open(_lock: &'l DirectoryLock, path: &Path, from: u64, bytes_max: usize) -> io::Result<MappedFile<'l>> {
        let file = File::open(path)?;
        let rest = file.metadata()?.len().saturating_sub(from);
        let bytes = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes_max);
        if bytes == 0 {
            return Ok(MappedFile { map: None, _lock: PhantomData });
        }
        // SAFETY: the mapping is private to us and read-only, so what can break `&[u8]` is somebody who changes or shortens the
        // file meanwhile. Whoever writes a data directory of ours holds its lock; this mapping cannot outlive the borrow of the
        // lock that we hold. A stranger who writes into the directory by hand is outside of what is promised (as is one who
        // writes into the memory of the process).
        let map = unsafe { MmapOptions::new().offset(from).len(bytes).map(&file)? };
        match map.advise(Advice::PopulateRead) {
            // Linux before 5.14 does not know it: pages then come as they are touched.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            // The kernel says EFAULT where touching the page would raise SIGBUS.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                return Err(io::Error::other("the device cannot read it (input/output error)"));
            }
            done => done?,
        }
        Ok(MappedFile { map: Some(map), _lock: PhantomData })
    }
}

impl Deref for MappedFile<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "prepares files by hand")]
mod tests {
    use super::*;
    use crate::lock_directory;

    #[test]
    fn a_window_shows_the_bytes_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment-000000");
        let bytes: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let lock = lock_directory(directory.path()).unwrap();
        assert_eq!(*MappedFile::open(&lock, &path, 0, usize::MAX).unwrap(), bytes[..]);
        assert_eq!(*MappedFile::open(&lock, &path, 4096, 8192).unwrap(), bytes[4096..12_288]);
        assert_eq!(*MappedFile::open(&lock, &path, 12_288, 100_000).unwrap(), bytes[12_288..]);
    }

    #[test]
    fn an_empty_window_is_empty_and_a_missing_file_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map-0");
        std::fs::write(&path, b"").unwrap();
        let lock = lock_directory(directory.path()).unwrap();
        assert!(MappedFile::open(&lock, &path, 0, 10).unwrap().is_empty());
        assert!(MappedFile::open(&lock, &path, 10, 10).unwrap().is_empty());
        let missing = MappedFile::open(&lock, &directory.path().join("map-1"), 0, 10).err().unwrap();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
