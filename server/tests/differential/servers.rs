//! Two processes and raw connections to them.
//!
//! Promises: a server and its directory end with the test, however it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thermocline_port::Port;
use thermocline_resp::decode;

const CONNECT_TRIES: usize = 200;
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A server process and its directory; both end with the test.
pub struct Server {
    process: Child,
    directory: PathBuf,
    port: Port,
}

impl Server {
    pub fn start(program: &str, name: &str, options: &[&str]) -> std::io::Result<Server> {
        let port = Port::reserve()?;
        let directory = std::env::temp_dir().join(format!("differential-{name}-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let process = Command::new(program)
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(&directory)
            .args(options)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Server { process, directory, port })
    }

    /// A connection to a server that serves.
    pub fn connect(&self) -> Client {
        for _ in 0..CONNECT_TRIES {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port.number())) {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
                let mut client = Client { stream };
                if !client.ask(&[b"PING".to_vec()]).starts_with(b"-LOADING ") {
                    return client;
                }
            }
            std::thread::sleep(CONNECT_PAUSE);
        }
        panic!("no server answers on port {}", self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killing a process that has already ended fails, and that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A raw connection. An ECHO behind each command marks where its answer ends, so no parser stands between the bytes.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// The bytes of one answer. For what is said between MULTI and EXEC, where an ECHO would be queued.
    pub fn ask_one(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        self.send(words);
        self.hear(words)
    }

    /// Says something that may be answered later.
    pub fn send(&mut self, words: &[Vec<u8>]) {
        let mut request = Vec::new();
        put_request(words, &mut request);
        self.stream.write_all(&request).unwrap();
    }

    /// Whether something was answered that was not heard yet.
    pub fn has_answered(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let there = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).unwrap();
        there
    }

    /// The bytes of one answer to what was said.
    pub fn hear(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let mut answer = Vec::new();
        let mut part = vec![0; 64 << 10];
        loop {
            match decode(&answer) {
                Ok(Some((_, length))) => {
                    assert_eq!(length, answer.len(), "more than one answer: {}", shown(&answer));
                    return answer;
                }
                Ok(None) => {}
                Err(error) => panic!("{error:?} in {}", shown(&answer)),
            }
            let length =
                self.stream.read(&mut part).unwrap_or_else(|error| panic!("{error} for {}", shown_words(words)));
            assert!(length > 0, "connection closed after {} for {}", shown(&answer), shown_words(words));
            answer.extend_from_slice(&part[..length]);
        }
    }

    pub fn ask(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        const MARK: &str = "<end-of-answer>";
        let end = format!("${}\r\n{MARK}\r\n", MARK.len()).into_bytes();
        let mut request = Vec::new();
        put_request(words, &mut request);
        put_request(&[b"ECHO".to_vec(), MARK.into()], &mut request);
        self.stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        let mut part = vec![0; 64 << 10];
        while !answer.ends_with(&end) {
            let length = self
                .stream
                .read(&mut part)
                .unwrap_or_else(|error| panic!("{error} after {} for {}", shown(&answer), shown_words(words)));
            assert!(length > 0, "connection closed after {} for {}", shown(&answer), shown_words(words));
            answer.extend_from_slice(&part[..length]);
        }
        answer.truncate(answer.len() - end.len());
        answer
    }
}

fn put_request(words: &[Vec<u8>], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        into.extend_from_slice(word);
        into.extend_from_slice(b"\r\n");
    }
}

pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 300;
    let text = bytes[..bytes.len().min(SHOWN_BYTES_MAX)].escape_ascii().to_string();
    if bytes.len() > SHOWN_BYTES_MAX { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

pub fn shown_words(words: &[Vec<u8>]) -> String {
    words.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ")
}
