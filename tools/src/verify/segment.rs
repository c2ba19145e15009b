//! Checks one segment: chunk headers, records, the footer against the records, the map's live bits against both.
//!
//! A place that does not hold is first only a *gap*. It is damage if something proves that it was durable once: a valid footer
//! (written when all chunks were), a later watermark of the foreground stream in this segment, a live bit in it, or - in the
//! foreground, which survives as a prefix - a live bit behind it. Without a proof it is a torn write, or void since a cut: if
//! it lies beyond the map, the stream's order over all segments decides (`stream.rs`).
//!
//! Promises: a live record that cannot be read is always damage, with its place. Never: more memory than a few words per
//! record of one segment.

use super::records::Records;
use super::report::{Damage, Report};
use super::stream::Run;
use crate::directory::Directory;
use crate::segment::{FooterState, SegmentFile};
use thermocline::Hasher;
use thermocline::log::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use thermocline::log::record::{Bad, FLAGS_KNOWN, HEADER_BYTES, Record, RecordKind, Seq};
use thermocline::log::segment_name;
use thermocline::log::superblock::Superblock;
use thermocline::log::walk::Step;

/// Bytes of the present life that hold nothing valid.
struct Gap {
    offset: u32,
    end: u32,
    what: String,
    /// The last seq known before it.
    seq_before: Seq,
    /// The last seq that it held, if its header says so.
    claims_seq: Seq,
    /// Runs that were closed before it.
    runs_before: usize,
}

/// The chunk that the walk is in.
struct Present {
    header: ChunkHeader,
    end: u32,
    last_seq: Seq,
    broken: bool,
}

/// State of one check.
struct Check<'s, 'd> {
    segment: &'s SegmentFile<'d>,
    cut: u32,
    expected: u32,
    last_seq: Option<Seq>,
    chunk: Option<Present>,
    watermark: Seq,
    gaps: Vec<Gap>,
    runs: Vec<Run>,
    run_is_open: bool,
    records: Records<'s>,
}

/// Checks segment `id`; answers the runs of its foreground chunks beyond the map.
pub fn check(directory: &Directory, block: &Superblock, id: u32, report: &mut Report) -> Vec<Run> {
    let file = segment_name(id);
    let segment = match SegmentFile::open(directory, block, id) {
        Ok(segment) => segment,
        Err(error) => {
            let what = format!("it cannot be read: {error}");
            report.damage(Damage { file, offset: 0, what, loses_data: true });
            return Vec::new();
        }
    };
    if segment.len() < block.segment_bytes as usize {
        let named = segment.chunks > 0 || segment.map.is_some_and(|map| !map.none_live());
        let words = format!("{} bytes instead of {}", segment.len(), block.segment_bytes);
        if named {
            let (offset, what) = (segment.len() as u64, format!("it is cut short: {words}"));
            report.damage(Damage { file: file.clone(), offset, what, loses_data: true });
        } else {
            report.note(format!("{file}: unfinished, {words}, nothing in it (a crash while it was made)"));
        }
    }
    let footer = segment.footer();
    report.checked.chunks += segment.chunks;
    report.ordinary.stale_chunks += segment.stale_chunks;
    let cut = block
        .cuts
        .iter()
        .find(|cut| cut.segment == id && cut.epoch == segment.epoch)
        .map_or(u32::MAX, |cut| cut.length);
    let entries = match &footer {
        FooterState::Whole(footer) => Some(footer.entries.as_slice()),
        _ => None,
    };
    let mut check = Check {
        segment: &segment,
        cut,
        expected: 0,
        last_seq: None,
        chunk: None,
        watermark: 0,
        gaps: Vec::new(),
        runs: Vec::new(),
        run_is_open: false,
        records: Records::new(segment.map, entries, Hasher::new(block.secret, 64)),
    };
    segment.walk(|step| check.step(step, report));
    check.leave_chunk();
    match &footer {
        FooterState::Whole(_) => report.checked.footers += 1,
        FooterState::Absent => report.ordinary.segments_without_footer += u64::from(segment.chunks > 0),
        FooterState::Bad(words) => {
            let what = format!("{words} (nothing is lost: it is rebuilt from the records)");
            let offset = segment.len() as u64 - 64;
            report.damage(Damage { file: file.clone(), offset, what, loses_data: false });
        }
    }
    if let Some(after) = check.records.first_unmet().filter(|&offset| offset >= check.expected) {
        let expected = check.expected;
        check.gap(expected, (segment.len() as u32).max(after), "a chunk that the footer names is missing".into());
    }
    check.judge(report)
}

impl Check<'_, '_> {
    fn step(&mut self, step: Step<'_>, report: &mut Report) {
        match step {
            Step::Chunk { offset, header } => self.enter_chunk(offset, header),
            Step::Record { offset, record } => self.record(offset, &record, report),
            Step::BadRecord { offset, bad, .. } => {
                let end = self.chunk.as_mut().map_or(offset, |chunk| {
                    chunk.broken = true;
                    chunk.end
                });
                let what = match bad {
                    Bad::Nothing => "zeros where a record should be",
                    Bad::Length | Bad::Short { .. } => "a record's length cannot be",
                    Bad::Checksum => "a record's checksum does not hold",
                    Bad::Unknown => "a record's kind or flags are not known to this version",
                };
                self.gap(offset, end, what.into());
            }
            // Zeros, an earlier life, or a header that does not hold: the next chunk or the footer tells.
            Step::NoChunk { .. } | Step::More { .. } | Step::End => {}
        }
    }

    fn enter_chunk(&mut self, offset: u32, header: ChunkHeader) {
        self.leave_chunk();
        if offset > self.expected {
            let before = self.last_seq.unwrap_or(header.prev_seq.saturating_sub(1));
            let expected = self.expected;
            self.gap(expected, offset, "a chunk's header does not hold".into());
            if let Some(gap) = self.gaps.last_mut() {
                gap.seq_before = before;
                gap.claims_seq = header.prev_seq;
            }
        }
        self.expected = offset + header.bytes;
        if self.is_void(offset + CHUNK_HEADER_BYTES as u32) {
            self.run_is_open = false;
        } else {
            self.watermark = self.watermark.max(header.watermark);
            if header.stream == 0 && offset + header.used > self.segment.covered() {
                self.extend_run(offset, &header);
            }
        }
        self.chunk = Some(Present { header, end: offset + header.bytes, last_seq: header.prev_seq, broken: false });
    }

    fn extend_run(&mut self, offset: u32, header: &ChunkHeader) {
        if !self.run_is_open {
            self.run_is_open = true;
            self.runs.push(Run {
                from: (self.segment.id, offset),
                prev_seq: header.prev_seq,
                reached_seq: header.prev_seq,
                watermark: 0,
                bytes: 0,
                bad_before: None,
                bad_after: None,
            });
        }
        if let Some(run) = self.runs.last_mut() {
            run.watermark = run.watermark.max(header.watermark);
            run.bytes += u64::from(header.used);
        }
    }

    fn leave_chunk(&mut self) {
        let Some(chunk) = self.chunk.take() else { return };
        if !chunk.broken && chunk.header.stream == 0 && chunk.last_seq != chunk.header.last_seq {
            self.gap(
                chunk.end,
                chunk.end,
                format!("a chunk ends with seq {}, not {}", chunk.last_seq, chunk.header.last_seq),
            );
        }
    }

    fn record(&mut self, offset: u32, record: &Record<'_>, report: &mut Report) {
        report.checked.records += 1;
        let Some(chunk) = &mut self.chunk else { return };
        let is_first = chunk.last_seq == chunk.header.prev_seq;
        let follows = if is_first { record.seq > chunk.last_seq } else { record.seq == chunk.last_seq + 1 };
        if chunk.header.stream == 0 && !follows {
            report.damage(Damage {
                file: segment_name(self.segment.id),
                offset: u64::from(offset),
                what: format!("seq {} stands after seq {} in one chunk", record.seq, chunk.last_seq),
                loses_data: true,
            });
        }
        chunk.last_seq = record.seq;
        self.last_seq = Some(record.seq);
        if offset < self.cut
            && self.run_is_open
            && let Some(run) = self.runs.last_mut()
        {
            run.reached_seq = record.seq;
        }
        report.checked.live_records += u64::from(self.records.meet(offset, record, self.segment.id, report));
    }

    fn gap(&mut self, offset: u32, end: u32, what: String) {
        self.run_is_open = false;
        let seq_before = self.last_seq.unwrap_or(0);
        let claims_seq = self.chunk.as_ref().map_or(0, |chunk| chunk.header.last_seq);
        self.gaps.push(Gap { offset, end, what, seq_before, claims_seq, runs_before: self.runs.len() });
    }

    fn is_void(&self, offset: u32) -> bool {
        offset >= self.cut
    }

    /// Decides what each gap is, and joins the runs over those that are reported here.
    fn judge(mut self, report: &mut Report) -> Vec<Run> {
        let id = self.segment.id;
        let foreground = self.segment.stream == 0;
        let places: Vec<(u32, u32)> = self.gaps.iter().map(|gap| (gap.offset, gap.end)).collect();
        for offset in self.records.unmet_outside(&places) {
            let what = "the footer names a record that is not there".into();
            report.damage(Damage { file: segment_name(id), offset: u64::from(offset), what, loses_data: true });
        }
        let grain_bytes = self.records.grain_bytes();
        let mut lost = self.records.lost(self.segment, &places);
        let mut joined = Vec::new();
        for gap in std::mem::take(&mut self.gaps) {
            let inside = |&offset: &u32| offset < gap.end && offset + grain_bytes > gap.offset;
            let lost_here = lost.iter().filter(|o| inside(o)).count() as u64;
            lost.retain(|o| !inside(o));
            let void = self.is_void(gap.offset);
            let proven = lost_here > 0
                || !void
                    && (self.records.has_footer()
                        || foreground && (self.watermark > gap.seq_before || self.records.any_live_from(gap.end)));
            let beyond = gap.end > self.segment.covered();
            if proven {
                let more = match lost_here {
                    0 if beyond => String::new(),
                    0 => " (nothing live was in it)".into(),
                    n => format!(" ({n} live in it)"),
                };
                report.damage(Damage {
                    file: segment_name(id),
                    offset: u64::from(gap.offset),
                    what: gap.what + &more,
                    loses_data: lost_here > 0 || beyond && !void,
                });
                joined.push((gap.runs_before, gap.claims_seq));
                continue;
            }
            report.ordinary.void_bytes += u64::from(gap.end - gap.offset);
            if foreground && beyond && !void {
                let place = Some((id, gap.offset));
                if let Some(run) = self.runs.get_mut(gap.runs_before) {
                    run.bad_before = place;
                }
                if let Some(run) = gap.runs_before.checked_sub(1).and_then(|n| self.runs.get_mut(n)) {
                    run.bad_after = place;
                }
            }
        }
        for offset in lost {
            let what = "the map calls a record live that is not there".into();
            report.damage(Damage { file: segment_name(id), offset: u64::from(offset), what, loses_data: true });
        }
        join(self.runs, &joined)
    }
}

/// Joins runs over gaps that were reported: the stream's order need not report them again.
fn join(runs: Vec<Run>, reported: &[(usize, Seq)]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (n, mut run) in runs.into_iter().enumerate() {
        for (_, claims_seq) in reported.iter().filter(|(before, _)| *before == n + 1) {
            run.reached_seq = run.reached_seq.max(*claims_seq);
        }
        let is_bridged = reported.iter().any(|(before, _)| *before == n);
        match out.last_mut() {
            Some(last) if is_bridged => {
                last.reached_seq = run.reached_seq;
                last.watermark = last.watermark.max(run.watermark);
                last.bytes += run.bytes;
                last.bad_after = run.bad_after;
            }
            _ => {
                run.prev_seq = if is_bridged { 0 } else { run.prev_seq };
                out.push(run);
            }
        }
    }
    out
}

/// Is a whole value at this offset? A live record behind a bad one is not lost.
pub fn is_readable(segment: &SegmentFile<'_>, offset: u32, end: u32) -> bool {
    let from = &segment[offset as usize..end as usize];
    // Most places are refused by a look at kind and flags, without a checksum over what follows.
    from.len() >= HEADER_BYTES
        && from[15] & !FLAGS_KNOWN == 0
        && RecordKind::from_number(from[14]).is_some_and(RecordKind::is_value)
        && Record::decode(segment.address().at(offset), from).is_ok()
}
