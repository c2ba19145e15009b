//! The back half of the batch loop: checks a command, resolves its keys, runs its body, writes its answer.
//!
//! Promises: the order of checks is Redis's (name, arity, password, loading); an error takes back what its body had written; a command
//! on one hot key goes the short road (`try_run`) with no future. Never asks where a value lies, except to tell a client that
//! wants to know (CLIENT TIERINFO).

use thermocline::{Access, Attempt, Changes, Done, Durability, Engine, Key, Later, Tier, View};
use thermocline_resp::Reply;

use super::batch::{Batch, Found};
use super::keys::{self, KeyPlaces};
use super::reads::{ReadAnswer, Reads};
use super::stretch::Stretch;
use super::tally::Tally;
use crate::command::Args;
use crate::command::context::{Context, Facts, SessionContext};
use crate::command::reach::{REACHES_MAX, Reach};
use crate::command::reply::CommandError;
use crate::command::row::{Body, Flag, KeyArgument, Keys, Row};
use crate::command::table::CommandId;
use crate::counters::WorkerCells;
use crate::server::Server;
use crate::session::{Replies, Session};

/// Answers of this size are sent before the next command runs, so that a pipeline of large GETs needs little memory.
pub(super) const OUTPUT_BYTES_MAX: usize = 256 << 10;

pub(super) type KeysBody = fn(&mut Context<'_, '_>) -> Result<(), CommandError>;

/// Executes commands for one worker.
#[derive(Copy, Clone)]
pub struct Dispatcher<'s> {
    pub(super) server: &'s Server,
    pub(super) cells: &'s WorkerCells,
}

/// One command on its way.
struct Command<'b> {
    id: CommandId,
    row: &'static Row,
    args: Args<'b>,
    /// Its place in the batch.
    at: usize,
    /// What the store said when its key was asked for already.
    later: Option<Later>,
}

impl<'s> Dispatcher<'s> {
    /// A dispatcher that counts in this worker's cells.
    pub fn new(server: &'s Server, worker: usize) -> Self {
        Dispatcher { server, cells: server.counters.worker(worker) }
    }

    /// Executes `batch` from where `begun` ended, until its end, the session's end, or much output. Returns the next command.
    pub async fn execute(
        &self,
        session: &mut Session,
        buffer: &[u8],
        batch: &Batch,
        begun: Stretch,
        output: &mut Vec<u8>,
    ) -> usize {
        let mut changes = Changes::new(1);
        let mut reads = Reads::new(session.reads_together_max);
        let Stretch { next: mut at, mut later } = begun;
        let mut tally = Tally::begin(self.server, self.cells);
        while at < batch.len() && !session.ending && output.len() < OUTPUT_BYTES_MAX {
            if session.must_serve_first() {
                self.server.engine().served(session.take_cause()).await;
                tally.skip();
            }
            if later.is_none() && reads.is_empty() && session.is_plain() && self.server.store().is_some() {
                let stretch = self.stretch(session, buffer, batch, at, &mut changes, &mut tally, output);
                (at, later) = (stretch.next, stretch.later);
                if at == batch.len() || output.len() >= OUTPUT_BYTES_MAX {
                    break;
                }
                // What comes now may ask what was counted.
                tally.settle();
                if session.must_serve_first() {
                    continue;
                }
            }
            let start = output.len();
            session.next_seed();
            let args = batch.args(at, buffer);
            match batch.entry(at).found {
                Found::WebRequest => {
                    tracing::warn!(
                        client = %session.client.address,
                        "Possible SECURITY ATTACK detected: somebody speaks HTTP to this port. The connection was closed."
                    );
                    output.clear();
                    session.ending = true;
                    break;
                }
                Found::Unknown => {
                    session.must_wait(reads.drain(output).await);
                    self.refuse(output, &CommandError::unknown_command(args.from(0)));
                    session.abort_transaction();
                }
                Found::UnknownSubcommand(container) => {
                    session.must_wait(reads.drain(output).await);
                    let name = container.command().row.name;
                    self.refuse(output, &CommandError::unknown_subcommand(name, args.at(1)));
                    session.abort_transaction();
                }
                Found::Command(id, row) => {
                    let mut command = Command { id, row, args, at, later: later.take() };
                    if session.replies != Replies::On {
                        session.must_wait(reads.drain(output).await);
                    }
                    if let Err(error) = self.check(&command, session) {
                        session.must_wait(reads.drain(output).await);
                        self.reject(&command, session, &error, output);
                    } else if session.transaction.is_some() && !command.row.at_once {
                        session.must_wait(reads.drain(output).await);
                        self.queue(&command, session, output);
                    } else {
                        if !self.command(&mut command, session, batch, &mut changes, &mut reads, output).await {
                            break;
                        }
                        if let Body::Blocking(_) = row.body {
                            tally.skip();
                        }
                        tally.add(id);
                        tally.settle();
                    }
                }
            }
            at += 1;
            if session.replies != Replies::On {
                session.must_wait(reads.drain(output).await);
                output.truncate(start);
                session.replies = match session.replies {
                    Replies::SkipNext => Replies::Skip,
                    Replies::Skip => Replies::On,
                    other => other,
                };
            }
        }
        tally.settle();
        session.must_wait(reads.drain(output).await);
        session.reads_together_max = reads.together_max();
        at
    }

    /// One command that may run: the road that fits its body and keys. False: it would have to wait, and what was answered before
    /// it must leave first; nothing was done.
    async fn command<'b>(
        &self,
        command: &mut Command<'b>,
        session: &mut Session,
        batch: &Batch,
        changes: &mut Changes<'b>,
        reads: &mut Reads<'b>,
        output: &mut Vec<u8>,
    ) -> bool
    where
        's: 'b,
    {
        let row = command.row;
        match row.body {
            Body::Keys(body) if let Some(word) = single_key(row, &command.args) => {
                self.one_key(command, word, body, session, batch, changes, reads, output).await;
            }
            Body::Keys(body) | Body::Reach(body) => {
                session.must_wait(reads.drain(output).await);
                self.many_keys(command, body, session, changes, output).await;
            }
            Body::Blocking(blocking) => {
                session.must_wait(reads.drain(output).await);
                return Box::pin(self.blocking(command.id, command.args, &blocking, session, output)).await;
            }
            Body::Session(_) if row.flags.has(Flag::Blocking) && !(reads.is_empty() && output.is_empty()) => {
                return false;
            }
            Body::Exec => {
                session.must_wait(reads.drain(output).await);
                Box::pin(self.exec(command.id, session, output)).await;
            }
            _ => {
                session.must_wait(reads.drain(output).await);
                // On the heap, like EXEC: what waits for whole databases must not make every command's future larger.
                Box::pin(self.keyless(command.id, command.args, session, output)).await;
            }
        }
        true
    }

    /// A command that acts on the session, the server or whole databases.
    pub(super) async fn keyless(&self, id: CommandId, args: Args<'_>, session: &mut Session, output: &mut Vec<u8>) {
        let start = output.len();
        let result = self.act(id, args, session, output).await;
        if let Err(error) = result {
            self.fail(output, start, id, &error);
        }
    }

    async fn act(
        &self,
        id: CommandId,
        args: Args<'_>,
        session: &mut Session,
        output: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let row = id.command().row;
        let mut reply = Reply::new(output, session.protocol);
        match row.body {
            Body::Select(body) => {
                session.select(body(&args, self.server.databases())?);
                reply.ok();
            }
            Body::Databases(body) => {
                let engine = self.server.engine();
                let change = body(&args, facts(self.server, session, row))?;
                let done = engine.change_spaces(|plan| change.apply(plan)).await?;
                session.must_wait(done.wait_seq);
                session.must_serve(done.cause);
                reply.ok();
            }
            Body::Walk(body) => {
                let engine = self.server.engine();
                let walk = body(&args)?;
                let found = walk.gather(engine, engine.space(session.database), |_| false).await?;
                session.must_wait(seen_seq(engine));
                walk.answer(&found, std::iter::empty(), 0, &mut reply);
            }
            Body::Plain(body) => body(&mut SessionContext { args, reply, session, server: self.server, row })?,
            Body::Session(body) => body(SessionContext { args, reply, session, server: self.server, row }).await?,
            Body::Keys(_) | Body::Reach(_) | Body::Blocking(_) | Body::Exec => {
                unreachable!("these have roads of their own")
            }
        }
        Ok(())
    }

    /// Puts a command into the queue of MULTI, unless it could not be executed anyway.
    fn queue(&self, command: &Command<'_>, session: &mut Session, output: &mut Vec<u8>) {
        let flags = command.row.flags;
        let refusal = if flags.has(Flag::NoMulti) {
            Some(CommandError::NO_MULTI)
        } else if flags.has(Flag::Write) {
            self.server.engine().refuses_writes(flags.has(Flag::DenyOom)).map(CommandError::Engine)
        } else {
            None
        };
        let Some(transaction) = &mut session.transaction else { return };
        let queued = refusal.map_or(Ok(()), Err).and_then(|()| transaction.push(command.id, command.args));
        match queued {
            Ok(()) => {
                session.note_queue();
                Reply::new(output, session.protocol).simple("QUEUED");
            }
            Err(error) => self.reject(command, session, &error, output),
        }
    }

    fn check(&self, command: &Command<'_>, session: &Session) -> Result<(), CommandError> {
        let row = command.row;
        let words = command.args.len();
        if !fits(row, words) {
            return Err(CommandError::arity(&command.id.command().full_name));
        }
        if !session.may_use(command.id) {
            return Err(CommandError::NO_AUTH);
        }
        if self.server.store().is_none() && !row.flags.has(Flag::Loading) {
            return Err(CommandError::LOADING);
        }
        Ok(())
    }

    /// Answers a command that may not run; EXEC will not run either.
    fn reject(&self, command: &Command<'_>, session: &mut Session, error: &CommandError, output: &mut Vec<u8>) {
        self.cells.of(command.id).rejected.add(1);
        if let Body::Exec = command.row.body {
            session.take_transaction();
            session.watcher = None;
            return self.refuse(output, &CommandError::exec_abort_because(error));
        }
        self.refuse(output, error);
        session.abort_transaction();
    }

    /// The short road: a command on one key. Cold reads go on beside the next commands, other cold commands are waited for.
    #[expect(clippy::too_many_arguments, reason = "the batch's reused memory, each borrowed apart")]
    async fn one_key<'b>(
        &self,
        command: &mut Command<'b>,
        word: usize,
        body: KeysBody,
        session: &mut Session,
        batch: &Batch,
        changes: &mut Changes<'b>,
        reads: &mut Reads<'b>,
        output: &mut Vec<u8>,
    ) where
        's: 'b,
    {
        let server = self.server;
        let engine = server.engine();
        let access = keys::access(command.row, &command.args);
        if !reads.is_empty() && (access.writes() || reads.is_full()) {
            session.must_wait(reads.drain(output).await);
        }
        let start = output.len();
        let key = batch.key(command.at, engine.space(session.database), command.args.at(word), engine);
        let facts = facts(server, session, command.row);
        changes.reset(1);
        let attempt = match command.later.take() {
            Some(later) => Attempt::Later(later),
            None => engine.try_run(&key, access, changes, |views, changes| {
                run_body(body, command.args, views, changes, &[], &facts, output, start)
            }),
        };
        let later = match attempt {
            Attempt::Ready(result, done) => {
                self.answer(command.id, session, result, &done, output, start);
                if !reads.is_empty() {
                    reads.keep(&output[start..]);
                    output.truncate(start);
                }
                return;
            }
            Attempt::Refused(error) => {
                output.truncate(start);
                session.must_wait(reads.drain(output).await);
                return self.fail(output, output.len(), command.id, &CommandError::Engine(error));
            }
            Attempt::Later(later) => later,
        };
        output.truncate(start);
        if access.writes() {
            let result = engine
                .finish(later, &key, access, changes, |views, changes| {
                    run_body(body, command.args, views, changes, &[], &facts, output, start)
                })
                .await;
            return self.finished(command.id, session, result, output, start);
        }
        reads.push(self.cold_read(command.id, command.args, key, access, later, body, facts, session.tierinfo));
    }

    /// A read that goes on beside the next commands, with an output of its own.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything a command needs once the batch's memory is no longer its own"
    )]
    async fn cold_read<'b>(
        self,
        id: CommandId,
        args: Args<'b>,
        key: Key<'b>,
        access: Access,
        later: thermocline::Later,
        body: KeysBody,
        facts: Facts<'b>,
        tierinfo: bool,
    ) -> ReadAnswer
    where
        's: 'b,
    {
        let mut bytes = Vec::new();
        let mut changes = Changes::new(1);
        let result = facts
            .engine()
            .finish(later, &key, access, &mut changes, |views, changes| {
                run_body(body, args, views, changes, &[], &facts, &mut bytes, 0)
            })
            .await;
        let wait_seq = match result {
            Ok((result, done)) => {
                self.cells.of(id).microseconds.add(u64::from(done.read_us));
                if let Err(error) = result {
                    self.fail(&mut bytes, 0, id, &error);
                }
                if tierinfo {
                    describe(&mut bytes, 0, &done, facts);
                }
                done.wait_seq
            }
            Err(error) => {
                self.fail(&mut bytes, 0, id, &CommandError::Engine(error));
                0
            }
        };
        ReadAnswer { bytes, wait_seq }
    }

    /// The general road: no key or any number of keys.
    async fn many_keys<'b>(
        &self,
        command: &Command<'b>,
        body: KeysBody,
        session: &mut Session,
        changes: &mut Changes<'b>,
        output: &mut Vec<u8>,
    ) {
        let start = output.len();
        let facts = facts(self.server, session, command.row);
        let mut found = Vec::new();
        if let Err(error) = keys::collect(command.row, &command.args, &mut found) {
            return self.fail(output, start, command.id, &error);
        }
        if found.is_empty() {
            changes.reset(0);
            if let Err(error) = run_body(body, command.args, &[], changes, &[], &facts, output, start) {
                self.fail(output, start, command.id, &error);
            }
            return;
        }
        let engine = self.server.engine();
        let database = |argument: &KeyArgument| argument.database.unwrap_or(session.database);
        if found.iter().any(|argument| database(argument) >= engine.databases()) {
            return self.fail(output, start, command.id, &CommandError::DATABASE);
        }
        let mut reach = Reach::of(command.row, engine);
        for _ in 0..REACHES_MAX {
            let facts = Facts { reach: reach.as_ref(), ..facts };
            let words = found.iter().map(|argument| (database(argument), command.args.at(argument.word)));
            let others = reach.iter().flat_map(Reach::names).map(|name| (session.database, name));
            let names: Vec<(u32, &[u8])> = words.chain(others).collect();
            let places = KeyPlaces::of(&names);
            let mut accesses: Vec<Access> = found.iter().map(|argument| argument.access).collect();
            accesses.resize(names.len(), Access::Read);
            places.unite(&mut accesses);
            let keys: Vec<(Key<'_>, Access)> = names
                .iter()
                .zip(accesses)
                .map(|((database, name), access)| (engine.key(engine.space(*database), name), access))
                .collect();
            changes.reset(keys.len());
            let result = engine
                .run(&keys, changes, |views, changes| {
                    run_body(body, command.args, views, changes, places.as_slice(), &facts, output, start)
                })
                .await;
            match (result, &mut reach) {
                (Ok((Err(CommandError::Keys), _)), Some(reach)) => {
                    if let Err(error) = reach.learn() {
                        return self.fail(output, start, command.id, &error.into());
                    }
                }
                (result, _) => return self.finished(command.id, session, result, output, start),
            }
        }
        self.fail(output, start, command.id, &CommandError::Keys);
    }

    fn finished(
        &self,
        id: CommandId,
        session: &mut Session,
        result: Result<(Result<(), CommandError>, Done), thermocline::Error>,
        output: &mut Vec<u8>,
        start: usize,
    ) {
        match result {
            Ok((result, done)) => self.answer(id, session, result, &done, output, start),
            Err(error) => self.fail(output, start, id, &CommandError::Engine(error)),
        }
    }

    pub(super) fn answer(
        &self,
        id: CommandId,
        session: &mut Session,
        result: Result<(), CommandError>,
        done: &Done,
        output: &mut Vec<u8>,
        start: usize,
    ) {
        if let Err(error) = result {
            self.fail(output, start, id, &error);
        }
        session.must_wait(done.wait_seq);
        session.must_serve(done.cause);
        if session.tierinfo {
            describe(output, start, done, facts(self.server, session, id.command().row));
        }
    }

    /// Takes back what was written since `start` and writes the error instead.
    pub(super) fn fail(&self, output: &mut Vec<u8>, start: usize, id: CommandId, error: &CommandError) {
        output.truncate(start);
        self.cells.of(id).failed.add(1);
        self.refuse(output, error);
    }

    fn refuse(&self, output: &mut Vec<u8>, error: &CommandError) {
        let text = error.text();
        self.server.counters.note_error(&text);
        // An error looks the same in both protocols.
        Reply::new(output, thermocline_resp::Protocol::Two).error(&text);
    }
}

/// What must be durable before an answer leaves that anybody's writes may have shaped.
pub(super) fn seen_seq(engine: &Engine) -> u64 {
    if engine.durability() == Durability::Always { engine.written_seq() } else { 0 }
}

/// Whether a command has as many words as its row wants.
#[inline]
pub(super) fn fits(row: &Row, words: usize) -> bool {
    if row.arity > 0 { words == row.arity as usize } else { words >= usize::from(row.arity.unsigned_abs()) }
}

/// The word that is the command's only key, if its row says so at once.
#[inline]
pub(super) fn single_key(row: &Row, args: &Args<'_>) -> Option<usize> {
    let Keys::Range { first, last, step } = row.keys else { return None };
    let first = usize::from(first);
    let last = if last < 0 { args.len().checked_add_signed(isize::from(last))? } else { last as usize };
    (first <= last && first + usize::from(step) > last && first < args.len()).then_some(first)
}

#[inline]
pub(super) fn facts<'c>(server: &'c Server, session: &Session, row: &'static Row) -> Facts<'c> {
    Facts {
        row,
        database: session.database,
        client: session.client.id,
        protocol: session.protocol,
        server,
        seed: session.seed(),
        now_ms: None,
        reach: None,
        may_wait: false,
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a context, which borrows each apart")]
#[inline(always)]
pub(super) fn run_body<'a>(
    body: KeysBody,
    args: Args<'a>,
    views: &[Option<View<'_>>],
    changes: &mut Changes<'a>,
    first_places: &[usize],
    facts: &Facts<'_>,
    output: &mut Vec<u8>,
    start: usize,
) -> Result<(), CommandError> {
    // The store may call again when the first call asked for more than it had.
    output.truncate(start);
    let mut context = Context { args, reply: Reply::new(output, facts.protocol), views, changes, first_places, facts };
    let result = body(&mut context);
    match result {
        Ok(()) => {}
        Err(CommandError::Nodes) => changes.want_nodes(),
        Err(CommandError::Waits) => changes.wait(),
        Err(_) => changes.clear(),
    }
    result
}

/// Puts the attribute of CLIENT TIERINFO before the answer that begins at `start`.
pub(super) fn describe(output: &mut Vec<u8>, start: usize, done: &Done, facts: Facts<'_>) {
    let mut attribute = Vec::with_capacity(48);
    let mut reply = Reply::new(&mut attribute, facts.protocol);
    if !reply.attribute(2) {
        return;
    }
    reply.simple("tier");
    reply.simple(match done.tier {
        Tier::Hot => "hot",
        Tier::Cold => "cold",
        Tier::Miss => "miss",
    });
    reply.simple("read_us");
    reply.integer(i64::from(done.read_us));
    output.splice(start..start, attribute);
}
