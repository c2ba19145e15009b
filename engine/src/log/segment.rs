//! A segment in DRAM: its state, epoch, pins, and which of its values are live.
//!
//! One live bit per *grain*. While a segment is open the grain is 16 bytes; when it is sealed the grain becomes the largest
//! power of two that is no larger than its smallest value record, so that no two values start in the same grain. For 400-byte
//! values that is one bit per 256 bytes (0.05 % of the SSD), and a place finds its bit without any table.
//!
//! Promises: a bit is set iff a slot or a hot object's header names the place. Never: waits or does I/O under its lock.

use super::record::Seq;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use thermocline_io::FileId;

/// Life of a segment.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[repr(u8)]
pub enum SegmentState {
    /// No file yet.
    Absent = 0,
    /// May be taken by a stream.
    Free = 1,
    /// A stream appends to it.
    Open = 2,
    /// Full; a candidate for GC.
    Sealed = 3,
    /// GC empties it or waits until it may be reused.
    Victim = 4,
    /// Damaged: served where records hold, never reused.
    Quarantined = 5,
}

impl SegmentState {
    /// Does a segment in this state hold records, and takes no more?
    pub fn is_ended(self) -> bool {
        matches!(self, SegmentState::Sealed | SegmentState::Victim | SegmentState::Quarantined)
    }
}

const NO_FILE: u32 = u32::MAX;

/// One segment.
pub struct Segment {
    state: AtomicU8,
    epoch: AtomicU32,
    file: AtomicU32,
    /// Readers and backups that need its bytes where they are.
    pub pins: AtomicU32,
    /// Every chunk below this offset is durable (in `appendonly no`: written).
    pub durable_to: AtomicU32,
    /// Every record below this offset is durable, with the whole of its group.
    pub whole_to: AtomicU32,
    /// Chunks not yet durable.
    pub undurable: AtomicU32,
    /// Highest seq in it.
    pub max_seq: AtomicU64,
    /// Bytes of chunks.
    pub used: AtomicU32,
    /// Stream that wrote it.
    pub stream: AtomicU8,
    poisoned: AtomicBool,
    /// Liveness.
    pub live: Mutex<Live>,
}

impl Segment {
    /// A segment without a file.
    pub fn absent() -> Self {
        Segment {
            state: AtomicU8::new(SegmentState::Absent as u8),
            epoch: AtomicU32::new(0),
            file: AtomicU32::new(NO_FILE),
            pins: AtomicU32::new(0),
            durable_to: AtomicU32::new(0),
            whole_to: AtomicU32::new(0),
            undurable: AtomicU32::new(0),
            max_seq: AtomicU64::new(0),
            used: AtomicU32::new(0),
            stream: AtomicU8::new(0),
            poisoned: AtomicBool::new(false),
            live: Mutex::new(Live::default()),
        }
    }

    /// Its state.
    pub fn state(&self) -> SegmentState {
        match self.state.load(Ordering::Acquire) {
            0 => SegmentState::Absent,
            1 => SegmentState::Free,
            2 => SegmentState::Open,
            3 => SegmentState::Sealed,
            4 => SegmentState::Victim,
            _ => SegmentState::Quarantined,
        }
    }

    /// Changes its state.
    pub fn set_state(&self, state: SegmentState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Its epoch: new on each reuse.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Sets the epoch.
    pub fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Its file, if it has one.
    pub fn file(&self) -> Option<FileId> {
        let id = self.file.load(Ordering::Acquire);
        (id != NO_FILE).then_some(FileId(id))
    }

    /// A flush of its file failed: what it holds may be read, but it is never written again.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Has a flush of its file failed?
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Its file was removed: it is as if it had never had one.
    pub fn set_absent(&self) {
        self.file.store(NO_FILE, Ordering::Release);
        self.poisoned.store(false, Ordering::Release);
        self.set_state(SegmentState::Absent);
    }

    /// Names its file.
    pub fn set_file(&self, file: FileId) {
        self.file.store(file.0, Ordering::Release);
    }

    /// Begins a new life in a stream: next epoch (but not below the floor), nothing live.
    pub fn begin(&self, stream: u8, segment_bytes: u32, epoch_floor: u32) {
        let old = self.epoch();
        let same = old > 0 && crate::planted::is(crate::planted::Bug::NoNewEpoch);
        self.set_epoch(if same { old } else { (old + 1).max(epoch_floor) });
        self.durable_to.store(0, Ordering::Release);
        self.whole_to.store(0, Ordering::Release);
        self.undurable.store(0, Ordering::Release);
        self.max_seq.store(0, Ordering::Release);
        self.used.store(0, Ordering::Release);
        self.stream.store(stream, Ordering::Release);
        *self.live.lock() = Live::open(segment_bytes);
        self.set_state(SegmentState::Open);
    }
}

/// Which values of a segment are live.
#[derive(Default)]
pub struct Live {
    /// log2 of the grain.
    pub grain_shift: u8,
    /// One bit per grain.
    pub bits: Vec<u64>,
    /// Live records.
    pub records: u32,
    /// Live bytes, as far as they are known.
    pub bytes: u64,
    /// Smallest padded value record appended.
    value_bytes_min: u32,
    /// Earliest expiry appended (`u64::MAX`: none).
    pub earliest_expiry_ms: u64,
    /// Epoch that these bits belong to is the segment's; `covers` guards against places of an earlier life.
    grains: usize,
}

impl Live {
    /// log2 of the grain while a segment is open: the alignment of records.
    pub const GRAIN_SHIFT_OPEN: u8 = 4;

    fn open(segment_bytes: u32) -> Self {
        let grains = (segment_bytes >> Self::GRAIN_SHIFT_OPEN) as usize;
        Live {
            grain_shift: Self::GRAIN_SHIFT_OPEN,
            bits: vec![0; grains.div_ceil(64)],
            records: 0,
            bytes: 0,
            value_bytes_min: u32::MAX,
            earliest_expiry_ms: u64::MAX,
            grains,
        }
    }

    /// Bits as a map or recovery gives them.
    pub fn restore(grain_shift: u8, segment_bytes: u32) -> Self {
        let grains = (segment_bytes >> grain_shift) as usize;
        Live {
            grain_shift,
            bits: vec![0; grains.div_ceil(64)],
            records: 0,
            bytes: 0,
            value_bytes_min: 1 << grain_shift,
            earliest_expiry_ms: u64::MAX,
            grains,
        }
    }

    fn at(&self, offset: u32) -> (usize, u64) {
        let grain = (offset >> self.grain_shift) as usize;
        assert!(grain < self.grains, "a place lies in its segment");
        (grain / 64, 1 << (grain % 64))
    }

    /// Does a slot name anything in `from..to`?
    pub fn any(&self, from: u32, to: u32) -> bool {
        let grains =
            (from as usize) >> self.grain_shift..((to as usize).div_ceil(1 << self.grain_shift)).min(self.grains);
        grains.into_iter().any(|grain| self.bits[grain / 64] >> (grain % 64) & 1 == 1)
    }

    /// A slot names the value at `offset` now.
    pub fn name(&mut self, offset: u32, bytes: u32, expiry: Option<u64>) {
        let (word, bit) = self.at(offset);
        assert!(self.bits[word] & bit == 0, "a place is named once");
        self.bits[word] |= bit;
        self.records += 1;
        self.bytes += u64::from(bytes);
        self.value_bytes_min = self.value_bytes_min.min(bytes);
        if let Some(expiry) = expiry {
            self.earliest_expiry_ms = self.earliest_expiry_ms.min(expiry);
        }
    }

    /// Nothing names the value at `offset` any more.
    pub fn unname(&mut self, offset: u32, bytes: u32) {
        let (word, bit) = self.at(offset);
        assert!(self.bits[word] & bit != 0, "a place is unnamed once");
        self.bits[word] &= !bit;
        self.records -= 1;
        self.bytes = if self.records == 0 { 0 } else { self.bytes.saturating_sub(u64::from(bytes)) };
    }

    /// Is the value at `offset` live?
    pub fn is_live(&self, offset: u32) -> bool {
        let (word, bit) = self.at(offset);
        self.bits[word] & bit != 0
    }

    /// The segment is sealed: the coarsest grain that keeps its values apart.
    pub fn seal(&mut self, segment_bytes: u32) {
        let smallest = self.value_bytes_min.clamp(1 << Self::GRAIN_SHIFT_OPEN, segment_bytes);
        let shift = smallest.ilog2() as u8;
        if shift == self.grain_shift {
            return;
        }
        let grains = (segment_bytes >> shift) as usize;
        let mut bits = vec![0u64; grains.div_ceil(64)];
        for (index, &word) in self.bits.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                let grain = index * 64 + rest.trailing_zeros() as usize;
                let coarse = (grain << self.grain_shift) >> shift;
                assert!(bits[coarse / 64] >> (coarse % 64) & 1 == 0, "no two values start in the same grain");
                bits[coarse / 64] |= 1 << (coarse % 64);
                rest &= rest - 1;
            }
        }
        self.grain_shift = shift;
        self.grains = grains;
        self.bits = bits;
    }

    /// Bytes of DRAM the bits take.
    pub fn memory_bytes(&self) -> usize {
        self.bits.len() * 8
    }
}

/// Highest seq helper for atomics.
pub fn raise(cell: &AtomicU64, seq: Seq) {
    cell.fetch_max(seq, Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_keeps_every_live_bit_apart() {
        let mut live = Live::open(65536);
        let sizes = [400u32, 416, 1000, 4096, 448];
        let mut at = 64;
        let mut places = Vec::new();
        for i in 0..40 {
            let bytes = sizes[i % sizes.len()].next_multiple_of(16);
            live.name(at, bytes, None);
            places.push((at, bytes));
            at += bytes;
        }
        for &(at, bytes) in places.iter().step_by(3) {
            live.unname(at, bytes);
        }
        live.seal(65536);
        assert_eq!(live.grain_shift, 8);
        for (i, &(at, _)) in places.iter().enumerate() {
            assert_eq!(live.is_live(at), i % 3 != 0);
        }
    }
}
