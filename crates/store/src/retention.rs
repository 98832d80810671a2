//! How long events are kept: which policy covers what, and which segments are to go.
//!
//! Policies cover events by source and type; the first that covers an event counts, and the last covers all. When
//! events are sealed, those of different policies go to different segments, and the segment notes its [class]: the name of
//! the policy, and a mark of all policies' patterns as they were. So a policy deletes exactly what it covers.
//!
//! When the patterns change, older segments may hold events of several policies. Then all that the manifest's lists of
//! sources and types allow for count, and the segment stays until every one of them would let it go: what is kept too long
//! can still be deleted, not the other way round.
//!
//! Age counts from when an event happened, of the newest in the segment. Under a hold nothing goes.
//!
//! [class]: Segment::class

use std::collections::{BTreeMap, BTreeSet};

use panoptes_model::Timestamp;

use crate::holds::Hold;
use crate::manifest::{Cause, Kinds, Segment};

const DAY_NANOS: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

/// How long some events are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub name: String,
    /// Values, or beginnings of values with a `*` behind; empty: all.
    pub sources: Vec<String>,
    pub datasets: Vec<String>,
    /// `None`: for ever.
    pub keep_days: Option<u32>,
    /// `None`: without limit.
    pub bytes_max: Option<u64>,
}

impl Policy {
    fn covers(&self, source: &str, dataset: &str) -> bool {
        let matches = |patterns: &[String], value: &str| {
            patterns.is_empty()
                || patterns.iter().any(|it| match it.strip_suffix('*') {
                    Some(start) => value.starts_with(start),
                    None => it == value,
                })
        };
        matches(&self.sources, source) && matches(&self.datasets, dataset)
    }
}

/// All policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    policies: Vec<Policy>,
    /// Of the patterns of all.
    mark: String,
}

impl Default for Retention {
    /// Everything is kept.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// What is to become of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    /// It is to go, because of this.
    Due(Cause),
    /// It would be to go, but this hold is on it.
    Held {
        hold: String,
    },
}

impl Retention {
    /// With these policies, in the order in which they count; what none of them covers is kept for ever.
    pub fn new(mut policies: Vec<Policy>) -> Self {
        if policies.last().is_none_or(|it| !it.sources.is_empty() || !it.datasets.is_empty()) {
            policies.push(Policy { name: "default".to_owned(), ..Policy::default() });
        }
        let mut patterns = String::new();
        for policy in &policies {
            patterns.push_str(&format!("{:?} {:?} {:?};", policy.name, policy.sources, policy.datasets));
        }
        let [a, b, c, d, ..] = panoptes_seal::sha256(&[patterns.as_bytes()]);
        Self { mark: format!("{:08x}", u32::from_be_bytes([a, b, c, d])), policies }
    }

    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Whether events have to be told apart.
    pub(crate) fn has_classes(&self) -> bool {
        self.policies.len() > 1
    }

    /// The number of the policy that covers an event.
    pub(crate) fn policy_of(&self, source: &str, dataset: &str) -> usize {
        self.policies.iter().position(|it| it.covers(source, dataset)).unwrap_or(self.policies.len() - 1)
    }

    /// What a segment notes whose events are all of policy `number`.
    pub(crate) fn class(&self, number: usize) -> String {
        match self.policies.get(number) {
            Some(policy) if self.has_classes() => format!("{}#{}", policy.name, self.mark),
            _ => String::new(),
        }
    }

    /// The policies that events of a segment may be of.
    pub fn policies_of(&self, segment: &Segment) -> Vec<&Policy> {
        let name = segment.class.strip_suffix(&self.mark).and_then(|it| it.strip_suffix('#'));
        if let Some(policy) = name.and_then(|name| self.policies.iter().find(|it| it.name == name)) {
            return vec![policy];
        }
        if !self.has_classes() {
            return self.policies.iter().collect();
        }
        match (&segment.sources, &segment.datasets) {
            (Kinds::Known(sources), Kinds::Known(datasets)) => {
                let pairs = sources.iter().flat_map(|source| datasets.iter().map(move |it| (source, it)));
                let numbers: BTreeSet<usize> = pairs.map(|(source, dataset)| self.policy_of(source, dataset)).collect();
                numbers.iter().filter_map(|it| self.policies.get(*it)).collect()
            }
            _ => self.policies.iter().collect(),
        }
    }

    /// What is to become of each segment at `now`, in the order given.
    pub fn verdicts(&self, segments: &[Segment], holds: &[Hold], now: Timestamp) -> Vec<Verdict> {
        // Whatever is only of one policy counts towards its limit.
        let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
        let of: Vec<Vec<&Policy>> = segments.iter().map(|it| self.policies_of(it)).collect();
        let mut due: Vec<Option<Cause>> = Vec::with_capacity(segments.len());
        for (segment, policies) in segments.iter().zip(&of) {
            let ages = |policy: &&Policy| {
                let days = policy.keep_days?;
                let end = segment.time_max.saturating_add_nanos(i64::from(days).saturating_mul(DAY_NANOS));
                (end < now).then_some(days)
            };
            let days: Option<Vec<u32>> = policies.iter().map(ages).collect();
            let cause = days.filter(|it| !it.is_empty()).map(|days| Cause {
                reason: format!("older than {} days", days.into_iter().max().unwrap_or(0)),
                actor: String::new(),
                policy: policies.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", "),
            });
            if let ([policy], None) = (policies.as_slice(), &cause) {
                let sum = bytes.entry(&policy.name).or_default();
                *sum = sum.saturating_add(segment.bytes_on_disk());
            }
            due.push(cause);
        }
        let mut oldest: Vec<usize> = (0..segments.len()).collect();
        oldest.sort_by_key(|it| segments.get(*it).map(|it| (it.time_max, it.frame_first)));
        for number in oldest {
            let (Some(segment), Some(policies), Some(slot)) =
                (segments.get(number), of.get(number), due.get_mut(number))
            else {
                continue;
            };
            let ([policy], None) = (policies.as_slice(), &slot) else { continue };
            let (Some(bytes_max), Some(sum)) = (policy.bytes_max, bytes.get_mut(policy.name.as_str())) else {
                continue;
            };
            if *sum > bytes_max {
                *sum = sum.saturating_sub(segment.bytes_on_disk());
                *slot = Some(Cause {
                    reason: format!("the oldest of more than {bytes_max} bytes"),
                    actor: String::new(),
                    policy: policy.name.clone(),
                });
            }
        }
        let verdict = |(segment, cause): (&Segment, Option<Cause>)| match cause {
            None => Verdict::Kept,
            Some(cause) => match holds.iter().find(|it| it.covers(segment)) {
                Some(hold) => Verdict::Held { hold: hold.name.clone() },
                None => Verdict::Due(cause),
            },
        };
        segments.iter().zip(due).map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGA: u64 = 1 << 20;

    fn policy(name: &str, sources: &[&str], datasets: &[&str], keep_days: u32, bytes_max: u64) -> Policy {
        let owned = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        Policy {
            name: name.into(),
            sources: owned(sources),
            datasets: owned(datasets),
            keep_days: (keep_days > 0).then_some(keep_days),
            bytes_max: (bytes_max > 0).then_some(bytes_max),
        }
    }

    fn segment(day: i64, sources: &[&str], datasets: &[&str], class: &str) -> Segment {
        let known = |it: &[&str]| Kinds::of(it.iter().map(|it| (*it).to_owned()));
        Segment {
            time_max: Timestamp(day * DAY_NANOS),
            bytes: MEGA,
            sources: known(sources),
            datasets: known(datasets),
            class: class.into(),
            ..Segment::default()
        }
    }

    fn reasons(retention: &Retention, segments: &[Segment], holds: &[Hold], day: i64) -> Vec<String> {
        let text = |it| match it {
            Verdict::Kept => "kept".to_owned(),
            Verdict::Held { hold } => format!("held by {hold}"),
            Verdict::Due(cause) => format!("{}: {}", cause.policy, cause.reason),
        };
        retention.verdicts(segments, holds, Timestamp(day * DAY_NANOS)).into_iter().map(text).collect()
    }

    #[test]
    fn nothing_goes_unless_a_policy_says_so() {
        let segments = [segment(0, &["a"], &["x"], ""), Segment::default()];
        assert_eq!(reasons(&Retention::default(), &segments, &[], 99_999), ["kept", "kept"]);
    }

    #[test]
    fn the_first_policy_that_covers_an_event_counts() {
        let retention = Retention::new(vec![
            policy("web", &["web*"], &[], 10, 0),
            policy("ssh", &[], &["linux.sshd"], 90, 0),
            policy("default", &[], &[], 30, 0),
        ]);
        let of = |source, dataset| retention.policies()[retention.policy_of(source, dataset)].name.clone();
        assert_eq!(
            (of("web1", "linux.sshd"), of("db", "linux.sshd"), of("db", "x")),
            ("web".into(), "ssh".into(), "default".into())
        );
        let class = |number| retention.class(number);
        let segments = [
            segment(0, &["web1"], &["x"], &class(0)),
            segment(0, &["db"], &["linux.sshd"], &class(1)),
            segment(0, &["db"], &["x"], &class(2)),
        ];
        let due = |day| reasons(&retention, &segments, &[], day);
        assert_eq!(due(10), ["kept", "kept", "kept"], "not before the newest event is older");
        assert_eq!(due(11), ["web: older than 10 days", "kept", "kept"]);
        assert_eq!(due(31)[1..], ["kept", "default: older than 30 days"]);
        assert_eq!(due(91)[1], "ssh: older than 90 days");
        // Sealed under other policies: all that may cover its events have to agree.
        let mixed = [
            segment(0, &["db", "web1"], &["linux.sshd", "x"], "web#00000000"),
            Segment { time_max: Timestamp(0), ..Segment::default() },
        ];
        assert_eq!(reasons(&retention, &mixed, &[], 60), ["kept", "kept"]);
        assert_eq!(reasons(&retention, &mixed, &[], 91), vec!["web, ssh, default: older than 90 days"; 2]);
        let known = [segment(0, &["web1", "web2"], &["x", "y"], "")];
        assert_eq!(reasons(&retention, &known, &[], 11), ["web: older than 10 days"]);
    }

    #[test]
    fn the_oldest_go_first_when_there_is_too_much() {
        let retention = Retention::new(vec![policy("default", &[], &[], 0, 2 * MEGA)]);
        let segments: Vec<Segment> = [4, 1, 3, 2].map(|day| segment(day, &["a"], &["x"], "")).to_vec();
        let reason = "default: the oldest of more than 2097152 bytes";
        assert_eq!(reasons(&retention, &segments, &[], 0), ["kept", reason, "kept", reason]);
        assert_eq!(reasons(&retention, &segments[..2], &[], 0), ["kept", "kept"]);
    }

    #[test]
    fn what_is_held_stays() {
        let retention = Retention::new(vec![policy("default", &[], &[], 1, 0)]);
        let hold = |name: &str, sources: &[&str], since: Option<i64>| Hold {
            name: name.into(),
            sources: sources.iter().map(|it| (*it).to_owned()).collect(),
            since: since.map(|it| Timestamp(it * DAY_NANOS)),
            ..Hold::default()
        };
        let segments = [
            segment(5, &["a"], &["x"], ""),
            segment(9, &["b"], &["x"], ""),
            Segment { time_max: Timestamp(5), ..Segment::default() },
        ];
        let due = "default: older than 1 days";
        assert_eq!(reasons(&retention, &segments, &[hold("h", &["b"], None)], 99), [due, "held by h", "held by h"]);
        assert_eq!(reasons(&retention, &segments, &[hold("h", &[], Some(6))], 99), [due, "held by h", due]);
    }
}
