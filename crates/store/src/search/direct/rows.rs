//! The columns of some rows: of one row group of a segment, or of what is in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use bytes::Bytes;

use super::decode::{Decoded, Decompressor, Kind, NULL, Values, only_codes};
use super::layout::{Chunk, Group, Layout};
use super::thrift::{PagePlace, page_places};
use super::{Failure, Unusual};
use crate::search::fetch::SegmentFile;

/// Columns up to this size are read and decoded as a whole; larger ones by the pages that are needed.
const WHOLE_BYTES_MAX: u64 = 192 << 10;

/// Some rows of a column.
#[derive(Clone)]
pub(in crate::search) struct View {
    decoded: Arc<Decoded>,
    skip: usize,
}

impl View {
    pub(in crate::search) fn of(decoded: Decoded) -> Self {
        Self { decoded: Arc::new(decoded), skip: 0 }
    }

    pub(in crate::search) fn decoded(&self) -> &Decoded {
        &self.decoded
    }

    /// The code of a row of the range that was asked for.
    pub(in crate::search) fn code(&self, row: usize) -> u32 {
        self.decoded.codes.get(self.skip + row).copied().unwrap_or(NULL)
    }

    /// The codes from the first row of the range on.
    pub(in crate::search) fn codes(&self) -> &[u32] {
        self.decoded.codes.get(self.skip..).unwrap_or_default()
    }

    pub(in crate::search) fn values(&self) -> &Values {
        &self.decoded.values
    }
}

/// Rows with columns by their names.
pub(in crate::search) trait Rows {
    fn len(&self) -> usize;
    /// Whether there is such a column, be it that no row has a value in it.
    fn has(&self, name: &str) -> bool;
    /// The rows `range` of a column; `None` if none of them has a value.
    fn view(&mut self, name: &str, range: &Range<usize>) -> Result<Option<View>, Failure>;
    /// All values that the column has, if it is cheap to say; what is null does not count.
    fn known_values(&mut self, name: &str) -> Result<Option<Arc<Decoded>>, Failure>;
    /// Where pages of a column begin, if it is read by pages.
    fn page_starts(&mut self, name: &str) -> Result<Vec<usize>, Failure>;
}

/// One row group of a segment.
pub(in crate::search) struct GroupRows<'r> {
    file: &'r SegmentFile,
    layout: &'r Layout,
    group: &'r Group,
    with: &'r mut Decompressor,
    columns: HashMap<String, Loaded>,
}

/// What was read of a column.
struct Loaded {
    chunk: Chunk,
    /// If it is read by pages.
    pages: Option<Pages>,
    /// If it is read as a whole and was not yet: its pages without the dictionary.
    rest: Option<Bytes>,
    rows: Range<usize>,
    decoded: Arc<Decoded>,
}

struct Pages {
    places: Vec<PagePlace>,
    /// Nothing but the dictionary.
    dictionary: Decoded,
}

impl<'r> GroupRows<'r> {
    pub(in crate::search) fn new(
        file: &'r SegmentFile,
        layout: &'r Layout,
        group: usize,
        with: &'r mut Decompressor,
    ) -> Result<Self, Failure> {
        let group = layout.group(group).ok_or(Unusual("a row group is missing"))?;
        Ok(Self { file, layout, group, with, columns: HashMap::new() })
    }

    fn load(&mut self, name: &str) -> Result<Option<&mut Loaded>, Failure> {
        // Two look-ups, because the borrow checker does not follow one that returns early.
        if !self.columns.contains_key(name) {
            let Some(chunk) = self.layout.chunk(self.group, name) else { return Ok(None) };
            let loaded = self.begin(chunk)?;
            self.columns.insert(name.to_owned(), loaded);
        }
        Ok(self.columns.get_mut(name))
    }

    fn begin(&mut self, chunk: Chunk) -> Result<Loaded, Failure> {
        let shape = chunk.shape.ok_or(Unusual("a column of another type"))?;
        let mut decoded = Decoded::new(shape);
        let end = chunk.start.saturating_add(chunk.bytes);
        if let Some(index) = chunk.index.filter(|_| chunk.bytes > WHOLE_BYTES_MAX) {
            let bytes =
                self.file.store.read(&self.file.file, &(index.0..index.0.saturating_add(u64::from(index.1))))?;
            let places = page_places(&bytes).ok_or(Unusual("pages have no places"))?;
            let ends = places.iter().map(|it| it.offset.saturating_add(it.bytes as u64)).max();
            let is_sorted = places.is_sorted_by_key(|it| (it.offset, it.first_row));
            let starts = places.first().filter(|it| it.first_row == 0 && it.offset >= chunk.start);
            let Some(first) = starts.filter(|_| is_sorted && ends <= Some(end)) else {
                return Err(Unusual("pages lie elsewhere").into());
            };
            if first.offset > chunk.start {
                let bytes = self.file.store.read(&self.file.file, &(chunk.start..first.offset))?;
                decoded.add_page(&bytes, self.with)?;
            }
            let pages = Some(Pages { places, dictionary: decoded.clone() });
            return Ok(Loaded { chunk, pages, rest: None, rows: 0..0, decoded: Arc::new(decoded) });
        }
        let bytes = self.file.store.read(&self.file.file, &(chunk.start..end))?;
        let taken = decoded.add_dictionary(&bytes, self.with)?;
        let rest = Some(bytes.slice(taken.min(bytes.len())..));
        Ok(Loaded { chunk, pages: None, rest, rows: 0..0, decoded: Arc::new(decoded) })
    }
}

impl Loaded {
    /// Decodes a column that is read as a whole.
    fn complete(&mut self, rows: usize, with: &mut Decompressor) -> Result<(), Failure> {
        let Some(bytes) = self.rest.take() else { return Ok(()) };
        let decoded = Arc::make_mut(&mut self.decoded);
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            let taken = decoded.add_page(rest, with)?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        if decoded.codes.len() != rows {
            return Err(Unusual("a column has another number of rows").into());
        }
        self.rows = 0..rows;
        Ok(())
    }
}

impl Rows for GroupRows<'_> {
    fn len(&self) -> usize {
        self.group.rows
    }

    fn has(&self, name: &str) -> bool {
        self.layout.has(name)
    }

    fn view(&mut self, name: &str, range: &Range<usize>) -> Result<Option<View>, Failure> {
        let rows = self.group.rows;
        let file = self.file;
        if self.load(name)?.is_none() {
            return Ok(None);
        }
        let Some(loaded) = self.columns.get_mut(name) else { return Ok(None) };
        loaded.complete(rows, self.with)?;
        if !(loaded.rows.start <= range.start && range.end <= loaded.rows.end) {
            let Some(pages) = &loaded.pages else { return Err(Unusual("rows that are not there").into()) };
            let places = &pages.places;
            let first = places.partition_point(|it| it.first_row <= range.start).saturating_sub(1);
            let last = places.partition_point(|it| it.first_row < range.end);
            let taken = places.get(first..last).unwrap_or_default();
            let (Some(start), Some(end)) = (taken.first(), taken.last()) else {
                return Err(Unusual("rows that are in no page").into());
            };
            let end = end.offset + end.bytes as u64;
            let bytes = file.store.read(&file.file, &(start.offset..end))?;
            let mut decoded = pages.dictionary.clone();
            for place in taken {
                let at = usize::try_from(place.offset - start.offset).unwrap_or(usize::MAX);
                decoded.add_page(bytes.get(at..).unwrap_or_default(), self.with)?;
            }
            let end_row = places.get(last).map_or(rows, |it| it.first_row);
            if end_row.checked_sub(start.first_row) != Some(decoded.codes.len()) {
                return Err(Unusual("pages have another number of rows").into());
            }
            loaded.rows = start.first_row..end_row;
            loaded.decoded = Arc::new(decoded);
        }
        Ok(Some(View { decoded: Arc::clone(&loaded.decoded), skip: range.start - loaded.rows.start }))
    }

    fn known_values(&mut self, name: &str) -> Result<Option<Arc<Decoded>>, Failure> {
        let Some(loaded) = self.load(name)? else { return Ok(None) };
        let is_dictionary = loaded.rest.as_ref().is_some_and(|it| only_codes(it));
        Ok(is_dictionary.then(|| Arc::clone(&loaded.decoded)))
    }

    fn page_starts(&mut self, name: &str) -> Result<Vec<usize>, Failure> {
        let pages = self.load(name)?.and_then(|it| it.pages.as_ref());
        Ok(pages.map_or_else(Vec::new, |it| it.places.iter().map(|it| it.first_row).collect()))
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("chunk", &self.chunk).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Events that are in memory only.
pub(in crate::search) struct HotRows<'r> {
    batch: &'r RecordBatch,
    columns: HashMap<String, Option<Arc<Decoded>>>,
}

impl<'r> HotRows<'r> {
    pub(in crate::search) fn new(batch: &'r RecordBatch) -> Self {
        Self { batch, columns: HashMap::new() }
    }
}

impl Rows for HotRows<'_> {
    fn len(&self) -> usize {
        self.batch.num_rows()
    }

    fn has(&self, name: &str) -> bool {
        self.batch.column_by_name(name).is_some()
    }

    fn view(&mut self, name: &str, range: &Range<usize>) -> Result<Option<View>, Failure> {
        let known = match self.columns.get(name) {
            Some(known) => known.clone(),
            None => {
                let decoded = self.batch.column_by_name(name).map(|it| of_array(it)).transpose()?;
                let decoded = decoded.map(Arc::new);
                self.columns.insert(name.to_owned(), decoded.clone());
                decoded
            }
        };
        Ok(known.map(|decoded| View { decoded, skip: range.start }))
    }

    fn known_values(&mut self, _: &str) -> Result<Option<Arc<Decoded>>, Failure> {
        Ok(None)
    }

    fn page_starts(&mut self, _: &str) -> Result<Vec<usize>, Failure> {
        Ok(Vec::new())
    }
}

fn of_array(array: &dyn Array) -> Result<Decoded, Unusual> {
    fn numbers<T: ArrowPrimitiveType>(array: &dyn Array, as_number: impl Fn(T::Native) -> i64) -> Values {
        Values::Integers(array.as_primitive::<T>().values().iter().map(|it| as_number(*it)).collect())
    }
    let (values, kind) = match array.data_type() {
        DataType::Utf8View => {
            let texts = array.as_string_view().iter().map(Option::unwrap_or_default);
            (Values::Text(texts.collect()), Kind::Text)
        }
        DataType::Int64 => (numbers::<Int64Type>(array, |it| it), Kind::Integer),
        DataType::UInt64 => (numbers::<UInt64Type>(array, |it| it as i64), Kind::Integer),
        DataType::UInt32 => (numbers::<UInt32Type>(array, i64::from), Kind::Unsigned32),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => {
            (numbers::<TimestampNanosecondType>(array, |it| it), Kind::Timestamp)
        }
        DataType::Float64 => (Values::Floats(array.as_primitive::<Float64Type>().values().to_vec()), Kind::Float),
        DataType::Boolean => {
            let truths = array.as_boolean().iter().map(|it| it.unwrap_or_default()).collect();
            (Values::Booleans(truths), Kind::Boolean)
        }
        _ => return Err(Unusual("a column in memory of another type")),
    };
    let codes = (0..array.len()).map(|row| if array.is_null(row) { NULL } else { row as u32 }).collect();
    Ok(Decoded::of(codes, values, kind))
}
