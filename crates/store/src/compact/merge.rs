//! Several segments as one stream of rows in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow::error::ArrowError;
use panoptes_seal::KeyEncryptionKey;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::CompactError;
use super::columns::Columns;
use crate::disk::Disk;
use crate::manifest::{RowsDigest, Segment};
use crate::pivot::{FRAME, INDEX, ROW, TIME, with_repeats};
use crate::sealed_file::SealedFile;
use crate::segment::rows_digest;

/// How many rows of each input are decoded at once.
const INPUT_ROWS: usize = 512;
/// How many rows are given at once.
const OUTPUT_ROWS: usize = 4096;
/// How many batches of inputs a batch of the output is made of at most: they stay in memory until it is.
const PIECES_MAX: usize = 64;

/// Time, frame and index: what rows are sorted by.
type Position = (i64, u64, u32);

struct Input<'s> {
    segment: &'s Segment,
    reader: ParquetRecordBatchReader,
    /// Which of the pieces its rows come from now.
    piece: usize,
    batch: RecordBatch,
    positions: Vec<Position>,
    next: usize,
    rows: u64,
    digest: RowsDigest,
}

/// Which rows stay; `true` for each that does. `None`: all.
pub(crate) type Keep<'k> = &'k dyn Fn(&RecordBatch) -> Result<Option<BooleanArray>, ArrowError>;

/// Merges as it is read.
pub(super) struct Merge<'s, 'k> {
    pub(super) columns: Columns,
    inputs: Vec<Input<'s>>,
    heap: BinaryHeap<Reverse<(Position, usize)>>,
    keep: Keep<'k>,
    /// The rows that were not kept, and their digest.
    pub(super) dropped: (u64, RowsDigest),
}

impl<'s, 'k> Merge<'s, 'k> {
    pub(super) fn open(
        disk: &dyn Disk,
        key: &KeyEncryptionKey,
        segments: &[&'s Segment],
        keep: Keep<'k>,
    ) -> Result<Self, CompactError> {
        let mut opened = Vec::new();
        for segment in segments {
            let file = SealedFile::open(disk, key, &segment.file)
                .map_err(|error| CompactError::input(segment, ParquetError::External(Box::new(error))))?;
            let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
                .map_err(|error| CompactError::input(segment, error))?;
            opened.push((*segment, file, metadata));
        }
        let metadata: Vec<ArrowReaderMetadata> = opened.iter().map(|it| it.2.clone()).collect();
        let columns = Columns::of(&metadata);
        let mut merge =
            Self { columns, inputs: Vec::new(), heap: BinaryHeap::new(), keep, dropped: (0, RowsDigest::EMPTY) };
        for (segment, file, metadata) in opened {
            let fields = metadata.schema().fields().iter().enumerate();
            let columns: Vec<usize> = fields.filter(|(_, it)| it.name() != ROW).map(|(index, _)| index).collect();
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
            let reader = builder
                .with_projection(mask)
                .with_batch_size(INPUT_ROWS)
                .build()
                .map_err(|error| CompactError::input(segment, error))?;
            let batch = RecordBatch::new_empty(std::sync::Arc::clone(&merge.columns.schema));
            merge.inputs.push(Input {
                segment,
                reader,
                piece: usize::MAX,
                batch,
                positions: Vec::new(),
                next: 0,
                rows: 0,
                digest: RowsDigest::EMPTY,
            });
            merge.load(merge.inputs.len() - 1)?;
        }
        Ok(merge)
    }

    /// The next rows, in order; `None` after the last.
    pub(super) fn next_rows(&mut self) -> Result<Option<RecordBatch>, CompactError> {
        let mut pieces: Vec<RecordBatch> = Vec::new();
        let mut picked: Vec<(usize, usize)> = Vec::with_capacity(OUTPUT_ROWS);
        self.inputs.iter_mut().for_each(|it| it.piece = usize::MAX);
        while picked.len() < OUTPUT_ROWS && pieces.len() < PIECES_MAX {
            let Some(Reverse((_, number))) = self.heap.pop() else { break };
            let Some(input) = self.inputs.get_mut(number) else { continue };
            if input.piece == usize::MAX {
                input.piece = pieces.len();
                pieces.push(input.batch.clone());
            }
            picked.push((input.piece, input.next));
            input.next += 1;
            match input.positions.get(input.next) {
                Some(position) => self.heap.push(Reverse((*position, number))),
                None => {
                    input.piece = usize::MAX;
                    self.load(number)?;
                }
            }
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let pieces: Vec<&RecordBatch> = pieces.iter().collect();
        interleave_record_batch(&pieces, &picked).map(Some).map_err(|source| CompactError::Merge { source })
    }

    /// Of all rows that were read so far.
    pub(super) fn digest(&self) -> RowsDigest {
        self.inputs.iter().fold(RowsDigest::EMPTY, |sum, it| sum.plus(it.digest))
    }

    /// Reads on in one input, to the next row that stays.
    fn load(&mut self, number: usize) -> Result<(), CompactError> {
        let Some(input) = self.inputs.get_mut(number) else { return Ok(()) };
        let segment = input.segment;
        let failed = |source: ArrowError| CompactError::input(segment, unwrapped(source));
        loop {
            let Some(batch) = input.reader.next() else { return input.check() };
            let batch = batch.and_then(with_repeats).map_err(failed)?;
            let digest = rows_digest(&batch);
            input.rows += batch.num_rows() as u64;
            input.digest = input.digest.plus(digest);
            let kept = match (self.keep)(&batch).map_err(failed)? {
                None => batch,
                Some(mask) => {
                    let kept = filter_record_batch(&batch, &mask).map_err(failed)?;
                    self.dropped.0 += (batch.num_rows() - kept.num_rows()) as u64;
                    self.dropped.1 = self.dropped.1.plus(digest.minus(rows_digest(&kept)));
                    kept
                }
            };
            if kept.num_rows() == 0 {
                continue;
            }
            input.positions = positions(&kept)
                .ok_or_else(|| CompactError::input(segment, ParquetError::General("a column is missing".into())))?;
            input.batch = self.columns.fit(&kept).map_err(failed)?;
            input.next = 0;
            if let Some(first) = input.positions.first() {
                self.heap.push(Reverse((*first, number)));
            }
            return Ok(());
        }
    }
}

impl Input<'_> {
    /// Whether what was read is what the manifest says that was written.
    fn check(&self) -> Result<(), CompactError> {
        let expected = self.segment.rows_digest.unwrap_or(self.digest);
        if self.rows == self.segment.rows && self.digest == expected {
            return Ok(());
        }
        Err(CompactError::InputAltered { segment: self.segment.file.clone() })
    }
}

/// What a reader made an error of Arrow of.
fn unwrapped(error: ArrowError) -> ParquetError {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<ParquetError>() {
            Ok(error) => *error,
            Err(inner) => ParquetError::External(inner),
        },
        other => other.into(),
    }
}

fn positions(batch: &RecordBatch) -> Option<Vec<Position>> {
    let times = batch.column_by_name(TIME)?.as_primitive_opt::<TimestampNanosecondType>()?;
    let frames = batch.column_by_name(FRAME)?.as_primitive_opt::<UInt64Type>()?;
    let indexes = batch.column_by_name(INDEX)?.as_primitive_opt::<UInt32Type>()?;
    let rows = times.values().iter().zip(frames.values()).zip(indexes.values());
    Some(rows.map(|((time, frame), index)| (*time, *frame, *index)).collect())
}
