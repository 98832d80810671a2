//! What is not wrong with a rule, but probably not meant: told by `rules check`, never by `run`.

use std::collections::BTreeSet;

use rsigma_parser::{ConditionExpr, SigmaRule};

use super::error::RuleError;
use super::load::{Document, Parsed, load};
use super::{RuleFile, RuleSet};

impl RuleSet {
    /// Warnings about the documents of `files` that can be parsed; what is wrong with the others is
    /// [`compile`](Self::compile)'s to say.
    pub fn lint(files: &[RuleFile]) -> Vec<RuleError> {
        let rules: Vec<&RuleFile> = files.iter().filter(|it| !it.path.ends_with(".toml")).collect();
        let documents = load(&rules, &mut Vec::new());
        let counted = only_counted(&documents);
        let mut warnings = Vec::new();
        for document in &documents {
            match &document.parsed {
                Parsed::Event(rule) => {
                    identity(&mut warnings, document, rule.id.as_deref());
                    let is_counted = [&rule.id, &rule.name].into_iter().flatten().any(|it| counted.contains(it));
                    level(&mut warnings, document, rule.level.is_some() || is_counted);
                    unused_selections(&mut warnings, document, rule);
                }
                Parsed::Correlation(rule) => {
                    identity(&mut warnings, document, rule.id.as_deref());
                    let is_counted = [&rule.id, &rule.name].into_iter().flatten().any(|it| counted.contains(it));
                    level(&mut warnings, document, rule.level.is_some() || is_counted);
                }
                Parsed::Filter(rule) => identity(&mut warnings, document, rule.id.as_deref()),
            }
        }
        warnings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        warnings
    }
}

/// Ids and names of rules that correlations count without letting them report: nobody sees their level.
fn only_counted(documents: &[Document]) -> BTreeSet<String> {
    let correlations = || {
        documents.iter().filter_map(|it| match &it.parsed {
            Parsed::Correlation(rule) => Some(rule),
            _ => None,
        })
    };
    let reporting: BTreeSet<&String> = correlations().filter(|it| it.generate).flat_map(|it| &it.rules).collect();
    correlations().flat_map(|it| &it.rules).filter(|it| !reporting.contains(it)).cloned().collect()
}

fn warn(out: &mut Vec<RuleError>, error: RuleError) {
    out.push(RuleError { loaded: true, ..error });
}

fn identity(out: &mut Vec<RuleError>, document: &Document, id: Option<&str>) {
    if id.is_none_or(|it| it.trim().is_empty()) {
        let reason = "it has no id: its alerts belong to its title, and end when that is changed";
        warn(out, document.place.error(reason, "add `id:` with a new UUID (uuidgen -r)"));
    }
}

fn level(out: &mut Vec<RuleError>, document: &Document, has_level: bool) {
    if !has_level {
        let reason = "it has no level and is taken as medium";
        warn(out, document.place.error(reason, "add `level:` informational, low, medium, high or critical"));
    }
}

/// Selections that no condition can reach: often one that was renamed, or forgotten.
fn unused_selections(out: &mut Vec<RuleError>, document: &Document, rule: &SigmaRule) {
    let mut names: Vec<&String> = rule.detection.named.keys().collect();
    names.sort_unstable();
    for name in names {
        if !rule.detection.conditions.iter().any(|it| reaches(it, name)) {
            let place = document.place_of(&format!("{name}:"));
            let reason = format!("its condition does not use `{name}`");
            warn(out, place.error(reason, "name it in the condition, or remove it"));
        }
    }
}

fn reaches(condition: &ConditionExpr, name: &str) -> bool {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => parts.iter().any(|it| reaches(it, name)),
        ConditionExpr::Not(part) => reaches(part, name),
        ConditionExpr::Identifier(used) => used == name,
        ConditionExpr::Selector { pattern, .. } => pattern.matches_detection_name(name),
    }
}
