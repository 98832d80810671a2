//! What is understood of data whose truth others wrote down. Nothing of it is in the repository.

mod attack;
mod crowdsec;
mod evtx;
#[path = "../../../crates/detect/tests/oracle/log_sources.rs"]
mod log_sources;
mod rules;
mod scan;
mod sigma;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::run;

/// All suites, or `only` one of them: `fail2ban`, `crowdsec`, `loghub` or `windows`; with `binary`, or with what is built
/// for it. Or `behaviour`, which needs neither binary nor corpora.
pub(crate) fn run(only: Option<&str>, binary: Option<&str>) -> anyhow::Result<bool> {
    if only == Some("behaviour") {
        for line in behaviour()? {
            println!("{line}");
        }
        return Ok(true);
    }
    let panoptes = match binary {
        Some(path) => Path::new(path).canonicalize().with_context(|| format!("there is no {path}"))?,
        None => run::build_panoptes(false)?,
    };
    for line in suites(&panoptes, only)? {
        println!("{line}");
    }
    Ok(true)
}

/// All scores, a line each.
///
/// # Errors
/// A suite could not be run, or its own test says that the score is too low.
pub(crate) fn collect(panoptes: &Path) -> anyhow::Result<Vec<String>> {
    suites(panoptes, None)
}

fn suites(panoptes: &Path, only: Option<&str>) -> anyhow::Result<Vec<String>> {
    let Some(corpora) = run::corpora() else {
        if std::env::var_os("CI").is_some() {
            bail!("no corpora: set PANOPTES_CORPORA to their folder");
        }
        return Ok(vec!["skipped: no corpora in PANOPTES_CORPORA or ../shared/corpora".to_owned()]);
    };
    let wanted = |suite: &str| only.is_none_or(|only| only == suite);
    let mut lines = Vec::new();
    if wanted("fail2ban") {
        lines.extend(fail2ban(&corpora)?);
    }
    if only.is_none() {
        lines.extend(behaviour()?);
    }
    if wanted("crowdsec") {
        lines.extend(crowdsec::score(panoptes, &corpora)?);
    }
    if wanted("loghub") {
        lines.extend(loghub(panoptes, &corpora)?);
    }
    if wanted("windows") {
        lines.extend(windows(panoptes, &corpora)?);
    }
    if lines.is_empty() {
        bail!(
            "there is no suite `{}`; there are fail2ban, crowdsec, loghub, windows and behaviour",
            only.unwrap_or_default()
        );
    }
    Ok(lines)
}

/// Windows event logs: all of them in one scan with SigmaHQ's rules and the shipped ones, judged by suite.
fn windows(panoptes: &Path, corpora: &Path) -> anyhow::Result<Vec<String>> {
    let rules = rules::Rules::read(corpora)?;
    let regression = sigma::cases(corpora)?;
    let techniques = attack::by_technique(corpora)?;
    let tactics = attack::by_tactic(corpora)?;
    let files = regression.iter().map(|it| &it.file);
    let files = files.chain(techniques.iter().map(|it| &it.file)).chain(tactics.iter().map(|it| &it.file));
    let findings = scan::run(panoptes, &rules.folders, files)?;
    let mut lines = sigma::judge(&rules, &regression, &findings, sigma::FIRED_FLOOR)?;
    lines.extend(attack::judge(corpora, &rules, &techniques, &tactics, &findings)?);
    match sigma::judge_log_sources(&rules, &findings) {
        Ok(line) => lines.push(line),
        Err(error) => bail!("{}\n{error}", lines.join("\n")),
    }
    Ok(lines)
}

fn fail2ban(corpora: &Path) -> anyhow::Result<Vec<String>> {
    // Of the workspace: of one package alone, cargo would build its dependencies with other features.
    let arguments = ["test", "--quiet", "--workspace", "--test", "fail2ban", "--", "--nocapture"];
    let text = run::output(run::cargo().env("PANOPTES_CORPORA", corpora).args(arguments))?;
    Ok(text.lines().filter(|it| is_score(it)).map(|it| format!("fail2ban   {it}")).collect())
}

/// The staged week: what was planted and found, and what else was said.
fn behaviour() -> anyhow::Result<Vec<String>> {
    // Of the workspace, as above.
    let name = "planted_oddities_are_found_and_hardly_anything_else_is";
    let arguments = ["test", "--quiet", "--workspace", "--test", "behaviour", "--", "--nocapture", name];
    let text = run::output(run::cargo().args(arguments))?;
    Ok(text.lines().filter(|it| is_score(it)).map(|it| format!("behaviour  {it}")).collect())
}

/// What the test prints itself: neither the frame that the test runner puts around it, nor the misses, which are
/// indented and quote the corpus.
fn is_score(line: &str) -> bool {
    let frame = ["running ", "test ", "test result:"];
    line.chars().any(char::is_alphanumeric) && !line.starts_with(' ') && !frame.iter().any(|it| line.starts_with(it))
}

/// Scans each file of loghub: which rules fire, how often, on how many addresses.
fn loghub(panoptes: &Path, corpora: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for system in corpora.join("loghub").read_dir().context("no folder `loghub` in the corpora")? {
        let system = system?;
        let name = system.file_name().to_string_lossy().into_owned();
        let file = system.path().join(format!("{name}_2k.log"));
        if file.is_file() {
            files.push((name, file));
        }
    }
    files.sort();
    let mut lines = Vec::new();
    for (name, file) in files {
        let findings = run::output(Command::new(panoptes).args(["scan", "--format", "jsonl"]).arg(&file))?;
        let summary = summary(&findings).with_context(|| format!("what `scan` says of {name}"))?;
        if summary.is_empty() {
            lines.push(format!("loghub     {name}: nothing found"));
        }
        lines.extend(summary.iter().map(|it| format!("loghub     {name}: {it}")));
    }
    Ok(lines)
}

/// Findings as JSON lines, summed up by rule.
fn summary(findings: &str) -> anyhow::Result<Vec<String>> {
    let mut rules: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for line in findings.lines().filter(|it| !it.trim().is_empty()) {
        let finding: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let rule = &finding["rule"];
        let title = rule["title"].as_str().with_context(|| format!("no rule title: {line}"))?;
        let entry = rules.entry(format!("{title} ({})", rule["level"].as_str().unwrap_or("?"))).or_default();
        entry.0 += 1;
        if let Some(address) = finding["entities"]["source.ip"].as_str() {
            entry.1.insert(address.to_owned());
        }
    }
    let text = |(rule, (count, addresses)): (String, (usize, BTreeSet<String>))| {
        let findings = if count == 1 { "finding" } else { "findings" };
        match addresses.len() {
            0 => format!("{rule}: {count} {findings}"),
            1 => format!("{rule}: {count} {findings}, 1 address"),
            many => format!("{rule}: {count} {findings}, {many} addresses"),
        }
    };
    Ok(rules.into_iter().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_summed_up_by_rule_and_address() {
        let finding = |title: &str, address: &str| {
            format!(
                "{{\"rule\":{{\"title\":\"{title}\",\"level\":\"high\"}},\"entities\":{{\"source.ip\":\"{address}\"}}}}\n"
            )
        };
        let text = [
            finding("B", "192.0.2.1"),
            finding("A", "192.0.2.1"),
            finding("A", "192.0.2.2"),
            finding("A", "192.0.2.2"),
        ];
        assert_eq!(
            summary(&text.concat()).unwrap(),
            ["A (high): 3 findings, 2 addresses", "B (high): 1 finding, 1 address"]
        );
        assert!(summary("nonsense\n").is_err());
        assert!(summary("{}\n").is_err());
    }

    #[test]
    fn neither_the_frame_of_the_test_runner_nor_a_miss_is_a_score() {
        let lines = [
            "",
            "running 2 tests",
            "sshd: 97 of 100",
            "  sshd:3 missed: a line",
            "test score ... ok",
            "test result: ok. 2 passed",
            "..",
        ];
        assert_eq!(lines.into_iter().filter(|it| is_score(it)).collect::<Vec<_>>(), ["sshd: 97 of 100"]);
    }
}
