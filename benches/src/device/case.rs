//! What is measured: one kind of I/O, at one depth, with one size of request. No I/O of its own.

use clap::ValueEnum;
use std::fmt;

/// Requests of the sequential writes: size and depth.
const SEQUENTIAL_WRITES: [(u32, u32); 2] = [(256 << 10, 1), (1 << 20, 8)];

/// Bytes of a flushed write.
const FLUSH_BYTES: u32 = 4096;

/// A choice of `--tests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Test {
    /// Random reads at each depth.
    RandomRead,
    /// Sequential writes of 256 KiB, one at a time, and of 1 MiB, eight at a time.
    SequentialWrite,
    /// One 4-KiB write made durable: by RWF_DSYNC, and by fdatasync behind it.
    Flush,
}

/// A kind of I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads of aligned blocks all over the file.
    RandomRead,
    /// Writes one behind another.
    SequentialWrite,
    /// A write that completes when it is durable.
    DurableWrite,
    /// A write, and when it is complete an fdatasync; both together are one request.
    WriteThenSync,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What.
    pub kind: Kind,
    /// Bytes of one request.
    pub block_bytes: u32,
    /// Requests in flight.
    pub depth: u32,
}

impl Case {
    /// All rows that were asked for, in the order in which they are measured.
    pub fn all(tests: &[Test], depths: &[u32], block_bytes: u32) -> Vec<Self> {
        let of = |kind, block_bytes, depth| Self { kind, block_bytes, depth };
        let mut cases = Vec::new();
        for test in tests {
            match test {
                Test::RandomRead => cases.extend(depths.iter().map(|depth| of(Kind::RandomRead, block_bytes, *depth))),
                Test::SequentialWrite => {
                    cases.extend(SEQUENTIAL_WRITES.map(|(bytes, depth)| of(Kind::SequentialWrite, bytes, depth)));
                }
                Test::Flush => {
                    cases.extend([Kind::DurableWrite, Kind::WriteThenSync].map(|kind| of(kind, FLUSH_BYTES, 1)));
                }
            }
        }
        // A row has one place in the table and one section in the job file.
        let mut seen = Vec::new();
        cases.retain(|case| {
            let fresh = !seen.contains(case);
            seen.push(*case);
            fresh
        });
        cases
    }

    /// Its name in the table.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::RandomRead => "random read",
            Kind::SequentialWrite => "sequential write",
            Kind::DurableWrite => "write and flush (dsync)",
            Kind::WriteThenSync => "write and flush (fdatasync)",
        }
    }

    /// Its section in the job file.
    pub fn section(&self) -> String {
        let name = match self.kind {
            Kind::RandomRead => "random-read",
            Kind::SequentialWrite => "sequential-write",
            Kind::DurableWrite => "flush-dsync",
            Kind::WriteThenSync => "flush-fdatasync",
        };
        format!("{name}-{}-depth-{}", self.block_bytes, self.depth)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes, depth {}", self.what(), self.block_bytes, self.depth)
    }
}
