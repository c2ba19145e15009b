//! What the starts gave, for JSON and for people.
//!
//! Promises: a figure that was not measured is absent; every start is shown, not only the best.

use indicatif::{BinaryBytes, HumanCount};
use serde::{Deserialize, Serialize};
use std::fmt;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RestartReport {
    /// Keys of the large set.
    pub keys: u64,
    /// Bytes of each of its values.
    pub value_bytes: u32,
    /// DRAM of its server.
    pub memory_bytes: u64,
    /// Where the data lay.
    pub folder: String,
    /// Starts, by what came before them.
    pub scenes: Vec<RestartScene>,
    /// The time after a start.
    pub hot: Vec<HotMinute>,
    /// Keys that were there before an end and not behind it.
    pub lost: u64,
    /// Values with a wrong byte.
    pub wrong: u64,
    /// The first of both in words.
    pub damage: Option<String>,
    /// False when it ended early.
    #[serde(default)]
    pub complete: bool,
    /// Why it could not go on, if so.
    #[serde(default)]
    pub failure: Option<String>,
}

/// Starts of one server on one folder, after the same end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RestartScene {
    /// What came before.
    pub name: String,
    /// Keys that are there.
    pub keys: u64,
    /// What this project wants it to take, if it says so of these sizes.
    pub target_s: Option<f64>,
    /// Log behind the newest checkpoint at the end, by the server's own words.
    pub log_bytes: Option<u64>,
    /// From the signal until the process was gone.
    pub end_s: Option<f64>,
    /// The starts, in order.
    pub starts: Vec<Start>,
}

/// One start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Start {
    /// From the start of the process to the first value that it served.
    pub served_s: f64,
    /// Of that, what the server calls recovery.
    pub recovery_s: Option<f64>,
    /// Of that, the look at all segments.
    pub survey_s: Option<f64>,
    /// The checkpoint.
    pub checkpoint_s: Option<f64>,
    /// Footers of what the checkpoint does not know.
    pub footers_s: Option<f64>,
    /// The log behind the map.
    pub replay_s: Option<f64>,
    /// Records in it.
    pub replayed: Option<u64>,
    /// A checkpoint was used.
    pub checkpoint_used: Option<bool>,
    /// Highest resident memory until then.
    pub rss_peak_bytes: Option<u64>,
}

/// The time after a start, under a steady rate of GETs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HotMinute {
    /// The hot-set list was there.
    pub list: bool,
    /// How long.
    pub seconds: f64,
    /// GETs in it.
    pub gets: u64,
    /// Share of them that DRAM served.
    pub hot_share: f64,
    /// Seconds of each share of `shares`.
    pub interval_s: f64,
    /// The same, piece by piece.
    pub shares: Vec<f64>,
}

impl RestartScene {
    /// The shortest, the middle and the longest time.
    pub fn spread(&self) -> Option<(f64, f64, f64)> {
        let mut seconds: Vec<f64> = self.starts.iter().map(|start| start.served_s).collect();
        seconds.sort_by(f64::total_cmp);
        Some((*seconds.first()?, seconds[seconds.len() / 2], *seconds.last()?))
    }

    /// The start that served soonest.
    pub fn best(&self) -> Option<&Start> {
        self.starts.iter().min_by(|one, other| one.served_s.total_cmp(&other.served_s))
    }

    /// It took longer than it should.
    pub fn is_missed(&self) -> bool {
        self.spread().zip(self.target_s).is_some_and(|((best, ..), target)| best > target)
    }
}

/// What is told of a start beside the time until it served: the heads of its columns.
pub const TOLD: [&str; 7] = ["recovery", "segments", "checkpoint", "footers", "replay", "replayed", "peak RSS"];

impl RestartReport {
    fn cells(scene: &RestartScene) -> Option<[String; 12]> {
        let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |s| format!("{s:.3}"));
        let (best, (low, middle, high)) = (scene.best()?, scene.spread()?);
        let checkpoint = match best.checkpoint_used {
            Some(false) => "none".to_owned(),
            _ => seconds(best.checkpoint_s),
        };
        let target = scene.target_s.map_or_else(
            || "-".to_owned(),
            |target| format!("{target:.1}{}", if scene.is_missed() { " MISSED" } else { "" }),
        );
        Some([
            scene.name.clone(),
            format!("{low:.3}"),
            format!("{middle:.3}"),
            format!("{high:.3}"),
            target,
            seconds(best.recovery_s),
            seconds(best.survey_s),
            checkpoint,
            seconds(best.footers_s),
            seconds(best.replay_s),
            best.replayed.map_or_else(|| "-".to_owned(), |records| HumanCount(records).to_string()),
            best.rss_peak_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
        ])
    }
}

impl fmt::Display for RestartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.complete { "" } else { ", ENDED EARLY" };
        let (keys, memory) = (HumanCount(self.keys), BinaryBytes(self.memory_bytes));
        writeln!(f, "restart: {keys} keys of {} B, {memory} of DRAM, in {}{ending}", self.value_bytes, self.folder)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED: {failure}")?;
        }
        if self.lost + self.wrong > 0 {
            let words = self.damage.as_deref().unwrap_or_default();
            writeln!(f, "LOST {} keys, {} WRONG VALUES: {words}", self.lost, self.wrong)?;
        }
        let rows: Vec<[String; 12]> = self.scenes.iter().filter_map(Self::cells).collect();
        if !rows.is_empty() {
            writeln!(f, "from the start of the process to the first value served; steps of the best start, by INFO\n")?;
            let head = [&["start after", "best, s", "median", "worst", "target"][..], &TOLD].concat();
            let widths: Vec<usize> = (0..head.len())
                .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(head[at].len()))
                .collect();
            let mut line = |cells: &[&str]| {
                write!(f, "{:<width$}", cells[0], width = widths[0])?;
                cells.iter().zip(&widths).skip(1).try_for_each(|(cell, width)| write!(f, "  {cell:>width$}"))?;
                writeln!(f)
            };
            line(&head)?;
            rows.iter().try_for_each(|row| line(&row.each_ref().map(String::as_str)))?;
        }
        for minute in &self.hot {
            let list = if minute.list { "with the hot-set list" } else { "without the hot-set list" };
            let (share, gets) = (minute.hot_share * 100.0, HumanCount(minute.gets));
            writeln!(
                f,
                "\nthe first {:.0} s after a start {list}: {share:.1} % of {gets} GETs were served hot",
                minute.seconds
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_best_start_the_spread_and_what_is_missed() {
        let start =
            |served_s: f64| Start { served_s, replay_s: Some(0.25), replayed: Some(1_234_567), ..Start::default() };
        let scene = RestartScene {
            name: "kill -9".to_owned(),
            target_s: Some(0.6),
            starts: vec![start(0.9), start(0.7), start(0.8)],
            ..RestartScene::default()
        };
        assert_eq!(scene.spread(), Some((0.7, 0.8, 0.9)));
        let hot =
            vec![HotMinute { list: true, seconds: 60.0, gets: 240_000, hot_share: 0.724, ..HotMinute::default() }];
        let text = RestartReport { scenes: vec![scene], hot, lost: 3, ..RestartReport::default() }.to_string();
        for part in
            ["0.700   0.800  0.900  0.6 MISSED", "1,234,567", "0.250", "72.4 % of 240,000", "LOST 3", "ENDED EARLY"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
