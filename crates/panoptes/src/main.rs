//! The Panoptes binary: the only crate that reads the clock, opens sockets and knows every other crate.
//!
//! # Where to look first
//! * [`cli`]: everything that can be typed.
//! * `commands/`: one file per sub-command.
//! * `pipeline/`: the threads of a running instance, from intake to alerts.

mod books;
mod cli;
mod commands;
mod console;
mod enrichment;
mod generate;
mod health;
mod journal;
mod keys;
mod live;
mod memory;
mod pipeline;
mod reload;
mod rules;
mod server;
mod surroundings;
mod table;
mod time;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

/// Found something when asked to fail on it.
const FOUND: u8 = 1;
/// Could not run.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    memory::set_up();
    let cli = Cli::parse();
    start_diagnostics(cli.global.verbose);
    match commands::dispatch(cli) {
        Ok(commands::Outcome::Fine) => ExitCode::SUCCESS,
        Ok(commands::Outcome::Found) => ExitCode::from(FOUND),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&error);
            ExitCode::from(FAILED)
        }
    }
}

/// Whoever read our output has seen enough (`| head`): that is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Diagnostics go to standard error; `PANOPTES_LOG` takes the usual directives.
fn start_diagnostics(verbose: u8) {
    let default = match verbose {
        0 => "warn,panoptes=info",
        1 => "info,panoptes=debug",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PANOPTES_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
