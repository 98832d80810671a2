//! The formats, one per file, and who is asked first.
//!
//! To add one: a file with its `KIND` (name, summary, an example that it must take, `parse`), its line in [`ALL`], and
//! its place in [`candidates`]. The contract tests at the end then run over it.

use std::fmt;

use panoptes_model::{Anomaly, BatchWriter, Value, field};

use crate::context::Context;
use crate::{login_phrases, names};

mod apache_error;
mod auditd;
mod bind;
mod cef;
mod cisco_ios;
mod container;
mod json;
mod json_sources;
mod key_value;
mod nginx_error;
mod plain;
mod service;
mod squid;
mod syslog_rfc3164;
mod syslog_rfc5424;
mod web_access;
mod windows_event;

pub(crate) use auditd::write_message as write_audit_message;
pub(crate) use cef::write_event_format;
pub use json_sources::json_examples;
pub(crate) use key_value::looks_like_pairs;
pub(crate) use nginx_error::write_request;
pub(crate) use plain::{write_findings, write_introduced_findings};

/// Every format.
pub static ALL: &[&FormatKind] = &[
    &windows_event::KIND,
    &json::KIND,
    &syslog_rfc5424::KIND,
    &syslog_rfc3164::KIND,
    &container::KIND,
    &container::COMPOSE,
    &nginx_error::KIND,
    &apache_error::KIND,
    &squid::KIND,
    &bind::KIND,
    &web_access::KIND,
    &auditd::KIND,
    &cisco_ios::KIND,
    &cef::CEF,
    &cef::LEEF,
    &service::KIND,
    &key_value::KIND,
    &plain::KIND,
];

/// One format: how it is called and how it reads a record.
pub struct FormatKind {
    /// What a source's `format` option says.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// A record that this format takes.
    pub example: &'static str,
    parse: Parse,
}

impl fmt::Debug for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FormatKind").field(&self.name).finish()
    }
}

/// Writes what it understands of the text into the open event, or says why the text is not of its format; what it
/// wrote by then is taken back.
type Parse = fn(&mut BatchWriter<'_>, &str, &Context<'_>) -> Result<(), Declined>;

/// Why a format did not take a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declined {
    reason: &'static str,
    /// The text began like the format demands and then broke it: a damaged record, not another format.
    damage: Option<Damage>,
}

#[derive(Clone, Copy, Debug)]
struct Damage {
    anomaly: Anomaly,
    offset: usize,
}

impl Declined {
    pub(crate) const fn because(reason: &'static str) -> Self {
        Self { reason, damage: None }
    }

    pub(crate) const fn damaged(reason: &'static str, anomaly: Anomaly, offset: usize) -> Self {
        Self { reason, damage: Some(Damage { anomaly, offset }) }
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.damage {
            None => f.write_str(self.reason),
            Some(damage) => write!(f, "{} at byte {}", self.reason, damage.offset),
        }
    }
}

/// The format called `name`.
pub fn named(name: &str) -> Option<&'static FormatKind> {
    ALL.iter().copied().find(|it| it.name == name)
}

type Kinds = [&'static FormatKind];
static IF_BRACE: &Kinds = &[&windows_event::KIND, &json::KIND];
static IF_ANGLE: &Kinds = &[&syslog_rfc5424::KIND, &syslog_rfc3164::KIND, &windows_event::KIND, &service::KIND];
static IF_BRACKET: &Kinds = &[&apache_error::KIND, &syslog_rfc3164::KIND, &service::KIND];
static IF_DIGIT: &Kinds = &[
    &nginx_error::KIND,
    &container::KIND,
    &squid::KIND,
    &bind::KIND,
    &syslog_rfc3164::KIND,
    &cisco_ios::KIND,
    &web_access::KIND,
    &cef::CEF,
    &key_value::KIND,
    &service::KIND,
];
// `type=…`, `node=…`, `audit: type=…`.
static IF_AUDIT: &Kinds = &[
    &auditd::KIND,
    &syslog_rfc3164::KIND,
    &cisco_ios::KIND,
    &web_access::KIND,
    &key_value::KIND,
    &container::COMPOSE,
    &service::KIND,
];
// `CEF:0|…`, `LEEF:1.0|…`.
static IF_CAPITAL: &Kinds = &[
    &cef::CEF,
    &cef::LEEF,
    &syslog_rfc3164::KIND,
    &cisco_ios::KIND,
    &web_access::KIND,
    &key_value::KIND,
    &container::COMPOSE,
    &service::KIND,
];
static IF_OTHER: &Kinds = &[
    &syslog_rfc3164::KIND,
    &cisco_ios::KIND,
    &web_access::KIND,
    &key_value::KIND,
    &container::COMPOSE,
    &service::KIND,
];

/// Who may know a record that begins with `first`, the most likely one first. Plain text comes after them.
fn candidates(first: u8) -> &'static Kinds {
    match first {
        b'{' => IF_BRACE,
        b'<' => IF_ANGLE,
        b'[' => IF_BRACKET,
        b'0'..=b'9' => IF_DIGIT,
        b't' | b'n' | b'a' => IF_AUDIT,
        b'C' | b'L' => IF_CAPITAL,
        _ => IF_OTHER,
    }
}

/// Reads `text` into the open event by the format that takes it; `told` hears of everyone who was asked.
#[inline]
pub(crate) fn read(
    writer: &mut BatchWriter<'_>,
    text: &str,
    context: &Context<'_>,
    format: Option<&'static FormatKind>,
    told: &mut dyn FnMut(&'static FormatKind, Option<&Declined>),
) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.trim_end_matches(['\n', '\r', '\0']);
    let asked: &[&'static FormatKind] = match &format {
        Some(fixed) => std::slice::from_ref(fixed),
        None => candidates(text.trim_ascii_start().bytes().next().unwrap_or(b' ')),
    };
    let mut damage = None;
    let taken = asked.iter().copied().find(|kind| match (kind.parse)(writer, text, context) {
        Ok(()) => true,
        Err(declined) => {
            told(kind, Some(&declined));
            writer.rollback();
            damage = damage.or(declined.damage);
            false
        }
    });
    let kind = taken.unwrap_or_else(|| {
        if plain::write(writer, text, context).is_err() {
            writer.unparsed();
        }
        &plain::KIND
    });
    told(kind, None);
    if let Some(damage) = damage.filter(|_| taken.is_none()) {
        writer.anomaly(damage.anomaly);
        writer.unparsed();
    }
    writer.word(field::PANOPTES_FORMAT, kind.name);
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, text);
    }
}

/// Says what the message means that an object or a run of pairs carries: by the service that wrote it, else by the usual
/// names, else by its words. What the keys say stays where the message says nothing.
pub(crate) fn write_carried_message(writer: &mut BatchWriter<'_>, context: &Context<'_>) {
    let message = match writer.get(field::MESSAGE) {
        Some(Value::Text(text)) if !writer.has(field::EVENT_CATEGORY) => {
            // A copy only of what is worth it: the message may have been decoded.
            let may_be_told = context.services.may_know(text) || login_phrases::may_tell(text);
            may_be_told.then(|| text.to_owned())
        }
        _ => None,
    };
    if let Some(message) = &message {
        context.services.read_line(writer, message, context);
    }
    names::classify(writer);
    if let Some(message) = &message {
        login_phrases::write(writer, message);
    }
}

/// Reads a record that another format took out of its wrapping (container runtime, syslog, JSON) and says whether any
/// format but plain text took it. Fields written before stay.
pub(crate) fn read_unwrapped(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> bool {
    let Some(context) = context.unwrapped() else { return false };
    let text = text.trim_ascii_start();
    let before = writer.field_count();
    candidates(text.bytes().next().unwrap_or(b' ')).iter().any(|kind| {
        let taken = (kind.parse)(writer, text, &context).is_ok();
        while !taken && writer.field_count() > before {
            writer.remove(writer.field_count() - 1);
        }
        taken
    })
}

#[cfg(test)]
pub(crate) mod tests;
