//! One run of time in one group: its windows, whether its condition holds, and what is still to be told.

use panoptes_model::{EVIDENCE_MAX, EventId};
use serde::{Deserialize, Serialize};

use super::log::{EXACT_MAX, EventLog, Stamp, Told};
use super::measure::{Measure, Number};
use super::payload::{Cells, Payload, ValuePlace};
use super::span::{Mode, Span};
use super::values::{Room, Values};
use crate::rules::{Correlation, CorrelationKind};

/// How many windows of a temporal correlation a late event opens again; of more, those that end soonest after it.
const ENDS_MAX: usize = 1_024;
/// Into how many levels groups are put by how near they are to their threshold.
pub(crate) const LEVELS: usize = 8;
/// The level of a group whose condition holds: it has been told of, so losing it costs little.
const LEVEL_HOLDING: u8 = 3;

/// A finding in the making: what has happened in this group in this frame since the last one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) told: Told,
    /// When the condition first held.
    pub(crate) since: i64,
    /// Place of the newest event in its batch.
    pub(crate) newest: u32,
    /// The largest measure so far; the smallest if the condition asks for little.
    pub(crate) measure: f64,
}

/// What is counted of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Counted<'v> {
    Event,
    /// As [`values::kept`](super::values::kept).
    Text(&'v [u8]),
    Number(Number),
}

/// What an event brings to a track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'v> {
    pub(crate) stamp: Stamp,
    /// Place in the batch.
    pub(crate) index: u32,
    pub(crate) member: usize,
    pub(crate) counted: Counted<'v>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The condition holds.
    pub(crate) holds: bool,
    /// It did not hold at the event before.
    pub(crate) is_new: bool,
    /// How many events are told of that were not before.
    pub(crate) told: u64,
    /// A finding that is complete.
    pub(crate) complete: Option<Box<Pending>>,
    /// How many values were forgotten for lack of room.
    pub(crate) values_forgotten: u64,
}

/// What a correlation counts in, and how much of it one group may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'c> {
    pub(crate) correlation: &'c Correlation,
    pub(crate) span: Span,
    pub(crate) room: Room,
}

/// The events of a track and what they add up to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Events(EventLog<()>),
    Values(Box<Different>),
    Sum(EventLog<Number>),
    Ranks(EventLog<Cells>),
    /// One log per rule of a temporal correlation.
    Members(Vec<EventLog<()>>),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Different {
    log: EventLog<ValuePlace>,
    values: Values,
}

/// Runs `$body` with `$log` being each log of `$state`.
macro_rules! each_log {
    ($state:expr, $log:ident => $body:expr) => {
        match $state {
            State::Events($log) => $body,
            State::Values(different) => {
                let $log = &mut different.log;
                $body
            }
            State::Sum($log) => $body,
            State::Ranks($log) => $body,
            State::Members(logs) => {
                for $log in logs {
                    $body
                }
            }
        }
    };
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The newest event.
    pub(crate) newest: i64,
    /// When the run of events began that the newest belongs to.
    session: i64,
    state: State,
    /// Whether the condition held at the last event.
    holds: bool,
    #[serde(skip)]
    pub(crate) pending: Option<Box<Pending>>,
}

/// An event of a track that is small enough to be put away.
#[derive(Debug)]
pub(crate) struct Simple<'t> {
    pub(crate) time: i64,
    pub(crate) id: EventId,
    pub(crate) member: usize,
    pub(crate) is_fresh: bool,
    pub(crate) counted: Counted<'t>,
}

impl Track {
    pub(crate) fn new(correlation: &Correlation, time: i64) -> Self {
        let state = match correlation.kind {
            CorrelationKind::EventCount => State::Events(EventLog::default()),
            CorrelationKind::ValueCount => State::Values(Box::default()),
            CorrelationKind::ValueSum | CorrelationKind::ValueAvg => State::Sum(EventLog::default()),
            CorrelationKind::ValuePercentile | CorrelationKind::ValueMedian => State::Ranks(EventLog::default()),
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => {
                State::Members(vec![EventLog::default(); correlation.members.len()])
            }
        };
        Self { newest: time, session: time, state, holds: false, pending: None }
    }

    /// Memory that it holds, beside itself; the same after a restart.
    pub(crate) fn bytes(&self) -> usize {
        match &self.state {
            State::Events(log) => log.bytes(),
            State::Values(different) => size_of::<Different>() + different.log.bytes() + different.values.bytes(),
            State::Sum(log) => log.bytes(),
            State::Ranks(log) => log.bytes() + log.window().bytes(),
            State::Members(logs) => logs.iter().map(|it| size_of::<EventLog<()>>() + it.bytes()).sum(),
        }
    }

    pub(crate) fn newest_values(&self) -> impl Iterator<Item = &str> {
        let values = match &self.state {
            State::Values(different) => Some(&different.values),
            _ => None,
        };
        values.into_iter().flat_map(Values::newest)
    }

    /// The events, if they are at most `most`, each is only itself, and nothing is to be told.
    pub(crate) fn simple(&self, most: usize) -> Option<Vec<Simple<'_>>> {
        fn simple<'t, P: Payload>(
            out: &mut Vec<Simple<'t>>,
            log: &'t EventLog<P>,
            member: usize,
            counted: impl Fn(&'t P) -> Option<Counted<'t>>,
        ) -> Option<()> {
            for entry in log.entries() {
                let is_simple = entry.first == entry.last && entry.count == 1 && entry.fresh <= 1;
                let counted = counted(&entry.payload).filter(|_| is_simple)?;
                out.push(Simple { time: entry.first, id: entry.id(), member, is_fresh: entry.fresh == 1, counted });
            }
            Some(())
        }
        if !self.is_few(most) {
            return None;
        }
        let mut out = Vec::with_capacity(self.len());
        match &self.state {
            State::Events(log) => simple(&mut out, log, 0, |()| Some(Counted::Event))?,
            State::Values(different) => {
                let Different { log, values } = &**different;
                if values.is_coarse() {
                    return None;
                }
                simple(&mut out, log, 0, |place| Some(Counted::Text(values.text(*place)?.as_slice())))?;
            }
            State::Sum(log) => simple(&mut out, log, 0, |number| Some(Counted::Number(*number)))?,
            State::Ranks(log) => simple(&mut out, log, 0, |cells| cells.single().map(Counted::Number))?,
            State::Members(logs) => {
                for (member, log) in logs.iter().enumerate() {
                    simple(&mut out, log, member, |()| Some(Counted::Event))?;
                }
                // By time, and at the same time by arrival, as they will be put in again.
                out.sort_by_key(|it| (it.time, it.id));
            }
        }
        Some(out)
    }

    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// A track of events that were [`simple`](Self::simple), oldest first.
    pub(crate) fn of_simple<'s>(
        frame: Frame<'_>,
        holds: bool,
        events: impl Iterator<Item = Simple<'s>>,
    ) -> Option<Self> {
        let mut track: Option<Self> = None;
        for it in events {
            let track = track.get_or_insert_with(|| Self::new(frame.correlation, it.time));
            if let Mode::Session { gap } = frame.span.mode
                && it.time.saturating_sub(track.newest) > gap
            {
                track.session = it.time;
            }
            track.newest = track.newest.max(it.time);
            let stamp = Stamp { time: it.time, id: it.id, times: 1, fresh: u32::from(it.is_fresh) };
            track.put(frame.span, stamp, it.member, it.counted);
        }
        let mut track = track?;
        track.holds = holds;
        track.settle(frame);
        Some(track)
    }

    /// Whether it may be [`simple`](Self::simple).
    pub(crate) fn is_few(&self, most: usize) -> bool {
        self.pending.is_none() && self.len() <= most
    }

    fn len(&self) -> usize {
        match &self.state {
            State::Events(log) => log.len(),
            State::Values(different) => different.log.len(),
            State::Sum(log) => log.len(),
            State::Ranks(log) => log.len(),
            State::Members(logs) => logs.iter().map(EventLog::len).sum(),
        }
    }

    fn border(&self, span: Span) -> i64 {
        self.newest.saturating_sub(span.reach)
    }

    fn put(&mut self, span: Span, stamp: Stamp, member: usize, counted: Counted<'_>) {
        let border = self.border(span);
        match (&mut self.state, counted) {
            (State::Events(log), _) => log.add(stamp, (), span),
            (State::Values(different), Counted::Text(value)) => {
                let Different { log, values } = &mut **different;
                if log.is_crowded() && !values.is_coarse() {
                    values.coarsen(border, span);
                }
                let place = values.add(value, stamp.time, border, span);
                log.add(stamp, place, span);
            }
            (State::Sum(log), Counted::Number(number)) => log.add(stamp, number.times(stamp.times), span),
            (State::Ranks(log), Counted::Number(number)) => log.add(stamp, Cells::One(number, stamp.times), span),
            (State::Members(logs), _) => {
                if let Some(log) = logs.get_mut(member) {
                    log.add(stamp, (), span);
                }
            }
            // The kind of a correlation decides both.
            (State::Values(_), _) | (State::Sum(_), _) | (State::Ranks(_), _) => {}
        }
    }

    fn settle(&mut self, frame: Frame<'_>) -> u64 {
        let Frame { span, room, .. } = frame;
        let (begin, border) = (span.begin(self.newest, self.session), self.border(span));
        let mut forgotten = 0;
        each_log!(&mut self.state, log => { forgotten += log.settle(begin, border, span); });
        if let State::Values(different) = &mut self.state {
            let Different { log, values } = &mut **different;
            forgotten += values.settle(begin, border, span, room);
            if let Some(moved) = values.compact() {
                log.for_each_payload(|it| {
                    it.0 = moved.get(it.0 as usize).copied().unwrap_or(ValuePlace::SEVERAL.0);
                });
            }
            // The crowd is gone.
            let is_exact = |log: &EventLog<ValuePlace>| {
                log.entries().all(|it| it.first == it.last && it.payload != ValuePlace::SEVERAL)
            };
            if values.is_coarse() && log.len() < EXACT_MAX / 4 && is_exact(log) {
                values.refine();
            }
        }
        forgotten
    }

    pub(crate) fn add(&mut self, frame: Frame<'_>, arrival: Arrival<'_>) -> Outcome {
        let Frame { correlation, span, .. } = frame;
        let time = arrival.stamp.time;
        let mut outcome = Outcome::default();
        let is_late = time < self.newest;
        if let Mode::Session { gap } = span.mode
            && time.saturating_sub(self.newest) > gap
        {
            self.session = time;
        }
        self.newest = self.newest.max(time);
        self.put(span, arrival.stamp, arrival.member, arrival.counted);
        outcome.values_forgotten = self.settle(frame);

        let mut held = Held::new(correlation);
        let mut session = self.session;
        if is_late {
            let mut until = span.until(time);
            if let Mode::Session { gap } = span.mode {
                // It may have joined two runs into one.
                self.session = self.run_around(self.newest, gap, span).0;
                outcome.values_forgotten += self.settle(frame);
                let run = self.run_around(time, gap, span);
                (session, until) = (run.0, until.min(run.1));
            }
            // Windows that end before the lateness that is allowed have lost their beginning: nothing is said of them.
            let from = time.max(self.newest.saturating_sub(span.lateness()));
            self.late_windows(&mut held, frame, (from, until), session);
        } else {
            self.newest_window(&mut held, frame, arrival.member);
        }
        if !held.ends.is_empty() {
            (outcome.holds, outcome.is_new) = (true, !self.holds);
            self.hold(&mut outcome, span, arrival, &held, session);
        } else if !is_late {
            // A late event in a quiet place would say nothing about now.
            outcome.complete = self.pending.take();
        }
        if !is_late {
            self.holds = outcome.holds;
        }
        outcome
    }

    /// When the first and the last event of the run around `time` happened in which no two neighbours are further apart
    /// than `gap`; no further than a window can reach.
    fn run_around(&self, time: i64, gap: i64, span: Span) -> (i64, i64) {
        let (from, until) = (time.saturating_sub(span.window), time.saturating_add(span.window));
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        match &self.state {
            State::Events(log) => stretches.extend(log.stretches(from, until)),
            State::Values(different) => stretches.extend(different.log.stretches(from, until)),
            State::Sum(log) => stretches.extend(log.stretches(from, until)),
            State::Ranks(log) => stretches.extend(log.stretches(from, until)),
            State::Members(logs) => stretches.extend(logs.iter().flat_map(|it| it.stretches(from, until))),
        }
        stretches.sort_unstable();
        let (mut first, mut last) = (time, time);
        for (begin, end) in &stretches {
            if *begin > last && begin.saturating_sub(last) > gap {
                break;
            }
            last = last.max(*end);
        }
        stretches.sort_unstable_by_key(|(_, end)| *end);
        for (begin, end) in stretches.iter().rev() {
            if *end < first && first.saturating_sub(*end) > gap {
                break;
            }
            first = first.min(*begin);
        }
        (first, last)
    }

    /// Takes what is untold into the finding in the making, or begins one.
    fn hold(&mut self, outcome: &mut Outcome, span: Span, arrival: Arrival<'_>, held: &Held, session: i64) {
        let mut told = Told::default();
        // Going back through the ends, what a later window has told need not be looked at again.
        let mut border = i64::MAX;
        for end in &held.ends {
            let begin = span.begin(*end, session);
            each_log!(&mut self.state, log => {
                told.merge(log.tell(begin, (*end).min(border), EVIDENCE_MAX), EVIDENCE_MAX);
            });
            border = begin;
        }
        outcome.told = told.count;
        let time = arrival.stamp.time;
        // One finding tells of no more than a timespan: what goes on for long is told of again and again.
        if self.pending.as_ref().is_some_and(|it| time.saturating_sub(it.since) > span.window) {
            outcome.complete = self.pending.take();
        }
        if told.count == 0 {
            return;
        }
        let pending = Box::new(Pending { told, since: time, newest: arrival.index, measure: held.measure });
        self.take_pending(Some(pending), held.wants_little);
    }

    /// Puts a finding in the making behind the one that is there already.
    fn take_pending(&mut self, later: Option<Box<Pending>>, wants_little: bool) {
        let Some(later) = later else { return };
        match &mut self.pending {
            Some(pending) => {
                pending.told.merge(later.told, EVIDENCE_MAX);
                pending.newest = later.newest;
                pending.measure =
                    if wants_little { pending.measure.min(later.measure) } else { pending.measure.max(later.measure) };
            }
            None => self.pending = Some(later),
        }
    }

    /// The window that ends at the newest event, if the condition holds there.
    fn newest_window(&self, held: &mut Held, frame: Frame<'_>, member: usize) {
        let Frame { correlation, span, .. } = frame;
        let end = self.newest;
        let measure = match &self.state {
            State::Events(log) => Some(Measure::count(log.inside())),
            State::Values(different) => Some(Measure::count(different.values.inside())),
            State::Sum(log) => measure_of_sum(correlation, log.inside(), *log.window()),
            State::Ranks(log) => log.window().percentile(correlation.percentile),
            State::Members(logs) => {
                // Only its last rule can complete a sequence.
                if correlation.kind == CorrelationKind::Temporal || member + 1 == logs.len() {
                    hold_members(held, correlation, logs, end, span.begin(end, self.session));
                }
                return;
            }
        };
        held.ask(correlation, end, measure);
    }

    /// All windows in which the condition holds of those that end from `from` to `until`: they contain an event that
    /// came late. The latest first.
    fn late_windows(&self, held: &mut Held, frame: Frame<'_>, (from, until): (i64, i64), session: i64) {
        let Frame { correlation, span, .. } = frame;
        match &self.state {
            State::Events(log) => {
                if correlation.may_hold_below(log.total()) {
                    log.windows_between((from, until), span, session, |end, count, ()| {
                        held.ask(correlation, end, Some(Measure::count(count)));
                    });
                }
            }
            State::Values(different) => {
                let Different { log, values } = &**different;
                if correlation.may_hold_below(values.len() as u64) {
                    values.windows_between(log, (from, until, self.newest), (span, session), |end, count| {
                        held.ask(correlation, end, Some(Measure::count(count)));
                    });
                }
            }
            State::Sum(log) => log.windows_between((from, until), span, session, |end, count, sum| {
                held.ask(correlation, end, measure_of_sum(correlation, count, *sum));
            }),
            State::Ranks(log) => log.windows_between((from, until), span, session, |end, _, ranks| {
                held.ask(correlation, end, ranks.percentile(correlation.percentile));
            }),
            State::Members(logs) => {
                let ordered = correlation.kind == CorrelationKind::TemporalOrdered;
                let ends_of = if ordered { logs.len().saturating_sub(1) } else { 0 };
                let mut ends: Vec<i64> =
                    logs.iter().skip(ends_of).flat_map(|it| it.stretches(from, until)).map(|(_, last)| last).collect();
                ends.retain(|it| *it <= until);
                ends.sort_unstable();
                ends.dedup();
                ends.truncate(ENDS_MAX);
                for end in ends.iter().rev() {
                    hold_members(held, correlation, logs, *end, span.begin(*end, session));
                }
            }
        }
    }

    /// How near it is to its threshold, as a level below [`LEVELS`].
    pub(crate) fn level(&self, frame: Frame<'_>) -> u8 {
        if self.holds {
            return LEVEL_HOLDING;
        }
        let events = |count: u64| count.max(1).ilog2();
        let share = |count: u64, of: u64| (count.saturating_mul(LEVELS as u64) / of.max(1)) as u32;
        let correlation = frame.correlation;
        let level = match (&self.state, correlation.least) {
            (State::Events(log), Some(least)) => share(log.inside(), least),
            (State::Values(different), Some(least)) => share(different.values.inside(), least),
            (State::Members(logs), _) => {
                let begin = frame.span.begin(self.newest, self.session);
                let there = logs.iter().filter(|it| it.latest_until(self.newest).is_some_and(|it| it >= begin)).count();
                share(there as u64, logs.len() as u64)
            }
            (State::Events(log), None) => events(log.inside()),
            (State::Values(different), None) => events(different.log.inside()),
            (State::Sum(log), _) => events(log.inside()),
            (State::Ranks(log), _) => events(log.inside()),
        };
        level.min(LEVELS as u32 - 1) as u8
    }

    /// Takes in an older track that this one's reach overlaps. Nothing is judged: an event comes next.
    pub(crate) fn absorb(&mut self, frame: Frame<'_>, mut older: Self) {
        let Frame { correlation, span, .. } = frame;
        let border = self.border(span);
        let later = std::mem::replace(&mut self.pending, older.pending.take());
        self.take_pending(later, correlation.wants_little());
        match (&mut self.state, &mut older.state) {
            (State::Events(log), State::Events(older)) => log.absorb(older, border, span, |()| ()),
            (State::Sum(log), State::Sum(older)) => log.absorb(older, border, span, |it| it),
            (State::Ranks(log), State::Ranks(older)) => log.absorb(older, border, span, |it| it),
            (State::Members(logs), State::Members(older)) => {
                for (log, older) in logs.iter_mut().zip(older) {
                    log.absorb(older, border, span, |()| ());
                }
            }
            (State::Values(different), State::Values(older)) => {
                let Different { log, values } = &mut **different;
                if log.len() + older.log.len() >= EXACT_MAX && !values.is_coarse() {
                    values.coarsen(border, span);
                }
                let moved = values.absorb(&older.values, border, span);
                log.absorb(&mut older.log, border, span, |it| {
                    ValuePlace(moved.get(it.0 as usize).copied().unwrap_or(ValuePlace::SEVERAL.0))
                });
            }
            // Tracks of one correlation are of one kind.
            _ => {}
        }
        if let Mode::Session { gap } = span.mode {
            self.session = self.run_around(self.newest, gap, span).0;
        }
        self.settle(frame);
    }
}

fn measure_of_sum(correlation: &Correlation, count: u64, sum: Number) -> Option<Measure> {
    match correlation.kind {
        CorrelationKind::ValueAvg => Measure::average(sum, count),
        _ => Some(Measure::number(sum)),
    }
}

/// Whether the rules of a temporal correlation match as they should in the window from `begin` to `end`.
fn hold_members(held: &mut Held, correlation: &Correlation, logs: &[EventLog<()>], end: i64, begin: i64) {
    if correlation.kind == CorrelationKind::TemporalOrdered {
        // Going backwards and taking the latest each time leaves the most room for those before.
        let mut until = end;
        for log in logs.iter().rev() {
            match log.latest_until(until) {
                Some(time) if time >= begin => until = time,
                _ => return,
            }
        }
        held.add(end, logs.len() as f64);
        return;
    }
    let mut there = 0_u64;
    for (index, log) in logs.iter().enumerate() {
        there |= u64::from(log.latest_until(end).is_some_and(|it| it >= begin)) << index;
    }
    if correlation.members_hold(there) {
        held.add(end, f64::from(there.count_ones()));
    }
}

/// The windows in which the condition holds with the event that has just arrived.
#[derive(Debug)]
struct Held {
    /// The latest first.
    ends: Vec<i64>,
    /// The largest measure of all of them, or the smallest.
    measure: f64,
    wants_little: bool,
}

impl Held {
    fn new(correlation: &Correlation) -> Self {
        Self { ends: Vec::new(), measure: 0.0, wants_little: correlation.wants_little() }
    }

    fn ask(&mut self, correlation: &Correlation, end: i64, measure: Option<Measure>) {
        if let Some(measure) = measure.filter(|it| correlation.holds(*it)) {
            self.add(end, measure.to_f64());
        }
    }

    fn add(&mut self, end: i64, measure: f64) {
        let is_more = if self.wants_little { measure < self.measure } else { measure > self.measure };
        if self.ends.is_empty() || is_more {
            self.measure = measure;
        }
        self.ends.push(end);
    }
}
