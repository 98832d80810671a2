//! From the parts of an event to its ECS fields: second names for the same bytes wherever that is possible.

use std::net::IpAddr;

use panoptes_model::{BatchWriter, FieldId, Value, field};

use super::names::{EventNames, tag};
use super::plan::{How, Outcome, Plan, Step};
use crate::address;

/// What is to be written for a datum: offsets into its text, or a value of its own.
enum Act {
    Nothing,
    Alias,
    Part(usize, usize),
    /// The part in small letters.
    Lower(usize, usize),
    Number(i64),
    Ip(IpAddr),
    Word(&'static str),
}

/// Writes the fields of `plan`. `unless_present` leaves what the event has already as it is.
pub(super) fn write(writer: &mut BatchWriter<'_>, names: &EventNames<'_>, plan: &Plan, unless_present: bool) {
    for step in plan.steps.iter().copied().flatten() {
        let Some(index) = names.index(step.from) else { continue };
        let act = match writer.nth(index) {
            Some((_, Value::Text(text))) if !matches!(text, "" | "-") => act(step, text),
            _ => continue,
        };
        if unless_present && writer.has(step.to) {
            continue;
        }
        match act {
            Act::Nothing => {}
            Act::Alias => writer.alias(step.to, index),
            Act::Part(start, end) => writer.alias_part(step.to, index, start, end),
            Act::Lower(start, end) => write_lower(writer, step.to, index, start, end),
            Act::Number(number) => writer.integer(step.to, number),
            Act::Ip(address) => writer.ip(step.to, address),
            Act::Word(word) => writer.word(step.to, word),
        }
    }
}

fn act(step: &Step, text: &str) -> Act {
    match step.how {
        How::Text => Act::Alias,
        How::FileName => match last_separator(text) {
            Some(at) if at + 1 < text.len() => Act::Part(at + 1, text.len()),
            Some(_) => Act::Nothing,
            None => Act::Alias,
        },
        How::Folder => last_separator(text).map_or(Act::Nothing, |at| Act::Part(0, at)),
        How::Extension => {
            let start = last_separator(text).map_or(0, |at| at + 1);
            match memchr::memrchr(b'.', text.as_bytes()) {
                Some(dot) if dot > start && dot + 1 < text.len() => Act::Part(dot + 1, text.len()),
                _ => Act::Nothing,
            }
        }
        How::Number => number(text).map_or(Act::Nothing, Act::Number),
        How::Ip => address::ip(text).map_or(Act::Nothing, Act::Ip),
        How::AccountName => match memchr::memchr(b'\\', text.as_bytes()) {
            Some(at) => Act::Part(at + 1, text.len()),
            None => Act::Alias,
        },
        How::AccountDomain => memchr::memchr(b'\\', text.as_bytes()).map_or(Act::Nothing, |at| Act::Part(0, at)),
        How::HashMd5 => hash(text, "MD5="),
        How::HashSha1 => hash(text, "SHA1="),
        How::HashSha256 => hash(text, "SHA256="),
        How::Imphash => hash(text, "IMPHASH="),
        How::Hive => memchr::memchr(b'\\', text.as_bytes()).map_or(Act::Alias, |at| Act::Part(0, at)),
        How::RegistryKey => {
            let first = memchr::memchr(b'\\', text.as_bytes());
            let last = memchr::memrchr(b'\\', text.as_bytes());
            match (first, last) {
                (Some(first), Some(last)) if first < last => Act::Part(first + 1, last),
                _ => Act::Nothing,
            }
        }
        How::Transport => match text {
            "6" => Act::Word("tcp"),
            "17" => Act::Word("udp"),
            "1" => Act::Word("icmp"),
            "58" => Act::Word("ipv6-icmp"),
            _ => Act::Alias,
        },
        How::Direction => match text {
            "true" | "True" | "%%14593" | "Outbound" => Act::Word("egress"),
            "false" | "False" | "%%14592" | "Inbound" => Act::Word("ingress"),
            _ => Act::Nothing,
        },
        How::Initiated => match text {
            "%%14593" | "Outbound" => Act::Word("true"),
            "%%14592" | "Inbound" => Act::Word("false"),
            _ => Act::Nothing,
        },
    }
}

#[inline]
fn last_separator(text: &str) -> Option<usize> {
    memchr::memrchr2(b'\\', b'/', text.as_bytes())
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The hash behind `name`, in small letters.
fn hash(text: &str, name: &str) -> Act {
    let mut start = 0;
    for part in text.split(',') {
        if part.strip_prefix(name).is_some_and(|it| !it.is_empty()) {
            return Act::Lower(start + name.len(), start + part.len());
        }
        start += part.len() + 1;
    }
    Act::Nothing
}

fn write_lower(writer: &mut BatchWriter<'_>, id: FieldId, index: usize, start: usize, end: usize) {
    // Hashes are at most 64 digits; what claims to be longer is none.
    let mut buffer = [0; 128];
    let Some((_, Value::Text(text))) = writer.nth(index) else { return };
    let Some(part) = text.get(start..end) else { return };
    let Some(into) = buffer.get_mut(..part.len()) else { return };
    into.copy_from_slice(part.as_bytes());
    into.make_ascii_lowercase();
    if let Ok(lower) = std::str::from_utf8(into) {
        writer.text(id, lower);
    }
}

/// Writes `event.outcome`, as far as the event tells.
pub(super) fn write_outcome(writer: &mut BatchWriter<'_>, names: &EventNames<'_>, outcome: Outcome) {
    let word = match outcome {
        Outcome::Is(word) => word,
        Outcome::OfStatus => names
            .text(writer, tag::STATUS)
            .and_then(number)
            .map(|status| if status == 0 { "success" } else { "failure" }),
        Outcome::OfKeywords => of_keywords(writer, names),
    };
    if let Some(word) = word {
        writer.word(field::EVENT_OUTCOME, word);
    }
}

/// What the audit bits of the keywords say.
fn of_keywords(writer: &BatchWriter<'_>, names: &EventNames<'_>) -> Option<&'static str> {
    const FAILURE: u64 = 1 << 52;
    const SUCCESS: u64 = 1 << 53;
    let tag = if names.has(tag::KEYWORDS) { tag::KEYWORDS } else { tag::KEYWORDS_NUMBER };
    let text = match writer.nth(names.index(tag)?)?.1 {
        Value::Text(text) => text,
        Value::List(list) => match list.iter().next()? {
            Value::Text(text) => text,
            _ => return None,
        },
        _ => return None,
    };
    let bits = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => match text {
            "Audit Success" => SUCCESS,
            "Audit Failure" => FAILURE,
            _ => text.parse::<i64>().ok()? as u64,
        },
    };
    match (bits & FAILURE != 0, bits & SUCCESS != 0) {
        (true, _) => Some("failure"),
        (_, true) => Some("success"),
        _ => None,
    }
}
