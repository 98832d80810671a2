//! `panoptes compact`: merges small segments at once, which a running instance does by and by.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use panoptes_config::Config;
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::Store;
use panoptes_store::lock::DataLock;

use crate::cli::Global;
use crate::commands::Outcome;
use crate::{keys, surroundings, time};

pub(super) fn run(global: &Global) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    let key = keys::for_reading(&config)?;
    let (mut merged, mut made, mut bytes_before, mut bytes_after) = (0, 0, 0, 0);
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    let store = open(&config, &key)?;
    while let Some(done) = store.compact(time::now(), &|| true).context("cannot merge segments")? {
        merged += done.inputs;
        made += 1;
        bytes_before += done.bytes_before;
        bytes_after += done.bytes_after;
        bar.set_message(format!("{merged} segments merged into {made}"));
        bar.tick();
    }
    bar.finish_and_clear();
    drop(store);
    if made > 0 {
        // Opening takes away the files that nothing names any more.
        drop(open(&config, &key)?);
    }
    let mut out = std::io::stdout().lock();
    match made {
        0 => writeln!(out, "nothing to merge")?,
        _ => writeln!(
            out,
            "{merged} segments merged into {made}; {:.1} MB read, {:.1} MB written",
            bytes_before as f64 / 1e6,
            bytes_after as f64 / 1e6
        )?,
    }
    Ok(Outcome::Fine)
}

fn open(config: &Config, key: &KeyEncryptionKey) -> anyhow::Result<Store> {
    let lock = DataLock::acquire(&config.data_dir)?;
    let (store, _log) = Store::open(&config.data_dir, key, lock, surroundings::store_options(config))
        .with_context(|| format!("cannot open the evidence in {}", config.data_dir.display()))?;
    Ok(store)
}
