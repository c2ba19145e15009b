//! What a command is: a row of facts and a body.
//!
//! Promises: everything the server, the documentation and the permissions need to know about a command stands in its row; rows
//! are checked when the program is compiled (see `table.rs`). A body of kind [`Body::Keys`] is an ordinary synchronous function
//! over values that are in memory. Never: a second list of commands, a body that asks where a value lies.

use std::future::Future;
use std::pin::Pin;

use crate::command::Args;
use thermocline::SpacePlan;

use crate::command::context::{Context, Facts, SessionContext};
pub use crate::command::keyspace::{Gathered, Walk};
use crate::command::reply::CommandError;

/// All facts about one command or subcommand. Write `..Row::EMPTY` for what does not apply.
#[derive(Copy, Clone)]
pub struct Row {
    /// In small letters; of a subcommand the second word only.
    pub name: &'static str,
    /// A container's second words (`CLIENT ID`). A container's own body answers when there is no second word to look up.
    pub subcommands: &'static [Row],
    /// Redis's arity: the exact number of words, or minus the least number. Counts the name (and the subcommand's).
    pub arity: i16,
    /// What is done to the keys.
    pub access: RowAccess,
    /// Where the keys stand.
    pub keys: Keys,
    /// ACL categories that do not follow from the flags.
    pub categories: &'static [Category],
    /// Redis's command flags.
    pub flags: Flags,
    /// Redis version that brought it.
    pub since: &'static str,
    /// Redis's group.
    pub group: Group,
    /// One sentence of help.
    pub summary: &'static str,
    /// Cost, as Redis writes it.
    pub complexity: &'static str,
    /// What it answers.
    pub reply: Shape,
    /// Inside MULTI it acts at once instead of being queued.
    pub at_once: bool,
    /// What it does.
    pub body: Body,
}

impl Row {
    /// What a row does not say: no keys, no flags, no subcommands. Name, arity, summary, body and shape must be given.
    pub const EMPTY: Row = Row {
        name: "",
        subcommands: &[],
        arity: 0,
        access: RowAccess::Keyless,
        keys: Keys::None,
        categories: &[],
        flags: Flags::NONE,
        since: "1.0.0",
        group: Group::Server,
        summary: "",
        complexity: "O(1)",
        reply: Shape::Any,
        at_once: false,
        body: Body::Keys(no_body),
    };
}

fn no_body(_context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    Err(CommandError::Static("ERR this command cannot be called without a subcommand"))
}

/// What a command does.
#[derive(Copy, Clone)]
pub enum Body {
    /// Runs over the views of its keys (or over no key at all). Synchronous, pure until it returns, called once per success.
    Keys(fn(&mut Context<'_, '_>) -> Result<(), CommandError>),
    /// The same, and it reads keys that no word names: it learns their names from its keys ([`Context::other`]) and is called
    /// again over all of them. Called once per success, over one moment.
    Reach(fn(&mut Context<'_, '_>) -> Result<(), CommandError>),
    /// The same, but when there is nothing under its keys the client waits until there is.
    Blocking(Blocking),
    /// Chooses the database of what follows; answers OK.
    Select(fn(&Args<'_>, databases: u32) -> Result<u32, CommandError>),
    /// Says what becomes of whole databases; answers OK.
    Databases(fn(&Args<'_>, Facts<'_>) -> Result<DatabaseChange, CommandError>),
    /// Says what is to be looked for in the whole database.
    Walk(for<'a> fn(&Args<'a>) -> Result<Walk<'a>, CommandError>),
    /// Runs what was queued since MULTI.
    Exec,
    /// Acts on the session or the server at once.
    Plain(fn(&mut SessionContext<'_>) -> Result<(), CommandError>),
    /// Acts on the session, the server or whole databases. May wait.
    Session(for<'c> fn(SessionContext<'c>) -> SessionFuture<'c>),
}

/// A command that may wait. It ends with a null array when its time is over.
#[derive(Copy, Clone)]
pub struct Blocking {
    /// Takes what is there, or says that nothing is ([`Context::wait`]); it has looked at the time before.
    pub body: fn(&mut Context<'_, '_>) -> Result<(), CommandError>,
    /// What must be under a key.
    pub kind: thermocline::Kind,
    /// Which of its keys it waits for.
    pub waits: Waits,
    /// The word that says how long, in seconds; negative: from the end.
    pub time_word: i16,
}

/// Which of its keys a command waits for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Waits {
    /// The first one: the others are where it puts something.
    First,
    /// Any of them.
    All,
}

/// What becomes of whole databases.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum DatabaseChange {
    /// This one is emptied.
    Flush(u32),
    /// All are emptied.
    FlushAll,
    /// Two change places.
    Swap(u32, u32),
}

impl DatabaseChange {
    /// Writes it into a plan.
    pub fn apply(self, plan: &mut SpacePlan) {
        match self {
            DatabaseChange::Flush(database) => plan.flush(database),
            DatabaseChange::FlushAll => plan.flush_all(),
            DatabaseChange::Swap(one, other) => plan.swap(one, other),
        }
    }
}

/// What a [`Body::Session`] returns: `Box::pin(async move { ... })`.
pub type SessionFuture<'c> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + 'c>>;

/// What is done to a command's keys.
#[derive(Copy, Clone)]
pub enum RowAccess {
    /// There are none.
    Keyless,
    /// Existence, kind, length, expiry only.
    Peek,
    /// The value is needed.
    Read,
    /// The old value is needed and may be changed.
    Write,
    /// The old value is not needed (SET, DEL).
    Overwrite,
    /// It depends on the options (`SET ... GET`).
    Chosen(fn(&Args<'_>) -> thermocline::Access),
}

/// Where a command's keys stand among its words.
#[derive(Copy, Clone)]
pub enum Keys {
    /// Nowhere.
    None,
    /// From word `first` to word `last` (negative: from the end, -1 is the last word), every `step` words.
    Range {
        /// First key.
        first: u16,
        /// Last key.
        last: i16,
        /// Distance.
        step: u16,
    },
    /// Word `at` holds their number, word `first` is the first of them.
    Count {
        /// The number.
        at: u16,
        /// The first key.
        first: u16,
    },
    /// A function finds them (and may name another database or access for each).
    Function {
        /// Appends the keys in the order in which the body will see their views.
        find: fn(&Args<'_>, &mut Vec<KeyArgument>) -> Result<(), CommandError>,
        /// For COMMAND INFO: first key, last key, step.
        shown: (u16, i16, u16),
    },
}

/// One key that a [`Keys::Function`] found.
#[derive(Copy, Clone, Debug)]
pub struct KeyArgument {
    /// Which word.
    pub word: usize,
    /// What is done to it.
    pub access: thermocline::Access,
    /// In which database, if not in the session's.
    pub database: Option<u32>,
}

/// Redis's command flags, as a set.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);

    /// The set of these.
    pub const fn of(flags: &[Flag]) -> Flags {
        let mut bits = 0;
        let mut at = 0;
        while at < flags.len() {
            bits |= 1 << flags[at] as u32;
            at += 1;
        }
        Flags(bits)
    }

    /// Whether `flag` is in the set.
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// Redis's names of those in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flag::ALL.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// One command flag.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Flag {
    /// May change data.
    Write,
    /// Changes nothing.
    ReadOnly,
    /// May need memory: refused when memory is full.
    DenyOom,
    /// For operators.
    Admin,
    /// Not from scripts.
    NoScript,
    /// While loading.
    Loading,
    /// On a stale replica.
    Stale,
    /// O(1) or O(log n).
    Fast,
    /// Before AUTH.
    NoAuth,
    /// May block the client.
    Blocking,
    /// Keys are not at fixed places.
    MovableKeys,
    /// While a script runs too long.
    AllowBusy,
    /// Not shown to MONITOR.
    SkipMonitor,
    /// Not in the slow log.
    SkipSlowlog,
    /// A cluster node answers it anywhere.
    NoMandatoryKeys,
    /// Not inside MULTI.
    NoMulti,
    /// A cluster node answers it while the slot is on its way, as after ASKING.
    Asking,
}

impl Flag {
    const ALL: [(Flag, &'static str); 17] = [
        (Flag::Write, "write"),
        (Flag::ReadOnly, "readonly"),
        (Flag::DenyOom, "denyoom"),
        (Flag::Admin, "admin"),
        (Flag::NoScript, "noscript"),
        (Flag::Blocking, "blocking"),
        (Flag::Loading, "loading"),
        (Flag::Stale, "stale"),
        (Flag::SkipMonitor, "skip_monitor"),
        (Flag::SkipSlowlog, "skip_slowlog"),
        (Flag::Asking, "asking"),
        (Flag::Fast, "fast"),
        (Flag::NoAuth, "no_auth"),
        (Flag::MovableKeys, "movablekeys"),
        (Flag::NoMandatoryKeys, "no_mandatory_keys"),
        (Flag::NoMulti, "no_multi"),
        (Flag::AllowBusy, "allow_busy"),
    ];
}

/// ACL categories that a row names itself. `write`, `read`, `admin`, `dangerous`, `fast`, `slow`, `blocking` follow from flags.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Category {
    /// `@keyspace`
    Keyspace,
    /// `@string`
    String,
    /// `@bitmap`
    Bitmap,
    /// `@hash`
    Hash,
    /// `@list`
    List,
    /// `@set`
    Set,
    /// `@sortedset`
    SortedSet,
    /// `@connection`
    Connection,
    /// `@transaction`
    Transaction,
    /// `@dangerous`, when the command is not `admin`.
    Dangerous,
}

impl Category {
    /// With the `@`.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Keyspace => "@keyspace",
            Category::String => "@string",
            Category::Bitmap => "@bitmap",
            Category::Hash => "@hash",
            Category::List => "@list",
            Category::Set => "@set",
            Category::SortedSet => "@sortedset",
            Category::Connection => "@connection",
            Category::Transaction => "@transaction",
            Category::Dangerous => "@dangerous",
        }
    }
}

/// Redis's command groups.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Group {
    /// `string`
    String,
    /// `generic`: the keyspace.
    Generic,
    /// `bitmap`
    Bitmap,
    /// `hash`
    Hash,
    /// `list`
    List,
    /// `set`
    Set,
    /// `sorted-set`
    SortedSet,
    /// `connection`
    Connection,
    /// `server`
    Server,
    /// `transactions`
    Transactions,
}

impl Group {
    /// As COMMAND DOCS says it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Generic => "generic",
            Group::Bitmap => "bitmap",
            Group::Hash => "hash",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
        }
    }
}

/// What a command answers when it succeeds.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Shape {
    /// `+OK`
    Ok,
    /// Another status.
    Simple,
    /// A whole number.
    Integer,
    /// A string.
    Bulk,
    /// A string or nothing.
    BulkOrNull,
    /// `+OK`, a string, or nothing (SET).
    OkBulkOrNull,
    /// Status or string (PING).
    SimpleOrBulk,
    /// A list.
    Array,
    /// A map.
    Map,
    /// Several forms.
    Any,
    /// No answer (the connection ends).
    Nothing,
}

impl Shape {
    /// For the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::Ok => "OK",
            Shape::Simple => "status",
            Shape::Integer => "integer",
            Shape::Bulk => "string",
            Shape::BulkOrNull => "string or null",
            Shape::OkBulkOrNull => "OK, string or null",
            Shape::SimpleOrBulk => "status or string",
            Shape::Array => "array",
            Shape::Map => "map",
            Shape::Any => "depends on the arguments",
            Shape::Nothing => "none",
        }
    }
}
