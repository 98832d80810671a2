//! `panoptes rules backtest RULE…`: what rules would have found in the evidence.
//!
//! Records are normalised again (`evidence.rs` says why), frame by frame in the order of the log, and go through
//! `Preparer` and `Fold` as they did when they came in: the same code, with state of its own. Nothing is written.

mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use panoptes_config::Config;
use panoptes_detect::{CompileOptions, RuleMeta, RuleSet};
use panoptes_engine::{Fold, PreparedFrame, Preparer};
use panoptes_model::{FindingOrigin, Severity, Timestamp, Value as FieldValue, field};
use panoptes_store::StoreReader;
use panoptes_store::search::RecordReader;
use serde_json::{Value, json};

use self::tally::Tally;
use super::count_text;
use super::drafts::{Drafts, find};
use super::evidence::{Rebuilt, Sources, Walk};
use crate::cli::{BacktestArgs, Format, Global};
use crate::commands::Outcome;
use crate::console::{self, Palette};
use crate::table::{Table, harmless};
use crate::{server, surroundings, time};

pub(super) fn run(global: &Global, args: &BacktestArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let when = |text: &str| time::parse_when(text, now).map_err(|it| anyhow!(it));
    let since = when(&args.since)?;
    let until = args.until.as_deref().map(when).transpose()?.unwrap_or(Timestamp(i64::MAX));
    if until <= since {
        bail!("--until {until} is not after --since {since}");
    }
    let config = surroundings::config(global, Vec::new())?;
    let set = rules(&config, args)?;
    let key = crate::keys::for_reading(&config)?;
    let reader = StoreReader::open(&config.data_dir, &key)
        .with_context(|| format!("cannot read the evidence in {}", config.data_dir.display()))?;
    let records = RecordReader::new(Arc::clone(&reader.disk), &key);
    let walk = Walk::new(&reader, &records, Sources::of(&config), since, until);

    let normalizer = surroundings::normalizer(&config, None)?;
    let mut backtest = Backtest {
        preparer: surroundings::preparer(&config, normalizer, Arc::clone(&set))?,
        // As live: what was imported has windows of its own then, too.
        fold: Fold::new(Arc::clone(&set), server::fold_options(&config, FindingOrigin::Live)),
        range: since..until,
        examples_max: args.examples,
        tallies: set.rules().filter(|it| it.reports).map(|it| (it.summary.id.clone(), Tally::default())).collect(),
        seen: Seen::default(),
    };
    let started = time::stopwatch();
    backtest.walk(&walk, surroundings::workers(&config));
    let seconds = started.elapsed_micros() as f64 / 1e6;

    let metas: Vec<&RuleMeta> = set.rules().filter(|it| it.reports).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let report = Report {
        metas: &metas,
        backtest: &backtest,
        since,
        until: args.until.as_ref().map(|_| until),
        config: &config,
    };
    report.write(&mut out, args.format)?;
    out.flush()?;
    let seen = &backtest.seen;
    let rate = seen.events as f64 / seconds.max(1e-6);
    let summary = format!("{} events in {seconds:.1} s ({rate:.0} a second)", seen.events);
    match args.format {
        Format::Table => writeln!(out, "{summary}")?,
        _ => tracing::info!("{summary}"),
    }
    out.flush()?;
    if seen.otherwise > 0 {
        tracing::info!(
            "{} events are of another kind to this version and configuration than when they came in",
            seen.otherwise
        );
    }
    Ok(Outcome::Fine)
}

/// The rules that are asked for, and what they count; no others.
fn rules(config: &Config, args: &BacktestArgs) -> anyhow::Result<Arc<RuleSet>> {
    let in_force = surroundings::rule_sources(config, &[], true);
    let named = args.wanted.iter().map(PathBuf::from).filter(|it| it.try_exists().unwrap_or(false));
    let paths: Vec<PathBuf> = args.rules.iter().cloned().chain(named).collect();
    let drafts = Drafts::gather(&paths, &in_force)?;
    let all = drafts.compile_all(&CompileOptions { ..CompileOptions::default() })?;
    let wanted: BTreeSet<usize> = match args.wanted.as_slice() {
        [] => all.rules().enumerate().filter(|(_, it)| drafts.is_own(it)).map(|(index, _)| index).collect(),
        wanted => {
            let found = wanted.iter().map(|it| find(&all, it)).collect::<anyhow::Result<Vec<_>>>()?;
            found.into_iter().flatten().collect()
        }
    };
    if wanted.is_empty() {
        bail!(
            "there is no rule in {}",
            args.rules.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    // All others make no findings, and are not even asked unless one of these counts them.
    let others = all.rules().enumerate().filter(|(index, _)| !wanted.contains(index));
    let mut disabled: BTreeSet<String> = others.map(|(_, it)| it.summary.id.clone()).collect();
    disabled.extend([panoptes_detect::NEVER_SEEN_RULE_ID, panoptes_detect::BEHAVIOUR_RULE_IDS].map(str::to_owned));
    let options = CompileOptions { min_level: Severity::Informational, disabled, ..CompileOptions::default() };
    let set = drafts.compile_all(&options)?;
    for index in &wanted {
        if let Some(rule) = set.rules().nth(*index).filter(|it| !it.reports) {
            tracing::info!("\"{}\" is only counted by a correlation: it makes no findings itself", rule.summary.title);
        }
    }
    if !set.rules().any(|it| it.reports) {
        bail!("none of these rules makes findings; name the correlation that counts them");
    }
    Ok(Arc::new(set))
}

/// What was met on the way.
#[derive(Default)]
struct Seen {
    events: u64,
    /// Events whose dataset is another now than it was when they were stored.
    otherwise: u64,
}

struct Backtest {
    preparer: Preparer,
    fold: Fold,
    range: Range<Timestamp>,
    examples_max: usize,
    /// By id of the rule.
    tallies: BTreeMap<String, Tally>,
    seen: Seen,
}

impl Backtest {
    fn walk(&mut self, walk: &Walk<'_>, workers: usize) {
        let Self { preparer, fold, range, examples_max, tallies, seen } = self;
        let work = |rebuilt| prepare(preparer, range, rebuilt);
        walk.each(workers, work, |(frame, met): (PreparedFrame, Seen)| {
            seen.events += met.events;
            seen.otherwise += met.otherwise;
            let effects = fold.fold(&frame);
            for finding in &effects.findings {
                if let Some(tally) = tallies.get_mut(&finding.rule.id) {
                    tally.finding(finding, *examples_max);
                }
            }
            for update in effects.alerts.iter().filter(|it| it.opened) {
                if let Some(tally) = tallies.get_mut(&update.alert.rule.id) {
                    tally.alert(update.alert.first_seen, &update.alert.entities);
                }
            }
        });
    }
}

/// Asks the rules about the events of a frame that are in the range, and counts them.
fn prepare(preparer: &Preparer, range: &Range<Timestamp>, rebuilt: Rebuilt) -> (PreparedFrame, Seen) {
    let Rebuilt { frame, datasets } = rebuilt;
    let mut prepared = preparer.prepare(frame);
    let mut seen = Seen::default();
    let mut is_asked = vec![false; datasets.len()];
    for ((event, before), is_asked) in prepared.events.events().zip(&datasets).zip(&mut is_asked) {
        let Some(before) = before else { continue };
        *is_asked = range.contains(&event.time());
        if *is_asked {
            seen.events += 1;
            let now = event.get(field::EVENT_DATASET).map(FieldValue::to_text).unwrap_or_default();
            seen.otherwise += u64::from(!before.is_empty() && *before != *now);
        }
    }
    prepared.hits.retain_events(|index| is_asked.get(index as usize).copied().unwrap_or(false));
    (prepared, seen)
}

struct Report<'r> {
    metas: &'r [&'r RuleMeta],
    backtest: &'r Backtest,
    since: Timestamp,
    until: Option<Timestamp>,
    config: &'r Config,
}

impl Report<'_> {
    fn each(&self) -> impl Iterator<Item = (&RuleMeta, &Tally)> {
        self.metas.iter().filter_map(|meta| Some((*meta, self.backtest.tallies.get(&meta.summary.id)?)))
    }

    fn write(&self, out: &mut impl Write, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Table => self.each().try_for_each(|(meta, tally)| self.text(out, meta, tally)),
            Format::Jsonl => self.each().try_for_each(|(meta, tally)| Ok(writeln!(out, "{}", self.json(meta, tally))?)),
            Format::Json => {
                let rules: Vec<Value> = self.each().map(|(meta, tally)| self.json(meta, tally)).collect();
                Ok(writeln!(out, "{}", serde_json::to_string_pretty(&rules)?)?)
            }
            Format::Csv => {
                let mut table = Table::new(["id", "title", "level", "day", "events", "alerts"]);
                for (meta, tally) in self.each() {
                    for (day, count) in tally.days() {
                        table.row(vec![
                            json!(meta.summary.id),
                            json!(meta.summary.title),
                            json!(meta.summary.level),
                            json!(day),
                            json!(count.events),
                            json!(count.alerts),
                        ]);
                    }
                }
                table.write(out, format)
            }
        }
    }

    fn json(&self, meta: &RuleMeta, tally: &Tally) -> Value {
        let days: Vec<Value> = tally
            .days()
            .map(|(day, count)| json!({ "day": day, "events": count.events, "alerts": count.alerts }))
            .collect();
        let (entities, hidden) = tally.entities();
        let entities: Vec<Value> = entities
            .into_iter()
            .map(|(entity, count)| json!({ "entity": entity, "events": count.events, "alerts": count.alerts }))
            .collect();
        let examples: Vec<Value> = tally
            .examples
            .iter()
            .map(|it| {
                json!({
                    "timestamp": it.time.to_string(),
                    "event": it.event.to_string(),
                    "entities": it.entities,
                    "reason": it.reason,
                    "sample": it.sample,
                })
            })
            .collect();
        json!({
            "id": meta.summary.id,
            "title": meta.summary.title,
            "level": meta.summary.level,
            "path": meta.path,
            "since": self.since.to_string(),
            "until": self.until.map(|it| it.to_string()),
            "events": tally.events,
            "findings": tally.findings,
            "alerts": tally.alerts,
            "first": tally.first.map(|it| it.to_string()),
            "last": tally.last.map(|it| it.to_string()),
            "days": days,
            "entities": entities,
            "entities_more": hidden,
            "examples": examples,
        })
    }

    fn text(&self, out: &mut impl Write, meta: &RuleMeta, tally: &Tally) -> anyhow::Result<()> {
        let palette = Palette::for_stdout();
        let title = palette.bold(&harmless(&meta.summary.title));
        writeln!(out, "{} {title}  {}", palette.severity(meta.summary.level), palette.dim(&meta.summary.id))?;
        let (Some(first), Some(last)) = (tally.first, tally.last) else {
            writeln!(out, "  found   nothing\n")?;
            return Ok(());
        };
        let cooldown = console::age_text(i64::from(self.config.alerts.cooldown_seconds));
        writeln!(
            out,
            "  found   {} in {}; {} at a cool-down of {cooldown}",
            count_text(tally.events as usize, "event"),
            count_text(tally.findings as usize, "finding"),
            count_text(tally.alerts as usize, "alert"),
        )?;
        writeln!(out, "  when    {}", console::span_text(first, last))?;
        let most = tally.days().map(|it| it.1.events).max().unwrap_or(1).max(1);
        for (number, (day, count)) in tally.days().enumerate() {
            let head = if number == 0 { "days" } else { "" };
            let bar = "#".repeat((count.events * 30).div_ceil(most) as usize);
            let alerts = count_text(count.alerts as usize, "alert");
            writeln!(out, "  {head:<7} {day}  {:>9}  {alerts:<12} {}", count.events, palette.dim(&bar))?;
        }
        let (entities, hidden) = tally.entities();
        for (number, (entity, count)) in entities.into_iter().enumerate() {
            let head = if number == 0 { "who" } else { "" };
            let alerts = count_text(count.alerts as usize, "alert");
            writeln!(out, "  {head:<7} {:>9}  {alerts:<12} {}", count.events, cut(entity))?;
        }
        if hidden > 0 || tally.others.events > 0 {
            writeln!(out, "          … and {hidden} more{}", if tally.others.events > 0 { " and others" } else { "" })?;
        }
        for (number, example) in tally.examples.iter().enumerate() {
            let head = if number == 0 { "such as" } else { "" };
            writeln!(
                out,
                "  {head:<7} event {}  {}  {}",
                example.event,
                example.time,
                palette.dim(&cut(&harmless(example.sample.trim_end())))
            )?;
        }
        if let Some(example) = tally.examples.first() {
            let id = meta.summary.id.as_str();
            writeln!(out, "  next    {} rules explain {id} {}", console::program(), example.event)?;
        }
        writeln!(out)?;
        Ok(())
    }
}

/// What fits a line.
fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX - 1).chain(['…']).collect()
}
