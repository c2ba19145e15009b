//! Prints a dump.rdb as JSON lines, or with `--count` reads and checks it and says how fast; `--copy FILE` writes it anew.
//!
//! ```text
//! cargo run --release -p thermocline-rdb --example rdb_dump -- dump.rdb
//! {"db":0,"key":"user:1","type":"hash","layout":"HashListpack","expires_at_ms":null,"value":{"name":"Ada"}}
//! ```
//!
//! Bytes that are no UTF-8 are printed with `\xNN`, so two keys can look alike: to look at, not to load. Elements are
//! printed as they are read: a collection larger than memory is no trouble.
#![expect(clippy::disallowed_methods, reason = "a program for foreign files, and it measures itself")]

use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Instant;
use thermocline_rdb::{
    Checksum, Duplicates, Element, Entry, Item, Kind, Options, Reader, Settings, ValueReader, Version, Writer,
};

const USAGE: &str = "usage: rdb_dump FILE [--count | --copy FILE]

  rdb_dump dump.rdb                   print every key as a line of JSON
  rdb_dump dump.rdb --count           read and check all of it; print counts and MB/s
  rdb_dump dump.rdb --copy new.rdb    write it anew, every value packed by our own rules, as RDB 11";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let &[path, ref rest @ ..] = arguments.as_slice() else { bail!(USAGE) };
    if path.starts_with('-') {
        bail!(USAGE);
    }
    let file = File::open(path).with_context(|| path.to_owned())?;
    // Whoever prints or copies keeps no map of a collection to find duplicates in; a check of everything wants them found.
    let duplicates = if rest == ["--count"] { Duplicates::Refuse } else { Duplicates::LeaveToReceiver };
    let mut reader =
        Reader::new(file, Options { duplicates, ..Options::default() }).with_context(|| path.to_owned())?;
    match rest {
        [] => print(&mut reader),
        ["--count"] => count(&mut reader),
        ["--copy", to] => copy(&mut reader, to),
        _ => bail!(USAGE),
    }
    .with_context(|| path.to_owned())
}

type FileReader = Reader<io::BufReader<File>>;

fn print(reader: &mut FileReader) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut database = 0;
    while let Some(item) = reader.next()? {
        match item {
            Item::Database(number) => database = number,
            Item::Aux { name, value } => writeln!(out, r#"{{"aux":{},"value":{}}}"#, json(name), json(value))?,
            Item::Function(source) => writeln!(out, r#"{{"function":{}}}"#, json(source))?,
            Item::Key(entry) => print_key(database, entry, &mut out)?,
            Item::Resize { .. } | Item::Slot { .. } | Item::ModuleAux(_) => {}
        }
    }
    out.flush()?;
    if reader.checksum() == Some(Checksum::Absent) {
        eprintln!("the file carries no checksum");
    }
    Ok(())
}

fn print_key(database: u64, entry: Entry<'_, io::BufReader<File>>, out: &mut impl Write) -> anyhow::Result<()> {
    let Entry { key, about, mut value } = entry;
    let kind = format!("{:?}", value.kind()).to_lowercase();
    let expires = about.expires_at_ms.map_or("null".to_owned(), |time| time.to_string());
    write!(out, r#"{{"db":{database},"key":{},"type":"{kind}","layout":"{}""#, json(key), value.value_type())?;
    write!(out, r#","expires_at_ms":{expires},"value":"#)?;
    let (open, close) = match value.kind() {
        Kind::String | Kind::Stream | Kind::Module => ("", ""),
        Kind::List | Kind::Set => ("[", "]"),
        Kind::Hash | Kind::SortedSet => ("{", "}"),
    };
    write!(out, "{open}")?;
    let mut raw_bytes = 0;
    let mut separator = "";
    while let Some(element) = value.next_element()? {
        match element {
            Element::String(bytes) => write!(out, "{}", json(bytes))?,
            Element::Item(bytes) => write!(out, "{separator}{}", json(bytes))?,
            Element::Field { field, value, expires_at_ms: None } => {
                write!(out, "{separator}{}:{}", json(field), json(value))?;
            }
            Element::Field { field, value, expires_at_ms: Some(time) } => {
                write!(out, r#"{separator}{}:{{"value":{},"expires_at_ms":{time}}}"#, json(field), json(value))?;
            }
            // JSON has no infinity.
            Element::Scored { member, score } if score.is_finite() => {
                write!(out, "{separator}{}:{score:?}", json(member))?;
            }
            Element::Scored { member, score } => write!(out, r#"{separator}{}:"{score}""#, json(member))?,
            Element::Raw(bytes) => raw_bytes += bytes.len(),
        }
        separator = ",";
    }
    if raw_bytes > 0 {
        write!(out, r#"{{"bytes":{raw_bytes}}}"#)?;
    }
    writeln!(out, "{close}}}")?;
    Ok(())
}

fn json(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.escape_ascii().to_string().into(),
    }
}

fn count(reader: &mut FileReader) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut keys, mut elements) = (0u64, 0u64);
    while let Some(item) = reader.next()? {
        if let Item::Key(mut entry) = item {
            keys += 1;
            while entry.value.next_element()?.is_some() {
                elements += 1;
            }
        }
    }
    report("read", keys, elements, reader.offset(), begun);
    Ok(())
}

fn copy(reader: &mut FileReader, to: &str) -> anyhow::Result<()> {
    let file = File::create(to).with_context(|| to.to_owned())?;
    let mut writer = Writer::new(file, Version::REDIS_7_2, Settings::default())?;
    let begun = Instant::now();
    let (mut keys, mut elements) = (0, 0);
    while let Some(item) = reader.next()? {
        match item {
            Item::Aux { name, value } => writer.aux(name, value)?,
            Item::Database(number) => writer.database(number)?,
            Item::Resize { keys, expiring } => writer.resize(keys, expiring)?,
            Item::Function(source) => writer.function(source)?,
            Item::ModuleAux(raw) => writer.module_aux(raw)?,
            Item::Slot { .. } => {}
            Item::Key(entry) => {
                keys += 1;
                elements += copy_key(entry, &mut writer)?;
            }
        }
    }
    report("written", keys, elements, writer.offset(), begun);
    writer.end()?;
    Ok(())
}

/// Element by element where the count stands in front, else through memory.
fn copy_key(entry: Entry<'_, io::BufReader<File>>, writer: &mut Writer<File>) -> anyhow::Result<u64> {
    let Entry { key, about, mut value } = entry;
    let to = writer.key(key, about)?;
    match (value.kind(), value.count_ahead()?) {
        (Kind::Set, Some(count)) => {
            let mut set = to.set(count)?;
            each(&mut value, |element| match element {
                Element::Item(member) => set.member(member),
                _ => Ok(()),
            })?;
            set.end()?;
            Ok(count)
        }
        (Kind::SortedSet, Some(count)) => {
            let mut sorted_set = to.sorted_set(count)?;
            each(&mut value, |element| match element {
                Element::Scored { member, score } => sorted_set.member(member, score),
                _ => Ok(()),
            })?;
            sorted_set.end()?;
            Ok(count)
        }
        _ => {
            to.value(&value.into_value()?)?;
            Ok(1)
        }
    }
}

fn each<B: io::BufRead>(
    value: &mut ValueReader<'_, B>,
    mut with: impl FnMut(Element<'_>) -> Result<(), thermocline_rdb::Error>,
) -> Result<(), thermocline_rdb::Error> {
    while let Some(element) = value.next_element()? {
        with(element)?;
    }
    Ok(())
}

fn report(what: &str, keys: u64, elements: u64, bytes: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{what}: {keys} keys, {elements} elements, {megabytes:.1} MB in {seconds:.3} s: {:.0} MB/s",
        megabytes / seconds
    );
}
