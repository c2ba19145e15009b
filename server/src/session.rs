//! What one client has told the server about itself: database, protocol, password, wishes.
//!
//! Promises: small and plain; only the client's own connection touches it. What others may see or do (CLIENT LIST, CLIENT KILL)
//! lives in `clients.rs`. Never: buffers, sockets, commands.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use thermocline::Watcher;
use thermocline_resp::Protocol;

use crate::clients::Client;
use crate::command::row::Flag;
use crate::command::table::{CommandId, CommandSet};
use crate::transaction::Transaction;

/// A client's session.
pub struct Session {
    /// What others see of it.
    pub client: Arc<Client>,
    /// Selected database.
    pub database: u32,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Whether it has shown its password (or needs none).
    authenticated: bool,
    permissions: Permissions,
    /// Whether answers carry where the value lay.
    pub tierinfo: bool,
    /// Whether answers are sent at all.
    pub replies: Replies,
    /// The connection ends after this command's answer was sent.
    pub ending: bool,
    /// How many cold reads of a pipeline may run together, by the size of earlier answers.
    pub reads_together_max: usize,
    /// What was queued since MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// The keys of WATCH.
    pub watcher: Option<Box<Watcher>>,
    /// EXEC runs its commands: nothing may wait for other clients.
    pub is_executing: bool,
    /// What the next command's random choices begin with.
    seed: u64,
    wait_seq: u64,
    /// Who was called by the last command must be served before anything else happens here; 0: nobody.
    cause: u64,
}

/// What a session may do.
#[derive(Copy, Clone)]
struct Permissions {
    /// Commands that it may use.
    commands: CommandSet,
    /// With any key. Who may not is asked key by key, off the short road.
    all_keys: bool,
}

impl Permissions {
    fn of(authenticated: bool) -> Permissions {
        static EVERYTHING: LazyLock<CommandSet> = LazyLock::new(|| CommandSet::of(|_| true));
        static BEFORE_AUTH: LazyLock<CommandSet> = LazyLock::new(|| CommandSet::of(|row| row.flags.has(Flag::NoAuth)));
        Permissions { commands: if authenticated { *EVERYTHING } else { *BEFORE_AUTH }, all_keys: authenticated }
    }
}

/// CLIENT REPLY.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Replies {
    /// As usual.
    On,
    /// None until ON.
    Off,
    /// Not for this command (SKIP itself), and not for the next.
    SkipNext,
    /// Not for this command.
    Skip,
}

impl Session {
    /// A session that begins.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Session {
        Session {
            client,
            database: 0,
            protocol: Protocol::Two,
            authenticated,
            permissions: Permissions::of(authenticated),
            tierinfo: false,
            replies: Replies::On,
            ending: false,
            reads_together_max: crate::dispatch::READS_AT_FIRST,
            transaction: None,
            watcher: None,
            is_executing: false,
            seed: RandomState::new().hash_one(()),
            wait_seq: 0,
            cause: 0,
        }
    }

    /// What this command's random choices begin with; the next command's begin elsewhere.
    #[inline]
    pub fn next_seed(&mut self) -> u64 {
        // The step of SplitMix64: the generator that a command makes of it scrambles it.
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.seed
    }

    /// The seed of the command under way.
    #[inline]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The right password was given.
    pub fn authenticate(&mut self) {
        self.authenticated = true;
        self.permissions = Permissions::of(true);
    }

    /// Whether it has shown its password (or needs none).
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether it may use this command.
    #[inline]
    pub fn may_use(&self, command: CommandId) -> bool {
        self.permissions.commands.has(command)
    }

    /// Whether nothing stands between a command and its answer: no MULTI, no CLIENT REPLY or TIERINFO, no limits on keys. A
    /// command on keys cannot change that.
    pub fn is_plain(&self) -> bool {
        self.permissions.all_keys
            && self.transaction.is_none()
            && self.replies == Replies::On
            && !self.tierinfo
            && !self.ending
    }

    /// MULTI.
    pub fn begin(&mut self, transaction: Transaction) {
        self.transaction = Some(Box::new(transaction));
        self.note_queue();
    }

    /// The end of a transaction, however it ends.
    pub fn take_transaction(&mut self) -> Option<Box<Transaction>> {
        let transaction = self.transaction.take();
        self.note_queue();
        transaction
    }

    /// A command was refused: a transaction that is being queued cannot be executed any more.
    pub fn abort_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.abort();
            self.note_queue();
        }
    }

    /// Shows the queue to others.
    pub fn note_queue(&self) {
        self.client.note_queue(self.transaction.as_ref().map(|queue| (queue.len(), queue.bytes())));
    }

    /// Chooses a database.
    pub fn select(&mut self, database: u32) {
        self.database = database;
        self.client.set_database(database);
    }

    /// Answers from here on may leave only when the log has reached `seq`.
    pub fn must_wait(&mut self, seq: u64) {
        self.wait_seq = self.wait_seq.max(seq);
    }

    /// Whoever waited for what a command has made is served before the next one, and before its answer leaves.
    #[inline]
    pub fn must_serve(&mut self, cause: u64) {
        if cause != 0 {
            self.cause = cause;
        }
    }

    /// Whom a command has called is not served yet.
    #[inline]
    pub fn must_serve_first(&self) -> bool {
        self.cause != 0
    }

    /// What is to be served first; forgotten by asking.
    pub fn take_cause(&mut self) -> u64 {
        std::mem::take(&mut self.cause)
    }

    /// What the answers must wait for; forgotten by asking.
    pub fn take_wait(&mut self) -> u64 {
        std::mem::take(&mut self.wait_seq)
    }

    /// Back to the beginning (RESET).
    pub fn reset(&mut self, authenticated: bool) {
        *self = Session { wait_seq: self.wait_seq, ..Session::new(self.client.clone(), authenticated) };
        self.client.set_database(0);
        self.client.set_protocol(Protocol::Two);
        self.client.reset();
        self.note_queue();
    }
}
