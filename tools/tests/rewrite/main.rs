//! `thermocline repair`, `compact`, `backup` and `restore`: what they write is exactly what was stored, what they leave behind they count.
#![expect(clippy::disallowed_methods, reason = "prepares, damages and copies data files by hand")]

#[path = "../transfer/tool.rs"]
mod tool;

mod backup;
mod compact;
mod inspect;
mod owner;
mod repair;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tool::{tool, works};

const SMALL: [&str; 4] = ["--max-disk", "4mb", "--memory", "64mb"];

/// Strings, large strings, small collections and trees: each key one line.
fn lines(seed: u64) -> Vec<String> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut word =
        |bytes: usize| -> String { (0..bytes).map(|_| char::from(chance.random_range(b'a'..=b'z'))).collect() };
    let mut lines = Vec::new();
    for n in 0..400 {
        lines.push(format!(r#"{{"db":{},"key":"s{n}","type":"string","value":"{}"}}"#, n % 2, word(40 + n)));
    }
    for n in 0..6 {
        lines.push(format!(r#"{{"db":0,"key":"large{n}","type":"string","value":"{}"}}"#, word(60_000)));
        let pairs: Vec<String> = (0..1500).map(|e| format!(r#"["f{e}","{}"]"#, word(8))).collect();
        lines.push(format!(r#"{{"db":0,"key":"tree{n}","type":"hash","value":[{}]}}"#, pairs.join(",")));
        let items: Vec<String> = (0..20).map(|_| format!("\"{}\"", word(12))).collect();
        lines.push(format!(r#"{{"db":1,"key":"list{n}","type":"list","value":[{}]}}"#, items.join(",")));
    }
    lines
}

/// Each key with its value, whatever the order of a hash.
fn content(directory: &Path) -> BTreeMap<(u64, String), serde_json::Value> {
    let out = works(tool("dump").arg(directory).args(["-o", "-", "--format", "jsonl", "--memory", "64mb"]));
    let mut content = BTreeMap::new();
    for line in out.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["type"] == "hash" {
            line["value"].as_array_mut().unwrap().sort_by_key(|pair| pair.to_string());
        }
        let key = (line["db"].as_u64().unwrap(), line["key"].as_str().unwrap().to_owned());
        assert!(content.insert(key, line["value"].take()).is_none(), "a key is there twice");
    }
    content
}

fn store(folder: &Path, seed: u64) {
    let text = folder.join("in.jsonl");
    fs::write(&text, lines(seed).join("\n")).unwrap();
    works(tool("load").arg(folder.join("store")).arg(&text).args(SMALL));
}
