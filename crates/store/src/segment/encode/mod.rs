//! Row groups to Parquet's bytes.
//!
//! `parquet` writes the file, its footer and its page headers; pages are made here, because a segment has hundreds of
//! columns of which most have few values: a writer and a compressor of its own for each of them is what sealing spent most
//! of its time on. In go batches of Arrow, out comes a row group; values are held until it ends, as many different ones
//! as there are, so that each is hashed once and the sidecar sees each text once ([`GroupEncoder::texts`]).
//!
//! A column of text or numbers has a dictionary where that is shorter, else its values as they are (`PLAIN`); a chunk that
//! would not get smaller is not compressed. Pages end every [`PAGE_ROWS`] rows or [`PAGE_BYTES`]. Data pages are of
//! version 1. Sources: Apache Parquet format 2.12, README and Encodings.
//!
//! Least and greatest value of a chunk are stated where both are short; the record and long texts have none.

mod chunk;
mod hybrid;
mod interner;

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema as ArrowSchema, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;

pub(super) use self::chunk::ZSTD_LEVEL;
use self::chunk::{ChunkWriter, Numbers};
use self::hybrid::Present;
use self::interner::Interner;
use crate::pivot::{FRAME, Fit, INDEX, INGESTED, LISTS_KEY, ORIGINAL, ROW, TIME};

/// How many rows a page has at most: what fetching one event has to decode. Full words of [`Present`].
const PAGE_ROWS: usize = 20 << 10;
/// How much a page of a column has before it is compressed. Twice as much saves another 3 % of the disk, and each event
/// that is fetched has to open one page of each column.
const PAGE_BYTES: usize = 2 << 20;
/// Buffers that grew beyond this are given back after each row group.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// After so many values of a row group it is looked whether a dictionary of texts is worth its while: numbering values is
/// most of the work.
const TRIED_VALUES: usize = 2 << 10;

/// What a column holds until its row group ends.
enum Values {
    /// Texts, nearly each another: as they will lie in pages, and where each ends.
    Plain {
        plain: Vec<u8>,
        ends: Vec<u32>,
    },
    /// Texts, or eight bytes for each number, and for each value which it is.
    Interned {
        values: Interner,
        codes: Vec<u32>,
        bytes: usize,
    },
    Truths(Vec<bool>),
    /// Columns that the store itself fills: in order or nearly so, without gaps.
    Long(Vec<i64>),
    Int(Vec<i32>),
}

impl Values {
    fn interned() -> Self {
        Self::Interned { values: Interner::default(), codes: Vec::new(), bytes: 0 }
    }
}

pub(super) struct Column {
    field: Field,
    numbers: Numbers,
    has_lists: bool,
    present: Present,
    values: Values,
}

/// Makes row groups.
pub(super) struct GroupEncoder {
    columns: Vec<Column>,
    rows: usize,
    text_bytes: usize,
    chunks: ChunkWriter,
}

impl GroupEncoder {
    /// For these columns. Those that hold lists are marked or become it.
    pub(super) fn new(schema: &ArrowSchema, properties: WriterPropertiesPtr) -> Result<Self, ParquetError> {
        let columns = schema.fields().iter().map(|field| {
            let name = field.name().as_str();
            let (values, numbers) = match field.data_type() {
                DataType::Utf8View if name == ORIGINAL => {
                    (Values::Plain { plain: Vec::new(), ends: Vec::new() }, Numbers::None)
                }
                DataType::Utf8View => (Values::interned(), Numbers::None),
                DataType::Timestamp(..) if matches!(name, TIME | INGESTED) => (Values::Long(Vec::new()), Numbers::None),
                DataType::UInt64 if name == FRAME => (Values::Long(Vec::new()), Numbers::None),
                DataType::UInt32 if matches!(name, INDEX | ROW) => (Values::Int(Vec::new()), Numbers::None),
                DataType::Int64 | DataType::Timestamp(..) => (Values::interned(), Numbers::Integer),
                DataType::Float64 => (Values::interned(), Numbers::Float),
                DataType::Boolean => (Values::Truths(Vec::new()), Numbers::None),
                other => return Err(ParquetError::NYI(format!("column `{name}` of type {other}"))),
            };
            let has_lists = field.metadata().contains_key(LISTS_KEY);
            let field = Field::new(name, field.data_type().clone(), field.is_nullable());
            Ok(Column { field, numbers, has_lists, present: Present::default(), values })
        });
        let columns = columns.collect::<Result<_, ParquetError>>()?;
        Ok(Self { columns, rows: 0, text_bytes: 0, chunks: ChunkWriter::new(properties)? })
    }

    /// The columns, with the mark of those that had lists in any row group.
    pub(super) fn schema(&self) -> ArrowSchema {
        let field = |it: &Column| match it.has_lists {
            true => it.field.clone().with_metadata([(LISTS_KEY.to_owned(), "1".to_owned())].into()),
            false => it.field.clone(),
        };
        ArrowSchema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }

    /// Rows of the row group.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How much text the row group has.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|it| it.name() == name)
    }

    /// Takes a column away; its values are lost.
    pub(super) fn remove(&mut self, name: &str) {
        self.columns.retain(|it| it.name() != name);
    }

    /// Adds rows to the row group.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            self.text_bytes += column
                .add(array, self.rows)
                .ok_or_else(|| ParquetError::ArrowError(format!("column `{}` cannot hold what came", column.name())))?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Puts a value into the row that is being added: one for each column at most, of its type.
    #[inline]
    pub(super) fn put(&mut self, column: usize, value: Fit<'_>) {
        let Some(column) = self.columns.get_mut(column) else { return };
        match (&mut column.values, value) {
            (Values::Interned { values, codes, bytes }, Fit::Text(text)) => {
                codes.push(values.number(text.as_bytes()));
                *bytes += text.len() + size_of::<u32>();
                self.text_bytes += text.len();
                column.present.set(self.rows);
                if codes.len() == TRIED_VALUES {
                    column.give_up_dictionary();
                }
            }
            (Values::Plain { plain, ends }, Fit::Text(text)) => {
                put_plain(text.as_bytes(), plain, ends);
                self.text_bytes += text.len();
                column.present.set(self.rows);
            }
            (Values::Interned { values, codes, bytes }, Fit::Integer(number) | Fit::Timestamp(number)) => {
                codes.push(values.number(&number.to_le_bytes()));
                *bytes += size_of::<i64>();
                column.present.set(self.rows);
            }
            (Values::Interned { values, codes, bytes }, Fit::Float(number)) => {
                codes.push(values.number(&number.to_le_bytes()));
                *bytes += size_of::<f64>();
                column.present.set(self.rows);
            }
            (Values::Truths(truths), Fit::Boolean(truth)) => {
                truths.push(truth);
                column.present.set(self.rows);
            }
            (Values::Long(numbers), Fit::Integer(number)) => numbers.push(number),
            (Values::Int(numbers), Fit::Integer(number)) => numbers.push(number as i32),
            _ => {}
        }
    }

    /// A text that is a list of several.
    pub(super) fn put_list(&mut self, column: usize, joined: &str) {
        self.put(column, Fit::Text(joined));
        if let Some(column) = self.columns.get_mut(column) {
            column.has_lists = true;
        }
    }

    /// Ends the row.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Writes the row group; the next begins.
    pub(super) fn finish_group<W: Write + Send>(
        &mut self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let descriptors: Vec<_> = file.schema_descr().columns().to_vec();
        let mut group = file.next_row_group()?;
        for (column, descriptor) in self.columns.iter_mut().zip(descriptors) {
            let (bytes, closed) = self.chunks.write(column, descriptor, self.rows)?;
            group.append_column(&bytes, closed)?;
            column.clear();
        }
        group.close()?;
        (self.rows, self.text_bytes) = (0, 0);
        Ok(())
    }
}

fn put_plain(text: &[u8], plain: &mut Vec<u8>, ends: &mut Vec<u32>) {
    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
    plain.extend_from_slice(text);
    ends.push(plain.len() as u32);
}

impl Column {
    pub(super) fn name(&self) -> &str {
        self.field.name()
    }

    pub(super) fn has_lists(&self) -> bool {
        self.has_lists
    }

    /// How many rows of the row group have a value.
    pub(super) fn count(&self) -> usize {
        match &self.values {
            Values::Long(it) => it.len(),
            Values::Int(it) => it.len(),
            _ => self.present.count(),
        }
    }

    /// Gives how much text came. `None`: not of the type that the column has, or with gaps where it has none.
    fn add(&mut self, array: &ArrayRef, first: usize) -> Option<usize> {
        let mut text_bytes = 0;
        let (present, is_text) = (&mut self.present, matches!(self.numbers, Numbers::None));
        let has_no_gaps = !self.field.is_nullable() || matches!(self.values, Values::Long(_) | Values::Int(_));
        if has_no_gaps && array.null_count() > 0 {
            return None;
        }
        match &mut self.values {
            Values::Long(out) => match array.data_type() {
                DataType::UInt64 => {
                    out.extend(array.as_primitive_opt::<UInt64Type>()?.values().iter().map(|it| *it as i64))
                }
                _ => out.extend_from_slice(array.as_primitive_opt::<TimestampNanosecondType>()?.values()),
            },
            Values::Int(out) => {
                out.extend(array.as_primitive_opt::<UInt32Type>()?.values().iter().map(|it| *it as i32));
            }
            Values::Plain { plain, ends } => {
                let texts = array.as_string_view_opt()?;
                for row in valid(texts) {
                    put_plain(texts.value(row).as_bytes(), plain, ends);
                    text_bytes += texts.value(row).len();
                    present.set(first + row);
                }
            }
            Values::Interned { values, codes, bytes } if is_text => {
                let texts = array.as_string_view_opt()?;
                let mut last = None;
                for row in valid(texts) {
                    // Equal views are equal texts.
                    let view = texts.views().get(row).copied();
                    let code = match last {
                        Some((known, code)) if Some(known) == view => code,
                        _ => values.number(texts.value(row).as_bytes()),
                    };
                    last = view.map(|it| (it, code));
                    let length = view.unwrap_or(0) as u32 as usize;
                    *bytes += length + size_of::<u32>();
                    text_bytes += length;
                    codes.push(code);
                    present.set(first + row);
                }
                // The batch that passed the number.
                if codes.len() >= TRIED_VALUES && codes.len() < TRIED_VALUES + array.len() {
                    self.give_up_dictionary();
                }
            }
            Values::Interned { values, codes, bytes } => {
                let mut put = |row: usize, number: [u8; 8]| {
                    codes.push(values.number(&number));
                    *bytes += number.len();
                    present.set(first + row);
                };
                match array.data_type() {
                    DataType::Int64 => {
                        let numbers = array.as_primitive_opt::<Int64Type>()?;
                        valid(numbers).for_each(|row| put(row, numbers.value(row).to_le_bytes()));
                    }
                    DataType::Float64 => {
                        let numbers = array.as_primitive_opt::<Float64Type>()?;
                        valid(numbers).for_each(|row| put(row, numbers.value(row).to_le_bytes()));
                    }
                    _ => {
                        let numbers = array.as_primitive_opt::<TimestampNanosecondType>()?;
                        valid(numbers).for_each(|row| put(row, numbers.value(row).to_le_bytes()));
                    }
                }
            }
            Values::Truths(out) => {
                let truths = array.as_boolean_opt()?;
                for row in valid(truths) {
                    out.push(truths.value(row));
                    present.set(first + row);
                }
            }
        }
        Some(text_bytes)
    }

    /// Of texts that are nearly all different, no dictionary is made; the next row group tries again.
    fn give_up_dictionary(&mut self) {
        let Values::Interned { values, codes, bytes } = &self.values else { return };
        if values.len() <= codes.len() / 4 * 3 {
            return;
        }
        let (mut plain, mut ends) = (Vec::with_capacity(*bytes * 2), Vec::with_capacity(codes.len() * 2));
        for value in codes.iter().filter_map(|it| values.get(*it)) {
            put_plain(value, &mut plain, &mut ends);
        }
        self.values = Values::Plain { plain, ends };
    }

    /// The values, if they are text: each once if they have a dictionary.
    pub(super) fn texts(&self) -> Option<impl Iterator<Item = &str>> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let (interned, plain) = match &self.values {
            Values::Interned { values, .. } if matches!(self.numbers, Numbers::None) => (Some(values.iter()), None),
            Values::Plain { plain, ends } => (None, Some(plain_values(plain, ends))),
            _ => return None,
        };
        Some(interned.into_iter().flatten().chain(plain.into_iter().flatten()).map(text))
    }

    fn clear(&mut self) {
        self.present.clear();
        match &mut self.values {
            Values::Plain { plain, ends } if !self.field.is_nullable() => {
                cleared(plain);
                cleared(ends);
            }
            Values::Plain { .. } => self.values = Values::interned(),
            Values::Interned { values, codes, bytes } => {
                if values.bytes() > KEPT_BYTES_MAX {
                    *values = Interner::default();
                }
                values.clear();
                cleared(codes);
                *bytes = 0;
            }
            Values::Truths(it) => it.clear(),
            Values::Long(it) => cleared(it),
            Values::Int(it) => cleared(it),
        }
    }
}

fn cleared<T>(buffer: &mut Vec<T>) {
    buffer.clear();
    if buffer.capacity() * size_of::<T>() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
}

/// The values of a column, without their lengths.
fn plain_values<'p>(plain: &'p [u8], ends: &'p [u32]) -> impl Iterator<Item = &'p [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().map(|it| *it as usize));
    starts.zip(ends).filter_map(|(start, end)| plain.get(start + size_of::<u32>()..*end as usize))
}

/// The rows that have a value.
fn valid<A: Array>(array: &A) -> impl Iterator<Item = usize> {
    let nulls = array.logical_nulls();
    let length = array.len();
    let has_none = nulls.as_ref().is_some_and(|it| it.null_count() == length);
    let rows: Vec<usize> = match &nulls {
        _ if has_none => Vec::new(),
        Some(nulls) if nulls.null_count() > 0 => nulls.valid_indices().collect(),
        _ => (0..length).collect(),
    };
    rows.into_iter()
}

#[cfg(test)]
mod tests;
