//! A worker: one thread with its runtime, its clients, and (once the store is open) its lane to the disk.
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
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::connection::Connection;
use crate::server::Server;

/// Most connections handed over but not yet taken.
const HANDED_MAX: usize = 1024;

/// What a worker is handed.
enum Handed {
    Client(TcpStream, SocketAddr),
    /// Its lane to the disk, once the store is open, and whom to tell that it is in use.
    Driver(Box<Driver>, oneshot::Sender<()>),
}

/// How the rest of the server reaches a worker.
pub struct WorkerHandle {
    sender: mpsc::Sender<Handed>,
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
        let handed = self.sender.try_send(Handed::Client(stream, address)).is_ok();
        if !handed {
            self.clients.fetch_sub(1, Ordering::Relaxed);
        }
        handed
    }

    /// Hands it its lane to the disk, and waits until it uses it. False: the worker has ended.
    pub async fn drive(&self, driver: Driver) -> bool {
        let (entered, driving) = oneshot::channel();
        self.sender.send(Handed::Driver(Box::new(driver), entered)).await.is_ok() && driving.await.is_ok()
    }
}

/// A running worker.
pub struct Worker {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Worker {
    /// Starts worker `number`. It serves clients at once, and the disk when it has its lane there.
    pub fn start(number: usize, server: Arc<Server>) -> std::io::Result<(Worker, WorkerHandle)> {
        let (sender, receiver) = mpsc::channel(HANDED_MAX);
        let clients = Arc::new(AtomicUsize::new(0));
        let stop = watch::Sender::new(false);
        let handle = WorkerHandle { sender, clients: clients.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.subscribe();
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(run(number, server, receiver, clients, stopped)));
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
    mut receiver: mpsc::Receiver<Handed>,
    clients: Arc<AtomicUsize>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let (stream, address) = tokio::select! {
            handed = receiver.recv() => match handed {
                Some(Handed::Client(stream, address)) => (stream, address),
                Some(Handed::Driver(driver, entered)) => {
                    driver.enter();
                    tokio::task::spawn_local(drive(*driver));
                    // Nobody listens if the start was given up meanwhile.
                    let _ = entered.send(());
                    continue;
                }
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
