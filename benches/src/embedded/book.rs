//! The book of a pass: which step comes next, what each read must find, and what has been counted.
//!
//! One lock around all of it, so that any number of threads walks one row of steps and every read is checked against every
//! write. It is taken twice per request, never while the engine is called.

use super::key_text;
use crate::clock::Clock;
use crate::spec::{Operation, Spec, Step, Steps};
use crate::tally::Tally;
use crate::value::KeyId;
use crate::wire::KeyText;
use crate::workload::Versions;
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// Where steps come from.
pub enum Source {
    /// Every key once, in order.
    Load {
        /// The next one.
        next: u64,
        /// Behind the last one.
        end: u64,
    },
    /// A workload.
    Steps {
        /// Its steps.
        steps: Steps,
        /// Steps that are still to be made.
        left: u64,
    },
}

impl Source {
    /// Sets every key.
    pub fn load(keys: u64) -> Self {
        Self::Load { next: 0, end: keys }
    }

    /// A workload's steps, endless if no number is given.
    pub fn steps(steps: Steps, requests: Option<u64>) -> Self {
        Self::Steps { steps, left: requests.unwrap_or(u64::MAX) }
    }

    fn next(&mut self) -> Option<Step> {
        match self {
            Self::Load { next, end } => {
                let key = KeyId(*next);
                *next += 1;
                (key.0 < *end).then_some(Step { operation: Operation::Insert, key })
            }
            Self::Steps { steps, left } => {
                *left = left.checked_sub(1)?;
                Some(steps.step())
            }
        }
    }
}

/// What is known and counted.
pub struct Book {
    source: Source,
    /// What each key may hold.
    pub versions: Versions,
    /// What has been counted.
    pub tally: Tally,
    /// Ran to its own end: the steps or the time were over.
    pub complete: bool,
    /// Why it could not go on.
    pub failure: Option<String>,
}

impl Book {
    /// Nothing has happened yet.
    pub fn new(source: Source, versions: Versions) -> Self {
        Self { source, versions, tally: Tally::default(), complete: false, failure: None }
    }

    /// Is this the load? Its writes have one version and no order.
    pub fn is_load(&self) -> bool {
        matches!(self.source, Source::Load { .. })
    }
}

/// A pass under way, shared by all callers.
#[derive(Clone)]
pub struct Pass {
    /// The workload.
    pub spec: Arc<Spec>,
    /// The text of its keys.
    pub text: Arc<KeyText>,
    /// Since the pass began.
    pub clock: Clock,
    book: Arc<Mutex<Book>>,
    ends_ns: u64,
}

impl Pass {
    /// Begins now.
    pub fn begin(spec: &Spec, book: Book, ends_ns: u64) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            text: Arc::new(key_text(spec)),
            clock: Clock::start(),
            book: Arc::new(Mutex::new(book)),
            ends_ns,
        }
    }

    /// The next step and the moment it begins; `None` when the pass is over.
    pub fn next<T>(&self, begin: impl FnOnce(&mut Book, Step) -> Result<T>) -> Option<(T, u64)> {
        let now_ns = self.clock.nanoseconds();
        let mut book = self.book.lock();
        if book.failure.is_some() {
            return None;
        }
        let step = if now_ns < self.ends_ns { book.source.next() } else { None };
        let Some(step) = step else {
            book.complete = true;
            return None;
        };
        match begin(&mut book, step) {
            Ok(begun) => Some((begun, now_ns)),
            Err(error) => {
                book.failure = Some(format!("{error:#}"));
                None
            }
        }
    }

    /// Looks into the book.
    pub fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock())
    }

    /// The book of a pass that nobody works on any more.
    pub fn finish(self) -> Result<Book> {
        Arc::into_inner(self.book).map(Mutex::into_inner).context("a thread still works on the pass")
    }
}
