//! Runs the test file beside a rule file: records that must fire, and records that must not.
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
//!
//! [[silent]]
//! why = "an administrator asks who he is"
//! events = '''
//! { "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "EventData": { "Image": "C:\\whoami.exe" } }
//! '''
//! ```
//!
//! `log` is records as they come in, one per line. `events` is JSON as tools print it: one object or many, in arrays or
//! not, pretty printed or not; each object is one record. Either may be left out, and may be repeated.
//!
//! Every rule of the file that reports must have at least one case that fires and one that is silent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use panoptes_model::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, EventBatch, Finding, FindingOrigin, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::{Detector, DetectorOptions, RuleMeta, RuleSet};

/// How many records one case may come to after repetition; more is an error of the test.
const RECORDS_MAX: usize = BATCH_RECORDS_MAX;
/// How much text one case may come to after repetition; more is an error of the test.
const BYTES_MAX: usize = BATCH_BYTES_MAX;

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
    log: Option<String>,
    events: Option<String>,
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

/// How one case ended, or what is missing from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// `fires` or `silent`.
    pub kind: &'static str,
    pub why: String,
    /// Why it failed.
    pub failure: Option<String>,
}

impl RuleTest {
    /// Reads a test file.
    pub fn parse(path: &str, text: &str) -> Result<Self, TestError> {
        let error = |reason: String| TestError { path: path.to_owned(), reason };
        let mut test: Self = toml::from_str(text).map_err(|source| error(source.to_string()))?;
        for case in test.fires.iter_mut().chain(&mut test.silent) {
            case.take_in_events().map_err(|reason| error(format!("\"{}\" {reason}", case.why)))?;
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
        normalize: impl FnMut(&[String], Timestamp) -> EventBatch,
    ) -> Vec<Failure> {
        let mut failures = Vec::new();
        self.run_each(rules, rule_path, normalize, |result| {
            failures.extend(result.failure.map(|reason| Failure { why: result.why, reason }));
        });
        failures
    }

    /// The same, telling how each case ended as soon as it has, and then of each rule that lacks a case.
    pub fn run_each(
        &self,
        rules: &Arc<RuleSet>,
        rule_path: &str,
        mut normalize: impl FnMut(&[String], Timestamp) -> EventBatch,
        mut ended: impl FnMut(CaseResult),
    ) {
        let own: Vec<&RuleMeta> = rules.rules().filter(|it| it.path == rule_path && it.reports).collect();
        let now = self.clock().unwrap_or_default();
        for (cases, kind) in [(&self.fires, "fires"), (&self.silent, "silent")] {
            for case in cases {
                let batch = normalize(&case.records(), now);
                let findings = findings_of(rules, &batch, now);
                let failure = case.judge(&own, &findings, kind == "fires").err();
                ended(CaseResult { kind, why: case.why.clone(), failure });
            }
            for rule in &own {
                if !cases.iter().any(|case| case.means(rule, own.len())) {
                    let failure = Some(format!("no [[{kind}]] case is about it"));
                    ended(CaseResult { kind, why: rule.summary.title.clone(), failure });
                }
            }
        }
        if own.is_empty() {
            let failure = Some("no rule of the file reports, so nothing was tested".to_owned());
            ended(CaseResult { kind: "fires", why: rule_path.to_owned(), failure });
        }
    }
}

/// Each JSON object in `text`, which may hold several and arrays of them, on a line of its own.
fn one_line_each(text: &str) -> Result<String, String> {
    let mut lines = String::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let values = match value.map_err(|error| format!("are not JSON: {error}"))? {
            Value::Array(items) => items,
            one => vec![one],
        };
        for value in values {
            if !value.is_object() {
                return Err(format!("hold no object but {value}"));
            }
            lines.push_str(&value.to_string());
            lines.push('\n');
        }
    }
    Ok(lines)
}

fn findings_of(rules: &Arc<RuleSet>, batch: &EventBatch, now: Timestamp) -> Vec<Finding> {
    let mut detector = Detector::new(Arc::clone(rules), DetectorOptions::default());
    let mut findings = Vec::new();
    detector.fold(&mut findings, batch, &rules.prepare(batch), now, FindingOrigin::Scan);
    findings
}

impl Case {
    /// Checks what the case gives, and makes one line of each object in `events`.
    fn take_in_events(&mut self) -> Result<(), String> {
        if self.log.is_none() && self.events.is_none() {
            return Err("has neither `log` nor `events`".to_owned());
        }
        if let Some(text) = &self.events {
            self.events = Some(one_line_each(text).map_err(|reason| format!("has `events` that {reason}"))?);
        }
        let (records, bytes) = self.lines().fold((0, 0), |(records, bytes), line| (records + 1, bytes + line.len()));
        let times = self.repeat as usize;
        let is_long = usize::saturating_mul(records.max(1), times) > RECORDS_MAX;
        // Half, because what takes the place of {i} is up to five digits long.
        if is_long || usize::saturating_mul(bytes, times) > BYTES_MAX / 2 {
            let mebibytes = BYTES_MAX >> 21;
            return Err(format!("has more than {RECORDS_MAX} records or {mebibytes} MiB; `repeat` less often"));
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let texts = [&self.log, &self.events].into_iter().flatten();
        texts.flat_map(|it| it.lines()).filter(|line| !line.trim().is_empty())
    }

    fn records(&self) -> Vec<String> {
        let numbered = |number: u32| {
            let (short, long) = (number.to_string(), format!("{number:02}"));
            self.lines().map(move |line| line.replace("{ii}", &long).replace("{i}", &short))
        };
        (1..=self.repeat).flat_map(numbered).collect()
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
