//! `panoptes rules list | check`.

use std::io::Write;

use anyhow::bail;
use panoptes_detect::{CompileOptions, RuleSet};
use serde_json::json;

use crate::cli::{Global, RulesCommand};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{rules, surroundings};

pub(super) fn run(global: &Global, command: &RulesCommand) -> anyhow::Result<Outcome> {
    match command {
        RulesCommand::List { rules: paths, format } => {
            let config = surroundings::config(global, Vec::new())?;
            let set = surroundings::rules(&config, paths, true)?;
            let mut table = Table::new(["level", "title", "techniques", "log source", "id", "path"]);
            for rule in set.rules() {
                table.row(vec![
                    json!(rule.summary.level),
                    json!(rule.summary.title),
                    json!(crate::console::techniques(&rule.summary.tags)),
                    json!(rule.log_source),
                    json!(rule.summary.id),
                    json!(rule.path),
                ]);
            }
            table.write(&mut std::io::stdout().lock(), *format)?;
            Ok(Outcome::Fine)
        }
        RulesCommand::Check { paths } => {
            let files = rules::read(paths)?;
            let count = files.len();
            let (set, errors) = RuleSet::compile(files, &CompileOptions::default());
            let mut out = std::io::stdout().lock();
            for error in &errors {
                writeln!(out, "{error}")?;
            }
            writeln!(out, "{count} files: {} rules loaded, {} refused", set.len(), errors.len())?;
            if errors.is_empty() { Ok(Outcome::Fine) } else { bail!("{} rules are refused", errors.len()) }
        }
    }
}
