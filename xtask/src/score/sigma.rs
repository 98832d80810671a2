//! SigmaHQ's own regression data: recordings that a rule must fire on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::rules::{Rules, files_below};
use super::scan::{Finding, Findings};

/// How many recordings must make their rule fire, of those that are scanned.
pub(super) const FIRED_FLOOR: usize = 96;
/// How many wrong findings are told.
const TOLD_MAX: usize = 10;

/// One recording.
pub(super) struct Case {
    pub(super) file: PathBuf,
    rule: String,
    /// How many events must match, if it says.
    count: Option<u64>,
}

/// The recordings whose test is not commented out.
pub(super) fn cases(corpora: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for info in files_below(&corpora.join("sigma/regression_data"))? {
        if info.file_name().is_none_or(|it| it != "info.yml") {
            continue;
        }
        let text = std::fs::read_to_string(&info).with_context(|| format!("cannot read {}", info.display()))?;
        cases.extend(case(&text).map(|(rule, file, count)| Case {
            file: corpora.join("sigma").join(file),
            rule,
            count,
        }));
    }
    Ok(cases)
}

/// Rule, file and count of an `info.yml`.
fn case(text: &str) -> Option<(String, String, Option<u64>)> {
    let value = |key: &str| {
        let mut lines = text.lines().map(|it| it.trim().trim_start_matches("- "));
        lines.find_map(|it| Some(it.strip_prefix(key)?.trim().to_owned()))
    };
    // The first id is that of the file, the second that of the rule.
    let mut ids = text.lines().filter_map(|it| it.trim().strip_prefix("- id:"));
    let rule = ids.next()?.trim().to_owned();
    Some((rule, value("path:")?, value("match_count:").and_then(|it| it.parse().ok())))
}

/// `floor`: how many have made their rule fire before.
pub(super) fn judge(rules: &Rules, cases: &[Case], findings: &Findings, floor: usize) -> anyhow::Result<Vec<String>> {
    let none = Vec::new();
    let (mut fired, mut counted, mut counts) = (0, 0, 0);
    let (mut silent, mut differ) = (Vec::new(), Vec::new());
    for case in cases {
        let of_file = findings.get(&case.file).unwrap_or(&none);
        let found: u64 = of_file.iter().filter(|it| it.rule == case.rule).map(|it| it.count).sum();
        let title = || rules.by_id.get(&case.rule).map_or(case.rule.as_str(), |it| it.title.as_str());
        if found > 0 {
            fired += 1;
        } else {
            silent.push(title());
        }
        if let Some(count) = case.count {
            counts += 1;
            counted += usize::from(found == count);
            if found > 0 && found != count {
                differ.push(format!("{} ({found} of {count})", title()));
            }
        }
    }
    let mut lines = vec![
        format!("sigma      regression: {fired} of {} recordings make their rule fire", cases.len()),
        format!("sigma      regression: {counted} of the {counts} that say how often match exactly as often"),
    ];
    if !silent.is_empty() {
        lines.push(format!("sigma      regression: silent: {}", silent.join("; ")));
    }
    if !differ.is_empty() {
        lines.push(format!("sigma      regression: other counts: {}", differ.join("; ")));
    }
    if fired < floor {
        bail!("{}\n{floor} have made it before", lines.join("\n"));
    }
    Ok(lines)
}

/// No rule may fire on an event that cannot be of its log source: what an event is, its channel and its id say.
pub(super) fn judge_log_sources(rules: &Rules, findings: &Findings) -> anyhow::Result<String> {
    let (mut total, mut wrong) = (0, BTreeMap::new());
    for (path, finding) in findings.iter().flat_map(|(path, of_file)| of_file.iter().map(move |it| (path, it))) {
        if path.extension().is_none_or(|it| it != "evtx") || !rules.by_id.contains_key(&finding.rule) {
            continue;
        }
        total += 1;
        if let Some(reason) = is_foreign(rules, finding) {
            let at: &mut (u64, String) = wrong.entry(&finding.rule).or_default();
            *at = (at.0 + 1, format!("{reason} in {}", path.display()));
        }
    }
    let line =
        format!("sigma      log sources: of {total} findings {} outside of their rule's log source", wrong.len());
    if wrong.is_empty() {
        return Ok(line);
    }
    let told = wrong.iter().take(TOLD_MAX).map(|(rule, (count, reason))| {
        let title = rules.by_id.get(*rule).map_or("", |it| it.title.as_str());
        format!("  {count} of {rule} ({title}): {reason}")
    });
    bail!("{line}\n{}", told.collect::<Vec<_>>().join("\n"));
}

fn is_foreign(rules: &Rules, finding: &Finding) -> Option<String> {
    let rule = rules.by_id.get(&finding.rule)?;
    match &finding.place {
        None => Some("an event that tells neither channel nor id".to_owned()),
        Some((channel, id)) if rule.log_source.can_be(channel, *id) => None,
        Some((channel, id)) => Some(format!("event {id} of {channel} for {:?}", rule.log_source)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_sources::LogSource;
    use super::super::rules::{Pack, Rule};
    use super::*;

    const INFO: &str = "id: 1\nrule_metadata:\n    - id: 2-2\n      title: t\nregression_tests_info:\n    - name: Positive\n      type: evtx\n      match_count: 4\n      path: regression_data/a/b.evtx\n";

    fn rules() -> Rules {
        let log_source =
            LogSource { product: Some("windows".into()), service: Some("security".into()), category: None };
        let rule = Rule { pack: Pack::SigmaHq, title: "T".into(), log_source };
        Rules { folders: Vec::new(), by_id: [("2-2".to_owned(), rule)].into() }
    }

    fn found(channel: &str, count: u64) -> Findings {
        let place = Some((channel.to_owned(), 4688));
        let finding = Finding { rule: "2-2".into(), tags: Vec::new(), count, place };
        [(PathBuf::from("b.evtx"), vec![finding])].into()
    }

    #[test]
    fn a_recording_names_its_rule_and_perhaps_how_often_it_fires() {
        assert_eq!(case(INFO), Some(("2-2".into(), "regression_data/a/b.evtx".into(), Some(4))));
        let commented = INFO.replace("      path", "#     path").replace("    - name", "#   - name");
        assert_eq!(case(&commented), None);
    }

    #[test]
    fn who_is_silent_and_who_counts_otherwise_is_told() {
        let case = |count| vec![Case { file: "b.evtx".into(), rule: "2-2".into(), count }];
        let lines = judge(&rules(), &case(Some(4)), &found("Security", 4), 1).unwrap().join("\n");
        assert!(lines.contains("1 of 1 recordings") && lines.contains("1 of the 1 that"), "{lines}");
        let lines = judge(&rules(), &case(Some(3)), &found("Security", 4), 1).unwrap().join("\n");
        assert!(lines.contains("0 of the 1 that") && lines.contains("T (4 of 3)"), "{lines}");
        let lines = judge(&rules(), &case(None), &Findings::new(), 0).unwrap().join("\n");
        assert!(lines.contains("0 of 1 recordings") && lines.contains("silent: T"), "{lines}");
        assert!(judge(&rules(), &case(None), &Findings::new(), 1).is_err());
    }

    #[test]
    fn a_finding_on_an_event_of_another_log_source_fails() {
        assert!(judge_log_sources(&rules(), &found("Security", 1)).is_ok());
        assert!(judge_log_sources(&rules(), &found("System", 1)).is_err());
    }
}
