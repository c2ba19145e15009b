//! The rules of the house as tests: arrows between crates, a head on every file, `unsafe` in its two rooms only, no
//! orphan file, no path of somebody's machine. Sizes are reported, not forbidden.
//!
//! The checks read text, not syntax: simple enough to be trusted, strict enough to be noticed. They never change a file.
#![expect(clippy::disallowed_methods, reason = "reads the source tree, not a data directory")]

use std::fs;
use std::path::{Path, PathBuf};

/// What a program that serves or moves keys stands on.
const PROGRAMS_USE: &[&str] = &[
    "thermocline",
    "thermocline-exchange",
    "thermocline-io",
    "thermocline-rdb",
    "thermocline-value",
    "thermocline-port",
    "thermocline-resp",
    "thermocline-transfer",
];

/// Which of our crates each crate may use. A new crate needs a line here.
const ARROWS: &[(&str, &[&str])] = &[
    ("thermocline-io", &[]),
    ("thermocline-memory", &[]),
    // Its tests start a real server.
    ("thermocline-rdb", &["thermocline-port"]),
    ("thermocline-value", &[]),
    ("thermocline-port", &[]),
    ("thermocline-resp", &[]),
    ("thermocline", &["thermocline-io", "thermocline-memory", "thermocline-value"]),
    ("thermocline-exchange", &["thermocline", "thermocline-rdb", "thermocline-value"]),
    ("thermocline-transfer", &["thermocline", "thermocline-exchange", "thermocline-rdb", "thermocline-value"]),
    // The server's tests stand on the disk that lies; its code opens a directory through the engine.
    ("thermocline-server", PROGRAMS_USE),
    ("thermocline-tools", PROGRAMS_USE),
    ("thermocline-simulate", &["thermocline", "thermocline-io", "thermocline-memory", "thermocline-value"]),
    (
        "thermocline-bench",
        &[
            "thermocline",
            "thermocline-io",
            "thermocline-memory",
            "thermocline-value",
            "thermocline-port",
            "thermocline-resp",
        ],
    ),
];

/// The only folders where `unsafe` may stand.
const UNSAFE_ROOMS: &[&str] = &["engine/io/", "engine/memory/"];

/// Files longer than this are listed: perhaps two ideas share a roof.
const REPORTED_LINES: usize = 700;

#[test]
fn arrows_between_crates_point_down() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files_named(|name| name == "Cargo.toml") {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let Some(package) = package_name(&text) else {
            continue;
        };
        if path.starts_with("benches/compare/") {
            continue;
        }
        seen += 1;
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package) else {
            wrong.push(format!("{path}: crate {package} has no line in ARROWS"));
            continue;
        };
        for dependency in our_dependencies(&text) {
            if dependency != package && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{path}: {package} must not use {dependency}"));
            }
        }
    }
    assert!(seen >= 8, "only {seen} manifests found: is this the workspace?");
    assert!(wrong.is_empty(), "arrows point upward:\n{}", wrong.join("\n"));
}

#[test]
fn an_upward_arrow_is_noticed() {
    let manifest = "[package]\nname = \"thermocline-io\"\n[dependencies]\nlibc.workspace = true\n\
                    thermocline = { path = \"..\" }\n[dev-dependencies]\nthermocline-server.workspace = true\n";
    assert_eq!(package_name(manifest).as_deref(), Some("thermocline-io"));
    assert_eq!(our_dependencies(manifest), ["thermocline", "thermocline-server"]);
}

#[test]
fn every_file_says_what_it_is() {
    let headless: Vec<String> =
        rust_files().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(headless.is_empty(), "files that do not open with `//!`:\n{}", headless.join("\n"));
}

#[test]
fn unsafe_has_two_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files() {
        if UNSAFE_ROOMS.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        if is_crate_root(&path) && !text.contains("#![forbid(unsafe_code)]") {
            wrong.push(format!("{path}: no #![forbid(unsafe_code)]"));
        }
        for (number, line) in text.lines().enumerate() {
            if uses_unsafe(line) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside engine/io and engine/memory:\n{}", wrong.join("\n"));
}

#[test]
fn an_unsafe_block_is_noticed_and_a_comment_is_not() {
    let word = concat!("un", "safe");
    assert!(uses_unsafe(&format!("    let x = {word} {{ read(p) }};")));
    assert!(uses_unsafe(&format!("{word} impl Send for Page {{}}")));
    assert!(uses_unsafe(&format!("pub {word} fn grow()")));
    assert!(!uses_unsafe(&format!("// {word} {{ }} would be wrong here")));
    assert!(!uses_unsafe(&format!("#![forbid({word}_code)]")));
}

#[test]
fn no_file_is_an_orphan() {
    let files = rust_files();
    let text_of = |path: &str| files.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str());
    let mut orphans = Vec::new();
    for (path, _) in &files {
        if is_target_root(path) {
            continue;
        }
        let (name, parents) = module_and_parents(path);
        let declared = parents.iter().filter_map(|parent| text_of(parent)).any(|text| declares(text, &name));
        let by_path = files.iter().any(|(_, text)| text.contains("#[path") && text.contains(&format!("{name}.rs\"")));
        if !declared && !by_path {
            orphans.push(path.clone());
        }
    }
    assert!(orphans.is_empty(), "files that no `mod` reaches:\n{}", orphans.join("\n"));
}

#[test]
fn a_module_is_looked_for_in_its_parents() {
    let (name, parents) = module_and_parents("engine/src/log/record.rs");
    assert_eq!(name, "record");
    assert_eq!(parents, ["engine/src/log/mod.rs", "engine/src/log.rs", "engine/src/log/main.rs"]);
    let (name, parents) = module_and_parents("engine/src/log/mod.rs");
    assert_eq!(name, "log");
    assert!(parents.contains(&"engine/src/lib.rs".to_owned()));
    assert!(declares("pub(crate) mod record;\n", "record"));
    assert!(!declares("// mod record;\n", "record"));
}

#[test]
fn no_file_names_somebodys_machine() {
    let mut needles =
        vec![concat!("/ro", "ot/").to_owned(), concat!("/ho", "me/").to_owned(), concat!("/wo", "rk/").to_owned()];
    needles.push(root().to_string_lossy().into_owned());
    let mut wrong = Vec::new();
    for path in files_named(|name| name != "Cargo.lock") {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue; // not text
        };
        for (number, line) in text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle.as_str())) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "paths of a machine:\n{}", wrong.join("\n"));
}

#[test]
fn long_files_are_reported() {
    let mut lengths: Vec<(usize, String)> =
        rust_files().into_iter().map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = lengths.iter().map(|(lines, _)| lines).sum();
    println!("{} files, {total} lines; longer than {REPORTED_LINES}:", lengths.len());
    for (lines, path) in lengths.iter().take_while(|(lines, _)| *lines > REPORTED_LINES) {
        println!("{lines:6}  {path}");
    }
    assert!(total > 0, "no source was found");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tools lies in the workspace").to_owned()
}

/// Paths relative to the workspace, with `/`, of the files that the tree keeps (build output and data are not).
fn files_named(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                let at_the_top = folder.as_os_str().is_empty();
                let built_or_data =
                    matches!(name.as_str(), "target" | ".git") || (at_the_top && name.ends_with("data"));
                if !built_or_data {
                    folders.push(path);
                }
            } else if wanted(&name) && name != ".git" {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

fn rust_files() -> Vec<(String, String)> {
    files_named(|name| name.ends_with(".rs"))
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn package_name(manifest: &str) -> Option<String> {
    let (_, package) = manifest.split_once("[package]")?;
    let line = package.lines().find(|line| line.starts_with("name"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Our own crates among all dependency tables of a manifest, `workspace.dependencies` excepted.
fn our_dependencies(manifest: &str) -> Vec<String> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
            // [dependencies.thermocline-io]
            if let Some((_, name)) = table.split_once("dependencies.").filter(|(before, _)| *before != "workspace.") {
                found.push(name.to_owned());
            }
        } else if table.ends_with("dependencies") && table != "workspace.dependencies" {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.push(name.to_owned());
        }
    }
    found.retain(|name| name.starts_with("thermocline"));
    found
}

fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        let starts_a_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
        starts_a_word && ["{", "fn ", "impl", "trait ", "extern "].iter().any(|next| after.starts_with(next))
    })
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("src/bin/")
}

/// Files that cargo compiles without any `mod`: crate roots, build scripts, tests, benches, examples, fuzz targets.
fn is_target_root(path: &str) -> bool {
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    is_crate_root(path)
        || path.ends_with("build.rs")
        || (matches!(folder, "tests" | "benches" | "examples" | "fuzz_targets") && !path.contains("src/"))
        || (path.ends_with("/main.rs") && !path.contains("src/"))
}

/// The module that a file is, and the files that may declare it.
fn module_and_parents(path: &str) -> (String, Vec<String>) {
    let stem = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).expect("a Rust file");
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let mut parents = vec![format!("{folder}/mod.rs"), format!("{folder}.rs"), format!("{folder}/main.rs")];
    let last = folder.rsplit('/').next().unwrap_or_default();
    if matches!(last, "src" | "tests" | "benches") {
        parents.extend(
            files_named(|name| name.ends_with(".rs"))
                .into_iter()
                .filter(|file| file.rsplit_once('/').is_some_and(|(there, _)| there == folder) && is_target_root(file)),
        );
    }
    (name.to_owned(), parents)
}

fn declares(text: &str, module: &str) -> bool {
    let declaration = format!("mod {module};");
    text.lines().map(str::trim_start).any(|line| {
        let visible = line.starts_with("mod ") || line.starts_with("pub");
        visible && line.contains(&declaration)
    })
}
