//! Correlation rules: from what `rsigma` parsed to what `window` runs.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use panoptes_model::{Timestamp, content_hash};
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, Quantifier,
    SelectorPattern, WindowMode,
};

use super::error::RuleError;
use super::load::Document;
use crate::window::{Measure, Mode, VALUES_MAX};

/// How many rules one correlation may name: `temporal` keeps a place for each in every group, and a bit in a word.
const MEMBERS_MAX: usize = 64;
/// How many fields a correlation may group by.
const GROUP_BY_MAX: usize = 16;
/// The longest timespan: state is kept for that long.
const TIMESPAN_SECONDS_MAX: u64 = 31 * 86_400;
/// How deep the condition of a temporal correlation may be nested.
const SENTENCE_DEPTH_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CorrelationKind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
    ValueSum,
    ValueAvg,
    ValuePercentile,
    ValueMedian,
}

impl CorrelationKind {
    const fn of(kind: CorrelationType) -> Self {
        match kind {
            CorrelationType::EventCount => Self::EventCount,
            CorrelationType::ValueCount => Self::ValueCount,
            CorrelationType::Temporal => Self::Temporal,
            CorrelationType::TemporalOrdered => Self::TemporalOrdered,
            CorrelationType::ValueSum => Self::ValueSum,
            CorrelationType::ValueAvg => Self::ValueAvg,
            CorrelationType::ValuePercentile => Self::ValuePercentile,
            CorrelationType::ValueMedian => Self::ValueMedian,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
            Self::ValueSum => "value_sum",
            Self::ValueAvg => "value_avg",
            Self::ValuePercentile => "value_percentile",
            Self::ValueMedian => "value_median",
        }
    }

    pub(crate) const fn is_temporal(self) -> bool {
        matches!(self, Self::Temporal | Self::TemporalOrdered)
    }

    /// Whether it reckons with a number of each event.
    pub(crate) const fn is_numeric(self) -> bool {
        matches!(self, Self::ValueSum | Self::ValueAvg | Self::ValuePercentile | Self::ValueMedian)
    }
}

/// Where one of a member's values comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyField {
    /// A field of the event that matched, or that lets the correlation hold that is the member: what its log sources
    /// call it. The first that the event has.
    Event(Vec<String>),
    /// Position among the group-by fields of the correlation that is the member.
    Group(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) rule: u32,
    pub(crate) key: Vec<KeyField>,
    /// What is counted or reckoned with; empty otherwise.
    pub(crate) values: Vec<KeyField>,
}

/// Which rules of a `temporal` correlation must match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sentence {
    Member(usize),
    /// At least so many of them.
    Some(usize, Vec<Self>),
    Not(Box<Self>),
}

impl Sentence {
    fn holds(&self, there: u64) -> bool {
        match self {
            Self::Member(index) => there >> index & 1 == 1,
            Self::Some(least, parts) => parts.iter().filter(|it| it.holds(there)).count() >= *least,
            Self::Not(part) => !part.holds(there),
        }
    }
}

/// A correlation, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    pub(crate) kind: CorrelationKind,
    /// In the order in which the rule lists them, which `temporal_ordered` goes by.
    pub(crate) members: Vec<Member>,
    /// Names of the group-by fields as the rule has them, and as findings show them.
    names: Vec<String>,
    pub(crate) group_by: Vec<String>,
    /// Names of the counted fields as findings show them.
    pub(crate) counted: Vec<String>,
    pub(crate) timespan_nanos: i64,
    /// The timespan as the rule writes it.
    pub(crate) timespan_text: String,
    pub(crate) window: Mode,
    predicates: Vec<(ConditionOperator, i64)>,
    condition_text: OnceLock<String>,
    sentence: Option<Sentence>,
    /// Of `value_percentile`; 50 is the median.
    pub(crate) percentile: u32,
    /// The least count with which the condition can hold, if it asks for some.
    pub(crate) least: Option<u64>,
    /// Changes with every change to the rule or to one of its members: state under another one is not its state.
    pub(crate) fingerprint: u128,
}

impl Correlation {
    pub(crate) fn holds(&self, measure: Measure) -> bool {
        self.predicates.iter().all(|(operator, value)| {
            let order = measure.compare(*value);
            match operator {
                ConditionOperator::Lt => order == Ordering::Less,
                ConditionOperator::Lte => order != Ordering::Greater,
                ConditionOperator::Gt => order == Ordering::Greater,
                ConditionOperator::Gte => order != Ordering::Less,
                ConditionOperator::Eq => order == Ordering::Equal,
                ConditionOperator::Neq => order != Ordering::Equal,
            }
        })
    }

    /// Whether the condition of a `temporal` correlation holds if those rules match whose bits are set.
    pub(crate) fn members_hold(&self, there: u64) -> bool {
        match &self.sentence {
            Some(sentence) => sentence.holds(there),
            None => self.holds(Measure::count(u64::from(there.count_ones()))),
        }
    }

    /// Whether the condition could hold for a count of at most `most`: what need not be looked for otherwise.
    pub(crate) fn may_hold_below(&self, most: u64) -> bool {
        self.least.is_none_or(|least| most >= least)
    }

    /// Which of the group-by fields `name` is.
    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it == name).or_else(|| self.group_by.iter().position(|it| it == name))
    }

    /// The largest number in the condition.
    pub(crate) fn most(&self) -> i64 {
        self.predicates.iter().map(|(_, value)| *value).max().unwrap_or(0)
    }

    /// Whether the condition asks for little rather than for much.
    pub(crate) fn wants_little(&self) -> bool {
        let is_upper = |it: &ConditionOperator| matches!(it, ConditionOperator::Lt | ConditionOperator::Lte);
        !self.predicates.is_empty() && self.predicates.iter().all(|(operator, _)| is_upper(operator))
    }

    /// The condition in words: `at least 5`.
    pub(crate) fn condition_text(&self) -> &str {
        self.condition_text.get_or_init(|| self.condition_in_words())
    }

    fn condition_in_words(&self) -> String {
        let parts: Vec<String> = self
            .predicates
            .iter()
            .map(|(operator, value)| {
                let words = match operator {
                    ConditionOperator::Lt if self.kind.is_numeric() => "less than",
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

    /// The event fields that it looks at.
    pub(crate) fn event_fields(&self) -> impl Iterator<Item = &String> {
        self.members.iter().flat_map(|member| member.key.iter().chain(&member.values)).flat_map(|it| match it {
            KeyField::Event(names) => names.as_slice(),
            KeyField::Group(_) => &[],
        })
    }
}

/// What a correlation needs to know of a rule that it names.
#[derive(Clone, Copy)]
pub(crate) struct Known<'r> {
    pub(crate) rule: u32,
    pub(crate) fingerprint: u128,
    /// The member, if it is a correlation itself.
    pub(crate) inner: Option<&'r Correlation>,
}

/// Compiles `rule`, whose members `known` finds by id or name. `event_names` says what a field of a member may be called in
/// events.
pub(crate) fn compile<'r>(
    document: &Document,
    rule: &CorrelationRule,
    known: impl Fn(&str) -> Option<Known<'r>>,
    event_names: impl Fn(u32, &str) -> Vec<String>,
) -> Result<Correlation, RuleError> {
    let kind = CorrelationKind::of(rule.correlation_type);
    let window = match (rule.window, &rule.gap) {
        (WindowMode::Sliding, _) => Mode::Sliding,
        (WindowMode::Tumbling, _) => Mode::Tumbling,
        (WindowMode::Session, Some(gap)) if gap.seconds > 0 => {
            Mode::Session { gap: Timestamp::from_seconds(i64::try_from(gap.seconds).unwrap_or(i64::MAX)).0 }
        }
        (WindowMode::Session, _) => {
            let error = document.place_of("gap").error("the gap of the session is 0 s", "give it at least 1s");
            return Err(error);
        }
    };
    check_sizes(document, rule)?;
    let Condition { predicates, counted, percentile, sentence } = condition(document, rule, kind)?;

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
        let fields_of = |names: &[String]| -> Result<Vec<KeyField>, RuleError> {
            let names = names.iter().map(resolve);
            // What the inner correlation does not group by is the event's that lets it hold.
            let field = |name: String| match found.inner.and_then(|inner| inner.position(&name)) {
                Some(position) => KeyField::Group(position),
                None => KeyField::Event(event_names(found.rule, &name)),
            };
            names.map(|it| it.map(field)).collect()
        };
        let (key, values) = (fields_of(&rule.group_by)?, fields_of(&counted)?);
        members.push(Member { rule: found.rule, key, values });
    }
    let shown = |names: &[String], of: fn(&Member) -> &[KeyField]| -> Vec<String> {
        let fields = |index| members.iter().filter_map(move |it| of(it).get(index));
        names.iter().enumerate().map(|(index, name)| shown_name(name, &aliases, fields(index))).collect()
    };
    let (group_by, counted_names) = (shown(&rule.group_by, |it| &it.key), shown(&counted, |it| &it.values));
    let parts: Vec<&[u8]> =
        std::iter::once(document.text.as_bytes()).chain(fingerprints.iter().map(|it| it.as_slice())).collect();
    Ok(Correlation {
        kind,
        members,
        names: rule.group_by.iter().map(|name| alias_of(name, &aliases).unwrap_or(name).to_owned()).collect(),
        group_by,
        counted: counted_names,
        timespan_nanos: Timestamp::from_seconds(rule.timespan.seconds as i64).0,
        timespan_text: rule.timespan.original.clone(),
        window,
        least: least(kind, &predicates),
        predicates,
        condition_text: OnceLock::new(),
        sentence,
        percentile,
        fingerprint: content_hash(&parts),
    })
}

type Aliases<'r> = BTreeMap<&'r str, &'r std::collections::HashMap<String, String>>;

/// What an alias stands for, if that is one field for all rules.
fn alias_of<'r>(name: &str, aliases: &Aliases<'r>) -> Option<&'r str> {
    let mut fields = aliases.get(name)?.values();
    let first = fields.next()?;
    fields.all(|it| it == first).then_some(first)
}

/// What findings call a field: as events do if all members agree, else as the rule does. People know fields, not the
/// rule's own words.
fn shown_name<'m>(name: &str, aliases: &Aliases<'_>, fields: impl Iterator<Item = &'m KeyField>) -> String {
    let mut event_names = fields.map(|it| match it {
        KeyField::Event(names) => names.first(),
        KeyField::Group(_) => None,
    });
    match event_names.next() {
        Some(Some(first)) if event_names.all(|it| it == Some(first)) => first.clone(),
        _ => alias_of(name, aliases).unwrap_or(name).to_owned(),
    }
}

/// The least count with which all of `predicates` can hold, if that is more than any event brings with it.
fn least(kind: CorrelationKind, predicates: &[(ConditionOperator, i64)]) -> Option<u64> {
    let least = predicates.iter().filter_map(|(operator, value)| match operator {
        ConditionOperator::Gt => Some(value.saturating_add(1)),
        ConditionOperator::Gte | ConditionOperator::Eq => Some(*value),
        ConditionOperator::Lt | ConditionOperator::Lte | ConditionOperator::Neq => None,
    });
    let least = u64::try_from(least.max()?).ok().filter(|it| *it > 1)?;
    matches!(kind, CorrelationKind::EventCount | CorrelationKind::ValueCount).then_some(least)
}

/// What a rule's condition says.
struct Condition {
    predicates: Vec<(ConditionOperator, i64)>,
    counted: Vec<String>,
    percentile: u32,
    sentence: Option<Sentence>,
}

fn condition(document: &Document, rule: &CorrelationRule, kind: CorrelationKind) -> Result<Condition, RuleError> {
    let place = document.place_of("condition:");
    let (predicates, field, percentile) = match &rule.condition {
        CorrelationCondition::Threshold { predicates, field, percentile } => (predicates, field, percentile),
        CorrelationCondition::Extended(sentence) if kind.is_temporal() => {
            return sentence_condition(document, rule, kind, sentence);
        }
        CorrelationCondition::Extended(_) => {
            let reason = format!("the condition of {} is a sentence", kind.as_str());
            return Err(place.error(reason, "write a threshold: `condition: {gte: 5}`"));
        }
    };
    // The parser hands negative numbers on as what they would be without a sign.
    let predicates: Vec<_> = predicates.iter().map(|(operator, value)| (*operator, *value as i64)).collect();
    let counted = field.clone().unwrap_or_default();
    if !kind.is_numeric() && predicates.iter().any(|(_, value)| *value < 0) {
        return Err(place.error("the threshold is below 0 or far too large", "choose a number that can be counted to"));
    }
    match counted.as_slice() {
        [] if kind.is_numeric() || kind == CorrelationKind::ValueCount => {
            let reason = format!("{} does not say what it counts", kind.as_str());
            return Err(place.error(reason, "add `field:` to the condition"));
        }
        [_, _, ..] if kind.is_numeric() => {
            let reason = format!("{} reckons with one field, not with {}", kind.as_str(), counted.len());
            return Err(place.error(reason, "name one field"));
        }
        [_, ..] if !kind.is_numeric() && kind != CorrelationKind::ValueCount => {
            let reason = format!("{} counts no field", kind.as_str());
            return Err(place.error(reason, "remove `field:`, or use value_count"));
        }
        _ => {}
    }
    if kind == CorrelationKind::ValueCount && predicates.iter().any(|(_, value)| *value > VALUES_MAX as i64) {
        let reason = format!("value_count cannot count further than {VALUES_MAX}");
        return Err(place.error(reason, "lower the threshold, or group by one field more"));
    }
    let percentile = match (kind, percentile) {
        (CorrelationKind::ValuePercentile, Some(percentile @ 0..=100)) => *percentile as u32,
        (CorrelationKind::ValuePercentile, Some(percentile)) => {
            let reason = format!("there is no percentile {percentile}");
            return Err(document.place_of("percentile:").error(reason, "choose one from 0 to 100"));
        }
        // The median, as other engines have it.
        (_, None) => 50,
        (_, Some(_)) => {
            let reason = format!("{} knows no `percentile:`", kind.as_str());
            return Err(document.place_of("percentile:").error(reason, "remove it, or use value_percentile"));
        }
    };
    let predicates = if kind.is_temporal() { rules_to_match(document, rule, kind, predicates)? } else { predicates };
    Ok(Condition { predicates, counted, percentile, sentence: None })
}

/// How many rules of a temporal correlation must match: all, unless it says something else.
fn rules_to_match(
    document: &Document,
    rule: &CorrelationRule,
    kind: CorrelationKind,
    predicates: Vec<(ConditionOperator, i64)>,
) -> Result<Vec<(ConditionOperator, i64)>, RuleError> {
    let all = rule.rules.len() as i64;
    // `gte: 1` is also what the parser says if there is no condition.
    if predicates == [(ConditionOperator::Gte, 1)] {
        return Ok(vec![(ConditionOperator::Gte, all)]);
    }
    let holds = |count: i64| {
        predicates.iter().all(|(operator, value)| match operator {
            ConditionOperator::Lt => count < *value,
            ConditionOperator::Lte => count <= *value,
            ConditionOperator::Gt => count > *value,
            ConditionOperator::Gte => count >= *value,
            ConditionOperator::Eq => count == *value,
            ConditionOperator::Neq => count != *value,
        })
    };
    let is_possible = if kind == CorrelationKind::Temporal { (1..=all).any(holds) } else { holds(all) };
    if !is_possible {
        let reason = format!("the condition can never hold with {all} rules");
        let cure = "leave the condition out: all rules must match then";
        return Err(document.place_of("condition:").error(reason, cure));
    }
    Ok(predicates)
}

/// A condition such as `a and (b or not c)`, with rules by id or name.
fn sentence_condition(
    document: &Document,
    rule: &CorrelationRule,
    kind: CorrelationKind,
    sentence: &ConditionExpr,
) -> Result<Condition, RuleError> {
    let place = document.place_of("condition:");
    let sentence = sentence_of(document, &rule.rules, sentence, 0)?;
    let all = u64::MAX >> (64 - rule.rules.len().clamp(1, MEMBERS_MAX));
    if kind == CorrelationKind::TemporalOrdered {
        // All rules match when the order is complete: the sentence then says nothing, or never holds.
        if !sentence.holds(all) {
            let cure = "leave the condition out: all rules must match in their order";
            return Err(place.error("the condition can never hold when all rules match", cure));
        }
        let predicates = vec![(ConditionOperator::Gte, rule.rules.len() as i64)];
        return Ok(Condition { predicates, counted: Vec::new(), percentile: 50, sentence: None });
    }
    Ok(Condition { predicates: Vec::new(), counted: Vec::new(), percentile: 50, sentence: Some(sentence) })
}

fn sentence_of(
    document: &Document,
    rules: &[String],
    sentence: &ConditionExpr,
    depth: usize,
) -> Result<Sentence, RuleError> {
    let place = document.place_of("condition:");
    if depth > SENTENCE_DEPTH_MAX {
        return Err(place.error("the condition is nested too deeply", "write it with fewer parentheses"));
    }
    let parts = |parts: &[ConditionExpr]| -> Result<Vec<Sentence>, RuleError> {
        parts.iter().map(|it| sentence_of(document, rules, it, depth + 1)).collect()
    };
    match sentence {
        ConditionExpr::Identifier(name) => match rules.iter().position(|it| it == name) {
            Some(index) => Ok(Sentence::Member(index)),
            None => {
                let reason = format!("the condition names the rule `{name}`, which is not among `rules:`");
                Err(place.error(reason, "add it to `rules:`, under the same id or name"))
            }
        },
        ConditionExpr::And(all) => {
            let all = parts(all)?;
            Ok(Sentence::Some(all.len(), all))
        }
        ConditionExpr::Or(any) => Ok(Sentence::Some(1, parts(any)?)),
        ConditionExpr::Not(part) => Ok(Sentence::Not(Box::new(sentence_of(document, rules, part, depth + 1)?))),
        ConditionExpr::Selector { quantifier, pattern } => {
            let is_meant = |name: &str| match pattern {
                SelectorPattern::Them => true,
                SelectorPattern::Pattern(pattern) => matches_pattern(pattern, name),
            };
            let meant = rules.iter().enumerate().filter(|(_, name)| is_meant(name));
            let meant: Vec<Sentence> = meant.map(|(index, _)| Sentence::Member(index)).collect();
            let least = match quantifier {
                Quantifier::Any => 1,
                Quantifier::All => meant.len().max(1),
                Quantifier::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            };
            if least > meant.len() {
                let reason = format!("the condition wants {least} rules of a pattern that {} match", meant.len());
                return Err(place.error(reason, "correct the pattern: it is compared with what `rules:` lists"));
            }
            Ok(Sentence::Some(least, meant))
        }
    }
}

/// Whether `name` is `pattern`, in which `*` stands for anything.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn check_sizes(document: &Document, rule: &CorrelationRule) -> Result<(), RuleError> {
    let rules_min = if CorrelationKind::of(rule.correlation_type).is_temporal() { 2 } else { 1 };
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
