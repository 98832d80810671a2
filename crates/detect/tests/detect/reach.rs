//! Whether a rule can match at all.

use panoptes_detect::{Reach, RuleSet};

use crate::support::{batch_of, rules_of};

fn rule(log_source: &str, detection: &str) -> std::sync::Arc<RuleSet> {
    rules_of(&format!("title: t\nlogsource: {log_source}\ndetection:\n{detection}\n"))
}

/// What is missing for each source, if events have only `fields`.
fn missing(detection: &str, fields: &[&str]) -> Vec<String> {
    let rules = rule("{product: linux, service: sshd}", detection);
    let reach = rules.reach(0, &|reach, field| {
        assert_eq!(reach.datasets, ["linux.sshd"]);
        fields.contains(&field)
    });
    assert_eq!(reach.len(), 1, "{reach:?}");
    reach.into_iter().flat_map(|it| it.missing).collect()
}

#[test]
fn a_rule_needs_the_fields_without_which_it_cannot_hold() {
    for (detection, fields, expected) in [
        ("  s: {a: 1, b: 2}\n  condition: s", &["a"][..], &["b"][..]),
        ("  s: {a: 1, b: 2}\n  condition: s", &["a", "b"], &[]),
        ("  s: {a: 1}\n  t: {b: 2}\n  condition: s or t", &["a"], &[]),
        ("  s: {a: 1}\n  t: {b: 2}\n  condition: s or t", &[], &["a", "b"]),
        ("  s: {a: 1}\n  t: {b: 2}\n  condition: s and not t", &["a"], &[]),
        ("  s: {a: 1}\n  t: {b: null}\n  condition: s and t", &["a"], &[]),
        ("  s: {a: 1}\n  t: {b: null}\n  condition: s and not t", &["a"], &["b"]),
        ("  s: {a: 1}\n  t: {b|exists: true}\n  condition: s and t", &["a"], &["b"]),
        ("  s: {a: 1}\n  t: {b: 2}\n  u: {c: 3}\n  condition: 2 of them", &["a"], &["b", "c"]),
        ("  s: {a: 1}\n  t: {b: 2}\n  u: {c: 3}\n  condition: 2 of them", &["a", "c"], &[]),
        ("  s: {a|fieldref: b}\n  condition: s", &["a"], &["b"]),
        ("  s: [word]\n  condition: s", &[], &[]),
    ] {
        let mut found = missing(detection, fields);
        found.retain(|it| !it.is_empty());
        let expected: Vec<&str> = expected.to_vec();
        // Where a joint needs any of several, all that would help are named.
        assert!(expected.iter().all(|it| found.contains(&(*it).to_owned())), "{detection}: {found:?}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{detection}: {found:?}");
    }
}

#[test]
fn names_are_those_of_the_events_and_sources_say_where_they_are_from() {
    let rules = rule("{category: webserver}", "  s: {cs-method: PUT}\n  condition: s");
    let reach = rules.reach(0, &|_, field| field != "http.request.method");
    assert!(reach.len() > 1 && reach.iter().all(|it| it.missing == ["http.request.method"]), "{reach:?}");

    let stated = rule("{product: acme, service: portal}", "  s: {a: 1}\n  condition: s").reach(0, &|_, _| true);
    let [Reach { is_stated_dataset: true, datasets, .. }] = stated.as_slice() else { panic!("{stated:?}") };
    assert_eq!(datasets, &["acme.portal"]);

    assert!(rule("{product: acme, category: portal}", "  s: {a: 1}\n  condition: s").reach(0, &|_, _| true).is_empty());
    let any = rule("{definition: every event}", "  s: {a: 1}\n  condition: s").reach(0, &|_, _| false);
    assert_eq!((any.len(), any[0].source.as_deref(), any[0].missing.len()), (1, None, 1));
}

#[test]
fn an_event_names_its_sources() {
    let rules = rule("{product: linux}", "  s: {a: 1}\n  condition: s");
    let batch = batch_of(&rules, 1, "test", &[(0, "event.dataset=linux.sshd"), (0, "a=1")]);
    let sources: Vec<Vec<&str>> = batch.events().map(|it| rules.sources_of(it)).collect();
    assert_eq!(sources, [vec!["OpenSSH"], vec![]]);
}
