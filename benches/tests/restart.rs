//! `restart` as a script sees it, at a size that takes seconds: the real server beside this program is started, killed and started
//! again in every scene, nothing is lost, and nothing stays.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn every_scene_starts_again_with_every_key_and_leaves_no_folder() {
    let bench = Path::new(env!("CARGO_BIN_EXE_thermocline-bench"));
    if !bench.with_file_name("thermocline-server").is_file() {
        eprintln!("SKIPPED: no thermocline-server beside thermocline-bench (cargo test --workspace builds it)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let size = "--keys 20000 --log 4mb --small 4mb --memory 64mb --rounds 2 --hot-for 1s --hot-rate 2000";
    let output = Command::new(bench)
        .args(["restart", "--json", "--dir", dir.path().to_str().unwrap()])
        .args(size.split(' '))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let record: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    let report = &record["results"]["restart"];
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!((&report["complete"], &report["lost"], &report["wrong"]), (&true.into(), &0.into(), &0.into()));
    let scenes = report["scenes"].as_array().unwrap();
    let names: Vec<&str> = scenes.iter().map(|scene| scene["name"].as_str().unwrap()).collect();
    assert_eq!(scenes.len(), 5, "{names:?}");
    for scene in scenes {
        let starts = scene["starts"].as_array().unwrap();
        assert_eq!(starts.len(), 2, "{scene}");
        assert!(starts.iter().all(|start| start["served_s"].as_f64() >= start["recovery_s"].as_f64()), "{scene}");
        assert!(scene["target_s"].is_null(), "the targets are for other sizes: {scene}");
        let used = !scene["name"].as_str().unwrap().contains("no checkpoint");
        assert!(starts.iter().all(|start| start["checkpoint_used"] == used), "{scene}");
        let replayed = |at: usize| starts[at]["replayed"].as_u64().unwrap();
        assert_eq!(replayed(0), replayed(1), "every start finds the same log: {scene}");
    }
    assert_eq!(report["hot"].as_array().unwrap().len(), 2);
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "the folders are gone");
}
