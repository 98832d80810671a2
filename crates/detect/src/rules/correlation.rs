//! Correlation rules: from what `rsigma` parsed to what `window` runs.

use std::collections::BTreeMap;

use panoptes_model::{Timestamp, content_hash};
use rsigma_parser::{ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, WindowMode};

use super::error::RuleError;
use super::load::Document;
use crate::window::VALUES_MAX;

/// How many rules one correlation may name: `temporal` keeps a place for each in every group.
const MEMBERS_MAX: usize = 64;
/// How many fields a correlation may group by.
const GROUP_BY_MAX: usize = 16;
/// The longest timespan: state is kept for that long.
const TIMESPAN_SECONDS_MAX: u64 = 31 * 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CorrelationKind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
}

impl CorrelationKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
        }
    }
}

/// Where a member's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyFields {
    /// Fields of the event that matched.
    Event(Vec<String>),
    /// Positions among the group-by fields of the correlation that is the member.
    Group(Vec<usize>),
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) rule: u32,
    pub(crate) key: KeyFields,
    /// What `value_count` counts; empty otherwise.
    pub(crate) values: KeyFields,
}

/// A correlation, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    pub(crate) kind: CorrelationKind,
    /// In the order in which the rule lists them, which `temporal_ordered` goes by.
    pub(crate) members: Vec<Member>,
    /// Names of the group-by fields as findings show them.
    pub(crate) group_by: Vec<String>,
    /// Names of the counted fields as findings show them.
    pub(crate) counted: Vec<String>,
    pub(crate) timespan_nanos: i64,
    /// The timespan as the rule writes it.
    pub(crate) timespan_text: String,
    pub(crate) predicates: Vec<(ConditionOperator, u64)>,
    /// Changes with every change to the rule or to one of its members: state under another one is not its state.
    pub(crate) fingerprint: u128,
}

impl Correlation {
    pub(crate) fn holds(&self, measure: u64) -> bool {
        self.predicates.iter().all(|(operator, value)| match operator {
            ConditionOperator::Lt => measure < *value,
            ConditionOperator::Lte => measure <= *value,
            ConditionOperator::Gt => measure > *value,
            ConditionOperator::Gte => measure >= *value,
            ConditionOperator::Eq => measure == *value,
            ConditionOperator::Neq => measure != *value,
        })
    }

    /// Whether the condition could hold for a measure of at most `most`: what need not be looked for otherwise.
    pub(crate) fn may_hold_below(&self, most: u64) -> bool {
        self.predicates.iter().all(|(operator, value)| match operator {
            ConditionOperator::Gt => most > *value,
            ConditionOperator::Gte | ConditionOperator::Eq => most >= *value,
            ConditionOperator::Lt | ConditionOperator::Lte | ConditionOperator::Neq => true,
        })
    }

    /// The condition in words: `at least 5`.
    pub(crate) fn condition_text(&self) -> String {
        let parts: Vec<String> = self
            .predicates
            .iter()
            .map(|(operator, value)| {
                let words = match operator {
                    ConditionOperator::Lt => "fewer than",
                    ConditionOperator::Lte => "at most",
                    ConditionOperator::Gt => "more than",
                    ConditionOperator::Gte => "at least",
                    ConditionOperator::Eq => "exactly",
                    ConditionOperator::Neq => "other than",
                };
                format!("{words} {value}")
            })
            .collect();
        parts.join(" and ")
    }
}

/// What a correlation needs to know of a rule that it names.
#[derive(Clone, Copy)]
pub(crate) struct Known<'r> {
    pub(crate) rule: u32,
    pub(crate) fingerprint: u128,
    /// The fields by which the member is grouped, if it is a correlation itself.
    pub(crate) group_by: Option<&'r [String]>,
}

/// Compiles `rule`, whose members `known` finds by id or name.
pub(crate) fn compile<'r>(
    document: &Document,
    rule: &CorrelationRule,
    known: impl Fn(&str) -> Option<Known<'r>>,
) -> Result<Correlation, RuleError> {
    let kind = match rule.correlation_type {
        CorrelationType::EventCount => CorrelationKind::EventCount,
        CorrelationType::ValueCount => CorrelationKind::ValueCount,
        CorrelationType::Temporal => CorrelationKind::Temporal,
        CorrelationType::TemporalOrdered => CorrelationKind::TemporalOrdered,
        other => {
            let reason = format!("correlations of the type `{}` are not supported", other.as_str());
            let cure = "use event_count, value_count, temporal or temporal_ordered";
            return Err(document.place_of("type:").error(reason, cure));
        }
    };
    if rule.window != WindowMode::Sliding {
        let reason = format!("`{}` windows are not supported", rule.window.as_str());
        return Err(document.place_of("window").error(reason, "leave `window` out: windows slide"));
    }
    let (predicates, counted) = condition(document, rule, kind)?;
    check_sizes(document, rule)?;

    let aliases: BTreeMap<&str, _> = rule.aliases.iter().map(|it| (it.alias.as_str(), &it.mapping)).collect();
    let mut members: Vec<Member> = Vec::with_capacity(rule.rules.len());
    let mut fingerprints = Vec::new();
    for reference in &rule.rules {
        let Some(found) = known(reference) else {
            let reason = format!("it names the rule `{reference}`, which is not loaded");
            let cure =
                "correct the id or name, or load the file that holds it (a rule with an error counts as missing)";
            return Err(document.place_of(reference).error(reason, cure));
        };
        fingerprints.push(found.fingerprint.to_le_bytes());
        if members.iter().any(|it| it.rule == found.rule) {
            let reason = format!("it names the rule `{reference}` twice");
            return Err(document.place_of(reference).error(reason, "name it once"));
        }
        let resolve = |name: &String| -> Result<String, RuleError> {
            match aliases.get(name.as_str()) {
                None => Ok(name.clone()),
                Some(mapping) => mapping.get(reference).cloned().ok_or_else(|| {
                    let reason = format!("the alias `{name}` has no field for the rule `{reference}`");
                    document.place_of("aliases:").error(reason, "add a line for that rule to the alias")
                }),
            }
        };
        let fields_of = |names: &[String]| -> Result<KeyFields, RuleError> {
            let names = names.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
            let Some(inner) = found.group_by else { return Ok(KeyFields::Event(names)) };
            let positions = names.iter().map(|name| {
                inner.iter().position(|it| it == name).ok_or_else(|| {
                    let reason = format!("the correlation `{reference}` has no group-by field `{name}`");
                    let cure = "group by fields that every correlation among the rules groups by too";
                    document.place_of(name).error(reason, cure)
                })
            });
            Ok(KeyFields::Group(positions.collect::<Result<_, _>>()?))
        };
        let (key, values) = (fields_of(&rule.group_by)?, fields_of(&counted)?);
        members.push(Member { rule: found.rule, key, values });
    }
    let shown = |names: &[String]| -> Vec<String> { names.iter().map(|name| shown_name(name, &aliases)).collect() };
    let parts: Vec<&[u8]> =
        std::iter::once(document.text.as_bytes()).chain(fingerprints.iter().map(|it| it.as_slice())).collect();
    Ok(Correlation {
        kind,
        members,
        group_by: shown(&rule.group_by),
        counted: shown(&counted),
        timespan_nanos: Timestamp::from_seconds(rule.timespan.seconds as i64).0,
        timespan_text: rule.timespan.original.clone(),
        predicates,
        fingerprint: content_hash(&parts),
    })
}

/// What an alias stands for, if that is one field for all rules: people know fields, not the rule's own words.
fn shown_name(name: &str, aliases: &BTreeMap<&str, &std::collections::HashMap<String, String>>) -> String {
    let Some(mapping) = aliases.get(name) else { return name.to_owned() };
    let mut fields: Vec<&String> = mapping.values().collect();
    fields.sort_unstable();
    fields.dedup();
    match fields.as_slice() {
        [one] => (*one).clone(),
        _ => name.to_owned(),
    }
}

type Condition = (Vec<(ConditionOperator, u64)>, Vec<String>);

fn condition(document: &Document, rule: &CorrelationRule, kind: CorrelationKind) -> Result<Condition, RuleError> {
    let is_temporal = matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
    let CorrelationCondition::Threshold { predicates, field, .. } = &rule.condition else {
        let reason = "a condition that is a sentence is not supported";
        let cure = "leave the condition of a temporal correlation out: all its rules must match";
        return Err(document.place_of("condition:").error(reason, cure));
    };
    let counted = field.clone().unwrap_or_default();
    let place = document.place_of("condition:");
    match kind {
        CorrelationKind::ValueCount if counted.is_empty() => {
            Err(place.error("value_count does not say what it counts", "add `field:` to the condition"))
        }
        CorrelationKind::ValueCount if predicates.iter().any(|(_, value)| *value > VALUES_MAX as u64) => {
            let reason = format!("value_count cannot count further than {VALUES_MAX}");
            Err(place.error(reason, "lower the threshold, or group by one field more"))
        }
        CorrelationKind::ValueCount => Ok((predicates.clone(), counted)),
        _ if !counted.is_empty() => {
            let reason = format!("{} counts no field", kind.as_str());
            Err(place.error(reason, "remove `field:`, or use value_count"))
        }
        // All members must match: how many is not asked.
        _ if is_temporal => Ok((Vec::new(), counted)),
        _ => Ok((predicates.clone(), counted)),
    }
}

fn check_sizes(document: &Document, rule: &CorrelationRule) -> Result<(), RuleError> {
    let is_temporal = matches!(rule.correlation_type, CorrelationType::Temporal | CorrelationType::TemporalOrdered);
    let rules_min = if is_temporal { 2 } else { 1 };
    if !(rules_min..=MEMBERS_MAX).contains(&rule.rules.len()) {
        let reason = format!("it names {} rules, not {rules_min} to {MEMBERS_MAX}", rule.rules.len());
        return Err(document.place_of("rules:").error(reason, "list rules by id or name under `rules:`"));
    }
    if rule.group_by.len() > GROUP_BY_MAX {
        let reason = format!("it groups by {} fields, more than {GROUP_BY_MAX}", rule.group_by.len());
        return Err(document.place_of("group-by:").error(reason, "group by fewer fields"));
    }
    let seconds = rule.timespan.seconds;
    if !(1..=TIMESPAN_SECONDS_MAX).contains(&seconds) {
        let reason = format!("the timespan is {seconds} s, not 1 s to {} days", TIMESPAN_SECONDS_MAX / 86_400);
        return Err(document.place_of("timespan:").error(reason, "choose one within"));
    }
    Ok(())
}
