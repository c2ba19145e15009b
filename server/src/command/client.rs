//! CLIENT and its subcommands: what a client says about itself, and what an operator may see of and do to others.
//!
//! Promises: CLIENT LIST has the fields and order that client libraries read. Never touches a socket or a value.

use std::net::SocketAddr;
use std::sync::Arc;

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, Shape};
use crate::clients::{Client, SentOn};
use crate::session::Replies;

/// A client's name, if its letters are allowed.
pub(super) fn checked_name(name: &[u8]) -> Result<&[u8], CommandError> {
    checked(name, CommandError::Static("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn checked(text: &[u8], refusal: CommandError) -> Result<&[u8], CommandError> {
    if text.iter().all(|byte| matches!(byte, b'!'..=b'~')) { Ok(text) } else { Err(refusal) }
}

fn id(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.reply.integer(context.session.client.id as i64);
    Ok(())
}

fn getname(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let names = context.session.client.names();
    if names.name.is_empty() {
        context.reply.null();
    } else {
        context.reply.bulk(&names.name);
    }
    Ok(())
}

fn setname(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let name = checked_name(context.args.at(2))?;
    context.session.client.rename(|names| names.name = name.to_vec());
    context.reply.ok();
    Ok(())
}

fn setinfo(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let refusal =
        |field| CommandError::built(format_args!("ERR {field} cannot contain spaces, newlines or special characters."));
    if args.is(2, "lib-name") {
        let value = checked(args.at(3), refusal("lib-name"))?;
        context.session.client.rename(|names| names.library = value.to_vec());
    } else if args.is(2, "lib-ver") {
        let value = checked(args.at(3), refusal("lib-ver"))?;
        context.session.client.rename(|names| names.library_version = value.to_vec());
    } else {
        return Err(CommandError::built(format_args!(
            "ERR Unrecognized option '{}'",
            String::from_utf8_lossy(args.at(2))
        )));
    }
    context.reply.ok();
    Ok(())
}

fn info(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let mut line = context.session.client.line(context.server.now_ms());
    line.push(b'\n');
    context.reply.verbatim(b"txt", &line);
    Ok(())
}

fn list(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let clients = if args.len() == 4 && args.is(2, "type") {
        if is_normal(args.at(3))? { context.server.clients.all() } else { Vec::new() }
    } else if args.len() > 3 && args.is(2, "id") {
        let mut found = Vec::new();
        for at in 3..args.len() {
            let id = args.integer(at).ok().and_then(|id| u64::try_from(id).ok());
            let id = id.ok_or(CommandError::Static("ERR Invalid client ID"))?;
            found.extend(context.server.clients.get(id));
        }
        found
    } else if args.len() == 2 {
        context.server.clients.all()
    } else {
        return Err(CommandError::SYNTAX);
    };
    let now_ms = context.server.now_ms();
    let mut lines = Vec::new();
    for client in clients {
        lines.extend_from_slice(&client.line(now_ms));
        lines.push(b'\n');
    }
    context.reply.verbatim(b"txt", &lines);
    Ok(())
}

/// Whether a client type names ordinary clients; all our clients are.
fn is_normal(name: &[u8]) -> Result<bool, CommandError> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(true),
        b"master" | b"replica" | b"slave" | b"pubsub" => Ok(false),
        _ => Err(CommandError::built(format_args!("ERR Unknown client type '{}'", String::from_utf8_lossy(name)))),
    }
}

/// What CLIENT KILL looks for; every condition that is given must hold.
#[derive(Default)]
struct Wanted<'w> {
    id: Option<u64>,
    address: Option<&'w [u8]>,
    local_address: Option<&'w [u8]>,
    none: bool,
    age_s_min: Option<u64>,
    spare_me: bool,
}

impl Wanted<'_> {
    fn matches(&self, client: &Client, now_ms: u64) -> bool {
        let is = |wanted: Option<&[u8]>, address: SocketAddr| {
            wanted.is_none_or(|wanted| wanted == address.to_string().as_bytes())
        };
        !self.none
            && self.id.is_none_or(|id| id == client.id)
            && is(self.address, client.address)
            && is(self.local_address, client.local_address)
            && self.age_s_min.is_none_or(|age_s| now_ms.saturating_sub(client.created_ms) / 1000 >= age_s)
    }
}

fn kill(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let mut wanted = Wanted { spare_me: true, ..Wanted::default() };
    let old_form = args.len() == 3;
    if old_form {
        wanted.address = Some(args.at(2));
        wanted.spare_me = false;
    } else {
        if !args.len().is_multiple_of(2) {
            return Err(CommandError::SYNTAX);
        }
        for at in (2..args.len()).step_by(2) {
            let value = args.at(at + 1);
            match args.at(at).to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = args.integer(at + 1).ok().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                    wanted.id = Some(id.ok_or(CommandError::Static("ERR client-id should be greater than 0"))?);
                }
                b"type" => wanted.none |= !is_normal(value)?,
                b"addr" => wanted.address = Some(value),
                b"laddr" => wanted.local_address = Some(value),
                b"user" if value == b"default" => {}
                b"user" => {
                    return Err(CommandError::built(format_args!(
                        "ERR No such user '{}'",
                        String::from_utf8_lossy(value)
                    )));
                }
                b"maxage" => {
                    wanted.age_s_min =
                        Some(u64::try_from(args.integer(at + 1)?).map_err(|_| CommandError::NOT_INTEGER)?)
                }
                b"skipme" if args.is(at + 1, "yes") => wanted.spare_me = true,
                b"skipme" if args.is(at + 1, "no") => wanted.spare_me = false,
                _ => return Err(CommandError::SYNTAX),
            }
        }
    }
    let now_ms = context.server.now_ms();
    let me = context.session.client.id;
    let found: Vec<Arc<Client>> = context
        .server
        .clients
        .all()
        .into_iter()
        .filter(|client| wanted.matches(client, now_ms) && !(wanted.spare_me && client.id == me))
        .collect();
    for client in &found {
        if client.id == me {
            // The answer is sent first.
            context.session.ending = true;
        } else {
            client.kill();
        }
    }
    match (old_form, found.len()) {
        (true, 0) => return Err(CommandError::Static("ERR No such client")),
        (true, _) => context.reply.ok(),
        (false, count) => context.reply.integer(count as i64),
    }
    Ok(())
}

fn reply(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    if args.is(2, "on") {
        context.session.replies = Replies::On;
        context.reply.ok();
    } else if args.is(2, "off") {
        context.session.replies = Replies::Off;
    } else if args.is(2, "skip") {
        if context.session.replies != Replies::Off {
            context.session.replies = Replies::SkipNext;
        }
    } else {
        return Err(CommandError::SYNTAX);
    }
    Ok(())
}

fn on_or_off(context: &SessionContext<'_>) -> Result<bool, CommandError> {
    if context.args.is(2, "on") {
        Ok(true)
    } else if context.args.is(2, "off") {
        Ok(false)
    } else {
        Err(CommandError::SYNTAX)
    }
}

fn no_evict(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let on = on_or_off(context)?;
    context.session.client.set_no_evict(on);
    context.reply.ok();
    Ok(())
}

fn no_touch(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let on = on_or_off(context)?;
    context.session.client.set_no_touch(on);
    context.reply.ok();
    Ok(())
}

fn tierinfo(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let on = on_or_off(context)?;
    if on && context.session.protocol == thermocline_resp::Protocol::Two {
        return Err(CommandError::Static(
            "ERR CLIENT TIERINFO needs RESP3 (its answers carry attributes); say HELLO 3 first",
        ));
    }
    context.session.tierinfo = on;
    context.reply.ok();
    Ok(())
}

fn unblock(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    if args.len() > 4 {
        return Err(CommandError::unknown_subcommand_or_arity("client", args.at(1)));
    }
    let how = match args.get(3) {
        None => SentOn::TimeOver,
        Some(_) if args.is(3, "timeout") => SentOn::TimeOver,
        Some(_) if args.is(3, "error") => SentOn::Error,
        Some(_) => return Err(CommandError::Static("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = u64::try_from(args.integer(2)?).ok();
    let found = id.and_then(|id| context.server.clients.get(id));
    context.reply.integer(i64::from(found.is_some_and(|client| client.send_on(how))));
    Ok(())
}

fn help(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    super::help(
        &mut context.reply,
        "CLIENT",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections. Options are:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made from the specified address",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made to specified local address",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Kill connections by type.",
            "    * USER <username>",
            "      Kill connections authenticated by <username>.",
            "    * SKIPME (YES|NO)",
            "      Skip killing current connection (default: yes).",
            "    * ID <client-id>",
            "      Kill connections by client id.",
            "    * MAXAGE <maxage>",
            "      Kill connections older than the specified age.",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "    * ID <client-id> [<client-id> ...]",
            "      Return clients of specified IDs only.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Will not touch LRU/LFU stats when this mode is on.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "TIERINFO (ON|OFF)",
            "    Tell with each answer where its value lay (RESP3).",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client.",
        ],
    );
    Ok(())
}

const SUBCOMMAND: Row = Row {
    group: Group::Connection,
    categories: &[Category::Connection],
    flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale]),
    ..Row::EMPTY
};

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "client",
    arity: -2,
    since: "2.4.0",
    summary: "A container for client connection commands.",
    complexity: "Depends on subcommand.",
    flags: Flags::NONE,
    subcommands: &[
        Row {
            name: "getname",
            arity: 2,
            since: "2.6.9",
            summary: "Returns the name of the connection.",
            reply: Shape::BulkOrNull,
            body: Body::Plain(getname),
            ..SUBCOMMAND
        },
        Row {
            name: "help",
            arity: 2,
            since: "5.0.0",
            summary: "Returns helpful text about the different subcommands.",
            flags: Flags::of(&[Flag::Loading, Flag::Stale]),
            reply: Shape::Array,
            body: Body::Plain(help),
            ..SUBCOMMAND
        },
        Row {
            name: "id",
            arity: 2,
            since: "5.0.0",
            summary: "Returns the unique client ID of the connection.",
            reply: Shape::Integer,
            body: Body::Plain(id),
            ..SUBCOMMAND
        },
        Row {
            name: "info",
            arity: 2,
            since: "6.2.0",
            summary: "Returns information about the connection.",
            reply: Shape::Bulk,
            body: Body::Plain(info),
            ..SUBCOMMAND
        },
        Row {
            name: "kill",
            arity: -3,
            since: "2.4.0",
            summary: "Terminates open connections.",
            complexity: "O(N) where N is the number of client connections",
            flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
            body: Body::Plain(kill),
            ..SUBCOMMAND
        },
        Row {
            name: "list",
            arity: -2,
            since: "2.4.0",
            summary: "Lists open connections.",
            complexity: "O(N) where N is the number of client connections",
            flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
            reply: Shape::Bulk,
            body: Body::Plain(list),
            ..SUBCOMMAND
        },
        Row {
            name: "no-evict",
            arity: 3,
            since: "7.0.0",
            summary: "Sets the client eviction mode of the connection.",
            flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
            reply: Shape::Ok,
            body: Body::Plain(no_evict),
            ..SUBCOMMAND
        },
        Row {
            name: "no-touch",
            arity: 3,
            since: "7.2.0",
            summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
            reply: Shape::Ok,
            body: Body::Plain(no_touch),
            ..SUBCOMMAND
        },
        Row {
            name: "reply",
            arity: 3,
            since: "3.2.0",
            summary: "Instructs the server whether to reply to commands.",
            body: Body::Plain(reply),
            ..SUBCOMMAND
        },
        Row {
            name: "setinfo",
            arity: 4,
            since: "7.2.0",
            summary: "Sets information specific to the client or connection.",
            reply: Shape::Ok,
            body: Body::Plain(setinfo),
            ..SUBCOMMAND
        },
        Row {
            name: "setname",
            arity: 3,
            since: "2.6.9",
            summary: "Sets the connection name.",
            reply: Shape::Ok,
            body: Body::Plain(setname),
            ..SUBCOMMAND
        },
        Row {
            name: "tierinfo",
            arity: 3,
            since: "7.2.0",
            summary: "Tells with each answer where its value lay: hot, cold or missing.",
            reply: Shape::Ok,
            body: Body::Plain(tierinfo),
            ..SUBCOMMAND
        },
        Row {
            name: "unblock",
            arity: -3,
            since: "5.0.0",
            summary: "Unblocks a client blocked by a blocking command from a different connection.",
            complexity: "O(log N) where N is the number of client connections",
            flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
            reply: Shape::Integer,
            body: Body::Plain(unblock),
            ..SUBCOMMAND
        },
    ],
    ..SUBCOMMAND
}];
