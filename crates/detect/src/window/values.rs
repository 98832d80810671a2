//! How many different values were seen in a window, kept up to date value by value: counting never walks the window.
//!
//! A value has a place, found by its hash, and stands in one of two orders of time: among the values inside of the newest
//! window or among those behind it. The order inside goes by a time that may be older than the value's last one: a value
//! that is seen again and again only moves once it would leave the window, so a repeated value costs one look-up.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::cover::Cover;
use super::log::{EXACT_MAX, EventLog};
use super::payload::ValuePlace;
use super::small::SmallBytes;
use super::span::{Mode, Span};

/// How many different values a condition may ask for. Larger thresholds are refused when the rule is compiled.
pub(crate) const VALUES_MAX: usize = 131_072;
/// How many bytes of a value are kept and compared; the rest only through a hash.
const VALUE_BYTES_MAX: usize = 128;
/// How many values a finding of `value_count` shows.
const SHOWN_MAX: usize = 10;
/// How many times of one value are kept; beyond, the oldest is forgotten.
const TIMES_MAX: usize = EXACT_MAX;
/// Memory of a value beside its slot: its places in the order of time and in the table.
const ORDER_BYTES: usize = 40;

/// A value and when it was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slot {
    text: SmallBytes,
    last: i64,
    /// Where it stands in the order of time: `last`, or earlier if it is inside of the window.
    listed: i64,
    /// Earlier times, oldest first, as far as a window that holds neither of their neighbours may hold them.
    earlier: Box<[i64]>,
}

impl Slot {
    /// Whether it was seen in `from..=until`.
    fn is_in(&self, from: i64, until: i64) -> bool {
        if (from..=until).contains(&self.last) {
            return true;
        }
        let at = self.earlier.partition_point(|it| *it < from);
        self.earlier.get(at).is_some_and(|it| *it <= until)
    }

    /// The times next to `time`, which is none of its own.
    fn neighbours(&self, time: i64) -> (Option<i64>, Option<i64>) {
        let at = self.earlier.partition_point(|it| *it < time);
        let before = if self.last < time {
            Some(self.last)
        } else {
            at.checked_sub(1).and_then(|it| self.earlier.get(it)).copied()
        };
        let after = self.earlier.get(at).copied().or((self.last > time).then_some(self.last));
        (before, after)
    }

    /// Remembers `time` and takes out what no longer matters.
    fn see(&mut self, time: i64, border: i64, span: Span) {
        if time == self.last || self.earlier.binary_search(&time).is_ok() {
            return;
        }
        // In order nearly always, and mostly too soon after the last two times for that in the middle to matter.
        let left = match &*self.earlier {
            [] => (self.last < border).then_some(i64::MIN),
            [first, .., last] | [first @ last] if *first >= border => Some(*last),
            _ => None,
        };
        if time > self.last && left.is_some_and(|it| self.earlier.is_empty() || span.is_needless(it, self.last, time)) {
            self.last = time;
            return;
        }
        let mut times = std::mem::take(&mut self.earlier).into_vec();
        times.push(self.last);
        let is_full = times.len() >= TIMES_MAX;
        if !(is_full && times.first().is_some_and(|it| time < *it)) {
            let at = times.partition_point(|it| *it < time);
            times.insert(at, time);
            // Only its neighbours, or itself, can have become needless.
            for middle in [at + 1, at, at.wrapping_sub(1)] {
                if let (Some(left), Some(it), Some(right)) = (
                    middle.checked_sub(1).and_then(|it| times.get(it)),
                    times.get(middle),
                    times.get(middle.wrapping_add(1)),
                ) && span.is_needless(*left, *it, *right)
                {
                    times.remove(middle);
                }
            }
        }
        self.last = times.pop().unwrap_or(time);
        let old = times.partition_point(|it| *it < border).max(times.len().saturating_sub(TIMES_MAX));
        times.drain(..old);
        self.earlier = times.into_boxed_slice();
    }

    fn heap(&self) -> usize {
        self.text.bytes() + size_of_val(&*self.earlier)
    }
}

/// How much a group may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) values: usize,
    pub(crate) bytes: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Values {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    /// Seeded at random per process, so that a sender cannot choose values that collide. Nothing is iterated in hash
    /// order.
    hasher: foldhash::quality::RandomState,
    /// By [`Slot::listed`]: what lies in the window that ends at the newest event, and what lies before it.
    inside: BTreeSet<(i64, u32)>,
    before: BTreeSet<(i64, u32)>,
    /// When the newest window begins.
    begin: i64,
    /// The values seen last, newest first.
    recent: Vec<u32>,
    /// Once the group is crowded.
    cover: Option<Box<Cover>>,
    /// Memory beside the slots.
    heap: usize,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_text: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            inside: BTreeSet::new(),
            before: BTreeSet::new(),
            begin: i64::MIN,
            recent: Vec::new(),
            cover: None,
            heap: 0,
        }
    }
}

/// `value` as it is kept: whole if it is short, else its beginning and a hash of all of it.
pub(crate) fn kept(value: &str) -> std::borrow::Cow<'_, str> {
    if value.len() <= VALUE_BYTES_MAX {
        return value.into();
    }
    let beginning = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default();
    format!("{beginning}…{:032x}", panoptes_model::content_hash(&[value.as_bytes()])).into()
}

impl Values {
    /// How many values it holds.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Memory that it holds; the same after a restart.
    pub(crate) fn bytes(&self) -> usize {
        let slots = if self.slots.is_empty() { 0 } else { self.slots.len().next_power_of_two().max(4) };
        let cover = self.cover.as_ref().map_or(0, |it| it.bytes());
        slots * size_of::<Slot>() + self.len() * ORDER_BYTES + self.heap + cover
    }

    /// How many different values lie in the window that ends at the newest event.
    pub(crate) fn inside(&self) -> u64 {
        self.inside.len() as u64
    }

    /// The values of the newest window that were seen last, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &str> {
        let slots = self.recent.iter().filter_map(|it| self.slots.get(*it as usize));
        let inside = slots.filter(|it| it.last >= self.begin);
        inside.map(|it| std::str::from_utf8(it.text.as_slice()).unwrap_or_default())
    }

    /// The value at `place`, as it is kept.
    pub(crate) fn text(&self, place: ValuePlace) -> Option<&SmallBytes> {
        Some(&self.slots.get(place.0 as usize)?.text)
    }

    fn find(&self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let is_it = |it: &u32| self.slots.get(*it as usize).is_some_and(|slot| slot.text.as_slice() == text);
        self.by_text.find(hash, is_it).copied()
    }

    /// Adds `value` (as [`kept`]) at `time`. [`settle`](Self::settle) comes next.
    pub(crate) fn add(&mut self, value: &[u8], time: i64, border: i64, span: Span) -> ValuePlace {
        let place = match self.find(value) {
            Some(place) => {
                self.see_again(place, time, border, span);
                place
            }
            None => self.insert(value, time, span),
        };
        if self.recent.first() != Some(&place) {
            self.recent.retain(|it| *it != place);
            self.recent.truncate(SHOWN_MAX - 1);
            self.recent.insert(0, place);
        }
        ValuePlace(place)
    }

    fn insert(&mut self, value: &[u8], time: i64, span: Span) -> u32 {
        let slot = Slot { text: value.into(), last: time, listed: time, earlier: Box::default() };
        self.heap += slot.heap();
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(it) = self.slots.get_mut(place as usize) {
                    *it = slot;
                }
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.enlist(place, time);
        self.index(place);
        if let Some(cover) = &mut self.cover {
            cover.change(time, (None, None), span, 1);
        }
        place
    }

    /// Puts the value at `place` into the table.
    fn index(&mut self, place: u32) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash =
            |it: &u32| hasher.hash_one(slots.get(*it as usize).map_or(&[] as &[u8], |slot| slot.text.as_slice()));
        self.by_text.insert_unique(hash(&place), place, hash);
    }

    /// Puts the value at `place` into the order of time.
    fn enlist(&mut self, place: u32, listed: i64) {
        if let Some(slot) = self.slots.get_mut(place as usize) {
            slot.listed = listed;
        }
        let order = if listed >= self.begin { &mut self.inside } else { &mut self.before };
        order.insert((listed, place));
    }

    fn see_again(&mut self, place: u32, time: i64, border: i64, span: Span) {
        let Some(slot) = self.slots.get_mut(place as usize) else { return };
        if time == slot.last {
            return;
        }
        if let Some(cover) = &mut self.cover
            && slot.earlier.binary_search(&time).is_err()
        {
            cover.change(time, slot.neighbours(time), span, 1);
        }
        self.heap -= slot.heap();
        slot.see(time, border, span);
        self.heap += slot.heap();
        let (last, listed) = (slot.last, slot.listed);
        if listed < self.begin && last > listed {
            self.before.remove(&(listed, place));
            self.enlist(place, last);
        }
    }

    /// Lets the newest window begin at `begin` and forgets what was not seen since `border`. Returns how many values had
    /// to be forgotten although they were, for lack of room.
    pub(crate) fn settle(&mut self, begin: i64, border: i64, span: Span, room: Room) -> u64 {
        self.begin = begin;
        while let Some((listed, place)) = self.inside.first().copied().filter(|(listed, _)| *listed < begin) {
            self.inside.remove(&(listed, place));
            let last = self.slots.get(place as usize).map_or(listed, |it| it.last);
            self.enlist(place, last);
        }
        // After a late event a session may begin earlier.
        while let Some((listed, place)) = self.before.last().copied().filter(|(listed, _)| *listed >= begin) {
            self.before.remove(&(listed, place));
            self.enlist(place, listed);
        }
        while let Some((_, place)) = self.before.first().copied().filter(|(listed, _)| *listed < border) {
            self.before.pop_first();
            self.forget(place);
        }
        if let Some(cover) = &mut self.cover {
            cover.forget_until(border.saturating_add(span.window), span);
        }
        let mut forgotten = 0;
        let needed = |it: &Self| it.len() * (size_of::<Slot>() + ORDER_BYTES) + it.heap;
        while self.len() > room.values || (needed(self) > room.bytes && self.len() > 1) {
            let Some((listed, place)) = self.before.pop_first().or_else(|| self.inside.pop_first()) else { break };
            let Some(slot) = self.slots.get(place as usize) else { continue };
            if slot.last > listed {
                let last = slot.last;
                self.enlist(place, last);
                continue;
            }
            if let Some(cover) = &mut self.cover {
                let mut before = None;
                for time in slot.earlier.iter().chain([&slot.last]) {
                    cover.change(*time, (before, None), span, -1);
                    before = Some(*time);
                }
            }
            self.forget(place);
            forgotten += 1;
        }
        forgotten
    }

    /// Gives up the place of a value that stands in no order any more.
    fn forget(&mut self, place: u32) {
        let Some(slot) = self.slots.get_mut(place as usize) else { return };
        let hash = self.hasher.hash_one(slot.text.as_slice());
        self.heap -= slot.heap();
        *slot = Slot::default();
        if let Ok(entry) = self.by_text.find_entry(hash, |it| *it == place) {
            entry.remove();
        }
        self.recent.retain(|it| *it != place);
        self.free.push(place);
    }

    /// Gives back memory once most places are empty. Returns the new place of each old one.
    pub(crate) fn compact(&mut self) -> Option<Vec<u32>> {
        if self.slots.len() < EXACT_MAX || self.len() >= self.slots.len() / 4 {
            return None;
        }
        let mut is_free = vec![false; self.slots.len()];
        for place in std::mem::take(&mut self.free) {
            if let Some(it) = is_free.get_mut(place as usize) {
                *it = true;
            }
        }
        let mut moved = vec![ValuePlace::SEVERAL.0; self.slots.len()];
        let mut slots = Vec::new();
        for ((slot, is_free), place) in std::mem::take(&mut self.slots).into_iter().zip(is_free).zip(&mut moved) {
            if !is_free {
                *place = slots.len() as u32;
                slots.push(slot);
            }
        }
        let new_place = |old: u32| moved.get(old as usize).copied().unwrap_or(ValuePlace::SEVERAL.0);
        self.inside = std::mem::take(&mut self.inside).into_iter().map(|(time, it)| (time, new_place(it))).collect();
        self.before = std::mem::take(&mut self.before).into_iter().map(|(time, it)| (time, new_place(it))).collect();
        self.recent.iter_mut().for_each(|it| *it = new_place(*it));
        self.slots = slots;
        self.by_text = HashTable::new();
        (0..self.slots.len() as u32).for_each(|it| self.index(it));
        Some(moved)
    }

    /// Takes in the values of another run of time as far as they are not older than `border`. Returns the new place of
    /// each old one. [`settle`](Self::settle) comes next.
    pub(crate) fn absorb(&mut self, other: &Self, border: i64, span: Span) -> Vec<u32> {
        let mut moved = vec![ValuePlace::SEVERAL.0; other.slots.len()];
        for (_, old) in other.before.iter().chain(&other.inside) {
            let Some(slot) = other.slots.get(*old as usize) else { continue };
            for time in slot.earlier.iter().chain([&slot.last]).filter(|it| **it >= border) {
                let place = self.add(slot.text.as_slice(), *time, border, span);
                if let Some(it) = moved.get_mut(*old as usize) {
                    *it = place.0;
                }
            }
        }
        moved
    }

    /// Whether late events are judged at instants, because there is too much for looking at every event.
    pub(crate) fn is_coarse(&self) -> bool {
        self.cover.is_some()
    }

    /// Begins to keep the counts of the past at instants.
    pub(crate) fn coarsen(&mut self, border: i64, span: Span) {
        let mut cover = Cover::new(span, border.saturating_add(span.window));
        let slots = self.inside.iter().chain(&self.before).filter_map(|(_, place)| self.slots.get(*place as usize));
        for slot in slots {
            let mut before = None;
            for time in slot.earlier.iter().chain([&slot.last]).filter(|it| **it >= border) {
                cover.change(*time, (before, None), span, 1);
                before = Some(*time);
            }
        }
        self.cover = Some(Box::new(cover));
    }

    /// Looks at every event again.
    pub(crate) fn refine(&mut self) {
        self.cover = None;
    }

    /// Calls `visit` with the end of every window that ends from `from` to `until`, and how many different values it holds:
    /// for an event that came late. The latest first. In a crowded group, the ends are instants. `session` is when the run
    /// began that they belong to.
    pub(crate) fn windows_between(
        &self,
        log: &EventLog<ValuePlace>,
        (from, until, newest): (i64, i64, i64),
        (span, session): (Span, i64),
        mut visit: impl FnMut(i64, u64),
    ) {
        if let Some(cover) = &self.cover {
            if newest <= until {
                visit(newest, self.inside());
            }
            // In sessions windows begin anywhere; instants cannot tell.
            if !matches!(span.mode, Mode::Session { .. }) {
                cover.visit(from, until.min(newest.saturating_sub(1)), span, &mut visit);
            }
            return;
        }
        let mut count = self.inside.len();
        let mut known = (self.begin, newest);
        let mut touched: Vec<u32> = Vec::new();
        let mut leaving = log.entries().rev().peekable();
        let mut entering = log.entries().rev().skip_while(|it| it.first >= self.begin).peekable();
        let mut visited = None;
        for end in log.entries().rev().map(|it| it.last).skip_while(|it| *it > until).take_while(|it| *it >= from) {
            if visited.replace(end) == Some(end) {
                continue;
            }
            let begin = span.begin(end, session);
            touched.clear();
            touched.extend(std::iter::from_fn(|| leaving.next_if(|it| it.last > end)).map(|it| it.payload.0));
            touched.extend(std::iter::from_fn(|| entering.next_if(|it| it.first >= begin)).map(|it| it.payload.0));
            touched.sort_unstable();
            touched.dedup();
            for slot in touched.iter().filter_map(|it| self.slots.get(*it as usize)) {
                count += usize::from(slot.is_in(begin, end));
                count = count.saturating_sub(usize::from(slot.is_in(known.0, known.1)));
            }
            known = (begin, end);
            visit(end, count as u64);
        }
    }
}

impl PartialEq for Values {
    /// By what a checkpoint keeps.
    fn eq(&self, other: &Self) -> bool {
        let Self { slots, free, begin, recent, cover, .. } = self;
        (slots, free, begin, recent, cover) == (&other.slots, &other.free, &other.begin, &other.recent, &other.cover)
    }
}

/// What a checkpoint keeps; the rest follows from it.
#[derive(Serialize, Deserialize)]
struct StoredValues<S, P, C> {
    slots: S,
    free: P,
    begin: i64,
    recent: P,
    cover: C,
}

/// As it is read.
type ReadValues = StoredValues<Vec<Slot>, Vec<u32>, Option<Box<Cover>>>;

impl Serialize for Values {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { slots, free, begin, recent, cover, .. } = self;
        StoredValues { slots, free, begin: *begin, recent, cover }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReadValues::deserialize(deserializer).map(Self::from)
    }
}

impl From<ReadValues> for Values {
    fn from(stored: ReadValues) -> Self {
        let StoredValues { slots, free, begin, recent, cover } = stored;
        let mut is_free = vec![false; slots.len()];
        // A damaged checkpoint may name places that are none.
        let free: Vec<u32> = free
            .into_iter()
            .filter(|it| is_free.get_mut(*it as usize).is_some_and(|it| !std::mem::replace(it, true)))
            .collect();
        let mut values =
            Self { heap: slots.iter().map(Slot::heap).sum(), slots, free, begin, recent, cover, ..Self::default() };
        for (place, _) in is_free.iter().enumerate().filter(|(_, is_free)| !**is_free) {
            let listed = values.slots.get(place).map_or(0, |it| it.listed);
            values.enlist(place as u32, listed);
            values.index(place as u32);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{EventId, FrameId};
    use proptest::prelude::*;

    use super::super::log::Stamp;
    use super::*;

    const SPAN: Span = Span { window: 100, reach: 1_000, mode: Mode::Sliding };
    const ROOM: Room = Room { values: 4_096, bytes: 1 << 24 };

    /// Values and the log of when they came, as a track has them.
    #[derive(Default)]
    struct Bench {
        values: Values,
        log: EventLog<ValuePlace>,
        newest: Option<i64>,
        forgotten: u64,
    }

    impl Bench {
        fn add(&mut self, value: &str, time: i64, span: Span, room: Room) {
            let newest = self.newest.map_or(time, |it| it.max(time));
            let (begin, border) = (span.begin(newest, 0), newest - span.reach);
            self.newest = Some(newest);
            if self.log.is_crowded() && !self.values.is_coarse() {
                self.values.coarsen(border, span);
            }
            let place = self.values.add(value.as_bytes(), time, border, span);
            let id = EventId { frame: FrameId(1), index: 0 };
            self.log.add(Stamp { time, id, times: 1, fresh: 1 }, place, span);
            self.log.settle(begin, border, span);
            self.forgotten += self.values.settle(begin, border, span, room);
            if let Some(moved) = self.values.compact() {
                self.log.for_each_payload(|it| it.0 = moved.get(it.0 as usize).copied().unwrap_or(u32::MAX));
            }
        }

        fn windows(&self, from: i64, until: i64, span: Span) -> Vec<(i64, u64)> {
            let mut windows = Vec::new();
            let times = (from, until, self.newest.unwrap());
            self.values.windows_between(&self.log, times, (span, 0), |end, count| windows.push((end, count)));
            windows
        }
    }

    fn bench_of(seen: &[(i64, u8)]) -> Bench {
        let mut bench = Bench::default();
        seen.iter().for_each(|(time, value)| bench.add(&value.to_string(), *time, SPAN, ROOM));
        bench
    }

    #[test]
    fn values_are_counted_once_and_leave_with_the_window() {
        let mut bench = bench_of(&[(0, 1), (10, 2), (20, 1), (110, 3)]);
        assert_eq!(bench.values.inside(), 3, "the window holds both of its borders");
        bench.add("3", 111, SPAN, ROOM);
        assert_eq!(bench.values.inside(), 2, "1 was seen again at 20; 2 has left");
        assert_eq!(bench.values.newest().collect::<Vec<_>>(), ["3", "1"]);
        bench.add("4", 1_020, SPAN, ROOM);
        assert_eq!((bench.values.inside(), bench.values.len()), (1, 3), "2 was last seen 1,010 ago");
    }

    #[test]
    fn a_repeated_value_costs_little() {
        let mut values = Values::default();
        for time in 0..10_000 {
            values.add(b"root", time, time - SPAN.reach, SPAN);
            values.settle(time - SPAN.window, time - SPAN.reach, SPAN, ROOM);
        }
        assert_eq!((values.len(), values.inside()), (1, 1));
        assert!(values.slots.iter().all(|it| it.earlier.len() <= 2 * 11 + 2), "{:?}", values.slots);
        assert!(values.bytes() < 1_000, "{}", values.bytes());
    }

    #[test]
    fn the_value_seen_longest_ago_is_forgotten_first_and_counted() {
        let span = Span { window: 100_000, reach: 200_000, ..SPAN };
        let mut bench = Bench::default();
        for time in 0..ROOM.values as i64 {
            bench.add(&format!("u{time}"), time, span, ROOM);
        }
        // Seen again: it is not the oldest any more, although it stands first in the order.
        bench.add("u0", 5_000, span, ROOM);
        assert_eq!(bench.forgotten, 0);
        (0..3).for_each(|it| bench.add(&format!("new{it}"), 5_001 + it, span, ROOM));
        assert_eq!((bench.forgotten, bench.values.len()), (3, ROOM.values));
        let known = |text: &str| bench.values.find(text.as_bytes()).is_some();
        assert!(known("u0") && !known("u1") && !known("u2") && !known("u3") && known("u4"));
        // By memory as well.
        bench.add("x", 5_010, span, Room { bytes: 100_000, ..ROOM });
        assert!((900..=1_100).contains(&bench.values.len()), "{}", bench.values.len());
    }

    #[test]
    fn empty_places_are_given_back() {
        let mut bench = Bench::default();
        (0..4_000).for_each(|it| bench.add(&format!("u{it}"), 0, SPAN, ROOM));
        let full = bench.values.bytes();
        (0..20).for_each(|it| bench.add(&format!("v{it}"), 1_000 + it % 2, SPAN, ROOM));
        assert_eq!((bench.values.len(), bench.values.inside()), (20, 20));
        assert!(bench.values.bytes() < full / 50, "{} of {full}", bench.values.bytes());
        bench.add("v3", 1_002, SPAN, ROOM);
        assert_eq!(bench.values.inside(), 20);
    }

    #[test]
    fn long_values_that_begin_alike_stay_different() {
        let long = "x".repeat(VALUE_BYTES_MAX);
        assert_ne!(kept(&format!("{long}a")), kept(&format!("{long}b")));
        assert_eq!(kept(&long), long);
    }

    /// What a crowded group says of the past must never be more than the truth, and little less.
    #[test]
    fn instants_of_a_crowded_group_are_near_the_truth() {
        for mode in [Mode::Sliding, Mode::Tumbling] {
            let span = Span { window: 6_400, reach: 20_000, mode };
            let mut bench = Bench::default();
            let mut seen: Vec<(i64, String)> = Vec::new();
            let mut state = 1_u64;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            for step in 0..6_000_i64 {
                let late = if step % 5 == 0 { random(13_000) as i64 } else { 0 };
                let (time, value) = (step * 5 - late, format!("u{}", random(3_000)));
                bench.add(&value, time, span, ROOM);
                seen.push((time, value));
            }
            assert!(bench.values.is_coarse() && bench.forgotten == 0);
            let newest = bench.newest.unwrap();
            let truth = |end: i64, shorter: i64| {
                let begin = span.begin(end, 0) + shorter;
                let inside = seen.iter().filter(|(time, _)| (begin..=end).contains(time)).map(|(_, value)| value);
                inside.collect::<BTreeSet<_>>().len() as u64
            };
            let windows = bench.windows(newest - span.lateness(), newest, span);
            assert!(windows.len() > 100, "{}", windows.len());
            assert_eq!(windows[0], (newest, truth(newest, 0)));
            for (end, count) in &windows {
                assert_eq!(*count, truth(*end, 0), "{mode:?} at {end} of {newest}");
            }
            // Once the crowd is gone, every event counts again.
            bench.values.refine();
            assert!(!bench.values.is_coarse());
        }
    }

    proptest! {
        #[test]
        fn counts_in_any_order_are_those_of_the_sorted_events(
            seen in prop::collection::vec((0_i64..500, 0_u8..12), 1..80),
            tumbling in any::<bool>(),
        ) {
            let span = Span { mode: if tumbling { Mode::Tumbling } else { Mode::Sliding }, ..SPAN };
            let mut bench = Bench::default();
            seen.iter().for_each(|(time, value)| bench.add(&value.to_string(), *time, span, ROOM));
            let newest = bench.newest.unwrap();
            let in_window = |end: i64| {
                let inside = seen.iter().filter(|(time, _)| (span.begin(end, 0)..=end).contains(time));
                inside.map(|(_, it)| *it).collect::<BTreeSet<_>>().len() as u64
            };
            prop_assert_eq!(bench.values.inside(), in_window(newest));
            let (around, _) = *seen.last().unwrap();
            let until = span.until(around);
            let mut ends: Vec<i64> = seen.iter().map(|it| it.0).filter(|it| (around..=until).contains(it)).collect();
            ends.sort_unstable_by(|a, b| b.cmp(a));
            ends.dedup();
            let expected: Vec<(i64, u64)> = ends.iter().map(|end| (*end, in_window(*end))).collect();
            prop_assert_eq!(bench.windows(around, until, span), expected);
            let stored = postcard::to_stdvec(&bench.values).unwrap();
            let restored: Values = postcard::from_bytes(&stored).unwrap();
            prop_assert_eq!(&restored, &bench.values);
            prop_assert_eq!(restored.inside(), bench.values.inside());
            prop_assert_eq!(restored.bytes(), bench.values.bytes());
        }

        #[test]
        fn no_damage_in_what_was_stored_makes_it_panic(
            free in prop::collection::vec(0_u32..9, 0..9),
            recent in prop::collection::vec(0_u32..9, 0..9),
            begin in any::<i64>(),
            times in prop::collection::vec((any::<i64>(), any::<i64>()), 0..5),
        ) {
            let slots = times
                .iter()
                .map(|(last, listed)| Slot { text: b"x".as_slice().into(), last: *last, listed: *listed, earlier: Box::new([*listed]) })
                .collect();
            let mut values = Values::from(StoredValues { slots, free, begin, recent, cover: None });
            values.add(b"y", 5, -995, SPAN);
            values.settle(-95, -995, SPAN, ROOM);
            values.add(b"x", 4, -995, SPAN);
            values.settle(-95, -995, SPAN, Room { values: 1, bytes: 1 });
            prop_assert!(values.newest().count() <= 11);
        }
    }
}
