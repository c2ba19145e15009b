//! The tool as a script sees it: against a small server with planted faults, each ends with its own exit code, and the JSON
//! report says what happened.
#![expect(clippy::disallowed_methods, reason = "writes a trace for the tool to read, waits for real servers")]

mod mini_server;
#[path = "exit_codes/runs.rs"]
mod runs;

use mini_server::{Fault, MiniServer};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Keys 0, 1, 0, 2, 0, 1, a SET of 0, then 0 again.
const TRACE: &str = "time_s,key,op,key_size,value_size,ttl_s\n\
    ,0,get,,,\n,1,get,,,\n,0,get,,,\n,2,get,,,\n,0,get,,,\n,1,get,,,\n,0,set,,,\n,0,get,,,\n";

fn bench(server: &MiniServer, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
        .args(arguments)
        .args(["--port", &server.port.to_string(), "--json"])
        .output()
        .unwrap()
}

fn replay(server: &MiniServer, more: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let trace: PathBuf = folder.path().join("small.csv");
    std::fs::write(&trace, TRACE).unwrap();
    let arguments = [&["replay", trace.to_str().unwrap(), "--value-size", "100"], more].concat();
    let output = bench(server, &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let record: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), record["results"]["passes"][0].clone())
}

fn load(server: &MiniServer, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = bench(server, &[&["load", "--keys", "1000"], more].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    (output.status.code(), record["results"]["passes"].as_array().unwrap().clone())
}

#[test]
fn a_replay_on_one_connection_is_exactly_the_trace() {
    let server = MiniServer::start(Fault::None, true);
    let (code, report) = replay(&server, &[]);
    assert_eq!(code, Some(0));
    let commands: Vec<String> = server
        .commands()
        .iter()
        .map(|(name, key)| format!("{name} {}", key.last().copied().unwrap() as char))
        .collect();
    let expected = ["GET 0", "SET 0", "GET 1", "SET 1", "GET 0", "GET 2", "SET 2", "GET 0", "GET 1", "SET 0", "GET 0"];
    assert_eq!(commands, expected);
    assert_eq!(report["complete"], true);
    assert_eq!((&report["wrong"], &report["missed"], &report["found"]), (&0.into(), &3.into(), &4.into()));
    assert_eq!(report["lost"], 0);
    let latency = &report["latency"];
    assert_eq!(latency["miss"]["count"], 3);
    assert_eq!(latency["cold"]["count"], 2);
    assert_eq!(latency["hot"]["count"], 2);
    assert_eq!(report["shares"]["miss"], 3.0 / 7.0);
}

#[test]
fn many_connections_and_a_deep_pipeline_keep_each_keys_order() {
    let server = MiniServer::start(Fault::None, true);
    let (code, report) = replay(&server, &["--connections", "3", "--pipeline", "16"]);
    assert_eq!(code, Some(0));
    assert_eq!((&report["wrong"], &report["missed"], &report["found"]), (&0.into(), &3.into(), &4.into()));
    let of_key_0: Vec<String> =
        server.commands().into_iter().filter(|(_, key)| key.ends_with(b"0")).map(|(name, _)| name).collect();
    assert_eq!(of_key_0, ["GET", "SET", "GET", "GET", "SET", "GET"]);
}

#[test]
fn a_planted_wrong_byte_ends_with_code_3() {
    for tells_tiers in [false, true] {
        let server = MiniServer::start(Fault::WrongByteInHit(2), tells_tiers);
        let (code, report) = replay(&server, &[]);
        assert_eq!(code, Some(3));
        assert_eq!(report["wrong"], 1);
        assert_eq!(report["wrong_shown"][0], "key 0: wrong byte at 50");
        assert_eq!(report["shares"].is_null(), !tells_tiers, "no split from a server that tells no tiers");
    }
    let server = MiniServer::start(Fault::WrongByteInHit(77), true);
    let (code, reports) = load(&server, &["--verify"]);
    assert_eq!(code, Some(3));
    assert_eq!((&reports[0]["wrong"], &reports[1]["wrong"]), (&0.into(), &1.into()));
}

#[test]
fn a_load_reads_every_key_back() {
    let server = MiniServer::start(Fault::None, false);
    let (code, reports) = load(&server, &["--verify", "--order", "random", "--value-size", "1-300", "--pipeline", "7"]);
    assert_eq!(code, Some(0));
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0]["latency"]["set"]["count"], 1000);
    assert_eq!(reports[1]["found"], 1000);
    let keys: std::collections::HashSet<Vec<u8>> = server.commands().into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 1000);
}

#[test]
fn a_lost_key_ends_a_verification_with_code_1() {
    let server = MiniServer::start(Fault::LoseHit(500), false);
    let (code, reports) = load(&server, &["--verify"]);
    assert_eq!(code, Some(1));
    assert_eq!((&reports[1]["lost"], &reports[1]["wrong"]), (&1.into(), &0.into()));
}

#[test]
fn a_server_that_goes_away_leaves_a_partial_report_and_code_1() {
    let server = MiniServer::start(Fault::CloseAtCommand(300), false);
    let (code, reports) = load(&server, &["--connections", "1"]);
    assert_eq!(code, Some(1));
    assert_eq!(reports[0]["complete"], false);
    assert!(reports[0]["failure"].as_str().unwrap().contains("connection"), "{}", reports[0]["failure"]);
}

#[test]
fn refused_writes_are_counted_by_their_code() {
    let server = MiniServer::start(Fault::RefuseSets, false);
    let (code, reports) = load(&server, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(reports[0]["errors"]["OOM"], 1000);
}

#[test]
fn no_server_is_one_clear_sentence() {
    let port = thermocline_port::Port::reserve().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
        .args(["load", "--keys", "1", "--port", &port.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("is the server running?"), "{words}");
}

#[test]
fn an_interrupt_ends_with_a_valid_partial_report() {
    let server = MiniServer::start(Fault::None, false);
    let child = Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
        .args(["load", "--keys", "1000000000", "--value-size", "24", "--verify", "--json"])
        .args(["--port", &server.port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while server.commands().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &record["results"]["passes"][0];
    assert_eq!(report["complete"], false);
    assert!(report["failure"].is_null());
    assert!(report["operations"].as_u64().unwrap() > 0);
}

#[test]
fn a_trace_without_sizes_needs_one_before_anything_is_sent() {
    let server = MiniServer::start(Fault::None, false);
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("small.csv");
    std::fs::write(&trace, TRACE).unwrap();
    let output = bench(&server, &["replay", trace.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--value-size"), "{words}");
    assert!(server.commands().is_empty());
}

#[test]
fn the_demo_without_a_terminal_loads_mixes_and_ends_by_itself() {
    use thermocline_bench::cli::Cli;
    let server = MiniServer::start(Fault::None, true);
    let words = ["bench", "demo", "--data", "1mb", "--seconds", "1", "--move-every", "0"];
    let thermocline_bench::cli::Command::Demo(arguments) = <Cli as clap::Parser>::parse_from(words).command else {
        panic!("the demo was asked for");
    };
    let target = thermocline_bench::control::Target::local(server.port, thermocline_bench::wire::Speech::Resp);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let reports = thermocline_bench::demo::play(&arguments, &target, false, &stop).unwrap();
    assert_eq!(reports.iter().map(|report| report.name.as_str()).collect::<Vec<_>>(), ["load", "mix"]);
    assert_eq!(reports[0].operations, 1_024);
    assert!(reports.iter().all(|report| report.complete && report.wrong == 0 && report.lost == 0));
    let shares = reports[1].shares.unwrap();
    assert!(shares.hot > 0.0 && shares.cold > 0.0 && shares.miss == 0.0, "{shares:?}");
}
