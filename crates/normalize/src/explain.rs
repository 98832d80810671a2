//! `panoptes normalize --explain`: why a line became the event that it became.

use std::fmt;
use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, Origin, Schema, Timestamp};

use crate::context::Context;
use crate::formats::{self, FormatKind};

/// What became of a line. Prints as a few aligned lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The formats in the order in which they were asked; the last one took the line.
    pub asked: Vec<FormatAsked>,
    pub time: Timestamp,
    /// What was damaged, missing or guessed.
    pub anomalies: Vec<&'static str>,
    /// Names and values in the order in which they were understood.
    pub fields: Vec<(String, String)>,
    /// Whether no format understood the line.
    pub is_unparsed: bool,
}

/// One format's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatAsked {
    pub name: &'static str,
    pub summary: &'static str,
    /// Why it did not take the line; `None` if it did.
    pub declined: Option<String>,
}

pub(crate) fn explain(
    line: &str,
    origin: &Origin,
    now: Timestamp,
    context: &Context<'_>,
    format: Option<&'static FormatKind>,
) -> Explanation {
    let mut asked = Vec::new();
    let schema = Arc::new(Schema::ecs());
    let batch = EventBatch::build(schema, FrameId(0), now, vec![origin.clone()], line.to_owned(), |writer| {
        writer.begin(writer.input(), 0, now, 0);
        formats::read(writer, writer.input(), context, format, &mut |kind, declined| {
            asked.push(FormatAsked {
                name: kind.name,
                summary: kind.summary,
                declined: declined.map(|it| it.to_string()),
            });
        });
    });
    let event = batch.event(0);
    Explanation {
        asked,
        time: event.map_or(now, |it| it.time()),
        anomalies: event.map_or_else(Vec::new, |it| it.anomalies().iter().map(|it| it.as_str()).collect()),
        fields: event.map_or_else(Vec::new, |it| {
            it.fields().map(|(id, value)| (batch.field_name(id).to_owned(), value.to_text().into_owned())).collect()
        }),
        is_unparsed: event.is_some_and(|it| it.is_unparsed()),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.asked.iter().map(|it| it.name.len()).max().unwrap_or(0);
        for FormatAsked { name, summary, declined } in &self.asked {
            match declined {
                Some(reason) => writeln!(f, "  no   {name:width$}  {reason}")?,
                None => writeln!(f, "  yes  {name:width$}  {summary}")?,
            }
        }
        writeln!(f, "time   {}", self.time)?;
        for anomaly in &self.anomalies {
            writeln!(f, "note   {anomaly}")?;
        }
        if self.is_unparsed {
            writeln!(f, "note   no format understood this line; its text is kept as `message`")?;
        }
        let width = self.fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.fields {
            writeln!(f, "field  {:width$}  {}", Tame(name), Tame(value))?;
        }
        Ok(())
    }
}

/// Text whose control characters are escaped: those of a hostile line must not reach the terminal.
struct Tame<'t>(&'t str);

impl fmt::Display for Tame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains(char::is_control) {
            return f.pad(self.0);
        }
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::Normalizer;

    #[test]
    fn an_explanation_names_who_was_asked_and_what_was_understood() {
        let now = Timestamp::from_seconds(1_705_320_000);
        let line = r#"2024/01/15 10:30:00 [error] 12#0: *7 user "bob": password mismatch, client: 203.0.113.9, server: s, request: "GET /a?b HTTP/1.1", host: "h""#;
        let explanation = Normalizer::default().explain(line, &Origin::default(), now);
        expect![[r#"
              yes  nginx_error  a line of nginx's error log
            time   2024-01-15T10:30:00Z
            field  event.kind                 event
            field  event.dataset              nginx.error
            field  event.category             authentication,web
            field  event.type                 start
            field  event.action               http_auth
            field  event.outcome              failure
            field  log.level                  error
            field  process.pid                12
            field  message                    user "bob": password mismatch, client: 203.0.113.9, server: s, request: "GET /a?b HTTP/1.1", host: "h"
            field  source.ip                  203.0.113.9
            field  url.domain                 h
            field  http.request.method        GET
            field  url.original               /a?b
            field  url.path                   /a
            field  url.query                  b
            field  http.version               1.1
            field  nginx.error.connection_id  7
            field  user.name                  bob
            field  event.reason               password mismatch
            field  panoptes.format            nginx_error
        "#]].assert_eq(&explanation.to_string());
    }

    #[test]
    fn control_characters_of_a_line_do_not_reach_the_terminal() {
        let line = "\u{1b}[2J\u{7}hello";
        let text = Normalizer::default().explain(line, &Origin::default(), Timestamp(0)).to_string();
        assert!(text.contains("hello") && !text.contains(['\u{1b}', '\u{7}']), "{text}");
    }
}
