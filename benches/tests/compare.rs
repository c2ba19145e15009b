//! `compare` as a script sees it: two small servers in processes of their own, real rounds by real clients, and faults that must
//! be seen. With redis-server and memcached where they are installed.
#![expect(clippy::disallowed_methods, reason = "writes a suite for the tool to read")]

#[expect(dead_code, reason = "the other tests of the tool plant more faults")]
mod mini_server;

use mini_server::{Fault, MiniServer};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LOAD: &str = "load --keys 2000 --value-size 64";
const READ: &str = "load --keys 2000 --value-size 64 --verify-only";

/// Not a test: what the targets of the tests run. Without its variable it ends at once.
#[test]
#[ignore = "the server process of the other tests"]
fn a_server_in_a_process() {
    let Ok(port) = std::env::var("MINI_PORT") else { return };
    let fault = match std::env::var("MINI_FAULT").as_deref() {
        Ok("wrong") => Fault::WrongByteInHit(77),
        Ok("refuses") => Fault::RefuseSets,
        Ok("dies") => Fault::CloseAtCommand(2_500),
        _ => Fault::None,
    };
    let server = MiniServer::start(fault, false);
    assert_eq!(server.port.to_string(), port);
    // The one that compares ends it; no test runs as long as this.
    for _ in 0..12_000 {
        std::thread::sleep(Duration::from_millis(10));
        if fault == Fault::CloseAtCommand(2_500) && server.commands().len() >= 2_500 {
            println!("a planted end");
            std::process::exit(9);
        }
    }
}

fn mini(name: &str, fault: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    format!(
        "{name}=env MINI_PORT={{port}} MINI_FAULT={fault} '{program}' --exact a_server_in_a_process --ignored --nocapture"
    )
}

fn compare(dir: &Path, targets: &[&str], more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thermocline-bench"));
    command.args(["compare", "--json", "--dir", dir.to_str().unwrap()]).args(more);
    targets.iter().for_each(|target| {
        command.args(["--target", target]);
    });
    command
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let record: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    record["results"]["compare"].clone()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn two_servers_are_compared_in_turned_rounds_and_nothing_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "none"));
    let more = ["--rounds", "2", "--load", LOAD, "--scene", READ, "--scene", LOAD];
    let output = compare(dir.path(), &[&ours, &peer], &more).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!((&report["complete"], &report["failure"]), (&true.into(), &Value::Null));
    let scenes = report["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 2);
    for scene in scenes {
        let rounds = scene["rounds"].as_array().unwrap();
        let order: Vec<u64> = rounds.iter().map(|round| round["target"].as_u64().unwrap()).collect();
        assert_eq!(order, [0, 1, 1, 0], "the order is turned");
        let seeds: Vec<u64> = rounds.iter().map(|round| round["seed"].as_u64().unwrap()).collect();
        assert!(seeds[0] == seeds[1] && seeds[2] == seeds[3], "the servers of a round get the same keys: {seeds:?}");
        assert_ne!(seeds[0], seeds[2], "another round gets others");
        assert!(rounds.iter().all(|round| round["operations_per_second"].as_f64().unwrap() > 0.0));
        assert!(rounds.iter().all(|round| round["rss_bytes"].as_u64().unwrap() > 100_000));
    }
    assert_eq!(scenes[0]["rounds"][0]["found_share"], 1.0, "every server has the loaded keys");
    assert_eq!(report["targets"][1]["version"], "redis 7.2.4");
    assert!(is_empty(dir.path()), "the folders are gone");
}

#[test]
fn a_fresh_comparison_loads_before_each_round() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "none"));
    let more = ["--rounds", "1", "--fresh", "--load", LOAD, "--scene", READ];
    let output = compare(dir.path(), &[&ours, &peer], &more).output().unwrap();
    let report = report(&output);
    let rounds = report["scenes"][0]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    assert!(rounds.iter().all(|round| round["found_share"] == 1.0), "{report}");
}

#[test]
fn a_wrong_value_anywhere_ends_with_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "wrong"));
    let output =
        compare(dir.path(), &[&ours, &peer], &["--rounds", "1", "--load", LOAD, "--scene", READ]).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{report}");
    let round = &report["scenes"][0]["rounds"][1];
    assert_eq!(round["wrong"], 1);
    assert!(round["remarks"][0].as_str().unwrap().contains("WRONG VALUES"), "{round}");
}

#[test]
fn a_wrong_value_while_warming_ends_with_code_3_too() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "wrong"));
    let more = ["--rounds", "1", "--load", LOAD, "--warm", READ, "--scene", LOAD];
    let output = compare(dir.path(), &[&ours, &peer], &more).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert_eq!(report["wrong"], 1);
    let remarks = report["scenes"][0]["rounds"][1]["remarks"].as_array().unwrap();
    assert!(remarks.iter().any(|remark| remark.as_str().unwrap().contains("WRONG VALUES before")), "{report}");
}

#[test]
fn refused_writes_of_the_load_are_said_with_every_round_and_do_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "refuses"));
    let output =
        compare(dir.path(), &[&ours, &peer], &["--rounds", "1", "--load", LOAD, "--scene", READ]).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["complete"], true);
    let round = &report["scenes"][0]["rounds"][1];
    assert_eq!((&round["errors"], &round["errors_before"]), (&0.into(), &2_000.into()), "{round}");
    assert_eq!(round["found_share"], 0.0);
}

#[test]
fn a_server_that_dies_in_a_round_ends_it_with_its_output_and_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, peer) = (mini("ours", "none"), mini("peer", "dies"));
    let output =
        compare(dir.path(), &[&ours, &peer], &["--rounds", "2", "--load", LOAD, "--scene", READ]).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["complete"], false);
    let failure = report["failure"].as_str().unwrap();
    assert!(failure.contains("peer has ended") && failure.contains("a planted end"), "{failure}");
    let rounds = report["scenes"][0]["rounds"].as_array().unwrap();
    assert!(rounds[0]["failure"].is_null() && rounds.len() == 2, "the round before it is kept: {report}");
    assert!(rounds[1]["failure"].as_str().unwrap().contains("peer has ended"), "{report}");
    assert!(is_empty(dir.path()));
}

#[test]
fn a_target_that_dies_on_start_is_shown_with_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let broken = "broken=sh -c 'echo cannot listen on {port}; exit 4'";
    let output = compare(dir.path(), &[&mini("ours", "none"), broken], &["--scene", LOAD]).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1));
    let failure = report["failure"].as_str().unwrap();
    assert!(failure.contains("broken has ended") && failure.contains("cannot listen on"), "{failure}");
    assert!(is_empty(dir.path()), "the server that was up is gone too");
}

#[test]
fn an_interrupt_leaves_the_whole_rounds_and_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let long = "load --keys 100000000 --value-size 64";
    let (ours, peer) = (mini("ours", "none"), mini("peer", "none"));
    let child = compare(dir.path(), &[&ours, &peer], &["--scene", LOAD, "--scene", long, "--rounds", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The long scene never ends by itself: whenever the signal comes, it is in the middle of something.
    std::thread::sleep(Duration::from_secs(3));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!((&report["complete"], &report["failure"]), (&false.into(), &Value::Null));
    let long = report["scenes"].as_array().unwrap().iter().find(|scene| scene["name"] == long);
    assert!(
        long.is_none_or(|scene| scene["rounds"].as_array().unwrap().is_empty()),
        "a cut round is left out: {report}"
    );
    assert!(is_empty(dir.path()), "servers and folders are gone");
}

#[test]
fn a_suite_comes_from_a_file_and_its_errors_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    std::fs::write(
        &file,
        format!("[[scene]]\nname = \"grow\"\nload = \"{LOAD}\"\nrun = \"{LOAD} --prefix b:\"\ngrows = true\n"),
    )
    .unwrap();
    let ours = mini("ours", "none");
    let more = ["--rounds", "1", "--suite", file.to_str().unwrap()];
    let output = compare(data.path(), &[&ours], &more).output().unwrap();
    let grown = report(&output);
    assert_eq!(grown["scenes"][0]["rounds"][0]["keys_sent"], 4_000, "{grown}");
    std::fs::write(&file, "[[scene]]\nname = \"a\"\nrun = \"load\"\n").unwrap();
    let output = compare(data.path(), &[&ours], &more).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("mine.toml") && words.contains("required"), "{words}");
    let unknown = compare(data.path(), &[&ours], &["--suite", "hott"]).output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("--list-suites"));
}

#[test]
fn the_suites_are_printed_without_a_target() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_thermocline-bench")).args(["compare", "--list-suites"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("== hot\n") && text.contains("[[scene]]"), "{text}");
}

#[test]
fn two_servers_of_one_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let one = mini("one", "none");
    let output = compare(dir.path(), &[&one, &one], &["--scene", LOAD]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("two targets are called one"));
}

#[test]
fn memcached_is_compared_with_redis_where_both_are_installed() {
    for program in ["redis-server", "memcached"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("{program} is not installed: skipped");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let redis = "redis=redis-server --port {port} --dir {dir} --save '' --appendonly no";
    let memcached = "memcached=memcached -u root -l 127.0.0.1 -p {port} -m {memory_mb} -t 1";
    let run = "run uniform --keys 2000 --value-size 64 --reads 50% -c 8 --requests 4000";
    let more = ["--rounds", "1", "--memory", "64mb", "--no-cgroup", "--load", LOAD, "--scene", run];
    let output = compare(dir.path(), &[redis, memcached], &more).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    let rounds = report["scenes"][0]["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|round| round["keys"] == 2_000 && round["found_share"] == 1.0), "{report}");
    assert!(report["targets"][1]["version"].as_str().unwrap().starts_with("memcached 1."), "{report}");
}

#[test]
fn redis_is_compared_with_itself_where_it_is_installed() {
    if Command::new("redis-server").arg("--version").output().is_err() {
        eprintln!("redis-server is not installed: skipped");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let redis = |name: &str| format!("{name}=redis-server --port {{port}} --dir {{dir}} --save '' --appendonly no");
    let more = ["--rounds", "2", "--load", LOAD, "--scene", READ];
    let output = compare(dir.path(), &[&redis("one"), &redis("two")], &more).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    let rounds = report["scenes"][0]["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|round| round["keys"] == 2_000 && round["keys_sent"] == 2_000), "{report}");
    assert!(report["targets"][0]["version"].as_str().unwrap().starts_with("redis "), "{report}");
}
