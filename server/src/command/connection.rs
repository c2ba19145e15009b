//! The connection family: who a client is, which protocol it speaks, which database it means.
//!
//! Promises: words and order of refusals are Redis's. Never touches a value.

use thermocline_resp::Protocol;

use super::Args;
use super::context::{Context, SessionContext};
use super::reply::CommandError;
use super::row::{Body, Category, Flag, Flags, Group, Row, Shape};
use crate::config::Settings;
use crate::session::Session;

/// Name of the only user until there are ACLs.
const DEFAULT_USER: &[u8] = b"default";

fn ping(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    match context.args.len() {
        1 => context.reply.simple("PONG"),
        2 => context.reply.bulk(context.args.at(1)),
        _ => return Err(CommandError::arity("ping")),
    }
    Ok(())
}

fn echo(context: &mut Context<'_, '_>) -> Result<(), CommandError> {
    context.reply.bulk(context.args.at(1));
    Ok(())
}

fn quit(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.session.ending = true;
    context.reply.ok();
    Ok(())
}

fn reset(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let authenticated = !context.server.settings.password_is_set();
    context.session.reset(authenticated);
    context.reply.simple("RESET");
    Ok(())
}

fn select(args: &Args<'_>, databases: u32) -> Result<u32, CommandError> {
    let database = args.integer(1)?;
    if i32::try_from(database).is_err() {
        return Err(CommandError::BEYOND_INT);
    }
    u32::try_from(database).ok().filter(|database| *database < databases).ok_or(CommandError::DATABASE)
}

fn auth(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let (user, password) = match args.len() {
        2 if !context.server.settings.password_is_set() => {
            return Err(CommandError::Static(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            ));
        }
        2 => (DEFAULT_USER, args.at(1)),
        3 => (args.at(1), args.at(2)),
        _ => return Err(CommandError::SYNTAX),
    };
    authenticate(&context.server.settings, context.session, user, password)?;
    context.reply.ok();
    Ok(())
}

fn authenticate(settings: &Settings, session: &mut Session, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let right = user == DEFAULT_USER
        && (!settings.password_is_set() || same(settings.text("requirepass").as_bytes(), password));
    if !right {
        return Err(CommandError::WRONG_PASSWORD);
    }
    session.authenticate();
    Ok(())
}

/// Compares in a time that does not tell where the difference is.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let difference =
        (0..given.len()).fold(0, |difference, at| difference | (given[at] ^ expected.get(at).copied().unwrap_or(0)));
    difference == 0 && expected.len() == given.len()
}

fn hello(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    let mut protocol = context.session.protocol;
    if args.len() > 1 {
        protocol = match args.integer(1) {
            Err(_) => return Err(CommandError::Static("ERR Protocol version is not an integer or out of range")),
            Ok(2) => Protocol::Two,
            Ok(3) => Protocol::Three,
            Ok(_) => return Err(CommandError::NO_PROTOCOL),
        };
    }
    let mut credentials = None;
    let mut name = None;
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "auth") && at + 2 < args.len() {
            credentials = Some((args.at(at + 1), args.at(at + 2)));
            at += 3;
        } else if args.is(at, "setname") && at + 1 < args.len() {
            name = Some(super::client::checked_name(args.at(at + 1))?);
            at += 2;
        } else {
            let word = String::from_utf8_lossy(args.at(at));
            return Err(CommandError::built(format_args!("ERR Syntax error in HELLO option '{word}'")));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(&context.server.settings, context.session, user, password)?;
    }
    if !context.session.is_authenticated() {
        return Err(CommandError::Static(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        context.session.client.rename(|names| names.name = name.to_vec());
    }
    context.session.protocol = protocol;
    context.session.client.set_protocol(protocol);
    let reply = &mut context.reply;
    reply.set_protocol(protocol);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(super::info::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(protocol.number());
    reply.bulk(b"id");
    reply.integer(context.session.client.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

const CONNECTION: Row = Row { group: Group::Connection, categories: &[Category::Connection], ..Row::EMPTY };
const OPEN: &[Flag] = &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy];

/// The family's rows.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "auth",
        arity: -2,
        flags: Flags::of(OPEN),
        summary: "Authenticates the connection.",
        complexity: "O(N) where N is the number of passwords defined for the user",
        reply: Shape::Ok,
        body: Body::Plain(auth),
        ..CONNECTION
    },
    Row {
        name: "echo",
        arity: 2,
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        summary: "Returns the given string.",
        reply: Shape::Bulk,
        body: Body::Keys(echo),
        ..CONNECTION
    },
    Row {
        name: "hello",
        arity: -1,
        flags: Flags::of(OPEN),
        since: "6.0.0",
        summary: "Handshakes with the Redis server.",
        reply: Shape::Map,
        body: Body::Plain(hello),
        ..CONNECTION
    },
    Row {
        name: "ping",
        arity: -1,
        flags: Flags::of(&[Flag::Fast]),
        summary: "Returns the server's liveliness response.",
        reply: Shape::SimpleOrBulk,
        body: Body::Keys(ping),
        ..CONNECTION
    },
    Row {
        name: "quit",
        arity: -1,
        flags: Flags::of(OPEN),
        summary: "Closes the connection.",
        reply: Shape::Ok,
        at_once: true,
        body: Body::Plain(quit),
        ..CONNECTION
    },
    Row {
        name: "reset",
        arity: 1,
        flags: Flags::of(OPEN),
        since: "6.2.0",
        summary: "Resets the connection.",
        reply: Shape::Simple,
        at_once: true,
        body: Body::Plain(reset),
        ..CONNECTION
    },
    Row {
        name: "select",
        arity: 2,
        flags: Flags::of(&[Flag::Loading, Flag::Stale, Flag::Fast]),
        summary: "Changes the selected database.",
        reply: Shape::Ok,
        body: Body::Select(select),
        ..CONNECTION
    },
];

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn a_password_is_the_same_or_it_is_not() {
        assert!(same(b"secret", b"secret"));
        for wrong in [b"secre".as_slice(), b"secrets", b"", b"Secret", b"secret\0"] {
            assert!(!same(b"secret", wrong));
        }
    }
}
