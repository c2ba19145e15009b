//! `thermocline-server [FILE.conf] [--directive value ...]`: the program. Everything it does is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    thermocline_server::run::main(&words)
}
