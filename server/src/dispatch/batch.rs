//! The front half of the batch loop: cuts the read buffer into commands, finds their rows, hashes and prefetches their keys.
//!
//! Promises: bounded (commands per batch), reuses its memory, copies no argument. Never executes anything.

use thermocline::{Engine, Key, KeyHash, SpaceId};
use thermocline_resp::{Limits, Parsed, Parser, ProtocolError, Span, usual};

use crate::command::Args;
use crate::command::row::{Body, Keys, Row};
use crate::command::table::{self, CommandId};

/// Most commands of one batch. More only means another round.
const BATCH_COMMANDS_MAX: usize = 512;
/// Words whose places are remembered between batches.
const SPANS_KEPT_MAX: usize = 4096;

/// The commands of one batch.
#[derive(Default)]
pub struct Batch {
    parser: Parser,
    spans: Vec<Span>,
    entries: Vec<Entry>,
    /// A protocol error behind the last entry.
    pub problem: Option<ProtocolError>,
}

/// One command of a batch.
pub(super) struct Entry {
    pub(super) found: Found,
    first: u32,
    end: u32,
    hash: Option<(SpaceId, KeyHash)>,
}

/// What a command's name led to.
#[derive(Copy, Clone)]
pub(super) enum Found {
    Command(CommandId, &'static Row),
    /// A container whose second word is none of its own.
    UnknownSubcommand(CommandId),
    Unknown,
    /// `POST` or `Host:`: somebody speaks HTTP to us, perhaps through an innocent browser.
    WebRequest,
}

/// What [`Batch::fill`] needs to know of session and server.
pub struct FillBounds<'e> {
    /// For the parser.
    pub limits: Limits,
    /// The store, if it is open, and the session's space now, for hashing.
    pub space: Option<(&'e Engine, SpaceId)>,
}

impl Batch {
    /// Reads commands from `buffer[at..]`: how many bytes they take, and how many more are missing at least for the next.
    pub fn fill(&mut self, buffer: &mut [u8], at: usize, bounds: &FillBounds<'_>) -> (usize, usize) {
        self.entries.clear();
        self.spans.clear();
        if self.spans.capacity() > SPANS_KEPT_MAX {
            self.spans = Vec::new();
        }
        // A client without password is read one command at a time: AUTH changes what may follow.
        let commands_max = if bounds.limits.authenticated { BATCH_COMMANDS_MAX } else { 1 };
        let mut position = at;
        let mut missing = 0;
        while self.entries.len() < commands_max && position < buffer.len() {
            let first = self.spans.len();
            if self.parser.is_at_start()
                && let Some(consumed) = usual(buffer, position, &mut self.spans)
            {
                position += consumed;
                self.add(buffer, first);
                continue;
            }
            self.spans.truncate(first);
            match self.parser.parse(buffer, position, &bounds.limits, &mut self.spans) {
                Parsed::Complete { consumed } => {
                    position += consumed;
                    self.add(buffer, first);
                }
                Parsed::Nothing { consumed } => position += consumed,
                Parsed::Incomplete { missing: bytes } => {
                    missing = bytes;
                    break;
                }
                Parsed::Error(error) => {
                    self.problem = Some(error);
                    break;
                }
            }
        }
        // Of a single command the value is looked for at once: there is nothing to do meanwhile.
        if let Some((engine, space)) = bounds.space
            && self.entries.len() > 1
            && engine.is_worth_prefetching()
        {
            self.prefetch(buffer, space, engine);
        }
        (position - at, missing)
    }

    /// Adds the command whose words begin at span `first`.
    #[inline]
    fn add(&mut self, buffer: &[u8], first: usize) {
        let found = look_up(Args::new(buffer, &self.spans[first..]));
        self.entries.push(Entry { found, first: first as u32, end: self.spans.len() as u32, hash: None });
    }

    fn prefetch(&mut self, buffer: &[u8], space: SpaceId, engine: &Engine) {
        for entry in &mut self.entries {
            let Found::Command(_, row) = entry.found else { continue };
            if let (Keys::Range { first, .. }, Body::Keys(_)) = (row.keys, row.body)
                && let Some(span) = self.spans[entry.first as usize..entry.end as usize].get(usize::from(first))
            {
                let key = engine.key(space, span.of(buffer));
                engine.prefetch(&key);
                entry.hash = Some((space, key.hash));
            }
        }
        // The buckets are on their way; now the values behind them.
        for (space, hash) in self.entries.iter().filter_map(|e| e.hash) {
            engine.prefetch_value(space, hash);
        }
    }

    /// How many commands.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last command that has a row.
    pub fn last_command(&self) -> Option<CommandId> {
        match self.entries.last()?.found {
            Found::Command(id, _) | Found::UnknownSubcommand(id) => Some(id),
            Found::Unknown | Found::WebRequest => None,
        }
    }

    /// Gives back what idle clients need not hold.
    pub fn trim(&mut self) {
        self.spans = Vec::new();
        self.entries = Vec::new();
    }

    #[inline]
    pub(super) fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    #[inline]
    pub(super) fn args<'b>(&'b self, at: usize, buffer: &'b [u8]) -> Args<'b> {
        let entry = &self.entries[at];
        Args::new(buffer, &self.spans[entry.first as usize..entry.end as usize])
    }

    /// The key `bytes`, with the hash that was taken when the batch was filled if it is this entry's first key there.
    #[inline]
    pub(super) fn key<'b>(&self, at: usize, space: SpaceId, bytes: &'b [u8], engine: &Engine) -> Key<'b> {
        match self.entries[at].hash {
            Some((hashed_in, hash)) if hashed_in == space => Key { space, hash, bytes },
            _ => engine.key(space, bytes),
        }
    }
}

#[inline]
fn look_up(args: Args<'_>) -> Found {
    let name = args.at(0);
    let Some(id) = table::find(name) else {
        let web = name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:");
        return if web { Found::WebRequest } else { Found::Unknown };
    };
    let row = id.row();
    match args.get(1) {
        Some(word) if !row.subcommands.is_empty() => match table::find_subcommand(id, word) {
            Some(id) => Found::Command(id, id.row()),
            None => Found::UnknownSubcommand(id),
        },
        _ => Found::Command(id, row),
    }
}
