//! What a comparison gives: the servers, the scenes, every round; and the ratios that follow from them.
//!
//! Promises: a figure that was not measured is absent; a round that was cut short is not among the rounds.

use crate::report::LatencyReport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a comparison gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CompareReport {
    /// The servers, the first is the one that the others are compared with.
    pub targets: Vec<TargetReport>,
    /// The workloads, in order.
    pub scenes: Vec<SceneReport>,
    /// False when it ended early (a signal or a failure).
    #[serde(default)]
    pub complete: bool,
    /// Why it could not go on, if so.
    #[serde(default)]
    pub failure: Option<String>,
    /// Wrong values of all passes, loading and warming too.
    #[serde(default)]
    pub wrong: u64,
    /// How it was measured.
    #[serde(default)]
    pub method: MethodReport,
}

/// How the servers were measured, for whoever repeats it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodReport {
    /// Rounds of each scene that were asked for.
    pub rounds: u32,
    /// Every round had a newly started and loaded server.
    pub fresh: bool,
    /// Cores of the servers, as a list; absent when they were not pinned.
    pub server_cores: Option<String>,
    /// Cores of the client.
    pub client_cores: Option<String>,
    /// DRAM that the servers were told to use (`{memory}`).
    pub memory_bytes: Option<u64>,
    /// The memory group of each server: its limit in words, or why there was none.
    pub memory_group: Option<String>,
}

/// A server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TargetReport {
    /// Its name in the tables.
    pub name: String,
    /// Its version, by itself.
    pub version: String,
    /// How it was started.
    pub command: String,
}

/// A workload and what each server made of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SceneReport {
    /// Its name.
    pub name: String,
    /// What was run, as arguments of this tool.
    pub command: String,
    /// All rounds, in the order in which they ran.
    pub rounds: Vec<RoundReport>,
    /// The table that it belongs to.
    #[serde(default)]
    pub group: String,
    /// How the keys came in before it, as arguments of this tool.
    #[serde(default)]
    pub load: Option<String>,
    /// What brought back before every round what a round uses up.
    #[serde(default)]
    pub before: Option<String>,
}

/// One round of one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundReport {
    /// Index into the targets.
    pub target: usize,
    /// The round, from 0: rounds of the same number ran one after the other and make a pair.
    #[serde(default)]
    pub round: u32,
    /// Answers per second.
    pub operations_per_second: f64,
    /// CPU of the server per answer, all its processes.
    pub server_cpu_us: Option<f64>,
    /// CPU of the client per answer.
    pub client_cpu_us: Option<f64>,
    /// Share of the round that the client's thread was busy: near 1 the client is the limit.
    pub client_busy: Option<f64>,
    /// SSD bytes read per answer.
    pub read_bytes: Option<f64>,
    /// SSD bytes written per answer.
    pub write_bytes: Option<f64>,
    /// Reads of the SSD per answer, by the server's own words.
    #[serde(default)]
    pub tier_reads: Option<f64>,
    /// Bytes written to the SSD per answer, by the server's own words.
    #[serde(default)]
    pub tier_write_bytes: Option<f64>,
    /// Keys that the server holds at the end.
    pub keys: Option<u64>,
    /// Keys that were sent to it before and in this round, where every key is sent once.
    #[serde(default)]
    pub keys_sent: Option<u64>,
    /// Highest resident memory of the samples.
    pub rss_bytes: Option<u64>,
    /// Growth of resident memory over the round per key that came with it.
    #[serde(default)]
    pub rss_growth_per_key: Option<f64>,
    /// Elements of its collections at the end, by its own answers.
    #[serde(default)]
    pub elements: Option<u64>,
    /// Growth of resident memory over the round per element that came with it.
    #[serde(default)]
    pub rss_growth_per_element: Option<f64>,
    /// Share of the GETs that found a value.
    #[serde(default)]
    pub found_share: Option<f64>,
    /// Wrong values.
    #[serde(default)]
    pub wrong: u64,
    /// Error answers.
    #[serde(default)]
    pub errors: u64,
    /// Error answers while the server was loaded and warmed for it.
    #[serde(default)]
    pub errors_before: u64,
    /// Seed of the keys: the same for all servers of a round, another in each round.
    #[serde(default)]
    pub seed: u64,
    /// Cores that other processes used meanwhile: figures of a shared machine are worth less.
    #[serde(default)]
    pub others_cores: Option<f64>,
    /// Why the client could not go on, if so; such a round is no part of any ratio.
    #[serde(default)]
    pub failure: Option<String>,
    /// Latencies by `get`, `set`, `hot`, `cold`, `miss`.
    pub latency: BTreeMap<String, LatencyReport>,
    /// Keys lost, values wrong, errors: anything that makes the figures worth less, in words.
    pub remarks: Vec<String>,
}

impl RoundReport {
    /// The kind with most answers: what the scene is about.
    pub fn main_latency(&self) -> Option<&LatencyReport> {
        let kinds = ["get", "set", "scan", "delete"].iter().filter_map(|kind| self.latency.get(*kind));
        kinds.max_by_key(|latency| latency.count)
    }
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Answers per second.
    Throughput,
    /// GETs per second that found a value: a miss is a cheap answer.
    FoundThroughput,
    /// CPU of the server per answer.
    ServerCpu,
    /// Half of the answers came within this.
    LatencyP50,
    /// 99 % of the answers came within this.
    LatencyP99,
    /// SSD bytes read per answer.
    SsdRead,
    /// SSD bytes written per answer.
    SsdWritten,
    /// Reads of the SSD per answer, as the server says.
    TierReads,
    /// SSD bytes written per answer, as the server says.
    TierWritten,
    /// Share of the GETs that found a value.
    FoundShare,
    /// Keys held at the end.
    Keys,
    /// Highest resident memory.
    Rss,
    /// Resident memory per key held.
    RssPerKey,
    /// Growth of resident memory per new key.
    RssGrowthPerKey,
    /// Resident memory per element of the collections.
    RssPerElement,
    /// Growth of resident memory per new element.
    RssGrowthPerElement,
}

impl Metric {
    /// All of them, in the order of a table.
    pub const ALL: [Self; 16] = [
        Self::Throughput,
        Self::FoundThroughput,
        Self::ServerCpu,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::SsdRead,
        Self::SsdWritten,
        Self::TierReads,
        Self::TierWritten,
        Self::FoundShare,
        Self::Keys,
        Self::Rss,
        Self::RssPerKey,
        Self::RssGrowthPerKey,
        Self::RssPerElement,
        Self::RssGrowthPerElement,
    ];

    /// More of it is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Throughput | Self::FoundThroughput | Self::FoundShare | Self::Keys)
    }

    /// Of a round; `None` when it was not measured.
    pub fn of(self, round: &RoundReport) -> Option<f64> {
        match self {
            Self::Throughput => Some(round.operations_per_second),
            Self::FoundThroughput => {
                let gets = round.latency.get("get")?.count as f64;
                let answers: u64 = ["get", "set", "delete", "scan"]
                    .iter()
                    .filter_map(|kind| Some(round.latency.get(*kind)?.count))
                    .sum();
                Some(round.operations_per_second * gets / answers as f64 * round.found_share?)
            }
            Self::ServerCpu => round.server_cpu_us,
            Self::LatencyP50 => round.main_latency().map(|latency| latency.p50_us),
            Self::LatencyP99 => round.main_latency().map(|latency| latency.p99_us),
            Self::SsdRead => round.read_bytes,
            Self::SsdWritten => round.write_bytes,
            Self::TierReads => round.tier_reads,
            Self::TierWritten => round.tier_write_bytes,
            Self::FoundShare => round.found_share,
            Self::Keys => round.keys.map(|keys| keys as f64),
            Self::Rss => round.rss_bytes.map(|bytes| bytes as f64),
            Self::RssPerKey => {
                let keys = round.keys.filter(|keys| *keys > 0)?;
                Some(round.rss_bytes? as f64 / keys as f64)
            }
            Self::RssGrowthPerKey => round.rss_growth_per_key,
            Self::RssPerElement => {
                let elements = round.elements.filter(|elements| *elements > 0)?;
                Some(round.rss_bytes? as f64 / elements as f64)
            }
            Self::RssGrowthPerElement => round.rss_growth_per_element,
        }
    }
}

/// The first server's figure over a peer's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The best round of the one over the best round of the other.
    pub best: f64,
    /// Lowest ratio of the rounds that ran one after the other.
    pub minimum: f64,
    /// The middle one.
    pub median: f64,
    /// Highest.
    pub maximum: f64,
}

impl SceneReport {
    fn figures(&self, target: usize, metric: Metric) -> impl Iterator<Item = (u32, f64)> {
        let rounds = self.rounds.iter().filter(move |round| round.target == target && round.failure.is_none());
        rounds.filter_map(move |round| Some((round.round, metric.of(round)?)))
    }

    /// The best round of a server.
    pub fn best(&self, target: usize, metric: Metric) -> Option<f64> {
        let better = if metric.more_is_better() { f64::max } else { f64::min };
        self.figures(target, metric).map(|(_, figure)| figure).reduce(better)
    }

    /// The first server against this one; `None` without a pair of rounds, or where the peer's figure is 0.
    pub fn ratio(&self, peer: usize, metric: Metric) -> Option<Ratio> {
        let of_peer: BTreeMap<u32, f64> = self.figures(peer, metric).collect();
        let pairs = self.figures(0, metric).filter_map(|(round, ours)| Some(ours / of_peer.get(&round)?));
        let mut pairs: Vec<f64> = pairs.filter(|ratio| ratio.is_finite()).collect();
        pairs.sort_by(f64::total_cmp);
        let best = self.best(0, metric)? / self.best(peer, metric)?;
        let (Some(minimum), Some(maximum)) = (pairs.first(), pairs.last()) else {
            return None;
        };
        let middle = pairs.len() / 2;
        let median = if pairs.len() % 2 == 1 { pairs[middle] } else { pairs[middle - 1].midpoint(pairs[middle]) };
        best.is_finite().then_some(Ratio { best, minimum: *minimum, median, maximum: *maximum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(rounds: &[(usize, u32, f64, f64)]) -> SceneReport {
        let rounds = rounds.iter().map(|(target, round, operations_per_second, cpu_us)| RoundReport {
            target: *target,
            round: *round,
            operations_per_second: *operations_per_second,
            server_cpu_us: Some(*cpu_us),
            ..RoundReport::default()
        });
        SceneReport { rounds: rounds.collect(), ..SceneReport::default() }
    }

    #[test]
    fn best_is_against_best_and_pairs_are_of_one_round() {
        let scene = scene(&[
            (0, 0, 100.0, 4.0),
            (1, 0, 50.0, 8.0),
            (1, 1, 80.0, 5.0),
            (0, 1, 120.0, 10.0),
            (0, 2, 90.0, 5.0),
            (1, 2, 90.0, 5.0),
        ]);
        let throughput = scene.ratio(1, Metric::Throughput).unwrap();
        assert_eq!(throughput, Ratio { best: 120.0 / 90.0, minimum: 1.0, median: 1.5, maximum: 2.0 });
        let cpu = scene.ratio(1, Metric::ServerCpu).unwrap();
        assert_eq!(cpu, Ratio { best: 4.0 / 5.0, minimum: 0.5, median: 1.0, maximum: 2.0 });
    }

    #[test]
    fn an_even_number_of_pairs_has_its_median_in_the_middle() {
        let scene = scene(&[(0, 0, 10.0, 1.0), (1, 0, 10.0, 1.0), (0, 1, 20.0, 1.0), (1, 1, 10.0, 1.0)]);
        assert_eq!(scene.ratio(1, Metric::Throughput).unwrap().median, 1.5);
    }

    #[test]
    fn no_pair_and_no_figure_give_no_ratio() {
        let alone = scene(&[(0, 0, 10.0, 1.0), (1, 1, 10.0, 1.0)]);
        assert_eq!(alone.ratio(1, Metric::Throughput), None, "rounds of different numbers are no pair");
        let mut failed = scene(&[(0, 0, 10.0, 1.0), (1, 0, 10.0, 1.0)]);
        failed.rounds[1].failure = Some("the connection was lost".to_owned());
        assert_eq!(failed.ratio(1, Metric::Throughput), None, "a round that failed has no figure");
        let idle_peer = scene(&[(0, 0, 10.0, 1.0), (1, 0, 10.0, 0.0)]);
        assert_eq!(idle_peer.ratio(1, Metric::ServerCpu), None, "nothing divided by zero");
        assert_eq!(idle_peer.ratio(1, Metric::Keys), None, "never measured");
    }
}
