//! One file per sub-command.

mod alerts;
mod asking;
mod compact;
mod config;
mod demo;
mod entity;
mod erase;
mod export;
mod generate;
mod import;
mod keys;
mod normalize;
mod retention;
mod rules;
mod run;
mod scan;
mod search;
mod sources;
mod tail;
mod verify;

use std::io::Write;

use clap::CommandFactory;

use crate::cli::{Cli, Command};

/// How a command that could run ended.
pub(crate) enum Outcome {
    Fine,
    /// It was asked to fail on findings, and there were some.
    Found,
}

pub(crate) fn dispatch(cli: Cli) -> anyhow::Result<Outcome> {
    let Cli { global, command } = cli;
    match command {
        Command::Run(args) => run::run(&global, &args),
        Command::Demo(args) => demo::run(&global, &args),
        Command::Scan(args) => scan::run(&global, &args),
        Command::Import(args) => import::run(&global, &args),
        Command::Search(args) => search::run(&global, &args),
        Command::Export(args) => export::run(&global, &args),
        Command::Tail(args) => tail::run(&global, &args),
        Command::Compact => compact::run(&global),
        Command::Erase(args) => erase::run(&global, &args),
        Command::Retention(command) => retention::run(&global, &command),
        Command::Verify(args) => verify::run(&global, &args),
        Command::Sources(args) => sources::run(&global, &args),
        Command::Entity(args) => entity::run(&global, &args),
        Command::Alerts(command) => alerts::run(&global, &command),
        Command::Generate(args) => generate::run(&args),
        Command::Normalize(args) => normalize::run(&global, &args),
        Command::Rules(command) => rules::run(&global, &command),
        Command::Keys(command) => keys::run(&global, &command),
        Command::Config(command) => config::run(&global, &command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "panoptes", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(Outcome::Fine)
        }
    }
}
