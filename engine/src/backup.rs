//! Backups: a copy of the log as it was at one seq, taken while the store serves, and put back as a data directory of its own.
//!
//! ```text
//!  begin    streams sealed at seq S | what S needs durable | superblock and map read | segments pinned
//!  copy     segment after segment into the folder, emptiest first, each unpinned when it is there
//!  folder   segment-00000c.e7.f01234567.l89ab..  an object: a segment as it was when epoch 7 of it ended with a footer of this checksum
//!           segment-00000d.e2.s181.l89ab..       or, without a footer, with seq 181; and which directory it is from
//!           NAME.superblock-0 ..     the small files of one backup
//!           NAME.backup              its manifest (JSON): files, the objects that hold them, lengths and checksums
//!  restore  the files of one manifest, checked, into an empty directory: what a start finds is what a crash at S had left
//! ```
//! A sealed segment never changes until it is reused under another epoch, so a later backup names the objects that are there and
//! copies the rest: each manifest is whole, and the folder grows by what is new. The checkpoint and the hot-set list are left out: a start
//! does without. What is in a folder beside whole backups: [`folder`].
//!
//! Promises: everything acknowledged before [`Engine::begin_backup`] is in it and nothing newer, groups whole; a backup counts once its
//! manifest has its name, and that comes last. Never: stops writers (one that would take the log's last segments is given up), links to
//! files of the store (they are reused in place), reads a folder's object without its checksum.

mod folder;

pub use folder::{Listing, prune};

use crate::Engine;
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::log::{footer, record::u32_at, segment_name, superblock};
use crate::moment::{Moment, Pinned, Purpose};
use crate::options::{BACKUP_MANIFEST_BYTES_MAX, BACKUP_PIECE_BYTES, BLOCK_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use thermocline_io::{BackendChoice, DirectoryLock, Disk, FileId, lock_directory, open_directory};

/// Format of a manifest.
pub const FORMAT: u32 = 1;
/// How the name of a manifest ends.
const MANIFEST_ENDING: &str = ".backup";
/// The file that says which directory this is. A restored one is another: it goes on from the same seqs with other values, and must not
/// take the other's segments for its own. The first backup makes it; backups do not hold it.
pub const LINEAGE_FILE: &str = "lineage";
/// How the name of a file ends that is not whole yet.
const PART_ENDING: &str = ".part";

/// Digits in [`LINEAGE_FILE`].
const LINEAGE_DIGITS: usize = 16;
/// Longest name of a backup, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// May a backup have this name: 1 to 64 letters, digits, dashes and underscores?
pub fn is_name(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(is_plain)
}

/// What one backup is made of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Id of the store.
    pub store: u32,
    /// Everything up to this seq is in it, and nothing newer.
    pub seq: u64,
    /// When it was begun, in Unix milliseconds.
    pub created_ms: u64,
    /// The files of the data directory.
    pub files: Vec<BackupFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name in a data directory.
    pub name: String,
    /// Its name in the folder of backups.
    pub object: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// How far a backup, a restore or a check has come.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_all: u64,
    /// Bytes that were copied: the rest was there.
    pub bytes_copied: u64,
}

/// Asked after each piece, with how far it has come: false ends the work with an error. It may sleep, to leave the device to others.
pub type GoOn<'g> = dyn FnMut(Progress) -> bool + 'g;

/// A moment of the store that can be copied. Its segments are kept until it is dropped.
pub struct BackupSource {
    moment: Moment,
    lineage: String,
}

impl Engine {
    /// Fixes a moment for a backup: all that has been acknowledged is in it. Waits until it is durable. On a worker.
    ///
    /// # Errors
    /// [`Error::Backup`] while nothing is logged (`appendonly no`), [`Error::Misconfigured`] while the log cannot be written,
    /// [`Error::Closed`] at the end.
    pub async fn begin_backup(&self) -> Result<BackupSource> {
        let inner = &self.inner;
        if !inner.log.mode.logs() {
            let words = "a backup is a copy of the log, and with `appendonly no` there is none; CONFIG SET appendonly yes first";
            return Err(refused(words.into()));
        }
        let moment = inner.fix_moment(Purpose::Backup).await?;
        let lineage = inner.lineage().await?;
        Ok(BackupSource { moment, lineage })
    }
}

impl Inner {
    /// Which directory this is: sixteen hexadecimal digits.
    async fn lineage(&self) -> Result<String> {
        if let Some(bytes) = self.read_small(LINEAGE_FILE).await? {
            let digits = bytes.get(..LINEAGE_DIGITS).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            if let Some(digits) = digits {
                return Ok(String::from_utf8_lossy(digits).into_owned());
            }
        }
        let seen = self.clock.now_ms() ^ u64::from(std::process::id()) << 40 ^ self.clock.monotonic_us() << 20;
        let life = self.superblock.lock().generation << 52;
        let number = (seen ^ life ^ self.log.last_seq()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut block = vec![0; BLOCK_BYTES as usize];
        let digits = format!("{number:016x}");
        block[..LINEAGE_DIGITS].copy_from_slice(digits.as_bytes());
        self.write_meta(LINEAGE_FILE, &[&block]).await?;
        Ok(digits)
    }
}

impl BackupSource {
    /// The last seq that is in it.
    pub fn seq(&self) -> u64 {
        self.moment.seq
    }

    /// Copies it into a folder, as the backup `name`. Blocking: on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Backup`] if a backup of this name is there, the log needs the segments, or `go_on` says no; [`Error::Io`].
    pub fn copy(self, folder: &dyn Disk, name: &str, go_on: &mut GoOn<'_>) -> Result<(Manifest, Progress)> {
        let others = Listing::read(folder)?;
        if others.has(name) {
            return Err(refused(format!("there is a backup {name} in the folder already; choose another name")));
        }
        let moment = &self.moment;
        let log = &moment.inner.log;
        let known = known_objects(folder, others.backups, log.store)?;
        let segment_bytes = u64::from(log.segment_bytes);
        let mut progress = Progress { bytes_all: moment.small_bytes(), ..Progress::default() };
        progress.bytes_all += moment.pinned.len() as u64 * segment_bytes;
        let mut files = Vec::with_capacity(moment.pinned.len() + moment.small.len());
        for (file, bytes) in &moment.small {
            let object = format!("{name}.{file}");
            let entry = put(folder, &object, bytes.len() as u64, &mut progress, go_on, |offset, into| {
                into.copy_from_slice(&bytes[offset as usize..][..into.len()]);
                Ok(())
            })?;
            files.push(BackupFile { name: (*file).into(), ..entry });
        }
        // What GC would like to have first is copied first.
        let live_bytes = |pinned: &Pinned| log.segments[pinned.segment as usize].live.lock().bytes;
        let mut order: Vec<(u64, usize)> =
            moment.pinned.iter().enumerate().map(|(at, p)| (live_bytes(p), at)).collect();
        order.sort_unstable();
        for pinned in order.into_iter().map(|(_, at)| moment.pinned[at]) {
            let (segment, file) = (pinned.segment, segment_name(pinned.segment));
            if moment.is_kept(&pinned) {
                let disk = &log.disk;
                let meta = &log.segments[segment as usize];
                let source = meta.file().ok_or_else(|| refused(format!("{file} has gone")))?;
                // A start knows the footers, and of the seqs only an upper bound.
                let object = match read_footer_crc(&**disk, source, &file, segment_bytes, pinned.epoch)? {
                    Some(crc) => format!("{file}.e{}.f{crc:08x}.l{}", pinned.epoch, self.lineage),
                    None => format!("{file}.e{}.s{}.l{}", pinned.epoch, pinned.max_seq, self.lineage),
                };
                match known.get(&object) {
                    Some(there) => {
                        progress.bytes += there.bytes;
                        files.push(BackupFile { name: file, ..there.clone() });
                    }
                    None => {
                        let entry = put(folder, &object, segment_bytes, &mut progress, go_on, |offset, into| {
                            moment.still_pinned()?;
                            read_all(&**disk, source, &file, offset, into)
                        })?;
                        if moment.is_kept(&pinned) {
                            files.push(BackupFile { name: file, ..entry });
                        }
                    }
                }
            }
            moment.still_pinned()?;
            moment.unpin(segment);
        }
        if !log.mode.logs() {
            return Err(refused("`appendonly` was set to `no` meanwhile; what was copied is not a backup".into()));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest =
            Manifest { format: FORMAT, store: log.store, seq: moment.seq, created_ms: moment.created_ms, files };
        manifest.write(folder, name)?;
        // It is made: what is only in the way of the next ones does not unmake it.
        if let Err(error) = folder::remove_unnamed(folder) {
            tracing::warn!(%error, "what interrupted backups have left was not removed");
        }
        Ok((manifest, progress))
    }
}

impl Manifest {
    /// The manifest of this name in a folder.
    ///
    /// # Errors
    /// [`Error::Backup`] if there is none or it is not understood, [`Error::Io`].
    pub fn read(folder: &dyn Disk, name: &str) -> Result<Manifest> {
        let file_name = manifest_name(name);
        let about = |error: &io::Error| Error::io(format!("reading {file_name}"), error);
        let file = folder.open(&file_name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused(format!("there is no backup {name} in the folder")),
            _ => about(&error),
        })?;
        let bytes = folder.length(file).map_err(|error| about(&error))?;
        if bytes > BACKUP_MANIFEST_BYTES_MAX {
            return Err(refused(format!("{file_name} has {bytes} bytes: it is no manifest of ours")));
        }
        let mut text = vec![0; bytes as usize];
        read_all(folder, file, &file_name, 0, &mut text)?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("{file_name} is not understood: {error}")))?;
        let plain = |name: &str| !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
        match manifest.format {
            FORMAT if manifest.files.iter().all(|file| plain(&file.name) && plain(&file.object)) => Ok(manifest),
            FORMAT => Err(refused(format!("{file_name} names files outside its folder; nothing is read"))),
            format => Err(refused(format!("{file_name} has format {format}; this build reads format {FORMAT}"))),
        }
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn write(&self, folder: &dyn Disk, name: &str) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| refused(format!("the manifest: {error}")))?;
        let mut uncounted = Progress::default();
        put(folder, &manifest_name(name), text.len() as u64, &mut uncounted, &mut |_| true, |offset, into| {
            into.copy_from_slice(&text[offset as usize..][..into.len()]);
            Ok(())
        })?;
        Ok(())
    }

    /// Reads every object of it and compares the checksums. Blocking.
    ///
    /// # Errors
    /// [`Error::Backup`] names the first object that is missing or wrong; [`Error::Io`].
    pub fn check(&self, folder: &dyn Disk, go_on: &mut GoOn<'_>) -> Result<()> {
        let mut progress = Progress { bytes_all: self.bytes(), ..Progress::default() };
        self.files.iter().try_for_each(|file| file.check(folder, &mut progress, go_on))
    }

    /// Makes a data directory of it in an empty one. The superblock comes last: what is interrupted is no data directory. Blocking.
    ///
    /// # Errors
    /// [`Error::Backup`] if the directory is not empty or an object is missing or wrong; [`Error::Io`].
    pub fn restore(&self, folder: &dyn Disk, into: &dyn Disk, go_on: &mut GoOn<'_>) -> Result<Progress> {
        let there = into.list().map_err(|error| Error::io("listing the directory to restore into", &error))?;
        if let Some(entry) = there.iter().find(|entry| !entry.name.starts_with('.')) {
            let words =
                format!("the directory to restore into holds {}; nothing is written: choose an empty one", entry.name);
            return Err(refused(words));
        }
        let mut progress = Progress { bytes_all: self.bytes(), ..Progress::default() };
        let mut files: Vec<&BackupFile> = self.files.iter().collect();
        files.sort_by_key(|file| superblock::FILES.contains(&file.name.as_str()));
        for file in files {
            let source = file.open(folder)?;
            let entry = put(into, &file.name, file.bytes, &mut progress, go_on, |offset, piece| {
                read_all(folder, source, &file.object, offset, piece)
            })?;
            file.compare(entry.crc)?;
        }
        Ok(progress)
    }
}

impl BackupFile {
    /// Reads its object and compares the checksum; `progress` goes on by its bytes. Blocking.
    ///
    /// # Errors
    /// [`Error::Backup`] if it is missing, has another length or fails its checksum; [`Error::Io`].
    pub fn check(&self, folder: &dyn Disk, progress: &mut Progress, go_on: &mut GoOn<'_>) -> Result<()> {
        let source = self.open(folder)?;
        let crc = by_pieces(self.bytes, |offset, piece| {
            read_all(folder, source, &self.object, offset, piece)?;
            progress.bytes += piece.len() as u64;
            ask(go_on, *progress)
        })?;
        self.compare(crc)
    }

    fn open(&self, folder: &dyn Disk) -> Result<FileId> {
        let file = folder.open(&self.object).map_err(|error| Error::io(format!("opening {}", self.object), &error))?;
        let bytes =
            folder.length(file).map_err(|error| Error::io(format!("asking the length of {}", self.object), &error))?;
        match bytes == self.bytes {
            true => Ok(file),
            false => Err(refused(format!(
                "{} has {bytes} bytes instead of {}: the backup is damaged",
                self.object, self.bytes
            ))),
        }
    }

    fn compare(&self, crc: u32) -> Result<()> {
        match crc == self.crc {
            true => Ok(()),
            false => {
                Err(refused(format!("{} fails its checksum: the backup is damaged; take another one", self.object)))
            }
        }
    }
}

/// A folder of backups, locked: one process writes to it at a time.
pub struct Folder {
    disk: Arc<dyn Disk>,
    _lock: DirectoryLock,
}

impl Folder {
    /// Opens a folder; `make`: makes it if it is not there. Blocking.
    ///
    /// # Errors
    /// [`Error::Backup`] if it is in use, not there, or a data directory; [`Error::Io`].
    pub fn open(path: &Path, make: bool) -> Result<Folder> {
        let about = |what: &str, error: &io::Error| Error::io(format!("{what} {}", path.display()), error);
        if make {
            std::fs::create_dir_all(path).map_err(|error| about("cannot make the folder of backups", &error))?;
        } else if !path.is_dir() {
            return Err(refused(format!("there is no folder {}", path.display())));
        }
        let lock = lock_directory(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => refused(format!(
                "{error}; wait until the backup into it has ended, or choose a folder that is for backups only"
            )),
            _ => about("cannot lock the folder of backups", &error),
        })?;
        let disk = open_directory(path, BackendChoice::Pool).map_err(|error| about("cannot open", &error))?;
        if superblock::FILES.iter().any(|name| disk.open(name).is_ok()) {
            return Err(refused(format!(
                "{} is a data directory; choose a folder that is for backups only",
                path.display()
            )));
        }
        Ok(Folder { disk, _lock: lock })
    }

    /// What [`BackupSource::copy`], [`Manifest`] and [`prune`] work on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }
}

fn manifest_name(name: &str) -> String {
    format!("{name}{MANIFEST_ENDING}")
}

fn refused(words: String) -> Error {
    Error::Backup { words }
}

/// The objects that all backups of a folder name, which must be of this store.
fn known_objects(folder: &dyn Disk, all: Vec<(String, Manifest)>, store: u32) -> Result<BTreeMap<String, BackupFile>> {
    if let Some((name, _)) = all.iter().find(|(_, manifest)| manifest.store != store) {
        return Err(refused(format!("{name} in the folder is a backup of another store; choose another folder")));
    }
    let entries = folder.list().map_err(|error| Error::io("listing the folder of backups", &error))?;
    let there: BTreeMap<String, u64> = entries.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
    let files = all.into_iter().flat_map(|(_, manifest)| manifest.files);
    Ok(files
        .filter(|file| there.get(&file.object) == Some(&file.bytes))
        .map(|file| (file.object.clone(), file))
        .collect())
}

fn ask(go_on: &mut GoOn<'_>, progress: Progress) -> Result<()> {
    match go_on(progress) {
        true => Ok(()),
        false => Err(refused("interrupted; what was copied so far is removed when the next backup is made".into())),
    }
}

/// Reads exactly these bytes.
fn read_all(disk: &dyn Disk, file: FileId, name: &str, mut offset: u64, mut into: &mut [u8]) -> Result<()> {
    while !into.is_empty() {
        match disk.read_at(file, offset, into) {
            Ok(0) => return Err(refused(format!("{name} ends at {offset}, before its time"))),
            Ok(read) => (offset, into) = (offset + read as u64, &mut into[read..]),
            Err(error) => return Err(Error::io(format!("reading {name} at {offset}"), &error)),
        }
    }
    Ok(())
}

/// Goes through so many bytes: `each` is given an offset and fills the piece there. Answers the checksum of all.
fn by_pieces(bytes: u64, mut each: impl FnMut(u64, &mut [u8]) -> Result<()>) -> Result<u32> {
    let (mut offset, mut crc) = (0, crc32fast::Hasher::new());
    let mut memory = vec![0; bytes.min(BACKUP_PIECE_BYTES as u64) as usize];
    while offset < bytes {
        let now = (bytes - offset).min(memory.len() as u64) as usize;
        each(offset, &mut memory[..now])?;
        crc.update(&memory[..now]);
        offset += now as u64;
    }
    Ok(crc.finalize())
}

/// The checksum that the footer of a segment carries; `None`: it has none of this epoch.
fn read_footer_crc(disk: &dyn Disk, file: FileId, name: &str, segment_bytes: u64, epoch: u32) -> Result<Option<u32>> {
    let mut block = vec![0; BLOCK_BYTES as usize];
    read_all(disk, file, name, segment_bytes - block.len() as u64, &mut block)?;
    let trailer = &block[block.len() - footer::TRAILER_BYTES..];
    Ok(footer::peek(trailer).filter(|peeked| peeked.0 == epoch).map(|_| u32_at(trailer, 0)))
}

/// Makes a file, piece by piece, under another name until it is whole and durable.
fn put(
    disk: &dyn Disk,
    name: &str,
    bytes: u64,
    progress: &mut Progress,
    go_on: &mut GoOn<'_>,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<BackupFile> {
    let part = format!("{name}{PART_ENDING}");
    let about = |error: &io::Error| Error::io(format!("writing {name}"), error);
    let file = disk.create(&part, bytes).map_err(|error| about(&error))?;
    let mut copy = || {
        let crc = by_pieces(bytes, |offset, piece| {
            read(offset, piece)?;
            disk.write_at(file, offset, piece).map_err(|error| about(&error))?;
            progress.bytes += piece.len() as u64;
            progress.bytes_copied += piece.len() as u64;
            ask(go_on, *progress)
        })?;
        disk.sync(file).map_err(|error| about(&error))?;
        disk.rename(&part, name).map_err(|error| about(&error))?;
        Ok(BackupFile { name: name.into(), object: name.into(), bytes, crc })
    };
    let copied = copy();
    if copied.is_err() {
        // Whatever is left of it is written over by the next one.
        let _ = disk.remove(&part);
    }
    copied
}
