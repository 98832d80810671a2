//! Sealed segments: immutable Parquet files below encryption, one per UTC day of event time.
//!
//! # Format, version 1
//!
//! A file `segments/FIRST-LAST-A-N.segment` (first and last log frame that were sealed with it, 16 hexadecimal digits
//! each; attempt, 8 of them; number, 4 digits) is a chunked file of [`panoptes_seal`] around a Parquet file with the columns that `pivot`
//! describes and `_row`. Rows are sorted by time, then event id. Row groups have at most [`GROUP_ROWS_MAX`] rows and
//! [`GROUP_TEXT_BYTES_MAX`] of text; values are compressed with zstd. Columns that are looked up by equality
//! ([`is_looked_up`]) have bloom filters, all have statistics per page. The field of a column that holds lists carries
//! `panoptes.lists` in the Arrow schema. Beside each lies `X.words`, which says what words and values it has in which row
//! groups ([`words`](crate::words)).
//!
//! # Writing
//!
//! Each file is written under its name with `.new` behind it, synced, renamed, and its folder synced. The segments then
//! count from the moment that the manifest names them; what it does not name is removed at the next start
//! ([`remove_orphans`]).

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use panoptes_model::{EventBatch, FrameId, Timestamp};
use panoptes_seal::{ChunkSealer, KeyEncryptionKey, SealError, Sha256};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::disk::{Disk, DiskFile};
use crate::manifest::Segment;
use crate::pivot::{FRAME, INDEX, INGESTED, LISTS_KEY, ORIGINAL, ROW, RowRef, TIME, pivot};
use crate::words::{Limits, WordsWriter};

/// How many rows a row group has at most; further rows begin the next one.
pub(crate) const GROUP_ROWS_MAX: usize = 128 << 10;
/// How much text a row group has at most, unless a single row has more; further rows begin the next one.
pub(crate) const GROUP_TEXT_BYTES_MAX: usize = 16 << 20;
/// How many files one sealing may make. Events of more days than this share files, a run of days each: a sender who
/// makes up times gets no file for each of them.
pub(crate) const FILES_MAX: usize = 64;

/// Where segments lie in the data folder.
pub(crate) const FOLDER: &str = "segments";
const SUFFIX: &str = ".segment";
const SUFFIX_WORDS: &str = ".words";
/// Behind the name of a file that is being written.
const SUFFIX_NEW: &str = ".new";
/// Little gain above; a quarter of the speed.
const ZSTD_LEVEL: i32 = 3;
/// How often a bloom filter may say "perhaps" of a value that is not there.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// How much ciphertext is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

/// Why segments could not be written. Nothing is lost: the frames stay in the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentWriteError {
    #[error("could not {operation} `{path}`; check the disk")]
    Disk { operation: &'static str, path: String, source: io::Error },
    #[error("the disk is full: could not write `{path}`; free space, events stay in the log until then")]
    DiskFull { path: String, source: io::Error },
    #[error("segment `{path}` could not be encoded")]
    Encode { path: String, source: ParquetError },
    #[error("segment `{path}` could not be sealed")]
    Seal { path: String, source: SealError },
}

fn disk_error(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> SegmentWriteError {
    move |source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SegmentWriteError::DiskFull { path, source },
            _ => SegmentWriteError::Disk { operation, path, source },
        }
    }
}

/// Writes the events of `batches`, which hold the frames `first` to `last`, into new segments: durable and complete,
/// but not yet in the manifest. `attempt` must be another for each call in one process: a file that a manifest entry may
/// name is never written over.
pub(crate) fn write_segments(
    disk: &dyn Disk,
    key: &KeyEncryptionKey,
    batches: &[Arc<EventBatch>],
    (first, last): (FrameId, FrameId),
    attempt: u32,
) -> Result<Vec<Segment>, SegmentWriteError> {
    let batches: Vec<&EventBatch> = batches.iter().map(|it| &**it).collect();
    let rows = sorted_rows(&batches);
    let mut written = Vec::new();
    for (number, part) in parts(&rows).into_iter().enumerate() {
        let file = format!("{FOLDER}/{:016x}-{:016x}-{attempt:08x}-{number:04}{SUFFIX}", first.0, last.0);
        let (Some((time_min, _)), Some((time_max, _))) = (part.first(), part.last()) else { continue };
        let refs: Vec<RowRef> = part.iter().map(|it| it.1).collect();
        let batch = with_row_numbers(&pivot(&batches, &refs));
        let (bytes, digest) = write_file(disk, &file, key, &batch)?;
        let (time_min, time_max) = (Timestamp(*time_min), Timestamp(*time_max));
        written.push(Segment {
            file,
            day: time_min.day(),
            rows: part.len() as u64,
            time_min,
            time_max,
            frame_first: first,
            frame_last: last,
            bytes,
            digest,
        });
    }
    if !written.is_empty() {
        disk.sync_dir(FOLDER).map_err(disk_error("sync", FOLDER))?;
    }
    Ok(written)
}

/// The path of a segment's sidecar.
pub(crate) fn words_path(segment: &str) -> String {
    format!("{}{SUFFIX_WORDS}", segment.strip_suffix(SUFFIX).unwrap_or(segment))
}

/// Removes what an interrupted sealing left: segments that are not in `known`, sidecars of such, and unfinished files.
/// Other files are left alone. Gives how many were removed.
pub(crate) fn remove_orphans(disk: &dyn Disk, known: &HashSet<&str>) -> Result<usize, SegmentWriteError> {
    let mut removed = 0;
    for name in disk.list(FOLDER).map_err(disk_error("list", FOLDER))? {
        let path = format!("{FOLDER}/{name}");
        let is_left = if let Some(name) = name.strip_suffix(SUFFIX_NEW) {
            name.ends_with(SUFFIX) || name.ends_with(SUFFIX_WORDS)
        } else if let Some(stem) = path.strip_suffix(SUFFIX_WORDS) {
            !known.contains(format!("{stem}{SUFFIX}").as_str())
        } else {
            name.ends_with(SUFFIX) && !known.contains(path.as_str())
        };
        if is_left {
            disk.remove(&path).map_err(disk_error("remove", &path))?;
            removed += 1;
        }
    }
    if removed > 0 {
        disk.sync_dir(FOLDER).map_err(disk_error("sync", FOLDER))?;
    }
    Ok(removed)
}

/// Time and place of every event, in the order in which segments hold them.
fn sorted_rows(batches: &[&EventBatch]) -> Vec<(i64, RowRef)> {
    let mut rows: Vec<(i64, RowRef)> = batches
        .iter()
        .enumerate()
        .flat_map(|(index, batch)| {
            let batch_index = index as u32;
            batch.events().map(move |it| (it.time().0, RowRef { batch: batch_index, event: it.id().index }))
        })
        .collect();
    // Batches are in the order of their frames.
    rows.sort_by_key(|(time, row)| (*time, row.batch, row.event));
    rows
}

/// One part per day, or if there are too many days, runs of days of about the same size.
fn parts(rows: &[(i64, RowRef)]) -> Vec<&[(i64, RowRef)]> {
    let days: Vec<&[(i64, RowRef)]> = rows.chunk_by(|a, b| Timestamp(a.0).day() == Timestamp(b.0).day()).collect();
    if days.len() <= FILES_MAX {
        return days;
    }
    let rows_min = rows.len().div_ceil(FILES_MAX);
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for day in days {
        end += day.len();
        if end - start >= rows_min {
            parts.extend(rows.get(start..end));
            start = end;
        }
    }
    parts.extend(rows.get(start..end).filter(|it| !it.is_empty()));
    parts
}

/// `batch` with the number of each row.
pub(crate) fn with_row_numbers(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let fields: Vec<Arc<Field>> =
        schema.fields().iter().cloned().chain([Arc::new(Field::new(ROW, DataType::UInt32, false))]).collect();
    let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..batch.num_rows() as u32));
    let columns = batch.columns().iter().cloned().chain([numbers]).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).expect("one number per row of the batch")
}

/// Whether people look for single values of this column: addresses, names of users and hosts, domains, hashes.
pub(crate) fn is_looked_up(name: &str) -> bool {
    let (parent, last) = name.rsplit_once('.').unwrap_or(("", name));
    match last {
        "ip" | "address" | "domain" | "hostname" | "md5" | "sha1" | "sha256" | "community_id" => true,
        "name" | "id" | "email" => parent.split('.').any(|it| matches!(it, "user" | "host" | "trace" | "question")),
        _ => false,
    }
}

fn properties(batch: &RecordBatch) -> WriterProperties {
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has this level");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_created_by("panoptes".to_owned())
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]))
        // Every record is another: a dictionary would be built only to be thrown away.
        .set_column_dictionary_enabled(path(ORIGINAL), false);
    for name in [TIME, FRAME, INDEX, INGESTED, ROW] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    for field in batch.schema().fields() {
        // Of a joined list no single item could be found in the filter.
        if is_looked_up(field.name()) && !field.metadata().contains_key(LISTS_KEY) {
            properties = properties
                .set_column_bloom_filter_fpp(path(field.name()), BLOOM_FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path(field.name()), batch.num_rows().clamp(1, GROUP_ROWS_MAX) as u64);
        }
    }
    properties.build()
}

/// The row groups of `batch`.
fn groups(batch: &RecordBatch) -> Vec<Range<usize>> {
    let texts: Vec<_> = batch.columns().iter().filter_map(|it| it.as_string_view_opt()).collect();
    let mut groups = Vec::new();
    let (mut start, mut text_bytes) = (0, 0);
    for row in 0..batch.num_rows() {
        let length: usize = texts.iter().map(|it| if it.is_null(row) { 0 } else { it.value(row).len() }).sum();
        if row > start && (row - start >= GROUP_ROWS_MAX || text_bytes + length > GROUP_TEXT_BYTES_MAX) {
            groups.push(start..row);
            (start, text_bytes) = (row, 0);
        }
        text_bytes += length;
    }
    groups.push(start..batch.num_rows());
    groups
}

/// Writes the segment and its sidecar. Gives the size of the segment's file and the digest of its bytes.
fn write_file(
    disk: &dyn Disk,
    path: &str,
    key: &KeyEncryptionKey,
    batch: &RecordBatch,
) -> Result<(u64, [u8; 32]), SegmentWriteError> {
    let file = NewFile::create(disk, path, key)?;
    let path_words = words_path(path);
    let words_file = NewFile::create(disk, &path_words, key)?;
    // Errors of the disk come back inside those of Parquet.
    let encode_error = |source: ParquetError| match source {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => disk_error("write", path)(*error),
            Err(inner) => SegmentWriteError::Encode { path: path.to_owned(), source: ParquetError::External(inner) },
        },
        source => SegmentWriteError::Encode { path: path.to_owned(), source },
    };
    let words_error = |error| disk_error("write", &path_words)(error);
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties(batch))).map_err(encode_error)?;
    let mut words = WordsWriter::new(words_file, Limits::default());
    for group in groups(batch) {
        let rows = batch.slice(group.start, group.len());
        words.add_group(&rows).map_err(words_error)?;
        writer.write(&rows).map_err(encode_error)?;
        writer.flush().map_err(encode_error)?;
    }
    let (bytes, digest) = writer.into_inner().map_err(encode_error)?.finish(disk)?;
    match words.finish(&digest).map_err(words_error)? {
        Some(words) => drop(words.finish(disk)?),
        None => {
            tracing::warn!(segment = path, "the segment has too many row groups for a sidecar");
            disk.remove(&format!("{path_words}{SUFFIX_NEW}")).map_err(disk_error("remove", &path_words))?;
        }
    }
    Ok((bytes, digest))
}

/// A sealed file that gets its name when it is complete.
struct NewFile {
    path: String,
    sealing: SealingFile,
}

impl NewFile {
    fn create(disk: &dyn Disk, path: &str, key: &KeyEncryptionKey) -> Result<Self, SegmentWriteError> {
        let path_new = format!("{path}{SUFFIX_NEW}");
        let file = disk.create_new(&path_new).map_err(disk_error("make", &path_new))?;
        let sealing =
            SealingFile::new(file, key).map_err(|source| SegmentWriteError::Seal { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), sealing })
    }

    /// Gives the size of the file and the digest of its bytes.
    fn finish(self, disk: &dyn Disk) -> Result<(u64, [u8; 32]), SegmentWriteError> {
        let path_new = format!("{}{SUFFIX_NEW}", self.path);
        let (mut file, bytes, digest) = self.sealing.finish().map_err(disk_error("write", &path_new))?;
        file.sync().map_err(disk_error("sync", &path_new))?;
        disk.rename(&path_new, &self.path).map_err(disk_error("rename", &path_new))?;
        Ok((bytes, digest))
    }
}

impl Write for NewFile {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.sealing.write_all(plaintext)?;
        Ok(plaintext.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Seals what is written to it on its way to the disk.
struct SealingFile {
    file: Box<dyn DiskFile>,
    sealer: ChunkSealer,
    sealed: Vec<u8>,
    bytes: u64,
    digest: Sha256,
}

impl SealingFile {
    fn new(file: Box<dyn DiskFile>, key: &KeyEncryptionKey) -> Result<Self, SealError> {
        let mut sealed = Vec::with_capacity(WRITE_BYTES);
        let sealer = ChunkSealer::new(key, &mut sealed)?;
        Ok(Self { file, sealer, sealed, bytes: 0, digest: Sha256::new() })
    }

    fn finish(mut self) -> io::Result<(Box<dyn DiskFile>, u64, [u8; 32])> {
        self.sealer.finish(&mut self.sealed).map_err(io::Error::other)?;
        append(&mut *self.file, &mut self.sealed, &mut self.bytes, &mut self.digest)?;
        Ok((self.file, self.bytes, self.digest.finish()))
    }
}

fn append(file: &mut dyn DiskFile, sealed: &mut Vec<u8>, bytes: &mut u64, digest: &mut Sha256) -> io::Result<()> {
    file.append(sealed)?;
    digest.update(sealed);
    *bytes += sealed.len() as u64;
    sealed.clear();
    Ok(())
}

impl Write for SealingFile {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.sealer.push(plaintext, &mut self.sealed).map_err(io::Error::other)?;
        if self.sealed.len() >= WRITE_BYTES {
            append(&mut *self.file, &mut self.sealed, &mut self.bytes, &mut self.digest)?;
        }
        Ok(plaintext.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use panoptes_model::{Schema, field};
    use panoptes_seal::{ChunkOpener, sha256};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::disk::{SimDisk, read_all};
    use crate::pivot::{Row, rows};

    const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

    fn key() -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes([5; 32])
    }

    fn batch(frame: u64, times: &[i64]) -> Arc<EventBatch> {
        let now = Timestamp(i64::MAX);
        Arc::new(EventBatch::build(Arc::new(Schema::ecs()), FrameId(frame), now, Vec::new(), String::new(), |writer| {
            for time in times {
                writer.begin("some record", 0, Timestamp(5), 0);
                writer.time(Timestamp(*time));
                writer.text(field::MESSAGE, &format!("at {time}"));
                writer.typed(field::SOURCE_IP, "203.0.113.9");
            }
        }))
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir_all("segments").unwrap();
        disk
    }

    fn write(disk: &SimDisk, batches: &[Arc<EventBatch>]) -> Vec<Segment> {
        write_segments(disk, &key(), batches, (FrameId(1), FrameId(9)), 0).unwrap()
    }

    fn read(disk: &SimDisk, file: &str) -> (Vec<Row>, parquet::file::metadata::ParquetMetaData) {
        let sealed = read_all(&*disk.open_read(file).unwrap()).unwrap();
        let plain = bytes::Bytes::from(ChunkOpener::open_all(&key(), &sealed).unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(plain).unwrap();
        let metadata = (**builder.metadata()).clone();
        (builder.build().unwrap().flat_map(|it| rows(&it.unwrap())).collect(), metadata)
    }

    #[test]
    fn events_are_sealed_by_day_and_sorted_by_time() {
        let disk = disk();
        let written = write(&disk, &[batch(1, &[DAY + 5, 3, 2 * DAY]), batch(2, &[4, 3, -1])]);
        let seen: Vec<_> = written
            .iter()
            .map(|segment| {
                let (rows, _) = read(&disk, &segment.file);
                assert_eq!(segment.rows, rows.len() as u64);
                assert_eq!((rows[0].time, rows.last().unwrap().time), (segment.time_min, segment.time_max));
                rows.iter().map(|it| (it.time.0, it.id.to_string())).collect::<Vec<_>>()
            })
            .collect();
        let row = |time, id: &str| (time, id.to_owned());
        assert_eq!(
            seen,
            [
                vec![row(-1, "2-2")],
                vec![row(3, "1-1"), row(3, "2-1"), row(4, "2-0")],
                vec![row(DAY + 5, "1-0")],
                vec![row(2 * DAY, "1-2")],
            ]
        );
        let file = &written[0];
        let sealed = read_all(&*disk.open_read(&file.file).unwrap()).unwrap();
        assert_eq!((file.bytes, file.digest), (sealed.len() as u64, sha256(&[&sealed])));
        assert_eq!(disk.list("segments").unwrap().len(), written.len(), "no unfinished file is left");
    }

    #[test]
    fn columns_that_are_looked_up_have_bloom_filters_and_lists_are_marked() {
        let disk = disk();
        let lists = Arc::new(EventBatch::build(
            Arc::new(Schema::ecs()),
            FrameId(1),
            Timestamp(9),
            Vec::new(),
            String::new(),
            |writer| {
                writer.begin("", 0, Timestamp(5), 0);
                writer.typed(field::SOURCE_IP, "203.0.113.9");
                writer.text_list(field::HOST_IP, ["10.0.0.1", "10.0.0.2"]);
            },
        ));
        let written = write(&disk, &[lists]);
        let (rows, metadata) = read(&disk, &written[0].file);
        let filters: BTreeMap<_, _> = metadata
            .row_group(0)
            .columns()
            .iter()
            .map(|it| (it.column_path().string(), it.bloom_filter_offset().is_some()))
            .collect();
        assert_eq!((filters["source.ip"], filters["host.ip"], filters["event.original"]), (true, false, false));
        assert!(matches!(rows[0].get("host.ip"), Some(crate::pivot::FieldValue::List(items)) if items.len() == 2));
    }

    #[test]
    fn made_up_times_do_not_make_a_file_each() {
        let disk = disk();
        let times: Vec<i64> = (0..1_000).map(|n| (n - 500) * DAY).collect();
        let written = write(&disk, &[batch(1, &times)]);
        assert!(written.len() <= FILES_MAX && written.len() > FILES_MAX / 2, "{}", written.len());
        assert_eq!(written.iter().map(|it| it.rows).sum::<u64>(), 1_000);
        assert!(written.windows(2).all(|it| it[0].time_max < it[1].time_min));
    }

    #[test]
    fn row_groups_are_bounded_in_rows_and_text() {
        let long = "x".repeat(GROUP_TEXT_BYTES_MAX / 4);
        let texts =
            EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), Timestamp(9), Vec::new(), String::new(), |writer| {
                for _ in 0..10 {
                    writer.begin("", 0, Timestamp(5), 0);
                    writer.text(field::MESSAGE, &long);
                }
            });
        let lengths = |batch: &RecordBatch| groups(batch).iter().map(Range::len).collect::<Vec<_>>();
        let batch_of = |batch: &EventBatch| crate::pivot::pivot_batch(batch);
        // Each event also has the anomaly that its time is missing.
        assert_eq!(lengths(&batch_of(&texts)), [3, 3, 3, 1]);
        let many = batch(1, &vec![7; GROUP_ROWS_MAX + 1]);
        assert_eq!(lengths(&batch_of(&many)), [GROUP_ROWS_MAX, 1]);
    }

    #[test]
    fn an_interrupted_sealing_is_cleared_away_and_known_segments_stay() {
        let disk = disk();
        let written = write(&disk, &[batch(1, &[1, DAY])]);
        disk.create_new("segments/left.segment.new").unwrap();
        disk.create_new("segments/notes.txt").unwrap();
        let known = HashSet::from([written[0].file.as_str()]);
        assert_eq!(remove_orphans(&disk, &known).unwrap(), 2);
        let left: Vec<String> = disk.list(FOLDER).unwrap().iter().map(|it| format!("{FOLDER}/{it}")).collect();
        assert_eq!(left, [written[0].file.clone(), "segments/notes.txt".to_owned()]);
    }

    #[test]
    fn no_events_make_no_segment() {
        let disk = disk();
        assert!(write(&disk, &[batch(1, &[])]).is_empty());
    }
}
