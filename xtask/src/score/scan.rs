//! `panoptes scan` over many files at once, and its findings by file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// One line of `scan --format jsonl`, as far as scores need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) tags: Vec<String>,
    pub(super) count: u64,
    /// Channel and id of the event, if the finding tells.
    pub(super) place: Option<(String, u64)>,
}

pub(super) type Findings = BTreeMap<PathBuf, Vec<Finding>>;

/// Scans `files` with the shipped rules and those in `rules`. Every file is among the keys.
pub(super) fn run<'f>(
    panoptes: &Path,
    rules: &[PathBuf],
    files: impl Iterator<Item = &'f PathBuf>,
) -> anyhow::Result<Findings> {
    let files: BTreeSet<&PathBuf> = files.collect();
    let mut scan = Command::new(panoptes);
    scan.args(["scan", "--format", "jsonl"]);
    for folder in rules {
        scan.arg("--rules").arg(folder);
    }
    let output = scan.args(&files).output().context("cannot start the scan")?;
    // SigmaHQ's placeholders have no lists here; everything else that it complains of is news.
    let complaints = String::from_utf8_lossy(&output.stderr);
    complaints.lines().filter(|it| !it.contains("the placeholder `%")).for_each(|it| eprintln!("{it}"));
    if !output.status.success() {
        bail!("the scan ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut findings: Findings = files.into_iter().map(|it| (it.clone(), Vec::new())).collect();
    for line in text.lines().filter(|it| !it.trim().is_empty()) {
        let (path, finding) = parse(line)?;
        let of_file =
            findings.get_mut(&path).with_context(|| format!("a finding of no file that was scanned: {line}"))?;
        of_file.push(finding);
    }
    Ok(findings)
}

fn parse(line: &str) -> anyhow::Result<(PathBuf, Finding)> {
    let finding: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let rule = finding["rule"]["id"].as_str().with_context(|| format!("no rule id: {line}"))?;
    let path = finding["source"]["path"].as_str().with_context(|| format!("no path: {line}"))?;
    let tags = finding["rule"]["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let finding = Finding {
        rule: rule.to_owned(),
        tags: tags.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        count: finding["count"].as_u64().unwrap_or(1),
        place: place(&finding["event"]),
    };
    Ok((PathBuf::from(path), finding))
}

/// What the event says of itself, read without knowing what Panoptes made of it: its text is XML or JSON and begins with
/// the part that all Windows events have.
fn place(event: &Value) -> Option<(String, u64)> {
    let original = event["event.original"].as_str()?;
    let channel = after(original, &["<Channel>", "\"Channel\":\"", "\"Channel\": \""])?;
    let channel = channel.split(['<', '"']).next()?;
    let id = match after(original, &["<EventID"]) {
        // `<EventID Qualifiers="16384">7</EventID>`
        Some(element) => element.split_once('>')?.1,
        // `"EventID":7`, `"EventID":{"#attributes":{"Qualifiers":16384},"#text":7}`
        None => {
            let value = after(original, &["\"EventID\":"])?.trim_start();
            if value.starts_with('{') { value.split_once("\"#text\":")?.1 } else { value }
        }
    };
    let digits: String = id.trim_start_matches([' ', '"']).chars().take_while(char::is_ascii_digit).collect();
    Some((channel.to_owned(), digits.parse().ok()?))
}

fn after<'t>(text: &'t str, starts: &[&str]) -> Option<&'t str> {
    starts.iter().find_map(|start| text.split_once(start)).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place_of(original: &str) -> Option<(String, u64)> {
        place(&json!({ "event.original": original }))
    }

    #[test]
    fn channel_and_id_are_read_from_every_way_to_write_an_event() {
        let expected = Some(("Security".to_owned(), 4688));
        for original in [
            r#"<Event><System><EventID>4688</EventID><Version>2</Version><Channel>Security</Channel></System></Event>"#,
            r#"<Event><System><EventID Qualifiers="16384">4688</EventID><Channel>Security</Channel></System></Event>"#,
            r#"{"Event":{"System":{"EventID":4688,"Channel":"Security"}}}"#,
            r##"{"Event":{"System":{"EventID":{"#attributes":{"Qualifiers":16384},"#text":4688},"Channel":"Security"}}}"##,
            r#"{"EventID": "4688", "Channel": "Security"}"#,
        ] {
            assert_eq!(place_of(original), expected, "{original}");
        }
        assert_eq!(place_of("Feb 17 13:40:03 a line"), None);
    }

    #[test]
    fn a_finding_is_read_with_its_file() {
        let line = r#"{"timestamp":"t","rule":{"id":"r","title":"t","level":"high","tags":["attack.t1059"]},"source":{"path":"/a b.evtx","record":1},"entities":{},"count":2,"event":{}}"#;
        let (path, finding) = parse(line).unwrap();
        assert_eq!(path, Path::new("/a b.evtx"));
        assert_eq!(finding, Finding { rule: "r".into(), tags: vec!["attack.t1059".into()], count: 2, place: None });
        assert!(parse("{}").is_err());
        assert!(parse("nonsense").is_err());
    }
}
