//! Sealed segments: immutable Parquet files below encryption, one per UTC day of event time.
//!
//! # Format, version 1
//!
//! A file `segments/FIRST-LAST-A-N.segment` (first and last log frame that were sealed with it, 16 hexadecimal digits
//! each; attempt, 8 of them; number, 4 digits) is a chunked file of [`panoptes_seal`] around a Parquet file with the columns that `pivot`
//! describes and `_row`. Rows are sorted by time, then event id. Row groups end after [`GROUP_ROWS_MAX`] rows or
//! [`GROUP_TEXT_BYTES_MAX`] of text; values are compressed with zstd. Columns that are looked up by equality
//! (`is_looked_up`) have bloom filters; all have statistics per row group, times per page. The field of a column that holds lists carries
//! `panoptes.lists` in the Arrow schema. Beside it lies a file that says which words and values it has in which row
//! groups ([`words`](crate::words)).
//!
//! # Writing
//!
//! Each file is written under its name with `.new` behind it, synced, renamed, and its folder synced. The segments then
//! count from the moment that the manifest names them; what it does not name is removed at the next start
//! ([`remove_orphans`]).

mod encode;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use panoptes_model::{EventBatch, FrameId, Timestamp, Value};
use panoptes_seal::{KeyEncryptionKey, SealError};
use parquet::errors::ParquetError;

use self::writer::{DATASET, EventTable};
pub(crate) use self::writer::{SealingFile, SegmentWriter, is_looked_up, rows_digest};
use crate::disk::{Disk, destroy};
use crate::manifest::{Segment, sidecar_of};
use crate::pivot::{Plan, ROW, RowRef, fill};
use crate::retention::Retention;

/// How many rows a row group has at most; further rows begin the next one.
pub(crate) const GROUP_ROWS_MAX: usize = 128 << 10;
/// A row group ends with the row by which it has so much text.
pub(crate) const GROUP_TEXT_BYTES_MAX: usize = 16 << 20;
/// How many files one sealing may make. Events of more days than this share files, a run of days each: a sender who
/// makes up times gets no file for each of them.
pub(crate) const FILES_MAX: usize = 64;

/// Where segments lie in the data folder.
pub(crate) const FOLDER: &str = "segments";
const SUFFIX: &str = ".segment";
const SUFFIX_WORDS: &str = ".words";

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
    retention: &Retention,
) -> Result<Vec<Segment>, SegmentWriteError> {
    let batches: Vec<&EventBatch> = batches.iter().map(|it| &**it).collect();
    let divided = classes(&batches, sorted_rows(&batches), retention);
    // However many policies there are, no more files than that.
    let files_max = (FILES_MAX / divided.len().max(1)).max(1);
    let mut names = Vec::new();
    let mut write = || {
        let mut written = Vec::new();
        for (number, (class, part)) in divided
            .iter()
            .flat_map(|(class, rows)| parts(rows, files_max).into_iter().map(move |it| (class, it)))
            .enumerate()
        {
            let file = format!("{FOLDER}/{:016x}-{:016x}-{attempt:08x}-{number:04}{SUFFIX}", first.0, last.0);
            let refs: Vec<RowRef> = part.iter().map(|it| it.1).collect();
            names.push(file.clone());
            let writer = match written_part(disk, key, &file, (&batches, &refs), false)? {
                Some(writer) => writer,
                None => {
                    remove_unfinished(disk, &file);
                    let again = written_part(disk, key, &file, (&batches, &refs), true)?;
                    let odd = || ParquetError::General("the overflow is missing".to_owned());
                    again.ok_or_else(|| SegmentWriteError::Encode { path: file.clone(), source: odd() })?
                }
            };
            written.push(writer.finish((first, last), class.clone())?);
        }
        if !written.is_empty() {
            sync_folder(disk)?;
        }
        Ok(written)
    };
    let written = write();
    if written.is_err() {
        // On a full disk what is left of each attempt would be what the next one lacks.
        names.iter().for_each(|it| remove_unfinished(disk, it));
    }
    written
}

/// The writer of a segment, after these events. `None`: there is something for the overflow, after all.
fn written_part<'d>(
    disk: &'d dyn Disk,
    key: &KeyEncryptionKey,
    file: &str,
    (batches, rows): (&[&EventBatch], &[RowRef]),
    has_overflow: bool,
) -> Result<Option<SegmentWriter<'d>>, SegmentWriteError> {
    let plan = Plan::of(batches, rows);
    let mut writer = EventTable::create(disk, key, file.to_owned(), &plan, has_overflow)?;
    let mut table = EventTable::new(&mut writer, &plan);
    fill(plan, batches, rows, &mut table)?;
    Ok((!writer.has_missed_overflow()).then_some(writer))
}

/// Makes the names of segments last.
pub(crate) fn sync_folder(disk: &dyn Disk) -> Result<(), SegmentWriteError> {
    disk.sync_dir(FOLDER).map_err(disk_error("sync", FOLDER))
}

/// Destroys the data key of a sealed file, then removes it.
pub(crate) fn destroy_sealed(disk: &dyn Disk, path: &str) -> io::Result<()> {
    destroy(disk, path, panoptes_seal::CHUNK_HEADER_BYTES, panoptes_seal::WRAPPED_KEY_BYTES)
}

/// Removes what is there of a segment that never was in the manifest. What cannot be removed is a left-over that the next
/// start removes.
pub(crate) fn remove_unfinished(disk: &dyn Disk, file: &str) {
    for path in [file.to_owned(), sidecar_of(file)].into_iter().flat_map(|it| [format!("{it}.new"), it]) {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path, "an unfinished segment could not be removed");
            }
            _ => {}
        }
    }
}

/// Removes what an interrupted sealing left: segments and their sidecars that are not in `known`, and unfinished files.
/// Other files are left alone. Gives how many were removed.
pub(crate) fn remove_orphans(disk: &dyn Disk, known: &HashSet<String>) -> Result<usize, SegmentWriteError> {
    let mut removed = 0;
    for name in disk.list(FOLDER).map_err(disk_error("list", FOLDER))? {
        let path = format!("{FOLDER}/{name}");
        let is_ours = [SUFFIX, SUFFIX_WORDS].iter().any(|it| name.ends_with(it));
        let is_unfinished =
            name.strip_suffix(".new").is_some_and(|it| it.ends_with(SUFFIX) || it.ends_with(SUFFIX_WORDS));
        if is_unfinished || is_ours && !known.contains(path.as_str()) {
            destroy_sealed(disk, &path).map_err(disk_error("remove", &path))?;
            removed += 1;
        }
    }
    if removed > 0 {
        sync_folder(disk)?;
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

/// The rows of each class of retention, in their order.
fn classes(
    batches: &[&EventBatch],
    rows: Vec<(i64, RowRef)>,
    retention: &Retention,
) -> Vec<(String, Vec<(i64, RowRef)>)> {
    if !retention.has_classes() {
        return vec![(retention.class(0), rows)];
    }
    let mut classes: BTreeMap<usize, Vec<(i64, RowRef)>> = BTreeMap::new();
    for (time, row) in rows {
        let event = batches.get(row.batch as usize).and_then(|it| it.event(row.event as usize));
        let source = event.and_then(|it| it.origin()).map_or("", |it| it.source.as_str());
        let dataset = event.and_then(|it| it.get_named(DATASET));
        let dataset = if let Some(Value::Text(dataset)) = dataset { dataset } else { "" };
        classes.entry(retention.policy_of(source, dataset)).or_default().push((time, row));
    }
    classes.into_iter().map(|(number, rows)| (retention.class(number), rows)).collect()
}

/// One part per day, or if there are too many days, runs of days of about the same size.
fn parts(rows: &[(i64, RowRef)], files_max: usize) -> Vec<&[(i64, RowRef)]> {
    let days: Vec<&[(i64, RowRef)]> = rows.chunk_by(|a, b| Timestamp(a.0).day() == Timestamp(b.0).day()).collect();
    if days.len() <= files_max {
        return days;
    }
    let rows_min = rows.len().div_ceil(files_max);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use panoptes_model::{BatchWriter, EventId, Origin, Schema, field};
    use panoptes_seal::{ChunkOpener, sha256};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::disk::{SimDisk, read_all};
    use crate::manifest::{Kinds, RowsDigest, Sidecar};
    use crate::pivot::{Row, rows};
    use crate::retention::Policy;
    use crate::words::{Need, WordsStore};

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
        write_segments(disk, &key(), batches, (FrameId(1), FrameId(9)), 0, &Retention::default()).unwrap()
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
        assert_eq!(disk.list("segments").unwrap().len(), 2 * written.len(), "no unfinished file is left");
        let words = read_all(&*disk.open_read(&file.words_file()).unwrap()).unwrap();
        assert_eq!(file.words, Some(Sidecar { bytes: words.len() as u64, digest: sha256(&[&words]) }));
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
        let lengths = |batch: Arc<EventBatch>| {
            let disk = disk();
            let written = write(&disk, &[batch]);
            let (rows, metadata) = read(&disk, &written[0].file);
            assert_eq!(rows.len() as u64, written[0].rows);
            // A search would not know which row groups it may leave out.
            let words = WordsStore::new(Arc::new(disk), key());
            let known = words.groups(&written[0].file, &written[0].digest, &Need::Nothing).unwrap().unwrap();
            assert_eq!(known.iter().len(), metadata.num_row_groups());
            metadata.row_groups().iter().map(|it| it.num_rows()).collect::<Vec<_>>()
        };
        // Each event also has the anomaly that its time is missing.
        assert_eq!(lengths(Arc::new(texts)), [4, 4, 2]);
        assert_eq!(lengths(batch(1, &vec![7; GROUP_ROWS_MAX + 1])), [GROUP_ROWS_MAX as i64, 1]);
    }

    #[test]
    fn what_has_no_column_is_kept_also_if_the_first_row_group_has_none_of_it() {
        let long = "x".repeat(GROUP_TEXT_BYTES_MAX);
        let made =
            EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), Timestamp(9), Vec::new(), String::new(), |writer| {
                for number in 0..3 {
                    writer.begin("", 0, Timestamp(5), 0);
                    writer.time(Timestamp(number));
                    writer.text(field::MESSAGE, &long);
                    if number == 1 {
                        writer.text(field::MESSAGE, "second");
                    }
                }
            });
        let made = Arc::new(made);
        let disk = disk();
        let written = write(&disk, &[Arc::clone(&made)]);
        let (found, metadata) = read(&disk, &written[0].file);
        assert_eq!((written.len(), metadata.num_row_groups()), (1, 3));
        assert_eq!(found, rows(&crate::pivot::pivot_batch(&made)));
        let has_overflow = |batch: Arc<EventBatch>| {
            let disk = self::disk();
            let written = write(&disk, &[batch]);
            let (_, metadata) = read(&disk, &written[0].file);
            metadata.row_group(0).columns().iter().any(|it| it.column_path().string() == crate::pivot::OVERFLOW)
        };
        assert!(has_overflow(made) && !has_overflow(batch(1, &[1, 2])));
    }

    #[test]
    fn the_manifest_learns_what_the_rows_are_and_of_which_kinds() {
        let disk = disk();
        let written = write(&disk, &[batch(1, &[5, 3]), batch(2, &[DAY])]);
        let mut all = RowsDigest::EMPTY;
        for (frame, index) in [(1, 0), (1, 1)] {
            all.add_event(EventId { frame: FrameId(frame), index }, b"some record");
        }
        let first = &written[0];
        assert_eq!((first.rows_digest, first.key), (Some(all), Some(key().id())));
        assert_eq!((first.time_min, first.time_max, first.day), (Timestamp(3), Timestamp(5), 0));
        // Nothing says where these came from, or what they are.
        assert_eq!((&first.sources, &first.datasets), (&Kinds::of([String::new()]), &Kinds::of([String::new()])));

        let datasets = |values: &'static [Option<&'static [&'static str]>]| {
            let origin = Origin { source: "web".into(), ..Origin::default() };
            let fill = |writer: &mut BatchWriter<'_>| {
                let dataset = writer.schema().id("event.dataset").unwrap();
                for value in values {
                    writer.begin("x", 0, Timestamp(5), 0);
                    writer.time(Timestamp(5));
                    match value {
                        Some([one]) => writer.text(dataset, one),
                        Some(many) => writer.text_list(dataset, many.iter().copied()),
                        None => {}
                    }
                }
            };
            let schema = Arc::new(Schema::ecs());
            let made = EventBatch::build(schema, FrameId(1), Timestamp(i64::MAX), vec![origin], String::new(), fill);
            let mut written = write(&self::disk(), &[Arc::new(made)]);
            let segment = written.remove(0);
            assert_eq!(segment.sources, Kinds::of(["web".to_owned()]));
            segment.datasets
        };
        let known = |values: &[&str]| Kinds::of(values.iter().map(|it| (*it).to_owned()));
        assert_eq!(datasets(&[Some(&["b"]), None, Some(&["a"]), Some(&["b"])]), known(&["", "a", "b"]));
        assert_eq!(datasets(&[Some(&["a"]), Some(&["a", "b"])]), Kinds::Unknown);
        // What cannot stand in the column lies in the overflow and counts all the same.
        assert_eq!(datasets(&[Some(&["a"]), Some(&["b\u{1f}c"])]), Kinds::Unknown);
    }

    #[test]
    fn an_interrupted_sealing_is_cleared_away_and_known_segments_stay() {
        let disk = disk();
        let written = write(&disk, &[batch(1, &[1, DAY])]);
        for name in ["left.segment.new", "left.words.new", "left.words", "notes.txt"] {
            disk.create_new(&format!("segments/{name}")).unwrap();
        }
        let segment = &written[0];
        let known: HashSet<String> = segment.files().collect();
        assert_eq!(remove_orphans(&disk, &known).unwrap(), 5);
        let mut left: Vec<String> = disk.list(FOLDER).unwrap().iter().map(|it| format!("{FOLDER}/{it}")).collect();
        left.retain(|it| it != "segments/notes.txt");
        assert_eq!(left, [segment.file.clone(), segment.words_file()]);
    }

    #[test]
    fn events_of_different_policies_go_to_different_segments() {
        let policy =
            |name: &str, source: &str| Policy { name: name.into(), sources: vec![source.into()], ..Policy::default() };
        let retention = Retention::new(vec![policy("web", "web*")]);
        let from = |frame: u64, source: &str| {
            let origin = Origin { source: source.into(), ..Origin::default() };
            let fill = |writer: &mut BatchWriter<'_>| {
                for n in 0..3 {
                    writer.begin("x", 0, Timestamp(5), n);
                    writer.time(Timestamp(n as i64));
                }
            };
            let schema = Arc::new(Schema::ecs());
            Arc::new(EventBatch::build(schema, FrameId(frame), Timestamp(9), vec![origin], String::new(), fill))
        };
        let batches = [from(1, "web1"), from(2, "db"), from(3, "web2")];
        let written = write_segments(&disk(), &key(), &batches, (FrameId(1), FrameId(3)), 0, &retention).unwrap();
        let seen: Vec<_> = written.iter().map(|it| (it.class.split('#').next().unwrap(), it.rows)).collect();
        assert_eq!(seen, [("web", 6), ("default", 3)]);
        let of =
            |segment: &Segment| retention.policies_of(segment).iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!((of(&written[0]), of(&written[1])), (vec!["web".to_owned()], vec!["default".to_owned()]));
        let many = Retention::new((0..FILES_MAX + 9).map(|n| policy(&n.to_string(), &format!("s{n}"))).collect());
        let batches: Vec<_> = (0..FILES_MAX as u64 + 9).map(|n| from(n + 1, &format!("s{n}"))).collect();
        let written = write_segments(&disk(), &key(), &batches, (FrameId(1), FrameId(99)), 0, &many).unwrap();
        assert_eq!(written.len(), FILES_MAX + 9, "one for each policy at least");
    }

    #[test]
    fn no_events_make_no_segment() {
        let disk = disk();
        assert!(write(&disk, &[batch(1, &[])]).is_empty());
    }
}
