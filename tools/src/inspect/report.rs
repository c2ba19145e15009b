//! What `inspect` says, for people and as JSON. Field names are part of what users see: only ever added to.

use super::histogram::Bucket;
use super::keys::{Keys, LargestRow, PrefixRow};
use crate::print::{bytes, table};
use serde::Serialize;

/// What the superblock and the map say of the whole store.
#[derive(Serialize)]
pub struct Store {
    /// Format of the directory.
    pub format: u32,
    /// The store's id.
    pub id: u32,
    /// `logged` or `appendonly no`.
    pub mode: &'static str,
    /// Was the last shutdown clean?
    pub clean_shutdown: bool,
    /// Generation of the newest superblock.
    pub superblock_generation: u64,
    /// Generation of the newest map.
    pub map_generation: Option<u64>,
    /// The first seq that the map does not speak of.
    pub map_b: Option<u64>,
    /// Above every seq seen when the store was opened last.
    pub next_seq: u64,
    /// Size of a segment.
    pub segment_bytes: u32,
    /// Cuts that no map covers yet.
    pub cuts: usize,
    /// Logical databases.
    pub databases: usize,
    /// Values in extents whose sweep or commit is unfinished.
    pub unfinished_large_values: usize,
}

/// One segment.
#[derive(Serialize)]
pub struct SegmentRow {
    /// Its number.
    pub segment: u32,
    /// `unused`, `free`, `open`, `sealed`, `unfinished`, or `unreadable`; a guess from the bytes.
    pub state: &'static str,
    /// Its epoch: how often it was used.
    pub epoch: u32,
    /// `foreground` or `gc 1` to `gc 3`.
    pub stream: String,
    /// Records in it.
    pub records: u64,
    /// Their bytes, with padding.
    pub bytes: u64,
    /// Of them, live by the map.
    pub live_records: u64,
    /// Their bytes, with padding.
    pub live_bytes: u64,
    /// Share of the segment's bytes.
    pub live_percent: f64,
    /// Lowest and highest seq.
    pub seqs: Option<(u64, u64)>,
    /// Records that the map does not speak of.
    pub beyond_map: u64,
    /// Their bytes, with padding.
    pub bytes_beyond_map: u64,
}

/// Segments of one stream: what was written once, and what garbage collection has moved once, twice or more often.
#[derive(Clone, Default, Serialize)]
pub struct GenerationRow {
    /// `foreground` or `gc 1` to `gc 3`.
    pub stream: String,
    /// Segments that hold something live or not yet collected.
    pub segments: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Of them, live by the map (or newer than it).
    pub live_bytes: u64,
    /// The others.
    pub garbage_bytes: u64,
}

/// Records of one kind.
#[derive(Clone, Default, Serialize)]
pub struct KindRow {
    /// The kind.
    pub kind: &'static str,
    /// Records in the log.
    pub records: u64,
    /// Their bytes, with padding.
    pub bytes: u64,
    /// Of them, live by the map.
    pub live_records: u64,
    /// Their bytes.
    pub live_bytes: u64,
}

/// Keys of one database.
#[derive(Serialize)]
pub struct DatabaseRow {
    /// Its number; `None`: of spaces that no database names any more.
    pub database: Option<usize>,
    /// Keys, live by the map.
    pub keys: u64,
    /// Of them, with a time to live.
    pub expiring: u64,
    /// Bytes of their records (extents and nodes included).
    pub bytes: u64,
}

/// The whole answer.
#[derive(Serialize)]
pub struct Report {
    /// The directory.
    pub directory: String,
    /// The store.
    pub store: Store,
    /// Segments.
    pub segments: Vec<SegmentRow>,
    /// Segments by stream.
    pub generations: Vec<GenerationRow>,
    /// Totals by kind.
    pub kinds: Vec<KindRow>,
    /// Live values by size.
    pub sizes: Vec<Bucket>,
    /// Live keys by time to live.
    pub ttls: Vec<Bucket>,
    /// Keys per database.
    pub databases: Vec<DatabaseRow>,
    /// What the records tell, with `--keys`.
    pub keys: Option<Keys>,
    /// Records that the map does not speak of: recovery will tell whether they are live.
    pub beyond_map: u64,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

impl Report {
    /// The report for people, with at most `limit` segments.
    pub fn words(&self, limit: usize) -> String {
        let store = &self.store;
        let mut out = format!(
            "{}\n  format {}, store {:08x}, {}, {}\n  superblock generation {}, next seq {}, {}, cuts {}, segments of {}\n",
            self.directory,
            store.format,
            store.id,
            store.mode,
            if store.clean_shutdown {
                "shut down cleanly"
            } else {
                "not shut down cleanly: recovery will read the log"
            },
            store.superblock_generation,
            store.next_seq,
            store
                .map_generation
                .map_or("no map".into(), |g| format!("map generation {g} up to seq {}", store.map_b.unwrap_or(0))),
            store.cuts,
            bytes(u64::from(store.segment_bytes)),
        );
        out.push_str("\nsegments\n");
        let rows: Vec<Vec<String>> = self.segments.iter().take(limit).map(SegmentRow::cells).collect();
        out.push_str(&table(
            &["segment", "state", "epoch", "stream", "records", "live", "live bytes", "%", "seqs", "beyond map"],
            &rows,
        ));
        if self.segments.len() > limit {
            out.push_str(&format!("  ... and {} more (--limit shows more)\n", self.segments.len() - limit));
        }
        out.push_str("\ngarbage\n");
        let generation = |g: &GenerationRow| {
            let share = g.garbage_bytes as f64 * 100.0 / g.bytes.max(1) as f64;
            let cells = [bytes(g.bytes), bytes(g.live_bytes), bytes(g.garbage_bytes), format!("{share:.1}")];
            [vec![g.stream.clone(), g.segments.to_string()], cells.to_vec()].concat()
        };
        out.push_str(&table(
            &["stream", "segments", "bytes", "live bytes", "garbage", "%"],
            &self.generations.iter().map(generation).collect::<Vec<_>>(),
        ));
        out.push_str("\nkinds\n");
        let kind = |k: &KindRow| {
            vec![k.kind.into(), k.records.to_string(), bytes(k.bytes), k.live_records.to_string(), bytes(k.live_bytes)]
        };
        out.push_str(&table(
            &["kind", "records", "bytes", "live", "live bytes"],
            &self.kinds.iter().map(kind).collect::<Vec<_>>(),
        ));
        for (title, head, buckets) in
            [("sizes of live values", "record", &self.sizes), ("times to live", "expires", &self.ttls)]
        {
            out.push_str(&format!("\n{title}\n"));
            let row = |b: &Bucket| vec![b.label.clone(), b.count.to_string(), bytes(b.bytes)];
            out.push_str(&table(&[head, "count", "bytes"], &buckets.iter().map(row).collect::<Vec<_>>()));
        }
        out.push_str("\ndatabases\n");
        let database = |d: &DatabaseRow| {
            let name = d.database.map_or("(flushed)".into(), |n| format!("db{n}"));
            vec![name, d.keys.to_string(), d.expiring.to_string(), bytes(d.bytes)]
        };
        out.push_str(&table(
            &["database", "keys", "expiring", "bytes"],
            &self.databases.iter().map(database).collect::<Vec<_>>(),
        ));
        out.extend(self.keys.as_ref().map(words_of_keys));
        if self.beyond_map > 0 {
            out.push_str(&format!(
                "\n{} records are newer than the map: recovery will tell which are live\n",
                self.beyond_map
            ));
        }
        for note in &self.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        out
    }
}

fn words_of_keys(keys: &Keys) -> String {
    let mut out = "\nprefixes\n".to_owned();
    let prefix = |p: &PrefixRow| {
        let cold = p.bytes - p.hot_bytes;
        vec![
            p.prefix.clone(),
            p.keys.to_string(),
            p.expiring.to_string(),
            bytes(p.bytes),
            bytes(p.hot_bytes),
            bytes(cold),
        ]
    };
    out.push_str(&table(
        &["prefix", "keys", "expiring", "bytes", "hot", "cold"],
        &keys.prefixes.iter().map(prefix).collect::<Vec<_>>(),
    ));
    if keys.prefixes_total > keys.prefixes.len() {
        out.push_str(&format!("  ... of {} prefixes\n", keys.prefixes_total));
    }
    out.push_str("\nlargest keys\n");
    let largest = |l: &LargestRow| {
        let database = l.database.map_or("(flushed)".into(), |n| format!("db{n}"));
        vec![database, l.key.clone(), l.kind.into(), bytes(l.bytes), l.parts.to_string()]
    };
    out.push_str(&table(
        &["database", "key", "type", "bytes", "parts"],
        &keys.largest.iter().map(largest).collect::<Vec<_>>(),
    ));
    out
}

impl SegmentRow {
    fn cells(&self) -> Vec<String> {
        vec![
            self.segment.to_string(),
            self.state.into(),
            self.epoch.to_string(),
            self.stream.clone(),
            self.records.to_string(),
            self.live_records.to_string(),
            bytes(self.live_bytes),
            format!("{:.1}", self.live_percent),
            self.seqs.map_or("-".into(), |(low, high)| format!("{low}..{high}")),
            self.beyond_map.to_string(),
        ]
    }
}
