//! The shipped rules: each loads, is described, names techniques that exist, and does what its test says.

use std::collections::BTreeSet;

use crate::corpora::corpora;
use crate::lines::{compile_pack, files, normalized, schema_of, shipped_rules};
use panoptes_detect::testing::RuleTest;
use panoptes_model::Origin;

#[test]
fn every_shipped_rule_loads_and_is_described() {
    let (rules, errors) = compile_pack(&shipped_rules());
    assert!(errors.is_empty(), "{}", errors.iter().map(|it| format!("{it}\n")).collect::<String>());
    assert!(rules.len() > 40, "{}", rules.len());
    for rule in rules.rules() {
        let title = &rule.summary.title;
        assert_eq!(rule.author.as_deref(), Some("Panoptes"), "{title}");
        assert!(rule.description.as_ref().is_some_and(|it| it.len() > 40), "{title} is not described");
        let id = rule.summary.id.as_bytes();
        assert!(id.len() == 36 && id[14] == b'4', "{title}: the id is no random UUID");
        if rule.kind == "event" {
            assert!(!rule.datasets.is_empty(), "{title} is asked of nothing");
        }
        if rule.reports {
            assert!(!rule.falsepositives.is_empty(), "{title} does not say when it is wrong");
            assert!(!rule.summary.tags.is_empty(), "{title} has no tags");
            assert!(rule.status.is_some() && rule.date.is_some(), "{title} has no status or date");
        }
    }
}

#[test]
fn every_tag_is_a_technique_or_tactic_of_attack() {
    let Some(corpora) = corpora() else { return };
    let text = std::fs::read_to_string(corpora.join("attack/techniques.json")).unwrap();
    let known: serde_json::Value = serde_json::from_str(&text).unwrap();
    let lower = |key: &str| -> BTreeSet<String> {
        known[key].as_object().unwrap().iter().map(|(id, _)| id.to_lowercase()).collect()
    };
    let tactics: BTreeSet<String> =
        known["tactics"].as_object().unwrap().values().map(|it| it.as_str().unwrap().to_owned()).collect();
    let techniques = lower("techniques");
    let (rules, _) = compile_pack(&shipped_rules());
    for rule in rules.rules() {
        for tag in &rule.summary.tags {
            let name = tag.strip_prefix("attack.").unwrap_or_else(|| panic!("{tag} of {}", rule.summary.title));
            assert!(techniques.contains(name) || tactics.contains(name), "{tag} of {}", rule.summary.title);
        }
    }
}

#[test]
fn every_shipped_rule_fires_where_its_test_says_and_nowhere_else() {
    let (rules, _) = compile_pack(&shipped_rules());
    let schema = schema_of(&rules);
    let mut failures = Vec::new();
    for file in files(&shipped_rules(), ".yml") {
        let path = file.path.replace(".yml", ".test.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            failures.push(format!("{path} is missing"));
            continue;
        };
        let test = RuleTest::parse(&path, &text).unwrap_or_else(|error| panic!("{error}"));
        let origin = Origin { input: "file".to_owned(), source: "test".to_owned(), ..Origin::default() };
        let failed = test.run(&rules, &file.path, |lines, now| {
            normalized(&schema, &origin, 1, lines.iter().map(String::as_str), now)
        });
        failures.extend(failed.iter().map(|it| format!("{path}: {it}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
