//! Names of workloads, their parameters, and what is said to a name that does not exist.
//!
//! `NAME` or `NAME:PARAMETER`; the parameter changes the popularity: `zipf:0.8`, `ycsb-b:1.2`, `hotspot:5/95` (percent of the
//! keys / percent of the operations), `shifting:10/90/500000` (and the steps after which others are hot).

use super::Spec;
use super::catalogue::catalogue;
use super::popularity::Popularity;
use std::borrow::Cow;
use thiserror::Error;

/// A name of no workload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnknownWorkload {
    /// Nothing has this name.
    #[error("no workload is called {name:?}; near it: {}", near.join(", "))]
    Name {
        /// What was asked for.
        name: String,
        /// Names that look like it, the nearest first.
        near: Vec<String>,
    },
    /// The workload exists, its parameter cannot be read.
    #[error("{parameter:?} is not a parameter of {name}: {wanted}")]
    Parameter {
        /// The workload.
        name: String,
        /// What was behind the colon.
        parameter: String,
        /// What should be there.
        wanted: &'static str,
    },
}

/// Names that are offered when one is wrong.
const NEAR_MAX: usize = 4;
/// Largest exponent of zipf's law: beyond it nearly all operations go to one key.
const THETA_MAX: f64 = 10.0;
const THETA: &str = "it takes theta, a number from 0 to 10, as in zipf:0.8";
const HOTSPOT: &str = "it takes percent of the keys / percent of the operations, as in hotspot:20/80";
const SHIFTING: &str = "it takes percent of the keys / of the operations / steps, as in shifting:10/90/1000000";

/// All workloads.
pub fn all() -> Vec<Spec> {
    catalogue()
}

/// The workload of this name, with its parameter. Underscores may stand for hyphens.
pub fn named(name: &str) -> Result<Spec, UnknownWorkload> {
    let (base, parameter) = name.split_once(':').map_or((name, None), |(base, rest)| (base, Some(rest)));
    let wanted = base.to_ascii_lowercase().replace('_', "-");
    let mut all = catalogue();
    let Some(at) = all.iter().position(|spec| spec.name == wanted) else {
        let mut names: Vec<String> = all.into_iter().map(|spec| spec.name.into_owned()).collect();
        names.sort_by_key(|other| (!other.contains(&wanted), distance(other, &wanted)));
        names.truncate(NEAR_MAX);
        return Err(UnknownWorkload::Name { name: name.to_owned(), near: names });
    };
    let spec = all.swap_remove(at);
    let Some(parameter) = parameter else { return Ok(spec) };
    match parsed(spec.popularity, parameter) {
        Ok(popularity) => Ok(Spec { popularity, name: Cow::Owned(format!("{wanted}:{parameter}")), ..spec }),
        Err(reason) => {
            Err(UnknownWorkload::Parameter { name: wanted, parameter: parameter.to_owned(), wanted: reason })
        }
    }
}

/// The popularity with its parameter, or what the parameter should be.
fn parsed(popularity: Popularity, text: &str) -> Result<Popularity, &'static str> {
    let numbers: Option<Vec<f64>> = text.split('/').map(|part| part.parse().ok()).collect();
    let numbers = numbers.unwrap_or_default();
    let part = |at: usize| numbers.get(at).filter(|percent| (0.0..=100.0).contains(*percent)).map(|n| n / 100.0);
    let hot = || part(0).zip(part(1));
    let theta = numbers.first().copied().filter(|theta| numbers.len() == 1 && (0.0..=THETA_MAX).contains(theta));
    match popularity {
        Popularity::Zipf { .. } => theta.map(|theta| Popularity::Zipf { theta }).ok_or(THETA),
        Popularity::Latest { .. } => theta.map(|theta| Popularity::Latest { theta }).ok_or(THETA),
        Popularity::Hotspot { .. } => {
            let (hot_keys, hot_operations) = hot().filter(|_| numbers.len() == 2).ok_or(HOTSPOT)?;
            Ok(Popularity::Hotspot { hot_keys, hot_operations })
        }
        Popularity::Shifting { steps, .. } => {
            let (hot_keys, hot_operations) = hot().filter(|_| numbers.len() <= 3).ok_or(SHIFTING)?;
            let steps = numbers.get(2).map_or(steps, |&steps| steps as u64);
            if steps > 0 { Ok(Popularity::Shifting { hot_keys, hot_operations, steps }) } else { Err(SHIFTING) }
        }
        _ => Err("it takes none"),
    }
}

/// Letters to insert, remove or change (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, &same) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != same);
            diagonal = row[at + 1];
            row[at + 1] = change.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_changes_the_popularity_and_shows_in_the_name() {
        let spec = named("zipf:1.2").unwrap();
        assert_eq!(spec.popularity, Popularity::Zipf { theta: 1.2 });
        assert_eq!(spec.to_string(), "zipf:1.2");
        let hotspot = Popularity::Hotspot { hot_keys: 0.05, hot_operations: 0.95 };
        assert_eq!(named("hotspot:5/95").unwrap().popularity, hotspot);
        let shifting = Popularity::Shifting { hot_keys: 0.1, hot_operations: 0.5, steps: 77 };
        assert_eq!(named("shifting:10/50/77").unwrap().popularity, shifting);
        assert_eq!(named("META_CDN").unwrap().name, "meta-cdn");
        for bad in ["zipf:x", "zipf:-1", "zipf:NaN", "hotspot:5", "hotspot:5/101", "shifting:1/2/0", "uniform:3"] {
            let error = named(bad).unwrap_err();
            assert!(matches!(error, UnknownWorkload::Parameter { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_near_ones() {
        let Err(UnknownWorkload::Name { near, .. }) = named("ycbs-a") else { panic!("no such workload") };
        assert_eq!(near[0], "ycsb-a");
        let error = named("kvcache").unwrap_err().to_string();
        assert!(error.contains("kvcache-blocks") && error.contains("meta-kvcache-reg"), "{error}");
    }

    #[test]
    fn every_name_finds_its_workload() {
        for spec in all() {
            assert_eq!(named(&spec.name).unwrap().name, spec.name);
        }
    }
}
