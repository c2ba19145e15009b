//! The real server process over real sockets: exact bytes, sessions, administration, life and a client library.

mod administration;
mod durability;
mod library;
mod life;
mod loading;
mod protocol;
mod sessions;
mod sorted_sets;
mod support;
mod transactions;
