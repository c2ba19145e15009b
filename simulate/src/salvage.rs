//! What damage excuses. The disk knows what it has done to its bytes, so the oracle asks it.
//!
//! | what is seen | is excused if |
//! |---|---|
//! | an error reply | the disk has damaged the bytes that it names |
//! | a key is gone, or is what it was before | the start told of damage (or of a cut), and the disk has done some |
//! | the newest effects are gone, in order | the disk has damaged a segment: a write that it lost leaves no trace |
//! | the start tells of damage | the disk has damaged the segments that it names |
//!
//! Promises: a value that its key never had is never excused, nor is any loss on a disk that did nothing. Never: asks the engine
//! what it may have lost.

use crate::audit::{Beside, Holding};
use crate::ledger::{Entry, Ledger, Number, State};
use std::collections::{BTreeMap, BTreeSet};
use thermocline::{Engine, Error, RecoveryReport, SpaceId};
use thermocline_io::{Disk, FaultDisk};

/// Everything that any key has ever been.
#[derive(Default)]
pub struct Ever {
    entries: BTreeMap<(u32, Number), Vec<Entry>>,
    /// Keys that were changed while nobody knew what they were.
    unknown: BTreeSet<(u32, Number)>,
}

impl Ever {
    /// Remembers what a life has put.
    pub fn absorb(&mut self, ledger: &Ledger) {
        for (space, key, entry) in ledger.puts() {
            self.entries.entry((space.0, key)).or_default().push(entry.clone());
        }
        self.unknown.extend(ledger.believed().map(|(space, key)| (space.0, key)));
    }

    /// Has the key ever been this?
    pub fn knows(&self, space: SpaceId, key: Number, entry: &Entry) -> bool {
        self.unknown.contains(&(space.0, key))
            || self.entries.get(&(space.0, key)).is_some_and(|all| all.contains(entry))
    }
}

/// Damage that the disk has done and that lasts, so far.
pub fn damages(disk: &FaultDisk) -> u64 {
    let done = disk.injected();
    done.bit_rot + done.latent_sector + done.lose_write + done.misdirect_write
}

fn name_of(segment: u32) -> String {
    format!("segment-{segment:06}")
}

/// Has the disk given a reason for this error?
pub fn excuses(disk: &FaultDisk, segment_bytes: u64, error: &Error) -> bool {
    match error {
        Error::Corrupt { segment, offset } => {
            let from = u64::from(*offset);
            disk.injected().misdirect_read > 0
                || disk.is_wounded(&name_of(*segment), from..from + segment_bytes / 4 + 64)
        }
        Error::Io { .. } => disk.injected().latent_sector > 0,
        // A large value whose parts are lost.
        Error::PartsMissing { .. } => damages(disk) > 0,
        // A collection whose nodes are.
        Error::NodeMissing => damages(disk) > 0,
        _ => false,
    }
}

/// Does the start tell of damage?
pub fn tells_damage(report: &RecoveryReport) -> bool {
    !report.quarantined.is_empty() || report.lost_records > 0 || report.emptied
}

/// Damage that the start tells of and that the disk has not done, in words.
pub fn false_alarm(disk: &FaultDisk, report: &RecoveryReport) -> Option<String> {
    if (!report.quarantined.is_empty() || report.lost_records > 0) && damages(disk) == 0 {
        return Some(format!("FALSE ALARM: the disk has done nothing, but {:?}", report.notes));
    }
    let sound = report.quarantined.iter().find(|&&segment| !disk.is_wounded(&name_of(segment), 0..u64::MAX))?;
    Some(format!("FALSE ALARM: segment {sound} is sound, but {:?}", report.notes))
}

/// Has the disk damaged any segment that is there?
pub fn a_segment_is_wounded(disk: &FaultDisk) -> bool {
    let files = disk.list().unwrap_or_default();
    files.iter().any(|file| file.name.starts_with("segment-") && disk.is_wounded(&file.name, 0..u64::MAX))
}

/// After damage that was told: the state of the ledger that is nearest to what the store holds. What differs must be gone, or be
/// what its key was once.
///
/// # Errors
/// Something that was never there.
pub fn nearest(
    ledger: &Ledger,
    engine: &Engine,
    holding: &Holding,
    ever: &Ever,
    now_ms: u64,
) -> Result<(usize, State), String> {
    for (database, keys) in holding.keys.iter().enumerate() {
        let space = engine.space(database as u32);
        for (key, entry) in keys {
            if !ever.knows(space, *key, entry) {
                let head = entry.value.head();
                return Err(format!("WRONG: database {database} key {key} holds {head}, which it never was"));
            }
        }
    }
    let mut beside = Beside::new(ledger, holding, now_ms);
    let mut best = (usize::MAX, 0);
    for count in 0..=ledger.effects.len() {
        beside.go_on_to(count);
        if count >= ledger.floor && beside.differences() <= best.0 {
            best = (beside.differences(), count);
        }
    }
    Ok((best.1, ledger.state_after(best.1)))
}
