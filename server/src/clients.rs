//! Who is connected: what CLIENT LIST shows and CLIENT KILL reaches.
//!
//! Promises: numbers are never used twice; what a connection writes for each batch is a few plain atomics, the list's lock is
//! taken only to come, go and look. Never touches a socket: a killed client's own task sees the mark and ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use thermocline_resp::Protocol;

use crate::command::table::CommandId;

/// One connected client, as others see it.
pub struct Client {
    /// Its number.
    pub id: u64,
    /// Its address.
    pub address: SocketAddr,
    /// The address it called.
    pub local_address: SocketAddr,
    /// When it came (engine's clock, ms).
    pub created_ms: u64,
    /// What it said about itself.
    names: Mutex<Names>,
    database: AtomicU32,
    protocol: AtomicU32,
    last_active_ms: AtomicU64,
    last_command: AtomicU32,
    input_bytes: AtomicU64,
    output_bytes: AtomicU64,
    no_evict: AtomicBool,
    no_touch: AtomicBool,
    /// Commands queued since MULTI; -1: not in MULTI.
    queued: AtomicI64,
    queued_bytes: AtomicU64,
    /// Whether it waits in a command: one of the numbers below.
    waits: AtomicU8,
    killed: AtomicBool,
    trim: AtomicBool,
    /// Wakes its task while it waits for the network.
    pub waker: AtomicWaker,
}

/// What a client said about itself.
#[derive(Clone, Default)]
pub struct Names {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub library: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: Vec<u8>,
}

/// It does not wait.
const AWAKE: u8 = 0;
/// It waits, and may be sent on.
const WAITING: u8 = 1;
/// It waits no more, but has not noticed: its answer shall be that its time is over, or an error.
const SENT_ON: u8 = 2;
const SENT_ON_WITH_ERROR: u8 = 3;
/// What it waited for is there: it is being served.
const SERVED: u8 = 4;

/// How CLIENT UNBLOCK sends a client on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SentOn {
    /// As if its time were over.
    TimeOver,
    /// With an error.
    Error,
}

/// A client that waits in a command, as long as this is there.
pub struct Waiting<'c>(&'c Client);

impl Waiting<'_> {
    /// Returns when somebody sends it on.
    pub async fn sent_on(&self) -> SentOn {
        std::future::poll_fn(|context| {
            self.0.waker.register(context.waker());
            self.how().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// What it waited for may be there: nobody can send it on while it looks.
    ///
    /// # Errors
    /// Somebody was faster.
    pub fn look(&self) -> Result<(), SentOn> {
        let _ = self.0.waits.compare_exchange(WAITING, SERVED, Ordering::AcqRel, Ordering::Acquire);
        self.how().map_or(Ok(()), Err)
    }

    /// It was not there: it goes on waiting.
    pub fn go_on(&self) {
        let _ = self.0.waits.compare_exchange(SERVED, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    fn how(&self) -> Option<SentOn> {
        match self.0.waits.load(Ordering::Acquire) {
            SENT_ON => Some(SentOn::TimeOver),
            SENT_ON_WITH_ERROR => Some(SentOn::Error),
            _ => None,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits.store(AWAKE, Ordering::Release);
    }
}

/// No command yet.
const NO_COMMAND: u32 = u32::MAX;

impl Client {
    /// A copy of what it said about itself.
    pub fn names(&self) -> Names {
        self.lock_names().clone()
    }

    /// Changes what it said about itself.
    pub fn rename(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.lock_names());
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes a batch: when, which command came last.
    pub fn note(&self, now_ms: u64, command: Option<CommandId>) {
        self.last_active_ms.store(now_ms, Ordering::Relaxed);
        if let Some(command) = command {
            self.last_command.store(command.index() as u32, Ordering::Relaxed);
        }
    }

    /// Notes how much memory its buffers take.
    pub fn note_buffers(&self, input_bytes: u64, output_bytes: u64) {
        self.input_bytes.store(input_bytes, Ordering::Relaxed);
        self.output_bytes.store(output_bytes, Ordering::Relaxed);
    }

    /// Memory of its buffers: input, output.
    pub fn buffers(&self) -> (u64, u64) {
        (self.input_bytes.load(Ordering::Relaxed), self.output_bytes.load(Ordering::Relaxed))
    }

    /// Its database changed.
    pub fn set_database(&self, database: u32) {
        self.database.store(database, Ordering::Relaxed);
    }

    /// Its protocol changed.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.store(protocol.number() as u32, Ordering::Relaxed);
    }

    /// CLIENT NO-EVICT.
    pub fn set_no_evict(&self, on: bool) {
        self.no_evict.store(on, Ordering::Relaxed);
    }

    /// CLIENT NO-TOUCH.
    pub fn set_no_touch(&self, on: bool) {
        self.no_touch.store(on, Ordering::Relaxed);
    }

    /// Its queue of MULTI: commands and bytes.
    pub fn note_queue(&self, queue: Option<(usize, usize)>) {
        self.queued.store(queue.map_or(-1, |(commands, _)| commands as i64), Ordering::Relaxed);
        self.queued_bytes.store(queue.map_or(0, |(_, bytes)| bytes as u64), Ordering::Relaxed);
    }

    /// It waits in a command, until what is answered goes.
    pub fn wait(&self) -> Waiting<'_> {
        self.waits.store(WAITING, Ordering::Release);
        Waiting(self)
    }

    /// Whether it waits in a command, and nobody has sent it on.
    pub fn is_blocked(&self) -> bool {
        matches!(self.waits.load(Ordering::Acquire), WAITING | SERVED)
    }

    /// Sends it on, if it waits. Says whether it did.
    pub fn send_on(&self, how: SentOn) -> bool {
        let state = if how == SentOn::Error { SENT_ON_WITH_ERROR } else { SENT_ON };
        let waited = self.waits.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if waited {
            self.waker.wake();
        }
        waited
    }

    /// RESET: forgets name and wishes.
    pub fn reset(&self) {
        self.rename(|names| names.name.clear());
        self.set_no_evict(false);
        self.set_no_touch(false);
    }

    /// Ends it: its task closes the connection.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether somebody ended it.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Asks its task to give back the memory of idle buffers.
    pub fn ask_trim(&self) {
        self.trim.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was asked to; forgotten by asking.
    pub fn take_trim(&self) -> bool {
        self.trim.load(Ordering::Relaxed) && self.trim.swap(false, Ordering::Acquire)
    }

    /// Milliseconds since its last command.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_active_ms.load(Ordering::Relaxed))
    }

    /// Its line in CLIENT LIST.
    pub fn line(&self, now_ms: u64) -> Vec<u8> {
        let names = self.names();
        let (input, output) = self.buffers();
        let age_s = now_ms.saturating_sub(self.created_ms) / 1000;
        let idle_s = self.idle_ms(now_ms) / 1000;
        let command = match self.last_command.load(Ordering::Relaxed) {
            NO_COMMAND => "NULL",
            index => &crate::command::table::ALL[index as usize].full_name,
        };
        let (queued, queued_bytes) = (self.queued.load(Ordering::Relaxed), self.queued_bytes.load(Ordering::Relaxed));
        let mut flags = String::new();
        if self.is_blocked() {
            flags.push('b');
        }
        if queued >= 0 {
            flags.push('x');
        }
        if self.no_evict.load(Ordering::Relaxed) {
            flags.push('e');
        }
        if self.no_touch.load(Ordering::Relaxed) {
            flags.push('T');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let mut line =
            format!("id={} addr={} laddr={} fd=-1 name=", self.id, self.address, self.local_address).into_bytes();
        line.extend_from_slice(&names.name);
        line.extend_from_slice(
            format!(
                " age={age_s} idle={idle_s} flags={flags} db={} sub=0 psub=0 ssub=0 multi={queued} qbuf={input} qbuf-free=0 argv-mem=0 \
                 multi-mem={queued_bytes} rbs={output} rbp={output} obl=0 oll=0 omem=0 tot-mem={} events=r cmd={command} user=default redir=-1 \
                 resp={} lib-name=",
                self.database.load(Ordering::Relaxed),
                input + output + queued_bytes,
                self.protocol.load(Ordering::Relaxed),
            )
            .as_bytes(),
        );
        line.extend_from_slice(&names.library);
        line.extend_from_slice(b" lib-ver=");
        line.extend_from_slice(&names.library_version);
        line
    }
}

/// All connected clients.
#[derive(Default)]
pub struct Clients {
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Clients {
    /// A client came.
    pub fn add(&self, address: SocketAddr, local_address: SocketAddr, now_ms: u64) -> Arc<Client> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            address,
            local_address,
            created_ms: now_ms,
            names: Mutex::default(),
            database: AtomicU32::new(0),
            protocol: AtomicU32::new(2),
            last_active_ms: AtomicU64::new(now_ms),
            last_command: AtomicU32::new(NO_COMMAND),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicU64::new(0),
            waits: AtomicU8::new(AWAKE),
            killed: AtomicBool::new(false),
            trim: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, client.clone());
        client
    }

    /// A client went.
    pub fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// A client was turned away.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many are connected.
    pub fn count(&self) -> u64 {
        self.lock().len() as u64
    }

    /// How many came since the start, and how many were turned away.
    pub fn totals(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// All, by number.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// The one with this number.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    /// Ends all of them.
    pub fn kill_all(&self) {
        for client in self.all() {
            client.kill();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.connected.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
