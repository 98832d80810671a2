//! The half that holds state: windows, and what is usual.

use std::sync::Arc;

use panoptes_model::{EventBatch, Finding, FindingOrigin, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Hits;
use crate::anomaly::{NeverSeen, NeverSeenCounters, NeverSeenOptions, NeverSeenState};
use crate::behaviour::{Behaviour, BehaviourCounters, BehaviourOptions, BehaviourState};
use crate::finding::{self, Frame};
use crate::rules::RuleSet;
use crate::window::{REPEAT, WindowCounters, WindowOptions, WindowState, Windows};

/// What an operator may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectorOptions {
    pub windows: WindowOptions,
    pub never_seen: NeverSeenOptions,
    pub behaviour: BehaviourOptions,
}

/// What was not counted or not told, since the start (across checkpoints).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectorCounters {
    pub windows: WindowCounters,
    pub never_seen: NeverSeenCounters,
    pub behaviour: BehaviourCounters,
}

/// All state of detection, as it was read; [`Detector::restore`] takes it up. [`Detector::checkpoint`] writes the same.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Checkpoint {
    windows: WindowState,
    never_seen: NeverSeenState,
    behaviour: BehaviourState,
}

/// A [`Checkpoint`] that borrows all it says: the state may be as large as memory allows, and a copy would double it.
#[derive(Serialize)]
struct Written<W, N, B> {
    windows: W,
    never_seen: N,
    behaviour: B,
}

/// Turns hits into findings. See the crate's page for the contract.
#[derive(Debug)]
pub struct Detector {
    rules: Arc<RuleSet>,
    options: DetectorOptions,
    windows: Windows,
    never_seen: NeverSeen,
    behaviour: Behaviour,
}

impl Detector {
    pub fn new(rules: Arc<RuleSet>, options: DetectorOptions) -> Self {
        let windows = Windows::new(&rules, options.windows);
        let (never_seen, behaviour) = (NeverSeen::new(options.never_seen), Behaviour::new(options.behaviour));
        Self { windows, never_seen, behaviour, rules, options }
    }

    /// Continues from a checkpoint. State of rules that have changed since, or are gone, is dropped.
    pub fn restore(rules: Arc<RuleSet>, options: DetectorOptions, checkpoint: Checkpoint) -> Self {
        let windows = Windows::restore(&rules, options.windows, checkpoint.windows);
        let never_seen = NeverSeen::restore(options.never_seen, checkpoint.never_seen);
        let behaviour = Behaviour::restore(options.behaviour, checkpoint.behaviour);
        Self { windows, never_seen, behaviour, rules, options }
    }

    /// What to write into a checkpoint, between two calls of [`fold`](Self::fold), in any format.
    pub fn checkpoint(&self) -> impl Serialize + '_ {
        Written {
            windows: self.windows.state(&self.rules),
            never_seen: self.never_seen.state(),
            behaviour: self.behaviour.state(),
        }
    }

    /// Goes on with another rule set; rules that are in both keep their state.
    pub fn replace_rules(&mut self, rules: Arc<RuleSet>) {
        let windows = Windows::new(&rules, self.options.windows);
        let before = std::mem::replace(&mut self.windows, windows);
        self.windows.take_over(&rules, before, &self.rules);
        self.rules = rules;
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub fn counters(&self) -> DetectorCounters {
        DetectorCounters {
            windows: self.windows.counters(),
            never_seen: self.never_seen.counters(),
            behaviour: self.behaviour.counters(),
        }
    }

    /// Takes in one batch whose clock is `now`. Every finding that its events complete is in `out` afterwards.
    ///
    /// `hits` are those that [`RuleSet::prepare`] made of this batch; if it was asked of another rule set (the rules
    /// were replaced in between), they are made anew.
    pub fn fold(
        &mut self,
        out: &mut Vec<Finding>,
        batch: &EventBatch,
        hits: &Hits,
        now: Timestamp,
        origin: FindingOrigin,
    ) {
        let rules = Arc::clone(&self.rules);
        let made_anew;
        let hits = if hits.rules == rules.fingerprint {
            hits
        } else {
            made_anew = rules.prepare(batch);
            &made_anew
        };
        let frame = Frame { batch, now, origin, repeat: batch.field_id(REPEAT) };
        let mut matched = Vec::new();
        for of_event in hits.matches.chunk_by(|(left, _), (right, _)| left == right) {
            let Some(event) = of_event.first().and_then(|(index, _)| batch.event(*index as usize)) else { continue };
            matched.clear();
            matched.extend(of_event.iter().map(|(_, rule)| *rule));
            let reporting = matched.iter().filter_map(|it| rules.rule(*it)).filter(|it| it.meta.reports);
            out.extend(reporting.map(|rule| finding::of_event(rule, event, &frame)));
            self.windows.observe(out, &rules, &frame, event, &matched);
        }
        self.windows.end_frame(out, &rules, &frame);
        for (index, hash) in &hits.patterns {
            if let Some(event) = batch.event(*index as usize) {
                self.never_seen.observe(out, event, *hash, origin);
            }
        }
        if !rules.behaviour.is_none() {
            for event in batch.events() {
                self.behaviour.observe(out, rules.behaviour, event, &frame);
            }
            self.behaviour.end_frame(out, rules.behaviour, &frame);
        }
    }
}
