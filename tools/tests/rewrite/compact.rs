//! `thermocline compact`: the same keys in less room, whatever interrupts it.

use super::tool::{fails, json, tool, works};
use super::{SMALL, content, lines, store};
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thermocline::log::superblock::Superblock;

type Content = BTreeMap<(u64, String), Value>;

/// A store in which most is dead: every key written twice over, and some that expire at once.
fn half_dead(folder: &Path) -> Content {
    store(folder, 11);
    for seed in [12, 13] {
        let text = folder.join("more.jsonl");
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let short = (0..50).map(|n| {
            format!(r#"{{"db":1,"key":"short{n}","type":"string","expires_at_ms":{},"value":"gone"}}"#, now_ms + 1500)
        });
        fs::write(&text, lines(seed).into_iter().chain(short).collect::<Vec<_>>().join("\n")).unwrap();
        works(tool("load").arg(folder.join("store")).arg(&text).args(SMALL).arg("--merge"));
    }
    std::thread::sleep(Duration::from_millis(1600));
    content(&folder.join("store"))
}

fn compact(folder: &Path, more: &[&str]) -> Value {
    json(tool("compact").arg(folder.join("store")).args(["--json", "--memory", "64mb"]).args(more))
}

/// Everything is there, and nothing else than the directory under its name.
fn check(folder: &Path, whole: &Content) {
    works(tool("verify").arg(folder.join("store")));
    assert!(&content(&folder.join("store")) == whole, "the content differs");
    let left: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("store") && name != "store")
        .collect();
    assert!(left.is_empty(), "{left:?} was left");
}

#[test]
fn the_same_keys_take_less_room_and_what_has_expired_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let whole = half_dead(folder.path());
    assert!(whole.keys().all(|(_, key)| !key.starts_with("short")));
    fs::write(folder.path().join("store/users.acl"), "not ours").unwrap();
    let report = compact(folder.path(), &[]);
    let (before, after) = (&report["before"], &report["after"]);
    assert_eq!((&report["result"], &after["keys"]), (&"compacted".into(), &whole.len().into()), "{report:#}");
    assert!(after["bytes"].as_u64() < before["bytes"].as_u64(), "{report:#}");
    assert!(after["live_percent"].as_f64() > before["live_percent"].as_f64(), "{report:#}");
    check(folder.path(), &whole);
    assert_eq!(fs::read_to_string(folder.path().join("store/users.acl")).unwrap(), "not ours");
    let live = after["live_percent"].as_f64().unwrap().floor().to_string();
    let again = compact(folder.path(), &["--live", &live]);
    assert_eq!(again["after"], Value::Null, "{again:#}");
    check(folder.path(), &whole);
}

/// Segments that were made ready and never used are removed from the copy. They come back when the store grows, and nothing of what
/// the map said of them is in their way.
#[test]
fn a_compacted_store_grows_again() {
    let folder = tempfile::tempdir().unwrap();
    half_dead(folder.path());
    compact(folder.path(), &[]);
    let unused = fs::read_dir(folder.path().join("store")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        path.to_string_lossy().contains("segment-") && fs::read(path).unwrap().iter().all(|&byte| byte == 0)
    });
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    for seed in [14, 15, 16] {
        let text = folder.path().join("more.jsonl");
        fs::write(&text, lines(seed).join("\n")).unwrap();
        works(tool("load").arg(folder.path().join("store")).arg(&text).args(SMALL).arg("--merge"));
        works(tool("verify").arg(folder.path().join("store")));
        let fresh = folder.path().join(format!("fresh-{seed}"));
        works(tool("load").arg(&fresh).arg(&text).args(SMALL));
        assert!(content(&folder.path().join("store")) == content(&fresh), "after {seed}");
    }
}

#[test]
fn another_directory_is_written_and_the_old_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let whole = half_dead(folder.path());
    let into = folder.path().join("new");
    compact(folder.path(), &["--into", into.to_str().unwrap()]);
    check(folder.path(), &whole);
    assert!(content(&into) == whole);
    let mut again = tool("compact");
    again.arg(folder.path().join("store")).arg("--into").arg(&into).args(["--memory", "64mb"]);
    assert!(fails(&mut again).contains("is not empty"));
    assert!(content(&into) == whole, "it was touched");
}

fn begin(folder: &Path, pace: &str) -> Child {
    let mut command = tool("compact");
    command.arg(folder.join("store")).args(["--memory", "64mb", "--pace", pace]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs it until a part of the keys is noted as copied, and kills it there.
fn killed_on_the_way(folder: &Path) {
    let mut child = begin(folder, "150kb");
    let noted = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let state: Option<Value> =
            fs::read(folder.join("store.compact.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        state.is_some_and(|state| state["cursor"] != 0 || state["database"] != 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(noted, "no progress was noted");
}

#[test]
fn killed_again_and_again_it_goes_on_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let whole = half_dead(folder.path());
    for ms in [50, 150, 400, 700] {
        let mut child = begin(folder.path(), "150kb");
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(content(&folder.path().join("store")) == whole, "killed after {ms} ms");
    }
    killed_on_the_way(folder.path());
    assert!(content(&folder.path().join("store")) == whole, "killed on the way");
    let report = compact(folder.path(), &[]);
    assert_eq!(report["resumed"], true, "{report:#}");
    check(folder.path(), &whole);
}

#[test]
fn a_directory_that_was_opened_meanwhile_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    half_dead(folder.path());
    killed_on_the_way(folder.path());
    let text = folder.path().join("late.jsonl");
    fs::write(&text, r#"{"db":0,"key":"s0","type":"string","value":"changed meanwhile"}"#).unwrap();
    works(tool("load").arg(folder.path().join("store")).arg(&text).args(SMALL).arg("--merge"));
    let whole = content(&folder.path().join("store"));
    let report = compact(folder.path(), &[]);
    assert_eq!(report["resumed"], false, "{report:#}");
    check(folder.path(), &whole);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn superblock(directory: &Path) -> Superblock {
    let read = |name: &str| Superblock::decode(&fs::read(directory.join(name)).unwrap()).unwrap();
    [read("superblock-0"), read("superblock-1")].into_iter().flatten().max_by_key(|block| block.generation).unwrap()
}

/// A kill while the two change places: before it, between two renames, and behind it.
#[test]
fn killed_while_the_directories_change_places_it_ends_with_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = half_dead(folder.path());
    let at = |name: &str| folder.path().join(name);
    copy(&at("store"), &at("kept-old"));
    compact(folder.path(), &[]);
    copy(&at("store"), &at("kept-new"));
    let (old, new) = (superblock(&at("kept-old")), superblock(&at("kept-new")));
    let source = object!({"store": old.store, "generation": old.generation, "next_seq": old.next_seq});
    let state = object!({
        "phase": "switching", "source": source, "target": new.store, "database": 2, "cursor": 0, "copied_keys": 418,
        "seconds": 1.0, "before": {"segments": 1, "bytes": 1, "live_bytes": 1, "keys": 418}, "after_live_bytes": 1,
        "after_keys": 418,
    });
    let cases: [&[(&str, &str)]; 4] = [
        &[("store", "old"), ("store.compact", "new")],
        &[("store", "new"), ("store.compact", "old")],
        &[("store.compact-old", "old"), ("store.compact", "new")],
        &[("store", "new"), ("store.compact-old", "old")],
    ];
    for (number, places) in cases.into_iter().enumerate() {
        fs::remove_dir_all(at("store")).unwrap();
        for (name, which) in places {
            copy(&at(&format!("kept-{which}")), &at(name));
        }
        fs::write(at("store.compact.json"), state.to_string()).unwrap();
        compact(folder.path(), &[]);
        check(folder.path(), &whole);
        assert_eq!(superblock(&at("store")).store, new.store, "case {number}");
    }
}
