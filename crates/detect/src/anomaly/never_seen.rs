//! A message of a kind that its source has never written before.
//!
//! *What it claims.* The pattern of the message (see `pattern.rs`) is new for this source, which has been watched long
//! enough to know its usual ones. New errors, new programs and probing show up like this first.
//!
//! *When it is wrong.* After an update a program says new things: informational, at most a few findings per source and
//! hour, the rest counted. It misses a new pattern with the probability of [`ERROR_RATE`], and says nothing about
//! sources whose messages cannot be put into patterns (more than [`PATTERNS_MAX`] of them).

use std::sync::{Arc, LazyLock};

use fastbloom::BloomFilter;
use hashbrown::HashMap;
use panoptes_model::{Entity, Event, Finding, FindingOrigin, RuleSummary, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use super::pattern;
use crate::finding;
use crate::rules::RuleMeta;

pub const NEVER_SEEN_RULE_ID: &str = "anomaly.never_seen_pattern";

/// How many patterns a source's filter is made for. A source with more is too varied to have new ones: it is silent
/// from then on, and counted.
const PATTERNS_MAX: usize = 8_192;
/// How likely a full filter takes a new pattern for a known one.
const ERROR_RATE: f64 = 0.001;
/// How many sources are watched (15 kB each). When one more comes, the one that was quiet longest is forgotten and
/// counted: it learns anew.
const SOURCES_MAX: usize = 256;
/// The filter's seed is part of what a checkpoint means. It is no secret: see `pattern.rs` on what could be hidden.
const SEED: u128 = 0x7061_6e6f_7074_6573_6e65_7665_7273_6565;
const HOUR: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;

static RULE: LazyLock<Arc<RuleSummary>> = LazyLock::new(|| {
    Arc::new(RuleSummary {
        id: NEVER_SEEN_RULE_ID.to_owned(),
        title: "Message of a kind never seen from this source".to_owned(),
        level: Severity::Informational,
        tags: Vec::new(),
    })
});

/// What the detector is, for listings.
pub(crate) fn meta(reports: bool) -> RuleMeta {
    RuleMeta {
        summary: RULE.clone(),
        kind: "detector",
        path: "built in".to_owned(),
        line: None,
        name: None,
        description: Some(
            "The pattern of the message (numbers, ids, addresses, names and quotations masked) is new for a source \
             that has been watched long enough to know its usual ones."
                .to_owned(),
        ),
        author: Some("Panoptes".to_owned()),
        status: None,
        date: None,
        modified: None,
        falsepositives: vec!["Programs that were updated or reconfigured".to_owned()],
        references: Vec::new(),
        log_source: "messages of linux.*, json, keyvalue and plain".to_owned(),
        sources: Vec::new(),
        datasets: Vec::new(),
        reports,
    }
}

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverSeenOptions {
    /// How many messages a source is only learnt from at first.
    pub learn_events: u64,
    /// For how long, in event time; both must have passed.
    pub learn_seconds: u32,
    /// How many findings a source may cause per hour of event time; the rest is counted.
    pub findings_per_hour_max: u32,
}

impl Default for NeverSeenOptions {
    fn default() -> Self {
        Self { learn_events: 1_000, learn_seconds: 3_600, findings_per_hour_max: 5 }
    }
}

/// What was seen but not told, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeverSeenCounters {
    /// New patterns beyond a source's findings per hour.
    pub suppressed: u64,
    /// Sources that turned out to be too varied.
    pub sources_too_varied: u64,
    /// Sources forgotten for lack of room.
    pub sources_forgotten: u64,
}

#[derive(Debug)]
struct Source {
    filter: BloomFilter,
    patterns: u32,
    events: u64,
    oldest: Timestamp,
    newest: Timestamp,
    /// The hour of event time that `told` belongs to, and how many findings it had.
    hour: i64,
    told: u32,
    /// Counts up with every event of any source.
    touched: u64,
}

fn empty_filter() -> BloomFilter {
    BloomFilter::with_false_pos(ERROR_RATE).seed(&SEED).expected_items(PATTERNS_MAX)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredSource<N, B> {
    name: N,
    bits: B,
    hashes: u32,
    patterns: u32,
    events: u64,
    oldest: Timestamp,
    newest: Timestamp,
    hour: i64,
    told: u32,
    touched: u64,
}

/// What a checkpoint keeps.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NeverSeenState {
    sources: Vec<StoredSource<String, Vec<u64>>>,
    touches: u64,
    counters: NeverSeenCounters,
}

/// The same, borrowed.
#[derive(Serialize)]
struct Written<'s> {
    sources: Vec<StoredSource<&'s str, &'s [u64]>>,
    touches: u64,
    counters: NeverSeenCounters,
}

#[derive(Debug)]
pub(crate) struct NeverSeen {
    options: NeverSeenOptions,
    sources: HashMap<String, Source, foldhash::quality::RandomState>,
    touches: u64,
    counters: NeverSeenCounters,
}

impl NeverSeen {
    pub(crate) fn new(options: NeverSeenOptions) -> Self {
        Self { options, sources: HashMap::default(), touches: 0, counters: NeverSeenCounters::default() }
    }

    pub(crate) fn counters(&self) -> NeverSeenCounters {
        self.counters
    }

    /// Takes in the pattern of one event's message.
    pub(crate) fn observe(&mut self, out: &mut Vec<Finding>, event: Event<'_>, hash: u64, origin: FindingOrigin) {
        self.touches += 1;
        let name = finding::source_of(event);
        if !self.sources.contains_key(name) {
            self.forget_surplus();
            let source = Source {
                filter: empty_filter(),
                patterns: 0,
                events: 0,
                oldest: event.time(),
                newest: event.time(),
                hour: i64::MIN,
                told: 0,
                touched: 0,
            };
            self.sources.insert(name.to_owned(), source);
        }
        let Some(source) = self.sources.get_mut(name) else { return };
        source.touched = self.touches;
        source.events += 1;
        source.oldest = source.oldest.min(event.time());
        source.newest = source.newest.max(event.time());
        if source.patterns as usize >= PATTERNS_MAX || source.filter.insert(&hash) {
            return;
        }
        source.patterns += 1;
        if source.patterns as usize == PATTERNS_MAX {
            self.counters.sources_too_varied += 1;
        }
        let learnt_for = source.newest.nanos_since(source.oldest);
        let learn_for = i64::from(self.options.learn_seconds).saturating_mul(Timestamp::NANOS_PER_SECOND);
        if source.events <= self.options.learn_events || learnt_for < learn_for {
            return;
        }
        let hour = event.time().0.div_euclid(HOUR);
        if hour > source.hour {
            (source.hour, source.told) = (hour, 0);
        }
        if source.told >= self.options.findings_per_hour_max {
            self.counters.suppressed += 1;
            return;
        }
        source.told += 1;
        let text = pattern::text_of(event);
        let reason = format!("no message like `{text}` among the {} before it", source.events - 1);
        let context = vec![Entity { field: "panoptes.pattern".to_owned(), value: text }];
        let entities = ["panoptes.source", "service.name"];
        out.push(finding::of_detector(&RULE, event, &entities, context, reason, origin));
    }

    fn forget_surplus(&mut self) {
        while self.sources.len() >= SOURCES_MAX {
            // Touches are all different, so the order of the map does not matter.
            let quiet = self.sources.iter().min_by_key(|(_, source)| source.touched).map(|(name, _)| name.clone());
            let Some(quiet) = quiet else { return };
            self.sources.remove(&quiet);
            self.counters.sources_forgotten += 1;
        }
    }

    /// Written as a [`NeverSeenState`].
    pub(crate) fn state(&self) -> impl Serialize + '_ {
        let mut sources: Vec<StoredSource<&str, &[u64]>> = self
            .sources
            .iter()
            .map(|(name, source)| StoredSource {
                name: name.as_str(),
                bits: source.filter.as_slice(),
                hashes: source.filter.num_hashes(),
                patterns: source.patterns,
                events: source.events,
                oldest: source.oldest,
                newest: source.newest,
                hour: source.hour,
                told: source.told,
                touched: source.touched,
            })
            .collect();
        sources.sort_unstable_by_key(|it| it.touched);
        Written { sources, touches: self.touches, counters: self.counters }
    }

    pub(crate) fn restore(options: NeverSeenOptions, state: NeverSeenState) -> Self {
        let empty = empty_filter();
        let mut restored = Self { touches: state.touches, counters: state.counters, ..Self::new(options) };
        for stored in state.sources {
            // A filter of another shape was made for other constants: its source learns anew.
            if stored.bits.len() != empty.as_slice().len() || stored.hashes != empty.num_hashes() {
                continue;
            }
            let source = Source {
                filter: BloomFilter::from_vec(stored.bits).seed(&SEED).hashes(stored.hashes),
                patterns: stored.patterns,
                events: stored.events,
                oldest: stored.oldest,
                newest: stored.newest,
                hour: stored.hour,
                told: stored.told,
                touched: stored.touched,
            };
            restored.sources.insert(stored.name, source);
        }
        restored
    }
}
