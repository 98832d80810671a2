//! Events to Arrow columns.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringViewBuilder,
    TimestampNanosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use panoptes_model::{Event, EventBatch, FieldType};

use super::build::{Plan, RowRef, Table, fill};
use super::{
    FRAME, Fit, INDEX, INGESTED, INPUT, LISTS_KEY, ORIGINAL, OVERFLOW, SOURCE, TIME, data_type, is_reserved,
    timestamp_type,
};

/// The fixed columns that take memory.
const FIXED_TEXTS: [&str; 3] = [ORIGINAL, SOURCE, INPUT];

/// All events of one batch in their order, with all their fields.
pub fn pivot_batch(batch: &EventBatch) -> RecordBatch {
    let rows: Vec<RowRef> = (0..batch.len() as u32).map(|event| RowRef { batch: 0, event }).collect();
    pivot(&[batch], &rows)
}

/// The events `rows` of `batches` with all their fields. A row that does not exist is left out.
pub fn pivot(batches: &[&EventBatch], rows: &[RowRef]) -> RecordBatch {
    build(Plan::of(batches, rows), batches, rows, &FIXED_TEXTS)
}

/// The events `rows` of `batches` with the fields `wanted` alone, each under the type given: what a filter needs.
/// `_overflow` holds the misfits of these. Of the fixed text columns there are only those that are wanted.
pub fn pivot_named(batches: &[&EventBatch], rows: &[RowRef], wanted: &[(String, FieldType)]) -> RecordBatch {
    let is_wanted = |name: &str| wanted.iter().any(|it| it.0 == name);
    let texts: Vec<&str> = FIXED_TEXTS.into_iter().filter(|it| is_wanted(it)).collect();
    let columns = wanted.iter().filter(|it| !is_reserved(&it.0)).cloned().collect();
    build(Plan::named(batches, columns), batches, rows, &texts)
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

    fn append(&mut self, row: usize, value: Fit<'_>) {
        self.fill_nulls(row);
        match (&mut self.builder, value) {
            (Builder::Text(it), Fit::Text(text)) => it.append_value(text),
            (Builder::Integer(it), Fit::Integer(number)) => it.append_value(number),
            (Builder::Float(it), Fit::Float(number)) => it.append_value(number),
            (Builder::Boolean(it), Fit::Boolean(truth)) => it.append_value(truth),
            (Builder::Timestamp(it), Fit::Timestamp(nanos)) => it.append_value(nanos),
            // `Table` says that values are of the type of their column.
            _ => return,
        }
        self.length += 1;
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

struct ArrowTable {
    rows: usize,
    times: TimestampNanosecondBuilder,
    ingested: TimestampNanosecondBuilder,
    frames: UInt64Builder,
    indexes: UInt32Builder,
    /// Those that are wanted of [`FIXED_TEXTS`].
    texts: [Option<StringViewBuilder>; FIXED_TEXTS.len()],
    columns: Vec<Column>,
    overflows: StringViewBuilder,
    has_overflow: bool,
}

impl<'b> Table<'b> for ArrowTable {
    type Error = Infallible;

    fn begin(&mut self, event: Event<'b>) {
        self.times.append_value(event.time().0);
        self.ingested.append_value(event.received_at().0);
        self.frames.append_value(event.id().frame.0);
        self.indexes.append_value(event.id().index);
        let [originals, sources, inputs] = &mut self.texts;
        if let Some(it) = originals {
            it.append_value(event.original());
        }
        if let Some(it) = sources {
            it.append_option(event.origin().map(|it| it.source.as_str()));
        }
        if let Some(it) = inputs {
            it.append_option(event.origin().map(|it| it.input.as_str()));
        }
    }

    fn put(&mut self, slot: usize, value: Fit<'_>) {
        if let Some(column) = self.columns.get_mut(slot) {
            column.append(self.rows, value);
        }
    }

    fn put_list(&mut self, slot: usize, joined: &str) {
        if let Some(column) = self.columns.get_mut(slot) {
            column.append(self.rows, Fit::Text(joined));
            column.has_lists = true;
        }
    }

    fn end(&mut self, overflow: Option<&str>) -> Result<(), Infallible> {
        self.overflows.append_option(overflow);
        self.has_overflow |= overflow.is_some();
        self.rows += 1;
        Ok(())
    }
}

fn build(plan: Plan<'_>, batches: &[&EventBatch], rows: &[RowRef], texts: &[&str]) -> RecordBatch {
    let mut table = ArrowTable {
        rows: 0,
        times: timestamps(),
        ingested: timestamps(),
        frames: UInt64Builder::new(),
        indexes: UInt32Builder::new(),
        texts: FIXED_TEXTS.map(|it| texts.contains(&it).then(StringViewBuilder::new)),
        columns: plan.columns.iter().map(|(name, field_type)| Column::new(name.clone(), *field_type)).collect(),
        overflows: StringViewBuilder::new(),
        has_overflow: false,
    };
    match fill(plan, batches, rows, &mut table) {
        Ok(()) => table.finish(),
        Err(never) => match never {},
    }
}

impl ArrowTable {
    fn finish(mut self) -> RecordBatch {
        let mut fields = vec![
            Field::new(TIME, timestamp_type(), false),
            Field::new(FRAME, DataType::UInt64, false),
            Field::new(INDEX, DataType::UInt32, false),
            Field::new(INGESTED, timestamp_type(), false),
        ];
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.times.finish()),
            Arc::new(self.frames.finish()),
            Arc::new(self.indexes.finish()),
            Arc::new(self.ingested.finish()),
        ];
        for (name, builder) in FIXED_TEXTS.into_iter().zip(self.texts) {
            if let Some(mut builder) = builder {
                fields.push(Field::new(name, DataType::Utf8View, name != ORIGINAL));
                arrays.push(Arc::new(builder.finish()));
            }
        }
        for column in self.columns {
            let (field, array) = column.finish(self.rows);
            fields.push(field);
            arrays.push(array);
        }
        if self.has_overflow {
            fields.push(Field::new(OVERFLOW, DataType::Utf8View, true));
            arrays.push(Arc::new(self.overflows.finish()));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)
            .expect("every column was built with the type of its field and one entry per row")
    }
}
