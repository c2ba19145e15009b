//! The benchmark tool as a library: traces, self-describing values, workloads, a client that drives them, and reports.
//!
//! Promises: every value that is read is checked byte by byte; what is random follows from a seed; every queue is bounded;
//! an interrupted run still gives a valid report. Never links the server or the engine: it measures from outside.
#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
pub mod clock;
pub mod control;
pub mod observe;
pub mod permutation;
pub mod procfs;
pub mod progress;
pub mod report;
pub mod run;
pub mod tally;
pub mod trace;
pub mod value;
pub mod wire;
pub mod workload;
