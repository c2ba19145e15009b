//! Reads results from files: one JSON object, or several one after another.
//!
//! Promises: what is no result, or a newer one than this tool knows, is an error that names the file and says what to do.

use crate::record::{Record, SCHEMA};
use anyhow::{Context as _, Result, bail};
use serde_json::{Deserializer, Value};
use std::path::Path;

/// Larger files are no results.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// All results of a file.
#[expect(clippy::disallowed_methods, reason = "a result's file, nothing of the engine's")]
pub fn records(path: &Path) -> Result<Vec<Record>> {
    let name = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if length > FILE_BYTES_MAX {
        bail!("{name} has {length} bytes, more than any result: is it one?");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    parse(&text).with_context(|| format!("{name} is no result of this tool"))
}

fn parse(text: &str) -> Result<Vec<Record>> {
    let records: Vec<Record> = Deserializer::from_str(text)
        .into_iter::<Value>()
        .map(|object| record(object.context("it is not whole JSON; make results with --json or --out")?))
        .collect::<Result<_>>()?;
    if records.is_empty() {
        bail!("it is empty");
    }
    Ok(records)
}

fn record(object: Value) -> Result<Record> {
    let Some(schema) = object.get("schema").and_then(Value::as_u64) else {
        bail!("it has no \"schema\"; make results with --json or --out");
    };
    if schema > u64::from(SCHEMA) {
        bail!(
            "it was written by a newer version (schema {schema}, known here is {SCHEMA}): use that version's `report`"
        );
    }
    serde_json::from_value(object).with_context(|| format!("it does not follow schema {schema}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_result_is_said_clearly() {
        let words = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(words("").contains("empty"));
        assert!(words("<html>").contains("not whole JSON"));
        assert!(words("{\"schema\":1").contains("not whole JSON"), "a cut file");
        assert!(words("{}").contains("no \"schema\""));
        assert!(words("[1]").contains("no \"schema\""));
        assert!(words("{\"schema\":1}").contains("does not follow schema 1"));
        let newer = format!("{{\"schema\":{}}}", SCHEMA + 1);
        assert!(words(&newer).contains("newer version"), "{}", words(&newer));
    }

    #[test]
    fn a_missing_file_is_named() {
        let words = format!("{:#}", records(Path::new("no-such-result.json")).unwrap_err());
        assert!(words.contains("no-such-result.json"), "{words}");
    }
}
