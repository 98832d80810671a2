//! Whole events by their place: the second phase of a search.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};

use crate::object::{SegmentError, SegmentStore};
use crate::pivot::with_repeats;

/// How many rows are decoded at once.
const BATCH_ROWS: usize = 1024;

/// A segment as a Parquet reader sees it.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) store: Arc<SegmentStore>,
    pub(super) file: String,
    pub(super) size: u64,
}

impl SegmentFile {
    /// Footer and page index.
    pub(super) fn metadata(&self) -> ParquetResult<ArrowReaderMetadata> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        ArrowReaderMetadata::load(self, options)
    }

    /// The rows `numbers`, which rise.
    pub(super) fn rows(&self, metadata: &ArrowReaderMetadata, numbers: &[u32]) -> ParquetResult<Vec<RecordBatch>> {
        let mut selectors = Vec::new();
        let mut next = 0;
        for number in numbers {
            let number = *number as usize;
            if number > next {
                selectors.push(RowSelector::skip(number - next));
            }
            selectors.push(RowSelector::select(1));
            next = number + 1;
        }
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.clone(), metadata.clone())
            .with_row_selection(RowSelection::from(selectors))
            .with_batch_size(BATCH_ROWS)
            .build()?
            .map(|it| it.and_then(with_repeats).map_err(ParquetError::from))
            .collect()
    }
}

fn parquet_error(error: SegmentError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl Length for SegmentFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for SegmentFile {
    type T = SegmentRead;

    fn get_read(&self, start: u64) -> ParquetResult<SegmentRead> {
        Ok(SegmentRead { segment: self.clone(), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes =
            self.store.read(&self.file, &(start..start.saturating_add(length as u64))).map_err(parquet_error)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(ParquetError::EOF(format!("segment {} ends before byte {start} + {length}", self.file)))
        }
    }
}

pub(super) struct SegmentRead {
    segment: SegmentFile,
    position: u64,
}

impl io::Read for SegmentRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.position.saturating_add(buffer.len() as u64);
        let bytes = self.segment.store.read(&self.segment.file, &(self.position..end)).map_err(io::Error::other)?;
        if let Some(filled) = buffer.get_mut(..bytes.len()) {
            filled.copy_from_slice(&bytes);
        }
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }
}
