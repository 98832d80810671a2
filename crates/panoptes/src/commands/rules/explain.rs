//! `panoptes rules explain RULE EVENT`: every condition of a rule, and what it saw.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use panoptes_config::Config;
use panoptes_detect::{CompileOptions, Explanation, Reason, RuleMeta, RuleSet};
use panoptes_engine::{LogFrame, Preparer};
use panoptes_intake::inputs::{Import, ImportConfig};
use panoptes_model::{BATCH_BYTES_MAX, Event, EventBatch, EventId, FrameId, Origin, RawBatch, sample_of};
use panoptes_store::StoreReader;
use panoptes_store::search::RecordReader;
use serde_json::{Value, json};

use super::drafts::{Drafts, find};
use super::evidence::{self, Sources};
use crate::cli::{ExplainArgs, Format, Global};
use crate::commands::Outcome;
use crate::console::Palette;
use crate::table::{Table, harmless};
use crate::{surroundings, time};

/// A condition with more text than this is cut in the text; the other formats have all of it.
const TEXT_CHARS_MAX: usize = 240;

pub(super) fn run(global: &Global, args: &ExplainArgs) -> anyhow::Result<Outcome> {
    surroundings::check_format(args.input_format.as_deref())?;
    let config = surroundings::config(global, Vec::new())?;
    let in_force = surroundings::rule_sources(&config, &[], true);
    let path = PathBuf::from(&args.rule);
    let drafts: Vec<PathBuf> = path.try_exists().unwrap_or(false).then_some(path).into_iter().collect();
    // Why a rule is quiet is asked of those that are switched off as well.
    let options = CompileOptions { keep_syntax: true, ..CompileOptions::default() };
    let set = Arc::new(Drafts::gather(&drafts, &in_force)?.compile_all(&options)?);
    let rules = explained(&set, &find(&set, &args.rule)?);
    let normalizer = surroundings::normalizer(&config, None)?;
    let preparer = surroundings::preparer(&config, normalizer, Arc::clone(&set))?;

    let mut told = Telling::new(args.format);
    let mut seen = 0;
    each_event(&config, args, &preparer, &mut |event| {
        if seen >= args.limit {
            return Ok(false);
        }
        seen += 1;
        for (index, meta) in &rules {
            if let Some(explanation) = set.explain(*index, event) {
                told.event(meta, event, &explanation)?;
            }
        }
        Ok(true)
    })?;
    told.finish()?;
    if seen == 0 {
        bail!("there is no event in {}", args.event);
    }
    if seen >= args.limit && args.limit > 1 {
        tracing::info!("stopped after {seen} events: --limit takes more");
    }
    Ok(Outcome::Fine)
}

/// The single-event rules behind `found`: of a correlation those that it counts. Each once, in the order of the set.
fn explained(set: &RuleSet, found: &[usize]) -> Vec<(usize, RuleMeta)> {
    let mut all: BTreeMap<usize, RuleMeta> = BTreeMap::new();
    let mut waiting = found.to_vec();
    while let Some(index) = waiting.pop() {
        let Some(meta) = set.rules().nth(index) else { continue };
        match set.correlation(index) {
            Some(correlation) => {
                let titles: Vec<String> = correlation
                    .members
                    .iter()
                    .filter_map(|it| set.rules().nth(*it))
                    .map(|it| format!("\"{}\"", it.summary.title))
                    .collect();
                let condition = match correlation.condition.as_str() {
                    "" => "all of".to_owned(),
                    words => format!("{words} of"),
                };
                let grouped = match correlation.group_by.join(", ") {
                    fields if fields.is_empty() => String::new(),
                    fields => format!(", counted by {fields}"),
                };
                tracing::info!(
                    "\"{}\" is a correlation ({}): {condition} {} within {}{grouped}; what it counts is explained",
                    meta.summary.title,
                    meta.kind,
                    titles.join(" and "),
                    correlation.timespan
                );
                waiting.extend(correlation.members);
            }
            None => drop(all.insert(index, meta.clone())),
        }
    }
    all.into_iter().collect()
}

/// Takes an event; false when it wants no more.
type Visit<'v> = dyn FnMut(Event<'_>) -> anyhow::Result<bool> + 'v;

/// Calls `visit` with each event that the user means.
fn each_event(config: &Config, args: &ExplainArgs, preparer: &Preparer, visit: &mut Visit<'_>) -> anyhow::Result<()> {
    let text = args.event.as_str();
    let is_file = || PathBuf::from(text).try_exists().unwrap_or(false);
    if text != "-" && !is_file() {
        return match text.parse::<EventId>() {
            Ok(id) => of_evidence(config, id, preparer, visit),
            Err(_) => of_line(args, preparer, visit),
        };
    }
    let paths = if text == "-" { Vec::new() } else { vec![PathBuf::from(text)] };
    let config = ImportConfig { paths, format: args.input_format.clone(), ..ImportConfig::default() };
    let mut import = Import::new(config, Arc::new(time::now));
    if text == "-" {
        import.add_reader("-", std::io::stdin());
    }
    for (number, item) in (1..).zip(import) {
        match item {
            Ok(records) => {
                let frame =
                    LogFrame { id: FrameId(number), now: time::now(), rules_epoch: 0, snapshots_epoch: 0, records };
                if !all_of(&preparer.normalize(frame), visit)? {
                    break;
                }
            }
            Err(problem) => {
                tracing::warn!("{}: {}", problem.path.display(), panoptes_stdx::ErrorChain(&problem.problem))
            }
        }
    }
    Ok(())
}

fn all_of(batch: &EventBatch, visit: &mut Visit<'_>) -> anyhow::Result<bool> {
    for event in batch.events() {
        if !visit(event)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One record that was typed.
fn of_line(args: &ExplainArgs, preparer: &Preparer, visit: &mut Visit<'_>) -> anyhow::Result<()> {
    if args.event.len() > BATCH_BYTES_MAX {
        bail!("the event is larger than {} MiB", BATCH_BYTES_MAX >> 20);
    }
    let mut records = RawBatch::new();
    let origin =
        Origin { input: "stdin".into(), source: "-".into(), format: args.input_format.clone(), ..Origin::default() };
    let origin = records.origin(&origin);
    let now = time::now();
    records.push(origin, now, 1, args.event.trim_end().as_bytes());
    let frame = LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records };
    all_of(&preparer.normalize(frame), visit).map(drop)
}

/// One event of the evidence.
fn of_evidence(config: &Config, id: EventId, preparer: &Preparer, visit: &mut Visit<'_>) -> anyhow::Result<()> {
    let key = crate::keys::for_reading(config)?;
    let reader = StoreReader::open(&config.data_dir, &key)
        .with_context(|| format!("cannot read the evidence in {}", config.data_dir.display()))?;
    let records = RecordReader::new(Arc::clone(&reader.disk), &key);
    let Some(rebuilt) = evidence::event(&reader, &records, &Sources::of(config), id)? else {
        bail!(
            "the evidence in {} has no event {id}; `panoptes search` shows ids as event.id",
            config.data_dir.display()
        );
    };
    let batch = preparer.normalize(rebuilt.frame);
    match batch.event(id.index as usize) {
        Some(event) => visit(event).map(drop),
        None => Ok(()),
    }
}

/// What is written, event by event.
struct Telling {
    format: Format,
    out: BufWriter<std::io::StdoutLock<'static>>,
    palette: Palette,
    all: Vec<Value>,
    table: Table,
    events: u64,
}

impl Telling {
    fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::new(std::io::stdout().lock()),
            palette: Palette::for_stdout(),
            all: Vec::new(),
            table: Table::new(["event", "rule", "fires", "depth", "holds", "condition", "event_field", "seen"]),
            events: 0,
        }
    }

    fn event(&mut self, rule: &RuleMeta, event: Event<'_>, it: &Explanation) -> anyhow::Result<()> {
        self.events += 1;
        match self.format {
            Format::Table => self.text(rule, event, it)?,
            Format::Jsonl => writeln!(self.out, "{}", json_of(rule, event, it))?,
            Format::Json => self.all.push(json_of(rule, event, it)),
            Format::Csv => {
                self.rows(rule, event, it.fires(), &it.conditions, 0);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Json => writeln!(self.out, "{}", serde_json::to_string_pretty(&self.all)?)?,
            Format::Csv => self.table.write(&mut self.out, Format::Csv)?,
            _ => {}
        }
        self.out.flush()?;
        Ok(())
    }

    fn rows(&mut self, rule: &RuleMeta, event: Event<'_>, fires: bool, reasons: &[Reason], depth: usize) {
        for reason in reasons {
            self.table.row(vec![
                json!(event.id().to_string()),
                json!(rule.summary.id),
                json!(fires),
                json!(depth),
                json!(reason.holds),
                json!(reason.text),
                json!(reason.event_field),
                json!(reason.seen),
            ]);
            self.rows(rule, event, fires, &reason.parts, depth + 1);
        }
    }

    fn text(&mut self, rule: &RuleMeta, event: Event<'_>, it: &Explanation) -> anyhow::Result<()> {
        let palette = self.palette;
        if self.events > 1 {
            writeln!(self.out)?;
        }
        let verdict = if it.fires() { palette.good("FIRES") } else { palette.bad("DOES NOT FIRE") };
        writeln!(
            self.out,
            "{verdict}  {}  {}",
            palette.bold(&harmless(&rule.summary.title)),
            palette.dim(&rule.summary.id)
        )?;
        let line = harmless(sample_of(event.original()).trim_end());
        writeln!(self.out, "  event       {}  {}", event.time(), palette.dim(&cut(&line)))?;
        match &it.log_source {
            Ok(sources) => {
                writeln!(self.out, "  log source  {}  {}", mark(true, palette), harmless(&sources.join(", ")))?
            }
            Err(reason) => writeln!(self.out, "  log source  {}  {}", mark(false, palette), harmless(reason))?,
        }
        let of_several = if it.conditions.len() > 1 { "  one of these" } else { "" };
        writeln!(self.out, "  condition   {}{of_several}", mark(it.matched, palette).trim_end())?;
        for reason in &it.conditions {
            self.reason(reason, 0, false)?;
        }
        Ok(())
    }

    fn reason(&mut self, reason: &Reason, depth: usize, is_negated: bool) -> anyhow::Result<()> {
        let palette = self.palette;
        let mut line = cut(&harmless(&reason.text));
        if let Some(field) = &reason.event_field {
            line.push_str(&palette.dim(&format!("  ({})", harmless(field))));
        }
        if reason.parts.is_empty() {
            match &reason.seen {
                Some(seen) => line.push_str(&format!("  saw {}", palette.bold(&format!("`{}`", cut(&harmless(seen)))))),
                None if is_about_a_field(reason) => line.push_str(&palette.dim("  the event has no such field")),
                None => {}
            }
        }
        let indent = "  ".repeat(depth);
        // Below a `not`, what holds is what speaks against the rule.
        let mark = if is_negated { plain_mark(reason.holds).to_owned() } else { mark(reason.holds, palette) };
        writeln!(self.out, "    {indent}{mark}  {line}")?;
        let is_negated = is_negated || reason.text == "not";
        for part in &reason.parts {
            self.reason(part, depth + 1, is_negated)?;
        }
        Ok(())
    }
}

/// A line of a selection, rather than a joint of several or a search through the whole text.
fn is_about_a_field(reason: &Reason) -> bool {
    reason.text.contains(": ") && !reason.text.contains(": the text contains ") && !reason.text.starts_with("any text")
}

fn plain_mark(holds: bool) -> &'static str {
    if holds { "yes" } else { "no " }
}

fn mark(holds: bool, palette: Palette) -> String {
    if holds { palette.good("yes") } else { palette.bad("no ") }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(TEXT_CHARS_MAX - 1).chain(['…']).collect()
}

fn json_of(rule: &RuleMeta, event: Event<'_>, it: &Explanation) -> Value {
    let (sources, reason) = match &it.log_source {
        Ok(sources) => (json!(sources), Value::Null),
        Err(reason) => (json!([]), json!(reason)),
    };
    json!({
        "rule": { "id": rule.summary.id, "title": rule.summary.title, "path": rule.path },
        "event": {
            "id": event.id().to_string(),
            "timestamp": event.time().to_string(),
            "original": sample_of(event.original()),
        },
        "fires": it.fires(),
        "log_source": { "fits": it.log_source.is_ok(), "through": sources, "reason": reason },
        "matched": it.matched,
        "conditions": it.conditions.iter().map(reason_json).collect::<Vec<_>>(),
    })
}

fn reason_json(reason: &Reason) -> Value {
    let mut value = json!({ "condition": reason.text, "holds": reason.holds });
    if let Value::Object(map) = &mut value {
        if let Some(seen) = &reason.seen {
            map.insert("seen".to_owned(), json!(seen));
        }
        if let Some(field) = &reason.event_field {
            map.insert("event_field".to_owned(), json!(field));
        }
        if !reason.parts.is_empty() {
            map.insert("parts".to_owned(), reason.parts.iter().map(reason_json).collect());
        }
    }
    value
}
