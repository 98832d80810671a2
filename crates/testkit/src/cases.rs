//! The cases: one folder per story under `tests/cases/`, run through the real binary.
//!
//! A folder holds `README.md` (the story), `case.toml` ([`Case`]), one or more `input*` files and `expected.jsonl`:
//! one finding a line, of which only what matters is written. `UPDATE_CASES=1` writes the findings that came into
//! the file where it does not fit them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use toml::Table;

use crate::matching::{lacks, pair_up};
use crate::process::{Finished, isolated, run_to_end};
use crate::repository;

/// How long a scan may take before it is killed.
const SCAN_LIMIT: Duration = Duration::from_secs(120);
/// How much of standard error is shown when a case fails.
const SHOWN_LINES_MAX: usize = 30;

/// What `case.toml` says.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    /// What is scanned, relative to the folder; default: every file whose name begins with `input`.
    inputs: Vec<String>,
    /// The clock of the scan.
    now: String,
    /// Further arguments.
    args: Vec<String>,
    /// How the scan must end.
    exit_code: i32,
    /// Whether findings that nobody expects are an error.
    exhaustive: bool,
    /// What standard error must contain.
    stderr: Vec<String>,
}

/// The folder of all cases.
pub fn folder() -> PathBuf {
    repository().join("tests/cases")
}

/// The folders of the cases in `folder`, sorted.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs every case in `folder`; all that went wrong, together.
pub fn run_all(binary: &Path, folder: &Path) -> Result<usize, String> {
    let cases = list(folder)?;
    if cases.is_empty() {
        return Err(format!("there are no cases in {}", folder.display()));
    }
    let problems: Vec<_> = cases.iter().filter_map(|case| run(binary, case).err()).collect();
    if problems.is_empty() { Ok(cases.len()) } else { Err(problems.join("\n\n")) }
}

/// Runs one case; what went wrong, for people to read.
pub fn run(binary: &Path, dir: &Path) -> Result<(), String> {
    let is_update = env::var_os("UPDATE_CASES").is_some_and(|it| it == "1");
    check(binary, dir, is_update).map_err(|problem| format!("case {}: {problem}", dir.display()))
}

/// [`run`], with the choice whether `expected.jsonl` is rewritten.
pub fn check(binary: &Path, dir: &Path, is_update: bool) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).map_err(|error| format!("{name}: {error}"));
    let case = parse_case(&read("case.toml")?, dir).map_err(|problem| format!("case.toml: {problem}"))?;
    read("README.md")?;
    let finished = scan(binary, dir, &case)?;
    check_process(&case, &finished)?;
    let found = jsonl(&finished.stdout).map_err(|problem| format!("standard output, {problem}"))?;
    let expected = match read("expected.jsonl") {
        Err(_) if is_update => Vec::new(),
        text => jsonl(&text?).map_err(|problem| format!("expected.jsonl, {problem}"))?,
    };
    let Err(problem) = compare(&case, &expected, &found) else { return Ok(()) };
    if is_update {
        let text: String = found.iter().map(|it| format!("{}\n", essence(it))).collect();
        return fs::write(dir.join("expected.jsonl"), text).map_err(|error| format!("expected.jsonl: {error}"));
    }
    Err(format!("{problem}{}", quoted("standard error", &finished.stderr)))
}

fn parse_case(text: &str, dir: &Path) -> Result<Case, String> {
    let mut table: Table = text.parse().map_err(|error| format!("{error}"))?;
    let mut take = |key: &str| table.remove(key);
    let case = Case {
        inputs: take("inputs").map_or_else(|| inputs_of(dir), |it| texts("inputs", it))?,
        now: match take("now") {
            Some(toml::Value::String(now)) => now,
            _ => return Err("`now` must be a time as text, for example \"2024-01-15T12:00:00Z\"".to_owned()),
        },
        args: take("args").map_or_else(|| Ok(Vec::new()), |it| texts("args", it))?,
        exit_code: match take("exit_code") {
            None => 0,
            Some(value) => value
                .as_integer()
                .and_then(|it| it.try_into().ok())
                .ok_or_else(|| format!("`exit_code` must be a whole number, not {value}"))?,
        },
        exhaustive: match take("exhaustive") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| format!("`exhaustive` must be true or false, not {value}"))?,
        },
        stderr: take("stderr").map_or_else(|| Ok(Vec::new()), |it| texts("stderr", it))?,
    };
    match table.keys().next() {
        Some(key) => Err(format!("`{key}` is unknown; there are inputs, now, args, exit_code, exhaustive, stderr")),
        None => Ok(case),
    }
}

fn texts(key: &str, value: toml::Value) -> Result<Vec<String>, String> {
    let texts = match &value {
        toml::Value::Array(items) => items.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    texts.ok_or_else(|| format!("`{key}` must be a list of texts, not {value}"))
}

fn inputs_of(dir: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(dir).map_err(|error| error.to_string())?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
    let mut inputs: Vec<_> = names.filter(|name| name.starts_with("input")).collect();
    inputs.sort();
    if inputs.is_empty() { Err("there is no file `input*` and no `inputs` are named".to_owned()) } else { Ok(inputs) }
}

fn scan(binary: &Path, dir: &Path, case: &Case) -> Result<Finished, String> {
    let home = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let mut command = isolated(binary, home.path());
    // Relative paths, so that findings name the same path on every machine.
    command.current_dir(dir).arg("scan").args(&case.inputs);
    command.args(["--format", "jsonl", "--now", &case.now]).args(&case.args);
    run_to_end(&mut command, home.path(), SCAN_LIMIT)
}

fn check_process(case: &Case, finished: &Finished) -> Result<(), String> {
    let stderr = quoted("standard error", &finished.stderr);
    // A panic in a thread need not show in the exit code.
    if finished.stderr.contains("panicked at") {
        return Err(format!("the scan panicked{stderr}"));
    }
    if finished.code != Some(case.exit_code) {
        let found = finished.code.map_or("a signal".to_owned(), |code| code.to_string());
        return Err(format!("expected exit code {}, found {found}{stderr}", case.exit_code));
    }
    match case.stderr.iter().find(|it| !finished.stderr.contains(*it)) {
        Some(missing) => Err(format!("standard error does not say `{missing}`{stderr}")),
        None => Ok(()),
    }
}

fn jsonl(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", n + 1))).collect()
}

fn compare(case: &Case, expected: &[Value], found: &[Value]) -> Result<(), String> {
    let allowed: Vec<Vec<bool>> =
        expected.iter().map(|it| found.iter().map(|found| lacks(it, found).is_none()).collect()).collect();
    let column_of = pair_up(&allowed);
    let is_used = |column: usize| column_of.contains(&Some(column));
    let mut problem = String::new();
    let mut say = |line: String| {
        problem.push_str(&line);
        problem.push('\n');
    };
    for (row, expected) in expected.iter().enumerate() {
        if column_of[row].is_none() {
            say(format!("- line {} of expected.jsonl did not come: {expected}", row + 1));
            if let Some(lack) = nearest(expected, found, is_used) {
                say(format!("      the nearest that came has {lack}"));
            }
        }
    }
    for (column, finding) in found.iter().enumerate().filter(|(column, _)| !is_used(*column)) {
        if let Some(row) = allowed.iter().position(|row| row[column]) {
            say(format!("+ line {} of expected.jsonl came once more: {}", row + 1, essence(finding)));
        } else if case.exhaustive {
            say(format!("+ nobody expected: {}", essence(finding)));
        }
    }
    if problem.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} findings came, {} were expected (UPDATE_CASES=1 takes what came)\n{problem}",
        found.len(),
        expected.len()
    ))
}

/// What separates `expected` from the finding that shares most with it.
fn nearest(expected: &Value, found: &[Value], is_used: impl Fn(usize) -> bool) -> Option<String> {
    let free = found.iter().enumerate().filter(|(column, _)| !is_used(*column)).map(|(_, it)| it);
    let nearest = free.max_by_key(|it| shared(expected, it)).filter(|it| shared(expected, it) > 0)?;
    lacks(expected, nearest)
}

/// How many leaves of `expected` are found.
fn shared(expected: &Value, found: &Value) -> usize {
    match expected {
        Value::Object(expected) => {
            expected.iter().map(|(key, value)| found.get(key).map_or(0, |found| shared(value, found))).sum()
        }
        _ => usize::from(lacks(expected, found).is_none()),
    }
}

/// What of a finding belongs into `expected.jsonl`: what a person would check, not every word.
fn essence(finding: &Value) -> Value {
    let rule = &finding["rule"];
    json!({
        "timestamp": finding["timestamp"],
        "rule": {"id": rule["id"], "title": rule["title"], "level": rule["level"]},
        "source": finding["source"],
        "entities": finding["entities"],
        "count": finding["count"],
    })
}

fn quoted(what: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let skipped = lines.len().saturating_sub(SHOWN_LINES_MAX);
    let shown: String = lines.iter().skip(skipped).map(|line| format!("\n  | {line}")).collect();
    let note = if skipped > 0 { format!(" (the last {SHOWN_LINES_MAX} lines)") } else { String::new() };
    format!("\n  {what}{note}:{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_defaults_for_all_but_the_time() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["input-b.log", "input-a.log", "README.md"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let case = parse_case("now = \"2024-01-15T12:00:00Z\"", dir.path()).unwrap();
        assert_eq!(
            case,
            Case {
                inputs: vec!["input-a.log".into(), "input-b.log".into()],
                now: "2024-01-15T12:00:00Z".into(),
                args: vec![],
                exit_code: 0,
                exhaustive: false,
                stderr: vec![],
            }
        );
    }

    #[test]
    fn a_wrong_case_names_the_mistake() {
        let dir = tempfile::tempdir().unwrap();
        for (text, cause) in [
            ("inputs = [\"x\"]", "`now` must be a time as text"),
            ("inputs = \"x\"\nnow = \"t\"", "`inputs` must be a list of texts, not \"x\""),
            ("now = \"t\"", "there is no file `input*`"),
            ("inputs = [\"x\"]\nnow = \"t\"\nexit_code = \"1\"", "`exit_code` must be a whole number"),
            ("inputs = [\"x\"]\nnow = \"t\"\nexhaustive = 1", "`exhaustive` must be true or false"),
            ("inputs = [\"x\"]\nnow = \"t\"\nexaustive = true", "`exaustive` is unknown; there are inputs, now"),
            ("now = ", "TOML parse error"),
        ] {
            let error = parse_case(text, dir.path()).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
