//! The few questions that a comparison asks a server: are you there, who are you, how many keys do you hold.
//!
//! Never used while a round is measured.

use crate::control::{Control, Target};
use crate::wire::Speech;
use anyhow::{Context as _, Result, bail};
use thermocline_resp::Value;

/// Its name and version; an error while it is not ready.
pub fn version(port: u16, speech: Speech) -> Result<String> {
    let mut control = Control::connect(&Target::local(port, speech))?;
    match speech {
        Speech::Resp => {
            if let Value::Error(words) = control.call(&["PING"])?
                && words.starts_with(b"LOADING ")
            {
                bail!("it is still loading");
            }
            let info = match control.call(&["INFO", "server"])? {
                Value::Bulk(text) | Value::Verbatim { text, .. } => String::from_utf8_lossy(&text).into_owned(),
                other => bail!("INFO answered {other:?}"),
            };
            let number = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let servers = ["thermocline", "valkey", "redis"];
            let told = servers.iter().find_map(|server| Some((server, number(&format!("{server}_version"))?)));
            Ok(told.map_or_else(|| "unknown".to_owned(), |(server, number)| format!("{server} {}", number.trim())))
        }
        Speech::Memcached => {
            let line = control.ask_line("version\r\n", &["VERSION", "ERROR"])?;
            let number = line.trim().strip_prefix("VERSION ").unwrap_or("unknown");
            Ok(format!("memcached {number}"))
        }
    }
}

/// Keys held now.
pub fn keys(port: u16, speech: Speech) -> Result<u64> {
    let mut control = Control::connect(&Target::local(port, speech))?;
    match speech {
        Speech::Resp => match control.call(&["DBSIZE"])? {
            Value::Integer(keys) => Ok(keys.max(0) as u64),
            other => bail!("DBSIZE answered {other:?}"),
        },
        Speech::Memcached => {
            let stats = control.ask_line("stats\r\n", &["END", "ERROR"])?;
            let keys = stats.lines().find_map(|line| line.strip_prefix("STAT curr_items ")?.trim().parse().ok());
            keys.context("stats without curr_items")
        }
    }
}
