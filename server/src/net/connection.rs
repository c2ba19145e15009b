//! The loop of one connection: read, cut into commands, execute, write once, again.
//!
//! ```text
//!  input  [ executed | commands of this batch | half a command ]   grows by what arrived
//!  output [ answers ]                                               sent before more than 256 KiB pile up
//! ```
//! Promises: no command runs while earlier answers wait to be sent, so a client that does not read costs one buffer; in mode
//! `always` no answer leaves before its write is durable; buffers are charged to the store's budget and given back when idle.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use thermocline_resp::{Limits, Protocol, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::clients::Client;
use crate::command::reply::CommandError;
use crate::dispatch::{Batch, Dispatcher, FillBounds, Stretch};
use crate::server::Server;
use crate::session::Session;

/// Room for the first read.
const INPUT_BYTES_MIN: usize = 4 << 10;
/// A read that filled its room gets twice as much, up to this; beyond, only a large argument makes room.
const READ_BYTES_MAX: usize = 64 << 10;
/// Buffers above this are given back when a client has nothing to say for a while.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Output above this is given back at once.
const OUTPUT_KEPT_BYTES_MAX: usize = 1 << 20;
/// The parser's positions are 32 bits.
const INPUT_BYTES_MAX: u64 = u32::MAX as u64;

/// A client's connection.
pub struct Connection {
    server: Arc<Server>,
    worker: usize,
    client: Arc<Client>,
    stream: TcpStream,
    session: Session,
    input: Vec<u8>,
    output: Vec<u8>,
    batch: Batch,
    charged_bytes: usize,
}

/// Why a connection ends.
enum End {
    /// The client went, or was sent away.
    Closed,
    /// The network failed.
    Failed(std::io::Error),
}

/// What waiting for the network brought.
enum Arrived {
    Bytes(usize),
    /// Nothing: idle memory is asked back.
    Trim,
}

impl Connection {
    /// Takes over an accepted socket.
    pub fn open(
        server: Arc<Server>,
        worker: usize,
        stream: std::net::TcpStream,
        address: SocketAddr,
    ) -> std::io::Result<Connection> {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        let client = server.clients.add(address, stream.local_addr()?, server.now_ms());
        let session = Session::new(client.clone(), !server.settings.password_is_set());
        Ok(Connection {
            server,
            worker,
            client,
            stream,
            session,
            input: Vec::new(),
            output: Vec::new(),
            batch: Batch::default(),
            charged_bytes: 0,
        })
    }

    /// Serves the client until it goes.
    pub async fn serve(mut self) {
        if let Err(End::Failed(error)) = self.run().await {
            tracing::debug!(client = %self.session.client.address, %error, "a connection failed");
        }
        // The drop below gives back the memory, the number and the socket.
    }

    async fn run(&mut self) -> Result<(), End> {
        let server = self.server.clone();
        loop {
            let mut at = 0;
            // All commands that have arrived, batch by batch.
            let missing = loop {
                let space = server.store().map(|engine| (engine, engine.space(self.session.database)));
                let bounds = FillBounds { limits: self.limits(), space };
                let (consumed, missing) = self.batch.fill(&mut self.input, at, &bounds);
                if !self.batch.is_empty() {
                    self.execute(&server).await?;
                }
                if let Some(problem) = self.batch.problem {
                    self.protocol_error(&CommandError::built(format_args!("ERR Protocol error: {problem}")));
                }
                self.flush().await?;
                if self.session.ending {
                    self.close().await;
                    return Err(End::Closed);
                }
                at += consumed;
                if consumed == 0 || at == self.input.len() {
                    break missing;
                }
            };
            self.forget(at);
            self.note_buffers();
            while let Arrived::Trim = self.read(missing).await? {
                self.trim();
            }
        }
    }

    async fn execute(&mut self, server: &Server) -> Result<(), End> {
        self.session.client.note(server.now_ms(), self.batch.last_command());
        let dispatcher = Dispatcher::new(server, self.worker);
        let mut begun = dispatcher.begin(&mut self.session, &self.input, &self.batch, &mut self.output);
        while begun.next < self.batch.len() && !self.session.ending {
            let next = self.execute_from(&dispatcher, begun).await?;
            begun = Stretch::at(next);
            if next < self.batch.len() && !self.session.ending {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Executes some commands; ends if the client goes while one of them waits for others.
    async fn execute_from(&mut self, dispatcher: &Dispatcher<'_>, begun: Stretch) -> Result<usize, End> {
        let Connection { client, stream, session, input, batch, output, .. } = self;
        let mut running = pin!(dispatcher.execute(session, input, batch, begun, output));
        std::future::poll_fn(|context| {
            // One that is gone takes nothing any more, not even what was just made for it.
            if client.is_blocked() && has_gone(client, stream, context) {
                return Poll::Ready(Err(End::Closed));
            }
            match running.as_mut().poll(context) {
                Poll::Ready(next) => Poll::Ready(Ok(next)),
                Poll::Pending if client.is_blocked() && has_gone(client, stream, context) => {
                    Poll::Ready(Err(End::Closed))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn limits(&self) -> Limits {
        Limits {
            bulk_bytes_max: self.server.settings.proto_max_bulk_len().min(INPUT_BYTES_MAX / 2),
            authenticated: self.session.is_authenticated(),
            ..Limits::default()
        }
    }

    /// Answers once, then the connection ends.
    fn protocol_error(&mut self, error: &CommandError) {
        self.server.counters.note_error(&error.text());
        Reply::new(&mut self.output, Protocol::Two).error(&error.text());
        self.session.ending = true;
    }

    /// Sends what there is to send, when it may leave.
    async fn flush(&mut self) -> Result<(), End> {
        if self.session.must_serve_first() {
            self.server.engine().served(self.session.take_cause()).await;
        }
        let seq = self.session.take_wait();
        if seq != 0
            && !self.server.engine().is_durable(seq)
            && let Err(error) = self.server.engine().durable(seq).await
        {
            // The answers said OK to what is not on the device: they must not leave.
            self.output.clear();
            self.protocol_error(&CommandError::Engine(error));
        }
        if self.output.is_empty() {
            return Ok(());
        }
        let client = &self.session.client;
        let mut write = pin!(self.stream.write_all(&self.output));
        let written = std::future::poll_fn(|context| {
            client.waker.register(context.waker());
            if client.is_killed() && !self.session.ending {
                return Poll::Ready(Err(End::Closed));
            }
            write.as_mut().poll(context).map_err(End::Failed)
        })
        .await;
        written?;
        self.server.counters.worker(self.worker).output_bytes.add(self.output.len() as u64);
        self.output.clear();
        if self.output.capacity() > OUTPUT_KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// Waits for bytes, or for somebody to end this client or to ask its idle memory back.
    async fn read(&mut self, missing: usize) -> Result<Arrived, End> {
        let limit = self.server.settings.query_buffer_bytes_max().min(INPUT_BYTES_MAX);
        if self.input.len() as u64 >= limit {
            tracing::warn!(client = %self.session.client.address, "closing a client whose commands exceed client-query-buffer-limit");
            return Err(End::Closed);
        }
        self.make_room(missing, limit as usize);
        let client: &Client = &self.session.client;
        let room = self.input.capacity() - self.input.len();
        let mut read = pin!(self.stream.read_buf(&mut self.input));
        let arrived = std::future::poll_fn(|context| {
            client.waker.register(context.waker());
            if client.is_killed() {
                return Poll::Ready(Err(End::Closed));
            }
            match read.as_mut().poll(context) {
                Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(Arrived::Bytes(bytes))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(End::Failed(error))),
                Poll::Pending if client.take_trim() => Poll::Ready(Ok(Arrived::Trim)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        if let Arrived::Bytes(bytes) = arrived {
            if bytes == 0 {
                return Err(End::Closed);
            }
            self.server.counters.worker(self.worker).input_bytes.add(bytes as u64);
            if bytes == room && self.input.capacity() < READ_BYTES_MAX {
                self.input.reserve(self.input.capacity());
            }
        }
        Ok(arrived)
    }

    /// Room for the next read: by what arrived so far, never by what the client claims will come.
    fn make_room(&mut self, missing: usize, limit: usize) {
        let wanted = missing.min(self.input.len().max(READ_BYTES_MAX)).max(1);
        if self.input.capacity() - self.input.len() < wanted {
            let room = wanted.max(INPUT_BYTES_MIN).min(limit - self.input.len()).max(1);
            self.input.reserve(room);
        }
    }

    /// Forgets executed bytes.
    fn forget(&mut self, at: usize) {
        if at == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..at);
        }
    }

    /// Gives back idle memory.
    fn trim(&mut self) {
        if self.input.capacity() > KEPT_BYTES_MAX && self.input.len() < INPUT_BYTES_MIN {
            self.input.shrink_to(INPUT_BYTES_MIN);
        }
        self.output = Vec::new();
        self.batch.trim();
        self.note_buffers();
    }

    /// Tells the store's budget and CLIENT LIST what the buffers take. A store that opens later hears of them at the next turn.
    fn note_buffers(&mut self) {
        let bytes = self.input.capacity() + self.output.capacity();
        if bytes != self.charged_bytes
            && let Some(engine) = self.server.store()
        {
            engine.charge_clients(bytes as i64 - self.charged_bytes as i64);
            self.charged_bytes = bytes;
        }
        self.session.client.note_buffers(self.input.capacity() as u64, self.output.capacity() as u64);
    }

    /// Ends politely: the last answer must not be lost to unread input, which would make the kernel reset the connection.
    async fn close(&mut self) {
        /// How long a client may take to notice.
        const LINGER: std::time::Duration = std::time::Duration::from_millis(200);
        /// How much it may still send meanwhile.
        const LINGER_READS_MAX: usize = 64;
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.input.clear();
        self.input.reserve(INPUT_BYTES_MIN);
        let drained = async {
            for _ in 0..LINGER_READS_MAX {
                self.input.clear();
                if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}

/// Whether a client that waits in a command was ended or has hung up; wakes the task when it does.
fn has_gone(client: &Client, stream: &TcpStream, context: &mut Context<'_>) -> bool {
    client.waker.register(context.waker());
    let mut byte = [0];
    match stream.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
        Poll::Ready(Ok(0) | Err(_)) => true,
        // Behind bytes that nobody has read yet the end can only be asked for.
        Poll::Ready(Ok(_)) => client.is_killed() || is_read_closed(stream),
        Poll::Pending => client.is_killed(),
    }
}

/// Whether the other side has said that it sends no more.
fn is_read_closed(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE).now_or_never();
    matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(engine) = self.server.store() {
            engine.charge_clients(-(self.charged_bytes as i64));
        }
        self.server.clients.remove(self.session.client.id);
    }
}
