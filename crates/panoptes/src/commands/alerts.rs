//! `panoptes alerts list | show | ack | resolve | reopen | stats`.

use std::io::Write;

use anyhow::{Context as _, anyhow};
use panoptes_catalog::blocking::Catalog;
use panoptes_catalog::{AlertDetails, AlertFilter, AlertRecord, AlertStats, OpenMode};
use panoptes_model::AlertState;
use serde_json::{Value, json};

use crate::cli::{AlertsCommand, AlertsListArgs, Format, Global};
use crate::commands::Outcome;
use crate::console::{self, Palette};
use crate::table::{Table, harmless};
use crate::{surroundings, time};

pub(super) fn run(global: &Global, command: &AlertsCommand) -> anyhow::Result<Outcome> {
    let catalog = open(global)?;
    let (now, actor) = (time::now(), surroundings::actor());
    let mut out = std::io::stdout().lock();
    match command {
        AlertsCommand::List(args) => list(&mut out, &catalog, args)?,
        AlertsCommand::Show { id, format } => show(&mut out, &catalog.alert(id)?, *format)?,
        AlertsCommand::Ack { id, note } => told(&mut out, &catalog.acknowledge(id, note.as_deref(), &actor, now)?)?,
        AlertsCommand::Resolve { id, reason, note } => {
            told(&mut out, &catalog.resolve(id, *reason, note.as_deref(), &actor, now)?)?;
        }
        AlertsCommand::Reopen { id, note } => told(&mut out, &catalog.reopen(id, note.as_deref(), &actor, now)?)?,
        AlertsCommand::Stats { since, format } => {
            let since = since.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))?;
            stats(&mut out, &catalog.stats(since)?, *format)?;
        }
    }
    Ok(Outcome::Fine)
}

fn open(global: &Global) -> anyhow::Result<Catalog> {
    let config = surroundings::config(global, Vec::new())?;
    let key = crate::keys::for_reading(&config)?;
    surroundings::catalog(&config, &key, OpenMode::Existing)
}

fn list(out: &mut impl Write, catalog: &Catalog, args: &AlertsListArgs) -> anyhow::Result<()> {
    let now = time::now();
    let when = |text: &Option<String>| {
        text.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))
    };
    let states = match (args.all, args.state.is_empty()) {
        (true, _) => AlertState::ALL.to_vec(),
        (false, true) => vec![AlertState::Open, AlertState::Acknowledged],
        (false, false) => args.state.clone(),
    };
    let entity = args
        .entity
        .as_deref()
        .map(|text| {
            let (field, value) = text
                .split_once('=')
                .with_context(|| format!("`{text}` is not FIELD=VALUE; write for example source.ip=203.0.113.9"))?;
            anyhow::Ok((field.to_owned(), value.to_owned()))
        })
        .transpose()?;
    let filter = AlertFilter {
        states,
        min_level: args.level,
        rule: args.rule.clone(),
        entity,
        since: when(&args.since)?,
        until: when(&args.until)?,
        limit: args.limit as usize,
    };
    let records = catalog.list_alerts(&filter)?;
    if args.format == Format::Table {
        if records.is_empty() {
            writeln!(out, "no alerts match")?;
            return Ok(());
        }
        let mut table = Table::new(["id", "level", "state", "last seen", "count", "rule", "who"]);
        for record in &records {
            let alert = &record.alert;
            table.row(vec![
                json!(console::short_id(alert)),
                json!(alert.rule.level),
                json!(state_text(record)),
                json!(panoptes_model::Timestamp::from_seconds(alert.last_seen.as_seconds()).to_string()),
                json!(alert.count),
                json!(alert.rule.title),
                json!(alert.entities.iter().map(|it| it.value.clone()).collect::<Vec<_>>()),
            ]);
        }
        table.write(out, Format::Table)?;
        if records.len() == filter.limit {
            writeln!(out, "(the newest {}; more with --limit)", filter.limit)?;
        }
        return Ok(());
    }
    if args.format == Format::Csv {
        let mut table = Table::new([
            "id",
            "level",
            "state",
            "resolution",
            "first_seen",
            "last_seen",
            "count",
            "rule_id",
            "rule",
            "entities",
        ]);
        for record in &records {
            let alert = &record.alert;
            table.row(vec![
                json!(alert.id.to_string()),
                json!(alert.rule.level),
                json!(record.state),
                json!(record.resolution),
                json!(alert.first_seen.to_string()),
                json!(alert.last_seen.to_string()),
                json!(alert.count),
                json!(alert.rule.id),
                json!(alert.rule.title),
                json!(alert.entities.iter().map(|it| format!("{}={}", it.field, it.value)).collect::<Vec<_>>()),
            ]);
        }
        return table.write(out, Format::Csv);
    }
    let values: Vec<Value> = records.iter().map(record_json).collect();
    write_json(out, &values, args.format)
}

fn write_json(out: &mut impl Write, values: &[Value], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        writeln!(out, "{}", serde_json::to_string_pretty(values)?)?;
    } else {
        for value in values {
            writeln!(out, "{value}")?;
        }
    }
    Ok(())
}

fn state_text(record: &AlertRecord) -> String {
    match record.resolution {
        Some(resolution) => format!("{} ({resolution})", record.state),
        None => record.state.to_string(),
    }
}

fn record_json(record: &AlertRecord) -> Value {
    let mut value = console::alert_json(&record.alert);
    if let Value::Object(map) = &mut value {
        map.insert("state".to_owned(), json!(record.state));
        map.insert("resolution".to_owned(), json!(record.resolution));
        map.insert("assignee".to_owned(), json!(record.assignee));
    }
    value
}

fn show(out: &mut impl Write, details: &AlertDetails, format: Format) -> anyhow::Result<()> {
    let AlertDetails { record, history } = details;
    if format != Format::Table {
        let mut value = record_json(record);
        if let Value::Object(map) = &mut value {
            let history: Vec<Value> = history
                .iter()
                .map(|it| {
                    json!({ "at": it.at.to_string(), "what": it.kind.as_str(), "actor": it.actor,
                            "resolution": it.resolution, "note": it.note })
                })
                .collect();
            map.insert("history".to_owned(), Value::Array(history));
        }
        return write_json(out, &[value], format);
    }
    let (alert, palette) = (&record.alert, Palette::for_stdout());
    writeln!(out, "{} {}", palette.severity(alert.rule.level), palette.bold(&alert.rule.title))?;
    let mut line = |name: &str, text: String| writeln!(out, "  {name:<11}{text}");
    line("alert", alert.id.to_string())?;
    line("rule", format!("{}  {}", alert.rule.id, console::techniques(&alert.rule.tags).join(" ")))?;
    line("state", state_text(record))?;
    line("who", console::entities_text(&alert.entities))?;
    if !alert.context.is_empty() {
        line("with", console::entities_text(&alert.context))?;
    }
    line("when", console::span_text(alert.first_seen, alert.last_seen))?;
    line("how often", format!("{} events in {} findings", alert.count, alert.findings))?;
    line("why", harmless(&alert.reason))?;
    line("source", harmless(&alert.source))?;
    line("evidence", harmless(alert.sample.trim_end()))?;
    line("events", alert.events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))?;
    if !history.is_empty() {
        writeln!(out, "\nhistory")?;
        for entry in history {
            let actor = entry.actor.as_deref().unwrap_or("panoptes");
            let resolution = entry.resolution.map(|it| format!(" as {it}")).unwrap_or_default();
            let note = entry.note.as_deref().map(|it| format!(": {}", harmless(it))).unwrap_or_default();
            let at = panoptes_model::Timestamp::from_seconds(entry.at.as_seconds());
            writeln!(out, "  {at}  {actor} {}{resolution}{note}", entry.kind.as_str())?;
        }
    }
    writeln!(out, "\nnext")?;
    let id = console::short_id(alert);
    for entity in &alert.entities {
        writeln!(out, "  panoptes search '{}:\"{}\"' --since 7d", entity.field, harmless(&entity.value))?;
    }
    match record.state {
        AlertState::Resolved => writeln!(out, "  panoptes alerts reopen {id}")?,
        _ => {
            writeln!(out, "  panoptes alerts ack {id}")?;
            writeln!(out, "  panoptes alerts resolve {id} --reason true-positive --note \"…\"")?;
        }
    }
    Ok(())
}

fn told(out: &mut impl Write, record: &AlertRecord) -> anyhow::Result<()> {
    writeln!(out, "{}  {}  {}", console::short_id(&record.alert), state_text(record), record.alert.rule.title)?;
    Ok(())
}

fn stats(out: &mut impl Write, stats: &AlertStats, format: Format) -> anyhow::Result<()> {
    if format == Format::Json || format == Format::Jsonl {
        let value = json!({
            "alerts": stats.alerts,
            "events": stats.events,
            "by_level": stats.by_level.iter().map(|(level, n)| (level.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
            "by_state": stats.by_state.iter().map(|(state, n)| (state.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
            "by_resolution": stats.by_resolution.iter().map(|(it, n)| (it.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
            "by_rule": stats.by_rule.iter().map(|it| json!({ "id": it.rule_id, "title": it.title, "level": it.level, "alerts": it.alerts, "events": it.events })).collect::<Vec<_>>(),
            "top_entities": stats.top_entities.iter().map(|it| json!({ "field": it.entity.field, "value": it.entity.value, "alerts": it.alerts, "events": it.events })).collect::<Vec<_>>(),
            "mean_seconds_to_acknowledge": stats.mean_seconds_to_acknowledge,
            "mean_seconds_to_resolve": stats.mean_seconds_to_resolve,
        });
        return write_json(out, &[value], if format == Format::Json { Format::Jsonl } else { format });
    }
    let mut table = Table::new(["kind", "what", "alerts", "events"]);
    for (level, alerts) in &stats.by_level {
        table.row(vec![json!("level"), json!(level), json!(alerts), Value::Null]);
    }
    for (state, alerts) in &stats.by_state {
        table.row(vec![json!("state"), json!(state), json!(alerts), Value::Null]);
    }
    for (resolution, alerts) in &stats.by_resolution {
        table.row(vec![json!("resolution"), json!(resolution), json!(alerts), Value::Null]);
    }
    for rule in &stats.by_rule {
        table.row(vec![json!("rule"), json!(rule.title), json!(rule.alerts), json!(rule.events)]);
    }
    for top in &stats.top_entities {
        let what = format!("{} {}", top.entity.field, top.entity.value);
        table.row(vec![json!("entity"), json!(what), json!(top.alerts), json!(top.events)]);
    }
    table.write(out, format)?;
    if format == Format::Table {
        writeln!(out, "\n{} alerts on {} events", stats.alerts, stats.events)?;
        let mut mean = |name: &str, seconds: Option<f64>| match seconds {
            Some(seconds) => writeln!(out, "mean time to {name}: {}", console::age_text(seconds as i64)),
            None => Ok(()),
        };
        mean("acknowledge", stats.mean_seconds_to_acknowledge)?;
        mean("resolve", stats.mean_seconds_to_resolve)?;
    }
    Ok(())
}
