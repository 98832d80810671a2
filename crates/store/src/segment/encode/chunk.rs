//! One column of a row group: pages, statistics, filter.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::super::writer::is_looked_up;
use super::hybrid::{bits_for, encode};
use super::interner::Interner;
use super::{Column, PAGE_BYTES, PAGE_ROWS, Values, plain_values};

/// Little gain above; a quarter of the speed.
pub(in crate::segment) const ZSTD_LEVEL: i32 = 3;
/// Chunks smaller than this are not compressed: a page of one value would only grow, and readers need no decompressor.
const COMPRESSED_BYTES_MIN: usize = 160;
/// How often a bloom filter may say "perhaps" of a value that is not there.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Least and greatest texts are stated up to this length.
const BOUND_BYTES_MAX: usize = 64;
/// A dictionary larger than this must save most of its values: each event that is fetched has to read it.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// How the eight bytes of an interned value read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    None,
    Integer,
    Float,
}

/// Makes the bytes of columns.
pub(super) struct ChunkWriter {
    properties: WriterPropertiesPtr,
    zstd: zstd::bulk::Compressor<'static>,
}

/// What a column chunk is made of, before compression.
struct Pages {
    dictionary: Option<(Vec<u8>, u32)>,
    encoding: Encoding,
    /// Rows and content of each.
    data: Vec<(usize, Vec<u8>)>,
}

impl ChunkWriter {
    pub(super) fn new(properties: WriterPropertiesPtr) -> Result<Self, ParquetError> {
        let zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|it| ParquetError::External(Box::new(it)))?;
        Ok(Self { properties, zstd })
    }

    /// The bytes of `column`, which has `rows` rows, and what the footer says of them.
    pub(super) fn write(
        &mut self,
        column: &Column,
        descriptor: ColumnDescPtr,
        rows: usize,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let pages = match &column.values {
            Values::Long(_) | Values::Int(_) => return self.ordered(column, descriptor),
            Values::Plain { plain, ends } => plain_pages(column, rows, |values, out| {
                let end = |it: usize| it.checked_sub(1).and_then(|it| ends.get(it)).map_or(0, |it| *it as usize);
                out.extend_from_slice(plain.get(end(values.start)..end(values.end)).unwrap_or_default());
            }),
            Values::Interned { values, codes, bytes } => interned_pages(column, rows, values, codes, *bytes),
            Values::Truths(truths) => plain_pages(column, rows, |values, out| {
                let eights = truths.get(values).unwrap_or_default().chunks(8);
                out.extend(eights.map(|it| it.iter().rev().fold(0, |sum, it| sum << 1 | u8::from(*it))));
            }),
        };
        let (bytes, mut closed) = self.assemble(&descriptor, pages, rows)?;
        closed.bloom_filter = bloom_filter(column)?;
        closed.metadata = closed.metadata.into_builder().set_statistics(statistics(column, rows)).build()?;
        Ok((bytes, closed))
    }

    /// Columns that are in order have an encoding of their own, which the library knows.
    fn ordered(&self, column: &Column, descriptor: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let properties = std::sync::Arc::clone(&self.properties);
        let closed = match (get_column_writer(descriptor, properties, pages), &column.values) {
            (ColumnWriter::Int64ColumnWriter(mut writer), Values::Long(values)) => {
                writer.write_batch(values, None, None)?;
                writer.close()?
            }
            (ColumnWriter::Int32ColumnWriter(mut writer), Values::Int(values)) => {
                writer.write_batch(values, None, None)?;
                writer.close()?
            }
            _ => return Err(ParquetError::General(format!("column `{}` has another type", column.name()))),
        };
        Ok((Bytes::from(sink.into_inner()?), closed))
    }

    fn assemble(
        &mut self,
        descriptor: &ColumnDescPtr,
        pages: Pages,
        rows: usize,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let dictionary_bytes = pages.dictionary.as_ref().map_or(0, |it| it.0.len());
        let raw = dictionary_bytes + pages.data.iter().map(|it| it.1.len()).sum::<usize>();
        let is_compressed = raw >= COMPRESSED_BYTES_MIN;
        let mut sink = TrackedWrite::new(Vec::with_capacity(if is_compressed { raw / 4 } else { raw + 64 }));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut index = OffsetIndexBuilder::new();
        let (mut compressed, mut uncompressed) = (0, 0);
        let (mut dictionary_at, mut data_at) = (None, None);
        let mut put = |zstd: &mut zstd::bulk::Compressor<'static>, raw: Vec<u8>, page: &dyn Fn(Bytes) -> Page| {
            let length = raw.len();
            let bytes = match is_compressed {
                true => Bytes::from(zstd.compress(&raw).map_err(|it| ParquetError::External(Box::new(it)))?),
                false => Bytes::from(raw),
            };
            let written = writer.write_page(CompressedPage::new(page(bytes), length))?;
            compressed += written.compressed_size;
            uncompressed += written.uncompressed_size;
            Ok::<_, ParquetError>(written)
        };
        let mut encodings = vec![pages.encoding, Encoding::RLE];
        if let Some((raw, num_values)) = pages.dictionary {
            let page = |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            dictionary_at = Some(put(&mut self.zstd, raw, &page)?.offset as i64);
            encodings.push(Encoding::PLAIN);
        }
        for (page_rows, raw) in pages.data {
            let page = |buf| Page::DataPage {
                buf,
                num_values: page_rows as u32,
                encoding: pages.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let written = put(&mut self.zstd, raw, &page)?;
            index.append_row_count(page_rows as i64);
            index.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
            data_at.get_or_insert(written.offset as i64);
        }
        let compression = match is_compressed {
            true => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
            false => Compression::UNCOMPRESSED,
        };
        let metadata = ColumnChunkMetaData::builder(std::sync::Arc::clone(descriptor))
            .set_compression(compression)
            .set_encodings(encodings)
            .set_num_values(rows as i64)
            .set_total_compressed_size(compressed as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_dictionary_page_offset(dictionary_at)
            .set_data_page_offset(data_at.unwrap_or(0))
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: compressed as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((Bytes::from(sink.into_inner()?), closed))
    }
}

/// The rows of each page, and which of the column's values these have. A page has no more bytes than [`PAGE_BYTES`],
/// unless its first rows do; `bytes_of` says how many values have.
fn page_rows(
    column: &Column,
    rows: usize,
    bytes_of: &dyn Fn(Range<usize>) -> usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    let mut out: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let (mut first, mut value) = (0, 0);
    while first < rows {
        let (mut end, mut end_value, mut bytes) = (first, value, 0);
        // Word by word of the levels.
        while end < rows && end - first < PAGE_ROWS {
            let length = (rows - end).min(64);
            let count = column.present.count_in(end, length);
            bytes += bytes_of(end_value..end_value + count);
            if end > first && bytes > PAGE_BYTES {
                break;
            }
            end += length;
            end_value += count;
        }
        out.push((first..end, value..end_value));
        (first, value) = (end, end_value);
    }
    out
}

/// The levels of a page: which of its rows have a value.
fn put_levels(column: &Column, rows: &Range<usize>, out: &mut Vec<u8>) {
    if !column.field.is_nullable() {
        return;
    }
    out.extend_from_slice(&[0; 4]);
    column.present.levels(rows.start, rows.len(), out);
    let length = (out.len() - 4) as u32;
    out.iter_mut().zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
}

fn plain_pages(column: &Column, rows: usize, put: impl Fn(Range<usize>, &mut Vec<u8>)) -> Pages {
    let bytes_of = |values: Range<usize>| match &column.values {
        Values::Plain { ends, .. } => {
            let end = |it: usize| it.checked_sub(1).and_then(|it| ends.get(it)).map_or(0, |it| *it as usize);
            end(values.end) - end(values.start)
        }
        _ => values.len().div_ceil(8),
    };
    let data = page_rows(column, rows, &bytes_of).into_iter().map(|(rows, values)| {
        let mut page = Vec::new();
        put_levels(column, &rows, &mut page);
        put(values, &mut page);
        (rows.len(), page)
    });
    Pages { dictionary: None, encoding: Encoding::PLAIN, data: data.collect() }
}

fn interned_pages(column: &Column, rows: usize, values: &Interner, codes: &[u32], bytes: usize) -> Pages {
    let is_text = column.numbers == Numbers::None;
    let width = bits_for(values.len().saturating_sub(1) as u32);
    let prefix = if is_text { size_of::<u32>() } else { 0 };
    let dictionary_bytes = values.bytes() + values.len() * prefix;
    let coded_bytes = dictionary_bytes + codes.len() * width as usize / 8;
    let is_worth_it = codes.len() > 1
        && coded_bytes < bytes / 4 * 3
        && (dictionary_bytes <= DICTIONARY_BYTES_MAX || dictionary_bytes < bytes / 4);
    let put_value = |value: &[u8], out: &mut Vec<u8>| {
        if is_text {
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(value);
    };
    let size_of_value = |code: &u32| values.get(*code).map_or(0, |it| it.len() + prefix);
    // A page of codes is far below the limit.
    let bytes_of = |range: Range<usize>| match is_worth_it {
        true => 0,
        false => codes.get(range).unwrap_or_default().iter().map(size_of_value).sum(),
    };
    let ranges = match is_worth_it || bytes <= PAGE_BYTES {
        true => page_rows(column, rows, &|_| 0),
        false => page_rows(column, rows, &bytes_of),
    };
    let data = ranges.into_iter().map(|(rows, range)| {
        let mut page = Vec::new();
        put_levels(column, &rows, &mut page);
        let codes = codes.get(range).unwrap_or_default();
        match is_worth_it {
            true => {
                page.push(width as u8);
                encode(codes, width, &mut page);
            }
            false => codes.iter().filter_map(|it| values.get(*it)).for_each(|it| put_value(it, &mut page)),
        }
        (rows.len(), page)
    });
    let data = data.collect();
    let dictionary = is_worth_it.then(|| {
        let mut page = Vec::with_capacity(dictionary_bytes);
        values.iter().for_each(|it| put_value(it, &mut page));
        (page, values.len() as u32)
    });
    Pages { dictionary, encoding: if is_worth_it { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN }, data }
}

fn bloom_filter(column: &Column) -> Result<Option<Sbbf>, ParquetError> {
    // Of a joined list no single item could be found in the filter.
    if !is_looked_up(column.name()) || column.has_lists || column.count() == 0 {
        return Ok(None);
    }
    let new = |count: usize| Sbbf::new_with_ndv_fpp(count as u64, BLOOM_FALSE_POSITIVES);
    match &column.values {
        Values::Interned { values, .. } => {
            let mut filter = new(values.len())?;
            values.iter().for_each(|it| filter.insert(it));
            Ok(Some(filter))
        }
        Values::Plain { plain, ends } => {
            let mut filter = new(ends.len())?;
            plain_values(plain, ends).for_each(|it| filter.insert(it));
            Ok(Some(filter))
        }
        _ => Ok(None),
    }
}

fn statistics(column: &Column, rows: usize) -> Statistics {
    let nulls = Some((rows - column.present.count()) as u64);
    let number = |it: &[u8]| <[u8; 8]>::try_from(it).unwrap_or_default();
    match (&column.values, column.numbers) {
        (Values::Interned { values, .. }, Numbers::Integer) => {
            let numbers = || values.iter().map(|it| i64::from_le_bytes(number(it)));
            Statistics::Int64(ValueStatistics::new(numbers().min(), numbers().max(), None, nulls, false))
        }
        (Values::Interned { values, .. }, Numbers::Float) => {
            let numbers = || values.iter().map(|it| f64::from_le_bytes(number(it)));
            // With a value that is no number nothing is least; zeros are one, whatever their sign.
            let bounded = |it: Option<f64>| it.filter(|_| !numbers().any(f64::is_nan));
            let min = bounded(numbers().reduce(f64::min)).map(|it| if it == 0.0 { -0.0 } else { it });
            let max = bounded(numbers().reduce(f64::max)).map(|it| if it == 0.0 { 0.0 } else { it });
            Statistics::Double(ValueStatistics::new(min, max, None, nulls, false))
        }
        (Values::Truths(truths), _) => {
            let (min, max) = (truths.iter().min().copied(), truths.iter().max().copied());
            Statistics::Boolean(ValueStatistics::new(min, max, None, nulls, false))
        }
        (Values::Interned { values, .. }, Numbers::None) => {
            let bounds = values.iter().min().zip(values.iter().max());
            let bounds = bounds.filter(|(min, max)| min.len() <= BOUND_BYTES_MAX && max.len() <= BOUND_BYTES_MAX);
            let bound = |it: &[u8]| ByteArray::from(it.to_vec());
            let (min, max) = bounds.map(|(min, max)| (bound(min), bound(max))).unzip();
            Statistics::ByteArray(ValueStatistics::new(min, max, None, nulls, false))
        }
        // So many different ones would bound nothing.
        _ => Statistics::ByteArray(ValueStatistics::new(None, None, None, nulls, false)),
    }
}
