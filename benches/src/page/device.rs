//! A device's figures as a section: requests per second and latency over the depth, ours beside fio.

use super::figure::{Axis, Figure, Hue, Lines, Plot, Scale, Series};
use super::passes::latency_cells;
use super::section::{Block, Cell, Section, Table, slug};
use super::units::Unit;
use crate::device::{DeviceReport, DeviceRow};

const DEPTH: Axis = Axis { name: "requests in flight", unit: Unit::Count, scale: Scale::Logarithmic };

/// The section; title, commands and machine are set by the caller.
pub fn section(report: &DeviceReport) -> Section {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let facts = vec![
        fact("device", report.place.clone()),
        fact("I/O through", report.backend.clone()),
        fact("scratch file", Unit::Bytes.text(report.file_bytes as f64)),
    ];
    let mut section = Section { facts, ..Section::default() };
    section.blocks.push(Block::Table(table(report)));
    let mut kinds: Vec<(&str, u32)> = Vec::new();
    for row in &report.rows {
        if !kinds.contains(&(row.what.as_str(), row.block_bytes)) {
            kinds.push((&row.what, row.block_bytes));
        }
    }
    for (what, block_bytes) in kinds {
        let rows: Vec<&DeviceRow> =
            report.rows.iter().filter(|row| row.what == what && row.block_bytes == block_bytes).collect();
        // One depth is a number, not a curve: the table has it.
        if rows.len() > 1 {
            section.blocks.extend(figures(what, block_bytes, &rows).into_iter().map(Block::Figure));
        }
    }
    section
}

fn table(report: &DeviceReport) -> Table {
    let head = [
        "requests",
        "block",
        "in flight",
        "per second",
        "fio",
        "ours / fio",
        "CPU / request",
        "fio",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "slowest",
    ];
    let mut table = Table::new("The device", &head);
    for row in &report.rows {
        let ratio = row.fio_iops.map(|fio| row.iops / fio);
        let mut beside = Cell::number(ratio, Unit::Factor);
        beside.bad = ratio.is_some_and(|ratio| ratio < 0.95);
        let mut cells = vec![
            row.what.as_str().into(),
            Unit::Bytes.text(f64::from(row.block_bytes)).into(),
            row.depth.to_string().into(),
            Cell::number(Some(row.iops), Unit::PerSecond),
            Cell::number(row.fio_iops, Unit::PerSecond),
            beside,
            Cell::number(row.cpu_us_per_request, Unit::Microseconds),
            Cell::number(row.fio_cpu_us_per_request, Unit::Microseconds),
        ];
        cells.extend(row.latency.as_ref().map_or_else(|| vec![Cell::absent(); 6], latency_cells));
        table.rows.push(cells);
    }
    table
}

fn figures(what: &str, block_bytes: u32, rows: &[&DeviceRow]) -> Vec<Figure> {
    let line = |name: &str, hue: usize, pick: &dyn Fn(&DeviceRow) -> Option<f64>| {
        let points = rows.iter().filter_map(|row| Some((f64::from(row.depth), pick(row)?)));
        Series::new(name, Hue::Nth(hue), points.filter(|(_, number)| *number > 0.0)).dotted()
    };
    let subject = format!("{what}, {}", Unit::Bytes.text(f64::from(block_bytes)));
    let throughput = [line("ours", 0, &|row| Some(row.iops)), line("fio", 1, &|row| row.fio_iops).dashed()];
    let latency = [
        line("p50", 2, &|row| Some(row.latency.as_ref()?.p50_us)),
        line("p99", 1, &|row| Some(row.latency.as_ref()?.p99_us)),
        line("p99.9", 3, &|row| Some(row.latency.as_ref()?.p999_us)),
    ];
    let figure = |file: &str, title: &str, y: Axis, series: [Series; 3]| Figure {
        file: slug(&format!("{subject}-{file}")),
        title: format!("{title} – {subject}"),
        hint: "",
        plot: Plot::Lines(Lines {
            x: DEPTH,
            y,
            series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
        }),
    };
    let [ours, fio] = throughput;
    let none = Series::new("", Hue::Limit, []);
    let per_second = Axis { name: "requests per second", unit: Unit::PerSecond, scale: Scale::Linear };
    let microseconds = Axis { name: "latency", unit: Unit::Microseconds, scale: Scale::Logarithmic };
    let mut figures = vec![figure("iops", "Requests per second over depth", per_second, [ours, fio, none])];
    if latency.iter().any(|series| !series.points.is_empty()) {
        figures.push(figure("latency", "Latency over depth", microseconds, latency));
    }
    figures
}
