//! Recovery: from the files to an index, whatever happened before.
//!
//! 1. Superblock (newest valid), map (newest valid), and the newest checkpoint that the map is younger than.
//! 2. A look at each segment that the map does not wholly cover (scan_log.rs).
//! 3. The *base*: every record that the map calls live; from the checkpoint, and for segments that it does not know whole, or
//!    without one, from footers.
//! 4. GC copies beyond the map: the place of a version that the base had elsewhere.
//! 5. The foreground stream beyond the map, replayed in order; the first hole ends it: that is the cut.
//! 6. What counts and is perhaps only visible is written once more and synced: the superblock and the map that were read, and
//!    chunks that nothing vouches for. A checkpoint is not: if it goes, footers say the same.
//! 7. A superblock with the cuts and a next seq above all that may have been given, before anything is written.
//!
//! Equal space and equal 96-bit hash are one key. `tier-recovery strict` reads every record beyond the map instead of footers, and
//! every value that the map calls live (strict.rs), to refuse a start on damage.
//!
//! Promises: what is served is a prefix of what happened, with everything acknowledged as durable in it. Never: writes before
//! it has decided; refuses without a reason.

use crate::SpaceId;
use crate::clock::Clock;
use crate::delta::{DeltaTable, DeltaTotals};
use crate::engine::Spaces;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::index::Spare;
use crate::log::map::{self, Map, MapSegment, Pending};
use crate::log::record::{FLAG_FIRST, FLAG_LAST, Seq};
use crate::log::segment::{Segment, SegmentState};
use crate::log::superblock::{self, Cut, Superblock};
use crate::log::{checkpoint, hot_list};
use crate::options::{Durability, Options, RecoveryMode};
use crate::part::Part;
use crate::planted::{self, Bug};
use crate::shard::{Shard, SpaceIndex};
use crate::shutdown::put_superblock;
use crate::stats::RecoveryReport;
use crate::tier::base::base;
use crate::tier::deltas::RestoredNode;
use crate::tier::harden::{harden_chunks, harden_copies};
use crate::tier::maps::{MapState, Written};
use crate::tier::progress::RecoveryProgress;
use crate::tier::rebuild::Builder;
use crate::tier::reload::{checkpoint_headers, load_checkpoint};
use crate::tier::scan_log::{Depth, Found, SegmentScan};
use crate::tier::strict::{check_live, refusal};
use crate::tier::survey::Survey;
use crate::tier::tail::{Outcome, Tail, cut_of};
use crate::tier::tell::{tell_segments, tell_stream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thermocline_io::Disk;
use thermocline_memory::Region;

/// The replay tells its progress once in so many records.
const RECORDS_PER_STEP: u64 = 64;

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
    /// Nodes of collections that are not in the log as they are.
    pub(crate) nodes: Vec<RestoredNode>,
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
        deltas: &Arc<DeltaTotals>,
    ) -> Shard {
        let deltas = DeltaTable::new(deltas.clone());
        let mut shard = Shard::new(region, number as u32, options.tier_policy, shard_bits, base_bits, deltas);
        shard.spaces = self.spaces.into_iter().collect();
        shard
    }
}

/// Recovers a directory. Blocking.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    options: &Options,
    clock: &dyn Clock,
    progress: &RecoveryProgress,
    part: Part,
) -> Result<Recovered> {
    let began_us = clock.monotonic_us();
    let names: Vec<String> =
        disk.list().map_err(|e| Error::io("listing the data directory", &e))?.into_iter().map(|e| e.name).collect();
    let mut report = RecoveryReport::default();
    let mut block = match newest_superblock(&**disk, &mut report.notes)? {
        Some(block) => block,
        None => {
            // Nothing but torn superblocks: the power went while the directory was made, before anything was in it.
            if let Some(foreign) = names
                .iter()
                .find(|n| is_foreign(n, options) || is_store_file(n) && !superblock::FILES.contains(&n.as_str()))
            {
                let words = if is_store_file(foreign) {
                    let unread: String = report.notes.iter().map(|note| format!(" ({note})")).collect();
                    format!(
                        "the data directory has segments but no valid superblock{unread}; restore a backup, or move its files away to start empty"
                    )
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
    for foreign in names.iter().filter(|n| is_foreign(n, options)) {
        report.notes.push(format!("'{foreign}' in the data directory is not ours; it is left alone"));
    }
    let newest = newest_map(&**disk, block.store, &mut report.notes)?;
    if block.clean && newest.as_ref().is_none_or(|(_, map)| map.b != block.next_seq) {
        // Its last write may have been lost; an older one does not say everything.
        report.notes.push("the last shutdown was clean, but the map that it wrote is not there".into());
        block.clean = false;
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
        existing(disk, options, &block, newest, &names, report, progress, clock, part)?
    };
    recovered.report.us = clock.monotonic_us().saturating_sub(began_us);
    Ok(recovered)
}

/// Is a file of this name the store's own?
pub fn is_store_file(name: &str) -> bool {
    name.strip_prefix("segment-").is_some_and(|n| n.parse::<u32>().is_ok())
        || superblock::FILES.contains(&name)
        || map::FILES.contains(&name)
        || checkpoint::FILES.contains(&name)
        || hot_list::FILES.contains(&name)
        || name == "LOCK"
        || name == crate::backup::LINEAGE_FILE
}

fn is_foreign(name: &str, options: &Options) -> bool {
    !name.starts_with('.') && !is_store_file(name) && options.guests.iter().all(|guest| guest != name)
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
        format: superblock::FORMAT,
        store: next() as u32 | 1,
        generation: 0,
        secret: next(),
        next_seq: 1,
        durable_seq: 0,
        segment_bytes: options.segment_bytes() as u32,
        base_bits: options.base_bits() as u8,
        mode: u8::from(options.durability.logs() && !options.begins_unlogged),
        clean: false,
        next_space: 2 * options.databases,
        spaces: (0..options.databases).map(|n| SpaceId(2 * n)).collect(),
        cuts: Vec::new(),
    }
}

fn newest_superblock(disk: &dyn Disk, notes: &mut Vec<String>) -> Result<Option<Superblock>> {
    let mut newest: Option<(Superblock, &str, Vec<u8>)> = None;
    for name in superblock::FILES {
        if let Some(bytes) = read_whole(disk, name, notes)
            && let Some(block) = Superblock::decode(&bytes)?
            && newest.as_ref().is_none_or(|n| block.generation > n.0.generation)
        {
            newest = Some((block, name, bytes));
        }
    }
    let Some((block, name, bytes)) = newest else { return Ok(None) };
    harden_copies(disk, superblock::FILES, name, &bytes)?;
    Ok(Some(block))
}

/// A whole small file, `None` if there is none, or none that can be read: each is written twice, and the other copy serves.
fn read_whole(disk: &dyn Disk, name: &str, notes: &mut Vec<String>) -> Option<Vec<u8>> {
    let file = disk.open(name).ok()?;
    let read = || {
        let mut bytes = vec![0; disk.length(file)? as usize];
        let read = disk.read_at(file, 0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    let unreadable = |e: std::io::Error| notes.push(format!("{name} cannot be read: {e}; its other copy is used"));
    read().map_err(unreadable).ok()
}

/// All segments that may exist, with the files that do.
fn open_segments(
    disk: &dyn Disk,
    options: &Options,
    segment_bytes: u64,
    names: &[String],
    map: &Map,
    report: &mut RecoveryReport,
) -> Result<Box<[Segment]>> {
    let existing: Vec<u32> = names.iter().filter_map(|n| n.strip_prefix("segment-")?.parse().ok()).collect();
    let wanted: Vec<u32> = map.segments.iter().filter(|s| !s.none_live()).map(|s| s.segment).collect();
    let highest = existing.iter().chain(&wanted).max();
    let count = (options.max_disk / segment_bytes).max(highest.map_or(0, |&m| u64::from(m) + 1));
    let segments: Box<[Segment]> = (0..count).map(|_| Segment::absent()).collect();
    for id in existing.iter().copied().chain(wanted.iter().copied().filter(|id| !existing.contains(id))) {
        let name = crate::log::segment_name(id);
        let io = |what: &str| {
            let what = format!("{what} {name}");
            move |e: std::io::Error| Error::io(what, &e)
        };
        let (file, length) = match disk.open(&name) {
            Ok(file) => (file, disk.length(file).map_err(io("asking the length of"))?),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("opening")(error)),
            Err(_) if options.recovery == RecoveryMode::Strict => return Err(refusal(id, 0, "the file is missing")),
            Err(_) => (disk.create(&name, segment_bytes).map_err(io("making the missing"))?, 0),
        };
        if length < segment_bytes {
            let mut first = vec![0; crate::options::BLOCK_BYTES as usize];
            let read = disk.read_at(file, 0, &mut first).map_err(io("reading"))?;
            if first[..read].iter().all(|&b| b == 0) && !wanted.contains(&id) {
                // A crash while it was created: nothing was ever written to it.
                disk.remove(&name).map_err(io("removing the unfinished"))?;
                continue;
            }
            if options.recovery == RecoveryMode::Strict {
                return Err(refusal(id, length, "the file ends here"));
            }
            disk.truncate(file, segment_bytes).map_err(io("lengthening"))?;
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
    let nothing = Map::default();
    let segments = open_segments(&**disk, options, u64::from(block.segment_bytes), names, &nothing, &mut report)?;
    let shard_bits = options.shard_bits().min(u32::from(block.base_bits));
    let mut block = block.clone();
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
        nodes: Vec::new(),
        last_seq: 0,
        next_seq: 1,
        maps: MapState::default(),
        block,
        report,
    })
}

/// The newest map and its bytes.
fn newest_map(disk: &dyn Disk, store: u32, notes: &mut Vec<String>) -> Result<Option<(u64, Map)>> {
    let mut newest: Option<(u64, &str, Vec<u8>)> = None;
    for name in map::FILES {
        if let Some(bytes) = read_whole(disk, name, notes)
            && let Some(generation) = Map::peek(store, &bytes)
            && newest.as_ref().is_none_or(|n| generation > n.0)
        {
            newest = Some((generation, name, bytes));
        }
    }
    let Some((_, name, bytes)) = newest else { return Ok(None) };
    let Some(map) = Map::decode(store, &bytes) else { return Ok(None) };
    harden_copies(disk, map::FILES, name, &bytes)?;
    Ok(Some((bytes.len() as u64, map)))
}

#[expect(clippy::too_many_arguments, reason = "all that is known when a directory is opened")]
fn existing(
    disk: &Arc<dyn Disk>,
    options: &Options,
    block: &Superblock,
    newest: Option<(u64, Map)>,
    names: &[String],
    mut report: RecoveryReport,
    progress: &RecoveryProgress,
    clock: &dyn Clock,
    part: Part,
) -> Result<Recovered> {
    let mut step_began_us = clock.monotonic_us();
    let mut step_us = || {
        let now_us = clock.monotonic_us();
        now_us.saturating_sub(std::mem::replace(&mut step_began_us, now_us))
    };
    let segment_bytes = block.segment_bytes;
    let map_generation = newest.as_ref().map_or(0, |(_, map)| map.generation);
    let headers = checkpoint_headers(&**disk, block.store, map_generation)?;
    let depth = match &newest {
        Some(_) if block.clean => Depth::Map,
        _ if options.recovery == RecoveryMode::Strict => Depth::Blocks,
        _ => Depth::Footers,
    };
    let (map_bytes, map) = newest.unwrap_or_else(|| {
        let (next_space, spaces) = (block.next_space, block.spaces.clone());
        (0, Map { b: 1, next_space, spaces, ..Map::default() })
    });
    let segments = open_segments(&**disk, options, u64::from(segment_bytes), names, &map, &mut report)?;
    let mut spaces = Spaces { of_database: map.spaces.clone(), next: map.next_space };
    extend_databases(&mut spaces, options.databases);
    let mut builder = Builder::new(
        &**disk,
        &segments,
        segment_bytes,
        Hasher::new(block.secret, options.index_bits_kept),
        options.shard_bits().min(u32::from(block.base_bits)),
        u32::from(block.base_bits),
        options.recovery_threads(),
        (options.replay_batch(), options.slots_per_hold()),
        spaces,
        map.pending.clone(),
        part,
    );
    let mut maps = MapState {
        map: Written { generation: map.generation, b: map.b, bytes: map_bytes, log_bytes: 0 },
        checkpoint: Written { generation: headers.first().map_or(0, |h| h.1.generation), ..Written::default() },
        ..MapState::default()
    };
    let nothing = MapSegment::default();
    let survey = Survey {
        disk: &**disk,
        block,
        map: &map,
        nothing: &nothing,
        segments: &segments,
        hasher: builder.hasher,
        threads: builder.threads,
        progress,
    };
    let (mut scans, old_cuts, tail) = survey.look(depth)?;
    survey.adopt(&scans);
    report.steps.survey_us = step_us();
    if options.recovery == RecoveryMode::Strict {
        tell_segments(&scans, options, &mut report)?; // the reason first: what follows from it is told later
    }
    progress.enter("reading the checkpoint");
    let loaded = if map.generation > 0 {
        load_checkpoint(&builder, &headers, &map, progress, &mut report.checkpoint_refused)?
    } else {
        None
    };
    if let Some(loaded) = &loaded {
        maps.checkpoint = Written { b: loaded.header.b, bytes: loaded.bytes, ..maps.checkpoint };
    }
    report.clean = depth == Depth::Map && loaded.is_some();
    report.checkpoint = loaded.is_some();
    report.steps.checkpoint_us = step_us();
    progress.enter("reading footers");
    let usable = loaded.map(|l| l.usable).unwrap_or_default();
    base(&mut builder, &mut scans, &usable, block.format, progress)?;
    if options.recovery == RecoveryMode::Strict {
        check_live(&**disk, &scans, builder.threads, progress)?;
    }
    report.steps.footers_us = step_us();
    progress.enter("replaying the log");
    let mut next_seq = block.next_seq.max(map.b).max(tail.highest_seq + 1);
    let (mut last_seq, mut cuts) = (map.last_seq, Vec::new());
    if depth != Depth::Map {
        let outcome =
            replay(&mut builder, options, &map, &scans, &tail, &old_cuts, &mut last_seq, progress, &mut report)?;
        next_seq = next_seq.max(tail.highest_seq.max(last_seq) + 1);
        if scans.iter().any(|scan| scan.skipped) {
            // Void blocks that nobody looked at: what they may hold was in the buffers once.
            next_seq += 2 * (options.log_buffer_bytes() * 3 / 2 / crate::log::record::RECORD_BYTES_MIN) as u64;
        }
        cuts = merged_cuts(old_cuts, &outcome, &scans);
        settle_segments(&segments, segment_bytes, &scans);
    }
    report.steps.replay_us = step_us();
    tell_segments(&scans, options, &mut report)?;
    for &damaged in &report.quarantined {
        segments[damaged as usize].set_state(SegmentState::Quarantined);
    }
    report.keys = builder.tidy()?;
    for pending in &mut builder.pending {
        pending.intent = false; // what was not committed is swept
    }
    report.replayed = builder.replayed;
    report.lost_records += builder.deltas.lost;
    if builder.deltas.lost > 0 {
        let lost = builder.deltas.lost;
        report.notes.push(format!("{lost} nodes of collections cannot be told: changes of them are lost in the log"));
    }
    let Builder { seeds, spaces, pending, deltas, .. } = builder;
    for segment in &segments {
        segment.durable_to.store(segment_bytes, Ordering::Release);
        segment.whole_to.store(segment_bytes, Ordering::Release);
    }
    // Superblocks and maps count on their own: each alternates its two files strictly, so the newest copy is never overwritten.
    let epochs = scans.iter().map(|scan| scan.epoch).chain(map.segments.iter().map(|s| s.epoch));
    let open = Superblock {
        generation: generation_above(block.generation, epochs.max().unwrap_or(0)),
        next_seq,
        durable_seq: if planted::is(Bug::NoRecoverySync) { 0 } else { last_seq },
        mode: u8::from(options.durability != Durability::None),
        clean: false,
        next_space: spaces.next,
        spaces: spaces.of_database.clone(),
        cuts: if planted::is(Bug::ForgetCuts) { Vec::new() } else { cuts },
        ..block.clone()
    };
    put_superblock(&**disk, &open)?;
    progress.enter("open");
    Ok(Recovered {
        store: block.store,
        secret: block.secret,
        base_bits: u32::from(block.base_bits),
        segment_bytes: u64::from(segment_bytes),
        shards: seeds.into_iter().map(parking_lot::Mutex::into_inner).collect(),
        spaces,
        pending,
        nodes: deltas.into_nodes(),
        last_seq,
        next_seq,
        maps,
        block: open,
        report,
        segments,
    })
}

/// The next generation. The epochs of a life begin at it, so it lies above every epoch that an earlier one has given: those that
/// are known, and one more per segment, for what was begun since the map and left nothing at its beginning. Odd and even, and so
/// the two files, still take turns.
fn generation_above(generation: u64, epoch: u32) -> u64 {
    let next = generation + 1;
    let wanted = u64::from(epoch) + 2;
    if wanted <= next { next } else { wanted + (wanted - next) % 2 }
}

/// More databases than the directory was made with: fresh spaces for them. Fewer: the rest stays as it is.
fn extend_databases(spaces: &mut Spaces, databases: u32) {
    while spaces.of_database.len() < databases as usize {
        spaces.of_database.push(SpaceId(spaces.next));
        spaces.next += 2;
    }
}

/// GC copies, then the foreground in order, whole groups.
#[expect(clippy::too_many_arguments, reason = "one step of recovery, which knows everything")]
fn replay(
    builder: &mut Builder<'_>,
    options: &Options,
    map: &Map,
    scans: &[SegmentScan<'_>],
    tail: &Tail,
    old_cuts: &[Cut],
    last_seq: &mut Seq,
    progress: &RecoveryProgress,
    report: &mut RecoveryReport,
) -> Result<Outcome> {
    let disk = builder.disk;
    let (records, bytes) = tail.size();
    progress.expect(records, bytes);
    builder.expect(records);
    for scan in scans.iter().filter(|scan| scan.stream != 0 && scan.has_beyond()) {
        let mut copies = Vec::new();
        scan.beyond(disk, |found| {
            // What lies beyond a cut was appended again elsewhere.
            if found.entry.seq < map.b && found.entry.kind.is_value() && found.entry.offset < cut_of(old_cuts, scan) {
                copies.push(found);
            }
        })?;
        copies.iter().try_for_each(|found| builder.replay(scans, found))?;
    }
    let mut group: Vec<Found> = Vec::new();
    let until = builder.part.last_seq;
    let mut met = 0;
    let mut outcome = tail.walk(disk, scans, map.last_seq, old_cuts, |found| {
        met += 1;
        if met % RECORDS_PER_STEP == 0 {
            progress.steps(RECORDS_PER_STEP, RECORDS_PER_STEP);
        }
        if found.entry.seq > until {
            return Ok(()); // of a segment that was reused in the moment in which it should have been kept
        }
        if found.entry.flags & FLAG_FIRST != 0 {
            group.clear();
        }
        let last = found.entry.flags & FLAG_LAST != 0;
        if last && group.is_empty() {
            // Most groups are one record, and there are millions.
            builder.note_losses(scans, std::slice::from_ref(&found))?;
            builder.replay(scans, &found)?;
            *last_seq = found.entry.seq;
            return Ok(());
        }
        group.push(found);
        if last {
            builder.note_losses(scans, &group)?;
            for found in group.drain(..) {
                builder.replay(scans, &found)?;
                *last_seq = found.entry.seq;
            }
        }
        Ok(())
    })?;
    progress.steps(met % RECORDS_PER_STEP, met % RECORDS_PER_STEP);
    if planted::is(Bug::PartialGroup) {
        for found in group.drain(..) {
            builder.replay(scans, &found)?;
            *last_seq = found.entry.seq;
        }
    }
    builder.apply(scans)?;
    builder.settle_deltas(scans)?;
    let torn = builder.take_out_torn(scans)?;
    if torn > 0 {
        report.notes.push(format!(
            "{torn} nodes of collections were changed after what is lost: they are not served, their keys answer an error"
        ));
    }
    harden_chunks(builder, scans, &outcome)?;
    for found in &group {
        outcome.cut_at(found.segment, found.entry.offset); // a group may span segments
    }
    tell_stream(&outcome, options, report)?;
    report.truncated_bytes = outcome.void_bytes;
    Ok(outcome)
}

fn merged_cuts(mut cuts: Vec<Cut>, outcome: &Outcome, scans: &[SegmentScan<'_>]) -> Vec<Cut> {
    for cut in outcome.cuts(scans) {
        match cuts.iter_mut().find(|c| c.segment == cut.segment && c.epoch == cut.epoch) {
            Some(old) => old.length = old.length.min(cut.length),
            None => cuts.push(cut),
        }
    }
    cuts
}

/// States after a replay. A segment wholly covered by the map with no bit set is free. One whose last value died in the replay is
/// not: the map on the disk still names it, so it waits for the next map like any victim.
fn settle_segments(segments: &[Segment], segment_bytes: u32, scans: &[SegmentScan<'_>]) {
    for scan in scans {
        let segment = &segments[scan.segment as usize];
        if segment.state() == SegmentState::Sealed {
            segment.live.lock().seal(segment_bytes);
            let by_bits = planted::is(Bug::FreeByBits) && segment.live.lock().records == 0;
            if scan.is_dead_by_map() || by_bits {
                segment.set_state(SegmentState::Free);
            }
        }
    }
}
