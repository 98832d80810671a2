//! How many different values were seen in a window, kept up to date value by value: counting never walks the window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::log::Span;

/// How many different values one group keeps. When one more comes, the value that was last seen longest ago is
/// forgotten and counted. Thresholds above it are refused when the rule is compiled.
pub(crate) const VALUES_MAX: usize = 1_024;
/// How many bytes of a value are kept and compared; the rest only through a hash.
const VALUE_BYTES_MAX: usize = 128;

/// Values and when they were seen. A value's time in the middle of two others that are no further apart than the
/// window cannot matter: every window that holds it holds one of the two. So few times per value are enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct Distinct {
    values: BTreeMap<Arc<str>, Vec<i64>>,
    /// Values by the last time they were seen: inside of the window that ends at the newest event, and before it.
    inside: BTreeSet<(i64, Arc<str>)>,
    before: BTreeSet<(i64, Arc<str>)>,
}

/// What a checkpoint keeps; the rest follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    values: Vec<(Arc<str>, Vec<i64>, bool)>,
}

impl From<Distinct> for Stored {
    fn from(distinct: Distinct) -> Self {
        let Distinct { values, inside, .. } = distinct;
        let is_inside = |value: &Arc<str>, times: &[i64]| {
            times.last().is_some_and(|last| inside.contains(&(*last, Arc::clone(value))))
        };
        Self {
            values: values
                .into_iter()
                .map(|(value, times)| {
                    let inside = is_inside(&value, &times);
                    (value, times, inside)
                })
                .collect(),
        }
    }
}

impl From<Stored> for Distinct {
    fn from(stored: Stored) -> Self {
        let mut distinct = Self::default();
        for (value, times, is_inside) in stored.values {
            if let Some(last) = times.last() {
                let set = if is_inside { &mut distinct.inside } else { &mut distinct.before };
                set.insert((*last, Arc::clone(&value)));
                distinct.values.insert(value, times);
            }
        }
        distinct
    }
}

/// `value` as it is kept: whole if it is short, else its beginning and a hash of all of it.
fn kept(value: &str) -> Arc<str> {
    if value.len() <= VALUE_BYTES_MAX {
        return value.into();
    }
    let beginning = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default();
    format!("{beginning}…{:032x}", panoptes_model::content_hash(&[value.as_bytes()])).into()
}

impl Distinct {
    /// How many values it holds, which is what it costs.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// How many different values lie in the window that ends at the newest event.
    pub(crate) fn inside(&self) -> u64 {
        self.inside.len() as u64
    }

    /// The values seen last, newest first.
    pub(crate) fn newest_values(&self) -> impl Iterator<Item = &str> {
        self.inside.iter().rev().map(|(_, value)| &**value)
    }

    /// Adds `value` at `time` to the window that ends at `newest`. Returns how many values had to be forgotten.
    pub(crate) fn add(&mut self, value: &str, time: i64, newest: i64, span: Span) -> u64 {
        let begin = newest.saturating_sub(span.window);
        let (value, old_last) = match self.values.get_key_value(value) {
            Some((known, times)) => (Arc::clone(known), times.last().copied()),
            None => {
                let value = kept(value);
                let old_last = self.values.get(&value).and_then(|times| times.last().copied());
                (value, old_last)
            }
        };
        let times = self.values.entry(Arc::clone(&value)).or_default();
        insert_time(times, time, span);
        let last = times.last().copied().unwrap_or(time);
        if old_last != Some(last) {
            if let Some(old) = old_last {
                let key = (old, Arc::clone(&value));
                if !self.inside.remove(&key) {
                    self.before.remove(&key);
                }
            }
            let set = if last >= begin { &mut self.inside } else { &mut self.before };
            set.insert((last, value));
        }
        self.settle(newest, span);
        self.forget_surplus()
    }

    /// Moves what has left the window out of it and forgets what is out of reach.
    fn settle(&mut self, newest: i64, span: Span) {
        let begin = newest.saturating_sub(span.window);
        while self.inside.first().is_some_and(|(last, _)| *last < begin) {
            self.before.extend(self.inside.pop_first());
        }
        let border = newest.saturating_sub(span.reach);
        while self.before.first().is_some_and(|(last, _)| *last < border) {
            if let Some((_, value)) = self.before.pop_first() {
                self.values.remove(&value);
            }
        }
    }

    fn forget_surplus(&mut self) -> u64 {
        let mut forgotten = 0;
        while self.values.len() > VALUES_MAX {
            let Some((_, value)) = self.before.pop_first().or_else(|| self.inside.pop_first()) else { break };
            self.values.remove(&value);
            forgotten += 1;
        }
        forgotten
    }

    /// Calls `visit` with the end of every window that contains `time`, and how many different values it holds: for an
    /// event that came late. Ends at times that were needless to keep are left out: no window there holds more.
    pub(crate) fn windows_around(&self, time: i64, span: Span, mut visit: impl FnMut(i64, u64)) {
        let (from, until) = (time.saturating_sub(span.window), time.saturating_add(span.window));
        let mut seen: Vec<(i64, usize)> = self
            .values
            .values()
            .enumerate()
            .flat_map(|(index, times)| times.iter().map(move |it| (*it, index)))
            .filter(|(it, _)| (from..=until).contains(it))
            .collect();
        // The event's own time may have been needless to keep, but it is where the first of these windows ends.
        seen.push((time, usize::MAX));
        seen.sort_unstable();
        let mut counts = vec![0_u32; self.values.len()];
        let mut different = 0;
        let mut left = 0;
        for (end, index) in &seen {
            if let Some(count) = counts.get_mut(*index) {
                different += u64::from(*count == 0);
                *count += 1;
            }
            while let Some((first, index)) = seen.get(left)
                && *first < end.saturating_sub(span.window)
            {
                if let Some(count) = counts.get_mut(*index) {
                    *count -= 1;
                    different -= u64::from(*count == 0);
                }
                left += 1;
            }
            if *end >= time {
                visit(*end, different);
            }
        }
    }
}

/// Puts `time` into the sorted `times` and takes out those that no longer matter.
fn insert_time(times: &mut Vec<i64>, time: i64, span: Span) {
    let at = times.partition_point(|it| *it <= time);
    if at.checked_sub(1).and_then(|it| times.get(it)) == Some(&time) {
        return;
    }
    times.insert(at, time);
    // Only its neighbours, or itself, can have become needless.
    for middle in [at + 1, at, at.wrapping_sub(1)] {
        if let (Some(left), Some(right)) =
            (middle.checked_sub(1).and_then(|it| times.get(it)), times.get(middle.wrapping_add(1)))
            && right - left <= span.window
        {
            times.remove(middle);
        }
    }
    let border = times.last().map_or(i64::MIN, |last| last.saturating_sub(span.reach));
    let old = times.partition_point(|it| *it < border);
    times.drain(..old);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Span = Span { window: 100, reach: 1_000 };

    fn distinct_of(seen: &[(i64, u8)]) -> (Distinct, i64) {
        let mut distinct = Distinct::default();
        let mut newest = i64::MIN;
        for (time, value) in seen {
            newest = newest.max(*time);
            assert_eq!(distinct.add(&value.to_string(), *time, newest, SPAN), 0);
        }
        (distinct, newest)
    }

    #[test]
    fn values_are_counted_once_and_leave_with_the_window() {
        let (distinct, _) = distinct_of(&[(0, 1), (10, 2), (20, 1), (115, 3)]);
        assert_eq!(distinct.inside(), 2, "1 was seen again at 20; 2 has left");
        assert_eq!(distinct.newest_values().collect::<Vec<_>>(), ["3", "1"]);
    }

    #[test]
    fn a_repeated_value_costs_little() {
        let mut distinct = Distinct::default();
        for time in 0..10_000 {
            distinct.add("root", time, time, SPAN);
        }
        assert_eq!(distinct.len(), 1);
        assert!(distinct.values.values().all(|times| times.len() <= 2 * 11 + 2), "{:?}", distinct.values);
    }

    #[test]
    fn the_value_seen_longest_ago_is_forgotten_first() {
        let mut distinct = Distinct::default();
        let forgotten: u64 = (0..VALUES_MAX as i64 + 3)
            .map(|it| distinct.add(&format!("u{it}"), it, it, Span { window: 10_000, reach: 20_000 }))
            .sum();
        assert_eq!((forgotten, distinct.len()), (3, VALUES_MAX));
        assert!(!distinct.values.contains_key("u2") && distinct.values.contains_key("u3"));
    }

    #[test]
    fn long_values_that_begin_alike_stay_different() {
        let mut distinct = Distinct::default();
        let long = "x".repeat(VALUE_BYTES_MAX);
        for (time, value) in [format!("{long}a"), format!("{long}b"), format!("{long}a")].iter().enumerate() {
            distinct.add(value, time as i64, time as i64, SPAN);
        }
        assert_eq!(distinct.inside(), 2);
    }

    proptest! {
        #[test]
        fn counts_in_any_order_are_those_of_the_sorted_events(
            seen in prop::collection::vec((0_i64..500, 0_u8..12), 1..80),
        ) {
            let (distinct, newest) = distinct_of(&seen);
            let in_window = |end: i64| {
                let mut values: Vec<u8> =
                    seen.iter().filter(|(time, _)| (end - SPAN.window..=end).contains(time)).map(|(_, it)| *it).collect();
                values.sort_unstable();
                values.dedup();
                values.len() as u64
            };
            prop_assert_eq!(distinct.inside(), in_window(newest));
            let (around, _) = *seen.last().unwrap();
            let mut most = 0;
            distinct.windows_around(around, SPAN, |_, count| most = most.max(count));
            let best = seen
                .iter()
                .map(|(end, _)| *end)
                .filter(|end| (around..=around + SPAN.window).contains(end))
                .map(in_window)
                .max();
            prop_assert_eq!(Some(most), best);
            let stored: Distinct = Stored::from(distinct.clone()).into();
            prop_assert_eq!(stored, distinct);
        }
    }
}
