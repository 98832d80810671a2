//! `panoptes search QUERY`, also beside a running instance: it reads what is on the disk and changes nothing.

mod chart;
mod summary;

use std::io::{BufWriter, Write};

use anyhow::anyhow;
use panoptes_model::Timestamp;
use panoptes_store::pivot::{FieldValue, Row};
use panoptes_store::search::{
    Ask, Found, Make, Order, Partial, QueryError, SearchRequest, SegmentError, Table as Answer, TableRequest, Then,
    Work,
};
use serde_json::{Value, json};

use self::summary::Summary;
use crate::cli::{Format, Global, SearchArgs};
use crate::commands::Outcome;
use crate::commands::asking::Asking;
use crate::console::Palette;
use crate::table::{Table, harmless};
use crate::time;

/// Fields that a table row shows beside time and message, in this order, where an event has them.
const SHOWN: [&str; 8] = [
    "host.name",
    "event.action",
    "event.outcome",
    "user.name",
    "source.ip",
    "http.response.status_code",
    "url.original",
    "log.level",
];
/// How many events `--fields` looks at; with more it is of the newest and says so.
const SUMMARY_EVENTS_MAX: usize = 10_000;

/// What there is to say beside the answer.
struct Told {
    warnings: Vec<SegmentError>,
    partial: Option<Partial>,
    work: Work,
    is_empty: bool,
    /// Times of the phases, in microseconds.
    phases: Vec<(&'static str, u64)>,
}

pub(super) fn run(global: &Global, args: &SearchArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let when = |text: &Option<String>| {
        text.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))
    };
    let (since, until) = (when(&args.since)?, when(&args.until)?);
    let mut ask: Ask = args.query.parse().map_err(|error: QueryError| anyhow!("{error}\n{}", error.pointer()))?;
    for note in &ask.notes {
        tracing::warn!("{note}");
    }
    if args.histogram {
        ask =
            ask.charted().ok_or_else(|| anyhow!("--histogram takes a query without commands; leave them or it out"))?;
    }
    let opening = time::stopwatch();
    let asking = Asking::open(global)?;
    let opened = opening.elapsed_micros();
    asking.end_early(match args.timeout {
        Some(timeout) => Some(timeout).filter(|it| !it.is_zero()),
        None => asking.config.store.query_time_max,
    });
    let mut out = BufWriter::new(std::io::stdout().lock());
    let times = Times { since, until, now };
    let searching = time::stopwatch();
    let mut told = match (&args.sql, &ask.then) {
        (Some(sql), _) => {
            let answer = asking.sql(sql, since, until)?;
            let searched = searching.elapsed_micros();
            if answer.is_cut {
                tracing::warn!("there are more than {} rows: ask for fewer with LIMIT", answer.rows.len());
            }
            write_answer(&mut out, &answer, args.format)?;
            Told::of(answer, searched)
        }
        (None, Then::Events { sort, fields, limit }) if !sort.is_empty() && !args.fields => {
            let fields = fields.clone().unwrap_or_else(|| {
                // Whole events cannot be sorted by anything; the columns that most have can.
                let fixed = ["@timestamp", "host.name"].into_iter().chain(sort.iter().map(|it| it.name.as_str()));
                fixed.chain(["message"]).map(str::to_owned).collect()
            });
            let make = Make::Events { fields, sort: sort.clone(), limit: limit.unwrap_or(args.limit) };
            let answer = asking.table(&times.table(&ask, make, &asking))?;
            let searched = searching.elapsed_micros();
            write_answer(&mut out, &answer, args.format)?;
            if answer.is_cut && limit.is_none() && args.format == Format::Table {
                tracing::info!("there are more: raise --limit (now {})", args.limit);
            }
            Told::of(answer, searched)
        }
        (None, Then::Events { fields, limit, .. }) => {
            let limit = if args.fields { SUMMARY_EVENTS_MAX } else { limit.unwrap_or(args.limit) };
            let request = SearchRequest {
                query: ask.query.clone(),
                since,
                until,
                now: Some(now),
                limit,
                order: Order::NewestFirst,
                stop: asking.stop().clone(),
            };
            let mut found = asking.search(&request)?;
            let searched = searching.elapsed_micros();
            let is_empty = found.is_empty();
            let reading = time::stopwatch();
            match (args.fields, fields) {
                (true, _) => summarise(&mut out, &mut found, args.format)?,
                (false, Some(fields)) => write_fields(&mut out, &mut found, fields, args.format, &asking)?,
                (false, None) => write_events(&mut out, &mut found, args.format, &asking)?,
            }
            if found.is_cut() && !args.fields && args.format == Format::Table {
                tracing::info!("there are more: raise --limit (now {limit})");
            }
            Told {
                warnings: found.warnings().to_vec(),
                partial: found.partial(),
                work: *found.work(),
                is_empty,
                phases: vec![("searching", searched), ("reading events", reading.elapsed_micros())],
            }
        }
        (None, Then::Aggregate(aggregate, rest)) => {
            if args.fields {
                return Err(anyhow!("--fields takes a query without commands that count; leave them or it out"));
            }
            let answer = asking.table(&times.table(&ask, Make::Groups(aggregate.clone(), rest.clone()), &asking))?;
            let searched = searching.elapsed_micros();
            if answer.is_cut {
                tracing::warn!("there are more than {} rows: use top, where or a coarser interval", answer.rows.len());
            }
            match aggregate.time.is_some() && args.format == Format::Table {
                true => chart::write(&mut out, &answer)?,
                false => write_answer(&mut out, &answer, args.format)?,
            }
            Told::of(answer, searched)
        }
    };
    out.flush()?;
    told.phases.insert(0, ("opening", opened));
    for warning in &told.warnings {
        tracing::warn!("{}; its events are missing from the answer", panoptes_stdx::ErrorChain(warning));
    }
    if let Some(Partial { reason, complete_since }) = told.partial {
        let covered = match complete_since {
            Some(since) => format!("it has everything from {since} on, and of what is older a part or nothing"),
            None => "of no time it is certain to have everything".to_owned(),
        };
        tracing::warn!("the answer is not complete, {}: {covered}", reason.as_str());
    }
    // Where something was found, a name that only an overflow has would be called unknown.
    if args.sql.is_none() && (told.is_empty || args.query.contains(['-', '!']) || args.query.contains("NOT")) {
        for unknown in asking.unknown_fields(&ask.fields(), since, until) {
            let hint = match unknown.nearest.as_slice() {
                [] => "`panoptes search --fields` lists those there are".to_owned(),
                names => format!("did you mean {}?", names.join(" or ")),
            };
            tracing::warn!("no event has a field `{}`; {hint}", unknown.name);
        }
    }
    if args.explain {
        explain(&told);
    }
    Ok(Outcome::Fine)
}

struct Times {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
}

impl Times {
    fn table(&self, ask: &Ask, make: Make, asking: &Asking) -> TableRequest {
        TableRequest {
            query: ask.query.clone(),
            make,
            since: self.since,
            until: self.until,
            now: Some(self.now),
            stop: asking.stop().clone(),
        }
    }
}

impl Told {
    fn of(answer: Answer, searched: u64) -> Self {
        Self {
            is_empty: answer.rows.is_empty(),
            warnings: answer.warnings,
            partial: answer.partial,
            work: answer.work,
            phases: vec![("searching", searched)],
        }
    }
}

fn explain(told: &Told) {
    let Work {
        events_in_memory,
        segments,
        segments_in_time,
        segments_opened,
        pruning,
        row_groups_read,
        row_groups_pruned,
        rows_read,
        rows_matched,
        bytes_read,
        bytes_opened,
    } = told.work;
    tracing::info!(
        "segments: {segments}, of these {segments_in_time} in the time asked for, {} left out by their words, {segments_opened} opened",
        pruning.segments
    );
    tracing::info!(
        "row groups of those opened: {row_groups_read} read, {row_groups_pruned} left out by their statistics and filters"
    );
    tracing::info!(
        "rows: about {rows_read} read, {rows_matched} matched; {events_in_memory} events not in segments yet"
    );
    tracing::info!("bytes: {bytes_read} read from the disk, {bytes_opened} decrypted");
    let phases: Vec<String> = told
        .phases
        .iter()
        .map(|(name, micros)| format!("{name} {}.{:03} ms", micros / 1_000, micros % 1_000))
        .collect();
    tracing::info!("time: {}", phases.join(", "));
}

fn write_events(out: &mut impl Write, found: &mut Found, format: Format, asking: &Asking) -> anyhow::Result<()> {
    let count = found.len();
    let mut csv = Table::new(["timestamp", "id", "source", "message", "original"]);
    let mut all = Vec::new();
    let palette = Palette::for_stdout();
    while let Some(rows) = found.next_rows()? {
        for row in &rows {
            match format {
                Format::Table => write_row(out, row, palette)?,
                Format::Jsonl => writeln!(out, "{}", row.to_json())?,
                Format::Json => all.push(serde_json::from_str::<Value>(&row.to_json())?),
                Format::Csv => csv.row(vec![
                    json!(row.time.to_string()),
                    json!(row.id.to_string()),
                    json!(text_of(row, "panoptes.source")),
                    json!(text_of(row, "message")),
                    json!(text_of(row, "event.original")),
                ]),
            }
        }
        if interrupted(asking, found) {
            break;
        }
    }
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?,
        Format::Csv => csv.write(out, Format::Csv)?,
        Format::Table if count == 0 => writeln!(out, "{}", nothing(found))?,
        _ => {}
    }
    Ok(())
}

/// Whoever asked has seen enough while events were still being read.
fn interrupted(asking: &Asking, found: &Found) -> bool {
    let is_over = asking.stop().reason().is_some() && found.partial().is_none() && !found.is_empty();
    if is_over {
        tracing::warn!("ended early: {} more events were found", found.len());
    }
    is_over
}

fn write_fields(
    out: &mut impl Write,
    found: &mut Found,
    fields: &[String],
    format: Format,
    asking: &Asking,
) -> anyhow::Result<()> {
    let mut table = Table::new(fields.iter().map(String::as_str));
    while let Some(rows) = found.next_rows()? {
        for row in &rows {
            let values = fields.iter().map(|it| row.get(it).map_or(Ok(Value::Null), value));
            table.row(values.collect::<anyhow::Result<_>>()?);
        }
        if interrupted(asking, found) {
            break;
        }
    }
    if table.is_empty() && format == Format::Table {
        writeln!(out, "{}", nothing(found))?;
    }
    table.write(out, format)
}

/// What is said instead of events.
fn nothing(found: &Found) -> &'static str {
    if found.partial().is_some() { "no event found so far" } else { "no event matches" }
}

fn summarise(out: &mut impl Write, found: &mut Found, format: Format) -> anyhow::Result<()> {
    let is_cut = found.is_cut();
    let mut summary = Summary::default();
    while let Some(rows) = found.next_rows()? {
        rows.iter().for_each(|it| summary.add(it));
    }
    if is_cut {
        tracing::warn!("of the newest {} events only: more match", summary.events());
    }
    if summary.events() == 0 && format == Format::Table {
        writeln!(out, "{}", nothing(found))?;
    }
    summary.table().write(out, format)
}

fn text_of(row: &Row, name: &str) -> String {
    row.get(name).map(plain).unwrap_or_default()
}

/// A value as people read it.
pub(super) fn plain(value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text) => text.clone(),
        FieldValue::Null => String::new(),
        FieldValue::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => {
            let mut out = String::new();
            other.write_json(&mut out);
            out.trim_matches('"').to_owned()
        }
    }
}

/// `time  field=value …  message`, one line an event.
pub(super) fn write_row(out: &mut impl Write, row: &Row, palette: Palette) -> anyhow::Result<()> {
    write_line(out, &row.time.to_string(), |name| text_of(row, name), palette)
}

/// The same for an event as JSON.
pub(super) fn write_json_row(
    out: &mut impl Write,
    fields: &serde_json::Map<String, Value>,
    palette: Palette,
) -> anyhow::Result<()> {
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => crate::table::plain(other),
    };
    write_line(out, &text("@timestamp"), text, palette)
}

fn write_line(out: &mut impl Write, time: &str, text: impl Fn(&str) -> String, palette: Palette) -> anyhow::Result<()> {
    let mut fields = String::new();
    for name in SHOWN {
        let value = text(name);
        if !value.is_empty() {
            fields.push_str(&format!("{name}={} ", harmless(&value)));
        }
    }
    let mut message = text("message");
    if message.is_empty() {
        message = text("event.original");
    }
    writeln!(out, "{}  {}{}", palette.bold(&harmless(time)), palette.dim(&fields), harmless(message.trim_end()))?;
    Ok(())
}

fn value(value: &FieldValue) -> anyhow::Result<Value> {
    let mut text = String::new();
    value.write_json(&mut text);
    Ok(serde_json::from_str(&text)?)
}

fn write_answer(out: &mut impl Write, answer: &Answer, format: Format) -> anyhow::Result<()> {
    let mut table = Table::new(answer.columns.iter().map(String::as_str));
    for row in &answer.rows {
        table.row(row.iter().map(value).collect::<anyhow::Result<_>>()?);
    }
    if table.is_empty() && format == Format::Table {
        writeln!(out, "no rows")?;
    }
    table.write(out, format)
}
