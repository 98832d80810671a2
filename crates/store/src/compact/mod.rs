//! Small segments become larger ones.
//!
//! Each sealing makes a segment, however little came in; a search opens each of them. So small neighbours of one day and
//! one class of retention are merged in the background ([`plan`] says which), as a stream that holds a few thousand rows:
//! sorted by time and event id as before, the columns of all inputs in one file.
//!
//! # Steps, any of which a crash may follow
//!
//! 1. The output is written under its name with `.new`, synced, renamed; its folder is synced.
//! 2. It is read back: its rows must have the digest that the inputs have together.
//! 3. The manifest names it in place of the inputs. This is the moment.
//! 4. A while later the data keys of the inputs are destroyed and the files removed, so that a search which began before
//!    ends undisturbed.
//!
//! After a crash before 3 the output is a left-over, after it the inputs are; the next start removes either.
//!
//! An erasure is the same with some rows left out.

mod columns;
mod merge;
mod plan;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::KeyEncryptionKey;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

pub(crate) use self::merge::Keep;
use self::merge::Merge;
use crate::disk::Disk;
use crate::manifest::{RowsDigest, Segment};
use crate::pivot::{FRAME, INDEX, ORIGINAL};
use crate::sealed_file::{SealedFile, SealedFileError};
use crate::segment::{FOLDER, SegmentWriteError, SegmentWriter, remove_unfinished, rows_digest};

/// How many rows a merged segment has at most. One that has more than half of them is left as it is.
pub(crate) const ROWS_TARGET: u64 = 1 << 20;
/// How large a merged segment may get on the disk (some ten times as much as text). One of more than half of it is left as
/// it is.
pub(crate) const BYTES_TARGET: u64 = 64 << 20;
/// How many segments are merged at once: each takes a few megabytes of memory. The others wait for the next round.
pub(crate) const FAN_IN_MAX: usize = 16;
/// How many rows of a new segment are read back at once.
const CHECK_ROWS: usize = 1024;

/// Why segments could not be merged. The inputs stay as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    #[error("segment `{segment}` cannot be read; restore it from a backup")]
    InputUnreadable { segment: String, source: Box<ParquetError> },
    #[error(
        "the events of segment `{segment}` are not those that the manifest says were written; restore it from a backup"
    )]
    InputAltered { segment: String },
    #[error("rows cannot be merged")]
    Merge { source: ArrowError },
    #[error(transparent)]
    Write(#[from] SegmentWriteError),
    #[error("segment `{segment}` cannot be read back after it was written; check the disk")]
    OutputUnreadable { segment: String, source: Box<ParquetError> },
    #[error("segment `{segment}` does not hold what it was made of; check memory and disk")]
    OutputDiffers { segment: String },
    #[error("merging was stopped")]
    Stopped,
}

impl CompactError {
    pub(crate) fn input(segment: &Segment, source: ParquetError) -> Self {
        Self::InputUnreadable { segment: segment.file.clone(), source: Box::new(source) }
    }

    /// The input that is to blame, if one is: trying again with it is of no use.
    pub(crate) fn damaged_input(&self) -> Option<&str> {
        match self {
            // The disk may have had a bad moment.
            Self::InputUnreadable { source, .. }
                if matches!(sealed_file_error(source), Some(SealedFileError::NotRead { source, .. })
                    if source.kind() != std::io::ErrorKind::NotFound) =>
            {
                None
            }
            Self::InputUnreadable { segment, .. } | Self::InputAltered { segment } => Some(segment),
            _ => None,
        }
    }
}

pub(crate) fn sealed_file_error(error: &ParquetError) -> Option<&SealedFileError> {
    let ParquetError::External(inner) = error else { return None };
    let through_read = || inner.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<SealedFileError>();
    inner.downcast_ref::<SealedFileError>().or_else(through_read)
}

/// The segments to merge next, none of them in `left_out`; empty if there is nothing to do. Of days that are over, those
/// with frames after `settled` may get more events: these wait for that.
pub(crate) fn plan<'s>(
    segments: impl Iterator<Item = &'s Segment>,
    now: Timestamp,
    settled: FrameId,
    left_out: &HashSet<String>,
) -> Vec<&'s Segment> {
    plan::next(segments, now, settled, left_out)
}

/// What came of a merge.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Durable, read back, and not yet in the manifest. `None`: no row was kept.
    pub(crate) output: Option<Segment>,
    /// The rows that were not kept.
    pub(crate) dropped_rows: u64,
    pub(crate) dropped_digest: RowsDigest,
}

/// Merges the rows of `inputs` that `keep` keeps into the new segment `file`. `go_on` is asked now and then.
///
/// # Errors
/// Nothing of the output is left, as far as the disk lets it be removed.
pub(crate) fn merge(
    disk: &dyn Disk,
    key: &KeyEncryptionKey,
    inputs: &[&Segment],
    file: &str,
    keep: Keep<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Merged, CompactError> {
    let merged = try_merge(disk, key, inputs, file, keep, go_on);
    if merged.is_err() {
        remove_unfinished(disk, file);
    }
    merged
}

fn try_merge(
    disk: &dyn Disk,
    key: &KeyEncryptionKey,
    inputs: &[&Segment],
    file: &str,
    keep: Keep<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Merged, CompactError> {
    let mut merge = Merge::open(disk, key, inputs, keep)?;
    let rows: u64 = inputs.iter().map(|it| it.rows).sum();
    let mut writer = None;
    while let Some(batch) = merge.next_rows()? {
        if !go_on() {
            return Err(CompactError::Stopped);
        }
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                let created = SegmentWriter::create(disk, key, file.to_owned(), &merge.columns.schema)?;
                writer.insert(created)
            }
        };
        writer.write(&batch)?;
    }
    let (dropped_rows, dropped_digest) = merge.dropped;
    let expected = merge.digest().minus(dropped_digest);
    let Some(writer) = writer else { return Ok(Merged { output: None, dropped_rows, dropped_digest }) };
    let first = inputs.iter().map(|it| it.frame_first).min().unwrap_or(FrameId(0));
    let last = inputs.iter().map(|it| it.frame_last).max().unwrap_or(FrameId(0));
    let class = inputs.first().map_or_else(String::new, |it| it.class.clone());
    let output = writer.finish((first, last), class)?;
    crate::segment::sync_folder(disk)?;
    let unreadable = |source| CompactError::OutputUnreadable { segment: output.file.clone(), source: Box::new(source) };
    let found = read_digest(disk, key, &output.file).map_err(unreadable)?;
    if output.rows_digest != Some(expected) || found != (output.rows, expected) || output.rows + dropped_rows != rows {
        return Err(CompactError::OutputDiffers { segment: output.file });
    }
    Ok(Merged { output: Some(output), dropped_rows, dropped_digest })
}

/// How many rows a segment has and what they are.
pub(crate) fn read_digest(
    disk: &dyn Disk,
    key: &KeyEncryptionKey,
    file: &str,
) -> Result<(u64, RowsDigest), ParquetError> {
    let sealed = SealedFile::open(disk, key, file).map_err(|error| ParquetError::External(Box::new(error)))?;
    let metadata = ArrowReaderMetadata::load(&sealed, ArrowReaderOptions::new())?;
    let fields = metadata.schema().fields().iter().enumerate();
    let columns: Vec<usize> =
        fields.filter(|(_, it)| [FRAME, INDEX, ORIGINAL].contains(&it.name().as_str())).map(|it| it.0).collect();
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(sealed, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let (mut rows, mut digest) = (0, RowsDigest::EMPTY);
    for batch in builder.with_projection(mask).with_batch_size(CHECK_ROWS).build()? {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        digest = digest.plus(rows_digest(&batch));
    }
    Ok((rows, digest))
}

/// Every row stays.
pub(crate) fn keep_all(_: &RecordBatch) -> Result<Option<BooleanArray>, ArrowError> {
    Ok(None)
}

/// The name of the segment that replaces `inputs`. `head` is the length of the manifest's chain, `attempt` another number
/// for each call in one process: no two merges make the same name.
pub(crate) fn output_file(inputs: &[&Segment], head: u64, attempt: u32) -> String {
    let first = inputs.iter().map(|it| it.frame_first.0).min().unwrap_or(0);
    let last = inputs.iter().map(|it| it.frame_last.0).max().unwrap_or(0);
    format!("{FOLDER}/{first:016x}-{last:016x}-{attempt:08x}-m{head:x}.segment")
}
