//! Rules that somebody works on, among those in force.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::bail;
use panoptes_detect::{CompileOptions, RuleError, RuleFile, RuleMeta, RuleSet};

use crate::rules::{self, RuleFiles, RuleSources};

/// How many letters of an id are enough to name a rule.
const ID_LETTERS_MIN: usize = 4;
/// How many rules a complaint names.
const NAMED_MAX: usize = 8;

/// The files of drafts, and behind them those in force: correlations may name rules of either, and where both have the
/// same rule the draft is meant.
pub(super) struct Drafts {
    files: Vec<RuleFile>,
    /// The paths of the drafts.
    own: BTreeSet<String>,
    unreadable: Vec<RuleError>,
}

impl Drafts {
    /// # Errors
    /// A path does not exist or cannot be read.
    pub(super) fn gather(paths: &[PathBuf], in_force: &RuleSources) -> anyhow::Result<Self> {
        let drafts = rules::read(paths)?;
        Ok(Self::among(drafts, in_force.read()?.files))
    }

    pub(super) fn among(drafts: RuleFiles, in_force: Vec<RuleFile>) -> Self {
        let RuleFiles { mut files, unreadable } = drafts;
        let own: BTreeSet<String> =
            files.iter().map(|it| &it.path).chain(unreadable.iter().map(|it| &it.path)).cloned().collect();
        files.extend(in_force.into_iter().filter(|it| !own.contains(&it.path)));
        Self { files, own, unreadable }
    }

    /// The set, and the errors of the drafts. Those of the rules in force are theirs to tell.
    pub(super) fn compile(&self, options: &CompileOptions) -> (RuleSet, Vec<RuleError>) {
        let (set, errors) = RuleSet::compile(self.files.clone(), options);
        let own = errors.into_iter().filter(|it| !it.loaded && self.own.contains(&it.path));
        (set, own.chain(self.unreadable.iter().cloned()).collect())
    }

    /// The set, if no draft has an error.
    pub(super) fn compile_all(&self, options: &CompileOptions) -> anyhow::Result<RuleSet> {
        let (set, errors) = self.compile(options);
        for error in &errors {
            tracing::error!("{error}");
        }
        if !errors.is_empty() {
            bail!("the rules cannot be used before that is put right");
        }
        Ok(set)
    }

    pub(super) fn is_own(&self, rule: &RuleMeta) -> bool {
        self.own.contains(&rule.path)
    }
}

/// The places of the rules that `wanted` means: an id or its beginning, a name, a title, a file.
///
/// # Errors
/// It means none, or several that are not of one file.
pub(super) fn find(set: &RuleSet, wanted: &str) -> anyhow::Result<Vec<usize>> {
    let all = |means: &dyn Fn(&RuleMeta) -> bool| -> Vec<usize> {
        set.rules().enumerate().filter(|(_, rule)| means(rule)).map(|(index, _)| index).collect()
    };
    let of_file = all(&|rule| rule.path == wanted);
    if !of_file.is_empty() {
        return Ok(of_file);
    }
    let lower = wanted.to_lowercase();
    let exact: [&dyn Fn(&RuleMeta) -> bool; 3] =
        [&|rule| rule.summary.id.eq_ignore_ascii_case(wanted), &|rule| rule.name.as_deref() == Some(wanted), &|rule| {
            rule.summary.title.to_lowercase() == lower
        }];
    let begins = |rule: &RuleMeta| wanted.len() >= ID_LETTERS_MIN && rule.summary.id.to_lowercase().starts_with(&lower);
    let contains = |rule: &RuleMeta| rule.summary.title.to_lowercase().contains(&lower);
    for means in exact.into_iter().chain([&begins as &dyn Fn(&RuleMeta) -> bool, &contains]) {
        let found = all(means);
        match found.as_slice() {
            [] => {}
            [_] => return Ok(found),
            several => {
                let named: Vec<String> = several
                    .iter()
                    .take(NAMED_MAX)
                    .filter_map(|it| set.rules().nth(*it))
                    .map(|it| format!("\"{}\" ({})", it.summary.title, it.summary.id))
                    .collect();
                bail!("`{wanted}` means {} rules: {}; name one by its id", several.len(), named.join(", "));
            }
        }
    }
    if wanted.contains('/') || wanted.ends_with(".yml") || wanted.ends_with(".yaml") {
        bail!("there is no rule file {wanted}");
    }
    bail!("no rule has the id, name or title `{wanted}`; `panoptes rules list --search WORD` finds rules")
}
