//! A claim with evidence, and a claim worth a human.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AlertId, EventId, FindingId, Severity, Timestamp};

/// What a finding says of the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSummary {
    /// Sigma's `id` (a UUID), or a stable word for built-in detectors: `anomaly.never_seen_pattern`.
    pub id: String,
    pub title: String,
    pub level: Severity,
    /// Sigma tags: `attack.t1110.001`.
    pub tags: Vec<String>,
}

/// Somebody or something that a finding is about, under its ECS field: `source.ip` = `203.0.113.9`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    pub field: String,
    pub value: String,
}

/// Which kind of run made the finding. Only `Live` ones may ever block anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingOrigin {
    #[default]
    Live,
    Import,
    Scan,
}

/// How many event ids, and how many sample texts, a finding or an alert carries at most. More evidence raises only
/// the count; the events themselves stay in the store.
pub const EVIDENCE_MAX: usize = 20;
/// A sample text is cut to this many bytes (at a character border).
pub const SAMPLE_BYTES_MAX: usize = 1_024;

/// A claim with evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub id: FindingId,
    pub rule: Arc<RuleSummary>,
    /// When the newest event of the evidence happened.
    pub time: Timestamp,
    /// When the oldest event of the evidence happened.
    pub first_seen: Timestamp,
    /// Who and whom; sorted by field. Rule and entities together say what "the same thing again" means.
    pub entities: Vec<Entity>,
    /// Further fields worth showing (never part of the identity), as text.
    pub context: Vec<Entity>,
    /// How many events it rests on.
    pub count: u64,
    /// The newest of them, at most [`EVIDENCE_MAX`].
    pub events: Vec<EventId>,
    /// The text of the newest, cut to [`SAMPLE_BYTES_MAX`].
    pub sample: String,
    /// One sentence: what was seen, against which threshold.
    pub reason: String,
    /// The stream in which the newest event arrived ([`Origin::source`](crate::Origin::source)) and its path and
    /// record position there.
    pub source: String,
    pub position: u64,
    pub origin: FindingOrigin,
}

/// Where an alert stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    #[default]
    Open,
    Acknowledged,
    Resolved,
}

impl AlertState {
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an alert was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    TruePositive,
    FalsePositive,
    Benign,
    Duplicate,
}

impl Resolution {
    pub const ALL: [Self; 4] = [Self::TruePositive, Self::FalsePositive, Self::Benign, Self::Duplicate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TruePositive => "true-positive",
            Self::FalsePositive => "false-positive",
            Self::Benign => "benign",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is none of the words that were expected.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not one of {expected}")]
pub struct WordUnknown {
    text: String,
    expected: &'static str,
}

impl FromStr for AlertState {
    type Err = WordUnknown;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| WordUnknown { text: text.to_owned(), expected: "open, acknowledged, resolved" })
    }
}

impl FromStr for Resolution {
    type Err = WordUnknown;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or_else(|| WordUnknown {
            text: text.to_owned(),
            expected: "true-positive, false-positive, benign, duplicate",
        })
    }
}

/// A claim worth a human: findings of one rule about the same entities, within a cool-down, are one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub id: AlertId,
    pub rule: Arc<RuleSummary>,
    pub entities: Vec<Entity>,
    pub context: Vec<Entity>,
    /// When the first and the newest event of its evidence happened.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// The clock of the frame in which it was opened.
    pub opened_at: Timestamp,
    /// How many events, and how many findings, it rests on.
    pub count: u64,
    pub findings: u64,
    /// The newest event ids, at most [`EVIDENCE_MAX`].
    pub events: Vec<EventId>,
    pub sample: String,
    pub reason: String,
    pub source: String,
    pub origin: FindingOrigin,
}

/// What happened to an alert in one frame: what `correlate` hands to the catalogue and to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertUpdate {
    pub alert: Alert,
    /// `true` the first time: people are told once; afterwards only the counters move.
    pub opened: bool,
}

/// `text` cut to at most [`SAMPLE_BYTES_MAX`] bytes at a character border.
pub fn sample_of(text: &str) -> String {
    let end = text.floor_char_boundary(SAMPLE_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_cut_between_characters() {
        let text = "é".repeat(SAMPLE_BYTES_MAX);
        assert!(sample_of(&text).len() <= SAMPLE_BYTES_MAX);
        assert_eq!(sample_of("short"), "short");
    }

    #[test]
    fn words_of_states_and_resolutions_read_back() {
        for state in AlertState::ALL {
            assert_eq!(state.as_str().parse::<AlertState>().unwrap(), state);
        }
        for resolution in Resolution::ALL {
            assert_eq!(resolution.as_str().parse::<Resolution>().unwrap(), resolution);
        }
        let error = "closed".parse::<AlertState>().unwrap_err();
        assert_eq!(error.to_string(), "`closed` is not one of open, acknowledged, resolved");
    }
}
