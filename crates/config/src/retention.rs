//! `[store.retention]`: how long evidence is kept.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meaning::Reader;

/// How many policies there may be: each divides segments. More are refused.
const POLICIES_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 48;
/// The policy of all that no other covers.
pub const DEFAULT_POLICY: &str = "default";

/// How long evidence is kept. What is said here itself is for all that no policy covers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// Events are deleted so many days after they happened; 0 is never.
    #[schemars(range(max = 36_500))]
    pub keep_days: u32,
    /// The oldest are deleted when they take more than this on the disk; 0 is without limit.
    #[schemars(range(max = 1_152_921_504_606_846_976_u64))]
    pub bytes_max: u64,
    /// Other rules for some sources or types of events; the first that covers an event counts.
    pub policies: Vec<PolicySection>,
}

/// How long some events are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySection {
    /// What it is called in listings and in the record of deletions.
    pub name: String,
    /// Events of these sources (`panoptes.source`; a `*` at the end stands for any rest); empty: of all.
    pub sources: Vec<String>,
    /// Events of these types (`event.dataset`, the same way); empty: of all.
    pub event_types: Vec<String>,
    /// Events are deleted so many days after they happened; 0 is never.
    #[schemars(range(max = 36_500))]
    pub keep_days: u32,
    /// The oldest are deleted when they take more than this on the disk; 0 is without limit.
    #[schemars(range(max = 1_152_921_504_606_846_976_u64))]
    pub bytes_max: u64,
}

/// What the policies mean: in the order in which they count, the last for all the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    pub name: String,
    pub sources: Vec<String>,
    pub event_types: Vec<String>,
    /// `None`: for ever.
    pub keep_days: Option<u32>,
    /// `None`: without limit.
    pub bytes_max: Option<u64>,
}

impl Reader<'_> {
    pub(crate) fn retention(&mut self, section: &RetentionSection) -> Vec<PolicyConfig> {
        if section.policies.len() > POLICIES_MAX {
            let message = format!(
                "`store.retention.policies` are {}, of at most {POLICIES_MAX}; join some",
                section.policies.len()
            );
            self.complain("store.retention.policies", message);
        }
        let mut names = BTreeSet::new();
        let mut policies = Vec::new();
        for (index, it) in section.policies.iter().enumerate() {
            let key = format!("store.retention.policies[{index}]");
            let is_plain = |name: &str| name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
            if it.name.is_empty() || it.name.len() > NAME_BYTES_MAX || !is_plain(&it.name) {
                let message = format!(
                    "`{key}.name` is `{}`; name the policy with letters, digits, `-`, `_` and `.`, at most {NAME_BYTES_MAX}",
                    it.name
                );
                self.complain(&key, message);
            } else if it.name == DEFAULT_POLICY || !names.insert(it.name.as_str()) {
                self.complain(
                    &key,
                    format!("`{key}.name` is `{}`, which another policy is called; choose another", it.name),
                );
            }
            for pattern in it.sources.iter().chain(&it.event_types) {
                if pattern.is_empty() || pattern.strip_suffix('*').unwrap_or(pattern).contains('*') {
                    let message = format!(
                        "`{key}` has the pattern `{pattern}`; write a whole value, or its beginning and one `*`"
                    );
                    self.complain(&key, message);
                }
            }
            if it.sources.is_empty() && it.event_types.is_empty() {
                let message = format!(
                    "`{key}` covers everything; say so in [store.retention] itself, or name sources or event_types"
                );
                self.complain(&key, message);
            }
            policies.push(PolicyConfig {
                name: it.name.clone(),
                sources: it.sources.clone(),
                event_types: it.event_types.clone(),
                keep_days: (it.keep_days > 0).then_some(it.keep_days),
                bytes_max: (it.bytes_max > 0).then_some(it.bytes_max),
            });
        }
        policies.push(PolicyConfig {
            name: DEFAULT_POLICY.to_owned(),
            sources: Vec::new(),
            event_types: Vec::new(),
            keep_days: (section.keep_days > 0).then_some(section.keep_days),
            bytes_max: (section.bytes_max > 0).then_some(section.bytes_max),
        });
        policies
    }
}
