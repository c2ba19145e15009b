//! `demo`: a small server under more data than memory, live in the terminal.
//!
//! Promises: the server is this command's own, and at any end it is stopped and its folder removed; every value is verified;
//! the summary is a result like any other, which `report` draws.

mod live;
mod mix;
mod screen;
mod server;
mod terminal;
mod view;
mod watch;

use crate::cli::OutputArguments;
use crate::client::Drive;
use crate::control::Target;
use crate::permutation::Permutation;
use crate::report::Report;
use crate::run::{self, Outcome, Pass};
use crate::tally::Tally;
use crate::wire::KeyText;
use crate::workload::load::{KeyRange, Load};
use crate::workload::schedule::Schedule;
use crate::workload::{Speaker, ValueSizes, parse_bytes};
use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use live::{IN_FLIGHT_MAX, Live};
use mix::Mix;
pub(crate) use server::find as find_server;
use server::{DemoServer, Plan};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use terminal::Show;
use view::View;

const EXAMPLES: &str = "Examples:
  thermocline-bench demo
  thermocline-bench demo --memory 128mb --data 4gb --seconds 300 --dir /mnt/nvme
  thermocline-bench demo --seconds 20 --out demo.json && thermocline-bench report demo.json

Keys: q quit, space move the hot set, + and - change the load.";

const CONNECTIONS: usize = 8;
const LOAD_PIPELINE: usize = 32;
const KEY_BYTES: u32 = 16;
const SEED: u64 = 1;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// `demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArguments {
    /// The server program (default: thermocline-server beside this program, or on PATH).
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// DRAM of the server.
    #[arg(long, default_value = "64mb", value_parser = parse_bytes)]
    pub memory: u64,
    /// Bytes of all values together.
    #[arg(long, default_value = "1gb", value_parser = parse_bytes)]
    pub data: u64,
    /// Size of a value.
    #[arg(long, default_value = "1k")]
    pub value_size: ValueSizes,
    /// How long the mix runs behind the load.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// The hot set moves by itself after so many seconds; 0 is never.
    #[arg(long, default_value_t = 20)]
    pub move_every: u32,
    /// Where the server's folder is made (default: the system's folder for temporary files); it should be on an SSD.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArguments,
}

impl DemoArguments {
    fn keys(&self) -> u64 {
        ((self.data as f64 / self.value_size.mean().max(1.0)).ceil() as u64).max(1)
    }

    fn plan(&self) -> Result<Plan> {
        Ok(Plan {
            program: self.server.clone().map_or_else(server::find, Ok)?,
            memory_bytes: self.memory,
            // Room for keys, heads and what is not yet cleaned up.
            disk_bytes: self.data * 2 + (1 << 30),
            parent: self.dir.clone().unwrap_or_else(std::env::temp_dir),
        })
    }
}

/// Ends the other threads when the showing one ends, however it does.
struct QuitAtEnd<'a>(&'a AtomicBool);

impl Drop for QuitAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts the server, loads, runs the mix, shows all of it.
pub fn run(arguments: &DemoArguments, stop: &AtomicBool) -> Result<Outcome> {
    let server = DemoServer::start(&arguments.plan()?)?;
    let reports = play(arguments, &server.target, terminal::is_there(), stop);
    let reports = reports.with_context(|| format!("the demo's server says: {}", server.last_words()))?;
    drop(server);
    let losses = reports.iter().any(|report| report.lost > 0);
    Ok(run::outcome(reports, losses))
}

/// The demo on a running server: a screen with keys on a terminal, else lines on standard error.
pub fn play(arguments: &DemoArguments, target: &Target, on_a_terminal: bool, stop: &AtomicBool) -> Result<Vec<Report>> {
    let (live, state, quit) = (Live::new(), Mutex::new(None), AtomicBool::new(false));
    let view = View::new(arguments.data, arguments.keys(), f64::from(arguments.seconds));
    std::thread::scope(|scope| {
        let quit_at_end = QuitAtEnd(&quit);
        let client = scope.spawn(|| passes(arguments, target, &live, &quit));
        let watch = scope.spawn(|| watch::run(target, &state, &quit));
        let ended = || client.is_finished() || stop.load(Ordering::Relaxed);
        let move_every_s = f64::from(arguments.move_every);
        let shown = Show { live: &live, state: &state, view, move_every_s, ended: &ended }.run(on_a_terminal);
        drop(quit_at_end);
        let reports = client.join().map_err(|_| anyhow!("the client's thread has panicked"))?;
        watch.join().map_err(|_| anyhow!("the watching thread has panicked"))?;
        shown?;
        reports
    })
}

/// The load, then the mix, on the client's thread.
fn passes(arguments: &DemoArguments, target: &Target, live: &Live, quit: &AtomicBool) -> Result<Vec<Report>> {
    let keys = arguments.keys();
    let speaker = Speaker { protocol: target.speech.protocol(), text: KeyText::new("key:", KEY_BYTES) };
    let range = KeyRange { keys, speaker, sizes: arguments.value_size, order: None };
    let show = |tally: &Tally| live.answers.store(tally.operations(), Ordering::Relaxed);
    let drive = |pipeline, tiers| Drive { connections: CONNECTIONS, pipeline, tiers, timeout: ANSWER_TIMEOUT };
    let watched = |name, drive| Pass { watch: Some(&show), ..Pass::of(name, target.clone(), drive) };
    let mut load = Load::new(range.clone(), |_| None, Schedule::closed());
    let mut reports = vec![run::pass(watched("load", drive(LOAD_PIPELINE, false)), &mut load, quit)?];
    if reports[0].complete {
        live.answers.store(0, Ordering::Relaxed);
        live.mixing.store(true, Ordering::Relaxed);
        let order = Some(Permutation::new(keys, SEED));
        let drive = drive(IN_FLIGHT_MAX / CONNECTIONS, true);
        let mut mix = Mix::new(KeyRange { order, ..range }, live);
        reports.push(run::pass(watched("mix", drive), &mut mix, quit)?);
    }
    Ok(reports)
}
