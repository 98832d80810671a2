//! `panoptes sources`: how each source of logs is doing, by what the evidence has of it.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::anyhow;
use panoptes_model::Timestamp;
use serde_json::json;

use super::asking::{Asking, number_of, text_of, time_of};
use crate::cli::{Format, Global, SourcesArgs};
use crate::commands::Outcome;
use crate::table::{Table, harmless};
use crate::time;

const HOUR: i64 = 3_600;
/// A source is silent if it is so many times longer quiet than it ever was before,
const SILENT_TIMES: i64 = 3;
/// and longer than this, in seconds.
const SILENT_SECONDS_MIN: i64 = 2 * HOUR;
/// With fewer hours of history nothing can be said of what is usual.
const HISTORY_HOURS_MIN: usize = 12;
/// Today's rate is strange if it is so many times the usual, or less than one in so many.
const RATE_TIMES: f64 = 5.0;
/// A source of which more than this share is not understood says so.
const UNPARSED_SHARE_MAX: f64 = 0.2;
/// Events that took longer than this from happening to arriving, in seconds on average, say so.
const LAG_SECONDS_MAX: f64 = 15.0 * 60.0;

/// What was counted of one source.
#[derive(Default)]
struct Source {
    input: String,
    events: f64,
    unparsed: f64,
    lag_seconds: f64,
    last_seen: Option<Timestamp>,
    /// Events by hour, numbered since 1970: received then.
    hours: BTreeMap<i64, f64>,
    /// Records that are no events: by what happened to them and why.
    lost: BTreeMap<(bool, String), u64>,
}

pub(super) fn run(global: &Global, args: &SourcesArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let since = time::parse_when(&args.since, now).map_err(|it| anyhow!(it))?;
    let asking = Asking::open(global)?;
    let columns = asking.columns(Some(since))?;
    let has = |name: &str| columns.iter().any(|it| it == name);
    // What no format understood is its own message, as plain text.
    let unparsed = if has("message") && has("event.dataset") {
        "(\"message\" = \"event.original\" and \"event.dataset\" = 'plain')"
    } else {
        "false"
    };
    let mut sources = counted(&asking, since, unparsed)?;
    add_losses(&mut sources, &asking, since)?;
    let mut out = std::io::stdout().lock();
    if sources.is_empty() {
        writeln!(out, "no event since {since}")?;
        return Ok(Outcome::Fine);
    }
    let names = ["source", "input", "state", "last seen", "events", "per hour", "usual", "unparsed", "lag", "lost"];
    let mut table = Table::new(names);
    for (name, source) in &sources {
        let (recent, usual) = source.rates(now);
        let round = |number: f64| {
            if number < 10.0 { json!((number * 10.0).round() / 10.0) } else { json!(number.round() as u64) }
        };
        let last_seen = source.last_seen.map(|it| Timestamp::from_seconds(it.as_seconds()).to_string());
        let state = source.state(now);
        let is_table = args.format == Format::Table;
        table.row(vec![
            json!(name),
            json!(source.input),
            json!(state),
            json!(last_seen),
            json!(source.events as u64),
            round(recent),
            usual.map_or(serde_json::Value::Null, round),
            if is_table { json!(percent(source.unparsed_share())) } else { json!(source.unparsed_share()) },
            if is_table { json!(short_seconds(source.lag())) } else { json!(source.lag().round()) },
            json!(source.lost.values().sum::<u64>()),
        ]);
    }
    table.write(&mut out, args.format)?;
    if args.examples > 0 {
        examples(&mut out, &asking, since, unparsed, args)?;
    }
    if args.format == Format::Table {
        write_losses(&mut out, &sources)?;
        writeln!(out, "\nsince {since}")?;
    }
    Ok(Outcome::Fine)
}

fn counted(asking: &Asking, since: Timestamp, unparsed: &str) -> anyhow::Result<BTreeMap<String, Source>> {
    let lag = "(date_part('epoch', \"event.ingested\") - date_part('epoch', \"@timestamp\"))";
    let rows = asking.rows(
        &format!(
            "select \"panoptes.source\", max(\"panoptes.input\"), date_trunc('hour', \"event.ingested\"), count(*), \
             sum(case when {unparsed} then 1 else 0 end), avg({lag}), max(\"event.ingested\") \
             from events group by 1, 3"
        ),
        Some(since),
    )?;
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for row in rows {
        let source = sources.entry(text_of(row.first())).or_default();
        let count = number_of(row.get(3));
        source.input = text_of(row.get(1));
        source.events += count;
        source.unparsed += number_of(row.get(4));
        source.lag_seconds += number_of(row.get(5)) * count;
        source.last_seen = source.last_seen.max(time_of(row.get(6)));
        if let Some(hour) = time_of(row.get(2)) {
            *source.hours.entry(hour.as_seconds().div_euclid(HOUR)).or_default() += count;
        }
    }
    Ok(sources)
}

/// What inputs refused or could not keep, as the catalogue has it: the running instance adds to it every minute.
fn add_losses(sources: &mut BTreeMap<String, Source>, asking: &Asking, since: Timestamp) -> anyhow::Result<()> {
    for loss in asking.catalog()?.losses(since)? {
        let source = sources.entry(loss.source).or_default();
        if source.input.is_empty() {
            source.input = loss.input;
        }
        *source.lost.entry((loss.rejected, loss.reason)).or_default() += loss.records;
    }
    Ok(())
}

fn write_losses(out: &mut impl Write, sources: &BTreeMap<String, Source>) -> anyhow::Result<()> {
    for (name, source) in sources.iter().filter(|(_, it)| !it.lost.is_empty()) {
        writeln!(out, "\nno events became, of {}:", harmless(name))?;
        for ((rejected, reason), records) in &source.lost {
            let fate = if *rejected { "rejected" } else { "dropped" };
            writeln!(out, "  {records} {fate}: {}", reason.replace('_', " "))?;
        }
    }
    Ok(())
}

impl Source {
    fn unparsed_share(&self) -> f64 {
        if self.events > 0.0 { self.unparsed / self.events } else { 0.0 }
    }

    /// Seconds between an event and its arrival, on average.
    fn lag(&self) -> f64 {
        if self.events > 0.0 { self.lag_seconds / self.events } else { 0.0 }
    }

    /// Events per hour in the last 24 hours, and the median of the hours before; `None` if those are too few.
    fn rates(&self, now: Timestamp) -> (f64, Option<f64>) {
        let this_hour = now.as_seconds().div_euclid(HOUR);
        let day = this_hour - 23;
        // A sum of nothing is -0.
        let recent = self.hours.range(day..).fold(0.0, |sum, (_, count)| sum + count);
        let Some(first) = self.hours.keys().next().copied().filter(|it| day - it >= HISTORY_HOURS_MIN as i64) else {
            return (recent / 24.0, None);
        };
        let mut before: Vec<f64> = (first..day).map(|hour| self.hours.get(&hour).copied().unwrap_or(0.0)).collect();
        before.sort_by(f64::total_cmp);
        (recent / 24.0, before.get(before.len() / 2).copied())
    }

    /// `ok`, or what is strange, the worst first.
    fn state(&self, now: Timestamp) -> String {
        let mut strange = Vec::new();
        let quiet = self.last_seen.map_or(0, |it| now.as_seconds() - it.as_seconds());
        let hours: Vec<i64> = self.hours.keys().copied().collect();
        let longest = hours.windows(2).filter_map(|it| Some(it.last()? - it.first()?)).max().unwrap_or(0) * HOUR;
        if hours.len() > 1 && quiet > SILENT_SECONDS_MIN && quiet > SILENT_TIMES * longest.max(HOUR / 2) {
            strange.push(format!("silent for {}", short_seconds(quiet as f64)));
        }
        if let (recent, Some(usual)) = self.rates(now)
            && usual > 0.0
            && (recent > usual * RATE_TIMES || recent < usual / RATE_TIMES)
        {
            strange.push(format!("{:.1} times its rate", recent / usual));
        }
        if self.lost.keys().any(|(rejected, _)| !rejected) {
            strange.push("loses records".to_owned());
        }
        if self.unparsed_share() > UNPARSED_SHARE_MAX {
            strange.push("not understood".to_owned());
        }
        // What is imported is old by its nature.
        if self.lag() > LAG_SECONDS_MAX && self.input != "import" {
            strange.push("late".to_owned());
        }
        if strange.is_empty() { "ok".to_owned() } else { strange.join(", ") }
    }
}

/// The newest records of each source that no format understood.
fn examples(
    out: &mut impl Write,
    asking: &Asking,
    since: Timestamp,
    unparsed: &str,
    args: &SourcesArgs,
) -> anyhow::Result<()> {
    let rows = asking.rows(
        &format!(
            "select s, o from (select \"panoptes.source\" s, \"event.original\" o, row_number() over (partition by \
             \"panoptes.source\" order by \"event.ingested\" desc) n from events where {unparsed}) where n <= {} \
             order by s, n",
            args.examples
        ),
        Some(since),
    )?;
    if args.format != Format::Table {
        return Ok(());
    }
    let mut last = None;
    for row in rows {
        let source = text_of(row.first());
        if last.as_ref() != Some(&source) {
            writeln!(out, "\nnot understood, of {source}:")?;
            last = Some(source);
        }
        writeln!(out, "  {}", harmless(&text_of(row.get(1))))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 { "< 0.1 %".to_owned() } else { format!("{:.1} %", share * 100.0) }
}

fn short_seconds(seconds: f64) -> String {
    match seconds.abs() {
        below if below < 90.0 => format!("{seconds:.0} s"),
        below if below < 5_400.0 => format!("{:.0} min", seconds / 60.0),
        below if below < 172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    /// Events in each of the `hours` before now.
    fn source(hours: impl IntoIterator<Item = (i64, f64)>) -> Source {
        let this_hour = NOW.as_seconds().div_euclid(HOUR);
        let hours: BTreeMap<i64, f64> = hours.into_iter().map(|(ago, count)| (this_hour - ago, count)).collect();
        let last = hours.keys().last().copied().unwrap_or(0);
        Source {
            events: hours.values().sum(),
            last_seen: Some(Timestamp::from_seconds(last * HOUR + 10)),
            hours,
            ..Source::default()
        }
    }

    #[test]
    fn a_source_is_judged_by_its_own_rhythm() {
        assert_eq!(source((0..100).map(|ago| (ago, 10.0))).state(NOW), "ok");
        assert_eq!(source((30..100).map(|ago| (ago, 10.0))).state(NOW), "silent for 30 h, 0.0 times its rate");
        // Once a day is enough for one that always spoke once a day.
        assert_eq!(source((0..5).map(|day| (day * 24 + 20, 1.0))).state(NOW), "ok");
        let flood = (0..3).map(|ago| (ago, 5_000.0)).chain((24..100).map(|ago| (ago, 10.0)));
        assert_eq!(source(flood).state(NOW), "62.5 times its rate");
        assert_eq!(source([(0, 5.0)]).state(NOW), "ok", "nothing is known of what is usual");
    }

    #[test]
    fn a_source_that_loses_records_is_not_all_right() {
        let mut of = source((0..5).map(|ago| (ago, 10.0)));
        of.lost.insert((true, "too_long".to_owned()), 3);
        assert_eq!(of.state(NOW), "ok", "the sender was told");
        of.lost.insert((false, "queue_full".to_owned()), 2);
        assert_eq!(of.state(NOW), "loses records");
        let mut text = Vec::new();
        write_losses(&mut text, &[("10.0.0.7".to_owned(), of)].into()).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "\nno events became, of 10.0.0.7:\n  2 dropped: queue full\n  3 rejected: too long\n"
        );
    }

    #[test]
    fn what_is_not_understood_and_what_is_late_is_said() {
        let mut of = source((0..5).map(|ago| (ago, 10.0)));
        (of.unparsed, of.lag_seconds) = (20.0, 50.0 * 3_600.0);
        assert_eq!(of.state(NOW), "not understood, late");
        assert_eq!((percent(of.unparsed_share()), short_seconds(of.lag())), ("40.0 %".to_owned(), "60 min".to_owned()));
    }
}
