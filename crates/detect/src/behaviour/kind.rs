//! What a detector is, for listings: the same facts that a rule file has.

use std::sync::Arc;

use panoptes_model::{RuleSummary, Severity};

use crate::rules::RuleMeta;

/// One detector's card. Its id is stable for ever: configurations disable it by this word.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) level: Severity,
    /// Techniques of ATT&CK, as Sigma tags.
    pub(crate) tags: &'static [&'static str],
    pub(crate) description: &'static str,
    pub(crate) falsepositives: &'static [&'static str],
    /// Which events it reads, for people.
    pub(crate) reads: &'static str,
}

impl Kind {
    pub(crate) fn summary(&self) -> Arc<RuleSummary> {
        Arc::new(RuleSummary {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            level: self.level,
            tags: self.tags.iter().map(|it| (*it).to_owned()).collect(),
        })
    }

    pub(crate) fn meta(&self, reports: bool) -> RuleMeta {
        RuleMeta {
            summary: self.summary(),
            kind: "detector",
            path: "built in".to_owned(),
            line: None,
            name: None,
            description: Some(self.description.to_owned()),
            author: Some("Panoptes".to_owned()),
            status: None,
            date: None,
            modified: None,
            falsepositives: self.falsepositives.iter().map(|it| (*it).to_owned()).collect(),
            references: Vec::new(),
            log_source: self.reads.to_owned(),
            sources: Vec::new(),
            datasets: Vec::new(),
            reports,
        }
    }
}
