//! One set of columns for several segments.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringViewBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use panoptes_model::Schema;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use crate::pivot::{
    FIELD_COLUMNS_MAX, FRAME, FieldValue, INDEX, INGESTED, INPUT, LISTS_KEY, ORIGINAL, OVERFLOW, ROW, SOURCE, TIME,
    cell, write_json_text,
};

const FIXED: [&str; 7] = [TIME, FRAME, INDEX, INGESTED, ORIGINAL, SOURCE, INPUT];

/// What becomes of the columns of several segments.
pub(super) struct Columns {
    pub(super) schema: SchemaRef,
}

/// A column that some segments have, and what speaks for keeping it one.
struct Wanted {
    field: Field,
    values: u64,
    position: usize,
}

impl Columns {
    /// Each field keeps one type: the one that most of its values have. The names of Panoptes' own schema go before others
    /// and frequent ones before rare ones; what has no column lies in the overflow, as in `pivot`.
    pub(super) fn of(segments: &[ArrowReaderMetadata]) -> Self {
        let mut fixed: BTreeMap<usize, Field> = BTreeMap::new();
        let mut wanted: HashMap<(String, DataType), Wanted> = HashMap::new();
        let mut has_overflow = false;
        for segment in segments {
            for (index, field) in segment.schema().fields().iter().enumerate() {
                let name = field.name().as_str();
                if let Some(position) = FIXED.iter().position(|it| *it == name) {
                    fixed.entry(position).or_insert_with(|| (**field).clone());
                } else if name == OVERFLOW {
                    has_overflow = true;
                } else if name != ROW {
                    let position = wanted.len();
                    let column = wanted.entry((name.to_owned(), field.data_type().clone())).or_insert_with(|| Wanted {
                        field: Field::new(name, field.data_type().clone(), true),
                        values: 0,
                        position,
                    });
                    column.values = column.values.saturating_add(values_of(segment, index));
                    if field.metadata().contains_key(LISTS_KEY) {
                        column.field.set_metadata(field.metadata().clone());
                    }
                }
            }
        }
        let known = Schema::ecs();
        let mut columns: Vec<Wanted> = wanted.into_values().collect();
        // One type for each name.
        columns.sort_by_key(|it| (std::cmp::Reverse(it.values), it.position));
        let mut names = std::collections::HashSet::new();
        let before = columns.len();
        columns.retain(|it| names.insert(it.field.name().clone()));
        columns.sort_by_key(|it| (known.id(it.field.name()).is_none(), std::cmp::Reverse(it.values), it.position));
        let mut is_cut = columns.len() < before || columns.len() > FIELD_COLUMNS_MAX;
        columns.truncate(FIELD_COLUMNS_MAX);
        columns.sort_by_key(|it| it.position);
        is_cut |= has_overflow;
        let mut fields: Vec<Field> = fixed.into_values().chain(columns.into_iter().map(|it| it.field)).collect();
        if is_cut {
            fields.push(Field::new(OVERFLOW, DataType::Utf8View, true));
        }
        Self { schema: Arc::new(ArrowSchema::new(fields)) }
    }

    /// `batch` with these columns. Values that have none here go to the overflow.
    pub(super) fn fit(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let has_place = |field: &Field| {
            self.schema.field_with_name(field.name()).is_ok_and(|it| it.data_type() == field.data_type())
        };
        let schema = batch.schema();
        let homeless: Vec<(&Field, &ArrayRef)> = schema
            .fields()
            .iter()
            .map(|it| &**it)
            .zip(batch.columns())
            .filter(|(field, _)| !has_place(field) && !matches!(field.name().as_str(), ROW | OVERFLOW))
            .collect();
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(_) | None if field.name() == OVERFLOW => overflow(batch, &homeless),
            Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
            _ => new_null_array(field.data_type(), batch.num_rows()),
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())
    }
}

/// How many values the column `index` of a segment has.
fn values_of(segment: &ArrowReaderMetadata, index: usize) -> u64 {
    let of_group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let column = group.columns().get(index)?;
        let nulls = column.statistics().and_then(|it| it.null_count_opt()).unwrap_or(0);
        u64::try_from(column.num_values()).ok().map(|it| it.saturating_sub(nulls))
    };
    segment.metadata().row_groups().iter().filter_map(of_group).fold(0, u64::saturating_add)
}

/// The overflow of `batch` with the values of `homeless` before it: of a repeated field the column had the first value.
fn overflow(batch: &RecordBatch, homeless: &[(&Field, &ArrayRef)]) -> ArrayRef {
    let before = batch.column_by_name(OVERFLOW);
    if homeless.is_empty() {
        return match before {
            Some(before) => Arc::clone(before),
            None => new_null_array(&DataType::Utf8View, batch.num_rows()),
        };
    }
    let before = before.and_then(|it| it.as_string_view_opt());
    let mut built = StringViewBuilder::new();
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        text.clear();
        for (field, column) in homeless {
            let value = cell(field, column, row);
            if value != FieldValue::Null {
                text.push(if text.is_empty() { '{' } else { ',' });
                write_json_text(field.name(), &mut text);
                text.push(':');
                value.write_json(&mut text);
            }
        }
        let old = before.filter(|it| !it.is_null(row)).map(|it| it.value(row));
        match (text.is_empty(), old) {
            (true, old) => built.append_option(old),
            (false, None) => {
                text.push('}');
                built.append_value(&text);
            }
            (false, Some(old)) => {
                let entries = old.strip_prefix('{').unwrap_or(old);
                text.push_str(if entries == "}" { "" } else { "," });
                text.push_str(entries);
                built.append_value(&text);
            }
        }
    }
    Arc::new(built.finish())
}
