//! A port of the loopback for a server that is about to be started: by a test, a comparison, a demonstration.
//!
//! A port that was free a moment ago is not ours: another program that looks for a free one may be given the same, and a client
//! that connects before the server listens then talks to a stranger who hangs up. A [`Port`] stays bound without listening for
//! as long as it lives. The kernel gives a bound port to nobody who asks for any, neither to listen nor to connect from; a
//! connection to it is refused; and a server that sets `SO_REUSEADDR`, as all servers do, may listen there beside it.
//!
//! Promises: no two live ports of a machine are equal. Never: listens or connects itself.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that nobody else is given while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _bound: Socket,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Errors
    /// The machine has no free port or no free descriptor.
    pub fn reserve() -> io::Result<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("an address without a port"))?;
        Ok(Port { number: address.port(), _bound: socket })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(formatter)
    }
}
