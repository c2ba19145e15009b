//! Watches the server while a run goes: INFO (memcached: `stats`) before, after and once a second, `/proc/PID` when the
//! server is on this machine. Runs on its own thread and connection.
//!
//! A server without an answer to a question is watched without it; the run does not depend on the watch. Bounded: of a long
//! run every second sample is dropped whenever there are too many.

use crate::clock::Clock;
use crate::control::{Control, Target};
use crate::procfs::{self, ProcessSample};
use crate::report::{ObservedPoint, POINTS_MAX};
use crate::wire::Protocol;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(1);

/// Memcached's numbers that belong to its tier of storage.
const MEMCACHED_TIER: &[&str] =
    &["extstore", "evictions", "get_hits", "get_misses", "curr_items", "badcrc", "miss_from_ext"];

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
                info.insert(name, value, section == "tier");
            }
        }
        info
    }

    /// Reads the text of memcached's `stats`; its names are put beside those of INFO.
    pub fn of_memcached(text: &str) -> Self {
        let mut info = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("STAT ")) {
            let Some((name, value)) = line.split_once(' ') else { continue };
            info.insert(name, value, MEMCACHED_TIER.iter().any(|part| name.starts_with(part)));
            let usual = match name {
                "pid" => "process_id",
                "version" => "memcached_version",
                "limit_maxbytes" => "maxmemory",
                "bytes" => "used_memory",
                "extstore_bytes_used" => "disk_used",
                _ => continue,
            };
            info.fields.insert(usual.to_owned(), value.to_owned());
        }
        info
    }

    /// Adds the answer to another question.
    pub fn extend(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.tier.extend(other.tier);
    }

    fn insert(&mut self, name: &str, value: &str, tier: bool) {
        if tier && let Ok(number) = value.parse() {
            self.tier.insert(name.to_owned(), number);
        }
        self.fields.insert(name.to_owned(), value.to_owned());
    }

    /// A field that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.fields.get(name)?.parse().ok()
    }

    fn version(&self) -> Option<String> {
        let names = ["thermocline_version", "valkey_version", "redis_version", "memcached_version"];
        names.iter().find_map(|name| Some(format!("{name}:{}", self.fields.get(*name)?)))
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

enum Order {
    /// What comes counts from here.
    Restart,
    Stop,
}

/// The watch on its thread.
pub struct Observer {
    orders: Sender<Order>,
    thread: JoinHandle<Observed>,
}

impl Observer {
    /// Begins to watch. An error only if the server cannot be reached at all.
    pub fn start(target: &Target) -> anyhow::Result<Self> {
        let control = Control::connect(target)?;
        let protocol = target.speech.protocol();
        let process = target.process;
        let (orders, received) = channel();
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || Watch::begin(control, protocol, process).until_stopped(&received))?;
        Ok(Self { orders, thread })
    }

    /// Begins anew: a warm-up is over.
    pub fn restart(&self) {
        // A thread that has already ended needs no order; the report then misses what it would have seen.
        let _ = self.orders.send(Order::Restart);
    }

    /// Ends the watch.
    pub fn finish(self) -> Observed {
        let _ = self.orders.send(Order::Stop);
        self.thread.join().unwrap_or_default()
    }
}

/// A moment: what the server says and what the kernel says of it.
#[derive(Debug, Clone, Default)]
struct Sample {
    info: Info,
    process: Option<ProcessSample>,
}

struct Watch {
    /// `None` once it gave no answer: a late one would be taken for another.
    control: Option<Control>,
    protocol: &'static dyn Protocol,
    process: Option<u32>,
    clock: Clock,
    before: Sample,
    points: Vec<ObservedPoint>,
    /// Every so many seconds a point is kept.
    stride: usize,
    seconds: usize,
}

impl Watch {
    fn begin(control: Control, protocol: &'static dyn Protocol, process: Option<u32>) -> Self {
        let before = Sample::default();
        let (clock, points) = (Clock::start(), Vec::new());
        let mut watch =
            Self { control: Some(control), protocol, process, clock, before, points, stride: 1, seconds: 0 };
        let info = watch.ask();
        watch.process = process.or(info.number("process_id").filter(|process| procfs::is_server(*process)));
        watch.before = Sample { info, process: watch.process.and_then(procfs::sample) };
        watch
    }

    fn until_stopped(mut self, orders: &Receiver<Order>) -> Observed {
        loop {
            match orders.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {
                    let sample = self.sample();
                    self.keep(&sample);
                }
                Ok(Order::Restart) => {
                    self.before = self.sample();
                    (self.clock, self.stride, self.seconds) = (Clock::start(), 1, 0);
                    self.points.clear();
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    let after = self.sample();
                    self.points.push(point(&self.before, &after, self.clock.seconds()));
                    return observed(&self.before, &after, self.points);
                }
            }
        }
    }

    fn sample(&mut self) -> Sample {
        // The kernel first: it answers at once, and the server may be gone.
        let process = self.process.and_then(procfs::sample);
        Sample { info: self.ask(), process }
    }

    fn ask(&mut self) -> Info {
        let answer = self.control.as_mut().map(|control| self.protocol.ask(control));
        answer.and_then(Result::ok).unwrap_or_else(|| {
            self.control = None;
            Info::default()
        })
    }

    fn keep(&mut self, sample: &Sample) {
        self.seconds += 1;
        if self.seconds.is_multiple_of(self.stride) {
            self.points.push(point(&self.before, sample, self.clock.seconds()));
        }
        if self.points.len() == POINTS_MAX {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.stride *= 2;
        }
    }
}

fn point(before: &Sample, now: &Sample, at_s: f64) -> ObservedPoint {
    let both = before.process.zip(now.process);
    let Sample { info, process } = now;
    ObservedPoint {
        at_s,
        rss_bytes: process.map(|process| process.rss_bytes).or_else(|| info.number("used_memory_rss")),
        dram_bytes: info.number("memory_bytes").or_else(|| info.number("used_memory")),
        disk_used_bytes: info.number("disk_used"),
        device_read_bytes: both.map(|(before, now)| now.read_bytes.saturating_sub(before.read_bytes)),
        device_write_bytes: both.map(|(before, now)| now.write_bytes.saturating_sub(before.write_bytes)),
        write_amplification: info.number("write_amplification"),
        cpu_seconds: both.map(|(before, now)| now.cpu_seconds - before.cpu_seconds),
    }
}

fn observed(before: &Sample, after: &Sample, points: Vec<ObservedPoint>) -> Observed {
    let changes = after.info.tier.iter().filter_map(|(name, after)| {
        let change = after - before.info.tier.get(name).unwrap_or(&0.0);
        (change != 0.0).then(|| (name.clone(), change))
    });
    // A server that died in between has told its last state in the last sample.
    let last = points.iter().rev().find(|point| point.cpu_seconds.is_some()).copied().unwrap_or_default();
    Observed {
        version: after.info.version().or_else(|| before.info.version()).unwrap_or_else(|| "unknown".to_owned()),
        max_memory_bytes: after.info.number("maxmemory").or_else(|| before.info.number("maxmemory")),
        rss_max_bytes: points.iter().filter_map(|point| point.rss_bytes).max(),
        rss_peak_bytes: after.process.map(|process| process.rss_peak_bytes),
        cpu_seconds: last.cpu_seconds,
        read_bytes: last.device_read_bytes,
        write_bytes: last.device_write_bytes,
        tier_changes: changes.collect(),
        tier_after: after.info.tier.clone(),
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(info: Info) -> Sample {
        Sample { info, process: None }
    }

    #[test]
    fn changes_of_the_tier_section_are_after_less_before() {
        let before =
            Info::parse("# Server\r\nredis_version:7.2.4\r\n\r\n# Tier\r\ncold_hits:5\r\nio_backend:uring\r\n");
        let after =
            Info::parse("# Server\r\nmaxmemory:100\r\n# Tier\r\ncold_hits:12\r\nhot_hits:0\r\nio_backend:uring\r\n");
        let (before, after) = (sample(before), sample(after));
        let point = ObservedPoint { rss_bytes: Some(7), ..point(&before, &after, 1.0) };
        let seen = observed(&before, &after, vec![point]);
        assert_eq!(seen.tier_changes, BTreeMap::from([("cold_hits".to_owned(), 7.0)]));
        assert_eq!(seen.version, "redis_version:7.2.4");
        assert_eq!(seen.max_memory_bytes, Some(100));
        assert_eq!(seen.rss_max_bytes, Some(7));
        assert_eq!(seen.read_bytes, None);
    }

    #[test]
    fn memcached_tells_the_same_under_other_names() {
        let text = "STAT pid 42\r\nSTAT version 1.6.18\r\nSTAT bytes 100\r\nSTAT limit_maxbytes 67108864\r\n\
            STAT extstore_bytes_used 5\r\nSTAT get_hits 3\r\nEND\r\n";
        let now = sample(Info::of_memcached(text));
        assert_eq!(now.info.number("process_id"), Some(42));
        let point = point(&Sample::default(), &now, 0.0);
        assert_eq!((point.dram_bytes, point.disk_used_bytes), (Some(100), Some(5)));
        let seen = observed(&Sample::default(), &now, vec![point]);
        assert_eq!(seen.version, "memcached_version:1.6.18");
        assert_eq!((seen.max_memory_bytes, seen.tier_changes["get_hits"]), (Some(64 << 20), 3.0));
    }
}
