//! Events as Arrow columns, and back.
//!
//! # The columns of a segment
//!
//! | column | type | what |
//! | --- | --- | --- |
//! | `@timestamp` | timestamp (ns, UTC) | when it happened |
//! | `_frame`, `_index` | `UInt64`, `UInt32` | the event's id, shown as `event.id`: `FRAME-INDEX` |
//! | `event.ingested` | timestamp (ns, UTC) | when it was received |
//! | `event.original` | text | the record as it came |
//! | `panoptes.source`, `panoptes.input` | text | where it came from |
//! | one per field name | the field's one type | see below; in order of first appearance |
//! | `_overflow` | text | JSON object of all that has no place above; missing if nothing has |
//! | `_row` | `UInt32` | number of the row in its file (sealed segments only) |
//!
//! Text and addresses are `Utf8View`, the other types `Int64`, `Float64`, `Boolean`, timestamp (ns, UTC). A text column
//! takes any value, as the text that [`Value::to_text`](panoptes_model::Value::to_text) gives. The other types take
//! what is of them, and text that reads as them; the rest are *misfits*.
//!
//! **Lists** are one text: the items joined by [`ITEM_SEPARATOR`] (U+001F). So a field keeps one type whether it has
//! one value or many, plain equality still works and is pruned by bloom filters and statistics where a file has no
//! lists, and a column whose file has some is marked ([`LISTS_KEY`] in the metadata of its field). Text that contains
//! the separator itself is a misfit, so that nobody can forge a list; so is a list of two empty texts.
//!
//! **A message that is the record** is stored once: in sealed segments `message` is then the separator alone (`same.rs`).
//!
//! **Overflow** takes misfits, lists in columns that are not text, repetitions of a field in one event (readers see
//! the first), names that the store uses itself, and the fields beyond [`COLUMNS_MAX`]. Names of the schema go before
//! invented ones and frequent ones before rare ones, so that no sender crowds out what rules and people look for.
//! Null and empty lists are not stored.

mod arrow_table;
mod back;
mod build;
mod names;
mod same;

use arrow::datatypes::{DataType, TimeUnit};
use panoptes_model::{FieldType, Timestamp, Value};

pub use self::arrow_table::{pivot, pivot_batch, pivot_named};
pub use self::back::{FieldValue, Row, rows};
pub(crate) use self::back::{cell, each_overflow, each_text};
pub use self::build::RowRef;
pub(crate) use self::build::write_json_text;
pub(crate) use self::build::{Plan, Table, fill};
pub(crate) use self::same::{SAME, with_repeats, without_repeats};

/// How many columns one segment may have; further fields go to `_overflow`.
pub const COLUMNS_MAX: usize = 256;
/// Between the items of a list in a text column.
pub const ITEM_SEPARATOR: char = '\u{1f}';
/// Key in the metadata of a column's field: some value in it is a list.
pub const LISTS_KEY: &str = "panoptes.lists";

pub(crate) const TIME: &str = "@timestamp";
pub(crate) const FRAME: &str = "_frame";
pub(crate) const INDEX: &str = "_index";
pub(crate) const INGESTED: &str = "event.ingested";
pub(crate) const ORIGINAL: &str = "event.original";
pub(crate) const MESSAGE: &str = "message";
pub(crate) const SOURCE: &str = "panoptes.source";
pub(crate) const INPUT: &str = "panoptes.input";
pub(crate) const OVERFLOW: &str = "_overflow";
pub(crate) const ROW: &str = "_row";
pub(crate) const SEGMENT: &str = "_segment";
pub(crate) const EVENT_ID: &str = "event.id";
/// Before names of the store's own that a sender used, where its values are shown and searched.
pub(crate) const SENT: &str = "_sent.";

/// Columns that come before the fields.
const FIXED_COLUMNS: usize = 7;
/// Columns for fields: all but the fixed ones, `_overflow` and `_row`.
pub(crate) const FIELD_COLUMNS_MAX: usize = COLUMNS_MAX - FIXED_COLUMNS - 2;
/// How long the name of a column may be, in bytes; fields with longer names go to `_overflow`.
const NAME_BYTES_MAX: usize = 256;

/// Names that a sender may not fill a column under: the store answers them itself.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, TIME | FRAME | INDEX | INGESTED | ORIGINAL | SOURCE | INPUT | OVERFLOW | ROW | SEGMENT)
}

/// Columns that are shown in another form, or not at all.
#[cfg(feature = "search")]
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, FRAME | INDEX | ROW | SEGMENT)
}

/// The Arrow type that a field of `field_type` has in every segment.
pub(crate) fn data_type(field_type: FieldType) -> DataType {
    match field_type {
        FieldType::Text | FieldType::Ip => DataType::Utf8View,
        FieldType::Integer => DataType::Int64,
        FieldType::Float => DataType::Float64,
        FieldType::Boolean => DataType::Boolean,
        FieldType::Timestamp => timestamp_type(),
    }
}

pub(crate) fn timestamp_type() -> DataType {
    // The offset rather than the name: Arrow knows names only with a time zone database.
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

/// A value as its column takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fit<'v> {
    Text(&'v str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Timestamp(i64),
    /// To be joined with separators: all items are without.
    List,
    Nothing,
    Misfit,
}

/// How `value` fits into a column of `field_type`. What is no text yet becomes one in `scratch`.
fn fit<'v>(field_type: FieldType, value: Value<'v>, scratch: &'v mut String) -> Fit<'v> {
    match (field_type, value) {
        (_, Value::Null) => Fit::Nothing,
        (FieldType::Text | FieldType::Ip, Value::List(list)) => {
            let mut fits = |item| matches!(fit(field_type, item, scratch), Fit::Text(_) | Fit::Nothing);
            match list.iter().filter(|it| *it != Value::Null).count() {
                0 => Fit::Nothing,
                _ if !list.iter().all(&mut fits) => Fit::Misfit,
                // Joined it would read as `same::SAME`.
                2 if list.iter().all(|it| it == Value::Null || it.to_text().is_empty()) => Fit::Misfit,
                _ => Fit::List,
            }
        }
        (FieldType::Text, Value::Text(text)) => plain(text),
        (FieldType::Text, _) | (FieldType::Ip, Value::Ip(_)) => {
            scratch.clear();
            value.write_text(scratch);
            Fit::Text(scratch)
        }
        (FieldType::Ip, Value::Text(text)) => match text.parse::<std::net::IpAddr>() {
            Ok(ip) => {
                scratch.clear();
                Value::Ip(ip.to_canonical()).write_text(scratch);
                Fit::Text(scratch)
            }
            Err(_) => Fit::Misfit,
        },
        (FieldType::Integer, Value::Integer(number)) => Fit::Integer(number),
        (FieldType::Integer, Value::Text(text)) => text.parse().map_or(Fit::Misfit, Fit::Integer),
        (FieldType::Float, Value::Float(number)) => Fit::Float(number),
        (FieldType::Float, Value::Integer(number)) if number.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS => {
            Fit::Float(number as f64)
        }
        (FieldType::Float, Value::Text(text)) => text.parse().map_or(Fit::Misfit, Fit::Float),
        (FieldType::Boolean, Value::Boolean(truth)) => Fit::Boolean(truth),
        (FieldType::Boolean, Value::Text(text)) => text.parse().map_or(Fit::Misfit, Fit::Boolean),
        (FieldType::Timestamp, Value::Timestamp(time)) => Fit::Timestamp(time.0),
        (FieldType::Timestamp, Value::Text(text)) => instant(text).map_or(Fit::Misfit, |it| Fit::Timestamp(it.0)),
        (_, Value::List(list)) if list.is_empty() => Fit::Nothing,
        _ => Fit::Misfit,
    }
}

fn plain(text: &str) -> Fit<'_> {
    if memchr::memchr(ITEM_SEPARATOR as u8, text.as_bytes()).is_some() { Fit::Misfit } else { Fit::Text(text) }
}

/// The instant that an RFC 3339 text names, if it lies in the range of [`Timestamp`].
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests;
