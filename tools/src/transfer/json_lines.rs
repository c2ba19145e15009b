//! Lines of JSON, both directions: one key per line, a large collection in several.
//!
//! ```text
//!   {"db":0,"key":"a","type":"string","value":"text"}
//!   {"db":0,"key":"h","type":"hash","expires_at_ms":1767225600000,"value":[["field","value"],["other","value",1767225600000]]}
//!   {"db":0,"key":"z","type":"zset","value":[["member",1.5],["last","inf"]]}
//!   {"db":0,"key":"l","type":"list","value":["head", ...]}
//!   {"db":0,"key":"l","type":"list","continues":true,"value":[..., "tail"]}
//!   {"db":0,"key":{"base64":"/wA="},"type":"set","value":[{"base64":"gA=="}]}        bytes that are no UTF-8
//! ```
//! Promises: what was written is read back byte for byte and score for score; a line is bounded. Never: an unknown field or type
//! passed over.

use super::filter::Filter;
use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize, Serializer};
use std::io::{BufRead, Read, Write};
use thermocline::Kind;
use thermocline_rdb::Element;
use thermocline_transfer::rdb::Passed;
use thermocline_transfer::{Choice, Elements, Head, Owned, Sink};

/// Elements of one line.
const LINE_ELEMENTS_MAX: usize = 8192;
/// Bytes of one line's elements, unless one has more.
const LINE_BYTES_MAX: usize = 1 << 20;
/// The longest line that is read: the longest string in base64, and a key.
const LINE_READ_BYTES_MAX: u64 = 1 << 30;

/// Bytes: text where they are UTF-8, else base64.
struct Text<'t>(&'t [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_map([("base64", BASE64.encode(self.0))]),
        }
    }
}

/// A score: a number, or a word for what JSON has no number for.
struct Score(f64);

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            f64::INFINITY => serializer.serialize_str("inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            score => serializer.serialize_f64(score),
        }
    }
}

/// An element as it stands in a line.
struct Written(Owned);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Owned::Bytes(bytes) => Text(bytes).serialize(serializer),
            Owned::Field(field, value, None) => (Text(field), Text(value)).serialize(serializer),
            Owned::Field(field, value, Some(at_ms)) => (Text(field), Text(value), at_ms).serialize(serializer),
            Owned::Scored(member, score) => (Text(member), Score(*score)).serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct LineOut<'l, V> {
    db: u32,
    key: Text<'l>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
    value: V,
}

/// Writes lines.
pub struct IntoJsonLines<W: Write> {
    /// Where they go.
    pub output: W,
}

impl<W: Write> IntoJsonLines<W> {
    fn line(&mut self, head: &Head, continues: bool, value: impl Serialize) -> Result<()> {
        let expires_at_ms = head.expires_at_ms.filter(|_| !continues);
        let (kind, key) = (head.kind.name(), Text(&head.key));
        let line = LineOut { db: head.database, key, kind, expires_at_ms, continues, value };
        serde_json::to_writer(&mut self.output, &line)?;
        Ok(self.output.write_all(b"\n")?)
    }
}

impl<W: Write> Sink for IntoJsonLines<W> {
    fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
        if head.kind == Kind::String {
            return elements.each(&mut |element| match element {
                Element::String(bytes) | Element::Item(bytes) => self.line(head, false, Text(bytes)),
                _ => bail!("a string is bytes"),
            });
        }
        let (mut held, mut bytes, mut continues) = (Vec::new(), 0, false);
        elements.each(&mut |element| {
            bytes += thermocline_exchange::element_bytes(&element);
            held.extend(Owned::of(&element).map(Written));
            if held.len() < LINE_ELEMENTS_MAX && bytes < LINE_BYTES_MAX {
                return Ok(());
            }
            self.line(head, continues, &held)?;
            held.clear();
            (bytes, continues) = (0, true);
            Ok(())
        })?;
        if held.is_empty() { Ok(()) } else { self.line(head, continues, &held) }
    }
}

/// Bytes, as they are read.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextIn {
    Text(String),
    Base64 { base64: String },
}

impl TextIn {
    fn bytes(self) -> Result<Vec<u8>> {
        match self {
            TextIn::Text(text) => Ok(text.into_bytes()),
            TextIn::Base64 { base64 } => BASE64.decode(base64).map_err(|error| anyhow!("no base64: {error}")),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScoreIn {
    Number(f64),
    Word(String),
}

impl ScoreIn {
    fn score(self) -> Result<f64> {
        match self {
            ScoreIn::Number(score) => Ok(score),
            ScoreIn::Word(word) if word == "inf" => Ok(f64::INFINITY),
            ScoreIn::Word(word) if word == "-inf" => Ok(f64::NEG_INFINITY),
            ScoreIn::Word(word) => bail!("'{word}' is no score"),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FieldIn {
    Forever(TextIn, TextIn),
    Expires(TextIn, TextIn, u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn<'l> {
    #[serde(default)]
    db: u32,
    key: TextIn,
    #[serde(rename = "type")]
    kind: String,
    expires_at_ms: Option<u64>,
    #[serde(default)]
    continues: bool,
    #[serde(borrow)]
    value: &'l serde_json::value::RawValue,
}

/// A line, taken apart.
struct Line {
    head: Head,
    continues: bool,
    elements: Vec<Owned>,
}

fn parse(line: &str) -> Result<Line> {
    let LineIn { db, key, kind, expires_at_ms, continues, value } = serde_json::from_str(line)?;
    let kind = [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet]
        .into_iter()
        .find(|known| known.name() == kind)
        .with_context(|| format!("'{kind}' is no type that is carried"))?;
    let value = value.get();
    let elements = match kind {
        Kind::String => vec![Owned::Bytes(serde_json::from_str::<TextIn>(value)?.bytes()?)],
        Kind::Hash => serde_json::from_str::<Vec<FieldIn>>(value)?
            .into_iter()
            .map(|field| {
                Ok(match field {
                    FieldIn::Forever(field, value) => Owned::Field(field.bytes()?, value.bytes()?, None),
                    FieldIn::Expires(field, value, at_ms) => Owned::Field(field.bytes()?, value.bytes()?, Some(at_ms)),
                })
            })
            .collect::<Result<_>>()?,
        Kind::SortedSet => serde_json::from_str::<Vec<(TextIn, ScoreIn)>>(value)?
            .into_iter()
            .map(|(member, score)| Ok(Owned::Scored(member.bytes()?, score.score()?)))
            .collect::<Result<_>>()?,
        _ => serde_json::from_str::<Vec<TextIn>>(value)?
            .into_iter()
            .map(|item| Ok(Owned::Bytes(item.bytes()?)))
            .collect::<Result<_>>()?,
    };
    let head = Head { database: db, key: key.bytes()?, kind, expires_at_ms };
    Ok(Line { head, continues, elements })
}

/// Lines, with the next one at hand.
struct Lines<R> {
    input: R,
    text: String,
    number: u64,
    bytes: u64,
    next: Option<Line>,
}

impl<R: BufRead> Lines<R> {
    fn advance(&mut self) -> Result<()> {
        loop {
            self.text.clear();
            self.number += 1;
            let about = |number| move || format!("line {number}");
            let mut bounded = (&mut self.input).take(LINE_READ_BYTES_MAX);
            let bytes = bounded.read_line(&mut self.text).with_context(about(self.number))? as u64;
            if bytes == LINE_READ_BYTES_MAX {
                bail!("line {} is longer than {LINE_READ_BYTES_MAX} bytes", self.number);
            }
            self.bytes += bytes;
            if bytes == 0 {
                self.next = None;
                return Ok(());
            }
            if !self.text.trim().is_empty() {
                self.next = Some(parse(&self.text).with_context(about(self.number))?);
                return Ok(());
            }
        }
    }
}

/// Brings the keys of these lines to `sink`; `step` is told the bytes read so far.
///
/// # Errors
/// A line is no such line, or the sink takes a key not.
pub fn from_json_lines(
    input: impl BufRead,
    (filter, now_ms): (&Filter, u64),
    sink: &mut dyn Sink,
    step: &mut dyn FnMut(u64),
) -> Result<Passed> {
    let mut lines = Lines { input, text: String::new(), number: 0, bytes: 0, next: None };
    let mut passed = Passed::default();
    lines.advance()?;
    while let Some(line) = lines.next.take() {
        step(lines.bytes);
        if line.continues {
            bail!("line {} continues a key that is not before it", lines.number);
        }
        let number = lines.number;
        let Line { head, elements, .. } = line;
        let mut value = FromLines { head: &head, elements, lines: &mut lines, now_ms };
        if head.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            passed.expired += 1;
            value.each(&mut |_| Ok(()))?;
        } else if !filter.passes(head.database, &head.key, head.kind) {
            passed.filtered += 1;
            value.each(&mut |_| Ok(()))?;
        } else {
            sink.take(&head, &mut value).with_context(|| format!("line {number}"))?;
        }
    }
    Ok(passed)
}

struct FromLines<'l, R> {
    head: &'l Head,
    elements: Vec<Owned>,
    lines: &'l mut Lines<R>,
    now_ms: u64,
}

impl<R: BufRead> Elements for FromLines<'_, R> {
    fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
        loop {
            for element in &self.elements {
                match element {
                    Owned::Field(_, _, Some(at_ms)) if *at_ms <= self.now_ms => {}
                    element => see(element.element())?,
                }
            }
            self.lines.advance()?;
            let same = |line: &mut Line| {
                line.continues
                    && (line.head.database, line.head.kind) == (self.head.database, self.head.kind)
                    && line.head.key == self.head.key
            };
            match self.lines.next.take_if(same) {
                Some(line) => self.elements = line.elements,
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(Vec<Owned>);

    impl Elements for Given {
        fn each(&mut self, see: &mut dyn FnMut(Element<'_>) -> Result<()>) -> Result<()> {
            self.0.iter().try_for_each(|element| see(element.element()))
        }
    }

    #[derive(Default)]
    struct Kept(Vec<(Head, Vec<Owned>)>);

    impl Sink for Kept {
        fn take(&mut self, head: &Head, elements: &mut dyn Elements) -> Result<()> {
            let mut all = Vec::new();
            elements.each(&mut |element| {
                all.extend(Owned::of(&element));
                Ok(())
            })?;
            self.0.push((head.clone(), all));
            Ok(())
        }
    }

    fn head(key: &[u8], kind: Kind) -> Head {
        Head { database: 3, key: key.to_vec(), kind, expires_at_ms: Some(u64::MAX >> 12) }
    }

    #[test]
    fn what_is_written_is_read_back_byte_for_byte_and_score_for_score() {
        let scores = [0.1, -0.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 9_007_199_254_740_993.0, 1.0 / 3.0];
        let given = [
            (head(b"text \"quoted\" \xc3\xa4\n", Kind::String), vec![Owned::Bytes(b"\0\xff".to_vec())]),
            (head(b"\xff\0", Kind::List), (0..20_000).map(|n: u32| Owned::Bytes(n.to_le_bytes().to_vec())).collect()),
            (head(b"z", Kind::SortedSet), scores.iter().map(|&s| Owned::Scored(s.to_string().into(), s)).collect()),
            (
                head(b"h", Kind::Hash),
                vec![
                    Owned::Field(b"f".to_vec(), b"{\"base64\":\"\"}".to_vec(), None),
                    Owned::Field(b"\x80".to_vec(), Vec::new(), Some(u64::MAX >> 12)),
                ],
            ),
        ];
        let mut sink = IntoJsonLines { output: Vec::new() };
        for (head, elements) in &given {
            sink.take(head, &mut Given(elements.clone())).unwrap();
        }
        assert!(sink.output.iter().filter(|&&byte| byte == b'\n').count() > given.len(), "the list took one line");
        let mut kept = Kept::default();
        from_json_lines(&sink.output[..], (&Filter::default(), 0), &mut kept, &mut |_| ()).unwrap();
        assert_eq!(format!("{:?}", kept.0), format!("{given:?}"));
        assert!(matches!(kept.0[2].1[1], Owned::Scored(_, score) if score.is_sign_negative()));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let good = r#"{"key":"a","type":"list","value":["x"]}"#;
        for (bad, word) in [
            (r#"{"key":"a","type":"stream","value":[]}"#, "stream"),
            (r#"{"key":"a","type":"list","value":["x"],"ttl":1}"#, "ttl"),
            (r#"{"key":"b","type":"list","continues":true,"value":["x"]}"#, "continues"),
            (r#"{"key":{"base64":"*"},"type":"string","value":""}"#, "base64"),
            (r#"{"key":"a","type":"zset","value":[["a","x"]]}"#, "'x'"),
            ("{", "EOF"),
        ] {
            let text = format!("{good}\n\n{bad}\n");
            let error = from_json_lines(text.as_bytes(), (&Filter::default(), 0), &mut Kept::default(), &mut |_| ())
                .unwrap_err();
            let words = format!("{error:#}");
            assert!(words.contains("line 3") && words.contains(word), "{words}");
        }
    }
}
