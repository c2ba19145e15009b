//! The commands: one file for each family, its rows at its foot, and the machinery they share.
//!
//! Promises: a command is a row and a body, and there is no second list of commands. Never: sockets, or a body that asks where
//! a value lies.

mod args;
pub mod context;
pub mod page;
pub mod reach;
pub mod reply;
pub mod row;
pub mod table;

mod bitmap;
pub(crate) mod blocking;
mod client;
mod config;
mod connection;
mod debug;
mod describe;
mod digest;
mod dump;
mod elements;
mod hash;
mod info;
mod keyspace;
mod list;
mod look;
mod memory;
mod server;
mod set;
mod sort;
mod sorted_set;
mod string;
mod tier;
mod transaction;
mod wait;

pub use args::Args;

use thermocline_resp::Reply;

/// Every family's rows; `table.rs` sorts and checks them when the program is compiled.
pub(crate) const FAMILIES: &[&[row::Row]] = &[
    bitmap::ROWS,
    client::ROWS,
    describe::ROWS,
    config::ROWS,
    connection::ROWS,
    debug::ROWS,
    hash::ROWS,
    dump::ROWS,
    info::ROWS,
    keyspace::ROWS,
    memory::ROWS,
    list::ROWS,
    server::ROWS,
    set::ROWS,
    sort::ROWS,
    sorted_set::ROWS,
    sorted_set::BLOCKING_ROWS,
    string::ROWS,
    tier::ROWS,
    transaction::ROWS,
    wait::ROWS,
];

/// Redis's answer to `<container> HELP`.
pub fn help(reply: &mut Reply<'_>, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
}
