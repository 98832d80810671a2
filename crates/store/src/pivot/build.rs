//! Events to columns.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringViewBuilder,
    TimestampNanosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use panoptes_model::{Event, EventBatch, FieldType, Value};

use super::names::Names;
use super::{
    FIELD_COLUMNS_MAX, FRAME, Fit, INDEX, INGESTED, INPUT, ITEM_SEPARATOR, LISTS_KEY, NAME_BYTES_MAX, ORIGINAL,
    OVERFLOW, SOURCE, TIME, data_type, fit, is_reserved, timestamp_type,
};

/// One event among some batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef {
    /// Index of the batch.
    pub batch: u32,
    /// Index of the event in it.
    pub event: u32,
}

/// The fixed columns that take memory.
const FIXED_TEXTS: [&str; 3] = [ORIGINAL, SOURCE, INPUT];

/// Where a field's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Column(u16),
    Overflow,
    Ignored,
}

/// All events of one batch in their order, with all their fields.
pub fn pivot_batch(batch: &EventBatch) -> RecordBatch {
    let rows: Vec<RowRef> = (0..batch.len() as u32).map(|event| RowRef { batch: 0, event }).collect();
    pivot(&[batch], &rows)
}

/// The events `rows` of `batches` with all their fields. A row that does not exist is left out.
pub fn pivot(batches: &[&EventBatch], rows: &[RowRef]) -> RecordBatch {
    let mut names = Names::new(batches);
    let mut counts: Vec<u32> = Vec::new();
    for (row, event) in events(batches, rows) {
        for (field, value) in event.fields() {
            let number = names.number(row.batch as usize, field);
            if number >= counts.len() {
                counts.resize(number + 1, 0);
            }
            if let Some(count) = counts.get_mut(number)
                && value != Value::Null
            {
                *count += 1;
            }
        }
    }
    let candidate = |name: &str| !is_reserved(name) && !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    let mut chosen: Vec<usize> = names
        .known()
        .iter()
        .enumerate()
        .filter(|(number, it)| candidate(it.name) && counts.get(*number).is_some_and(|count| *count > 0))
        .map(|(number, _)| number)
        .collect();
    if chosen.len() > FIELD_COLUMNS_MAX {
        chosen.sort_by_key(|number| {
            let invented = names.known().get(*number).is_some_and(|it| !it.is_fixed);
            (invented, std::cmp::Reverse(counts.get(*number).copied()), *number)
        });
        chosen.truncate(FIELD_COLUMNS_MAX);
        chosen.sort_unstable();
    }
    let mut places = vec![Place::Overflow; names.known().len()];
    let mut columns = Vec::with_capacity(chosen.len());
    for number in chosen {
        if let (Some(place), Some(name)) = (places.get_mut(number), names.known().get(number)) {
            *place = Place::Column(columns.len() as u16);
            columns.push((name.name.to_owned(), name.field_type));
        }
    }
    build(batches, rows, names, places, columns, Place::Overflow, &FIXED_TEXTS)
}

/// The events `rows` of `batches` with the fields `wanted` alone, each under the type given: what a filter needs.
/// `_overflow` holds the misfits of these. Of the fixed text columns there are only those that are wanted.
pub fn pivot_named(batches: &[&EventBatch], rows: &[RowRef], wanted: &[(String, FieldType)]) -> RecordBatch {
    let is_wanted = |name: &str| wanted.iter().any(|it| it.0 == name);
    let texts: Vec<&str> = FIXED_TEXTS.into_iter().filter(|it| is_wanted(it)).collect();
    let columns = wanted.iter().filter(|it| !is_reserved(&it.0)).cloned().collect();
    build(batches, rows, Names::new(batches), Vec::new(), columns, Place::Ignored, &texts)
}

fn events<'b>(batches: &'b [&'b EventBatch], rows: &'b [RowRef]) -> impl Iterator<Item = (RowRef, Event<'b>)> {
    rows.iter().filter_map(|row| Some((*row, batches.get(row.batch as usize)?.event(row.event as usize)?)))
}

enum Builder {
    Text(StringViewBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampNanosecondBuilder),
}

struct Column {
    name: String,
    field_type: FieldType,
    builder: Builder,
    /// How many rows are filled: nulls are added when the next value comes.
    length: usize,
    has_lists: bool,
}

impl Column {
    fn new(name: String, field_type: FieldType) -> Self {
        let builder = match field_type {
            FieldType::Text | FieldType::Ip => Builder::Text(StringViewBuilder::new()),
            FieldType::Integer => Builder::Integer(Int64Builder::new()),
            FieldType::Float => Builder::Float(Float64Builder::new()),
            FieldType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            FieldType::Timestamp => Builder::Timestamp(timestamps()),
        };
        Self { name, field_type, builder, length: 0, has_lists: false }
    }

    fn fill_nulls(&mut self, row: usize) {
        let missing = row.saturating_sub(self.length);
        match &mut self.builder {
            Builder::Text(it) => (0..missing).for_each(|_| it.append_null()),
            Builder::Integer(it) => it.append_nulls(missing),
            Builder::Float(it) => it.append_nulls(missing),
            Builder::Boolean(it) => it.append_nulls(missing),
            Builder::Timestamp(it) => it.append_nulls(missing),
        }
        self.length += missing;
    }

    /// Puts `value` into row `row`; false if it has no place here.
    #[inline]
    fn append(&mut self, row: usize, value: Value<'_>) -> bool {
        if self.length > row {
            // The event has the field twice.
            return value == Value::Null;
        }
        let fitted = fit(self.field_type, value);
        match fitted {
            Fit::Nothing => return true,
            Fit::Misfit => return false,
            _ => self.fill_nulls(row),
        }
        match (&mut self.builder, fitted) {
            (Builder::Text(it), Fit::Text(text)) => it.append_value(text),
            (Builder::Text(it), Fit::List) => {
                let mut joined = String::new();
                let mut count = 0;
                for item in value.each() {
                    if let Fit::Text(text) = fit(self.field_type, item) {
                        if count > 0 {
                            joined.push(ITEM_SEPARATOR);
                        }
                        joined.push_str(&text);
                        count += 1;
                    }
                }
                self.has_lists |= count > 1;
                it.append_value(joined);
            }
            (Builder::Integer(it), Fit::Integer(number)) => it.append_value(number),
            (Builder::Float(it), Fit::Float(number)) => it.append_value(number),
            (Builder::Boolean(it), Fit::Boolean(truth)) => it.append_value(truth),
            (Builder::Timestamp(it), Fit::Timestamp(nanos)) => it.append_value(nanos),
            // `fit` gives what the type of the column takes.
            _ => return false,
        }
        self.length += 1;
        true
    }

    fn finish(mut self, rows: usize) -> (Field, ArrayRef) {
        self.fill_nulls(rows);
        let mut field = Field::new(self.name, data_type(self.field_type), true);
        if self.has_lists {
            field.set_metadata(HashMap::from([(LISTS_KEY.to_owned(), "1".to_owned())]));
        }
        let array: ArrayRef = match self.builder {
            Builder::Text(mut it) => Arc::new(it.finish()),
            Builder::Integer(mut it) => Arc::new(it.finish()),
            Builder::Float(mut it) => Arc::new(it.finish()),
            Builder::Boolean(mut it) => Arc::new(it.finish()),
            Builder::Timestamp(mut it) => Arc::new(it.finish()),
        };
        (field, array)
    }
}

fn timestamps() -> TimestampNanosecondBuilder {
    TimestampNanosecondBuilder::new().with_data_type(timestamp_type())
}

fn build(
    batches: &[&EventBatch],
    rows: &[RowRef],
    mut names: Names<'_>,
    mut places: Vec<Place>,
    columns: Vec<(String, FieldType)>,
    rest: Place,
    texts: &[&str],
) -> RecordBatch {
    let [has_originals, has_sources, has_inputs] = FIXED_TEXTS.map(|it| texts.contains(&it));
    let by_name: HashMap<&str, u16> =
        columns.iter().enumerate().map(|(slot, (name, _))| (name.as_str(), slot as u16)).collect();
    let mut built: Vec<Column> = columns.iter().map(|(name, ty)| Column::new(name.clone(), *ty)).collect();
    let (mut times, mut ingested) = (timestamps(), timestamps());
    let (mut frames, mut indexes) = (UInt64Builder::new(), UInt32Builder::new());
    let [mut originals, mut sources, mut inputs, mut overflows] = std::array::from_fn(|_| StringViewBuilder::new());
    let (mut overflow, mut has_overflow) = (String::new(), false);
    let mut count = 0;

    for (row, event) in events(batches, rows) {
        times.append_value(event.time().0);
        ingested.append_value(event.received_at().0);
        frames.append_value(event.id().frame.0);
        indexes.append_value(event.id().index);
        if has_originals {
            originals.append_value(event.original());
        }
        if has_sources {
            sources.append_option(event.origin().map(|it| it.source.as_str()));
        }
        if has_inputs {
            inputs.append_option(event.origin().map(|it| it.input.as_str()));
        }

        overflow.clear();
        for (field, value) in event.fields() {
            let number = names.number(row.batch as usize, field);
            // Only `pivot_named` meets names that have no place yet.
            while places.len() <= number {
                let name = names.known().get(places.len()).map_or("", |it| it.name);
                places.push(by_name.get(name).map_or(rest, |slot| Place::Column(*slot)));
            }
            let placed = match places.get(number) {
                Some(Place::Column(slot)) => built.get_mut(*slot as usize).is_some_and(|it| it.append(count, value)),
                Some(Place::Ignored) | None => true,
                Some(Place::Overflow) => value == Value::Null,
            };
            if !placed {
                overflow.push(if overflow.is_empty() { '{' } else { ',' });
                write_json_text(event.batch().field_name(field), &mut overflow);
                overflow.push(':');
                write_json(value, &mut overflow);
            }
        }
        if overflow.is_empty() {
            overflows.append_null();
        } else {
            overflow.push('}');
            overflows.append_value(&overflow);
            has_overflow = true;
        }
        count += 1;
    }

    let mut fields = vec![
        Field::new(TIME, timestamp_type(), false),
        Field::new(FRAME, DataType::UInt64, false),
        Field::new(INDEX, DataType::UInt32, false),
        Field::new(INGESTED, timestamp_type(), false),
    ];
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(times.finish()),
        Arc::new(frames.finish()),
        Arc::new(indexes.finish()),
        Arc::new(ingested.finish()),
    ];
    for (name, is_there, mut builder) in
        [(ORIGINAL, has_originals, originals), (SOURCE, has_sources, sources), (INPUT, has_inputs, inputs)]
    {
        if is_there {
            fields.push(Field::new(name, DataType::Utf8View, name != ORIGINAL));
            arrays.push(Arc::new(builder.finish()));
        }
    }
    for column in built {
        let (field, array) = column.finish(count);
        fields.push(field);
        arrays.push(array);
    }
    if has_overflow {
        fields.push(Field::new(OVERFLOW, DataType::Utf8View, true));
        arrays.push(Arc::new(overflows.finish()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)
        .expect("every column was built with the type of its field and one entry per row")
}

/// A value as JSON. Numbers that JSON does not have, addresses and times become text.
fn write_json(value: Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Integer(_) | Value::Boolean(_) => value.write_text(out),
        Value::Float(number) if number.is_finite() => {
            // `{:?}` keeps the point, so that a float stays one.
            let done = write!(out, "{number:?}");
            debug_assert!(done.is_ok(), "writing to a string cannot fail");
        }
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        other => write_json_text(&other.to_text(), out),
    }
}

pub(crate) fn write_json_text(text: &str, out: &mut String) {
    // Serialising a string cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
