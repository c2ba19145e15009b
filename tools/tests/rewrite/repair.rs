//! `thermocline repair` on directories that were damaged by chance.

use super::tool::{fails, run, tool, works};
use super::{content, store};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn segments(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment-"))
        .filter(|path| fs::read(path).unwrap().iter().any(|&byte| byte != 0))
        .collect();
    files.sort();
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn repair(folder: &Path, name: &str) -> (Option<i32>, serde_json::Value) {
    let mut command = tool("repair");
    command.arg(folder.join("store")).arg("--into").arg(folder.join(name)).args(["--json", "--memory", "64mb"]);
    let (code, out, error) = run(&mut command);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")))
}

/// Nothing wrong is kept, and what is not kept is in the report.
fn check(whole: &BTreeMap<(u64, String), serde_json::Value>, kept: &Path, report: &serde_json::Value) -> u64 {
    works(tool("verify").arg(kept));
    let content = content(kept);
    for (key, value) in &content {
        assert!(whole.get(key) == Some(value), "{key:?} is not what was stored");
    }
    let lost = whole.len() as u64 - content.len() as u64;
    let counted = report["lost"].as_u64().unwrap() + report["lost_at_start"].as_u64().unwrap();
    assert!(counted >= lost, "{lost} keys are not there, {counted} were counted: {report:#}");
    assert_eq!(report["keys"], content.len());
    for loss in report["losses"].as_array().unwrap() {
        if let Some(name) = loss["key"].as_str() {
            let key = (loss["db"].as_u64().unwrap(), name.to_owned());
            assert!(whole.contains_key(&key) && !content.contains_key(&key), "{key:?} is called lost");
        }
    }
    lost
}

/// The files in which `verify` finds damage.
fn damaged_files(directory: &Path) -> BTreeSet<String> {
    let (code, out, error) = run(tool("verify").arg(directory).args(["--json", "--limit", "1000"]));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    let damages = report["damages"].as_array().unwrap();
    assert_eq!(code, Some(i32::from(!damages.is_empty())), "{report:#}");
    damages.iter().map(|damage| damage["file"].as_str().unwrap().to_owned()).collect()
}

/// What a store of flipped bytes came to.
#[derive(Default)]
struct Flipped {
    keys: u64,
    lost: u64,
    /// Flips, and of them those of which `verify` says nothing: in room that nothing uses.
    flips: u64,
    unused: u64,
}

/// `THERMOCLINE_REPAIRS=50 cargo test -p thermocline-tools --test rewrite flipped -- --nocapture` for more stores.
#[test]
fn flipped_bytes_cost_the_keys_they_lie_in_and_nothing_else_and_each_is_counted() {
    let stores = std::env::var("THERMOCLINE_REPAIRS").map_or(1, |count| count.parse().unwrap());
    for seed in 1..=stores {
        let Flipped { keys, lost, flips, unused } = flipped_bytes(seed);
        println!(
            "seed {seed}: {lost} of {keys} keys lost; verify names the files of {} of {flips} flips",
            flips - unused
        );
        assert!(lost > 0 && lost < keys / 2, "seed {seed}: {lost} of {keys} keys for twelve bytes");
    }
}

fn flipped_bytes(seed: u64) -> Flipped {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), seed);
    let directory = folder.path().join("store");
    let whole = content(&directory);
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut found = Flipped { keys: whole.len() as u64, ..Flipped::default() };
    let mut all = BTreeSet::new();
    for round in 0..6 {
        let mut flipped = Vec::new();
        for _ in 0..2 {
            let files = segments(&directory);
            let file = &files[chance.random_range(0..files.len())];
            flip(file, chance.random_range(0..fs::metadata(file).unwrap().len()) as usize);
            flipped.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
        all.extend(flipped.iter().cloned());
        let damaged = damaged_files(&directory);
        assert!(damaged.is_subset(&all), "{damaged:?} are called damaged, {all:?} are");
        let unused = flipped.iter().filter(|file| !damaged.contains(*file)).count();
        found.flips += flipped.len() as u64;
        found.unused += unused as u64;
        let (code, report) = repair(folder.path(), &format!("kept-{round}"));
        let lost = check(&whole, &folder.path().join(format!("kept-{round}")), &report);
        assert!(
            lost == found.lost || unused < flipped.len(),
            "seed {seed}: keys are lost, and verify names none of {flipped:?}"
        );
        found.lost = lost;
        let counted = report["lost"].as_u64().unwrap() + report["lost_at_start"].as_u64().unwrap();
        assert_eq!(code, Some(i32::from(counted > 0)), "{report:#}");
    }
    found
}

#[test]
fn damaged_copies_cost_nothing_and_a_missing_segment_costs_what_only_they_had() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), 3);
    let directory = folder.path().join("store");
    let whole = content(&directory);
    for [one, other] in [["map-0", "map-1"], ["superblock-1", "superblock-0"]] {
        if directory.join(one).exists() && directory.join(other).exists() {
            flip(&directory.join(one), 70);
        }
    }
    for name in ["checkpoint-0", "checkpoint-1"].map(|name| directory.join(name)).iter().filter(|name| name.exists()) {
        flip(name, 70);
    }
    let (code, report) = repair(folder.path(), "copies");
    assert_eq!((check(&whole, &folder.path().join("copies"), &report), code), (0, Some(0)), "{report:#}");
    let files = segments(&directory);
    fs::remove_file(&files[files.len() / 2]).unwrap();
    let (code, report) = repair(folder.path(), "segment");
    let lost = check(&whole, &folder.path().join("segment"), &report);
    assert!(code == Some(1) && lost > 0 && lost < whole.len() as u64, "{lost}: {report:#}");
}

#[test]
fn a_whole_directory_is_copied_whole_and_what_is_in_the_way_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), 4);
    let whole = content(&folder.path().join("store"));
    let (code, report) = repair(folder.path(), "kept");
    assert_eq!((code, check(&whole, &folder.path().join("kept"), &report)), (Some(0), 0));
    let mut again = tool("repair");
    again.arg(folder.path().join("store")).arg("--into").arg(folder.path().join("kept"));
    assert!(fails(&mut again).contains("is not empty"));
    for name in ["superblock-0", "superblock-1"] {
        flip(&folder.path().join("store").join(name), 70);
    }
    let mut without = tool("repair");
    without.arg(folder.path().join("store")).arg("--into").arg(folder.path().join("other"));
    assert!(fails(&mut without).contains("no superblock holds"));
    assert!(!folder.path().join("other").exists() && !folder.path().join("other.unfinished").exists());
}
