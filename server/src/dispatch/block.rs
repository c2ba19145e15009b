//! Commands that wait until one of their keys is there: BLPOP and its kin.
//!
//! ```text
//!  BLPOP k 0   run: nothing --> stands in the queue of k, blocked         its turn: run again --> answer
//!                               ends with: a call, its time, CLIENT UNBLOCK, CLIENT KILL, the client's going
//!  RPUSH k a                            run: k is made, kept for the first in its queue; served --> answer
//! ```
//! The queues are the engine's (`engine/src/queue.rs`): a command that finds nothing is put into them in the very hold of the latches
//! in which it looked, and whoever makes the key gives it to the first there in the hold in which it commits. From then on
//! nobody else sees the key until that first has run again. So it does not matter on which worker anybody runs, and how fast:
//! - of two who wait for one key, the longer waiting one gets the first element, whatever thread it is on;
//! - a command or EXEC that pushes two elements serves two clients, in order, once it is done as a whole; one that pushes and pops
//!   calls nobody, because the key is not made;
//! - the pop is the waiting client's own command, run as if it had just come: it is logged, and it is not lost if that client
//!   has gone meanwhile: its turn goes to the next;
//! - whoever pushed is answered when all who were called by it are served, and those whom they called (BLMOVE from list to list):
//!   what it asks next finds things as a single thread would have left them.
//!
//! Promises: only this client waits, the others on its worker go on; inside MULTI nobody waits. A place in a queue ends with the
//! command, however that ends. Never: an answer that says something was taken which is still there, or the other way.

use std::pin::Pin;

use thermocline::{Access, Changes};
use thermocline_resp::Reply;
use tokio::time::Sleep;

use super::execute::{Dispatcher, facts, run_body};
use super::keys::{self, KeyPlaces};
use crate::clients::SentOn;
use crate::command::Args;
use crate::command::blocking::time;
use crate::command::context::Facts;
use crate::command::reply::CommandError;
use crate::command::row::{Blocking, Waits};
use crate::command::table::CommandId;
use crate::session::Session;

impl Dispatcher<'_> {
    /// Runs a command that may wait, until it has an answer. False: it would have to wait, but there are answers of earlier commands
    /// that must leave first; nothing was done.
    pub(super) async fn blocking(
        &self,
        id: CommandId,
        args: Args<'_>,
        blocking: &Blocking,
        session: &mut Session,
        output: &mut Vec<u8>,
    ) -> bool {
        let start = output.len();
        let row = id.command().row;
        let mut found = Vec::new();
        if let Err(error) = keys::collect(row, &args, &mut found) {
            self.fail(output, start, id, &error);
            return true;
        }
        let names: Vec<(u32, &[u8])> =
            found.iter().map(|key| (key.database.unwrap_or(session.database), args.at(key.word))).collect();
        let places = KeyPlaces::of(&names);
        // A row has one access for all of its keys.
        let keys: Vec<(u32, &[u8], Access)> =
            names.iter().zip(&found).map(|((database, name), key)| (*database, *name, key.access)).collect();
        let waits_for = match blocking.waits {
            _ if start > 0 => 0,
            Waits::First => 1,
            Waits::All => keys.len(),
        };
        let facts = Facts { may_wait: true, ..facts(self.server, session, row) };
        let mut waiter = facts.engine().waiter(blocking.kind);
        let mut changes = Changes::new(keys.len());
        let client = session.client.clone();
        let mut waiting = None;
        let mut over = Over::default();
        let refused = loop {
            let run = waiter.run(&keys, waits_for, &mut changes, |views, changes| {
                run_body(blocking.body, args, views, changes, places.as_slice(), &facts, output, start)
            });
            match run.await {
                Ok(Some((result, done))) => {
                    // Who made the key is told when the waiter goes: the client waits no more by then.
                    drop(waiting);
                    drop(waiter);
                    client.note(self.server.now_ms(), None);
                    self.answer(id, session, result, &done, output, start);
                    return true;
                }
                Ok(None) => {
                    output.truncate(start);
                    if start > 0 {
                        return false;
                    }
                }
                Err(error) => break Some(CommandError::Engine(error)),
            }
            let waiting = &*waiting.get_or_insert_with(|| client.wait());
            waiting.go_on();
            let ends = tokio::select! {
                biased;
                how = waiting.sent_on() => Err(how),
                () = waiter.called() => waiting.look(),
                () = over.comes(args, blocking, facts) => waiting.look().and(Err(SentOn::TimeOver)),
            };
            match ends {
                Ok(()) => {}
                Err(SentOn::TimeOver) => break None,
                Err(SentOn::Error) => break Some(CommandError::UNBLOCKED),
            }
        };
        drop(waiting);
        drop(waiter);
        client.note(self.server.now_ms(), None);
        match refused {
            Some(error) => self.fail(output, start, id, &error),
            None => {
                output.truncate(start);
                Reply::new(output, session.protocol).null_array();
            }
        }
        true
    }
}

/// The end of a command's time, which begins when it waits for the first time.
#[derive(Default)]
struct Over(Option<Option<Pin<Box<Sleep>>>>);

impl Over {
    async fn comes(&mut self, args: Args<'_>, blocking: &Blocking, facts: Facts<'_>) {
        let sleep = self.0.get_or_insert_with(|| {
            let word =
                args.len().checked_add_signed(isize::from(blocking.time_word)).filter(|_| blocking.time_word < 0);
            let word = args.at(word.unwrap_or(blocking.time_word.unsigned_abs().into()));
            // The body has refused what is no time.
            time(word, facts.now_ms()).ok().flatten().map(|time| Box::pin(tokio::time::sleep(time)))
        });
        match sleep {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }
}
