//! A stretch of a batch: commands on one hot key, or on none, one after the other in a plain loop.
//!
//! ```text
//!  GET hot  SET hot  PING  GET cold  GET hot  MGET ..
//!  '----- stretch ------'  |         '------- the general road of `execute.rs`, then perhaps the next stretch
//!                          '-- ends it: what the store said of it goes along
//! ```
//! Promises: each command is checked and answered as on the general road; whatever needs more than that (a cold value, other
//! bodies, a refusal) ends the stretch with nothing done about it. Never: waits, or makes a future.

use thermocline::{Attempt, Changes, Later, View};

use super::batch::{Batch, Found};
use super::execute::{Dispatcher, OUTPUT_BYTES_MAX, facts, fits, run_body, single_key};
use super::keys;
use super::tally::Tally;
use crate::command::reply::CommandError;
use crate::command::row::{Body, Keys};
use crate::command::table::CommandId;
use crate::session::Session;

/// How a stretch ended.
pub struct Stretch {
    /// The first command that was not executed.
    pub next: usize,
    /// What is missing for it, if its key was asked for.
    pub(super) later: Option<Later>,
}

impl Stretch {
    /// Ended at this command, of which nothing is known.
    pub fn at(next: usize) -> Stretch {
        Stretch { next, later: None }
    }
}

impl Dispatcher<'_> {
    /// Executes the simple commands that a batch begins with: often all of them, and then no future is needed.
    pub fn begin(&self, session: &mut Session, buffer: &[u8], batch: &Batch, output: &mut Vec<u8>) -> Stretch {
        if !session.is_plain() || self.server.store().is_none() {
            return Stretch::at(0);
        }
        let mut tally = Tally::begin(self.server, self.cells);
        let stretch = self.stretch(session, buffer, batch, 0, &mut Changes::new(1), &mut tally, output);
        tally.settle();
        stretch
    }

    /// Executes commands from `from` on as long as they are simple. The session is plain, the store open, no read under way.
    #[expect(clippy::too_many_arguments, reason = "the batch's reused memory, each borrowed apart")]
    pub(super) fn stretch<'b>(
        &self,
        session: &mut Session,
        buffer: &'b [u8],
        batch: &'b Batch,
        from: usize,
        changes: &mut Changes<'b>,
        tally: &mut Tally<'_>,
        output: &mut Vec<u8>,
    ) -> Stretch {
        let engine = self.server.engine();
        let mut stretch = Stretch::at(from);
        let mut wait_seq = 0;
        let mut facts = facts(self.server, session, CommandId::FIRST.row());
        // Behind a command that made what somebody waits for, that client is served first.
        while stretch.next < batch.len() && output.len() < OUTPUT_BYTES_MAX && !session.must_serve_first() {
            let at = stretch.next;
            let Found::Command(id, row) = batch.entry(at).found else { break };
            let Body::Keys(body) = row.body else { break };
            let args = batch.args(at, buffer);
            if !fits(row, args.len()) || !session.may_use(id) {
                break;
            }
            facts.row = row;
            facts.seed = session.next_seed();
            let start = output.len();
            // What goes wrong is rare, and kept apart from what is handed back each time.
            let mut failure = None;
            let mut run = |views: &[Option<View<'_>>], changes: &mut Changes<'b>| {
                // A body may be called again: only the last call counts.
                failure = run_body(body, args, views, changes, &[], &facts, output, start).err();
            };
            if let Some(word) = single_key(row, &args) {
                let key = batch.key(at, engine.space(session.database), args.at(word), engine);
                if changes.keys() != 1 {
                    changes.reset(1);
                }
                match engine.try_run(&key, keys::access(row, &args), changes, &mut run) {
                    Attempt::Ready((), done) => {
                        wait_seq = wait_seq.max(done.wait_seq);
                        session.must_serve(done.cause);
                    }
                    Attempt::Refused(error) => failure = Some(CommandError::Engine(error)),
                    Attempt::Later(later) => {
                        output.truncate(start);
                        stretch.later = Some(later);
                        break;
                    }
                }
            } else if let Keys::None = row.keys {
                changes.reset(0);
                run(&[], changes);
            } else {
                break;
            }
            if let Some(error) = failure {
                self.fail(output, start, id, &error);
            }
            tally.add(id);
            stretch.next += 1;
        }
        session.must_wait(wait_seq);
        stretch
    }
}
