//! Opens a data directory for reading: what is in it, its lock, its newest superblock and map, and the state of every copy.
//!
//! Promises: a directory that is not ours is refused before anything in it is touched; a newer format is refused in words.
//! Never: decides what a bad copy means (`verify` does).

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thermocline::log::map::{self, Map, MapSegment};
use thermocline::log::superblock::{self, Superblock};
use thermocline::log::{checkpoint, hot_list, segment_name};
use thermocline_io::{DirectoryLock, MappedFile, lock_directory};

/// One of two copies of a small file.
pub enum Copy<T> {
    /// No such file, or nothing but zeros: it was never written.
    Absent,
    /// Bytes that do not check out, and the words for it.
    Bad(String),
    /// It holds.
    Whole(T),
}

impl<T> Copy<T> {
    /// Its content, if it holds.
    pub fn whole(&self) -> Option<&T> {
        match self {
            Copy::Whole(content) => Some(content),
            _ => None,
        }
    }
}

/// A locked data directory.
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Nobody else of ours has it while this lives.
    pub lock: DirectoryLock,
    /// Both superblocks.
    pub superblocks: [Copy<Superblock>; 2],
    /// Generations of both maps.
    pub maps: [Copy<u64>; 2],
    /// The newest map.
    pub map: Option<Map>,
    /// Segment files: number and length, in order.
    pub segments: Vec<(u32, u64)>,
    /// Names that are not ours.
    pub foreign: Vec<String>,
}

impl Directory {
    /// Opens it. Superblocks that do not hold are no error here.
    pub fn open(path: &Path) -> Result<Directory> {
        let shown = path.display();
        if !path.is_dir() {
            bail!("{shown} is not a directory");
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).with_context(|| format!("cannot list {shown}"))? {
            let entry = entry.with_context(|| format!("cannot list {shown}"))?;
            let bytes =
                entry.metadata().with_context(|| format!("cannot ask the length of {}", entry.path().display()))?.len();
            names.push((entry.file_name().to_string_lossy().into_owned(), bytes));
        }
        names.sort();
        let segments: Vec<(u32, u64)> =
            names.iter().filter_map(|(name, bytes)| Some((segment_of(name)?, *bytes))).collect();
        if !names.iter().any(|(name, _)| Directory::is_ours(name)) {
            match names.iter().find(|(name, _)| !name.starts_with('.') && name != "LOCK") {
                None => bail!("{shown} is empty: there is no store in it"),
                Some((name, _)) => {
                    bail!("{shown} is not a data directory of ours (it holds '{name}' and no superblock)")
                }
            }
        }
        let foreign = names
            .iter()
            .map(|(name, _)| name)
            .filter(|n| !n.starts_with('.') && *n != "LOCK" && !Directory::is_ours(n))
            .cloned()
            .collect();
        let lock = lock_directory(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                anyhow::anyhow!(
                    "{error}; stop the server first, or work on a backup (TIER BACKUP makes one while it serves)"
                )
            }
            _ => anyhow::Error::new(error).context("cannot lock the directory"),
        })?;
        let mut directory = Directory {
            path: path.to_owned(),
            lock,
            superblocks: [Copy::Absent, Copy::Absent],
            maps: [Copy::Absent, Copy::Absent],
            map: None,
            segments,
            foreign,
        };
        directory.read_superblocks()?;
        directory.read_maps();
        Ok(directory)
    }

    /// The newest superblock, or the words for whoever cannot go on without one.
    ///
    /// # Errors
    /// None holds.
    pub fn need_superblock(&self) -> Result<&Superblock> {
        self.superblock().context("no superblock holds: `thermocline verify` says more")
    }

    /// Is this the name of one of our data files?
    pub fn is_ours(name: &str) -> bool {
        let small = [&superblock::FILES, &map::FILES, &checkpoint::FILES, &hot_list::FILES];
        segment_of(name).is_some()
            || name == thermocline::backup::LINEAGE_FILE
            || small.iter().any(|files| files.contains(&name))
    }

    fn read_superblocks(&mut self) -> Result<()> {
        for (copy, name) in superblock::FILES.iter().enumerate() {
            let read = match small_file(self.window(name, 0, usize::MAX)) {
                Copy::Whole(bytes) => match Superblock::decode(&bytes)? {
                    Some(block) if !is_sane(&block) => Copy::Bad("its numbers cannot be".into()),
                    Some(block) => Copy::Whole(block),
                    None => Copy::Bad("its checksum does not hold".into()),
                },
                Copy::Bad(words) => Copy::Bad(words),
                Copy::Absent => Copy::Absent,
            };
            self.superblocks[copy] = read;
        }
        Ok(())
    }

    fn read_maps(&mut self) {
        let Some((store, segment_bytes)) = self.superblock().map(|block| (block.store, block.segment_bytes)) else {
            return;
        };
        let mut newest: Option<Map> = None;
        for (copy, name) in map::FILES.iter().enumerate() {
            let read = match small_file(self.window(name, 0, usize::MAX)) {
                Copy::Whole(bytes) => match Map::decode(store, &bytes) {
                    Some(map) if !map.segments.iter().all(|s| fits(s, segment_bytes)) => {
                        Copy::Bad("its numbers cannot be".into())
                    }
                    Some(map) => {
                        let generation = map.generation;
                        if newest.as_ref().is_none_or(|n| generation > n.generation) {
                            newest = Some(map);
                        }
                        Copy::Whole(generation)
                    }
                    None => Copy::Bad("its checksum or its store does not hold".into()),
                },
                Copy::Bad(words) => Copy::Bad(words),
                Copy::Absent => Copy::Absent,
            };
            self.maps[copy] = read;
        }
        self.map = newest;
    }

    /// The newest superblock that holds.
    pub fn superblock(&self) -> Option<&Superblock> {
        self.superblocks.iter().filter_map(Copy::whole).max_by_key(|block| block.generation)
    }

    /// What the newest map says of a segment.
    pub fn map_of(&self, segment: u32) -> Option<&MapSegment> {
        self.map.as_ref()?.segments.iter().find(|s| s.segment == segment)
    }

    /// Maps a window of a file.
    pub fn window(&self, name: &str, from: u64, bytes_max: usize) -> std::io::Result<MappedFile<'_>> {
        MappedFile::open(&self.lock, &self.path.join(name), from, bytes_max)
    }
}

fn segment_of(name: &str) -> Option<u32> {
    name.strip_prefix("segment-")?.parse().ok().filter(|&id: &u32| segment_name(id) == name)
}

/// A superblock whose checksum holds was written by us; this keeps arithmetic safe from one that was made by hand.
fn is_sane(block: &Superblock) -> bool {
    use thermocline::options::{BLOCK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
    let bytes = u64::from(block.segment_bytes);
    (SEGMENT_BYTES_MIN.min(4 * u64::from(BLOCK_BYTES))..=SEGMENT_BYTES_MAX).contains(&bytes)
        && bytes % u64::from(BLOCK_BYTES) == 0
}

fn fits(map: &MapSegment, segment_bytes: u32) -> bool {
    let grains = segment_bytes.checked_shr(u32::from(map.grain_shift)).unwrap_or(0) as usize;
    map.covered <= segment_bytes && (map.bits.is_empty() || map.bits.len() <= grains.div_ceil(64))
}

fn small_file(read: std::io::Result<MappedFile<'_>>) -> Copy<MappedFile<'_>> {
    match read {
        Ok(bytes) if bytes.iter().all(|&b| b == 0) => Copy::Absent,
        Ok(bytes) => Copy::Whole(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Copy::Absent,
        Err(error) => Copy::Bad(format!("it cannot be read: {error}")),
    }
}
