//! Cores as people write them (`0`, `1,3-5`), and a process that is started on them.
//!
//! A child inherits the affinity of the thread that starts it: a thread of its own pins itself, starts the child and ends.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::fmt;
use std::io;
use std::process::{Child, Command};
use std::str::FromStr;

/// A set of cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    text: String,
    numbers: Vec<usize>,
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a list of cores such as 0 or 1,3-5");
        let number = |text: &str| text.parse::<usize>().ok().filter(|core| *core < CpuSet::MAX_CPU);
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            numbers.extend(first..=last);
        }
        if numbers.is_empty() { Err(wrong()) } else { Ok(Self { text: text.to_owned(), numbers }) }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Starts a child on these cores.
pub fn spawn(command: &mut Command, cores: Option<&Cores>) -> io::Result<Child> {
    let Some(cores) = cores else {
        return command.spawn();
    };
    let start = || {
        let mut set = CpuSet::new();
        cores.numbers.iter().for_each(|core| set.set(*core));
        sched_setaffinity(None, &set)
            .map_err(|error| io::Error::new(error.kind(), format!("cores {cores} are not to be had here: {error}")))?;
        command.spawn()
    };
    std::thread::scope(|scope| {
        scope.spawn(start).join().unwrap_or_else(|_| Err(io::Error::other("the start panicked")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_of_cores_are_read() {
        assert_eq!("0".parse::<Cores>().unwrap().numbers, [0]);
        assert_eq!("1,3-5".parse::<Cores>().unwrap().numbers, [1, 3, 4, 5]);
        for bad in ["", "a", "1-", "-1", "5-3", "9999999"] {
            assert!(bad.parse::<Cores>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_child_runs_on_its_cores_and_this_thread_stays_where_it_was() {
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        let allowed = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("Cpus_allowed_list")).map(str::to_owned);
            line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
        };
        let first = (0..CpuSet::MAX_CPU).find(|core| before.is_set(*core)).unwrap().to_string();
        let mut command = Command::new("cat");
        command.arg("/proc/self/status").stdout(std::process::Stdio::piped());
        let child = spawn(&mut command, Some(&first.parse().unwrap())).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(allowed(&String::from_utf8(output.stdout).unwrap()), first);
        assert!(rustix::thread::sched_getaffinity(None).unwrap() == before);
        let error = spawn(&mut Command::new("true"), Some(&"1023".parse().unwrap())).unwrap_err();
        assert!(error.to_string().contains("1023"), "{error}");
    }
}
