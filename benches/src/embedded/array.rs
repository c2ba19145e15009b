//! An array of values in place of the engine: what remains of a run's CPU is the generator's.
//!
//! Never waits. Grows with the keys that a workload inserts.

use super::target::{Found, Named, Target};
use crate::spec::Spec;
use crate::value::{self, KeyId};
use crate::wire::Tier;
use crate::workload::load::LOADED_VERSION;
use std::cell::RefCell;

/// Values by the numbers of their keys.
pub struct Array(RefCell<Vec<Option<Vec<u8>>>>);

impl Array {
    /// With every key loaded.
    pub fn new(spec: &Spec) -> Self {
        let loaded = (0..spec.keys).map(KeyId).map(|key| {
            let mut value = Vec::new();
            value::fill(&mut value, key, LOADED_VERSION, spec.sizes.of(key));
            Some(value)
        });
        Self(RefCell::new(loaded.collect()))
    }

    fn at(&self, key: KeyId, change: impl FnOnce(&mut Option<Vec<u8>>)) {
        let mut values = self.0.borrow_mut();
        let index = key.0 as usize;
        if values.len() <= index {
            values.resize(index + 1, None);
        }
        change(&mut values[index]);
    }
}

impl Target for Array {
    async fn get(&self, keys: &[Named<'_>], found: &mut Found) -> Result<Tier, String> {
        for key in keys {
            self.at(key.id, |value| found.take(value.as_deref()));
        }
        Ok(if found.ends.first().is_some_and(Option::is_some) { Tier::Hot } else { Tier::Miss })
    }

    async fn set(&self, key: Named<'_>, value: &[u8], _ttl_s: Option<u32>) -> Result<(), String> {
        self.at(key.id, |place| {
            let place = place.get_or_insert_default();
            place.clear();
            place.extend_from_slice(value);
        });
        Ok(())
    }

    async fn delete(&self, key: Named<'_>) -> Result<(), String> {
        self.at(key.id, |place| *place = None);
        Ok(())
    }
}
