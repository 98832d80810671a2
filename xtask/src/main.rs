//! Chores of the repository: `cargo xtask help` lists them.
//!
//! # Where to look first
//! * [`tidy`]: one file per check, each over a [`tidy::Tree`] of texts, so that every check is tested to be able to fail.
//! * [`check`]: all that CI runs after the tests, in order.
//! * [`bench`]: the figures of `BENCHMARKS.md`.
//!
//! # Invariants
//! * Depends on no Panoptes crate: it must build when they don't.
//! * Changes no file, except `generate`, which says so.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for a terminal, that times what it runs"
)]

mod bench;
mod check;
mod crash;
mod generated;
mod licences;
mod one_build;
mod run;
mod score;
mod tidy;

use std::process::ExitCode;

use anyhow::{Context as _, bail};

const HELP: &str = "\
Chores of the repository. Each runs from any folder in it.

  cargo xtask tidy           order of the tree: edges between crates, the map, dead files, left-overs, links, rules and their tests
  cargo xtask check          all that CI runs after the tests: format, lints, tidy, licences, one build, rules, generated files, scores
                             (--only STEP runs one of these;
                             --tests FILE --tests-status N adds the counts of a log of `cargo test` to the closing line)
  cargo xtask licences       licences of all dependencies
  cargo xtask generate       writes the generated files: docs/config.schema.json
  cargo xtask score          what is understood of the corpora: fail2ban, crowdsec, loghub, windows, or one of them; or of the
                             staged week: behaviour
                             (PANOPTES_CORPORA, else ../shared/corpora; score windows --binary PATH)
  cargo xtask crash          kills the program at random moments while it works, and compares: --kills N (default 50), --seed S,
                             --binary PATH
  cargo xtask bench batch    parse, match and pivot of one batch, beside JSON trees
  cargo xtask bench segments  sealing and compacting evidence: CPU, bytes on disk, look-ups in sidecars
  cargo xtask bench normalize  lines of several formats, beside VRL; ten services' formats beside all
  cargo xtask bench sigma    SigmaHQ over Windows events, beside rsigma-eval (--rounds N, --input mixed|processes|scripts)
  cargo xtask bench correlation  events counted in windows, and memory of groups, beside rsigma-eval
  cargo xtask bench entities memory of profiles of users, hosts and addresses, up to a million of each
  cargo xtask bench river    a release binary under load: events/s, CPU, memory, disk (--count N, --only tcp|http, --binary PATH)
  cargo xtask bench end-to-end  a server with all of SigmaHQ's rules over TCP and _bulk: CPU, memory, disk (--count N, --binary PATH)
  cargo xtask bench store    evidence beside ClickHouse and DuckDB, which it installs from PyPI: ingest, disk, questions
                             (--windows N, --nginx N, --folder DIR keeps inputs and stores)
  cargo xtask help           this list
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether all was well.
fn dispatch(arguments: &[String]) -> anyhow::Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["check"] => check::run(None, None),
        ["check", "--only", step] => check::run(None, Some(step)),
        ["check", "--tests", log, "--tests-status", status] => {
            let status = status.parse().context("`--tests-status` is no number")?;
            check::run(Some(check::Tests { log: log.as_ref(), status }), None)
        }
        ["licences"] => licences::run(),
        ["generate"] => generated::write(),
        ["score"] => score::run(None, None),
        ["score", suite] => score::run(Some(suite), None),
        ["score", suite, "--binary", binary] => score::run(Some(suite), Some(binary)),
        ["crash", options @ ..] => crash::run(options),
        ["bench", "batch"] => bench::batch(),
        ["bench", "segments"] => bench::segments(),
        ["bench", "normalize"] => bench::normalize(),
        ["bench", "sigma", options @ ..] => bench::sigma(options),
        ["bench", "correlation"] => bench::correlation(),
        ["bench", "entities"] => bench::entities(),
        ["bench", "river", options @ ..] => bench::river(options),
        ["bench", "store", options @ ..] => bench::store(options),
        ["bench", "end-to-end", options @ ..] => bench::end_to_end(options),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(true)
        }
        _ => bail!("there is no chore `{}`; `cargo xtask help` lists them", words.join(" ")),
    }
}
