//! CONFIG: reads settings, and changes those that may change while the server runs.
//!
//! Promises: the pairs of one CONFIG SET are set all or not at all, and a refusal names the pair; what the store must follow it
//! has followed before the answer leaves. Patterns match as Redis's do, without backtracking.

use thermocline_value::{Case, glob_match};

use super::context::SessionContext;
use super::reply::CommandError;
use super::row::{Body, Flag, Flags, Group, Row, SessionFuture, Shape};
use crate::config::{DIRECTIVES, amount, durability, eviction, place};

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

fn set<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        let mut changes = changes(&context)?;
        let server = context.server;
        let _turn = server.changing.lock().await;
        apply(&context, &mut changes).await?;
        server.settings.replace(&changes);
        context.reply.ok();
        Ok(())
    })
}

/// What the words ask for, in normal form.
fn changes(context: &SessionContext<'_>) -> Result<Vec<(usize, String)>, CommandError> {
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
    Ok(changes)
}

fn refusal(name: &str, reason: &str) -> CommandError {
    CommandError::built(format_args!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
}

/// Carries the changes to the store. What can be refused comes first, so that a refusal leaves everything as it was.
async fn apply(context: &SessionContext<'_>, changes: &mut [(usize, String)]) -> Result<(), CommandError> {
    let server = context.server;
    let mut before = None;
    if let Some(value) = value_of(changes, "maxmemory") {
        let bytes = match amount(value, server.about.machine_bytes) {
            0 => server.about.machine_bytes / 2,
            bytes => bytes,
        };
        *value = bytes.to_string();
        let engine = context.engine()?;
        before = Some(engine.max_memory());
        engine.set_max_memory(bytes).map_err(|error| refusal("maxmemory", &error.to_string()))?;
    }
    let durability = switch_durability(context, changes).await;
    if let (Err(_), Some(before)) = (&durability, before) {
        // It was allowed until now.
        let _ = context.engine()?.set_max_memory(before);
    }
    durability?;
    if let Some(policy) = value_of(changes, "maxmemory-policy") {
        context.engine()?.set_eviction(eviction(policy));
    }
    if let Some(delay) = value_of(changes, "key-load-delay") {
        server.progress.delay_records_us(delay.parse().unwrap_or(0));
    }
    Ok(())
}

/// What an acknowledgement means changes before the answer leaves, or not at all.
async fn switch_durability(context: &SessionContext<'_>, changes: &mut [(usize, String)]) -> Result<(), CommandError> {
    let settings = &context.server.settings;
    let mut asked = None;
    let [appendonly, appendfsync] = ["appendonly", "appendfsync"].map(|name| match value_of(changes, name) {
        None => settings.text(name),
        Some(value) => {
            asked = Some(name);
            value.clone()
        }
    });
    let Some(name) = asked else { return Ok(()) };
    let switched = context.engine()?.set_durability(durability(&appendonly, &appendfsync)).await;
    switched.map_err(|error| refusal(name, &error.to_string()))
}

fn value_of<'v>(changes: &'v mut [(usize, String)], name: &str) -> Option<&'v mut String> {
    changes.iter_mut().find(|(place, _)| DIRECTIVES[*place].name == name).map(|(_, value)| value)
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
            body: Body::Session(set),
            ..ADMIN
        },
    ],
    ..ADMIN
}];
