//! Watches the server while a run goes: INFO before and after, resident memory once a second, `/proc/PID` when the server
//! is on this machine. Runs on its own thread and connection.
//!
//! A server without an answer to a question is watched without it; the run does not depend on the watch.

use crate::control::{Control, Target};
use crate::procfs::{self, ProcessSample};
use crate::report::ObservedPoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use thermocline_resp::Value;

const INTERVAL: Duration = Duration::from_secs(1);

/// INFO as pairs; `section` is the part under that heading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Info {
    fields: BTreeMap<String, String>,
    tier: BTreeMap<String, f64>,
}

impl Info {
    /// Reads the text of INFO.
    pub fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let mut section = String::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                section = heading.trim().to_ascii_lowercase();
            } else if let Some((name, value)) = line.split_once(':') {
                if section == "tier"
                    && let Ok(number) = value.parse()
                {
                    info.tier.insert(name.to_owned(), number);
                }
                info.fields.insert(name.to_owned(), value.to_owned());
            }
        }
        info
    }

    /// A field that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.fields.get(name)?.parse().ok()
    }
}

/// What was seen of the server during a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Its own name and version, as INFO says.
    pub version: String,
    /// Its `maxmemory` in bytes, when INFO tells.
    pub max_memory_bytes: Option<u64>,
    /// Highest resident memory of the samples.
    pub rss_max_bytes: Option<u64>,
    /// Highest resident memory since the server's start, by the kernel.
    pub rss_peak_bytes: Option<u64>,
    /// CPU seconds that the server used meanwhile.
    pub cpu_seconds: Option<f64>,
    /// Storage bytes read meanwhile, by the kernel.
    pub read_bytes: Option<u64>,
    /// Storage bytes written meanwhile, by the kernel.
    pub write_bytes: Option<u64>,
    /// Numbers of INFO's tier section that changed: after less before.
    pub tier_changes: BTreeMap<String, f64>,
    /// The tier section at the end.
    pub tier_after: BTreeMap<String, f64>,
    /// The samples in between; a report shows them in its timeline.
    #[serde(skip)]
    pub points: Vec<ObservedPoint>,
}

/// The watch on its thread.
pub struct Observer {
    stop: Sender<()>,
    thread: JoinHandle<Observed>,
}

impl Observer {
    /// Begins to watch. An error only if the server cannot be reached at all.
    pub fn start(target: &Target) -> anyhow::Result<Self> {
        let mut control = Control::connect(target)?;
        let before = ask(&mut control);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            let process = before.number("process_id").filter(|process| procfs::is_server(*process));
            let process_before = process.and_then(procfs::sample);
            let mut rss_max_bytes = 0;
            let mut last = before.clone();
            loop {
                let sampled = process.and_then(procfs::sample).map(|sample| sample.rss_bytes);
                let rss_bytes = sampled.or_else(|| last.number("used_memory_rss"));
                rss_max_bytes = rss_max_bytes.max(rss_bytes.unwrap_or(0));
                let waited = stopped.recv_timeout(INTERVAL);
                if process.is_none() || waited != Err(RecvTimeoutError::Timeout) {
                    last = ask(&mut control);
                }
                if waited != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            let process_after = process.and_then(procfs::sample);
            observed(&before, &last, process_before, process_after, rss_max_bytes)
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the watch.
    pub fn finish(self) -> Observed {
        // A thread that has already ended needs no stop.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

fn ask(control: &mut Control) -> Info {
    let text = |answer| match answer {
        Ok(Value::Bulk(text) | Value::Verbatim { text, .. }) => Some(text),
        _ => None,
    };
    let mut info = Info::default();
    for question in [&["INFO"][..], &["INFO", "tier"]] {
        if let Some(text) = text(control.call(question)) {
            let part = Info::parse(&String::from_utf8_lossy(&text));
            info.fields.extend(part.fields);
            info.tier.extend(part.tier);
        }
    }
    info
}

fn observed(
    before: &Info,
    after: &Info,
    process_before: Option<ProcessSample>,
    process_after: Option<ProcessSample>,
    rss_max_bytes: u64,
) -> Observed {
    let both = process_before.zip(process_after);
    let version = ["thermocline_version", "valkey_version", "redis_version"]
        .iter()
        .find_map(|name| Some(format!("{name}:{}", before.fields.get(*name)?)));
    let changes = after.tier.iter().filter_map(|(name, after)| {
        let change = after - before.tier.get(name).unwrap_or(&0.0);
        (change != 0.0).then(|| (name.clone(), change))
    });
    Observed {
        version: version.unwrap_or_else(|| "unknown".to_owned()),
        max_memory_bytes: after.number("maxmemory"),
        rss_max_bytes: Some(rss_max_bytes.max(process_after.map_or(0, |sample| sample.rss_bytes)))
            .filter(|rss| *rss > 0),
        rss_peak_bytes: process_after.map(|sample| sample.rss_peak_bytes),
        cpu_seconds: both.map(|(before, after)| after.cpu_seconds - before.cpu_seconds),
        read_bytes: both.map(|(before, after)| after.read_bytes.saturating_sub(before.read_bytes)),
        write_bytes: both.map(|(before, after)| after.write_bytes.saturating_sub(before.write_bytes)),
        tier_changes: changes.collect(),
        tier_after: after.tier.clone(),
        points: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_the_tier_section_are_after_less_before() {
        let before =
            Info::parse("# Server\r\nredis_version:7.2.4\r\n\r\n# Tier\r\ncold_hits:5\r\nio_backend:uring\r\n");
        let after =
            Info::parse("# Server\r\nmaxmemory:100\r\n# Tier\r\ncold_hits:12\r\nhot_hits:0\r\nio_backend:uring\r\n");
        let seen = observed(&before, &after, None, None, 7);
        assert_eq!(seen.tier_changes, BTreeMap::from([("cold_hits".to_owned(), 7.0)]));
        assert_eq!(seen.version, "redis_version:7.2.4");
        assert_eq!(seen.max_memory_bytes, Some(100));
        assert_eq!(seen.rss_max_bytes, Some(7));
        assert_eq!(seen.read_bytes, None);
    }
}
