//! All that CI runs after the tests. Every step runs, whatever became of the ones before it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::{crash, generated, licences, one_build, run, score, tidy};

/// How often the program is killed.
const KILLS: u32 = 50;

/// Counts of passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// What a step may use of the ones before it.
#[derive(Default)]
struct Workshop {
    panoptes: Option<PathBuf>,
}

impl Workshop {
    /// The binary, built by the step of that name unless only another one was asked for.
    fn panoptes(&mut self) -> anyhow::Result<&Path> {
        if self.panoptes.is_none() {
            self.panoptes = Some(run::build_panoptes(false)?);
        }
        self.panoptes.as_deref().context("just built")
    }
}

/// What became of a step.
struct Row {
    name: &'static str,
    took: Duration,
    /// What it has to say, or the first line of what is wrong.
    result: Result<Vec<String>, String>,
}

/// The log of `cargo test --workspace` and how it ended.
pub(crate) struct Tests<'a> {
    pub(crate) log: &'a Path,
    pub(crate) status: i32,
}

/// What a step has to say when all is well.
type Step = fn(&mut Workshop) -> anyhow::Result<Vec<String>>;

const STEPS: &[(&str, Step)] = &[
    ("tidy", tidy),
    ("format", format),
    ("lints", lints),
    ("licences", licences),
    ("one build", one_build),
    ("build", build),
    ("rules", rules),
    ("generated files", generated_files),
    ("scores", scores),
    ("crash", crash),
];

/// Runs all steps, or `only` one; the counts of `tests` belong into the closing line.
pub(crate) fn run(tests: Option<Tests<'_>>, only: Option<&str>) -> anyhow::Result<bool> {
    let steps: Vec<_> = STEPS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|it| it.0).collect();
        bail!("there is no step `{}`; there are {}", only.unwrap_or_default(), names.join(", "));
    }
    let mut counts = match tests {
        Some(Tests { log, status }) => {
            let text = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
            counts_of_tests(&text, status)
        }
        None => Counts::default(),
    };
    let mut workshop = Workshop::default();
    let mut table = Vec::new();
    for (name, step) in steps {
        println!("── {name}");
        let started = Instant::now();
        let result = step(&mut workshop);
        match &result {
            Ok(_) => counts.passed += 1,
            Err(error) => {
                counts.failed += 1;
                eprintln!("{name}: {error:#}");
            }
        }
        let result = result.map_err(|error| first_line(&format!("{error:#}")));
        table.push(Row { name, took: started.elapsed(), result });
    }
    print_table(&table);
    println!("{} passed, {} failed", counts.passed, counts.failed);
    Ok(counts.failed == 0)
}

fn print_table(table: &[Row]) {
    println!("\n{:<16} {:>8}  result", "step", "seconds");
    for Row { name, took, result } in table {
        let (first, more) = match result {
            Ok(lines) => match lines.split_first() {
                Some((first, more)) => (first.as_str(), more),
                None => ("ok", &[][..]),
            },
            Err(error) => (error.as_str(), &[][..]),
        };
        let mark = if result.is_ok() { "" } else { "FAILED: " };
        println!("{name:<16} {:>8.1}  {mark}{first}", took.as_secs_f64());
        for line in more {
            println!("{:<16} {:>8}  {line}", "", "");
        }
    }
    println!();
}

fn tidy(_: &mut Workshop) -> anyhow::Result<Vec<String>> {
    if !tidy::run()? {
        bail!("the tree is not in order");
    }
    Ok(Vec::new())
}

fn format(_: &mut Workshop) -> anyhow::Result<Vec<String>> {
    run::succeed(run::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Vec::new())
}

fn lints(_: &mut Workshop) -> anyhow::Result<Vec<String>> {
    let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::succeed(run::cargo().args(arguments))?;
    Ok(Vec::new())
}

fn licences(_: &mut Workshop) -> anyhow::Result<Vec<String>> {
    let (summary, problems) = licences::examine()?;
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(vec![summary])
}

fn one_build(_: &mut Workshop) -> anyhow::Result<Vec<String>> {
    Ok(vec![one_build::examine()?])
}

fn build(workshop: &mut Workshop) -> anyhow::Result<Vec<String>> {
    workshop.panoptes()?;
    Ok(Vec::new())
}

fn rules(workshop: &mut Workshop) -> anyhow::Result<Vec<String>> {
    let mut check = Command::new(workshop.panoptes()?);
    let said = run::output(check.args(["rules", "check", "rules/"]).current_dir(run::root()))?;
    Ok(said.lines().last().map(str::to_owned).into_iter().collect())
}

fn generated_files(workshop: &mut Workshop) -> anyhow::Result<Vec<String>> {
    let stale = generated::stale(workshop.panoptes()?)?;
    if !stale.is_empty() {
        bail!("out of date: {}; run `cargo xtask generate`", stale.join(", "));
    }
    Ok(Vec::new())
}

fn scores(workshop: &mut Workshop) -> anyhow::Result<Vec<String>> {
    score::collect(workshop.panoptes()?)
}

fn crash(workshop: &mut Workshop) -> anyhow::Result<Vec<String>> {
    crash::kill(workshop.panoptes()?, KILLS, None)
}

/// The sum of all `test result:` lines. What ended badly without such a line (it did not compile, it was killed) counts
/// as one failure.
fn counts_of_tests(log: &str, status: i32) -> Counts {
    let mut counts = Counts::default();
    for line in log.lines() {
        // A test that prints without a line break pushes the result behind its own words.
        let Some((_, result)) = line.split_once("test result: ") else { continue };
        let number = |word: &str| -> u64 {
            let before = result.split(word).next().unwrap_or("");
            before.split_whitespace().last().and_then(|it| it.parse().ok()).unwrap_or(0)
        };
        counts.passed += number(" passed");
        counts.failed += number(" failed");
    }
    if status != 0 && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_test_binaries_are_added_up() {
        let log = "\
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
skipped: no corporatest result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out
test tests::that_passed ... ok
";
        assert_eq!(counts_of_tests(log, 101), Counts { passed: 13, failed: 2 });
        assert_eq!(counts_of_tests("", 0), Counts::default());
    }

    #[test]
    fn tests_that_never_ran_count_as_a_failure() {
        assert_eq!(counts_of_tests("error: could not compile", 101), Counts { passed: 0, failed: 1 });
        let killed = "test result: ok. 5 passed; 0 failed;\nerror: test failed (signal: 9)";
        assert_eq!(counts_of_tests(killed, 101), Counts { passed: 5, failed: 1 });
    }
}
