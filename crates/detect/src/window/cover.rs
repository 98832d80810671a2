//! How many different values the windows of the past held, at instants a quantum apart: what a late event is judged by
//! in a crowded group, at a cost that does not depend on how crowded it is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::span::Span;

/// How many instants there are in a timespan at most, and in all that is kept. A late event looks at no more than the
/// former.
const INSTANTS_WINDOW: i64 = 64;
const INSTANTS_REACH: i64 = 1_024;

/// How far instants are apart.
fn quantum(span: Span) -> i64 {
    (span.window / INSTANTS_WINDOW).max(span.reach / INSTANTS_REACH).max(1)
}

/// The instants of the windows that contain `time`, as numbers.
fn instants(time: i64, span: Span) -> (i64, i64) {
    let quantum = quantum(span);
    let from = time.div_euclid(quantum) + i64::from(time.rem_euclid(quantum) != 0);
    (from, span.until(time).div_euclid(quantum))
}

/// Of each instant (a multiple of the quantum), how many values lie in the window that ends there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cover {
    /// Number of the first instant.
    first: i64,
    counts: VecDeque<u32>,
}

impl Cover {
    /// Of nothing yet, for times from `from` on.
    pub(crate) fn new(span: Span, from: i64) -> Self {
        Self { first: from.div_euclid(quantum(span)), counts: VecDeque::new() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.counts.len().next_power_of_two() * size_of::<u32>()
    }

    /// Forgets the instants before `from`: nobody may be so late.
    pub(crate) fn forget_until(&mut self, from: i64, span: Span) {
        let first = from.div_euclid(quantum(span));
        let old = usize::try_from(first.saturating_sub(self.first)).unwrap_or(0);
        self.counts.drain(..old.min(self.counts.len()));
        self.first = self.first.max(first);
    }

    /// A value is seen at `time` (or was never, if `by` is -1), next to the times `before` and `after` at which it is known
    /// already.
    pub(crate) fn change(&mut self, time: i64, (before, after): (Option<i64>, Option<i64>), span: Span, by: i32) {
        let (mut from, mut until) = instants(time, span);
        if let Some(before) = before {
            from = from.max(instants(before, span).1.saturating_add(1));
        }
        if let Some(after) = after {
            until = until.min(instants(after, span).0.saturating_sub(1));
        }
        let from = from.max(self.first).saturating_sub(self.first);
        let until = until.saturating_sub(self.first);
        // A window and the lateness in quanta: what lies outside belongs to no time that is kept.
        let longest = INSTANTS_REACH + INSTANTS_WINDOW + 2;
        if from > until || until > 2 * longest {
            return;
        }
        if self.counts.len() as i64 <= until {
            self.counts.resize(until as usize + 1, 0);
        }
        for count in self.counts.range_mut(from as usize..=until as usize) {
            *count = count.saturating_add_signed(by);
        }
    }

    /// Calls `visit` with every instant from `from` to `until` and its count, the latest first.
    pub(crate) fn visit(&self, from: i64, until: i64, span: Span, mut visit: impl FnMut(i64, u64)) {
        let quantum = quantum(span);
        let end = until.div_euclid(quantum).min(self.first.saturating_add(self.counts.len() as i64 - 1));
        let mut instant = end;
        let begin = instants(from, span).0.max(self.first);
        while instant >= begin {
            let count = self.counts.get((instant - self.first) as usize).copied().unwrap_or(0);
            visit(instant.saturating_mul(quantum), u64::from(count));
            instant -= 1;
        }
    }
}
