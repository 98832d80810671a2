//! Ending a search before it is through: by whoever asked, by a clock, or for want of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use panoptes_model::Timestamp;

/// Why an answer is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The time that the search may take is over.
    Time,
    /// Whoever asked has seen enough.
    Cancelled,
    /// The rest would need more memory than a search may have.
    Memory,
}

impl Reason {
    /// For people: what ended the search.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time => "the time for it was over",
            Self::Cancelled => "it was cancelled",
            Self::Memory => "the rest needs more memory than a query may have",
        }
    }
}

/// What an answer that is not whole covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    pub reason: Reason,
    /// Events from this time on are all in the answer, older ones only in part or not at all. `None`: of no time it is
    /// certain that all are.
    pub complete_since: Option<Timestamp>,
}

/// Ends a search from elsewhere; clones end the same search. What was found until then is the answer.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// The search ends within a few thousand rows. The first reason counts.
    pub fn stop(&self, reason: Reason) {
        let code = match reason {
            Reason::Time => 1,
            Reason::Cancelled => 2,
            Reason::Memory => 3,
        };
        let _already_stopped = self.0.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the search has to end, if it has to.
    pub fn reason(&self) -> Option<Reason> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Reason::Time),
            3 => Some(Reason::Memory),
            _ => Some(Reason::Cancelled),
        }
    }
}
