//! `panoptes tail [QUERY]`: events as they come, pushed by the running instance.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use panoptes_store::search::{Order, Query, QueryError, SearchRequest};
use serde_json::{Map, Value};

use super::asking::Asking;
use super::search::{write_json_row, write_row};
use crate::cli::{Format, Global, TailArgs};
use crate::commands::Outcome;
use crate::console::Palette;
use crate::live::{Message, Wire, WireError, socket_path};
use crate::{surroundings, time};

/// An instance that says nothing for so long, not even that there is nothing, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How many events from before may be asked for.
const BEFORE_MAX: usize = 100_000;

pub(super) fn run(global: &Global, args: &TailArgs) -> anyhow::Result<Outcome> {
    if !matches!(args.format, Format::Table | Format::Jsonl) {
        bail!("tail has no end: its formats are table and jsonl");
    }
    let query: Query = args.query.parse().map_err(|error: QueryError| anyhow!("{error}\n{}", error.pointer()))?;
    let config = surroundings::config(global, Vec::new())?;
    let key = crate::keys::for_reading(&config)?;
    let stream = connect(&config.data_dir)?;
    let mut wire = Wire::join(stream, &key).map_err(|error| gone(error, &config.data_dir))?;
    wire.send(&Message::Ask { query: args.query.clone() })?;
    match wire.receive().map_err(|error| gone(error, &config.data_dir))? {
        Message::Begun => {}
        Message::Refused { problem } => bail!("the running instance refuses: {problem}"),
        Message::Ask { .. } | Message::Events { .. } => bail!("the running instance answers out of turn"),
    }
    let mut shown = Shown { format: args.format, palette: Palette::for_stdout(), left: args.limit };
    // The tap is open: what comes meanwhile waits there, so that nothing falls between the two.
    let before = if args.lines > 0 { shown.before(global, args, query)? } else { HashSet::new() };
    while shown.left != Some(0) {
        let message = match wire.receive() {
            Ok(message) => message,
            Err(WireError::Ended(_)) => {
                tracing::info!("the instance has stopped");
                return Ok(Outcome::Fine);
            }
            Err(error) => return Err(error.into()),
        };
        let Message::Events { events, dropped } = message else { continue };
        if dropped > 0 {
            tracing::warn!(
                "{dropped} events passed by unseen: they came quicker than they could be shown; `panoptes search` has them"
            );
        }
        for event in events {
            let fields: Map<String, Value> = serde_json::from_str(event.get())?;
            let is_known = fields.get("event.id").and_then(Value::as_str).is_some_and(|it| before.contains(it));
            if !is_known && shown.left != Some(0) {
                shown.event(event.get(), &fields)?;
            }
        }
    }
    Ok(Outcome::Fine)
}

fn connect(data_dir: &Path) -> anyhow::Result<UnixStream> {
    let path = socket_path(data_dir);
    let stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "no instance is running on {}: start one with `panoptes run`, or look at what there is with `panoptes search`",
            data_dir.display()
        )
    })?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

fn gone(error: WireError, data_dir: &Path) -> anyhow::Error {
    let context = format!("the instance on {} does not let this tail in", data_dir.display());
    anyhow::Error::new(error).context(context)
}

struct Shown {
    format: Format,
    palette: Palette,
    /// How many more events are wanted.
    left: Option<usize>,
}

impl Shown {
    /// The last events there are; gives their ids.
    fn before(&mut self, global: &Global, args: &TailArgs, query: Query) -> anyhow::Result<HashSet<String>> {
        let asking = Asking::open(global)?;
        let limit = args.lines.min(BEFORE_MAX);
        let now = Some(time::now());
        let mut found =
            asking.search(&SearchRequest { now, order: Order::NewestFirst, ..SearchRequest::new(query, limit) })?;
        let mut rows = found.all_rows()?;
        rows.reverse();
        let mut out = std::io::stdout().lock();
        for row in &rows {
            match self.format {
                Format::Jsonl => writeln!(out, "{}", row.to_json())?,
                _ => write_row(&mut out, row, self.palette)?,
            }
        }
        out.flush()?;
        Ok(rows.iter().map(|it| it.id.to_string()).collect())
    }

    fn event(&mut self, text: &str, fields: &Map<String, Value>) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.format {
            Format::Jsonl => writeln!(out, "{text}")?,
            _ => write_json_row(&mut out, fields, self.palette)?,
        }
        out.flush()?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        Ok(())
    }
}
