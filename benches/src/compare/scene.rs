//! What every server is put through: scenes, by name in a suite, from a TOML file, or from the command line.
//!
//! ```toml
//! [[scene]]
//! group = "my service"                                    # scenes of a group share a table
//! name = "GET P=1"
//! load = "load --keys 100000 --value-size 200"            # before it; scenes with the same load share the loaded servers
//! warm = "run uniform --keys 100000 --duration 2s"        # not measured
//! before = "load --keys 100000 --value-size 200"          # not measured, before every round: what a round uses up is there again
//! run = "run uniform --keys 100000 --reads 100% --duration 5s"
//! grows = false                                           # true: it brings new keys or elements, so every round starts anew
//! large = false                                           # true: only with --large
//! ```
//!
//! Promises: what cannot be run is refused before any server starts, by the parser of the real command line.

use crate::cli::{Cli, Command};
use clap::Parser as _;
use serde::Deserialize;
use thiserror::Error;

/// Most scenes of a file: a comparison that nobody would wait for is a mistake.
const SCENES_MAX: usize = 200;

/// Options that the comparison sets itself, and those that would mix what is measured with what is not.
const OPTIONS_TAKEN: &[&str] = &["-p", "--port", "--host", "--json", "--out", "--protocol", "--server-pid", "--seed"];
const OPTIONS_UNMEASURED: &[&str] = &["--load", "--warmup", "--verify"];

/// A workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// The table that it belongs to.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Loads the keys, once for all scenes with the same load.
    pub load: Option<Pass>,
    /// Runs before it, not measured.
    pub warm: Option<Pass>,
    /// Runs before every round, not measured.
    pub before: Option<Pass>,
    /// What is measured.
    pub run: Pass,
    /// It brings new keys or elements: every round needs a newly loaded server, and memory per new one is measured.
    pub grows: bool,
}

/// Arguments of this tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// As they were written.
    pub text: String,
    /// As words.
    pub words: Vec<String>,
}

/// A scene that cannot be run.
#[derive(Debug, Error)]
pub enum SceneError {
    /// Not TOML, or not these fields.
    #[error("not a suite: {0}")]
    Toml(#[from] toml::de::Error),
    /// No scene at all, or far too many.
    #[error("a suite has 1 to {SCENES_MAX} scenes, this one has {0}")]
    Count(usize),
    /// Quotes that do not end.
    #[error("{0:?}: is a quote open?")]
    Unreadable(String),
    /// An option that is not the scene's.
    #[error("{pass:?}: {option} is set by the comparison")]
    Taken {
        /// The arguments.
        pass: String,
        /// The option.
        option: String,
    },
    /// An option that mixes measured and unmeasured work.
    #[error("{pass:?}: {option} does not belong here: give the keys as `load` and the warming as `warm`")]
    Unmeasured {
        /// The arguments.
        pass: String,
        /// The option.
        option: String,
    },
    /// Not `load`, `run`, `replay`, `collection`.
    #[error("{0:?}: a scene is made of load, run and replay, and of collection")]
    Command(String),
    /// The command line refuses it.
    #[error("{pass:?}: {error}")]
    Arguments {
        /// The arguments.
        pass: String,
        /// By the parser.
        error: String,
    },
}

impl Pass {
    /// Checks the arguments without running them.
    pub fn parse(text: &str) -> Result<Self, SceneError> {
        let words = shlex::split(text).ok_or_else(|| SceneError::Unreadable(text.to_owned()))?;
        let given = |word: &String, options: &[&str]| options.contains(&word.split('=').next().unwrap_or_default());
        let pass = text.to_owned();
        if let Some(option) = words.iter().find(|word| given(word, OPTIONS_TAKEN)) {
            return Err(SceneError::Taken { pass, option: option.clone() });
        }
        if let Some(option) = words.iter().find(|word| given(word, OPTIONS_UNMEASURED)) {
            return Err(SceneError::Unmeasured { pass, option: option.clone() });
        }
        let line = ["thermocline-bench"].into_iter().chain(words.iter().map(String::as_str));
        match Cli::try_parse_from(line) {
            Ok(cli) if drives_a_server(&cli.command) => Ok(Self { text: pass, words }),
            Ok(_) => Err(SceneError::Command(pass)),
            Err(error) => {
                let error = error.to_string();
                let first = error.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Err(SceneError::Arguments { pass, error: first })
            }
        }
    }
}

impl Pass {
    /// Does its order of keys follow from a seed? A trace has its own.
    pub fn takes_seed(&self) -> bool {
        self.words.first().is_some_and(|command| command != "replay")
    }

    /// Does it fill collections? Then elements are counted, not keys.
    pub fn has_elements(&self) -> bool {
        self.words.first().is_some_and(|command| command == "collection")
    }
}

fn drives_a_server(command: &Command) -> bool {
    matches!(command, Command::Load(_) | Command::Run(_) | Command::Replay(_) | Command::Collection(_))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scene: Vec<FileScene>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileScene {
    #[serde(default)]
    group: String,
    name: String,
    load: Option<String>,
    warm: Option<String>,
    before: Option<String>,
    run: String,
    #[serde(default)]
    grows: bool,
    #[serde(default)]
    large: bool,
}

/// Reads a suite; its large scenes only if they are wanted.
pub fn from_toml(text: &str, large: bool) -> Result<Vec<Scene>, SceneError> {
    let file: File = toml::from_str(text)?;
    if file.scene.is_empty() || file.scene.len() > SCENES_MAX {
        return Err(SceneError::Count(file.scene.len()));
    }
    let pass = |text: Option<String>| text.as_deref().map(Pass::parse).transpose();
    let scene = |scene: FileScene| {
        Ok(Scene {
            group: scene.group,
            name: scene.name,
            load: pass(scene.load)?,
            warm: pass(scene.warm)?,
            before: pass(scene.before)?,
            run: Pass::parse(&scene.run)?,
            grows: scene.grows,
        })
    };
    file.scene.into_iter().filter(|scene| large || !scene.large).map(scene).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_read_from_toml() {
        let scenes = from_toml(
            "[[scene]]\nname = \"read\"\nload = \"load --keys 10\"\nrun = \"load --keys 10 --verify-only\"\n\
             [[scene]]\nname = \"grow\"\ngroup = \"g\"\nrun = \"load --keys 5 --prefix 'b '\"\ngrows = true\n",
            false,
        )
        .unwrap();
        assert_eq!(scenes.len(), 2);
        assert_eq!(scenes[0].load.as_ref().unwrap().words, ["load", "--keys", "10"]);
        assert_eq!(scenes[1].run.words, ["load", "--keys", "5", "--prefix", "b "]);
        assert!(scenes[1].grows && !scenes[0].grows);
    }

    #[test]
    fn what_cannot_be_run_is_refused_in_words() {
        let words = |run: &str| Pass::parse(run).unwrap_err().to_string();
        assert!(words("load --keys x").contains("invalid value"), "{}", words("load --keys x"));
        assert!(words("load --keys 5 --port 1").contains("--port is set by the comparison"));
        assert!(words("run uniform --seed 7").contains("--seed is set by the comparison"));
        assert!(words("load --keys 5 --out=/x").contains("set by the comparison"));
        assert!(words("load --keys 5 --verify").contains("`load`"));
        assert!(words("run uniform --warmup 5s").contains("--warmup does not belong here"));
        assert!(words("load --keys '5").contains("quote"));
        assert!(words("dance").contains("unrecognized subcommand"), "{}", words("dance"));
        assert!(words("demo").contains("load, run and replay"));
    }

    #[test]
    fn a_file_with_other_fields_or_without_scenes_is_refused() {
        assert!(from_toml("[[scene]]\nname = \"a\"\nrun = \"load --keys 1\"\nrounds = 3\n", false).is_err());
        assert!(from_toml("[[scene]]\nname = \"a\"\n", false).is_err());
        assert!(from_toml("scene = []", false).unwrap_err().to_string().contains("has 0"));
        assert!(from_toml("scene =", false).unwrap_err().to_string().contains("not a suite"));
    }
}
