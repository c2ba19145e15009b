//! DUMP and RESTORE: a value as bytes that any Redis of this version understands, and back.
//!
//! The bytes are those of an RDB file behind the key, with a version and a checksum (`thermocline_rdb::payload` has the drawing).
//! A hash with fields that expire needs version 12, which Redis has since 7.4; everything else is version 11, of Redis 7.2.
//!
//! Promises: what DUMP gives, RESTORE takes, here and in Redis; a payload is checked as `sanitize-dump-payload yes` asks, and a
//! wrong one changes nothing; no payload makes more of itself than an eighth of `maxmemory`. Never: keeps a field of a hash that
//! has expired already, or understands a stream or a module's value.

use thermocline::{Collection, Expiry, Kind, View};
use thermocline_rdb::payload::{Encoder, Payload};
use thermocline_rdb::{Duplicates, Element, Error, Options, Reason, Settings, ValueWriter, Version};
use thermocline_value::length;

use super::Args;
use super::context::Context;
use super::elements::{self, Walk, Way, any_collection, fits};
use super::keyspace::encoding::thresholds;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Keys, Row, RowAccess, Shape};

const KEY: usize = 0;
/// What stands around a value in its payload: type, version, checksum.
pub(super) const FRAME_BYTES: usize = 1 + 2 + 8;
/// What a payload becomes takes at most this part of `maxmemory`, unless it is no more than the payload itself.
const RESTORED_SHARE_MAX: u64 = 8;
const FREQUENCY_MAX: i64 = 255;

const BUSY_KEY: CommandError = CommandError::Static("BUSYKEY Target key name already exists.");
const BAD_TTL: CommandError = CommandError::Static("ERR Invalid TTL value, must be >= 0");
const BAD_IDLE_TIME: CommandError = CommandError::Static("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQUENCY: CommandError = CommandError::Static("ERR Invalid FREQ value, must be >= 0 and <= 255");
const BAD_FOOT: CommandError = CommandError::Static("ERR DUMP payload version or checksum are wrong");
const BAD_DATA: CommandError = CommandError::Static("ERR Bad data format");

/// DUMP key
fn dump(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let payload = match context.view(KEY) {
        Some(view) => {
            let collection = any_collection(context, Some(&view));
            payload(&view, collection.as_ref(), context.settings(), context.now_ms())?
        }
        None => None,
    };
    match payload {
        Some(payload) => {
            fits(context, payload.len())?;
            context.reply.bulk(&payload);
        }
        None => context.reply.null(),
    }
    Ok(())
}

/// The payload of a value; `collection` is what the view shows, if it is one. `None`: nothing of it is there any more.
///
/// # Errors
/// Nodes are missing or damaged.
pub(super) fn payload(
    view: &View<'_>,
    collection: Option<&Collection<'_>>,
    settings: &crate::config::Settings,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, CommandError> {
    let settings = Settings { compress: settings.is_yes("rdbcompression"), thresholds: thresholds(settings) };
    let Some(collection) = collection else {
        if !view.kind.is_string() {
            return Err(BAD_DATA);
        }
        let mut encoder = Encoder::new(Version::REDIS_7_2, settings);
        encoder.value().string(view.value).map_err(unwritten)?;
        return encoder.end().map(Some).map_err(unwritten);
    };
    let lives = |element: &Element<'_>| match element {
        Element::Field { expires_at_ms, .. } => expires_at_ms.is_none_or(|at_ms| at_ms > now_ms),
        _ => true,
    };
    let (mut count, mut earliest_ms) = (length(collection)?, None);
    if view.kind == Kind::Hash {
        count = 0;
        elements::each(collection, 0..u64::MAX, Way::Forward, |element| {
            if let (true, Element::Field { expires_at_ms, .. }) = (lives(&element), &element) {
                count += 1;
                earliest_ms = earliest_ms.into_iter().chain(*expires_at_ms).min();
            }
            Ok::<Walk, CommandError>(Walk::On)
        })?;
    }
    if count == 0 {
        return Ok(None);
    }
    let version = if earliest_ms.is_some() { Version::REDIS_7_4 } else { Version::REDIS_7_2 };
    let mut encoder = Encoder::new(version, settings);
    let mut writer = Writer::begin(encoder.value(), view.kind, count, earliest_ms).map_err(unwritten)?;
    // Redis loads a sorted set fastest from its end.
    let way = if view.kind == Kind::SortedSet { Way::Backward } else { Way::Forward };
    elements::each(collection, 0..u64::MAX, way, |element| {
        if lives(&element) {
            writer.add(element).map_err(unwritten)?;
        }
        Ok::<Walk, CommandError>(Walk::On)
    })?;
    writer.end().map_err(unwritten)?;
    encoder.end().map(Some).map_err(unwritten)
}

fn unwritten(error: Error) -> CommandError {
    CommandError::built(format_args!("ERR the value could not be written as a payload: {error}"))
}

/// Writers of the four kinds of collections, as one.
enum Writer<'w> {
    List(thermocline_rdb::ListWriter<'w, Vec<u8>>),
    Set(thermocline_rdb::SetWriter<'w, Vec<u8>>),
    SortedSet(thermocline_rdb::SortedSetWriter<'w, Vec<u8>>),
    Hash(thermocline_rdb::HashWriter<'w, Vec<u8>>),
}

impl<'w> Writer<'w> {
    fn begin(
        value: ValueWriter<'w, Vec<u8>>,
        kind: Kind,
        count: u64,
        earliest_ms: Option<u64>,
    ) -> Result<Writer<'w>, Error> {
        Ok(match (kind, earliest_ms) {
            (Kind::List, _) => Writer::List(value.list(count)?),
            (Kind::Set, _) => Writer::Set(value.set(count)?),
            (Kind::SortedSet, _) => Writer::SortedSet(value.sorted_set(count)?),
            (_, None) => Writer::Hash(value.hash(count)?),
            (_, Some(earliest_ms)) => Writer::Hash(value.hash_that_expires(count, earliest_ms)?),
        })
    }

    fn add(&mut self, element: Element<'_>) -> Result<(), Error> {
        match (self, element) {
            (Writer::List(writer), Element::Item(item)) => writer.element(item),
            (Writer::Set(writer), Element::Item(member)) => writer.member(member),
            (Writer::SortedSet(writer), Element::Scored { member, score }) => writer.member(member, score),
            (Writer::Hash(writer), Element::Field { field, value, expires_at_ms }) => {
                writer.field(field, value, expires_at_ms)
            }
            // What is left out breaks the promise of the count, and `end` says so.
            _ => Ok(()),
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Writer::List(writer) => writer.end(),
            Writer::Set(writer) => writer.end(),
            Writer::SortedSet(writer) => writer.end(),
            Writer::Hash(writer) => writer.end(),
        }
    }
}

/// What RESTORE was asked beside key, time and payload. IDLETIME and FREQ are checked, and have nothing to act on here.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
}

impl RestoreOptions {
    fn parse(args: &Args<'_>) -> Result<RestoreOptions, CommandError> {
        let mut options = RestoreOptions::default();
        let (mut idle_time, mut frequency) = (false, false);
        let mut at = 4;
        while at < args.len() {
            let has_value = at + 1 < args.len();
            if args.is(at, "REPLACE") {
                options.replace = true;
            } else if args.is(at, "ABSTTL") {
                options.absolute = true;
            } else if args.is(at, "IDLETIME") && has_value && !frequency {
                at += 1;
                idle_time = true;
                if args.integer(at)? < 0 {
                    return Err(BAD_IDLE_TIME);
                }
            } else if args.is(at, "FREQ") && has_value && !idle_time {
                at += 1;
                frequency = true;
                if !(0..=FREQUENCY_MAX).contains(&args.integer(at)?) {
                    return Err(BAD_FREQUENCY);
                }
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    /// What becomes of the time to live; `None`: it is over already.
    fn expiry(&self, args: &Args<'_>, now_ms: u64) -> Result<Option<Expiry>, CommandError> {
        let given = u64::try_from(args.integer(2)?).map_err(|_| BAD_TTL)?;
        let at_ms = match (given, self.absolute) {
            (0, _) => return Ok(Some(Expiry::Clear)),
            (given, true) => given,
            (given, false) => given.saturating_add(now_ms).min(i64::MAX as u64),
        };
        Ok((at_ms > now_ms).then_some(Expiry::At(at_ms)))
    }
}

/// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
fn restore(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    let args = context.args;
    let options = RestoreOptions::parse(&args)?;
    if !options.replace && context.view(KEY).is_some() {
        return Err(BUSY_KEY);
    }
    let expiry = options.expiry(&args, context.now_ms())?;
    let bytes_max = (context.facts().engine().max_memory() / RESTORED_SHARE_MAX).max(args.at(3).len() as u64);
    let reader = Options {
        // No string inside is longer than a client could have set.
        string_bytes_max: context.settings().proto_max_bulk_len().min(bytes_max),
        duplicates: Duplicates::LeaveToReceiver,
        ..Options::default()
    };
    let mut payload = Payload::open(args.at(3), &reader).map_err(unopened)?;
    match payload.value().kind() {
        thermocline_rdb::Kind::String => restore_string(context, &mut payload, expiry)?,
        thermocline_rdb::Kind::List => restore_collection(context, Kind::List, &mut payload, expiry, bytes_max)?,
        thermocline_rdb::Kind::Set => restore_collection(context, Kind::Set, &mut payload, expiry, bytes_max)?,
        thermocline_rdb::Kind::Hash => restore_collection(context, Kind::Hash, &mut payload, expiry, bytes_max)?,
        thermocline_rdb::Kind::SortedSet => {
            restore_collection(context, Kind::SortedSet, &mut payload, expiry, bytes_max)?;
        }
        thermocline_rdb::Kind::Stream | thermocline_rdb::Kind::Module => return Err(BAD_DATA),
    }
    payload.end().map_err(refusal)?;
    if expiry.is_none() {
        context.remove(KEY);
    }
    context.reply.ok();
    Ok(())
}

fn restore_string(
    context: &mut Context<'_, '_>,
    payload: &mut Payload<'_>,
    expiry: Option<Expiry>,
) -> Result<(), CommandError> {
    let mut value = payload.value();
    let Some(Element::String(bytes)) = value.next_element().map_err(refusal)? else { return Err(BAD_DATA) };
    if let Some(expiry) = expiry {
        context.put_with(KEY, Kind::String, expiry, |into| into.extend_from_slice(bytes));
    }
    Ok(())
}

fn restore_collection(
    context: &mut Context<'_, '_>,
    kind: Kind,
    payload: &mut Payload<'_>,
    expiry: Option<Expiry>,
    bytes_max: u64,
) -> Result<(), CommandError> {
    let now_ms = context.now_ms();
    let mut collection = context.new_collection(kind);
    let mut value = payload.value();
    let mut bytes = 0;
    while let Some(element) = value.next_element().map_err(refusal)? {
        bytes += elements::element_bytes(&element).max(1) as u64;
        if bytes > bytes_max {
            return Err(CommandError::Engine(thermocline::Error::OutOfMemory));
        }
        let is_over = matches!(element, Element::Field { expires_at_ms: Some(at_ms), .. } if at_ms <= now_ms);
        if !is_over && !elements::add(&mut collection, element)? {
            return Err(BAD_DATA);
        }
    }
    match expiry {
        Some(expiry) => context.replace(KEY, collection, expiry),
        None => Ok(()),
    }
}

/// What is wrong with a payload as a whole, in the words of Redis.
fn unopened(error: Error) -> CommandError {
    match error.reason {
        Reason::Version { .. } | Reason::Checksum { .. } | Reason::Truncated => BAD_FOOT,
        _ => BAD_DATA,
    }
}

/// What is wrong inside one.
fn refusal(_error: Error) -> CommandError {
    BAD_DATA
}

const RESTORE: Row = Row {
    arity: -4,
    access: RowAccess::Overwrite,
    keys: Keys::Range { first: 1, last: 1, step: 1 },
    flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
    categories: &[Category::Keyspace, Category::Dangerous],
    complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
    reply: Shape::Ok,
    body: Body::Keys(restore),
    ..Row::EMPTY
};

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "dump",
        arity: 2,
        access: RowAccess::Read,
        keys: Keys::Range { first: 1, last: 1, step: 1 },
        flags: Flags::of(&[Flag::ReadOnly]),
        categories: &[Category::Keyspace],
        since: "2.6.0",
        group: Group::Generic,
        summary: "Returns a serialized representation of the value stored at a key.",
        complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
        reply: Shape::BulkOrNull,
        body: Body::Keys(dump),
        ..Row::EMPTY
    },
    Row {
        name: "restore",
        since: "2.6.0",
        group: Group::Generic,
        summary: "Creates a key from the serialized representation of a value.",
        ..RESTORE
    },
    Row {
        name: "restore-asking",
        since: "3.0.0",
        group: Group::Server,
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Asking]),
        summary: "An internal command for migrating keys in a cluster.",
        ..RESTORE
    },
];
