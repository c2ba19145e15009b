//! The mini server in memcached's text.

use super::State;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// Answers one connection until it ends.
pub fn serve(stream: TcpStream, state: &State) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        line.clear();
        let mut answer = Vec::new();
        let key = words.get(1).map(String::as_bytes).unwrap_or_default();
        let mut value = Vec::new();
        if words[0] == "set" {
            value = vec![0; words[4].parse::<usize>().unwrap() + 2];
            input.read_exact(&mut value).unwrap();
            value.truncate(value.len() - 2);
        }
        if ["get", "set", "delete"].contains(&words[0].as_str()) && !state.command(&words[0], key) {
            return;
        }
        match words[0].as_str() {
            "version" => answer.extend_from_slice(b"VERSION 1.6.18\r\n"),
            "stats" => answer.extend_from_slice(b"STAT version 1.6.18\r\nSTAT bytes 7\r\nEND\r\n"),
            "get" => {
                if let Some(value) = state.get(key).0 {
                    write!(answer, "VALUE {} 0 {}\r\n", words[1], value.len()).unwrap();
                    answer.extend_from_slice(&value);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"END\r\n");
            }
            "set" if state.set(key, &value) => answer.extend_from_slice(b"STORED\r\n"),
            "set" => answer.extend_from_slice(b"SERVER_ERROR out of memory storing object\r\n"),
            "delete" if state.delete(key) => answer.extend_from_slice(b"DELETED\r\n"),
            "delete" => answer.extend_from_slice(b"NOT_FOUND\r\n"),
            _ => answer.extend_from_slice(b"ERROR\r\n"),
        }
        if output.write_all(&answer).is_err() {
            return;
        }
    }
}
