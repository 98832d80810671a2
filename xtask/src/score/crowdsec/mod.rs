//! CrowdSec's hub: logs with the fields that its parsers read out of them, and with the addresses that its scenarios catch.
//!
//! Fields are compared by the test `crowdsec` of crate `normalize`; who must be caught is compared with the findings of
//! `panoptes scan`. Both once more on a copy in which addresses, users, hosts and dates were replaced.

mod copy;
mod families;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::families::Family;
use crate::run;

const FOLDER: &str = "crowdsec-hub/tests";
/// What is asked for: of the tests whose attackers are known, and of those in which nothing must be found.
const CAUGHT_FLOOR: f64 = 0.8;
const SILENT_FLOOR: f64 = 0.5;

/// What one test says of its log.
struct Case {
    name: String,
    log: PathBuf,
    /// Whom its scenarios caught, and at what.
    attackers: BTreeSet<(String, &'static [Family])>,
    /// Scenarios that no row of the table knows.
    unknown: BTreeSet<String>,
    /// Whether it says that nothing is caught.
    silent: bool,
}

/// What `scan` found.
struct Found {
    rule: String,
    families: Vec<Family>,
    /// Whether people are told of it: medium and worse.
    wakes: bool,
    addresses: BTreeSet<String>,
}

/// # Errors
/// The corpus cannot be read, a program fails, or a score is below its floor.
pub(super) fn score(panoptes: &Path, corpora: &Path) -> anyhow::Result<Vec<String>> {
    let mut lines = both(panoptes, corpora, "crowdsec  ")?;
    let copied = copy::replaced(&corpora.join(FOLDER), FOLDER)?;
    let result = both(panoptes, copied.root(), "replaced  ");
    drop(copied);
    lines.extend(result?.into_iter().filter(|it| !it.contains("asked for")));
    Ok(lines)
}

fn both(panoptes: &Path, corpora: &Path, prefix: &str) -> anyhow::Result<Vec<String>> {
    let arguments = ["test", "--quiet", "--workspace", "--test", "crowdsec", "--", "--nocapture"];
    let text = run::output(run::cargo().env("PANOPTES_CORPORA", corpora).args(arguments))?;
    let mut lines: Vec<String> = text.lines().filter(|it| it.starts_with("fields: ")).map(str::to_owned).collect();
    lines.extend(scenarios(panoptes, &cases(&corpora.join(FOLDER))?)?);
    Ok(lines.into_iter().map(|it| format!("{prefix} {it}")).collect())
}

/// All tests, sorted by name.
fn cases(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        let Ok(config) = std::fs::read_to_string(path.join("config.yaml")) else { continue };
        let statements = std::fs::read(path.join("scenario.assert")).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        cases.push(case(name, path.join(log_file(&config)), &String::from_utf8_lossy(&statements)));
    }
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

/// The value of `log_file` in a flat `config.yaml`.
fn log_file(config: &str) -> &str {
    let value = config.lines().find_map(|it| it.strip_prefix("log_file:"));
    value.unwrap_or("").trim().trim_matches(['"', '\''])
}

fn case(name: String, log: PathBuf, statements: &str) -> Case {
    let mut sources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut scenarios: BTreeMap<&str, &str> = BTreeMap::new();
    for line in statements.lines() {
        let Some((index, rest)) = line.trim().strip_prefix("results[").and_then(|it| it.split_once(']')) else {
            continue;
        };
        if let Some(rest) = rest.strip_prefix(".Overflow.Sources[\"") {
            if let Some((value, "GetScope() == \"Ip\"")) = rest.split_once("\"].") {
                sources.entry(index).or_default().insert(value);
            }
        } else if let Some(scenario) = rest.strip_prefix(".Overflow.Alert.GetScenario() == \"") {
            scenarios.insert(index, scenario.split('"').next().unwrap_or(""));
        }
    }
    let (mut attackers, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for (index, scenario) in scenarios {
        match families::of_scenario(scenario) {
            None => _ = unknown.insert(scenario.to_owned()),
            Some(families) => {
                let of_index = sources.get(index).into_iter().flatten();
                attackers.extend(of_index.map(|it| (canonical(it), families)));
            }
        }
    }
    let silent = statements.trim() == "len(results) == 0";
    Case { name, log, attackers, unknown, silent }
}

/// An address as Panoptes writes it.
fn canonical(address: &str) -> String {
    address.parse::<std::net::IpAddr>().map_or_else(|_| address.to_owned(), |it| it.to_canonical().to_string())
}

fn scan(panoptes: &Path, log: &Path) -> anyhow::Result<Vec<Found>> {
    let text = run::output(Command::new(panoptes).args(["scan", "--format", "jsonl"]).arg(log))?;
    text.lines().filter(|it| !it.trim().is_empty()).map(found).collect()
}

fn found(line: &str) -> anyhow::Result<Found> {
    let finding: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let rule = &finding["rule"];
    let tags = rule["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |object: &Value| -> Vec<String> {
        let fields = ["source.ip", "source.address", "client.ip"];
        let values = fields.iter().filter_map(|it| object[*it].as_str());
        values.flat_map(|it| it.split(", ").map(str::to_owned)).collect()
    };
    let mut addresses: BTreeSet<String> = of(&finding["entities"]).into_iter().collect();
    addresses.extend(of(&finding["event"]));
    Ok(Found {
        rule: format!(
            "{} ({})",
            rule["title"].as_str().with_context(|| format!("no rule title: {line}"))?,
            rule["level"].as_str().unwrap_or("?")
        ),
        wakes: matches!(rule["level"].as_str(), Some("medium" | "high" | "critical")),
        families: families::of_tags(tags.iter().filter_map(Value::as_str)),
        addresses,
    })
}

fn scenarios(panoptes: &Path, cases: &[Case]) -> anyhow::Result<Vec<String>> {
    let (mut caught, mut tests, mut silent, mut silences) = (0, 0, 0, 0);
    let (mut pairs, mut pairs_caught) = (0, 0);
    let mut unasked: BTreeMap<String, (usize, BTreeSet<&str>)> = BTreeMap::new();
    let mut lines = Vec::new();
    for case in cases {
        if !case.log.is_file() {
            eprintln!("  {}: there is no {}", case.name, case.log.display());
            continue;
        }
        let found = scan(panoptes, &case.log)?;
        let missed: Vec<_> = case
            .attackers
            .iter()
            .filter(|(address, families)| {
                !found.iter().any(|it| {
                    it.addresses.contains(address) && it.families.iter().any(|family| families.contains(family))
                })
            })
            .collect();
        if !case.attackers.is_empty() {
            tests += 1;
            pairs += case.attackers.len();
            pairs_caught += case.attackers.len() - missed.len();
            caught += usize::from(missed.is_empty());
        }
        if case.silent {
            silences += 1;
            // Below medium nobody is told.
            silent += usize::from(!found.iter().any(|it| it.wakes));
        }
        let all: BTreeSet<&str> = missed.iter().filter_map(|it| Some(it.1.first()?.word())).collect();
        if !missed.is_empty() {
            eprintln!(
                "  missed {}: {} of {} addresses ({})",
                case.name,
                missed.len(),
                case.attackers.len(),
                all.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        for scenario in &case.unknown {
            eprintln!("  {}: the family of {scenario} is not known", case.name);
        }
        for finding in found {
            let asked = case.attackers.iter().any(|it| finding.addresses.contains(&it.0));
            if !asked {
                let entry = unasked.entry(finding.rule).or_default();
                entry.0 += 1;
                entry.1.insert(&case.name);
            }
        }
    }
    let share = |part: usize, all: usize| if all == 0 { 1.0 } else { part as f64 / all as f64 };
    lines.push(format!(
        "scenarios: {:.3} of {tests} tests have all attackers alerted in the right family ({pairs_caught} of {pairs} addresses)",
        share(caught, tests)
    ));
    lines.push(format!(
        "silent: {silent} of {silences} tests in which nothing must be told (no finding of medium level or worse)"
    ));
    let count: usize = unasked.values().map(|it| it.0).sum();
    lines.push(format!("findings about addresses that nobody asked for: {count}"));
    lines.extend(unasked.iter().map(|(rule, (count, tests))| {
        format!("asked for by nobody: {rule}: {count} in {} tests, as {}", tests.len(), tests.first().unwrap_or(&""))
    }));
    if share(caught, tests) < CAUGHT_FLOOR || share(silent, silences) < SILENT_FLOOR {
        bail!("{}", lines.join("\n"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attackers_are_the_addresses_of_each_result_with_the_family_of_its_scenario() {
        let text = r#"len(results) == 3
            "192.0.2.1" in results[0].Overflow.GetSources()
            results[0].Overflow.Sources["192.0.2.1"].GetScope() == "Ip"
            results[0].Overflow.Alert.GetScenario() == "crowdsecurity/ssh-bf"
            results[1].Overflow.Sources["192.0.2.2"].GetScope() == "Ip"
            results[1].Overflow.Alert.GetScenario() == "crowdsecurity/http-probing"
            results[2].Overflow.Sources["bob"].GetScope() == "username"
            results[2].Overflow.Alert.GetScenario() == "crowdsecurity/ssh-bf"
        "#;
        let case = case("c".into(), PathBuf::new(), text);
        let expected =
            [("192.0.2.1".to_owned(), &[Family::BruteForce][..]), ("192.0.2.2".to_owned(), &[Family::Scan][..])];
        assert_eq!(case.attackers, BTreeSet::from(expected));
        assert!(!case.silent);
        assert!(super::case("c".into(), PathBuf::new(), "len(results) == 0\n").silent);
    }

    #[test]
    fn a_finding_is_about_the_addresses_of_its_entities_and_of_its_event() {
        let line = r#"{"rule":{"title":"T","level":"low","tags":["attack.t1110.001"]},"entities":{"source.ip":"192.0.2.1"},"event":{"source.ip":"192.0.2.1, 192.0.2.2"}}"#;
        let found = found(line).unwrap();
        assert_eq!(found.addresses, ["192.0.2.1", "192.0.2.2"].map(str::to_owned).into());
        assert_eq!((found.rule.as_str(), found.families.as_slice()), ("T (low)", &[Family::BruteForce][..]));
        assert!(super::found("{}").is_err());
    }
}
