//! The scenes: which keys are touched in which order, and what is done to them. The n-th step of a scene follows from the
//! scene and n alone, so that any number of callers share one row of steps.

use crate::settings::Plan;
use crate::zipf::Zipf;
use thermocline_bench::permutation::Permutation;
use thermocline_bench::value::KeyId;

/// Updates in the zipf scenes, in percent.
const UPDATE_PERCENT: u64 = 5;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads and verifies.
    Get,
    /// Writes the next version.
    Put,
}

/// Which keys.
#[derive(Debug, Clone)]
enum Keys {
    /// Each at most once, in a random order, from this index on.
    OnceEach { order: Permutation, first: u64 },
    /// By popularity, scattered over all keys.
    Popular { zipf: Zipf, order: Permutation },
}

/// A scene.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Its name in the table.
    pub name: &'static str,
    /// Requests outstanding.
    pub outstanding: usize,
    /// Steps.
    pub steps: u64,
    /// It ends then at the latest.
    pub seconds_max: f64,
    /// False: only to warm the caches up.
    pub shown: bool,
    update_percent: u64,
    keys: Keys,
    seed: u64,
}

impl Scene {
    /// Every key is put once, in random order, by one caller.
    pub fn load(plan: &Plan) -> Self {
        Self {
            name: "load",
            outstanding: 1,
            steps: plan.keys,
            seconds_max: f64::INFINITY,
            shown: true,
            update_percent: 100,
            keys: Keys::OnceEach { order: Permutation::new(plan.keys, plan.seed), first: 0 },
            seed: plan.seed,
        }
    }

    /// What is read from the loaded store: first keys that nobody has touched since it was opened, then popular ones.
    pub fn reads(plan: &Plan) -> Vec<Self> {
        let few = (plan.keys / 40).max(1);
        let many = (plan.keys / 4).max(1);
        let cold = Permutation::new(plan.keys, plan.seed + 1);
        let once_each = |name, outstanding, first, steps| Self {
            name,
            outstanding,
            steps,
            seconds_max: plan.seconds_max,
            shown: true,
            update_percent: 0,
            keys: Keys::OnceEach { order: cold, first },
            seed: plan.seed,
        };
        let zipf = Zipf::new(plan.keys, plan.theta);
        let popular = |name, outstanding, steps, shown, seed| Self {
            name,
            outstanding,
            steps,
            seconds_max: plan.seconds_max,
            shown,
            update_percent: UPDATE_PERCENT,
            keys: Keys::Popular { zipf: zipf.clone(), order: Permutation::new(plan.keys, plan.seed + 2) },
            seed,
        };
        vec![
            once_each("uniform cold, 1 caller", 1, 0, few),
            once_each("uniform cold, many", plan.outstanding, few, many),
            popular("warm-up", plan.outstanding, plan.keys, false, plan.seed + 3),
            popular("zipf 95/5, 1 caller", 1, plan.keys / 10, true, plan.seed + 4),
            popular("zipf 95/5, many", plan.outstanding, plan.keys, true, plan.seed + 5),
        ]
    }

    /// Popular reads alone, to weigh the caller.
    pub fn harness(plan: &Plan, steps: u64) -> Self {
        Self {
            name: "harness",
            outstanding: 1,
            steps,
            seconds_max: plan.seconds_max,
            shown: false,
            update_percent: 0,
            keys: Keys::Popular {
                zipf: Zipf::new(plan.keys, plan.theta),
                order: Permutation::new(plan.keys, plan.seed),
            },
            seed: plan.seed,
        }
    }

    /// The n-th step.
    pub fn step(&self, number: u64) -> (KeyId, Action) {
        match &self.keys {
            Keys::OnceEach { order, first } => {
                let action = if self.update_percent == 0 { Action::Get } else { Action::Put };
                (KeyId(order.at(first + number)), action)
            }
            Keys::Popular { zipf, order } => {
                let random = KeyId(number.wrapping_add(self.seed << 40)).spread();
                let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
                let dice = KeyId(random).spread() % 100;
                let action = if dice < self.update_percent { Action::Put } else { Action::Get };
                (KeyId(order.at(zipf.rank(uniform))), action)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Arguments;
    use clap::Parser as _;
    use std::collections::HashSet;

    fn plan() -> Plan {
        Arguments::parse_from(["compare-engines", "--keys", "20000"]).plan()
    }

    #[test]
    fn the_load_puts_every_key_once() {
        let load = Scene::load(&plan());
        let keys: HashSet<u64> = (0..load.steps).map(|n| load.step(n).0.0).collect();
        assert_eq!(keys.len(), 20_000);
        assert!((0..load.steps).all(|n| load.step(n).1 == Action::Put));
    }

    #[test]
    fn the_cold_scenes_touch_no_key_twice() {
        let reads = Scene::reads(&plan());
        let cold = || reads.iter().filter(|scene| scene.name.starts_with("uniform"));
        let mut seen = HashSet::new();
        for scene in cold() {
            for number in 0..scene.steps {
                let (key, action) = scene.step(number);
                assert!(seen.insert(key), "{key:?} again in {}", scene.name);
                assert_eq!(action, Action::Get);
            }
        }
        assert_eq!(seen.len() as u64, cold().map(|scene| scene.steps).sum::<u64>());
    }

    #[test]
    fn the_zipf_scenes_update_one_step_in_twenty() {
        let reads = Scene::reads(&plan());
        let zipf = reads.last().unwrap();
        let updates = (0..zipf.steps).filter(|&n| zipf.step(n).1 == Action::Put).count() as f64;
        assert!((updates / zipf.steps as f64 - 0.05).abs() < 0.01, "{updates} of {}", zipf.steps);
    }
}
