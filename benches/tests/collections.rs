//! `collection` and the suites made of it, against redis-server where it is installed: every command is checked, planted wrong
//! contents are seen, and a comparison counts elements and brings back what a round takes.
#![expect(clippy::disallowed_methods, reason = "writes a suite for the tool to read")]

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use thermocline_port::Port;

const HASH: &[&str] = &["--prefix", "hash:", "--keys", "5", "--elements", "30", "-c", "3", "-P", "4"];
const SET: &[&str] = &["--prefix", "set:", "--keys", "5", "--elements", "30", "-c", "3", "-P", "4"];
const SORTED: &[&str] = &["--prefix", "sorted:", "--keys", "5", "--elements", "30", "-c", "3", "-P", "4"];
const LIST: &[&str] = &["--prefix", "list:", "--keys", "5", "--elements", "130", "-c", "3", "-P", "4"];

/// A redis-server of the test's own.
struct Redis {
    child: Child,
    port: Port,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            eprintln!("redis-server is not installed: skipped");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = Port::reserve().unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--dir",
                dir.path().to_str().unwrap(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { child, port, _dir: dir };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", redis.port.number())).is_ok() {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server did not come up");
    }

    /// Sends a line and reads until its answer has come.
    fn tell(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.number())).unwrap();
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Runs `collection`; its report and exit code.
    fn collection(&self, action: &str, options: &[&str], more: &[&str]) -> (Value, Option<i32>) {
        let output = Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
            .args(["collection", action, "--json", "--port", &self.port.to_string()])
            .args(options)
            .args(more)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let record: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{action}: {error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
        (record["results"]["passes"][0].clone(), output.status.code())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_finds_what_was_filled_in() {
    let Some(redis) = Redis::start() else { return };
    let families: [(&str, &[&str], &[&str]); 4] = [
        ("fill-hash", HASH, &["hget", "hset", "hget"]),
        ("fill-set", SET, &["sismember", "sadd", "sismember"]),
        ("fill-sorted-set", SORTED, &["zrank", "zrange", "zrange-by-score", "zadd"]),
        ("fill-list", LIST, &["lindex", "lrange", "lpop", "rpop", "lpush", "lpop"]),
    ];
    for (fill, options, commands) in families {
        let (filled, code) = redis.collection(fill, options, &[]);
        let elements = if fill == "fill-list" { 5 * 130 } else { 5 * 30 };
        assert_eq!((code, &filled["elements_added"]), (Some(0), &elements.into()), "{filled}");
        for command in commands {
            let (report, code) = redis.collection(command, options, &["--requests", "200"]);
            assert_eq!((code, &report["operations"]), (Some(0), &200.into()), "{command}: {report}");
            assert_eq!((&report["lost"], &report["missed"]), (&0.into(), &0.into()), "{command}: {report}");
        }
        let (again, _) = redis.collection(fill, options, &[]);
        assert_eq!(again["elements_added"], elements, "{fill} begins with nothing");
    }
    let (scanned, code) = redis.collection("hscan", HASH, &[]);
    assert_eq!((code, &scanned["lost"]), (Some(0), &0.into()), "{scanned}");
    assert!(scanned["found"].as_u64().unwrap() >= 150, "{scanned}");
    let (grown, _) = redis.collection("fill-set", SET, &["--from", "30"]);
    assert_eq!(grown["elements_added"], 150, "what is there stays, the next ones are new");
}

#[test]
fn a_wrong_value_a_wrong_rank_and_a_wrong_place_end_with_code_3() {
    let Some(redis) = Redis::start() else { return };
    let all = &["--requests", "2000"];
    redis.collection("fill-hash", HASH, &[]);
    redis.tell("HSET hash:00000000003 m:00000000000007 another");
    for action in ["hget", "hscan"] {
        let (report, code) = redis.collection(action, HASH, all);
        assert_eq!(code, Some(3), "{action}: {report}");
    }
    redis.collection("fill-sorted-set", SORTED, &[]);
    redis.tell("ZADD sorted:000000002 999 m:00000000000000");
    for action in ["zrank", "zrange", "zrange-by-score"] {
        let (report, code) = redis.collection(action, SORTED, all);
        assert_eq!(code, Some(3), "{action}: {report}");
    }
    redis.collection("fill-list", LIST, &[]);
    redis.tell("LPUSH list:00000000001 foreign");
    for action in ["lindex", "lrange", "lpop"] {
        let (report, code) = redis.collection(action, LIST, &["--requests", "600"]);
        assert_eq!(code, Some(3), "{action}: {report}");
    }
}

#[test]
fn an_element_that_is_gone_is_a_loss() {
    let Some(redis) = Redis::start() else { return };
    redis.collection("fill-hash", HASH, &[]);
    redis.tell("HDEL hash:00000000003 m:00000000000007");
    let (scanned, code) = redis.collection("hscan", HASH, &[]);
    assert_eq!((code, &scanned["lost"]), (Some(1), &1.into()), "{scanned}");
    redis.collection("fill-set", SET, &[]);
    redis.tell("SREM set:000000000003 m:00000000000007");
    let (asked, code) = redis.collection("sismember", SET, &["--requests", "3000"]);
    assert!(code == Some(1) && asked["lost"].as_u64().unwrap() > 0, "{asked}");
}

fn compare(more: &[&str]) -> Output {
    let redis = "redis=redis-server --port {port} --dir {dir} --save '' --appendonly no";
    Command::new(env!("CARGO_BIN_EXE_thermocline-bench"))
        .args(["compare", "--json", "--target", redis])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn a_comparison_counts_elements_and_brings_back_what_a_round_takes() {
    if Command::new("redis-server").arg("--version").output().is_err() {
        eprintln!("redis-server is not installed: skipped");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let suite = dir.path().join("tiny.toml");
    let fill = "collection fill-list --elements {elements} -c 2";
    let pops = "collection lpop --elements {elements} --requests {large_turns} -P 8";
    let text = format!("[[scene]]\nname = \"LPOP\"\nload = \"{fill}\"\nbefore = \"{fill}\"\nrun = \"{pops}\"\n");
    std::fs::write(&suite, text).unwrap();
    let record = |output: &Output| -> Value {
        let text = String::from_utf8_lossy(&output.stdout);
        let record: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
        record["results"]["compare"].clone()
    };
    let popped = compare(&["--suite", suite.to_str().unwrap(), "--elements", "500", "--rounds", "2"]);
    let report = record(&popped);
    assert_eq!(popped.status.code(), Some(0), "{report}");
    let rounds = report["scenes"][0]["rounds"].as_array().unwrap();
    assert!(rounds.len() == 2 && rounds.iter().all(|round| round["found_share"] == 1.0), "{report}");

    let grown = compare(&["--suite", "dram-per-element", "--elements", "4000", "--rounds", "1"]);
    let report = record(&grown);
    assert_eq!(grown.status.code(), Some(0), "{report}");
    let scenes = report["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 4);
    for scene in scenes {
        let round = &scene["rounds"][0];
        assert_eq!((&round["elements"], &round["keys_sent"]), (&6_000.into(), &Value::Null), "{scene}");
        assert!(round["rss_growth_per_element"].is_f64() && round["rss_growth_per_key"].is_null(), "{scene}");
    }
}
