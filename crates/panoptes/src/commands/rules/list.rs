//! `panoptes rules list`: which rules are in force, and which of them report.

use std::collections::BTreeSet;

use panoptes_detect::{CompileOptions, RuleMeta, RuleSet};
use serde_json::{Value, json};

use crate::cli::{Format, Global, ListArgs};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{console, surroundings};

/// Columns of every format, and those that only programs get. To programs `enabled` is true or false, and `state` says
/// why.
const COLUMNS: [&str; 8] = ["level", "kind", "enabled", "title", "techniques", "log_source", "path", "id"];
const MORE_COLUMNS: [&str; 10] =
    ["state", "line", "name", "status", "description", "tags", "sources", "author", "falsepositives", "references"];

pub(super) fn run(global: &Global, args: &ListArgs) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    let sources = surroundings::rule_sources(&config, &args.rules, true);
    let loaded = sources.load()?;
    loaded.tell();
    let is_short = args.format == Format::Table;
    let columns = COLUMNS.iter().chain(if is_short { &[][..] } else { &MORE_COLUMNS }).copied();
    let mut table = Table::new(columns);
    let detectors = loaded.rules.detectors();
    let states = Enabled::of_all(&loaded.rules, &sources.options);
    let of_detectors = detectors.iter().map(|it| (it, Enabled::of(it, false, &sources.options)));
    for (rule, state) in loaded.rules.rules().zip(states).chain(of_detectors).filter(|(it, _)| is_wanted(it, args)) {
        let state = state.as_str();
        let mut cells = vec![
            json!(rule.summary.level),
            json!(rule.kind),
            if is_short { json!(state) } else { json!(rule.reports) },
            json!(rule.summary.title),
            json!(console::techniques(&rule.summary.tags)),
            json!(rule.log_source),
            json!(rule.path),
            json!(rule.summary.id),
        ];
        if !is_short {
            cells.extend(more_cells(rule, state));
        }
        table.row(cells);
    }
    table.write(&mut std::io::stdout().lock(), args.format)?;
    Ok(Outcome::Fine)
}

fn more_cells(rule: &RuleMeta, state: &str) -> [Value; MORE_COLUMNS.len()] {
    [
        json!(state),
        json!(rule.line),
        json!(rule.name),
        json!(rule.status),
        json!(rule.description),
        json!(rule.summary.tags),
        json!(rule.datasets),
        json!(rule.author),
        json!(rule.falsepositives),
        json!(rule.references),
    ]
}

/// Whether a rule makes findings of its own, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enabled {
    Yes,
    /// A correlation counts what it matches.
    Counted,
    Disabled,
    BelowMinLevel,
}

impl Enabled {
    /// Of each rule of a set, in its order.
    pub(super) fn of_all(set: &RuleSet, options: &CompileOptions) -> Vec<Self> {
        let counted: BTreeSet<usize> =
            (0..set.len()).filter_map(|it| set.correlation(it)).flat_map(|it| it.members).collect();
        set.rules().enumerate().map(|(index, rule)| Self::of(rule, counted.contains(&index), options)).collect()
    }

    fn of(rule: &RuleMeta, is_counted: bool, options: &CompileOptions) -> Self {
        if rule.reports {
            Self::Yes
        } else if is_counted {
            Self::Counted
        } else if options.disabled.contains(&rule.summary.id) {
            Self::Disabled
        } else {
            Self::BelowMinLevel
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Counted => "only counted",
            Self::Disabled => "no: disabled",
            Self::BelowMinLevel => "no: below rules.min_level",
        }
    }
}

fn is_wanted(rule: &RuleMeta, args: &ListArgs) -> bool {
    (args.tag.is_empty() || args.tag.iter().any(|it| has_tag(rule, it)))
        && args.level.is_none_or(|it| rule.summary.level >= it)
        && args.source.as_ref().is_none_or(|it| is_of_source(rule, it))
        && args.search.as_ref().is_none_or(|it| speaks_of(rule, it))
        && !(args.off && rule.reports)
}

/// `T1110`, `t1110.001`, `credential-access`, `attack.t1110`, `cve.2021-44228`; a technique means its sub-techniques
/// too.
fn has_tag(rule: &RuleMeta, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    let wanted = wanted.strip_prefix("attack.").unwrap_or(&wanted).replace('_', "-");
    rule.summary.tags.iter().any(|tag| {
        let tag = tag.to_lowercase().replace('_', "-");
        let tag = tag.strip_prefix("attack.").unwrap_or(&tag);
        tag == wanted || tag.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('.'))
    })
}

fn is_of_source(rule: &RuleMeta, wanted: &str) -> bool {
    let is_part =
        rule.log_source.split(' ').filter_map(|it| it.split_once('=')).any(|(_, it)| it.eq_ignore_ascii_case(wanted));
    is_part || rule.datasets.iter().any(|it| it.eq_ignore_ascii_case(wanted))
}

fn speaks_of(rule: &RuleMeta, text: &str) -> bool {
    let text = text.to_lowercase();
    [Some(&rule.summary.title), rule.description.as_ref(), Some(&rule.summary.id), rule.name.as_ref(), Some(&rule.path)]
        .into_iter()
        .flatten()
        .any(|it| it.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panoptes_detect::RuleFile;

    use super::*;

    fn rule() -> RuleMeta {
        let text = "title: Guessing\nid: 1\ndescription: Many Tries\ntags: [attack.t1110.001, attack.credential_access]\n\
                    logsource: {product: linux, service: sshd}\ndetection: {s: {a: b}, condition: s}\n";
        let file = RuleFile { path: "a.yml".into(), text: text.into() };
        let (rules, errors) = RuleSet::compile(vec![file], &CompileOptions::default());
        assert!(errors.is_empty(), "{errors:?}");
        Arc::new(rules).rules().next().unwrap().clone()
    }

    #[test]
    fn a_tag_may_be_written_as_people_know_it() {
        for tag in ["T1110", "t1110.001", "attack.t1110", "credential-access", "Credential_Access"] {
            assert!(has_tag(&rule(), tag), "{tag}");
        }
        for tag in ["T111", "T1110.002", "access", ""] {
            assert!(!has_tag(&rule(), tag), "{tag}");
        }
    }

    #[test]
    fn sources_and_words_find_a_rule() {
        assert!(is_of_source(&rule(), "Linux") && is_of_source(&rule(), "sshd") && !is_of_source(&rule(), "ssh"));
        assert!(speaks_of(&rule(), "many tries") && speaks_of(&rule(), "A.YML") && !speaks_of(&rule(), "windows"));
    }
}
