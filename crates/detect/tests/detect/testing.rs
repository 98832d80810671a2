//! The runner of rule tests: a test that should fail does.

use std::sync::Arc;

use panoptes_detect::testing::RuleTest;
use panoptes_model::{Origin, Timestamp};

use crate::lines::{normalized, schema_of};
use crate::support::rules_of;

const RULES: &str = "
title: Failed
name: failed
logsource: {product: linux, service: sshd}
detection: {s: {event.action: ssh_login, event.outcome: failure}, condition: s}
---
title: Guessing
correlation: {type: event_count, rules: [failed], group-by: [source.ip], timespan: 1m, condition: {gte: 3}}
";
const SILENT: &str = "[[silent]]\nwhy = \"quiet\"\nlog = \"\"\n";

/// What goes wrong in a test of [`RULES`].
fn failures(test: &str) -> Vec<String> {
    let rules = rules_of(RULES);
    let schema = schema_of(&rules);
    let origin = Origin { source: "test".to_owned(), ..Origin::default() };
    let test = RuleTest::parse("a.test.toml", &format!("now = 2026-03-01T12:00:00Z\n{test}")).unwrap();
    let failures = test.run(&Arc::clone(&rules), "rules.yml", |lines, now: Timestamp| {
        normalized(&schema, &origin, 1, lines.iter().map(String::as_str), now)
    });
    failures.iter().map(ToString::to_string).collect()
}

fn fires(times: u32, more: &str) -> String {
    format!(
        "[[fires]]\nwhy = \"attack\"\nrepeat = {times}\nlog = '''\nMar  1 11:00:{{ii}} h sshd[1]: Failed password for root from 203.0.113.9 port 4022 ssh2\n'''\n{more}\n"
    )
}

#[test]
fn a_test_that_holds_has_no_failures() {
    let good = "entities = { \"source.ip\" = \"203.0.113.9\" }\ncount = 4\nrule = \"Guessing\"";
    assert!(failures(&(fires(4, good) + SILENT)).is_empty());
}

#[test]
fn each_way_to_be_wrong_is_told() {
    for (test, expected) in [
        (fires(2, "") + SILENT, "\"attack\": did not fire; what fired: []"),
        (fires(3, "count = 4") + SILENT, "\"attack\": rests on 3 events, not 4"),
        (
            fires(3, "entities = { \"source.ip\" = \"203.0.113.8\" }") + SILENT,
            "\"attack\": is not about source.ip 203.0.113.8",
        ),
        (fires(3, "rule = \"Nonsense\"") + SILENT, "`rule` is none of: Guessing"),
        (fires(3, "").replace("fires", "silent") + &fires(3, ""), "\"attack\": fired `Guessing`: 3 × Failed"),
        (fires(3, ""), "\"Guessing\": no [[silent]] case is about it"),
        (SILENT.to_owned(), "\"Guessing\": no [[fires]] case is about it"),
    ] {
        let found = failures(&test);
        assert!(found.iter().any(|it| it.contains(expected)), "{found:#?}\ndo not contain\n{expected}");
    }
}

#[test]
fn a_file_that_is_no_test_is_refused() {
    for text in [
        "",
        "now = 1",
        "now = 10:30:00\n",
        "now = 2026-03-01T12:00:00Z\nfire = []",
        "now = 2026-03-01T12:00:00Z\n[[fires]]\nwhy = \"\"\nlog = \"x\"\nrepeat = 4000000000\n",
        "now = 2026-03-01T12:00:00Z\n[[fires]]\nwhy = \"\"\n",
        "now = 2026-03-01T12:00:00Z\n[[fires]]\nwhy = \"\"\nevents = \"{\"\n",
        "now = 2026-03-01T12:00:00Z\n[[fires]]\nwhy = \"\"\nevents = \"[1]\"\n",
    ] {
        let error = RuleTest::parse("a.test.toml", text).unwrap_err().to_string();
        assert!(error.starts_with("a.test.toml is not a rule test: "), "{error}");
    }
}

#[test]
fn events_may_be_json_in_any_layout() {
    let event = |outcome: &str, seconds: &str| {
        format!(
            "{{\n  \"timestamp\": \"2026-03-01T11:00:{seconds}Z\",\n  \"event\": {{\"dataset\": \"linux.sshd\", \"action\": \
             \"ssh_login\", \"outcome\": \"{outcome}\"}},\n  \"source\": {{\"ip\": \"203.0.113.9\"}}\n}}"
        )
    };
    let case = |kind: &str, events: &str| format!("[[{kind}]]\nwhy = \"it\"\nevents = '''\n{events}\n'''\n");
    let attack = format!("[{},{}]\n{}", event("failure", "01"), event("failure", "02"), event("failure", "03"));
    let quiet = event("success", "01");
    assert_eq!(failures(&(case("fires", &attack) + &case("silent", &quiet))), [""; 0]);
    let repeated = case("fires", &event("failure", "{ii}")) + "repeat = 3\ncount = 3\n" + &case("silent", &quiet);
    assert_eq!(failures(&repeated), [""; 0]);
    let wrong = failures(&(case("fires", &quiet) + &case("silent", &attack)));
    assert_eq!(wrong.len(), 2, "{wrong:#?}");
}

#[test]
fn each_case_is_told_with_its_kind() {
    let rules = rules_of(RULES);
    let schema = schema_of(&rules);
    let text = format!("now = 2026-03-01T12:00:00Z\n{}", fires(2, "") + SILENT);
    let test = RuleTest::parse("a.test.toml", &text).unwrap();
    let mut ended = Vec::new();
    let normalize =
        |lines: &[String], now| normalized(&schema, &Origin::default(), 1, lines.iter().map(String::as_str), now);
    test.run_each(&rules, "rules.yml", normalize, |it| ended.push((it.kind, it.why, it.failure.is_some())));
    assert_eq!(ended, [("fires", "attack".to_owned(), true), ("silent", "quiet".to_owned(), false)]);
}
