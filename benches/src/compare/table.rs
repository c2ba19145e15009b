//! A comparison on the screen: a table per group of scenes and peer, 100 columns, what is worse marked as plainly as what is
//! better.

use super::report::{CompareReport, Metric, SceneReport};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Remarks that are shown; JSON has all of them.
const REMARKS_SHOWN: usize = 12;
const COLUMNS_MAX: usize = 100;
/// Cores of other processes in a round that are still called a quiet machine.
const OTHERS_CORES_MAX: f64 = 0.1;
/// A difference below this is called none.
const DIFFERENCE_MIN: f64 = 0.005;
/// SSD reads per answer below this are noise of what runs beside.
const SSD_READS_MIN: f64 = 0.0005;
/// SSD bytes per answer below this are noise of the file system.
const SSD_BYTES_MIN: f64 = 1.0;

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for target in &self.targets {
            writeln!(f, "{}", cut(&format!("{} ({}): {}", target.name, target.version, target.command)))?;
        }
        let method = &self.method;
        let on = |cores: &Option<String>| cores.as_ref().map_or("any core".to_owned(), |cores| format!("core {cores}"));
        let fresh = if method.fresh { ", servers anew in each" } else { "" };
        let (servers, client) = (on(&method.server_cores), on(&method.client_cores));
        writeln!(f, "{} rounds{fresh}; servers on {servers}, client on {client}", method.rounds)?;
        if let Some(bytes) = method.memory_bytes {
            let group = method.memory_group.as_deref().unwrap_or("no memory group");
            writeln!(f, "{}", cut(&format!("DRAM for each: {}; {group}", bytes_text(bytes as f64))))?;
        }
        for group in self.scenes.chunk_by(|a, b| a.group == b.group) {
            for peer in 1..self.targets.len().max(2) {
                self.table(f, group, peer)?;
            }
        }
        self.remarks(f)?;
        self.others(f)?;
        if !self.complete {
            writeln!(f, "ENDED EARLY: the rounds above are whole, later ones are missing")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}

impl CompareReport {
    fn table(&self, f: &mut fmt::Formatter<'_>, group: &[SceneReport], peer: usize) -> fmt::Result {
        let name = |target: usize| self.targets.get(target).map_or("", |target| target.name.as_str());
        writeln!(f)?;
        let (ours, peers) = (short(name(0)), short(name(peer)));
        let title = &group[0].group;
        writeln!(f, "{:<35}{ours:>12}{peers:>12}   best/best   min   med   max", short_to(title, 33))?;
        for scene in group {
            let mut label = short_to(&scene.name, 16);
            for metric in Metric::ALL {
                let best = (scene.best(0, metric), scene.best(peer, metric));
                if !worth_showing(scene, metric, best, self.targets.len()) {
                    continue;
                }
                let figure = |best: Option<f64>| best.map_or("-".to_owned(), |best| text(metric, best));
                write!(f, "{label:<16} {:<18}{:>12}{:>12}", metric_name(metric), figure(best.0), figure(best.1))?;
                if let Some(ratio) = scene.ratio(peer, metric) {
                    let [low, middle, high] = [ratio.minimum, ratio.median, ratio.maximum].map(ratio_text);
                    write!(
                        f,
                        "{:>12} {low:>5} {middle:>5} {high:>5}{}",
                        ratio_text(ratio.best),
                        verdict(metric, ratio.best)
                    )?;
                }
                writeln!(f)?;
                label.clear();
            }
        }
        Ok(())
    }

    /// A machine that others used too.
    fn others(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = || self.scenes.iter().flat_map(|scene| &scene.rounds);
        let shared = || rounds().filter_map(|round| round.others_cores).filter(|cores| *cores > OTHERS_CORES_MAX);
        let Some(most) = shared().reduce(f64::max) else { return Ok(()) };
        let (shared, all) = (shared().count(), rounds().count());
        writeln!(f, "! NOT A QUIET MACHINE: other processes used up to {most:.1} cores in {shared} of {all} rounds")
    }

    /// Each remark once for each scene and server, with the number of rounds that have it.
    fn remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counted: BTreeMap<(usize, usize, &str), u32> = BTreeMap::new();
        for (scene, report) in self.scenes.iter().enumerate() {
            for round in &report.rounds {
                for remark in &round.remarks {
                    *counted.entry((scene, round.target, remark)).or_default() += 1;
                }
            }
        }
        // Wrong values first: nothing else matters beside them.
        let mut counted: Vec<_> = counted.into_iter().collect();
        counted.sort_by_key(|((_, _, remark), _)| !remark.contains("WRONG"));
        if !counted.is_empty() {
            writeln!(f)?;
        }
        for ((scene, target, remark), rounds) in counted.iter().take(REMARKS_SHOWN) {
            let scene = &self.scenes[*scene];
            let name = self.targets.get(*target).map_or("", |target| target.name.as_str());
            let line = format!("! {} {}: {name}: {remark} ({rounds} of its rounds)", scene.group, scene.name);
            writeln!(f, "{}", cut(&line))?;
        }
        if let Some(more) = counted.len().checked_sub(REMARKS_SHOWN).filter(|more| *more > 0) {
            writeln!(f, "! {more} more remarks (--json has all)")?;
        }
        Ok(())
    }
}

/// A row that says nothing is left out: the screen is small.
fn worth_showing(scene: &SceneReport, metric: Metric, best: (Option<f64>, Option<f64>), targets: usize) -> bool {
    let any = |test: &dyn Fn(f64) -> bool| [best.0, best.1].into_iter().flatten().any(test);
    let all_held =
        || scene.rounds.iter().all(|round| round.keys.zip(round.keys_sent).is_none_or(|(held, sent)| held >= sent));
    let grows = || (0..targets).any(|target| scene.best(target, Metric::RssGrowthPerKey).is_some());
    match metric {
        Metric::LatencyP50 => false,
        Metric::SsdRead | Metric::SsdWritten | Metric::TierWritten => any(&|bytes| bytes >= SSD_BYTES_MIN),
        Metric::TierReads => any(&|reads| reads >= SSD_READS_MIN),
        Metric::FoundShare => any(&|share| share < 1.0),
        Metric::FoundThroughput => {
            (0..targets).any(|target| scene.best(target, Metric::FoundShare).is_some_and(|share| share < 1.0))
        }
        Metric::Keys => !all_held(),
        Metric::RssPerKey => grows() || !all_held(),
        _ => any(&|_| true),
    }
}

fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "answers/s",
        Metric::FoundThroughput => "values found/s",
        Metric::ServerCpu => "server CPU us/op",
        Metric::LatencyP50 => "p50 us",
        Metric::LatencyP99 => "p99 us",
        Metric::SsdRead => "SSD read B/op",
        Metric::SsdWritten => "SSD written B/op",
        Metric::TierReads => "SSD reads/op, INFO",
        Metric::TierWritten => "written B/op, INFO",
        Metric::FoundShare => "reads found",
        Metric::Keys => "keys held",
        Metric::Rss => "RSS",
        Metric::RssPerKey => "RSS B/key held",
        Metric::RssGrowthPerKey => "RSS B/new key",
        Metric::RssPerElement => "RSS B/element",
        Metric::RssGrowthPerElement => "RSS B/new element",
    }
}

fn text(metric: Metric, figure: f64) -> String {
    match metric {
        Metric::Throughput | Metric::FoundThroughput | Metric::Keys => count_text(figure),
        Metric::ServerCpu => format!("{figure:.2}"),
        Metric::LatencyP50 | Metric::LatencyP99 => format!("{figure:.0}"),
        Metric::FoundShare => format!("{:.2} %", figure * 100.0),
        Metric::Rss => bytes_text(figure),
        Metric::TierReads => format!("{figure:.3}"),
        _ => format!("{figure:.1}"),
    }
}

fn count_text(figure: f64) -> String {
    match figure {
        f if f >= 1e7 => format!("{:.1} M", f / 1e6),
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e4 => format!("{:.1} k", f / 1e3),
        f => format!("{f:.0}"),
    }
}

fn bytes_text(bytes: f64) -> String {
    const MIB: f64 = 1_048_576.0;
    if bytes >= 1024.0 * MIB { format!("{:.2} GiB", bytes / MIB / 1024.0) } else { format!("{:.1} MiB", bytes / MIB) }
}

fn ratio_text(ratio: f64) -> String {
    match ratio.abs() {
        r if r > 9_999.0 => ">9999".to_owned(),
        r if r >= 100.0 => format!("{ratio:.0}"),
        r if r >= 0.1 => format!("{ratio:.2}"),
        _ => format!("{ratio:.3}"),
    }
}

fn verdict(metric: Metric, best: f64) -> &'static str {
    let gain = if metric.more_is_better() { best - 1.0 } else { 1.0 - best };
    if gain < -DIFFERENCE_MIN { "  WORSE" } else { "" }
}

fn short(name: &str) -> String {
    short_to(name, 11)
}

fn short_to(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(columns - 1).collect();
    write!(cut, "~").expect("a String takes every write");
    cut
}

fn cut(line: &str) -> String {
    short_to(&line.replace('\n', " "), COLUMNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::report::{RoundReport, TargetReport};
    use super::*;
    use crate::report::LatencyReport;

    #[test]
    fn a_miss_is_a_cheap_answer_and_a_shared_machine_is_said() {
        let latency = |count| {
            std::collections::BTreeMap::from([("get".to_owned(), LatencyReport { count, ..LatencyReport::default() })])
        };
        let mut rounds = vec![round(0, 0, 50_000.0, &[]), round(1, 0, 100_000.0, &[])];
        for (round, found) in rounds.iter_mut().zip([1.0, 0.1]) {
            round.found_share = Some(found);
            round.latency = latency(1_000);
        }
        let quiet = report(rounds.clone()).to_string();
        let line = quiet.lines().find(|line| line.contains("values found/s")).unwrap();
        assert!(line.contains("50.0 k") && line.contains("10.0 k") && line.contains("5.00"), "{quiet}");
        assert!(!quiet.contains("QUIET"), "{quiet}");
        rounds[1].others_cores = Some(1.25);
        let shared = report(rounds).to_string();
        assert!(shared.contains("up to 1.2 cores in 1 of 2 rounds"), "{shared}");
    }

    fn round(target: usize, round: u32, operations_per_second: f64, remarks: &[&str]) -> RoundReport {
        RoundReport {
            target,
            round,
            operations_per_second,
            server_cpu_us: Some(1e6 / operations_per_second),
            rss_bytes: Some(3 << 30),
            remarks: remarks.iter().map(|remark| (*remark).to_owned()).collect(),
            ..RoundReport::default()
        }
    }

    fn report(rounds: Vec<RoundReport>) -> CompareReport {
        let target = |name: &str| TargetReport {
            name: name.to_owned(),
            version: "cache 1.0".to_owned(),
            command: "long ".repeat(40),
        };
        CompareReport {
            targets: vec![target("ours"), target("a-peer-with-a-long-name")],
            scenes: vec![SceneReport {
                name: "GET P=1".to_owned(),
                group: "hot".to_owned(),
                rounds,
                ..SceneReport::default()
            }],
            complete: true,
            ..CompareReport::default()
        }
    }

    #[test]
    fn worse_is_marked_and_better_is_not() {
        let shown = report(vec![round(0, 0, 50_000.0, &[]), round(1, 0, 100_000.0, &[])]).to_string();
        let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("answers/s").ends_with("WORSE"), "{shown}");
        assert!(line("answers/s").contains("50.0 k") && line("answers/s").contains("0.50"), "{shown}");
        assert!(line("server CPU").ends_with("WORSE"), "{shown}");
        assert!(!line("RSS").contains("WORSE"), "{shown}");
        let better = report(vec![round(0, 0, 100_000.0, &[]), round(1, 0, 50_000.0, &[])]).to_string();
        assert!(!better.contains("WORSE"), "{better}");
    }

    #[test]
    fn the_screen_is_wide_enough_and_remarks_are_counted() {
        let many: Vec<String> = (0..40).map(|n| format!("{n} keys lost {}", "and more ".repeat(20))).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push("1 WRONG VALUES: key 7");
        let rounds =
            vec![round(0, 0, 5.0, &["again"]), round(1, 0, 123_456_789.0, &many), round(0, 1, 5.0, &["again"])];
        let shown = report(rounds).to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{shown}");
        assert!(shown.contains("again (2 of its rounds)") || shown.contains("more remarks"), "{shown}");
        let first = shown.lines().find(|line| line.starts_with('!')).unwrap();
        assert!(first.contains("WRONG"), "{first}");
    }

    #[test]
    fn a_report_without_rounds_says_that_it_ended_early() {
        let empty = CompareReport { failure: Some("ours has ended".to_owned()), ..CompareReport::default() };
        let shown = empty.to_string();
        assert!(shown.contains("ENDED EARLY") && shown.contains("FAILED: ours has ended"), "{shown}");
    }
}
