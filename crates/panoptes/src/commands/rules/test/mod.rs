//! `panoptes rules test [PATH…]`: runs `name.test.toml` beside `name.yml`.

mod junit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, IsTerminal as _, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use panoptes_detect::testing::RuleTest;
use panoptes_detect::{CompileOptions, NEVER_SEEN_RULE_ID, RuleError, RuleSet};
use panoptes_engine::{LogFrame, Preparer};
use panoptes_model::{EventBatch, FrameId, Origin, RawBatch, Timestamp};
use serde_json::{Value, json};

use super::count_text;
use super::drafts::Drafts;
use crate::cli::{Format, Global, TestArgs};
use crate::commands::Outcome;
use crate::console::Palette;
use crate::rules;
use crate::table::{Table, harmless};
use crate::{surroundings, time};

/// A test file larger than this is refused: it should name few lines, not a log.
const TEST_FILE_BYTES_MAX: u64 = 16 << 20;

/// How one case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Fail,
    /// It could not be run.
    Error,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Case {
    /// `fires`, `silent`, or `load` for a file that cannot be used.
    kind: &'static str,
    why: String,
    verdict: Verdict,
    reason: String,
    micros: u64,
}

/// A rule file and how its test ended.
#[derive(Debug)]
struct FileReport {
    path: String,
    cases: Vec<Case>,
}

impl FileReport {
    fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|it| it.verdict == verdict).count()
    }
}

pub(super) fn run(global: &Global, args: &TestArgs) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    let sources = surroundings::rule_sources(&config, &[], true);
    let in_force = sources.read()?;
    let given = if args.paths.is_empty() { in_force.clone() } else { rules::read(&rule_paths(&args.paths))? };
    let tested: Vec<String> =
        given.files.iter().map(|it| it.path.clone()).chain(given.unreadable.iter().map(|it| it.path.clone())).collect();
    // Every rule may speak: a test is about what a rule says, not about whether somebody wants to hear it.
    let options =
        CompileOptions { disabled: BTreeSet::from([NEVER_SEEN_RULE_ID.to_owned()]), ..CompileOptions::default() };
    let (set, found) = Drafts::among(given, in_force.files).compile(&options);
    let set = Arc::new(set);
    let mut errors: BTreeMap<String, Vec<RuleError>> = BTreeMap::new();
    for error in found {
        errors.entry(error.path.clone()).or_default().push(error);
    }
    let preparer = Preparer::new(surroundings::normalizer(&config, None)?, Arc::clone(&set))?;
    let bar = progress_bar(tested.len());
    let mut reports = Vec::new();
    let mut untested = Vec::new();
    for path in &tested {
        bar.inc(1);
        match test_beside(path) {
            Some((test, text)) => reports.push(report(&set, &preparer, path, &errors, test, text)),
            // A rule that does not load cannot be trusted to need no test.
            None if errors.contains_key(path) => {
                reports.push(report(&set, &preparer, path, &errors, String::new(), Ok(String::new())));
            }
            None if path.ends_with(".toml") => {}
            None => untested.push(path.as_str()),
        }
    }
    bar.finish_and_clear();
    let untested = Untested::of(&set, untested);

    let mut out = BufWriter::new(std::io::stdout().lock());
    write(&mut out, args.format, &reports, &untested)?;
    out.flush()?;
    if let Some(path) = &args.junit {
        let at = Timestamp::from_seconds(time::now().as_seconds()).to_string();
        let xml = junit::report(&reports, at.trim_end_matches('Z'));
        std::fs::write(path, xml).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    let count = |verdict| reports.iter().map(|it| it.count(verdict)).sum::<usize>();
    if count(Verdict::Error) > 0 {
        bail!("{} could not be run", count_text(count(Verdict::Error), "test"));
    }
    if reports.is_empty() {
        bail!("no rule file here has a test beside it; `panoptes rules test --help` shows what one looks like");
    }
    Ok(if count(Verdict::Fail) > 0 { Outcome::Found } else { Outcome::Fine })
}

/// Whoever names a test means its rules.
fn rule_paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    let beside = |path: &PathBuf| {
        let text = path.to_str()?.strip_suffix(".test.toml")?;
        let candidates = [".yml", ".yaml"].map(|it| PathBuf::from(format!("{text}{it}")));
        candidates.into_iter().find(|it| it.try_exists().unwrap_or(false))
    };
    paths.iter().map(|it| beside(it).unwrap_or_else(|| it.clone())).collect()
}

/// The path and the text of the test of the rule file `path`.
fn test_beside(path: &str) -> Option<(String, std::io::Result<String>)> {
    let stem = path.strip_suffix(".yml").or_else(|| path.strip_suffix(".yaml"))?;
    let test = format!("{stem}.test.toml");
    if let Some(text) = rules::shipped_test(path) {
        return Some((test, Ok(text.to_owned())));
    }
    match std::fs::File::open(&test) {
        Ok(file) => {
            let text = read_test(file);
            Some((test, text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some((test, Err(error))),
    }
}

fn read_test(file: std::fs::File) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(TEST_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEST_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", TEST_FILE_BYTES_MAX >> 20)));
    }
    Ok(text)
}

fn report(
    set: &Arc<RuleSet>,
    preparer: &Preparer,
    path: &str,
    errors: &BTreeMap<String, Vec<RuleError>>,
    test: String,
    text: std::io::Result<String>,
) -> FileReport {
    let mut cases = Vec::new();
    let mut broken = |reason: String| {
        cases.push(Case { kind: "load", why: path.to_owned(), verdict: Verdict::Error, reason, micros: 0 });
    };
    if let Some(errors) = errors.get(path) {
        errors.iter().for_each(|it| broken(it.to_string()));
    } else {
        let parsed = text
            .map_err(|error| format!("{test} cannot be read: {error}"))
            .and_then(|text| RuleTest::parse(&test, &text).map_err(|error| error.to_string()));
        match parsed {
            Err(reason) => broken(reason),
            Ok(parsed) => {
                let mut since = time::stopwatch();
                let normalize = |records: &[String], now| events(preparer, records, now);
                parsed.run_each(set, path, normalize, |it| {
                    let elapsed = since.elapsed_micros();
                    since = time::stopwatch();
                    let verdict = if it.failure.is_some() { Verdict::Fail } else { Verdict::Ok };
                    let reason = it.failure.unwrap_or_default();
                    cases.push(Case { kind: it.kind, why: it.why, verdict, reason, micros: elapsed });
                });
            }
        }
    }
    FileReport { path: path.to_owned(), cases }
}

/// Records as they would come in at `now`, normalised.
fn events(preparer: &Preparer, records: &[String], now: Timestamp) -> EventBatch {
    let mut batch = RawBatch::new();
    let origin = batch.origin(&Origin { input: "file".to_owned(), source: "test".to_owned(), ..Origin::default() });
    for (record, number) in records.iter().zip(1..) {
        batch.push(origin, now, number, record.as_bytes());
    }
    preparer.normalize(LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records: batch })
}

fn progress_bar(files: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} rule files  {eta} left  {wide_bar}") {
        bar.set_style(style);
    }
    bar
}

/// Rules that nobody has written a test for.
struct Untested<'p> {
    files: Vec<&'p str>,
    rules: usize,
}

impl<'p> Untested<'p> {
    fn of(set: &RuleSet, files: Vec<&'p str>) -> Self {
        let paths: BTreeSet<&str> = files.iter().copied().collect();
        let rules = set.rules().filter(|it| it.reports && paths.contains(it.path.as_str())).count();
        Self { files, rules }
    }
}

fn write(out: &mut impl Write, format: Format, reports: &[FileReport], untested: &Untested<'_>) -> anyhow::Result<()> {
    let count = |verdict| reports.iter().map(|it| it.count(verdict)).sum::<usize>();
    let micros: u64 = reports.iter().flat_map(|it| &it.cases).map(|it| it.micros).sum();
    match format {
        Format::Table => write_text(out, reports)?,
        Format::Json => {
            let cases: Vec<Value> = reports.iter().flat_map(cases_json).collect();
            let whole = json!({
                "passed": count(Verdict::Ok),
                "failed": count(Verdict::Fail),
                "errors": count(Verdict::Error),
                "rules_without_test": untested.rules,
                "files_without_test": untested.files,
                "milliseconds": micros as f64 / 1_000.0,
                "cases": cases,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
            return Ok(());
        }
        Format::Jsonl => {
            for case in reports.iter().flat_map(cases_json) {
                writeln!(out, "{case}")?;
            }
        }
        Format::Csv => {
            let columns = ["result", "file", "kind", "case", "reason", "milliseconds"];
            let mut table = Table::new(columns);
            for case in reports.iter().flat_map(cases_json) {
                table.row(columns.iter().map(|it| case.get(it).cloned().unwrap_or_default()).collect());
            }
            table.write(out, format)?;
        }
    }
    let mut summary = format!(
        "{}: {} ok, {} failed, {} could not be run; {}.{:03} s",
        count_text(reports.len(), "tested file"),
        count_text(count(Verdict::Ok), "case"),
        count(Verdict::Fail),
        count(Verdict::Error),
        micros / 1_000_000,
        micros / 1_000 % 1_000,
    );
    if untested.rules > 0 {
        let (rules, files) = (count_text(untested.rules, "rule"), count_text(untested.files.len(), "file"));
        summary.push_str(&format!("; {rules} in {files} without a test"));
    }
    match format {
        Format::Table => writeln!(out, "{summary}")?,
        _ => tracing::info!("{summary}"),
    }
    Ok(())
}

fn cases_json(file: &FileReport) -> impl Iterator<Item = Value> {
    file.cases.iter().map(|case| {
        json!({
            "result": case.verdict.as_str(),
            "file": file.path,
            "kind": case.kind,
            "case": case.why,
            "reason": (!case.reason.is_empty()).then_some(&case.reason),
            "milliseconds": case.micros as f64 / 1_000.0,
        })
    })
}

/// A line per file; below it, a line per case that did not end well.
fn write_text(out: &mut impl Write, reports: &[FileReport]) -> anyhow::Result<()> {
    let palette = Palette::for_stdout();
    for file in reports {
        let (failed, errors) = (file.count(Verdict::Fail), file.count(Verdict::Error));
        let (verdict, note) = match (failed, errors) {
            (0, 0) => (palette.good("ok   "), count_text(file.cases.len(), "case")),
            (_, 0) => (palette.bad("FAIL "), format!("{failed} of {}", count_text(file.cases.len(), "case"))),
            _ => (palette.bad("ERROR"), "could not be run".to_owned()),
        };
        writeln!(out, "{verdict}  {}  {}", harmless(&file.path), palette.dim(&note))?;
        for case in file.cases.iter().filter(|it| it.verdict != Verdict::Ok) {
            let what = match case.verdict {
                Verdict::Error => harmless(&case.reason),
                _ => format!("{} \"{}\": {}", case.kind, harmless(&case.why), harmless(&case.reason)),
            };
            writeln!(out, "         {what}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_stands_for_its_rules() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), "").unwrap();
        let test = folder.path().join("a.test.toml");
        let orphan = folder.path().join("b.test.toml");
        let paths = rule_paths(&[test, orphan.clone(), folder.path().to_owned()]);
        assert_eq!(paths, [folder.path().join("a.yaml"), orphan, folder.path().to_owned()]);
    }
}
