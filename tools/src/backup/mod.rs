//! `thermocline backup`, `backups` and `restore`: the store in a directory, copied into a folder of backups and put back from it.
//!
//! The same folders that TIER BACKUP of a running server fills (`thermocline::backup` draws them).
//!
//! Promises: a directory or folder in use is refused; what is restored has the checksums it was copied with, or nothing is left
//! of it. Never: writes over a backup or into a directory that holds something.

mod list;
mod restore;

pub use list::{ListArgs, run as list};
pub use restore::{RestoreArgs, run as restore};

use crate::directory::Directory;
use crate::store::{Memory, Wanted, WriteStore};
use crate::{owner, print, progress};
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thermocline::backup::{self, Folder, Listing, Progress};
use thermocline::{Clock, SystemClock, block_on};

/// What `backup` takes.
#[derive(Args)]
pub struct BackupArgs {
    /// The data directory (`dir` of the server).
    directory: PathBuf,
    /// The folder of backups; it is made if it is not there.
    folder: PathBuf,
    /// Its name; if nothing is said, `backup-` and the Unix time.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Remove all but the N newest backups of the folder afterwards.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    #[command(flatten)]
    memory: Memory,
    /// Print the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

/// Some files of a backup.
#[derive(Clone, Copy, Default, Serialize)]
struct Files {
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Report {
    directory: String,
    folder: String,
    name: String,
    seq: u64,
    copied: Files,
    /// Named by an older backup of the folder, and not copied again.
    there_already: Files,
    /// Backups that `--keep` removed.
    removed: Vec<String>,
}

/// For clap: a name that a backup may have.
fn name(text: &str) -> Result<String, String> {
    match backup::is_name(text.as_bytes()) {
        true => Ok(text.to_owned()),
        false => Err("a name has 1 to 64 letters, digits, dashes and underscores".to_owned()),
    }
}

/// Moves a bar; for whoever asks whether to go on.
fn advance(bar: &ProgressBar) -> impl FnMut(Progress) -> bool {
    let bar = bar.clone();
    move |progress| {
        bar.set_length(progress.bytes_all);
        bar.set_position(progress.bytes);
        true
    }
}

/// Makes a backup and prints.
pub fn run(args: &BackupArgs) -> Result<ExitCode> {
    let report = backup(args)?;
    print::report(&report, args.json, words)?;
    Ok(ExitCode::SUCCESS)
}

fn backup(args: &BackupArgs) -> Result<Report> {
    let shown = args.directory.display();
    check_source(&args.directory)?;
    let folder = Folder::open(&args.folder, true)?;
    let wanted = Wanted { memory: args.memory.memory, max_disk: None, segment_bytes: None, databases: 1 };
    let store = WriteStore::open(&args.directory, &wanted)?;
    store.engine.set_active_expire(false);
    let lost = store.engine.recovery().lost_records;
    let made = match lost {
        0 => copy(args, &store, &folder),
        _ => Err(anyhow::anyhow!(
            "{shown}: at most {} cannot be found any more; `thermocline repair` saves what can be",
            print::count(lost, "record")
        )),
    };
    store.close()?;
    owner::give_back(&args.folder)?;
    let mut report = made?;
    if let Some(keep) = args.keep {
        report.removed = backup::prune(folder.disk(), keep as usize)
            .with_context(|| format!("{} was made, and older backups were not removed", report.name))?;
    }
    Ok(report)
}

/// Refuses what a start would make new or empty.
fn check_source(path: &Path) -> Result<()> {
    let directory = Directory::open(path)?;
    let block = directory.need_superblock()?;
    if block.mode == 0 && !block.clean {
        bail!("{} holds nothing: `appendonly no`, and the last shutdown was not clean", path.display());
    }
    Ok(())
}

fn copy(args: &BackupArgs, store: &WriteStore, folder: &Folder) -> Result<Report> {
    let older = Listing::read(folder.disk())?.backups;
    let known: BTreeSet<&str> = older.iter().flat_map(|(_, m)| &m.files).map(|file| file.object.as_str()).collect();
    let name = args.name.clone().unwrap_or_else(|| format!("backup-{}", SystemClock::new().now_ms() / 1000));
    let source = block_on(store.engine.begin_backup())?;
    let bar = progress::bar("backup", 0);
    let copied = source.copy(folder.disk(), &name, &mut advance(&bar));
    bar.finish_and_clear();
    let (manifest, _) = copied?;
    let mut report = Report {
        directory: args.directory.display().to_string(),
        folder: args.folder.display().to_string(),
        name,
        seq: manifest.seq,
        copied: Files::default(),
        there_already: Files::default(),
        removed: Vec::new(),
    };
    for file in &manifest.files {
        let row = if known.contains(file.object.as_str()) { &mut report.there_already } else { &mut report.copied };
        *row = Files { files: row.files + 1, bytes: row.bytes + file.bytes };
    }
    Ok(report)
}

fn words(report: &Report) -> String {
    let row = |name: &str, part: Files| vec![name.to_owned(), part.files.to_string(), print::bytes(part.bytes)];
    let rows = [row("copied", report.copied), row("there already", report.there_already)];
    let mut out = print::table(&["", "files", "bytes"], &rows);
    out.push_str(&format!("\n{} in {}: everything up to seq {}\n", report.name, report.folder, report.seq));
    if !report.removed.is_empty() {
        out.push_str(&format!("removed: {}\n", report.removed.join(", ")));
    }
    out
}
