//! The fields of one JSON object, as the files of the products read them and name them.

use std::net::IpAddr;

use panoptes_model::{Anomaly, BatchWriter, FieldId, FieldType, Timestamp, Value, field};

use super::spread::{self, Pairs};
use crate::context::Context;
use crate::syslog::{self, Tag};
use crate::{address, names, time, url};

/// A field of the record, and the field that it means as well. Where several mean the same, the first that is there
/// counts.
pub(super) type Meanings = panoptes_model::Pairs;

pub(super) struct Fields<'w, 'i> {
    writer: &'w mut BatchWriter<'i>,
    /// The first field of the object.
    start: usize,
    /// Its text.
    text: &'w str,
    context: &'w Context<'w>,
}

impl<'w, 'i> Fields<'w, 'i> {
    pub(super) fn new(writer: &'w mut BatchWriter<'i>, start: usize, text: &'w str, context: &'w Context<'w>) -> Self {
        Self { writer, start, text, context }
    }

    /// Where the field called `name` is.
    pub(super) fn index(&mut self, name: &str) -> Option<usize> {
        let id = self.writer.field(name)?;
        self.writer.position(id, self.start)
    }

    pub(super) fn value(&mut self, name: &str) -> Option<Value<'_>> {
        let index = self.index(name)?;
        self.writer.nth(index).map(|(_, value)| value)
    }

    pub(super) fn has(&mut self, name: &str) -> bool {
        self.value(name).is_some_and(|it| !matches!(it, Value::Null))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the field is the text `word`, whatever the case.
    pub(super) fn is(&mut self, name: &str, word: &str) -> bool {
        self.text(name).is_some_and(|it| it.eq_ignore_ascii_case(word))
    }

    /// Whether the field is one of `words`, whatever the case.
    pub(super) fn is_one_of(&mut self, name: &str, words: &[&str]) -> bool {
        self.text(name).is_some_and(|it| words.iter().any(|word| it.eq_ignore_ascii_case(word)))
    }

    /// Writes a text unless the event has that field.
    pub(super) fn set(&mut self, name: &str, text: &str) {
        if let Some(id) = self.writer.field(name)
            && !self.writer.has(id)
        {
            self.writer.text(id, text);
        }
    }

    /// What kind of event it is.
    pub(super) fn dataset(&mut self, dataset: &str) {
        self.set("event.kind", "event");
        self.set("event.dataset", dataset);
    }

    /// The same where the cloud is known.
    pub(super) fn cloud(&mut self, provider: &str, dataset: &str) {
        self.dataset(dataset);
        self.set("cloud.provider", provider);
    }

    pub(super) fn category(&mut self, category: &str, kind: &str) {
        self.set("event.category", category);
        self.set("event.type", kind);
    }

    pub(super) fn outcome(&mut self, success: bool) {
        self.set("event.outcome", if success { "success" } else { "failure" });
    }

    /// An attempt to log in.
    pub(super) fn login(&mut self, success: bool) {
        self.category("authentication", "start");
        self.outcome(success);
    }

    /// The time is that of the first of `names` that is there.
    pub(super) fn time(&mut self, names: &[&str]) {
        for name in names {
            if self.writer.has_time() {
                return;
            }
            let (zone, received_at) = (self.context.zone, self.writer.received_at());
            let Some(value) = self.value(name) else { continue };
            let instant = match value {
                Value::Text(text) => time::of_text(text, zone, received_at).map(|it| it.time),
                Value::Integer(number) => time::of_integer(number),
                // What was written with six digits after the point lost some in a float.
                Value::Float(number) => {
                    time::of_float(number).map(|it| Timestamp(it.0.saturating_add(500) / 1_000 * 1_000))
                }
                Value::Timestamp(time) => Some(time),
                _ => continue,
            };
            match instant {
                Some(time) => self.writer.time(time),
                None => self.writer.anomaly(Anomaly::TimeInvalid),
            }
        }
    }

    /// The time is what `text` says.
    pub(super) fn time_of(&mut self, text: &str) {
        if !self.writer.has_time()
            && let Some(instant) = time::of_text(text, self.context.zone, self.writer.received_at())
        {
            self.writer.time(instant.time);
        }
    }

    pub(super) fn time_of_epoch(&mut self, seconds: i64, nanos: i64) {
        if !self.writer.has_time()
            && let Some(time) = time::of_integer(seconds)
        {
            self.writer.time(time.saturating_add_nanos(nanos.clamp(0, Timestamp::NANOS_PER_SECOND - 1)));
        }
    }

    /// Writes what syslog would have said of `message`, and reads it as its program's.
    pub(super) fn syslog(
        &mut self,
        host: Option<&str>,
        name: Option<&str>,
        pid: Option<&str>,
        facility_and_severity: Option<(u8, u8)>,
        message: &str,
    ) {
        if let Some(host) = host.filter(|it| !it.is_empty()) {
            syslog::write_host(self.writer, host);
        }
        if let Some((facility, severity)) = facility_and_severity {
            syslog::facility_and_severity(self.writer, facility, severity);
        }
        let name = name.filter(|it| !it.is_empty());
        if let Some(name) = name {
            syslog::write_program(self.writer, name, pid);
        }
        let tag = name.map(|name| Tag { name, module: None, pid, colon: true, message });
        syslog::write_message(self.writer, tag.as_ref(), message, self.context);
    }

    /// Gives one field a further name, as [`mean`](Self::mean) does, but to whatever was written by now.
    pub(super) fn also(&mut self, from: &str, to: &str) {
        if let Some(index) = self.index(from)
            && let Some(to) = self.writer.field(to)
            && !self.writer.has(to)
        {
            self.name(index, to);
        }
    }

    /// Gives fields the further names that they have in ECS, with the type that those have.
    pub(super) fn mean(&mut self, meanings: Meanings) {
        let mut there = self.writer.pairs(meanings, self.start);
        while let Some((from, to)) = there.next(self.writer) {
            if !self.writer.has(to)
                && let Some(index) = self.writer.position(from, self.start)
            {
                self.name(index, to);
            }
        }
    }

    /// Gives the `index`th field the further name `to`.
    pub(super) fn name(&mut self, index: usize, to: FieldId) {
        enum Act {
            Alias,
            Ip(IpAddr, Option<u16>),
            Host,
            Integer(i64),
            Digits(String),
        }
        let Some((_, value)) = self.writer.nth(index) else { return };
        let field_type = self.writer.schema().field_type(to);
        // Of several addresses the first is the client's.
        let first = self.writer.texts(index).next();
        let value = match (field_type, value, first) {
            (FieldType::Ip, Value::List(_), Some(first)) => Value::Text(first),
            _ => value,
        };
        let act = match (field_type, value) {
            (_, Value::Null | Value::Text("" | "-")) => return,
            (FieldType::Ip, Value::Text(text)) => {
                let first = text.split(',').next().unwrap_or(text).trim_ascii();
                match address::endpoint(first) {
                    Some((address, port)) => Act::Ip(address, port),
                    None if to == field::SOURCE_IP && address::is_host_name(text) => Act::Host,
                    None => return,
                }
            }
            (FieldType::Integer, Value::Text(text)) => match text.parse() {
                Ok(number) => Act::Integer(number),
                Err(_) => return,
            },
            (FieldType::Integer, Value::Float(number)) if number.abs() < 9e15 => Act::Integer(number as i64),
            (FieldType::Integer, Value::Integer(_)) | (FieldType::Ip, Value::Ip(_)) => Act::Alias,
            (FieldType::Text, Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Ip(_)) => {
                Act::Digits(value.to_text().into_owned())
            }
            (FieldType::Text, Value::Text(_) | Value::List(_)) => Act::Alias,
            _ => return,
        };
        match act {
            Act::Alias => self.writer.alias(to, index),
            Act::Host => self.writer.alias(field::SOURCE_ADDRESS, index),
            Act::Integer(number) => self.writer.integer(to, number),
            Act::Digits(text) => self.writer.text(to, &text),
            Act::Ip(address, port) => {
                self.writer.ip(to, address);
                let port_id = match to {
                    field::SOURCE_IP => field::SOURCE_PORT,
                    field::DESTINATION_IP => field::DESTINATION_PORT,
                    _ => return,
                };
                if let Some(port) = port.filter(|_| !self.writer.has(port_id)) {
                    self.writer.integer(port_id, i64::from(port));
                }
            }
        }
    }

    /// A duration in `name`, which counts units of `unit_nanos`, as `event.duration`.
    pub(super) fn duration(&mut self, name: &str, unit_nanos: f64) {
        let number = match self.value(name) {
            Some(Value::Integer(number)) => number as f64,
            Some(Value::Float(number)) => number,
            Some(Value::Text(text)) => text.parse().unwrap_or(f64::NAN),
            _ => return,
        };
        let nanos = number * unit_nanos;
        if (0.0..9e18).contains(&nanos) && !self.writer.has(field::EVENT_DURATION) {
            self.writer.integer(field::EVENT_DURATION, nanos as i64);
        }
    }

    pub(super) fn integer(&mut self, name: &str, number: i64) {
        if let Some(id) = self.writer.field(name)
            && !self.writer.has(id)
        {
            self.writer.integer(id, number);
        }
    }

    /// The number in `name`, if it is one.
    pub(super) fn number(&mut self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Integer(number) => Some(number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `url.*` of the text in `name`.
    pub(super) fn url(&mut self, name: &str) {
        let Some(index) = self.index(name) else { return };
        let Some((_, Value::Text(text))) = self.writer.nth(index) else { return };
        if text.is_empty() || text == "-" || self.writer.has(field::URL_ORIGINAL) {
            return;
        }
        let target = url::Target::of(text);
        let part = |it: Option<&str>| it.and_then(|it| url::offsets(text, it));
        let parts = [
            (field::URL_SCHEME, part(target.scheme)),
            (field::URL_DOMAIN, part(target.domain)),
            (field::URL_PATH, part(target.path)),
            (field::URL_QUERY, part(target.query)),
        ];
        let port = target.port;
        self.writer.alias(field::URL_ORIGINAL, index);
        for (id, part) in parts {
            if let Some((from, to)) = part
                && !self.writer.has(id)
            {
                self.writer.alias_part(id, index, from, to);
            }
        }
        if let Some(port) = port.filter(|_| !self.writer.has(field::URL_PORT)) {
            self.writer.integer(field::URL_PORT, i64::from(port));
        }
    }

    /// A request by its status: category, type, action and outcome.
    pub(super) fn request(&mut self, status: &str) {
        self.set("event.category", "web");
        self.set("event.action", "http_request");
        let Some(status) = self.number(status).filter(|it| (100..=999).contains(it)) else {
            return self.set("event.type", "access");
        };
        self.integer("http.response.status_code", status);
        let (kind, outcome) = names::request_words(status);
        if !self.writer.has(field::EVENT_TYPE) {
            self.writer.words(field::EVENT_TYPE, kind);
        }
        if let Some(outcome) = outcome {
            self.set("event.outcome", outcome);
        }
    }

    /// `url.domain` and `url.port` from a `Host` header.
    pub(super) fn host(&mut self, name: &str) {
        let host = self.text(name).map(str::to_owned);
        if let Some(host) = host.filter(|it| !matches!(it.as_str(), "" | "-")) {
            names::write_host(self.writer, &host);
        }
    }

    /// The text of the member `name` of the object itself, as it was written: rules look for words anywhere in it.
    pub(super) fn raw(&mut self, name: &str) {
        if let Some(text) = spread::member(self.text, name)
            && let Some(id) = self.writer.field(name)
            && !self.writer.has(id)
        {
            self.writer.text(id, text);
        }
    }

    /// The objects in the list `name` become lists of their own: `name.key` has the values of `key` of all of them.
    pub(super) fn spread(&mut self, name: &str) {
        if let Some(index) = self.index(name) {
            spread::spread(self.writer, index, None);
        }
    }

    /// The same for lists of pairs: `name.KEY` is the value beside the name `KEY`, too.
    pub(super) fn spread_pairs(&mut self, name: &str, pairs: Pairs) {
        if let Some(index) = self.index(name) {
            spread::spread(self.writer, index, Some(pairs));
        }
    }

    /// What every record needs: nothing may speak for Panoptes, and there is a time if one is stated.
    pub(super) fn finish(&mut self) {
        names::guard(self.writer, self.start, self.context);
        if !self.writer.has(field::MESSAGE) {
            let text = self.text;
            self.writer.text(field::MESSAGE, text);
        }
    }
}
