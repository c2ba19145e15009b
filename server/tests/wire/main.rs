//! The real server process over real sockets: exact bytes, sessions, administration, life and a client library.

mod administration;
mod conditional;
mod durability;
mod hash;
mod library;
mod life;
mod loading;
mod protocol;
mod sessions;
mod support;
mod transactions;
