//! Bytes charged against `maxmemory`, by kind.
//!
//! Promises: while the limit stands still, the sum of all charges never exceeds it, at no instant and for no observer. A
//! [`Charge`] gives its bytes back when dropped.
//! Never: waits, allocates, or knows what the bytes are for. Lowering the limit below the sum takes nothing away; new charges
//! fail until enough came back.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// What the bytes are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BudgetKind {
    /// Slots and directories.
    Index,
    /// Payload cells.
    Arena,
    /// Append and read buffers.
    Io,
    /// Query and reply buffers.
    Clients,
    /// Everything else.
    Other,
}

/// How many kinds there are.
pub const BUDGET_KINDS: usize = 5;

/// A charge that did not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full {
    /// What was asked for.
    pub wanted_bytes: u64,
    /// What was free at that moment.
    pub free_bytes: u64,
}

impl std::fmt::Display for Full {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "memory is full: {} bytes wanted, {} free", self.wanted_bytes, self.free_bytes)
    }
}

impl std::error::Error for Full {}

/// The budget.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
    total: AtomicU64,
    used: [AtomicU64; BUDGET_KINDS],
}

impl Budget {
    /// Nothing charged, at most `limit_bytes` in all.
    pub fn new(limit_bytes: u64) -> Arc<Budget> {
        Arc::new(Budget {
            limit: AtomicU64::new(limit_bytes),
            total: AtomicU64::new(0),
            used: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// Charges `bytes`, or says how much was free.
    pub fn charge(self: &Arc<Self>, kind: BudgetKind, bytes: u64) -> Result<Charge, Full> {
        self.add(kind, bytes)?;
        Ok(Charge { budget: Arc::clone(self), kind, bytes })
    }

    /// As `charge`, for callers who have another way to go and do not care why not.
    pub fn try_charge(self: &Arc<Self>, kind: BudgetKind, bytes: u64) -> Option<Charge> {
        self.charge(kind, bytes).ok()
    }

    /// Bytes charged for one kind.
    pub fn used(&self, kind: BudgetKind) -> u64 {
        self.used[kind as usize].load(Ordering::Relaxed)
    }

    /// Bytes charged in all.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The most that may be charged.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit, up or down.
    pub fn set_limit(&self, limit_bytes: u64) {
        self.limit.store(limit_bytes, Ordering::Relaxed);
    }

    fn add(&self, kind: BudgetKind, bytes: u64) -> Result<(), Full> {
        // Relaxed is enough: the counters guard no other memory, and one variable's changes have one order for all.
        let mut total = self.total.load(Ordering::Relaxed);
        loop {
            let free_bytes = self.limit().saturating_sub(total);
            if bytes > free_bytes {
                return Err(Full { wanted_bytes: bytes, free_bytes });
            }
            match self.total.compare_exchange_weak(total, total + bytes, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(seen) => total = seen,
            }
        }
        self.used[kind as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn sub(&self, kind: BudgetKind, bytes: u64) {
        self.used[kind as usize].fetch_sub(bytes, Ordering::Relaxed);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes charged; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    kind: BudgetKind,
    bytes: u64,
}

impl Charge {
    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Charges more or gives some back, so that it stands for `bytes`. On failure nothing changes.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes > self.bytes {
            self.budget.add(self.kind, bytes - self.bytes)?;
        } else {
            self.budget.sub(self.kind, self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.sub(self.kind, self.bytes);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_charge_beyond_the_limit_is_refused_and_changes_nothing() {
        let budget = Budget::new(100);
        let held = budget.charge(BudgetKind::Arena, 60).unwrap();
        let full = budget.charge(BudgetKind::Index, 41).unwrap_err();
        assert_eq!(full, Full { wanted_bytes: 41, free_bytes: 40 });
        assert_eq!((budget.used(BudgetKind::Arena), budget.used(BudgetKind::Index), budget.total()), (60, 0, 60));
        drop(held);
        assert_eq!(budget.total(), 0);
    }

    #[test]
    fn a_lowered_limit_refuses_until_enough_came_back() {
        let budget = Budget::new(100);
        let mut held = budget.charge(BudgetKind::Io, 80).unwrap();
        budget.set_limit(50);
        assert_eq!(budget.try_charge(BudgetKind::Io, 1).map(|charge| charge.bytes()), None);
        assert!(held.resize(81).is_err());
        held.resize(40).unwrap();
        assert_eq!(budget.try_charge(BudgetKind::Io, 10).map(|charge| charge.bytes()), Some(10));
    }
}
