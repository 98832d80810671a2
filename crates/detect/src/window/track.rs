//! One run of time in one group: its windows, whether its condition holds, and what is still to be told.

use panoptes_model::{EVIDENCE_MAX, EventId};
use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::log::{EventLog, Span, Told};
use crate::rules::{Correlation, CorrelationKind};

/// A finding in the making: what has happened in this group in this frame since the last one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) told: Told,
    /// When the condition first held.
    pub(crate) since: i64,
    /// Place of the newest event in its batch.
    pub(crate) newest: u32,
    /// The largest measure so far.
    pub(crate) measure: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The newest event.
    pub(crate) newest: i64,
    /// One for all members; for temporal correlations one each.
    logs: Vec<EventLog>,
    pub(crate) distinct: Option<Box<Distinct>>,
    /// Whether the condition held at the last event.
    holds: bool,
    #[serde(skip)]
    pub(crate) pending: Option<Box<Pending>>,
}

/// What an event brings to a track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'v> {
    pub(crate) time: i64,
    pub(crate) id: EventId,
    /// Place in the batch.
    pub(crate) index: u32,
    pub(crate) member: usize,
    /// How often it counts.
    pub(crate) times: u32,
    /// How many untold events it stands for.
    pub(crate) fresh: u64,
    /// What `value_count` counts.
    pub(crate) value: Option<&'v str>,
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

impl Track {
    pub(crate) fn new(correlation: &Correlation, time: i64) -> Self {
        let (logs, distinct) = match correlation.kind {
            CorrelationKind::EventCount => (1, None),
            CorrelationKind::ValueCount => (1, Some(Box::default())),
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => (correlation.members.len(), None),
        };
        Self { newest: time, logs: vec![EventLog::default(); logs], distinct, holds: false, pending: None }
    }

    /// What it costs, in entries.
    pub(crate) fn weight(&self) -> usize {
        let logs: usize = self.logs.iter().map(EventLog::len).sum();
        // A value costs about three entries: its text, its times, its place in two orders.
        1 + logs + 3 * self.distinct.as_ref().map_or(0, |it| it.len())
    }

    pub(crate) fn add(&mut self, correlation: &Correlation, span: Span, arrival: Arrival<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let is_late = arrival.time < self.newest;
        self.newest = self.newest.max(arrival.time);
        let member = if self.logs.len() > 1 { arrival.member } else { 0 };
        if let Some(log) = self.logs.get_mut(member) {
            log.add(arrival.time, arrival.id, arrival.times, arrival.fresh, span);
        }
        for log in &mut self.logs {
            log.settle(self.newest, span);
        }
        if let (Some(distinct), Some(value)) = (&mut self.distinct, arrival.value) {
            outcome.values_forgotten = distinct.add(value, arrival.time, self.newest, span);
        }

        let mut held = Held::default();
        if is_late {
            self.late_windows(&mut held, correlation, span, arrival);
        } else {
            self.newest_window(&mut held, correlation, span, member);
        }
        if !held.ends.is_empty() {
            (outcome.holds, outcome.is_new) = (true, !self.holds);
            self.hold(&mut outcome, span, arrival, &held);
        } else if !is_late {
            // A late event in a quiet place would say nothing about now.
            outcome.complete = self.pending.take();
        }
        if !is_late {
            self.holds = outcome.holds;
        }
        outcome
    }

    /// Takes what is untold into the finding in the making, or begins one.
    fn hold(&mut self, outcome: &mut Outcome, span: Span, arrival: Arrival<'_>, held: &Held) {
        let mut told = Told::default();
        // The ends ascend. Going back through them, what a later window has told need not be looked at again.
        let mut border = i64::MAX;
        for end in held.ends.iter().rev() {
            let begin = end.saturating_sub(span.window);
            for log in &mut self.logs {
                told.merge(log.tell(begin, (*end).min(border), EVIDENCE_MAX), EVIDENCE_MAX);
            }
            border = begin;
        }
        outcome.told = told.count;
        // One finding tells of no more than a timespan: what goes on for long is told of again and again.
        if self.pending.as_ref().is_some_and(|it| arrival.time.saturating_sub(it.since) > span.window) {
            outcome.complete = self.pending.take();
        }
        if told.count == 0 {
            return;
        }
        match &mut self.pending {
            Some(pending) => {
                pending.told.merge(told, EVIDENCE_MAX);
                pending.newest = arrival.index;
                pending.measure = pending.measure.max(held.measure);
            }
            None => {
                let pending = Pending { told, since: arrival.time, newest: arrival.index, measure: held.measure };
                self.pending = Some(Box::new(pending));
            }
        }
    }

    /// The window that ends at the newest event, if the condition holds there.
    fn newest_window(&self, held: &mut Held, correlation: &Correlation, span: Span, member: usize) {
        let measure = match (correlation.kind, &self.distinct) {
            (CorrelationKind::ValueCount, Some(distinct)) => distinct.inside(),
            (CorrelationKind::EventCount | CorrelationKind::ValueCount, _) => {
                self.logs.first().map_or(0, EventLog::inside)
            }
            (CorrelationKind::Temporal, _) => return self.hold_if_all(held, self.newest, span),
            (CorrelationKind::TemporalOrdered, _) => {
                // Only its last rule can complete a sequence.
                if member + 1 == self.logs.len() {
                    self.hold_if_sequence(held, self.newest, span);
                }
                return;
            }
        };
        if correlation.holds(measure) {
            held.add(self.newest, measure);
        }
    }

    /// All windows that contain an event that came late and in which the condition holds.
    fn late_windows(&self, held: &mut Held, correlation: &Correlation, span: Span, arrival: Arrival<'_>) {
        let mut visit = |end: i64, measure: u64| {
            if correlation.holds(measure) {
                held.add(end, measure);
            }
        };
        match (correlation.kind, &self.distinct) {
            (CorrelationKind::ValueCount, Some(distinct)) => {
                if correlation.may_hold_below(distinct.len() as u64) {
                    distinct.windows_around(arrival.time, span, visit);
                }
            }
            (CorrelationKind::EventCount | CorrelationKind::ValueCount, _) => {
                if let Some(log) = self.logs.first().filter(|log| correlation.may_hold_below(log.total())) {
                    log.windows_around(arrival.time, span, &mut visit);
                }
            }
            (CorrelationKind::Temporal, _) => {
                let mut ends: Vec<i64> = self.logs.iter().flat_map(|log| log.ends(arrival.time, span)).collect();
                ends.sort_unstable();
                ends.dedup();
                for end in ends {
                    self.hold_if_all(held, end, span);
                }
            }
            (CorrelationKind::TemporalOrdered, _) => {
                for end in self.logs.iter().rev().take(1).flat_map(|log| log.ends(arrival.time, span)) {
                    self.hold_if_sequence(held, end, span);
                }
            }
        }
    }

    /// Whether every member has an event in the window that ends at `end`.
    fn hold_if_all(&self, held: &mut Held, end: i64, span: Span) {
        let begin = end.saturating_sub(span.window);
        if self.logs.iter().all(|log| log.latest_until(end).is_some_and(|it| it >= begin)) {
            held.add(end, self.logs.len() as u64);
        }
    }

    /// Whether the members have events one after the other in the window that ends with one of the last at `end`.
    /// Going backwards and taking the latest each time leaves the most room for those before.
    fn hold_if_sequence(&self, held: &mut Held, end: i64, span: Span) {
        let begin = end.saturating_sub(span.window);
        let mut until = end;
        for log in self.logs.iter().rev() {
            match log.latest_until(until) {
                Some(time) if time >= begin => until = time,
                _ => return,
            }
        }
        held.add(end, self.logs.len() as u64);
    }
}

/// The windows in which the condition holds with the event that has just arrived.
#[derive(Debug, Default)]
struct Held {
    ends: Vec<i64>,
    /// The largest measure of all of them.
    measure: u64,
}

impl Held {
    fn add(&mut self, end: i64, measure: u64) {
        self.ends.push(end);
        self.measure = self.measure.max(measure);
    }
}
