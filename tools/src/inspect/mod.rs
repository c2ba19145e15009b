//! `thermocline inspect`: what is in a directory, by the map, the footers, and the records where there is no footer.
//!
//! Liveness is what the newest map says; records newer than the map are counted apart. After a clean shutdown there are none,
//! and the numbers are exact.
//!
//! Promises: one segment at a time; a segment that cannot be read is said, not fatal. Never: checks for damage (`verify` does).

mod histogram;
mod html;
mod keys;
mod report;

use crate::directory::Directory;
use crate::segment::{SegmentFile, footer_only};
use crate::{Target, print, progress};
use anyhow::{Context, Result};
use clap::Args;
use histogram::{Sizes, Ttls};
use keys::Gatherer;
use report::{DatabaseRow, GenerationRow, KindRow, Report, SegmentRow, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use thermocline::log::map::MapSegment;
use thermocline::log::record::{RecordKind, Seq, padded};
use thermocline::log::superblock::{FORMAT, Superblock};
use thermocline::log::walk::Step;
use thermocline::log::{FOREGROUND, segment_name};
use thermocline::{Clock, Kind, SpaceId, SystemClock};

/// What `inspect` takes.
#[derive(Args)]
pub struct InspectArgs {
    #[command(flatten)]
    target: Target,
    /// Read every record, and tell bytes per prefix (hot and cold) and the largest keys.
    #[arg(long)]
    keys: bool,
    /// Where a prefix ends.
    #[arg(long, value_name = "TEXT", default_value = ":", requires = "keys")]
    delimiter: String,
    /// Write the report with plots to this file, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Gathers and prints.
pub fn run(args: &InspectArgs) -> Result<ExitCode> {
    let target = &args.target;
    let report = inspect(args)?;
    if let Some(path) = &args.html {
        #[expect(clippy::disallowed_methods, reason = "not a file of the store")]
        std::fs::write(path, html::page(&report)).with_context(|| format!("writing {}", path.display()))?;
    }
    if target.json {
        print::json(&report)?
    } else {
        print::text(&report.words(target.limit))?
    }
    Ok(ExitCode::SUCCESS)
}

/// What is counted of a record.
struct Item {
    offset: u32,
    bytes: u32,
    kind: RecordKind,
    seq: Seq,
    space: SpaceId,
    expiry: Option<u64>,
}

/// What a segment turned out to be.
struct Found {
    epoch: u32,
    stream: u8,
    sealed: bool,
    items: Vec<Item>,
}

struct Totals<'d> {
    directory: &'d Directory,
    kinds: BTreeMap<u8, KindRow>,
    sizes: Sizes,
    ttls: Ttls,
    databases: BTreeMap<Option<usize>, DatabaseRow>,
    beyond_map: u64,
    notes: Vec<String>,
    spaces: BTreeMap<SpaceId, usize>,
    generations: BTreeMap<u8, GenerationRow>,
    keys: Option<Gatherer>,
}

fn inspect(args: &InspectArgs) -> Result<Report> {
    let directory = Directory::open(&args.target.directory)?;
    let block = directory.need_superblock()?;
    let map = directory.map.as_ref();
    let of_database = map.map_or(&block.spaces, |map| &map.spaces);
    let mut totals = Totals {
        directory: &directory,
        kinds: BTreeMap::new(),
        sizes: Sizes::default(),
        ttls: Ttls::at(SystemClock::new().now_ms()),
        databases: BTreeMap::new(),
        beyond_map: 0,
        notes: directory.foreign.iter().map(|name| format!("'{name}' is not ours")).collect(),
        generations: BTreeMap::new(),
        keys: args.keys.then(|| Gatherer::new(&directory, block, &args.delimiter)),
        spaces: of_database.iter().enumerate().map(|(database, &space)| (space, database)).collect(),
    };
    if block.mode == 0 && !block.clean {
        totals.notes.push("`appendonly no` and the last shutdown was not clean: the store starts empty".into());
    }
    let bar = progress::bar("inspect", directory.segments.iter().map(|(_, bytes)| bytes).sum());
    let mut segments = Vec::new();
    for &(id, bytes) in &directory.segments {
        segments.push(totals.segment(block, id, bytes));
        bar.inc(bytes);
    }
    bar.finish_and_clear();
    Ok(Report {
        directory: directory.path.display().to_string(),
        store: Store {
            format: FORMAT,
            id: block.store,
            mode: if block.mode == 0 { "appendonly no" } else { "logged" },
            clean_shutdown: block.clean,
            superblock_generation: block.generation,
            map_generation: map.map(|map| map.generation),
            map_b: map.map(|map| map.b),
            next_seq: block.next_seq,
            segment_bytes: block.segment_bytes,
            cuts: block.cuts.len(),
            databases: of_database.len(),
            unfinished_large_values: map.map_or(0, |map| map.pending.len()),
        },
        segments,
        generations: totals.generations.into_values().collect(),
        keys: totals.keys.map(Gatherer::end),
        kinds: totals.kinds.into_values().collect(),
        sizes: totals.sizes.rows(),
        ttls: totals.ttls.rows(),
        databases: totals.databases.into_values().collect(),
        beyond_map: totals.beyond_map,
        notes: totals.notes,
    })
}

impl Totals<'_> {
    fn segment(&mut self, block: &Superblock, id: u32, bytes: u64) -> SegmentRow {
        let mut row = SegmentRow {
            segment: id,
            state: "unfinished",
            epoch: 0,
            stream: String::new(),
            records: 0,
            bytes: 0,
            live_records: 0,
            live_bytes: 0,
            live_percent: 0.0,
            seqs: None,
            beyond_map: 0,
            bytes_beyond_map: 0,
        };
        if bytes < u64::from(block.segment_bytes) {
            return row;
        }
        let found = match find(self.directory, block, id) {
            Ok(found) => found,
            Err(error) => {
                self.notes.push(format!("{} cannot be read: {error}", segment_name(id)));
                row.state = "unreadable";
                return row;
            }
        };
        let map = self.directory.map_of(id).filter(|map| map.epoch == found.epoch);
        if let Err(error) = self.keys_of(block, id) {
            self.notes.push(format!("{} cannot be read: {error}", segment_name(id)));
        }
        row.epoch = found.epoch;
        let gc = |stream| format!("gc {stream}");
        row.stream = if usize::from(found.stream) == FOREGROUND { "foreground".into() } else { gc(found.stream) };
        for item in &found.items {
            self.item(item, map, &mut row);
        }
        row.live_percent = row.live_bytes as f64 * 100.0 / f64::from(block.segment_bytes);
        let is_free =
            row.live_records == 0 && row.beyond_map == 0 && map.is_some_and(|map| map.covered >= block.segment_bytes);
        row.state = match found.sealed {
            _ if found.items.is_empty() => "unused",
            _ if is_free => "free",
            true => "sealed",
            false => "open",
        };
        if row.state == "sealed" || row.state == "open" {
            let generation = self.generations.entry(found.stream).or_default();
            generation.stream.clone_from(&row.stream);
            generation.segments += 1;
            generation.bytes += row.bytes;
            generation.live_bytes += row.live_bytes + row.bytes_beyond_map;
            generation.garbage_bytes += row.bytes - row.live_bytes - row.bytes_beyond_map;
        }
        row
    }

    /// Every live record of a segment, for `--keys`.
    fn keys_of(&mut self, block: &Superblock, id: u32) -> std::io::Result<()> {
        let Some(keys) = &mut self.keys else { return Ok(()) };
        let segment = SegmentFile::open(self.directory, block, id)?;
        let Some(map) = segment.map else { return Ok(()) };
        segment.walk(|step| {
            if let Step::Record { offset, record } = step
                && let RecordKind::Value(kind) = record.kind
                && map.live(offset)
            {
                keys.add((id, offset), &record, kind, self.spaces.get(&record.space.visible()).copied());
            }
        });
        Ok(())
    }

    fn item(&mut self, item: &Item, map: Option<&MapSegment>, row: &mut SegmentRow) {
        let bytes = padded(item.bytes as usize) as u64;
        let live = item.kind.is_value() && map.is_some_and(|map| map.live(item.offset));
        let kind = self.kinds.entry(item.kind.number()).or_default();
        kind.kind = name(item.kind);
        kind.records += 1;
        kind.bytes += bytes;
        row.records += 1;
        row.bytes += bytes;
        row.seqs = Some(row.seqs.map_or((item.seq, item.seq), |(low, high)| (low.min(item.seq), high.max(item.seq))));
        if map.is_none_or(|map| item.offset >= map.covered) {
            row.beyond_map += 1;
            row.bytes_beyond_map += bytes;
            self.beyond_map += 1;
        }
        if !live {
            return;
        }
        kind.live_records += 1;
        kind.live_bytes += bytes;
        row.live_records += 1;
        row.live_bytes += bytes;
        self.sizes.add(item.bytes);
        let database = self.spaces.get(&item.space.visible()).copied();
        let new = DatabaseRow { database, keys: 0, expiring: 0, bytes: 0 };
        let database = self.databases.entry(database).or_insert(new);
        database.bytes += bytes;
        if matches!(item.kind, RecordKind::Value(kind) if kind.is_value()) {
            database.keys += 1;
            database.expiring += u64::from(item.expiry.is_some());
            self.ttls.add(item.expiry, item.bytes);
        }
    }
}

/// The records of a segment's present life: from the footer, or by a walk.
fn find(directory: &Directory, block: &Superblock, id: u32) -> std::io::Result<Found> {
    if let Some((epoch, footer)) = footer_only(directory, block, id)? {
        let items = footer.entries.into_iter().map(|e| Item {
            offset: e.offset,
            bytes: e.bytes,
            kind: e.kind,
            seq: e.seq,
            space: e.space,
            expiry: e.expiry,
        });
        return Ok(Found { epoch, stream: footer.stream, sealed: true, items: items.collect() });
    }
    let segment = SegmentFile::open(directory, block, id)?;
    let mut items = Vec::new();
    segment.walk(|step| {
        if let Step::Record { offset, record } = step {
            items.push(Item {
                offset,
                bytes: record.bytes() as u32,
                kind: record.kind,
                seq: record.seq,
                space: record.space,
                expiry: record.expiry,
            });
        }
    });
    Ok(Found { epoch: segment.epoch, stream: segment.stream, sealed: false, items })
}

fn name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Value(Kind::LargeString) => "string in extents",
        RecordKind::Value(kind) => kind.name(),
        RecordKind::Tombstone => "tombstone",
        RecordKind::Spaces => "spaces",
        RecordKind::Intent => "intent",
        RecordKind::Committed => "committed",
        RecordKind::Sweep => "sweep",
        RecordKind::Swept => "swept",
        RecordKind::Delta => "delta",
    }
}
