//! Amounts of memory as people write them, and how much the machine has.
//!
//! Promises: `1k` is 1000 and `1kb` is 1024, as in redis.conf. The machine's memory is the cgroup's limit when that is less.

use std::path::Path;

/// Bytes meant by `text`: a number with an optional unit.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        "t" => 1_000_000_000_000,
        "tb" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// The share meant by `75%`.
pub fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.parse().ok().filter(|percent| (1..=100).contains(percent))
}

/// Bytes in the form people read: `1.50G`.
pub fn human(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / *unit as f64),
        None => format!("{bytes}B"),
    }
}

/// Memory this process may use: the machine's, or the cgroup's limit when that is less.
pub fn machine_bytes() -> u64 {
    let total = read("/proc/meminfo")
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(1 << 30, |kib| kib << 10);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    limits
        .iter()
        .filter_map(|path| read(path)?.trim().parse::<u64>().ok())
        .filter(|limit| *limit > 0)
        .fold(total, u64::min)
}

/// Resident memory of this process.
pub fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    read("/proc/self/statm").and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// Processor time of this process: user and system seconds.
pub fn processor_seconds() -> (f64, f64) {
    /// What the kernel counts in, on every machine it still runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The program's name stands in parentheses and may hold anything; user and system time are words 12 and 13 behind it.
    let text = read("/proc/self/stat").unwrap_or_default();
    let words: Vec<&str> = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let seconds = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND;
    (seconds(11), seconds(12))
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own numbers, not files of the store")]
fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_redis() {
        assert_eq!(bytes("64mb"), Some(64 << 20));
        assert_eq!(bytes("1K"), Some(1000));
        assert_eq!(bytes("1GB"), Some(1 << 30));
        assert_eq!(bytes("12"), Some(12));
        for text in ["", "mb", "1x", "-1", "1.5gb", "99999999999gb", "18446744073709551616"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!((percent("75%"), percent("0%"), percent("101%"), percent("75")), (Some(75), None, None, None));
    }

    #[test]
    fn people_read_two_digits() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(941_096), "919.04K");
        assert_eq!(human(3 << 29), "1.50G");
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(machine_bytes() > 64 << 20);
        assert!(resident_bytes() > 0);
    }
}
