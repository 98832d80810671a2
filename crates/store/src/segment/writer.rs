//! Writing one segment, whoever has the rows: sealing, compaction, erasure.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimestampNanosecondType, UInt32Type, UInt64Type};
use panoptes_model::{Event, EventId, FrameId, Timestamp};
use panoptes_seal::{ChunkSealer, KeyEncryptionKey, KeyId, Sha256};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::encode::{Column, GroupEncoder, ZSTD_LEVEL};
use super::{GROUP_ROWS_MAX, GROUP_TEXT_BYTES_MAX, SegmentWriteError, disk_error};
use crate::disk::{Disk, DiskFile};
use crate::manifest::{KIND_BYTES_MAX, KINDS_MAX, Kinds, RowsDigest, Segment, Sidecar, sidecar_of};
use crate::pivot::{
    FRAME, Fit, INDEX, INGESTED, INPUT, MESSAGE, ORIGINAL, OVERFLOW, Plan, ROW, SAME, SOURCE, TIME, Table, data_type,
    timestamp_type, without_repeats,
};
use crate::words::{Limits, WordsWriter};

/// How much ciphertext is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;
/// What an event was taken for.
pub(super) const DATASET: &str = "event.dataset";

/// A segment and its sidecar, which are being written under their names with `.new` behind.
pub(crate) struct SegmentWriter<'d> {
    disk: &'d dyn Disk,
    file: String,
    output: Output,
    encoder: GroupEncoder,
    properties: WriterPropertiesPtr,
    words: WordsWriter<SealingFile>,
    key: KeyId,
    summary: Summary,
    overflow: Overflow,
}

/// Which columns there are is settled when the first row group ends.
#[expect(clippy::large_enum_variant, reason = "there is one for each segment that is being written")]
enum Output {
    Before(SealingFile),
    Begun(SerializedFileWriter<SealingFile>),
    /// Something failed; nothing more can be written.
    Broken,
}

/// What becomes of the column `_overflow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// It is there if it was said to be.
    AsSaid,
    /// It goes if the first row group has nothing in it.
    IfNeeded,
    /// It went.
    Gone,
    /// It went, and later something came for it.
    Missed,
}

impl<'d> SegmentWriter<'d> {
    /// Begins the segment `file`. `columns` are those of the batches to come: without `_row`, which is added here.
    pub(crate) fn create(
        disk: &'d dyn Disk,
        key: &KeyEncryptionKey,
        file: String,
        columns: &ArrowSchema,
    ) -> Result<Self, SegmentWriteError> {
        let sealing = SealingFile::create(disk, &file, key)?;
        let words = SealingFile::create(disk, &sidecar_of(&file), key)?;
        let row = Arc::new(Field::new(ROW, DataType::UInt32, false));
        let fields: Vec<Arc<Field>> = columns.fields().iter().cloned().chain([row]).collect();
        let properties = Arc::new(properties());
        let encoder = GroupEncoder::new(&ArrowSchema::new(fields), Arc::clone(&properties))
            .map_err(|source| encode_error(source, &file))?;
        Ok(Self {
            disk,
            file,
            output: Output::Before(sealing),
            encoder,
            properties,
            words: WordsWriter::new(words, Limits::default()),
            key: key.id(),
            summary: Summary::default(),
            overflow: Overflow::AsSaid,
        })
    }

    /// Adds rows, which are later than those before or have higher ids. They begin row groups where one is full.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SegmentWriteError> {
        let first = self.summary.rows as u32;
        self.summary.add(batch);
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(first..first + batch.num_rows() as u32));
        let schema = batch.schema();
        let fields = schema.fields().iter().cloned().chain([Arc::new(Field::new(ROW, DataType::UInt32, false))]);
        let columns = batch.columns().iter().cloned().chain([numbers]).collect();
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())), columns)
            .and_then(without_repeats)
            .map_err(|source| self.encode_error(ParquetError::from(source)))?;
        let (mut start, mut rows, mut text) = (0, self.encoder.rows(), self.encoder.text_bytes());
        for (row, length) in text_bytes(&batch).into_iter().enumerate() {
            (rows, text) = (rows + 1, text + length);
            if is_full(rows, text) {
                self.put(&batch.slice(start, row + 1 - start))?;
                self.end_group()?;
                (start, rows, text) = (row + 1, 0, 0);
            }
        }
        self.put(&batch.slice(start, batch.num_rows() - start))
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<(), SegmentWriteError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.encoder.add(batch).map_err(|source| encode_error(source, &self.file))
    }

    fn end_group(&mut self) -> Result<(), SegmentWriteError> {
        self.summary.end_group(&self.encoder);
        for column in self.encoder.columns().iter().filter(|it| it.count() > 0) {
            self.words.add(column.name(), column.texts());
        }
        self.begin()?;
        let Self { encoder, output: Output::Begun(writer), file, .. } = &mut *self else {
            return Err(self.encode_error(ParquetError::General("the file is not begun".to_owned())));
        };
        encoder.finish_group(writer).map_err(|source| encode_error(source, file))?;
        self.words.end_group().map_err(disk_error("write", &sidecar_of(&self.file)))
    }

    /// Settles the columns, once.
    fn begin(&mut self) -> Result<(), SegmentWriteError> {
        let failed = |source| encode_error(source, &self.file);
        let sealing = match std::mem::replace(&mut self.output, Output::Broken) {
            Output::Before(sealing) => sealing,
            Output::Begun(writer) => {
                self.output = Output::Begun(writer);
                return Ok(());
            }
            Output::Broken => return Err(failed(ParquetError::General("writing had failed before".to_owned()))),
        };
        if self.overflow == Overflow::IfNeeded && self.encoder.column(OVERFLOW).is_some_and(|it| it.count() == 0) {
            self.encoder.remove(OVERFLOW);
            self.overflow = Overflow::Gone;
        }
        let parquet = ArrowSchemaConverter::new().convert(&self.encoder.schema()).map_err(failed)?;
        let writer = SerializedFileWriter::new(sealing, parquet.root_schema_ptr(), Arc::clone(&self.properties));
        self.output = Output::Begun(writer.map_err(failed)?);
        Ok(())
    }

    /// Makes the content last and gives the file its name, which the caller makes last. `frames` are those that its
    /// events may be of, `class` its class of retention.
    pub(crate) fn finish(
        mut self,
        (frame_first, frame_last): (FrameId, FrameId),
        class: String,
    ) -> Result<Segment, SegmentWriteError> {
        if self.encoder.rows() > 0 {
            self.end_group()?;
        }
        self.begin()?;
        let Self { disk, file, output, encoder, words, key, summary, .. } = self;
        let failed = |source| encode_error(source, &file);
        let Output::Begun(mut writer) = output else {
            return Err(failed(ParquetError::General("writing had failed before".to_owned())));
        };
        let columns = encode_arrow_schema(&encoder.schema());
        writer.append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), columns));
        let sealing = writer.into_inner().map_err(failed)?;
        let (bytes, digest) = sealing.finish(disk, &file)?;
        let words_file = sidecar_of(&file);
        let words_error = |source| disk_error("write", &words_file)(source);
        let words = match words.finish(&digest).map_err(words_error)? {
            Ok(sealing) => {
                let (bytes, digest) = sealing.finish(disk, &words_file)?;
                Some(Sidecar { bytes, digest })
            }
            Err(_) => {
                tracing::warn!(segment = file, "a segment has too many row groups for a sidecar");
                disk.remove(&format!("{words_file}.new")).map_err(disk_error("remove", &words_file))?;
                None
            }
        };
        Ok(Segment {
            file,
            day: summary.time_min.day(),
            rows: summary.rows,
            time_min: summary.time_min,
            time_max: summary.time_max,
            frame_first,
            frame_last,
            bytes,
            digest,
            rows_digest: Some(summary.digest),
            words,
            sources: summary.sources.finish(),
            datasets: summary.datasets.finish(),
            class,
            key: Some(key),
        })
    }

    fn encode_error(&self, source: ParquetError) -> SegmentWriteError {
        encode_error(source, &self.file)
    }
}

fn is_full(rows: usize, text_bytes: usize) -> bool {
    rows >= GROUP_ROWS_MAX || text_bytes >= GROUP_TEXT_BYTES_MAX
}

/// Events on their way into a segment, without Arrow in between.
pub(super) struct EventTable<'w, 'd, 'b> {
    writer: &'w mut SegmentWriter<'d>,
    record: &'b str,
    message: Option<usize>,
    fields: usize,
}

impl<'w, 'd> EventTable<'w, 'd, '_> {
    /// A writer for events with the columns of `plan`, the overflow among them if `has_overflow`, or else if the first
    /// row group has something in it.
    pub(super) fn create(
        disk: &'d dyn Disk,
        key: &KeyEncryptionKey,
        file: String,
        plan: &Plan<'_>,
        has_overflow: bool,
    ) -> Result<SegmentWriter<'d>, SegmentWriteError> {
        let fixed = [
            Field::new(TIME, timestamp_type(), false),
            Field::new(FRAME, DataType::UInt64, false),
            Field::new(INDEX, DataType::UInt32, false),
            Field::new(INGESTED, timestamp_type(), false),
            Field::new(ORIGINAL, DataType::Utf8View, false),
            Field::new(SOURCE, DataType::Utf8View, true),
            Field::new(INPUT, DataType::Utf8View, true),
        ];
        let fields = plan.columns.iter().map(|(name, field_type)| Field::new(name, data_type(*field_type), true));
        let overflow = Field::new(OVERFLOW, DataType::Utf8View, true);
        let columns: Vec<Field> = fixed.into_iter().chain(fields).chain([overflow]).collect();
        let mut writer = SegmentWriter::create(disk, key, file, &ArrowSchema::new(columns))?;
        if !has_overflow {
            writer.overflow = Overflow::IfNeeded;
        }
        Ok(writer)
    }

    pub(super) fn new(writer: &'w mut SegmentWriter<'d>, plan: &Plan<'_>) -> Self {
        let message = plan.columns.iter().position(|it| it.0 == MESSAGE);
        Self { writer, record: "", message, fields: plan.columns.len() }
    }
}

impl SegmentWriter<'_> {
    /// Whether events had something for the overflow after it was settled that there is none: the segment is of no use.
    pub(super) fn has_missed_overflow(&self) -> bool {
        self.overflow == Overflow::Missed
    }
}

/// Before the field columns there are so many.
const FIXED_COLUMNS: usize = 7;

impl<'b> Table<'b> for EventTable<'_, '_, 'b> {
    type Error = SegmentWriteError;

    fn begin(&mut self, event: Event<'b>) {
        let SegmentWriter { encoder, summary, .. } = &mut *self.writer;
        self.record = event.original();
        let id = event.id();
        let text = |it: &'b str| Fit::Text(it);
        let values = [
            Fit::Integer(event.time().0),
            Fit::Integer(id.frame.0 as i64),
            Fit::Integer(i64::from(id.index)),
            Fit::Integer(event.received_at().0),
            text(self.record),
            event.origin().map_or(Fit::Nothing, |it| text(&it.source)),
            event.origin().map_or(Fit::Nothing, |it| text(&it.input)),
        ];
        values.into_iter().enumerate().for_each(|(column, value)| encoder.put(column, value));
        summary.add_event(event, self.record);
    }

    #[inline]
    fn put(&mut self, slot: usize, value: Fit<'_>) {
        let is_record = Some(slot) == self.message && value == Fit::Text(self.record);
        self.writer.encoder.put(FIXED_COLUMNS + slot, if is_record { Fit::Text(SAME) } else { value });
    }

    fn put_list(&mut self, slot: usize, joined: &str) {
        self.writer.encoder.put_list(FIXED_COLUMNS + slot, joined);
    }

    fn end(&mut self, overflow: Option<&str>) -> Result<(), SegmentWriteError> {
        let SegmentWriter { encoder, summary, overflow: state, .. } = &mut *self.writer;
        let mut last = FIXED_COLUMNS + self.fields;
        if matches!(state, Overflow::Gone | Overflow::Missed) {
            if overflow.is_some() {
                *state = Overflow::Missed;
            }
        } else {
            encoder.put(last, overflow.map_or(Fit::Nothing, Fit::Text));
            last += 1;
        }
        encoder.put(last, Fit::Integer(summary.rows as i64 - 1));
        encoder.end_row();
        if is_full(encoder.rows(), encoder.text_bytes()) {
            self.writer.end_group()?;
        }
        Ok(())
    }
}

/// How much text each row has.
fn text_bytes(batch: &RecordBatch) -> Vec<usize> {
    let mut lengths = vec![0; batch.num_rows()];
    for texts in batch.columns().iter().filter_map(|it| it.as_string_view_opt()) {
        for (length, view) in lengths.iter_mut().zip(texts.views()) {
            // The lowest 32 bits of a view are the length of its text; of a null it is zero.
            *length += (*view as u32) as usize;
        }
    }
    lengths
}

/// Errors of the disk come back inside those of Parquet.
fn encode_error(source: ParquetError, file: &str) -> SegmentWriteError {
    match source {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => disk_error("write", file)(*error),
            Err(inner) => SegmentWriteError::Encode { path: file.to_owned(), source: ParquetError::External(inner) },
        },
        source => SegmentWriteError::Encode { path: file.to_owned(), source },
    }
}

/// What the manifest says of the rows.
#[derive(Debug, Default)]
struct Summary {
    rows: u64,
    time_min: Timestamp,
    time_max: Timestamp,
    digest: RowsDigest,
    sources: KindsSeen,
    datasets: KindsSeen,
}

impl Summary {
    fn add(&mut self, batch: &RecordBatch) {
        if let Some(times) = batch.column_by_name(TIME).and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>())
            && let (Some(first), Some(last)) = (times.values().first(), times.values().last())
        {
            self.time_min = if self.rows == 0 { Timestamp(*first) } else { self.time_min };
            self.time_max = Timestamp(*last);
        }
        self.digest = self.digest.plus(rows_digest(batch));
        self.rows += batch.num_rows() as u64;
    }

    fn add_event(&mut self, event: Event<'_>, record: &str) {
        self.time_min = if self.rows == 0 { event.time() } else { self.time_min };
        self.time_max = event.time();
        self.digest.add_event(event.id(), record.as_bytes());
        self.rows += 1;
    }

    fn end_group(&mut self, group: &GroupEncoder) {
        self.sources.add(group, SOURCE);
        self.datasets.add(group, DATASET);
    }
}

/// The digest of the rows of a batch with the columns `_frame`, `_index` and `event.original`; a batch without them has
/// the digest of no rows.
pub(crate) fn rows_digest(batch: &RecordBatch) -> RowsDigest {
    let mut digest = RowsDigest::EMPTY;
    let frames = batch.column_by_name(FRAME).and_then(|it| it.as_primitive_opt::<UInt64Type>());
    let indexes = batch.column_by_name(INDEX).and_then(|it| it.as_primitive_opt::<UInt32Type>());
    let originals = batch.column_by_name(ORIGINAL).and_then(|it| it.as_string_view_opt());
    if let (Some(frames), Some(indexes), Some(originals)) = (frames, indexes, originals) {
        for ((frame, index), original) in frames.values().iter().zip(indexes.values()).zip(originals) {
            let id = EventId { frame: FrameId(*frame), index: *index };
            digest.add_event(id, original.unwrap_or_default().as_bytes());
        }
    }
    digest
}

/// Gathers [`Kinds`].
#[derive(Debug, Default)]
struct KindsSeen {
    values: BTreeSet<String>,
    is_unknown: bool,
}

impl KindsSeen {
    fn add(&mut self, group: &GroupEncoder, name: &str) {
        if self.is_unknown || group.rows() == 0 {
            return;
        }
        // Values that do not fit the column, and second ones, lie in the overflow.
        let quoted = format!("\"{name}\"");
        let misfits = memchr::memmem::Finder::new(&quoted);
        let overflow = group.column(OVERFLOW).and_then(Column::texts);
        if overflow.is_some_and(|mut it| it.any(|it| misfits.find(it.as_bytes()).is_some())) {
            self.is_unknown = true;
            return;
        }
        let Some(column) = group.column(name) else { return self.see("") };
        let Some(texts) = column.texts().filter(|_| !column.has_lists()) else {
            self.is_unknown = true;
            return;
        };
        if column.count() < group.rows() {
            self.see("");
        }
        texts.for_each(|it| self.see(it));
    }

    fn see(&mut self, text: &str) {
        if self.is_unknown || self.values.contains(text) {
            return;
        }
        self.is_unknown = text.len() > KIND_BYTES_MAX || self.values.len() >= KINDS_MAX;
        if !self.is_unknown {
            self.values.insert(text.to_owned());
        }
    }

    fn finish(self) -> Kinds {
        if self.is_unknown { Kinds::Unknown } else { Kinds::of(self.values) }
    }
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

/// What the footer says, and how the columns that are in order are written.
fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has this level");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(ColumnPath::new(vec![TIME.to_owned()]), EnabledStatistics::Page)
        .set_created_by("panoptes".to_owned())
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]))
        .build()
}

/// Seals what is written to it on its way to the disk.
pub(crate) struct SealingFile {
    file: Box<dyn DiskFile>,
    sealer: ChunkSealer,
    sealed: Vec<u8>,
    bytes: u64,
    digest: Sha256,
}

impl SealingFile {
    /// Begins the file that is to be called `path`.
    pub(crate) fn create(disk: &dyn Disk, path: &str, key: &KeyEncryptionKey) -> Result<Self, SegmentWriteError> {
        let path_new = format!("{path}.new");
        let file = disk.create_new(&path_new).map_err(disk_error("make", &path_new))?;
        let mut sealed = Vec::with_capacity(WRITE_BYTES);
        let sealer = ChunkSealer::new(key, &mut sealed)
            .map_err(|source| SegmentWriteError::Seal { path: path.to_owned(), source })?;
        Ok(Self { file, sealer, sealed, bytes: 0, digest: Sha256::new() })
    }

    /// Makes the content last and gives the file its name, which the caller makes last. Gives its size and the digest of
    /// its bytes.
    pub(crate) fn finish(mut self, disk: &dyn Disk, path: &str) -> Result<(u64, [u8; 32]), SegmentWriteError> {
        let path_new = format!("{path}.new");
        let seal_error = |source| SegmentWriteError::Seal { path: path.to_owned(), source };
        self.sealer.finish(&mut self.sealed).map_err(seal_error)?;
        append(&mut *self.file, &mut self.sealed, &mut self.bytes, &mut self.digest)
            .map_err(disk_error("write", &path_new))?;
        self.file.sync().map_err(disk_error("sync", &path_new))?;
        disk.rename(&path_new, path).map_err(disk_error("rename", &path_new))?;
        Ok((self.bytes, self.digest.finish()))
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
