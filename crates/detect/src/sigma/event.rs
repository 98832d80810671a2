//! Our events as `rsigma` wants to see them: looked up field by field, never as a JSON tree.

use std::borrow::Cow;
use std::cell::OnceCell;

use panoptes_model::{Event, Value};
use rsigma_eval::EventValue;

use super::decode;

/// One event, and what was worked out for it.
pub(crate) struct SigmaEvent<'b> {
    event: Event<'b>,
    url_decoded: OnceCell<Option<Cow<'b, str>>>,
}

impl<'b> SigmaEvent<'b> {
    pub(crate) fn new(event: Event<'b>) -> Self {
        Self { event, url_decoded: OnceCell::new() }
    }
}

fn convert(value: Value<'_>) -> EventValue<'_> {
    match value {
        Value::Null => EventValue::Null,
        Value::Text(text) => EventValue::Str(Cow::Borrowed(text)),
        Value::Integer(number) => EventValue::Int(number),
        Value::Float(number) => EventValue::Float(number),
        Value::Boolean(value) => EventValue::Bool(value),
        Value::Ip(_) | Value::Timestamp(_) => EventValue::Str(value.to_text()),
        Value::List(items) => EventValue::Array(items.iter().map(convert).collect()),
    }
}

/// Calls `visit` with every text in `value` until it says that it has seen enough.
fn any_text(value: Value<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::Text(text) => visit(text),
        Value::List(items) => items.iter().any(|item| any_text(item, visit)),
        _ => false,
    }
}

impl SigmaEvent<'_> {
    /// Every text that a keyword could stand in: the record as it came, then the fields whose text is not simply a
    /// piece of it.
    fn any_keyword_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let original = self.event.original();
        let span = original.as_bytes().as_ptr_range();
        visit(original)
            || self.event.fields().any(|(_, value)| {
                any_text(value, &mut |text| {
                    let piece = text.as_bytes().as_ptr_range();
                    !(span.start <= piece.start && piece.end <= span.end) && visit(text)
                })
            })
    }
}

impl rsigma_eval::Event for SigmaEvent<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        if path == decode::URL_DECODED {
            let decoded = self.url_decoded.get_or_init(|| decode::url_decoded(self.event));
            return decoded.as_deref().map(|text| EventValue::Str(Cow::Borrowed(text)));
        }
        self.event.get_named(path).map(convert)
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.any_keyword_text(&mut |text| pred(text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut all = Vec::new();
        self.visit_string_values(&mut |text| all.push(Cow::Owned(text.to_owned())));
        all
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.any_keyword_text(&mut |text| {
            visit(text);
            false
        });
    }

    /// Only asked for by rules that want the whole event in their result, which ours never do: findings name events.
    fn to_json(&self) -> serde_json::Value {
        let batch = self.event.batch();
        let fields = self.event.fields().map(|(id, value)| (batch.field_name(id).to_owned(), convert(value).to_json()));
        serde_json::Value::Object(fields.collect())
    }
}
