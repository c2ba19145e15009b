//! The benchmark tool as a library: traces, self-describing values, workloads, a client that drives them, and reports.
//!
//! Promises: every value that is read is checked byte by byte; what is random follows from a seed; every queue is bounded;
//! an interrupted run still gives a valid report. A server is measured from outside only; the engine and the disk are linked
//! for `engine`, `device` and `hitratio`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
pub mod clock;
pub mod collection;
pub mod compare;
pub mod control;
pub mod demo;
pub mod device;
pub mod embedded;
pub mod hitratio;
mod named;
pub mod observe;
pub mod page;
pub mod permutation;
pub mod procfs;
pub mod progress;
pub mod record;
pub mod report;
pub mod restart;
pub mod run;
pub mod spec;
pub mod tally;
pub mod trace;
pub mod value;
pub mod wire;
pub mod workload;
