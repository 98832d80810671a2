//! The rule set: compiled once, then only read.

mod compile;
mod correlation;
mod error;
mod filter;
mod lint;
mod load;

use std::collections::BTreeSet;
use std::sync::Arc;

use panoptes_model::{Event, RuleSummary, Severity};

pub(crate) use self::correlation::{Correlation, CorrelationKind, KeyField};
pub use self::error::RuleError;
use crate::behaviour::Reporting;
use crate::sigma::{Engine, Explanation, LowerError, Matcher};

/// The largest rule file. A larger one is an error of that file.
pub const RULE_FILE_BYTES_MAX: usize = 1 << 20;
/// How many rules a set may have. Those beyond are errors.
pub const RULES_MAX: usize = 20_000;

/// A rule file as the caller read it.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// What errors and listings call it.
    pub path: String,
    pub text: String,
}

/// Which rules may make findings. Rules that a correlation counts are evaluated even if they may not.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Rules below it make no findings.
    pub min_level: Severity,
    /// Ids of rules that make no findings.
    pub disabled: BTreeSet<String>,
    /// Ask every rule about every event, under the field names that it uses: to try rules on events of no known source.
    pub ignore_log_sources: bool,
    /// Keep what [`RuleSet::explain`] needs; it costs memory.
    pub keep_syntax: bool,
}

/// What a rule is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMeta {
    /// Id, title, level, tags.
    pub summary: Arc<RuleSummary>,
    /// `event`, or the type of the correlation.
    pub kind: &'static str,
    pub path: String,
    pub line: Option<u32>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub author: Option<String>,
    pub status: Option<String>,
    pub date: Option<String>,
    pub modified: Option<String>,
    pub falsepositives: Vec<String>,
    pub references: Vec<String>,
    /// The log source in one line; empty for correlations.
    pub log_source: String,
    /// The datasets whose events it is asked about. An event rule with none matches nothing that is normalised today.
    pub datasets: Vec<String>,
    /// The sources of the mappings through which it is asked, by name.
    pub sources: Vec<String>,
    /// Whether it makes findings of its own: `false` if it is disabled, below the minimum level, or there only to be
    /// counted by a correlation.
    pub reports: bool,
}

/// What a correlation counts, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationMeta {
    /// The rules that it names, in the order of [`RuleSet::rules`].
    pub members: Vec<usize>,
    pub group_by: Vec<String>,
    /// As the rule writes it.
    pub timespan: String,
    /// In words; empty if all members must match.
    pub condition: String,
}

pub(crate) enum Body {
    Event(Box<Matcher>),
    Correlation(Box<Correlation>),
}

pub(crate) struct Rule {
    pub(crate) meta: RuleMeta,
    pub(crate) body: Body,
    /// Fields that say whom a finding is about, if the rule chooses them (`panoptes.entities`).
    pub(crate) entities: Vec<String>,
    /// Fields worth showing beside them (Sigma's `fields`).
    pub(crate) context: Vec<String>,
    /// What was read, filters applied, if [`CompileOptions::keep_syntax`] asked for it.
    pub(crate) syntax: Option<Box<rsigma_parser::SigmaRule>>,
    /// The correlations that count it, as indexes into [`RuleSet::rules`], least first.
    pub(crate) feeds: Vec<u32>,
}

/// Compiled rules: single-event rules first, then correlations, each behind the rules that it names.
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) engine: Engine,
    /// Changes with any rule: hits that were made with another set are not used.
    pub(crate) fingerprint: u128,
    /// Whether the detector of never-seen messages may report.
    pub(crate) wants_patterns: bool,
    /// Which detectors of behaviour may report.
    pub(crate) behaviour: Reporting,
}

impl RuleSet {
    /// Compiles all rules of all files. Every error of every file is returned at once, and none stops the others.
    pub fn compile(files: Vec<RuleFile>, options: &CompileOptions) -> (Self, Vec<RuleError>) {
        compile::compile(&files, options)
    }

    /// What each rule is, in the order of the set.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &RuleMeta> {
        self.rules.iter().map(|rule| &rule.meta)
    }

    /// What each detector is that needs no rule.
    pub fn detectors(&self) -> Vec<RuleMeta> {
        let never_seen = crate::anomaly::never_seen_meta(self.wants_patterns);
        std::iter::once(never_seen).chain(self.behaviour.metas()).collect()
    }

    /// Changes with any rule, and with which of them report.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The names of all event fields that rules use, sorted: intern them into the
    /// [`Schema`](panoptes_model::Schema), so that looking them up is fast.
    pub fn fields(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .rules
            .iter()
            .flat_map(|rule| {
                let own = match &rule.body {
                    Body::Event(matcher) => matcher.fields.iter().collect::<Vec<_>>(),
                    Body::Correlation(correlation) => correlation.event_fields().collect(),
                };
                own.into_iter().chain(&rule.entities).chain(&rule.context)
            })
            .map(String::as_str)
            .chain(self.engine.fields())
            .chain([crate::window::REPEAT])
            .filter(|name| *name != crate::sigma::URL_DECODED)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Why the rule at `rule` (in the order of [`rules`](Self::rules)) matches `event`, or why not. `None` if it is a
    /// correlation, or the set was compiled without [`CompileOptions::keep_syntax`].
    pub fn explain(&self, rule: usize, event: Event<'_>) -> Option<Explanation> {
        let rule = self.rules.get(rule)?;
        let (Body::Event(matcher), Some(syntax)) = (&rule.body, &rule.syntax) else { return None };
        let explained: Result<Explanation, LowerError> = crate::sigma::explain(&self.engine, matcher, syntax, event);
        // It compiled before.
        explained.ok()
    }

    /// What the rule at `rule` (in the order of [`rules`](Self::rules)) counts, if it is a correlation.
    pub fn correlation(&self, rule: usize) -> Option<CorrelationMeta> {
        let Body::Correlation(correlation) = &self.rules.get(rule)?.body else { return None };
        Some(CorrelationMeta {
            members: correlation.members.iter().map(|it| it.rule as usize).collect(),
            group_by: correlation.group_by.clone(),
            timespan: correlation.timespan_text.clone(),
            condition: correlation.condition_text().to_owned(),
        })
    }

    /// Bytes of memory of what was compiled so far for the events that came, roughly.
    pub fn matcher_memory_bytes(&self) -> usize {
        self.engine.memory_bytes()
    }

    pub(crate) fn rule(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)
    }
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}
