//! The same thing again is the same alert.
//!
//! A finding belongs to a live alert if rule id, entities and origin are equal and its time lies within the cool-down
//! of the alert's time span: not later than the cool-down after `last_seen`, not earlier than the cool-down before
//! `first_seen`. Findings arrive out of order (archives hold events that are years old), so one key may have several
//! live alerts that lie far apart in time; a finding that would fit two of them goes to the later one. Alerts never
//! grow together: both ids have been told to people.
//!
//! Between two [`flush`](Deduplicator::flush)es all findings of one alert become one update.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use panoptes_model::{
    Alert, AlertId, AlertUpdate, EVIDENCE_MAX, Entity, EventId, Finding, FindingOrigin, RuleSummary, Timestamp,
};
use serde::{Deserialize, Serialize};

/// How many alerts stay open for further findings. When a new one comes, the one that was touched longest ago (in the
/// order of the findings, not of their times) is forgotten and counted: its next finding opens a new alert.
pub const ALERTS_LIVE_MAX: usize = 100_000;
/// How many bytes live alerts may take, by the same rule: 100,000 alerts with full samples would be a quarter of a GB.
pub const ALERTS_LIVE_BYTES_MAX: usize = 32 << 20;
/// One hour.
pub const COOLDOWN_SECONDS_DEFAULT: u32 = 3_600;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeduplicatorOptions {
    /// How long after its newest event an alert still takes further findings, in event time.
    pub cooldown_seconds: u32,
    /// At most [`ALERTS_LIVE_MAX`]; larger values are cut to it. At least one alert is always kept.
    pub alerts_live_max: usize,
    /// At most [`ALERTS_LIVE_BYTES_MAX`]; larger values are cut to it.
    pub alerts_live_bytes_max: usize,
}

impl Default for DeduplicatorOptions {
    fn default() -> Self {
        Self {
            cooldown_seconds: COOLDOWN_SECONDS_DEFAULT,
            alerts_live_max: ALERTS_LIVE_MAX,
            alerts_live_bytes_max: ALERTS_LIVE_BYTES_MAX,
        }
    }
}

/// The alerts that may still grow. See the crate's page for the contract.
#[derive(Debug)]
pub struct Deduplicator {
    cooldown_nanos: i64,
    alerts_max: usize,
    bytes_max: usize,
    live: HashMap<AlertId, Live, foldhash::quality::RandomState>,
    /// All live alerts by rule, entities and origin; equal keys may occur several times.
    by_key: HashTable<AlertId>,
    /// Seeded at random per process, so that a sender cannot choose entities that collide. Nothing is ever iterated in
    /// hash order.
    hasher: foldhash::quality::RandomState,
    /// Live alerts, longest untouched first.
    by_touch: BTreeMap<u64, AlertId>,
    touches: u64,
    bytes: usize,
    /// Alerts with an untold change, in the order in which they were first touched.
    pending: Vec<AlertId>,
    evicted: u64,
}

#[derive(Debug)]
struct Live {
    alert: Alert,
    bytes: usize,
    touch: u64,
    /// The update to tell at the next flush: `Some(true)` if it opens the alert.
    pending: Option<bool>,
}

/// What a checkpoint keeps, as it was read; [`Deduplicator::restore`] takes it up.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DeduplicatorState {
    /// Longest untouched first.
    alerts: Vec<Alert>,
    evicted: u64,
}

/// The same, borrowed.
#[derive(Serialize)]
struct Written<'d> {
    alerts: Vec<&'d Alert>,
    evicted: u64,
}

impl Deduplicator {
    pub fn new(options: DeduplicatorOptions) -> Self {
        Self {
            cooldown_nanos: i64::from(options.cooldown_seconds).saturating_mul(Timestamp::NANOS_PER_SECOND),
            alerts_max: options.alerts_live_max.clamp(1, ALERTS_LIVE_MAX),
            bytes_max: options.alerts_live_bytes_max.min(ALERTS_LIVE_BYTES_MAX),
            live: HashMap::default(),
            by_key: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            by_touch: BTreeMap::new(),
            touches: 0,
            bytes: 0,
            pending: Vec::new(),
            evicted: 0,
        }
    }

    /// Continues from a checkpoint, under possibly other options.
    pub fn restore(options: DeduplicatorOptions, state: DeduplicatorState) -> Self {
        let mut restored = Self::new(options);
        // Each alert was written with a rule of its own; thousands of alerts share one again.
        let mut rules: HashMap<String, Arc<RuleSummary>> = HashMap::new();
        for mut alert in state.alerts {
            let shared = rules.entry(alert.rule.id.clone()).or_insert_with(|| Arc::clone(&alert.rule));
            if *shared == alert.rule {
                alert.rule = Arc::clone(shared);
            }
            if !restored.live.contains_key(&alert.id) {
                restored.insert(alert, None);
            }
        }
        // Nothing is pending, so nothing can be told here.
        restored.evict_surplus(&mut Vec::new());
        restored.evicted = restored.evicted.saturating_add(state.evicted);
        restored
    }

    /// What to write into a checkpoint, in any format, to be read as [`DeduplicatorState`]. Call [`flush`](Self::flush)
    /// first: a frame's updates are told with the frame.
    pub fn state(&self) -> impl Serialize + '_ {
        debug_assert!(self.pending.is_empty(), "checkpoint in the middle of a frame");
        let alerts = self.by_touch.values().filter_map(|id| self.live.get(id)).map(|it| &it.alert).collect();
        Written { alerts, evicted: self.evicted }
    }

    /// Takes in one finding of a frame whose clock is `now`. `out` gets something only if the alert of an earlier
    /// finding of the same frame must be forgotten; all else waits for [`flush`](Self::flush).
    pub fn observe(&mut self, out: &mut Vec<AlertUpdate>, finding: &Finding, now: Timestamp) {
        self.take(out, finding.clone(), now);
    }

    /// The same, of a finding that nobody else needs.
    pub fn take(&mut self, out: &mut Vec<AlertUpdate>, finding: Finding, now: Timestamp) {
        match self.find(&finding) {
            Some(id) => self.merge(id, finding),
            None => {
                let alert = open(finding, now);
                self.pending.push(alert.id);
                self.insert(alert, Some(true));
            }
        }
        self.evict_surplus(out);
    }

    /// Ends a frame: one update per alert that its findings touched, in the order in which they first did.
    pub fn flush(&mut self, out: &mut Vec<AlertUpdate>) {
        for id in std::mem::take(&mut self.pending) {
            // An alert that was evicted meanwhile has been told then.
            if let Some(live) = self.live.get_mut(&id)
                && let Some(opened) = live.pending.take()
            {
                out.push(AlertUpdate { alert: live.alert.clone(), opened });
            }
        }
    }

    /// How many alerts may still grow.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// How many alerts were forgotten because there were too many, ever since the first start.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that live alerts take, as they are accounted against the limit.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The live alert that `finding` belongs to.
    fn find(&self, finding: &Finding) -> Option<AlertId> {
        // The same first evidence is the same alert, whatever the clock of its newest event says. (A window that is
        // longer than the cool-down can get here.) It also keeps ids unique among live alerts.
        let same_id = AlertId::from(finding.id);
        if self.live.contains_key(&same_id) {
            return Some(same_id);
        }
        let hash = self.hash(&finding.rule.id, &finding.entities, finding.origin);
        self.by_key
            .iter_hash(hash)
            .filter_map(|id| self.live.get(id))
            .map(|it| &it.alert)
            .filter(|alert| {
                alert.rule.id == finding.rule.id
                    && alert.entities == finding.entities
                    && alert.origin == finding.origin
                    && finding.time <= alert.last_seen.saturating_add_nanos(self.cooldown_nanos)
                    && finding.time >= alert.first_seen.saturating_add_nanos(-self.cooldown_nanos)
            })
            .max_by_key(|alert| (alert.last_seen, alert.id))
            .map(|alert| alert.id)
    }

    fn merge(&mut self, id: AlertId, finding: Finding) {
        let Some(live) = self.live.get_mut(&id) else { return };
        grow(&mut live.alert, finding);
        let bytes = size_of_alert(&live.alert);
        self.bytes = self.bytes - live.bytes + bytes;
        live.bytes = bytes;
        if live.pending.is_none() {
            live.pending = Some(false);
            self.pending.push(id);
        }
        self.by_touch.remove(&live.touch);
        self.touches += 1;
        live.touch = self.touches;
        self.by_touch.insert(self.touches, id);
    }

    fn insert(&mut self, alert: Alert, pending: Option<bool>) {
        let (id, bytes) = (alert.id, size_of_alert(&alert));
        let hash = self.hash(&alert.rule.id, &alert.entities, alert.origin);
        self.touches += 1;
        self.bytes += bytes;
        self.by_touch.insert(self.touches, id);
        self.live.insert(id, Live { alert, bytes, touch: self.touches, pending });
        let (live, hasher) = (&self.live, &self.hasher);
        self.by_key.insert_unique(hash, id, |id| {
            live.get(id).map_or(0, |it| hash_key(hasher, &it.alert.rule.id, &it.alert.entities, it.alert.origin))
        });
    }

    fn evict_surplus(&mut self, out: &mut Vec<AlertUpdate>) {
        while self.live.len() > 1 && (self.live.len() > self.alerts_max || self.bytes > self.bytes_max) {
            let Some((_, id)) = self.by_touch.pop_first() else { return };
            let Some(gone) = self.live.remove(&id) else { continue };
            self.bytes -= gone.bytes;
            self.evicted = self.evicted.saturating_add(1);
            let hash = self.hash(&gone.alert.rule.id, &gone.alert.entities, gone.alert.origin);
            if let Ok(entry) = self.by_key.find_entry(hash, |it| *it == id) {
                entry.remove();
            }
            if let Some(opened) = gone.pending {
                out.push(AlertUpdate { alert: gone.alert, opened });
            }
        }
    }

    fn hash(&self, rule: &str, entities: &[Entity], origin: FindingOrigin) -> u64 {
        hash_key(&self.hasher, rule, entities, origin)
    }
}

impl Default for Deduplicator {
    fn default() -> Self {
        Self::new(DeduplicatorOptions::default())
    }
}

fn hash_key(hasher: &impl BuildHasher, rule: &str, entities: &[Entity], origin: FindingOrigin) -> u64 {
    hasher.hash_one((rule, entities, origin as u8))
}

fn open(finding: Finding, now: Timestamp) -> Alert {
    let mut events = Vec::new();
    add_evidence(&mut events, &finding.events, true);
    Alert {
        id: finding.id.into(),
        rule: finding.rule,
        entities: finding.entities,
        context: finding.context,
        first_seen: finding.first_seen.min(finding.time),
        last_seen: finding.time,
        opened_at: now,
        count: finding.count,
        findings: 1,
        events,
        sample: finding.sample,
        reason: finding.reason,
        source: finding.source,
        origin: finding.origin,
    }
}

/// `finding.count` is the number of events that no earlier finding of its group counted, so counts simply add up.
fn grow(alert: &mut Alert, finding: Finding) {
    alert.count = alert.count.saturating_add(finding.count);
    alert.findings = alert.findings.saturating_add(1);
    alert.first_seen = alert.first_seen.min(finding.first_seen).min(finding.time);
    let newest = finding.time >= alert.last_seen;
    add_evidence(&mut alert.events, &finding.events, newest);
    if newest {
        alert.last_seen = finding.time;
        alert.rule = finding.rule;
        alert.context = finding.context;
        alert.sample = finding.sample;
        alert.reason = finding.reason;
        alert.source = finding.source;
    }
}

/// Keeps the newest [`EVIDENCE_MAX`] of `events` (oldest first), to which `more` is added at the end, or, when it is
/// older than what is there, at the start. A threshold rule names events again while they stay in its window.
fn add_evidence(events: &mut Vec<EventId>, more: &[EventId], newest: bool) {
    let more = more.get(more.len().saturating_sub(EVIDENCE_MAX)..).unwrap_or_default();
    if newest {
        events.retain(|known| !more.contains(known));
        events.extend_from_slice(more);
    } else {
        let unknown: Vec<_> = more.iter().copied().filter(|it| !events.contains(it)).collect();
        events.splice(..0, unknown);
    }
    events.drain(..events.len().saturating_sub(EVIDENCE_MAX));
}

/// The memory that an alert takes, roughly, and the same after a restart: its texts, its lists and its place in three tables. The rule is shared.
fn size_of_alert(alert: &Alert) -> usize {
    const TABLES_BYTES: usize = 64;
    let entities = alert.entities.iter().chain(&alert.context);
    size_of::<Live>()
        + TABLES_BYTES
        + alert.events.len() * size_of::<EventId>()
        + entities.map(|it| size_of::<Entity>() + it.field.len() + it.value.len()).sum::<usize>()
        + alert.sample.len()
        + alert.reason.len()
        + alert.source.len()
}

#[cfg(test)]
#[path = "dedup_tests.rs"]
mod tests;
