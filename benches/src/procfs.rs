//! What the kernel says of a process: the second witness beside INFO.
//!
//! Every answer is optional: a process of another user or another machine has none.

use serde::Serialize;
use std::collections::HashMap;

/// Kernel clock ticks per second as `/proc` reports CPU time on every Linux that Rust runs on.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// Names of server programs: a process id from INFO is believed only if it is one of these.
const SERVERS: &[&str] = &["thermocline", "redis", "valkey", "keydb", "dragonfly", "kvrocks", "garnet", "memcached"];

/// One look at a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ProcessSample {
    /// Resident memory now.
    pub rss_bytes: u64,
    /// Highest resident memory since the process began.
    pub rss_peak_bytes: u64,
    /// CPU seconds, user and system, all threads.
    pub cpu_seconds: f64,
    /// Bytes that the kernel read from storage for it.
    pub read_bytes: u64,
    /// Bytes that the kernel wrote to storage for it.
    pub write_bytes: u64,
}

/// Is this process on this machine and a server?
pub fn is_server(process: u32) -> bool {
    read(&format!("/proc/{process}/comm")).is_some_and(|name| SERVERS.iter().any(|server| name.contains(server)))
}

/// Looks at a process.
pub fn sample(process: u32) -> Option<ProcessSample> {
    let status = fields(&read(&format!("/proc/{process}/status"))?);
    let io = read(&format!("/proc/{process}/io")).map(|text| fields(&text)).unwrap_or_default();
    let stat = read(&format!("/proc/{process}/stat"))?;
    let number = |table: &HashMap<String, u64>, name: &str| table.get(name).copied().unwrap_or_default();
    Some(ProcessSample {
        rss_bytes: number(&status, "VmRSS") * 1024,
        rss_peak_bytes: number(&status, "VmHWM") * 1024,
        cpu_seconds: cpu_ticks(&stat)? as f64 / TICKS_PER_SECOND,
        read_bytes: number(&io, "read_bytes"),
        write_bytes: number(&io, "write_bytes"),
    })
}

/// CPU seconds of the calling thread.
pub fn thread_cpu_seconds() -> Option<f64> {
    let nanoseconds = read("/proc/thread-self/schedstat")?.split(' ').next()?.parse::<u64>().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// CPU seconds of all threads of this process, to the nanosecond; a thread that has ended is not in it.
pub fn process_cpu_seconds() -> Option<f64> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        // A thread that ends meanwhile has no file any more.
        let text = read(task.ok()?.path().join("schedstat").to_str()?).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(nanoseconds as f64 / 1e9)
}

/// `utime` and `stime`: the 12th and 13th field behind the name, which ends at the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn fields(text: &str) -> HashMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.split_whitespace().next()?.parse().ok()?))).collect()
}

/// One of the kernel's own files.
#[expect(clippy::disallowed_methods, reason = "the kernel's own files about a process")]
pub fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_look_at_itself() {
        let sample = sample(std::process::id()).unwrap();
        assert!(sample.rss_bytes > 100_000);
        assert!(sample.rss_peak_bytes >= sample.rss_bytes);
        assert!(thread_cpu_seconds().unwrap() >= 0.0);
    }

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("nothing"), None);
    }
}
