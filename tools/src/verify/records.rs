//! Records against what else speaks of them: the footer's entries, one by one, and the map's live bits.
//!
//! Promises: a footer entry without a record, a record without an entry, and any field that differs are reported; so is a live
//! bit without a readable value. Never: needs the records in memory.

use super::report::{Damage, Report};
use super::segment::is_readable;
use crate::segment::SegmentFile;
use thermocline::Hasher;
use thermocline::log::footer::Entry;
use thermocline::log::map::MapSegment;
use thermocline::log::record::{ALIGN_BYTES, FLAG_FIRST, FLAG_LAST, Record, RecordKind};
use thermocline::log::segment_name;

/// Follows the records of one segment.
pub struct Records<'s> {
    map: Option<&'s MapSegment>,
    met: Vec<u64>,
    entries: Option<&'s [Entry]>,
    next: usize,
    /// Entries that no record was met for. They lie in gaps, or the footer lies.
    unmet: Vec<u32>,
    hasher: Hasher,
}

impl<'s> Records<'s> {
    /// Beside the map's part and the footer's entries, where there are any.
    pub fn new(map: Option<&'s MapSegment>, entries: Option<&'s [Entry]>, hasher: Hasher) -> Self {
        Records { map, met: vec![0; map.map_or(0, |map| map.bits.len())], entries, next: 0, unmet: Vec::new(), hasher }
    }

    /// Is there a valid footer?
    pub fn has_footer(&self) -> bool {
        self.entries.is_some()
    }

    /// A valid record. Answers whether it is a live value.
    pub fn meet(&mut self, offset: u32, record: &Record<'_>, segment: u32, report: &mut Report) -> bool {
        if let Some(what) = self.against_footer(offset, record) {
            report.damage(Damage { file: segment_name(segment), offset: u64::from(offset), what, loses_data: true });
        }
        let Some(map) = self.map.filter(|map| record.kind.is_value() && map.live(offset)) else { return false };
        let grain = (offset >> map.grain_shift) as usize;
        self.met[grain / 64] |= 1 << (grain % 64);
        true
    }

    fn against_footer(&mut self, offset: u32, record: &Record<'_>) -> Option<String> {
        let entries = self.entries?;
        while let Some(entry) = entries.get(self.next).filter(|entry| entry.offset < offset) {
            self.unmet.push(entry.offset);
            self.next += 1;
        }
        let Some(entry) = entries.get(self.next).filter(|entry| entry.offset == offset) else {
            return Some("a record that the footer does not name".into());
        };
        self.next += 1;
        let keyed = matches!(record.kind, RecordKind::Value(_) | RecordKind::Tombstone);
        let differs = [
            (entry.bytes as usize != record.bytes(), "length"),
            (entry.seq != record.seq, "seq"),
            (entry.kind != record.kind, "kind"),
            (entry.flags & (FLAG_FIRST | FLAG_LAST) != record.group, "group"),
            (entry.space != record.space, "space"),
            (entry.expiry != record.expiry, "expiry"),
            (keyed && entry.hash.footer() != self.hasher.hash(record.space, record.key).footer(), "key hash"),
        ];
        let fields: Vec<&str> = differs.iter().filter(|(differs, _)| *differs).map(|(_, field)| *field).collect();
        (!fields.is_empty()).then(|| format!("footer and record differ in {}", fields.join(", ")))
    }

    /// The walk is over; first entry behind the last record.
    pub fn first_unmet(&self) -> Option<u32> {
        self.entries?.get(self.next).map(|entry| entry.offset)
    }

    /// Entries that no record was met for, other than in gaps.
    pub fn unmet_outside(&self, gaps: &[(u32, u32)]) -> Vec<u32> {
        let behind = self.entries.unwrap_or_default()[self.next..].iter().map(|entry| entry.offset);
        let unmet = self.unmet.iter().copied().chain(behind);
        unmet.filter(|&at| !gaps.iter().any(|gap| gap.0 <= at && at < gap.1)).collect()
    }

    /// Bytes of the map's grain.
    pub fn grain_bytes(&self) -> u32 {
        1 << self.map.map_or(0, |map| map.grain_shift)
    }

    /// Is any bit set from this offset on?
    pub fn any_live_from(&self, offset: u32) -> bool {
        self.map.is_some_and(|map| {
            let first = (offset >> map.grain_shift) as usize;
            (first..map.bits.len() * 64).any(|grain| map.bits[grain / 64] >> (grain % 64) & 1 == 1)
        })
    }

    /// Grains of live records that cannot be read. One that only hides behind a bad record is tried at its own place. The grain in
    /// which `covered` lies does not count: its bit may be that of a record behind, which a crash took.
    pub fn lost(&self, segment: &SegmentFile<'_>, gaps: &[(u32, u32)]) -> Vec<u32> {
        let Some(map) = self.map else { return Vec::new() };
        let mut lost = Vec::new();
        for (word, (bits, met)) in map.bits.iter().zip(&self.met).enumerate() {
            let mut rest = bits & !met;
            while rest != 0 {
                let grain = word as u32 * 64 + rest.trailing_zeros();
                rest &= rest - 1;
                if grain >= map.covered >> map.grain_shift {
                    continue;
                }
                let offset = grain << map.grain_shift;
                let mut places = (offset..offset + self.grain_bytes()).step_by(ALIGN_BYTES);
                let gap_end = |at: u32| gaps.iter().find(|gap| gap.0 <= at && at < gap.1).map(|gap| gap.1);
                if !places
                    .any(|at| gap_end(at).is_some_and(|end| is_readable(segment, at, end.min(segment.len() as u32))))
                {
                    lost.push(offset);
                }
            }
        }
        lost
    }
}
