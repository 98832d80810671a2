//! Columns to events: what a search shows.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow::util::display::array_value_to_string;
use panoptes_model::{EventId, FrameId, Timestamp};

use super::build::write_json_text;
use super::{EVENT_ID, FRAME, INDEX, ITEM_SEPARATOR, LISTS_KEY, OVERFLOW, ROW, SEGMENT, SENT, TIME, is_reserved};

/// A value read back from the store.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Timestamp(Timestamp),
    List(Vec<Self>),
}

impl FieldValue {
    /// Appends the value as JSON. Times become RFC 3339, numbers that JSON does not have become text.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Text(text) => write_json_text(text, out),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Float(number) if number.is_finite() => out.push_str(&format!("{number:?}")),
            Self::Float(number) => write_json_text(&number.to_string(), out),
            Self::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Timestamp(time) => write_json_text(&time.to_string(), out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
        }
    }

    /// The value as text: nothing is empty, a text is itself, all else as JSON has it, without quotes.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Null => String::new(),
            other => {
                let mut out = String::new();
                other.write_json(&mut out);
                out.trim_matches('"').to_owned()
            }
        }
    }

    fn from_json(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Boolean(truth),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(number) => Self::Integer(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            // The overflow is flat; whatever else stands there is shown as it is.
            other => Self::Text(other.to_string()),
        }
    }
}

/// An event read back from the store: names and values in the order of the columns, then of the overflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: EventId,
    pub time: Timestamp,
    /// `@timestamp` and `event.id` first. A name comes more than once if the event had it more than once.
    pub fields: Vec<(String, FieldValue)>,
}

impl Row {
    /// The first value under `name`.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|it| it.0 == name).map(|it| &it.1)
    }

    /// The event as one line of JSON, without the line break. Values that share a name become one list.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        for (index, (name, value)) in self.fields.iter().enumerate() {
            if self.fields.iter().take(index).any(|it| it.0 == *name) {
                continue;
            }
            if index > 0 {
                out.push(',');
            }
            write_json_text(name, &mut out);
            out.push(':');
            let others = self.fields.iter().skip(index + 1).filter(|it| it.0 == *name).map(|it| &it.1);
            let all: Vec<FieldValue> = std::iter::once(value).chain(others).cloned().collect();
            match all.len() {
                1 => value.write_json(&mut out),
                _ => FieldValue::List(all).write_json(&mut out),
            }
        }
        out.push('}');
        out
    }
}

/// The rows of `batch`, which has the columns `@timestamp`, `_frame` and `_index` and any others. A value of a type
/// that the store does not write is shown as its type's name.
pub fn rows(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    (0..batch.num_rows())
        .map(|row| {
            let number = |name: &str| match batch
                .column_by_name(name)
                .map(|it| cell(&Field::new("", it.data_type().clone(), true), it, row))
            {
                Some(FieldValue::Integer(number)) => number,
                Some(FieldValue::Timestamp(time)) => time.0,
                _ => 0,
            };
            let id = EventId { frame: FrameId(number(FRAME) as u64), index: number(INDEX) as u32 };
            let time = Timestamp(number(TIME));
            let mut fields = vec![
                (TIME.to_owned(), FieldValue::Timestamp(time)),
                (EVENT_ID.to_owned(), FieldValue::Text(id.to_string())),
            ];
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                match field.name().as_str() {
                    TIME | FRAME | INDEX | ROW | SEGMENT => {}
                    OVERFLOW => overflow(&cell(field, column, row), &mut fields),
                    // The sender's own id does not hide ours.
                    EVENT_ID => push(format!("{SENT}{EVENT_ID}"), cell(field, column, row), &mut fields),
                    name => push(name.to_owned(), cell(field, column, row), &mut fields),
                }
            }
            Row { id, time, fields }
        })
        .collect()
}

fn push(name: String, value: FieldValue, fields: &mut Vec<(String, FieldValue)>) {
    if value != FieldValue::Null {
        fields.push((name, value));
    }
}

fn overflow(value: &FieldValue, fields: &mut Vec<(String, FieldValue)>) {
    let FieldValue::Text(text) = value else { return };
    each_overflow(text, |name, value| {
        // What a sender calls by a name that the store answers itself must not pass for the store's answer.
        let name = if is_reserved(name) || name == EVENT_ID { format!("{SENT}{name}") } else { name.to_owned() };
        fields.push((name, FieldValue::from_json(value)));
    });
}

/// Calls `visit` for every entry of an overflow text, in order, repeated names included.
pub(crate) fn each_overflow(text: &str, visit: impl FnMut(&str, serde_json::Value)) {
    struct Entries<F>(F);

    impl<'de, F: FnMut(&str, serde_json::Value)> serde::de::Visitor<'de> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<std::borrow::Cow<'_, str>, serde_json::Value>()? {
                (self.0)(&name, value);
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    // Written by `pivot` alone; should it ever not parse, the entries before the fault were visited.
    let parsed = serde::Deserializer::deserialize_map(&mut reader, Entries(visit));
    debug_assert!(parsed.is_ok(), "overflow is an object");
}

/// Calls `visit` with each text that a value of the overflow is found by: those of its items if it is a list.
pub(crate) fn each_text(value: &serde_json::Value, visit: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => visit(text),
        serde_json::Value::Array(items) => items.iter().for_each(|it| each_text(it, visit)),
        // As `Value::to_text` writes floats, and their column is searched: `1.0` is looked for as `1`.
        serde_json::Value::Number(number) if number.is_f64() => {
            visit(&number.as_f64().map_or_else(|| number.to_string(), |it| it.to_string()));
        }
        serde_json::Value::Number(number) => visit(&number.to_string()),
        other => visit(&other.to_string()),
    }
}

/// One value. What the store itself does not write comes as its text.
pub(crate) fn cell(field: &Field, column: &dyn Array, row: usize) -> FieldValue {
    if column.is_null(row) {
        return FieldValue::Null;
    }
    match column.data_type() {
        DataType::Utf8View => text(field, column.as_string_view().value(row)),
        DataType::Utf8 => text(field, column.as_string::<i32>().value(row)),
        DataType::Int64 => FieldValue::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => FieldValue::Integer(column.as_primitive::<UInt64Type>().value(row) as i64),
        DataType::UInt32 => FieldValue::Integer(i64::from(column.as_primitive::<UInt32Type>().value(row))),
        DataType::Float64 => FieldValue::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => FieldValue::Boolean(column.as_boolean().value(row)),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => {
            FieldValue::Timestamp(Timestamp(column.as_primitive::<TimestampNanosecondType>().value(row)))
        }
        DataType::Null => FieldValue::Null,
        _ => FieldValue::Text(array_value_to_string(column, row).unwrap_or_default()),
    }
}

fn text(field: &Field, text: &str) -> FieldValue {
    if field.metadata().contains_key(LISTS_KEY) && text.contains(ITEM_SEPARATOR) {
        FieldValue::List(text.split(ITEM_SEPARATOR).map(|it| FieldValue::Text(it.to_owned())).collect())
    } else {
        FieldValue::Text(text.to_owned())
    }
}
