//! The real server process over real sockets: exact bytes, sessions, administration, life and a client library.

mod administration;
mod durability;
mod library;
mod life;
mod list;
mod loading;
mod protocol;
mod sessions;
mod support;
mod transactions;
mod waiting;
