//! `thermocline inspect --keys` on a store whose content is known.

use super::store;
use super::tool::{json, tool, works};
use std::fs;

fn largest_names(rows: &serde_json::Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn prefixes_and_largest_keys_have_their_nodes_and_extents() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), 21);
    let more = folder.path().join("more.jsonl");
    let line =
        |n: usize| format!(r#"{{"db":0,"key":"user:{n}","type":"string","expires_at_ms":4102444800000,"value":"x"}}"#);
    let markup = format!(r#"{{"db":0,"key":"<script>","type":"string","value":"{}"}}"#, "y".repeat(3000));
    fs::write(&more, (0..10).map(line).chain([markup]).collect::<Vec<_>>().join("\n")).unwrap();
    works(tool("load").arg(folder.path().join("store")).arg(&more).args(super::SMALL).arg("--merge"));
    let page = folder.path().join("report.html");
    let inspect = || {
        let mut command = tool("inspect");
        command.arg(folder.path().join("store")).args(["--keys", "--html"]).arg(&page);
        command
    };
    let report = json(inspect().arg("--json"));
    let keys = &report["keys"];
    let prefix = |name: &str| keys["prefixes"].as_array().unwrap().iter().find(|row| row["prefix"] == name).cloned();
    let users = prefix("user:").unwrap();
    assert_eq!((&users["keys"], &users["expiring"]), (&10.into(), &10.into()), "{users:#}");
    assert!(largest_names(&keys["largest"]).contains(&"<script>".to_owned()));
    // Six strings of 60,000 bytes in extents, six hashes of 1500 fields in nodes: the twelve largest.
    let largest = keys["largest"].as_array().unwrap();
    for (row, parts) in largest.iter().take(12).map(|row| (row, row["parts"].as_u64().unwrap())) {
        let (name, bytes) = (row["key"].as_str().unwrap(), row["bytes"].as_u64().unwrap());
        assert!(parts > 1 && (name.starts_with("large") || name.starts_with("tree")), "{row:#}");
        assert!(!name.starts_with("large") || (60_000..63_000).contains(&bytes), "{row:#}");
    }
    let of = |rows: &str, field: &str| {
        report[rows].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(of("databases", "bytes"), of("kinds", "live_bytes"));
    assert_eq!(keys["bytes_without_key"], 0, "{keys:#}");
    assert!(of("generations", "live_bytes") >= of("kinds", "live_bytes"));
    let words = works(&mut inspect());
    assert!(words.contains("largest keys") && words.contains("user:") && words.contains("garbage"), "{words}");
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "a key is markup");
    assert!(page.contains("<svg") && page.contains("Garbage per generation"));
}
