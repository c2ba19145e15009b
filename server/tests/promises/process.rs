//! A real server process on a directory that outlives it, and a blocking pipelined client. Both test folders use it.
//!
//! Promises: the process ends with its handle, however the test ends; a lost connection is an ordinary error, for tests here
//! kill servers. What the server says goes to a file beside its directory. Never: a directory removed.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use thermocline_port::Port;
use thermocline_resp::{Value, decode};

const TRIES: usize = 1200;
const PAUSE: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a server's log that a failed test shows.
const WORDS_SHOWN: usize = 20;

/// Now, by the test's own clock: it stands outside the server.
#[expect(clippy::disallowed_methods, reason = "the test's own clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Tells whoever runs the tests, also when they pass: what a test prints is shown only when it fails, this always.
pub fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// The program on a directory, not started: `maxmemory` and `maxdisk` are for the caller to say.
pub fn program(directory: &Path, directives: &[&str]) -> (Command, Port) {
    let port = Port::reserve().expect("a port");
    let mut command = Command::new(env!("CARGO_BIN_EXE_thermocline-server"));
    command.args(["--port", &port.to_string(), "--workers", "2", "--dir"]).arg(directory).args(directives);
    (command, port)
}

/// What the README promises of memory: RSS <= 1.05 x maxmemory + 32 MiB.
pub fn resident_bytes_max(max_memory_bytes: u64) -> u64 {
    max_memory_bytes / 100 * 105 + (32 << 20)
}

/// A running server.
pub struct Server {
    process: Child,
    port: Port,
    words: PathBuf,
}

impl Server {
    /// Starts one, and returns when it serves.
    pub fn start(directory: &Path, directives: &[&str]) -> Server {
        let mut server = Server::start_unasked(directory, directives);
        server.wait_until_loaded();
        server
    }

    /// Returns when it serves.
    fn wait_until_loaded(&mut self) {
        for _ in 0..TRIES {
            let answer = self.try_connect().map(|mut connection| {
                connection.push(&["PING"]);
                connection.flush().and_then(|()| connection.answer())
            });
            match answer {
                Some(Ok(Value::Simple(pong))) if pong == b"PONG" => return,
                Some(Ok(Value::Error(words))) if words.starts_with(b"LOADING ") => {}
                Some(Ok(other)) => panic!("no answer to PING: {}", shown(&other)),
                Some(Err(error)) => panic!("the server ended a connection without an answer: {error}"),
                None => {
                    let end = self.process.try_wait().expect("a child");
                    assert!(end.is_none(), "the server ended by itself ({end:?}): {}", self.words());
                }
            }
            std::thread::sleep(PAUSE);
        }
        panic!("the server on port {} is loading for ever", self.port);
    }

    /// Starts one, and returns at once.
    pub fn start_unasked(directory: &Path, directives: &[&str]) -> Server {
        let words = directory.with_extension("log");
        #[expect(clippy::disallowed_methods, reason = "the server's words, not a file of the store")]
        let file = OpenOptions::new().create(true).append(true).open(&words).expect("a file");
        let errors = file.try_clone().expect("a file");
        let (mut command, port) = program(directory, directives);
        command.stdout(Stdio::from(file)).stderr(Stdio::from(errors));
        Server { process: command.spawn().expect("the server starts"), port, words }
    }

    /// Starts one that may refuse to: its words then. It listens before it has opened the store, so only an answer counts.
    pub fn start_or_refusal(directory: &Path, directives: &[&str]) -> Result<Server, String> {
        let mut server = Server::start_unasked(directory, directives);
        loop {
            if let Some(mut connection) = server.try_connect() {
                connection.push(&["PING"]);
                let answer = connection.flush().and_then(|()| connection.answer());
                if answer.is_ok_and(|answer| answer == Value::Simple(b"PONG".to_vec())) {
                    return Ok(server);
                }
            }
            if server.process.try_wait().expect("a child").is_some() {
                return Err(server.words());
            }
            std::thread::sleep(PAUSE / 5);
        }
    }

    /// Everything that it and those before it on this directory have said.
    pub fn words(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "the server's words, not a file of the store")]
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    /// Ends it as an operator does, and waits until it is gone.
    pub fn shut_down(&mut self) {
        self.shut_down_with(&[]);
    }

    /// The same, with more words.
    pub fn shut_down_with(&mut self, words: &[&str]) {
        let mut connection = self.connect();
        connection.push(&[&["SHUTDOWN"], words].concat());
        connection.flush().expect("the server takes it");
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", self.words());
    }

    /// A connection.
    pub fn connect(&self) -> Connection {
        for _ in 0..TRIES {
            if let Some(connection) = self.try_connect() {
                return connection;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("no server answers on port {}", self.port);
    }

    fn try_connect(&self) -> Option<Connection> {
        Connection::to(self.port.number())
    }

    /// kill -9, and waits until it is gone. It must have lived until now.
    pub fn kill(&mut self) {
        assert_eq!(self.process.try_wait().expect("a child"), None, "the server ended by itself");
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Bytes of memory it has now, as the system counts them.
    pub fn resident_bytes(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "the system's word, not a file of the store")]
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is resident");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.process.try_wait().expect("a child");
            let words = self.words();
            let last: Vec<&str> = words.lines().rev().take(WORDS_SHOWN).collect();
            eprintln!("the server's end: {ended:?}; its last words, newest first:\n{}", last.join("\n"));
        }
        // Killing what has already ended fails, and that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection. Requests gather until they are flushed; answers come one by one.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    unread: Vec<u8>,
    start: usize,
}

impl Connection {
    /// A connection to whoever listens there.
    pub fn to(port: u16) -> Option<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_nodelay(true).expect("a live socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
        Some(Connection { stream, request: Vec::new(), unread: Vec::new(), start: 0 })
    }

    /// Adds a command to the next flush.
    pub fn push<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        self.request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.request.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
            self.request.extend_from_slice(word.as_ref());
            self.request.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// The server is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.request);
        self.request.clear();
        sent
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// The server is gone.
    pub fn answer(&mut self) -> io::Result<Value> {
        let mut part = [0; 64 << 10];
        loop {
            if let Some((value, length)) = decode(&self.unread[self.start..]).expect("an answer") {
                self.start += length;
                return Ok(value);
            }
            self.unread.drain(..self.start);
            self.start = 0;
            match self.stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.unread.extend_from_slice(&part[..length]),
            }
        }
    }

    /// Waits so long for an answer; else it is an error.
    pub fn be_patient(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a live socket");
    }

    /// Sends a command and reads its answer.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.push(words);
        self.flush().expect("the server takes it");
        self.answer().expect("the server answers")
    }

    /// Sends a command that answers a number.
    pub fn number<W: AsRef<[u8]>>(&mut self, words: &[W]) -> i64 {
        match self.call(words) {
            Value::Integer(number) => number,
            other => panic!("no number: {}", shown(&other)),
        }
    }

    /// A field of INFO, as a number.
    pub fn info(&mut self, field: &str) -> u64 {
        let (Value::Bulk(text) | Value::Verbatim { text, .. }) = self.call(&["INFO", "everything"]) else {
            panic!("INFO answers text")
        };
        let text = String::from_utf8(text).expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("INFO has no {field}")).parse().expect("a number")
    }
}

/// An answer, short enough for a message.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) | Value::Error(bytes) | Value::Simple(bytes) => {
            format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(160)]))
        }
        other => format!("{other:?}"),
    }
}
