//! DEBUG: the few switches that tests and operators use.
//!
//! Promises: obeys `enable-debug-command` (no, yes, local). Never crashes on request.

use thermocline::Access;

use super::context::SessionContext;
use super::keyspace::encoding::{self, thresholds};
use super::look::look;
use super::reply::CommandError;
use super::row::{Body, Flag, Flags, Group, Row, SessionFuture, Shape};
use super::{digest, dump};

/// Longest DEBUG SLEEP.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

fn debug<'c>(mut context: SessionContext<'c>) -> SessionFuture<'c> {
    Box::pin(async move {
        allowed(&context)?;
        let args = context.args;
        match (args.at(1).to_ascii_lowercase().as_slice(), args.len()) {
            (b"sleep", 3) => {
                let seconds = std::str::from_utf8(args.at(2)).ok().and_then(|text| text.parse::<f64>().ok());
                let seconds = seconds
                    .filter(|seconds| (0.0..=SLEEP_SECONDS_MAX).contains(seconds))
                    .ok_or(CommandError::NOT_FLOAT)?;
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
                context.reply.ok();
            }
            (b"set-active-expire", 3) => {
                let on = match args.at(2) {
                    b"0" => false,
                    b"1" => true,
                    _ => return Err(CommandError::NOT_INTEGER),
                };
                context.engine()?.set_active_expire(on);
                context.reply.ok();
            }
            (b"object", 3) => object(&mut context).await?,
            (b"digest", 2) => {
                let digest = digest::of_everything(context.engine()?).await?;
                context.reply.simple(&digest.to_string());
            }
            (b"digest-value", _) => digest_values(&mut context).await?,
            (b"loadaof", 2) => reload(&mut context).await?,
            (b"reload", _) => {
                let is_option = |word: &[u8]| {
                    ["MERGE", "NOFLUSH", "NOSAVE"].iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
                };
                if !args.from(2).all(is_option) {
                    return Err(CommandError::Static(
                        "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                    ));
                }
                reload(&mut context).await?;
            }
            (b"help", 2) => super::help(
                &mut context.reply,
                "DEBUG",
                &[
                    "DIGEST",
                    "    Output a hex signature representing the current DB content.",
                    "DIGEST-VALUE <key> [<key> ...]",
                    "    Output a hex signature of the values of all the specified keys.",
                    "LOADAOF",
                    "    The same as RELOAD.",
                    "OBJECT <key>",
                    "    Show low level info about `key` and associated value.",
                    "RELOAD [option ...]",
                    "    Bring the log to the device, and do nothing else: the log is the database,",
                    "    and what is in memory is not read back from it. The <option> values MERGE,",
                    "    NOFLUSH and NOSAVE are accepted.",
                    "SET-ACTIVE-EXPIRE <0|1>",
                    "    Setting it to 0 disables expiring keys in background.",
                    "SLEEP <seconds>",
                    "    Stop this client for <seconds>. Decimals allowed.",
                ],
            ),
            _ => return Err(unknown(args.at(1))),
        }
        Ok(())
    })
}

fn unknown(word: &[u8]) -> CommandError {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(&word[..word.len().min(128)]);
    text.extend_from_slice(b"'. Try DEBUG HELP.");
    CommandError::Built(text)
}

fn allowed(context: &SessionContext<'_>) -> Result<(), CommandError> {
    let allowed = match context.server.settings.text("enable-debug-command").as_str() {
        "yes" => true,
        "local" => context.session.client.address.ip().to_canonical().is_loopback(),
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    Err(CommandError::Static(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// Tests and tools write, reload and compare. Here what is answered is in the log already; it is brought to the device, so that
/// the next start finds it.
async fn reload(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let engine = context.engine()?;
    if engine.durability().logs() {
        engine.flush_log(engine.written_seq()).await?;
    }
    context.reply.ok();
    Ok(())
}

async fn digest_values(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let engine = context.engine()?;
    let args = context.args;
    context.reply.array(args.len() - 2);
    for name in args.from(2) {
        let digest = digest::of_key(engine, context.session.database, name).await?;
        context.reply.simple(&digest.to_string());
    }
    Ok(())
}

async fn object(context: &mut SessionContext<'_>) -> Result<(), CommandError> {
    let engine = context.engine()?;
    let (database, name) = (context.session.database, context.args.at(2));
    let location = engine.locate(&engine.key(engine.space(database), name)).await?.ok_or(CommandError::NO_SUCH_KEY)?;
    let settings = &context.server.settings;
    let thresholds = thresholds(settings);
    let seen = look(engine, (database, name), Access::Peek, |seen| {
        let (view, collection) = (&seen.view, seen.collection.as_ref());
        let encoding = encoding::name(view, collection, &thresholds)?;
        // The bytes of a very long string are not at hand.
        let length = if view.value.len() as u64 == view.length {
            let payload = dump::payload(view, collection, settings, engine.now_ms())?;
            payload.map_or(0, |payload| payload.len().saturating_sub(dump::FRAME_BYTES) as u64)
        } else {
            view.length
        };
        Ok((encoding, length))
    });
    let (encoding, length) = seen.await?.ok_or(CommandError::NO_SUCH_KEY)?;
    let tier = super::tier::tier_name(location.tier);
    let text = format!(
        "Value at:0x{:x} refcount:1 encoding:{encoding} serializedlength:{length} lru:{} lru_seconds_idle:0 tier:{tier}",
        location.offset, location.heat,
    );
    context.reply.simple(&text);
    Ok(())
}

/// The family's rows.
pub(super) const ROWS: &[Row] = &[Row {
    name: "debug",
    arity: -2,
    group: Group::Server,
    flags: Flags::of(&[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale]),
    summary: "A container for debugging commands.",
    complexity: "Depends on subcommand.",
    reply: Shape::Any,
    body: Body::Session(debug),
    ..Row::EMPTY
}];
