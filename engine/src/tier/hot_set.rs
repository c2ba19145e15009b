//! The hot set across a restart: noted now and then and at shutdown, read back in the background after a start.
//!
//! The warm-up goes through the log in order of place, reading neighbours together, and promotes each value whose slot still
//! names the place it was read from. It uses free memory only.
//!
//! Promises: paced; nothing is evicted for it; it ends when DRAM is full. Never: serves what it reads, or trusts the list.

use crate::arena::cell;
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::index::State;
use crate::log::hot_list::{BODY_OFFSET, FILES, HotListHeader, RANKS, entry, split};
use crate::log::record::{Bad, Record, RecordKind};
use crate::options::{BLOCK_BYTES, HOT_LIST_ENTRY_BYTES, WARM_GAP_BYTES, WARM_READ_BYTES};
use crate::place::Place;
use crate::tier::checkpoint::Pace;
use crate::tier::maps::{Held, Written};
use crate::tier::sweep::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thermocline_io::{Buffer, FileId, Operation};
use thermocline_memory::{Handle, Heap};

/// Slots looked at in one hold of a latch.
const SLOTS_PER_HOLD: usize = 512;
/// Values that found no memory, one after the other, after which DRAM counts as full.
const REFUSALS_MAX: u32 = 64;
/// Bytes of the list read at once.
const LIST_READ_BYTES: u64 = 1 << 20;

/// Progress of the warm-up.
#[derive(Default)]
pub(crate) struct WarmUp {
    /// Entries of the list.
    pub(crate) entries: AtomicU64,
    /// Entries done with.
    pub(crate) done: AtomicU64,
    /// Values brought back.
    pub(crate) promoted: AtomicU64,
    /// It has ended (or there was nothing to do): from now on a list may be written.
    pub(crate) ended: AtomicBool,
}

/// What happened to one entry.
enum Warmed {
    Promoted,
    /// It changed since, or is no value.
    Stale,
    NoMemory,
}

impl Inner {
    /// Notes where the hot values lie.
    pub(crate) async fn write_hot_list(self: &Arc<Self>) -> Result<()> {
        let most = self.options.hot_list_entries();
        let _held = Held::new(self, most as u64 * HOT_LIST_ENTRY_BYTES);
        let mut ranks: [Vec<u64>; RANKS] = Default::default();
        for number in 0..self.shards.len() {
            let spaces = self.shards[number].lock().spaces.iter().map(|s| s.id).collect::<Vec<_>>();
            for id in spaces {
                let mut cursor = Some(0);
                while let Some(from) = cursor {
                    {
                        let shard = self.shards[number].lock();
                        let Some(space) = shard.space(id) else { break };
                        cursor = space.index.scan(from, SLOTS_PER_HOLD, |_, slot, _, _| {
                            if slot.state() == State::Hot {
                                let object = shard.cell(Handle::from_bits(slot.place()));
                                if object.place.is_some() {
                                    let rank = u8::from(object.main) << 2 | slot.heat();
                                    ranks[usize::from(rank)].push(entry(object.place.bits(), rank));
                                }
                            }
                        });
                    }
                    while ranks.iter().map(Vec::len).sum::<usize>() > most {
                        // The coldest go; what is left of a rank is spread over the shards walked so far.
                        let Some(coldest) = ranks.iter_mut().find(|rank| !rank.is_empty()) else { break };
                        coldest.pop();
                    }
                    yield_now().await;
                }
            }
        }
        let mut body = Vec::with_capacity(ranks.iter().map(|r| r.len() * 8).sum::<usize>() + BLOCK_BYTES as usize);
        let entries = ranks.iter().map(|r| r.len() as u64).sum();
        for rank in ranks.iter_mut().rev() {
            std::mem::take(rank).iter().for_each(|entry| body.extend_from_slice(&entry.to_le_bytes()));
        }
        let generation = self.maps.lock().hot_list.generation + 1;
        let header = HotListHeader { store: self.log.store, entries_crc: crc32fast::hash(&body), generation, entries };
        body.resize(body.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        self.write_meta(FILES[(generation % 2) as usize], &[&header.encode(), &body]).await?;
        self.maps.lock().hot_list = Written { generation, bytes: entries * HOT_LIST_ENTRY_BYTES, ..Written::default() };
        Ok(())
    }

    /// Brings back what the newest list names.
    pub(crate) async fn warm_up(self: &Arc<Self>) {
        let entries = match self.read_hot_list().await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "the hot-set list cannot be read; values come back as they are asked for");
                Vec::new()
            }
        };
        let held = Held::new(self, entries.len() as u64 * HOT_LIST_ENTRY_BYTES);
        self.warm.entries.store(entries.len() as u64, Ordering::Relaxed);
        self.warm_entries(entries).await;
        drop(held);
        self.warm.ended.store(true, Ordering::Release);
        let (promoted, entries) =
            (self.warm.promoted.load(Ordering::Relaxed), self.warm.entries.load(Ordering::Relaxed));
        if entries > 0 {
            tracing::info!(promoted, entries, "the hot set of the last run is back");
        }
    }

    async fn read_hot_list(self: &Arc<Self>) -> Result<Vec<u64>> {
        let mut lists: Vec<(HotListHeader, FileId)> = Vec::new();
        for name in FILES {
            let Ok(file) = self.log.disk.open(name) else { continue };
            let block = self.read_piece(file, 0, BODY_OFFSET, name).await?;
            lists.extend(HotListHeader::decode(&block).filter(|h| h.store == self.log.store).map(|h| (h, file)));
        }
        lists.sort_by_key(|(header, _)| std::cmp::Reverse(header.generation));
        if let Some((newest, _)) = lists.first() {
            self.maps.lock().hot_list.generation = newest.generation;
        }
        for (header, file) in lists {
            let bytes = header.entries.saturating_mul(HOT_LIST_ENTRY_BYTES);
            let length =
                self.log.disk.length(file).map_err(|e| Error::io("asking the length of the hot-set list", &e))?;
            if bytes.saturating_add(BODY_OFFSET) > length || !self.options.hot_list {
                continue;
            }
            // A list of a larger memory: its hottest part.
            let wanted = self.options.hot_list_entries();
            let (mut crc, mut entries, mut at) = (crc32fast::Hasher::new(), Vec::new(), 0);
            while at < bytes {
                let piece = self.read_piece(file, BODY_OFFSET + at, LIST_READ_BYTES.min(bytes - at), FILES[0]).await?;
                crc.update(&piece);
                let room = wanted - entries.len();
                entries.extend(piece.as_chunks::<8>().0.iter().take(room).map(|e| u64::from_le_bytes(*e)));
                at += piece.len() as u64;
            }
            if crc.finalize() == header.entries_crc {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }

    async fn read_piece(&self, file: FileId, offset: u64, bytes: u64, name: &str) -> Result<Vec<u8>> {
        let mut buffer = Buffer::new((bytes as usize).next_multiple_of(BLOCK_BYTES as usize));
        buffer.set_len(buffer.capacity());
        let done = self.request(file, Operation::Read { offset, buffer }).await;
        match (done.result, done.operation) {
            (Ok(_), Operation::Read { buffer, .. }) => Ok(buffer[..bytes as usize].to_vec()),
            (Err(e), _) => Err(Error::io(format!("reading {name}"), &e)),
            _ => Ok(Vec::new()),
        }
    }

    async fn warm_entries(self: &Arc<Self>, mut entries: Vec<u64>) {
        entries.sort_unstable_by_key(|&e| split(e).0);
        let where_is = |e: &u64| Place::from_bits(split(*e).0).split(self.log.segment_bytes);
        let mut pace = Pace::new(self, true);
        let (mut at, mut refused) = (0, 0);
        while at < entries.len() && refused < REFUSALS_MAX {
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            let (segment, from) = where_is(&entries[at]);
            let mut end = at + 1;
            let mut last = from;
            while let Some((next_segment, offset)) = entries.get(end).map(where_is) {
                if next_segment != segment
                    || offset - last > WARM_GAP_BYTES
                    || (offset - from) as usize > WARM_READ_BYTES / 2
                {
                    break;
                }
                (last, end) = (offset, end + 1);
            }
            let bytes = self.warm_run(&entries[at..end], segment, from, last, &mut refused).await;
            self.warm.done.fetch_add((end - at) as u64, Ordering::Relaxed);
            at = end;
            pace.took(bytes).await;
        }
    }

    /// Reads one stretch of a segment and promotes what is wanted of it. Returns the bytes read.
    async fn warm_run(self: &Arc<Self>, entries: &[u64], segment: u32, from: u32, last: u32, refused: &mut u32) -> u64 {
        let Some(meta) = self.log.segments.get(segment as usize) else { return 0 };
        let Some(file) = meta.file() else { return 0 };
        let (mut start, mut want) = (from / BLOCK_BYTES * BLOCK_BYTES, last + BLOCK_BYTES);
        let (mut read_bytes, mut at) = (0, 0);
        while at < entries.len() {
            let end = want.next_multiple_of(BLOCK_BYTES).min(self.log.segment_bytes);
            if end <= start
                || !self.log.is_settled(Place::new(segment, end.saturating_sub(BLOCK_BYTES), self.log.segment_bytes))
                    && !self.log.is_settled(Place::new(segment, last, self.log.segment_bytes))
            {
                return read_bytes;
            }
            let epoch = meta.epoch();
            meta.pins.fetch_add(1, Ordering::AcqRel);
            let mut buffer = Buffer::new((end - start) as usize);
            buffer.set_len((end - start) as usize);
            let done = self.request(file, Operation::Read { offset: u64::from(start), buffer }).await;
            let (Ok(read), Operation::Read { buffer, .. }) = (done.result, done.operation) else {
                meta.pins.fetch_sub(1, Ordering::AcqRel);
                return read_bytes;
            };
            read_bytes += read as u64;
            let mut longer = None;
            while at < entries.len() && longer.is_none() && *refused < REFUSALS_MAX {
                let (place, rank) = split(entries[at]);
                let (_, offset) = Place::from_bits(place).split(self.log.segment_bytes);
                let Some(bytes) = offset.checked_sub(start).and_then(|skip| buffer.get(skip as usize..read)) else {
                    break;
                };
                match Record::decode(self.log.address(segment, offset), bytes) {
                    Ok(record) => match self.warm_one(place, epoch, rank, &record) {
                        Warmed::NoMemory => *refused += 1,
                        Warmed::Promoted => {
                            *refused = 0;
                            self.warm.promoted.fetch_add(1, Ordering::Relaxed);
                        }
                        Warmed::Stale => {}
                    },
                    Err(Bad::Short { bytes }) if bytes <= self.record_bytes_max && end < self.log.segment_bytes => {
                        longer = Some((offset, offset + bytes as u32));
                        continue;
                    }
                    Err(_) => {}
                }
                at += 1;
            }
            meta.pins.fetch_sub(1, Ordering::AcqRel);
            match longer {
                Some((offset, needed)) => {
                    start = offset / BLOCK_BYTES * BLOCK_BYTES;
                    want = needed.max(last + BLOCK_BYTES).min(start + WARM_READ_BYTES as u32).max(needed);
                }
                None => return read_bytes,
            }
        }
        read_bytes
    }

    /// Promotes a value if its slot is still cold and names this place, and there is free memory.
    fn warm_one(&self, place: u64, epoch: u32, rank: u8, record: &Record<'_>) -> Warmed {
        let RecordKind::Value(kind) = record.kind else { return Warmed::Stale };
        if record.expiry.is_some_and(|e| e <= self.clock.now_ms()) {
            return Warmed::Stale;
        }
        let key = self.key(record.space, record.key);
        let hash = self.hash_of(&key);
        let number = self.shard_of(hash);
        let bytes = cell::cell_bytes(key.space, record.key.len(), record.payload.len(), record.expiry.is_some());
        let (segment, _) = Place::from_bits(place).split(self.log.segment_bytes);
        for attempt in 0..2 {
            let mut shard = self.shards[number].lock();
            let cold = shard.space(key.space).and_then(|space| {
                space.index.find(hash, |_, slot| slot.state() == State::Cold && slot.place() == place)
            });
            let Some((at, slot)) = cold.filter(|_| self.log.segments[segment as usize].epoch() == epoch) else {
                return Warmed::Stale;
            };
            if let Some(handle) = shard.alloc(bytes) {
                self.promote_into(&mut shard, handle, &key, hash, (at, slot), kind, record, rank >> 2 == 1);
                if let Some(space) = shard.space_mut(key.space) {
                    let hot = space.index.get(at);
                    space.index.set(at, hot.with_heat(rank & 3));
                }
                return Warmed::Promoted;
            }
            drop(shard);
            match self.region.take(Heap::wants(bytes)) {
                Some(span) if attempt == 0 => self.shards[number].lock().heap.donate(bytes, span),
                Some(span) => self.region.give(span),
                None => return Warmed::NoMemory,
            }
        }
        Warmed::NoMemory
    }
}
