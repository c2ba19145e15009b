//! Starts that cannot work: exit code 1, one clear sentence, and nothing in the directory touched.
//!
//! (A busy port, a second server and bad directives: tests/wire/life.rs.)

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Server, now, program};
use crate::store::{filler, load, read};

const BUDGET: [&str; 4] = ["--maxmemory", "64mb", "--maxdisk", "64mb"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the superblock has its format, and how many bytes it uses without cuts and with 16 databases.
const FORMAT_AT: usize = 8;
const USED_BYTES: usize = 64 + 16 * 4;
const CUTS_AT: usize = 56;

/// Name and bytes of each file but the lock, which names its last holder.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("a file"));
    let named = files.map(|entry| (entry.file_name().into_string().expect("text"), entry.path()));
    #[expect(clippy::disallowed_methods, reason = "looks at the files by hand")]
    named.filter(|(name, _)| name != "LOCK").map(|(name, path)| (name, fs::read(path).expect("bytes"))).collect()
}

#[expect(clippy::disallowed_methods, reason = "damages the files by hand")]
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("bytes");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

/// Runs a start that must fail: its sentence.
fn refused(mut command: Command) -> String {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let began = now();
    let status = loop {
        match process.try_wait().expect("a child") {
            Some(status) => break status,
            None if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            None => {
                process.kill().expect("it runs");
                panic!("it started");
            }
        }
    };
    let mut text = String::new();
    process.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    assert_eq!(status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "one sentence: {text}");
    println!("{}", text.trim_end());
    text
}

/// As `refused`, and nothing in the directory may change.
fn refused_untouched(directory: &Path, directives: &[&str]) -> String {
    let before = content(directory);
    let text = refused(program(directory, directives).0);
    assert!(content(directory) == before, "something was touched");
    text
}

/// A directory with keys in it, closed by a kill.
fn used() -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let mut directives = BUDGET.to_vec();
    directives.extend(["--appendfsync", "always"]);
    let mut server = Server::start(&data, &directives);
    load(&mut server.connect(), "key", 100, 1000, 0);
    server.kill();
    (directory, data)
}

/// What `used` wrote is all there.
fn is_whole(data: &Path) {
    let server = Server::start(data, &BUDGET);
    read(&mut server.connect(), "key", 100, |number, value| {
        assert_eq!(value, thermocline_resp::Value::Bulk(filler(number as u64, 1000)));
    });
}

/// CRC-32 (IEEE), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let (_directory, data) = used();
    for copy in ["superblock-0", "superblock-1"] {
        rewrite(&data.join(copy), |bytes| {
            assert_eq!(bytes[CUTS_AT], 0, "no cut before the first recovery");
            assert_eq!(bytes[..4], crc(&bytes[4..USED_BYTES]).to_le_bytes(), "the drawing of the superblock changed");
            bytes[FORMAT_AT] += 1;
            let crc = crc(&bytes[4..USED_BYTES]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
        });
    }
    let text = refused_untouched(&data, &BUDGET);
    assert!(text.contains("has format 3") && text.contains("newer"), "{text}");
}

#[test]
fn with_both_superblocks_damaged_nothing_is_made_anew_over_the_data() {
    let (_directory, data) = used();
    for copy in ["superblock-0", "superblock-1"] {
        rewrite(&data.join(copy), |bytes| bytes[20] ^= 1);
    }
    let text = refused_untouched(&data, &BUDGET);
    assert!(text.contains("superblock"), "{text}");
    // One whole copy is enough.
    rewrite(&data.join("superblock-0"), |bytes| bytes[20] ^= 1);
    is_whole(&data);
}

#[test]
fn budgets_that_are_too_small_are_refused_before_anything_is_touched() {
    let (_directory, data) = used();
    let text = refused_untouched(&data, &["--maxmemory", "10mb", "--maxdisk", "64mb"]);
    assert!(text.contains("maxmemory") && text.contains("64mb"), "{text}");
    let text = refused_untouched(&data, &["--maxmemory", "64mb", "--maxdisk", "1mb"]);
    assert!(text.contains("maxdisk") && text.contains("64 segments"), "{text}");
    is_whole(&data);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    rewrite_new(&file);
    let text = refused(program(&file, &BUDGET).0);
    assert!(text.contains(file.to_str().expect("text")), "{text}");

    let closed = directory.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).expect("ours");
    let (mut command, _) = program(&closed, &BUDGET);
    if fs::metadata("/proc/self").is_ok_and(|this| std::os::unix::fs::MetadataExt::uid(&this) == 0) {
        // Root may write everywhere; nobody may not.
        const NOBODY: u32 = 65534;
        command.uid(NOBODY).gid(NOBODY);
        let mut can_run = Command::new(env!("CARGO_BIN_EXE_thermocline-server"));
        let can_run = can_run.arg("--version").uid(NOBODY).gid(NOBODY).stdout(Stdio::null()).status();
        if !can_run.is_ok_and(|status| status.success()) {
            println!("skipped: the user nobody cannot run the server from where it was built");
            return;
        }
    }
    let text = refused(command);
    assert!(text.contains(closed.to_str().expect("text")) && text.contains("ermission denied"), "{text}");
    assert!(content(&closed).is_empty());
}

#[expect(clippy::disallowed_methods, reason = "a file where a directory should be")]
fn rewrite_new(path: &Path) {
    fs::write(path, "text").expect("written");
}

#[test]
fn foreign_files_are_left_alone_and_never_taken_for_a_store() {
    // Among our files it stays, and is told of.
    let (_directory, data) = used();
    rewrite_new(&data.join("notes.txt"));
    is_whole(&data);
    assert_eq!(content(&data)["notes.txt"], b"text");
    #[expect(clippy::disallowed_methods, reason = "the server's words")]
    let words = fs::read_to_string(data.with_extension("log")).expect("text");
    assert!(words.contains("notes.txt") && words.contains("left alone"), "{words}");

    // A directory of somebody else's is not made a store.
    let directory = tempfile::tempdir().expect("a directory");
    rewrite_new(&directory.path().join("notes.txt"));
    let text = refused_untouched(directory.path(), &BUDGET);
    assert!(text.contains("notes.txt") && text.contains("dir"), "{text}");
}
