//! One process per directory.
//!
//! The lock is `flock` on the file `LOCK`, so it goes with its holder, also when that one is killed. The holder's process id
//! stands in the file for the message that a second one gets. The file is written only once the lock is held, and stays when
//! the lock is released (removing it would let two processes lock two files of that name).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::check::LOCK_NAME;

/// Held while it lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Locks the directory, or fails with `WouldBlock` and the id of the process that holds it.
pub fn lock_directory(path: &Path) -> io::Result<DirectoryLock> {
    let path = path.join(LOCK_NAME);
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(about)?;
    // SAFETY: takes no pointers; the descriptor is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(about(error));
        }
        let mut holder = String::new();
        // The holder may be writing it just now; an empty or odd text is then all there is to say.
        let _ = (&mut file).take(20).read_to_string(&mut holder);
        let text = format!("{}: the directory is in use by process {}", path.display(), holder.trim());
        return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(about)?;
    Ok(DirectoryLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_lock_is_refused_with_the_holders_id() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock_directory(directory.path()).unwrap();
        let error = lock_directory(directory.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        let text = std::fs::read_to_string(directory.path().join("LOCK")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()), "the refused one must not have emptied it");
        drop(lock);
        lock_directory(directory.path()).unwrap();
    }

    #[test]
    fn a_longer_old_id_is_overwritten_whole() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("LOCK"), "123456789012345\n").unwrap();
        let _lock = lock_directory(directory.path()).unwrap();
        let text = std::fs::read_to_string(directory.path().join("LOCK")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = lock_directory(Path::new("/nonexistent/folder")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }
}
