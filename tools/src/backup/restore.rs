//! `thermocline restore`: a data directory made of a backup.
//!
//! Promises: into an empty or absent directory only; every file is compared with its checksum while it is copied, and after an
//! error nothing is left. Killed in the middle it leaves files that no server starts on. Never: changes the folder of backups.

use super::{advance, name};
use crate::store::{free_bytes, is_absent_or_empty};
use crate::{owner, print, progress};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use thermocline::BackendChoice;
use thermocline::backup::{Folder, Listing, Manifest};
use thermocline_io::{Disk, lock_directory, open_directory};

/// What `restore` takes.
#[derive(Args)]
pub struct RestoreArgs {
    /// The folder of backups (`backup-dir` of the server).
    folder: PathBuf,
    /// The data directory to make; it must not be there yet, or be empty.
    directory: PathBuf,
    /// The backup; the newest if nothing is said.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Print the report as JSON to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    folder: String,
    name: String,
    directory: String,
    seq: u64,
    files: u64,
    bytes: u64,
    /// The command that starts a server on it.
    start: String,
}

/// Restores and prints.
pub fn run(args: &RestoreArgs) -> Result<ExitCode> {
    let report = restore(args)?;
    print::report(&report, args.json, words)?;
    Ok(ExitCode::SUCCESS)
}

fn words(report: &Report) -> String {
    format!(
        "{} restored to {}: {}, {}, everything up to seq {}\n\nstart a server on it:\n  {}\n",
        report.name,
        report.directory,
        print::count(report.files, "file"),
        print::bytes(report.bytes),
        report.seq,
        report.start
    )
}

fn restore(args: &RestoreArgs) -> Result<Report> {
    let (path, shown) = (&args.directory, args.directory.display());
    let folder = Folder::open(&args.folder, false)?;
    let (name, manifest) = match &args.name {
        Some(name) => (name.clone(), Manifest::read(folder.disk(), name)?),
        None => newest(&folder)?.with_context(|| format!("there is no backup in {}", args.folder.display()))?,
    };
    if !is_absent_or_empty(path)? {
        bail!("{shown} is not empty: name a directory that is to be made (or remove what an interrupted restore left)");
    }
    let (free, bytes) = (free_bytes(path)?, manifest.bytes());
    if free < bytes {
        bail!("{name} takes {} and where {shown} is, {} are free", print::bytes(bytes), print::bytes(free));
    }
    thermocline::make_directory(path)?;
    let _lock = lock_directory(path).with_context(|| format!("cannot lock {shown}"))?;
    let into = open_directory(path, BackendChoice::Pool).with_context(|| format!("cannot open {shown}"))?;
    let bar = progress::bar("restore", bytes);
    let restored = manifest.restore(folder.disk(), &*into, &mut advance(&bar));
    bar.finish_and_clear();
    if let Err(error) = restored {
        remove_all(&*into).with_context(|| format!("removing from {shown} what was restored before: {error}"))?;
        return Err(error.into());
    }
    owner::give_back(path)?;
    Ok(Report {
        folder: args.folder.display().to_string(),
        name,
        directory: shown.to_string(),
        seq: manifest.seq,
        files: manifest.files.len() as u64,
        bytes,
        start: format!("thermocline-server --dir {shown}"),
    })
}

/// The newest backup that is understood. That there are others is said: one of them may be newer.
fn newest(folder: &Folder) -> Result<Option<(String, Manifest)>> {
    let mut listing = Listing::read(folder.disk())?;
    let newest = listing.backups.pop();
    if let Some((name, _)) = &newest {
        for (_, error) in &listing.not_understood {
            eprintln!("thermocline: {error}; {name} is the newest of the others");
        }
    } else if let Some((_, error)) = listing.not_understood.pop() {
        return Err(error.into());
    }
    Ok(newest)
}

/// Removes what a restore has written: the directory was empty before. Superblocks first.
fn remove_all(disk: &dyn Disk) -> Result<()> {
    for entry in disk.list()?.iter().rev().filter(|entry| !entry.name.starts_with('.')) {
        disk.remove(&entry.name)?;
    }
    Ok(())
}
