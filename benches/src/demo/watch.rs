//! Asks the demo's server how it is, twice a second, on a connection of its own.
//!
//! A server without an answer leaves the last one standing; the demo does not depend on it.

use crate::control::{Control, Target};
use crate::observe::Info;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thermocline_resp::Value;

const INTERVAL: Duration = Duration::from_millis(500);

/// The server at a moment, by its own words.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ServerState {
    /// DRAM in use.
    pub memory_bytes: u64,
    /// Its `maxmemory`.
    pub memory_bytes_max: u64,
    /// SSD space in use.
    pub disk_bytes: u64,
    /// Keys.
    pub keys: u64,
    /// Of these, keys whose value lies in DRAM.
    pub hot_keys: u64,
    /// Reads from the SSD since its start.
    pub cold_reads: u64,
    /// Reads per GET that needs the SSD.
    pub reads_per_cold_get: f64,
}

impl ServerState {
    fn of(text: &str) -> Self {
        let info = Info::parse(text);
        let number = |name: &str| info.number(name).unwrap_or(0);
        Self {
            memory_bytes: number("memory_bytes"),
            memory_bytes_max: number("max_memory"),
            disk_bytes: number("disk_used"),
            keys: number("keys"),
            hot_keys: number("hot_keys"),
            cold_reads: number("cold_reads"),
            reads_per_cold_get: info.number("reads_per_cold_get").unwrap_or(0.0),
        }
    }
}

/// Asks until `quit`.
pub fn run(target: &Target, state: &Mutex<Option<ServerState>>, quit: &AtomicBool) {
    let Ok(mut control) = Control::connect(target) else { return };
    while !quit.load(Ordering::Relaxed) {
        match control.call(&["INFO", "tier"]) {
            Ok(Value::Bulk(text) | Value::Verbatim { text, .. }) => {
                let seen = ServerState::of(&String::from_utf8_lossy(&text));
                *state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(seen);
            }
            Ok(_) => {}
            // The server has gone; the client's thread says so.
            Err(_) => return,
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_read_from_info() {
        let state = ServerState::of("# Tier\r\nhot_keys:3\r\nmemory_bytes:70\r\nreads_per_cold_get:1.002\r\n");
        assert_eq!((state.hot_keys, state.memory_bytes, state.reads_per_cold_get), (3, 70, 1.002));
        assert_eq!(state.cold_reads, 0, "what is not told");
    }
}
