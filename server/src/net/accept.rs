//! Lets clients in: counts them, turns away those who must not come, hands the others to the least loaded worker.
//!
//! Promises: at most `maxclients`; without a password and outside the loopback nobody is served (`protected-mode`). A short
//! failure of accept (no descriptors) is survived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::worker::WorkerHandle;
use crate::server::Server;

/// How long accept rests after a failure.
const REST: Duration = Duration::from_millis(50);
/// How long a client that is turned away may take to read why.
const GOODBYE: Duration = Duration::from_millis(100);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the \
default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers, you \
may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the \
loopback interface by connecting from the same host the server is running, however MAKE SURE it is not publicly accessible from internet \
if you do so. 2) Alternatively you can just disable the protected mode by editing the configuration file, and setting the protected mode \
option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the \
'--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above \
things in order for the server to start accepting connections from the outside.\r\n";

/// Accepts until the server ends.
pub async fn accept(listener: TcpListener, server: Arc<Server>, workers: Arc<Vec<WorkerHandle>>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.ending() => return,
        };
        match accepted {
            Ok((stream, address)) => admit(stream, address, &server, &workers),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn admit(stream: TcpStream, address: SocketAddr, server: &Server, workers: &[WorkerHandle]) {
    let refusal = if workers.iter().map(WorkerHandle::clients).sum::<usize>() as u64 >= server.settings.clients_max() {
        TOO_MANY
    } else if !address.ip().to_canonical().is_loopback()
        && !server.settings.password_is_set()
        && server.settings.is_yes("protected-mode")
    {
        PROTECTED
    } else {
        let worker = workers.iter().min_by_key(|worker| worker.clients()).expect("there is a worker");
        let handed = stream.into_std().is_ok_and(|stream| worker.hand(stream, address));
        if !handed {
            server.clients.note_refused();
        }
        return;
    };
    server.clients.note_refused();
    tokio::spawn(async move {
        let mut stream = stream;
        // Whether the goodbye arrives is the client's concern.
        let _ = tokio::time::timeout(GOODBYE, stream.write_all(refusal)).await;
    });
}
