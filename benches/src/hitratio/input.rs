//! What is replayed: a trace or a workload as plain rows in memory, so that every policy sees the same requests.
//!
//! Keys are numbered by first appearance. The size of a GET is that of the value as it was written last - by a SET of the
//! trace, or by the fill-in after the key's first miss - since a store answers with what it holds, not with what the trace
//! saw later. Bounded: 2^32 requests, 9 bytes each.

use crate::spec::{Operation, Spec, Steps, ValueSizes};
use crate::trace::{Operation as TraceOperation, TraceReader};
use crate::value::KeyId;
use anyhow::{Context as _, Result, bail};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A key by its first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u32);

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which key.
    pub key: Key,
    /// Bytes of its value: those that are written, or were written last.
    pub bytes: u32,
    /// SET, not GET.
    pub write: bool,
}

/// All requests of a replay, in order.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    keys: Vec<Key>,
    bytes: Vec<u32>,
    writes: Vec<bool>,
    /// Bytes of each key's value now.
    stored: Vec<u32>,
}

impl Requests {
    /// Appends a request; `bytes` is what the source says. False: there is no room for its number.
    pub fn push(&mut self, key: Key, bytes: u32, write: bool) -> bool {
        if self.keys.len() >= u32::MAX as usize - 1 {
            return false;
        }
        let at = key.0 as usize;
        if at == self.stored.len() {
            self.stored.push(bytes);
        } else if write {
            self.stored[at] = bytes;
        }
        self.keys.push(key);
        self.bytes.push(self.stored[at]);
        self.writes.push(write);
        true
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The request at this place.
    pub fn at(&self, place: usize) -> Request {
        Request { key: self.keys[place], bytes: self.bytes[place], write: self.writes[place] }
    }

    /// Different keys.
    pub fn key_count(&self) -> u64 {
        self.stored.len() as u64
    }

    /// Bytes of all values together, each as it was written last.
    pub fn distinct_bytes(&self) -> u64 {
        self.stored.iter().map(|&bytes| u64::from(bytes)).sum()
    }

    /// For every request the place of the next one of its key; `u32::MAX` where there is none.
    pub fn next_uses(&self) -> Vec<u32> {
        let mut coming = vec![u32::MAX; self.stored.len()];
        let mut next = vec![u32::MAX; self.keys.len()];
        for place in (0..self.keys.len()).rev() {
            let key = self.keys[place].0 as usize;
            next[place] = std::mem::replace(&mut coming[key], place as u32);
        }
        next
    }

    /// Reads a trace.
    pub fn from_trace(path: &Path, requests: u64, sizes: ValueSizes, stop: &AtomicBool) -> Result<Self> {
        let mut rows = Self::default();
        let reader = TraceReader::open(path).with_context(|| path.display().to_string())?;
        for request in reader.take(usize::try_from(requests).unwrap_or(usize::MAX)) {
            let request = request.with_context(|| path.display().to_string())?;
            let key = u32::try_from(request.key.0).context("a trace with more than 2^32 keys")?;
            let bytes = request.value_bytes.unwrap_or_else(|| sizes.of(request.key));
            let written = rows.push(Key(key), bytes, request.operation == TraceOperation::Set);
            if !written || (rows.len().is_multiple_of(1 << 16) && stop.load(Ordering::Relaxed)) {
                break;
            }
        }
        Ok(rows)
    }

    /// Walks a workload. A read-modify-write is a GET and a SET, a scan one GET per key.
    pub fn from_workload(spec: &Spec, seed: u64, requests: u64, stop: &AtomicBool) -> Result<Self> {
        if spec.mix.delete > 0.0 {
            bail!("{spec} deletes keys, which hitratio does not replay");
        }
        let mut rows = Self::default();
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let mut push = |rows: &mut Self, key: u64, write| {
            let new = numbers.len() as u32;
            let number = *numbers.entry(key).or_insert(new);
            rows.push(Key(number), spec.sizes.of(KeyId(key)), write)
        };
        let mut steps = Steps::new(spec, seed);
        while (rows.len() as u64) < requests && !stop.load(Ordering::Relaxed) {
            let step = steps.step();
            let (count, get, set) = match step.operation {
                Operation::Scan { count } => (count, true, false),
                Operation::Read | Operation::ReadThrough => (1, true, false),
                Operation::ReadModifyWrite => (1, true, true),
                Operation::Update | Operation::Insert | Operation::Delete => (1, false, true),
            };
            for key in step.key.0..step.key.0 + u64::from(count) {
                if (get && !push(&mut rows, key, false)) || (set && !push(&mut rows, key, true)) {
                    return Ok(rows);
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::named;

    #[test]
    fn a_get_has_the_size_that_was_written_last() {
        let mut rows = Requests::default();
        for (key, bytes, write) in [(0, 10, false), (0, 99, false), (1, 5, true), (0, 20, true), (0, 7, false)] {
            assert!(rows.push(Key(key), bytes, write));
        }
        let sizes: Vec<u32> = (0..rows.len()).map(|place| rows.at(place).bytes).collect();
        assert_eq!(sizes, [10, 10, 5, 20, 20]);
        assert_eq!((rows.key_count(), rows.distinct_bytes()), (2, 25));
        assert_eq!(rows.next_uses(), [1, 3, u32::MAX, 4, u32::MAX]);
    }

    #[test]
    fn workloads_become_rows_of_keys_by_first_appearance() {
        let stop = AtomicBool::new(false);
        for name in ["ycsb-e", "ycsb-f", "kvcache-blocks", "twitter"] {
            let rows = Requests::from_workload(&named(name).unwrap(), 1, 5_000, &stop).unwrap();
            assert!(rows.len() >= 5_000 && rows.len() < 5_200, "{name}: {}", rows.len());
            let mut seen = 0;
            for place in 0..rows.len() {
                let Key(key) = rows.at(place).key;
                assert!(key <= seen, "{name}");
                seen = seen.max(key + 1);
            }
            assert_eq!(u64::from(seen), rows.key_count());
        }
    }
}
