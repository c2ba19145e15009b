//! Passes over a workload (`load`, `run`, `replay`, `engine`) as a section: what was answered over time and how fast, from
//! which tier, and what it cost in DRAM and on the SSD.

use super::figure::{Axis, Figure, Hue, Lines, Plot, Scale, Series};
use super::section::{Block, Cell, Section, Table};
use super::units::Unit;
use crate::report::{LatencyReport, Report, TimelinePoint};

const TIME: Axis = Axis { name: "seconds of the pass", unit: Unit::Seconds, scale: Scale::Linear };

/// Kinds of answers in the order of tables and legends, with their colours.
const KINDS: [(&str, Hue); 7] = [
    ("get", Hue::Nth(5)),
    ("set", Hue::Nth(2)),
    ("delete", Hue::Nth(3)),
    ("scan", Hue::Nth(4)),
    ("hot", Hue::Hot),
    ("cold", Hue::Cold),
    ("miss", Hue::Miss),
];

/// The section of a record with passes; title, commands and machine are set by the caller.
pub fn section(passes: &[Report]) -> Section {
    let mut section = Section::default();
    let mut versions: Vec<&str> = passes.iter().map(|pass| pass.observed.version.as_str()).collect();
    versions.dedup();
    section.facts.push(("server".to_owned(), versions.join(", ")));
    section.blocks.push(Block::Table(overview(passes)));
    for pass in passes {
        section.alerts.extend(alerts(pass));
        if passes.len() > 1 {
            section.blocks.push(Block::Heading(format!("Pass: {}", pass.name)));
        }
        section.blocks.push(Block::Table(latency_table(pass)));
        section.blocks.extend(figures(pass).into_iter().map(Block::Figure));
        section.blocks.extend(counters(pass).map(Block::Table));
    }
    section
}

/// The name of a pass in titles: the pass, and its workload when that says more.
pub fn title(pass: &Report) -> String {
    match pass.workload.name.as_str() {
        "" => pass.name.clone(),
        name if name == pass.name => name.to_owned(),
        name => format!("{} {name}", pass.name),
    }
}

fn alerts(pass: &Report) -> Vec<String> {
    let mut alerts = Vec::new();
    let name = title(pass);
    if pass.wrong > 0 {
        let shown = pass.wrong_shown.join("; ");
        alerts.push(format!("{name}: {} WRONG VALUES ({shown})", pass.wrong));
    }
    if let Some(failure) = &pass.failure {
        alerts.push(format!("{name}: failed: {failure}"));
    }
    if !pass.complete {
        alerts.push(format!("{name}: ended early, its figures are partial"));
    }
    if !pass.errors.is_empty() {
        let kinds: Vec<String> = pass.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
        let first = pass.first_error.as_ref().map_or(String::new(), |error| format!(" (first: {error})"));
        alerts.push(format!("{name}: errors: {}{first}", kinds.join(", ")));
    }
    if pass.lost > 0 {
        alerts.push(format!(
            "{name}: {} keys that were written before were not there: lost, evicted or expired",
            pass.lost
        ));
    }
    alerts.extend(pass.pacing.broken().map(|words| format!("{name}: {words}")));
    if pass.client_busy.is_some_and(|busy| busy > 0.95) {
        alerts.push(format!("{name}: the client was busy all the time: its own speed is the limit, not the server's"));
    }
    alerts
}

fn overview(passes: &[Report]) -> Table {
    let head = [
        "pass",
        "answers",
        "seconds",
        "throughput",
        "hot",
        "cold",
        "miss",
        "server CPU / answer",
        "client CPU / answer",
        "server RSS",
        "SSD read",
        "SSD written",
    ];
    let mut table = Table::new("The passes", &head);
    for pass in passes {
        let share = |pick: fn(&crate::report::Shares) -> f64| Cell::number(pass.shares.as_ref().map(pick), Unit::Share);
        let bytes = |bytes: Option<u64>| Cell::number(bytes.map(|bytes| bytes as f64), Unit::Bytes);
        table.rows.push(vec![
            title(pass).into(),
            Cell::number(Some(pass.operations as f64), Unit::Count),
            Cell::number(Some(pass.seconds), Unit::Seconds),
            Cell::number(Some(pass.operations_per_second), Unit::PerSecond),
            share(|shares| shares.hot),
            share(|shares| shares.cold),
            share(|shares| shares.miss),
            Cell::number(pass.server_cpu_us_per_operation, Unit::Microseconds),
            Cell::number(pass.client_cpu_us_per_operation, Unit::Microseconds),
            bytes(pass.observed.rss_max_bytes),
            bytes(pass.observed.read_bytes),
            bytes(pass.observed.write_bytes),
        ]);
    }
    table
}

/// The row of percentiles that every latency table has.
pub fn latency_cells(latency: &LatencyReport) -> Vec<Cell> {
    let percentiles =
        [latency.mean_us, latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us];
    percentiles.iter().map(|us| Cell::number(Some(*us), Unit::Microseconds)).collect()
}

fn latency_table(pass: &Report) -> Table {
    let head = ["latency of", "answers", "mean", "p50", "p90", "p99", "p99.9", "slowest"];
    let mut table = Table::new(format!("Latency: {}", title(pass)), &head);
    for (name, _) in KINDS {
        if let Some(latency) = pass.latency.get(name) {
            let count = Cell::number(Some(latency.count as f64), Unit::Count);
            let cells = [name.into(), count].into_iter().chain(latency_cells(latency));
            table.rows.push(cells.collect());
        }
    }
    table
}

fn counters(pass: &Report) -> Option<Table> {
    let title = "The server's own counters: change over the pass";
    let mut table = Table { folded: true, ..Table::new(title, &["counter", "change"]) };
    let rows = pass.observed.tier_changes.iter();
    table.rows = rows.map(|(name, change)| vec![name.as_str().into(), format!("{change}").into()]).collect();
    (!table.rows.is_empty()).then_some(table)
}

fn figures(pass: &Report) -> Vec<Figure> {
    let name = title(pass);
    let made = [throughput(pass), latency_over_time(pass), percentiles(pass), tiers(pass), dram(pass), ssd(pass)];
    let mut figures: Vec<Figure> = made.into_iter().flatten().chain(amplification(pass)).collect();
    for figure in &mut figures {
        figure.title = format!("{} – {name}", figure.title);
        figure.file = super::section::slug(&format!("{name}-{}", figure.file));
    }
    figures
}

fn figure(file: &str, title: &str, hint: &'static str, plot: Plot) -> Option<Figure> {
    Some(Figure { file: file.to_owned(), title: title.to_owned(), hint, plot })
}

/// The points of a pass with their moment (the middle of the interval); the last one is cut by the end, so it is left out.
fn intervals(pass: &Report) -> impl Iterator<Item = (f64, &TimelinePoint)> {
    let whole = pass.timeline.points.len().saturating_sub(1);
    let middle = |index: usize| (index as f64 + 0.5) * pass.timeline.interval_s;
    pass.timeline.points[..whole].iter().enumerate().map(move |(index, point)| (middle(index), point))
}

fn throughput(pass: &Report) -> Option<Figure> {
    let interval_s = pass.timeline.interval_s;
    let points: Vec<_> = intervals(pass).map(|(at, point)| (at, point.answers as f64 / interval_s)).collect();
    let errors: Vec<_> = intervals(pass).map(|(at, point)| (at, point.errors as f64 / interval_s)).collect();
    if points.len() < 2 {
        return None;
    }
    let mut series = vec![Series::new("answers", Hue::Nth(1), points)];
    if errors.iter().any(|(_, count)| *count > 0.0) {
        series.push(Series::new("errors and wrong values", Hue::Nth(0), errors));
    }
    let y = Axis { name: "answers per second", unit: Unit::PerSecond, scale: Scale::Linear };
    let lines = Lines { x: TIME, y, series };
    figure("throughput", "Throughput over time", "A stall is a dip to zero.", Plot::Lines(lines))
}

fn latency_over_time(pass: &Report) -> Option<Figure> {
    let answered = || intervals(pass).filter(|(_, point)| point.answers > 0);
    if answered().count() < 2 {
        return None;
    }
    let line = |name: &str, hue: usize, pick: fn(&TimelinePoint) -> f64| {
        Series::new(name, Hue::Nth(hue), answered().map(|(at, point)| (at, pick(point).max(1.0))))
    };
    let series = vec![
        line("p50", 2, |point| point.p50_us),
        line("p99", 1, |point| point.p99_us),
        line("p99.9", 3, |point| point.p999_us),
        line("slowest", 0, |point| point.max_us),
    ];
    let y =
        Axis { name: "latency of the answers in each interval", unit: Unit::Microseconds, scale: Scale::Logarithmic };
    let lines = Lines { x: TIME, y, series };
    figure("latency-over-time", "Latency over time", "", Plot::Lines(lines))
}

/// The curve of one kind of answers; a result without one has at least its few percentiles.
fn curve(latency: &LatencyReport) -> Vec<(f64, f64)> {
    let few = [(50.0, latency.p50_us), (90.0, latency.p90_us), (99.0, latency.p99_us), (99.9, latency.p999_us)];
    let measured: Vec<_> = latency.curve.iter().map(|point| (point.percentile, point.us)).collect();
    let points = if measured.is_empty() { few.to_vec() } else { measured };
    // The slowest of n answers stands where one in n is slower.
    let last = 100.0 * (1.0 - 1.0 / latency.count.max(1) as f64);
    let below = points.into_iter().filter(|(percentile, us)| *percentile < last && *us > 0.0);
    below.chain([(last, latency.max_us)]).collect()
}

fn percentiles(pass: &Report) -> Option<Figure> {
    let told = KINDS.iter().filter_map(|(name, hue)| {
        let series = Series::new(*name, *hue, curve(pass.latency.get(*name)?));
        // GET as a whole is a mixture: where its parts are known, it stands behind them.
        Some(if *name == "get" && pass.shares.is_some() { series.dashed() } else { series })
    });
    let series: Vec<Series> = told.collect();
    if series.is_empty() {
        return None;
    }
    let x =
        Axis { name: "share of the answers that were at least as fast", unit: Unit::Factor, scale: Scale::Percentile };
    let y = Axis { name: "latency", unit: Unit::Microseconds, scale: Scale::Logarithmic };
    let hint = "Each step to the right is one more nine; the line ends at the slowest answer. hot: from DRAM, cold: from the SSD, miss: not there, as the server says itself.";
    figure("latency", "Latency percentiles, by kind and by tier", hint, Plot::Lines(Lines { x, y, series }))
}

fn tiers(pass: &Report) -> Option<Figure> {
    pass.shares?;
    let gets = |point: &TimelinePoint| point.hot + point.cold + point.miss;
    let told: Vec<_> = intervals(pass).filter(|(_, point)| gets(point) > 0).collect();
    if told.len() < 2 {
        return None;
    }
    let share = |name: &str, hue: Hue, pick: fn(&TimelinePoint) -> u64| {
        Series::new(name, hue, told.iter().map(|(at, point)| (*at, pick(point) as f64 / gets(point) as f64)))
    };
    let series = vec![
        share("hot: DRAM", Hue::Hot, |point| point.hot),
        share("cold: SSD", Hue::Cold, |point| point.cold),
        share("miss", Hue::Miss, |point| point.miss),
    ];
    let y = Axis { name: "share of the GETs", unit: Unit::Share, scale: Scale::Whole };
    figure("tiers", "Where GETs were served from", "", Plot::Stack(Lines { x: TIME, y, series }))
}

/// A line from what was observed of the server.
fn observed(
    pass: &Report,
    name: &str,
    hue: Hue,
    pick: fn(&crate::report::ObservedPoint) -> Option<u64>,
) -> Option<Series> {
    let points = pass.timeline.observed.iter().filter_map(|point| Some((point.at_s, pick(point)? as f64)));
    let series = Series::new(name, hue, points);
    (series.points.len() > 1).then_some(series)
}

fn dram(pass: &Report) -> Option<Figure> {
    let mut series: Vec<Series> = [
        observed(pass, "resident memory (kernel)", Hue::Nth(1), |point| point.rss_bytes),
        observed(pass, "DRAM in use (server)", Hue::Hot, |point| point.dram_bytes),
    ]
    .into_iter()
    .flatten()
    .collect();
    let last = series.iter().filter_map(|series| series.points.last()).map(|(at, _)| *at).fold(0.0, f64::max);
    if series.is_empty() {
        return None;
    }
    if let Some(limit) = pass.observed.max_memory_bytes.filter(|limit| *limit > 0) {
        let limit = limit as f64;
        series.push(Series::new("maxmemory", Hue::Limit, [(0.0, limit), (last, limit)]).dashed());
    }
    let y = Axis { name: "bytes", unit: Unit::Bytes, scale: Scale::Linear };
    figure("dram", "DRAM over time", "", Plot::Lines(Lines { x: TIME, y, series }))
}

fn ssd(pass: &Report) -> Option<Figure> {
    let series: Vec<Series> = [
        observed(pass, "space in use (server)", Hue::Nth(2), |point| point.disk_used_bytes),
        observed(pass, "read since the start (kernel)", Hue::Cold, |point| point.device_read_bytes),
        observed(pass, "written since the start (kernel)", Hue::Nth(3), |point| point.device_write_bytes),
    ]
    .into_iter()
    .flatten()
    .collect();
    let y = Axis { name: "bytes", unit: Unit::Bytes, scale: Scale::Linear };
    if series.is_empty() {
        return None;
    }
    figure("ssd", "SSD over time", "", Plot::Lines(Lines { x: TIME, y, series }))
}

fn amplification(pass: &Report) -> Option<Figure> {
    let points = pass.timeline.observed.iter().filter_map(|point| Some((point.at_s, point.write_amplification?)));
    let series = Series::new("write amplification", Hue::Nth(3), points.filter(|(_, factor)| *factor > 0.0));
    if series.points.len() < 2 {
        return None;
    }
    let y = Axis { name: "SSD bytes written per byte taken", unit: Unit::Factor, scale: Scale::Linear };
    let hint = "By the server's own count since its start.";
    let plot = Plot::Lines(Lines { x: TIME, y, series: vec![series] });
    figure("write-amplification", "Write amplification over time", hint, plot)
}
