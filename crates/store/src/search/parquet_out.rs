//! Events as a plain Parquet file: what an export writes. Nothing of it is sealed.
//!
//! A column for each name: numbers, truths and times as such where the schema says that a field has them and all values
//! are of them, all else as text; a list is JSON.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray,
};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use panoptes_model::{FieldType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::expr::type_of;
use crate::pivot::{FieldValue, Row, data_type};

/// How many rows one row group has: what is held in memory at once.
const GROUP_ROWS_MAX: usize = 16_384;
/// How many columns an export has; names beyond are left out and told.
pub const EXPORT_COLUMNS_MAX: usize = 4_096;

/// The names that events have, in order of first appearance, and what can hold all their values: found by looking at all
/// events once.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    types: Vec<FieldType>,
    by_name: HashMap<String, usize>,
}

impl Columns {
    /// Takes the names of a row in. `false`: there are more than [`EXPORT_COLUMNS_MAX`], and some are left out.
    pub fn add(&mut self, row: &Row, schema: &Schema) -> bool {
        let mut is_complete = true;
        for (name, value) in &row.fields {
            let place = match self.by_name.get(name) {
                Some(place) => *place,
                None if self.names.len() >= EXPORT_COLUMNS_MAX => {
                    is_complete = false;
                    continue;
                }
                None => {
                    self.by_name.insert(name.clone(), self.names.len());
                    self.names.push(name.clone());
                    self.types.push(type_of(name, schema));
                    self.names.len() - 1
                }
            };
            if let Some(ty) = self.types.get_mut(place)
                && !fits(*ty, value)
            {
                *ty = FieldType::Text;
            }
        }
        for name in repeated(row) {
            let place = self.by_name.get(name);
            if let Some(ty) = place.and_then(|it| self.types.get_mut(*it)) {
                *ty = FieldType::Text;
            }
        }
        is_complete
    }

    /// Only these, in this order.
    pub fn only(&self, names: &[String]) -> Self {
        let mut out = Self::default();
        for name in names.iter().filter(|it| !it.is_empty()) {
            let known = self.by_name.get(name).and_then(|it| self.types.get(*it));
            if out.by_name.insert(name.clone(), out.names.len()).is_none() {
                out.names.push(name.clone());
                out.types.push(known.copied().unwrap_or(FieldType::Text));
            }
        }
        out
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Names that a row has more than once.
fn repeated(row: &Row) -> impl Iterator<Item = &str> {
    let names = row.fields.iter().enumerate();
    names.filter(|(index, it)| row.fields.iter().take(*index).any(|other| other.0 == it.0)).map(|(_, it)| it.0.as_str())
}

impl Row {
    /// All values under `name`: a list, if there are more than one.
    pub fn all_of(&self, name: &str) -> FieldValue {
        let mut found = self.fields.iter().filter(|it| it.0 == name).map(|it| &it.1);
        match (found.next(), found.next()) {
            (None, _) => FieldValue::Null,
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                FieldValue::List([first, second].into_iter().chain(found).cloned().collect())
            }
        }
    }
}

fn fits(ty: FieldType, value: &FieldValue) -> bool {
    match value {
        FieldValue::Null => true,
        FieldValue::Integer(_) => matches!(ty, FieldType::Integer | FieldType::Text | FieldType::Ip),
        FieldValue::Float(_) => matches!(ty, FieldType::Float | FieldType::Text | FieldType::Ip),
        FieldValue::Boolean(_) => matches!(ty, FieldType::Boolean | FieldType::Text | FieldType::Ip),
        FieldValue::Timestamp(_) => matches!(ty, FieldType::Timestamp | FieldType::Text | FieldType::Ip),
        FieldValue::Text(_) | FieldValue::List(_) => matches!(ty, FieldType::Text | FieldType::Ip),
    }
}

/// Writes rows to a plain Parquet file.
pub struct ParquetOut<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    types: Vec<FieldType>,
}

impl<W: Write + Send> ParquetOut<W> {
    pub fn new(out: W, columns: &Columns) -> Result<Self, ParquetError> {
        let types = columns.types.clone();
        let fields = columns.names.iter().zip(&types).map(|(name, ty)| Field::new(name, data_type(*ty), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .set_created_by("panoptes".to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, types })
    }

    pub fn write(&mut self, rows: &[Row]) -> Result<(), ParquetError> {
        let columns = self
            .schema
            .fields()
            .iter()
            .zip(&self.types)
            .map(|(field, ty)| column(*ty, rows.iter().map(|row| row.all_of(field.name()))));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())?;
        self.writer.write(&batch)
    }

    /// The file is complete only after this.
    pub fn finish(self) -> Result<W, ParquetError> {
        self.writer.into_inner()
    }
}

fn column(ty: FieldType, values: impl Iterator<Item = FieldValue>) -> ArrayRef {
    match ty {
        FieldType::Text | FieldType::Ip => Arc::new(values.map(|it| text(&it)).collect::<StringViewArray>()),
        FieldType::Integer => {
            let number = |it| if let FieldValue::Integer(it) = it { Some(it) } else { None };
            Arc::new(values.map(number).collect::<Int64Array>())
        }
        FieldType::Float => {
            let number = |it| if let FieldValue::Float(it) = it { Some(it) } else { None };
            Arc::new(values.map(number).collect::<Float64Array>())
        }
        FieldType::Boolean => {
            let truth = |it| if let FieldValue::Boolean(it) = it { Some(it) } else { None };
            Arc::new(values.map(truth).collect::<BooleanArray>())
        }
        FieldType::Timestamp => {
            let time = |it| if let FieldValue::Timestamp(it) = it { Some(it.0) } else { None };
            Arc::new(values.map(time).collect::<TimestampNanosecondArray>().with_timezone("+00:00"))
        }
    }
}

fn text(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::Null => None,
        FieldValue::Text(text) => Some(text.clone()),
        other => {
            let mut out = String::new();
            other.write_json(&mut out);
            Some(out.trim_matches('"').to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::tests::{schema, three_days};
    use super::super::{Query, SearchRequest};
    use super::*;

    #[test]
    fn others_can_read_what_is_written() {
        let rows = three_days().found(&SearchRequest::new(Query::All, 10)).all_rows().unwrap();
        let names = ["@timestamp", "event.id", "http.response.status_code", "event.category", "source.port"];
        let mut columns = Columns::default();
        assert!(rows.iter().all(|it| columns.add(it, &schema())));
        assert!(
            columns.names().contains(&"message".to_owned()) || columns.names().contains(&"event.original".to_owned())
        );
        let mut out = ParquetOut::new(Vec::new(), &columns.only(&names.map(str::to_owned))).unwrap();
        out.write(&rows).unwrap();
        out.write(&rows[..1]).unwrap();
        let file = bytes::Bytes::from(out.finish().unwrap());
        let batches: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().collect();
        let all = arrow::compute::concat_batches(
            &batches[0].as_ref().unwrap().schema(),
            batches.iter().map(|it| it.as_ref().unwrap()),
        )
        .unwrap();
        let texts = |name: &str| {
            all.column_by_name(name)
                .unwrap()
                .as_string_view()
                .iter()
                .map(|it| it.map(str::to_owned))
                .collect::<Vec<_>>()
        };
        assert_eq!(texts("event.id").into_iter().flatten().collect::<Vec<_>>(), ["3-0", "2-0", "1-1", "1-0", "3-0"]);
        assert_eq!(texts("event.category")[1].as_deref(), Some(r#"["web","network"]"#));
        let codes = all.column_by_name("http.response.status_code").unwrap().as_primitive::<Int64Type>();
        assert_eq!(codes.iter().collect::<Vec<_>>(), [None, Some(200), Some(404), None, None]);
        // A value that is not of its field's type makes the column one of text.
        assert_eq!(texts("source.port")[0].as_deref(), Some("ssh"));
    }
}
