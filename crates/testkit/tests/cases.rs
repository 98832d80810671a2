//! The case runner, against a stand-in that says what each test tells it to.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail as loudly as they do")]

use std::fs;
use std::path::Path;

use panoptes_testkit::cases;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_panoptes-testkit-pretend");

const GUESSING: &str = r#"{"timestamp":"2024-01-15T10:30:05Z","rule":{"id":"a-1","title":"SSH password guessing","level":"high","tags":["attack.t1110.001"]},"source":{"path":"input.log","record":9},"entities":{"source.ip":"203.0.113.9"},"event":{"message":"x"},"count":6,"reason":"six failures"}"#;
const SPRAYING: &str = r#"{"timestamp":"2024-01-15T10:31:00Z","rule":{"id":"a-2","title":"Password spraying","level":"high","tags":[]},"source":{"path":"input.log","record":20},"entities":{"source.ip":"203.0.113.9"},"event":{},"count":5,"reason":"five names"}"#;

/// A case whose scan says `found`.
fn case(toml: &str, expected: &str, found: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let toml = format!("now = \"2024-01-15T12:00:00Z\"\n{toml}");
    let found: String = found.iter().map(|line| format!("{line}\n")).collect();
    for (name, text) in [
        ("case.toml", toml.as_str()),
        ("README.md", "# A story\n"),
        ("input.log", ""),
        ("expected.jsonl", expected),
        ("pretend.stdout", &found),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn check(dir: &TempDir) -> Result<(), String> {
    cases::check(Path::new(BINARY), dir.path(), false)
}

#[track_caller]
fn fails(dir: &TempDir, causes: &[&str]) {
    let problem = check(dir).unwrap_err();
    for cause in causes {
        assert!(problem.contains(cause), "`{cause}` is not in\n{problem}");
    }
}

#[test]
fn what_was_expected_and_more_is_fine() {
    check(&case("", r#"{"rule":{"title":"~guessing"},"count":">=5"}"#, &[SPRAYING, GUESSING])).unwrap();
    check(&case("exhaustive = true", "", &[])).unwrap();
}

#[test]
fn what_did_not_come_is_shown_beside_the_nearest() {
    let dir = case("", "{\"rule\":{\"id\":\"a-1\"},\"entities\":{\"source.ip\":\"203.0.113.8\"}}\n", &[GUESSING]);
    fails(
        &dir,
        &[
            "1 findings came, 1 were expected",
            "- line 1 of expected.jsonl did not come",
            r#"the nearest that came has entities › source.ip: expected "203.0.113.8", found "203.0.113.9""#,
        ],
    );
}

#[test]
fn an_expected_line_that_comes_twice_is_one_too_many() {
    let expected = r#"{"rule":{"title":"~password"}}"#;
    fails(
        &case("", expected, &[GUESSING, SPRAYING]),
        &["+ line 1 of expected.jsonl came once more", "Password spraying"],
    );
    check(&case("", &format!("{expected}\n{expected}\n"), &[GUESSING, SPRAYING])).unwrap();
}

#[test]
fn an_exhaustive_case_allows_nothing_else() {
    let dir = case("exhaustive = true", r#"{"rule":{"id":"a-1"}}"#, &[GUESSING, SPRAYING]);
    fails(&dir, &["+ nobody expected", r#""id":"a-2""#]);
}

#[test]
fn the_scan_gets_its_inputs_its_time_and_an_empty_home() {
    let dir = case("args = [\"--min-level\", \"low\"]\nstderr = [\"home is empty: true\"]", "", &[]);
    fs::write(dir.path().join("input2.log"), "").unwrap();
    check(&dir).unwrap();
    let expected = "args: scan input.log input2.log --format jsonl --now 2024-01-15T12:00:00Z --min-level low";
    let toml = format!("now = \"2024-01-15T12:00:00Z\"\nargs = [\"--min-level\", \"low\"]\nstderr = [\"{expected}\"]");
    fs::write(dir.path().join("case.toml"), toml).unwrap();
    check(&dir).unwrap();
}

#[test]
fn exit_code_panics_and_missing_words_are_problems() {
    let dir = case("", "", &[]);
    fs::write(dir.path().join("pretend.exit"), "2").unwrap();
    fails(&dir, &["expected exit code 0, found 2", "  | args: scan input.log"]);
    let dir = case("", "", &[]);
    fs::write(dir.path().join("pretend.stderr"), "thread 'x' panicked at src/x.rs:1\n").unwrap();
    fails(&dir, &["the scan panicked"]);
    fails(&case("stderr = [\"3 lines\"]", "", &[]), &["standard error does not say `3 lines`"]);
    fails(&case("", "", &["{"]), &["standard output, line 1: "]);
    fails(&case("", "[\n", &[]), &["expected.jsonl, line 1: "]);
    let dir = case("", "", &[]);
    fs::remove_file(dir.path().join("README.md")).unwrap();
    fails(&dir, &["README.md: "]);
}

#[test]
fn an_update_takes_what_came_unless_it_fits_already() {
    let dir = case("", r#"{"rule":{"id":"wrong"}}"#, &[GUESSING]);
    cases::check(Path::new(BINARY), dir.path(), true).unwrap();
    let written = fs::read_to_string(dir.path().join("expected.jsonl")).unwrap();
    assert!(written.contains(r#""entities":{"source.ip":"203.0.113.9"}"#) && !written.contains("reason"), "{written}");
    check(&dir).unwrap();
    let loose = r#"{"rule":{"title":"~guess"}}"#;
    fs::write(dir.path().join("expected.jsonl"), loose).unwrap();
    cases::check(Path::new(BINARY), dir.path(), true).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("expected.jsonl")).unwrap(), loose);
}

#[test]
fn all_cases_of_a_folder_are_run_and_all_problems_told() {
    let folder = tempfile::tempdir().unwrap();
    let none = cases::run_all(Path::new(BINARY), folder.path()).unwrap_err();
    assert!(none.starts_with("there are no cases in "), "{none}");
    for name in ["b", "a"] {
        let dir = case("", r#"{"rule":{"id":"x"}}"#, &[]);
        fs::rename(dir.path(), folder.path().join(name)).unwrap();
    }
    let problem = cases::run_all(Path::new(BINARY), folder.path()).unwrap_err();
    assert!(problem.find("/a: 0 findings") < problem.find("/b: 0 findings"), "{problem}");
}
