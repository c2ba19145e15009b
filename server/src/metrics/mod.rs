//! Numbers for machines: the fields of both tiers, and the Prometheus page with `/health`.
//!
//! Promises: names are only ever added. The HTTP here answers two addresses and bounds what it reads; it is no web server.

mod page;
mod tier;

pub use page::serve;
pub use tier::{backend_words, tier_fields};
