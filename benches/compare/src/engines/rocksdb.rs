//! rocksdb, plain and with its blob files: direct reads, block cache and memtables within the DRAM budget.

use crate::settings::Plan;
use crate::store::{Key, Store};
use anyhow::{Result, bail};
use rocksdb::properties::{COMPACTION_PENDING, NUM_RUNNING_COMPACTIONS, NUM_RUNNING_FLUSHES};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, Options};
use std::path::Path;
use std::time::Duration;
use thermocline_bench::clock::Clock;

const MEMTABLES: i32 = 2;
const BLOB_FILE_BYTES: u64 = 64 << 20;
const BLOOM_BITS_PER_KEY: f64 = 10.0;
const PAUSE: Duration = Duration::from_millis(20);
const FLUSH_SECONDS_MAX: f64 = 900.0;

/// Where values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// In the sorted tables.
    InTables,
    /// In blob files beside them.
    InBlobs,
}

/// A rocksdb store.
pub struct Rocks {
    database: DB,
    cache: Cache,
    memtable_bytes: u64,
    settings: Vec<String>,
}

impl Rocks {
    /// Opens or makes a store.
    pub fn open(directory: &Path, plan: &Plan, values: Values) -> Result<Self> {
        let memtable_bytes = plan.memtable_bytes();
        let cache_bytes = plan.dram_bytes - memtable_bytes * MEMTABLES as u64;
        let cache = Cache::new_lru_cache(cache_bytes as usize)?;
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&cache);
        tables.set_block_size(4096);
        tables.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
        tables.set_format_version(5);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&tables);
        options.set_compression_type(DBCompressionType::None);
        options.set_use_direct_reads(true);
        options.set_use_direct_io_for_flush_and_compaction(true);
        options.set_write_buffer_size(memtable_bytes as usize);
        options.set_max_write_buffer_number(MEMTABLES);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_optimize_filters_for_hits(true);
        options.set_max_background_jobs(2);
        let mut settings = vec![
            format!("block cache {cache_bytes} with index and filters, {MEMTABLES} memtables of {memtable_bytes}"),
            format!("4-KiB blocks, bloom {BLOOM_BITS_PER_KEY} bits but not for the last level, no compression"),
            "direct reads, direct flush and compaction; WAL on, not synced; a thread for each caller".to_owned(),
        ];
        if values == Values::InBlobs {
            options.set_enable_blob_files(true);
            options.set_min_blob_size(0);
            options.set_blob_file_size(BLOB_FILE_BYTES);
            options.set_enable_blob_gc(true);
            settings.push("every value in a blob; its C interface offers no cache for blobs".to_owned());
        }
        let database = DB::open(&options, directory)?;
        Ok(Self { database, cache, memtable_bytes, settings })
    }
}

impl Store for Rocks {
    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
        let value = self.database.get_pinned(key.0)?;
        Ok(see(value.as_deref()))
    }

    async fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.database.put(key.0, value)?)
    }

    fn flush(&self) -> Result<()> {
        self.database.flush()?;
        let clock = Clock::start();
        loop {
            let mut busy = 0;
            for property in [NUM_RUNNING_COMPACTIONS, NUM_RUNNING_FLUSHES, COMPACTION_PENDING] {
                busy += self.database.property_int_value(property)?.unwrap_or(0);
            }
            if busy == 0 {
                return Ok(());
            }
            if clock.seconds() > FLUSH_SECONDS_MAX {
                bail!("rocksdb still compacts after {FLUSH_SECONDS_MAX} s");
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn close(self) -> Result<()> {
        self.database.cancel_all_background_work(true);
        Ok(())
    }

    fn dram_bytes(&self) -> Option<u64> {
        Some(self.cache.get_usage() as u64 + self.memtable_bytes)
    }
}
