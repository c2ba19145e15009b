//! Recovery: from the files to an index, whatever happened before.
//!
//! 1. Superblock (newest valid), map (newest valid), and - after a clean shutdown - the checkpoint: done.
//! 2. Otherwise the *base*: every record that the map calls live, from footers, or from the records where there is none.
//! 3. GC copies beyond the map: the place of a version that the base had elsewhere.
//! 4. The foreground stream beyond the map, replayed in order; the first hole ends it: that is the cut.
//! 5. A superblock with the cuts and a next seq above all seen, before anything is written.
//!
//! Equal space and equal 96-bit hash are one key. While it runs, a table from place to hash proves slots (the index knows 38
//! bits or so); it is dropped at the end.
//!
//! Promises: what is served is a prefix of what happened, with everything acknowledged as durable in it. Never: writes before
//! it has decided; refuses without a reason.

use crate::SpaceId;
use crate::clock::Clock;
use crate::engine::Spaces;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::index::Spare;
use crate::log::checkpoint;
use crate::log::map::{self, Map, MapSegment, Pending};
use crate::log::record::{FLAG_FIRST, FLAG_LAST, Seq};
use crate::log::segment::{Live, Segment, SegmentState, raise};
use crate::log::superblock::{self, Cut, Superblock};
use crate::options::{Durability, Options, RecoveryMode};
use crate::planted::{self, Bug};
use crate::shard::{Shard, SpaceIndex};
use crate::shutdown::put_superblock;
use crate::stats::RecoveryReport;
use crate::tier::maps::MapState;
use crate::tier::rebuild::{Builder, Proofs};
use crate::tier::reload::{load_checkpoint, restore_live};
use crate::tier::scan_log::{Found, SegmentScan, Tail};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::Disk;
use thermocline_memory::Region;

/// Everything that opening needs.
pub(crate) struct Recovered {
    pub(crate) store: u32,
    pub(crate) secret: u64,
    pub(crate) base_bits: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) segments: Box<[Segment]>,
    pub(crate) shards: Vec<ShardSeed>,
    pub(crate) spaces: Spaces,
    pub(crate) pending: Vec<Pending>,
    pub(crate) last_seq: Seq,
    pub(crate) next_seq: Seq,
    pub(crate) maps: MapState,
    /// The newest superblock on the disk.
    pub(crate) block: Superblock,
    pub(crate) report: RecoveryReport,
}

/// A shard's indexes before the shard exists.
#[derive(Default)]
pub(crate) struct ShardSeed {
    pub(crate) spaces: Vec<SpaceIndex>,
    pub(crate) spare: Spare,
}

impl ShardSeed {
    /// The shard.
    pub(crate) fn into_shard(
        self,
        region: &Arc<Region>,
        number: usize,
        options: &Options,
        shard_bits: u32,
        base_bits: u32,
    ) -> Shard {
        let mut shard = Shard::new(region, number as u32, options.tier_policy, shard_bits, base_bits);
        shard.spaces = self.spaces.into_iter().collect();
        shard
    }
}

/// Recovers a directory. Blocking.
pub(crate) fn recover(disk: &Arc<dyn Disk>, options: &Options, clock: &dyn Clock) -> Result<Recovered> {
    let began_us = clock.monotonic_us();
    let names: Vec<String> =
        disk.list().map_err(|e| Error::io("listing the data directory", &e))?.into_iter().map(|e| e.name).collect();
    let mut report = RecoveryReport::default();
    let block = match newest_superblock(&**disk)? {
        Some(block) => block,
        None => {
            // Nothing but torn superblocks: the power went while the directory was made, before anything was in it.
            if let Some(foreign) =
                names.iter().find(|n| !n.starts_with('.') && !superblock::FILES.contains(&n.as_str()))
            {
                let words = if is_ours(foreign) {
                    "the data directory has segments but no valid superblock; restore a backup, or move its files away to start empty".into()
                } else {
                    format!(
                        "the data directory holds '{foreign}', which is not ours; choose an empty `dir`, or move the file away"
                    )
                };
                return Err(Error::Format { words });
            }
            report.fresh = true;
            fresh_superblock(options, clock)
        }
    };
    for foreign in names.iter().filter(|n| !n.starts_with('.') && !is_ours(n)) {
        report.notes.push(format!("'{foreign}' in the data directory is not ours; it is left alone"));
    }
    let mut recovered = if !report.fresh && block.mode == 0 && !block.clean {
        report.emptied = true;
        report.notes.push("`appendonly no` and the last shutdown was not clean: the store starts empty".into());
        let fresh = Superblock {
            generation: block.generation,
            segment_bytes: block.segment_bytes,
            ..fresh_superblock(options, clock)
        };
        blank(disk, options, &fresh, &names, report)?
    } else if report.fresh {
        blank(disk, options, &block, &names, report)?
    } else {
        existing(disk, options, &block, &names, report)?
    };
    recovered.report.us = clock.monotonic_us().saturating_sub(began_us);
    Ok(recovered)
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix("segment-").is_some_and(|n| n.parse::<u32>().is_ok())
        || superblock::FILES.contains(&name)
        || map::FILES.contains(&name)
        || checkpoint::FILES.contains(&name)
        || name == "LOCK"
}

fn fresh_superblock(options: &Options, clock: &dyn Clock) -> Superblock {
    let mut seed = options.seed;
    if seed == 0 {
        seed = clock.now_ms().wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ clock.monotonic_us()
            ^ u64::from(std::process::id()) << 32;
        // The address of a fresh allocation adds what the clock does not have.
        seed ^= (&raw const seed as usize as u64).rotate_left(17);
    }
    let mut next = || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    Superblock {
        store: next() as u32 | 1,
        generation: 0,
        secret: next(),
        next_seq: 1,
        segment_bytes: options.segment_bytes() as u32,
        base_bits: options.base_bits() as u8,
        mode: u8::from(options.durability.logs()),
        clean: false,
        next_space: 2 * options.databases,
        spaces: (0..options.databases).map(|n| SpaceId(2 * n)).collect(),
        cuts: Vec::new(),
    }
}

fn newest_superblock(disk: &dyn Disk) -> Result<Option<Superblock>> {
    let mut newest: Option<Superblock> = None;
    for name in superblock::FILES {
        if let Some(bytes) = read_whole(disk, name)?
            && let Some(block) = Superblock::decode(&bytes)?
            && newest.as_ref().is_none_or(|n| block.generation > n.generation)
        {
            newest = Some(block);
        }
    }
    if let Some(block) = &newest {
        harden(disk, block.file_name(), &block.encode())?;
    }
    Ok(newest)
}

/// Writes what was read once more, durably: an earlier life may have died before, or after a failed, sync of it, and what is
/// decided now stands on it.
fn harden(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<()> {
    if planted::is(Bug::NoRecoverySync) {
        return Ok(());
    }
    let file = disk.open(name).map_err(|e| Error::io(format!("opening {name}"), &e))?;
    disk.write_at(file, 0, bytes)
        .and_then(|()| disk.sync(file))
        .map_err(|e| Error::io(format!("writing {name} again"), &e))
}

/// A whole small file, `None` if it does not exist.
fn read_whole(disk: &dyn Disk, name: &str) -> Result<Option<Vec<u8>>> {
    let Ok(file) = disk.open(name) else { return Ok(None) };
    let io = |e: std::io::Error| Error::io(format!("reading {name}"), &e);
    let mut bytes = vec![0; disk.length(file).map_err(io)? as usize];
    let read = disk.read_at(file, 0, &mut bytes).map_err(io)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// All segments that may exist, with the files that do.
fn open_segments(
    disk: &dyn Disk,
    options: &Options,
    segment_bytes: u64,
    names: &[String],
    report: &mut RecoveryReport,
) -> Result<Box<[Segment]>> {
    let existing: Vec<u32> = names.iter().filter_map(|n| n.strip_prefix("segment-")?.parse().ok()).collect();
    let count = (options.max_disk / segment_bytes).max(existing.iter().max().map_or(0, |&m| u64::from(m) + 1));
    let segments: Box<[Segment]> = (0..count).map(|_| Segment::absent()).collect();
    for id in existing {
        let name = crate::log::segment_name(id);
        let file = disk.open(&name).map_err(|e| Error::io(format!("opening {name}"), &e))?;
        let length = disk.length(file).map_err(|e| Error::io(format!("asking the length of {name}"), &e))?;
        if length < segment_bytes {
            let mut first = vec![0; crate::options::BLOCK_BYTES as usize];
            let read = disk.read_at(file, 0, &mut first).map_err(|e| Error::io(format!("reading {name}"), &e))?;
            if first[..read].iter().all(|&b| b == 0) {
                // A crash while it was created: nothing was ever written to it.
                disk.remove(&name).map_err(|e| Error::io(format!("removing the unfinished {name}"), &e))?;
                continue;
            }
            disk.truncate(file, segment_bytes).map_err(|e| Error::io(format!("lengthening {name}"), &e))?;
            report.notes.push(format!("{name} was cut short at {length} bytes: what lay behind is lost"));
            report.quarantined.push(id);
        }
        segments[id as usize].set_file(file);
        segments[id as usize].set_state(SegmentState::Free);
    }
    Ok(segments)
}

fn blank(
    disk: &Arc<dyn Disk>,
    options: &Options,
    block: &Superblock,
    names: &[String],
    report: RecoveryReport,
) -> Result<Recovered> {
    let mut report = report;
    let segments = open_segments(&**disk, options, u64::from(block.segment_bytes), names, &mut report)?;
    let shard_bits = options.shard_bits().min(u32::from(block.base_bits));
    let mut block = block.clone();
    block.generation += 1;
    put_superblock(&**disk, &block)?;
    // The other copy must not be of another store.
    block.generation += 1;
    put_superblock(&**disk, &block)?;
    Ok(Recovered {
        store: block.store,
        secret: block.secret,
        base_bits: u32::from(block.base_bits),
        segment_bytes: u64::from(block.segment_bytes),
        segments,
        shards: (0..1 << shard_bits).map(|_| ShardSeed::default()).collect(),
        spaces: Spaces { of_database: block.spaces.clone(), next: block.next_space },
        pending: Vec::new(),
        last_seq: 0,
        next_seq: 1,
        maps: MapState::default(),
        block,
        report,
    })
}

fn newest_map(disk: &dyn Disk, store: u32) -> Result<(Option<Map>, u64)> {
    let mut newest: Option<(Map, &str, Vec<u8>)> = None;
    for name in map::FILES {
        if let Some(bytes) = read_whole(disk, name)?
            && let Some(map) = Map::decode(store, &bytes)
            && newest.as_ref().is_none_or(|n| map.generation > n.0.generation)
        {
            newest = Some((map, name, bytes));
        }
    }
    let Some((map, name, bytes)) = newest else { return Ok((None, 0)) };
    harden(disk, name, &bytes)?;
    let generation = map.generation;
    Ok((Some(map), generation))
}

fn existing(
    disk: &Arc<dyn Disk>,
    options: &Options,
    block: &Superblock,
    names: &[String],
    mut report: RecoveryReport,
) -> Result<Recovered> {
    let segment_bytes = block.segment_bytes;
    let segments = open_segments(&**disk, options, u64::from(segment_bytes), names, &mut report)?;
    let (newest, map_generation) = newest_map(&**disk, block.store)?;
    let no_map = newest.is_none();
    let map = newest.unwrap_or_else(|| Map {
        b: 1,
        next_space: block.next_space,
        spaces: block.spaces.clone(),
        ..Map::default()
    });
    let shard_bits = options.shard_bits().min(u32::from(block.base_bits));
    let mut builder = Builder {
        segments: &segments,
        segment_bytes,
        hasher: Hasher::new(block.secret, options.index_bits_kept),
        shard_bits,
        base_bits: u32::from(block.base_bits),
        seeds: (0..1 << shard_bits).map(|_| ShardSeed::default()).collect(),
        proofs: Proofs::default(),
        spaces: Spaces { of_database: map.spaces.clone(), next: map.next_space },
        pending: map.pending.clone(),
    };
    extend_databases(&mut builder.spaces, options.databases);
    let mut last_seq = map.last_seq;
    let mut next_seq = block.next_seq.max(map.b);
    let mut cuts = Vec::new();
    if block.clean && !no_map && load_checkpoint(&**disk, block.store, &map, &mut builder)? {
        report.clean = true;
        restore_live(&segments, segment_bytes, &map);
    } else {
        let replayed = replay(&**disk, options, block, &map, &segments, &mut builder, &mut report)?;
        last_seq = replayed.last_seq;
        next_seq = next_seq.max(replayed.next_seq);
        cuts = replayed.cuts;
    }
    builder.drop_unnamed_spaces();
    for pending in &mut builder.pending {
        pending.intent = false; // what was not committed is swept
    }
    let (seeds, spaces, pending) = (builder.seeds, builder.spaces, builder.pending);
    report.keys = seeds.iter().flat_map(|s| &s.spaces).map(|s| s.index.len()).sum();
    for segment in &segments {
        segment.durable_to.store(segment_bytes, Ordering::Release);
    }
    // Superblocks and maps count on their own: each alternates its two files strictly, so the newest copy is never overwritten.
    let open = Superblock {
        generation: block.generation + 1,
        next_seq,
        mode: u8::from(options.durability != Durability::None),
        clean: false,
        next_space: spaces.next,
        spaces: spaces.of_database.clone(),
        cuts: if planted::is(Bug::ForgetCuts) { Vec::new() } else { cuts },
        ..block.clone()
    };
    put_superblock(&**disk, &open)?;
    Ok(Recovered {
        store: block.store,
        secret: block.secret,
        base_bits: u32::from(block.base_bits),
        segment_bytes: u64::from(segment_bytes),
        shards: seeds,
        spaces,
        pending,
        last_seq,
        next_seq,
        maps: MapState { generation: map_generation, ..MapState::default() },
        block: open,
        report,
        segments,
    })
}

/// More databases than the directory was made with: fresh spaces for them. Fewer: the rest stays as it is.
fn extend_databases(spaces: &mut Spaces, databases: u32) {
    while spaces.of_database.len() < databases as usize {
        spaces.of_database.push(SpaceId(spaces.next));
        spaces.next += 2;
    }
}

struct Replayed {
    last_seq: Seq,
    next_seq: Seq,
    cuts: Vec<Cut>,
}

/// Base, GC copies, foreground tail.
fn replay(
    disk: &dyn Disk,
    options: &Options,
    block: &Superblock,
    map: &Map,
    segments: &[Segment],
    builder: &mut Builder<'_>,
    report: &mut RecoveryReport,
) -> Result<Replayed> {
    let nothing = MapSegment::default();
    let mut tail = Tail::default();
    let mut scans = Vec::new();
    for (id, segment) in segments.iter().enumerate() {
        let Some(file) = segment.file() else { continue };
        let entry = map.segments.iter().find(|s| s.segment == id as u32).unwrap_or(&nothing);
        let scan = SegmentScan::open(disk, block.store, id as u32, file, builder.segment_bytes, entry, builder.hasher)?;
        segment.set_epoch(scan.epoch);
        if scan.has_records() {
            segment.set_state(SegmentState::Sealed);
            segment.used.store(scan.used, Ordering::Release);
            segment.stream.store(scan.stream, Ordering::Release);
            raise(&segment.max_seq, scan.max_seq);
            *segment.live.lock() = Live::restore(4, builder.segment_bytes);
        }
        tail.collect(&scan);
        scans.push(scan);
    }
    // The base.
    for scan in &mut scans {
        if scan.any_covered_live() {
            for entry in scan.covered_live(disk)? {
                builder.put(scan.segment, &entry);
            }
        }
    }
    // GC copies of what was written before B.
    for scan in &scans {
        if scan.stream != 0 && scan.has_beyond() {
            for found in scan.beyond(disk)? {
                // What lies beyond a cut was appended again elsewhere.
                let void = block
                    .cuts
                    .iter()
                    .any(|c| c.segment == scan.segment && c.epoch == scan.epoch && found.entry.offset >= c.length);
                if found.entry.seq < map.b && found.entry.kind.is_value() && !void {
                    builder.put(scan.segment, &found.entry);
                    report.replayed += 1;
                }
            }
        }
    }
    // The foreground, in order, whole groups.
    let old_cuts: Vec<Cut> = block
        .cuts
        .iter()
        .filter(|c| {
            scans.iter().any(|s| s.segment == c.segment && s.epoch == c.epoch && s.covered < builder.segment_bytes)
        })
        .copied()
        .collect();
    let mut group: Vec<Found> = Vec::new();
    let mut applied_seq = map.last_seq;
    let mut outcome = tail.walk(disk, &scans, map.last_seq, &old_cuts, |found| {
        if found.entry.flags & FLAG_FIRST != 0 {
            group.clear();
        }
        let last = found.entry.flags & FLAG_LAST != 0;
        group.push(found);
        if last {
            for found in group.drain(..) {
                builder.replay(&found);
                applied_seq = found.entry.seq;
                report.replayed += 1;
            }
        }
    })?;
    if !planted::is(Bug::NoRecoverySync) {
        tail.harden(disk, &scans)?;
    }
    if planted::is(Bug::PartialGroup) {
        for found in group.drain(..) {
            builder.replay(&found);
            applied_seq = found.entry.seq;
        }
    }
    for found in &group {
        outcome.cut_at(found.segment, found.entry.offset); // a group may span segments
    }
    for damage in &outcome.damage {
        if options.recovery == RecoveryMode::Strict {
            return Err(Error::Format {
                words: format!(
                    "{} is damaged at offset {} (tier-recovery strict); start with tier-recovery salvage to serve the rest",
                    crate::log::segment_name(damage.segment),
                    damage.offset
                ),
            });
        }
        report.quarantined.push(damage.segment);
        report.notes.push(format!(
            "{} is damaged at offset {}: what it held is quarantined",
            crate::log::segment_name(damage.segment),
            damage.offset
        ));
    }
    report.truncated_bytes = outcome.void_bytes;
    let mut cuts = old_cuts;
    for cut in outcome.cuts(&scans) {
        match cuts.iter_mut().find(|c| c.segment == cut.segment && c.epoch == cut.epoch) {
            Some(old) => old.length = old.length.min(cut.length),
            None => cuts.push(cut),
        }
    }
    for segment in segments {
        if segment.state() == SegmentState::Sealed {
            segment.live.lock().seal(builder.segment_bytes);
        }
    }
    // A segment wholly covered by the map with no bit set is free. One whose last value died in the replay is not: the map on
    // the disk still names it, so it waits for the next map like any victim.
    for scan in &scans {
        let segment = &segments[scan.segment as usize];
        let by_bits = planted::is(Bug::FreeByBits) && segment.live.lock().records == 0;
        if segment.state() == SegmentState::Sealed && (scan.is_dead_by_map() || by_bits) {
            segment.set_state(SegmentState::Free);
        }
        if report.quarantined.contains(&scan.segment) {
            segment.set_state(SegmentState::Quarantined);
        }
    }
    Ok(Replayed { last_seq: applied_seq, next_seq: tail.highest_seq.max(applied_seq) + 1, cuts })
}
