//! A directory of the file system as a table of open files: names, lengths, and the blocking side of the disk.
//!
//! Each file is opened once and keeps its id until it is removed. Requests in flight hold the file itself, so a removal never
//! closes a descriptor under the kernel. What changes names syncs the directory before it returns. Nothing here is on the hot
//! path but `file`, which is one read lock and one index.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::check::{check_name, no_such_file, no_such_name, reserved};
use crate::probe::open_options;
use crate::{Entry, FileId, Geometry};

pub(crate) struct Directory {
    path: PathBuf,
    directory: File,
    pub(crate) geometry: Geometry,
    table: RwLock<Table>,
}

/// An open file. The lock is taken by blocking writes that read, change and write back a block.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) rewriting: Mutex<()>,
}

#[derive(Default)]
struct Table {
    names: HashMap<String, FileId>,
    files: Vec<Option<Arc<OpenFile>>>,
}

impl Table {
    fn add(&mut self, name: &str, file: File) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("fewer than 2^32 files are ever opened"));
        self.files.push(Some(Arc::new(OpenFile { file, rewriting: Mutex::new(()) })));
        self.names.insert(name.to_owned(), id);
        id
    }

    fn forget(&mut self, name: &str) {
        if let Some(id) = self.names.remove(name) {
            self.files[id.0 as usize] = None;
        }
    }
}

impl Directory {
    pub(crate) fn new(path: &Path, geometry: Geometry) -> io::Result<Directory> {
        let directory = File::open(path)?;
        Ok(Directory { path: path.to_owned(), directory, geometry, table: RwLock::default() })
    }

    /// The open file behind an id.
    pub(crate) fn file(&self, id: FileId) -> io::Result<Arc<OpenFile>> {
        self.table.read().files.get(id.0 as usize).cloned().flatten().ok_or_else(|| no_such_file(id))
    }

    pub(crate) fn open(&self, name: &str) -> io::Result<FileId> {
        check_name(name)?;
        let mut table = self.table.write();
        if let Some(&id) = table.names.get(name) {
            return Ok(id);
        }
        let file = self.about(name, open_options(self.geometry.direct).open(self.path.join(name)))?;
        if !self.about(name, file.metadata())?.is_file() {
            return Err(no_such_name(name));
        }
        Ok(table.add(name, file))
    }

    pub(crate) fn create(&self, name: &str, bytes: u64) -> io::Result<FileId> {
        check_name(name)?;
        let mut table = self.table.write();
        let path = self.path.join(name);
        let made = match table.names.get(name) {
            Some(&id) => {
                let file = table.files[id.0 as usize].clone().expect("a named file is open");
                self.empty_and_allocate(&file.file, bytes).map(|()| id)
            }
            None => {
                let file = self.about(name, open_options(self.geometry.direct).create(true).open(&path))?;
                self.empty_and_allocate(&file, bytes).map(|()| table.add(name, file))
            }
        };
        if made.is_err() {
            // The first error is the one to tell; a file that cannot be removed either is found by the next list.
            let _ = fs::remove_file(&path);
            table.forget(name);
        }
        self.about(name, made)
    }

    /// Leaves the file with `bytes` zeros, its length and its name on the disk.
    fn empty_and_allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(0)?;
        allocate(file, bytes)?;
        file.sync_data()?;
        self.directory.sync_all()
    }

    pub(crate) fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in self.about("", fs::read_dir(&self.path))? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string())
                && !reserved(&name)
            {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let mut table = self.table.write();
        self.about(name, fs::remove_file(self.path.join(name)))?;
        table.forget(name);
        self.directory.sync_all()
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut table = self.table.write();
        self.about(from, fs::rename(self.path.join(from), self.path.join(to)))?;
        if from != to {
            table.forget(to);
            if let Some(id) = table.names.remove(from) {
                table.names.insert(to.to_owned(), id);
            }
        }
        self.directory.sync_all()
    }

    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let mut found = MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the descriptor is open and `found` has room for one `statvfs`.
        let result = unsafe { libc::fstatvfs(self.directory.as_raw_fd(), found.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it has filled `found`.
        let found = unsafe { found.assume_init() };
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Adds the path to an error.
    fn about<T>(&self, name: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.join(name).display())))
    }
}

/// Reserves the bytes and sets the length, without writing them.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    loop {
        // SAFETY: takes no pointers; the descriptor is open.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return file.set_len(bytes),
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_that_does_not_fit_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let directory =
            Directory::new(folder.path(), Geometry { read_align: 1, write_align: 4096, direct: false }).unwrap();
        assert!(directory.create("large", 1 << 60).is_err());
        assert_eq!(directory.list().unwrap(), []);
        assert_eq!(directory.open("large").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let directory =
            Directory::new(folder.path(), Geometry { read_align: 1, write_align: 4096, direct: false }).unwrap();
        let error = directory.open("absent").unwrap_err();
        assert!(error.to_string().contains(folder.path().join("absent").to_str().unwrap()), "{error}");
    }
}
