//! Which rules may be asked about which events: from `event.dataset` to Sigma log sources.
//!
//! A rule is asked about an event only if every part of its `logsource` (product, category, service) is among one of
//! the log sources that the event's dataset can be. There is no guessing by conflict: a rule that names a category is
//! not asked of events whose category nobody knows. `docs/sigma.md` shows the table to rule writers.

use panoptes_model::{Event, Value, field};
use rsigma_parser::LogSource;

/// One log source that events of a dataset can be. Empty means that the events say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    product: &'static str,
    category: &'static str,
    service: &'static str,
}

const fn source(product: &'static str, category: &'static str, service: &'static str) -> Source {
    Source { product, category, service }
}

/// The datasets that `normalize` makes. To teach the gate a new one, add its line here and in `docs/sigma.md`.
const DATASETS: &[(&str, &[Source])] = &[
    (
        "linux.sshd",
        &[
            source("linux", "authentication", "sshd"),
            source("linux", "authentication", "auth"),
            source("openssh", "authentication", "sshd"),
        ],
    ),
    ("linux.sudo", &[source("linux", "authentication", "sudo"), source("linux", "authentication", "auth")]),
    ("linux.su", &[source("linux", "authentication", "su"), source("linux", "authentication", "auth")]),
    ("linux.login", &[source("linux", "authentication", "login"), source("linux", "authentication", "auth")]),
    ("linux.pam", &[source("linux", "authentication", "pam"), source("linux", "authentication", "auth")]),
    (
        "linux.user_management",
        &[source("linux", "user_management", "useradd"), source("linux", "user_management", "auth")],
    ),
    ("linux.cron", &[source("linux", "", "cron"), source("linux", "", "syslog")]),
    ("linux.syslog", &[source("linux", "", "syslog")]),
    ("nginx.access", &[source("nginx", "webserver", "nginx"), source("nginx", "webserver", "access")]),
    ("nginx.error", &[source("nginx", "", "nginx"), source("nginx", "", "error")]),
    ("apache.access", &[source("apache", "webserver", "apache"), source("apache", "webserver", "access")]),
    ("apache.error", &[source("apache", "", "apache"), source("apache", "", "error")]),
    ("web.access", &[source("", "webserver", "access")]),
    ("json", &[source("", "application", "")]),
    ("keyvalue", &[source("", "application", "")]),
    // What a sender may write in any format, once `event.category` says what it is.
    (WEB_RECORD, &[source("", "application", ""), source("", "webserver", "access")]),
    (LOGIN_RECORD, &[source("", "application", ""), source("", "authentication", "")]),
    ("plain", &[source("", "application", "")]),
];

/// A JSON or key=value record of a request, or of an attempt to log in.
const WEB_RECORD: &str = "(record of a request)";
const LOGIN_RECORD: &str = "(record of a login)";

/// The name under which an event is looked up in the table: its dataset, or for formats that can hold anything, what it
/// holds.
pub(crate) fn dataset_of(event: Event<'_>) -> Option<&str> {
    let dataset = event.text(field::EVENT_DATASET)?;
    if !matches!(dataset, "json" | "keyvalue") {
        return Some(dataset);
    }
    let Some(category) = event.get(field::EVENT_CATEGORY) else { return Some(dataset) };
    let known = category.each().find_map(|it| match it {
        Value::Text("web") => Some(WEB_RECORD),
        Value::Text("authentication") => Some(LOGIN_RECORD),
        _ => None,
    });
    Some(known.unwrap_or(dataset))
}

/// The names of all datasets that the table knows.
pub(crate) fn datasets() -> impl Iterator<Item = &'static str> {
    DATASETS.iter().map(|(name, _)| *name)
}

fn part_allows(rule: Option<&str>, event: &str) -> bool {
    rule.is_none_or(|wanted| !event.is_empty() && wanted.eq_ignore_ascii_case(event))
}

fn source_allows(rule: &LogSource, event: &Source) -> bool {
    part_allows(rule.product.as_deref(), event.product)
        && part_allows(rule.category.as_deref(), event.category)
        && part_allows(rule.service.as_deref(), event.service)
}

/// Whether a rule with this log source is asked about events of `dataset`; `None` is an event without a dataset.
///
/// A dataset that is not in the table is read as ECS means it, `product.service`: `aws.cloudtrail`, `okta.system`.
pub(crate) fn allows(rule: &LogSource, dataset: Option<&str>) -> bool {
    // A part that Sigma does not define is something that no event can be known to be.
    if !rule.custom.is_empty() {
        return false;
    }
    let Some(dataset) = dataset else { return is_everything(rule) };
    match DATASETS.iter().find(|(name, _)| *name == dataset) {
        Some((_, sources)) => sources.iter().any(|it| source_allows(rule, it)),
        None => {
            let (product, service) = dataset.split_once('.').unwrap_or((dataset, ""));
            is_everything(rule)
                || rule.product.is_some()
                    && rule.category.is_none()
                    && part_allows(rule.product.as_deref(), product)
                    && part_allows(rule.service.as_deref(), service)
        }
    }
}

/// A rule whose log source names nothing is asked about every event.
pub(crate) fn is_everything(rule: &LogSource) -> bool {
    rule.product.is_none() && rule.category.is_none() && rule.service.is_none() && rule.custom.is_empty()
}

/// The dataset outside the table whose events a rule with this log source waits for: `product.service`.
pub(crate) fn own_dataset(rule: &LogSource) -> Option<String> {
    if rule.category.is_some() || !rule.custom.is_empty() {
        return None;
    }
    let name = match (rule.product.as_deref(), rule.service.as_deref()) {
        // A rule for a whole product is found under the product alone.
        (Some(product), Some(service)) => format!("{product}.{service}"),
        (Some(product), None) => product.to_owned(),
        _ => return None,
    };
    let name = name.to_ascii_lowercase();
    datasets().all(|it| it != name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(product: &str, category: &str, service: &str) -> LogSource {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource { product: part(product), category: part(category), service: part(service), ..LogSource::default() }
    }

    #[test]
    fn a_rule_is_asked_only_if_all_its_parts_are_known_of_the_event() {
        assert!(allows(&rule("linux", "", ""), Some("linux.sshd")));
        assert!(allows(&rule("linux", "", "sshd"), Some("linux.sshd")));
        assert!(allows(&rule("Linux", "", "AUTH"), Some("linux.sudo")));
        assert!(allows(&rule("", "webserver", ""), Some("nginx.access")));
        assert!(!allows(&rule("linux", "process_creation", ""), Some("linux.sshd")));
        assert!(!allows(&rule("windows", "", ""), Some("linux.sshd")));
        assert!(!allows(&rule("", "webserver", ""), Some("nginx.error")));
        assert!(!allows(&rule("linux", "", "sshd"), Some("linux.sudo")));
        assert!(!allows(&rule("linux", "", ""), None));
    }

    #[test]
    fn a_rule_without_a_log_source_is_asked_about_everything() {
        for dataset in datasets().map(Some).chain([None, Some("okta.system")]) {
            assert!(allows(&LogSource::default(), dataset), "{dataset:?}");
        }
        let mut custom = LogSource::default();
        custom.custom.insert("tenant".to_owned(), "acme".to_owned());
        assert!(!allows(&custom, Some("linux.sshd")));
    }

    #[test]
    fn other_datasets_are_read_as_product_and_service() {
        assert!(allows(&rule("aws", "", "cloudtrail"), Some("aws.cloudtrail")));
        assert!(allows(&rule("aws", "", ""), Some("aws.cloudtrail")));
        assert!(!allows(&rule("aws", "", "guardduty"), Some("aws.cloudtrail")));
        assert!(!allows(&rule("aws", "cloud", ""), Some("aws.cloudtrail")));
        assert_eq!(own_dataset(&rule("AWS", "", "CloudTrail")).as_deref(), Some("aws.cloudtrail"));
        assert_eq!(own_dataset(&rule("linux", "", "sshd")), None);
        assert_eq!(own_dataset(&rule("", "webserver", "")), None);
    }
}
