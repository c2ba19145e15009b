//! What a server costs: CPU, SSD bytes and resident memory of its process and all that it started.

use crate::procfs::{self, ProcessSample};

/// Deepest tree that is followed.
const DEPTH_MAX: u32 = 8;

/// Looks at a process and its descendants; `None` when it is gone. `rss_peak_bytes` is the sum of the peaks.
pub fn sample_tree(process: u32) -> Option<ProcessSample> {
    sample_below(process, DEPTH_MAX)
}

fn sample_below(process: u32, depth: u32) -> Option<ProcessSample> {
    let own = procfs::sample(process)?;
    let children = if depth == 0 { Vec::new() } else { children(process) };
    let below = children.into_iter().filter_map(|child| sample_below(child, depth - 1));
    Some(below.fold(own, |sum, child| ProcessSample {
        rss_bytes: sum.rss_bytes + child.rss_bytes,
        rss_peak_bytes: sum.rss_peak_bytes + child.rss_peak_bytes,
        cpu_seconds: sum.cpu_seconds + child.cpu_seconds,
        read_bytes: sum.read_bytes + child.read_bytes,
        write_bytes: sum.write_bytes + child.write_bytes,
    }))
}

fn children(process: u32) -> Vec<u32> {
    let text = procfs::read(&format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Seconds that all cores together worked since the machine started, for whomever.
pub fn machine_busy_seconds() -> Option<f64> {
    busy_ticks(&procfs::read("/proc/stat")?).map(|ticks| ticks as f64 / procfs::TICKS_PER_SECOND)
}

/// user, nice, system, idle, iowait, irq, softirq, steal: all but the two in which nobody works. What a guest uses is in user.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Option<Vec<u64>> =
        stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(|n| n.parse().ok()).collect();
    let fields = fields.filter(|fields| fields.len() >= 5)?;
    Some(fields.iter().take(8).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, ticks)| ticks).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn waiting_and_guests_are_not_work() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 2000 8 16 32 5000 6000\ncpu0 9 9 9 9 9\n"), Some(63));
        assert_eq!(busy_ticks("intr 1 2 3 4 5\n"), None);
        assert!(machine_busy_seconds().unwrap() > 0.0);
    }

    #[test]
    fn what_a_server_starts_is_counted_with_it() {
        // Two commands, or the shell would become the second one.
        let mut shell = Command::new("sh").args(["-c", "sleep 30; true"]).spawn().unwrap();
        let found = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !children(shell.id()).is_empty()
        });
        let (tree, own) = (sample_tree(shell.id()).unwrap(), procfs::sample(shell.id()).unwrap());
        for child in children(shell.id()) {
            Command::new("kill").arg(child.to_string()).status().unwrap();
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(found, "the kernel names the children of a process");
        assert!(tree.rss_bytes > own.rss_bytes);
        assert_eq!(sample_tree(shell.id()), None, "gone");
    }
}
