//! What root does to the server's directory leaves it the server's.
//!
//! The story: a service runs as its own user, the operator is root. A `load` or a `backup` as root left files that belonged to root among
//! the service's, and its next start ended with "Permission denied".

use super::tool::{tool, works};
use super::{SMALL, lines, store};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// A user that is not the one who runs this.
const SOMEBODY: u32 = 65_534;

fn strangers(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.metadata().unwrap().uid() != SOMEBODY)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

fn give_away(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        chown(entry.unwrap().path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    chown(directory, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o750)).unwrap();
}

#[test]
fn what_root_writes_belongs_to_whom_the_directory_belongs() {
    let folder = tempfile::tempdir().unwrap();
    if folder.path().metadata().unwrap().uid() != 0 {
        eprintln!("SKIPPED: owner: only root can give files away");
        return;
    }
    store(folder.path(), 21);
    let [data, backups, back, repaired] = ["store", "backups", "back", "repaired"].map(|name| folder.path().join(name));
    fs::create_dir(&backups).unwrap();
    fs::create_dir(&back).unwrap();
    for directory in [&data, &backups, &back] {
        give_away(directory);
    }
    let text = folder.path().join("more.jsonl");
    fs::write(&text, lines(22).join("\n")).unwrap();
    works(tool("load").arg(&data).arg(&text).args(SMALL).arg("--merge"));
    works(tool("backup").arg(&data).arg(&backups).args(["--memory", "64mb"]));
    works(tool("restore").arg(&backups).arg(&back));
    works(tool("repair").arg(&data).arg("--into").arg(&repaired).args(["--memory", "64mb"]));
    works(tool("compact").arg(&data).args(["--memory", "64mb", "--live", "100"]));
    for directory in [&data, &backups, &back, &repaired] {
        assert_eq!(strangers(directory), Vec::<String>::new(), "{}", directory.display());
        let metadata = directory.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (SOMEBODY, 0o750), "{}", directory.display());
    }
}
