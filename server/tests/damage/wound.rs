//! One random damage to one file of a stopped store.
//!
//! Promises: the same numbers damage the same bytes; what it says is what it did. Never: two files at once, except for two swapped
//! blocks.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::stores::Store;
use crate::value::mixed;

const BLOCK: u64 = 4096;
/// A range of zeros or noise is not longer: less than a segment, so it cannot take what vouches for it along.
const RANGE_BYTES_MAX: u64 = 64 << 10;
const BITS_MAX: u64 = 8;
/// Tries to find a block that one life changed.
const TRIES: u64 = 64;

/// What is done to the bytes.
#[derive(Copy, Clone, Debug)]
pub enum Kind {
    Bits(u64),
    Zeros(u64),
    Noise(u64),
    /// Two blocks change places: this one and the one at the offset.
    Swap(u64),
    Truncate,
    Remove,
    /// A block as it was one life before.
    OldBlock,
}

/// One damage.
#[derive(Clone, Debug)]
pub struct Wound {
    pub file: String,
    pub offset: u64,
    pub kind: Kind,
}

impl fmt::Display for Wound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {:?}", self.file, self.offset, self.kind)
    }
}

/// Chance.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = mixed(self.0);
        self.0 % bound.max(1)
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len() as u64) as usize]
    }
}

#[expect(clippy::disallowed_methods, reason = "damages a file by hand")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}

/// Draws a damage for this store.
pub fn draw(store: &Store, random: &mut Random) -> Wound {
    let mut names: Vec<String> = std::fs::read_dir(&store.directory)
        .expect("a directory")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
        .filter(|name| name != "LOCK" && !name.starts_with('.'))
        .collect();
    names.sort();
    let (segments, small): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| name.starts_with("segment-"));
    let file = match random.below(100) {
        0..60 if !store.segments.is_empty() => format!("segment-{:06}", random.of(&store.segments)),
        0..75 => random.of(&segments).clone(),
        _ => random.of(&small).clone(),
    };
    let bytes = read(&store.directory.join(&file)).len() as u64;
    let offset = match random.below(8) {
        0 => random.below(bytes.min(BLOCK)),
        1 => bytes - 1 - random.below(bytes.min(BLOCK)),
        _ => random.below(bytes),
    };
    let halvings = random.below(12);
    let range = 1 + random.below(RANGE_BYTES_MAX >> halvings);
    let block = |offset: u64| offset / BLOCK * BLOCK;
    let (offset, kind) = match random.below(8) {
        0 | 1 => (offset, Kind::Bits(1 + random.below(BITS_MAX))),
        2 => (offset, Kind::Zeros(range)),
        3 => (offset, Kind::Noise(range)),
        4 => (block(offset), Kind::Swap(block(random.below(bytes)))),
        5 if file.starts_with("segment-") && random.below(4) == 0 => (0, Kind::Remove),
        5 => (offset, Kind::Truncate),
        _ => (block(changed(store, &file, offset, random)), Kind::OldBlock),
    };
    Wound { file, offset, kind }
}

/// An offset in a block that differs from one life before, if there is one.
fn changed(store: &Store, file: &str, offset: u64, random: &mut Random) -> u64 {
    let (new, old) = (read(&store.directory.join(file)), read(&store.older.join(file)));
    let mut at = offset;
    for _ in 0..TRIES {
        let start = (at / BLOCK * BLOCK) as usize;
        let end = (start + BLOCK as usize).min(new.len());
        if old.get(start..end).is_some_and(|old| old != &new[start..end]) {
            break;
        }
        at = random.below(new.len() as u64);
    }
    at
}

/// Does it to a copy of the store.
pub fn strike(wound: &Wound, store: &Store, directory: &Path, random: &mut Random) {
    let path: PathBuf = directory.join(&wound.file);
    let mut bytes = read(&path);
    let at = wound.offset as usize;
    let end = |length: u64| (at + length as usize).min(bytes.len());
    match wound.kind {
        Kind::Bits(count) => {
            let end = end(BLOCK);
            for _ in 0..count {
                let byte = at + random.below((end - at) as u64) as usize;
                bytes[byte] ^= 1 << random.below(8);
            }
        }
        Kind::Zeros(length) => {
            let end = end(length);
            bytes[at..end].fill(0);
        }
        Kind::Noise(length) => {
            let end = end(length);
            bytes[at..end].fill_with(|| random.below(256) as u8);
        }
        Kind::Swap(other) => {
            let other = other as usize;
            let length = (BLOCK as usize).min(bytes.len() - at.max(other));
            let one = bytes[at..at + length].to_vec();
            bytes.copy_within(other..other + length, at);
            bytes[other..other + length].copy_from_slice(&one);
        }
        Kind::Truncate => bytes.truncate(at),
        Kind::Remove => return std::fs::remove_file(&path).expect("it is there"),
        Kind::OldBlock => {
            let old = read(&store.older.join(&wound.file));
            let end = end(BLOCK).min(old.len());
            if at < end {
                bytes[at..end].copy_from_slice(&old[at..end]);
            }
        }
    }
    #[expect(clippy::disallowed_methods, reason = "damages a file by hand")]
    let file = OpenOptions::new().write(true).open(&path).expect("it is there");
    file.set_len(bytes.len() as u64).expect("its length");
    file.write_all_at(&bytes, 0).expect("written");
}
