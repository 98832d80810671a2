//! Correlations: windows in event time, one set of them per group.
//!
//! What counts as one group is a rule's group-by values. A group has a *track* of time: a window that moves forward
//! with its newest event. Events that come up to [`WindowOptions::lateness_seconds`] late still find their place in
//! it. Events that are later than that (an archive is read while the present goes on) get a track of their own in the
//! same group instead of being dropped, so nobody can blind a rule with one event from the future; they are counted.
//!
//! # Where to look first
//! * `track.rs`: what an event does to a window, for every type of correlation.
//! * `log.rs` (when), `values.rs` (how many different), `payload.rs` and `measure.rs` (how much): what windows are made of.
//! * `groups.rs`: memory, and what is forgotten first. `group.rs`: how a small group is put away.
//!
//! # Invariants
//! * Nothing walks its window: an event in order costs the same however many are inside.
//! * Memory is bounded by [`WindowOptions::memory_bytes_max`] for all rules together, and by the constants of each file
//!   within a group; each says what is forgotten, and all that is forgotten is counted.
//! * What decides is the same after a restart: sizes go by content, never by what happens to be reserved; nothing is
//!   iterated in the order of hashes.

mod cover;
mod group;
mod groups;
mod key;
mod log;
mod measure;
mod payload;
mod small;
mod span;
mod track;
mod values;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use panoptes_model::{Event, Finding, Timestamp, Value};
use serde::{Deserialize, Serialize};

use self::group::Group;
pub use self::group::TRACKS_MAX;
use self::groups::{GroupId, Groups, StoredGroups};
pub(crate) use self::key::values as key_values;
pub(crate) use self::measure::Measure;
use self::measure::Number;
pub(crate) use self::span::Mode;
use self::span::Span;
pub(crate) use self::track::Pending;
use self::track::{Arrival, Counted, Outcome, Track};
pub(crate) use self::values::VALUES_MAX;
use self::values::{Room, kept};
use crate::finding::{self, Frame};
use crate::rules::{Body, Correlation, CorrelationKind, KeyField, RuleSet};
use crate::sigma;
use crate::stored::Sequence;

/// The field in which `normalize` says how many times what the record tells happened.
pub(crate) const REPEAT: &str = "panoptes.repeat";
/// How many events one record may stand for; more count as this many.
const REPEAT_MAX: u32 = 1_000;
/// How long after its reach a group that nobody touches is kept, by the clock. It would not count any more: this only
/// gives memory back.
const IDLE_NANOS: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;
/// How many different values a group may hold at least, however small the threshold is.
const VALUES_MIN: usize = 16_384;
/// How many small groups are left as they are for the next event of the frame, because taking out and putting away costs
/// more than adding. When one more is touched, the one that was opened first is put away.
const OPEN_MAX: usize = 64;
/// With less memory left, none is left open: nobody is forgotten for what would be small again.
const OPEN_SPARE_BYTES: usize = 128 << 10;
/// The least that [`WindowOptions::memory_bytes_max`] means.
const MEMORY_BYTES_MIN: usize = 1 << 20;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// How late an event may be, against the newest of its group, to be counted in the same window. Also how far
    /// clocks may differ from one another: times further ahead of the clock than five minutes are cut to that.
    pub lateness_seconds: u32,
    /// How much memory the groups of all rules may take together. Beyond, groups are forgotten and counted, those of the
    /// rule that takes up the most first, and of these the ones that are furthest from their threshold and were not
    /// touched for longest. A group of one event takes about 90 bytes. Less than 1 MiB means 1 MiB.
    pub memory_bytes_max: usize,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self { lateness_seconds: 300, memory_bytes_max: 64 << 20 }
    }
}

/// What was not counted as it should have been, since the start (all zero in a quiet life), and how full memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCounters {
    /// Events that came too late for their group's window and got one of their own.
    pub late: u64,
    /// Groups forgotten for lack of room.
    pub groups_forgotten: u64,
    /// Tracks forgotten for lack of room.
    pub tracks_forgotten: u64,
    /// Different values forgotten for lack of room.
    pub values_forgotten: u64,
    /// Matches that lack a group-by field or the field that is counted.
    pub without_field: u64,
    /// Matches whose value is no number (or none that is finite and below 2⁶³) although the rule wants one.
    pub not_numbers: u64,
    /// How many groups there are now, and how many bytes they are reckoned to take.
    pub groups: u64,
    pub memory_bytes: u64,
}

/// One correlation.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// Index of the rule.
    rule: u32,
    span: Span,
    room: Room,
}

impl Table {
    fn new(rule: u32, correlation: &Correlation, options: WindowOptions) -> Self {
        let lateness = i64::from(options.lateness_seconds).saturating_mul(Timestamp::NANOS_PER_SECOND);
        let window = correlation.timespan_nanos;
        let span = Span { window, reach: window.saturating_add(lateness), mode: correlation.window };
        let values = usize::try_from(correlation.most()).unwrap_or(usize::MAX).saturating_mul(2);
        // One group may fill half of all memory, and values of an ordinary length then fit as often as a rule may ask.
        let bytes = options.memory_bytes_max.max(MEMORY_BYTES_MIN) / 2;
        Self { rule, span, room: Room { values: values.clamp(VALUES_MIN, VALUES_MAX), bytes } }
    }
}

/// Time that has passed by the clocks of the frames: it never goes back, and a clock that jumps ahead ages nothing by
/// more than [`IDLE_NANOS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    now: Option<Timestamp>,
    passed: i64,
}

impl Clock {
    fn set(&mut self, now: Timestamp) {
        let step = self.now.map_or(0, |before| now.nanos_since(before));
        self.passed = self.passed.saturating_add(step.clamp(0, IDLE_NANOS));
        self.now = Some(now);
    }

    fn seconds(self) -> u32 {
        u32::try_from(self.passed / Timestamp::NANOS_PER_SECOND).unwrap_or(u32::MAX)
    }
}

/// One correlation in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredTable<R = String, G = StoredGroups> {
    rule: R,
    fingerprint: u128,
    groups: G,
}

/// What a checkpoint keeps of all windows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WindowState<T = Vec<StoredTable>> {
    tables: T,
    counters: WindowCounters,
    clock: Clock,
}

/// Why a correlation hears of an event.
enum Trigger {
    /// One of its single-event rules matched.
    Event,
    /// One of its correlations holds: its key, and what it told of.
    Group { key: Arc<[u8]>, told: u64, is_new: bool },
}

struct Due {
    correlation: u32,
    /// The rule that it hears of.
    member: u32,
    /// In which order it came up, of those for the same correlation and member.
    number: usize,
    trigger: Trigger,
}

impl Due {
    fn place(&self) -> (u32, u32, usize) {
        (self.correlation, self.member, self.number)
    }
}

/// The one that is settled first is the greatest.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        other.place().cmp(&self.place())
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Due {}

#[derive(Debug)]
pub(crate) struct Windows {
    /// By index of the rule: index of its table; `None` for single-event rules.
    places: Vec<Option<u16>>,
    tables: Vec<Table>,
    groups: Groups,
    memory_bytes_max: usize,
    clock: Clock,
    /// Groups that have something to tell at the end of the frame, in the order in which they got it.
    listed: Vec<GroupId>,
    /// Small groups of this frame that are not put away yet, the one that was opened longest ago first.
    open: VecDeque<GroupId>,
    counters: WindowCounters,
    key: Vec<u8>,
    value: String,
}

impl Windows {
    pub(crate) fn new(rules: &RuleSet, options: WindowOptions) -> Self {
        let mut tables = Vec::new();
        let places = rules.rules.iter().zip(0..).map(|(rule, index)| match &rule.body {
            Body::Correlation(correlation) => {
                tables.push(Table::new(index, correlation, options));
                Some((tables.len() - 1) as u16)
            }
            Body::Event(_) => None,
        });
        let places = places.collect();
        Self {
            places,
            groups: Groups::new(tables.iter().map(|it| it.span.reach)),
            tables,
            memory_bytes_max: options.memory_bytes_max.max(MEMORY_BYTES_MIN),
            clock: Clock::default(),
            listed: Vec::new(),
            open: VecDeque::new(),
            counters: WindowCounters::default(),
            key: Vec::new(),
            value: String::new(),
        }
    }

    pub(crate) fn counters(&self) -> WindowCounters {
        WindowCounters { groups: self.groups.len() as u64, memory_bytes: self.groups.bytes() as u64, ..self.counters }
    }

    /// Hears that `event` matches the single-event rule `rule`.
    pub(crate) fn observe(
        &mut self,
        out: &mut Vec<Finding>,
        rules: &RuleSet,
        frame: &Frame<'_>,
        event: Event<'_>,
        matched: &[u32],
    ) {
        let mut due: BinaryHeap<Due> = BinaryHeap::new();
        for member in matched {
            let feeds = rules.rule(*member).map_or(&[] as &[u32], |rule| &rule.feeds);
            for fed in feeds {
                let number = due.len();
                due.push(Due { correlation: *fed, member: *member, number, trigger: Trigger::Event });
            }
        }
        let mut number = due.len();
        let mut before = None;
        // Correlations come behind what they count, so the least is settled first and none is asked twice.
        while let Some(next) = due.pop() {
            let is_repeated = before == Some(next.correlation);
            let Some((key, outcome)) = self.arrive(out, rules, frame, event, &next, is_repeated) else { continue };
            before = Some(next.correlation);
            if !outcome.holds {
                continue;
            }
            let feeds = rules.rule(next.correlation).map_or(&[] as &[u32], |rule| &rule.feeds);
            for fed in feeds {
                number += 1;
                let trigger = Trigger::Group { key: Arc::clone(&key), told: outcome.told, is_new: outcome.is_new };
                due.push(Due { correlation: *fed, member: next.correlation, number, trigger });
            }
        }
    }

    /// One event (or one correlation that holds) arrives at one correlation. Returns the group's key (if anybody hears of
    /// it) and what came of it, if it was counted.
    fn arrive(
        &mut self,
        out: &mut Vec<Finding>,
        rules: &RuleSet,
        frame: &Frame<'_>,
        event: Event<'_>,
        due: &Due,
        is_repeated: bool,
    ) -> Option<(Arc<[u8]>, Outcome)> {
        let rule = rules.rule(due.correlation)?;
        let Body::Correlation(correlation) = &rule.body else { return None };
        // An event that matches two rules of a count is still one event, and a correlation that goes on holding does
        // not happen again and again.
        if !correlation.kind.is_temporal()
            && (is_repeated || matches!(due.trigger, Trigger::Group { is_new: false, .. }))
        {
            return None;
        }
        let (position, member) = correlation.members.iter().enumerate().find(|(_, it)| it.rule == due.member)?;
        let (mut key, mut value) = (std::mem::take(&mut self.key), std::mem::take(&mut self.value));
        key.clear();
        value.clear();
        let is_complete = write_fields(event, &member.key, &due.trigger, |text| key::push(&mut key, text))
            && write_fields(event, &member.values, &due.trigger, |text| {
                if !value.is_empty() {
                    value.push('\u{1f}');
                }
                value.push_str(text);
            });
        let mut arrived = None;
        if !is_complete {
            self.counters.without_field += 1;
        } else if let Some(counted) = counted_of(correlation, &value) {
            let (times, fresh) = match due.trigger {
                Trigger::Event => (times_of(event, frame), u64::from(!is_repeated)),
                Trigger::Group { told, .. } => (1, told),
            };
            let arrival = Arrival {
                stamp: group::stamp(event.time().0, event.id(), times, fresh),
                index: event.id().index,
                member: position,
                counted: match &counted {
                    Kept::Event => Counted::Event,
                    Kept::Text(text) => Counted::Text(text.as_bytes()),
                    Kept::Number(number) => Counted::Number(*number),
                },
            };
            let outcome = self.add(out, rules, frame, due.correlation, correlation, &key, arrival);
            let heard = outcome.as_ref().is_some_and(|it| it.holds && !rule.feeds.is_empty());
            arrived = outcome.map(|it| (if heard { Arc::from(key.as_slice()) } else { Arc::default() }, it));
        } else {
            self.counters.not_numbers += 1;
        }
        (self.key, self.value) = (key, value);
        arrived
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one arrival, used once")]
    fn add(
        &mut self,
        out: &mut Vec<Finding>,
        rules: &RuleSet,
        frame: &Frame<'_>,
        rule: u32,
        correlation: &Correlation,
        key: &[u8],
        arrival: Arrival<'_>,
    ) -> Option<Outcome> {
        let place = (*self.places.get(rule as usize)?)?;
        let Table { span, room, .. } = *self.tables.get(usize::from(place))?;
        let within = track::Frame { correlation, span, room };
        self.clock.set(frame.now);
        let id = self.groups.find_or_add(u32::from(place), key);
        let mut group = self.groups.take(id)?.whole(within);
        let added = group.add(within, arrival);
        let mut outcome = added.outcome;
        self.counters.late += u64::from(added.is_late);
        self.counters.values_forgotten += outcome.values_forgotten;
        if let Some(mut forgotten) = added.forgotten {
            self.counters.tracks_forgotten += 1;
            if let Some(pending) = forgotten.pending.take() {
                tell(out, rules, frame, rule, key, &forgotten, &pending);
            }
        }
        if let Some(complete) = outcome.complete.take()
            && let Some(track) = group.current()
        {
            tell(out, rules, frame, rule, key, track, &complete);
        }
        if group.has_pending() && self.groups.list(id) {
            self.listed.push(id);
        }
        let level = group.current().map_or(0, |it| it.level(within));
        let stays_open = group.may_be_small() && self.groups.bytes() + OPEN_SPARE_BYTES <= self.memory_bytes_max;
        let body = if stays_open { group::Body::Whole(group) } else { group.put_away() };
        self.groups.put(id, body, level, self.clock.seconds());
        if stays_open && self.groups.open(id) {
            self.open.push_back(id);
            if self.open.len() > OPEN_MAX
                && let Some(oldest) = self.open.pop_front()
            {
                self.groups.close(oldest);
            }
        }
        if self.groups.bytes() > self.memory_bytes_max {
            self.close();
        }
        while self.groups.bytes() > self.memory_bytes_max {
            let Some(removed) = self.groups.forget(id, arrival.stamp.time) else { break };
            self.counters.groups_forgotten += 1;
            if let group::Body::Whole(mut group) = removed.body
                && let Some(table) = self.tables.get(removed.rule as usize)
            {
                tell_all(out, rules, frame, table.rule, removed.key.as_slice(), &mut group);
            }
        }
        Some(outcome)
    }

    /// Puts all groups away that can be.
    fn close(&mut self) {
        while let Some(id) = self.open.pop_front() {
            self.groups.close(id);
        }
    }

    /// Tells what the frame has left to tell, and gives back the memory of groups that nobody touches any more.
    pub(crate) fn end_frame(&mut self, out: &mut Vec<Finding>, rules: &RuleSet, frame: &Frame<'_>) {
        self.clock.set(frame.now);
        self.close();
        for id in std::mem::take(&mut self.listed) {
            // A group that was forgotten since has told what it had.
            let Some((place, key)) = self.groups.unlist(id) else { continue };
            let Some(table) = self.tables.get(place as usize) else { continue };
            let Some(mut body) = self.groups.take(id) else { continue };
            if let group::Body::Whole(mut group) = body {
                tell_all(out, rules, frame, table.rule, key.as_slice(), &mut group);
                body = group.put_away();
            }
            self.groups.put_back(id, body);
        }
        let seconds = self.clock.seconds();
        self.groups.remove_idle(|reach| {
            let kept = reach.saturating_add(IDLE_NANOS) / Timestamp::NANOS_PER_SECOND;
            seconds.saturating_sub(u32::try_from(kept).unwrap_or(u32::MAX))
        });
        self.groups.compact();
    }

    /// Each table with its place, and its rule's id and fingerprint.
    fn identities<'r>(&self, rules: &'r RuleSet) -> impl Iterator<Item = (u32, &'r str, u128)> {
        self.tables.iter().zip(0..).filter_map(|(table, place)| {
            let rule = rules.rule(table.rule)?;
            let Body::Correlation(correlation) = &rule.body else { return None };
            Some((place, rule.meta.summary.id.as_str(), correlation.fingerprint))
        })
    }

    /// Written as a [`WindowState`].
    pub(crate) fn state<'w>(&'w self, rules: &'w RuleSet) -> impl Serialize + 'w {
        let tables = Sequence(move || {
            self.identities(rules).filter_map(|(place, rule, fingerprint)| {
                Some(StoredTable { rule, fingerprint, groups: self.groups.stored(place)? })
            })
        });
        WindowState { tables, counters: self.counters, clock: self.clock }
    }

    /// Takes over from `before`, which counted under other rules. What belongs to rules that are gone or have changed is
    /// dropped.
    pub(crate) fn take_over(&mut self, rules: &RuleSet, mut before: Self, rules_before: &RuleSet) {
        (self.counters, self.clock) = (before.counters, before.clock);
        let known: Vec<(u32, &str, u128)> = before.identities(rules_before).collect();
        for (place_before, rule, fingerprint) in known {
            let place = self.identities(rules).find(|it| (it.1, it.2) == (rule, fingerprint)).map(|it| it.0);
            if let Some(place) = place {
                self.groups.restore(place, before.groups.take_rule(place_before));
            }
        }
    }

    /// Continues from `state`. What belongs to rules that have changed since is dropped.
    pub(crate) fn restore(rules: &RuleSet, options: WindowOptions, state: WindowState) -> Self {
        let mut windows = Self::new(rules, options);
        (windows.counters, windows.clock) = (state.counters, state.clock);
        for stored in state.tables {
            let is_it = |it: &(u32, &str, u128)| (it.1, it.2) == (stored.rule.as_str(), stored.fingerprint);
            let place = windows.identities(rules).find(is_it).map(|it| it.0);
            if let Some(place) = place {
                windows.groups.restore(place, stored.groups);
            }
        }
        windows
    }
}

/// What is counted of an event, owned if it had to be shortened.
enum Kept<'v> {
    Event,
    Text(std::borrow::Cow<'v, str>),
    Number(Number),
}

/// What `correlation` counts of an event whose counted fields say `value`. `None`: it wants a number, and this is none.
fn counted_of<'v>(correlation: &Correlation, value: &'v str) -> Option<Kept<'v>> {
    Some(match correlation.kind {
        CorrelationKind::ValueCount => Kept::Text(kept(value)),
        kind if kind.is_numeric() => Kept::Number(Number::parse(value)?),
        _ => Kept::Event,
    })
}

/// How often an event counts: a record may say that it stands for several (`message repeated 5 times`).
fn times_of(event: Event<'_>, frame: &Frame<'_>) -> u32 {
    match frame.repeat.and_then(|it| event.get(it)) {
        Some(Value::Integer(times)) => times.clamp(1, i64::from(REPEAT_MAX)) as u32,
        _ => 1,
    }
}

/// Calls `write` with the text of each field; `false` if one is missing.
fn write_fields(event: Event<'_>, fields: &[KeyField], trigger: &Trigger, mut write: impl FnMut(&str)) -> bool {
    fields.iter().all(|field| {
        let text = match (field, trigger) {
            (KeyField::Event(names), _) => {
                let mut texts = names.iter().filter_map(|name| sigma::field_text(event, name));
                texts.find(|it| !it.is_empty())
            }
            (KeyField::Group(position), Trigger::Group { key, .. }) => key::values(key).nth(*position).map(Into::into),
            (KeyField::Group(_), Trigger::Event) => None,
        };
        text.filter(|it| !it.is_empty()).is_some_and(|it| {
            write(&it);
            true
        })
    })
}

/// Tells what all tracks of a group still have to tell.
fn tell_all(out: &mut Vec<Finding>, rules: &RuleSet, frame: &Frame<'_>, rule: u32, key: &[u8], group: &mut Group) {
    for (pending, track) in group.take_pending() {
        tell(out, rules, frame, rule, key, track, &pending);
    }
}

/// Makes the finding of `pending`.
fn tell(
    out: &mut Vec<Finding>,
    rules: &RuleSet,
    frame: &Frame<'_>,
    rule: u32,
    key: &[u8],
    track: &Track,
    pending: &Pending,
) {
    if rules.rule(rule).is_some_and(|it| it.meta.reports) {
        let values: Vec<&str> = track.newest_values().collect();
        out.extend(finding::of_group(rules, rule, key, &values, pending, frame));
    }
}
