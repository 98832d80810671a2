//! `panoptes erase`: one person's events go, and that they went stays on record.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use panoptes_model::Timestamp;
use panoptes_store::lock::DataLock;
use panoptes_store::manifest::Cause;
use panoptes_store::{Person, Store};
use serde_json::json;

use crate::cli::{EraseArgs, Format, Global};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{keys, surroundings, time};

pub(super) fn run(global: &Global, args: &EraseArgs) -> anyhow::Result<Outcome> {
    let person = match (&args.user, args.ip) {
        (Some(name), _) if !name.trim().is_empty() => Person::User(name.trim().to_owned()),
        (None, Some(address)) => Person::Address(address),
        _ => bail!("say whose events to erase: --user NAME or --ip ADDR"),
    };
    let config = surroundings::config(global, Vec::new())?;
    let key = keys::for_reading(&config)?;
    let lock = DataLock::acquire(&config.data_dir)
        .context("events are erased while no instance runs: stop it, erase, start it again")?;
    let rules = Arc::new(surroundings::rules(&config, &[], true)?);
    let preparer = surroundings::preparer(&config, surroundings::normalizer(&config, None)?, rules)?;
    let (store, log) = Store::open(&config.data_dir, &key, lock, surroundings::store_options(&config))
        .with_context(|| format!("cannot open the evidence in {}", config.data_dir.display()))?;
    let store = store.with_retention(surroundings::retention(&config));
    // What is only in the log becomes segments first: it would come back from there.
    for frame in log.frames_after(store.sealed_through()) {
        store.keep(Arc::new(preparer.normalize(frame.context("the log is damaged: see `panoptes verify`")?)));
        if store.seal_due(time::now()) {
            store.seal(time::now())?;
        }
    }
    store.seal(time::now()).context("what is in the log cannot be sealed")?;
    let erased = if args.dry_run {
        store.find_person(&person)?
    } else {
        let cause = Cause { reason: args.reason.clone(), actor: surroundings::actor(), policy: String::new() };
        let erased = store.erase(&person, &cause, time::now()).context("not all was erased")?;
        // Nobody else is at work: the keys and files of the old segments go at once.
        store.remove_replaced(Timestamp(i64::MAX)).context("files of old segments are still there")?;
        erased
    };
    let mut out = std::io::stdout().lock();
    let mut table = Table::new(["segments", "events", "held", "rows_digest", "erased"]);
    let digest = (!args.dry_run).then(|| erased.rows_digest.to_string());
    table.row(vec![
        json!(erased.segments),
        json!(erased.events),
        json!(erased.held),
        json!(digest),
        json!(!args.dry_run),
    ]);
    match (args.format, digest) {
        (Format::Table, Some(digest)) => {
            writeln!(out, "{} events erased from {} segments", erased.events, erased.segments)?;
            writeln!(out, "digest of what went: {digest}")?;
            writeln!(out, "the manifest has it on record; `panoptes verify` checks that nothing else went")?;
        }
        (Format::Table, None) => {
            writeln!(out, "{} events in {} segments would be erased", erased.events, erased.segments)?;
        }
        (format, _) => table.write(&mut out, format)?,
    }
    if erased.held > 0 {
        tracing::warn!("{} events stay because they are held: see `panoptes retention holds`", erased.held);
    }
    Ok(Outcome::Fine)
}
