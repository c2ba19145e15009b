//! The fast check of a segment: its ends against the map, without reading what lies between.
//!
//! Promises: a footer that does not hold, a first block of another life, and a live bit that no footer entry stands for are named.
//! Never: sees damage inside a record; that takes the full check.

use super::report::{Damage, Report};
use crate::directory::Directory;
use crate::segment::{FooterState, SegmentFile};
use thermocline::log::map::MapSegment;
use thermocline::log::segment_name;
use thermocline::log::superblock::Superblock;

/// Checks the ends of segment `id`.
pub fn check(directory: &Directory, block: &Superblock, id: u32, report: &mut Report) {
    let file = segment_name(id);
    let segment = match SegmentFile::open_ends(directory, block, id) {
        Ok(segment) => segment,
        Err(error) => {
            let what = format!("it cannot be read: {error}");
            report.damage(Damage { file, offset: 0, what, loses_data: true });
            return;
        }
    };
    let map = directory.map_of(id).filter(|map| !map.none_live());
    if segment.len() < block.segment_bytes as usize {
        if map.is_some() {
            let what = format!("it is cut short: {} bytes instead of {}", segment.len(), block.segment_bytes);
            report.damage(Damage { file, offset: segment.len() as u64, what, loses_data: true });
        }
        return;
    }
    if let Some(map) = map.filter(|map| map.covered > 0 && segment.chunks == 0 && map.epoch == segment.epoch) {
        let what = format!("its first block is not of the life (epoch {}) that the map speaks of", map.epoch);
        report.damage(Damage { file: file.clone(), offset: 0, what, loses_data: false });
    }
    let trailer_at = segment.len() as u64 - 64;
    match segment.footer() {
        FooterState::Absent => report.ordinary.segments_without_footer += segment.chunks,
        FooterState::Bad(words) => {
            let what = format!("{words} (nothing is lost: it is rebuilt from the records)");
            report.damage(Damage { file, offset: trailer_at, what, loses_data: false });
        }
        FooterState::Whole(footer) => {
            report.checked.footers += 1;
            report.checked.records += footer.entries.len() as u64;
            let Some(map) = segment.map else { return };
            let offsets: Vec<u32> =
                footer.entries.iter().filter(|entry| entry.kind.is_value()).map(|entry| entry.offset).collect();
            report.checked.live_records += offsets.iter().filter(|&&offset| map.live(offset)).count() as u64;
            if let Some(offset) = unnamed(map, &offsets) {
                let what = "the map calls a record live that the footer does not name".to_owned();
                report.damage(Damage { file, offset: u64::from(offset), what, loses_data: true });
            }
        }
    }
}

/// The first live grain, wholly below what the map covers, in which no entry begins.
fn unnamed(map: &MapSegment, offsets: &[u32]) -> Option<u32> {
    let mut named = vec![0u64; map.bits.len()];
    for grain in offsets.iter().map(|offset| (offset >> map.grain_shift) as usize) {
        if let Some(word) = named.get_mut(grain / 64) {
            *word |= 1 << (grain % 64);
        }
    }
    let grains = (0..map.bits.len() as u32 * 64).take_while(|&grain| grain < map.covered >> map.grain_shift);
    let bit = |words: &[u64], grain: u32| words[grain as usize / 64] >> (grain % 64) & 1 == 1;
    grains.filter(|&grain| bit(&map.bits, grain) && !bit(&named, grain)).map(|grain| grain << map.grain_shift).next()
}
