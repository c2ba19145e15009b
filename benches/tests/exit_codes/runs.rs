//! `run` against a small server with planted faults, and against real servers where they are installed: what is wrong is
//! seen, what stalls is felt, and what is right is not accused.

use crate::mini_server::{Fault, MiniServer, Speech};
use serde_json::Value;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use thermocline_port::Port;

const RESP: Speech = Speech::Resp { tiers: true };

/// The exit code and the passes.
fn run_on(port: u16, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
        .arg("run")
        .args(arguments)
        .args(["--port", &port.to_string(), "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let record: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), record["results"]["passes"].as_array().unwrap().clone())
}

fn run(server: &MiniServer, arguments: &str) -> (Option<i32>, Vec<Value>) {
    run_on(server.port, &arguments.split(' ').collect::<Vec<&str>>())
}

#[test]
fn a_stall_is_felt_in_an_open_loop_and_hidden_in_a_closed_one() {
    let stall = Fault::StallAtCommand(2_000, Duration::from_secs(2));
    let arguments = "uniform --keys 100 --value-size 50 -c 4";

    let server = MiniServer::speaking(RESP, stall);
    let (code, passes) = run(&server, &format!("{arguments} --rate 1000 --requests 6000"));
    let open = &passes[0];
    assert_eq!((code, &open["loop"]["kind"]), (Some(0), &"open".into()));
    let p999_us = open["latency"]["get"]["p999_us"].as_f64().unwrap();
    assert!(p999_us >= 1e6, "{open}");
    assert_eq!(open["operations"], 6_000, "no due request is dropped");
    assert!(open["loop"]["waiting_max"].as_u64().unwrap() >= 1_000, "{}", open["loop"]);

    let server = MiniServer::speaking(RESP, stall);
    let (code, passes) = run(&server, &format!("{arguments} --requests 20000"));
    let closed = &passes[0];
    assert_eq!((code, &closed["loop"]["kind"]), (Some(0), &"closed".into()));
    let latency = &closed["latency"]["get"];
    assert!(latency["max_us"].as_f64().unwrap() >= 1.9e6, "the same stall was there: {latency}");
    assert!(latency["p999_us"].as_f64().unwrap() < 1e5, "and its p99.9 does not show it: {latency}");
    let seconds = closed["timeline"]["points"].as_array().unwrap();
    assert!(seconds.iter().any(|point| point["answers"] == 0), "the timeline has a second without answers");
}

#[test]
fn a_forgotten_write_is_a_wrong_value() {
    // The load takes the first 10 writes; all keys are written and read again and again.
    let server = MiniServer::speaking(RESP, Fault::ForgetSet(500));
    let (code, passes) = run(&server, "uniform --load --keys 10 --value-size 50 --reads 50% -c 1 --requests 4000");
    assert_eq!(code, Some(3));
    assert!(passes[1]["wrong"].as_u64().unwrap() >= 1, "{}", passes[1]);
    assert!(passes[1]["wrong_shown"][0].as_str().unwrap().contains("which is not within"), "{}", passes[1]);
}

#[test]
fn a_planted_wrong_byte_ends_with_code_3() {
    for (speech, protocol) in [(RESP, "resp"), (Speech::Memcached, "memcached")] {
        let server = MiniServer::speaking(speech, Fault::WrongByteInHit(100));
        let arguments = format!("uniform --protocol {protocol} --load --keys 50 --value-size 60 --requests 1000 -c 3");
        let (code, passes) = run(&server, &arguments);
        assert_eq!((code, &passes[1]["wrong"]), (Some(3), &1.into()), "{protocol}");
        assert_eq!(passes[1]["timeline"]["points"][0]["errors"], 1);
    }
}

#[test]
fn every_kind_of_step_is_checked_and_a_right_server_is_not_accused() {
    for (speech, protocol) in [(RESP, "resp"), (Speech::Memcached, "memcached")] {
        for workload in ["ycsb-a", "ycsb-d", "ycsb-e", "ycsb-f", "twitter", "hotspot", "shifting"] {
            let server = MiniServer::speaking(speech, Fault::None);
            let arguments = format!(
                "{workload} --protocol {protocol} --load --keys 100 --value-size 30-90 --requests 2000 -c 5 -P 8"
            );
            let (code, passes) = run(&server, &arguments);
            let report = &passes[1];
            assert_eq!((code, &report["wrong"], &report["lost"]), (Some(0), &0.into(), &0.into()), "{report}");
            assert!(report["operations"].as_u64().unwrap() >= 2_000, "{report}");
            assert_eq!(report["workload"]["name"], workload);
            assert_eq!(report["preexisting"], 0, "everything was loaded by this run");
        }
    }
}

#[test]
fn a_server_killed_in_the_middle_leaves_a_partial_report_and_code_1() {
    let server = MiniServer::speaking(RESP, Fault::DieAtCommand(3_000));
    let (code, passes) = run(&server, "uniform --keys 100 --value-size 50 -c 4");
    assert_eq!((code, &passes[0]["complete"]), (Some(1), &false.into()));
    assert!(passes[0]["failure"].as_str().unwrap().contains("connection"), "{}", passes[0]["failure"]);
    assert!(passes[0]["operations"].as_u64().unwrap() > 2_000);
}

#[test]
fn a_server_that_stalls_for_too_long_has_failed() {
    let server = MiniServer::speaking(RESP, Fault::StallAtCommand(500, Duration::from_secs(5)));
    let (code, passes) = run(&server, "uniform --keys 100 --value-size 50 -c 4 --timeout 1s");
    assert_eq!((code, &passes[0]["complete"]), (Some(1), &false.into()));
    assert!(passes[0]["failure"].as_str().unwrap().contains("the server stalls"), "{}", passes[0]["failure"]);
}

#[test]
fn a_rate_that_cannot_be_kept_is_said() {
    let server = MiniServer::speaking(RESP, Fault::StallAtCommand(100, Duration::from_secs(3)));
    let (code, passes) = run(&server, "uniform --keys 100 --value-size 50 -c 2 --rate 2000 --duration 2s");
    let pacing = &passes[0]["loop"];
    assert_eq!(code, Some(0));
    assert!(pacing["unsent_at_end"].as_u64().unwrap() > 1_000, "{pacing}");
}

#[test]
fn a_warm_up_is_not_measured() {
    let server = MiniServer::speaking(RESP, Fault::None);
    let (code, passes) = run(&server, "uniform --keys 100 --value-size 50 -c 2 --rate 500 --warmup 1s --duration 1s");
    let report = &passes[0];
    assert_eq!(code, Some(0));
    let operations = report["operations"].as_u64().unwrap();
    assert!((1..900).contains(&operations), "about half of the 1,000 requests: {report}");
    assert!(report["warmup_s"].as_f64().unwrap() >= 1.0, "{report}");
}

#[test]
fn errors_are_counted_by_their_code() {
    for (speech, protocol, code) in [(RESP, "resp", "OOM"), (Speech::Memcached, "memcached", "SERVER_ERROR")] {
        let server = MiniServer::speaking(speech, Fault::RefuseSets);
        let arguments = format!("redis-benchmark-set --protocol {protocol} --keys 50 --requests 300 -c 2");
        let (exit, passes) = run(&server, &arguments);
        assert_eq!((exit, &passes[0]["errors"][code]), (Some(1), &300.into()), "{}", passes[0]);
    }
}

#[test]
fn an_unknown_workload_is_answered_with_its_neighbours() {
    let output = Command::new(env!("CARGO_BIN_EXE_thermocline-bench")).args(["run", "ycbs-a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ycsb-a"));
    let list = Command::new(env!("CARGO_BIN_EXE_thermocline-bench")).args(["run", "--list"]).output().unwrap();
    assert!(list.status.success() && String::from_utf8_lossy(&list.stdout).contains("ycsb-e"));
}

/// A real server that dies with its guard.
struct RealServer {
    child: Child,
    port: Port,
    _folder: tempfile::TempDir,
}

impl RealServer {
    /// `None`, with a line that says so, when it is not installed.
    fn start(program: &str, arguments: &[&str]) -> Option<Self> {
        let port = Port::reserve().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.current_dir(folder.path()).args(arguments).arg(port.to_string());
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            println!("skipped: no {program} here");
            return None;
        };
        let server = Self { child, port, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port.number())).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{program} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `--protocol NAME` and all kinds of steps; the server's process is found and its values are right.
fn round_trip(server: &RealServer, protocol: &str, version: &str) {
    for workload in ["ycsb-a", "ycsb-e", "ycsb-f", "twitter"] {
        let arguments =
            [workload, "--protocol", protocol, "--load", "--keys", "2000", "--requests", "20000", "-P", "4"];
        let (code, passes) = run_on(server.port.number(), &arguments);
        assert_eq!(code, Some(0), "{passes:?}");
        let report = &passes[1];
        assert_eq!((&report["wrong"], &report["lost"]), (&0.into(), &0.into()), "{report}");
        assert!(report["observed"]["version"].as_str().unwrap().starts_with(version), "{report}");
        assert!(report["observed"]["rss_max_bytes"].as_u64().unwrap() > 1_000_000, "{report}");
        assert!(report["server_cpu_us_per_operation"].as_f64().is_some(), "{report}");
    }
}

#[test]
fn a_real_redis_server_passes() {
    if let Some(server) = RealServer::start("redis-server", &["--save", "", "--appendonly", "no", "--port"]) {
        round_trip(&server, "resp", "redis_version:");
    }
}

#[test]
fn a_real_memcached_passes() {
    if let Some(server) = RealServer::start("memcached", &["-u", "nobody", "-l", "127.0.0.1", "-m", "64", "-p"]) {
        round_trip(&server, "memcached", "memcached_version:");
    }
}

#[test]
fn a_real_server_killed_in_the_middle_is_a_failure_in_words() {
    let Some(mut server) = RealServer::start("redis-server", &["--save", "", "--appendonly", "no", "--port"]) else {
        return;
    };
    let port = server.port.number();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        server.child.kill().unwrap();
    });
    let (code, passes) = run_on(port, &["uniform", "--keys", "1000", "--duration", "20s"]);
    killer.join().unwrap();
    assert_eq!((code, &passes[0]["complete"]), (Some(1), &false.into()));
    assert!(passes[0]["failure"].as_str().unwrap().contains("connection"), "{}", passes[0]["failure"]);
    assert!(passes[0]["operations"].as_u64().unwrap() > 0);
}
