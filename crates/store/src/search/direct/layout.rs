//! Where the columns of a segment lie: what of its footer is needed to read some of them.
//!
//! Footers of hundreds of columns are most of what a count would read and decode. What is kept of one is a few bytes a
//! column, for as many segments as fit into [`LAYOUTS_BYTES_MAX`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parquet::basic::{Compression, LogicalType, TimeUnit, Type};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};

use super::decode::{Kind, Shape};
use super::{Failure, Unusual};
use crate::search::fetch::SegmentFile;

/// How much memory layouts take; with more, all are forgotten, and footers are read again.
const LAYOUTS_BYTES_MAX: usize = 24 << 20;
/// How much of a segment's end is read at once: most footers, and what tells where pages lie.
const END_BYTES: u64 = 64 << 10;

/// What a segment's columns are and where they lie.
#[derive(Debug)]
pub(in crate::search) struct Layout {
    columns: HashMap<Box<str>, u32>,
    groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) rows: usize,
    chunks: Box<[Chunk]>,
}

/// One column of one row group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// Where its pages are told.
    pub(super) index: Option<(u64, u32)>,
    /// `None`: of a type that the store does not write.
    pub(super) shape: Option<Shape>,
}

impl Layout {
    pub(super) fn read(file: &SegmentFile) -> Result<Self, Failure> {
        // What is read here is found in the cache by the reader.
        file.store.read(&file.file, &(file.size.saturating_sub(END_BYTES)..file.size))?;
        let options = ParquetMetaDataOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_metadata_options(Some(options));
        let footer = reader.parse_and_finish(file).map_err(|_| Unusual("not a footer"))?;
        let schema = footer.file_metadata().schema_descr();
        let columns = schema.columns().iter().enumerate();
        let columns = columns.map(|(number, it)| (it.name().into(), number as u32)).collect();
        let groups = footer.row_groups().iter().map(|group| {
            let rows = usize::try_from(group.num_rows()).ok().filter(|it| *it < u32::MAX as usize);
            let rows = rows.ok_or(Unusual("a row group has an impossible size"))?;
            Ok(Group { rows, chunks: group.columns().iter().map(chunk).collect() })
        });
        Ok(Self { columns, groups: groups.collect::<Result<_, Unusual>>()? })
    }

    pub(in crate::search) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn group(&self, number: usize) -> Option<&Group> {
        self.groups.get(number)
    }

    pub(in crate::search) fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The column of a row group; `None` if the segment has none.
    pub(super) fn chunk(&self, group: &Group, name: &str) -> Option<Chunk> {
        let number = *self.columns.get(name)?;
        group.chunks.get(number as usize).copied()
    }

    fn memory_bytes(&self) -> usize {
        let names: usize = self.columns.keys().map(|it| it.len() + 48).sum();
        names + self.groups.iter().map(|it| size_of_val(&*it.chunks)).sum::<usize>()
    }
}

fn chunk(column: &ColumnChunkMetaData) -> Chunk {
    let (start, bytes) = column.byte_range();
    let index = column.offset_index_offset().zip(column.offset_index_length());
    Chunk {
        start,
        bytes,
        index: index.and_then(|(offset, length)| Some((u64::try_from(offset).ok()?, u32::try_from(length).ok()?))),
        shape: shape(column),
    }
}

fn shape(column: &ColumnChunkMetaData) -> Option<Shape> {
    let described = column.column_descr();
    if described.max_rep_level() != 0 || described.max_def_level() > 1 {
        return None;
    }
    let kind = match (column.column_type(), described.logical_type_ref()) {
        (Type::BYTE_ARRAY, Some(LogicalType::String)) => Kind::Text,
        (Type::INT64, None | Some(LogicalType::Integer(_))) => Kind::Integer,
        (Type::INT64, Some(LogicalType::Timestamp(it))) if it.unit == TimeUnit::NANOS => Kind::Timestamp,
        (Type::INT32, Some(LogicalType::Integer(it))) if it.bit_width == 32 && !it.is_signed => Kind::Unsigned32,
        (Type::DOUBLE, None) => Kind::Float,
        (Type::BOOLEAN, None) => Kind::Boolean,
        _ => return None,
    };
    let compression = column.compression();
    let is_known = matches!(compression, Compression::UNCOMPRESSED | Compression::ZSTD(_));
    is_known.then_some(Shape { kind, is_nullable: described.max_def_level() == 1, compression })
}

/// The layouts of segments that were asked lately, by their paths.
#[derive(Default)]
pub(in crate::search) struct Layouts(Mutex<Known>);

#[derive(Default)]
struct Known {
    layouts: HashMap<String, Arc<Layout>>,
    bytes: usize,
}

impl Layouts {
    pub(in crate::search) fn get(&self, file: &SegmentFile) -> Result<Arc<Layout>, Failure> {
        if let Some(known) = self.lock().layouts.get(&file.file) {
            return Ok(Arc::clone(known));
        }
        let layout = Arc::new(Layout::read(file)?);
        let bytes = layout.memory_bytes();
        let mut known = self.lock();
        if known.bytes + bytes > LAYOUTS_BYTES_MAX {
            *known = Known::default();
        }
        if known.layouts.insert(file.file.clone(), Arc::clone(&layout)).is_none() {
            known.bytes += bytes;
        }
        Ok(layout)
    }

    pub(in crate::search) fn has(&self, file: &str) -> bool {
        self.lock().layouts.contains_key(file)
    }

    /// A panic elsewhere leaves what is known as it was.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
