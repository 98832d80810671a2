//! The half that remembers.

use std::collections::HashMap;
use std::sync::Arc;

use panoptes_correlate::{Deduplicator, DeduplicatorOptions};
use panoptes_detect::{Detector, DetectorOptions, RuleSet};
use panoptes_model::{AlertId, AlertUpdate, Finding, FindingOrigin, FrameId, Origin, Severity};
use serde::Serialize;

use crate::PreparedFrame;
use crate::checkpoint::LaneState;

/// What a fold is told once.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldOptions {
    pub detector: DetectorOptions,
    pub deduplicator: DeduplicatorOptions,
    /// Which kind of run this is; findings and alerts carry it.
    pub origin: FindingOrigin,
}

/// Where an input goes on reading after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPosition {
    pub origin: Origin,
    pub position: u64,
}

/// What one frame led to.
#[derive(Debug, Default)]
pub struct Effects {
    pub through: FrameId,
    pub findings: Vec<Finding>,
    pub alerts: Vec<AlertUpdate>,
    pub positions: Vec<InputPosition>,
}

/// What several frames led to, for whom single findings do not matter. Belongs into one catalogue transaction, with
/// `through` as its mark.
#[derive(Debug, Default)]
pub struct Gathered {
    pub through: FrameId,
    /// Of each alert the newest update, once [`Fold::flush`] has been called.
    pub alerts: Vec<AlertUpdate>,
    /// Of each origin the newest.
    pub positions: Vec<InputPosition>,
}

impl Gathered {
    fn take_positions(&mut self, positions: &[(Origin, u64)]) {
        for (origin, position) in positions {
            match self.positions.iter_mut().find(|it| it.origin == *origin) {
                Some(known) => known.position = *position,
                None => self.positions.push(InputPosition { origin: origin.clone(), position: *position }),
            }
        }
    }

    /// Leaves one update per alert, the newest, told as opened if any of them opened it; in the order in which the
    /// alerts were first met.
    fn coalesce(&mut self) {
        let mut places: HashMap<AlertId, usize> = HashMap::with_capacity(self.alerts.len());
        let mut merged: Vec<AlertUpdate> = Vec::with_capacity(self.alerts.len());
        for update in self.alerts.drain(..) {
            match places.get(&update.alert.id).and_then(|it| merged.get_mut(*it)) {
                Some(known) => *known = AlertUpdate { opened: known.opened || update.opened, ..update },
                None => {
                    places.insert(update.alert.id, merged.len());
                    merged.push(update);
                }
            }
        }
        self.alerts = merged;
    }
}

/// All state of detection: consumes frames in log order.
///
/// Old logs that are imported have windows and cool-downs of their own: what happened years ago must neither fill the
/// windows of today nor be told as if it were happening.
pub struct Fold {
    pub(crate) now: Lane,
    pub(crate) imported: Lane,
    pub(crate) through: FrameId,
    /// Empty between two frames: the room for the next one's.
    findings: Vec<Finding>,
}

/// State for one kind of frames.
pub(crate) struct Lane {
    pub(crate) detector: Detector,
    pub(crate) deduplicator: Deduplicator,
    options: FoldOptions,
}

/// Room for so many findings is kept from frame to frame.
const FINDINGS_KEPT: usize = 256;
/// What intake calls the input that reads old files.
const IMPORT: &str = "import";

impl Lane {
    fn new(rules: Arc<RuleSet>, options: FoldOptions) -> Self {
        Self {
            detector: Detector::new(rules, options.detector),
            deduplicator: Deduplicator::new(options.deduplicator),
            options,
        }
    }

    pub(crate) fn restore(&mut self, state: LaneState) {
        let rules = Arc::clone(self.detector.rules());
        self.detector = Detector::restore(rules, self.options.detector, state.detector);
        self.deduplicator = Deduplicator::restore(self.options.deduplicator, state.deduplicator);
    }

    /// Written as a [`LaneState`].
    pub(crate) fn state(&self) -> impl Serialize + '_ {
        LaneState { detector: self.detector.checkpoint(), deduplicator: self.deduplicator.state() }
    }
}

impl Fold {
    pub fn new(rules: Arc<RuleSet>, options: FoldOptions) -> Self {
        let imported = FoldOptions { origin: FindingOrigin::Import, ..options };
        Self {
            now: Lane::new(Arc::clone(&rules), options),
            imported: Lane::new(rules, imported),
            through: FrameId::default(),
            findings: Vec::new(),
        }
    }

    /// The last frame that was folded.
    pub fn through(&self) -> FrameId {
        self.through
    }

    /// The rules in force.
    pub fn rules(&self) -> &Arc<RuleSet> {
        self.now.detector.rules()
    }

    /// Goes on with other rules, from the next frame on. State of rules that are in both is kept.
    pub fn replace_rules(&mut self, rules: &Arc<RuleSet>) {
        self.now.detector.replace_rules(Arc::clone(rules));
        self.imported.detector.replace_rules(Arc::clone(rules));
    }

    /// Lets one frame change the state. A frame at or below [`through`](Self::through) was folded before and has no
    /// effects.
    pub fn fold(&mut self, frame: &PreparedFrame) -> Effects {
        let mut effects = Effects { through: self.through, ..Effects::default() };
        let Some(lane) = self.begin(frame) else { return effects };
        lane.detector.fold(&mut effects.findings, &frame.events, &frame.hits, frame.now, lane.options.origin);
        for finding in &effects.findings {
            lane.deduplicator.observe(&mut effects.alerts, finding, frame.now);
        }
        lane.deduplicator.flush(&mut effects.alerts);
        effects.through = frame.id;
        let position =
            |(origin, position): &(Origin, u64)| InputPosition { origin: origin.clone(), position: *position };
        effects.positions = frame.positions.iter().map(position).collect();
        effects
    }

    /// The same for many frames in a row: what an alert has come to is only told by the next [`flush`](Self::flush), once
    /// for all of them, and findings are given up to their alerts. Returns how many there were of each level, in the order
    /// of [`Severity::ALL`].
    pub fn gather(&mut self, gathered: &mut Gathered, frame: &PreparedFrame) -> [u64; Severity::ALL.len()] {
        let mut levels = [0; Severity::ALL.len()];
        let mut findings = std::mem::take(&mut self.findings);
        if let Some(lane) = self.begin(frame) {
            lane.detector.fold(&mut findings, &frame.events, &frame.hits, frame.now, lane.options.origin);
            for finding in findings.drain(..) {
                let level = Severity::ALL.iter().position(|it| *it == finding.rule.level);
                if let Some(count) = level.and_then(|it| levels.get_mut(it)) {
                    *count += 1;
                }
                lane.deduplicator.take(&mut gathered.alerts, finding, frame.now);
            }
            gathered.take_positions(&frame.positions);
        }
        gathered.through = gathered.through.max(self.through);
        findings.shrink_to(FINDINGS_KEPT);
        self.findings = findings;
        levels
    }

    /// Tells what alerts have come to since the last flush. To be called before a checkpoint.
    pub fn flush(&mut self, gathered: &mut Gathered) {
        for lane in [&mut self.now, &mut self.imported] {
            lane.deduplicator.flush(&mut gathered.alerts);
        }
        gathered.coalesce();
    }

    /// The lane that `frame` belongs to; `None` if it was folded before.
    fn begin(&mut self, frame: &PreparedFrame) -> Option<&mut Lane> {
        if frame.id <= self.through {
            return None;
        }
        self.through = frame.id;
        let is_import = frame.positions.iter().any(|(origin, _)| origin.input == IMPORT);
        Some(match self.now.options.origin {
            FindingOrigin::Live if is_import => &mut self.imported,
            _ => &mut self.now,
        })
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{Alert, RuleSummary, Severity, Timestamp};

    use super::*;

    fn update(id: u128, count: u64, opened: bool) -> AlertUpdate {
        let rule = RuleSummary { id: "r".into(), title: "t".into(), level: Severity::Low, tags: Vec::new() };
        let alert = Alert {
            id: AlertId(id),
            rule: Arc::new(rule),
            entities: Vec::new(),
            context: Vec::new(),
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
            opened_at: Timestamp(0),
            count,
            findings: 1,
            events: Vec::new(),
            sample: String::new(),
            reason: String::new(),
            source: String::new(),
            origin: FindingOrigin::Live,
        };
        AlertUpdate { alert, opened }
    }

    #[test]
    fn several_updates_of_an_alert_become_the_newest_and_stay_opened() {
        let alerts = vec![update(1, 1, true), update(2, 5, false), update(1, 3, false)];
        let mut gathered = Gathered { alerts, ..Gathered::default() };
        gathered.coalesce();
        let seen: Vec<_> = gathered.alerts.iter().map(|it| (it.alert.id.0, it.alert.count, it.opened)).collect();
        assert_eq!(seen, [(1, 3, true), (2, 5, false)]);
    }
}
