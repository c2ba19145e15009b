//! The order of the foreground stream beyond the map, over all segments: where it is torn, and where it is damaged.
//!
//! As in recovery: the first hole ends the stream, unless a later chunk's watermark says that what is missing was durable
//! once. Example: seqs 1..9, then a run that begins behind 12. With a watermark of 10 in the later run, 10 was durable: damage.
//! With a watermark of 9 nobody was told that 10 exists: a torn tail.
//!
//! Promises: keeps a few words per uninterrupted run of chunks, not per chunk. Never: judges what the map speaks of.

use super::report::{Damage, Report};
use thermocline::log::record::Seq;
use thermocline::log::segment_name;

/// A place in the log.
pub type Spot = (u32, u32);

/// Chunks of one segment that follow each other without a hole.
#[derive(Clone, Debug)]
pub struct Run {
    /// Segment and offset of its first chunk.
    pub from: Spot,
    /// The stream's seq before it.
    pub prev_seq: Seq,
    /// Its last seq.
    pub reached_seq: Seq,
    /// Highest watermark in it.
    pub watermark: Seq,
    /// Bytes of its chunks.
    pub bytes: u64,
    /// Bytes just before it that hold nothing.
    pub bad_before: Option<Spot>,
    /// Bytes just behind it that hold nothing.
    pub bad_after: Option<Spot>,
}

/// Puts the runs in order and judges the holes between them. `last_seq` is the map's.
pub fn judge(mut runs: Vec<Run>, last_seq: Seq, report: &mut Report) {
    runs.sort_by_key(|run| run.reached_seq);
    let mut last = last_seq;
    let mut before: Option<Spot> = None;
    for (n, run) in runs.iter().enumerate() {
        if run.prev_seq > last {
            let (segment, offset) = before.or(run.bad_before).unwrap_or(run.from);
            if runs[n..].iter().any(|later| later.watermark > last) {
                report.damage(Damage {
                    file: segment_name(segment),
                    offset: u64::from(offset),
                    what: format!(
                        "the stream's seqs {} to {} are missing, but some of them were durable",
                        last + 1,
                        run.prev_seq
                    ),
                    loses_data: true,
                });
            } else {
                report.ordinary.void_bytes += runs[n..].iter().map(|later| later.bytes).sum::<u64>();
                report.note(format!(
                    "the stream is torn after seq {last}, at {} offset {offset}: recovery will cut it there (a crash does this)",
                    segment_name(segment)
                ));
                return;
            }
        }
        last = last.max(run.reached_seq);
        before = run.bad_after;
    }
    if let Some((segment, offset)) = before {
        report.note(format!(
            "the stream is torn after seq {last}, at {} offset {offset}: recovery will cut it there (a crash does this)",
            segment_name(segment)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(segment: u32, prev_seq: Seq, reached_seq: Seq, watermark: Seq) -> Run {
        Run { from: (segment, 0), prev_seq, reached_seq, watermark, bytes: 4096, bad_before: None, bad_after: None }
    }

    fn judged(runs: Vec<Run>, last_seq: Seq) -> Report {
        let mut report = Report::new(String::new(), 10);
        judge(runs, last_seq, &mut report);
        report
    }

    #[test]
    fn runs_that_follow_each_other_are_whole() {
        let report = judged(vec![run(3, 19, 30, 18), run(1, 9, 19, 9)], 12);
        assert_eq!((report.damages_total, report.notes.len(), report.ordinary.void_bytes), (0, 0, 0));
    }

    #[test]
    fn a_hole_that_was_durable_is_damage() {
        let report = judged(vec![run(1, 0, 9, 5), run(2, 12, 20, 10)], 0);
        assert_eq!((report.damages_total, report.damages[0].file.as_str()), (1, "segment-000002"));
        assert!(report.damages[0].what.contains("10 to 12"));
    }

    #[test]
    fn a_hole_that_nobody_was_told_of_is_a_torn_tail() {
        let report = judged(vec![run(1, 0, 9, 5), run(2, 12, 20, 9), run(3, 20, 30, 9)], 0);
        assert_eq!((report.damages_total, report.ordinary.void_bytes, report.notes.len()), (0, 8192, 1));
    }
}
