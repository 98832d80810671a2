//! The Common Event Format (ArcSight) and the Log Event Extended Format (QRadar): a head between bars, then key=value.
//!
//! `CEF:0|vendor|product|version|class|name|severity|key=value …`, values up to the next ` key=`;
//! `LEEF:1.0|vendor|product|version|event|key=value<tab>…`, in version 2 with the separator as a sixth part.
//!
//! Keys stay as they stand; the usual ones mean ECS fields as well.

use panoptes_model::{BatchWriter, FieldId, FieldType, Pairs, Value, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::fact::{is_user, write_dataset};
use crate::text::lower;
use crate::{address, names, time, url};

pub(super) static CEF: FormatKind = FormatKind {
    name: "cef",
    summary: "CEF: `CEF:0|vendor|product|version|class|name|severity|key=value …`",
    example: "CEF:0|Example|Guard|1.2|100|Login failed|7|src=203.0.113.9 spt=4711 dst=192.0.2.8 dpt=443 suser=bob outcome=failure rt=Jan 15 2024 10:30:00 msg=wrong password",
    parse: parse_cef,
};

pub(super) static LEEF: FormatKind = FormatKind {
    name: "leef",
    summary: "LEEF: `LEEF:1.0|vendor|product|version|event|key=value<tab>…`",
    example: "LEEF:1.0|Example|Guard|1.2|deny|src=203.0.113.9\tdst=192.0.2.8\tdstPort=22\tproto=TCP\tusrName=bob\tdevTime=2024-01-15T10:30:00Z",
    parse: parse_leef,
};

/// How many keys are read; the rest is only in the original text.
const PAIRS_MAX: usize = 512;
/// How long a key may be; what is longer is text in which a `=` stands.
const KEY_BYTES_MAX: usize = 64;

/// Where CEF may begin: behind a syslog header or its rest.
const HEAD_BYTES_MAX: usize = 128;

fn parse_cef(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    write_cef(writer, text, context).ok_or(Declined::because("has no `CEF:0|` with seven parts"))
}

fn parse_leef(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    write_leef(writer, text, context).ok_or(Declined::because("has no `LEEF:1.0|` or `LEEF:2.0|` with its parts"))
}

/// The same for a message behind a syslog header. Nothing is written if it is neither.
pub(crate) fn write_event_format(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> bool {
    let head = text.as_bytes().get(..HEAD_BYTES_MAX).unwrap_or(text.as_bytes());
    if memchr::memmem::find(head, b"EF:").is_none() {
        return false;
    }
    write_cef(writer, text, context).or_else(|| write_leef(writer, text, context)).is_some()
}

/// What stands behind `mark`, which the first bytes of `text` must hold.
fn behind<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let head = text.as_bytes().get(..HEAD_BYTES_MAX).unwrap_or(text.as_bytes());
    let at = memchr::memmem::find(head, mark.as_bytes())?;
    text.get(at + mark.len()..)
}

/// The next part of a head, up to a bar that no backslash protects.
fn part<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let bytes = rest.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'|', bytes.get(from..)?)?;
        let protecting = bytes.get(..at)?.iter().rev().take_while(|it| **it == b'\\').count();
        if protecting % 2 == 0 {
            let (head, tail) = rest.split_at_checked(at)?;
            *rest = tail.get(1..)?;
            return Some(head);
        }
        from = at + 1;
    }
}

fn write_cef(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    // Some senders leave the word out.
    let mut rest = match behind(text, "CEF:") {
        Some(rest) => rest,
        None if text.starts_with(['0', '1']) && text.get(1..2) == Some("|") => text,
        None => return None,
    };
    let version = part(&mut rest)?.trim_ascii();
    if version.is_empty() || version.len() > 4 || !version.bytes().all(|it| it.is_ascii_digit() || it == b'.') {
        return None;
    }
    let [vendor, product, release, class, name, severity] = [(); 6].map(|()| part(&mut rest));
    let (vendor, product, release) = (vendor?, product?, release?);
    let (class, name, severity) = (class?, name?, severity?);
    write_dataset(writer, "cef");
    for (key, value) in [
        ("observer.vendor", vendor),
        ("observer.product", product),
        ("observer.version", release),
        ("cef.version", version),
    ] {
        own(writer, key, value);
    }
    plain(writer, "event.code", class);
    plain(writer, "cef.name", name);
    write_severity(writer, severity);
    let start = writer.field_count();
    let mut count = 0;
    each_cef_pair(rest, |key, value| {
        count += 1;
        if count <= PAIRS_MAX
            && let Some(id) = writer.field(key)
        {
            if value.contains('\\') {
                writer.text_with(id, |out| unescape(value, out));
            } else {
                writer.typed(id, value);
            }
        }
    });
    write_meanings(writer, start, context);
    if !writer.has(field::MESSAGE) {
        plain(writer, "message", if name.is_empty() { text } else { name });
    }
    finish(writer, name);
    Some(())
}

fn write_leef(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    let mut rest = behind(text, "LEEF:")?;
    let version = part(&mut rest)?;
    if !matches!(version, "1.0" | "1" | "2.0" | "2") {
        return None;
    }
    let [vendor, product, release, event] = [(); 4].map(|()| part(&mut rest));
    let (vendor, product, release, event) = (vendor?, product?, release?, event?);
    let mut separator = '\t';
    if version.starts_with('2') {
        let mut after = rest;
        if let Some(told) = part(&mut after)
            && !told.contains('=')
        {
            rest = after;
            separator = separator_of(told).unwrap_or('\t');
        }
    }
    write_dataset(writer, "leef");
    for (key, value) in [("observer.vendor", vendor), ("observer.product", product), ("observer.version", release)] {
        own(writer, key, value);
    }
    plain(writer, "event.code", event);
    let start = writer.field_count();
    for pair in rest.split(separator).take(PAIRS_MAX) {
        let Some((key, value)) = pair.split_once('=') else { continue };
        let key = key.trim_ascii();
        if is_key(key)
            && let Some(id) = writer.field(key)
        {
            writer.typed(id, value.trim_ascii());
        }
    }
    write_meanings(writer, start, context);
    finish(writer, event);
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, text);
    }
    Some(())
}

/// `^`, `x09`, `0x7c`: one character or its number.
fn separator_of(told: &str) -> Option<char> {
    let mut characters = told.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) => Some(one),
        _ => {
            let digits = told.trim_start_matches('0').trim_start_matches(['x', 'X']);
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
        }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= KEY_BYTES_MAX
        && key.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.' | b'[' | b']'))
}

/// Calls `each` with the pairs of an extension: a value ends before the last space in front of the next key.
fn each_cef_pair<'t>(text: &'t str, mut each: impl FnMut(&'t str, &'t str)) {
    let mut open: Option<(&'t str, usize)> = None;
    for at in memchr::memchr_iter(b'=', text.as_bytes()) {
        let before = text.get(..at).unwrap_or("");
        if before.ends_with('\\') {
            continue;
        }
        let start = before.rfind(' ').map_or(0, |it| it + 1);
        let key = before.get(start..).unwrap_or("");
        // The first key begins the text; each other one begins behind the value before it.
        if !is_key(key) || open.is_some_and(|(_, from)| start <= from && start != 0 && start < from) {
            continue;
        }
        if let Some((key, from)) = open {
            each(key, text.get(from..start).unwrap_or("").trim_ascii());
        }
        open = Some((key, at + 1));
    }
    if let Some((key, from)) = open {
        each(key, text.get(from..).unwrap_or("").trim_ascii());
    }
}

/// `\=`, `\|`, `\\`, `\n`, `\r`; another escape stays as it is.
fn unescape(text: &str, out: &mut String) {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(plain @ ('=' | '|' | '\\')) => out.push(plain),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

fn own(writer: &mut BatchWriter<'_>, name: &str, value: &str) {
    if !value.is_empty()
        && let Some(id) = writer.field(name)
    {
        writer.text(id, value);
    }
}

/// A part of the head, without its escapes.
fn plain(writer: &mut BatchWriter<'_>, name: &str, value: &str) {
    match writer.field(name) {
        Some(id) if value.contains('\\') => writer.text_with(id, |out| unescape(value, out)),
        Some(id) if !value.is_empty() => writer.text(id, value),
        _ => {}
    }
}

/// 0 to 10, or a word.
fn write_severity(writer: &mut BatchWriter<'_>, text: &str) {
    let mut buffer = [0; 32];
    let level = match lower(text, &mut buffer) {
        Some("low") => "info",
        Some("medium") => "warning",
        Some("high") => "error",
        Some("very-high" | "critical") => "critical",
        Some(text) => match text.parse::<i64>() {
            Ok(number) => {
                writer.integer(field::EVENT_SEVERITY, number);
                match number {
                    0..=3 => "info",
                    4..=6 => "warning",
                    7..=8 => "error",
                    9..=10 => "critical",
                    _ => return,
                }
            }
            Err(_) => return,
        },
        None => return,
    };
    if !writer.has(field::LOG_LEVEL) {
        writer.text(field::LOG_LEVEL, level);
    }
}

/// What keys mean that `names.rs` does not know, and the field: CEF's dictionary, LEEF's, and vendors' own.
const MEANINGS: Pairs = Pairs::of(&[
    ("shost", "source.domain"),
    ("dhost", "destination.domain"),
    ("sourceTranslatedAddress", "source.nat.ip"),
    ("suser", "user.name"),
    ("usrName", "user.name"),
    ("duser", "user.name"),
    ("UNIFIadmin", "user.name"),
    ("duser", "user.target.name"),
    ("dvchost", "observer.name"),
    ("dvc", "observer.ip"),
    ("smac", "source.mac"),
    ("dmac", "destination.mac"),
    ("srcMAC", "source.mac"),
    ("dstMAC", "destination.mac"),
    ("in", "source.bytes"),
    ("out", "destination.bytes"),
    ("srcBytes", "source.bytes"),
    ("dstBytes", "destination.bytes"),
    ("app", "network.application"),
    ("act", "event.action"),
    ("deviceAction", "event.action"),
    ("reason", "event.reason"),
    ("externalId", "event.id"),
    ("requestMethod", "http.request.method"),
    ("requestClientApplication", "user_agent.original"),
    ("requestContext", "http.request.referrer"),
    ("fname", "file.name"),
    ("filePath", "file.path"),
    ("fileHash", "file.hash.sha256"),
    ("sproc", "process.name"),
    ("dproc", "process.name"),
    ("deviceInboundInterface", "observer.ingress.interface.name"),
    ("deviceOutboundInterface", "observer.egress.interface.name"),
    ("policy", "rule.name"),
    ("cat", "event.module"),
]);

/// Times, as those who send CEF and LEEF call them.
const TIMES: &[&str] = &["rt", "devTime", "UNIFIutcTime", "end", "start", "deviceReceiptTime"];

fn write_meanings(writer: &mut BatchWriter<'_>, start: usize, context: &Context<'_>) {
    for name in TIMES {
        let Some(id) = writer.field(name) else { continue };
        if writer.has_time() {
            break;
        }
        let instant = match writer.get(id) {
            Some(Value::Text(text)) => time::of_text(text, context.zone, writer.received_at()),
            _ => None,
        };
        if let Some(instant) = instant {
            writer.time(instant.time);
        }
    }
    names::map(writer, start, context);
    let mut there = writer.pairs(MEANINGS, start);
    while let Some((from, to)) = there.next(writer) {
        let Some(index) = writer.position(from, start) else { continue };
        if !writer.has(to) {
            write_meaning(writer, to, index);
        }
    }
    write_request(writer, start);
    let transport = ["proto", "transport"].into_iter().find_map(|name| {
        let id = writer.field(name)?;
        match writer.get(id)? {
            Value::Text(text) if text.len() <= 16 => Some(text.to_ascii_lowercase()),
            _ => None,
        }
    });
    if let Some(transport) = transport.filter(|_| !writer.has(field::NETWORK_TRANSPORT)) {
        writer.text(field::NETWORK_TRANSPORT, &transport);
    }
}

/// Gives the `index`th field the further name `to`, as the type that this has.
fn write_meaning(writer: &mut BatchWriter<'_>, to: FieldId, index: usize) {
    let Some((_, Value::Text(text))) = writer.nth(index) else { return };
    if matches!(text, "" | "-" | "null" | "N/A") || to == field::USER_NAME && !is_user(text) {
        return;
    }
    match writer.schema().field_type(to) {
        FieldType::Ip => match address::ip(text) {
            Some(address) => writer.ip(to, address),
            None if to == field::OBSERVER_IP => {}
            None => writer.alias(to, index),
        },
        FieldType::Integer => match text.parse() {
            Ok(number) => writer.integer(to, number),
            Err(_) => writer.alias(to, index),
        },
        // The same bytes: nothing is copied.
        _ => writer.alias(to, index),
    }
}

/// `request` is a whole URL.
fn write_request(writer: &mut BatchWriter<'_>, start: usize) {
    let Some(id) = writer.field("request") else { return };
    let Some(index) = writer.position(id, start) else { return };
    let Some((_, Value::Text(text))) = writer.nth(index) else { return };
    if text.is_empty() || writer.has(field::URL_ORIGINAL) {
        return;
    }
    let target = url::Target::of(text);
    let places = [(field::URL_DOMAIN, target.domain), (field::URL_PATH, target.path), (field::URL_QUERY, target.query)]
        .map(|(id, part)| (id, part.and_then(|it| url::offsets(text, it))));
    writer.alias(field::URL_ORIGINAL, index);
    for (id, place) in places {
        if let Some((from, to)) = place
            && !writer.has(id)
        {
            writer.alias_part(id, index, from, to);
        }
    }
}

/// What kind of event it is, as far as its words tell.
fn finish(writer: &mut BatchWriter<'_>, name: &str) {
    names::classify(writer);
    let action = match writer.get(field::EVENT_ACTION) {
        Some(Value::Text(text)) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    let blocked = ["block", "deny", "denied", "drop", "reject", "prevent", "quarantine"];
    let allowed = ["allow", "permit", "accept", "pass"];
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|it| action.contains(it));
    let verdict = if has(&blocked) {
        Some(("denied", "failure", "true"))
    } else if has(&allowed) {
        Some(("allowed", "success", "false"))
    } else {
        None
    };
    let both_ends =
        writer.has(field::SOURCE_IP) && (writer.has(field::DESTINATION_IP) || writer.has(field::DESTINATION_PORT));
    let login =
        ["login", "logon", "sign-in", "signin", "authentication", "logged in"].iter().any(|it| name.contains(it));
    if !writer.has(field::EVENT_CATEGORY) {
        if login {
            writer.word(field::EVENT_CATEGORY, "authentication");
            writer.word(field::EVENT_TYPE, "start");
        } else if both_ends {
            writer.word(field::EVENT_CATEGORY, "network");
            writer.text_list(field::EVENT_TYPE, ["connection"].into_iter().chain(verdict.map(|it| it.0)));
        }
    }
    if login && !writer.has(field::EVENT_OUTCOME) {
        let failed = ["fail", "invalid", "denied", "wrong", "incorrect", "reject"].iter().any(|it| name.contains(it));
        writer.text(field::EVENT_OUTCOME, if failed { "failure" } else { "success" });
    }
    if let Some((_, outcome, flag)) = verdict {
        if !writer.has(field::EVENT_OUTCOME) {
            writer.text(field::EVENT_OUTCOME, outcome);
        }
        own(writer, "firewall.blocked", flag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::value;

    #[test]
    fn heads_and_extensions_of_cef_become_fields() {
        for (name, expected) in [
            ("@timestamp", "2024-01-15T10:30:00Z"),
            ("observer.vendor", "Example"),
            ("observer.product", "Guard"),
            ("event.code", "100"),
            ("event.severity", "7"),
            ("source.ip", "203.0.113.9"),
            ("source.port", "4711"),
            ("destination.ip", "192.0.2.8"),
            ("destination.port", "443"),
            ("user.name", "bob"),
            ("event.category", "authentication"),
            ("event.outcome", "failure"),
            ("message", "wrong password"),
            ("rt", "Jan 15 2024 10:30:00"),
        ] {
            assert_eq!(value(CEF.example, name), expected, "{name}");
        }
    }

    #[test]
    fn values_may_have_blanks_equals_signs_and_escapes() {
        let line = r"CEF:0|A\|B|P|1|c|n|High|msg=a b\=c \\d act=Blocked by rule src=2001:db8::1 dst=192.0.2.8 dpt=22 proto=TCP request=https://h.example/p?q\=1";
        for (name, expected) in [
            ("observer.vendor", r"A\|B"),
            ("msg", r"a b=c \d"),
            ("act", "Blocked by rule"),
            ("event.type", "connection,denied"),
            ("firewall.blocked", "true"),
            ("network.transport", "tcp"),
            ("url.domain", "h.example"),
            ("log.level", "error"),
        ] {
            assert_eq!(value(line, name), expected, "{name}");
        }
    }

    #[test]
    fn leef_is_read_with_any_separator() {
        for line in [
            LEEF.example.to_owned(),
            "LEEF:2.0|Example|Guard|1.2|deny|^|src=203.0.113.9^dst=192.0.2.8^dstPort=22^proto=TCP^usrName=bob^devTime=2024-01-15T10:30:00Z".to_owned(),
            "LEEF:2.0|Example|Guard|1.2|deny|x5E|src=203.0.113.9^dst=192.0.2.8^dstPort=22^proto=TCP^usrName=bob^devTime=2024-01-15T10:30:00Z".to_owned(),
        ] {
            for (name, expected) in [
                ("@timestamp", "2024-01-15T10:30:00Z"),
                ("source.ip", "203.0.113.9"),
                ("destination.port", "22"),
                ("user.name", "bob"),
                ("event.code", "deny"),
                ("event.dataset", "leef"),
            ] {
                assert_eq!(value(&line, name), expected, "{name} of {line}");
            }
        }
    }

    #[test]
    fn both_stand_behind_a_syslog_header_too() {
        for (line, dataset) in [
            (format!("<13>Jan 15 10:30:00 fw {}", CEF.example), "cef"),
            (format!("Jan 15 10:30:00 fw guard[7]: {}", LEEF.example), "leef"),
        ] {
            assert_eq!(value(&line, "event.dataset"), dataset, "{line}");
            assert_eq!(value(&line, "source.ip"), "203.0.113.9", "{line}");
            assert_eq!(value(&line, "host.name"), "fw", "{line}");
        }
        for other in ["CEF:0|a|b", "CEF: x", "LEEF:3|a|b|c|d|e", "0|a|b", "BRIEF: no"] {
            assert_ne!(value(other, "event.dataset"), "cef", "{other}");
        }
    }

    #[test]
    fn pairs_are_bounded() {
        let line =
            format!("CEF:0|a|b|c|d|e|1|{}", (0..PAIRS_MAX + 50).map(|it| format!("k{it}=v ")).collect::<String>());
        assert_eq!(value(&line, &format!("k{}", PAIRS_MAX - 1)), "v");
        assert_eq!(value(&line, &format!("k{PAIRS_MAX}")), "");
    }
}
