//! CONFIG: reads settings, and changes those that may change while the server runs.
//!
//! Promises: the pairs of one CONFIG SET are set all or not at all, and a refusal names the pair; a setting the store cannot
//! follow at run time is refused in words, never accepted and ignored. Patterns match as Redis's do, without backtracking.

use thermocline_value::{Case, glob_match};

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Flag, Flags, Group, Row, Shape};
use crate::config::{DIRECTIVES, amount, eviction, place};

fn get(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let mut found: Vec<(&'static str, usize)> = Vec::new();
    for (at, directive) in DIRECTIVES.iter().enumerate() {
        for name in [Some(directive.name), directive.alias].into_iter().flatten() {
            if context.args.from(2).any(|pattern| matches(pattern, name)) {
                found.push((name, at));
            }
        }
    }
    context.reply.map(found.len());
    for (name, at) in found {
        context.reply.bulk(name.as_bytes());
        context.reply.bulk(context.server.settings.value(at).as_bytes());
    }
    Ok(())
}

fn matches(pattern: &[u8], name: &str) -> bool {
    glob_match(pattern, name.as_bytes(), Case::Insensitive)
}

fn set(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let args = context.args;
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::arity("config|set"));
    }
    let mut changes: Vec<(usize, String)> = Vec::new();
    for at in (2..args.len()).step_by(2) {
        let name = String::from_utf8_lossy(args.at(at));
        let Some(place) = place(&name) else {
            return Err(CommandError::built(format_args!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )));
        };
        let refuse = |reason: &str| refusal(&name, reason);
        let directive = &DIRECTIVES[place];
        if !directive.mutable {
            return Err(refuse("can't set immutable config"));
        }
        if changes.iter().any(|(other, _)| *other == place) {
            return Err(refuse("duplicate parameter"));
        }
        let value = String::from_utf8_lossy(args.at(at + 1));
        changes.push((place, directive.normal(&value).map_err(|reason| refuse(&reason))?));
    }
    apply(context, &mut changes)?;
    context.server.settings.replace(&changes);
    context.reply.ok();
    Ok(())
}

fn refusal(name: &str, reason: &str) -> CommandError {
    CommandError::built(format_args!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
}

/// Carries the changes to the store. What can be refused comes first, so that a refusal leaves everything as it was.
fn apply(context: &SessionContext<'_>, changes: &mut [(usize, String)]) -> Result<(), CommandError> {
    let server = context.server;
    let settings = &server.settings;
    for (place, value) in changes.iter() {
        let name = DIRECTIVES[*place].name;
        if matches!(name, "appendonly" | "appendfsync") && *value != settings.value(*place) {
            return Err(refusal(
                name,
                &format!("what an acknowledgement means is chosen at start; restart with --{name} {value}"),
            ));
        }
    }
    for (place, value) in changes.iter_mut() {
        if DIRECTIVES[*place].name == "maxmemory" {
            let bytes = match amount(value, server.about.machine_bytes) {
                0 => server.about.machine_bytes / 2,
                bytes => bytes,
            };
            *value = bytes.to_string();
            // The only one that the store may refuse: nothing was changed before it.
            context.engine()?.set_max_memory(bytes).map_err(|error| refusal("maxmemory", &error.to_string()))?;
        }
    }
    for (place, value) in changes.iter() {
        match DIRECTIVES[*place].name {
            "maxmemory-policy" => context.engine()?.set_eviction(eviction(value)),
            "key-load-delay" => server.progress.delay_records_us(value.parse().unwrap_or(0)),
            _ => {}
        }
    }
    Ok(())
}

fn resetstat(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    context.server.counters.reset();
    if let Some(engine) = context.server.store() {
        engine.reset_stats();
    }
    context.reply.ok();
    Ok(())
}

fn help(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    super::help(
        &mut context.reply,
        "CONFIG",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
        ],
    );
    Ok(())
}

const ADMIN: Row = Row {
    group: Group::Server,
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    since: "2.0.0",
    ..Row::EMPTY
};

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "config",
    arity: -2,
    flags: Flags::NONE,
    summary: "A container for server configuration commands.",
    complexity: "Depends on subcommand.",
    subcommands: &[
        Row {
            name: "get",
            arity: -3,
            summary: "Returns the effective values of configuration parameters.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            reply: Shape::Map,
            body: Body::Plain(get),
            ..ADMIN
        },
        Row {
            name: "help",
            arity: 2,
            since: "5.0.0",
            flags: Flags::of(&[Flag::Loading, Flag::Stale]),
            summary: "Returns helpful text about the different subcommands.",
            reply: Shape::Array,
            body: Body::Plain(help),
            ..ADMIN
        },
        Row {
            name: "resetstat",
            arity: 2,
            summary: "Resets the server's statistics.",
            reply: Shape::Ok,
            body: Body::Plain(resetstat),
            ..ADMIN
        },
        Row {
            name: "set",
            arity: -4,
            summary: "Sets configuration parameters in-flight.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            reply: Shape::Ok,
            body: Body::Plain(set),
            ..ADMIN
        },
    ],
    ..ADMIN
}];
