//! How far a compaction has come: a small file of JSON beside the directories, replaced whole.
//!
//! Promises: what it says was durable before it was written. Never: says more than was copied.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use thermocline::log::superblock::Superblock;

/// What the old directory took.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Before {
    /// Segment files.
    pub segments: u64,
    /// Bytes of our files.
    pub bytes: u64,
    /// Bytes of live records.
    pub live_bytes: u64,
    /// Keys.
    pub keys: u64,
}

/// By what a directory is known again: a server that opened it meanwhile has changed its generation.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The store's id.
    pub store: u32,
    /// Generation of its superblock.
    pub generation: u64,
    /// Above every seq in it.
    pub next_seq: u64,
}

impl Identity {
    /// Of a directory with this superblock.
    pub fn of(block: &Superblock) -> Identity {
        Identity { store: block.store, generation: block.generation, next_seq: block.next_seq }
    }
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Keys are copied.
    Copying,
    /// The copy is complete; it takes the old directory's place.
    Switching,
}

/// How far it has come.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    /// What is being done.
    pub phase: Phase,
    /// The old directory.
    pub source: Identity,
    /// The new directory's store; 0 while it is not known.
    pub target: u32,
    /// The keys up to here are in the new directory: database and cursor of SCAN.
    pub database: u32,
    /// The cursor.
    pub cursor: u64,
    /// Keys copied so far; some twice if it was interrupted.
    pub copied_keys: u64,
    /// Time it took so far.
    pub seconds: f64,
    /// What the old directory took.
    pub before: Before,
    /// Live bytes of the new one, when it is complete.
    pub after_live_bytes: u64,
    /// Its keys.
    pub after_keys: u64,
}

impl State {
    /// At the beginning.
    pub fn new(source: Identity, before: Before) -> State {
        State {
            phase: Phase::Copying,
            source,
            target: 0,
            database: 0,
            cursor: 0,
            copied_keys: 0,
            seconds: 0.0,
            before,
            after_live_bytes: 0,
            after_keys: 0,
        }
    }

    /// Reads it; `None` if nothing was begun, or what is there is no such file.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<State>> {
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        let about = || format!("writing {}", path.display());
        let unfinished = path.with_extension("json.unfinished");
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        let mut file = File::create(&unfinished).with_context(about)?;
        file.write_all(&serde_json::to_vec(self)?).with_context(about)?;
        file.sync_all().with_context(about)?;
        std::fs::rename(&unfinished, path).with_context(about)?;
        sync_parent(path)
    }
}

/// Removes it, once nothing is left to do.
///
/// # Errors
/// The file system refuses.
pub fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    sync_parent(path)
}

/// Makes renames in the folder of this path durable.
///
/// # Errors
/// The file system refuses.
pub fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[expect(clippy::disallowed_methods, reason = "a folder, not a file of the store")]
    let folder = File::open(parent).with_context(|| format!("opening {}", parent.display()))?;
    folder.sync_all().with_context(|| format!("syncing {}", parent.display()))
}
