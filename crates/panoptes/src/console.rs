//! What people see: alerts as text or JSON lines, and errors as one sentence with its causes.
#![expect(clippy::print_stderr, reason = "the command line talks to its user")]

use std::io::{IsTerminal as _, Write};

use panoptes_model::{Alert, AlertUpdate, Entity, Finding, Severity, Timestamp};
use serde_json::{Map, Value, json};

use crate::table::harmless;

/// `panoptes: what: why: cure`.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some libraries repeat their source in their own text.
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    eprintln!("panoptes: {text}");
}

/// Colours, where the output is a terminal that wants them.
#[derive(Clone, Copy)]
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    pub(crate) fn for_stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    #[cfg(test)]
    fn off() -> Self {
        Self { on: false }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// `error` or `warning`.
    pub(crate) fn problem(self, kind: &str) -> String {
        self.paint(if kind == "error" { "1;31" } else { "1;33" }, kind)
    }

    pub(crate) fn severity(self, severity: Severity) -> String {
        let word = severity.as_str().to_uppercase();
        match severity {
            Severity::Critical => self.paint("1;97;41", &word),
            Severity::High => self.paint("1;31", &word),
            Severity::Medium => self.paint("1;33", &word),
            Severity::Low => self.paint("36", &word),
            Severity::Informational => self.paint("2", &word),
        }
    }
}

/// How many digits of an alert id are shown: enough to be unique among millions.
const SHORT_ID_DIGITS: usize = 12;

/// The digits of an id by which people name an alert.
pub(crate) fn short_id(alert: &Alert) -> String {
    alert.id.to_string().chars().take(SHORT_ID_DIGITS).collect()
}

/// An alert as a block of a few lines: who, whom, when, how often, what next.
pub(crate) fn alert_text(alert: &Alert, palette: Palette) -> String {
    format!("{}  next   {} alerts show {}\n", scan_text(alert, palette), program(), short_id(alert))
}

/// The same without a next step: a scan keeps nothing that could be shown again.
pub(crate) fn scan_text(alert: &Alert, palette: Palette) -> String {
    let techniques = techniques(&alert.rule.tags).join(" ");
    let who = match entities_text(&alert.entities) {
        who if who.is_empty() => "(nobody named)".to_owned(),
        who => who,
    };
    let events = if alert.count == 1 { "1 event".to_owned() } else { format!("{} events", alert.count) };
    let head = format!(
        "{} {}  {}",
        palette.severity(alert.rule.level),
        palette.bold(&alert.rule.title),
        palette.dim(&techniques)
    );
    let mut lines = vec![head.trim_end().to_owned(), format!("  who    {who}")];
    if !alert.context.is_empty() {
        lines.push(format!("  with   {}", entities_text(&alert.context)));
    }
    lines.push(format!("  when   {}", span_text(alert.first_seen, alert.last_seen)));
    lines.push(format!("  what   {events}: {}", harmless(&alert.reason)));
    lines.push(format!("  line   {}", palette.dim(&one_line(&alert.sample))));
    lines.join("\n") + "\n"
}

/// The command as the user typed it: `panoptes`, or the path of a build.
pub(crate) fn program() -> String {
    std::env::args().next().filter(|it| !it.is_empty()).unwrap_or_else(|| "panoptes".to_owned())
}

fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    let text = harmless(text.trim_end());
    if text.chars().count() <= CHARS_MAX { text } else { text.chars().take(CHARS_MAX - 1).chain(['…']).collect() }
}

/// `source.ip 203.0.113.9, user.name root`.
pub(crate) fn entities_text(entities: &[Entity]) -> String {
    entities.iter().map(|it| format!("{} {}", it.field, harmless(&it.value))).collect::<Vec<_>>().join(", ")
}

/// One instant, or first and last with the time between.
pub(crate) fn span_text(first: Timestamp, last: Timestamp) -> String {
    let whole = |time: Timestamp| Timestamp::from_seconds(time.as_seconds());
    let seconds = last.as_seconds() - first.as_seconds();
    if seconds <= 0 {
        return whole(last).to_string();
    }
    format!("{} to {} ({})", whole(first), whole(last), age_text(seconds))
}

/// Seconds as people say them: `45 s`, `12 min`, `3 h`, `5 d`.
pub(crate) fn age_text(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// ATT&CK technique ids among Sigma tags: `attack.t1110.001` becomes `T1110.001`.
pub(crate) fn techniques(tags: &[String]) -> Vec<String> {
    tags.iter()
        .filter_map(|tag| tag.strip_prefix("attack."))
        .filter(|tag| tag.strip_prefix('t').is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit())))
        .map(str::to_uppercase)
        .collect()
}

fn entities_json(entities: &[Entity]) -> Value {
    let mut map = Map::new();
    for entity in entities {
        map.insert(entity.field.clone(), Value::String(entity.value.clone()));
    }
    Value::Object(map)
}

/// An alert as one JSON object: the shape of `--alerts json`, `--alerts-file` and `alerts … --format jsonl`.
pub(crate) fn alert_json(alert: &Alert) -> Value {
    json!({
        "timestamp": alert.last_seen.to_string(),
        "id": alert.id.to_string(),
        "rule": rule_json(&alert.rule),
        "entities": entities_json(&alert.entities),
        "context": entities_json(&alert.context),
        "first_seen": alert.first_seen.to_string(),
        "last_seen": alert.last_seen.to_string(),
        "opened_at": alert.opened_at.to_string(),
        "count": alert.count,
        "findings": alert.findings,
        "reason": alert.reason,
        "source": alert.source,
        "sample": alert.sample,
        "events": alert.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "origin": alert.origin,
    })
}

/// The same with what happened to it.
pub(crate) fn update_json(update: &AlertUpdate) -> Value {
    let mut value = alert_json(&update.alert);
    if let Value::Object(map) = &mut value {
        map.insert("opened".to_owned(), Value::Bool(update.opened));
    }
    value
}

fn rule_json(rule: &panoptes_model::RuleSummary) -> Value {
    json!({ "id": rule.id, "title": rule.title, "level": rule.level, "tags": rule.tags })
}

/// A finding as `scan --format jsonl` prints it.
pub(crate) fn finding_json(finding: &Finding) -> Value {
    let mut event = entities_json(&finding.context);
    if let (Value::Object(event), Value::Object(entities)) = (&mut event, entities_json(&finding.entities)) {
        event.extend(entities);
        event.insert("event.original".to_owned(), Value::String(finding.sample.clone()));
    }
    json!({
        "timestamp": finding.time.to_string(),
        "rule": rule_json(&finding.rule),
        "source": { "path": finding.source, "record": finding.position },
        "entities": entities_json(&finding.entities),
        "count": finding.count,
        "first_seen": finding.first_seen.to_string(),
        "reason": finding.reason,
        "event": event,
    })
}

/// Writes the alerts that people are told of.
pub(crate) fn write_alerts(out: &mut impl Write, updates: &[AlertUpdate], json: bool) -> std::io::Result<()> {
    let palette = Palette::for_stdout();
    for update in updates {
        if json {
            writeln!(out, "{}", update_json(update))?;
        } else if update.opened {
            writeln!(out, "{}", alert_text(&update.alert, palette))?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panoptes_model::{AlertId, FindingOrigin, RuleSummary};

    use super::*;

    fn alert() -> Alert {
        Alert {
            id: AlertId(0x3f2a_0000_0000_0000_0000_0000_0000_0001),
            rule: Arc::new(RuleSummary {
                id: "r".into(),
                title: "SSH password guessing".into(),
                level: Severity::High,
                tags: vec!["attack.credential-access".into(), "attack.t1110.001".into()],
            }),
            entities: vec![Entity { field: "source.ip".into(), value: "203.0.113.9".into() }],
            context: vec![],
            first_seen: Timestamp::from_seconds(1_705_314_600),
            last_seen: Timestamp::from_seconds(1_705_314_630),
            opened_at: Timestamp::from_seconds(1_705_314_631),
            count: 12,
            findings: 1,
            events: vec![],
            sample: "Failed password\x1b[2J".into(),
            reason: "12 in 60 s".into(),
            source: "auth.log".into(),
            origin: FindingOrigin::Live,
        }
    }

    #[test]
    fn an_alert_says_who_when_how_often_and_what_next() {
        assert_eq!(
            alert_text(&alert(), Palette::off()).replace(&program(), "panoptes"),
            "HIGH SSH password guessing  T1110.001\n  who    source.ip 203.0.113.9\n  when   2024-01-15T10:30:00Z to \
             2024-01-15T10:30:30Z (30 s)\n  what   12 events: 12 in 60 s\n  line   Failed password\\u{1b}[2J\n  next   \
             panoptes alerts show 3f2a00000000\n"
        );
    }

    #[test]
    fn json_alerts_carry_the_same() {
        let value = alert_json(&alert());
        assert_eq!(value["entities"]["source.ip"], "203.0.113.9");
        assert_eq!(value["count"], 12);
        assert_eq!(value["rule"]["level"], "high");
    }

    #[test]
    fn ages_read_as_people_say_them() {
        assert_eq!([5, 130, 7_300, 200_000].map(age_text), ["5 s", "2 min", "2 h", "2 d"]);
    }
}
