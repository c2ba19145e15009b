//! A server of a few lines for the tests: GET, SET, HELLO, CLIENT TIERINFO, INFO over a map, and faults on request.
//!
//! Never a model of the real server: only what the client needs to be tested, with faults that the real one must not have.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// One bit of this GET's answer is flipped (counted from 1, hits only).
    WrongByteInHit(u64),
    /// This hit is answered with null.
    LoseHit(u64),
    /// The connection closes at this command.
    CloseAtCommand(u64),
    /// Every SET is refused.
    RefuseSets,
}

/// A running server; it lives as long as the test process.
pub struct MiniServer {
    /// Its port on the loopback.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    values: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    seen: Mutex<HashSet<Vec<u8>>>,
    commands: Mutex<Vec<(String, Vec<u8>)>>,
    hits: AtomicU64,
    fault: Fault,
    tells_tiers: bool,
}

impl MiniServer {
    /// Starts on a free port, or on `MINI_PORT` when the server is a process of its own.
    pub fn start(fault: Fault, tells_tiers: bool) -> Self {
        let port = std::env::var("MINI_PORT").map_or(0, |port| port.parse().unwrap());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            values: Mutex::default(),
            seen: Mutex::default(),
            commands: Mutex::default(),
            hits: AtomicU64::new(0),
            fault,
            tells_tiers,
        });
        let for_threads = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&for_threads);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    /// Every GET and SET with its key, in order.
    pub fn commands(&self) -> Vec<(String, Vec<u8>)> {
        self.state.commands.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, state: &State) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let mut tiers = false;
    while let Some(arguments) = read_command(&mut input) {
        let name = String::from_utf8_lossy(&arguments[0]).to_ascii_uppercase();
        let mut answer = Vec::new();
        match name.as_str() {
            "HELLO" => answer.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n"),
            "CLIENT" if state.tells_tiers => {
                tiers = true;
                answer.extend_from_slice(b"+OK\r\n");
            }
            "PING" => answer.extend_from_slice(b"+PONG\r\n"),
            "INFO" => bulk(&mut answer, b"# Server\r\nredis_version:7.2.4\r\n# Tier\r\ncold_hits:1\r\n"),
            "GET" | "SET" => {
                let key = arguments[1].clone();
                state.commands.lock().unwrap().push((name.clone(), key.clone()));
                let count = state.commands.lock().unwrap().len() as u64;
                if state.fault == Fault::CloseAtCommand(count) {
                    return;
                }
                if name == "GET" {
                    get(state, &key, tiers, &mut answer);
                } else if state.fault == Fault::RefuseSets {
                    answer.extend_from_slice(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n");
                } else {
                    state.values.lock().unwrap().insert(key, arguments[2].clone());
                    answer.extend_from_slice(b"+OK\r\n");
                }
            }
            _ => answer.extend_from_slice(b"-ERR unknown command\r\n"),
        }
        if output.write_all(&answer).is_err() {
            return;
        }
    }
}

/// The first hit of a key is told as cold, later ones as hot.
fn get(state: &State, key: &[u8], tiers: bool, answer: &mut Vec<u8>) {
    let mut value = state.values.lock().unwrap().get(key).cloned();
    let mut tier = "miss";
    if let Some(bytes) = &mut value {
        tier = if state.seen.lock().unwrap().insert(key.to_vec()) { "cold" } else { "hot" };
        let hit = state.hits.fetch_add(1, Ordering::SeqCst) + 1;
        if state.fault == Fault::WrongByteInHit(hit) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        if state.fault == Fault::LoseHit(hit) {
            value = None;
        }
    }
    if tiers {
        write!(answer, "|2\r\n+tier\r\n+{tier}\r\n+read_us\r\n:7\r\n").unwrap();
    }
    match value {
        Some(value) => bulk(answer, &value),
        None => answer.extend_from_slice(b"_\r\n"),
    }
}

fn bulk(answer: &mut Vec<u8>, bytes: &[u8]) {
    write!(answer, "${}\r\n", bytes.len()).unwrap();
    answer.extend_from_slice(bytes);
    answer.extend_from_slice(b"\r\n");
}

fn read_command(input: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let count = read_number(input, '*')?;
    (0..count)
        .map(|_| {
            let mut argument = vec![0; read_number(input, '$')? + 2];
            input.read_exact(&mut argument).ok()?;
            argument.truncate(argument.len() - 2);
            Some(argument)
        })
        .collect()
}

fn read_number(input: &mut impl BufRead, mark: char) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(mark)?.parse().ok()
}
