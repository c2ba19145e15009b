//! The atomics of this crate, or loom's when the models run (`RUSTFLAGS="--cfg loom"`). Nothing else.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
