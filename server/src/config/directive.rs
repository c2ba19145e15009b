//! What a directive is: its kind says how text is read, checked and written back.
//!
//! Promises: `normal(text)` gives the canonical text that CONFIG GET returns, or Redis's words of refusal. Pure.

use super::memory;

/// One directive.
#[derive(Copy, Clone, Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// A second spelling (`hash-max-ziplist-entries`).
    pub alias: Option<&'static str>,
    /// How its value is read.
    pub kind: Kind,
    /// The value when nobody sets it.
    pub default: &'static str,
    /// Whether CONFIG SET may change it.
    pub mutable: bool,
}

/// How a value is read.
#[derive(Copy, Clone, Debug)]
pub enum Kind {
    /// yes or no.
    Boolean,
    /// A whole number.
    Integer {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// Bytes: `64mb`.
    Memory,
    /// Bytes, or a share of the machine: `75%`.
    MemoryOrPercent,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
    /// A name without a folder.
    FileName,
    /// `3600 1 300 100`: pairs of seconds and changes, or nothing.
    SavePoints,
    /// `normal 0 0 0 ...`: class, hard bytes, soft bytes, soft seconds.
    OutputLimits,
    /// Classes of keyspace events, as letters.
    Events,
    /// `HH:MM`, or nothing.
    TimeOfDay,
}

/// A directive that CONFIG SET may change.
pub(super) const fn live(name: &'static str, kind: Kind, default: &'static str) -> Directive {
    Directive { name, alias: None, kind, default, mutable: true }
}

/// A directive that only a start can set.
pub(super) const fn fixed(name: &'static str, kind: Kind, default: &'static str) -> Directive {
    Directive { name, alias: None, kind, default, mutable: false }
}

impl Directive {
    /// With a second spelling.
    pub(super) const fn also(self, alias: &'static str) -> Directive {
        Directive { alias: Some(alias), ..self }
    }

    /// The canonical form of `text`, or why it is none.
    pub fn normal(&self, text: &str) -> Result<String, String> {
        match self.kind {
            Kind::Text => Ok(text.to_owned()),
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                yes_or_no @ ("yes" | "no") => Ok(yes_or_no.to_owned()),
                _ => Err("argument must be 'yes' or 'no'".to_owned()),
            },
            Kind::Integer { min, max } => match text.parse::<i64>() {
                Err(_) => Err("argument couldn't be parsed into an integer".to_owned()),
                Ok(value) if value < min || value > max => {
                    Err(format!("argument must be between {min} and {max} inclusive"))
                }
                Ok(value) => Ok(value.to_string()),
            },
            Kind::Memory => memory::bytes(text)
                .map(|bytes| bytes.to_string())
                .ok_or_else(|| "argument must be a memory value".to_owned()),
            Kind::MemoryOrPercent => match memory::percent(text) {
                Some(percent) => Ok(format!("{percent}%")),
                None => memory::bytes(text)
                    .map(|bytes| bytes.to_string())
                    .ok_or_else(|| "argument must be a memory or percent value".to_owned()),
            },
            Kind::Choice(choices) => {
                let text = text.to_ascii_lowercase();
                if choices.contains(&text.as_str()) {
                    Ok(text)
                } else {
                    Err(format!("argument(s) must be one of the following: {}", choices.join(", ")))
                }
            }
            Kind::FileName if text.contains(['/', '\0']) => {
                Err("dbfilename can't be a path, just a filename".to_owned())
            }
            Kind::FileName if text.is_empty() || thermocline::is_store_file(text) => {
                Err("dbfilename can't be the name of a file of the store".to_owned())
            }
            Kind::FileName => Ok(text.to_owned()),
            Kind::SavePoints => save_points(text),
            Kind::OutputLimits => output_limits(text),
            Kind::Events => events(text),
            Kind::TimeOfDay if text.is_empty() || crate::backup::seconds_of(text).is_some() => Ok(text.to_owned()),
            Kind::TimeOfDay => Err("argument must be a time of the day, HH:MM in UTC, or empty".to_owned()),
        }
    }
}

fn save_points(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let numbers = words.iter().all(|word| word.parse::<u32>().is_ok());
    if !words.len().is_multiple_of(2) || !numbers {
        return Err("Invalid save parameters".to_owned());
    }
    Ok(words.join(" "))
}

fn output_limits(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.len().is_multiple_of(4) || words.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let mut limits = [("normal", [0, 0, 0]), ("slave", [256 << 20, 64 << 20, 60]), ("pubsub", [32 << 20, 8 << 20, 60])];
    for group in words.chunks_exact(4) {
        let class = if group[0].eq_ignore_ascii_case("replica") { "slave" } else { group[0] };
        let Some((_, values)) = limits.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(class)) else {
            return Err("Invalid client class specified in buffer limit configuration.".to_owned());
        };
        let (Some(hard), Some(soft), Ok(seconds)) =
            (memory::bytes(group[1]), memory::bytes(group[2]), group[3].parse::<u32>())
        else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned());
        };
        *values = [hard, soft, u64::from(seconds)];
    }
    Ok(limits.map(|(name, [hard, soft, seconds])| format!("{name} {hard} {soft} {seconds}")).join(" "))
}

fn events(text: &str) -> Result<String, String> {
    /// The classes that `A` stands for.
    const ALL: &str = "g$lshzxetd";
    if let Some(unknown) = text.chars().find(|letter| !"AKEg$lshzxetdmn".contains(*letter)) {
        return Err(format!("Invalid event class character '{unknown}'. Use 'Ag$lshzxeKEtmdn'."));
    }
    let has = |letter: char| text.contains(letter) || (text.contains('A') && ALL.contains(letter));
    let mut normal = String::new();
    if ALL.chars().all(has) {
        normal.push('A');
    } else {
        normal.extend(ALL.chars().filter(|letter| has(*letter)));
    }
    normal.extend("KEmn".chars().filter(|letter| text.contains(*letter)));
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::super::table::{DIRECTIVES, place};

    fn normal(name: &str, text: &str) -> Result<String, String> {
        DIRECTIVES[place(name).expect("a directive")].normal(text)
    }

    #[test]
    fn every_default_but_a_share_is_its_own_normal_form() {
        for directive in DIRECTIVES {
            assert_eq!(directive.normal(directive.default).as_deref(), Ok(directive.default), "{}", directive.name);
        }
    }

    #[test]
    fn values_are_brought_to_their_normal_form_or_refused_with_the_words_of_redis() {
        assert_eq!(normal("maxmemory", "64mb").as_deref(), Ok("67108864"));
        assert_eq!(normal("maxmemory", "75%").as_deref(), Ok("75%"));
        assert_eq!(normal("MaxMemory-Policy", "AllKeys-LRU").as_deref(), Ok("allkeys-lru"));
        assert_eq!(normal("hash-max-ziplist-entries", "12").as_deref(), Ok("12"));
        assert_eq!(normal("appendonly", "maybe").unwrap_err(), "argument must be 'yes' or 'no'");
        assert_eq!(normal("hz", "x").unwrap_err(), "argument couldn't be parsed into an integer");
        assert_eq!(normal("hz", "501").unwrap_err(), "argument must be between 1 and 500 inclusive");
        assert_eq!(normal("notify-keyspace-events", "KEA").as_deref(), Ok("AKE"));
        assert_eq!(normal("notify-keyspace-events", "lK").as_deref(), Ok("lK"));
        assert_eq!(normal("save", "").as_deref(), Ok(""));
        assert!(normal("save", "1").is_err());
        assert!(
            normal("client-output-buffer-limit", "normal 1mb 2mb 60")
                .is_ok_and(|text| text.starts_with("normal 1048576 2097152 60 slave "))
        );
    }
}
