//! Starts as a section: a bar per end, whiskers from the soonest to the latest start, and the hot share of the time behind.

use super::figure::{Axis, Bar, Figure, Hue, Lines, Panel, Plot, Scale, Sense, Series, Verdict};
use super::section::{Block, Cell, Section, Table, slug};
use super::units::Unit;
use crate::restart::{HotMinute, RestartReport, RestartScene, TOLD};

/// The section; title, commands and machine are set by the caller.
pub fn section(report: &RestartReport) -> Section {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let facts = vec![
        fact("keys", Unit::Count.text(report.keys as f64)),
        fact("value", Unit::Bytes.text(f64::from(report.value_bytes))),
        fact("DRAM", Unit::Bytes.text(report.memory_bytes as f64)),
        fact("folder", report.folder.clone()),
    ];
    let mut section = Section { facts, ..Section::default() };
    if report.lost + report.wrong > 0 {
        section.alerts.push(format!("{} keys lost, {} wrong values", report.lost, report.wrong));
    }
    section.alerts.extend(report.failure.clone());
    if !report.complete {
        section.alerts.push("the run ended early".to_owned());
    }
    let bars: Vec<Bar> = report.scenes.iter().enumerate().filter_map(bar).collect();
    if !bars.is_empty() {
        let panels = vec![Panel { title: "to the first value served".to_owned(), unit: Unit::Seconds, bars }];
        section.blocks.push(Block::Figure(Figure {
            file: slug("restart"),
            title: "From the start of the process to the first value".to_owned(),
            hint: "Bars: the best start; whiskers: the best and the worst.",
            plot: Plot::Bars(panels),
        }));
        section.blocks.push(Block::Table(table(report)));
    }
    if !report.hot.is_empty() {
        section.blocks.push(Block::Figure(hot(&report.hot)));
    }
    section
}

fn bar((index, scene): (usize, &RestartScene)) -> Option<Bar> {
    let (low, _, high) = scene.spread()?;
    let verdict = scene.target_s.map(|target| Verdict {
        text: format!("target {target:.1} s"),
        sense: if scene.is_missed() { Sense::Worse } else { Sense::Better },
    });
    Some(Bar { name: scene.name.clone(), hue: Hue::Nth(index), value: low, low, high, verdict })
}

fn table(report: &RestartReport) -> Table {
    let head = [&["start after", "served after"][..], &TOLD].concat();
    let mut table = Table::new("Every start", &head);
    for scene in &report.scenes {
        for start in &scene.starts {
            let seconds = |seconds: Option<f64>| Cell::number(seconds.map(|s| s * 1e6), Unit::Microseconds);
            let mut served = Cell::number(Some(start.served_s * 1e6), Unit::Microseconds);
            served.bad = scene.target_s.is_some_and(|target| start.served_s > target);
            table.rows.push(vec![
                scene.name.as_str().into(),
                served,
                seconds(start.recovery_s),
                seconds(start.survey_s),
                seconds(start.checkpoint_s),
                seconds(start.footers_s),
                seconds(start.replay_s),
                Cell::number(start.replayed.map(|records| records as f64), Unit::Count),
                Cell::number(start.rss_peak_bytes.map(|bytes| bytes as f64), Unit::Bytes),
            ]);
        }
    }
    table
}

fn hot(minutes: &[HotMinute]) -> Figure {
    let line = |(index, minute): (usize, &HotMinute)| {
        let name = if minute.list { "with the hot-set list" } else { "without it" };
        let at = |piece: usize| (piece as f64 + 0.5) * minute.interval_s;
        Series::new(name, Hue::Nth(index), minute.shares.iter().enumerate().map(|(piece, share)| (at(piece), *share)))
    };
    Figure {
        file: slug("restart-hot-share"),
        title: "GETs served from DRAM after a start".to_owned(),
        hint: "",
        plot: Plot::Lines(Lines {
            x: Axis { name: "since the first value", unit: Unit::Seconds, scale: Scale::Linear },
            y: Axis { name: "share of the GETs", unit: Unit::Share, scale: Scale::Whole },
            series: minutes.iter().enumerate().map(line).collect(),
        }),
    }
}
