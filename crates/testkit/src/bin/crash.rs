//! `panoptes-testkit-crash BINARY KILLS SEED`: what `cargo xtask crash` runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

use std::io::IsTerminal as _;
use std::process::ExitCode;

use panoptes_testkit::crash::{CrashPlan, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, kills, seed] = &arguments[..] else {
        eprintln!("usage: panoptes-testkit-crash BINARY KILLS SEED");
        return ExitCode::from(2);
    };
    let (Ok(kills), Ok(seed)) = (kills.parse(), seed.parse()) else {
        eprintln!("KILLS and SEED are numbers");
        return ExitCode::from(2);
    };
    let on_terminal = std::io::stderr().is_terminal();
    let summary = run(binary.as_ref(), CrashPlan { kills, seed }, &mut |done| {
        if on_terminal {
            eprint!("\r{done} of {kills} kills ");
        }
    });
    if on_terminal {
        eprintln!();
    }
    println!("{kills} kills, seed {seed}\n{summary}");
    if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
