//! A server of a few lines for the tests: GET, SET, DEL, MGET, HELLO, CLIENT TIERINFO, INFO over a map (or memcached's words for
//! them), and faults on request.
//!
//! Never a model of the real server: only what the client needs to be tested, with faults that the real one must not have.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod memcached;

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
    /// All connections close at this command, as when the server is killed.
    DieAtCommand(u64),
    /// At this command nothing is answered to anyone for so long.
    StallAtCommand(u64, Duration),
    /// This SET is answered with OK and forgotten (counted from 1).
    ForgetSet(u64),
    /// Every SET is refused.
    RefuseSets,
}

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// RESP; with tiers it tells them.
    Resp { tiers: bool },
    /// Memcached's text.
    Memcached,
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
    sets: AtomicU64,
    gate: Mutex<()>,
    connections: Mutex<Vec<TcpStream>>,
    fault: Fault,
    speech: Speech,
}

impl MiniServer {
    /// Starts and speaks Redis.
    pub fn start(fault: Fault, tells_tiers: bool) -> Self {
        Self::speaking(Speech::Resp { tiers: tells_tiers }, fault)
    }

    /// Starts on a free port, in one of the languages, or on `MINI_PORT` when the server is a process of its own.
    pub fn speaking(speech: Speech, fault: Fault) -> Self {
        let port = std::env::var("MINI_PORT").map_or(0, |port| port.parse().unwrap());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            values: Mutex::default(),
            seen: Mutex::default(),
            commands: Mutex::default(),
            hits: AtomicU64::new(0),
            sets: AtomicU64::new(0),
            gate: Mutex::default(),
            connections: Mutex::default(),
            fault,
            speech,
        });
        let for_threads = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&for_threads);
                state.connections.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || match state.speech {
                    Speech::Resp { .. } => serve(stream, &state),
                    Speech::Memcached => memcached::serve(stream, &state),
                });
            }
        });
        Self { port, state }
    }

    /// Every command of one key with its key, in order.
    pub fn commands(&self) -> Vec<(String, Vec<u8>)> {
        self.state.commands.lock().unwrap().clone()
    }
}

impl State {
    /// Counts a command of a key and does what is planted; false when the connection is to close.
    fn command(&self, name: &str, key: &[u8]) -> bool {
        let _gate = self.gate.lock().unwrap();
        let mut commands = self.commands.lock().unwrap();
        commands.push((name.to_owned(), key.to_vec()));
        let count = commands.len() as u64;
        drop(commands);
        match self.fault {
            Fault::CloseAtCommand(at) if at == count => return false,
            Fault::DieAtCommand(at) if at == count => {
                for connection in self.connections.lock().unwrap().iter() {
                    let _ = connection.shutdown(Shutdown::Both);
                }
                return false;
            }
            Fault::StallAtCommand(at, length) if at == count => std::thread::sleep(length),
            _ => {}
        }
        true
    }

    /// A value as the server gives it, and its tier: the first hit of a key is told as cold, later ones as hot.
    fn get(&self, key: &[u8]) -> (Option<Vec<u8>>, &'static str) {
        let Some(mut value) = self.values.lock().unwrap().get(key).cloned() else { return (None, "miss") };
        let tier = if self.seen.lock().unwrap().insert(key.to_vec()) { "cold" } else { "hot" };
        let hit = self.hits.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fault == Fault::WrongByteInHit(hit) {
            let middle = value.len() / 2;
            value[middle] ^= 1;
        }
        if self.fault == Fault::LoseHit(hit) { (None, tier) } else { (Some(value), tier) }
    }

    /// False when it is refused.
    fn set(&self, key: &[u8], value: &[u8]) -> bool {
        if self.fault == Fault::RefuseSets {
            return false;
        }
        let set = self.sets.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fault != Fault::ForgetSet(set) {
            self.values.lock().unwrap().insert(key.to_vec(), value.to_vec());
        }
        true
    }

    fn delete(&self, key: &[u8]) -> bool {
        self.values.lock().unwrap().remove(key).is_some()
    }
}

fn serve(stream: TcpStream, state: &State) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let mut tiers = false;
    while let Some(arguments) = read_command(&mut input) {
        let name = String::from_utf8_lossy(&arguments[0]).to_ascii_uppercase();
        let mut answer = Vec::new();
        let of_keys = ["GET", "SET", "DEL", "MGET"].contains(&name.as_str());
        if of_keys && !state.command(&name, &arguments[1]) {
            return;
        }
        match name.as_str() {
            "HELLO" => answer.extend_from_slice(b"%1\r\n+proto\r\n:3\r\n"),
            "CLIENT" if state.speech == (Speech::Resp { tiers: true }) => {
                tiers = true;
                answer.extend_from_slice(b"+OK\r\n");
            }
            "PING" => answer.extend_from_slice(b"+PONG\r\n"),
            "INFO" => bulk(&mut answer, b"# Server\r\nredis_version:7.2.4\r\n# Tier\r\ncold_hits:1\r\n"),
            "GET" => {
                let (value, tier) = state.get(&arguments[1]);
                if tiers {
                    write!(answer, "|2\r\n+tier\r\n+{tier}\r\n+read_us\r\n:7\r\n").unwrap();
                }
                value_or_null(&mut answer, value);
            }
            "MGET" => {
                write!(answer, "*{}\r\n", arguments.len() - 1).unwrap();
                arguments[1..].iter().for_each(|key| value_or_null(&mut answer, state.get(key).0));
            }
            "SET" if state.set(&arguments[1], &arguments[2]) => answer.extend_from_slice(b"+OK\r\n"),
            "SET" => answer.extend_from_slice(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
            "DEL" => write!(answer, ":{}\r\n", u8::from(state.delete(&arguments[1]))).unwrap(),
            _ => answer.extend_from_slice(b"-ERR unknown command\r\n"),
        }
        if output.write_all(&answer).is_err() {
            return;
        }
    }
}

fn value_or_null(answer: &mut Vec<u8>, value: Option<Vec<u8>>) {
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
