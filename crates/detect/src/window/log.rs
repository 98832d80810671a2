//! When events happened, in order of time, in bounded memory.
//!
//! One entry per event while there are few; when a window is crowded, neighbours closer than a quantum share an entry
//! that counts as old as its first event. A crowded window therefore never claims more events than it has, and may
//! claim up to a quantum's worth less.

use std::collections::VecDeque;

use panoptes_model::EventId;
use serde::{Deserialize, Serialize};

/// How many entries a log has before neighbours are put together.
const EXACT_MAX: usize = 256;
/// Into how many quanta a log's reach is divided once it is crowded.
const QUANTA: i64 = 512;

/// One event, or several that were close together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    first: i64,
    last: i64,
    count: u32,
    /// How many of them no finding has told of yet.
    fresh: u64,
    /// The one that was added last.
    id: EventId,
}

/// What a finding will tell of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) count: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Oldest first, at most as many as was asked for.
    pub(crate) ids: Vec<EventId>,
}

impl Told {
    /// Takes in what another log tells of the same moment.
    pub(crate) fn merge(&mut self, other: Self, ids_max: usize) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other;
            return;
        }
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.ids.extend(other.ids);
        self.ids.sort_unstable();
        let surplus = self.ids.len().saturating_sub(ids_max);
        self.ids.drain(..surplus);
    }
}

/// How far a window looks back, and how long its log is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The rule's timespan.
    pub(crate) window: i64,
    /// The timespan and the lateness that is allowed.
    pub(crate) reach: i64,
}

impl Span {
    fn quantum(self) -> i64 {
        (self.reach / QUANTA).max(1)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventLog {
    entries: VecDeque<Entry>,
    /// The first entry inside of the window that ends at the newest event, and how many events are inside.
    start: usize,
    inside: u64,
    /// How many events in all entries are fresh.
    fresh: u64,
}

impl EventLog {
    /// How many entries it holds, which is what it costs. At most about 256 + 512 + 2.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many events all entries stand for: no window holds more.
    pub(crate) fn total(&self) -> u64 {
        self.entries.iter().map(|it| u64::from(it.count)).sum()
    }

    /// How many events lie in the window that ends at `newest`, the time of the track's newest event.
    pub(crate) fn inside(&self) -> u64 {
        self.inside
    }

    /// Adds an event at `time` that counts `times` times and of which `fresh` events (one, or what a chained correlation
    /// stands for) are untold.
    pub(crate) fn add(&mut self, time: i64, id: EventId, times: u32, fresh: u64, span: Span) {
        self.fresh += fresh;
        // In order nearly always, so the place is found from the back.
        let after = self.entries.iter().rev().take_while(|it| it.first > time).count();
        let at = self.entries.len() - after;
        let is_crowded = self.entries.len() >= EXACT_MAX;
        let quantum = if is_crowded { span.quantum() } else { 0 };
        let joined = if let Some(before) = at.checked_sub(1).and_then(|it| self.entries.get_mut(it))
            && (time <= before.last || time - before.first <= quantum)
        {
            before.last = before.last.max(time);
            Some((at - 1, before))
        } else if is_crowded
            && let Some(next) = self.entries.get_mut(at)
            && next.last - time <= quantum
        {
            next.first = time;
            Some((at, next))
        } else {
            None
        };
        match joined {
            Some((index, entry)) => {
                let before = entry.count;
                entry.count = entry.count.saturating_add(times);
                entry.fresh += fresh;
                entry.id = id;
                if index >= self.start {
                    self.inside += u64::from(entry.count - before);
                }
            }
            None => {
                self.entries.insert(at, Entry { first: time, last: time, count: times, fresh, id });
                if at >= self.start {
                    self.inside += u64::from(times);
                } else {
                    self.start += 1;
                }
            }
        }
    }

    /// Lets the window end at `newest` and forgets what is out of reach of it. Afterwards entries that have left the
    /// window, or (after a late event) come back into it by being older than it thought, are counted right.
    pub(crate) fn settle(&mut self, newest: i64, span: Span) {
        let begin = newest.saturating_sub(span.window);
        while let Some(entry) = self.entries.get(self.start)
            && entry.first < begin
        {
            self.inside -= u64::from(entry.count);
            self.start += 1;
        }
        // A late event behind the start may still be inside: the start is where times pass the border.
        while let Some(before) = self.start.checked_sub(1)
            && let Some(entry) = self.entries.get(before)
            && entry.first >= begin
        {
            self.inside += u64::from(entry.count);
            self.start = before;
        }
        let border = newest.saturating_sub(span.reach);
        while self.start > 0
            && let Some(entry) = self.entries.front()
            && entry.last < border
        {
            self.fresh -= entry.fresh;
            self.start -= 1;
            self.entries.pop_front();
        }
    }

    /// The time of the latest event that is not after `time`.
    pub(crate) fn latest_until(&self, time: i64) -> Option<i64> {
        let after = self.entries.partition_point(|it| it.first <= time);
        Some(self.entries.get(after.checked_sub(1)?)?.last.min(time))
    }

    /// The times at which a window could end that contains `time`, which is not the newest.
    pub(crate) fn ends(&self, time: i64, span: Span) -> impl Iterator<Item = i64> {
        let until = time.saturating_add(span.window);
        let start = self.entries.partition_point(|it| it.last < time);
        self.entries.iter().skip(start).map(|it| it.last).take_while(move |it| *it <= until)
    }

    /// Calls `visit` with the end of every window that contains `time`, and how many events it holds: for an event
    /// that came late.
    pub(crate) fn windows_around(&self, time: i64, span: Span, mut visit: impl FnMut(i64, u64)) {
        let mut left = self.entries.partition_point(|it| it.first < time.saturating_sub(span.window));
        let mut right = left;
        let mut count = 0;
        let until = time.saturating_add(span.window);
        while let Some(entry) = self.entries.get(right)
            && entry.last <= until
        {
            count += u64::from(entry.count);
            right += 1;
            while let Some(first) = self.entries.get(left)
                && first.first < entry.last.saturating_sub(span.window)
            {
                count -= u64::from(first.count);
                left += 1;
            }
            if entry.last >= time {
                visit(entry.last, count);
            }
        }
    }

    /// Takes the untold events from `begin` to `end`; they are told from now on. Ends as soon as all are found, so an
    /// attack that goes on costs one step per event.
    pub(crate) fn tell(&mut self, begin: i64, end: i64, ids_max: usize) -> Told {
        let mut told = Told { count: 0, first: i64::MAX, last: i64::MIN, ids: Vec::new() };
        let until = self.entries.partition_point(|it| it.first <= end);
        for entry in self.entries.iter_mut().take(until).rev() {
            if self.fresh == 0 || entry.last < begin {
                break;
            }
            if entry.fresh == 0 {
                continue;
            }
            told.count += entry.fresh;
            told.first = told.first.min(entry.first);
            told.last = told.last.max(entry.last);
            if told.ids.len() < ids_max {
                told.ids.push(entry.id);
            }
            self.fresh -= entry.fresh;
            entry.fresh = 0;
        }
        told.ids.reverse();
        told
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::FrameId;
    use proptest::prelude::*;

    use super::*;

    const SPAN: Span = Span { window: 100, reach: 300 };

    fn id(index: u32) -> EventId {
        EventId { frame: FrameId(1), index }
    }

    fn log_of(times: &[i64], span: Span) -> (EventLog, i64) {
        let mut log = EventLog::default();
        let mut newest = i64::MIN;
        for (index, time) in times.iter().enumerate() {
            newest = newest.max(*time);
            log.add(*time, id(index as u32), 1, 1, span);
            log.settle(newest, span);
        }
        (log, newest)
    }

    #[test]
    fn the_window_slides_and_untold_events_are_told_once() {
        let (mut log, newest) = log_of(&[0, 10, 50, 100, 101], SPAN);
        assert_eq!(log.inside(), 4, "the window holds both of its borders");
        let told = log.tell(newest - SPAN.window, newest, 20);
        assert_eq!((told.count, told.first, told.last), (4, 10, 101));
        assert_eq!(told.ids, [id(1), id(2), id(3), id(4)]);
        assert_eq!(log.tell(newest - SPAN.window, newest, 20).count, 0);
        log.add(102, id(9), 1, 1, SPAN);
        log.settle(102, SPAN);
        assert_eq!(log.tell(2, 102, 20).ids, [id(9)]);
    }

    #[test]
    fn a_late_event_completes_a_window_that_has_passed() {
        let (log, newest) = log_of(&[0, 20, 250, 10], SPAN);
        assert_eq!((log.inside(), newest), (1, 250));
        let mut windows = Vec::new();
        log.windows_around(10, SPAN, |end, count| windows.push((end, count)));
        assert_eq!(windows, [(10, 2), (20, 3)]);
    }

    #[test]
    fn a_crowded_log_is_bounded_and_never_claims_too_much() {
        let span = Span { window: 1_000_000, reach: 2_000_000 };
        let times: Vec<i64> = (0..50_000).map(|it| it * 37).collect();
        let (log, newest) = log_of(&times, span);
        let truth = times.iter().filter(|it| **it >= newest - span.window).count() as u64;
        assert!(log.len() <= EXACT_MAX + QUANTA as usize + 2, "{}", log.len());
        assert!(log.inside() <= truth && log.inside() >= truth - truth / 200, "{} of {truth}", log.inside());
    }

    proptest! {
        #[test]
        fn counts_in_any_order_are_those_of_the_sorted_events(mut times in prop::collection::vec(0_i64..400, 1..60)) {
            // Everything lies within reach, so nothing may be lost whatever the order is.
            let span = Span { window: 100, reach: 1_000 };
            let (log, newest) = log_of(&times, span);
            let truth = times.iter().filter(|it| **it >= newest - span.window).count() as u64;
            prop_assert_eq!(log.inside(), truth);
            let around = *times.last().unwrap();
            let mut most = 0;
            log.windows_around(around, span, |_, count| most = most.max(count));
            times.sort_unstable();
            let best = times
                .iter()
                .filter(|end| (around..=around + span.window).contains(*end))
                .map(|end| times.iter().filter(|it| (end - span.window..=*end).contains(*it)).count() as u64)
                .max();
            prop_assert_eq!(Some(most), best);
        }
    }
}
