//! `panoptes normalize FILE [--explain]`.

use std::io::{BufRead, BufReader, Read, Write};

use anyhow::Context as _;
use panoptes_enrich::Enricher;
use panoptes_model::{BatchWriter, Event, FrameId, LogFrame, Origin, RawBatch, Schema, field};
use serde_json::{Map, Value, json};

use crate::cli::{Global, NormalizeArgs};
use crate::commands::Outcome;
use crate::enrichment::Enrichment;
use crate::{surroundings, time};

/// Longer lines are cut here; the rest of the line is skipped.
const LINE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn run(global: &Global, args: &NormalizeArgs) -> anyhow::Result<Outcome> {
    surroundings::check_format(args.input_format.as_deref())?;
    let config = surroundings::config(global, Vec::new())?;
    let normalizer = surroundings::normalizer(&config, args.time_zone.as_deref())?;
    let mut input: Box<dyn BufRead> = match args.path.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(BufReader::new(std::fs::File::open(path).with_context(|| format!("cannot read {path}"))?)),
    };
    let origin = Origin {
        input: "file".to_owned(),
        source: args.path.clone(),
        path: Some(args.path.clone()),
        format: args.input_format.clone(),
        time_zone: args.time_zone.clone(),
        ..Origin::default()
    };
    let mut schema = Schema::ecs();
    let snapshot = Enrichment::load(&config).snapshot();
    let enricher = Enricher::new(&mut schema, snapshot)?;
    let schema = std::sync::Arc::new(schema);
    let mut out = std::io::stdout().lock();
    let mut line = Vec::new();
    let mut number = 0;
    while args.limit.is_none_or(|limit| number < limit) {
        line.clear();
        if (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
        }
        number += 1;
        while line.last().is_some_and(|it| matches!(it, b'\n' | b'\r')) {
            line.pop();
        }
        let now = time::now();
        if args.explain {
            let text = String::from_utf8_lossy(&line);
            writeln!(out, "{}:{number}: {}", args.path, crate::table::harmless(&text))?;
            writeln!(out, "{}", normalizer.explain(&text, &origin, now))?;
        }
        let mut records = RawBatch::new();
        let index = records.origin(&origin);
        records.push(index, now, number as u64, &line);
        let frame = LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records };
        // How many fields the format made, before others were added.
        let mut own = 0;
        let mut enrich = enricher.batch();
        let batch = normalizer.normalize_with(&schema, frame, &mut |writer: &mut BatchWriter<'_>| {
            own = writer.field_count();
            enrich.complete(writer);
        });
        for event in batch.events() {
            if args.explain {
                tell_added(&mut out, event, own)?;
                continue;
            }
            let mut map = Map::new();
            map.insert("@timestamp".to_owned(), json!(event.time().to_string()));
            for (id, value) in event.fields() {
                map.entry(batch.field_name(id)).or_insert_with(|| value_json(value));
            }
            writeln!(out, "{}", Value::Object(map))?;
        }
    }
    Ok(Outcome::Fine)
}

/// What was known of the event's values from elsewhere, in the manner of [`panoptes_normalize::Explanation`].
fn tell_added(out: &mut impl Write, event: Event<'_>, own: usize) -> std::io::Result<()> {
    let added = || event.fields().skip(own).filter(|it| it.0 != field::PANOPTES_ANOMALY);
    let name = |id| event.batch().field_name(id);
    let width = added().map(|it| name(it.0).len()).max().unwrap_or(0);
    for (id, value) in added() {
        writeln!(out, "added  {:width$}  {}", name(id), crate::table::harmless(&value.to_text()))?;
    }
    Ok(())
}

fn value_json(value: panoptes_model::Value<'_>) -> Value {
    use panoptes_model::Value as Typed;
    match value {
        Typed::Null => Value::Null,
        Typed::Integer(number) => json!(number),
        Typed::Float(number) => json!(number),
        Typed::Boolean(flag) => json!(flag),
        Typed::List(list) => list.iter().map(value_json).collect(),
        Typed::Text(_) | Typed::Ip(_) | Typed::Timestamp(_) => json!(value.to_text()),
    }
}
