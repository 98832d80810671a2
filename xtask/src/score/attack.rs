//! Recorded attacks: the technique or the tactic is in the name of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::evtx;
use super::rules::{Pack, Rules, files_below};
use super::scan::{Finding, Findings};

/// Shares of files in percent that all rules must reach: any rule fires, the same parent technique is named,
/// exactly that technique is named.
const TECHNIQUE_FLOORS: [f64; 3] = [75.0, 50.0, 35.0];
/// The same for tactics: any rule fires, the tactic is named.
const TACTIC_FLOORS: [f64; 2] = [75.0, 45.0];

/// One recording and what its folder says of it.
pub(super) struct Recording {
    pub(super) file: PathBuf,
    /// A technique (`T1021.002`; `T1098.xxx` is any of T1098) or a tactic (`defense-evasion`). The folders of a few say
    /// neither.
    truth: Option<String>,
}

pub(super) fn by_technique(corpora: &Path) -> anyhow::Result<Vec<Recording>> {
    recordings(&corpora.join("evtx-to-mitre"), |folder| {
        let id = folder.split('-').next()?;
        let is_technique = id.starts_with('T') && id.chars().nth(1)?.is_ascii_digit();
        is_technique.then(|| id.to_owned())
    })
}

pub(super) fn by_tactic(corpora: &Path) -> anyhow::Result<Vec<Recording>> {
    let attack = attack(corpora)?;
    let tactics: BTreeSet<String> = attack["tactics"]
        .as_object()
        .into_iter()
        .flat_map(|it| it.values())
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    recordings(&corpora.join("evtx-attack-samples"), |folder| {
        let tactic = folder.to_lowercase().replace(' ', "-");
        tactics.contains(&tactic).then_some(tactic)
    })
}

fn recordings(folder: &Path, truth: impl Fn(&str) -> Option<String>) -> anyhow::Result<Vec<Recording>> {
    let mut files = files_below(folder)?;
    files.retain(|it| it.extension().is_some_and(|it| it == "evtx"));
    let name = |file: &Path| Some(file.parent()?.file_name()?.to_string_lossy().into_owned());
    Ok(files.into_iter().map(|file| Recording { truth: name(&file).and_then(|it| truth(&it)), file }).collect())
}

fn attack(corpora: &Path) -> anyhow::Result<Value> {
    let path = corpora.join("attack/techniques.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).context("ATT&CK is no JSON")
}

pub(super) fn judge(
    corpora: &Path,
    rules: &Rules,
    techniques: &[Recording],
    tactics: &[Recording],
    findings: &Findings,
) -> anyhow::Result<Vec<String>> {
    let attack = attack(corpora)?;
    let tactics_of: BTreeMap<&str, Vec<&str>> = attack["technique_tactics"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(id, of)| (id.as_str(), of.as_array().into_iter().flatten().filter_map(Value::as_str).collect()))
        .collect();
    let mut lines = Vec::new();
    let mut below = Vec::new();
    for (name, packs) in
        [("SigmaHQ alone", &[Pack::SigmaHq][..]), ("with shipped rules", &[Pack::SigmaHq, Pack::Shipped])]
    {
        let of_windows = |finding: &&Finding| {
            let rule = rules.by_id.get(&finding.rule);
            rule.is_some_and(|it| packs.contains(&it.pack) && it.log_source.product.as_deref() == Some("windows"))
        };
        let of_file =
            |file: &PathBuf| -> Vec<&Finding> { findings.get(file).into_iter().flatten().filter(of_windows).collect() };

        let is_parent = |truth: &str, named: &str| parent(truth) == parent(named);
        let any = Share::of(techniques, |it| !of_file(&it.file).is_empty());
        let known: Vec<&Recording> = techniques.iter().filter(|it| it.truth.is_some()).collect();
        let names = |it: &Recording, right: &dyn Fn(&str, &str) -> bool| {
            let truth = it.truth.as_deref().unwrap_or_default();
            of_file(&it.file).iter().flat_map(|it| techniques_of(&it.tags)).any(|named| right(truth, &named))
        };
        let same_parent = Share::of(known.iter().copied(), |it| names(it, &is_parent));
        let exact = Share::of(known.iter().copied(), |it| names(it, &is_exactly));
        let mut records = 0;
        for recording in techniques {
            records += evtx::records(&recording.file)?;
        }
        let total: u64 = techniques.iter().flat_map(|it| of_file(&it.file)).map(|it| it.count).sum();
        lines.push(format!(
            "evtx-to-mitre, {name}: any rule {any}, same technique without its sub-technique {same_parent}, exactly it {exact}; \
             {:.1} findings per 1,000 of {records} events",
            total as f64 * 1_000.0 / records.max(1) as f64
        ));

        let any_sample = Share::of(tactics, |it| !of_file(&it.file).is_empty());
        let known: Vec<&Recording> = tactics.iter().filter(|it| it.truth.is_some()).collect();
        let same_tactic = Share::of(known.iter().copied(), |it| {
            let truth = it.truth.as_deref().unwrap_or_default();
            of_file(&it.file).iter().any(|it| names_tactic(&it.tags, truth, &tactics_of))
        });
        lines.push(format!("evtx-attack-samples, {name}: any rule {any_sample}, the tactic {same_tactic}"));

        if packs.contains(&Pack::Shipped) {
            let reached = [any, same_parent, exact].map(Share::percent).into_iter().zip(TECHNIQUE_FLOORS);
            let reached = reached.chain([any_sample, same_tactic].map(Share::percent).into_iter().zip(TACTIC_FLOORS));
            below.extend(reached.filter(|(percent, floor)| percent < floor));
        }
    }
    if !below.is_empty() {
        bail!("{}\nlower than before (now, before): {below:?}", lines.join("\n"));
    }
    Ok(lines)
}

/// So many of so many.
#[derive(Clone, Copy)]
struct Share {
    part: usize,
    whole: usize,
}

impl Share {
    fn of<'r>(all: impl IntoIterator<Item = &'r Recording>, is: impl Fn(&Recording) -> bool) -> Self {
        let mut share = Self { part: 0, whole: 0 };
        for recording in all {
            share.whole += 1;
            share.part += usize::from(is(recording));
        }
        share
    }

    fn percent(self) -> f64 {
        self.part as f64 * 100.0 / self.whole.max(1) as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} % ({} of {})", self.percent(), self.part, self.whole)
    }
}

/// `attack.t1059.001` as `T1059.001`.
fn techniques_of(tags: &[String]) -> impl Iterator<Item = String> {
    let names = tags.iter().filter_map(|it| it.strip_prefix("attack."));
    names
        .filter(|it| it.starts_with('t') && it.chars().nth(1).is_some_and(|it| it.is_ascii_digit()))
        .map(|it| it.to_ascii_uppercase())
}

fn parent(technique: &str) -> &str {
    technique.split('.').next().unwrap_or(technique)
}

fn is_exactly(truth: &str, named: &str) -> bool {
    if truth.ends_with(".xxx") { parent(truth) == parent(named) } else { truth == named }
}

/// Whether the tags name the tactic, or a technique of it.
fn names_tactic(tags: &[String], tactic: &str, tactics_of: &BTreeMap<&str, Vec<&str>>) -> bool {
    let by_name = tags.iter().filter_map(|it| it.strip_prefix("attack.")).any(|it| it.replace('_', "-") == tactic);
    let by_technique = techniques_of(tags).any(|it| tactics_of.get(it.as_str()).is_some_and(|of| of.contains(&tactic)));
    by_name || by_technique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_compared_with_and_without_their_part() {
        let tags = ["attack.t1021.002", "attack.lateral-movement", "cve.2020-1", "attack.s0002"].map(str::to_owned);
        assert_eq!(techniques_of(&tags).collect::<Vec<_>>(), ["T1021.002"]);
        assert!(is_exactly("T1021.002", "T1021.002") && !is_exactly("T1021.002", "T1021.003"));
        assert!(!is_exactly("T1003", "T1003.001") && is_exactly("T1098.xxx", "T1098.005"));
        assert_eq!(parent("T1098.xxx"), "T1098");
    }

    #[test]
    fn a_tactic_is_named_by_itself_or_by_its_techniques() {
        let tactics_of = BTreeMap::from([("T1112", vec!["defense-evasion", "persistence"])]);
        let tagged = |tag: &str| [tag.to_owned()];
        assert!(names_tactic(&tagged("attack.defense_evasion"), "defense-evasion", &tactics_of));
        assert!(names_tactic(&tagged("attack.t1112"), "persistence", &tactics_of));
        assert!(!names_tactic(&tagged("attack.t1112"), "execution", &tactics_of));
    }
}
