//! Windows events, in every dress that shippers put them in: JSON as the `evtx` crate writes it (what `import` makes of
//! an EVTX file), Winlogbeat's, NXLog's flat one and its relatives, and the XML that Windows itself writes.
//!
//! All of them become the same fields (`docs/fields.md`, *Windows events*): the system part under Winlogbeat's names,
//! every datum as text under `winlog.event_data.<Name>`, and beside them what they mean in ECS.
//!
//! # Where to look first
//! * `names.rs`: what each shape calls a thing.
//! * `plan.rs`: what an event means, one line for each kind.
//! * `ecs.rs`: how a datum becomes an ECS field.
//! * `channel.rs`: the log, and `event.dataset`.

mod channel;
mod ecs;
mod names;
mod plan;
#[cfg(test)]
mod tests;
mod xml;

use std::sync::LazyLock;

use memchr::memmem::Finder;
use panoptes_model::{Anomaly, BatchWriter, Value, field};

use self::channel::Family;
use self::names::{EventNames, Shape, tag};
use super::{Declined, FormatKind};
use crate::context::Context;
use crate::event_xml::{self, looks_like_event};
use crate::json::{Malformed, Reason, read_object_as};
use crate::level;
use crate::time::{self, Zone};

pub(super) static KIND: FormatKind = FormatKind {
    name: "windows_event",
    summary: "a Windows event in JSON (EVTX, Winlogbeat, NXLog) or XML",
    example: r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2024-01-15T10:30:00.5Z"}},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc1.example"},"EventData":{"Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c whoami","User":"EXAMPLE\\bob","ProcessId":4711}}}"##,
    parse,
};

/// How long a text in a text may be to be read once more (`EventData` as JSON inside JSON). A longer one stays text.
const INNER_BYTES_MAX: usize = 256 << 10;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let names =
        if text.trim_ascii_start().starts_with('<') { read_xml(writer, text)? } else { read_json(writer, text)? };
    finish(writer, &names, context);
    Ok(())
}

fn read_xml<'t>(writer: &mut BatchWriter<'_>, text: &'t str) -> Result<EventNames<'t>, Declined> {
    if !looks_like_event(text) {
        return Err(Declined::because("is no XML of an event"));
    }
    xml::read(writer, text).map_err(|event_xml::Malformed { offset, is_truncated }| match is_truncated {
        true => Declined::damaged("the XML ends inside the event", Anomaly::Truncated, offset),
        false => Declined::damaged("the XML is malformed", Anomaly::SyntaxInvalid, offset),
    })
}

fn read_json<'t>(writer: &mut BatchWriter<'_>, text: &'t str) -> Result<EventNames<'t>, Declined> {
    let Some(shape) = shape(text) else { return Err(Declined::because("is no Windows event")) };
    let mut names = EventNames::new(shape);
    read_object_as(writer, text, &mut names).map_err(|Malformed { offset, reason }| match reason {
        Reason::Truncated => Declined::damaged("the JSON ends inside a value", Anomaly::Truncated, offset),
        _ => Declined::damaged("the JSON is malformed", Anomaly::SyntaxInvalid, offset),
    })?;
    names.settle(writer);
    let has_source = names.has(tag::CHANNEL) || names.has(tag::PROVIDER);
    if !has_source || !names.has(tag::EVENT_ID) && !names.has(tag::EVENT_CODE) {
        return Err(Declined::because("names no channel or provider, or no event id"));
    }
    match inner_data(writer, &names) {
        Some(inner) => Ok(read_inner(writer, names, &inner)),
        None => Ok(names),
    }
}

/// Tells the shape by content, cheaply: most JSON is no Windows event.
fn shape(text: &str) -> Option<Shape> {
    static EVENT_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""EventID""#));
    static WINLOG: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""winlog"#));
    let inside = text.trim_ascii_start().strip_prefix('{')?;
    if inside.trim_ascii_start().starts_with(r#""Event""#) {
        return Some(Shape::Tree);
    }
    if EVENT_ID.find(text.as_bytes()).is_some() {
        return Some(Shape::Flat);
    }
    WINLOG.find(text.as_bytes()).map(|_| Shape::Beat)
}

/// The data of an event that carries them as JSON in a text, as Microsoft Sentinel exports them. A copy, because the
/// text was decoded into the same memory that its fields will be written to.
fn inner_data(writer: &BatchWriter<'_>, names: &EventNames<'_>) -> Option<String> {
    let text = names.text(writer, tag::EVENT_DATA_TEXT)?;
    (text.starts_with('{') && text.len() <= INNER_BYTES_MAX).then(|| text.to_owned())
}

fn read_inner<'t>(writer: &mut BatchWriter<'_>, names: EventNames<'t>, inner: &str) -> EventNames<'t> {
    let mut data = EventNames::new(Shape::Flat).within_data();
    if read_object_as(writer, inner, &mut data).is_err() {
        // What was read of it stays; the text itself is there as well.
        writer.anomaly(Anomaly::SyntaxInvalid);
    }
    names.and(&data)
}

/// Writes what follows from the parts that were read.
fn finish(writer: &mut BatchWriter<'_>, names: &EventNames<'_>, context: &Context<'_>) {
    let is_beat = names.shape() == Shape::Beat;
    let family = write_dataset(writer, names);
    stamp(writer, names, context);
    let id = match names.index(tag::EVENT_ID) {
        Some(index) => {
            if is_beat && !names.has(tag::EVENT_CODE) {
                writer.alias(field::EVENT_CODE, index);
            }
            names.text(writer, tag::EVENT_ID)
        }
        None => names.text(writer, tag::EVENT_CODE),
    };
    let id = id.and_then(|it| it.parse().ok()).unwrap_or(0);
    if !names.has(tag::KIND) {
        writer.word(field::EVENT_KIND, if is_detection(family, id) { "alert" } else { "event" });
    }
    if let Some(index) = names.index(tag::PROVIDER)
        && !names.has(tag::EVENT_PROVIDER)
    {
        writer.alias(field::EVENT_PROVIDER, index);
    }
    if let Some(index) = names.index(tag::COMPUTER)
        && !names.has(tag::HOST_NAME)
        && names.text(writer, tag::COMPUTER).is_some()
    {
        writer.alias(field::HOST_NAME, index);
    }
    write_level(writer, names);
    write_keywords(writer, names);
    if let Some(plan) = plan::of(family, id) {
        if !names.has(tag::CATEGORY) {
            writer.words(field::EVENT_CATEGORY, plan.category);
        }
        if !names.has(tag::TYPE) {
            writer.words(field::EVENT_TYPE, plan.kind);
        }
        if !names.has(tag::ACTION) {
            writer.word(field::EVENT_ACTION, plan.action);
        }
        if !names.has(tag::OUTCOME) {
            ecs::write_outcome(writer, names, plan.outcome);
        }
        ecs::write(writer, names, plan, is_beat);
    }
    if family == Family::PowerShellClassic {
        write_host_application(writer, names);
    }
    // NXLog tells the account of the event itself; data of the same names (of an installed service, say) have no type.
    if names.has(tag::ACCOUNT_TYPE) {
        for (from, to) in
            [(tag::ACCOUNT, field::WINLOG_USER_NAME), (tag::ACCOUNT_DATA_DOMAIN, field::WINLOG_USER_DOMAIN)]
        {
            if let Some(index) = names.index(from) {
                writer.alias(to, index);
            }
        }
    }
}

fn is_detection(family: Family, id: u32) -> bool {
    family == Family::Defender && matches!(id, 1006 | 1015 | 1116 | 1117 | 1118 | 1119)
}

/// Writes `event.dataset` and says which log it is.
fn write_dataset(writer: &mut BatchWriter<'_>, names: &EventNames<'_>) -> Family {
    let channel = names.text(writer, tag::CHANNEL);
    let (family, dataset) = match (channel, names.text(writer, tag::PROVIDER)) {
        (Some(channel), _) => Family::of_channel(channel),
        (None, Some(provider)) => Family::of_provider(provider),
        (None, None) => (Family::Other, Some("windows.event")),
    };
    match dataset {
        Some(dataset) => writer.word(field::EVENT_DATASET, dataset),
        None => {
            let tag = if channel.is_some() { tag::CHANNEL } else { tag::PROVIDER };
            channel::write_slug(writer, names, tag);
        }
    }
    family
}

/// Gives the event its time. What the event log itself says comes first if it names a zone, then Sysmon's own clock,
/// then the time that the shipper gave; a local time without a zone comes last.
fn stamp(writer: &mut BatchWriter<'_>, names: &EventNames<'_>, context: &Context<'_>) {
    let mut damaged = false;
    let mut local = None;
    for tag in [tag::TIME_SYSTEM, tag::UTC_TIME, tag::TIME_SENT, tag::TIME_LOCAL] {
        let text = if tag == tag::UTC_TIME { names.text(writer, tag).unwrap_or("") } else { names.captured(tag) };
        if text.is_empty() {
            continue;
        }
        if let Some((civil, "")) = time::leading(text) {
            let is_utc = tag == tag::UTC_TIME;
            if is_utc || civil.has_zone() {
                let zone = if is_utc { &Zone::UTC } else { context.zone };
                if let Some(instant) = civil.resolve(zone, writer.received_at()) {
                    return writer.time(instant.time);
                }
            }
            local = local.or_else(|| civil.resolve(context.zone, writer.received_at()));
        } else if let Some(instant) = time::of_text(text, context.zone, writer.received_at()) {
            return writer.time(instant.time);
        }
        damaged = true;
    }
    match local {
        Some(instant) => writer.time(instant.time),
        None if damaged => writer.anomaly(Anomaly::TimeInvalid),
        None => {}
    }
}

/// Writes `log.level` and `winlog.level`, whichever of them the shipper left out.
fn write_level(writer: &mut BatchWriter<'_>, names: &EventNames<'_>) {
    let known = names.text(writer, tag::LEVEL);
    let (number, word) = if let Some(level) = known {
        let word = match level {
            "1" => "critical",
            "2" => "error",
            "3" => "warning",
            "0" | "4" => "info",
            "5" => "debug",
            _ => "",
        };
        ("", word)
    } else if let Some(severity) = names.text(writer, tag::SEVERITY) {
        // NXLog counts from debug to critical.
        match severity {
            "1" => ("5", "debug"),
            "2" => ("4", "info"),
            "3" => ("3", "warning"),
            "4" => ("2", "error"),
            "5" => ("1", "critical"),
            _ => ("", ""),
        }
    } else {
        let word = match names.captured(tag::LEVEL_WORD) {
            "verbose" => "debug",
            word => level::canonical(word).unwrap_or(""),
        };
        let number = match word {
            "critical" => "1",
            "error" => "2",
            "warning" => "3",
            "info" => "4",
            "debug" => "5",
            _ => "",
        };
        (number, word)
    };
    if !number.is_empty() {
        writer.word(field::WINLOG_LEVEL, number);
    }
    if !word.is_empty() {
        writer.word(field::LOG_LEVEL, word);
    }
}

/// NXLog tells the keywords as a signed number; everyone else, and every rule, writes them in hexadecimal.
fn write_keywords(writer: &mut BatchWriter<'_>, names: &EventNames<'_>) {
    let number = names.text(writer, tag::KEYWORDS_NUMBER).and_then(|it| it.parse::<i64>().ok());
    if let Some(number) = number.filter(|_| !names.has(tag::KEYWORDS)) {
        writer.text_with(field::WINLOG_KEYWORDS, |out| {
            out.push_str("0x");
            push_hex(out, number as u64);
        });
    }
}

fn push_hex(out: &mut String, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(char::from_digit((number >> (place * 4) & 0xf) as u32, 16).unwrap_or('0'));
    }
}

/// The command line of the host, which the events of Windows PowerShell tell in the middle of a text.
fn write_host_application(writer: &mut BatchWriter<'_>, names: &EventNames<'_>) {
    const MARK: &str = "HostApplication=";
    let tag = if names.has(tag::DATA_LIST) { tag::DATA_LIST } else { tag::MESSAGE };
    let Some(index) = names.index(tag) else { return };
    let Some((_, value)) = writer.nth(index) else { return };
    // A copy: these events are few.
    let found = value.each().find_map(|it| match it {
        Value::Text(text) => {
            let (_, after) = text.split_once(MARK)?;
            Some(after.lines().next()?.trim().to_owned())
        }
        _ => None,
    });
    if let Some(command) = found.filter(|it| !it.is_empty() && !writer.has(field::PROCESS_COMMAND_LINE)) {
        writer.text(field::PROCESS_COMMAND_LINE, &command);
    }
}
