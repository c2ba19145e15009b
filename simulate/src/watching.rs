//! A client that watches a key, lets others go on, and then runs a transaction.
//!
//! | the transaction | is right if |
//! |---|---|
//! | ran | nobody has changed the key since WATCH ended, and its time has not come |
//! | did not | somebody wrote the key, or changed the databases, since WATCH began, or its time has come |
//!
//! Promises: judged in the poll of the commit. Never: an abort without a reason, or a run over a change.

use crate::client::Shared;
use crate::command::name;
use crate::ledger::{Entry, Number};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use thermocline::{Engine, Error, SpaceId, Watcher};

/// A key under watch.
pub struct Watch {
    watcher: Watcher,
    database: u32,
    key: Number,
    /// Commands entered when it began.
    began: usize,
    /// Effects when it ended.
    ended: usize,
    space: SpaceId,
    /// What the key was then.
    entry: Option<Entry>,
    /// Nobody knows.
    is_foggy: bool,
}

impl Watch {
    /// WATCH, and a pause.
    pub async fn begin(
        engine: &Engine,
        shared: &Shared,
        database: u32,
        key: Number,
        pause: u32,
    ) -> Result<Watch, Error> {
        let mut watcher = engine.watcher();
        let began = shared.ledger.borrow().steps();
        watcher.watch(&[(database, &name(key))]).await?;
        let space = engine.space(database);
        let (ended, entry, is_foggy) = {
            let ledger = shared.ledger.borrow();
            let entry = ledger.now.get(space, key, engine.now_ms()).cloned();
            (ledger.effects.len(), entry, ledger.now.is_foggy(space, key))
        };
        for _ in 0..pause {
            Pause(false).await;
        }
        Ok(Watch { watcher, database, key, began, ended, space, entry, is_foggy })
    }

    /// Who watches.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The transaction ran, or did not. Was that right? Asked before its own effect is entered.
    pub fn judge(&self, engine: &Engine, shared: &Shared, writer: u64, ran: bool) {
        let ledger = shared.ledger.borrow();
        let space = engine.space(self.database);
        let (moved_step, moved) = ledger.moved();
        let key = self.key;
        // What happens in a space while no database shows it is no change of the key.
        let is_changed = ledger.depends_on(space, key) > self.ended.max(moved);
        let is_over = self.entry.as_ref().and_then(|entry| entry.expiry).is_some_and(|at_ms| at_ms <= engine.now_ms());
        let is_other = space != self.space && self.entry.is_some();
        if ran && (is_changed || is_over || is_other) && !self.is_foggy {
            let ended = self.ended;
            shared.fail(format!(
                "transaction {writer} ran over a change of key {key}, which it watched from effect {ended} on: changed \
                 {is_changed}, expired {is_over}, another space {is_other}"
            ));
        }
        let is_written = ledger.written(space, key) > self.began || moved_step > self.began;
        if !ran && !is_written && !is_over && !self.is_foggy {
            shared.fail(format!("transaction {writer} did not run although nobody touched key {key}"));
        }
    }
}

/// Lets others go on once.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
