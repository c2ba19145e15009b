//! `--target 'name=command line'`: which server, in which language, started how.
//!
//! Promises: words are split as a shell splits them, and nothing else of a shell happens (no variable, no glob); a place to
//! fill in that does not exist is an error before anything starts.

use crate::wire::Speech;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// A server that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    /// Its name in the tables.
    pub name: String,
    /// Its language.
    pub speech: Speech,
    /// Its command line as it was given.
    pub command: String,
    /// The same as words, with places to fill in.
    words: Vec<String>,
}

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// `{port}`
    pub port: u16,
    /// `{dir}`: an empty folder of its own.
    pub dir: &'a Path,
    /// `{memory}` in bytes, `{memory_mb}` in MiB.
    pub memory_bytes: Option<u64>,
}

/// A target that cannot be started as written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No name before the command.
    #[error("{0:?}: write it as name=command, for example 'redis=redis-server --port {{port}} --dir {{dir}}'")]
    NoName(String),
    /// Quotes that do not end, or no word at all.
    #[error("{0:?}: no command line (is a quote open?)")]
    Unreadable(String),
    /// A language nobody speaks.
    #[error("{0:?} is no protocol: redis, memcached")]
    Protocol(String),
    /// An unknown place.
    #[error("{{{0}}} is not known: {{port}}, {{dir}}, {{memory}}, {{memory_mb}}")]
    Place(String),
    /// A server that nobody could find.
    #[error("the command line of {0} has no {{port}}")]
    NoPort(String),
    /// `{memory}` without a size.
    #[error("the command line of {0} has {{memory}}: say how much with --memory")]
    NoMemory(String),
}

impl FromStr for TargetSpec {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let no_name = || TargetError::NoName(text.to_owned());
        let (head, command) = text.split_once('=').ok_or_else(no_name)?;
        let (name, speech) = match head.split_once('@') {
            Some((name, "redis" | "resp")) => (name, Some(Speech::Resp)),
            Some((name, "memcached")) => (name, Some(Speech::Memcached)),
            Some((_, other)) => return Err(TargetError::Protocol(other.to_owned())),
            None => (head, None),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
            return Err(no_name());
        }
        let words = shlex::split(command).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| TargetError::Unreadable(command.to_owned()))?;
        // Any word, not only the first: the program may stand behind `env`, `numactl` or a loader.
        let is_memcached = |word: &String| Path::new(word).file_name().is_some_and(|name| name == "memcached");
        let by_program = if words.iter().any(is_memcached) { Speech::Memcached } else { Speech::Resp };
        let target =
            Self { name: name.to_owned(), speech: speech.unwrap_or(by_program), command: command.to_owned(), words };
        if !target.words.iter().any(|word| word.contains("{port}")) {
            return Err(TargetError::NoPort(target.name));
        }
        let unknown = target.words.iter().find_map(|word| unknown_place(word));
        unknown.map_or(Ok(target), |place| Err(TargetError::Place(place)))
    }
}

/// Braces with lower-case letters between them are meant as a place.
fn unknown_place(word: &str) -> Option<String> {
    word.split('{').skip(1).find_map(|rest| {
        let (place, _) = rest.split_once('}')?;
        let meant = !place.is_empty() && place.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let known = ["port", "dir", "memory", "memory_mb"].contains(&place);
        (meant && !known).then(|| place.to_owned())
    })
}

impl TargetSpec {
    /// The words to start it with.
    pub fn words(&self, places: Places<'_>) -> Result<Vec<String>, TargetError> {
        self.check_memory(places.memory_bytes)?;
        let memory_bytes = places.memory_bytes.unwrap_or(0);
        let fill = |word: &String| {
            word.replace("{port}", &places.port.to_string())
                .replace("{dir}", &places.dir.to_string_lossy())
                .replace("{memory}", &memory_bytes.to_string())
                .replace("{memory_mb}", &(memory_bytes >> 20).to_string())
        };
        Ok(self.words.iter().map(fill).collect())
    }

    /// Before anything starts: is there a size for `{memory}`?
    pub fn check_memory(&self, memory_bytes: Option<u64>) -> Result<(), TargetError> {
        let asks = self.words.iter().any(|word| word.contains("{memory"));
        if asks && memory_bytes.is_none() { Err(TargetError::NoMemory(self.name.clone())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<TargetSpec, TargetError> {
        text.parse()
    }

    #[test]
    fn quotes_and_places_are_understood() {
        let redis = target("redis=redis-server --port {port} --dir '{dir}' --save \"\" --maxmemory {memory}").unwrap();
        assert_eq!((redis.name.as_str(), redis.speech), ("redis", Speech::Resp));
        let places = Places { port: 7, dir: Path::new("/a b"), memory_bytes: Some(64 << 20) };
        let words = redis.words(places).unwrap();
        assert_eq!(words, ["redis-server", "--port", "7", "--dir", "/a b", "--save", "", "--maxmemory", "67108864"]);
        let without = Places { memory_bytes: None, ..places };
        assert_eq!(redis.words(without), Err(TargetError::NoMemory("redis".to_owned())));
    }

    #[test]
    fn the_language_follows_from_the_program_unless_it_is_named() {
        let speech = |text: &str| target(text).unwrap().speech;
        assert_eq!(speech("m=memcached -p {port} -m {memory_mb}"), Speech::Memcached);
        assert_eq!(speech("m=loader --library-path x /y/memcached -p {port}"), Speech::Memcached);
        assert_eq!(speech("m@memcached=some-cache {port}"), Speech::Memcached);
        assert_eq!(speech("m@redis=memcached {port}"), Speech::Resp);
        assert_eq!(speech("redis-7.0=redis-server --port {port}"), Speech::Resp);
    }

    #[test]
    fn what_cannot_be_started_is_said_before_the_start() {
        assert!(matches!(target("redis-server --port {port}"), Err(TargetError::NoName(_))));
        assert!(matches!(target("=redis-server {port}"), Err(TargetError::NoName(_))));
        assert!(matches!(target("a b=redis-server {port}"), Err(TargetError::NoName(_))));
        assert!(matches!(target("a=b 'c {port}"), Err(TargetError::Unreadable(_))));
        assert!(matches!(target("a="), Err(TargetError::Unreadable(_))));
        assert_eq!(target("a@http=b {port}"), Err(TargetError::Protocol("http".to_owned())));
        assert_eq!(target("a=b {prot} {port}"), Err(TargetError::Place("prot".to_owned())));
        assert_eq!(target("a=b"), Err(TargetError::NoPort("a".to_owned())));
        assert!(target("a=b {port} '{\"json\":1}'").is_ok(), "braces of another kind are not ours");
    }
}
