//! What the records themselves tell, for `inspect --keys`: bytes per prefix, hot and cold, and the largest keys.
//!
//! ```text
//!  user:1 (root of a tree, id 7)   key of prefix "user:"     parts of id 7: nodes in the twin space, counted to user:1
//!  photo (head, id 9)              no prefix: "photo"        parts of id 9: extents
//! ```
//! Promises: memory is bounded: so many prefixes, so many keys with parts; what is beyond is summed and said. Never: a value's
//! bytes in the report, or a byte counted twice.

use crate::directory::Directory;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use thermocline::Kind;
use thermocline::log::hot_list::{BODY_OFFSET, FILES, HotListHeader, split};
use thermocline::log::record::{Record, padded};
use thermocline::log::superblock::Superblock;
use thermocline::options::PLACE_UNIT_BYTES;
use thermocline_value::{LargeHead, Root};

/// Prefixes that are counted apart.
const PREFIXES_MAX: usize = 10_000;
/// Keys with nodes or extents that are counted apart.
const OWNERS_MAX: usize = 1_000_000;
/// Keys in the list of the largest.
const LARGEST: usize = 20;
/// Prefixes in the report.
const PREFIXES_SHOWN: usize = 50;
/// The name of what is beyond the bound.
const OTHERS: &str = "(all others)";

/// Keys that begin alike.
#[derive(Clone, Default, Serialize)]
pub struct PrefixRow {
    /// Up to and with the delimiter; of a key without one, the whole key.
    pub prefix: String,
    /// Keys.
    pub keys: u64,
    /// Of them, with a time to live.
    pub expiring: u64,
    /// Bytes of their records, nodes and extents included.
    pub bytes: u64,
    /// Of them, those that the last hot-set list names.
    pub hot_bytes: u64,
}

/// A large key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LargestRow {
    /// Bytes of its records, nodes and extents included.
    pub bytes: u64,
    /// Its database; `None`: one that was flushed.
    pub database: Option<usize>,
    /// Its name; bytes that are no text are escaped.
    pub key: String,
    /// Its type.
    pub kind: &'static str,
    /// Nodes or extents beside its own record.
    pub parts: u64,
}

/// What was found.
#[derive(Serialize)]
pub struct Keys {
    /// The prefixes with the most bytes.
    pub prefixes: Vec<PrefixRow>,
    /// Prefixes in all.
    pub prefixes_total: usize,
    /// The largest keys.
    pub largest: Vec<LargestRow>,
    /// Bytes of nodes and extents whose key was not met (or is beyond the bound).
    pub bytes_without_key: u64,
}

/// A key with nodes or extents, or these before their key was met.
#[derive(Default)]
struct Owner {
    key: Option<(Option<usize>, Vec<u8>, Kind)>,
    bytes: u64,
    hot_bytes: u64,
    parts: u64,
}

/// Gathers.
pub struct Gatherer {
    delimiter: Vec<u8>,
    segment_bytes: u32,
    /// Places of hot values, in order.
    hot: Vec<u64>,
    prefixes: HashMap<Vec<u8>, PrefixRow>,
    /// By whether it is a tree, and id: ids of trees and of large strings are given apart.
    owners: HashMap<(bool, u64), Owner>,
    largest: BinaryHeap<Reverse<LargestRow>>,
    bytes_without_key: u64,
}

impl Gatherer {
    /// Reads the hot-set list. One that does not hold counts as empty: it is a hint.
    pub fn new(directory: &Directory, block: &Superblock, delimiter: &str) -> Gatherer {
        Gatherer {
            delimiter: delimiter.as_bytes().to_vec(),
            segment_bytes: block.segment_bytes,
            hot: hot_places(directory, block.store),
            prefixes: HashMap::new(),
            owners: HashMap::new(),
            largest: BinaryHeap::new(),
            bytes_without_key: 0,
        }
    }

    /// A live record. `database`: of its visible space.
    pub fn add(&mut self, (segment, offset): (u32, u32), record: &Record<'_>, kind: Kind, database: Option<usize>) {
        let bytes = padded(record.bytes()) as u64;
        let units = |bytes: u32| u64::from(bytes / PLACE_UNIT_BYTES);
        let place = u64::from(segment) * units(self.segment_bytes) + units(offset);
        let hot_bytes = if self.hot.binary_search(&place).is_ok() { bytes } else { 0 };
        if !kind.is_value() {
            let is_tree = kind != Kind::Extent;
            let id = record.key.first_chunk::<8>().map(|id| u64::from_le_bytes(*id));
            match id.and_then(|id| self.owner((is_tree, id))) {
                Some(owner) => {
                    owner.bytes += bytes;
                    owner.hot_bytes += hot_bytes;
                    owner.parts += 1;
                }
                None => self.bytes_without_key += bytes,
            }
            return;
        }
        let prefix = self.prefix(record.key);
        prefix.keys += 1;
        prefix.expiring += u64::from(record.expiry.is_some());
        let id = match kind {
            Kind::LargeString => LargeHead::decode(record.payload).ok().map(|head| (false, head.id)),
            Kind::String => None,
            _ if Root::is_root(record.payload) => {
                Root::decode(record.payload).ok().map(|root| (true, root.collection.0))
            }
            _ => None,
        };
        match id.and_then(|id| self.owner(id)) {
            Some(owner) => {
                owner.key = Some((database, record.key.to_vec(), kind));
                owner.bytes += bytes;
                owner.hot_bytes += hot_bytes;
            }
            None => {
                let prefix = self.prefix(record.key);
                prefix.bytes += bytes;
                prefix.hot_bytes += hot_bytes;
                self.large(LargestRow { bytes, database, key: shown(record.key), kind: kind.name(), parts: 0 });
            }
        }
    }

    fn owner(&mut self, id: (bool, u64)) -> Option<&mut Owner> {
        if self.owners.len() >= OWNERS_MAX && !self.owners.contains_key(&id) {
            return None;
        }
        Some(self.owners.entry(id).or_default())
    }

    fn prefix(&mut self, key: &[u8]) -> &mut PrefixRow {
        let end = key.windows(self.delimiter.len().max(1)).position(|window| window == self.delimiter);
        let prefix = match end {
            Some(at) => &key[..at + self.delimiter.len()],
            None => key,
        };
        let is_known = self.prefixes.contains_key(prefix) || self.prefixes.len() < PREFIXES_MAX;
        let prefix = if is_known { prefix } else { OTHERS.as_bytes() };
        let row = self.prefixes.entry(prefix.to_vec()).or_default();
        if row.prefix.is_empty() {
            row.prefix = shown(prefix);
        }
        row
    }

    fn large(&mut self, row: LargestRow) {
        if self.largest.len() == LARGEST && self.largest.peek().is_some_and(|least| least.0.bytes >= row.bytes) {
            return;
        }
        self.largest.push(Reverse(row));
        if self.largest.len() > LARGEST {
            self.largest.pop();
        }
    }

    /// What was found.
    pub fn end(mut self) -> Keys {
        for (_, owner) in std::mem::take(&mut self.owners) {
            let Owner { key, bytes, hot_bytes, parts } = owner;
            let Some((database, key, kind)) = key else {
                self.bytes_without_key += bytes;
                continue;
            };
            let prefix = self.prefix(&key);
            prefix.hot_bytes += hot_bytes;
            prefix.bytes += bytes;
            let name = if kind == Kind::LargeString { Kind::String.name() } else { kind.name() };
            self.large(LargestRow { bytes, database, key: shown(&key), kind: name, parts });
        }
        let mut prefixes: Vec<PrefixRow> = self.prefixes.into_values().collect();
        let prefixes_total = prefixes.len();
        prefixes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.prefix.cmp(&b.prefix)));
        prefixes.truncate(PREFIXES_SHOWN);
        let largest = self.largest.into_sorted_vec().into_iter().map(|row| row.0).collect();
        Keys { prefixes, prefixes_total, largest, bytes_without_key: self.bytes_without_key }
    }
}

fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn hot_places(directory: &Directory, store: u32) -> Vec<u64> {
    let newest = FILES
        .iter()
        .filter_map(|name| {
            let header = HotListHeader::decode(&directory.window(name, 0, BODY_OFFSET as usize).ok()?)?;
            (header.store == store).then_some((header.generation, name, header))
        })
        .max_by_key(|(generation, ..)| *generation);
    let Some((_, name, header)) = newest else { return Vec::new() };
    let bytes = usize::try_from(header.entries.saturating_mul(8)).unwrap_or(usize::MAX);
    let Ok(entries) = directory.window(name, BODY_OFFSET, bytes) else { return Vec::new() };
    if entries.len() != bytes || crc32fast::hash(&entries) != header.entries_crc {
        return Vec::new();
    }
    let (words, _) = entries.as_chunks::<8>();
    let mut places: Vec<u64> = words.iter().map(|word| split(u64::from_le_bytes(*word)).0).collect();
    places.sort_unstable();
    places
}
