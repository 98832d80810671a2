//! `panoptes config check | show | schema`.

use std::io::Write;

use crate::cli::{ConfigCommand, Global};
use crate::commands::Outcome;
use crate::surroundings;

pub(super) fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    match command {
        ConfigCommand::Check => {
            surroundings::config(global, Vec::new())?;
            writeln!(out, "the configuration is valid")?;
        }
        ConfigCommand::Show => out.write_all(surroundings::config(global, Vec::new())?.show().as_bytes())?,
        ConfigCommand::Schema => writeln!(out, "{}", serde_json::to_string_pretty(&panoptes_config::schema())?)?,
    }
    Ok(Outcome::Fine)
}
