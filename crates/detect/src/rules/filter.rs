//! Sigma filters: conditions that a site adds to rules without touching their files.
//!
//! A filter's selections are put into the rule under names that no `of them` reaches, and its condition is joined to
//! the rule's by `and`.

use rsigma_parser::{ConditionExpr, FilterRule, FilterRuleTarget, LogSource, SelectorPattern, SigmaRule};

/// Whether `filter` is meant for `rule`.
pub(crate) fn applies(filter: &FilterRule, rule: &SigmaRule) -> bool {
    let is_target = match &filter.rules {
        FilterRuleTarget::Any => true,
        FilterRuleTarget::Specific(references) => references.iter().any(|it| names(it, rule)),
    };
    is_target && filter.logsource.as_ref().is_none_or(|source| contains(source, &rule.logsource))
}

/// Whether `reference` means `rule`.
pub(crate) fn names(reference: &str, rule: &SigmaRule) -> bool {
    rule.id.as_deref() == Some(reference) || rule.name.as_deref() == Some(reference)
}

fn contains(filter: &LogSource, rule: &LogSource) -> bool {
    let part = |wanted: &Option<String>, has: &Option<String>| match (wanted, has) {
        (None, _) => true,
        (Some(wanted), Some(has)) => wanted.eq_ignore_ascii_case(has),
        (Some(_), None) => false,
    };
    part(&filter.product, &rule.product)
        && part(&filter.category, &rule.category)
        && part(&filter.service, &rule.service)
}

/// Joins `filter`, the `number`th of all, to `rule`.
pub(crate) fn apply(rule: &mut SigmaRule, filter: &FilterRule, number: usize) {
    // An underscore first: Sigma leaves such names out of `of them`.
    let prefix = format!("_filter_{number}_");
    for (name, detection) in &filter.detection.named {
        rule.detection.named.insert(format!("{prefix}{name}"), detection.clone());
    }
    let added: Vec<ConditionExpr> = filter.detection.conditions.iter().map(|it| prefixed(it, &prefix)).collect();
    for condition in &mut rule.detection.conditions {
        let mut parts = vec![condition.clone()];
        parts.extend(added.iter().cloned());
        *condition = ConditionExpr::And(parts);
    }
}

fn prefixed(condition: &ConditionExpr, prefix: &str) -> ConditionExpr {
    let all = |parts: &[ConditionExpr]| parts.iter().map(|it| prefixed(it, prefix)).collect();
    match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(all(parts)),
        ConditionExpr::Or(parts) => ConditionExpr::Or(all(parts)),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(prefixed(part, prefix))),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(format!("{prefix}{name}")),
        ConditionExpr::Selector { quantifier, pattern } => ConditionExpr::Selector {
            quantifier: quantifier.clone(),
            pattern: SelectorPattern::Pattern(match pattern {
                SelectorPattern::Them => format!("{prefix}*"),
                SelectorPattern::Pattern(pattern) => format!("{prefix}{pattern}"),
            }),
        },
    }
}
