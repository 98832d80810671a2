//! `panoptes search QUERY`, also beside a running instance: it reads what is on the disk and changes nothing.

use std::io::{BufWriter, Write};

use anyhow::anyhow;
use panoptes_store::pivot::{FieldValue, Row};
use panoptes_store::search::{Order, Query, SearchRequest, Stop};
use serde_json::{Value, json};

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

pub(super) fn run(global: &Global, args: &SearchArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let when = |text: &Option<String>| {
        text.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))
    };
    let (since, until) = (when(&args.since)?, when(&args.until)?);
    let query: Query = args
        .query
        .parse()
        .map_err(|error: panoptes_store::search::QueryError| anyhow!("{error}\n{}", error.pointer()))?;
    let asking = Asking::open(global)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (warnings, cut) = match &args.sql {
        Some(sql) => {
            let answer = asking.sql(sql, since, until)?;
            write_sql(&mut out, &answer, args.format)?;
            (answer.warnings, answer.is_cut)
        }
        None => {
            let request = SearchRequest {
                query,
                since,
                until,
                now: Some(now),
                limit: args.limit,
                order: Order::NewestFirst,
                stop: Stop::default(),
            };
            let mut found = asking.search(&request)?;
            let count = found.len();
            let mut csv = Table::new(["timestamp", "id", "source", "message", "original"]);
            let mut all = Vec::new();
            let palette = Palette::for_stdout();
            while let Some(rows) = found.next_rows()? {
                for row in &rows {
                    match args.format {
                        Format::Table => write_row(&mut out, row, palette)?,
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
            }
            match args.format {
                Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?,
                Format::Csv => csv.write(&mut out, Format::Csv)?,
                Format::Table if count == 0 => writeln!(out, "no event matches")?,
                _ => {}
            }
            if args.explain {
                tracing::info!(
                    "{count} events; {} of {} segments looked into, {} events not in segments yet",
                    found.segments_searched(),
                    asking.reader.segments.len(),
                    asking.hot_events()
                );
            }
            (found.warnings().to_vec(), found.is_cut())
        }
    };
    out.flush()?;
    for warning in &warnings {
        tracing::warn!("{}; its events are missing from the answer", panoptes_stdx::ErrorChain(warning));
    }
    if cut && args.format == Format::Table {
        tracing::info!("there are more: raise --limit (now {})", args.limit);
    }
    Ok(Outcome::Fine)
}

fn text_of(row: &Row, name: &str) -> String {
    row.get(name).map(plain).unwrap_or_default()
}

fn plain(value: &FieldValue) -> String {
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
fn write_row(out: &mut impl Write, row: &Row, palette: Palette) -> anyhow::Result<()> {
    let mut fields = String::new();
    for name in SHOWN {
        let value = text_of(row, name);
        if !value.is_empty() {
            fields.push_str(&format!("{name}={} ", harmless(&value)));
        }
    }
    let mut message = text_of(row, "message");
    if message.is_empty() {
        message = text_of(row, "event.original");
    }
    writeln!(out, "{}  {}{}", palette.bold(&row.time.to_string()), palette.dim(&fields), harmless(message.trim_end()))?;
    Ok(())
}

fn write_sql(out: &mut impl Write, answer: &panoptes_store::search::Table, format: Format) -> anyhow::Result<()> {
    let values = |row: &Vec<FieldValue>| -> anyhow::Result<Vec<Value>> {
        row.iter()
            .map(|it| {
                let mut text = String::new();
                it.write_json(&mut text);
                Ok(serde_json::from_str(&text)?)
            })
            .collect()
    };
    let mut table = Table::new(answer.columns.iter().map(String::as_str));
    for row in &answer.rows {
        table.row(values(row)?);
    }
    if table.is_empty() && format == Format::Table {
        writeln!(out, "no rows")?;
    }
    table.write(out, format)
}
