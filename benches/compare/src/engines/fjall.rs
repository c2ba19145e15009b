//! fjall: an LSM tree in Rust. It has no direct I/O: what it reads goes through the page cache, so its process is held in a
//! memory cgroup that counts the page cache too.

use crate::settings::Plan;
use crate::store::{Key, Store};
use anyhow::{Result, bail};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;
use std::time::Duration;
use thermocline_bench::clock::Clock;

/// One is filled while others wait for their flush.
const MEMTABLES: u64 = 4;
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const PAUSE: Duration = Duration::from_millis(20);
const FLUSH_SECONDS_MAX: f64 = 900.0;

/// A fjall store.
pub struct Tree {
    database: Database,
    keyspace: Keyspace,
    settings: Vec<String>,
}

impl Tree {
    /// Opens or makes a store.
    pub fn open(directory: &Path, plan: &Plan) -> Result<Self> {
        let memtable_bytes = plan.memtable_bytes();
        let cache_bytes = plan.dram_bytes - memtable_bytes * MEMTABLES;
        let database =
            Database::builder(directory).cache_size(cache_bytes).max_journaling_size(JOURNAL_BYTES_MAX).open()?;
        let keyspace = database.keyspace("values", || {
            KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes).expect_point_read_hits(true)
        })?;
        let settings = vec![
            format!("block cache {cache_bytes}, memtables of {memtable_bytes}, journals at most {JOURNAL_BYTES_MAX}"),
            "4-KiB blocks, its own bloom filters but not for the last level, no compression".to_owned(),
            "buffered I/O; journal on, not synced; a thread for each caller".to_owned(),
        ];
        Ok(Self { database, keyspace, settings })
    }
}

impl Store for Tree {
    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
        let value = self.keyspace.get(key.0)?;
        Ok(see(value.as_deref()))
    }

    async fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.keyspace.insert(key.0, value)?)
    }

    fn flush(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        let clock = Clock::start();
        // A compaction that has ended may be followed by another one: quiet means quiet for a few looks.
        let mut quiet = 0;
        while quiet < 5 {
            let busy = self.database.active_compactions() + self.database.outstanding_flushes();
            quiet = if busy == 0 { quiet + 1 } else { 0 };
            if clock.seconds() > FLUSH_SECONDS_MAX {
                bail!("fjall still compacts after {FLUSH_SECONDS_MAX} s");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn dram_bytes(&self) -> Option<u64> {
        Some(self.database.cache_size() + self.database.write_buffer_size())
    }
}
