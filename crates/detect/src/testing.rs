//! Runs the test file beside a rule file: raw log lines that must fire, and raw log lines that must not.
//!
//! `ssh/password_guessing.yml` has `ssh/password_guessing.test.toml` beside it:
//!
//! ```toml
//! now = 2026-03-01T12:00:00Z       # the clock: years and receive times come from it
//!
//! [[fires]]
//! why = "ten failures in a minute from one address"
//! rule = "SSH password guessing"   # id or title; needed only if the file has several rules that report
//! repeat = 10                      # the log that often; {i} counts 1, 2, 3 and {ii} 01, 02, 03
//! log = '''
//! Mar  1 11:00:{ii} web1 sshd[411]: Failed password for root from 203.0.113.9 port 4022 ssh2
//! '''
//! entities = { "source.ip" = "203.0.113.9" }   # what the findings must name
//! count = 10                       # how many events all findings must rest on together
//!
//! [[silent]]
//! why = "somebody mistyped twice"
//! log = '''…'''
//! ```
//!
//! Every rule of the file that reports must have at least one case that fires and one that is silent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use panoptes_model::{EventBatch, Finding, FindingOrigin, Timestamp};
use serde::Deserialize;

use crate::{Detector, DetectorOptions, RuleMeta, RuleSet};

/// How many lines one case may come to after repetition; more is an error of the test.
const LINES_MAX: usize = 100_000;

/// A parsed test file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTest {
    now: toml::value::Datetime,
    #[serde(default)]
    fires: Vec<Case>,
    #[serde(default)]
    silent: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    rule: Option<String>,
    log: String,
    #[serde(default = "once")]
    repeat: u32,
    #[serde(default)]
    entities: BTreeMap<String, String>,
    count: Option<u64>,
}

fn once() -> u32 {
    1
}

/// The test file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} is not a rule test: {reason}; see `panoptes rules test --help` for what one looks like")]
pub struct TestError {
    path: String,
    reason: String,
}

/// One case that did not end as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub why: String,
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": {}", self.why, self.reason)
    }
}

impl RuleTest {
    /// Reads a test file.
    pub fn parse(path: &str, text: &str) -> Result<Self, TestError> {
        let error = |reason: String| TestError { path: path.to_owned(), reason };
        let test: Self = toml::from_str(text).map_err(|source| error(source.to_string()))?;
        for case in test.fires.iter().chain(&test.silent) {
            if case.log.lines().count().saturating_mul(case.repeat as usize) > LINES_MAX {
                return Err(error(format!("\"{}\" has more than {LINES_MAX} lines", case.why)));
            }
        }
        test.clock().map_err(error)?;
        Ok(test)
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.fires.len() + self.silent.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn clock(&self) -> Result<Timestamp, String> {
        let instant: jiff::Timestamp = self.now.to_string().parse().map_err(|error| format!("`now`: {error}"))?;
        Ok(instant.into())
    }

    /// Runs every case against `rules`, all of which are loaded; only those from the file `rule_path` are judged.
    /// `normalize` turns raw lines, received at the time that it is given, into one batch under a schema that knows
    /// [`RuleSet::fields`].
    pub fn run(
        &self,
        rules: &Arc<RuleSet>,
        rule_path: &str,
        mut normalize: impl FnMut(&[String], Timestamp) -> EventBatch,
    ) -> Vec<Failure> {
        let own: Vec<&RuleMeta> = rules.rules().filter(|it| it.path == rule_path && it.reports).collect();
        let now = self.clock().unwrap_or_default();
        let mut failures = Vec::new();
        for (cases, must_fire) in [(&self.fires, true), (&self.silent, false)] {
            for case in cases {
                let batch = normalize(&case.lines(), now);
                let findings = findings_of(rules, &batch, now);
                if let Err(reason) = case.judge(&own, &findings, must_fire) {
                    failures.push(Failure { why: case.why.clone(), reason });
                }
            }
            for rule in &own {
                if !cases.iter().any(|case| case.means(rule, own.len())) {
                    let kind = if must_fire { "fires" } else { "silent" };
                    let reason = format!("no [[{kind}]] case is about it");
                    failures.push(Failure { why: rule.summary.title.clone(), reason });
                }
            }
        }
        if own.is_empty() {
            let reason = "no rule of the file reports, so nothing was tested".to_owned();
            failures.push(Failure { why: rule_path.to_owned(), reason });
        }
        failures
    }
}

fn findings_of(rules: &Arc<RuleSet>, batch: &EventBatch, now: Timestamp) -> Vec<Finding> {
    let mut detector = Detector::new(Arc::clone(rules), DetectorOptions::default());
    let mut findings = Vec::new();
    detector.fold(&mut findings, batch, &rules.prepare(batch), now, FindingOrigin::Scan);
    findings
}

impl Case {
    fn lines(&self) -> Vec<String> {
        let repetitions = (1..=self.repeat).flat_map(|number| {
            let once = self.log.replace("{ii}", &format!("{number:02}")).replace("{i}", &number.to_string());
            once.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        repetitions.filter(|line| !line.trim().is_empty()).collect()
    }

    /// A case that names no rule is about the only one, or, if it must be silent, about all of them.
    fn means(&self, rule: &RuleMeta, rules: usize) -> bool {
        match &self.rule {
            Some(wanted) => *wanted == rule.summary.id || *wanted == rule.summary.title,
            None => rules == 1,
        }
    }

    fn judge(&self, own: &[&RuleMeta], findings: &[Finding], must_fire: bool) -> Result<(), String> {
        let is_own = |finding: &&Finding| own.iter().any(|rule| rule.summary.id == finding.rule.id);
        if !must_fire {
            let wanted = |finding: &&Finding| {
                self.rule.is_none()
                    || own.iter().any(|it| it.summary.id == finding.rule.id && self.means(it, own.len()))
            };
            return match findings.iter().filter(is_own).find(wanted) {
                Some(finding) => Err(format!("fired `{}`: {}", finding.rule.title, finding.reason)),
                None => Ok(()),
            };
        }
        let Some(rule) = own.iter().find(|rule| self.means(rule, own.len())) else {
            let titles: Vec<&str> = own.iter().map(|rule| rule.summary.title.as_str()).collect();
            return Err(format!("`rule` is none of: {}", titles.join(", ")));
        };
        let fired: Vec<&Finding> = findings.iter().filter(|it| it.rule.id == rule.summary.id).collect();
        if fired.is_empty() {
            let others: Vec<&str> = findings.iter().map(|it| it.rule.title.as_str()).collect();
            return Err(format!("did not fire; what fired: [{}]", others.join(", ")));
        }
        for finding in &fired {
            for (field, value) in &self.entities {
                if !finding.entities.iter().any(|it| it.field == *field && it.value == *value) {
                    return Err(format!("is not about {field} {value} but about {:?}", finding.entities));
                }
            }
        }
        let total: u64 = fired.iter().map(|it| it.count).sum();
        match self.count {
            Some(count) if count != total => Err(format!("rests on {total} events, not {count}")),
            _ => Ok(()),
        }
    }
}
