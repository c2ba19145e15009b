//! The engine as a target: the hot road first, as the server takes it, and the general road for what is not hot.

use super::target::{Found, Named, Target};
use crate::wire;
use std::fmt::Display;
use thermocline::{Access, Attempt, Changes, Done, Engine, Expiry, Key, Kind, SpaceId, Tier, View};

/// One space of an engine.
pub struct Store {
    engine: Engine,
    space: SpaceId,
}

impl Store {
    /// The engine's first database.
    pub fn new(engine: Engine) -> Self {
        let space = engine.space(0);
        Self { engine, space }
    }

    /// One key, to its end: done and, in mode `always`, durable.
    async fn one<'a>(
        &self,
        key: &Key<'_>,
        access: Access,
        changes: &mut Changes<'a>,
        mut body: impl FnMut(&[Option<View<'_>>], &mut Changes<'a>),
    ) -> Result<Done, String> {
        let done = match self.engine.try_run(key, access, changes, &mut body) {
            Attempt::Ready((), done) => done,
            Attempt::Later(later) => self.engine.finish(later, key, access, changes, &mut body).await.map_err(words)?.1,
            Attempt::Refused(error) => return Err(words(error)),
        };
        self.durable(done).await
    }

    async fn durable(&self, done: Done) -> Result<Done, String> {
        if done.wait_seq > 0 {
            self.engine.durable(done.wait_seq).await.map_err(words)?;
        }
        Ok(done)
    }
}

impl Target for Store {
    async fn get(&self, keys: &[Named<'_>], found: &mut Found) -> Result<wire::Tier, String> {
        let space = self.space;
        let mut copy = |views: &[Option<View<'_>>], _: &mut Changes<'_>| {
            // A body may be called more than once; only its last call counts.
            found.clear();
            views.iter().for_each(|view| found.take(view.as_ref().map(|view| view.value)));
        };
        let done = match keys {
            [key] => {
                let key = self.engine.key(space, key.text);
                self.one(&key, Access::Read, &mut Changes::new(1), copy).await?
            }
            keys => {
                let keys: Vec<_> = keys.iter().map(|key| (self.engine.key(space, key.text), Access::Read)).collect();
                let mut changes = Changes::new(keys.len());
                self.durable(self.engine.run(&keys, &mut changes, &mut copy).await.map_err(words)?.1).await?
            }
        };
        Ok(match done.tier {
            Tier::Hot => wire::Tier::Hot,
            Tier::Cold => wire::Tier::Cold,
            Tier::Miss => wire::Tier::Miss,
        })
    }

    async fn set(&self, key: Named<'_>, value: &[u8], ttl_s: Option<u32>) -> Result<(), String> {
        let expiry = ttl_s.map_or(Expiry::Clear, |ttl_s| Expiry::At(self.engine.now_ms() + u64::from(ttl_s) * 1_000));
        let key = self.engine.key(self.space, key.text);
        let mut changes = Changes::new(1);
        self.one(&key, Access::Overwrite, &mut changes, |_, changes| changes.put(0, Kind::String, value, expiry))
            .await?;
        Ok(())
    }

    async fn delete(&self, key: Named<'_>) -> Result<(), String> {
        let key = self.engine.key(self.space, key.text);
        self.one(&key, Access::Overwrite, &mut Changes::new(1), |_, changes| changes.remove(0)).await?;
        Ok(())
    }
}

fn words(error: impl Display) -> String {
    format!("ENGINE {error}")
}
