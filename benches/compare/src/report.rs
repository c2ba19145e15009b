//! The result: one object for JSON, one screen for people. A figure that was not measured is absent, never zero.

use crate::engines::EngineName;
use crate::settings::Plan;
use serde::{Deserialize, Serialize};
use std::fmt;
use thermocline_bench::record::Machine;
use thermocline_bench::report::LatencyReport;
use thermocline_bench::run::ExitCode;

/// Version of the JSON object.
pub const SCHEMA: u32 = 1;

/// One scene of one engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SceneReport {
    /// Its name.
    pub name: String,
    /// Requests outstanding.
    pub outstanding: usize,
    /// False when it ended before its last step (its time was over, a signal, errors).
    pub complete: bool,
    /// Answers.
    pub operations: u64,
    /// Wall time.
    pub seconds: f64,
    /// Answers per second.
    pub operations_per_second: f64,
    /// CPU of the whole process, the callers' verification included.
    pub cpu_us_per_operation: Option<f64>,
    /// Read from the SSD, by the kernel.
    pub read_bytes_per_operation: Option<f64>,
    /// Written to the SSD (or to the page cache, on its way there), by the kernel.
    pub written_bytes_per_operation: Option<f64>,
    /// Highest resident memory.
    pub rss_max_bytes: Option<u64>,
    /// DRAM that the engine says it uses.
    pub dram_bytes: Option<u64>,
    /// Latency of reads.
    pub get: Option<LatencyReport>,
    /// Latency of writes.
    pub put: Option<LatencyReport>,
    /// Keys that were not there.
    pub missing: u64,
    /// Whole values of an older version than the last acknowledged.
    pub stale: u64,
    /// Wrong values.
    pub wrong: u64,
    /// Calls that failed.
    pub errors: u64,
    /// The first of them in words.
    pub shown: Vec<String>,
}

/// One engine in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineReport {
    /// Its name.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// How it was opened.
    pub settings: Vec<String>,
    /// It may forget keys, and may show an older version where a read and a write of one key meet.
    pub is_cache: bool,
    /// How long it took to open what was loaded.
    pub open_seconds: Option<f64>,
    /// What it takes on the SSD after the load.
    pub disk_bytes: u64,
    /// Scenes in their order.
    pub scenes: Vec<SceneReport>,
    /// Why it could not go on.
    pub failure: Option<String>,
}

/// The whole comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnginesReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name and version of this tool.
    pub tool: String,
    /// The command line.
    pub command: Vec<String>,
    /// Seconds since 1970, UTC.
    pub started_unix_s: u64,
    /// Where.
    pub machine: Machine,
    /// The workload.
    pub plan: Plan,
    /// CPU of the caller alone, in every figure of CPU per operation.
    pub harness_cpu_us_per_operation: Option<f64>,
    /// False when it was interrupted.
    pub complete: bool,
    /// Every round, every engine.
    pub rounds: Vec<Vec<EngineReport>>,
}

impl SceneReport {
    /// Nothing wrong, nothing stale, nothing failed.
    pub fn is_good(&self) -> bool {
        self.wrong + self.stale + self.errors == 0
    }
}

impl EngineReport {
    /// Nothing is known of it yet.
    pub fn new(engine: EngineName) -> Self {
        Self {
            engine: engine.name().to_owned(),
            version: engine.version(),
            settings: Vec::new(),
            is_cache: engine.is_cache(),
            open_seconds: None,
            disk_bytes: 0,
            scenes: Vec::new(),
            failure: None,
        }
    }
}

impl EnginesReport {
    /// The verdict.
    pub fn exit_code(&self) -> ExitCode {
        let engines = || self.rounds.iter().flatten();
        let scenes = || engines().flat_map(|engine| engine.scenes.iter().map(move |scene| (engine, scene)));
        if scenes().any(|(engine, scene)| scene.wrong > 0 || (scene.stale > 0 && !engine.is_cache)) {
            ExitCode::WrongValue
        } else if engines().any(|engine| engine.failure.is_some())
            || scenes().any(|(engine, scene)| scene.errors > 0 || (scene.missing > 0 && !engine.is_cache))
        {
            ExitCode::Errors
        } else {
            ExitCode::Good
        }
    }

    /// Names of scenes in their order.
    fn scene_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for scene in self.rounds.iter().flatten().flat_map(|engine| &engine.scenes) {
            if !names.contains(&scene.name.as_str()) {
                names.push(&scene.name);
            }
        }
        names
    }

    /// Names of engines in their order.
    fn engine_names(&self) -> Vec<&str> {
        self.rounds.first().map(|round| round.iter().map(|engine| engine.engine.as_str()).collect()).unwrap_or_default()
    }

    /// All rounds of one engine's scene, the fastest first.
    fn runs(&self, engine: &str, name: &str) -> Vec<&SceneReport> {
        let engines = self.rounds.iter().flatten().filter(|report| report.engine == engine);
        let mut runs: Vec<_> = engines.flat_map(|report| &report.scenes).filter(|scene| scene.name == name).collect();
        runs.sort_by(|a, b| b.operations_per_second.total_cmp(&a.operations_per_second));
        runs
    }
}

impl fmt::Display for EnginesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} keys of 16 bytes, values of {}: {:.0} MiB; DRAM {:.0} MiB; {} outstanding; zipf {}; {} round{}{}",
            plan.keys,
            plan.value_bytes,
            mib(plan.data_bytes()),
            mib(plan.dram_bytes),
            plan.outstanding,
            plan.theta,
            self.rounds.len(),
            if self.rounds.len() == 1 { "" } else { "s, the best is shown" },
            if self.complete { "" } else { "  (ended early: partial)" },
        )?;
        writeln!(f, "{}, {} cores, Linux {}", self.machine.cpu, self.machine.cores, self.machine.kernel)?;
        for engine in self.rounds.first().into_iter().flatten() {
            write!(f, "  {} {}", engine.engine, engine.version)?;
            if let Some(seconds) = engine.open_seconds {
                write!(f, "; {:.0} MiB on the SSD, opened in {seconds:.2} s", mib(engine.disk_bytes))?;
            }
            writeln!(f)?;
            for setting in &engine.settings {
                writeln!(f, "      {setting}")?;
            }
        }
        if let Some(us) = self.harness_cpu_us_per_operation {
            writeln!(f, "  of every CPU figure, {us:.2} us are the caller's own: keys, clocks, verification")?;
        }
        for name in self.scene_names() {
            self.fmt_scene(f, name)?;
        }
        for engine in self.rounds.iter().flatten() {
            for shown in engine.scenes.iter().flat_map(|scene| &scene.shown) {
                writeln!(f, "  {}: {shown}", engine.engine)?;
            }
            if let Some(failure) = &engine.failure {
                writeln!(f, "  {} FAILED: {failure}", engine.engine)?;
            }
        }
        Ok(())
    }
}

impl EnginesReport {
    fn fmt_scene(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        writeln!(
            f,
            "{name:<22}  ops/s  CPU us/op  SSD read B/op  written B/op    p50 us    p99 us  RSS MiB  missing  stale  wrong"
        )?;
        for engine in self.engine_names() {
            let runs = self.runs(engine, name);
            let Some(best) = runs.first() else {
                continue;
            };
            let number = |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
            // The kind of answer that the scene is about.
            let latency = best.get.as_ref().or(best.put.as_ref());
            write!(
                f,
                "  {engine:<15} {:>11.0} {:>10} {:>14} {:>13} {:>9} {:>9} {:>8} {:>8} {:>6} {:>6}",
                best.operations_per_second,
                number(best.cpu_us_per_operation, 2),
                number(best.read_bytes_per_operation, 0),
                number(best.written_bytes_per_operation, 0),
                number(latency.map(|latency| latency.p50_us), 1),
                number(latency.map(|latency| latency.p99_us), 1),
                number(best.rss_max_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)), 0),
                runs.iter().map(|run| run.missing).max().unwrap_or(0),
                runs.iter().map(|run| run.stale).max().unwrap_or(0),
                runs.iter().map(|run| run.wrong).sum::<u64>(),
            )?;
            if let [.., worst] = runs[..]
                && runs.len() > 1
            {
                write!(f, "  (slowest {:.0}/s)", worst.operations_per_second)?;
            }
            writeln!(f, "{}", if best.complete { "" } else { "  (ended by its time limit or a signal)" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Arguments;
    use clap::Parser as _;

    fn scene(operations_per_second: f64) -> SceneReport {
        SceneReport {
            name: "load".to_owned(),
            outstanding: 1,
            complete: true,
            operations: 10,
            seconds: 1.0,
            operations_per_second,
            cpu_us_per_operation: None,
            read_bytes_per_operation: Some(952.4),
            written_bytes_per_operation: None,
            rss_max_bytes: None,
            dram_bytes: None,
            get: None,
            put: None,
            missing: 0,
            stale: 0,
            wrong: 0,
            errors: 0,
            shown: Vec::new(),
        }
    }

    fn report(scenes: [SceneReport; 2]) -> EnginesReport {
        let rounds = scenes
            .map(|scene| vec![EngineReport { scenes: vec![scene], ..EngineReport::new(EngineName::Thermocline) }]);
        EnginesReport {
            schema: SCHEMA,
            tool: String::new(),
            command: Vec::new(),
            started_unix_s: 0,
            machine: Machine::default(),
            plan: Arguments::parse_from(["compare-engines"]).plan(),
            harness_cpu_us_per_operation: None,
            complete: true,
            rounds: rounds.into(),
        }
    }

    #[test]
    fn the_table_shows_the_best_round_and_the_slowest() {
        let text = report([scene(100.0), scene(300.0)]).to_string();
        assert!(text.contains("300") && text.contains("(slowest 100/s)"), "{text}");
        assert!(text.contains("952") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_lost_key_or_an_old_version_is_an_error_unless_the_engine_is_a_cache() {
        let lost = SceneReport { missing: 1, ..scene(1.0) };
        let mut report = report([scene(1.0), lost]);
        assert_eq!(report.exit_code(), ExitCode::Errors);
        report.rounds[1][0].is_cache = true;
        assert_eq!(report.exit_code(), ExitCode::Good);
        report.rounds[1][0].scenes[0].stale = 1;
        assert_eq!(report.exit_code(), ExitCode::Good);
        report.rounds[1][0].is_cache = false;
        assert_eq!(report.exit_code(), ExitCode::WrongValue);
        report.rounds[1][0].is_cache = true;
        report.rounds[0][0].scenes[0].wrong = 1;
        assert_eq!(report.exit_code(), ExitCode::WrongValue);
    }

    #[test]
    fn json_gives_back_what_was_measured() {
        let before = report([scene(1.0), scene(2.0)]);
        let text = serde_json::to_string(&before).unwrap();
        let after: EnginesReport = serde_json::from_str(&text).unwrap();
        assert_eq!(after.to_string(), before.to_string());
    }
}
