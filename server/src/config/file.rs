//! redis.conf and the command line: both are lines of directive and values.
//!
//! Promises: Redis's syntax (comments, quotes, `include`, repeated `save` and `client-output-buffer-limit`); each refusal names
//! the line and what to do. Never changes a file.

use std::path::{Path, PathBuf};

use super::table::{DIRECTIVES, place};

/// Deepest chain of `include`.
const INCLUDE_DEPTH_MAX: usize = 8;

/// Values by place in the table of directives, from files and command line, later ones winning.
#[derive(Debug, Default)]
pub struct Given {
    values: Vec<(usize, String)>,
    /// The file named on the command line.
    pub file: Option<PathBuf>,
}

impl Given {
    /// What was given for a directive, if anything.
    pub fn value(&self, place: usize) -> Option<&str> {
        self.values.iter().rev().find(|(at, _)| *at == place).map(|(_, value)| value.as_str())
    }

    /// All values in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.values.iter().map(|(at, value)| (*at, value.as_str()))
    }

    /// Reads the words behind the program's name: `[FILE.conf] [--directive value ...]`.
    pub fn from_command_line(words: &[String]) -> Result<Given, String> {
        let mut given = Given::default();
        let mut words = words;
        if let Some((first, rest)) = words.split_first()
            && !first.starts_with('-')
        {
            given.read_file(Path::new(first), 0)?;
            given.file = Some(PathBuf::from(first));
            words = rest;
        }
        while let Some((name, rest)) = words.split_first() {
            let Some(name) = name.strip_prefix("--") else {
                return Err(format!("'{name}' is not understood: directives are written --name value (see --help)"));
            };
            let count = rest.iter().take_while(|word| !word.starts_with("--")).count();
            given.take(name, &rest[..count]).map_err(|reason| format!("--{name}: {reason}"))?;
            words = &rest[count..];
        }
        Ok(given)
    }

    #[expect(clippy::disallowed_methods, reason = "a configuration file, not one of the store")]
    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        if depth > INCLUDE_DEPTH_MAX {
            return Err(format!(
                "{}: files include each other too deeply (more than {INCLUDE_DEPTH_MAX})",
                path.display()
            ));
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read the configuration file {}: {error}; check the path and its permissions",
                path.display()
            )
        })?;
        for (number, line) in text.lines().enumerate() {
            let place = |reason: String| format!("{}, line {}: {reason}", path.display(), number + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words = words(line).ok_or_else(|| place("a quote is not closed".to_owned()))?;
            let Some((name, values)) = words.split_first() else { continue };
            if name.eq_ignore_ascii_case("include") {
                for value in values {
                    let included = path.parent().unwrap_or(Path::new(".")).join(value);
                    self.read_file(&included, depth + 1)?;
                }
                continue;
            }
            self.take(name, values).map_err(|reason| place(format!("{name}: {reason}")))?;
        }
        Ok(())
    }

    fn take(&mut self, name: &str, words: &[String]) -> Result<(), String> {
        let Some(at) = place(name) else {
            return Err("there is no such directive; check its spelling".to_owned());
        };
        let directive = &DIRECTIVES[at];
        if words.is_empty() && !matches!(directive.kind, super::Kind::Text | super::Kind::SavePoints) {
            return Err("a value is missing".to_owned());
        }
        let mut text = words.join(" ");
        // Lines of these two add up, as in redis.conf.
        if matches!(directive.kind, super::Kind::SavePoints | super::Kind::OutputLimits)
            && !text.is_empty()
            && let Some(earlier) = self.value(at)
        {
            text = format!("{earlier} {text}").trim().to_owned();
        }
        self.values.push((at, directive.normal(&text)?));
        Ok(())
    }
}

/// The words of a line, quotes undone.
fn words(line: &str) -> Option<Vec<String>> {
    let mut line = line.as_bytes().to_vec();
    let mut parser = thermocline_resp::Parser::new();
    line.push(b'\n');
    let mut spans = Vec::new();
    // A line of a file has the form of an inline command; a leading '*' would be read as a count.
    if line[0] == b'*' {
        return None;
    }
    match parser.parse(&mut line, 0, &thermocline_resp::Limits::default(), &mut spans) {
        thermocline_resp::Parsed::Complete { .. } => {
            Some(spans.iter().map(|span| String::from_utf8_lossy(span.of(&line)).into_owned()).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "configuration files, not files of the store")]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> Result<Given, String> {
        Given::from_command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn of<'g>(given: &'g Given, name: &str) -> Option<&'g str> {
        given.value(place(name).unwrap())
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.conf");
        std::fs::write(directory.path().join("b.conf"), "timeout 7\n").unwrap();
        std::fs::write(
            &file,
            "# words\nport 7000\nmaxmemory 1gb\nrequirepass \"a b\"\nsave 1 2\nsave 3 4\ninclude b.conf\n",
        )
        .unwrap();
        let given = given(&[file.to_str().unwrap(), "--port", "7001", "--save", "5", "6"]).unwrap();
        assert_eq!(of(&given, "port"), Some("7001"));
        assert_eq!(of(&given, "maxmemory"), Some("1073741824"));
        assert_eq!(of(&given, "requirepass"), Some("a b"));
        assert_eq!(of(&given, "timeout"), Some("7"));
        assert_eq!(of(&given, "save"), Some("1 2 3 4 5 6"));
    }

    #[test]
    fn refusals_name_the_place_and_the_reason() {
        assert!(given(&["--prot", "1"]).unwrap_err().contains("--prot: there is no such directive"));
        assert!(given(&["--port", "99999"]).unwrap_err().contains("between 0 and 65535"));
        assert!(given(&["--port"]).unwrap_err().contains("a value is missing"));
        assert!(
            given(&["-p", "1"]).unwrap_err().contains("'-p' is not understood: directives are written --name value")
        );
        assert!(given(&["/nowhere/x.conf"]).unwrap_err().contains("/nowhere/x.conf"));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.conf");
        std::fs::write(&file, "port 1\nhz many\n").unwrap();
        assert!(given(&[file.to_str().unwrap()]).unwrap_err().contains("line 2: hz:"));
    }
}
