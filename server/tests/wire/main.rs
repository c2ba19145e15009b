//! The real server process over real sockets: exact bytes, sessions, administration, life and a client library.

mod administration;
mod collections;
mod conditional;
mod durability;
mod generic;
mod hash;
mod library;
mod life;
mod list;
mod loading;
mod protocol;
mod sessions;
mod set;
mod sorted_sets;
mod support;
mod transactions;
mod waiting;
mod wrong_types;
