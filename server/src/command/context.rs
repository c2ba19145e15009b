//! What a body is given: its words, the views of its keys, a place for changes, a place for the answer, and a few facts.
//!
//! Promises: a body sees no expired key, asks for nothing that waits, and does not know where a value lay. A key named twice is
//! one key: changes through any of its places go to the same record.

use thermocline::{Changes, Collection, Done, Engine, Expiry, Kind, View};
use thermocline_resp::{Protocol, Reply};

use crate::command::Args;
use crate::command::reach::Reach;
use crate::command::reply::CommandError;
use crate::command::row::Row;
use crate::config::Settings;
use crate::server::Server;
use crate::session::Session;

/// What a [`crate::command::row::Body::Keys`] works with. `'a` is the life of the words: `put` borrows them, nothing is copied twice.
pub struct Context<'c, 'a> {
    /// The command's words.
    pub args: Args<'a>,
    /// Where the answer goes.
    pub reply: Reply<'c>,
    pub(crate) views: &'c [Option<View<'c>>],
    pub(crate) changes: &'c mut Changes<'a>,
    /// For each key the index of its first place; empty when none is named twice.
    pub(crate) first_places: &'c [usize],
    pub(crate) facts: &'c Facts<'c>,
}

/// What a body may know beyond its keys.
#[derive(Copy, Clone)]
pub struct Facts<'c> {
    /// The command's row.
    pub row: &'static Row,
    /// The session's database.
    pub database: u32,
    /// The client's number.
    pub client: u64,
    /// What the client speaks.
    pub protocol: Protocol,
    /// The server, for its settings, clock and store.
    pub server: &'c Server,
    /// What random choices begin with: the same at every call of a command's body.
    pub seed: u64,
    /// The clock of a transaction: all its commands see the same moment.
    pub now_ms: Option<u64>,
    /// Keys that no word names; their views stand behind those of the words.
    pub reach: Option<&'c Reach>,
    /// The client may wait for a key to be made.
    pub may_wait: bool,
}

impl<'c> Facts<'c> {
    /// Now, in unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.unwrap_or_else(|| self.server.now_ms())
    }

    /// The store. Not for commands with the flag `loading`.
    pub fn engine(&self) -> &'c Engine {
        self.server.engine()
    }
}

impl<'c, 'a> Context<'c, 'a> {
    /// How many keys the command has.
    pub fn keys(&self) -> usize {
        self.views.len()
    }

    /// What lies under key `key` (0 is the first key), if anything.
    pub fn view(&self, key: usize) -> Option<View<'c>> {
        self.views[key]
    }

    /// All views, in the order of the keys.
    pub fn views(&self) -> &'c [Option<View<'c>>] {
        self.views
    }

    /// Whether key `key` was named before (`DEL a a`).
    pub fn is_repeat(&self, key: usize) -> bool {
        self.place(key) != key
    }

    /// Stores a value that stands in the words.
    pub fn put(&mut self, key: usize, kind: Kind, value: &'a [u8], expiry: Expiry) {
        self.changes.put(self.place(key), kind, value, expiry);
    }

    /// Stores a value that `build` appends to an empty buffer.
    pub fn put_with(&mut self, key: usize, kind: Kind, expiry: Expiry, build: impl FnOnce(&mut Vec<u8>)) {
        self.changes.put_with(self.place(key), kind, expiry, build);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: usize) {
        self.changes.remove(self.place(key));
    }

    /// Changes a key's expiry only.
    pub fn expire(&mut self, key: usize, expiry: Expiry) {
        self.changes.expire(self.place(key), expiry);
    }

    /// The collection of this kind under key `key`, if there is one.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn collection(&self, key: usize, kind: Kind) -> Result<Option<Collection<'c>>, CommandError> {
        match &self.views[key] {
            None => Ok(None),
            Some(view) if view.kind == kind => Ok(Some(self.collection_in(view))),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// The collection that a view shows: the caller has looked at its kind.
    pub fn collection_in(&self, view: &View<'c>) -> Collection<'c> {
        Collection::of(self.facts.engine(), view, self.near())
    }

    /// What lies under a key of the session's database that no word names: for bodies of kind
    /// [`crate::command::row::Body::Reach`]. A body asks for all such keys before it hands back the first error.
    ///
    /// # Errors
    /// It is not known yet: it is noted, and the body is called again when all that was noted is at hand.
    pub fn other(&self, name: &[u8]) -> Result<Option<View<'c>>, CommandError> {
        let reach = self.facts.reach.ok_or(CommandError::Keys)?;
        let place = reach.place(name).ok_or(CommandError::Keys)?;
        Ok(self.views[self.views.len() - reach.len() + place])
    }

    /// The same, or an empty one: [`Context::keep`] then makes the key.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn collection_or_new(&self, key: usize, kind: Kind) -> Result<Collection<'c>, CommandError> {
        Ok(self.collection(key, kind)?.unwrap_or_else(|| self.new_collection(kind)))
    }

    /// An empty collection, for a result that replaces whatever a key holds ([`Context::replace`]): that of the first word.
    pub fn new_collection(&self, kind: Kind) -> Collection<'c> {
        self.new_collection_near(kind, self.near())
    }

    /// The same for a key of this name in this database: a tree that it becomes is quickest to reach from there.
    pub fn new_collection_for(&self, kind: Kind, database: u32, name: &'c [u8]) -> Collection<'c> {
        self.new_collection_near(kind, (self.facts.engine().space(database), name))
    }

    fn new_collection_near(&self, kind: Kind, near: (thermocline::SpaceId, &'c [u8])) -> Collection<'c> {
        Collection::new(self.facts.engine(), kind, thermocline_value::empty_record(kind), near)
    }

    /// Stores what has changed of a collection that came from this key; an empty one is removed. Its expiry stays.
    ///
    /// # Errors
    /// A node is missing or damaged.
    pub fn keep(&mut self, key: usize, collection: Collection<'_>) -> Result<(), CommandError> {
        Ok(collection.stage(self.changes, self.place(key), Expiry::Keep)?)
    }

    /// Stores a new collection in place of whatever the key holds; an empty one removes the key.
    ///
    /// # Errors
    /// A node is missing or damaged.
    pub fn replace(&mut self, key: usize, collection: Collection<'_>, expiry: Expiry) -> Result<(), CommandError> {
        if !collection.is_changed() {
            self.remove(key);
            return Ok(());
        }
        Ok(collection.stage(self.changes, self.place(key), expiry)?)
    }

    /// Nothing about a key changes, but whoever watches it is told.
    pub fn touch(&mut self, key: usize) {
        self.changes.touch_key(self.place(key));
    }

    /// The key near which the nodes of a new tree are to lie. A hint: the command's first word is nearly always its key.
    fn near(&self) -> (thermocline::SpaceId, &'c [u8]) {
        let name = if self.args.len() > 1 { self.args.at(1) } else { b"" };
        (self.facts.engine().space(self.facts.database), name)
    }

    /// There is nothing under the keys yet: the client waits. Where nobody may wait, inside a transaction, it is answered at once.
    ///
    /// # Errors
    /// Always, if the client waits: hand it on.
    pub fn wait(&mut self, answer: impl FnOnce(&mut Reply<'_>)) -> Result<(), CommandError> {
        if self.facts.may_wait {
            return Err(CommandError::Waits);
        }
        answer(&mut self.reply);
        Ok(())
    }

    /// Now, in unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.facts.now_ms()
    }

    /// A number that random choices may begin with: the same at every call of this body for one command, another for the next.
    pub fn seed(&self) -> u64 {
        self.facts.seed
    }

    /// The row, the session's facts, the store and the settings.
    pub fn facts(&self) -> Facts<'c> {
        *self.facts
    }

    /// The command's name in small letters, for error texts.
    pub fn name(&self) -> &'static str {
        self.facts.row.name
    }

    /// The server's settings.
    pub fn settings(&self) -> &'c Settings {
        &self.facts.server.settings
    }

    fn place(&self, key: usize) -> usize {
        self.first_places.get(key).copied().unwrap_or(key)
    }
}

/// What a [`crate::command::row::Body::Session`] works with.
pub struct SessionContext<'c> {
    /// The command's words.
    pub args: Args<'c>,
    /// Where the answer goes.
    pub reply: Reply<'c>,
    /// The client's session.
    pub session: &'c mut Session,
    /// The server: store, settings, clients, counters.
    pub server: &'c Server,
    /// The command's row.
    pub row: &'static Row,
}

impl<'c> SessionContext<'c> {
    /// The store.
    ///
    /// # Errors
    /// It is still being loaded.
    pub fn engine(&self) -> Result<&'c Engine, CommandError> {
        self.server.store().ok_or(CommandError::LOADING)
    }

    /// The answer may leave when this is as durable as the server promises.
    pub fn must_wait(&mut self, done: &Done) {
        self.session.must_wait(done.wait_seq);
    }
}
