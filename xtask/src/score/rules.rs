//! What rule files say of themselves, read without our own parser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::log_sources::LogSource;
use crate::run;

/// Whose rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pack {
    SigmaHq,
    Shipped,
}

pub(super) struct Rule {
    pub(super) pack: Pack,
    pub(super) title: String,
    pub(super) log_source: LogSource,
}

pub(super) struct Rules {
    /// SigmaHQ's folders: what `scan --rules` is given.
    pub(super) folders: Vec<PathBuf>,
    pub(super) by_id: BTreeMap<String, Rule>,
}

impl Rules {
    pub(super) fn read(corpora: &Path) -> anyhow::Result<Self> {
        let sigma = corpora.join("sigma");
        let mut folders = Vec::new();
        for entry in sigma.read_dir().context("no folder `sigma` in the corpora")? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("rules")) {
                folders.push(path);
            }
        }
        folders.sort();
        let mut by_id = BTreeMap::new();
        for folder in &folders {
            read_folder(&mut by_id, folder, Pack::SigmaHq)?;
        }
        read_folder(&mut by_id, &run::root().join("rules/sigma"), Pack::Shipped)?;
        Ok(Self { folders, by_id })
    }
}

fn read_folder(rules: &mut BTreeMap<String, Rule>, folder: &Path, pack: Pack) -> anyhow::Result<()> {
    for path in files_below(folder)? {
        if path.extension().is_some_and(|it| it == "yml") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            rules.extend(text.split("\n---").filter_map(|it| rule(it, pack)));
        }
    }
    Ok(())
}

/// All files below `folder`, sorted.
pub(super) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// The id of one document and what it says; `None` if it has no id. Rules are written in block style by convention, a
/// log source in braces is read too.
fn rule(text: &str, pack: Pack) -> Option<(String, Rule)> {
    let top = |key: &str| text.lines().find_map(|it| it.strip_prefix(key)).map(clean);
    let mut log_source = LogSource::default();
    let mut lines = text.lines().skip_while(|it| !it.starts_with("logsource:"));
    let first = lines.next().unwrap_or_default();
    let inline = first.trim_start_matches("logsource:").trim().trim_matches(['{', '}']).split(',');
    let block = lines.take_while(|it| it.starts_with([' ', '\t']) || it.trim().is_empty() || it.starts_with('#'));
    for (key, value) in inline.chain(block).filter_map(|it| it.split_once(':')) {
        let part = match key.trim() {
            "product" => &mut log_source.product,
            "category" => &mut log_source.category,
            "service" => &mut log_source.service,
            _ => continue,
        };
        *part = Some(clean(value));
    }
    Some((top("id:")?, Rule { pack, title: top("title:").unwrap_or_default(), log_source }))
}

/// A scalar without its quotes or the comment behind it.
fn clean(value: &str) -> String {
    let value = value.split_once(" #").map_or(value, |it| it.0);
    value.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sources_are_read_in_both_styles() {
        let block = "title: A b\nid: 1-2 # old\nlogsource:\n    # why\n    category: 'process_creation'\n    product: windows\n\ndetection:\n    service: no\n";
        let (id, read) = rule(block, Pack::SigmaHq).unwrap();
        assert_eq!((id.as_str(), read.title.as_str()), ("1-2", "A b"));
        let expected =
            LogSource { product: Some("windows".into()), category: Some("process_creation".into()), service: None };
        assert_eq!(read.log_source, expected);
        let inline = "title: x\nid: 3\nlogsource: {product: linux, service: \"sshd\"}\ndetection:\n";
        let expected = LogSource { product: Some("linux".into()), category: None, service: Some("sshd".into()) };
        assert_eq!(rule(inline, Pack::Shipped).unwrap().1.log_source, expected);
        assert!(rule("title: no id\n", Pack::Shipped).is_none());
    }
}
