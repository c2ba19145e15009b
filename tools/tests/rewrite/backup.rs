//! `thermocline backup`, `backups` and `restore`: what comes back is what was there, or nothing and the reason.

use super::{content, lines, store};
use crate::tool::{fails, json, run, tool, works};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use thermocline_io::lock_directory;

/// A store, and the folder of its backups.
fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), 1);
    let (data, backups) = (folder.path().join("store"), folder.path().join("backups"));
    (folder, data, backups)
}

fn backup(data: &Path, backups: &Path, more: &[&str]) -> Value {
    json(tool("backup").arg(data).arg(backups).args(more).args(["--memory", "64mb", "--json"]))
}

/// Adds keys that replace nothing.
fn grow(folder: &Path, data: &Path) {
    let text = folder.join("more.jsonl");
    let renamed: Vec<String> = lines(2).iter().map(|line| line.replace(r#""key":""#, r#""key":"more:"#)).collect();
    fs::write(&text, renamed.join("\n")).unwrap();
    works(tool("load").arg(data).arg(&text).args(["--merge", "--max-disk", "16mb", "--memory", "64mb"]));
}

#[test]
fn a_restored_backup_holds_what_was_there_when_it_was_made() {
    let (folder, data, backups) = places();
    let first = content(&data);
    let report = backup(&data, &backups, &["--name", "first"]);
    assert_eq!(report["there_already"]["files"], 0, "{report:#}");
    assert!(report["copied"]["files"].as_u64().unwrap() > 5, "{report:#}");
    assert_eq!(content(&data), first, "the store is what it was");

    grow(folder.path(), &data);
    let second = content(&data);
    assert!(second.len() > first.len());
    let report = backup(&data, &backups, &["--name", "second"]);
    assert!(report["there_already"]["files"].as_u64().unwrap() > 5, "incremental: {report:#}");

    for (name, expected) in [(Some("first"), &first), (None, &second)] {
        let back = folder.path().join(name.unwrap_or("newest"));
        let named = name.map(|name| ["--name", name]);
        let words = works(tool("restore").arg(&backups).arg(&back).args(named.iter().flatten()));
        assert!(words.contains(&format!("thermocline-server --dir {}", back.display())), "{words}");
        assert_eq!(fs::read_to_string(back.join(".gitignore")).unwrap(), "*\n");
        works(tool("verify").arg(&back));
        assert!(content(&back) == *expected, "{name:?} came back different");
    }

    let list = json(tool("backups").arg(&backups).args(["--check", "--json"]));
    assert_eq!(list["result"], "clean");
    let shared: Vec<u64> =
        list["backups"].as_array().unwrap().iter().map(|row| row["shared_bytes"].as_u64().unwrap()).collect();
    assert!(matches!(shared[..], [0, some] if some == report["there_already"]["bytes"].as_u64().unwrap()), "{list:#}");

    let report = backup(&data, &backups, &["--name", "third", "--keep", "1"]);
    assert_eq!(report["removed"], serde_json::json!(["first", "second"]));
    works(tool("backups").arg(&backups).arg("--check"));
    works(tool("restore").arg(&backups).arg(folder.path().join("third")));
    assert!(content(&folder.path().join("third")) == second, "what was pruned was not needed");
}

#[test]
fn a_damaged_file_of_a_backup_is_named_and_never_restored() {
    let (folder, data, backups) = places();
    for name in ["one", "two"] {
        backup(&data, &backups, &["--name", name]);
    }
    let names = || fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let object = names().filter(|name| name.starts_with("segment-")).min().unwrap();
    let mut bytes = fs::read(backups.join(&object)).unwrap();
    bytes[5000] ^= 4;
    fs::write(backups.join(&object), bytes).unwrap();

    let (code, out, error) = run(tool("backups").arg(&backups).args(["--check", "--json"]));
    let list: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    assert_eq!((code, &list["result"]), (Some(1), &"damaged".into()), "{list:#}");
    assert_eq!(list["damages"].as_array().unwrap().len(), 1, "once, though both have it: {list:#}");
    for row in list["backups"].as_array().unwrap() {
        assert_eq!(row["damages"], serde_json::json!([object]), "{list:#}");
    }
    let back = folder.path().join("back");
    let words = fails(tool("restore").arg(&backups).arg(&back));
    assert!(words.contains(&object), "{words}");
    let left: Vec<_> = fs::read_dir(&back).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "LOCK" || name == ".gitignore"), "{left:?}");

    fs::remove_file(backups.join(&object)).unwrap();
    let (code, out, _) = run(tool("backups").arg(&backups).arg("--check"));
    assert!(code == Some(1) && out.contains(&object) && out.ends_with("damaged\n"), "{out}");
}

#[test]
fn a_manifest_that_is_not_understood_is_named_and_does_not_block_the_folder() {
    let (folder, data, backups) = places();
    backup(&data, &backups, &["--name", "one"]);
    fs::write(backups.join("later.backup"), r#"{"format": 2}"#).unwrap();
    let (code, out, _) = run(tool("backups").arg(&backups).arg("--json"));
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &list["result"], &list["backups"][0]["name"]),
        (Some(1), &"damaged".into(), &"one".into()),
        "{list:#}"
    );
    assert!(list["damages"][0].as_str().unwrap().contains("later.backup"), "{list:#}");
    backup(&data, &backups, &["--name", "two"]);
    let mut keeping = tool("backup");
    let words = fails(keeping.arg(&data).arg(&backups).args(["--name", "three", "--keep", "1"]));
    assert!(words.contains("three was made") && words.contains("later.backup"), "{words}");
    let (code, _, words) = run(tool("restore").arg(&backups).arg(folder.path().join("back")));
    assert!(code == Some(0) && words.contains("later.backup") && words.contains("three is the newest"), "{words}");
    assert!(content(&folder.path().join("back")) == content(&data));
    fs::remove_file(backups.join("later.backup")).unwrap();
    let report = backup(&data, &backups, &["--name", "four", "--keep", "1"]);
    assert_eq!(report["removed"], serde_json::json!(["one", "two", "three"]));
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_refused_in_words() {
    let (folder, data, backups) = places();
    {
        let _server = lock_directory(&data).unwrap();
        let words = fails(tool("backup").arg(&data).arg(&backups));
        assert!(words.contains("in use") && words.contains("TIER BACKUP"), "{words}");
        assert!(!backups.exists(), "nothing was touched");
    }
    let words = fails(tool("backup").arg(folder.path().join("absent")).arg(&backups));
    assert!(words.contains("not a directory"), "{words}");
    let words = fails(tool("backup").arg(&data).arg(&data));
    assert!(words.contains("data directory"), "{words}");
    assert_eq!(run(tool("backup").arg(&data).arg(&backups).args(["--name", "../elsewhere"])).0, Some(2));
    backup(&data, &backups, &["--name", "one"]);
    let words = fails(tool("backup").arg(&data).arg(&backups).args(["--name", "one"]));
    assert!(words.contains("already"), "{words}");

    let words = fails(tool("restore").arg(&backups).arg(&data));
    assert!(words.contains("not empty"), "{words}");
    let words = fails(tool("restore").arg(&backups).arg(folder.path().join("new")).args(["--name", "two"]));
    assert!(words.contains("no backup two"), "{words}");
    assert!(!folder.path().join("new").exists());
    let words = fails(tool("backups").arg(folder.path().join("absent")));
    assert!(words.contains("no folder"), "{words}");
}

#[test]
fn a_restore_that_is_killed_leaves_nothing_that_starts() {
    let (folder, data, backups) = places();
    backup(&data, &backups, &[]);
    let whole = content(&data);
    let mut interrupted = 0;
    for round in 0..12 {
        let back = folder.path().join(format!("back{round}"));
        let mut restore = tool("restore").arg(&backups).arg(&back).stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let files = || {
            let names = fs::read_dir(&back).into_iter().flatten().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().contains('-')).count()
        };
        while files() < 1 + round && restore.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it takes too long");
        }
        restore.kill().unwrap();
        restore.wait().unwrap();
        if back.join("superblock-0").exists() || back.join("superblock-1").exists() {
            assert!(content(&back) == whole, "a superblock comes last");
            continue;
        }
        if files() == 0 {
            continue;
        }
        interrupted += 1;
        let (code, out, error) = run(tool("stats").arg(&back));
        assert!(code == Some(1), "{out}{error}");
        let words = fails(tool("restore").arg(&backups).arg(&back));
        assert!(words.contains("interrupted restore"), "{words}");
        // As the server opens it.
        let options = thermocline::Options { max_memory: 64 << 20, max_disk: 64 << 20, ..Default::default() };
        let opened = thermocline::Engine::open_directory(&back, options, thermocline::BackendChoice::Pool);
        assert!(opened.is_err(), "it starts");
    }
    assert!(interrupted > 0, "no kill came in time");
}
