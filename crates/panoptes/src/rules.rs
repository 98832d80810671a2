//! Finds rule files and compiles them: those in the binary, and those in folders that the user names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use panoptes_detect::{CompileOptions, RuleError, RuleFile, RuleSet};

include!(concat!(env!("OUT_DIR"), "/shipped_rules.rs"));

/// A rule file larger than this is refused: SigmaHQ's largest has 40 KiB.
const RULE_FILE_BYTES_MAX: u64 = 4 << 20;
/// How many rule files one run may load.
const RULE_FILES_MAX: usize = 100_000;

/// The rules in the binary.
pub(crate) fn shipped() -> Vec<RuleFile> {
    SHIPPED.iter().map(|(path, text)| RuleFile { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
}

/// All `.yml` and `.yaml` files under `paths`, in the order of their names.
///
/// # Errors
/// A path does not exist or cannot be read.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<RuleFile>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read rules from {}", path.display()))?;
        if metadata.is_dir() {
            collect(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    files.dedup();
    if files.len() > RULE_FILES_MAX {
        bail!("{} rule files are more than the {RULE_FILES_MAX} that one run loads", files.len());
    }
    files
        .into_iter()
        .map(|path| {
            let size = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
            if size > RULE_FILE_BYTES_MAX {
                bail!("{} has {size} bytes; a rule file may have {RULE_FILE_BYTES_MAX}", path.display());
            }
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // A file that is not UTF-8 becomes a rule error with its place, not a failure of everything.
            Ok(RuleFile { path: path.display().to_string(), text: String::from_utf8_lossy(&bytes).into_owned() })
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "yml" || it == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Compiles `files`; each error is told on standard error, the other rules are loaded.
pub(crate) fn compile(files: Vec<RuleFile>, options: &CompileOptions) -> RuleSet {
    let (rules, errors) = RuleSet::compile(files, options);
    for error in &errors {
        tell(error);
    }
    if !errors.is_empty() {
        tracing::warn!(loaded = rules.len(), refused = errors.len(), "some rules were not loaded");
    }
    rules
}

fn tell(error: &RuleError) {
    tracing::error!("{error}");
}
