//! A worker: one thread with its runtime, its clients, and its lane to the disk.
//!
//! Promises: a client stays on its worker; the disk's completions are reaped on the same thread; the thread ends when told to
//! and all its clients are gone. Idle costs nothing: it sleeps in one epoll.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use thermocline::Driver;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::connection::Connection;
use crate::server::Server;

/// Most connections handed over but not yet taken.
const HANDED_MAX: usize = 1024;

/// How the rest of the server reaches a worker.
pub struct WorkerHandle {
    sender: mpsc::Sender<(TcpStream, SocketAddr)>,
    clients: Arc<AtomicUsize>,
}

impl WorkerHandle {
    /// How many clients it has.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Hands it a connection. False: it has too many waiting already.
    pub fn hand(&self, stream: TcpStream, address: SocketAddr) -> bool {
        self.clients.fetch_add(1, Ordering::Relaxed);
        let handed = self.sender.try_send((stream, address)).is_ok();
        if !handed {
            self.clients.fetch_sub(1, Ordering::Relaxed);
        }
        handed
    }
}

/// A running worker.
pub struct Worker {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Worker {
    /// Starts worker `number`.
    pub fn start(number: usize, server: Arc<Server>, driver: Driver) -> std::io::Result<(Worker, WorkerHandle)> {
        let (sender, receiver) = mpsc::channel(HANDED_MAX);
        let clients = Arc::new(AtomicUsize::new(0));
        let stop = watch::Sender::new(false);
        let handle = WorkerHandle { sender, clients: clients.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.subscribe();
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(run(number, server, driver, receiver, clients, stopped)));
        })?;
        Ok((Worker { thread, stop }, handle))
    }

    /// Ends it, once its clients are gone. Its lane to the disk works until then.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
}

async fn run(
    number: usize,
    server: Arc<Server>,
    driver: Driver,
    mut receiver: mpsc::Receiver<(TcpStream, SocketAddr)>,
    clients: Arc<AtomicUsize>,
    mut stopped: watch::Receiver<bool>,
) {
    driver.enter();
    tokio::task::spawn_local(drive(driver));
    loop {
        let (stream, address) = tokio::select! {
            handed = receiver.recv() => match handed {
                Some(handed) => handed,
                None => break,
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let server = server.clone();
        let clients = clients.clone();
        tokio::task::spawn_local(async move {
            match Connection::open(server, number, stream, address) {
                Ok(connection) => connection.serve().await,
                Err(error) => tracing::debug!(%address, %error, "a connection was gone before it began"),
            }
            clients.fetch_sub(1, Ordering::Relaxed);
        });
    }
    // Nobody hands connections any more, but the disk is needed until the store is closed.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Takes the disk's completions and does the store's background work, in bounded turns.
async fn drive(mut driver: Driver) {
    let descriptor = driver.poll_fd().and_then(watch_descriptor);
    /// Without a descriptor to wait for.
    const POLL: Duration = Duration::from_millis(1);
    loop {
        driver.clear_readiness();
        let turn = driver.turn();
        if turn.progressed {
            tokio::task::yield_now().await;
            continue;
        }
        match &descriptor {
            Some(descriptor) => {
                let readable = async {
                    if let Ok(mut guard) = descriptor.readable().await {
                        guard.clear_ready_matching(Ready::READABLE);
                    }
                };
                match turn.next_wake {
                    Some(wake) => tokio::select! {
                        () = readable => {}
                        () = tokio::time::sleep(wake) => {}
                    },
                    None => readable.await,
                }
            }
            None => tokio::time::sleep(turn.next_wake.unwrap_or(POLL).min(POLL)).await,
        }
    }
}

#[expect(deprecated, reason = "the driver owns the descriptor and outlives the watch: both live in one function")]
fn watch_descriptor(descriptor: RawFd) -> Option<AsyncFd<RawFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
        .inspect_err(|error| tracing::warn!(%error, "the disk's completions cannot be waited for; they are polled every millisecond"))
        .ok()
}
