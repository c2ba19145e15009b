//! Where stored bytes are not what was written, so that an oracle can ask whether a loss was the disk's doing.
//!
//! A wound heals when what it covers is written again with other bytes than are there (who copies rot in place cures nothing); if
//! that write is forgotten at a power cut, the wound is back.
//!
//! Promises: every media fault that lasts (rot, bad sector, lost and misdirected write) leaves one; none is forgotten while its
//! bytes may still be read. Never: a wound for what reads as it was written, except where a power cut has undone the damage.

use std::ops::Range;

use crate::FileId;

/// One damaged range of a file.
#[derive(Clone, Debug)]
struct Wound {
    file: FileId,
    range: Range<u64>,
    /// The number of the pending write that covers it.
    healed_by: Option<u64>,
}

/// All damaged ranges.
#[derive(Default)]
pub(super) struct Wounds(Vec<Wound>);

impl Wounds {
    pub(super) fn add(&mut self, file: FileId, offset: u64, bytes: u64) {
        self.0.push(Wound { file, range: offset..offset + bytes, healed_by: None });
    }

    /// A range is written. `pending`: the write's number, if nothing vouches for it yet.
    pub(super) fn written(&mut self, file: FileId, offset: u64, bytes: u64, pending: Option<u64>) {
        let (start, end) = (offset, offset + bytes);
        let touches = |w: &Wound| w.file == file && w.range.start < end && start < w.range.end;
        if !self.0.iter().any(touches) {
            return;
        }
        let mut kept = Vec::new();
        for wound in std::mem::take(&mut self.0) {
            if !touches(&wound) {
                kept.push(wound);
                continue;
            }
            let (from, to) = (wound.range.start.max(start), wound.range.end.min(end));
            let part = |range: Range<u64>, healed_by| Wound { file, range, healed_by };
            kept.push(part(wound.range.start..from, wound.healed_by));
            if pending.is_some() {
                kept.push(part(from..to, pending));
            }
            kept.push(part(to..wound.range.end, wound.healed_by));
        }
        kept.retain(|w| !w.range.is_empty());
        self.0 = kept;
    }

    /// Pending writes of a file below a number are durable.
    pub(super) fn settled(&mut self, file: FileId, below: u64) {
        self.0.retain(|w| w.file != file || w.healed_by.is_none_or(|number| number >= below));
    }

    /// What was pending may be forgotten.
    pub(super) fn power_cut(&mut self) {
        self.0.iter_mut().for_each(|w| w.healed_by = None);
    }

    /// A file is gone, or starts anew.
    pub(super) fn removed(&mut self, file: FileId) {
        self.0.retain(|w| w.file != file);
    }

    /// All of them.
    pub(super) fn open(&self) -> impl Iterator<Item = (FileId, Range<u64>)> {
        self.0.iter().filter(|w| w.healed_by.is_none()).map(|w| (w.file, w.range.clone()))
    }

    /// Is anything in this range of the file damaged?
    pub(super) fn touch(&self, file: FileId, range: &Range<u64>) -> bool {
        self.open().any(|(of, damaged)| of == file && damaged.start < range.end && range.start < damaged.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(3);

    #[test]
    fn a_wound_heals_where_it_is_written_again_and_comes_back_with_the_power() {
        let mut wounds = Wounds::default();
        wounds.add(FILE, 100, 100);
        wounds.written(FILE, 0, 150, Some(7));
        assert!(!wounds.touch(FILE, &(0..150)) && wounds.touch(FILE, &(0..151)));
        wounds.power_cut();
        assert!(wounds.touch(FILE, &(0..150)));
        wounds.written(FILE, 120, 10, None);
        assert!(wounds.touch(FILE, &(100..120)) && !wounds.touch(FILE, &(120..130)) && wounds.touch(FILE, &(130..131)));
        wounds.written(FILE, 0, 200, Some(9));
        wounds.settled(FILE, 9);
        wounds.power_cut();
        assert!(wounds.touch(FILE, &(100..120)));
        wounds.written(FILE, 0, 200, Some(9));
        wounds.settled(FILE, 10);
        wounds.power_cut();
        assert!(!wounds.touch(FILE, &(0..u64::MAX)));
    }
}
