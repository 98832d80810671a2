//! Records as they came in, read back from segments: what a frame of the log was made of, long after the log is gone.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch, StringViewArray};
use arrow::datatypes::{TimestampNanosecondType, UInt32Type, UInt64Type};
use panoptes_model::{EventId, FrameId, Timestamp};
use panoptes_seal::{KeyEncryptionKey, plaintext_size};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::damage_behind;
use super::fetch::SegmentFile;
use crate::disk::Disk;
use crate::manifest::Segment;
use crate::object::{SegmentError, SegmentStore};
use crate::pivot::{FRAME, INDEX, INGESTED, INPUT, ORIGINAL, SOURCE, TIME};

/// How many rows are decoded at once.
const BATCH_ROWS: usize = 1024;
/// What the event was taken for when it was stored.
const DATASET: &str = "event.dataset";

/// A record, and what the store knows of where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub id: EventId,
    /// When it happened, as it was understood when it was stored.
    pub time: Timestamp,
    pub received_at: Timestamp,
    pub source: String,
    pub input: String,
    /// What it was taken for when it was stored.
    pub dataset: String,
    pub original: String,
}

/// Why the records of a segment cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("segment {segment} is not what a segment looks like; restore it from a backup")]
    Undecodable { segment: String, source: Box<ParquetError> },
}

/// Reads records of segments, a segment at a time.
pub struct RecordReader {
    store: Arc<SegmentStore>,
}

impl RecordReader {
    /// Of the segments on `disk`.
    pub fn new(disk: Arc<dyn Disk>, key: &KeyEncryptionKey) -> Self {
        Self { store: Arc::new(SegmentStore::new(disk, key.clone())) }
    }

    /// The records of `segment` that came in with `frames`, in the order in which they came.
    ///
    /// # Errors
    /// The segment is missing or damaged: none of its records is given.
    pub fn records(
        &self,
        segment: &Segment,
        frames: &RangeInclusive<FrameId>,
    ) -> Result<Vec<StoredRecord>, RecordsError> {
        let size =
            plaintext_size(segment.bytes).ok_or_else(|| SegmentError::size_impossible(&segment.file, segment.bytes))?;
        let file = SegmentFile { store: Arc::clone(&self.store), file: segment.file.clone(), size };
        let mut records = Vec::new();
        self.read(&file, frames, &mut records).map_err(|source| match damage_behind(&source) {
            Some(damage) => RecordsError::Segment(damage),
            None => RecordsError::Undecodable { segment: segment.file.clone(), source: Box::new(source) },
        })?;
        records.sort_unstable_by_key(|it| it.id);
        Ok(records)
    }

    fn read(
        &self,
        file: &SegmentFile,
        frames: &RangeInclusive<FrameId>,
        out: &mut Vec<StoredRecord>,
    ) -> Result<(), ParquetError> {
        let metadata = file.metadata()?;
        let wanted = [TIME, FRAME, INDEX, INGESTED, SOURCE, INPUT, ORIGINAL, DATASET];
        let columns = metadata.schema().fields().iter().enumerate();
        let columns: Vec<usize> =
            columns.filter(|(_, it)| wanted.contains(&it.name().as_str())).map(|(index, _)| index).collect();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        for batch in builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
            records_of(&batch?, frames, out);
        }
        Ok(())
    }
}

fn records_of(batch: &RecordBatch, frames: &RangeInclusive<FrameId>, out: &mut Vec<StoredRecord>) {
    let column = |name: &str| batch.column_by_name(name);
    let frame = column(FRAME).and_then(|it| it.as_primitive_opt::<UInt64Type>());
    let index = column(INDEX).and_then(|it| it.as_primitive_opt::<UInt32Type>());
    // Every segment has both: without them its rows are nobody's.
    let (Some(frame), Some(index)) = (frame, index) else { return };
    let time = |name: &str| column(name).and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>());
    let (happened, received) = (time(TIME), time(INGESTED));
    let text = |name: &str| column(name).and_then(|it| it.as_string_view_opt());
    let (source, input, dataset, original) = (text(SOURCE), text(INPUT), text(DATASET), text(ORIGINAL));
    for (row, (frame, index)) in frame.values().iter().zip(index.values()).enumerate() {
        let id = EventId { frame: FrameId(*frame), index: *index };
        if !frames.contains(&id.frame) {
            continue;
        }
        let value = |texts: Option<&StringViewArray>| {
            texts.filter(|it| !it.is_null(row)).map(|it| it.value(row).to_owned()).unwrap_or_default()
        };
        let instant = |times: Option<&arrow::array::PrimitiveArray<TimestampNanosecondType>>| {
            times.and_then(|it| it.values().get(row)).map_or(Timestamp(0), |it| Timestamp(*it))
        };
        out.push(StoredRecord {
            id,
            time: instant(happened),
            received_at: instant(received),
            source: value(source),
            input: value(input),
            dataset: value(dataset),
            original: value(original),
        });
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{BatchWriter, EventBatch, Origin, Schema};

    use super::*;
    use crate::disk::SimDisk;
    use crate::segment::write_segments;

    const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

    /// Frame `frame` with a record for each of `days`.
    fn batch(frame: u64, days: &[i64]) -> Arc<EventBatch> {
        let origin = Origin { source: "web".into(), input: "tcp".into(), ..Origin::default() };
        let now = Timestamp(i64::MAX);
        let fill = |writer: &mut BatchWriter<'_>| {
            for (number, day) in (0..).zip(days) {
                writer.begin(&format!("record {frame} {number}"), 0, Timestamp(7), number);
                writer.time(Timestamp(day * DAY));
                let dataset = writer.schema().id(DATASET).expect("ECS has it");
                writer.text(dataset, "linux.sshd");
            }
        };
        Arc::new(EventBatch::build(Arc::new(Schema::ecs()), FrameId(frame), now, vec![origin], String::new(), fill))
    }

    fn sealed(disk: &SimDisk, key: &KeyEncryptionKey) -> Vec<Segment> {
        disk.create_dir_all(crate::segment::FOLDER).expect("the disk takes it");
        let batches = [batch(1, &[5, 6, 5]), batch(2, &[6, 5])];
        write_segments(disk, key, &batches, (FrameId(1), FrameId(2)), 0, &Default::default())
            .expect("the disk takes it")
    }

    #[test]
    fn records_come_back_in_the_order_in_which_they_came_in() {
        let (disk, key) = (SimDisk::new(), KeyEncryptionKey::from_bytes([5; 32]));
        let segments = sealed(&disk, &key);
        assert_eq!(segments.len(), 2, "one per day");
        let reader = RecordReader::new(Arc::new(disk), &key);
        let texts = |segment: &Segment, frames: RangeInclusive<u64>| -> Vec<String> {
            let frames = FrameId(*frames.start())..=FrameId(*frames.end());
            reader.records(segment, &frames).unwrap().into_iter().map(|it| it.original).collect()
        };
        assert_eq!(texts(&segments[0], 1..=2), ["record 1 0", "record 1 2", "record 2 1"]);
        assert_eq!(texts(&segments[1], 1..=2), ["record 1 1", "record 2 0"]);
        assert_eq!(texts(&segments[0], 2..=2), ["record 2 1"]);
        let first = reader.records(&segments[0], &(FrameId(1)..=FrameId(1))).unwrap().remove(0);
        let expected = StoredRecord {
            id: EventId { frame: FrameId(1), index: 0 },
            time: Timestamp(5 * DAY),
            received_at: Timestamp(7),
            source: "web".to_owned(),
            input: "tcp".to_owned(),
            dataset: "linux.sshd".to_owned(),
            original: "record 1 0".to_owned(),
        };
        assert_eq!(first, expected);
    }

    #[test]
    fn a_damaged_segment_is_named() {
        let (disk, key) = (SimDisk::new(), KeyEncryptionKey::from_bytes([5; 32]));
        let mut segment = sealed(&disk, &key).remove(0);
        let reader = RecordReader::new(Arc::new(disk), &KeyEncryptionKey::from_bytes([6; 32]));
        let all = FrameId(0)..=FrameId(u64::MAX);
        assert!(
            matches!(reader.records(&segment, &all), Err(RecordsError::Segment(it)) if it.segment() == segment.file)
        );
        segment.bytes = 3;
        assert!(matches!(reader.records(&segment, &all), Err(RecordsError::Segment(_))));
    }
}
