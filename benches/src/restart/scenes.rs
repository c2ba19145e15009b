//! The scenes in their order: what is loaded, how it ends, and the starts behind it.
//!
//! Promises: starts of a scene find the same files, but for what a start itself writes; the number of keys is asked after each.

use super::peer;
use super::process::{Folder, Keys, Process, Program};
use super::report::{HotMinute, RestartReport, RestartScene, Start};
use super::{RestartArguments, Wanted};
use crate::cli::Cli;
use crate::compare::Rounds;
use crate::observe::Info;
use crate::record::Results;
use crate::report::Report;
use crate::run;
use crate::wire::KeyText;
use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the project wants, in seconds.
const TARGET_CRASH_S: f64 = 0.6;
const TARGET_FURTHER_GIB_S: f64 = 0.3;
const TARGET_NO_CHECKPOINT_S: f64 = 6.0;
const TARGET_SMALL_S: f64 = 0.4;

/// Bytes of a value of the small set.
const SMALL_VALUE_BYTES: u32 = 400;
/// What a record takes beside its value: key and head, rounded up.
const RECORD_OVERHEAD_BYTES: u64 = 56;
/// Room that a server gets beyond twice its data and three times the log.
const SPARE_BYTES: u64 = 1 << 30;
/// Less DRAM no server of ours takes.
const MEMORY_BYTES_MIN: u64 = 64 << 20;
const KEY_PREFIX: &str = "key:";
const KEY_BYTES: u32 = 16;
/// Of the GETs behind a start; those that warm have the usual one, 1.
const MINUTE_SEED: u64 = 2;
/// GETs that warm the large set, per key.
const WARM_SHARE: f64 = 0.2;
/// Overwrites go on until the log is long enough, at most in so many pieces: a checkpoint may have been written meanwhile.
const PIECES_MAX: usize = 8;
const CHECKPOINTS: [&str; 2] = ["checkpoint-0", "checkpoint-1"];
const HOT_LISTS: [&str; 2] = ["hot-0", "hot-1"];

/// One run of the command.
pub struct Stage<'a> {
    pub(super) arguments: &'a RestartArguments,
    server: PathBuf,
    pub(super) parent: PathBuf,
    pub(super) stop: &'a AtomicBool,
    pub(super) report: &'a mut RestartReport,
    pub(super) folders: Vec<Folder>,
    progress: Rounds,
}

/// How a start ends before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGTERM.
    Clean,
    /// kill -9.
    Kill,
}

impl<'a> Stage<'a> {
    /// Nothing is started yet.
    pub fn new(
        arguments: &'a RestartArguments,
        server: PathBuf,
        parent: PathBuf,
        stop: &'a AtomicBool,
        report: &'a mut RestartReport,
    ) -> Self {
        let scenes: u64 = arguments.scenes.iter().map(|wanted| if *wanted == Wanted::Crash { 2 } else { 1 }).sum();
        let peers = if arguments.peer.is_some() { 2 } else { 0 };
        let progress = Rounds::start((scenes + peers) * u64::from(arguments.rounds));
        Self { arguments, server, parent, stop, report, folders: Vec::new(), progress }
    }

    /// The folders that were used.
    pub fn into_folders(self) -> Vec<Folder> {
        self.folders
    }

    /// All that is wanted.
    pub fn play(&mut self) -> Result<()> {
        let wants = |wanted| self.arguments.wants(wanted);
        if [Wanted::Clean, Wanted::HotSet, Wanted::Crash, Wanted::NoCheckpoint].into_iter().any(wants) {
            self.large()?;
        }
        if self.arguments.wants(Wanted::Small) {
            self.small()?;
        }
        if let Some(program) = &self.arguments.peer {
            peer::play(self, program)?;
        }
        Ok(())
    }

    fn large(&mut self) -> Result<()> {
        let arguments = self.arguments;
        let (count, value_bytes) = (arguments.keys, arguments.value_size);
        let data_bytes = count * (u64::from(value_bytes) + RECORD_OVERHEAD_BYTES);
        let (program, at) = self.prepare("large", arguments.memory, data_bytes, 3 * arguments.log)?;
        let keys = keys(count);
        let process = self.load(&program, at, count, value_bytes)?;
        self.say("ending");
        let end_s = Some(process.end()?);
        if arguments.wants(Wanted::Clean) {
            let scene = RestartScene { name: "SIGTERM".to_owned(), keys: count, end_s, ..RestartScene::default() };
            self.starts(&program, at, &keys, scene, End::Clean)?;
        }
        if arguments.wants(Wanted::HotSet) {
            self.hot_set(&program, at, &keys, value_bytes)?;
        }
        if arguments.wants(Wanted::Crash) || arguments.wants(Wanted::NoCheckpoint) {
            self.crash(&program, at, &keys, value_bytes)?;
        }
        Ok(())
    }

    fn crash(&mut self, program: &Program, at: usize, keys: &Keys, value_bytes: u32) -> Result<()> {
        let arguments = self.arguments;
        let scene = |name: &str, log_bytes: u64, target_s: f64| RestartScene {
            name: format!("{name}, {:.1} MiB of log", log_bytes as f64 / f64::from(1 << 20)),
            keys: keys.count,
            log_bytes: Some(log_bytes),
            target_s: arguments.has_usual_sizes().then_some(target_s),
            ..RestartScene::default()
        };
        let log_bytes = self.overwrite(program, at, keys, value_bytes, arguments.log)?;
        if arguments.wants(Wanted::Crash) {
            self.starts(program, at, keys, scene("kill -9", log_bytes, TARGET_CRASH_S), End::Kill)?;
        }
        if arguments.wants(Wanted::NoCheckpoint) {
            // Only out of the way: what comes next wants them back.
            let aside = tempfile::tempdir_in(&self.parent)?;
            let data = self.folders[at].data();
            let there: Vec<&str> = CHECKPOINTS.into_iter().filter(|name| data.join(name).exists()).collect();
            for name in &there {
                rename(data.join(name), aside.path().join(name))?;
            }
            let scene = scene("kill -9, no checkpoint", log_bytes, TARGET_NO_CHECKPOINT_S);
            self.starts(program, at, keys, scene, End::Kill)?;
            for name in &there {
                rename(aside.path().join(name), data.join(name))?;
            }
        }
        if arguments.wants(Wanted::Crash) {
            let more_bytes = self.overwrite(program, at, keys, value_bytes, 2 * arguments.log)?;
            let further_gib = more_bytes.saturating_sub(log_bytes) as f64 / f64::from(1 << 30);
            let target_s = TARGET_CRASH_S + TARGET_FURTHER_GIB_S * further_gib;
            self.starts(program, at, keys, scene("kill -9", more_bytes, target_s), End::Kill)?;
        }
        Ok(())
    }

    fn small(&mut self) -> Result<()> {
        let arguments = self.arguments;
        let count = (arguments.small / u64::from(SMALL_VALUE_BYTES)).max(100);
        let (program, at) =
            self.prepare("small", (arguments.small * 2).max(MEMORY_BYTES_MIN), arguments.small * 5 / 4, 0)?;
        let process = self.load(&program, at, count, SMALL_VALUE_BYTES)?;
        let scene = RestartScene {
            name: format!("SIGTERM, {} MiB of {SMALL_VALUE_BYTES} B", arguments.small >> 20),
            keys: count,
            target_s: arguments.has_usual_sizes().then_some(TARGET_SMALL_S),
            end_s: Some(process.end()?),
            ..RestartScene::default()
        };
        self.starts(&program, at, &keys(count), scene, End::Clean)
    }

    /// Warms the store, then the time after a start with the list that it left, and without.
    fn hot_set(&mut self, program: &Program, at: usize, keys: &Keys, value_bytes: u32) -> Result<()> {
        let count = keys.count;
        let gets = ((count as f64 * WARM_SHARE) as u64).max(1_000);
        let zipf = format!("run zipf:0.99 --keys {count} --value-size {value_bytes} --reads 100%");
        let (process, _) = Process::serve(program, &self.folders[at], Some(keys), self.stop)?;
        self.say("warming");
        self.drive(process.port.number(), &format!("{zipf} -c 8 -P 32 --requests {gets}"))?;
        process.end()?;
        let seconds = self.arguments.hot_for.as_secs_f64();
        let (rate, ms) = (self.arguments.hot_rate, self.arguments.hot_for.as_millis());
        // Other keys by chance than those that warmed the store, or the list would know the future.
        let minute = format!("{zipf} --rate {rate} --duration {ms}ms --seed {MINUTE_SEED}");
        for list in [true, false] {
            if !list {
                self.folders[at].remove(&HOT_LISTS)?;
            }
            let (process, _) = Process::serve(program, &self.folders[at], Some(keys), self.stop)?;
            self.say(if list { "with the hot-set list" } else { "without the hot-set list" });
            let report = self.drive(process.port.number(), &minute)?;
            if let Some(shares) = report.shares {
                let reads = |point: &crate::report::TimelinePoint| (point.hot + point.cold + point.miss) as f64;
                let points = report.timeline.points.iter().filter(|point| reads(point) > 0.0);
                self.report.hot.push(HotMinute {
                    list,
                    seconds,
                    gets: report.operations,
                    hot_share: shares.hot,
                    interval_s: report.timeline.interval_s,
                    shares: points.map(|point| point.hot as f64 / reads(point)).collect(),
                });
            }
            // The list of the last shutdown stays as it is.
            process.kill();
            self.progress.step();
        }
        // What comes next is a clean end.
        let (process, _) = Process::serve(program, &self.folders[at], Some(keys), self.stop)?;
        process.end()?;
        Ok(())
    }

    /// Starts the server, overwrites keys until so much log lies behind its checkpoint, and kills it. Answers how much does.
    fn overwrite(&mut self, program: &Program, at: usize, keys: &Keys, value_bytes: u32, wanted: u64) -> Result<u64> {
        let (process, _) = Process::serve(program, &self.folders[at], Some(keys), self.stop)?;
        let behind = |process: &Process| -> Result<u64> {
            let info = process.info(&["tier"])?;
            info.number("checkpoint_age_log_bytes").context("INFO tier without checkpoint_age_log_bytes")
        };
        let before = self.report.scenes.iter().rev().find_map(|scene| scene.log_bytes).unwrap_or(0);
        // A start counts the log anew: what lay behind the checkpoint before is there all the same.
        let (mut age, mut each) = (before, u64::from(value_bytes) + RECORD_OVERHEAD_BYTES);
        for piece in 0..PIECES_MAX {
            if age >= wanted {
                break;
            }
            self.say("overwriting");
            // The first piece tells what a record takes.
            let share = if piece == 0 { 2 } else { 1 };
            let sets = ((wanted - age) / each / share).max(1);
            let text = format!(
                "run uniform --keys {} --value-size {value_bytes} --reads 0% -c 8 -P 32 --requests {sets} --seed {}",
                keys.count,
                wanted + piece as u64
            );
            self.drive(process.port.number(), &text)?;
            let now = before + behind(&process)?;
            each = (now.saturating_sub(age) / sets).max(1);
            age = now;
        }
        process.kill();
        Ok(age)
    }

    /// The starts of a scene.
    pub(super) fn starts(
        &mut self,
        program: &Program,
        at: usize,
        keys: &Keys,
        mut scene: RestartScene,
        end: End,
    ) -> Result<()> {
        for _ in 0..self.arguments.rounds {
            self.say(&scene.name);
            let (process, served) = Process::serve(program, &self.folders[at], Some(keys), self.stop)?;
            // One connection and one answer: the next rounds of the server's own work change nothing in it.
            let info = process.info(&["tier"])?;
            let there = process.keys()?;
            if let Some(words) = served.wrong {
                self.report.wrong += 1;
                self.report.damage.get_or_insert(words);
            }
            let lost = keys.count.saturating_sub(there).max(u64::from(served.lost));
            if lost > 0 {
                self.report.lost += lost;
                let words = format!("after {}: {there} of {} keys", scene.name, keys.count);
                self.report.damage.get_or_insert(words);
            }
            scene.starts.push(start_of(served.seconds, &info, process.rss_peak_bytes()));
            match end {
                End::Clean => {
                    process.end()?;
                }
                End::Kill => process.kill(),
            }
            self.progress.step();
        }
        self.report.scenes.push(scene);
        Ok(())
    }

    /// A server with a new folder that has room for so much; the folder's number.
    fn prepare(&mut self, name: &str, memory: u64, data_bytes: u64, log_bytes: u64) -> Result<(Program, usize)> {
        let disk_bytes = 2 * data_bytes + log_bytes + SPARE_BYTES;
        let at = self.folder(name, disk_bytes)?;
        let text = format!("--maxmemory {memory} --maxdisk {disk_bytes} --appendonly yes --appendfsync everysec");
        let words = text.split(' ').map(str::to_owned).collect();
        Ok((Program { path: self.server.clone(), words }, at))
    }

    /// A new folder with room for so much; its number.
    pub(super) fn folder(&mut self, name: &str, bytes: u64) -> Result<usize> {
        let space = rustix::fs::statvfs(&self.parent).context("asking how much room there is")?;
        let free = space.f_bavail * space.f_frsize;
        if free < bytes {
            let folder = self.parent.display();
            bail!(
                "{folder}: {} MiB are free, {} MiB are needed; fewer --keys, or another --dir",
                free >> 20,
                bytes >> 20
            );
        }
        self.folders.push(Folder::make(&self.parent, name)?);
        Ok(self.folders.len() - 1)
    }

    /// Starts a server on an empty folder and sets all keys.
    pub(super) fn load(&mut self, program: &Program, at: usize, count: u64, value_bytes: u32) -> Result<Process> {
        let (process, _) = Process::serve(program, &self.folders[at], None, self.stop)?;
        self.say("loading");
        self.drive(process.port.number(), &format!("load --keys {count} --value-size {value_bytes} -c 8 -P 32"))?;
        Ok(process)
    }

    /// Runs a command of this tool against a server.
    fn drive(&mut self, port: u16, text: &str) -> Result<Report> {
        let port = port.to_string();
        let words = ["thermocline-bench"].into_iter().chain(text.split(' ')).chain(["--port", &port]);
        let command = Cli::try_parse_from(words).with_context(|| text.to_owned())?.command;
        let results = run::run(&command, self.stop)?.results;
        let Some(Results::Passes(mut passes)) = results else { bail!("{text:?} gives no passes") };
        let report = passes.pop().context("no pass")?;
        self.report.wrong += report.wrong;
        self.report.lost += report.lost;
        if let Some(words) = report.wrong_shown.first() {
            self.report.damage.get_or_insert(words.clone());
        }
        if let Some(words) = report.failure.as_ref().or(report.first_error.as_ref()) {
            bail!("{text:?}: {words}");
        }
        if self.stop.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(report)
    }

    pub(super) fn say(&self, words: &str) {
        self.progress.say(words);
    }
}

/// The keys that `load` makes.
pub fn keys(count: u64) -> Keys {
    Keys { count, text: KeyText::new(KEY_PREFIX, KEY_BYTES) }
}

fn start_of(served_s: f64, info: &Info, rss_peak_bytes: Option<u64>) -> Start {
    let seconds = |name: &str| info.number(name).map(|us: f64| us / 1e6);
    Start {
        served_s,
        recovery_s: seconds("recovery_us"),
        survey_s: seconds("recovery_survey_us"),
        checkpoint_s: seconds("recovery_checkpoint_us"),
        footers_s: seconds("recovery_footers_us"),
        replay_s: seconds("recovery_replay_us"),
        replayed: info.number("recovery_records_replayed"),
        checkpoint_used: info.number("recovery_checkpoint_used").map(|used: u8| used == 1),
        rss_peak_bytes,
    }
}

fn rename(from: PathBuf, to: PathBuf) -> Result<()> {
    std::fs::rename(&from, &to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}
