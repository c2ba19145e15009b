//! The server's settings: read at start, asked by everyone, changed by CONFIG SET.
//!
//! Promises: several pairs of one CONFIG SET are set all or not at all; what hot code asks is an atomic, the rest is text.
//! Never applies a setting to the store itself (the CONFIG command does).

mod directive;
mod file;
pub mod memory;
#[cfg(test)]
mod packaged;
mod startup;
mod table;

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use directive::{Directive, Kind};
pub use file::Given;
pub use startup::{Startup, amount, durability, eviction};
pub use table::{DIRECTIVES, place};

/// All settings.
pub struct Settings {
    values: RwLock<Vec<String>>,
    hot: Hot,
}

/// Settings that are asked for each command or connection.
#[derive(Default)]
struct Hot {
    proto_max_bulk_len: AtomicU64,
    query_buffer_bytes_max: AtomicU64,
    clients_max: AtomicU64,
    timeout_s: AtomicU64,
    password_is_set: AtomicBool,
    policy_is_lfu: AtomicBool,
}

impl Settings {
    /// Defaults, and over them what was given.
    pub fn new(given: &Given) -> Settings {
        let mut values: Vec<String> = DIRECTIVES.iter().map(|directive| directive.default.to_owned()).collect();
        for (at, value) in given.iter() {
            values[at] = value.to_owned();
        }
        let settings = Settings { values: RwLock::new(values), hot: Hot::default() };
        settings.refresh();
        settings
    }

    /// The value of a directive of ours. A name that is none is a bug.
    pub fn text(&self, name: &str) -> String {
        self.value(place(name).expect("the directive stands in the table"))
    }

    /// The value at a place of the table.
    pub fn value(&self, place: usize) -> String {
        self.read()[place].clone()
    }

    /// The value of a whole-number or memory directive of ours.
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Whether a yes-or-no directive of ours says yes.
    pub fn is_yes(&self, name: &str) -> bool {
        self.text(name) == "yes"
    }

    /// Replaces values, all at once.
    pub fn replace(&self, changes: &[(usize, String)]) {
        let mut values = self.values.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (at, value) in changes {
            values[*at].clone_from(value);
        }
        drop(values);
        self.refresh();
    }

    /// Longest string, and longest argument.
    pub fn proto_max_bulk_len(&self) -> u64 {
        self.hot.proto_max_bulk_len.load(Ordering::Relaxed)
    }

    /// Most bytes of a client's unread commands.
    pub fn query_buffer_bytes_max(&self) -> u64 {
        self.hot.query_buffer_bytes_max.load(Ordering::Relaxed)
    }

    /// Most clients at once.
    pub fn clients_max(&self) -> u64 {
        self.hot.clients_max.load(Ordering::Relaxed)
    }

    /// Seconds after which a silent client is closed; 0 = never.
    pub fn timeout_s(&self) -> u64 {
        self.hot.timeout_s.load(Ordering::Relaxed)
    }

    /// Whether clients must show a password.
    pub fn password_is_set(&self) -> bool {
        self.hot.password_is_set.load(Ordering::Relaxed)
    }

    /// Whether OBJECT FREQ may answer.
    pub fn maxmemory_policy_is_lfu(&self) -> bool {
        self.hot.policy_is_lfu.load(Ordering::Relaxed)
    }

    fn refresh(&self) {
        let hot = &self.hot;
        hot.proto_max_bulk_len.store(self.number("proto-max-bulk-len"), Ordering::Relaxed);
        hot.query_buffer_bytes_max.store(self.number("client-query-buffer-limit"), Ordering::Relaxed);
        hot.clients_max.store(self.number("maxclients"), Ordering::Relaxed);
        hot.timeout_s.store(self.number("timeout"), Ordering::Relaxed);
        hot.password_is_set.store(!self.text("requirepass").is_empty(), Ordering::Relaxed);
        hot.policy_is_lfu.store(self.text("maxmemory-policy").ends_with("lfu"), Ordering::Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<String>> {
        self.values.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
