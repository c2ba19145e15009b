//! What was written: the newest version of each key, and whether one is being written.
//!
//! ```text
//!  bit 31: a caller writes the next version now | bits 0..31: the last version that was acknowledged
//! ```
//! A read that begins when version 5 is acknowledged and ends while 7 is being written may see 5, 6 or 7 and nothing else.
//!
//! Promises: one writer at a time for each key, so that the order of versions is the order of writes.

use std::sync::atomic::{AtomicU32, Ordering};
use thermocline_bench::value::KeyId;

const WRITING: u32 = 1 << 31;

/// The versions of all keys: four bytes each.
pub struct Versions(Vec<AtomicU32>);

/// A write that is under way.
pub struct Writing<'v> {
    cell: &'v AtomicU32,
    /// The version that is being written.
    pub version: u32,
}

impl Versions {
    /// Every key at this version; 0 = never written.
    pub fn new(keys: u64, version: u32) -> Self {
        Self((0..keys).map(|_| AtomicU32::new(version)).collect())
    }

    /// The last acknowledged version.
    pub fn acknowledged(&self, key: KeyId) -> u32 {
        self.0[key.0 as usize].load(Ordering::Acquire) & !WRITING
    }

    /// The newest version that a read which ends now may have seen.
    pub fn newest(&self, key: KeyId) -> u32 {
        let state = self.0[key.0 as usize].load(Ordering::Acquire);
        (state & !WRITING) + (state >> 31)
    }

    /// Begins to write the next version; `None` while another caller does.
    pub fn begin(&self, key: KeyId) -> Option<Writing<'_>> {
        let cell = &self.0[key.0 as usize];
        let before = cell.fetch_or(WRITING, Ordering::AcqRel);
        (before & WRITING == 0).then(|| Writing { cell, version: before + 1 })
    }
}

impl Writing<'_> {
    /// The version is acknowledged. A write that is dropped instead (it failed) leaves the key being written for good: both
    /// versions stay good answers.
    pub fn acknowledge(self) {
        self.cell.store(self.version, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_during_a_write_may_see_both_versions() {
        let versions = Versions::new(2, 1);
        let key = KeyId(1);
        let writing = versions.begin(key).unwrap();
        assert_eq!(writing.version, 2);
        assert!(versions.begin(key).is_none(), "one writer at a time");
        assert_eq!((versions.acknowledged(key), versions.newest(key)), (1, 2));
        writing.acknowledge();
        assert_eq!((versions.acknowledged(key), versions.newest(key)), (2, 2));
        assert_eq!(versions.newest(KeyId(0)), 1);
    }

    #[test]
    fn a_failed_write_leaves_both_versions_good() {
        let versions = Versions::new(1, 1);
        assert!(versions.begin(KeyId(0)).is_some(), "begun, and never acknowledged");
        assert_eq!((versions.acknowledged(KeyId(0)), versions.newest(KeyId(0))), (1, 2));
    }
}
