//! Numbers for INFO, metrics and reports.
//!
//! Promises: counters only grow (until reset); gauges are read where they are. Never: a number computed twice in two ways.

use crate::SpaceId;
use crate::engine::Engine;
use crate::shard::Counts;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the engine.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) promotions: AtomicU64,
    pub(crate) demotions: AtomicU64,
    pub(crate) evictions: AtomicU64,
    /// Removed in the background; [`crate::shard::Counts`] has the others.
    pub(crate) expired: AtomicU64,
    pub(crate) cold_reads: AtomicU64,
    pub(crate) false_matches: AtomicU64,
    pub(crate) cold_read_bytes: AtomicU64,
    pub(crate) gc_read_bytes: AtomicU64,
    pub(crate) gc_segments: AtomicU64,
    pub(crate) maps: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    /// Delta records appended.
    pub(crate) deltas: AtomicU64,
    pub(crate) corrupt_records: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) heals: AtomicU64,
    pub(crate) write_waits: AtomicU64,
    pub(crate) longest_read_us: AtomicU64,
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Every number the engine tells.
        #[derive(Clone, Debug, Default)]
        #[expect(missing_docs, reason = "the names are the documentation: each is a field of INFO tier, see docs/GLOSSARY.md")]
        pub struct Stats { $(pub $name: u64),* }

        impl Stats {
            /// All names and values, in order.
            pub fn fields(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

stats! {
    hot_keys,
    cold_keys,
    keys,
    hot_bytes,
    cold_bytes,
    arena_bytes,
    arena_limit_bytes,
    index_bytes,
    log_buffer_bytes,
    memory_bytes,
    max_memory,
    disk_used,
    disk_live,
    disk_limit,
    segments,
    segments_free,
    segments_quarantined,
    record_bytes_appended,
    device_bytes_written,
    padding_bytes,
    meta_bytes_written,
    gc_bytes_copied,
    gc_bytes_read,
    gc_segments_freed,
    maps_written,
    map_bytes,
    map_seq,
    map_age_log_bytes,
    checkpoints_written,
    checkpoint_bytes,
    checkpoint_seq,
    checkpoint_age_log_bytes,
    hot_list_bytes,
    delta_records,
    delta_nodes,
    warm_up_entries,
    warm_up_done,
    warm_up_promoted,
    hot_hits,
    cold_hits,
    misses,
    cold_reads,
    cold_read_bytes,
    false_matches,
    blocking_reads,
    promotions,
    demotions,
    evictions,
    expired_keys,
    changes,
    corrupt_records,
    write_waits,
    log_heals,
    flushes,
    flush_us_sum,
    flush_us_max,
    commits,
    commit_us_p50,
    commit_us_p99,
    longest_device_io_us,
    last_seq,
    watermark,
    recovery_truncated_bytes,
    recovery_records_replayed,
    recovery_us,
    recovery_survey_us,
    recovery_checkpoint_us,
    recovery_footers_us,
    recovery_replay_us,
    recovery_keys,
    recovery_quarantined_segments,
    recovery_checkpoint_used,
}

impl Stats {
    /// Device bytes written per byte of records appended, in thousandths.
    pub fn write_amplification_milli(&self) -> u64 {
        (self.device_bytes_written * 1000).checked_div(self.record_bytes_appended).unwrap_or(0)
    }

    /// Reads per cold GET, in thousandths.
    pub fn reads_per_cold_get_milli(&self) -> u64 {
        (self.cold_reads * 1000).checked_div(self.cold_hits).unwrap_or(0)
    }

    /// Bytes read per cold GET.
    pub fn bytes_per_cold_get(&self) -> u64 {
        self.cold_read_bytes.checked_div(self.cold_hits).unwrap_or(0)
    }
}

/// What start found.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The directory was new.
    pub fresh: bool,
    /// The last shutdown was clean and the checkpoint was used.
    pub clean: bool,
    /// A checkpoint was used.
    pub checkpoint: bool,
    /// A checkpoint was there, but did not agree with the map or its own checksums.
    pub checkpoint_refused: bool,
    /// `appendonly no` after a crash: the store starts empty.
    pub emptied: bool,
    /// Bytes cut from the torn tail.
    pub truncated_bytes: u64,
    /// Records replayed.
    pub replayed: u64,
    /// Keys in the index.
    pub keys: u64,
    /// Segments with damage.
    pub quarantined: Vec<u32>,
    /// Records that damage took and whose keys nobody can name: at most so many.
    pub lost_records: u64,
    /// Notes for the log: foreign files, damage.
    pub notes: Vec<String>,
    /// Time it took.
    pub us: u64,
    /// Of that, the steps.
    pub steps: RecoverySteps,
}

/// How long the steps of a start took, in microseconds; a step that a start does without takes next to nothing.
#[derive(Copy, Clone, Debug, Default)]
pub struct RecoverySteps {
    /// The look at all segments.
    pub survey_us: u64,
    /// The checkpoint, copied back.
    pub checkpoint_us: u64,
    /// Footers of what the map calls live and the checkpoint does not know.
    pub footers_us: u64,
    /// The log behind the map.
    pub replay_us: u64,
}

impl RecoveryReport {
    /// The store begins empty: there was nothing, or nothing that a crash has left.
    pub fn holds_nothing(&self) -> bool {
        self.fresh || self.emptied
    }
}

/// What a shutdown did.
#[derive(Copy, Clone, Debug, Default)]
pub struct CloseReport {
    /// Keys in the checkpoint.
    pub keys: u64,
    /// Dirty values flushed.
    pub flushed: u64,
    /// Time it took.
    pub us: u64,
}

impl Engine {
    /// All numbers, now. O(shards + segments).
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        let c = &inner.counters;
        let log = &inner.log.counters;
        let mut s = Stats::default();
        for shard in &inner.shards {
            let shard = shard.lock();
            s.hot_keys += shard.policy.objects() as u64;
            s.hot_bytes += shard.heap.used_bytes();
            s.index_bytes += shard.memory_bytes();
            s.keys += shard.spaces.iter().map(|x| x.index.len()).sum::<u64>();
            s.hot_hits += shard.counts.hot_hits;
            s.cold_hits += shard.counts.cold_hits;
            s.misses += shard.counts.misses;
            s.expired_keys += shard.counts.expired;
            s.changes += shard.counts.changes;
            s.delta_nodes += shard.deltas.len() as u64;
        }
        s.cold_keys = s.keys - s.hot_keys.min(s.keys);
        s.arena_bytes = inner.region.used_bytes();
        s.arena_limit_bytes = inner.region.limit_bytes();
        s.log_buffer_bytes = inner.log.memory_bytes() as u64;
        s.memory_bytes = s.arena_bytes + s.index_bytes + s.log_buffer_bytes + inner.read_buffers.kept_bytes() as u64;
        s.max_memory = get(&inner.max_memory);
        let segment_bytes = u64::from(inner.log.segment_bytes);
        for meta in &inner.log.segments {
            use crate::log::segment::SegmentState as State;
            match meta.state() {
                State::Absent => {}
                State::Free => s.segments_free += 1,
                State::Quarantined => {
                    s.segments += 1;
                    s.segments_quarantined += 1;
                }
                _ => s.segments += 1,
            }
        }
        s.disk_used = s.segments * segment_bytes;
        s.disk_live = get(&inner.log.live_bytes);
        s.disk_limit = inner.log.segments.len() as u64 * segment_bytes;
        s.cold_bytes = s.disk_live;
        s.record_bytes_appended = get(&log.record_bytes);
        s.padding_bytes = get(&log.padding_bytes);
        s.meta_bytes_written = get(&log.meta_bytes);
        s.device_bytes_written = get(&log.chunk_bytes) + s.meta_bytes_written;
        s.gc_bytes_copied = get(&log.gc_bytes);
        s.gc_bytes_read = get(&c.gc_read_bytes);
        s.gc_segments_freed = get(&c.gc_segments);
        s.maps_written = get(&c.maps);
        s.checkpoints_written = get(&c.checkpoints);
        s.delta_records = get(&c.deltas);
        let log_bytes = get(&log.log_bytes);
        {
            let maps = inner.maps.lock();
            (s.map_bytes, s.map_seq) = (maps.map.bytes, maps.map.b);
            s.map_age_log_bytes = log_bytes - maps.map.log_bytes;
            (s.checkpoint_bytes, s.checkpoint_seq) = (maps.checkpoint.bytes, maps.checkpoint.b);
            s.checkpoint_age_log_bytes = log_bytes - maps.checkpoint.log_bytes;
            s.hot_list_bytes = maps.hot_list.bytes;
        }
        s.warm_up_entries = get(&inner.warm.entries);
        s.warm_up_done = get(&inner.warm.done);
        s.warm_up_promoted = get(&inner.warm.promoted);
        s.cold_reads = get(&c.cold_reads);
        s.false_matches = get(&c.false_matches);
        s.cold_read_bytes = get(&c.cold_read_bytes);
        s.promotions = get(&c.promotions);
        s.demotions = get(&c.demotions);
        s.evictions = get(&c.evictions);
        s.expired_keys += get(&c.expired);
        s.corrupt_records = get(&c.corrupt_records);
        s.write_waits = get(&c.write_waits);
        s.log_heals = get(&c.heals);
        s.flushes = get(&log.flushes);
        s.flush_us_sum = get(&log.flush_us_sum);
        s.flush_us_max = get(&log.flush_us_max);
        s.commits = log.commit_us.count();
        s.commit_us_p50 = log.commit_us.percentile(50);
        s.commit_us_p99 = log.commit_us.percentile(99);
        s.longest_device_io_us = get(&c.longest_read_us).max(s.flush_us_max);
        s.last_seq = inner.log.last_seq();
        s.watermark = inner.log.watermark();
        s.recovery_truncated_bytes = inner.recovery.truncated_bytes;
        s.recovery_records_replayed = inner.recovery.replayed;
        s.recovery_us = inner.recovery.us;
        let steps = inner.recovery.steps;
        s.recovery_survey_us = steps.survey_us;
        s.recovery_checkpoint_us = steps.checkpoint_us;
        s.recovery_footers_us = steps.footers_us;
        s.recovery_replay_us = steps.replay_us;
        s.recovery_keys = inner.recovery.keys;
        s.recovery_quarantined_segments = inner.recovery.quarantined.len() as u64;
        s.recovery_checkpoint_used = u64::from(inner.recovery.checkpoint);
        s
    }

    /// Resets the counters that CONFIG RESETSTAT resets.
    pub fn reset_stats(&self) {
        let c = &self.inner.counters;
        let log = &self.inner.log.counters;
        for counter in [
            &c.promotions,
            &c.demotions,
            &c.evictions,
            &c.expired,
            &c.cold_reads,
            &c.false_matches,
            &c.cold_read_bytes,
            &c.gc_read_bytes,
            &c.write_waits,
            &c.longest_read_us,
            &log.flush_us_max,
            &log.flush_us_sum,
            &log.flushes,
            &log.record_bytes,
            &log.chunk_bytes,
            &log.padding_bytes,
            &log.meta_bytes,
            &log.gc_bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        log.commit_us.reset();
        for shard in &self.inner.shards {
            let counts = &mut shard.lock().counts;
            *counts = Counts { changes: counts.changes, ..Counts::default() };
        }
    }

    /// Exact number of keys of a space.
    pub fn length(&self, space: SpaceId) -> u64 {
        self.inner.shards.iter().map(|s| s.lock().space(space).map_or(0, |x| x.index.len())).sum()
    }

    /// Keys of a space that have a TTL.
    pub fn expiring(&self, space: SpaceId) -> u64 {
        self.inner.shards.iter().map(|s| s.lock().space(space).map_or(0, |x| x.expiring)).sum()
    }
}
