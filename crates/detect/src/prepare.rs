//! The stateless half: which events match which rules.

use panoptes_model::EventBatch;

use crate::anomaly;
use crate::rules::RuleSet;

/// What [`RuleSet::prepare`] found out about one batch.
#[derive(Clone, Debug)]
pub struct Hits {
    /// The rule set that was asked.
    pub(crate) rules: u128,
    /// Index of an event, index of a rule that it matches; in order of both.
    pub(crate) matches: Vec<(u32, u32)>,
    /// Index of an event, hash of the pattern of its message.
    pub(crate) patterns: Vec<(u32, u64)>,
}

impl Hits {
    /// How many pairs of an event and a rule match.
    pub fn len(&self) -> usize {
        self.matches.len()
    }

    pub fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// Forgets what was found out about events for which `keep` is false.
    pub fn retain_events(&mut self, keep: impl Fn(u32) -> bool) {
        self.matches.retain(|(event, _)| keep(*event));
        self.patterns.retain(|(event, _)| keep(*event));
    }

    /// The pairs: index of an event in the batch, index of a rule in [`RuleSet::rules`]; in order of both.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.matches.iter().copied()
    }
}

impl RuleSet {
    /// Evaluates every single-event rule against every event of `batch`. Keeps nothing: any core may do it.
    pub fn prepare(&self, batch: &EventBatch) -> Hits {
        let mut matches = Vec::new();
        self.engine.evaluate(batch, |event, rule| matches.push((event, rule)));
        let mut patterns = Vec::new();
        if self.wants_patterns {
            let hashed = batch.events().zip(0..).filter_map(|(event, index)| Some((index, anomaly::hash_of(event)?)));
            patterns.extend(hashed);
        }
        Hits { rules: self.fingerprint, matches, patterns }
    }
}
