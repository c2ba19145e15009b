//! A restart after a clean shutdown: the checkpoint is copied back, the map says what is live.
//!
//! Promises: a checkpoint is believed whole or not at all. Never: reads the log.

use crate::SpaceId;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::log::checkpoint::{self, BODY_OFFSET, CheckpointHeader};
use crate::log::map::Map;
use crate::log::record::u64_at;
use crate::log::segment::{Live, Segment, SegmentState, raise};
use crate::shard::SpaceIndex;
use crate::tier::rebuild::Builder;
use std::sync::atomic::Ordering;
use thermocline_io::Disk;

/// After a clean shutdown the map says everything about the segments.
pub(crate) fn restore_live(segments: &[Segment], segment_bytes: u32, map: &Map) {
    for entry in &map.segments {
        let Some(segment) = segments.get(entry.segment as usize) else { continue };
        segment.set_epoch(entry.epoch);
        segment.used.store(segment_bytes, Ordering::Release);
        raise(&segment.max_seq, map.last_seq);
        if entry.none_live() {
            continue; // free
        }
        let mut live = Live::restore(entry.grain_shift, segment_bytes);
        let records: u32 = entry.bits.iter().map(|w| w.count_ones()).sum();
        for (into, from) in live.bits.iter_mut().zip(&entry.bits) {
            *into = *from;
        }
        live.records = records;
        live.bytes = entry.live_bytes;
        live.earliest_expiry_ms = entry.earliest_expiry_ms;
        *segment.live.lock() = live;
        segment.set_state(SegmentState::Sealed);
    }
}

/// Loads the checkpoint that belongs to this map, if there is one. False: the log must be read.
pub(crate) fn load_checkpoint(disk: &dyn Disk, store: u32, map: &Map, builder: &mut Builder<'_>) -> Result<bool> {
    for name in checkpoint::FILES {
        let Ok(file) = disk.open(name) else { continue };
        let io = |e: std::io::Error| Error::io(format!("reading {name}"), &e);
        let mut block = vec![0; BODY_OFFSET as usize];
        let read = disk.read_at(file, 0, &mut block).map_err(io)?;
        let Some(header) = CheckpointHeader::decode(&block[..read]) else { continue };
        let fits = header.store == store && header.b == map.b && header.generation == map.generation;
        if !fits
            || u32::from(header.shard_bits) != builder.shard_bits
            || u32::from(header.base_bits) != builder.base_bits
        {
            continue;
        }
        if load_body(disk, file, &header, builder).map_err(io)? {
            return Ok(true);
        }
        for seed in &mut builder.seeds {
            seed.spaces.clear();
        }
    }
    Ok(false)
}

fn load_body(
    disk: &dyn Disk,
    file: thermocline_io::FileId,
    header: &CheckpointHeader,
    builder: &mut Builder<'_>,
) -> std::io::Result<bool> {
    const WINDOW_BYTES: usize = 4 << 20;
    let mut crc = crc32fast::Hasher::new();
    let (mut window, mut offset, end) = (Vec::new(), BODY_OFFSET, BODY_OFFSET + header.body_bytes);
    let mut at = 0;
    loop {
        // One exported segment: space, words, then the words.
        let have = window.len() - at;
        let want = if have >= 16 { 16 + u64_at(&window, at + 8).min(1 << 32) as usize * 8 } else { 16 };
        if have < want {
            if offset >= end {
                break;
            }
            window.drain(..at);
            at = 0;
            let from = window.len();
            let piece = WINDOW_BYTES.max(want).min((end - offset) as usize);
            window.resize(from + piece, 0);
            let read = disk.read_at(file, offset, &mut window[from..])?;
            if read < piece {
                return Ok(false);
            }
            crc.update(&window[from..]);
            offset += piece as u64;
            continue;
        }
        let space = SpaceId(u64_at(&window, at) as u32);
        let words: Vec<u64> = (0..(want - 16) / 8).map(|n| u64_at(&window, at + 16 + 8 * n)).collect();
        at += want;
        let Some(&prefix) = words.first() else { return Ok(false) };
        let number = builder.shard_of(prefix);
        let (shard_bits, base_bits) = (builder.shard_bits, builder.base_bits);
        let seed = &mut builder.seeds[number];
        let position = match seed.spaces.iter().position(|s| s.id == space) {
            Some(position) => position,
            None => {
                seed.spaces.push(SpaceIndex { id: space, index: Index::new(shard_bits, base_bits), expiring: 0 });
                seed.spaces.len() - 1
            }
        };
        if seed.spaces[position].index.import_segment(&words).is_err() {
            return Ok(false);
        }
    }
    if window.len() != at || crc.finalize() != header.body_crc {
        return Ok(false);
    }
    for space in builder.seeds.iter_mut().flat_map(|s| &mut s.spaces) {
        let mut expiring = 0;
        space.index.for_each(|_, slot, _, _| expiring += u64::from(slot.has_ttl()));
        space.expiring = expiring;
    }
    Ok(true)
}
