//! Keeps a number of requests in flight on one queue and measures them.
//!
//! One thread, one queue: wait for completions, check them, submit as many new ones; one look at the clock per batch. A
//! latency is counted from the look before the request was submitted to the look after its completion was reaped. Never more
//! requests than the depth; an error of the disk ends the measurement with the place where it happened.

use super::DeviceArguments;
use super::case::Case;
use super::pattern::{self, Pattern, WrongReads};
use super::scratch::Scratch;
use crate::clock::Clock;
use crate::procfs;
use crate::tally::Latencies;
use anyhow::{Context as _, Result, anyhow};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thermocline_io::{FileId, Operation, QUEUE_DEPTH_MAX, Queue, Request};

/// How soon a stop is seen when nothing completes.
const WAIT: Duration = Duration::from_millis(100);

/// When no new requests are made any more.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    /// Nanoseconds after the first request.
    pub ns: u64,
    /// Or as soon as this is set.
    pub stop: &'a AtomicBool,
    /// So many new requests are handed to the kernel at a time. A device that gets all of them at once may finish them at once,
    /// and is idle until the thread has been through them.
    pub batch: usize,
}

/// What was pumped.
#[derive(Default)]
pub struct Pumped {
    /// Requests completed.
    pub requests: u64,
    /// From the first submission to the last completion.
    pub seconds: f64,
    /// Of the requests.
    pub latencies: Latencies,
}

/// One measurement.
#[derive(Default)]
pub struct Measured {
    /// Requests, time, latencies.
    pub pumped: Pumped,
    /// CPU of all threads of this process meanwhile.
    pub cpu_seconds: Option<f64>,
    /// Blocks that were not what was written.
    pub wrong: WrongReads,
}

/// Measures a row once.
pub fn measure(
    scratch: &Scratch,
    case: Case,
    arguments: &DeviceArguments,
    seed: u64,
    stop: &AtomicBool,
) -> Result<Measured> {
    let (file, mut pattern) = pattern::of(scratch, case, arguments, seed);
    let mut queue = scratch.disk.queue()?;
    let batch = arguments.batch as usize;
    let limit = Limit { ns: (arguments.seconds * 1e9) as u64, stop, batch };
    let cpu_before = procfs::process_cpu_seconds();
    let pumped = pump(&mut *queue, file, case.depth as usize, &mut *pattern, limit)?;
    let cpu_seconds = procfs::process_cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
    Ok(Measured { pumped, cpu_seconds, wrong: pattern.wrong() })
}

/// Keeps `depth` requests of a pattern in flight until the limit, or until the pattern has no more.
pub fn pump(
    queue: &mut dyn Queue,
    file: FileId,
    depth: usize,
    pattern: &mut dyn Pattern,
    limit: Limit<'_>,
) -> Result<Pumped> {
    assert!(depth <= QUEUE_DEPTH_MAX, "no queue holds {depth} requests");
    let mut pumped = Pumped::default();
    let mut began_ns = [0; QUEUE_DEPTH_MAX];
    let mut completions = Vec::with_capacity(depth);
    let clock = Clock::start();
    for tag in 0..depth as u64 {
        if let Some(operation) = pattern.start() {
            submit(queue, Request { tag, file, operation })?;
        }
    }
    let mut now_ns = 0;
    while queue.in_flight() > 0 {
        if queue.wait(WAIT, &mut completions)? == 0 {
            continue;
        }
        now_ns = clock.nanoseconds();
        let over = now_ns >= limit.ns || limit.stop.load(Ordering::Relaxed);
        let mut unflushed = 0;
        for completion in completions.drain(..) {
            completion.result.with_context(|| pattern::place(&completion.operation))?;
            let tag = completion.tag;
            if let Some(operation) = pattern.follow(completion.operation) {
                submit(queue, Request { tag, file, operation })?;
                continue;
            }
            pumped.requests += 1;
            pumped.latencies.0.saturating_record(now_ns - began_ns[tag as usize]);
            if !over && let Some(operation) = pattern.start() {
                began_ns[tag as usize] = now_ns;
                submit(queue, Request { tag, file, operation })?;
                unflushed += 1;
                if unflushed == limit.batch {
                    queue.flush()?;
                    unflushed = 0;
                }
            }
        }
    }
    pumped.seconds = now_ns as f64 / 1e9;
    Ok(pumped)
}

fn submit(queue: &mut dyn Queue, request: Request) -> Result<()> {
    queue.submit(request).map_err(|request| {
        let operation: Operation = request.operation;
        anyhow!("the queue is full at request {} ({})", request.tag, pattern::place(&operation))
    })
}

#[cfg(test)]
mod tests {
    use super::super::block;
    use super::super::pattern::{Fill, RandomRead};
    use super::*;
    use thermocline_io::{Disk as _, MemoryDisk};

    const BYTES: u64 = 4 << 20;

    fn filled(disk: &MemoryDisk) -> FileId {
        use thermocline_io::Disk;
        let file = disk.create("read", BYTES).unwrap();
        let stop = AtomicBool::new(false);
        let mut fill = Fill::new(BYTES, 4096, 1, |_| {});
        let pumped =
            pump(&mut *disk.queue().unwrap(), file, 4, &mut fill, Limit { ns: u64::MAX, stop: &stop, batch: 8 })
                .unwrap();
        assert_eq!(pumped.requests, BYTES / u64::from(pattern::FILL_BYTES));
        file
    }

    fn read(disk: &MemoryDisk, file: FileId, whole: bool) -> (u64, WrongReads) {
        let stop = AtomicBool::new(false);
        let mut reads = RandomRead::new(BYTES, 4096, 1, 9, whole).limited(10_000);
        let limit = Limit { ns: u64::MAX, stop: &stop, batch: 2 };
        let pumped = pump(&mut *disk.queue().unwrap(), file, 8, &mut reads, limit).unwrap();
        (pumped.requests, reads.wrong())
    }

    #[test]
    fn every_block_of_a_filled_file_is_right() {
        let disk = MemoryDisk::new(1 << 30);
        let file = filled(&disk);
        let (requests, wrong) = read(&disk, file, true);
        assert_eq!((requests, wrong.count), (10_000, 0));
    }

    #[test]
    fn a_planted_wrong_block_is_counted_and_named() {
        let disk = MemoryDisk::new(1 << 30);
        let file = filled(&disk);
        let mut other = vec![0; 4096];
        block::fill(&mut other, 4096, 0, 1);
        disk.write_at(file, 8192, &other).unwrap();
        let (_, wrong) = read(&disk, file, false);
        assert!(wrong.count > 0);
        assert!(wrong.shown[0].contains("8192") && wrong.shown[0].contains("offset 0"), "{:?}", wrong.shown);
        // A flipped byte in a body is seen by those who look at all of it.
        block::fill(&mut other, 4096, 8192, 1);
        other[4000] ^= 1;
        disk.write_at(file, 8192, &other).unwrap();
        assert_eq!(read(&disk, file, false).1.count, 0);
        assert!(read(&disk, file, true).1.count > 0);
    }

    #[test]
    fn an_error_of_the_disk_names_the_place() {
        let disk = MemoryDisk::new(1 << 30);
        let file = filled(&disk);
        disk.truncate(file, 4096).unwrap();
        let stop = AtomicBool::new(false);
        let mut reads = RandomRead::new(BYTES, 4096, 1, 9, false);
        let limit = Limit { ns: u64::MAX, stop: &stop, batch: 8 };
        let error = pump(&mut *disk.queue().unwrap(), file, 8, &mut reads, limit).err().unwrap();
        assert!(format!("{error:#}").contains("read of 4096 bytes at"), "{error:#}");
    }
}
