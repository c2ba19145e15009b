//! The life of the process: start, six lines for people, serve, finish.
//!
//! Promises: an error at start is one clear sentence (what, where, what to do) and exit code 1, with nothing touched; SIGTERM
//! and SIGINT finish what runs, close the store and exit 0; a second SIGINT exits at once.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thermocline::{Clock, Durability, SystemClock};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Given, Settings, Startup, memory};
use crate::load::load;
use crate::metrics;
use crate::net::{Worker, WorkerHandle, accept, listen};
use crate::notify::Notify;
use crate::server::{About, Server};

/// A start that is over by then is not seen by clients.
const SHORT_START: Duration = Duration::from_millis(100);
/// How often idle memory is asked back and silent clients are closed.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A client is idle for memory's sake after this.
const IDLE_MS: u64 = 1000;
/// Buffers below this are not worth a wake-up.
const IDLE_BUFFER_BYTES_MIN: u64 = 8 << 10;

pub(crate) const HELP: &str = "\
thermocline-server: a Redis-speaking server whose memory reaches onto the SSD.

Usage: thermocline-server [FILE.conf] [--directive value ...]

The file has the syntax of redis.conf; directives on the command line win over it. The ones most used:
  --maxmemory 4gb        DRAM for everything (default: half of the machine's); 75% is understood
  --maxdisk 100gb        SSD space (default: what is free, less a reserve)
  --dir ./data           where the data lies
  --port 6379            --bind 127.0.0.1
  --appendfsync everysec always: an answer means it is on the device; everysec: at most a second is lost
  --requirepass WORDS    clients must AUTH
  --backup-dir FOLDER    where TIER BACKUP and backup-schedule keep backups
  --metrics-port 9121    Prometheus text and /health
  --io-backend auto      uring, pool
  --workers 0            threads (0: one for each core)
  --supervised systemd   tell systemd when the store is open (units of Type=notify)
  --help, --version
";

/// Runs the server with the words behind the program's name.
pub fn main(words: &[String]) -> ExitCode {
    match words.first().map(String::as_str) {
        Some("--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-v") => {
            println!("thermocline-server {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("cannot start a runtime: {error}; is the limit of open files too low?")),
    };
    match runtime.block_on(serve(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => refuse(&sentence),
    }
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("thermocline-server: {sentence}");
    ExitCode::FAILURE
}

async fn serve(words: &[String]) -> Result<(), String> {
    let given = Given::from_command_line(words)?;
    let settings = Settings::new(&given);
    start_log(&settings);
    let startup = Startup::new(&given, &settings)?;
    startup.options.validate().map_err(|error| error.to_string())?;
    let port = settings.number("port") as u16;
    let listeners = listen(&settings.text("bind"), port, settings.number("tcp-backlog") as u32).await?;
    let metrics_listeners = listen("127.0.0.1", settings.number("metrics-port") as u16, 16).await?;
    let mut interrupts = signals(SignalKind::interrupt())?;
    let mut terminations = signals(SignalKind::terminate())?;

    let clock = SystemClock::new();
    let about = About {
        run_id: run_id(clock.now_ms()),
        started_ms: clock.now_ms(),
        port,
        config_file: given.file.clone(),
        workers: startup.options.workers,
        machine_bytes: startup.options.machine_bytes,
        max_memory: startup.options.max_memory,
        max_disk: startup.options.max_disk,
    };
    let notify = Notify::new(&settings.text("supervised"), std::env::var_os("NOTIFY_SOCKET"));
    let server = Arc::new(Server::loading(settings, about));
    let (workers, handles) = start_workers(&server)?;
    let mut loading = pin!(load(&server, &startup, &handles));
    // Who comes during a short start waits in the backlog, and is never told that the server is loading.
    let mut loaded = tokio::time::timeout(SHORT_START, &mut loading).await.ok();
    for listener in listeners {
        tokio::spawn(accept(listener, server.clone(), handles.clone()));
    }
    for listener in metrics_listeners {
        tokio::spawn(metrics::serve(listener, server.clone()));
    }
    tokio::spawn(keep_house(server.clone()));
    if loaded.is_none() {
        notify.loading();
        loaded = tokio::select! {
            loaded = &mut loading => Some(loaded),
            () = asked_to_end(&server, &mut interrupts, &mut terminations) => None,
        };
    }
    match loaded {
        Some(Ok(())) => {
            introduce(&startup, &server);
            tracing::info!("Thermocline {}, PID: {}", env!("CARGO_PKG_VERSION"), std::process::id());
            tracing::info!("Ready to accept connections tcp");
            notify.ready();
            asked_to_end(&server, &mut interrupts, &mut terminations).await;
        }
        Some(Err(sentence)) => return Err(sentence),
        None => tracing::info!("The store was still being loaded: its files are left as a crash would leave them"),
    }
    notify.stopping();
    server.begin_shutdown();
    tokio::select! {
        closed = finish(&server) => closed?,
        _ = interrupts.recv() => return Err("interrupted twice: the store was not closed, the next start recovers it".to_owned()),
    }
    for worker in workers {
        worker.stop();
    }
    tracing::info!("Thermocline is now ready to exit, bye bye...");
    Ok(())
}

/// Waits until somebody asks the server to end.
async fn asked_to_end(server: &Server, interrupts: &mut Signal, terminations: &mut Signal) {
    tokio::select! {
        () = server.ending() => {}
        _ = interrupts.recv() => tracing::info!("Received SIGINT, scheduling shutdown..."),
        _ = terminations.recv() => tracing::info!("Received SIGTERM, scheduling shutdown..."),
    }
}

fn signals(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}"))
}

fn start_log(settings: &Settings) {
    let level = match settings.text("loglevel").as_str() {
        "debug" => "debug",
        "verbose" => "info",
        "warning" => "warn",
        "nothing" => "off",
        _ => "info",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    // A second server in one process (tests) keeps the first one's log.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false).try_init();
}

/// Six lines for people.
fn introduce(startup: &Startup, server: &Server) {
    let (options, settings) = (&startup.options, &server.settings);
    let (backend, reason) = metrics::backend_words(server.engine());
    let durability = match options.durability {
        Durability::None => {
            "appendonly no: the SSD extends memory; a clean shutdown keeps everything, a crash does not"
        }
        Durability::No => "appendfsync no: written at the log's pace; a crash may lose what the system had not flushed",
        Durability::EverySecond => "appendfsync everysec: a crash loses at most the last second",
        Durability::Always => "appendfsync always: what was acknowledged is on the device",
    };
    if options.max_memory > options.machine_bytes {
        let (wanted, there) = (memory::human(options.max_memory), memory::human(options.machine_bytes));
        tracing::warn!(
            "maxmemory is {wanted}, and the machine (or its cgroup) has {there}: the system will end the server when it is full"
        );
    }
    println!("  DRAM        {} (maxmemory)", memory::human(options.max_memory));
    println!("  SSD         {} (maxdisk)", memory::human(options.max_disk));
    println!("  directory   {}", startup.directory.display());
    println!("  durability  {durability}");
    println!("  disk I/O    {backend} ({reason})");
    println!("  port        {} on {}", settings.text("port"), settings.text("bind"));
}

fn start_workers(server: &Arc<Server>) -> Result<(Vec<Worker>, Arc<Vec<WorkerHandle>>), String> {
    let mut workers = Vec::new();
    let mut handles = Vec::new();
    for number in 0..server.about.workers {
        let (worker, handle) =
            Worker::start(number, server.clone()).map_err(|error| format!("cannot start worker {number}: {error}"))?;
        workers.push(worker);
        handles.push(handle);
    }
    Ok((workers, Arc::new(handles)))
}

/// Asks idle clients for their memory, and closes the silent ones (`timeout`).
async fn keep_house(server: Arc<Server>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now_ms = server.now_ms();
        let schedule = server.settings.text("backup-schedule");
        if !schedule.is_empty() && server.store().is_some() && server.backups.is_due(&schedule, now_ms) {
            tokio::spawn(scheduled_backup(server.clone()));
        }
        if server.snapshots.is_due(&server) {
            tokio::spawn(due_snapshot(server.clone()));
        }
        let timeout_ms = server.settings.timeout_s() * 1000;
        for client in server.clients.all() {
            let idle_ms = client.idle_ms(now_ms);
            let (input_bytes, output_bytes) = client.buffers();
            if timeout_ms > 0 && idle_ms > timeout_ms && !client.is_blocked() {
                client.kill();
            } else if idle_ms > IDLE_MS && input_bytes + output_bytes > IDLE_BUFFER_BYTES_MIN {
                client.ask_trim();
            }
        }
    }
}

/// A backup that nobody asked for but the schedule.
async fn scheduled_backup(server: Arc<Server>) {
    if let Err(error) = server.backups.begin(&server, None).await {
        tracing::error!(?error, "the scheduled backup was not begun");
    }
}

/// A snapshot by a save point, or one that was scheduled.
async fn due_snapshot(server: Arc<Server>) {
    // What went wrong stands in the log.
    let _ = server.snapshots.begin(&server).await;
}

/// Lets running commands end, then closes the store.
async fn finish(server: &Server) -> Result<(), String> {
    server.backups.end();
    server.snapshots.end();
    /// How often it looks whether all clients are gone.
    const GLANCE: Duration = Duration::from_millis(5);
    let mut left_ms = server.settings.number("shutdown-timeout") * 1000;
    server.clients.kill_all();
    while server.clients.count() > 0 && left_ms > 0 {
        tokio::time::sleep(GLANCE).await;
        left_ms = left_ms.saturating_sub(GLANCE.as_millis() as u64);
        // One that was just being accepted comes late.
        server.clients.kill_all();
    }
    if server.clients.count() > 0 {
        tracing::warn!(clients = server.clients.count(), "some clients' commands did not end within shutdown-timeout");
    }
    let Some(engine) = server.store() else { return Ok(()) };
    engine
        .close()
        .await
        .map_err(|error| format!("the store could not be closed cleanly: {error}; the next start recovers it"))?;
    Ok(())
}

/// Forty hexadecimal digits that differ from run to run.
fn run_id(now_ms: u64) -> String {
    use std::hash::{BuildHasher, RandomState};
    let mut digits = String::new();
    while digits.len() < 40 {
        digits.push_str(&format!("{:016x}", RandomState::new().hash_one((now_ms, std::process::id(), digits.len()))));
    }
    digits.truncate(40);
    digits
}
