//! Where rules come from: those in the binary, and those in files and folders that the user names.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use panoptes_detect::{CompileOptions, RULE_FILE_BYTES_MAX, RuleError, RuleFile, RuleSet};

include!(concat!(env!("OUT_DIR"), "/shipped_rules.rs"));

/// How many rule files one run may load.
const RULE_FILES_MAX: usize = 100_000;
/// How deep folders of rules may lie in each other; beyond, a link leads in a circle.
const FOLDERS_DEPTH_MAX: usize = 32;

/// The rules in the binary.
pub(crate) fn shipped() -> Vec<RuleFile> {
    SHIPPED.iter().map(|(path, text)| RuleFile { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
}

/// The test of the shipped rule file `path`, if it has one.
pub(crate) fn shipped_test(path: &str) -> Option<&'static str> {
    let wanted = path.strip_suffix(".yml")?;
    SHIPPED_TESTS.iter().find(|(path, _)| path.strip_suffix(".test.toml") == Some(wanted)).map(|(_, text)| *text)
}

/// The rules that a run loads, as a description: to load them again is to see what has changed since.
#[derive(Clone, Debug)]
pub(crate) struct RuleSources {
    /// Those in the binary, before all others.
    pub(crate) shipped: bool,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) options: CompileOptions,
}

/// Rule files as they were read, and those that could not be.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleFiles {
    pub(crate) files: Vec<RuleFile>,
    pub(crate) unreadable: Vec<RuleError>,
}

/// A compiled set and everything that is wrong with its files.
pub(crate) struct LoadedRules {
    pub(crate) rules: RuleSet,
    pub(crate) errors: Vec<RuleError>,
}

impl RuleSources {
    /// Reads all files.
    ///
    /// # Errors
    /// A path that was named does not exist or cannot be read; a single file below a folder that cannot be read costs
    /// only itself.
    pub(crate) fn read(&self) -> anyhow::Result<RuleFiles> {
        let mut found = RuleFiles { files: if self.shipped { shipped() } else { Vec::new() }, ..RuleFiles::default() };
        let below = read(&self.paths)?;
        found.files.extend(below.files);
        found.unreadable = below.unreadable;
        Ok(found)
    }

    /// Reads and compiles all files.
    pub(crate) fn load(&self) -> anyhow::Result<LoadedRules> {
        Ok(self.read()?.compile(&self.options))
    }
}

impl RuleFiles {
    pub(crate) fn compile(self, options: &CompileOptions) -> LoadedRules {
        let (rules, mut errors) = RuleSet::compile(self.files, options);
        errors.extend(self.unreadable);
        LoadedRules { rules, errors }
    }
}

impl LoadedRules {
    /// Tells each error on standard error; the other rules are loaded.
    pub(crate) fn tell(&self) {
        for error in &self.errors {
            tracing::error!("{error}");
        }
        let refused = refused(&self.errors);
        if refused > 0 {
            tracing::warn!(loaded = self.rules.len(), refused, "some rules were not loaded");
        }
    }
}

/// How many of `errors` cost a rule.
pub(crate) fn refused(errors: &[RuleError]) -> usize {
    errors.iter().filter(|it| !it.loaded).count()
}

/// All rule files (`.yml`, `.yaml`) and mappings under `paths`, in the order of their names. A mapping is a `.toml` file
/// with a `[[source]]` or `[placeholders]`; other `.toml` files below a folder are somebody else's.
///
/// # Errors
/// A path does not exist or cannot be read.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<RuleFiles> {
    let mut found = RuleFiles::default();
    for path in paths_below(paths)? {
        match read_one(&path) {
            Ok(text) if is_toml(&path) && !paths.contains(&path) && !is_mapping(&text) => {}
            Ok(text) => found.files.push(RuleFile { path: path.display().to_string(), text }),
            Err(error) => found.unreadable.push(RuleError {
                path: path.display().to_string(),
                line: None,
                column: None,
                title: None,
                reason: format!("it cannot be read: {error}"),
                cure: "make it readable, or remove it".to_owned(),
                loaded: false,
            }),
        }
    }
    Ok(found)
}

/// The files under `paths` that may hold rules or mappings, sorted.
///
/// # Errors
/// A path does not exist or cannot be read.
pub(crate) fn paths_below(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read rules from {}", path.display()))?;
        if metadata.is_dir() {
            collect(path, 0, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    // A file that is named twice, by whatever way to it, is one file.
    let mut seen = HashSet::new();
    files.retain(|it| seen.insert(it.canonicalize().unwrap_or_else(|_| it.clone())));
    if files.len() > RULE_FILES_MAX {
        bail!("{} rule files are more than the {RULE_FILES_MAX} that one run loads", files.len());
    }
    Ok(files)
}

/// Whether `path` may be a mapping: tests of rules lie in the same folders.
fn is_toml(path: &Path) -> bool {
    path.to_str().is_some_and(|it| it.ends_with(".toml") && !it.ends_with(".test.toml"))
}

fn is_mapping(text: &str) -> bool {
    text.contains("[[source]]") || text.contains("[placeholders]")
}

fn read_one(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than a rule file may have: then the compiler says that it is too large.
    std::fs::File::open(path)?.take(RULE_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    // A file that is not UTF-8 becomes a rule error with its place.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > FOLDERS_DEPTH_MAX {
        bail!("the folders under {} lie more than {FOLDERS_DEPTH_MAX} deep", folder.display());
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            collect(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|it| it == "yml" || it == "yaml") || is_toml(&path) {
            files.push(path);
        }
    }
    Ok(())
}
