//! From bytes to answers: batches of commands are looked up, their keys hashed and prefetched, then executed in order.
//!
//! ```text
//!  read buffer --fill--> entries (row, words, hash) --execute--> output
//!                                  |                      ^
//!                                  cold read -> reads ----'   replies go out in order
//! ```
//! Promises: a hot command makes no future, box or clone; cold single-key reads of a pipeline overlap; every other command
//! waits for this connection's earlier reads. Never: sockets.

mod batch;
mod block;
mod execute;
mod group;
mod keys;
mod reads;
mod stretch;
mod tally;

pub use batch::{Batch, FillBounds};
pub use execute::Dispatcher;
pub use keys::{KeyPlaces, collect};
pub(crate) use reads::READS_AT_FIRST;
pub use stretch::Stretch;
