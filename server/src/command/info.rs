//! INFO: what operators and clients read about the server.
//!
//! Promises: section and field names are Redis's where Redis has them (clients decide by them), ours stand in section `tier`;
//! fields are only ever added. Costs no I/O.

use std::fmt::Write;

use thermocline::Engine;

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, Shape};
use super::table::every;
use crate::config::memory;
use crate::metrics::tier_fields;
use crate::server::Server;

/// The Redis whose behaviour this is; clients choose their own by it.
pub(super) const REDIS_VERSION: &str = "7.2.4";

type Section = fn(&mut String, &Server);

/// Name, heading, whether it is shown without being asked for.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, server),
    ("clients", "Clients", true, clients),
    ("memory", "Memory", true, memory_section),
    ("persistence", "Persistence", true, persistence),
    ("stats", "Stats", true, stats),
    ("replication", "Replication", true, replication),
    ("cpu", "CPU", true, cpu),
    ("modules", "Modules", true, nothing),
    ("commandstats", "Commandstats", false, command_stats),
    ("errorstats", "Errorstats", true, error_stats),
    ("cluster", "Cluster", true, cluster),
    ("keyspace", "Keyspace", true, keyspace),
    ("tier", "Tier", true, tier),
];

fn info(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let asked = |name: &str, by_default: bool| {
        (args.len() == 1 && by_default)
            || (1..args.len()).any(|at| {
                args.is(at, name)
                    || args.is(at, "all")
                    || args.is(at, "everything")
                    || (by_default && args.is(at, "default"))
            })
    };
    let mut text = String::new();
    for (name, heading, by_default, write) in SECTIONS {
        if asked(name, *by_default) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {heading}\r\n");
            write(&mut text, context.server);
        }
    }
    context.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// Appends `name:value` lines. A String takes everything, so writing cannot fail.
macro_rules! lines {
    ($text:expr, $($name:literal : $value:expr),+ $(,)?) => {
        $( let _ = write!($text, concat!($name, ":{}\r\n"), $value); )+
    };
}

fn server(text: &mut String, server: &Server) {
    let now_ms = server.now_ms();
    let uptime_s = now_ms.saturating_sub(server.about.started_ms) / 1000;
    let kernel = rustix::system::uname();
    let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    let file = server
        .about
        .config_file
        .as_deref()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
    lines!(text,
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": 0,
        "redis_mode": "standalone",
        "thermocline_version": env!("CARGO_PKG_VERSION"),
        "os": format_args!("{} {} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy(), kernel.machine().to_string_lossy()),
        "arch_bits": usize::BITS,
        "multiplexing_api": "epoll",
        "process_id": std::process::id(),
        "process_supervised": "no",
        "run_id": server.about.run_id,
        "tcp_port": server.about.port,
        "server_time_usec": now_ms * 1000,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s / 86_400,
        "hz": server.settings.text("hz"),
        "configured_hz": server.settings.text("hz"),
        "executable": executable,
        "config_file": file.map(|path| path.display().to_string()).unwrap_or_default(),
        "io_threads_active": 0,
        "workers": server.about.workers,
    );
}

fn clients(text: &mut String, server: &Server) {
    let all = server.clients.all();
    let buffers: Vec<(u64, u64)> = all.iter().map(|client| client.buffers()).collect();
    lines!(text,
        "connected_clients": buffers.len(),
        "cluster_connections": 0,
        "maxclients": server.settings.clients_max(),
        "client_recent_max_input_buffer": buffers.iter().map(|(input, _)| *input).max().unwrap_or(0),
        "client_recent_max_output_buffer": buffers.iter().map(|(_, output)| *output).max().unwrap_or(0),
        "blocked_clients": all.iter().filter(|client| client.is_blocked()).count(),
        "tracking_clients": 0,
        "clients_in_timeout_table": 0,
        "total_blocking_keys": server.store().map_or(0, Engine::keys_waited_for),
        "total_blocking_keys_on_nokey": 0,
    );
}

fn memory_section(text: &mut String, server: &Server) {
    let resident = memory::resident_bytes();
    // While loading nobody counts yet.
    let used = server.store().map_or(resident, |engine| engine.stats().memory_bytes);
    let max = server.settings.number("maxmemory");
    let buffers: u64 =
        server.clients.all().iter().map(|client| client.buffers()).map(|(input, output)| input + output).sum();
    lines!(text,
        "used_memory": used,
        "used_memory_human": memory::human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": memory::human(resident),
        "used_memory_lua": 0,
        "used_memory_scripts": 0,
        "total_system_memory": server.about.machine_bytes,
        "total_system_memory_human": memory::human(server.about.machine_bytes),
        "maxmemory": max,
        "maxmemory_human": memory::human(max),
        "maxmemory_policy": server.settings.text("maxmemory-policy"),
        "mem_fragmentation_ratio": format_args!("{:.2}", resident as f64 / used.max(1) as f64),
        "mem_clients_normal": buffers,
        "mem_clients_slaves": 0,
        "mem_aof_buffer": 0,
        "mem_replication_backlog": 0,
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": 0,
    );
}

fn persistence(text: &mut String, server: &Server) {
    let store = server.store();
    lines!(text,
        "loading": u8::from(store.is_none()),
        "async_loading": 0,
    );
    for (name, value) in server.snapshots.fields(server) {
        let _ = write!(text, "{name}:{value}\r\n");
    }
    lines!(text,
        "aof_enabled": u8::from(match store {
            Some(engine) => engine.durability().logs(),
            None => server.settings.is_yes("appendonly"),
        }),
        "aof_rewrite_in_progress": u8::from(store.is_some_and(Engine::is_entering_log)),
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_last_write_status": if store.is_some_and(|engine| engine.refuses_writes(false).is_some()) { "err" } else { "ok" },
    );
    if store.is_none() {
        return loading(text, server);
    }
    for (name, value) in server.backups.fields() {
        let _ = write!(text, "{name}:{value}\r\n");
    }
    for (name, value) in tier_fields(server).iter().filter(|(name, _)| PERSISTENCE.contains(name)) {
        let _ = write!(text, "{name}:{value}\r\n");
    }
}

/// Fields of section `tier` that tell of persistence, and are shown there, too: how long a group takes until it is durable, what
/// the log writes beside the records, what the last start found, and how far the hot set is back.
const PERSISTENCE: &[&str] = &[
    "record_bytes_appended",
    "device_bytes_written",
    "padding_bytes",
    "write_amplification",
    "maps_written",
    "checkpoints_written",
    "warm_up_entries",
    "warm_up_done",
    "warm_up_promoted",
    "flushes",
    "commits",
    "commit_us_p50",
    "commit_us_p99",
    "log_heals",
    "recovery_truncated_bytes",
    "recovery_records_replayed",
    "recovery_seconds",
    "recovery_survey_us",
    "recovery_checkpoint_us",
    "recovery_footers_us",
    "recovery_replay_us",
    "recovery_keys",
    "recovery_quarantined_segments",
    "recovery_checkpoint_used",
];

/// How far this start has come.
fn loading(text: &mut String, server: &Server) {
    let (loaded, total) = server.progress.bytes();
    let elapsed_ms = server.now_ms().saturating_sub(server.about.started_ms);
    lines!(text,
        "loading_start_time": server.about.started_ms / 1000,
        "loading_total_bytes": total,
        "loading_loaded_bytes": loaded,
        "loading_loaded_perc": format_args!("{:.2}", loaded as f64 * 100.0 / total.max(1) as f64),
        "loading_eta_seconds": elapsed_ms / 1000 * (total - loaded) / (loaded + 1),
        "loading_step": server.progress.step_name(),
        "loading_records": server.progress.records(),
    );
}

fn stats(text: &mut String, server: &Server) {
    let (accepted, refused) = server.clients.totals();
    let (input, output) = server.counters.network_bytes();
    let commands: u64 = every().map(|id| server.counters.sums(id).calls).sum();
    let errors: u64 = server.counters.error_counts().iter().map(|(_, count)| count).sum();
    let stats = server.store().map(Engine::stats).unwrap_or_default();
    lines!(text,
        "total_connections_received": accepted,
        "total_commands_processed": commands,
        "instantaneous_ops_per_sec": 0,
        "total_net_input_bytes": input,
        "total_net_output_bytes": output,
        "rejected_connections": refused,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": stats.expired_keys,
        "evicted_keys": stats.evictions,
        "evicted_clients": 0,
        "keyspace_hits": stats.hot_hits + stats.cold_hits,
        "keyspace_misses": stats.misses,
        "pubsub_channels": 0,
        "pubsub_patterns": 0,
        "latest_fork_usec": 0,
        "total_forks": 0,
        "unexpected_error_replies": 0,
        "total_error_replies": errors,
    );
}

fn replication(text: &mut String, server: &Server) {
    lines!(text,
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": server.about.run_id,
        "master_replid2": "0000000000000000000000000000000000000000",
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": server.settings.text("repl-backlog-size"),
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    );
}

fn cpu(text: &mut String, _server: &Server) {
    let (user, system) = memory::processor_seconds();
    lines!(text,
        "used_cpu_sys": format_args!("{system:.6}"),
        "used_cpu_user": format_args!("{user:.6}"),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
    );
}

fn nothing(_text: &mut String, _server: &Server) {}

fn command_stats(text: &mut String, server: &Server) {
    for id in every() {
        let sums = server.counters.sums(id);
        if sums.calls + sums.rejected + sums.failed > 0 {
            let each = sums.microseconds as f64 / sums.calls.max(1) as f64;
            let _ = write!(
                text,
                "cmdstat_{}:calls={},usec={},usec_per_call={each:.2},rejected_calls={},failed_calls={}\r\n",
                id.command().full_name,
                sums.calls,
                sums.microseconds,
                sums.rejected,
                sums.failed
            );
        }
    }
}

fn error_stats(text: &mut String, server: &Server) {
    for (code, count) in server.counters.error_counts() {
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
}

fn cluster(text: &mut String, _server: &Server) {
    lines!(text, "cluster_enabled": 0);
}

fn keyspace(text: &mut String, server: &Server) {
    let Some(engine) = server.store() else { return };
    for database in 0..engine.databases() {
        let space = engine.space(database);
        let keys = engine.length(space);
        if keys > 0 {
            let _ = write!(text, "db{database}:keys={keys},expires={},avg_ttl=0\r\n", engine.expiring(space));
        }
    }
}

fn tier(text: &mut String, server: &Server) {
    for (name, value) in tier_fields(server) {
        let _ = write!(text, "{name}:{value}\r\n");
    }
}

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "info",
    arity: -1,
    group: Group::Server,
    flags: Flags::of(&[Flag::Loading, Flag::Stale]),
    categories: &[Category::Dangerous],
    summary: "Returns information and statistics about the server.",
    reply: Shape::Bulk,
    body: Body::Plain(info),
    ..Row::EMPTY
}];
