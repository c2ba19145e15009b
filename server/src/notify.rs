//! Tells systemd how far the server is: loading, ready, ending (sd_notify(3): one datagram to the socket in `NOTIFY_SOCKET`).
//!
//! With `supervised systemd` or `auto` and the socket given, a unit of `Type=notify` is started when the store is open, not
//! when the process is.
//!
//! Promises: never waits, and what cannot be told is left untold: the server runs as well without. Never: a file descriptor kept.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whom to tell, if anybody.
pub struct Notify(Option<SocketAddr>);

impl Notify {
    /// By the directive `supervised` and the value of `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    pub fn new(supervised: &str, socket: Option<OsString>) -> Notify {
        let wanted = matches!(supervised, "systemd" | "auto");
        let address = socket.filter(|_| wanted).and_then(|socket| match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(socket).ok(),
        });
        Notify(address)
    }

    /// The store is being opened: clients get `-LOADING`.
    pub fn loading(&self) {
        self.send("STATUS=Opening the store");
    }

    /// Everything is served.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=Ready to accept connections");
    }

    /// The store is being closed.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Closing the store");
    }

    fn send(&self, words: &str) {
        let Some(address) = &self.0 else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(words.as_bytes(), address)
        });
        if let Err(error) = sent {
            tracing::warn!(%error, words, "systemd could not be told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 256];
        listener.set_nonblocking(true).unwrap();
        listener.recv(&mut bytes).ok().map(|count| String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    #[test]
    fn who_is_supervised_tells_and_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        for supervised in ["no", "upstart"] {
            Notify::new(supervised, Some(path.clone().into())).ready();
            assert_eq!(heard(&listener), None, "{supervised}");
        }
        for supervised in ["systemd", "auto"] {
            Notify::new(supervised, Some(path.clone().into())).ready();
            assert!(heard(&listener).is_some_and(|words| words.starts_with("READY=1\n")), "{supervised}");
            Notify::new(supervised, None).ready();
        }
    }

    #[test]
    fn an_abstract_name_is_understood_and_a_socket_that_is_gone_is_survived() {
        let name = format!("thermocline-notify-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = Notify::new("systemd", Some(format!("@{name}").into()));
        notify.stopping();
        assert!(heard(&listener).is_some_and(|words| words.starts_with("STOPPING=1\n")));
        drop(listener);
        notify.stopping();
    }
}
