//! A real server process and raw connections to it, for the tests of this folder.
//!
//! Promises: each server has a directory and a port of its own, and both end with the test, however it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use thermocline_port::Port;
use thermocline_resp::{Value, decode};

const TRIES: usize = 400;
const PAUSE: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, not started.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_thermocline-server"))
}

/// Runs a start that must end by itself, and returns its exit code and what it said on standard error.
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String) {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let status = wait(&mut process);
    if status.is_none() {
        process.kill().expect("it runs");
    }
    let mut text = String::new();
    process.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    (status.expect("it ends by itself").code(), text)
}

/// The end of a process, if it comes in time.
fn wait(process: &mut Child) -> Option<ExitStatus> {
    for _ in 0..TRIES {
        if let Some(status) = process.try_wait().expect("a child") {
            return Some(status);
        }
        std::thread::sleep(PAUSE);
    }
    None
}

/// A connection to whatever server listens there.
pub fn connect(port: &Port) -> Connection {
    for _ in 0..TRIES {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port.number())) {
            stream.set_nodelay(true).expect("a live socket");
            stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
            return Connection { stream, unread: Vec::new() };
        }
        std::thread::sleep(PAUSE);
    }
    panic!("no server answers on port {port}");
}

/// A running server.
pub struct Server {
    process: Process,
    pub port: Port,
    pub directory: tempfile::TempDir,
}

impl Server {
    /// Starts one with small budgets and these directives, and returns when it serves.
    pub fn start(directives: &[&str]) -> Server {
        let server = Server::start_unasked(tempfile::tempdir().expect("a directory"), directives);
        server.wait_until_loaded();
        server
    }

    /// Starts another one where this one was.
    pub fn again_unasked(self, directives: &[&str]) -> Server {
        let Server { process, directory, .. } = self;
        drop(process);
        Server::start_unasked(directory, directives)
    }

    /// Starts one on this directory, and returns at once.
    fn start_unasked(directory: tempfile::TempDir, directives: &[&str]) -> Server {
        let port = Port::reserve().expect("a port");
        let process = program()
            .args(["--port", &port.to_string(), "--maxmemory", "64mb", "--maxdisk", "256mb", "--workers", "2", "--dir"])
            .arg(directory.path().join("data"))
            .args(directives)
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        Server { process: Process(process), port, directory }
    }

    /// Returns when it serves, or wants a password first.
    pub fn wait_until_loaded(&self) {
        let mut connection = self.connect();
        for _ in 0..TRIES {
            match connection.call(&["PING"]) {
                Value::Error(text) if text.starts_with(b"LOADING ") => {}
                _ => return,
            }
            std::thread::sleep(PAUSE);
        }
        panic!("the server on port {} is loading for ever", self.port);
    }

    /// A connection.
    pub fn connect(&self) -> Connection {
        connect(&self.port)
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.0.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process.0).expect("the server ends")
    }
}

/// Ends with its handle.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Killing what has already ended fails, and that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A raw connection.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Sends these very bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes bytes");
    }

    /// Sends a command.
    pub fn command(&mut self, words: &[&str]) {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.send(&bytes);
    }

    /// Reads exactly these bytes.
    pub fn expect(&mut self, text: &str) {
        while self.unread.len() < text.len() && self.fill() {}
        let got = String::from_utf8_lossy(&self.unread[..self.unread.len().min(text.len())]).into_owned();
        assert_eq!(got, text);
        self.unread.drain(..text.len());
    }

    /// Sends an inline command and reads exactly this answer.
    pub fn ask(&mut self, line: &str, answer: &str) {
        self.send(format!("{line}\r\n").as_bytes());
        self.expect(answer);
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> Value {
        loop {
            if let Some((value, length)) = decode(&self.unread).expect("an answer") {
                self.unread.drain(..length);
                return value;
            }
            assert!(self.fill(), "the connection ended within an answer");
        }
    }

    /// Sends a command and reads its answer.
    pub fn call(&mut self, words: &[&str]) -> Value {
        self.command(words);
        self.answer()
    }

    /// Sends a command and reads its answer as text.
    pub fn text(&mut self, words: &[&str]) -> String {
        match self.call(words) {
            Value::Bulk(text) | Value::Simple(text) | Value::Error(text) | Value::Verbatim { text, .. } => {
                String::from_utf8_lossy(&text).into_owned()
            }
            Value::Integer(number) => number.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The server has closed the connection, and nothing was left to read.
    pub fn expect_end(&mut self) {
        while self.fill() {}
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
    }

    /// Whether the server serves this connection, and has not turned it away.
    pub fn is_served(&mut self) -> bool {
        if self.stream.write_all(b"PING\r\n").is_err() {
            return false;
        }
        while self.unread.len() < b"+PONG\r\n".len() && self.fill() {}
        let served = self.unread == b"+PONG\r\n";
        self.unread.clear();
        served
    }

    fn fill(&mut self) -> bool {
        let mut part = [0; 16 << 10];
        match self.stream.read(&mut part) {
            Ok(length) => {
                self.unread.extend_from_slice(&part[..length]);
                length > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }
}
