//! The rules every disk checks before it touches anything: names of files, alignment and bounds of queue requests.
//!
//! Promises the same answer on every disk. Never panics on what a caller asks.

use std::io;

use crate::{Geometry, Operation};

/// The file that `lock_directory` locks.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// What names of files that are made to try out a file system begin with.
pub(crate) const PROBE_PREFIX: &str = "PROBE.";

/// Whether the name belongs to this crate, and is hidden from the disk's users.
pub(crate) fn reserved(name: &str) -> bool {
    name == LOCK_NAME || name.starts_with(PROBE_PREFIX)
}

/// Refuses names that would leave the directory or meet our own files.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if plain && !reserved(name) {
        return Ok(());
    }
    Err(invalid(format!("{name:?} is not a plain file name")))
}

/// Refuses queue requests that the strictest device would refuse.
pub(crate) fn check_operation(geometry: Geometry, operation: &Operation) -> io::Result<()> {
    let (offset, bytes, align) = match operation {
        Operation::Read { offset, buffer } => (*offset, buffer.len(), geometry.read_align),
        Operation::Write { offset, buffer, bytes, .. } => {
            if bytes.start > bytes.end || bytes.end > buffer.len() {
                return Err(invalid(format!("bytes {bytes:?} of a buffer of {}", buffer.len())));
            }
            if !bytes.start.is_multiple_of(geometry.write_align as usize) {
                return Err(invalid(format!(
                    "a write from byte {} of its buffer; {} aligned is needed",
                    bytes.start, geometry.write_align
                )));
            }
            (*offset, bytes.len(), geometry.write_align)
        }
        Operation::Sync => return Ok(()),
    };
    if bytes == 0 || bytes > i32::MAX as usize - 4095 {
        return Err(invalid(format!("a request of {bytes} bytes")));
    }
    if !offset.is_multiple_of(u64::from(align)) || !bytes.is_multiple_of(align as usize) {
        return Err(invalid(format!("{bytes} bytes at offset {offset}; {align} aligned is needed")));
    }
    if offset.checked_add(bytes as u64).is_none_or(|end| end > i64::MAX as u64) {
        return Err(invalid(format!("offset {offset} is beyond any file")));
    }
    Ok(())
}

/// An `InvalidInput` with words.
pub(crate) fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The `NotFound` of a name.
pub(crate) fn no_such_name(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name:?}"))
}

/// The `NotFound` of an id that was never given out, or whose file was removed.
pub(crate) fn no_such_file(file: crate::FileId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no open file with id {}", file.0))
}

/// The `UnexpectedEof` of a read that the file cannot fill.
pub(crate) fn end_of_file() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the read passes the end of the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", ".", "..", "a/b", "../a", "a\0b", "LOCK", "PROBE.1.2"] {
            assert_eq!(check_name(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        for name in ["a", "segment.000001", "LOCKED", ".hidden"] {
            check_name(name).unwrap();
        }
    }
}
