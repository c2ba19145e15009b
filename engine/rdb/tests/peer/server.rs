//! A real server of Redis's kind, for the length of a test: started on a free port in a directory of its own.
//!
//! Promises: killed when dropped; every wait ends. Never: touches another server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thermocline_port::Port;

const TRIES: usize = 400;
const PAUSE: Duration = Duration::from_millis(25);
/// No answer of a test takes longer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

pub struct Server {
    process: Child,
    stream: BufReader<TcpStream>,
    directory: PathBuf,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    Null,
    Integer(i64),
    Error(String),
    Bytes(Vec<u8>),
    Array(Vec<Answer>),
}

impl Answer {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Answer::Bytes(bytes) => bytes,
            other => panic!("bytes were expected: {other:?}"),
        }
    }

    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).expect("text")
    }

    pub fn array(self) -> Vec<Answer> {
        match self {
            Answer::Array(answers) => answers,
            other => panic!("an array was expected: {other:?}"),
        }
    }
}

/// The server to test with: redis-server, or what `THERMOCLINE_RDB_PEER` names. `None`, and a line that says so, if it is
/// not on this machine.
pub fn program() -> Option<String> {
    let program = std::env::var("THERMOCLINE_RDB_PEER").unwrap_or_else(|_| "redis-server".to_owned());
    match Command::new(&program).arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Some(program),
        Err(error) => {
            println!("skipped: {program} cannot be run on this machine: {error}");
            None
        }
    }
}

impl Server {
    /// Starts a server that loads `dump.rdb` in `directory` if there is one.
    pub fn start(program: &str, directory: &Path) -> Server {
        let port = Port::reserve().unwrap();
        let mut process = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "yes", "--loglevel", "warning", "--logfile", "server.log"])
            .arg("--dir")
            .arg(directory)
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..TRIES {
            if process.try_wait().unwrap().is_some() {
                break;
            }
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port.number())) {
                stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
                let mut server = Server { process, stream: BufReader::new(stream), directory: directory.to_owned() };
                server.wait_until_loaded();
                return server;
            }
            std::thread::sleep(PAUSE);
        }
        process.kill().ok();
        process.wait().unwrap();
        panic!("{program} does not start in {}: see server.log there", directory.display());
    }

    fn wait_until_loaded(&mut self) {
        for _ in 0..TRIES {
            match self.ask(&["PING"]) {
                Answer::Error(text) if text.starts_with("LOADING") => std::thread::sleep(PAUSE),
                answer => return assert_eq!(answer, Answer::Bytes(b"PONG".to_vec())),
            }
        }
        panic!("the server loads for ever");
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn send(&mut self, words: &[impl AsRef<[u8]>]) {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
            request.extend_from_slice(word.as_ref());
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
    }

    pub fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> Answer {
        self.send(words);
        self.answer()
    }

    /// Asks for what must not fail.
    pub fn run(&mut self, words: &[impl AsRef<[u8]>]) -> Answer {
        let answer = self.ask(words);
        if let Answer::Error(text) = &answer {
            let shown: Vec<String> = words
                .iter()
                .map(|word| word.as_ref().iter().take(40).copied().collect::<Vec<u8>>().escape_ascii().to_string())
                .collect();
            panic!("{}: {text}", shown.join(" "));
        }
        answer
    }

    pub fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        let line = line.strip_suffix("\r\n").expect("the server hung up");
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" => Answer::Bytes(rest.as_bytes().to_vec()),
            "-" => Answer::Error(rest.to_owned()),
            ":" => Answer::Integer(rest.parse().unwrap()),
            "$" if rest == "-1" => Answer::Null,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Answer::Bytes(bytes)
            }
            "*" if rest == "-1" => Answer::Null,
            "*" => Answer::Array((0..rest.parse::<usize>().unwrap()).map(|_| self.answer()).collect()),
            _ => panic!("no answer of RESP2: {line}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
