//! When events happened, in order of time, in bounded memory.
//!
//! One entry per event while there are few; when a window is crowded, neighbours closer than a quantum share an entry
//! that counts as old as its first event. A crowded window therefore never claims more events than it has: it may begin
//! up to a quantum late. The quanta are those of [`Span::quanta`].

use std::collections::VecDeque;

use panoptes_model::{EventId, FrameId};
use serde::{Deserialize, Serialize};

use super::payload::Payload;
use super::span::Span;
use crate::stored::Sequence;

/// How many entries a log has before neighbours are put together.
pub(crate) const EXACT_MAX: usize = 1_024;
/// How many bytes the payloads of a log may take. Beyond, its oldest entries are forgotten and counted.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// One event, or several that were close together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry<P> {
    pub(crate) first: i64,
    pub(crate) last: i64,
    frame: FrameId,
    index: u32,
    /// How often it counts.
    pub(crate) count: u32,
    /// How many of them no finding has told of yet.
    pub(crate) fresh: u32,
    pub(crate) payload: P,
}

impl<P> Entry<P> {
    /// The event that was added last.
    pub(crate) fn id(&self) -> EventId {
        EventId { frame: self.frame, index: self.index }
    }
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

/// What an event adds to a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) time: i64,
    pub(crate) id: EventId,
    /// How often it counts.
    pub(crate) times: u32,
    /// How many untold events (one, or what a chained correlation stands for) it stands for.
    pub(crate) fresh: u32,
}

/// The events of one kind in one run of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventLog<P: Payload> {
    /// Entries behind the window that ends at the newest event, and those inside of it.
    behind: VecDeque<Entry<P>>,
    within: VecDeque<Entry<P>>,
    /// How many events are inside, and what they add up to.
    inside: u64,
    window: P::Window,
    /// How many events all entries stand for, and how many of them are fresh.
    total: u64,
    fresh: u64,
    /// Memory of all payloads.
    payload_bytes: usize,
}

impl<P: Payload> Default for EventLog<P> {
    fn default() -> Self {
        Self {
            behind: VecDeque::new(),
            within: VecDeque::new(),
            inside: 0,
            window: P::Window::default(),
            total: 0,
            fresh: 0,
            payload_bytes: 0,
        }
    }
}

impl<P: Payload> EventLog<P> {
    /// How many entries it holds.
    pub(crate) fn len(&self) -> usize {
        self.behind.len() + self.within.len()
    }

    /// Memory that it holds, beside itself. Goes by what is in it rather than by what is reserved, so that it is the same
    /// after a restart.
    pub(crate) fn bytes(&self) -> usize {
        let deque = |entries: &VecDeque<Entry<P>>| match entries.len() {
            0 => 0,
            len => len.next_power_of_two().max(4) * size_of::<Entry<P>>(),
        };
        deque(&self.behind) + deque(&self.within) + self.payload_bytes
    }

    /// How many events all entries stand for: no window holds more.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many events lie in the window that ends at the newest event.
    pub(crate) fn inside(&self) -> u64 {
        self.inside
    }

    /// What they add up to.
    pub(crate) fn window(&self) -> &P::Window {
        &self.window
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.len() >= EXACT_MAX
    }

    /// Oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry<P>> {
        self.behind.iter().chain(&self.within)
    }

    fn get(&self, index: usize) -> Option<&Entry<P>> {
        match index.checked_sub(self.behind.len()) {
            None => self.behind.get(index),
            Some(index) => self.within.get(index),
        }
    }

    /// How many entries begin at or before `time`.
    fn count_until(&self, time: i64) -> usize {
        match self.within.front() {
            Some(first) if first.first <= time => {
                self.behind.len() + self.within.partition_point(|it| it.first <= time)
            }
            _ => self.behind.partition_point(|it| it.first <= time),
        }
    }

    pub(crate) fn add(&mut self, stamp: Stamp, payload: P, span: Span) {
        let Stamp { time, id, times, fresh } = stamp;
        self.fresh += u64::from(fresh);
        self.total += u64::from(times);
        // In order nearly always.
        let is_newest = self.within.back().is_some_and(|it| it.first <= time);
        let at = if is_newest { self.len() } else { self.count_until(time) };
        let is_crowded = self.is_crowded();
        let (fine, coarse) = span.quanta();
        let behind = self.behind.len();
        let quantum = |index: usize| match is_crowded {
            true if index >= behind => fine,
            true => coarse,
            false => 0,
        };
        let joins_before = at.checked_sub(1).filter(|index| {
            // Inside of an entry there is no place for another one.
            self.get(*index)
                .is_some_and(|it| time < it.last || (is_crowded && time.saturating_sub(it.first) <= quantum(*index)))
        });
        let joined = joins_before.or_else(|| {
            let next = self.get(at).filter(|_| is_crowded)?;
            (next.last.saturating_sub(time) <= quantum(at)).then_some(at)
        });
        match joined {
            Some(index) => self.join(index, stamp, payload),
            None => {
                self.payload_bytes += payload.bytes();
                let entry =
                    Entry { first: time, last: time, frame: id.frame, index: id.index, count: times, fresh, payload };
                match at.checked_sub(behind) {
                    // At the border it belongs inside; `settle` moves what does not.
                    Some(index) => {
                        self.inside += u64::from(times);
                        entry.payload.enter(&mut self.window);
                        self.within.insert(index, entry);
                    }
                    None => self.behind.insert(at, entry),
                }
            }
        }
    }

    fn join(&mut self, index: usize, stamp: Stamp, payload: P) {
        let (entry, is_inside) = match index.checked_sub(self.behind.len()) {
            None => (self.behind.get_mut(index), false),
            Some(index) => (self.within.get_mut(index), true),
        };
        let Some(entry) = entry else { return };
        if is_inside {
            self.inside -= u64::from(entry.count);
        }
        self.payload_bytes -= entry.payload.bytes();
        entry.payload.absorb(payload, is_inside.then_some(&mut self.window));
        self.payload_bytes += entry.payload.bytes();
        entry.first = entry.first.min(stamp.time);
        entry.last = entry.last.max(stamp.time);
        entry.count = entry.count.saturating_add(stamp.times);
        entry.fresh = entry.fresh.saturating_add(stamp.fresh);
        (entry.frame, entry.index) = (stamp.id.frame, stamp.id.index);
        if is_inside {
            self.inside += u64::from(entry.count);
        }
    }

    /// Lets the newest window begin at `begin` and forgets what is older than `border`. Returns how many events had to
    /// be forgotten although they are not.
    pub(crate) fn settle(&mut self, begin: i64, border: i64, span: Span) -> u64 {
        while self.within.front().is_some_and(|it| it.first < begin) {
            let Some(entry) = self.within.pop_front() else { break };
            self.inside -= u64::from(entry.count);
            entry.payload.leave(&mut self.window);
            self.push_behind(entry, span);
        }
        // After a late event a session may begin earlier, and a late entry stands at the border.
        while self.behind.back().is_some_and(|it| it.first >= begin) {
            let Some(entry) = self.behind.pop_back() else { break };
            self.inside += u64::from(entry.count);
            entry.payload.enter(&mut self.window);
            self.within.push_front(entry);
        }
        while self.behind.front().is_some_and(|it| it.last < border) {
            let entry = self.behind.pop_front();
            self.forget(entry.as_ref());
        }
        let mut forgotten = 0;
        while self.payload_bytes > PAYLOAD_BYTES_MAX {
            let entry = self.behind.pop_front().or_else(|| {
                let entry = self.within.pop_front()?;
                self.inside -= u64::from(entry.count);
                entry.payload.leave(&mut self.window);
                Some(entry)
            });
            forgotten += entry.as_ref().map_or(0, |it| u64::from(it.count));
            self.forget(entry.as_ref());
            if entry.is_none() {
                break;
            }
        }
        for entries in [&mut self.behind, &mut self.within] {
            if entries.capacity() > 4 * entries.len().next_power_of_two().max(4) {
                entries.shrink_to(entries.len().next_power_of_two());
            }
        }
        forgotten
    }

    /// Takes an entry that has left the window. In a crowded log it shares the place of its neighbour if both are close.
    fn push_behind(&mut self, entry: Entry<P>, span: Span) {
        let (_, coarse) = span.quanta();
        let is_crowded = self.len() >= EXACT_MAX;
        if let Some(before) = self.behind.back_mut().filter(|_| is_crowded)
            && entry.last.saturating_sub(before.first) <= coarse
        {
            self.payload_bytes -= before.payload.bytes() + entry.payload.bytes();
            before.payload.absorb(entry.payload, None);
            self.payload_bytes += before.payload.bytes();
            before.last = entry.last;
            before.count = before.count.saturating_add(entry.count);
            before.fresh = before.fresh.saturating_add(entry.fresh);
            (before.frame, before.index) = (entry.frame, entry.index);
        } else {
            self.behind.push_back(entry);
        }
    }

    fn forget(&mut self, entry: Option<&Entry<P>>) {
        let Some(entry) = entry else { return };
        self.fresh -= u64::from(entry.fresh).min(self.fresh);
        self.total -= u64::from(entry.count).min(self.total);
        self.payload_bytes -= entry.payload.bytes();
    }

    /// The time of the latest event that is not after `time`; of an entry that reaches beyond, that of its first.
    pub(crate) fn latest_until(&self, time: i64) -> Option<i64> {
        let entry = self.get(self.count_until(time).checked_sub(1)?)?;
        Some(if entry.last <= time { entry.last } else { entry.first })
    }

    /// When the first and the last event of each entry happened that reaches into `from..=until`.
    pub(crate) fn stretches(&self, from: i64, until: i64) -> impl Iterator<Item = (i64, i64)> {
        let rest = self.entries().rev().skip_while(move |it| it.first > until);
        rest.take_while(move |it| it.last >= from).map(|it| (it.first, it.last))
    }

    /// Calls `visit` with the end of every window that ends from `from` to `until`, how many events it holds and what they
    /// add up to: for an event that came late. The latest first, because that is near to the window that is known.
    /// `session` is when the run began that they belong to.
    pub(crate) fn windows_between(
        &self,
        (from, until): (i64, i64),
        span: Span,
        session: i64,
        mut visit: impl FnMut(i64, u64, &P::Window),
    ) {
        let mut window = self.window.clone();
        let mut count = self.inside;
        // Entries from `left` up to `right` are in the window.
        let (mut left, mut right) = (self.behind.len(), self.len());
        let mut visited = None;
        while let Some(entry) = right.checked_sub(1).and_then(|it| self.get(it)) {
            let end = entry.last;
            if end < from {
                break;
            }
            if end <= until && visited != Some(end) {
                let begin = span.begin(end, session);
                while let Some(before) = left.checked_sub(1).and_then(|it| self.get(it))
                    && before.first >= begin
                {
                    left -= 1;
                    count += u64::from(before.count);
                    before.payload.enter(&mut window);
                }
                visit(end, count, &window);
                visited = Some(end);
            }
            right -= 1;
            if right >= left {
                count -= u64::from(entry.count);
                entry.payload.leave(&mut window);
            } else {
                left = right;
            }
        }
    }

    /// Takes the untold events from `begin` to `end`; they are told from now on. Ends as soon as all are found, so an
    /// attack that goes on costs one step per event.
    pub(crate) fn tell(&mut self, begin: i64, end: i64, ids_max: usize) -> Told {
        let mut told = Told { count: 0, first: i64::MAX, last: i64::MIN, ids: Vec::new() };
        let behind = self.behind.len();
        let mut index = if self.fresh == 0 { 0 } else { self.count_until(end) };
        while self.fresh > 0 && index > 0 {
            index -= 1;
            let entry = match index.checked_sub(behind) {
                Some(index) => self.within.get_mut(index),
                None => self.behind.get_mut(index),
            };
            let Some(entry) = entry.filter(|it| it.last >= begin) else { break };
            if entry.fresh == 0 {
                continue;
            }
            let untold = u64::from(entry.fresh);
            told.count += untold;
            told.first = told.first.min(entry.first);
            told.last = told.last.max(entry.last);
            if told.ids.len() < ids_max {
                told.ids.push(entry.id());
            }
            self.fresh -= untold.min(self.fresh);
            entry.fresh = 0;
        }
        told.ids.reverse();
        told
    }

    /// Takes in the entries of another log as far as they are not older than `border`. Each counts as old as its first
    /// event.
    pub(crate) fn absorb(&mut self, other: &mut Self, border: i64, span: Span, mut payload: impl FnMut(P) -> P) {
        let Self { behind, within, .. } = std::mem::take(other);
        for entry in behind.into_iter().chain(within).filter(|it| it.first >= border) {
            let stamp = Stamp { time: entry.first, id: entry.id(), times: entry.count, fresh: entry.fresh };
            self.add(stamp, payload(entry.payload), span);
        }
    }

    /// Calls `change` with the payload of every entry.
    pub(crate) fn for_each_payload(&mut self, mut change: impl FnMut(&mut P)) {
        self.behind.iter_mut().chain(&mut self.within).for_each(|it| change(&mut it.payload));
    }
}

/// What a checkpoint keeps; the rest follows from it.
#[derive(Serialize, Deserialize)]
struct StoredLog<E> {
    entries: E,
    behind: u32,
}

impl<P: Payload + Serialize> Serialize for EventLog<P> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredLog { entries: Sequence(|| self.entries()), behind: self.behind.len() as u32 }.serialize(serializer)
    }
}

impl<'de, P: Payload + Deserialize<'de>> Deserialize<'de> for EventLog<P> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredLog::<Vec<Entry<P>>> { entries, behind } = StoredLog::deserialize(deserializer)?;
        let mut log = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            log.total += u64::from(entry.count);
            log.fresh += u64::from(entry.fresh);
            log.payload_bytes += entry.payload.bytes();
            if index < behind as usize {
                log.behind.push_back(entry);
            } else {
                log.inside += u64::from(entry.count);
                entry.payload.enter(&mut log.window);
                log.within.push_back(entry);
            }
        }
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::measure::{Measure, Number};
    use super::super::payload::Cells;
    use super::super::span::Mode;
    use super::*;

    const SPAN: Span = Span { window: 100, reach: 300, mode: Mode::Sliding };

    fn stamp(time: i64, index: u32) -> Stamp {
        Stamp { time, id: EventId { frame: FrameId(1), index }, times: 1, fresh: 1 }
    }

    fn number(value: i64) -> Number {
        Number::parse(&value.to_string()).unwrap()
    }

    /// A log of events with what `payload` says of each, settled after each.
    fn log_of<P: Payload>(times: &[i64], span: Span, payload: impl Fn(usize) -> P) -> (EventLog<P>, i64, u64) {
        let mut log = EventLog::default();
        let (mut newest, mut forgotten) = (i64::MIN, 0);
        for (index, time) in times.iter().enumerate() {
            newest = newest.max(*time);
            log.add(stamp(*time, index as u32), payload(index), span);
            forgotten += log.settle(span.begin(newest, 0), newest - span.reach, span);
        }
        (log, newest, forgotten)
    }

    #[test]
    fn the_window_slides_and_untold_events_are_told_once() {
        let (mut log, newest, _) = log_of(&[0, 10, 50, 100, 101], SPAN, |_| ());
        assert_eq!(log.inside(), 4, "the window holds both of its borders");
        let told = log.tell(newest - SPAN.window, newest, 20);
        assert_eq!((told.count, told.first, told.last), (4, 10, 101));
        assert_eq!(told.ids.iter().map(|it| it.index).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(log.tell(newest - SPAN.window, newest, 20).count, 0);
        log.add(stamp(102, 9), (), SPAN);
        log.settle(2, -198, SPAN);
        assert_eq!(log.tell(2, 102, 20).ids.iter().map(|it| it.index).collect::<Vec<_>>(), [9]);
        assert_eq!(log.tell(0, 102, 20).first, 0, "what no window held is still untold");
    }

    #[test]
    fn events_at_one_moment_stay_apart_until_the_log_is_crowded() {
        let (log, _, _) = log_of(&[5; EXACT_MAX + 10], SPAN, |_| ());
        assert_eq!((log.len(), log.inside()), (EXACT_MAX, EXACT_MAX as u64 + 10));
    }

    #[test]
    fn a_late_event_completes_a_window_that_has_passed() {
        let (log, newest, _) = log_of(&[0, 20, 250, 10], SPAN, |_| ());
        assert_eq!((log.inside(), newest), (1, 250));
        let mut windows = Vec::new();
        log.windows_between((10, 110), SPAN, 0, |end, count, ()| windows.push((end, count)));
        assert_eq!(windows, [(20, 3), (10, 2)]);
    }

    #[test]
    fn entries_are_forgotten_at_the_border_and_not_before() {
        let (log, _, _) = log_of(&[0, 1, 300], SPAN, |_| ());
        assert_eq!((log.len(), log.total()), (3, 3));
        let (log, _, _) = log_of(&[0, 1, 301], SPAN, |_| ());
        assert_eq!((log.len(), log.total()), (2, 2));
    }

    #[test]
    fn a_crowded_log_is_bounded_and_its_window_begins_at_most_a_quantum_late() {
        for (window, reach) in [(1_000_000, 2_000_000), (10_000, 2_000_000), (1_000_000, 1_000_000)] {
            let span = Span { window, reach, mode: Mode::Sliding };
            let times: Vec<i64> = (0..200_000).map(|it| it * 37 + it % 3 * 10).collect();
            let (log, newest, _) = log_of(&times, span, |index| number(index as i64));
            let since = |begin: i64| times.iter().filter(|it| **it >= begin).count() as u64;
            let (fine, coarse) = span.quanta();
            let begin = newest - window;
            assert!(log.inside() <= since(begin) && log.inside() >= since(begin + fine), "{}", log.inside());
            let most = 2 * (window / fine + reach / coarse) + 2 + EXACT_MAX as i64;
            assert!((log.len() as i64) < most, "{} of {most}", log.len());
            // The sum is that of the events that are counted, to the last bit.
            let counted = &times[times.len() - log.inside() as usize..];
            let sum: i64 = (0..times.len() as i64).rev().take(counted.len()).sum();
            assert_eq!(*log.window(), number(sum));
        }
    }

    #[test]
    fn the_values_of_a_log_are_bounded_and_what_is_forgotten_is_counted() {
        let span = Span { window: 1_000_000, reach: 2_000_000, mode: Mode::Sliding };
        let times: Vec<i64> = (0..400_000).collect();
        // Every value of another magnitude, so that none shares a cell.
        let (log, _, forgotten) =
            log_of(&times, span, |index| Cells::One(number((index as i64 * 7_919 % 100_003 + 129) << (index % 40)), 1));
        assert!(log.bytes() < 2 * PAYLOAD_BYTES_MAX, "{}", log.bytes());
        assert_eq!(log.inside() + forgotten, times.len() as u64);
        assert!(forgotten > 0);
    }

    #[test]
    fn a_percentile_of_a_crowded_log_is_near() {
        let span = Span { window: 1_000_000, reach: 2_000_000, mode: Mode::Sliding };
        let times: Vec<i64> = (0..20_000).map(|it| it * 40).collect();
        let value = |index: usize| (index as i64 * 7_919) % 10_007;
        let (log, _, forgotten) = log_of(&times, span, |index| Cells::One(number(value(index)), 1));
        let mut sorted: Vec<i64> = (0..times.len()).map(value).collect();
        sorted.sort_unstable();
        for percent in [1, 50, 95, 99] {
            let exact = sorted[(sorted.len() - 1) * percent / 100] as f64;
            let found = log.window().percentile(percent as u32).map_or(f64::NAN, Measure::to_f64);
            assert!((found - exact).abs() <= exact / 100.0 + 2.0, "{found} instead of {exact}");
        }
        assert_eq!(forgotten, 0);
    }

    proptest! {
        #[test]
        fn counts_and_sums_in_any_order_are_those_of_the_sorted_events(
            mut times in prop::collection::vec(0_i64..400, 1..60),
        ) {
            // Everything lies within reach, so nothing may be lost whatever the order is.
            let span = Span { reach: 1_000, ..SPAN };
            let own = times.clone();
            let (log, newest, _) = log_of(&times, span, |index| number(own[index] * 3 + 1));
            let window = |end: i64| own.iter().filter(move |it| (end - span.window..=end).contains(*it));
            prop_assert_eq!(log.inside(), window(newest).count() as u64);
            prop_assert_eq!(*log.window(), number(window(newest).map(|it| it * 3 + 1).sum()));
            let around = own[own.len() - 1];
            let mut found = Vec::new();
            log.windows_between((around, around + 100), span, 0, |end, count, sum| found.push((end, count, *sum)));
            times.sort_unstable();
            times.dedup();
            let ends = times.iter().rev().filter(|it| (around..=around + 100).contains(*it));
            let expected: Vec<_> = ends
                .map(|end| (*end, window(*end).count() as u64, number(window(*end).map(|it| it * 3 + 1).sum())))
                .collect();
            prop_assert_eq!(found, expected);
            let stored = postcard::to_stdvec(&log).unwrap();
            prop_assert_eq!(postcard::from_bytes::<EventLog<Number>>(&stored).unwrap(), log);
        }
    }
}
