//! foyer: a cache in DRAM before a cache on the SSD. It may forget, and where a read from the SSD and a write of the same key
//! meet, it may keep the older value: both are counted and shown.

use crate::settings::Plan;
use crate::store::{Key, Store};
use anyhow::Result;
use foyer::{
    BlockEngineConfig, DeviceBuilder as _, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy,
    IoEngineConfig, S3FifoConfig, UringIoEngineConfig,
};
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;

/// Its SSD index: 24 bytes of address, 8 of hash and a control byte per key in a table that is half full at the worst.
const INDEX_BYTES_PER_KEY: u64 = 64;
/// What an entry costs in its DRAM cache beside the key and the value.
const ENTRY_OVERHEAD_BYTES: usize = 120;
/// Every entry takes whole pages on the SSD.
const PAGE_BYTES: u64 = 4096;
const BLOCK_BYTES: u64 = 16 << 20;
const BUFFER_BYTES_MIN: u64 = 4 << 20;

/// A foyer store.
pub struct Hybrid {
    cache: HybridCache<u128, Vec<u8>>,
    runtime: Runtime,
    queued_bytes: AtomicU64,
    queue_bytes_max: u64,
    settings: Vec<String>,
}

impl Hybrid {
    /// Opens or makes a store.
    pub fn open(directory: &Path, plan: &Plan) -> Result<Self> {
        let buffer_bytes = (plan.memtable_bytes() * 2).max(BUFFER_BYTES_MIN);
        let index_bytes = plan.keys * INDEX_BYTES_PER_KEY;
        let memory_bytes =
            plan.dram_bytes.saturating_sub(buffer_bytes).saturating_sub(index_bytes).max(plan.dram_bytes / 10);
        let pages = (plan.value_bytes as u64 + 64).div_ceil(PAGE_BYTES);
        let capacity_bytes = (plan.keys * pages * PAGE_BYTES * 3 / 2).max(8 * BLOCK_BYTES);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let cache = runtime.block_on(async {
            let device =
                FsDeviceBuilder::new(directory).with_capacity(capacity_bytes as usize).with_direct(true).build()?;
            let engine = BlockEngineConfig::new(device)
                .with_block_size(BLOCK_BYTES as usize)
                .with_buffer_pool_size(buffer_bytes as usize)
                .with_submit_queue_size_threshold(buffer_bytes as usize);
            HybridCacheBuilder::new()
                .with_policy(HybridCachePolicy::WriteOnInsertion)
                .memory(memory_bytes as usize)
                .with_eviction_config(S3FifoConfig::default())
                .with_weighter(|_: &u128, value: &Vec<u8>| size_of::<u128>() + value.len() + ENTRY_OVERHEAD_BYTES)
                .storage()
                .with_io_engine_config(Box::new(UringIoEngineConfig::new()) as Box<dyn IoEngineConfig>)
                .with_engine_config(engine)
                .build()
                .await
        })?;
        let settings = vec![
            format!("DRAM cache {memory_bytes} (S3-FIFO), flush buffers {buffer_bytes}, SSD index about {index_bytes}"),
            format!(
                "block engine on files of {BLOCK_BYTES}, {capacity_bytes} in all; io_uring, direct I/O, no compression"
            ),
            "written on insertion; writers wait for its queue so that it drops nothing; callers are tokio tasks"
                .to_owned(),
        ];
        Ok(Self { cache, runtime, queued_bytes: AtomicU64::new(0), queue_bytes_max: buffer_bytes / 4, settings })
    }
}

impl Store for Hybrid {
    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    async fn get<R: Send>(&self, key: &Key, mut see: impl FnMut(Option<&[u8]>) -> R + Send) -> Result<R> {
        let entry = self.cache.get(&u128::from_be_bytes(key.0)).await?;
        Ok(see(entry.as_ref().map(|entry| entry.value().as_slice())))
    }

    async fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.cache.insert(u128::from_be_bytes(key.0), value.to_vec());
        let bytes = (value.len() as u64).next_multiple_of(PAGE_BYTES);
        if self.queued_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > self.queue_bytes_max {
            self.queued_bytes.store(0, Ordering::Release);
            self.cache.storage().wait().await;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.runtime.block_on(self.cache.storage().wait());
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.runtime.block_on(self.cache.close())?)
    }

    fn dram_bytes(&self) -> Option<u64> {
        None
    }

    fn drive<F>(&self, callers: Vec<F>) -> Result<Vec<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let tasks: Vec<_> = callers.into_iter().map(|caller| self.runtime.spawn(caller)).collect();
        self.runtime.block_on(async {
            let mut outputs = Vec::with_capacity(tasks.len());
            for task in tasks {
                outputs.push(task.await?);
            }
            Ok(outputs)
        })
    }
}
