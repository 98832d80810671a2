//! `panoptes retention`: what is kept for how long, what is to go, and what must not.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use panoptes_config::Config;
use panoptes_model::Timestamp;
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::disk::{Disk, RealDisk};
use panoptes_store::holds::{self, Hold, Release};
use panoptes_store::lock::DataLock;
use panoptes_store::manifest::Segment;
use panoptes_store::retention::{Policy, Verdict};
use panoptes_store::{Store, StoreReader};
use serde_json::json;

use crate::cli::{Format, Global, HoldArgs, RetentionCommand};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{keys, surroundings, time};

const DAY_NANOS: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;
/// How far back growth is looked at.
const GROWTH_DAYS: i64 = 7;
/// How far ahead the forecast looks; what lasts longer is not worth a number.
const FORECAST_DAYS: u64 = 3_650;

pub(super) fn run(global: &Global, command: &RetentionCommand) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    let key = keys::for_reading(&config)?;
    let now = time::now();
    match command {
        RetentionCommand::Status { format } => status(&config, &key, *format, now)?,
        RetentionCommand::Apply { dry_run: true, format } => dry_run(&config, &key, *format, now)?,
        RetentionCommand::Apply { dry_run: false, format } => apply(&config, &key, *format, now)?,
        RetentionCommand::Hold(args) => hold(&config, &key, args, now)?,
        RetentionCommand::Release { name, reason } => {
            let release = Release { reason: reason.clone(), actor: surroundings::actor(), at: now };
            holds::release(&*disk(&config)?, &key, name, release)?;
            writeln!(std::io::stdout(), "released {name}")?;
        }
        RetentionCommand::Holds { all, format } => list_holds(&config, &key, *all, *format)?,
    }
    Ok(Outcome::Fine)
}

fn disk(config: &Config) -> anyhow::Result<Arc<dyn Disk>> {
    let disk = RealDisk::open(config.data_dir.clone());
    Ok(Arc::new(disk.with_context(|| format!("cannot open {}", config.data_dir.display()))?))
}

/// What each policy covers and what it does next.
#[derive(Default)]
struct Covered {
    segments: u64,
    events: u64,
    bytes: u64,
    bytes_new: u64,
    oldest: Option<Timestamp>,
    due_events: u64,
    due_bytes: u64,
    held_bytes: u64,
}

fn status(config: &Config, key: &KeyEncryptionKey, format: Format, now: Timestamp) -> anyhow::Result<()> {
    let retention = surroundings::retention(config);
    let reader = open_reader(config, key)?;
    let holds = holds::list(&*reader.disk, key, false)?;
    let verdicts = retention.verdicts(&reader.segments, &holds, now);
    let mut covered: BTreeMap<&str, Covered> = BTreeMap::new();
    let growth_since = Timestamp(now.0.saturating_sub(GROWTH_DAYS * DAY_NANOS));
    let oldest = reader.segments.iter().map(|it| it.time_min).min();
    // A store of two days tells the growth of two days.
    let days = oldest.map_or(1.0, |it| (now.nanos_since(it.max(growth_since)) as f64 / DAY_NANOS as f64).max(1.0));
    for (segment, verdict) in reader.segments.iter().zip(&verdicts) {
        // Where several policies may apply, the last of them is shown: it has the most.
        let Some(policy) = retention.policies_of(segment).last().copied() else { continue };
        let it = covered.entry(&policy.name).or_default();
        it.segments += 1;
        it.events += segment.rows;
        it.bytes += segment.bytes_on_disk();
        it.oldest = Some(it.oldest.map_or(segment.time_min, |oldest| oldest.min(segment.time_min)));
        if segment.time_max >= growth_since {
            it.bytes_new += segment.bytes_on_disk();
        }
        match verdict {
            Verdict::Kept => {}
            Verdict::Due(_) => {
                it.due_events += segment.rows;
                it.due_bytes += segment.bytes_on_disk();
            }
            Verdict::Held { .. } => it.held_bytes += segment.bytes_on_disk(),
        }
    }
    let mut table = Table::new([
        "policy",
        "keeps",
        "segments",
        "events",
        "bytes",
        "bytes_per_day",
        "oldest",
        "due_events",
        "due_bytes",
        "held_bytes",
    ]);
    let none = Covered::default();
    let mut forecast = Vec::new();
    for policy in retention.policies() {
        let it = covered.get(policy.name.as_str()).unwrap_or(&none);
        let per_day = (it.bytes_new as f64 / days).round() as u64;
        forecast.push((policy, it.bytes, per_day));
        table.row(vec![
            json!(policy.name),
            json!(keeps(policy)),
            json!(it.segments),
            json!(it.events),
            json!(it.bytes),
            json!(per_day),
            json!(it.oldest.map(|it| it.to_string())),
            json!(it.due_events),
            json!(it.due_bytes),
            json!(it.held_bytes),
        ]);
    }
    let mut out = std::io::stdout().lock();
    table.write(&mut out, format)?;
    let free = free_bytes(config)?;
    let outlook = match days_until_full(&forecast, free) {
        Some(0) => "the disk is full".to_owned(),
        Some(days) => format!("at this rate it is full in {days} days"),
        None => "at this rate it does not fill up".to_owned(),
    };
    let summary =
        format!("{:.1} GB are free on the disk of {}; {outlook}", free as f64 / 1e9, config.data_dir.display());
    match format {
        Format::Table => writeln!(out, "{summary}")?,
        _ => tracing::info!("{summary}"),
    }
    Ok(())
}

fn keeps(policy: &Policy) -> String {
    let days = policy.keep_days.map(|it| format!("{it} days"));
    let bytes = policy.bytes_max.map(|it| format!("{it} bytes"));
    let limits: Vec<String> = [days, bytes].into_iter().flatten().collect();
    if limits.is_empty() { "everything".to_owned() } else { limits.join(", ") }
}

fn free_bytes(config: &Config) -> anyhow::Result<u64> {
    let figures = rustix::fs::statvfs(&config.data_dir)
        .with_context(|| format!("cannot ask for the free space of {}", config.data_dir.display()))?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// When the disk is full if every day is like those before; `None`: not in ten years. A policy that deletes stops
/// growing when it holds as much as it keeps.
fn days_until_full(policies: &[(&Policy, u64, u64)], free: u64) -> Option<u64> {
    let total = |day: u64| {
        let of_policy = |(policy, bytes, per_day): &(&Policy, u64, u64)| {
            let grown = bytes.saturating_add(per_day.saturating_mul(day));
            let by_age = policy.keep_days.map_or(u64::MAX, |it| per_day.saturating_mul(u64::from(it)).max(*bytes));
            grown.min(by_age).min(policy.bytes_max.unwrap_or(u64::MAX).max(*bytes))
        };
        policies.iter().map(of_policy).fold(0, u64::saturating_add)
    };
    let room = total(0).saturating_add(free);
    (0..=FORECAST_DAYS).find(|day| total(*day) > room || free == 0)
}

fn open_reader(config: &Config, key: &KeyEncryptionKey) -> anyhow::Result<StoreReader> {
    StoreReader::open(&config.data_dir, key)
        .with_context(|| format!("cannot read the evidence in {}", config.data_dir.display()))
}

fn dry_run(config: &Config, key: &KeyEncryptionKey, format: Format, now: Timestamp) -> anyhow::Result<()> {
    let reader = open_reader(config, key)?;
    let holds = holds::list(&*reader.disk, key, false)?;
    let verdicts = surroundings::retention(config).verdicts(&reader.segments, &holds, now);
    let mut table = Table::new(["segment", "verdict", "policy", "reason", "events", "bytes", "newest"]);
    let (mut events, mut bytes) = (0, 0);
    for (segment, verdict) in reader.segments.iter().zip(verdicts) {
        let (verdict, policy, reason) = match verdict {
            Verdict::Kept => continue,
            Verdict::Due(cause) => {
                events += segment.rows;
                bytes += segment.bytes_on_disk();
                ("delete", cause.policy, cause.reason)
            }
            Verdict::Held { hold } => ("held", String::new(), format!("hold {hold}")),
        };
        table.row(row(segment, verdict, policy, reason));
    }
    let mut out = std::io::stdout().lock();
    table.write(&mut out, format)?;
    if format == Format::Table {
        writeln!(out, "{events} events in {bytes} bytes would be deleted; nothing was")?;
    }
    Ok(())
}

fn row(segment: &Segment, verdict: &str, policy: String, reason: String) -> Vec<serde_json::Value> {
    vec![
        json!(segment.file),
        json!(verdict),
        json!(policy),
        json!(reason),
        json!(segment.rows),
        json!(segment.bytes_on_disk()),
        json!(segment.time_max.to_string()),
    ]
}

fn apply(config: &Config, key: &KeyEncryptionKey, format: Format, now: Timestamp) -> anyhow::Result<()> {
    let lock = DataLock::acquire(&config.data_dir).context(
        "a running instance deletes by itself what is due; to do it now, stop it first, or look with --dry-run",
    )?;
    let (store, _log) = Store::open(&config.data_dir, key, lock, surroundings::store_options(config))
        .with_context(|| format!("cannot open the evidence in {}", config.data_dir.display()))?;
    let store = store.with_retention(surroundings::retention(config));
    let deletions = store.apply_retention(&surroundings::actor(), now).context("not all was deleted")?;
    // Nobody else is at work: the keys and files go at once.
    store.remove_replaced(Timestamp(i64::MAX)).context("files of deleted segments are still there")?;
    let mut table = Table::new(["policy", "reason", "segments", "events", "bytes"]);
    for it in &deletions {
        table.row(vec![
            json!(it.cause.policy),
            json!(it.cause.reason),
            json!(it.segments),
            json!(it.events),
            json!(it.bytes),
        ]);
    }
    let mut out = std::io::stdout().lock();
    table.write(&mut out, format)?;
    if format == Format::Table {
        let events: u64 = deletions.iter().map(|it| it.events).sum();
        writeln!(out, "{events} events deleted")?;
    }
    Ok(())
}

fn hold(config: &Config, key: &KeyEncryptionKey, args: &HoldArgs, now: Timestamp) -> anyhow::Result<()> {
    let when = |text: &Option<String>| {
        text.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))
    };
    let (since, until) = (when(&args.since)?, when(&args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        bail!("--until {until} is not after --since {since}: nothing would be held");
    }
    let hold = Hold {
        name: args.name.clone(),
        sources: args.sources.clone(),
        since,
        until,
        reason: args.reason.clone(),
        actor: surroundings::actor(),
        at: now,
        released: None,
    };
    let covered: Vec<Segment> = open_reader(config, key)?.segments.into_iter().filter(|it| hold.covers(it)).collect();
    holds::hold(&*disk(config)?, key, hold)?;
    let events: u64 = covered.iter().map(|it| it.rows).sum();
    writeln!(
        std::io::stdout(),
        "holding {}: {events} events in {} segments so far, and what comes",
        args.name,
        covered.len()
    )?;
    Ok(())
}

fn list_holds(config: &Config, key: &KeyEncryptionKey, all: bool, format: Format) -> anyhow::Result<()> {
    let mut table = Table::new([
        "name",
        "sources",
        "since",
        "until",
        "reason",
        "by",
        "at",
        "released_at",
        "released_by",
        "released_for",
    ]);
    for it in holds::list(&*disk(config)?, key, all)? {
        let time = |it: Option<Timestamp>| json!(it.map(|it| it.to_string()));
        let released = it.released.as_ref();
        table.row(vec![
            json!(it.name),
            json!(it.sources.join(" ")),
            time(it.since),
            time(it.until),
            json!(it.reason),
            json!(it.actor),
            json!(it.at.to_string()),
            time(released.map(|it| it.at)),
            json!(released.map(|it| it.actor.as_str())),
            json!(released.map(|it| it.reason.as_str())),
        ]);
    }
    let mut out = std::io::stdout().lock();
    if table.is_empty() && format == Format::Table {
        writeln!(out, "nothing is held")?;
    }
    table.write(&mut out, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_knows_that_policies_delete() {
        let policy =
            |keep_days: Option<u32>, bytes_max: Option<u64>| Policy { keep_days, bytes_max, ..Policy::default() };
        let forever = policy(None, None);
        assert_eq!(days_until_full(&[(&forever, 100, 10)], 95), Some(10));
        assert_eq!(days_until_full(&[(&forever, 100, 0)], 95), None);
        assert_eq!(days_until_full(&[(&forever, 100, 10)], 0), Some(0));
        let month = policy(Some(30), None);
        assert_eq!(days_until_full(&[(&month, 0, 10)], 300), None, "300 bytes is all that it ever holds");
        assert_eq!(days_until_full(&[(&month, 0, 10)], 299), Some(30));
        let capped = policy(None, Some(200));
        assert_eq!(days_until_full(&[(&capped, 100, 10), (&forever, 0, 1)], 200), Some(101));
    }
}
