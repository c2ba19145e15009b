//! The configuration file and the manual page that the package installs, held to the table of directives and to `--help`.
//!
//! Promises: it is understood as it stands; each directive that it shows behind `# ` is one, with its default value unless the
//! comment says `For example:`; what it calls live is live. Never: anything outside of tests.

use std::path::{Path, PathBuf};

use super::file::Given;
use super::table::{DIRECTIVES, place};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/thermocline.conf")
}

/// A directive that is shown, with the comment above it.
struct Shown {
    at: usize,
    value: String,
    comment: String,
}

#[expect(clippy::disallowed_methods, reason = "a configuration file, not one of the store")]
fn shown() -> Vec<Shown> {
    let (mut all, mut comment) = (Vec::new(), String::new());
    for line in std::fs::read_to_string(path()).expect("it is there").lines() {
        let words = line.trim_start_matches("# ").split_once(' ').and_then(|(name, value)| Some((place(name)?, value)));
        match words {
            Some((at, value)) => {
                all.push(Shown { at, value: value.to_owned(), comment: std::mem::take(&mut comment) });
            }
            None if line.starts_with("# ") => comment.push_str(line),
            None => comment.clear(),
        }
    }
    all
}

#[test]
fn the_packaged_file_is_understood_as_it_stands() {
    let given = Given::from_command_line(&[path().display().to_string()]).expect("it is understood");
    let names: Vec<&str> = given.iter().map(|(at, _)| DIRECTIVES[at].name).collect();
    assert_eq!(names, ["bind", "port", "dir"]);
}

#[test]
fn what_the_packaged_file_shows_is_true() {
    let all = shown();
    assert!(all.len() > 20, "{} directives are shown", all.len());
    for Shown { at, value, comment } in all {
        let directive = &DIRECTIVES[at];
        let name = directive.name;
        let normal = directive.normal(&value).unwrap_or_else(|reason| panic!("{name} {value}: {reason}"));
        if !matches!(name, "bind" | "dir") && !comment.ends_with("For example:") {
            assert_eq!(normal, directive.default, "{name}: shown as the default");
        }
        assert_eq!(comment.contains("(live)"), directive.mutable, "{name}: {comment}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a manual page, not a file of the store")]
fn the_manual_page_names_what_help_names() {
    let page = path().with_file_name("thermocline-server.8");
    let page = std::fs::read_to_string(page).expect("it is there").replace("\\-", "-");
    let words = crate::run::HELP.split(|letter: char| letter.is_whitespace() || letter == ',');
    let mut count = 0;
    for directive in words.filter(|word| word.starts_with("--") && *word != "--directive") {
        assert!(page.contains(directive), "the manual page does not name {directive}");
        count += 1;
    }
    assert!(count > 10, "{count} directives in --help");
}
