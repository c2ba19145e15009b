//! All bounds of the engine in one place, and the options a user sets.
//!
//! Promises: relations between bounds are asserted here; `validate` refuses with words. Never: a limit as a literal in the
//! middle of a function.

use crate::error::{Error, Result};

/// Smallest `maxmemory`.
pub const MAX_MEMORY_BYTES_MIN: u64 = 64 << 20;
/// Fewest segments a store may have.
pub const SEGMENTS_MIN: u64 = 64;
/// Smallest segment.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 32 << 20;
/// Largest record of any kind, header and key included (and never more than a quarter segment).
pub const RECORD_BYTES_MAX: u64 = 256 << 10;
/// Physical block: each flush starts on a fresh one.
pub const BLOCK_BYTES: u32 = 4096;
/// Unit of a place.
pub const PLACE_UNIT_BYTES: u32 = 16;
/// Largest string value.
pub const VALUE_BYTES_MAX: u64 = 512 << 20;
/// Extents of one value read or written together (a window, not the value).
pub const EXTENT_WINDOW: usize = 8;
/// Scratch memory a `Changes` keeps between commands.
pub const SCRATCH_KEPT_BYTES_MAX: usize = 64 << 10;
/// Foreground chunk writes in flight at once.
pub const FLUSHES_IN_FLIGHT_MAX: usize = 4;
/// Age at which `everysec` closes and syncs what is buffered.
pub const FLUSH_AGE_US: u64 = 500_000;
/// Age of the oldest unflushed record at which writers wait in `everysec`.
pub const FLUSH_AGE_US_MAX: u64 = 1_000_000;
/// Longest that a write waits for room in memory while the disk takes nothing; then it is refused. (For room in the log it does not
/// wait at all then.)
pub const ROOM_WAIT_US_MAX: u64 = 2_000_000;
/// Objects one call of the policy may look at before it gives up for now.
pub const EVICTION_STEPS_MAX: usize = 256;
/// Rounds of resolve-and-recheck without key locks.
pub const ROUNDS_UNLOCKED_MAX: u32 = 2;
/// Rounds with the key locks held before the engine gives up on a key that GC keeps moving.
pub const ROUNDS_MAX: u32 = 64;
/// Records read at once by SCAN.
pub const SCAN_READS_MAX: usize = 64;
/// Index slots one background step of expiry looks at.
pub const EXPIRY_SLOTS_PER_STEP: usize = 256;
/// Bytes of a victim read at once by GC.
pub const GC_READ_BYTES: usize = 256 << 10;
/// Records one step of GC handles.
pub const GC_RECORDS_PER_STEP: usize = 64;
/// First pause before a failed log is tried again; it doubles.
pub const HEAL_RETRY_US_MIN: u64 = 100_000;
/// Longest pause before a failed log is tried again.
pub const HEAL_RETRY_US_MAX: u64 = 5_000_000;
/// Free segments that only GC may use.
pub const GC_RESERVE_SEGMENTS: usize = 3;
/// Free segments that only GC and removals may use.
pub const REMOVAL_RESERVE_SEGMENTS: usize = 4;
/// Segments kept ready (created, allocated) ahead of the foreground stream: also what bounds a group.
pub const READY_SEGMENTS: usize = 3;
/// Share of `maxdisk` that may be live before the store counts as full, in percent.
pub const DISK_LIVE_PERCENT_MAX: u64 = 90;
/// Slots one step of clearing a flushed space handles.
pub const SWEEP_SLOTS_PER_STEP: usize = 512;
/// Logical databases at most.
pub const DATABASES_MAX: u32 = 1024;
/// Keys that WATCH looks at together.
pub const WATCH_KEYS_PER_RUN: usize = 256;
/// The watched keys of one client take at most this part of `maxmemory`.
pub const WATCHED_SHARE_MAX: u64 = 4;
/// Nodes with deltas take at most this part of `maxmemory`: so much a start reads and keeps while it replays.
pub const DELTA_SHARE_MAX: u64 = 16;
/// Bytes of the largest usual node, for that share.
pub const DELTA_NODE_BYTES: u64 = 4096;
/// Segments of which one may be needed to append all nodes with deltas.
pub const SEGMENTS_PER_FLUSH: usize = 32;
/// Nodes that may have deltas, however small the memory is.
pub const DELTAS_MIN: usize = 16;
/// Leaves of an abandoned tree that are removed in one group.
pub const NODES_SWEPT_TOGETHER: usize = 16;
/// Room that the cell of a changed leaf of a list has at most: a full leaf.
pub const ROOMY_CELL_BYTES_MAX: usize = 2048 + 32;
/// Nodes of collections that one round of reads brings at most.
pub const NODES_PER_ROUND_MAX: usize = 128;
/// Rounds of reads that a command over collections may take: each brings something new, or GC has moved what was there.
pub const NODE_ROUNDS_MAX: u32 = 100_000;
/// The cold records that one command reads together take at most this part of `maxmemory`.
pub const READ_SHARE_MAX: u64 = 8;
/// Bytes of a map, checkpoint or hot-set list written at once.
pub const META_PIECE_BYTES: usize = 256 << 10;
/// Bytes of a backup or a restore copied at once.
pub const BACKUP_PIECE_BYTES: usize = 1 << 20;
/// Free segments beyond the reserves below which a backup or a snapshot gives back those that it keeps.
pub const BACKUP_ROOM_SEGMENTS: usize = 2;
/// Bytes of a backup's manifest: about 160 per segment.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// The store that a snapshot is read with takes at most this part of `maxmemory`.
pub const SNAPSHOT_SHARE_MAX: u64 = 16;
/// And may take so much, however small the memory is.
pub const SNAPSHOT_BYTES_MIN: u64 = 6 << 20;
/// What its recovery writes again, in memory: superblocks, chunks that nothing vouches for.
pub const SNAPSHOT_SHADOW_BYTES: u64 = 4 << 20;
/// The list of keys that lie apart from their trees takes at most this part of that.
pub const SNAPSHOT_MOVED_SHARE: u64 = 8;
/// Log written per byte of a map before the next one.
pub const LOG_PER_MAP_BYTE: u64 = 32;
/// Log written per byte of a checkpoint before the next one.
pub const LOG_PER_CHECKPOINT_BYTE: u64 = 16;
/// Pace of a checkpoint or a warm-up that runs beside the foreground.
pub const PACED_BYTES_PER_SECOND: u64 = 256 << 20;
/// Changes that recovery replays together, by memory (48 bytes each).
pub const REPLAY_BYTES_PER_BATCH: std::ops::RangeInclusive<u64> = 1 << 20..=96 << 20;
/// Slots that recovery collects before they go into the index, all threads together, by memory (16 bytes each).
pub const COLLECTED_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 20;
/// Slots that one thread collects for one shard at most.
pub const SLOTS_PER_HOLD_MAX: usize = 64 << 10;
/// Threads of recovery at most.
pub const RECOVERY_THREADS_MAX: usize = 16;
/// Threads of recovery per core: while one waits for the disk another computes.
pub const RECOVERY_THREADS_PER_CORE: usize = 2;
/// Hot-set list: bytes per entry in DRAM while one is read back.
pub const HOT_LIST_ENTRY_BYTES: u64 = 8;
/// Gap between two wanted records that a warm-up rather reads than skips.
pub const WARM_GAP_BYTES: u32 = 64 << 10;
/// Bytes one read of a warm-up takes at most.
pub const WARM_READ_BYTES: usize = 1 << 20;
/// Sizes of memory that the advisor keeps models of, as parts of `maxmemory`.
pub const ADVISED_SIZES: [f64; 6] = [0.25, 0.5, 0.75, 1.0, 1.5, 3.0];
/// Notes of requests for keys of the sample that wait to be taken into account.
pub const ADVISED_NOTES_MAX: usize = 4 << 10;
/// Notes taken into account in one step: about 100 us.
pub const ADVISED_NOTES_PER_STEP: usize = 256;
/// Notes per second beyond which the sample is made smaller: together below 1 % of a core.
pub const ADVISED_NOTES_PER_SECOND_MAX: usize = 20_000;
/// DRAM that the advisor takes at most.
pub const ADVISED_BYTES_MAX: u64 = 1 << 20;
/// Keys that the advisor keeps at most, each in a model of every size: together below [`ADVISED_BYTES_MAX`].
pub const ADVISED_KEYS_MAX: usize = 5 << 10;
/// With fewer bytes in the arena, commands do not look ahead for their keys.
pub const PREFETCH_BYTES_MIN: u64 = 4 << 20;
/// Read buffers kept for reuse.
pub const READ_BUFFERS_KEPT_BYTES_MAX: usize = 4 << 20;

const _: () = assert!(SEGMENT_BYTES_MIN >= 4 * BLOCK_BYTES as u64);
const _: () = assert!(RECORD_BYTES_MAX <= SEGMENT_BYTES_MAX / 4);
const _: () = assert!(REMOVAL_RESERVE_SEGMENTS > GC_RESERVE_SEGMENTS);
const _: () = assert!(FLUSH_AGE_US < FLUSH_AGE_US_MAX);

/// What an acknowledgement means, from the least to the most.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[repr(u8)]
pub enum Durability {
    /// `appendonly no`: in memory; the SSD only extends it.
    None = 0,
    /// `appendfsync no`: flushed at the log's pace.
    No = 1,
    /// `appendfsync everysec`: at most a second is lost.
    EverySecond = 2,
    /// `appendfsync always`: on the device.
    Always = 3,
}

impl Durability {
    /// Is every change logged when it happens?
    pub fn logs(self) -> bool {
        self != Durability::None
    }
}

/// What happens to growing writes when memory and disk are both full.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum EvictionPolicy {
    /// Refuse them.
    NoEviction,
    /// Drop the coldest keys.
    AllKeysLru,
    /// Drop the least used keys.
    AllKeysLfu,
    /// Drop any keys.
    AllKeysRandom,
    /// Drop the coldest keys that have a TTL.
    VolatileLru,
    /// Drop the least used keys that have a TTL.
    VolatileLfu,
    /// Drop any keys that have a TTL.
    VolatileRandom,
    /// Drop the keys that expire first.
    VolatileTtl,
}

/// How the hot set is chosen.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum TierPolicy {
    /// S3-FIFO (Yang et al., SOSP 2023).
    S3Fifo,
    /// Least recently used, approximated by a second chance.
    Lru,
}

/// What start does with damage in the middle of the log.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum RecoveryMode {
    /// Quarantine it, serve the rest, say so.
    Salvage,
    /// Refuse to start, naming file, offset and reason.
    Strict,
}

/// Options of a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// DRAM for everything, bytes.
    pub max_memory: u64,
    /// SSD for the log, bytes.
    pub max_disk: u64,
    /// Workers that will drive the store.
    pub workers: usize,
    /// What an acknowledgement means at first; `Engine::set_durability` changes it.
    pub durability: Durability,
    /// Logical databases.
    pub databases: u32,
    /// When both are full.
    pub eviction: EvictionPolicy,
    /// How the hot set is chosen.
    pub tier_policy: TierPolicy,
    /// Damage at start.
    pub recovery: RecoveryMode,
    /// Machine's RAM in bytes (index directory width); 0 = `max_memory`.
    pub machine_bytes: u64,
    /// Seed of all randomness (secret, store id, victim choice); 0 = from the clock.
    pub seed: u64,
    /// Fewest bytes of log between two maps.
    pub map_gap_bytes: u64,
    /// Fewest bytes of log between two checkpoints.
    pub checkpoint_gap_bytes: u64,
    /// The hot set is noted now and then, and read back after a restart.
    pub hot_list: bool,
    /// Seconds between two hot-set lists.
    pub hot_list_seconds: u64,
    /// A sample of the requests is kept for [`Engine::advise`](crate::Engine::advise).
    pub advise: bool,
    /// Files that may lie in the directory though they are not the store's: no note is made of them.
    pub guests: Vec<String>,
    /// A directory that holds nothing begins without a log, whatever `durability` says: whoever fills it sets that when it is full,
    /// and a crash before leaves nothing.
    pub begins_unlogged: bool,
    /// Test option: segment size in bytes instead of the rule's.
    pub segment_bytes: Option<u64>,
    /// Test option: shards of the index instead of the rule's; a power of two.
    pub shards: Option<u64>,
    /// Test option: bits kept of the index hash (64 = all).
    pub index_bits_kept: u32,
    /// Allows less than the smallest `max_memory`: for tests, and for reading a snapshot.
    pub tiny: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_memory: 256 << 20,
            max_disk: 4 << 30,
            workers: 1,
            durability: Durability::EverySecond,
            databases: 16,
            eviction: EvictionPolicy::NoEviction,
            tier_policy: TierPolicy::S3Fifo,
            recovery: RecoveryMode::Salvage,
            machine_bytes: 0,
            seed: 0,
            map_gap_bytes: 32 << 20,
            checkpoint_gap_bytes: 128 << 20,
            hot_list: true,
            hot_list_seconds: 180,
            advise: true,
            guests: Vec::new(),
            begins_unlogged: false,
            segment_bytes: None,
            shards: None,
            index_bits_kept: 64,
            tiny: false,
        }
    }
}

impl Options {
    /// The segment size for this `max_disk`: clamp(maxdisk / 256, 64 KiB, 32 MiB), a multiple of 64 KiB.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes.unwrap_or_else(|| {
            (self.max_disk / 256).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) & !(SEGMENT_BYTES_MIN - 1)
        })
    }

    /// Refuses what cannot work, with words.
    pub fn validate(&self) -> Result<()> {
        let refuse = |words: String| Err(Error::InvalidOption { words });
        if self.max_memory < MAX_MEMORY_BYTES_MIN && !self.tiny {
            return refuse(format!(
                "maxmemory is {} bytes, but at least 64mb are needed; set maxmemory to 64mb or more",
                self.max_memory
            ));
        }
        let segment = self.segment_bytes();
        if self.max_disk < SEGMENTS_MIN * segment && !self.tiny {
            return refuse(format!(
                "maxdisk is {} bytes, but at least {} segments of {} bytes are needed; set maxdisk to {} or more",
                self.max_disk,
                SEGMENTS_MIN,
                segment,
                SEGMENTS_MIN * segment
            ));
        }
        if self.databases == 0 || self.databases > DATABASES_MAX {
            return refuse(format!("databases is {}, but must be 1 to {DATABASES_MAX}", self.databases));
        }
        Ok(())
    }

    /// Bytes of all log buffers together.
    pub fn log_buffer_bytes(&self) -> usize {
        ((self.max_memory / 32) as usize).max(256 << 10)
    }

    /// Size of an ordinary chunk.
    pub fn chunk_bytes(&self) -> usize {
        let by_memory = (self.log_buffer_bytes() / 16).clamp(16 << 10, 512 << 10);
        by_memory.min(self.segment_bytes() as usize / 4) & !(BLOCK_BYTES as usize - 1)
    }

    /// Largest record, header included.
    pub fn record_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX.min(self.segment_bytes() / 4) as usize
    }

    /// Threads that recovery may use: one where a simulator must be able to repeat everything.
    pub fn recovery_threads(&self) -> usize {
        if self.tiny {
            1
        } else {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            (cores * RECOVERY_THREADS_PER_CORE).min(RECOVERY_THREADS_MAX)
        }
    }

    /// Slots that each thread of recovery collects per shard: sorted, they go into the index several to a segment.
    pub fn slots_per_hold(&self) -> usize {
        let (least, most) = COLLECTED_BYTES.into_inner();
        let bytes = (self.max_memory / 16).clamp(least, most) as usize;
        ((bytes / 16 / self.recovery_threads()) >> self.shard_bits()).clamp(64, SLOTS_PER_HOLD_MAX)
    }

    /// Changes that recovery replays together.
    pub fn replay_batch(&self) -> usize {
        let (least, most) = REPLAY_BYTES_PER_BATCH.into_inner();
        let bytes = if self.tiny { 4 << 10 } else { (self.max_memory / 8).clamp(least, most) };
        bytes as usize / 48
    }

    /// Entries of a hot-set list at most.
    pub fn hot_list_entries(&self) -> usize {
        (self.max_memory / 32 / HOT_LIST_ENTRY_BYTES) as usize
    }

    /// Shards of the index: enough for the workers, few enough that small budgets do not drown in half-empty spans.
    pub fn shard_bits(&self) -> u32 {
        let by_workers = (self.workers.max(1) * 4).next_power_of_two() as u64;
        let by_memory = (self.max_memory / (16 << 20)).max(1).next_power_of_two();
        self.shards.unwrap_or(by_workers.min(by_memory)).clamp(1, 256).trailing_zeros()
    }

    /// Base bits of the index directory: 2^10 to 2^20 segments by the larger of memory and RAM.
    pub fn base_bits(&self) -> u32 {
        if self.tiny {
            return 10;
        }
        // 8 MiB of memory per base segment: few enough that their heads stay in the cache, enough that the 23 stored bits keep
        // false matches below 0.1 % (20 M keys on a 24 GiB machine: 0.06 %).
        let bytes = self.max_memory.max(self.machine_bytes);
        (bytes >> 23).max(1).next_power_of_two().trailing_zeros().clamp(10, 20)
    }
}
