//! Invariants, checked by walking everything: for simulators, tests and a curious operator, not for the hot road.
//!
//! Promises: what a walk over the index names is what the segments call live, what the heaps and the policy count is what is
//! there. Never: changes anything, or reads the disk. Meant for a quiet moment: other workers make it see halves.

use crate::arena::cell;
use crate::engine::Engine;
use crate::index::State;
use crate::log::segment::SegmentState;
use crate::place::Place;
use std::collections::HashSet;
use thermocline_memory::Handle;

impl Engine {
    /// Seq of the log's last record, and the watermark.
    pub fn log_position(&self) -> (u64, u64) {
        (self.inner.log.last_seq(), self.inner.log.watermark())
    }

    /// The segments, one line each, for whoever wonders why there is no room.
    pub fn describe_segments(&self) -> String {
        let describe = |(id, meta): (usize, &crate::log::segment::Segment)| {
            let (live, used) = (meta.live.lock(), meta.used.load(std::sync::atomic::Ordering::Acquire));
            let (records, bytes, stream) =
                (live.records, live.bytes, meta.stream.load(std::sync::atomic::Ordering::Acquire));
            format!(
                "segment {id}: {:?}, stream {stream}, {used} bytes used, {records} values of {bytes} bytes live\n",
                meta.state()
            )
        };
        self.inner.log.segments.iter().enumerate().map(describe).collect()
    }

    /// Walks all slots and compares them with what segments, heaps and the policy count.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn check(&self) -> std::result::Result<(), String> {
        let inner = &self.inner;
        let mut named: HashSet<u64> = HashSet::new();
        let mut uneven = None;
        let mut records = vec![0u32; inner.log.segments.len()];
        for (number, shard) in inner.shards.iter().enumerate() {
            let shard = shard.lock();
            let (mut hot, mut hot_bytes, mut with_deltas) = (0usize, 0usize, 0usize);
            for space in &shard.spaces {
                let (mut expiring, mut slots, mut wrong) = (0, 0, None);
                space.index.for_each(|_, slot, _, _| {
                    slots += 1;
                    expiring += u64::from(slot.has_ttl());
                    let mut place = Place::from_bits(slot.place());
                    if slot.state() == State::Hot {
                        let bytes = shard.heap.bytes(Handle::from_bits(slot.place()));
                        let object = cell::read(bytes);
                        hot += 1;
                        hot_bytes += bytes.len();
                        place = object.place;
                        if object.deltas {
                            with_deltas += 1;
                            if shard.deltas.get(place).is_none() {
                                wrong =
                                    Some(format!("a node in space {} has deltas that no table tells of", space.id.0));
                            }
                        }
                        if object.space != space.id || object.expiry.is_some() != slot.has_ttl() {
                            wrong = Some(format!("a cell of space {} lies in space {}", object.space.0, space.id.0));
                        }
                        if !place.is_some() {
                            return;
                        }
                    }
                    let (segment, offset) = place.split(inner.log.segment_bytes);
                    let meta = &inner.log.segments[segment as usize];
                    if matches!(meta.state(), SegmentState::Absent | SegmentState::Free) {
                        wrong = Some(format!("a slot names segment {segment}, which is {:?}", meta.state()));
                    } else if !meta.live.lock().is_live(offset) {
                        wrong = Some(format!("a slot names segment {segment}, offset {offset}, which is not live"));
                    } else if !named.insert(place.bits()) {
                        wrong = Some(format!("two slots name segment {segment}, offset {offset}"));
                    }
                    records[segment as usize] += 1;
                });
                if let Some(words) = wrong {
                    return Err(words);
                }
                if slots != space.index.len() || expiring != space.expiring {
                    let (length, counted) = (space.index.len(), space.expiring);
                    return Err(format!(
                        "space {}: {slots} slots of {length}, {expiring} expiring of {counted}",
                        space.id.0
                    ));
                }
            }
            if with_deltas != shard.deltas.len() {
                let told = shard.deltas.len();
                uneven.get_or_insert(format!(
                    "shard {number}: {with_deltas} nodes have deltas, the table tells of {told}"
                ));
            }
            if hot != shard.policy.objects()
                || hot_bytes != shard.policy.bytes()
                || hot_bytes as u64 > shard.heap.used_bytes()
            {
                uneven.get_or_insert(format!(
                    "shard {number}: {hot} hot objects of {hot_bytes} bytes, the policy counts {} of {}, the heap {}",
                    shard.policy.objects(),
                    shard.policy.bytes(),
                    shard.heap.used_bytes()
                ));
            }
        }
        for (id, meta) in inner.log.segments.iter().enumerate() {
            let live = meta.live.lock().records;
            if live != records[id] {
                return Err(format!(
                    "segment {id} ({:?}) counts {live} live records, {} are named",
                    meta.state(),
                    records[id]
                ));
            }
        }
        uneven.map_or(Ok(()), Err)
    }
}
