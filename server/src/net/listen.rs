//! Opens the listening sockets of `bind` and `port`.
//!
//! Promises: an address that starts with `-` may be missing; any other that fails is an error which names the address and a
//! way out.

use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Listens on every address of `bind` (as in redis.conf: blanks between, `*` for all, `-` before an optional one).
pub async fn listen(bind: &str, port: u16, backlog: u32) -> Result<Vec<TcpListener>, String> {
    if port == 0 {
        return Ok(Vec::new());
    }
    let mut listeners = Vec::new();
    for name in bind.split_whitespace() {
        let (name, optional) = match name.strip_prefix('-') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match open(name, port, backlog).await {
            Ok(listener) => listeners.push(listener),
            Err(_) if optional => {}
            Err(error) => {
                return Err(format!(
                    "Failed listening on port {port} ({name}): {error}. Is another server running? Choose another port with --port, \
                     or another address with --bind."
                ));
            }
        }
    }
    if listeners.is_empty() {
        return Err(format!(
            "Failed listening on port {port}: none of the addresses '{bind}' is usable. Give one with --bind."
        ));
    }
    Ok(listeners)
}

async fn open(name: &str, port: u16, backlog: u32) -> std::io::Result<TcpListener> {
    let address: IpAddr = match name {
        "*" => IpAddr::from([0, 0, 0, 0]),
        "::*" => IpAddr::from([0u16; 8]),
        name => match name.parse() {
            Ok(address) => address,
            Err(_) => tokio::task::spawn_blocking({
                let target = (name.to_owned(), port);
                move || std::net::ToSocketAddrs::to_socket_addrs(&target)
            })
            .await??
            .next()
            .ok_or_else(|| std::io::Error::other("the name has no address"))?
            .ip(),
        },
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(backlog.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named_with_a_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port, 511).await.unwrap_err();
        assert!(error.starts_with(&format!("Failed listening on port {port}")), "{error}");
        assert!(error.contains("--port"), "{error}");
    }

    #[tokio::test]
    async fn an_optional_address_may_be_missing() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert_eq!(listen("127.0.0.1 -192.0.2.1", port, 511).await.unwrap().len(), 1);
        assert!(listen("-192.0.2.1", port, 511).await.is_err());
    }
}
