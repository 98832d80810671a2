//! Why rules cannot fire, whatever happens.

use std::collections::BTreeMap;

use panoptes_detect::{CompileOptions, Reach, RuleMeta, RuleSet};
use panoptes_model::Schema;

use super::list::Enabled;

/// Datasets whose events have the fields of ECS and no others: they are read from text by parsers of our own.
const DATASETS_OF_TEXT: &[&str] = &[
    "linux.sshd",
    "linux.sudo",
    "linux.su",
    "linux.login",
    "linux.pam",
    "linux.user_management",
    "linux.cron",
    "nginx.access",
    "nginx.error",
    "apache.access",
    "apache.error",
    "web.access",
];
/// A field that is worked out when a rule asks, from the target of a request.
const WORKED_OUT: &str = "url.decoded";
const WORKED_OUT_OF: &str = "url.original";
/// What every event has.
const ALWAYS: &[&str] = &["@timestamp", "event.original", "panoptes.source", "panoptes.input"];
/// How many fields or sources a reason names.
const NAMED_MAX: usize = 5;

/// Why a rule cannot fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    Disabled,
    BelowMinLevel,
    /// Nothing makes events of its log source.
    NoSource {
        log_source: String,
    },
    /// The events of its sources do not have these fields.
    NoFields {
        fields: Vec<String>,
    },
    /// Its events would have to state this dataset themselves.
    Stated {
        datasets: Vec<String>,
    },
    /// Its sources were not seen in the evidence.
    NotSeen {
        sources: Vec<String>,
    },
    /// They were, but never with these fields.
    FieldsNotSeen {
        fields: Vec<String>,
    },
    /// A rule that it counts cannot fire.
    Member {
        title: String,
        why: Box<Silent>,
    },
}

impl Silent {
    /// One word for machines.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::BelowMinLevel => "below_min_level",
            Self::NoSource { .. } => "no_source",
            Self::NoFields { .. } => "no_fields",
            Self::Stated { .. } => "stated_dataset",
            Self::NotSeen { .. } => "source_not_seen",
            Self::FieldsNotSeen { .. } => "fields_not_seen",
            Self::Member { .. } => "counted_rule",
        }
    }

    /// The same for people, as a part of a sum: `3 disabled`.
    pub(super) const fn summary(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::BelowMinLevel => "below rules.min_level",
            Self::NoSource { .. } => "of log sources that nothing makes",
            Self::NoFields { .. } => "of fields that their events do not have",
            Self::Stated { .. } => "of datasets that senders would have to state",
            Self::NotSeen { .. } => "of log sources that were not seen",
            Self::FieldsNotSeen { .. } => "of fields that were not seen",
            Self::Member { .. } => "that count such rules",
        }
    }

    /// A sentence.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Disabled => "the configuration disables it".to_owned(),
            Self::BelowMinLevel => "its level is below rules.min_level".to_owned(),
            Self::NoSource { log_source } => {
                format!("no format or mapping makes events of its log source ({log_source})")
            }
            Self::NoFields { fields } => format!("its events do not have {}", listed(fields)),
            Self::Stated { datasets } => {
                format!("only events that state event.dataset {} themselves are asked", listed(datasets))
            }
            Self::NotSeen { sources } => format!("no event of {} was seen", listed(sources)),
            Self::FieldsNotSeen { fields } => format!("no event of its log source was seen with {}", listed(fields)),
            Self::Member { title, why } => format!("it counts \"{title}\": {}", why.reason()),
        }
    }
}

fn listed(items: &[String]) -> String {
    let more = items.len().saturating_sub(NAMED_MAX);
    let named: Vec<&str> = items.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// What the evidence showed of sources: their fields, by name of the source.
pub(super) type SeenFields = BTreeMap<String, std::collections::HashSet<String>>;

/// Why each rule of a set cannot fire, in its order; `None` for those that can.
pub(super) fn of_all(set: &RuleSet, options: &CompileOptions, seen: Option<&SeenFields>) -> Vec<Option<Silent>> {
    let ecs = Schema::ecs();
    let mut found: Vec<Option<Silent>> = Vec::with_capacity(set.len());
    for ((index, rule), enabled) in set.rules().enumerate().zip(Enabled::of_all(set, options)) {
        let why = match enabled {
            Enabled::Disabled => Some(Silent::Disabled),
            Enabled::BelowMinLevel => Some(Silent::BelowMinLevel),
            Enabled::Yes | Enabled::Counted => None,
        };
        let why = why.or_else(|| match set.correlation(index) {
            Some(correlation) => of_members(set, &found, &correlation.members, rule),
            None => of_event_rule(set, index, rule, &ecs, seen),
        });
        found.push(why);
    }
    found
}

/// A correlation needs its members: those of which all must match each of them, the others at least one. Members stand
/// before it.
fn of_members(set: &RuleSet, found: &[Option<Silent>], members: &[usize], rule: &RuleMeta) -> Option<Silent> {
    let silent = |index: &usize| {
        let why = found.get(*index)?.clone()?;
        // That a rule does not report says nothing of whether it is counted.
        if matches!(why, Silent::Disabled | Silent::BelowMinLevel) { None } else { Some((*index, why)) }
    };
    let all: Vec<(usize, Silent)> = members.iter().filter_map(silent).collect();
    let needs_all = rule.kind.starts_with("temporal");
    if all.is_empty() || (!needs_all && all.len() < members.len()) {
        return None;
    }
    let (index, why) = all.into_iter().next()?;
    let title = set.rules().nth(index).map(|it| it.summary.title.clone()).unwrap_or_default();
    Some(Silent::Member { title, why: Box::new(why) })
}

fn of_event_rule(
    set: &RuleSet,
    index: usize,
    rule: &RuleMeta,
    ecs: &Schema,
    seen: Option<&SeenFields>,
) -> Option<Silent> {
    let by_format = set.reach(index, &|reach, field| can_have(reach, field, ecs));
    if by_format.is_empty() {
        return Some(Silent::NoSource { log_source: rule.log_source.clone() });
    }
    if let Some(fields) = missing_everywhere(&by_format) {
        return Some(Silent::NoFields { fields });
    }
    let Some(seen) = seen else {
        let all_stated = by_format.iter().all(|it| it.is_stated_dataset);
        let datasets = by_format.into_iter().flat_map(|it| it.datasets).collect();
        return all_stated.then_some(Silent::Stated { datasets });
    };
    let is_seen = |reach: &Reach| reach.source.as_ref().is_none_or(|it| seen.contains_key(it));
    if !by_format.iter().any(is_seen) {
        return Some(Silent::NotSeen { sources: by_format.into_iter().filter_map(|it| it.source).collect() });
    }
    let was_in = |fields: &std::collections::HashSet<String>, field: &str| {
        ALWAYS.contains(&field) || fields.contains(if field == WORKED_OUT { WORKED_OUT_OF } else { field })
    };
    let has = |reach: &Reach, field: &str| match &reach.source {
        Some(source) => seen.get(source).is_some_and(|it| was_in(it, field)),
        None => seen.values().any(|it| was_in(it, field)),
    };
    let by_evidence: Vec<Reach> = set.reach(index, &has).into_iter().filter(is_seen).collect();
    missing_everywhere(&by_evidence).map(|fields| Silent::FieldsNotSeen { fields })
}

/// The fields that are missing, if the rule can match through none of its sources: those of the nearest miss.
fn missing_everywhere(reach: &[Reach]) -> Option<Vec<String>> {
    let nearest = reach.iter().min_by_key(|it| it.missing.len())?;
    (!nearest.missing.is_empty()).then(|| nearest.missing.clone())
}

fn can_have(reach: &Reach, field: &str, ecs: &Schema) -> bool {
    let is_of_text =
        !reach.datasets.is_empty() && reach.datasets.iter().all(|it| DATASETS_OF_TEXT.contains(&it.as_str()));
    !is_of_text || field == WORKED_OUT || ALWAYS.contains(&field) || ecs.id(field).is_some()
}

#[cfg(test)]
mod tests {
    use panoptes_detect::RuleFile;

    use super::*;

    fn silent(text: &str, options: &CompileOptions, seen: Option<&SeenFields>) -> Vec<Option<String>> {
        let file = RuleFile { path: "a.yml".into(), text: text.into() };
        let (set, errors) = RuleSet::compile(vec![file], options);
        assert!(errors.is_empty(), "{errors:?}");
        of_all(&set, options, seen).into_iter().map(|it| it.map(|it| it.reason())).collect()
    }

    fn rule(log_source: &str, detection: &str) -> String {
        format!(
            "title: t\nname: t\nid: x\nlevel: low\nlogsource: {log_source}\ndetection: {{s: {detection}, condition: s}}\n"
        )
    }

    #[test]
    fn each_reason_is_told() {
        let none = CompileOptions::default();
        let first =
            |text: &str, options: &CompileOptions, seen: Option<&SeenFields>| silent(text, options, seen).remove(0);
        let sshd = |detection: &str| rule("{product: linux, service: sshd}", detection);
        assert_eq!(first(&sshd("{user.name: root}"), &none, None), None);
        for (text, reason) in [
            (
                rule("{product: vax, category: x}", "{a: 1}"),
                "no format or mapping makes events of its log source (product=vax category=x)",
            ),
            (sshd("{user.nam: root}"), "its events do not have user.nam"),
            (
                rule("{product: acme, service: portal}", "{a: 1}"),
                "only events that state event.dataset acme.portal themselves are asked",
            ),
        ] {
            assert_eq!(first(&text, &none, None).as_deref(), Some(reason), "{text}");
        }
        let disabled = CompileOptions { disabled: ["x".to_owned()].into(), ..CompileOptions::default() };
        assert_eq!(
            first(&sshd("{user.name: root}"), &disabled, None).as_deref(),
            Some("the configuration disables it")
        );
        let level = CompileOptions { min_level: panoptes_model::Severity::High, ..CompileOptions::default() };
        assert_eq!(
            first(&sshd("{user.name: root}"), &level, None).as_deref(),
            Some("its level is below rules.min_level")
        );
    }

    #[test]
    fn the_evidence_says_more() {
        let none = CompileOptions::default();
        let seen = |fields: &[&str]| -> SeenFields {
            [("OpenSSH".to_owned(), fields.iter().map(|it| (*it).to_owned()).collect())].into()
        };
        let text = rule("{product: linux, service: sshd}", "{user.name: root, event.outcome: failure}");
        let first = |seen: &SeenFields| silent(&text, &none, Some(seen)).remove(0);
        assert_eq!(first(&seen(&["user.name", "event.outcome"])), None);
        assert_eq!(
            first(&seen(&["user.name"])).as_deref(),
            Some("no event of its log source was seen with event.outcome")
        );
        assert_eq!(first(&SeenFields::new()).as_deref(), Some("no event of OpenSSH was seen"));
    }

    #[test]
    fn a_correlation_falls_silent_with_what_it_counts() {
        let correlation = |kind: &str, rules: &str| {
            format!(
                "---\ntitle: c\nid: c\nlevel: low\ncorrelation: {{type: {kind}, rules: {rules}, group-by: [a], timespan: 1m, condition: {{gte: 2}}}}\n"
            )
        };
        let good = rule("{product: linux, service: sshd}", "{user.name: root}")
            .replace("name: t", "name: g")
            .replace("id: x", "id: y")
            .replace("title: t", "title: g")
            + "---\n";
        let never = rule("{product: vax, category: x}", "{a: 1}");
        let last = |text: String| silent(&text, &CompileOptions::default(), None).pop().unwrap();
        assert!(
            last(good.clone() + &never + &correlation("temporal", "[g, t]"))
                .unwrap()
                .starts_with("it counts \"t\": no format")
        );
        assert_eq!(last(good + &never + &correlation("event_count", "[g, t]")), None);
        assert!(last(never + &correlation("event_count", "[t]")).is_some());
    }
}
