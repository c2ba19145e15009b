//! Hit ratios as a section: which share of the reads a share of the data in DRAM serves, a line per policy; the further traces
//! of the same command follow under their names.

use super::figure::{Axis, Figure, Hue, Lines, Plot, Scale, Series};
use super::section::{Block, Cell, Section, Table, slug};
use super::units::Unit;
use crate::hitratio::{HitRatioReport, HitRatioRow};

/// The section; title, commands and machine are set by the caller.
pub fn section(report: &HitRatioReport) -> Section {
    let facts = vec![
        ("trace".to_owned(), report.trace.clone()),
        ("requests".to_owned(), Unit::Count.text(report.requests as f64)),
        (
            "data".to_owned(),
            format!(
                "{} keys, {}",
                Unit::Count.text(report.keys as f64),
                Unit::Bytes.text(report.distinct_bytes as f64)
            ),
        ),
    ];
    let mut policies: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    }
    let figures = [
        curve(report, &policies, "Reads served from DRAM", "hits", |row| row.hit_ratio),
        curve(report, &policies, "Bytes served from DRAM", "bytes", |row| row.byte_hit_ratio),
    ];
    let mut blocks: Vec<Block> = figures.into_iter().map(Block::Figure).collect();
    blocks.insert(1, Block::Table(table(report, &policies)));
    for other in &report.further {
        blocks.push(Block::Heading(other.trace.clone()));
        blocks.extend(section(other).blocks);
    }
    Section { facts, blocks, ..Section::default() }
}

fn curve(report: &HitRatioReport, policies: &[&str], title: &str, file: &str, pick: fn(&HitRatioRow) -> f64) -> Figure {
    let line = |(index, policy): (usize, &&str)| {
        let rows = report.rows.iter().filter(|row| row.policy == **policy);
        let mut points: Vec<_> = rows.map(|row| (row.capacity_share, pick(row))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let series = Series::new(*policy, Hue::Nth(index), points).dotted();
        // What no policy can know is a bound, not a rival.
        if policy.eq_ignore_ascii_case("belady") { series.dashed() } else { series }
    };
    let x = Axis { name: "DRAM, as a share of all data", unit: Unit::Share, scale: Scale::Logarithmic };
    let y = Axis { name: "share of the GETs", unit: Unit::Share, scale: Scale::Whole };
    Figure {
        file: slug(&format!("{}-{file}", report.trace)),
        title: format!("{title} – {}", report.trace),
        hint: "How much DRAM is needed: find the share of the reads at the left, go to the line, read the share of the data below.",
        plot: Plot::Lines(Lines { x, y, series: policies.iter().enumerate().map(line).collect() }),
    }
}

/// A row per size, a column per policy.
fn table(report: &HitRatioReport, policies: &[&str]) -> Table {
    let head: Vec<&str> = ["DRAM", "of the data"].into_iter().chain(policies.iter().copied()).collect();
    let mut table = Table::new("Share of the GETs served from DRAM", &head);
    let mut sizes: Vec<(u64, f64)> = Vec::new();
    for row in &report.rows {
        if !sizes.iter().any(|(bytes, _)| *bytes == row.capacity_bytes) {
            sizes.push((row.capacity_bytes, row.capacity_share));
        }
    }
    sizes.sort_by_key(|(bytes, _)| *bytes);
    for (bytes, share) in sizes {
        let of = |policy: &str| {
            let row = report.rows.iter().find(|row| row.policy == policy && row.capacity_bytes == bytes);
            row.map_or_else(Cell::absent, |row| format!("{:.2} %", row.hit_ratio * 100.0).into())
        };
        let cells = [Unit::Bytes.text(bytes as f64).into(), Unit::Share.text(share).into()];
        table.rows.push(cells.into_iter().chain(policies.iter().map(|policy| of(policy))).collect());
    }
    table
}
