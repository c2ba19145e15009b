//! EXEC: the queued commands as one group over the union of their keys.
//!
//! ```text
//!  queue --prepare--> steps + keys + plan of the databases      SELECT, SWAPDB, FLUSHDB decide which space a later key is in
//!        --gather---> what KEYS, SCAN, RANDOMKEY, DBSIZE find beside the keys of the transaction
//!        --run------> all bodies, in order, over one overlay, in one hold: one group in the log
//!        --answer---> and in between what acts on the session or the server (CONFIG, CLIENT, INFO, TIER), once the group stands
//! ```
//! Promises: nothing was done unless everything was; each command sees what the earlier ones did; cold keys are read together,
//! before the first body runs; all see one clock. Never: a lock held while something is waited for.

use std::collections::{BTreeMap, HashMap};

use thermocline::{Access, Changes, Done, Engine, Error, GroupEnd, Key, Overlay, SpaceId, SpacePlan, View, Watcher};
use thermocline_resp::Reply;

use super::execute::{Dispatcher, KeysBody, describe, facts, run_body, seen_seq};
use super::keys::{self, KeyPlaces};
use crate::command::Args;
use crate::command::context::Facts;
use crate::command::reach::{REACHES_MAX, Reach};
use crate::command::reply::CommandError;
use crate::command::row::{Body, DatabaseChange, Gathered, Walk};
use crate::command::table::CommandId;
use crate::session::Session;
use crate::transaction::Transaction;

/// The answers of one transaction take at most this part of `maxmemory`.
const ANSWER_SHARE_MAX: u64 = 8;
/// How often the databases may be flushed or swapped under a transaction before it gives up.
const PLANS_MAX: usize = 64;

/// One queued command, ready to run.
struct Step<'q> {
    id: CommandId,
    args: Args<'q>,
    database: u32,
    part: Part<'q>,
}

/// What a step does in the group.
enum Part<'q> {
    /// Runs over these of the group's keys, which stand in these databases.
    Body(KeysBody, Vec<usize>, Vec<u32>, KeyPlaces),
    /// Looks at a whole database.
    Walk(Walk<'q>, SpaceId, Gathered),
    /// Its effect is in the plan: it answers OK.
    Planned,
    /// It was refused when its words were read.
    Refused(CommandError),
    /// Acts on session or server, behind the group.
    Behind,
}

/// Keys that no word names, by the number of the step that asked for them.
type Reaches = BTreeMap<usize, Reach>;

/// A transaction, ready to run. Its keys stand in the queue, or were asked for in an earlier run (`'p`).
struct Plan<'q, 'p> {
    steps: Vec<Step<'q>>,
    keys: Vec<(Key<'p>, Access)>,
    places: HashMap<(SpaceId, &'p [u8]), usize>,
    reaches: &'p Reaches,
    spaces: SpacePlan,
    /// The session's database behind it.
    database: u32,
}

/// A transaction that has run.
struct Ran<'q> {
    steps: Vec<Step<'q>>,
    /// The session's database behind it.
    database: u32,
    done: Done,
    answers: Answers,
}

/// The answers of all steps, one behind the other.
#[derive(Default)]
struct Answers {
    text: Vec<u8>,
    /// Where each step's answer ends.
    ends: Vec<usize>,
    /// Steps whose body failed.
    failures: Vec<(usize, CommandError)>,
    /// The step that asked for more keys.
    reaches: Option<usize>,
}

impl Answers {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.failures.clear();
        self.reaches = None;
    }
}

impl<'q: 'p, 'p> Plan<'q, 'p> {
    /// Reads the queue: which keys in which spaces, and what becomes of the databases.
    fn of(transaction: &'q Transaction, reaches: &'p Reaches, facts: Facts<'_>) -> Plan<'q, 'p> {
        let mut plan = Plan {
            steps: Vec::with_capacity(transaction.len()),
            keys: Vec::new(),
            places: HashMap::new(),
            reaches,
            spaces: facts.engine().plan_spaces(),
            database: facts.database,
        };
        for (id, args) in transaction.commands() {
            let facts = Facts { row: id.command().row, database: plan.database, ..facts };
            let database = plan.database;
            let part = plan.part(args, facts).unwrap_or_else(Part::Refused);
            plan.steps.push(Step { id, args, database, part });
        }
        plan
    }

    fn part(&mut self, args: Args<'q>, facts: Facts<'_>) -> Result<Part<'q>, CommandError> {
        let databases = facts.engine().databases();
        match facts.row.body {
            Body::Keys(body) | Body::Reach(body) => self.body(body, args, facts),
            // Here it finds something, or answers that there is nothing.
            Body::Blocking(blocking) => self.body(blocking.body, args, facts),
            Body::Select(body) => {
                self.database = body(&args, databases)?;
                Ok(Part::Planned)
            }
            Body::Databases(body) => {
                let change: DatabaseChange = body(&args, facts)?;
                change.apply(&mut self.spaces);
                Ok(Part::Planned)
            }
            Body::Walk(body) => Ok(Part::Walk(body(&args)?, self.spaces.space(self.database), Gathered::default())),
            Body::Plain(_) | Body::Session(_) | Body::Exec => Ok(Part::Behind),
        }
    }

    fn body(&mut self, body: KeysBody, args: Args<'q>, facts: Facts<'_>) -> Result<Part<'q>, CommandError> {
        let mut found = Vec::new();
        keys::collect(facts.row, &args, &mut found)?;
        let database = |argument: &crate::command::row::KeyArgument| argument.database.unwrap_or(facts.database);
        if found.iter().any(|argument| database(argument) >= facts.engine().databases()) {
            return Err(CommandError::DATABASE);
        }
        let words = found.iter().map(|argument| (database(argument), args.at(argument.word)));
        // The step that is being made is the next one.
        let others = self.reaches.get(&self.steps.len()).into_iter().flat_map(Reach::names);
        let names: Vec<(u32, &'p [u8])> = words.chain(others.map(|name| (facts.database, name))).collect();
        let accesses = found.iter().map(|argument| argument.access).chain(std::iter::repeat(Access::Read));
        let mut keys = Vec::with_capacity(names.len());
        for ((database, name), new_access) in names.iter().copied().zip(accesses) {
            let space = self.spaces.space(database);
            let next = self.keys.len();
            let place = *self.places.entry((space, name)).or_insert(next);
            match self.keys.get_mut(place) {
                Some((_, access)) => *access = keys::stronger(*access, new_access),
                None => self.keys.push((facts.engine().key(space, name), new_access)),
            }
            keys.push(place);
        }
        let databases = names.iter().map(|(database, _)| *database).collect();
        Ok(Part::Body(body, keys, databases, KeyPlaces::of(&names)))
    }

    /// What the walks find beside the keys of the transaction.
    async fn gather(&mut self, engine: &Engine) -> Result<(), Error> {
        let places = &self.places;
        for step in &mut self.steps {
            if let Part::Walk(walk, space, found) = &mut step.part {
                let space = *space;
                *found = walk.gather(engine, space, |name| places.contains_key(&(space, name))).await?;
            }
        }
        Ok(())
    }

    /// Runs all bodies and stages what they decided, or says why the group must not be done now: a step has asked for more
    /// keys, the answers are too large, a collection is damaged.
    fn run(
        &self,
        views: &[Option<View<'_>>],
        changes: &mut Changes<'p>,
        facts: Facts<'_>,
        answers: &mut Answers,
        answer_bytes_max: usize,
    ) -> Result<(), Error> {
        answers.clear();
        let spaces = self.keys.iter().map(|(key, _)| key.space);
        let mut overlay = Overlay::new(views, spaces, facts.now_ms());
        for (number, step) in self.steps.iter().enumerate() {
            let start = answers.text.len();
            let seed = facts.seed.wrapping_add((number as u64) << 32);
            let reach = self.reaches.get(&number);
            let facts = Facts { row: step.id.command().row, database: step.database, seed, reach, ..facts };
            let mut reply = Reply::new(&mut answers.text, facts.protocol);
            match &step.part {
                Part::Body(body, keys, databases, places) => {
                    let text = &mut answers.text;
                    let result = overlay.step(keys, |views, changes| {
                        run_body(*body, step.args, views, changes, places.as_slice(), &facts, text, start)
                    });
                    if let Err(CommandError::Nodes) = result {
                        changes.want_nodes();
                        return Ok(());
                    }
                    if let (Err(CommandError::Keys), Some(_)) = (&result, reach) {
                        answers.reaches = Some(number);
                        return Err(Error::OutOfMemory);
                    }
                    if let Err(error) = result {
                        answers.text.truncate(start);
                        answers.failures.push((number, error));
                    }
                    if self.spaces.is_change() {
                        let set = (0..keys.len()).filter(|&at| overlay.has_put(at));
                        set.for_each(|at| changes.touch(databases[at], self.keys[keys[at]].0.bytes));
                    }
                }
                Part::Walk(walk, space, found) => {
                    let known =
                        self.keys_in(*space).filter_map(|key| Some((self.keys[key].0.bytes, overlay.view(key)?)));
                    walk.answer(found, known, overlay.grown(self.keys_in(*space)), &mut reply);
                }
                Part::Planned => reply.ok(),
                Part::Refused(_) | Part::Behind => {}
            }
            answers.ends.push(answers.text.len());
            if answers.text.len() > answer_bytes_max {
                return Err(Error::OutOfMemory);
            }
        }
        if overlay.is_damaged() {
            return Err(Error::NodeMissing);
        }
        // What was done to a database that the same transaction flushes later goes with it.
        overlay.finish(changes, |key| self.spaces.names(self.keys[key].0.space));
        Ok(())
    }

    /// The keys of this transaction in a space, by number.
    fn keys_in(&self, space: SpaceId) -> impl Iterator<Item = usize> {
        self.keys.iter().enumerate().filter(move |(_, (key, _))| key.space == space).map(|(number, _)| number)
    }
}

impl Dispatcher<'_> {
    /// EXEC.
    pub(super) async fn exec(&self, id: CommandId, session: &mut Session, output: &mut Vec<u8>) {
        let start = output.len();
        let Some(transaction) = session.take_transaction() else {
            return self.fail(output, start, id, &CommandError::Static("ERR EXEC without MULTI"));
        };
        let watcher = session.watcher.take();
        if transaction.is_aborted() {
            return self.fail(output, start, id, &CommandError::EXEC_ABORT);
        }
        let ran = match watcher.as_deref() {
            Some(watcher) if watcher.is_changed() => Ok(None),
            watcher => {
                let facts = facts(self.server, session, id.command().row);
                self.run_transaction(facts, &transaction, watcher).await
            }
        };
        drop(watcher);
        match ran {
            Ok(Some(ran)) => self.answer_transaction(session, id, ran, output).await,
            Ok(None) => Reply::new(output, session.protocol).null_array(),
            Err(error) => self.fail(output, start, id, &CommandError::exec_abort_because(&error.into())),
        }
    }

    /// Runs the group. `None`: a watched key has changed.
    async fn run_transaction<'q>(
        &self,
        facts: Facts<'_>,
        transaction: &'q Transaction,
        watcher: Option<&Watcher>,
    ) -> Result<Option<Ran<'q>>, Error> {
        let engine = facts.engine();
        let answer_bytes_max = (engine.max_memory() / ANSWER_SHARE_MAX) as usize;
        let reaching = transaction.commands().enumerate();
        let mut reaches: Reaches =
            reaching.filter_map(|(step, (id, _))| Some((step, Reach::of(id.command().row, engine)?))).collect();
        for _ in 0..PLANS_MAX + REACHES_MAX * reaches.len() {
            let facts = Facts { now_ms: Some(engine.now_ms()), ..facts };
            let mut plan = Plan::of(transaction, &reaches, facts);
            plan.gather(engine).await?;
            let mut changes = Changes::new(plan.keys.len());
            let mut answers = Answers::default();
            let end = engine
                .run_group(&plan.keys, &plan.spaces, watcher, &mut changes, |views, changes| {
                    let ran = plan.run(views, changes, facts, &mut answers, answer_bytes_max);
                    if ran.is_err() {
                        changes.refuse();
                    }
                    ran
                })
                .await?;
            match end {
                GroupEnd::Ran(Ok(()), done) => {
                    return Ok(Some(Ran { steps: plan.steps, database: plan.database, done, answers }));
                }
                GroupEnd::Ran(Err(error), _) => {
                    // Both borrow the names that were known so far.
                    drop((changes, plan));
                    let asking = answers.reaches.and_then(|step| reaches.get_mut(&step));
                    asking.ok_or(error)?.learn()?;
                }
                GroupEnd::Watched => return Ok(None),
                GroupEnd::Moved => {}
            }
        }
        Err(Error::Misconfigured {
            reason: "databases were flushed or swapped, or keys changed, again and again".into(),
        })
    }

    /// Answers, and does what comes behind the group.
    async fn answer_transaction(&self, session: &mut Session, id: CommandId, ran: Ran<'_>, output: &mut Vec<u8>) {
        let Ran { steps, database, done, answers } = ran;
        let start = output.len();
        session.must_wait(done.wait_seq);
        session.must_serve(done.cause);
        if steps.iter().any(|step| matches!(step.part, Part::Walk(..))) {
            session.must_wait(seen_seq(self.server.engine()));
        }
        Reply::new(output, session.protocol).array(steps.len());
        if session.tierinfo {
            describe(output, start, &done, facts(self.server, session, id.command().row));
        }
        session.is_executing = true;
        let mut from = 0;
        let mut failures = answers.failures.into_iter().peekable();
        for (number, (step, end)) in steps.iter().zip(answers.ends).enumerate() {
            let at = output.len();
            if let Some((_, error)) = failures.next_if(|(failed, _)| *failed == number) {
                self.fail(output, at, step.id, &error);
            } else if let Part::Refused(error) = &step.part {
                self.fail(output, at, step.id, error);
            } else if let Part::Behind = step.part {
                session.select(step.database);
                self.keyless(step.id, step.args, session, output).await;
            }
            output.extend_from_slice(&answers.text[from..end]);
            from = end;
            self.cells.of(step.id).calls.add(1);
        }
        session.select(database);
        session.is_executing = false;
    }
}
