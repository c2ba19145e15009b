//! Sockets: who may come in, which worker serves whom, and the loop of one connection.
//!
//! Promises: buffers grow by what arrived and shrink when idle, every wait for the network can be ended by CLIENT KILL.
//! Never: commands or keys.

mod accept;
mod connection;
mod listen;
mod worker;

pub use accept::accept;
pub use connection::Connection;
pub use listen::listen;
pub use worker::{Worker, WorkerHandle};
