//! What the file system of a directory can do, found by trying: direct I/O, and the smallest aligned read.
//!
//! Trying is surer than asking (`statx` knows alignments only since Linux 6.1, and some file systems accept `O_DIRECT` at open
//! and refuse it at the first read). The probe's file is removed before `Probe::new` returns; it lives on as a descriptor.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::check::PROBE_PREFIX;
use crate::{Buffer, Geometry, WRITE_ALIGN};

/// The probe's file holds this many bytes, each equal to `PROBE_BYTE`.
pub(crate) const PROBE_BYTES: usize = 4096;

/// What the probe's file is filled with.
pub(crate) const PROBE_BYTE: u8 = 0xa5;

/// An unnamed file in the directory, opened the way its data files will be, and what was found out with it.
pub(crate) struct Probe {
    pub(crate) file: File,
    pub(crate) geometry: Geometry,
    pub(crate) notes: Vec<String>,
}

impl Probe {
    pub(crate) fn new(directory: &Path) -> io::Result<Probe> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PROBE_PREFIX}{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(name);
        let tried = Probe::with_file(&path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => tried,
        }
    }

    fn with_file(path: &Path) -> io::Result<Probe> {
        let mut filled = Buffer::new(PROBE_BYTES);
        filled.fill(PROBE_BYTE);
        let refusal = match open_options(true).create(true).open(path) {
            Ok(file) => match direct_read_align(&file, &filled) {
                Ok(read_align) => {
                    let geometry = Geometry { read_align, write_align: WRITE_ALIGN, direct: true };
                    return Ok(Probe { file, geometry, notes: Vec::new() });
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        if refusal.kind() != io::ErrorKind::InvalidInput && refusal.raw_os_error() != Some(libc::EOPNOTSUPP) {
            return Err(refusal);
        }
        let file = open_options(false).create(true).open(path)?;
        file.write_all_at(&filled, 0)?;
        let note = format!("the file system refuses O_DIRECT ({refusal}): reads and writes go through the page cache");
        Ok(Probe {
            file,
            geometry: Geometry { read_align: 1, write_align: WRITE_ALIGN, direct: false },
            notes: vec![note],
        })
    }
}

/// How data files are opened.
pub(crate) fn open_options(direct: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false).custom_flags(if direct { libc::O_DIRECT } else { 0 });
    options
}

fn direct_read_align(file: &File, filled: &Buffer) -> io::Result<u32> {
    file.write_all_at(filled, 0)?;
    let mut buffer = Buffer::new(512);
    match file.read_exact_at(&mut buffer, 512) {
        Ok(()) => Ok(512),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            file.read_exact_at(&mut Buffer::new(PROBE_BYTES), 0)?;
            Ok(4096)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let probe = Probe::new(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(!probe.geometry.direct || [512, 4096].contains(&probe.geometry.read_align));
    }
}
