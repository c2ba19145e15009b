//! One plain blocking connection: for the handshake of every lane and for the questions of the observer.
//!
//! Every wait has an end. Never used for measured commands.

use crate::wire::{self, Speech};
use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;
use thermocline_resp::Value;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where the server is and how to get in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For AUTH.
    pub password: Option<String>,
    /// For SELECT.
    pub database: u32,
    /// Its language.
    pub speech: Speech,
    /// Its process on this machine, when it does not tell that itself.
    pub process: Option<u32>,
}

impl Target {
    /// A server on this machine, without a password.
    pub fn local(port: u16, speech: Speech) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, password: None, database: 0, speech, process: None }
    }

    /// The address of the first name record.
    pub fn address(&self) -> Result<SocketAddr> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found = found.with_context(|| format!("{} is not a host", self.host))?.next();
        found.with_context(|| format!("{} has no address", self.host))
    }
}

/// A connection that asks and waits.
pub struct Control {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Control {
    /// Connects, authenticates and selects the database.
    pub fn connect(target: &Target) -> Result<Self> {
        let address = target.address()?;
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)
            .with_context(|| format!("cannot connect to {address}; is the server running?"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut control = Self { stream, input: Vec::new() };
        target.speech.protocol().greet(&mut control, target)?;
        Ok(control)
    }

    /// The next answers may take so long.
    pub fn wait_for(&mut self, longest: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(longest))?)
    }

    /// Sends one command of RESP and waits for its answer.
    pub fn call(&mut self, arguments: &[&str]) -> Result<Value> {
        let mut output = Vec::new();
        wire::command(&mut output, arguments);
        self.stream.write_all(&output)?;
        loop {
            if let Some((value, length)) = thermocline_resp::decode(&self.input)? {
                self.input.drain(..length);
                match wire::split_tier(value).0 {
                    Value::Push(_) => continue,
                    answer => return Ok(answer),
                }
            }
            self.read_more(arguments[0])?;
        }
    }

    /// Sends one command of RESP; an error answer is an error.
    pub fn expect_ok(&mut self, arguments: &[&str]) -> Result<()> {
        match self.call(arguments)? {
            Value::Error(text) => bail!("{}: {}", arguments[0], String::from_utf8_lossy(&text)),
            _ => Ok(()),
        }
    }

    /// Sends a line and waits for an answer whose last line begins with one of these words.
    pub fn ask_line(&mut self, question: &str, last: &[&str]) -> Result<String> {
        self.stream.write_all(question.as_bytes())?;
        loop {
            if self.input.ends_with(b"\r\n") {
                let text = String::from_utf8_lossy(&self.input).into_owned();
                let line = text.lines().next_back().unwrap_or_default();
                if last.iter().any(|word| line.starts_with(word)) {
                    self.input.clear();
                    return Ok(text);
                }
            }
            self.read_more(question.trim_end())?;
        }
    }

    fn read_more(&mut self, question: &str) -> Result<()> {
        let mut piece = [0; 16 << 10];
        let bytes = self.stream.read(&mut piece).with_context(|| format!("no answer to {question}"))?;
        if bytes == 0 {
            bail!("the server closed the connection at {question}");
        }
        self.input.extend_from_slice(&piece[..bytes]);
        if self.input.len() > ANSWER_BYTES_MAX {
            bail!("the answer to {question} is longer than {ANSWER_BYTES_MAX} bytes");
        }
        Ok(())
    }

    /// The socket, for a lane; every answer has been read.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.input.is_empty(), "a handshake reads all its answers");
        self.stream
    }
}
