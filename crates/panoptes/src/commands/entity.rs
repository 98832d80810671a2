//! `panoptes entity USER|HOST|IP`: what the evidence and the catalogue know of one.

use std::io::Write;
use std::net::IpAddr;

use anyhow::{anyhow, bail};
use panoptes_catalog::{AlertFilter, AlertRecord, OpenMode};
use panoptes_model::{AlertState, Timestamp};
use panoptes_store::pivot::FieldValue;
use serde_json::{Value, json};

use super::asking::{Asking, number_of, quoted, text_of, time_of};
use crate::cli::{EntityArgs, Format, Global};
use crate::commands::Outcome;
use crate::console;
use crate::table::harmless;
use crate::{surroundings, time};

/// Where an address can be, a user, a host.
const ADDRESS_FIELDS: &[&str] = &["source.ip", "destination.ip", "client.ip", "server.ip", "host.ip"];
const USER_FIELDS: &[&str] = &["user.name", "user.target.name", "user.email", "source.user.name"];
const HOST_FIELDS: &[&str] = &["host.name", "host.hostname", "source.domain", "destination.domain"];
/// What is most frequent is listed of these.
const TOP_FIELDS: &[(&str, &str)] = &[
    ("event.action", "actions"),
    ("event.outcome", "outcomes"),
    ("source.ip", "from addresses"),
    ("source.geo.country_iso_code", "from countries"),
    ("destination.ip", "to addresses"),
    ("host.name", "on hosts"),
    ("user.name", "as users"),
    ("process.name", "programs"),
    ("event.dataset", "seen in"),
];
const TOP_MAX: usize = 5;
const ALERTS_MAX: usize = 20;
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

pub(super) fn run(global: &Global, args: &EntityArgs) -> anyhow::Result<Outcome> {
    if matches!(args.format, Format::Csv | Format::Jsonl) {
        bail!("what is known of an entity is no list: --format is table or json");
    }
    let since = time::parse_when(&args.since, time::now()).map_err(|it| anyhow!(it))?;
    let asking = Asking::open(global)?;
    let columns = asking.columns(Some(since))?;
    let (value, fields) = meant(&args.entity, &columns)?;
    let condition = if fields.is_empty() {
        "false".to_owned()
    } else {
        let parts: Vec<String> =
            fields.iter().map(|it| format!("matches(\"{it}\", {})", quoted(&exactly(&value)))).collect();
        format!("({})", parts.join(" or "))
    };
    let known = Known {
        totals: asking
            .rows(
                &format!("select count(*), min(\"@timestamp\"), max(\"@timestamp\") from events where {condition}"),
                Some(since),
            )?
            .into_iter()
            .next()
            .unwrap_or_default(),
        hours: counts(&asking, since, "date_part('hour', \"@timestamp\")", &condition, 24)?,
        days: counts(&asking, since, "date_part('dow', \"@timestamp\")", &condition, 7)?,
        top: tops(&asking, since, &columns, &condition, &fields)?,
        alerts: alerts(&asking, &fields, &value, since)?,
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&known.json(&value, &fields, since))?)?,
        _ => known.write(&mut out, &value, &fields, since)?,
    }
    Ok(Outcome::Fine)
}

/// The value, and the fields that it can be in.
fn meant(entity: &str, columns: &[String]) -> anyhow::Result<(String, Vec<String>)> {
    let there = |name: &str| columns.iter().any(|it| it == name);
    if let Some((field, value)) = entity.split_once('=') {
        if !there(field) {
            bail!("no event has a field `{field}` in this time; `panoptes search` shows the fields of events");
        }
        return Ok((value.to_owned(), vec![field.to_owned()]));
    }
    let candidates = match entity.parse::<IpAddr>() {
        Ok(_) => ADDRESS_FIELDS.to_vec(),
        Err(_) => [USER_FIELDS, HOST_FIELDS].concat(),
    };
    Ok((entity.to_owned(), candidates.into_iter().filter(|it| there(it)).map(str::to_owned).collect()))
}

/// As a query writes a value that is no pattern.
fn exactly(value: &str) -> String {
    if value.parse::<IpAddr>().is_ok() {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

fn counts(asking: &Asking, since: Timestamp, of: &str, condition: &str, length: usize) -> anyhow::Result<Vec<u64>> {
    let mut counts = vec![0; length];
    for row in asking
        .rows(&format!("select cast({of} as bigint), count(*) from events where {condition} group by 1"), Some(since))?
    {
        if let Some(count) = counts.get_mut(number_of(row.first()) as usize) {
            *count = number_of(row.get(1)) as u64;
        }
    }
    Ok(counts)
}

/// Of one field: its heading, and values with how often they came.
type Top = (&'static str, Vec<(String, u64)>);

fn tops(
    asking: &Asking,
    since: Timestamp,
    columns: &[String],
    condition: &str,
    own: &[String],
) -> anyhow::Result<Vec<Top>> {
    let mut tops = Vec::new();
    for (field, heading) in TOP_FIELDS {
        // Of itself there is nothing to tell.
        if !columns.iter().any(|it| it == field) || own.len() == 1 && own.first().is_some_and(|it| it == field) {
            continue;
        }
        let rows = asking.rows(
            &format!(
                "select \"{field}\", count(*) n from events where {condition} and \"{field}\" is not null group by 1 \
                 order by n desc, 1 limit {TOP_MAX}"
            ),
            Some(since),
        )?;
        let values: Vec<(String, u64)> =
            rows.iter().map(|row| (text_of(row.first()), number_of(row.get(1)) as u64)).collect();
        if !values.is_empty() {
            tops.push((*heading, values));
        }
    }
    Ok(tops)
}

fn alerts(asking: &Asking, fields: &[String], value: &str, since: Timestamp) -> anyhow::Result<Vec<AlertRecord>> {
    let key = crate::keys::for_reading(&asking.config)?;
    let catalog = surroundings::catalog(&asking.config, &key, OpenMode::Existing)?;
    let mut found: Vec<AlertRecord> = Vec::new();
    for field in fields {
        let records = catalog.list_alerts(&AlertFilter {
            states: AlertState::ALL.to_vec(),
            min_level: None,
            rule: None,
            entity: Some((field.clone(), value.to_owned())),
            since: Some(since),
            until: None,
            limit: ALERTS_MAX,
        })?;
        for record in records {
            if !found.iter().any(|it| it.alert.id == record.alert.id) {
                found.push(record);
            }
        }
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.alert.last_seen));
    found.truncate(ALERTS_MAX);
    Ok(found)
}

/// What there is to tell.
struct Known {
    totals: Vec<FieldValue>,
    hours: Vec<u64>,
    days: Vec<u64>,
    top: Vec<Top>,
    alerts: Vec<AlertRecord>,
}

impl Known {
    fn write(&self, out: &mut impl Write, value: &str, fields: &[String], since: Timestamp) -> anyhow::Result<()> {
        let events = number_of(self.totals.first()) as u64;
        writeln!(out, "{}", harmless(value))?;
        if events == 0 && self.alerts.is_empty() {
            writeln!(out, "  nothing is known since {since}, as user, host or address")?;
            return Ok(());
        }
        let seconds = |it: Option<&FieldValue>| {
            time_of(it).map(|it| Timestamp::from_seconds(it.as_seconds()).to_string()).unwrap_or_default()
        };
        let (first, last) = (seconds(self.totals.get(1)), seconds(self.totals.get(2)));
        writeln!(out, "  {events} events as {}, from {first} to {last}", fields.join(", "))?;
        for (heading, values) in &self.top {
            let values: Vec<String> =
                values.iter().map(|(name, count)| format!("{} ({count})", harmless(name))).collect();
            writeln!(out, "  {heading:<14}  {}", values.join(", "))?;
        }
        if events > 0 {
            writeln!(out, "  {:<14}  {}  0 h to 23 h, UTC", "hours", bars(&self.hours))?;
            let days: Vec<String> =
                DAYS.iter().zip(&self.days).filter(|(_, it)| **it > 0).map(|(day, it)| format!("{day} {it}")).collect();
            writeln!(out, "  {:<14}  {}", "days", days.join(", "))?;
        }
        for record in &self.alerts {
            let alert = &record.alert;
            let when = Timestamp::from_seconds(alert.last_seen.as_seconds());
            writeln!(
                out,
                "  alert  {}  {when}  {}  {} ({} times)",
                console::short_id(alert),
                alert.rule.level,
                harmless(&alert.rule.title),
                alert.count
            )?;
        }
        if self.alerts.is_empty() {
            writeln!(out, "  no alert names it")?;
        }
        Ok(())
    }

    fn json(&self, value: &str, fields: &[String], since: Timestamp) -> Value {
        let top: serde_json::Map<String, Value> = self
            .top
            .iter()
            .map(|(heading, values)| {
                let values: Vec<Value> =
                    values.iter().map(|(name, count)| json!({ "value": name, "events": count })).collect();
                ((*heading).to_owned(), json!(values))
            })
            .collect();
        let alerts: Vec<Value> = self
            .alerts
            .iter()
            .map(|it| {
                json!({
                    "id": it.alert.id.to_string(), "level": it.alert.rule.level, "rule": it.alert.rule.title,
                    "last_seen": it.alert.last_seen.to_string(), "count": it.alert.count,
                })
            })
            .collect();
        json!({
            "entity": value, "fields": fields, "since": since.to_string(),
            "events": number_of(self.totals.first()) as u64,
            "first_seen": time_of(self.totals.get(1)).map(|it| it.to_string()),
            "last_seen": time_of(self.totals.get(2)).map(|it| it.to_string()),
            "by_hour": self.hours, "by_weekday": self.days, "top": top, "alerts": alerts,
        })
    }
}

/// One bar for each count.
fn bars(counts: &[u64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut out = String::new();
    for count in counts {
        let height = (count * 8).div_ceil(most) as usize;
        out.push(height.checked_sub(1).and_then(|it| HEIGHTS.get(it)).copied().unwrap_or('·'));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_every_count_that_is_not_zero() {
        assert_eq!(bars(&[0, 1, 50, 100]), "·▁▄█");
        assert_eq!(bars(&[0, 0]), "··");
    }

    #[test]
    fn an_entity_is_looked_for_where_it_can_be() {
        let columns = ["source.ip", "user.name", "host.name", "a.b"].map(str::to_owned);
        let fields = |text: &str| meant(text, &columns).unwrap().1;
        assert_eq!(fields("203.0.113.9"), ["source.ip"]);
        assert_eq!(fields("alice"), ["user.name", "host.name"]);
        assert_eq!(fields("a.b=x"), ["a.b"]);
        assert!(meant("c.d=x", &columns).unwrap_err().to_string().contains("no event has a field `c.d`"));
    }

    #[test]
    fn values_are_no_patterns() {
        assert_eq!(exactly("a*\"b\\"), "\"a*\\\"b\\\\\"");
        assert_eq!(exactly("2001:db8::1"), "2001:db8::1");
    }
}
