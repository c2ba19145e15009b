//! Changing what an acknowledgement means while the store runs (`CONFIG SET appendonly`, `appendfsync`).
//!
//! | from -> to | steps | a crash in between |
//! |---|---|---|
//! | nothing logged -> logged | the log is on; what is dirty is appended; all segments are synced; map; superblock; promised | the store starts empty until the superblock, then it has everything up to there |
//! | logged -> nothing logged | superblock; then nothing is promised, and nothing logged | a prefix with all that was acknowledged until the superblock, then the store starts empty |
//! | logged -> logged, more | the log does more; what is buffered is flushed; promised | as before |
//! | logged -> logged, less | less is promised and done at once | as after |
//!
//! Why the superblock comes last on the way up: until the map is durable the files lack every removal since nothing is logged, and
//! a start that believed them would bring back what was deleted. Why it comes first on the way down, before the first change that
//! is not logged: for the same reason.
//!
//! Promises: what was acknowledged under a mode keeps that mode's promise until a weaker one was asked for; while a switch runs
//! commands go on; a switch that fails leaves the promise as it was. Never: two at once.

use crate::engine::{Engine, Inner};
use crate::error::{Error, Result};
use crate::log::superblock::Superblock;
use crate::options::Durability;
use crate::planted::{self, Bug};
use crate::shutdown::put_copy;
use crate::stats::CloseReport;
use crate::tier::maps::Turn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of switches.
#[derive(Default)]
pub(crate) struct Switch {
    /// One runs, or the shutdown lets none begin.
    pub(crate) busy: AtomicBool,
    /// A sync failed that should have vouched for what was written while nothing was promised: the next one would lie.
    distrusted: AtomicBool,
}

impl Engine {
    /// Changes what an acknowledgement means. When it returns, the new mode holds.
    ///
    /// Dropped on its way it leaves the store with the old promise, and perhaps a log that does more than it must.
    ///
    /// # Errors
    /// The disk refuses, or the store is being closed: the old promise goes on.
    pub async fn set_durability(&self, durability: Durability) -> Result<()> {
        let inner = &self.inner;
        let _turn = Turn::take(inner, |inner| &inner.switch.busy).await;
        if inner.closing.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if let Some(reason) = inner.log.failure() {
            return Err(Error::Misconfigured { reason });
        }
        let mode = &inner.log.mode;
        match (mode.promised().logs(), durability.logs()) {
            (_, false) => inner.leave_log(),
            (false, true) => inner.enter_log(durability).await,
            (true, true) => inner.pace_log(durability).await,
        }?;
        tracing::info!(?durability, "what an acknowledgement means has changed");
        Ok(())
    }

    /// A log is being begun: what was changed without one is on its way into it.
    pub fn is_entering_log(&self) -> bool {
        let mode = &self.inner.log.mode;
        mode.logs() && !mode.promised().logs()
    }
}

/// A log that is on while nothing is promised; off again when this is dropped.
pub(crate) struct LoggedMoment(Arc<Inner>);

impl Drop for LoggedMoment {
    fn drop(&mut self) {
        self.0.log.mode.set(Durability::None, Durability::None);
        self.0.pump(true); // who waits for a flush waits no longer than a write takes
    }
}

impl Inner {
    /// From now on nothing is logged.
    fn leave_log(&self) -> Result<()> {
        let mode = &self.log.mode;
        if !mode.logs() {
            return Ok(());
        }
        if !planted::is(Bug::LeaveLogUnsaid) {
            self.write_mode(false)?;
        }
        mode.set(Durability::None, Durability::None);
        // Who waits for the flush of the old mode waits no longer than a write takes.
        self.pump(true);
        Ok(())
    }

    /// From now on everything is logged.
    async fn enter_log(self: &Arc<Self>, durability: Durability) -> Result<()> {
        if self.switch.distrusted.load(Ordering::Acquire) {
            let reason = "a sync failed before, and what was written until then may be gone; restart the server".into();
            return Err(Error::Misconfigured { reason });
        }
        let mode = &self.log.mode;
        mode.set(Durability::None, durability);
        for shard in &self.shards {
            drop(shard.lock()); // whoever saw the old mode has committed
        }
        if let Err(error) = self.log_everything().await {
            // The superblock still says that nothing is logged.
            mode.set(Durability::None, Durability::None);
            return Err(error);
        }
        // If this fails the log stays on: the superblock may say so.
        self.write_mode(true)?;
        mode.set(durability, durability);
        Ok(())
    }

    /// Where nothing is logged: everything is, from now on, and what was changed before is appended, until the answer is dropped.
    /// Nothing more is promised. The caller has the turn of switches. `None`: there is a log.
    pub(crate) async fn log_for_a_moment(self: &Arc<Self>) -> Result<Option<LoggedMoment>> {
        let mode = &self.log.mode;
        if mode.promised().logs() {
            return Ok(None);
        }
        let moment = LoggedMoment(self.clone());
        mode.set(Durability::None, Durability::No);
        for shard in &self.shards {
            drop(shard.lock()); // whoever saw the old mode has committed
        }
        self.flush_dirty(&mut CloseReport::default()).await?;
        Ok(Some(moment))
    }

    /// Everything that is there comes into the log, and a map tells of it.
    async fn log_everything(self: &Arc<Self>) -> Result<()> {
        if !planted::is(Bug::EnterLogDirty) {
            self.flush_dirty(&mut CloseReport::default()).await?;
        }
        self.wait_for_causes().await?; // what was written by the old mode is written
        if planted::is(Bug::EnterLogUnsynced) {
            return self.write_map(false).await;
        }
        self.sync_segments().await.inspect_err(|_| self.switch.distrusted.store(true, Ordering::Release))?;
        self.write_map(false).await
    }

    /// The log goes on at another pace.
    async fn pace_log(self: &Arc<Self>, durability: Durability) -> Result<()> {
        let mode = &self.log.mode;
        let before = mode.promised();
        if (durability as u8) <= (before as u8) {
            mode.set(durability, durability);
            self.pump(true); // as above
            return Ok(());
        }
        mode.set(before, durability);
        if let Err(error) = self.wait_for_causes().await {
            mode.set(before, before);
            return Err(error);
        }
        mode.set(durability, durability);
        Ok(())
    }

    /// Makes durable in a superblock whether there is a log. Blocking: four small operations, at a moment that an operator chose.
    fn write_mode(&self, logs: bool) -> Result<()> {
        let mut newest = self.superblock.lock();
        if let Some(reason) = self.log.failure() {
            // Healing may be writing the next superblock right now.
            return Err(Error::Misconfigured { reason });
        }
        let block = Superblock {
            generation: newest.generation + 1,
            next_seq: self.log.next_seq(),
            durable_seq: 0, // this life's epochs lie below this generation: its records would count as void
            mode: u8::from(logs),
            ..newest.clone()
        };
        let [first, second] = block.file_names();
        if let Err(error) = put_copy(&*self.log.disk, first, &block) {
            // Nobody knows which mode the next start would find: healing writes the old one over it.
            drop(newest);
            self.log.fail(format!("a change of mode could not be written: {error}"));
            return Err(error);
        }
        // The next start finds it: the mode has changed, whatever becomes of the second copy.
        *newest = block;
        if let Err(error) = put_copy(&*self.log.disk, second, &newest) {
            tracing::warn!(%error, "the superblock has one copy only, until it is written again");
        }
        Ok(())
    }
}
