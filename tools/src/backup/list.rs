//! `thermocline backups`: what is in a folder of backups, and whether it is whole.
//!
//! Promises: `--check` reads each file once, whoever shares it, and names each that is damaged. Never: changes the folder.

use super::advance;
use crate::{print, progress};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use thermocline::backup::{BackupFile, Folder, Listing, Manifest, Progress};
use thermocline::utc;

/// What `backups` takes.
#[derive(Args)]
pub struct ListArgs {
    /// The folder of backups (`backup-dir` of the server).
    folder: PathBuf,
    /// Read all files and compare the checksums.
    #[arg(long)]
    check: bool,
    /// Print the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// When it was begun.
    created_ms: u64,
    /// The same for people, in UTC.
    created: String,
    seq: u64,
    files: u64,
    bytes: u64,
    /// Of them, in files that an older backup has, too.
    shared_bytes: u64,
    /// Its files that are missing or damaged; `null`: not checked.
    damages: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Report {
    folder: String,
    /// `clean`, `damaged` or `not checked`.
    result: &'static str,
    /// Oldest first.
    backups: Vec<Row>,
    /// Each damage once, in words; manifests that are not understood, checked or not.
    damages: Vec<String>,
}

/// Lists, checks if asked to, and prints. Exit code 1: damage.
pub fn run(args: &ListArgs) -> Result<ExitCode> {
    let folder = Folder::open(&args.folder, false)?;
    let Listing { backups: all, not_understood } = Listing::read(folder.disk())?;
    let damages = if args.check { check(&folder, &all)? } else { BTreeMap::new() };
    let mut older = BTreeSet::new();
    let mut backups = Vec::with_capacity(all.len());
    for (name, manifest) in &all {
        let objects = || manifest.files.iter().map(|file| (file.object.as_str(), file.bytes));
        let damaged = || manifest.files.iter().filter(|file| damages.contains_key(&key(file)));
        backups.push(Row {
            name: name.clone(),
            created_ms: manifest.created_ms,
            created: utc(manifest.created_ms / 1000),
            seq: manifest.seq,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            shared_bytes: objects().filter(|(object, _)| older.contains(object)).map(|(_, bytes)| bytes).sum(),
            damages: args.check.then(|| damaged().map(|file| file.object.clone()).collect()),
        });
        older.extend(objects().map(|(object, _)| object));
    }
    let reasons = not_understood.into_iter().map(|(_, error)| error.to_string());
    let damages: Vec<String> = reasons.chain(damages.into_values()).collect();
    let is_damaged = !damages.is_empty();
    let result = match (args.check, is_damaged) {
        (_, true) => "damaged",
        (true, false) => "clean",
        (false, false) => "not checked",
    };
    let report = Report { folder: args.folder.display().to_string(), result, backups, damages };
    print::report(&report, args.json, words)?;
    Ok(ExitCode::from(u8::from(is_damaged)))
}

/// What makes two files of backups the same.
type FileKey = (String, u64, u32);

fn key(file: &BackupFile) -> FileKey {
    (file.object.clone(), file.bytes, file.crc)
}

/// Reads every file of every backup once. Answers those that are not what was copied, with the words.
fn check(folder: &Folder, all: &[(String, Manifest)]) -> Result<BTreeMap<FileKey, String>> {
    let files: BTreeMap<FileKey, &BackupFile> =
        all.iter().flat_map(|(_, manifest)| &manifest.files).map(|file| (key(file), file)).collect();
    let bytes_all = files.keys().map(|(_, bytes, _)| bytes).sum();
    let bar = progress::bar("check", bytes_all);
    let mut step = advance(&bar);
    let (mut damages, mut done) = (BTreeMap::new(), 0);
    for (key, file) in files {
        let mut progress = Progress { bytes: done, bytes_all, bytes_copied: 0 };
        if let Err(error) = file.check(folder.disk(), &mut progress, &mut step) {
            damages.insert(key, error.to_string());
        }
        done += file.bytes;
    }
    bar.finish_and_clear();
    Ok(damages)
}

fn words(report: &Report) -> String {
    if report.backups.is_empty() && report.damages.is_empty() {
        return format!("no backups in {}\n", report.folder);
    }
    let checked = report.backups.iter().any(|row| row.damages.is_some());
    let row = |row: &Row| {
        let mut cells = vec![
            row.name.clone(),
            row.created.clone(),
            row.seq.to_string(),
            row.files.to_string(),
            print::bytes(row.bytes),
            print::bytes(row.shared_bytes),
        ];
        cells.extend(row.damages.as_ref().map(|d| if d.is_empty() { "clean".into() } else { "damaged".into() }));
        cells
    };
    let mut head = vec!["name", "begun (UTC)", "seq", "files", "bytes", "shared with older"];
    head.extend(checked.then_some("check"));
    let mut out = print::table(&head, &report.backups.iter().map(row).collect::<Vec<_>>());
    if checked || !report.damages.is_empty() {
        out.push('\n');
        report.damages.iter().for_each(|damage| out.push_str(&format!("{damage}\n")));
        out.push_str(&format!("{}\n", report.result));
    }
    out
}
