//! One plain blocking connection: for the handshake of every lane and for the questions of the observer.
//!
//! Every wait has an end. Never used for measured commands.

use crate::wire;
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
}

impl Target {
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
        if let Some(password) = &target.password {
            control.expect_ok(&["AUTH", password])?;
        }
        // A server that wants a password, or is still loading, says so here and not a million times later.
        control.expect_ok(&["PING"])?;
        if target.database != 0 {
            control.expect_ok(&["SELECT", &target.database.to_string()])?;
        }
        Ok(control)
    }

    /// Asks for the tier of every answer; false when the server does not know the question.
    pub fn split_tiers(&mut self) -> Result<bool> {
        if matches!(self.call(&["HELLO", "3"])?, Value::Error(_)) {
            return Ok(false);
        }
        Ok(!matches!(self.call(&["CLIENT", "TIERINFO", "ON"])?, Value::Error(_)))
    }

    /// Sends one command and waits for its answer.
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
            let mut piece = [0; 16 << 10];
            let bytes = self.stream.read(&mut piece).with_context(|| format!("no answer to {}", arguments[0]))?;
            if bytes == 0 {
                bail!("the server closed the connection at {}", arguments[0]);
            }
            self.input.extend_from_slice(&piece[..bytes]);
            if self.input.len() > ANSWER_BYTES_MAX {
                bail!("the answer to {} is longer than {ANSWER_BYTES_MAX} bytes", arguments[0]);
            }
        }
    }

    fn expect_ok(&mut self, arguments: &[&str]) -> Result<()> {
        match self.call(arguments)? {
            Value::Error(text) => bail!("{}: {}", arguments[0], String::from_utf8_lossy(&text)),
            _ => Ok(()),
        }
    }

    /// The socket, for a lane; every answer has been read.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.input.is_empty(), "a handshake reads all its answers");
        self.stream
    }
}
