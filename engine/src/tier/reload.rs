//! Copying a checkpoint back: frames on all threads, each slot checked against the map.
//!
//! A slot counts if its segment was wholly written when the checkpoint was begun, has the same epoch in the map, and its bit is
//! live there. Everything else the base takes from footers. Afterwards each segment must have exactly as many slots as the map
//! has live bits; otherwise the checkpoint is not believed.
//!
//! Promises: a checkpoint is believed whole or not at all. Never: reads the log.

use crate::SpaceId;
use crate::error::{Error, Result};
use crate::index::{Part, Slot};
use crate::log::checkpoint::{BODY_OFFSET, CheckpointHeader, FILES, Frame, Table};
use crate::log::map::Map;
use crate::log::record::u64_at;
use crate::options::BLOCK_BYTES;
use crate::place::{Place, Splitter};
use crate::planted::{self, Bug};
use crate::tier::parallel::in_parallel;
use crate::tier::progress::RecoveryProgress;
use crate::tier::rebuild::{Builder, HeapAhead};
use crate::tier::window::Window;
use thermocline_io::{Disk, FileId};
use thermocline_memory::prefetch_read;

/// Live records from which on it matters how the index is built.
const LARGE_STORE_KEYS: u64 = 1 << 20;

/// A checkpoint that could be read.
struct Candidate {
    file: FileId,
    header: CheckpointHeader,
    table: Table,
}

/// The checkpoint that was loaded.
pub(crate) struct Loaded {
    pub(crate) header: CheckpointHeader,
    pub(crate) bytes: u64,
    /// Per segment: its slots are from the checkpoint.
    pub(crate) usable: Vec<bool>,
}

/// Headers of the checkpoints that the map is younger than. One that waits for a map that its life never wrote is voided: a map of
/// this life may speak of other copies than its slots do, since the replay takes an original where that life had a copy of GC.
pub(crate) fn checkpoint_headers(
    disk: &dyn Disk,
    store: u32,
    map_generation: u64,
) -> Result<Vec<(FileId, CheckpointHeader)>> {
    let mut found = Vec::new();
    for name in FILES {
        let Ok(file) = disk.open(name) else { continue };
        let io = |what: &str| {
            let what = format!("{what} {name}");
            move |e: std::io::Error| Error::io(what, &e)
        };
        let mut block = vec![0; BODY_OFFSET as usize];
        let header = disk.read_at(file, 0, &mut block).map(|read| CheckpointHeader::decode(&block[..read]));
        let void = match &header {
            Ok(Some(header)) if header.store == store => {
                header.map_generation > map_generation && !planted::is(Bug::CheckpointYounger)
            }
            Ok(_) => continue,
            Err(_) => true, // never to be believed by a later life either
        };
        if void {
            disk.write_at(file, 0, &[0; BODY_OFFSET as usize]).map_err(io("voiding the header of"))?;
            disk.sync(file).map_err(io("syncing"))?;
        } else if let Ok(Some(header)) = header {
            found.push((file, header));
        }
    }
    found.sort_by_key(|(_, header)| std::cmp::Reverse(header.generation));
    Ok(found)
}

/// Loads the newest checkpoint that goes with this map.
pub(crate) fn load_checkpoint(
    builder: &Builder<'_>,
    headers: &[(FileId, CheckpointHeader)],
    map: &Map,
    progress: &RecoveryProgress,
    refused: &mut bool,
) -> Result<Option<Loaded>> {
    for &(file, header) in headers {
        if u32::from(header.base_bits) != builder.base_bits {
            continue;
        }
        if let Some(table) = read_table(builder.disk, file, &header)? {
            let believed = believed(builder, &table, map);
            if !is_worth_it(&believed, map) {
                continue;
            }
            if let Some(loaded) = load(builder, &Candidate { file, header, table }, &believed, progress)? {
                return Ok(Some(loaded));
            }
        }
        *refused = true;
        tracing::warn!(generation = header.generation, "a checkpoint does not hold; the log is read instead");
        builder.seeds.iter().for_each(|seed| seed.lock().spaces.clear());
    }
    Ok(None)
}

fn read_table(disk: &dyn Disk, file: FileId, header: &CheckpointHeader) -> Result<Option<Table>> {
    let length = disk.length(file).map_err(|e| Error::io("asking the length of a checkpoint", &e))?;
    if header.table_offset.checked_add(u64::from(header.table_bytes)).is_none_or(|end| end > length) {
        return Ok(None);
    }
    let mut bytes = vec![0; header.table_bytes as usize];
    let Ok(read) = disk.read_at(file, header.table_offset, &mut bytes) else { return Ok(None) };
    Ok(Table::decode(header, &bytes[..read]))
}

/// What the map says of a segment that the checkpoint knows whole.
#[derive(Clone)]
struct Believed<'m> {
    grain_shift: u8,
    bits: &'m [u64],
}

impl Believed<'_> {
    #[inline]
    fn live(&self, offset: u32) -> bool {
        let grain = (offset >> self.grain_shift) as usize;
        self.bits.get(grain / 64).is_some_and(|w| w >> (grain % 64) & 1 == 1)
    }

    /// Asks for what `live` will look at: the order of hashes is none of places, so each bit misses the cache.
    #[inline]
    fn prefetch(&self, offset: u32) {
        if let Some(word) = self.bits.get((offset >> self.grain_shift) as usize / 64) {
            prefetch_read(word);
        }
    }
}

/// A thread's part of a load.
struct Loader {
    window: Window,
    slots: Vec<u32>,
    /// In this frame.
    records: u64,
    bad: bool,
    heap: HeapAhead,
}

/// Per segment: what the map says, if checkpoint and map know all of it in one epoch.
fn believed<'m>(builder: &Builder<'_>, table: &Table, map: &'m Map) -> Vec<Option<Believed<'m>>> {
    let segment_bytes = builder.segment_bytes;
    let mut epochs = vec![0; builder.segments.len()];
    for length in table.lengths.iter().filter(|l| l.covered >= segment_bytes) {
        if let Some(epoch) = epochs.get_mut(length.segment as usize) {
            *epoch = length.epoch;
        }
    }
    let mut believed = vec![None; builder.segments.len()];
    for entry in map.segments.iter().filter(|s| s.covered >= segment_bytes) {
        let at = entry.segment as usize;
        if epochs.get(at).is_some_and(|&epoch| epoch == entry.epoch) {
            believed[at] = Some(Believed { grain_shift: entry.grain_shift, bits: &entry.bits });
        }
    }
    believed
}

fn live_bits(bits: &[u64]) -> u64 {
    bits.iter().map(|w| u64::from(w.count_ones())).sum()
}

/// Where nearly all of a large store is younger than the checkpoint, footers into indexes of the right size are quicker: a key costs a
/// quarter of the time from a checkpoint (11 against 41 ns on two cores), but all of the checkpoint has to be looked at.
fn is_worth_it(believed: &[Option<Believed<'_>>], map: &Map) -> bool {
    let total: u64 = map.segments.iter().map(|s| live_bits(&s.bits)).sum();
    let known: u64 = believed.iter().flatten().map(|b| live_bits(b.bits)).sum();
    total < LARGE_STORE_KEYS || known * 3 >= total
}

fn load(
    builder: &Builder<'_>,
    candidate: &Candidate,
    believed: &[Option<Believed<'_>>],
    progress: &RecoveryProgress,
) -> Result<Option<Loaded>> {
    let frames = &candidate.table.frames;
    let bytes: u64 = frames.iter().map(|frame| u64::from(frame.bytes)).sum();
    progress.expect(frames.len(), bytes);
    let state = || Loader {
        window: Window::default(),
        slots: vec![0; builder.segments.len()],
        records: 0,
        bad: false,
        heap: HeapAhead::of(bytes),
    };
    let loaders = in_parallel(builder.threads, frames.len(), state, |loader, number| {
        if !loader.bad {
            loader.bad = !load_frame(builder, candidate.file, &frames[number], believed, loader)?;
        }
        progress.step(std::mem::take(&mut loader.records));
        Ok(())
    })?;
    if loaders.iter().any(|loader| loader.bad) {
        return Ok(None);
    }
    for (at, entry) in believed.iter().enumerate() {
        let slots: u64 = loaders.iter().map(|loader| u64::from(loader.slots[at])).sum();
        if slots != entry.as_ref().map_or(0, |e| live_bits(e.bits)) {
            return Ok(None);
        }
    }
    let usable = believed.iter().map(Option::is_some).collect();
    Ok(Some(Loaded { header: candidate.header, bytes: candidate.header.table_offset, usable }))
}

fn load_frame(
    builder: &Builder<'_>,
    file: FileId,
    frame: &Frame,
    believed: &[Option<Believed<'_>>],
    loader: &mut Loader,
) -> Result<bool> {
    let Loader { window, slots, records, heap, .. } = loader;
    heap.take(frame.bytes as usize);
    let whole = (frame.bytes as usize).next_multiple_of(BLOCK_BYTES as usize);
    let Ok(read) = builder.disk.read_at(file, frame.offset, window.room(whole)) else { return Ok(false) };
    let Some(bytes) = window.bytes().get(..frame.bytes as usize).filter(|bytes| bytes.len() <= read) else {
        return Ok(false);
    };
    if crc32fast::hash(bytes) != frame.crc {
        return Ok(false);
    }
    let splitter = Splitter::new(builder.segment_bytes);
    let mut rest: &[u8] = bytes;
    while rest.len() >= 16 {
        let (space, count) = (SpaceId(u64_at(rest, 0) as u32), u64_at(rest, 8) as usize);
        let Some(bytes) = count.checked_mul(8).and_then(|bytes| rest.get(16..16 + bytes)) else { return Ok(false) };
        rest = &rest[16 + bytes.len()..];
        let mut expiring = 0;
        let keep = |slot: Slot| {
            let (segment, offset) = splitter.split(Place::from_bits(slot.place()));
            let at = segment as usize;
            // No branch on what is live: which slots are, nobody can predict.
            let live =
                believed.get(at).and_then(Option::as_ref).is_some_and(|b| b.live(offset)) & (slot != Slot::EMPTY);
            if let Some(slots) = slots.get_mut(at) {
                *slots += u32::from(live);
            }
            *records += u64::from(live);
            expiring += u64::from(live & slot.has_ttl());
            live
        };
        let coming = |slot: Slot| {
            let (segment, offset) = splitter.split(Place::from_bits(slot.place()));
            if let Some(Some(segment)) = believed.get(segment as usize) {
                segment.prefetch(offset);
            }
        };
        let Ok((part, _)) = Part::parse(builder.base_bits, bytes, coming, keep) else { return Ok(false) };
        let mut seed = builder.seeds[builder.shard_of(part.prefix())].lock();
        let into = seed.space(space, builder.shard_bits, builder.base_bits);
        if into.index.attach(part).is_err() {
            return Ok(false);
        }
        into.expiring += expiring;
    }
    Ok(rest.is_empty())
}
