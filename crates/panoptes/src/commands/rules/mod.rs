//! `panoptes rules …`: one file per sub-command.

mod backtest;
mod check;
mod coverage;
mod drafts;
mod evidence;
mod explain;
mod list;
mod silent;
mod test;

use crate::cli::{Global, RulesCommand};
use crate::commands::Outcome;

pub(super) fn run(global: &Global, command: &RulesCommand) -> anyhow::Result<Outcome> {
    match command {
        RulesCommand::List(args) => list::run(global, args),
        RulesCommand::Check(args) => check::run(global, args),
        RulesCommand::Test(args) => test::run(global, args),
        RulesCommand::Explain(args) => explain::run(global, args),
        RulesCommand::Backtest(args) => backtest::run(global, args),
        RulesCommand::Coverage(args) => coverage::run(global, args),
    }
}

/// `1 rule`, `2 rules`.
fn count_text(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
