//! Stores to damage: what the same writer leaves after a clean shutdown, a kill behind one, and a kill behind a kill.
//!
//! Each comes with its directory as it was one life before, for blocks that an update never reached, and with what each key holds,
//! known from outside. Behind the writer's last change lies more log than one damage reaches: that the very end of a log is
//! zeros, as if it had never been written, nobody could see.
//!
//! Promises: the writer's changes were all acknowledged under `always`. Never: a store that a server still has open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::oracle::State;
use crate::process::{Connection, Server};
use crate::writer::{SOON_MS_MAX, Writer, unix_ms};
use thermocline_resp::Value;

/// Small enough for many copies; the writer wraps around in it.
pub const DIRECTIVES: [&str; 6] = ["--maxmemory", "64mb", "--maxdisk", "32mb", "--appendfsync", "always"];
const PIPELINES: u64 = 1500;
/// More than two segments.
const LAST_WRITES: usize = 80;
const LAST_BYTES: usize = 4000;

/// A stopped store.
pub struct Store {
    pub name: &'static str,
    pub directory: PathBuf,
    /// The same directory, one life before.
    pub older: PathBuf,
    pub states: Vec<State>,
    /// Segments in which cold keys lie.
    pub segments: Vec<u64>,
}

/// Makes them, below `root`.
pub fn make(root: &Path) -> Vec<Store> {
    let data = root.join("data");
    let mut writer = Writer::new(0);
    let mut stores = Vec::new();
    let mut older = root.join("first");
    live(&data, &mut writer, false);
    copy(&data, &older);
    for (name, clean) in [("closed", true), ("killed", false), ("killed again", false)] {
        let segments = live(&data, &mut writer, clean);
        let directory = root.join(name.replace(' ', "-"));
        copy(&data, &directory);
        stores.push(Store { name, directory: directory.clone(), older, states: writer.states().to_vec(), segments });
        older = directory;
    }
    // What was to expire soon has expired: from here on only damage changes what a key holds.
    std::thread::sleep(Duration::from_millis(SOON_MS_MAX));
    let now_ms = unix_ms();
    for state in stores.iter_mut().flat_map(|store| &mut store.states) {
        *state = state.filter(|held| held.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms));
    }
    stores
}

/// One life of the store. Returns the segments with cold keys.
fn live(data: &Path, writer: &mut Writer, clean: bool) -> Vec<u64> {
    let mut server = Server::start(data, &DIRECTIVES);
    writer.run(server.connect(), Duration::ZERO, PIPELINES);
    let mut connection = server.connect();
    for number in 0..LAST_WRITES {
        let answer = connection.call(&[b"SET", format!("last:{number}").as_bytes(), &[b'x'; LAST_BYTES]]);
        assert_eq!(answer, Value::Simple(b"OK".to_vec()));
    }
    let mut segments = segments_of_cold_keys(&mut connection);
    segments.sort_unstable();
    segments.dedup();
    if clean {
        server.shut_down()
    } else {
        server.kill()
    }
    segments
}

fn segments_of_cold_keys(connection: &mut Connection) -> Vec<u64> {
    let keys: Vec<String> = (0..crate::writer::KEYS).map(|number| crate::value::key(0, number)).collect();
    for key in &keys {
        connection.push(&["TIER", "KEY", key]);
    }
    connection.flush().expect("the server takes it");
    let mut segments = Vec::new();
    for _ in &keys {
        let Value::Array(flat) = connection.answer().expect("an answer") else { continue };
        let segment = flat.chunks_exact(2).find(|pair| pair[0] == Value::Bulk(b"segment".to_vec()));
        if let Some([_, Value::Integer(segment)]) = segment {
            segments.push(*segment as u64);
        }
    }
    segments
}

/// Copies the files of a directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}
