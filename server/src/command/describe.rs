//! COMMAND: what the table says about the commands, in the forms clients read.
//!
//! Promises: everything comes from the rows. Never a second list.

use thermocline::Access;
use thermocline_resp::{Reply, Span};
use thermocline_value::{Case, glob_match};

use super::Args;
use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Flag, Flags, Group, KeyArgument, Keys, Row, RowAccess, Shape};
use super::table::{ALL, Command, CommandId, find, find_full, find_subcommand, top_level};
use crate::dispatch::collect;

fn all(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.reply.array(top_level().len());
    for id in top_level() {
        info_of(&mut context.reply, id.command());
    }
    Ok(())
}

fn count(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.reply.integer(top_level().len() as i64);
    Ok(())
}

fn info(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    if context.args.len() == 2 {
        return all(context);
    }
    context.reply.array(context.args.len() - 2);
    for name in context.args.from(2) {
        match named(name) {
            Some(id) => info_of(&mut context.reply, id.command()),
            None => context.reply.null_array(),
        }
    }
    Ok(())
}

fn docs(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let ids: Vec<CommandId> = match context.args.len() {
        2 => top_level().collect(),
        _ => context.args.from(2).filter_map(named).collect(),
    };
    context.reply.map(ids.len());
    for id in ids {
        docs_of(&mut context.reply, id.command());
    }
    Ok(())
}

fn list(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let chosen = |command: &Command| -> Result<bool, CommandError> {
        if args.len() == 2 {
            return Ok(!command.is_subcommand);
        }
        if args.len() != 5 || !args.is(2, "filterby") {
            return Err(CommandError::SYNTAX);
        }
        let wanted = args.at(4);
        match args.at(3).to_ascii_lowercase().as_slice() {
            b"module" => Ok(false),
            b"aclcat" => {
                Ok(categories(command.row).iter().any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(wanted)))
            }
            b"pattern" => Ok(glob_match(wanted, command.full_name.as_bytes(), Case::Insensitive)),
            _ => Err(CommandError::SYNTAX),
        }
    };
    let mut names = Vec::new();
    for command in ALL.iter() {
        if chosen(command)? {
            names.push(command.full_name.as_str());
        }
    }
    context.reply.array(names.len());
    for name in names {
        context.reply.bulk(name.as_bytes());
    }
    Ok(())
}

fn getkeys(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let (args, keys) = keys_of(context)?;
    context.reply.array(keys.len());
    for key in keys {
        context.reply.bulk(args.at(key.word + 2));
    }
    Ok(())
}

fn getkeysandflags(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let (args, keys) = keys_of(context)?;
    context.reply.array(keys.len());
    for key in keys {
        context.reply.array(2);
        context.reply.bulk(args.at(key.word + 2));
        key_flags(&mut context.reply, key.access);
    }
    Ok(())
}

/// The words of COMMAND GETKEYS itself, and the keys of the command behind its second word.
fn keys_of<'c>(context: &SessionContext<'c>) -> Result<(Args<'c>, Vec<KeyArgument>), CommandError> {
    let args = context.args;
    let name = args.at(2);
    let container = find(name).ok_or(CommandError::Static("ERR Invalid command specified"))?;
    let id = match args.get(3) {
        Some(word) if !container.command().subcommands.is_empty() => {
            find_subcommand(container, word).ok_or(CommandError::Static("ERR Invalid command specified"))?
        }
        _ => container,
    };
    let row = id.command().row;
    if matches!(row.keys, Keys::None) {
        return Err(CommandError::Static("ERR The command has no key arguments"));
    }
    let words = args.len() - 2;
    if (row.arity > 0 && words != row.arity as usize) || words < usize::from(row.arity.unsigned_abs()) {
        return Err(CommandError::Static("ERR Invalid number of arguments specified for command"));
    }
    // The inner command's words, as a command of their own.
    let mut buffer = Vec::new();
    let mut spans = Vec::new();
    for word in args.from(2) {
        spans.push(Span { start: buffer.len() as u32, length: word.len() as u32 });
        buffer.extend_from_slice(word);
    }
    let mut keys = Vec::new();
    collect(row, &Args::new(&buffer, &spans), &mut keys)
        .map_err(|_| CommandError::Static("ERR Invalid arguments specified for command"))?;
    if keys.is_empty() {
        return Err(CommandError::Static("ERR The command has no key arguments"));
    }
    Ok((args, keys))
}

fn named(name: &[u8]) -> Option<CommandId> {
    find_full(std::str::from_utf8(name).ok()?)
}

/// Redis's ten facts about a command.
fn info_of(reply: &mut Reply<'_>, command: &Command) {
    let row = command.row;
    let (first, last, step) = match row.keys {
        Keys::None | Keys::Count { .. } => (0, 0, 0),
        Keys::Range { first, last, step } => (first, last, step),
        Keys::Function { shown, .. } => shown,
    };
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.integer(i64::from(row.arity));
    set_of(reply, row.flags.names());
    reply.integer(i64::from(first));
    reply.integer(i64::from(last));
    reply.integer(i64::from(step));
    set_of(reply, categories(row).into_iter());
    reply.array(0);
    key_specifications(reply, row);
    reply.array(command.subcommands.len());
    for subcommand in &ALL[usize::from(command.subcommands.start)..usize::from(command.subcommands.end)] {
        info_of(reply, subcommand);
    }
}

fn docs_of(reply: &mut Reply<'_>, command: &Command) {
    let row = command.row;
    let facts =
        [("summary", row.summary), ("since", row.since), ("group", row.group.name()), ("complexity", row.complexity)];
    reply.bulk(command.full_name.as_bytes());
    reply.map(facts.len() + usize::from(!command.subcommands.is_empty()));
    for (name, text) in facts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for subcommand in &ALL[usize::from(command.subcommands.start)..usize::from(command.subcommands.end)] {
            docs_of(reply, subcommand);
        }
    }
}

fn set_of<'n>(reply: &mut Reply<'_>, names: impl Iterator<Item = &'n str>) {
    let names: Vec<&str> = names.collect();
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

/// The ACL categories of a command: its own, and those that follow from its flags.
fn categories(row: &Row) -> Vec<&'static str> {
    let has = |flag| row.flags.has(flag);
    let mut names: Vec<&'static str> = row.categories.iter().map(|category| category.name()).collect();
    for (applies, name) in [
        (has(Flag::Write), "@write"),
        (has(Flag::ReadOnly), "@read"),
        (has(Flag::Admin), "@admin"),
        (has(Flag::Admin), "@dangerous"),
        (has(Flag::Blocking), "@blocking"),
        (has(Flag::Fast), "@fast"),
        (!has(Flag::Fast), "@slow"),
    ] {
        if applies && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn key_specifications(reply: &mut Reply<'_>, row: &Row) {
    let access = match row.access {
        RowAccess::Keyless | RowAccess::Peek => Access::Peek,
        RowAccess::Read => Access::Read,
        RowAccess::Overwrite => Access::Overwrite,
        RowAccess::Write | RowAccess::Chosen(_) => Access::Write,
    };
    let (first, find) = match row.keys {
        Keys::None => return reply.array(0),
        Keys::Range { first, last, step } => (first, range(first, last, step)),
        Keys::Function { shown: (first, last, step), .. } => (first, range(first, last, step)),
        Keys::Count { at, first } => (at, Find::Count { first: i64::from(first - at) }),
    };
    reply.array(1);
    reply.map(3);
    reply.bulk(b"flags");
    key_flags(reply, access);
    reply.bulk(b"begin_search");
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(b"index");
    reply.bulk(b"spec");
    reply.map(1);
    reply.bulk(b"index");
    reply.integer(i64::from(first));
    reply.bulk(b"find_keys");
    reply.map(2);
    reply.bulk(b"type");
    let (name, numbers) = match find {
        Find::Range { last, step } => ("range", [("lastkey", last), ("keystep", step), ("limit", 0)]),
        Find::Count { first } => ("keynum", [("keynumidx", 0), ("firstkey", first), ("keystep", 1)]),
    };
    reply.bulk(name.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
}

/// How a key specification finds the keys behind its beginning.
enum Find {
    Range { last: i64, step: i64 },
    Count { first: i64 },
}

fn range(first: u16, last: i16, step: u16) -> Find {
    let last = i64::from(last);
    Find::Range { last: if last < 0 { last } else { last - i64::from(first) }, step: i64::from(step) }
}

fn key_flags(reply: &mut Reply<'_>, access: Access) {
    let flags: &[&str] = match access {
        Access::Peek => &["RO"],
        Access::Read => &["RO", "access"],
        Access::Write => &["RW", "access", "update"],
        Access::Overwrite => &["OW", "update"],
    };
    set_of(reply, flags.iter().copied());
}

fn help(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    super::help(
        &mut context.reply,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    );
    Ok(())
}

const COMMAND: Row =
    Row { group: Group::Server, flags: Flags::of(&[Flag::Loading, Flag::Stale]), since: "2.8.13", ..Row::EMPTY };

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "command",
    arity: -1,
    summary: "Returns detailed information about all commands.",
    complexity: "O(N) where N is the total number of Redis commands",
    reply: Shape::Array,
    body: Body::Plain(all),
    subcommands: &[
        Row {
            name: "count",
            arity: 2,
            summary: "Returns a count of commands.",
            reply: Shape::Integer,
            body: Body::Plain(count),
            ..COMMAND
        },
        Row {
            name: "docs",
            arity: -2,
            since: "7.0.0",
            summary: "Returns documentary information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            reply: Shape::Map,
            body: Body::Plain(docs),
            ..COMMAND
        },
        Row {
            name: "getkeys",
            arity: -3,
            summary: "Extracts the key names from an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            reply: Shape::Array,
            body: Body::Plain(getkeys),
            ..COMMAND
        },
        Row {
            name: "getkeysandflags",
            arity: -3,
            since: "7.0.0",
            summary: "Extracts the key names and access flags for an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            reply: Shape::Array,
            body: Body::Plain(getkeysandflags),
            ..COMMAND
        },
        Row {
            name: "help",
            arity: 2,
            since: "5.0.0",
            summary: "Returns helpful text about the different subcommands.",
            reply: Shape::Array,
            body: Body::Plain(help),
            ..COMMAND
        },
        Row {
            name: "info",
            arity: -2,
            summary: "Returns information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            reply: Shape::Array,
            body: Body::Plain(info),
            ..COMMAND
        },
        Row {
            name: "list",
            arity: -2,
            since: "7.0.0",
            summary: "Returns a list of command names.",
            complexity: "O(N) where N is the total number of Redis commands",
            reply: Shape::Array,
            body: Body::Plain(list),
            ..COMMAND
        },
    ],
    ..COMMAND
}];
