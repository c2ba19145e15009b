//! The order of things: servers started and loaded, then rounds, one server after the other, the order turned each round.
//!
//! Promises: only one server is under load at any moment, and all are at rest before a round; scenes that share their load
//! share the servers, others start anew in empty folders; what was measured before a failure or an interrupt is kept.

use super::client::{Client, Driven};
use super::progress::Rounds;
use super::report::{CompareReport, RoundReport, SceneReport};
use super::scene::Scene;
use super::server::{Server, Surroundings};
use super::target::TargetSpec;
use crate::report::Report;
use anyhow::Result;
use std::sync::atomic::Ordering;

/// Above this share of its time the client is taken for the limit.
const CLIENT_BUSY_MAX: f64 = 0.9;
/// Resident memory of ours beside its DRAM: a twentieth and this.
const RSS_BESIDE_BYTES: u64 = 32 << 20;
/// Rounds shorter than this have too coarse a CPU time.
const ROUND_SECONDS_MIN: f64 = 1.0;

/// Everything that was asked for.
pub struct Plan<'a> {
    /// The servers.
    pub targets: &'a [TargetSpec],
    /// The scenes.
    pub scenes: &'a [Scene],
    /// Rounds of each.
    pub rounds: u32,
    /// New servers for each round.
    pub fresh: bool,
    /// Where servers run.
    pub surroundings: Surroundings<'a>,
    /// Where clients run.
    pub client: Client<'a>,
}

/// Seeds of a scene: more than its rounds.
const SEEDS_PER_SCENE: u64 = 10_000;
/// The load's order of keys.
const LOAD_SEED: u64 = 1;

/// A server with its keys.
struct Loaded {
    server: Server,
    keys_sent: Option<u64>,
    /// Elements of its collections, by its own answers.
    elements: Option<u64>,
    errors_before: u64,
    remarks: Vec<String>,
}

/// The seed of a pass: of warming without a round. Servers of a round get the same keys, another round gets others. (Once all
/// passes had one seed: each repeated the reads that had just brought its keys into DRAM, and nine in ten "uniform" reads of data
/// eight times the DRAM were hot.)
fn seed(scene: usize, round: Option<u32>) -> u64 {
    LOAD_SEED + 1 + scene as u64 * SEEDS_PER_SCENE + round.map_or(0, |round| 1 + u64::from(round))
}

/// Interrupted, or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All rounds ran.
    Complete,
    /// Asked to end.
    Interrupted,
}

/// The targets in the order of this round: turned every other one, so that what drifts favours nobody.
pub fn order(round: u32, targets: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..targets).collect() } else { (0..targets).rev().collect() }
}

impl Plan<'_> {
    /// Measures that will be taken.
    pub fn total(&self) -> u64 {
        (self.scenes.len() * self.targets.len()) as u64 * u64::from(self.rounds)
    }

    /// Runs all of it; the report is valid whenever this returns.
    pub fn conduct(&self, report: &mut CompareReport, progress: &Rounds) -> Result<Ending> {
        let alone = |scene: &Scene| self.fresh || scene.grows;
        for stage in self.scenes.chunk_by(|a, b| !alone(a) && !alone(b) && a.load == b.load) {
            let ending = if alone(&stage[0]) {
                self.conduct_fresh(&stage[0], report, progress)?
            } else {
                self.conduct_shared(stage, report, progress)?
            };
            if ending == Ending::Interrupted {
                return Ok(ending);
            }
        }
        Ok(Ending::Complete)
    }

    fn conduct_shared(&self, stage: &[Scene], report: &mut CompareReport, progress: &Rounds) -> Result<Ending> {
        let mut servers = Vec::with_capacity(self.targets.len());
        for target in 0..self.targets.len() {
            match self.prepare(target, &stage[0], report, progress)? {
                Some(loaded) => servers.push(loaded),
                None => return Ok(Ending::Interrupted),
            }
        }
        for scene in stage {
            report.scenes.push(scene_report(scene));
            for loaded in &mut servers {
                if !self.warm(loaded, scene, report, progress)? {
                    return Ok(Ending::Interrupted);
                }
            }
            for round in 0..self.rounds {
                for target in order(round, servers.len()) {
                    if !self.restore(&mut servers[target], scene, report, progress)? {
                        return Ok(Ending::Interrupted);
                    }
                    let rested = servers.iter().all(|loaded| loaded.server.wait_for_rest(self.client.stop));
                    let loaded = &mut servers[target];
                    let Some(measured) =
                        self.measure(loaded, scene, (report.scenes.len(), target, round), rested, progress)?
                    else {
                        return Ok(Ending::Interrupted);
                    };
                    keep(report, measured)?;
                }
            }
        }
        Ok(Ending::Complete)
    }

    fn conduct_fresh(&self, scene: &Scene, report: &mut CompareReport, progress: &Rounds) -> Result<Ending> {
        report.scenes.push(scene_report(scene));
        for round in 0..self.rounds {
            for target in order(round, self.targets.len()) {
                let Some(mut loaded) = self.prepare(target, scene, report, progress)? else {
                    return Ok(Ending::Interrupted);
                };
                if !self.warm(&mut loaded, scene, report, progress)? {
                    return Ok(Ending::Interrupted);
                }
                if !self.restore(&mut loaded, scene, report, progress)? {
                    return Ok(Ending::Interrupted);
                }
                let rested = loaded.server.wait_for_rest(self.client.stop);
                let Some(measured) =
                    self.measure(&mut loaded, scene, (report.scenes.len(), target, round), rested, progress)?
                else {
                    return Ok(Ending::Interrupted);
                };
                keep(report, measured)?;
            }
        }
        Ok(Ending::Complete)
    }

    /// A started server with the scene's keys; `None` when interrupted.
    fn prepare(
        &self,
        target: usize,
        scene: &Scene,
        report: &mut CompareReport,
        progress: &Rounds,
    ) -> Result<Option<Loaded>> {
        let stopped = || self.client.stop.load(Ordering::Relaxed);
        if stopped() {
            return Ok(None);
        }
        let spec = &self.targets[target];
        progress.say(&format!("starting {}", spec.name));
        let server = match Server::start(spec, self.surroundings, self.client.stop) {
            Ok(server) => server,
            Err(_) if stopped() => return Ok(None),
            Err(error) => return Err(error),
        };
        report.targets[target].version.clone_from(&server.version);
        let mut loaded = Loaded { server, keys_sent: None, elements: None, errors_before: 0, remarks: Vec::new() };
        let Some(load) = &scene.load else {
            return Ok(Some(loaded));
        };
        progress.say(&format!("loading {}", spec.name));
        let Some(driven) = self.client.drive(&mut loaded.server, load, LOAD_SEED)? else {
            return Ok(None);
        };
        if load.has_elements() {
            loaded.elements = Some(driven.report.elements_added);
        } else {
            loaded.keys_sent = sets(&driven.report);
        }
        loaded.prepared(&driven.report, report)?;
        Ok(Some(loaded))
    }

    /// False when interrupted.
    fn warm(&self, loaded: &mut Loaded, scene: &Scene, report: &mut CompareReport, progress: &Rounds) -> Result<bool> {
        let Some(warm) = &scene.warm else {
            return Ok(true);
        };
        progress.say(&format!("warming {}", loaded.server.name));
        let Some(driven) = self.client.drive(&mut loaded.server, warm, seed(report.scenes.len(), None))? else {
            return Ok(false);
        };
        loaded.prepared(&driven.report, report)?;
        Ok(true)
    }

    /// Brings back what a round uses up; false when interrupted.
    fn restore(
        &self,
        loaded: &mut Loaded,
        scene: &Scene,
        report: &mut CompareReport,
        progress: &Rounds,
    ) -> Result<bool> {
        let Some(before) = &scene.before else {
            return Ok(true);
        };
        progress.say(&format!("preparing {}", loaded.server.name));
        let Some(driven) = self.client.drive(&mut loaded.server, before, LOAD_SEED)? else {
            return Ok(false);
        };
        loaded.prepared(&driven.report, report)?;
        Ok(true)
    }

    fn measure(
        &self,
        loaded: &mut Loaded,
        scene: &Scene,
        (number, target, round): (usize, usize, u32),
        rested: bool,
        progress: &Rounds,
    ) -> Result<Option<RoundReport>> {
        progress.say(&format!("{} {}: {}", scene.group, scene.name, loaded.server.name));
        let keys_before = if scene.grows { loaded.server.keys() } else { None };
        let seed = seed(number, Some(round));
        let Some(driven) = self.client.drive(&mut loaded.server, &scene.run, seed)? else {
            return Ok(None);
        };
        progress.step();
        let added = driven.report.elements_added;
        if scene.grows && scene.run.has_elements() {
            loaded.elements = Some(loaded.elements.unwrap_or(0) + added);
        } else if scene.grows {
            loaded.keys_sent = Some(loaded.keys_sent.unwrap_or(0) + sets(&driven.report).unwrap_or(0));
        }
        let keys = loaded.server.keys();
        let mut measured = round_report(&driven, target, round);
        measured.keys = keys;
        measured.keys_sent = loaded.keys_sent;
        measured.seed = seed;
        measured.errors_before = loaded.errors_before;
        measured.remarks.extend_from_slice(&loaded.remarks);
        let new = keys.zip(keys_before).map(|(after, before)| after.saturating_sub(before)).filter(|new| *new > 0);
        let growth = driven.after.rss_bytes as f64 - driven.before.rss_bytes as f64;
        measured.rss_growth_per_key = new.filter(|_| !scene.run.has_elements()).map(|new| growth / new as f64);
        if scene.grows && scene.run.has_elements() {
            measured.elements = loaded.elements;
            measured.rss_growth_per_element = (added > 0).then(|| growth / added as f64);
        }
        if let Some(remark) = self.above_bound(loaded, driven.rss_max_bytes) {
            measured.remarks.push(remark);
        }
        if let Some((held, sent)) = keys.zip(loaded.keys_sent).filter(|(held, sent)| held < sent) {
            let percent = held as f64 / sent as f64 * 100.0;
            measured.remarks.push(format!("holds {percent:.1} % of the keys sent"));
        }
        if !rested {
            measured.remarks.push("a server was still at work when the round began".to_owned());
        }
        Ok(Some(measured))
    }
}

impl Plan<'_> {
    /// Our own promise of the documentation: the DRAM, a twentieth more, and a fixed part.
    fn above_bound(&self, loaded: &Loaded, rss_bytes: u64) -> Option<String> {
        let memory_bytes =
            self.surroundings.memory_bytes.filter(|_| loaded.server.version.starts_with("thermocline"))?;
        let bound_bytes = memory_bytes + memory_bytes / 20 + RSS_BESIDE_BYTES;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let words = || format!("RSS {:.1} MiB is above its bound of {:.1} MiB", mib(rss_bytes), mib(bound_bytes));
        (rss_bytes > bound_bytes).then(words)
    }
}

/// A client that could not go on ends the comparison: what came behind would be another server's or another state's.
fn keep(report: &mut CompareReport, round: RoundReport) -> Result<()> {
    let failure = round.failure.clone();
    let server = report.targets[round.target].name.clone();
    report.wrong += round.wrong;
    report.scenes.last_mut().expect("a scene begins before its rounds").rounds.push(round);
    failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!("a round of {server} failed: {failure}")))
}

fn scene_report(scene: &Scene) -> SceneReport {
    SceneReport {
        name: scene.name.clone(),
        group: scene.group.clone(),
        command: scene.run.text.clone(),
        load: scene.load.as_ref().map(|load| load.text.clone()),
        before: scene.before.as_ref().map(|before| before.text.clone()),
        rounds: Vec::new(),
    }
}

fn sets(report: &Report) -> Option<u64> {
    report.latency.get("set").map(|set| set.count)
}

impl Loaded {
    /// Takes note of a pass that was only to prepare: its errors are said with every round behind it, and without an end it
    /// leaves nothing to measure.
    fn prepared(&mut self, pass: &Report, report: &mut CompareReport) -> Result<()> {
        let name = &pass.name;
        report.wrong += pass.wrong;
        if pass.wrong > 0 {
            self.remarks.push(format!(
                "{} WRONG VALUES before, in {name}: {}",
                pass.wrong,
                pass.wrong_shown.join("; ")
            ));
        }
        let errors: u64 = pass.errors.values().sum();
        if errors > 0 {
            let first = pass.first_error.as_deref().unwrap_or("unknown");
            self.remarks.push(format!("{errors} errors before, in {name}, the first: {first}"));
            self.errors_before += errors;
        }
        match &pass.failure {
            Some(failure) => anyhow::bail!("{name} of {} failed: {failure}", self.server.name),
            None => Ok(()),
        }
    }
}

fn round_report(driven: &Driven, target: usize, round: u32) -> RoundReport {
    let (report, before, after) = (&driven.report, driven.before, driven.after);
    let per_answer = |total: f64| (report.operations > 0).then(|| total / report.operations as f64);
    let bytes = |after: u64, before: u64| per_answer(after.saturating_sub(before) as f64);
    let client_seconds = report.client_cpu_us_per_operation.map(|us| us * report.operations as f64 / 1e6);
    let client_busy = client_seconds.map(|busy| busy / report.seconds.max(1e-9));
    let gets = report.found + report.missed;
    let errors: u64 = report.errors.values().sum();
    // A server with a tier section that did not change has read nothing; one without says nothing.
    let observed = &report.observed;
    let tier = |name: &str| {
        observed.tier_after.get(name)?;
        per_answer(observed.tier_changes.get(name).copied().unwrap_or(0.0))
    };
    let mut remarks = Vec::new();
    if report.wrong > 0 {
        remarks.push(format!("{} WRONG VALUES: {}", report.wrong, report.wrong_shown.join("; ")));
    }
    if report.lost > 0 {
        remarks.push(format!("{} keys lost", report.lost));
    }
    if errors > 0 {
        remarks.push(format!("{errors} errors, the first: {}", report.first_error.as_deref().unwrap_or("unknown")));
    }
    if let Some(busy) = client_busy.filter(|busy| *busy > CLIENT_BUSY_MAX) {
        remarks.push(format!("the client is the limit (busy {:.0} %)", busy * 100.0));
    }
    if report.seconds < ROUND_SECONDS_MIN {
        remarks.push(format!("a round of {:.2} s is too short for the CPU time", report.seconds));
    }
    RoundReport {
        target,
        round,
        operations_per_second: report.operations_per_second,
        server_cpu_us: per_answer((after.cpu_seconds - before.cpu_seconds) * 1e6),
        client_cpu_us: report.client_cpu_us_per_operation,
        client_busy,
        read_bytes: bytes(after.read_bytes, before.read_bytes),
        write_bytes: bytes(after.write_bytes, before.write_bytes),
        tier_reads: tier("cold_reads"),
        tier_write_bytes: tier("device_bytes_written"),
        rss_bytes: Some(driven.rss_max_bytes),
        found_share: (gets > 0).then(|| report.found as f64 / gets as f64),
        wrong: report.wrong,
        errors,
        failure: report.failure.clone(),
        others_cores: driven.others_cores,
        latency: report.latency.clone(),
        remarks,
        ..RoundReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_turns_each_round() {
        assert_eq!(order(0, 2), [0, 1]);
        assert_eq!(order(1, 2), [1, 0]);
        assert_eq!(order(2, 2), [0, 1]);
        assert_eq!(order(1, 3), [2, 1, 0]);
    }

    #[test]
    fn no_pass_repeats_the_keys_of_another() {
        let passes = |scene| (0..1_000).map(Some).chain([None]).map(move |round| seed(scene, round));
        let seeds: Vec<u64> = (0..3).flat_map(passes).chain([LOAD_SEED]).collect();
        let distinct: std::collections::BTreeSet<u64> = seeds.iter().copied().collect();
        assert_eq!(distinct.len(), seeds.len());
    }
}
