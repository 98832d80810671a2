//! Memory that several connections or requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, to be leased.
pub(crate) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), bytes_max })
    }

    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        Lease { budget: Arc::clone(self), bytes: 0 }
    }
}

/// A part of a [`Budget`], given back when dropped.
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    /// Makes the lease `bytes` large. Shrinking always succeeds; growing fails, and changes nothing, if the budget is
    /// used up.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
            self.bytes = bytes;
            return true;
        }
        let (more, bytes_max) = (bytes - self.bytes, self.budget.bytes_max);
        let grow = |used: usize| used.checked_add(more).filter(|it| *it <= bytes_max);
        let grown = self.budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).is_ok();
        if grown {
            self.bytes = bytes;
        }
        grown
    }

    /// Makes the lease `more` bytes larger, if the budget allows it.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        self.resize(self.bytes.saturating_add(more))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_share_and_give_back() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.lease(), budget.lease());
        assert!(a.resize(60) && b.grow(40));
        assert!(!b.grow(1) && !a.resize(61) && !a.grow(usize::MAX));
        assert!(a.resize(10) && b.resize(90));
        drop(b);
        assert!(a.resize(100));
        drop(a);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
