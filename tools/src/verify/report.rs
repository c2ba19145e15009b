//! What `verify` says: counts, damages by file and offset (a bounded list), notes; for people and as JSON.

use crate::print::{bytes, count, table};
use serde::Serialize;

/// Notes kept; the rest is counted.
const NOTES_MAX: usize = 1000;

/// A place that does not hold what it should.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Damage {
    /// File in the directory.
    pub file: String,
    /// Byte offset in it.
    pub offset: u64,
    /// What is wrong, in words.
    pub what: String,
    /// Something is lost that only this place had. Otherwise a second copy, or the records themselves, serve instead.
    pub loses_data: bool,
}

/// What was looked at.
#[derive(Default, Serialize)]
pub struct Checked {
    /// Superblocks that hold.
    pub superblocks: u64,
    /// Maps that hold.
    pub maps: u64,
    /// Checkpoints that hold.
    pub checkpoints: u64,
    /// Segment files.
    pub segments: u64,
    /// Chunks.
    pub chunks: u64,
    /// Records whose checksums hold.
    pub records: u64,
    /// Of them, live by the newest map.
    pub live_records: u64,
    /// Footers that hold.
    pub footers: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Leftovers that are no damage.
#[derive(Default, Serialize)]
pub struct Ordinary {
    /// Chunks of earlier lives of reused segments.
    pub stale_chunks: u64,
    /// Bytes in torn tails and beyond cuts.
    pub void_bytes: u64,
    /// Segments with records but without a footer: open when the store was left.
    pub segments_without_footer: u64,
}

/// The whole answer.
#[derive(Serialize)]
pub struct Report {
    /// The directory.
    pub directory: String,
    /// `clean` or `damaged`.
    pub result: &'static str,
    /// Was the last shutdown clean?
    pub clean_shutdown: bool,
    /// What was looked at.
    pub checked: Checked,
    /// Leftovers that are no damage.
    pub ordinary: Ordinary,
    /// All damages.
    pub damages_total: u64,
    /// Of them, those that lose something.
    pub damages_losing_data: u64,
    /// The first of them.
    pub damages: Vec<Damage>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    #[serde(skip)]
    limit: usize,
}

impl Report {
    /// An empty report that lists at most `limit` damages.
    pub fn new(directory: String, limit: usize) -> Report {
        Report {
            directory,
            result: "clean",
            clean_shutdown: false,
            checked: Checked::default(),
            ordinary: Ordinary::default(),
            damages_total: 0,
            damages_losing_data: 0,
            damages: Vec::new(),
            notes: Vec::new(),
            limit,
        }
    }

    /// Adds a damage.
    pub fn damage(&mut self, damage: Damage) {
        self.result = "damaged";
        self.damages_total += 1;
        self.damages_losing_data += u64::from(damage.loses_data);
        if self.damages.len() < self.limit {
            self.damages.push(damage);
        }
    }

    /// Adds a note.
    pub fn note(&mut self, words: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(words);
        }
    }

    /// The report for people.
    pub fn words(&self) -> String {
        let Checked { superblocks, maps, checkpoints, segments, chunks, records, live_records, footers, bytes: read } =
            self.checked;
        let mut out = format!(
            "{}: {}, {}, {}, {} ({}, {}, {})\n",
            self.directory,
            count(superblocks, "superblock"),
            count(maps, "map"),
            count(checkpoints, "checkpoint"),
            count(segments, "segment"),
            count(chunks, "chunk"),
            count(footers, "footer"),
            bytes(read),
        );
        out.push_str(&format!("{} checked, {live_records} of them live by the map\n", count(records, "record")));
        let Ordinary { stale_chunks, void_bytes, segments_without_footer } = self.ordinary;
        out.push_str(&format!(
            "no damage: {} of earlier lives, {} in torn tails or beyond cuts, {} without a footer\n",
            count(stale_chunks, "chunk"),
            bytes(void_bytes),
            count(segments_without_footer, "segment"),
        ));
        for note in &self.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        if self.damages_total == 0 {
            return out + "clean\n";
        }
        let row = |d: &Damage| {
            let harm = if d.loses_data { "yes" } else { "no" };
            vec![d.file.clone(), d.offset.to_string(), harm.to_owned(), d.what.clone()]
        };
        out.push('\n');
        out.push_str(&table(
            &["file", "offset", "loses data", "what"],
            &self.damages.iter().map(row).collect::<Vec<_>>(),
        ));
        let more = self.damages_total - self.damages.len() as u64;
        if more > 0 {
            out.push_str(&format!("  ... and {more} more (--limit shows more)\n"));
        }
        out + &format!(
            "DAMAGED: {}, {} of them losing data\n",
            count(self.damages_total, "damage"),
            self.damages_losing_data
        )
    }
}
