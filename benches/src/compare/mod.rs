//! `compare`: two or more servers under the same workloads, in interleaved rounds.
//!
//! Promises: servers and client are processes of their own on cores of their own, so that each one's CPU is its own; nothing
//! that was started outlives the comparison; a wrong value anywhere ends with its exit code; what is worse is shown as
//! plainly as what is better. Never measures a server while another is under load.

mod ask;
mod client;
mod cores;
mod memory_group;
mod process;
mod progress;
mod report;
mod rounds;
mod scene;
mod server;
mod suites;
mod table;
mod target;

pub use report::{CompareReport, MethodReport, Metric, Ratio, RoundReport, SceneReport, TargetReport};

use crate::cli::OutputArguments;
use crate::procfs;
use crate::record::Results;
use crate::run::{ExitCode, Outcome};
use crate::workload::parse_bytes;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use cores::Cores;
use memory_group::MemoryGroup;
pub(crate) use progress::Rounds;
use rounds::{Ending, Plan};
use scene::{Pass, Scene};
use server::Surroundings;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use target::TargetSpec;

const EXAMPLES: &str = "\
Places in a command line: {port} {dir} {memory} (bytes) {memory_mb} (MiB). The protocol follows from the program's name, or
from `name@redis=` and `name@memcached=`. The first target is the one that the others are compared with.

Hot keys, ours against Redis:
  thermocline-bench compare --suite hot \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory 2gb' \\
    --target 'redis=redis-server --port {port} --dir {dir} --save \"\" --appendonly no'

One workload of your own, three rounds:
  thermocline-bench compare --rounds 3 --load 'load --keys 1000000' \\
    --scene 'run zipf:0.99 --keys 1000000 --reads 95% -c 50 -P 32 --duration 5s' --target ... --target ...

The other peers (benches/peers.sh fetches newer ones than the system's):
    --target 'valkey=valkey-server --port {port} --dir {dir} --save \"\" --appendonly no'
    --target 'memcached=memcached -u nobody -l 127.0.0.1 -p {port} -m 2048 -t 1'

Data eight times the DRAM (an eviction cache shows which share it keeps):
  thermocline-bench compare --suite larger-than-memory --memory 512mb --rounds 3 \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory {memory} --maxdisk 16gb' \\
    --target 'redis=redis-server --port {port} --dir {dir} --save \"\" --maxmemory {memory} --maxmemory-policy allkeys-lru' \\
    --target 'extstore=memcached -u root -l 127.0.0.1 -p {port} -m {memory_mb} -t 1 -o ext_path={dir}/ext:16g,ext_item_size=128'
(extstore leaves items below ext_item_size, 512 B with their key and head, in DRAM: without the option 400 B values never reach
the SSD. The heads of all items stay in DRAM.)

What a durable write costs: the log beside none, and a flush for every answer beside Redis's:
  thermocline-bench compare --suite durability --seconds 2 \\
    --target 'everysec=thermocline-server --port {port} --dir {dir} --maxmemory 1gb --appendfsync everysec' \\
    --target 'none=thermocline-server --port {port} --dir {dir} --maxmemory 1gb --appendonly no'
  thermocline-bench compare --suite durability --seconds 2 \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory 1gb --appendfsync always' \\
    --target 'redis=redis-server --port {port} --dir {dir} --save \"\" --appendonly yes --appendfsync always'

Hashes, sets, sorted sets and lists, small and large, without a log and with one:
  thermocline-bench compare --suite collections --rounds 3 --seconds 1 \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory 4gb --workers 1 --appendonly no' \\
    --target 'redis=redis-server --port {port} --dir {dir} --save \"\" --appendonly no'
  thermocline-bench compare --suite collections --rounds 3 --seconds 1 \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory 4gb --workers 1 --appendfsync everysec' \\
    --target 'redis=redis-server --port {port} --dir {dir} --save \"\" --appendonly yes --appendfsync everysec'

DRAM per element of a collection (the same targets; --large: 10 M elements too), and collections larger than the DRAM (64 MiB
unless --memory says otherwise; --memory with --no-cgroup, for a server needs a fixed part beside it):
  thermocline-bench compare --suite dram-per-element --rounds 1 --large --target ... --target ...
  thermocline-bench compare --suite cold-collections --rounds 1 --seconds 10 \\
    --target 'ours=thermocline-server --port {port} --dir {dir} --maxmemory {memory} --maxdisk 4gb --workers 1'

Exit code: 0 all is well, 1 errors or a server that failed, 2 a wrong command line, 3 a wrong value.";

/// `compare`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompareArguments {
    /// A server: name=command line. Give it twice or more.
    #[arg(long = "target", value_name = "NAME=COMMAND", required_unless_present = "list_suites")]
    targets: Vec<TargetSpec>,
    /// Scenes by name (see --list-suites) or from a TOML file of the same shape.
    #[arg(long, value_name = "NAME|FILE")]
    suite: Option<String>,
    /// Print the suites and end.
    #[arg(long)]
    list_suites: bool,
    /// A scene: arguments of this tool, such as 'run uniform --keys 1000000 --reads 100% -P 32 --duration 5s'. Give it as often as you like.
    #[arg(long = "scene", value_name = "ARGUMENTS", value_parser = pass, conflicts_with = "suite")]
    scenes: Vec<Pass>,
    /// What loads the keys for the --scene's, once.
    #[arg(long, value_name = "ARGUMENTS", value_parser = pass, conflicts_with = "suite")]
    load: Option<Pass>,
    /// What runs before each --scene, not measured.
    #[arg(long, value_name = "ARGUMENTS", value_parser = pass, conflicts_with = "suite")]
    warm: Option<Pass>,
    /// Rounds of each scene; the order of the servers is turned in every other one.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// {keys} of a suite: 100000, 5m (powers of 1024).
    #[arg(long, default_value = "100000", value_parser = parse_bytes)]
    keys: u64,
    /// {elements} of a suite: elements of a large collection, 1000000 as it stands.
    #[arg(long, default_value = "1000000", value_parser = parse_bytes)]
    elements: u64,
    /// Also the scenes of a suite that take long: ten times the elements.
    #[arg(long)]
    large: bool,
    /// {seconds} of a suite: length of a round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// New servers, newly loaded, in each round.
    #[arg(long)]
    fresh: bool,
    /// Cores of the servers, such as 0 or 0,2-3 (default: 0 where there are two or more).
    #[arg(long, value_name = "CORES")]
    server_core: Option<Cores>,
    /// Cores of the client (default: 1 where there are two or more).
    #[arg(long, value_name = "CORES")]
    client_core: Option<Cores>,
    /// DRAM of each server: {memory}. Each also gets a memory group with a quarter more, page cache included, where possible.
    #[arg(long, value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Refuse to run when a memory group cannot be made.
    #[arg(long, requires = "memory", conflicts_with = "no_cgroup")]
    require_cgroup: bool,
    /// Make no memory group.
    #[arg(long, requires = "memory")]
    no_cgroup: bool,
    /// Folder in which each server gets a folder (removed at the end).
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

fn pass(text: &str) -> Result<Pass, String> {
    Pass::parse(text).map_err(|error| error.to_string())
}

/// Compares.
pub fn run(arguments: &CompareArguments, stop: &AtomicBool) -> Result<Outcome> {
    if arguments.list_suites {
        print!("{}", suites::list());
        return Ok(Outcome { results: None, exit_code: ExitCode::Good });
    }
    for (index, target) in arguments.targets.iter().enumerate() {
        target.check_memory(arguments.dram())?;
        if arguments.targets[..index].iter().any(|other| other.name == target.name) {
            bail!("two targets are called {}: nobody could tell them apart", target.name);
        }
    }
    let scenes = arguments.scenes()?;
    let two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
    let core = |given: &Option<Cores>, number: &str| given.clone().or_else(|| number.parse().ok().filter(|_| two));
    let (server_cores, client_cores) = (core(&arguments.server_core, "0"), core(&arguments.client_core, "1"));
    let (group_bytes, memory_group) = arguments.memory_group()?;
    let mut report = CompareReport {
        targets: arguments.targets.iter().map(target_report).collect(),
        method: MethodReport {
            rounds: arguments.rounds,
            fresh: arguments.fresh,
            server_cores: server_cores.as_ref().map(ToString::to_string),
            client_cores: client_cores.as_ref().map(ToString::to_string),
            memory_bytes: arguments.dram(),
            memory_group,
        },
        ..CompareReport::default()
    };
    let plan = Plan {
        targets: &arguments.targets,
        scenes: &scenes,
        rounds: arguments.rounds,
        fresh: arguments.fresh,
        surroundings: Surroundings {
            cores: server_cores.as_ref(),
            dir: &arguments.dir,
            memory_bytes: arguments.dram(),
            group_bytes,
        },
        client: client::Client {
            program: std::env::current_exe().context("where is this tool?")?,
            cores: client_cores.as_ref(),
            stop,
        },
    };
    let progress = progress::Rounds::start(plan.total());
    let ending = plan.conduct(&mut report, &progress);
    drop(progress);
    report.complete = matches!(ending, Ok(Ending::Complete));
    report.failure = ending.err().map(|error| format!("{error:#}"));
    let exit_code = verdict(&report);
    Ok(Outcome { results: Some(Results::Compare(report)), exit_code })
}

impl CompareArguments {
    fn scenes(&self) -> Result<Vec<Scene>> {
        if !self.scenes.is_empty() {
            let scene = |run: &Pass| Scene {
                group: self.load.as_ref().map_or_else(|| "scenes".to_owned(), |load| load.text.clone()),
                name: run.text.clone(),
                load: self.load.clone(),
                warm: self.warm.clone(),
                before: None,
                run: run.clone(),
                grows: false,
            };
            return Ok(self.scenes.iter().map(scene).collect());
        }
        let Some(name) = &self.suite else {
            bail!("what shall be compared? --suite hot, or --scene 'run uniform --reads 100%' (see --help)");
        };
        let text = match suites::SUITES.iter().find(|(suite, _)| suite == name) {
            Some((_, text)) => (*text).to_owned(),
            None => procfs::read(name).with_context(|| format!("{name} is no suite (--list-suites) and no file"))?,
        };
        let sizes = suites::Sizes {
            keys: self.keys.max(1),
            elements: self.elements.max(2),
            seconds: self.seconds,
            memory_bytes: self.dram(),
        };
        let scenes = suites::scenes(&text, sizes, self.large).with_context(|| format!("the suite {name}"))?;
        scenes.with_context(|| format!("the suite {name} follows from the DRAM: give --memory"))
    }

    /// `{memory}`: as given, else the suite's own.
    fn dram(&self) -> Option<u64> {
        self.memory.or_else(|| suites::usual_memory_bytes(self.suite.as_deref()?))
    }

    /// The limit of the servers' memory groups, and in words what became of it. Tried once, before anything starts.
    fn memory_group(&self) -> Result<(Option<u64>, Option<String>)> {
        let Some(memory_bytes) = self.memory else {
            return Ok((None, self.dram().map(|_| "no memory group (--memory makes one)".to_owned())));
        };
        if self.no_cgroup {
            return Ok((None, Some("NO MEMORY GROUP (as asked): the page cache is not limited".to_owned())));
        }
        // No server counts all that it uses: buffers, stacks, tables of its own; and reads need some page cache.
        let limit_bytes = memory_bytes + memory_bytes / 4;
        match MemoryGroup::create(limit_bytes) {
            Ok(_tried) => {
                let words = format!("each in a memory group of {} MiB, page cache included", limit_bytes >> 20);
                Ok((Some(limit_bytes), Some(words)))
            }
            Err(error) if self.require_cgroup => Err(error),
            Err(error) => Ok((None, Some(format!("NO MEMORY GROUP, the page cache is not limited: {error:#}")))),
        }
    }
}

fn target_report(target: &TargetSpec) -> TargetReport {
    TargetReport { name: target.name.clone(), version: "not started".to_owned(), command: target.command.clone() }
}

fn verdict(report: &CompareReport) -> ExitCode {
    let any = |question: fn(&RoundReport) -> bool| report.scenes.iter().flat_map(|scene| &scene.rounds).any(question);
    if report.wrong > 0 {
        ExitCode::WrongValue
    } else if report.failure.is_some() || any(|round| round.errors + round.errors_before > 0) {
        ExitCode::Errors
    } else {
        ExitCode::Good
    }
}
