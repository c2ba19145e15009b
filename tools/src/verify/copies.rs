//! Checks the small files that exist twice: superblocks, maps, checkpoints.
//!
//! A copy that does not check out is reported even where the other one serves: whether the power went while it was written or
//! its bits rotted cannot be seen. A copy that was never written (no file, or zeros) is ordinary, unless its turn has been.
//!
//! Promises: reads a checkpoint in windows. Never: damage for a copy that is merely old.

use super::report::{Damage, Report};
use crate::directory::{Copy, Directory};
use indicatif::ProgressBar;
use thermocline::log::checkpoint::{self, BODY_OFFSET, CheckpointHeader, Table};
use thermocline::log::{map, superblock};

/// Bytes of a checkpoint mapped at once.
const WINDOW_BYTES: usize = 4 << 20;

/// Superblocks and maps, as they were read when the directory was opened.
pub fn superblocks_and_maps(directory: &Directory, report: &mut Report) {
    let generation = directory.superblock().map_or(0, |block| block.generation);
    let states = directory.superblocks.each_ref().map(|copy| state(copy, |block| block.generation));
    report.checked.superblocks = pair(superblock::FILES, states, generation, report);
    let generation = directory.map.as_ref().map_or(0, |map| map.generation);
    let states = directory.maps.each_ref().map(|copy| state(copy, |&generation| generation));
    report.checked.maps = pair(map::FILES, states, generation, report);
}

/// `Ok(Some)`: whole, with its generation; `Ok(None)`: absent; `Err`: bad.
type State = Result<Option<u64>, String>;

fn state<T>(copy: &Copy<T>, generation: impl Fn(&T) -> u64) -> State {
    match copy {
        Copy::Absent => Ok(None),
        Copy::Bad(words) => Err(words.clone()),
        Copy::Whole(content) => Ok(Some(generation(content))),
    }
}

fn pair(names: [&str; 2], states: [State; 2], newest: u64, report: &mut Report) -> u64 {
    let whole = states.iter().filter(|state| matches!(state, Ok(Some(_)))).count() as u64;
    for (name, state) in names.iter().zip(&states) {
        let serves = if whole == 0 {
            "no other copy serves".to_owned()
        } else {
            format!("the other copy, generation {newest}, serves; the next write cures it")
        };
        let what = match state {
            Err(words) => format!("{words} ({serves})"),
            Ok(None) if newest > 1 => format!("it is missing or empty, but generation {newest} was written ({serves})"),
            Ok(_) => continue,
        };
        report.damage(Damage { file: (*name).into(), offset: 0, what, loses_data: whole == 0 });
    }
    whole
}

/// Both checkpoints, and after a clean shutdown that one of them goes with the newest map. A checkpoint that was being written
/// when the store was left has zeros for a header and counts as absent.
pub fn checkpoints(directory: &Directory, bar: &ProgressBar, report: &mut Report) {
    let Some(block) = directory.superblock() else { return };
    let mut belongs = false;
    let mut bad = false;
    for name in checkpoint::FILES {
        match one(directory, name, block.store, bar) {
            Ok(None) => {}
            Ok(Some(header)) => {
                report.checked.checkpoints += 1;
                report.checked.bytes += header.table_offset + u64::from(header.table_bytes);
                belongs |= directory.map.as_ref().is_some_and(|map| map.generation >= header.map_generation);
            }
            Err((offset, what)) => {
                bad = true;
                let what = format!("{what} (the log serves instead; the start takes longer)");
                report.damage(Damage { file: name.into(), offset, what, loses_data: false });
            }
        }
    }
    if block.clean && !belongs && !bad {
        let what = "the shutdown was clean, but no checkpoint goes with the newest map (the log serves instead)".into();
        report.damage(Damage { file: checkpoint::FILES[0].into(), offset: 0, what, loses_data: false });
    }
}

fn one(
    directory: &Directory,
    name: &str,
    store: u32,
    bar: &ProgressBar,
) -> Result<Option<CheckpointHeader>, (u64, String)> {
    let window = |from: u64, bytes: usize| match directory.window(name, from, bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err((from, format!("it cannot be read: {error}")))
        }
        mapped => Ok(mapped.ok()),
    };
    let Some(first) = window(0, BODY_OFFSET as usize)?.filter(|first| first.iter().any(|&b| b != 0)) else {
        return Ok(None);
    };
    let header = CheckpointHeader::decode(&first).ok_or((0, "its header's checksum does not hold".to_owned()))?;
    if header.store != store {
        return Err((0, "it is of another store".into()));
    }
    let short = |at: u64| (at, "it is shorter than its header says".to_owned());
    let table = window(header.table_offset, header.table_bytes as usize)?.ok_or_else(|| short(header.table_offset))?;
    let table = Table::decode(&header, &table)
        .ok_or((header.table_offset, "the checksum of its table does not hold".to_owned()))?;
    for frame in &table.frames {
        let (mut crc, mut at, end) = (crc32fast::Hasher::new(), frame.offset, frame.offset + u64::from(frame.bytes));
        let mut shape = Shape::default();
        while at < end {
            let piece = window(at, WINDOW_BYTES.min((end - at) as usize))?;
            let piece = piece.as_deref().filter(|piece| !piece.is_empty()).ok_or_else(|| short(at))?;
            crc.update(piece);
            shape.feed(piece);
            at += piece.len() as u64;
            bar.inc(piece.len() as u64);
        }
        if crc.finalize() != frame.crc {
            return Err((frame.offset, format!("the checksum of a frame ({} bytes) does not hold", frame.bytes)));
        }
        if !shape.is_whole() {
            return Err((frame.offset, "a frame does not end with a whole index segment".into()));
        }
    }
    Ok(Some(header))
}

/// Follows `| space u64 | words u64 | u64 x words |` through pieces of any size.
#[derive(Default)]
struct Shape {
    head: Vec<u8>,
    skip_bytes: u64,
}

impl Shape {
    fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let skipped = self.skip_bytes.min(piece.len() as u64);
            self.skip_bytes -= skipped;
            piece = &piece[skipped as usize..];
            let (head, rest) = piece.split_at(piece.len().min(16 - self.head.len()));
            self.head.extend_from_slice(head);
            piece = rest;
            if let Some((_, words)) = self.head.split_first_chunk::<8>()
                && let Ok(words) = <[u8; 8]>::try_from(words)
            {
                self.skip_bytes = u64::from_le_bytes(words).saturating_mul(8);
                self.head.clear();
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.head.is_empty() && self.skip_bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_followed_through_pieces_of_any_size() {
        let mut body = Vec::new();
        for words in [3u64, 1, 40] {
            body.extend_from_slice(&7u64.to_le_bytes());
            body.extend_from_slice(&words.to_le_bytes());
            body.resize(body.len() + 8 * words as usize, 0xff);
        }
        for size in [1, 5, 16, 17, 1000] {
            let mut shape = Shape::default();
            body.chunks(size).for_each(|piece| shape.feed(piece));
            assert!(shape.is_whole(), "pieces of {size}");
            shape.feed(&[0]);
            assert!(!shape.is_whole());
        }
    }
}
