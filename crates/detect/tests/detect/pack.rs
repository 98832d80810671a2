//! The shipped rules: each loads, is described, names techniques that exist, and does what its test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::corpora::corpora;
use crate::lines::{compile_pack, files, normalized, schema_of, shipped_rules};
use panoptes_detect::testing::RuleTest;
use panoptes_detect::{CompileOptions, Detector, DetectorOptions, RuleSet};
use panoptes_model::{Finding, FindingOrigin, Origin, Severity, Timestamp};

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
            assert!(!rule.sources.is_empty(), "{title} is asked of nothing");
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

#[test]
fn explanations_say_what_the_engine_found() {
    let options = CompileOptions { keep_syntax: true, ..CompileOptions::default() };
    let (rules, _) = RuleSet::compile(files(&shipped_rules(), ".yml"), &options);
    let rules = Arc::new(rules);
    let schema = schema_of(&rules);
    let (mut fired, mut asked) = (0, 0);
    for file in files(&shipped_rules(), ".test.toml") {
        let test = RuleTest::parse(&file.path, &file.text).unwrap();
        let origin = Origin { source: "test".to_owned(), ..Origin::default() };
        let rule_path = file.path.replace(".test.toml", ".yml");
        test.run(&rules, &rule_path, |lines, now| {
            let batch = normalized(&schema, &origin, 1, lines.iter().take(6).map(String::as_str), now);
            let hits: BTreeSet<(u32, u32)> = rules.prepare(&batch).pairs().collect();
            for (event, at) in batch.events().zip(0..) {
                for (meta, rule) in rules.rules().zip(0..) {
                    // Rules that have nothing to do with the event take turns: all of them on all events takes minutes.
                    let concerns = meta.path == rule_path || hits.contains(&(at, rule));
                    if !concerns && !(at + rule).is_multiple_of(8) {
                        continue;
                    }
                    let Some(explanation) = rules.explain(rule as usize, event) else { continue };
                    let (title, text) = (&meta.summary.title, event.original());
                    assert_eq!(explanation.fires(), hits.contains(&(at, rule)), "{title} on {text}: {explanation:#?}");
                    asked += 1;
                    fired += u32::from(explanation.fires());
                }
            }
            normalized(&schema, &origin, 1, lines.iter().map(String::as_str), now)
        });
    }
    assert!(fired > 50 && asked > 10 * fired, "{fired} of {asked}");
}

/// Findings of the shipped rules over one file of the corpora.
fn findings_over(path: &std::path::Path) -> Vec<Finding> {
    let (rules, _) = compile_pack(&shipped_rules());
    let schema = schema_of(&rules);
    let text = std::fs::read_to_string(path).unwrap();
    let origin = Origin { source: "corpus".to_owned(), ..Origin::default() };
    let now = Timestamp::from_seconds(1_790_000_000);
    let batch = normalized(&schema, &origin, 1, text.lines(), now);
    let mut findings = Vec::new();
    let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
    detector.fold(&mut findings, &batch, &rules.prepare(&batch), now, FindingOrigin::Scan);
    findings
}

fn addresses(findings: &[Finding], title: &str) -> BTreeSet<String> {
    let of_rule = findings.iter().filter(|it| it.rule.title == title);
    of_rule.map(|it| it.entities.iter().find(|it| it.field == "source.ip").unwrap().value.clone()).collect()
}

#[test]
fn the_guessing_addresses_of_a_real_ssh_log_are_named_and_no_others() {
    let Some(corpora) = corpora() else { return };
    let path = corpora.join("loghub/OpenSSH/OpenSSH_2k.log");
    let findings = findings_over(&path);
    let named = addresses(&findings, "SSH password guessing");

    // Counted without any of our code: words of the line, all of one day.
    let mut failures: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let Some((head, said)) = line.split_once("]: ") else { continue };
        let (times, said) = match said.strip_prefix("message repeated ").and_then(|it| it.split_once(" times: [ ")) {
            Some((times, said)) => (times.parse().unwrap(), said),
            None => (1, said),
        };
        if !said.starts_with("Failed password for ") {
            continue;
        }
        let address = said.rsplit_once(" from ").unwrap().1.split(' ').next().unwrap();
        let clock: Vec<u32> =
            head.split(' ').find(|it| it.contains(':')).unwrap().split(':').map(|it| it.parse().unwrap()).collect();
        let second = clock[0] * 3_600 + clock[1] * 60 + clock[2];
        failures.entry(address.to_owned()).or_default().extend(std::iter::repeat_n(second, times));
    }
    let guessing: BTreeSet<String> = failures
        .iter()
        .filter(|(_, seconds)| seconds.windows(6).any(|six| six[5] - six[0] <= 300))
        .map(|(address, _)| address.clone())
        .collect();
    println!("{} of {} addresses with failures guess: {guessing:?}", guessing.len(), failures.len());
    assert!(guessing.len() > 5);
    assert_eq!(named, guessing);
}

#[test]
fn in_a_real_apache_error_log_only_refusals_are_found() {
    let Some(corpora) = corpora() else { return };
    let path = corpora.join("loghub/Apache/Apache_2k.log");
    let findings = findings_over(&path);
    let text = std::fs::read_to_string(path).unwrap();
    let refused: BTreeSet<String> = text
        .lines()
        .filter(|line| line.contains("forbidden by rule"))
        .filter_map(|line| Some(line.split_once("[client ")?.1.split_once(']')?.0.to_owned()))
        .collect();
    assert_eq!(addresses(&findings, "Refused by the configuration of the web server"), refused);
    assert!(findings.iter().all(|it| it.rule.level == Severity::Informational), "{findings:#?}");
}

#[test]
fn web_attacks_of_a_real_corpus_are_found() {
    let Some(corpora) = corpora() else { return };
    for (file, title, address) in [
        ("apache-cve-2021-41773/apache-cve-2021-41773.log", "Path traversal attempt", "172.17.0.1"),
        ("apache-http-probing/apache-http-probing.log", "Search for hidden pages", "172.17.0.1"),
        ("nginx-bad-user-agent/nginx-bad-user-agent.log", "Attack tool in the user agent", "127.0.0.1"),
        ("nginx-http-generic-bf/nginx-http-generic-bf.log", "Basic authentication guessing", "127.0.0.1"),
        ("nginx-http-path-traversal/nginx-http-path-traversal.log", "Path traversal attempt", "127.0.0.1"),
        ("thinkphp-cve-2018-20062/thinkphp-cve-2018-20062.log", "Command injection attempt", "192.168.1.1"),
        ("ssh-bf/ssh-bf.log", "SSH user names tried from a list", "35.188.49.176"),
    ] {
        let findings = findings_over(&corpora.join("crowdsec-hub/tests").join(file));
        assert!(addresses(&findings, title).contains(address), "{title} in {file}: {findings:#?}");
    }
}
