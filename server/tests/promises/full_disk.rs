//! A file system that fills up under the server. Needs root, for a file system of its own; says so when it is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use thermocline_resp::Value;

use crate::process::{Connection, Server, now};
use crate::store::{PIPELINE, filler, okay};

const VALUE_BYTES: usize = 8000;
/// More than one record takes: it is written in extents, and logs an intent first.
const LARGE_BYTES: usize = 300_000;
/// Refused within this: the longest wait of a write is two seconds, and the machine may be busy.
const REFUSED_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// Writes go on this long at most before the disk must have filled, and after space came back until they must work.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// More than the file system has.
const DIRECTIVES: [&str; 6] = ["--maxmemory", "64mb", "--maxdisk", "512mb", "--appendfsync", "always"];

/// An ext4 of 100 MB on a loop device; goes with its handle.
struct FileSystem {
    at: PathBuf,
    _directory: TempDir,
}

impl FileSystem {
    fn mount() -> Option<FileSystem> {
        let directory = tempfile::tempdir().expect("a directory");
        let (image, at) = (directory.path().join("image"), directory.path().join("disk"));
        std::fs::create_dir(&at).expect("a directory");
        let done = run("truncate", &["-s".as_ref(), "100M".as_ref(), &image])
            && run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-m".as_ref(), "0".as_ref(), &image])
            && run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &at]);
        done.then_some(FileSystem { at, _directory: directory })
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        run("umount", &[&self.at]);
    }
}

fn run(program: &str, words: &[&Path]) -> bool {
    let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Every key below `count` answers its value.
fn is_whole(connection: &mut Connection, count: usize) {
    crate::store::read(connection, "key", count, |number, value| {
        assert!(
            value == Value::Bulk(filler(number as u64, VALUE_BYTES)),
            "key:{number} {}",
            crate::process::shown(&value)
        );
    });
}

/// Sets keys from number `count` on, until one is refused: the refusal, and how many are there then.
fn fill(connection: &mut Connection, mut count: usize) -> (usize, String) {
    let began = now();
    loop {
        assert!(began.elapsed() < PATIENCE, "the disk must be full after {count} keys");
        (count..count + PIPELINE).for_each(|number| push(connection, number));
        connection.flush().expect("the server takes it");
        let answers: Vec<Value> = (0..PIPELINE).map(|_| connection.answer().expect("an answer")).collect();
        let accepted = answers.iter().take_while(|answer| **answer == okay()).count();
        count += accepted;
        if let Some(refused) = answers.into_iter().nth(accepted) {
            return (count, crate::store::refusal(refused));
        }
    }
}

fn push(connection: &mut Connection, number: usize) {
    connection.push(&[b"SET", format!("key:{number}").as_bytes(), &filler(number as u64, VALUE_BYTES)]);
}

fn set(connection: &mut Connection, number: usize) -> Value {
    push(connection, number);
    connection.flush().expect("the server takes it");
    connection.answer().expect("an answer")
}

#[test]
fn a_full_disk_refuses_writes_with_words_and_loses_nothing() {
    let Some(disk) = FileSystem::mount() else {
        println!("skipped: a file system of its own needs root, mkfs.ext4 and a loop device");
        return;
    };
    // Two thirds of it belong to somebody else, who will go.
    let ballast = disk.at.join("ballast");
    assert!(run("fallocate", &["-l".as_ref(), "56M".as_ref(), &ballast]));
    let data = disk.at.join("data");
    let mut server = Server::start(&data, &DIRECTIVES);
    let mut connection = server.connect();
    let (mut count, words) = fill(&mut connection, 0);
    println!("after {count} keys: {words}");
    assert!(count * VALUE_BYTES > 16 << 20, "only {count} keys went onto the disk");
    assert!(words.starts_with("MISCONF ") || words.starts_with("OOM "), "{words}");
    is_whole(&mut connection, count);
    assert!(matches!(set(&mut connection, count), Value::Error(_)), "it is still full");
    // It waited until there was space again: 57 s in a test of a minute.
    let began = now();
    connection.push(&[b"SET", b"large".as_slice(), &filler(1, LARGE_BYTES)]);
    connection.flush().expect("the server takes it");
    let refused = crate::store::refusal(connection.answer().expect("an answer"));
    assert!(refused.starts_with("MISCONF ") || refused.starts_with("OOM "), "{refused}");
    assert!(began.elapsed() < REFUSED_WITHIN, "a large value was refused after {:?}", began.elapsed());
    is_whole(&mut connection, count);

    // Space comes back: writes work again, by themselves. The first may find room that GC has made before the disk has any: a file
    // system gives what was removed only after a while.
    std::fs::remove_file(&ballast).expect("ours");
    let began = now();
    for _ in 0..500 {
        while set(&mut connection, count) != okay() {
            assert!(began.elapsed() < PATIENCE, "there is space again, and writes are refused");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        count += 1;
    }
    println!("500 writes work {:?} after space came back", began.elapsed());
    is_whole(&mut connection, count);
    server.kill();
    let server = Server::start(&data, &DIRECTIVES);
    let mut connection = server.connect();
    is_whole(&mut connection, count);
    assert_eq!(connection.number(&["DBSIZE"]) as usize, count);
}
