//! The second unsafe room: pages, cells, append buffers, the memory budget, and the prefetch hint.
//!
//! Promises: the API is safe for any caller and any bits. A [`Region`] maps address space once and hands out runs of 16-KiB
//! units as owned [`Span`]s; a [`Heap`] cuts its spans into cells; an [`AppendBuffer`] lets many writers fill disjoint ranges;
//! a [`Budget`] counts bytes against `maxmemory`.
//! Never: opens a file, reads a clock, knows what the bytes mean. Unsafe code is only in `region.rs`, `append.rs` and
//! `prefetch.rs`; the heap, the classes and the budget are ordinary Rust.

mod append;
mod budget;
mod class;
mod heap;
mod prefetch;
mod region;
mod runs;
mod sync;

pub use append::{AppendBuffer, Fill};
pub use budget::{BUDGET_KINDS, Budget, BudgetKind, Charge, Full};
pub use class::CELL_BYTES_MIN;
pub use heap::{Handle, Heap, SpanId, Sparse};
pub use prefetch::prefetch_read;
pub use region::{Region, Span, UNIT_BYTES};
