//! What the lying disk knows: two images of each file, two directories, and what lies between them.
//!
//! ```text
//!   visible image = durable image + pending writes in the order of their completion
//!   visible names = durable names + pending changes in order       (pending only with `lose_directory_sync`)
//! ```
//! A pending write is cut away where a later durable write covers it: a device never lets the older of two finished writes
//! of a sector win over one it has vouched for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::faults::{Faults, Injected};
use super::image::Image;
use super::random::Random;
use super::wounds::Wounds;
use crate::check::{no_such_file, no_such_name};
use crate::{Completion, Entry, FileId, Operation};

/// A file keeps at most this many pending writes; beyond it the oldest become durable, as a kernel writes back in time.
const PENDING_WRITES_MAX: usize = 1024;

pub(super) struct State {
    pub(super) capacity_bytes: u64,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) injected: Injected,
    pub(super) files: Vec<Option<File>>,
    pub(super) bad_sectors: BTreeSet<(u32, u64)>,
    pub(super) wounds: Wounds,
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    pending_changes: Vec<Change>,
    pub(super) outstanding: Vec<Outstanding>,
    /// What each living queue can reap.
    pub(super) queues: BTreeMap<u64, Vec<Completion>>,
    pub(super) queues_made: u64,
    /// The number of the next completed write: what a sync covers lies below the number at its submission.
    pub(super) write_number: u64,
}

pub(super) struct File {
    pub(super) visible: Image,
    pub(super) durable: Image,
    pub(super) pending: Vec<PendingWrite>,
    /// Whether a visible name leads to it.
    named: bool,
}

/// A write that completed and may be forgotten.
pub(super) struct PendingWrite {
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// A request that was flushed and has not completed.
pub(super) struct Outstanding {
    pub(super) queue: u64,
    pub(super) tag: u64,
    pub(super) file: FileId,
    pub(super) operation: Operation,
    /// The part of it that was carried out already.
    pub(super) done: usize,
    /// For a sync: writes with lower numbers are covered.
    pub(super) covers_below: u64,
}

enum Change {
    Link { name: String, file: FileId },
    Unlink { name: String },
    Rename { from: String, to: String },
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Change::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            Change::Unlink { name } => {
                names.remove(name);
            }
            Change::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl File {
    fn zeros(bytes: u64) -> File {
        File { visible: Image::zeros(bytes), durable: Image::zeros(bytes), pending: Vec::new(), named: true }
    }

    /// A completed write that nothing vouches for.
    pub(super) fn write_pending(&mut self, number: u64, offset: u64, from: &[u8]) {
        self.visible.write(offset, from);
        self.pending.push(PendingWrite { number, offset, bytes: from.to_vec() });
        if self.pending.len() > PENDING_WRITES_MAX {
            let oldest = self.pending.remove(0);
            self.durable.write(oldest.offset, &oldest.bytes);
        }
    }

    /// A completed write that vouches for itself.
    pub(super) fn write_durable(&mut self, offset: u64, from: &[u8]) {
        self.visible.write(offset, from);
        self.durable.take_over(&self.visible, offset, from.len());
        let end = offset + from.len() as u64;
        let overlaps = |write: &PendingWrite| write.offset < end && offset < write.offset + write.bytes.len() as u64;
        if self.pending.iter().any(overlaps) {
            self.pending =
                std::mem::take(&mut self.pending).into_iter().flat_map(|write| write.without(offset, end)).collect();
        }
    }

    /// Makes durable, or forgets, the pending writes below a number.
    pub(super) fn settle_below(&mut self, number: u64, durable: bool) {
        let settled = self.pending.iter().take_while(|write| write.number < number).count();
        for write in self.pending.drain(..settled) {
            if durable {
                self.durable.write(write.offset, &write.bytes);
            }
        }
    }

    pub(super) fn set_length(&mut self, bytes: u64) {
        self.visible.set_length(bytes);
        self.durable.set_length(bytes);
        for write in &mut self.pending {
            write.bytes.truncate(bytes.saturating_sub(write.offset) as usize);
        }
        self.pending.retain(|write| !write.bytes.is_empty());
    }
}

impl PendingWrite {
    /// What is left of it outside a range: nothing, one part or two.
    fn without(self, start: u64, end: u64) -> impl Iterator<Item = PendingWrite> {
        let PendingWrite { number, offset, bytes } = self;
        let cut = |from: u64, to: u64| {
            let (from, to) = (from.clamp(offset, offset + bytes.len() as u64), to.min(offset + bytes.len() as u64));
            let part = bytes.get((from - offset) as usize..to.saturating_sub(offset) as usize).unwrap_or_default();
            (!part.is_empty()).then(|| PendingWrite { number, offset: from, bytes: part.to_vec() })
        };
        [cut(offset, start), cut(end, u64::MAX)].into_iter().flatten()
    }
}

impl State {
    pub(super) fn new(capacity_bytes: u64, seed: u64, faults: Faults) -> State {
        State {
            capacity_bytes,
            random: Random::new(seed),
            faults,
            injected: Injected::default(),
            files: Vec::new(),
            bad_sectors: BTreeSet::new(),
            wounds: Wounds::default(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_changes: Vec::new(),
            outstanding: Vec::new(),
            queues: BTreeMap::new(),
            queues_made: 0,
            write_number: 0,
        }
    }

    pub(super) fn file(&mut self, file: FileId) -> io::Result<&mut File> {
        let found = self.files.get_mut(file.0 as usize).and_then(Option::as_mut);
        found.filter(|found| found.named).ok_or_else(|| no_such_file(file))
    }

    pub(super) fn find(&self, name: &str) -> io::Result<FileId> {
        self.names.get(name).copied().ok_or_else(|| no_such_name(name))
    }

    /// The visible name of a file, empty if it has none.
    pub(super) fn name(&self, file: FileId) -> String {
        self.names.iter().find(|name| *name.1 == file).map(|name| name.0.clone()).unwrap_or_default()
    }

    pub(super) fn list(&self) -> Vec<Entry> {
        let length = |file: FileId| self.files[file.0 as usize].as_ref().map_or(0, |file| file.visible.length());
        self.names.iter().map(|(name, &file)| Entry { name: name.clone(), bytes: length(file) }).collect()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let used: u64 = self.files.iter().flatten().map(|file| file.visible.length()).sum();
        self.capacity_bytes.saturating_sub(used)
    }

    pub(super) fn create(&mut self, name: &str, bytes: u64) -> io::Result<FileId> {
        let existing = self.names.get(name).copied();
        if let Some(file) = existing {
            self.file(file)?.set_length(0);
            self.wounds.removed(file);
        }
        if let Err(error) = self.check_space(bytes) {
            if existing.is_some() {
                self.change(Change::Unlink { name: name.to_owned() });
                self.drop_unnamed();
            }
            return Err(error);
        }
        let file = existing.unwrap_or(FileId(self.files.len() as u32));
        match existing {
            Some(file) => self.file(file)?.set_length(bytes),
            None => self.files.push(Some(File::zeros(bytes))),
        }
        self.change(Change::Link { name: name.to_owned(), file });
        Ok(file)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change(Change::Unlink { name: name.to_owned() });
        self.drop_unnamed();
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned() });
        self.drop_unnamed();
        Ok(())
    }

    /// Whether the disk can grow by these bytes; sometimes it says no without reason.
    pub(super) fn check_space(&mut self, bytes: u64) -> io::Result<()> {
        let refused = self.random.chance(self.faults.no_space);
        self.injected.no_space += u64::from(refused);
        if refused || bytes > self.free_bytes() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("no room for {bytes} bytes")));
        }
        Ok(())
    }

    /// Changes the visible names, and the durable ones unless the directory's sync is lost.
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending_changes.push(change);
        if self.random.chance(self.faults.lose_directory_sync) {
            self.injected.lose_directory_sync += 1;
        } else {
            let count = self.pending_changes.len();
            self.settle_changes(count);
        }
    }

    fn settle_changes(&mut self, count: usize) {
        for change in self.pending_changes.drain(..count) {
            change.apply(&mut self.durable_names);
        }
    }

    /// Frees the files that no name leads to, now or after a power cut.
    fn drop_unnamed(&mut self) {
        let visible: BTreeSet<FileId> = self.names.values().copied().collect();
        let mut kept: BTreeSet<FileId> = self.durable_names.values().copied().collect();
        kept.extend(self.pending_changes.iter().filter_map(|change| match change {
            Change::Link { file, .. } => Some(*file),
            Change::Unlink { .. } | Change::Rename { .. } => None,
        }));
        for (index, place) in self.files.iter_mut().enumerate() {
            let id = FileId(index as u32);
            match place {
                Some(file) if visible.contains(&id) || kept.contains(&id) => file.named = visible.contains(&id),
                _ => {
                    *place = None;
                    self.wounds.removed(id);
                }
            }
        }
    }

    /// The directory after a power cut: some of the pending changes, the first ones, have reached the disk.
    pub(super) fn lose_changes(&mut self) {
        let kept = self.random.below(self.pending_changes.len() as u64 + 1) as usize;
        self.settle_changes(kept);
        self.pending_changes.clear();
        self.names.clone_from(&self.durable_names);
        self.drop_unnamed();
    }
}

/// Shared by the disk and its queues.
pub(super) type Shared = Arc<parking_lot::Mutex<State>>;
