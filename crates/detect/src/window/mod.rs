//! Correlations: sliding windows in event time, one set of them per group.
//!
//! What counts as one group is a rule's group-by values. A group has a *track* of time: a window that moves forward
//! with its newest event. Events that come up to [`WindowOptions::lateness_seconds`] late still find their place in
//! it. Events that are later than that (an archive is read while the present goes on) get a track of their own in the
//! same group instead of being dropped, so nobody can blind a rule with one event from the future; they are counted.
//!
//! Memory is bounded by groups per rule, weight per rule, entries per window, values per window and tracks per group,
//! each a constant below or in the file of its kind, each with its order of forgetting and a counter.
//!
//! The groups of a rule are split into [`SHARDS`] by a hash of their key, and whatever is forgotten is forgotten
//! within a shard: results do not depend on how many threads work on them.

mod distinct;
mod groups;
mod key;
mod log;
mod track;

use std::sync::Arc;

use panoptes_model::{Event, Finding, Timestamp, Value, content_hash};
use serde::{Deserialize, Serialize};

pub(crate) use self::distinct::VALUES_MAX;
use self::groups::{GroupId, Groups};
pub(crate) use self::key::values as key_values;
use self::log::Span;
pub(crate) use self::track::Pending;
use self::track::{Arrival, Outcome, Track};
use crate::finding::{self, Frame};
use crate::rules::{Body, Correlation, CorrelationKind, KeyFields, RuleSet};
use crate::sigma;

/// Into how many parts the groups of a rule are split. Part of the meaning of a checkpoint.
const SHARDS: usize = 16;
/// How many groups one rule keeps. When one more comes, the one in its shard that was touched longest ago is
/// forgotten and counted.
pub const GROUPS_MAX: usize = 8_192;
/// How many entries (48 bytes each) all groups of one rule hold together; beyond, groups are forgotten in the same
/// order.
pub const ENTRIES_MAX: usize = 262_144;
/// How many runs of time one group keeps. When one more is needed, the one that was touched longest ago is forgotten
/// and counted.
pub const TRACKS_MAX: usize = 4;
/// The field in which `normalize` says how many times what the record tells happened.
pub(crate) const REPEAT: &str = "panoptes.repeat";
/// How many events one record may stand for; more count as this many.
const REPEAT_MAX: u32 = 1_000;
/// How many values a finding of `value_count` shows.
const VALUES_SHOWN_MAX: usize = 10;
/// How long after its reach a group that nobody touches is kept, by the clock. It would not count any more: this only
/// gives memory back.
const IDLE_NANOS: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// How late an event may be, against the newest of its group, to be counted in the same window. Also how far
    /// clocks may differ from one another: times further ahead of the clock than five minutes are cut to that.
    pub lateness_seconds: u32,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self { lateness_seconds: 300 }
    }
}

/// What was not counted as it should have been, since the start. All zero in a quiet life.
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
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Group {
    /// The clock when it was last touched.
    touched: Timestamp,
    /// The one that was touched longest ago first.
    tracks: Vec<Track>,
    /// Whether it is among those to be flushed.
    #[serde(skip)]
    is_listed: bool,
}

impl Group {
    fn weight(&self) -> usize {
        self.tracks.iter().map(Track::weight).sum()
    }

    /// The track that an event at `time` belongs to: the latest that it is not too late for.
    fn track_of(&self, time: i64, span: Span) -> Option<usize> {
        let fits = |track: &Track| time >= track.newest.saturating_sub(span.reach);
        let candidates = self.tracks.iter().enumerate().filter(|(_, track)| fits(track));
        candidates.max_by_key(|(_, track)| track.newest).map(|(index, _)| index)
    }
}

#[derive(Debug)]
struct Shard {
    groups: Groups<Group>,
    weight: usize,
}

/// The state of one correlation.
#[derive(Debug)]
struct Table {
    span: Span,
    shards: Vec<Shard>,
}

impl Table {
    fn new(correlation: &Correlation, options: WindowOptions) -> Self {
        let lateness = i64::from(options.lateness_seconds).saturating_mul(Timestamp::NANOS_PER_SECOND);
        let window = correlation.timespan_nanos;
        let shards = (0..SHARDS).map(|_| Shard { groups: Groups::new(), weight: 0 }).collect();
        Self { span: Span { window, reach: window.saturating_add(lateness) }, shards }
    }

    fn shard_of(key: &[u8]) -> usize {
        (content_hash(&[key]) % SHARDS as u128) as usize
    }
}

/// One correlation in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredTable {
    rule: String,
    fingerprint: u128,
    /// Key and group, the one that was touched longest ago first.
    groups: Vec<(Vec<u8>, Group)>,
}

/// What a checkpoint keeps of all windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowState {
    tables: Vec<StoredTable>,
    counters: WindowCounters,
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
    trigger: Trigger,
}

#[derive(Debug)]
pub(crate) struct Windows {
    /// By index of the rule; `None` for single-event rules.
    tables: Vec<Option<Table>>,
    /// Groups that have something to tell at the end of the frame, in the order in which they got it.
    listed: Vec<(u32, usize, GroupId)>,
    counters: WindowCounters,
    key: Vec<u8>,
    value: String,
}

impl Windows {
    pub(crate) fn new(rules: &RuleSet, options: WindowOptions) -> Self {
        let tables = rules.rules.iter().map(|rule| match &rule.body {
            Body::Correlation(correlation) => Some(Table::new(correlation, options)),
            Body::Event(_) => None,
        });
        Self {
            tables: tables.collect(),
            listed: Vec::new(),
            counters: WindowCounters::default(),
            key: Vec::new(),
            value: String::new(),
        }
    }

    pub(crate) fn counters(&self) -> WindowCounters {
        self.counters
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
        let mut due: Vec<Due> = Vec::new();
        for member in matched {
            let feeds = rules.rule(*member).map_or(&[] as &[u32], |rule| &rule.feeds);
            due.extend(feeds.iter().map(|fed| Due { correlation: *fed, member: *member, trigger: Trigger::Event }));
        }
        let mut before = None;
        // Correlations come behind what they count, so the least is settled first and none is asked twice.
        while let Some(at) = (0..due.len()).min_by_key(|it| due.get(*it).map(|due| (due.correlation, due.member))) {
            let next = due.swap_remove(at);
            let is_repeated = before == Some(next.correlation);
            before = Some(next.correlation);
            let Some((key, outcome)) = self.arrive(out, rules, frame, event, &next, is_repeated) else { continue };
            if !outcome.holds {
                continue;
            }
            let feeds = rules.rule(next.correlation).map_or(&[] as &[u32], |rule| &rule.feeds);
            if !feeds.is_empty() {
                let key: Arc<[u8]> = key.into();
                due.extend(feeds.iter().map(|fed| Due {
                    correlation: *fed,
                    member: next.correlation,
                    trigger: Trigger::Group { key: Arc::clone(&key), told: outcome.told, is_new: outcome.is_new },
                }));
            }
        }
    }

    /// One event (or one correlation that holds) arrives at one correlation. Returns the group's key if it was
    /// counted.
    fn arrive(
        &mut self,
        out: &mut Vec<Finding>,
        rules: &RuleSet,
        frame: &Frame<'_>,
        event: Event<'_>,
        due: &Due,
        is_repeated: bool,
    ) -> Option<(Vec<u8>, Outcome)> {
        let Body::Correlation(correlation) = &rules.rule(due.correlation)?.body else { return None };
        let counts = matches!(correlation.kind, CorrelationKind::EventCount | CorrelationKind::ValueCount);
        // An event that matches two rules of a count is still one event, and a correlation that goes on holding does
        // not happen again and again.
        if counts && (is_repeated || matches!(due.trigger, Trigger::Group { is_new: false, .. })) {
            return None;
        }
        let (position, member) = correlation.members.iter().enumerate().find(|(_, it)| it.rule == due.member)?;
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        self.value.clear();
        let is_complete = write_key(&mut key, event, &member.key, &due.trigger)
            && write_value(&mut self.value, event, &member.values, &due.trigger);
        if !is_complete {
            self.counters.without_field += 1;
            self.key = key;
            return None;
        }
        let fresh = match due.trigger {
            Trigger::Event => u64::from(!is_repeated),
            Trigger::Group { told, .. } => told,
        };
        let times = match due.trigger {
            Trigger::Event => times_of(event),
            Trigger::Group { .. } => 1,
        };
        let value = std::mem::take(&mut self.value);
        let arrival = Arrival {
            time: event.time().0,
            id: event.id(),
            index: event.id().index,
            member: position,
            times,
            fresh,
            value: (correlation.kind == CorrelationKind::ValueCount).then_some(value.as_str()),
        };
        let outcome = self.add(out, rules, frame, due.correlation, correlation, &key, arrival);
        self.value = value;
        let kept = outcome.map(|it| (key.clone(), it));
        self.key = key;
        kept
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
        let table = self.tables.get_mut(rule as usize)?.as_mut()?;
        let span = table.span;
        let shard_index = Table::shard_of(key);
        let shard = table.shards.get_mut(shard_index)?;
        let id = match shard.groups.touch(key) {
            Some(id) => id,
            None => {
                if shard.groups.len() >= GROUPS_MAX / SHARDS {
                    forget_oldest(out, rules, frame, rule, shard, &mut self.counters);
                }
                let group = Group { touched: frame.now, tracks: Vec::new(), is_listed: false };
                shard.groups.insert(key, group)
            }
        };
        let (_, group) = shard.groups.get_mut(id)?;
        let weight_before = group.weight();
        group.touched = frame.now;
        let track = match group.track_of(arrival.time, span) {
            Some(index) => group.tracks.remove(index),
            None => {
                if !group.tracks.is_empty() {
                    self.counters.late += 1;
                }
                if group.tracks.len() >= TRACKS_MAX {
                    self.counters.tracks_forgotten += 1;
                    let mut forgotten = group.tracks.remove(0);
                    tell(out, rules, frame, rule, key, &mut forgotten, None);
                }
                Track::new(correlation, arrival.time)
            }
        };
        // Behind all others: it is the one that was touched last.
        group.tracks.push(track);
        let track = group.tracks.last_mut()?;
        let mut outcome = track.add(correlation, span, arrival);
        self.counters.values_forgotten += outcome.values_forgotten;
        if let Some(complete) = outcome.complete.take() {
            tell(out, rules, frame, rule, key, track, Some(complete));
        }
        if track.pending.is_some() && !group.is_listed {
            group.is_listed = true;
            self.listed.push((rule, shard_index, id));
        }
        shard.weight = (shard.weight + group.weight()).saturating_sub(weight_before);
        while shard.weight > ENTRIES_MAX / SHARDS && shard.groups.len() > 1 {
            forget_oldest(out, rules, frame, rule, shard, &mut self.counters);
        }
        Some(outcome)
    }

    /// Tells what the frame has left to tell, and gives back the memory of groups that nobody touches any more.
    pub(crate) fn end_frame(&mut self, out: &mut Vec<Finding>, rules: &RuleSet, frame: &Frame<'_>) {
        for (rule, shard, id) in std::mem::take(&mut self.listed) {
            let table = self.tables.get_mut(rule as usize).and_then(Option::as_mut);
            let Some(shard) = table.and_then(|it| it.shards.get_mut(shard)) else { continue };
            // A group that was forgotten since has told what it had.
            let Some((key, group)) = shard.groups.get_mut(id) else { continue };
            group.is_listed = false;
            for track in &mut group.tracks {
                tell(out, rules, frame, rule, key, track, None);
            }
        }
        for table in self.tables.iter_mut().flatten() {
            let border = frame.now.saturating_add_nanos(-table.span.reach.saturating_add(IDLE_NANOS));
            for shard in &mut table.shards {
                while shard.groups.oldest().is_some_and(|group| group.touched < border) {
                    if let Some((_, group)) = shard.groups.remove_oldest() {
                        shard.weight = shard.weight.saturating_sub(group.weight());
                    }
                }
            }
        }
    }

    pub(crate) fn state(&self, rules: &RuleSet) -> WindowState {
        let stored = self.tables.iter().zip(&rules.rules).filter_map(|(table, rule)| {
            let (table, Body::Correlation(correlation)) = (table.as_ref()?, &rule.body) else { return None };
            let groups = table.shards.iter().flat_map(|shard| shard.groups.iter());
            let groups: Vec<_> = groups.map(|(key, group)| (key.to_vec(), group.clone())).collect();
            let rule = rule.meta.summary.id.clone();
            (!groups.is_empty()).then_some(StoredTable { rule, fingerprint: correlation.fingerprint, groups })
        });
        WindowState { tables: stored.collect(), counters: self.counters }
    }

    /// Continues from `state`. What belongs to rules that have changed since is dropped.
    pub(crate) fn restore(rules: &RuleSet, options: WindowOptions, state: WindowState) -> Self {
        let mut windows = Self::new(rules, options);
        windows.counters = state.counters;
        for stored in state.tables {
            let found = rules.rules.iter().zip(&mut windows.tables).find_map(|(rule, table)| match &rule.body {
                Body::Correlation(it)
                    if it.fingerprint == stored.fingerprint && rule.meta.summary.id == stored.rule =>
                {
                    table.as_mut()
                }
                _ => None,
            });
            let Some(table) = found else { continue };
            for (key, group) in stored.groups {
                if let Some(shard) = table.shards.get_mut(Table::shard_of(&key))
                    && shard.groups.touch(&key).is_none()
                {
                    shard.weight += group.weight();
                    shard.groups.insert(&key, group);
                }
            }
        }
        windows
    }
}

/// How often an event counts: a record may say that it stands for several (`message repeated 5 times`).
fn times_of(event: Event<'_>) -> u32 {
    match event.get_named(REPEAT) {
        Some(Value::Integer(times)) => times.clamp(1, i64::from(REPEAT_MAX)) as u32,
        _ => 1,
    }
}

/// Appends the group-by values to `key`; `false` if one is missing.
fn write_key(key: &mut Vec<u8>, event: Event<'_>, fields: &KeyFields, trigger: &Trigger) -> bool {
    match (fields, trigger) {
        (KeyFields::Event(names), _) => names.iter().all(|name| {
            let text = sigma::field_text(event, name).filter(|it| !it.is_empty());
            text.is_some_and(|it| {
                key::push(key, &it);
                true
            })
        }),
        (KeyFields::Group(positions), Trigger::Group { key: inner, .. }) => positions.iter().all(|position| {
            key::values(inner).nth(*position).is_some_and(|it| {
                key::push(key, it);
                true
            })
        }),
        (KeyFields::Group(_), Trigger::Event) => false,
    }
}

/// Appends what is counted to `value`; `false` if it is missing.
fn write_value(value: &mut String, event: Event<'_>, fields: &KeyFields, trigger: &Trigger) -> bool {
    let mut add = |text: &str| {
        if !value.is_empty() {
            value.push('\u{1f}');
        }
        value.push_str(text);
        true
    };
    match (fields, trigger) {
        (KeyFields::Event(names), _) => names
            .iter()
            .all(|name| sigma::field_text(event, name).filter(|it| !it.is_empty()).is_some_and(|it| add(&it))),
        (KeyFields::Group(positions), Trigger::Group { key, .. }) => {
            positions.iter().all(|position| key::values(key).nth(*position).is_some_and(&mut add))
        }
        (KeyFields::Group(_), Trigger::Event) => false,
    }
}

fn forget_oldest(
    out: &mut Vec<Finding>,
    rules: &RuleSet,
    frame: &Frame<'_>,
    rule: u32,
    shard: &mut Shard,
    counters: &mut WindowCounters,
) {
    let Some((key, mut group)) = shard.groups.remove_oldest() else { return };
    shard.weight = shard.weight.saturating_sub(group.weight());
    counters.groups_forgotten += 1;
    for track in &mut group.tracks {
        tell(out, rules, frame, rule, &key, track, None);
    }
}

/// Makes the finding of `complete`, or of what the track still has to tell.
fn tell(
    out: &mut Vec<Finding>,
    rules: &RuleSet,
    frame: &Frame<'_>,
    rule: u32,
    key: &[u8],
    track: &mut Track,
    complete: Option<Box<Pending>>,
) {
    let Some(pending) = complete.or_else(|| track.pending.take()) else { return };
    if !rules.rule(rule).is_some_and(|it| it.meta.reports) {
        return;
    }
    let values = track.distinct.iter().flat_map(|it| it.newest_values()).take(VALUES_SHOWN_MAX);
    let values: Vec<&str> = values.collect();
    out.extend(finding::of_group(rules, rule, key, &values, &pending, frame));
}
