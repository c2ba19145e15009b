//! A comparison as a section: for each workload a bar per server (best of its rounds, whiskers from the lowest to the highest),
//! and in words what that means for the first server. What it loses is listed first.
//!
//! Promises: best is compared with best; every measure that both have is shown, whoever wins.

use super::figure::{Bar, Figure, Hue, Panel, Plot, Sense, Verdict};
use super::section::{Block, Cell, Section, Table, slug};
use super::units::Unit;
use crate::compare::{CompareReport, RoundReport, SceneReport};

/// Below this ratio two figures are the same.
const EVEN: f64 = 1.02;

/// Latencies that are compared, when rounds have them.
const LATENCIES: [&str; 7] = ["get", "set", "scan", "delete", "hot", "cold", "miss"];

/// Finds a measure in a round that has it.
type Pick = Box<dyn Fn(&RoundReport) -> Option<f64>>;

/// Something that is measured.
struct Measure {
    name: String,
    unit: Unit,
    higher_is_better: bool,
    pick: Pick,
}

impl Measure {
    fn lower(name: &str, unit: Unit, pick: impl Fn(&RoundReport) -> Option<f64> + 'static) -> Self {
        Self { name: name.to_owned(), unit, higher_is_better: false, pick: Box::new(pick) }
    }

    fn higher(name: &str, unit: Unit, pick: impl Fn(&RoundReport) -> Option<f64> + 'static) -> Self {
        Self { higher_is_better: true, ..Self::lower(name, unit, pick) }
    }
}

fn measures() -> Vec<Measure> {
    let throughput = Measure::higher("throughput", Unit::PerSecond, |round| Some(round.operations_per_second));
    let mut measures =
        vec![throughput, Measure::lower("server CPU per answer", Unit::Microseconds, |round| round.server_cpu_us)];
    for kind in LATENCIES {
        measures.push(Measure::lower(&format!("p99 latency, {kind}"), Unit::Microseconds, move |round| {
            round.latency.get(kind).map(|latency| latency.p99_us)
        }));
    }
    measures.extend([
        Measure::lower("resident memory", Unit::Bytes, |round| Some(round.rss_bytes? as f64)),
        Measure::lower("SSD bytes read per answer", Unit::Bytes, |round| round.read_bytes),
        Measure::lower("SSD bytes written per answer", Unit::Bytes, |round| round.write_bytes),
    ]);
    measures.push(Measure::lower("growth of resident memory per key", Unit::Bytes, |round| round.rss_growth_per_key));
    measures.push(Measure::lower("growth of resident memory per element", Unit::Bytes, |round| {
        round.rss_growth_per_element
    }));
    measures.push(Measure::lower("SSD reads per answer, by INFO", Unit::Count, |round| round.tier_reads));
    measures.push(Measure::lower("SSD bytes written per answer, by INFO", Unit::Bytes, |round| round.tier_write_bytes));
    measures.push(Measure::higher("keys held at the end", Unit::Count, |round| Some(round.keys? as f64)));
    measures.push(Measure::higher("GETs that found a value", Unit::Share, |round| round.found_share));
    measures
}

/// The rounds of one server in one measure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    best: f64,
    low: f64,
    high: f64,
    middle: f64,
}

fn spread(scene: &SceneReport, target: usize, measure: &Measure) -> Option<Spread> {
    let rounds = scene.rounds.iter().filter(|round| round.target == target);
    let mut numbers: Vec<f64> = rounds.filter_map(|round| (measure.pick)(round)).filter(|n| n.is_finite()).collect();
    numbers.sort_by(f64::total_cmp);
    let (low, high) = (*numbers.first()?, *numbers.last()?);
    let best = if measure.higher_is_better { high } else { low };
    Some(Spread { best, low, high, middle: numbers[numbers.len() / 2] })
}

/// How often the first server is better: above 1 it wins, below 1 it loses; 0 and infinity when only one has none at all.
fn advantage(first: f64, other: f64, measure: &Measure) -> f64 {
    let (better, worse) = if measure.higher_is_better { (first, other) } else { (other, first) };
    if better == worse { 1.0 } else { better / worse }
}

/// A factor in words; without an end when one of the two has none at all.
fn times(factor: f64) -> String {
    if factor.is_finite() { format!("{factor:.2} ×") } else { "∞ ×".to_owned() }
}

/// The section; title, commands and machine are set by the caller.
pub fn section(report: &CompareReport) -> Section {
    let mut section = Section::default();
    for target in &report.targets {
        section.facts.push((target.name.clone(), target.version.clone()));
    }
    section.commands = report.targets.iter().map(|target| format!("{}: {}", target.name, target.command)).collect();
    section.alerts = alerts(report);
    let measures = measures();
    section.blocks.push(Block::Table(losses(report, &measures)));
    for scene in &report.scenes {
        let title = title(scene);
        section.blocks.push(Block::Heading(title.clone()));
        let panels: Vec<Panel> = measures.iter().filter_map(|measure| panel(report, scene, measure)).collect();
        let figure = Figure {
            file: slug(&title),
            title,
            hint: "Bars: the best round of each server; whiskers: its lowest and highest round.",
            plot: Plot::Bars(panels),
        };
        section.blocks.push(Block::Figure(figure));
        section.blocks.push(Block::Table(table(report, scene, &measures)));
    }
    section
}

fn name(report: &CompareReport, target: usize) -> String {
    report.targets.get(target).map_or_else(|| format!("server {target}"), |target| target.name.clone())
}

/// A scene's name within its group.
fn title(scene: &SceneReport) -> String {
    if scene.group.is_empty() { scene.name.clone() } else { format!("{}: {}", scene.group, scene.name) }
}

/// That it ended early, and the remarks of the rounds, each once with how often it was made.
fn alerts(report: &CompareReport) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for scene in &report.scenes {
        for round in &scene.rounds {
            for remark in &round.remarks {
                let text = format!("{}, {}: {remark}", title(scene), name(report, round.target));
                match counted.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, count)) => *count += 1,
                    None => counted.push((text, 1)),
                }
            }
        }
    }
    let words = |(text, count): (String, usize)| if count > 1 { format!("{text} ({count} rounds)") } else { text };
    let cut = match &report.failure {
        Some(failure) => Some(format!("the comparison could not go on: {failure}")),
        None if !report.complete => Some("the comparison ended early: partial".to_owned()),
        None => None,
    };
    cut.into_iter().chain(counted.into_iter().map(words)).collect()
}

fn losses(report: &CompareReport, measures: &[Measure]) -> Table {
    let ours = name(report, 0);
    let title = format!("Where {ours} is worse (best against best)");
    let mut table = Table::new(title, &["workload", "measure", &ours, "against", "its figure", "worse by"]);
    for scene in &report.scenes {
        for measure in measures {
            let Some(first) = spread(scene, 0, measure) else { continue };
            for target in 1..report.targets.len() {
                let Some(other) = spread(scene, target, measure) else { continue };
                let ratio = advantage(first.best, other.best, measure);
                if ratio * EVEN >= 1.0 {
                    continue;
                }
                table.rows.push(vec![
                    scene.name.as_str().into(),
                    measure.name.as_str().into(),
                    measure.unit.text(first.best).into(),
                    name(report, target).into(),
                    measure.unit.text(other.best).into(),
                    Cell { text: times(1.0 / ratio), bad: true },
                ]);
            }
        }
    }
    if table.rows.is_empty() {
        table.rows.push(vec!["nowhere".into(), "".into(), "".into(), "".into(), "".into(), "".into()]);
    }
    table
}

fn panel(report: &CompareReport, scene: &SceneReport, measure: &Measure) -> Option<Panel> {
    let first = spread(scene, 0, measure);
    let bars: Vec<Bar> = (0..report.targets.len())
        .filter_map(|target| {
            let spread = spread(scene, target, measure)?;
            let verdict = first.filter(|_| target > 0).map(|first| verdict(report, first, spread, measure));
            Some(Bar {
                name: name(report, target),
                hue: Hue::Nth(target),
                value: spread.best,
                low: spread.low,
                high: spread.high,
                verdict,
            })
        })
        .collect();
    // One server alone is no comparison, and a measure that is zero for all says nothing.
    if bars.len() < 2 || bars.iter().all(|bar| bar.high == 0.0) {
        return None;
    }
    let better = if measure.higher_is_better { "higher is better" } else { "lower is better" };
    Some(Panel { title: format!("{} ({better})", measure.name), unit: measure.unit, bars })
}

fn verdict(report: &CompareReport, first: Spread, other: Spread, measure: &Measure) -> Verdict {
    let ratio = advantage(first.best, other.best, measure);
    let ours = name(report, 0);
    if ratio >= EVEN {
        Verdict { text: format!("{ours} is better by {}", times(ratio)), sense: Sense::Better }
    } else if ratio * EVEN < 1.0 {
        Verdict { text: format!("{ours} is worse by {}", times(1.0 / ratio)), sense: Sense::Worse }
    } else {
        Verdict { text: "even".to_owned(), sense: Sense::Even }
    }
}

fn table(report: &CompareReport, scene: &SceneReport, measures: &[Measure]) -> Table {
    let names: Vec<String> = (0..report.targets.len()).map(|target| name(report, target)).collect();
    let mut table = Table::new(
        format!("{}: best (lowest – median – highest) of the rounds; {}", scene.name, scene.command),
        &["measure"],
    );
    table.head.extend(names);
    for measure in measures {
        let spreads: Vec<_> = (0..report.targets.len()).map(|target| spread(scene, target, measure)).collect();
        if spreads.iter().all(Option::is_none) {
            continue;
        }
        let cells = spreads.iter().map(|spread| match spread {
            Some(spread) => {
                let [best, low, middle, high] =
                    [spread.best, spread.low, spread.middle, spread.high].map(|number| measure.unit.text(number));
                format!("{best} ({low} – {middle} – {high})").into()
            }
            None => Cell::absent(),
        });
        table.rows.push([measure.name.as_str().into()].into_iter().chain(cells).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::TargetReport;

    fn round(target: usize, operations_per_second: f64, server_cpu_us: Option<f64>) -> RoundReport {
        let json = serde_json::json!({
            "target": target, "operations_per_second": operations_per_second, "server_cpu_us": server_cpu_us,
            "latency": {}, "remarks": if target == 1 { vec!["2 keys lost"] } else { vec![] },
        });
        serde_json::from_value(json).unwrap()
    }

    fn report() -> CompareReport {
        let target =
            |name: &str| TargetReport { name: name.to_owned(), version: "1".to_owned(), command: "./x".to_owned() };
        let rounds = vec![
            round(0, 100.0, Some(5.0)),
            round(1, 150.0, Some(10.0)),
            round(0, 120.0, Some(6.0)),
            round(1, 140.0, None),
        ];
        let scene = SceneReport { name: "GET".to_owned(), command: "run".to_owned(), rounds, ..SceneReport::default() };
        let targets = vec![target("ours"), target("peer")];
        CompareReport { targets, scenes: vec![scene], complete: true, ..CompareReport::default() }
    }

    #[test]
    fn a_loss_is_listed_and_marked() {
        let section = section(&report());
        let Block::Table(losses) = &section.blocks[0] else { panic!("the losses come first") };
        assert_eq!(losses.rows.len(), 1);
        assert_eq!(losses.rows[0][5], Cell { text: "1.25 ×".to_owned(), bad: true });
        let figure = section.blocks.iter().find_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            _ => None,
        });
        let Plot::Bars(panels) = &figure.unwrap().plot else { panic!("a comparison is bars") };
        let throughput = &panels[0].bars[1];
        assert_eq!((throughput.value, throughput.low, throughput.high), (150.0, 140.0, 150.0));
        assert_eq!(
            throughput.verdict,
            Some(Verdict { text: "ours is worse by 1.25 ×".to_owned(), sense: Sense::Worse })
        );
        let cpu = &panels[1].bars[1];
        assert_eq!(cpu.verdict, Some(Verdict { text: "ours is better by 2.00 ×".to_owned(), sense: Sense::Better }));
    }

    #[test]
    fn nothing_beside_something_is_still_a_loss() {
        let mut report = report();
        for round in &mut report.scenes[0].rounds {
            round.write_bytes = Some(if round.target == 0 { 10.0 } else { 0.0 });
        }
        let Block::Table(losses) = &section(&report).blocks[0] else { panic!("the losses come first") };
        assert_eq!(losses.rows[1][5].text, "∞ ×");
    }

    #[test]
    fn a_remark_is_told_once_with_its_count() {
        assert_eq!(section(&report()).alerts, ["GET, peer: 2 keys lost (2 rounds)"]);
    }
}
