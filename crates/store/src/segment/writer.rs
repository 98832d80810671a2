//! Writing one segment, whoever has the rows: sealing, compaction, erasure.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimestampNanosecondType, UInt32Type, UInt64Type};
use panoptes_model::{EventId, FrameId, Timestamp};
use panoptes_seal::{ChunkSealer, KeyEncryptionKey, KeyId, Sha256};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::encode::{GroupEncoder, ZSTD_LEVEL};
use super::{GROUP_ROWS_MAX, GROUP_TEXT_BYTES_MAX, SegmentWriteError, disk_error};
use crate::disk::{Disk, DiskFile};
use crate::manifest::{KIND_BYTES_MAX, KINDS_MAX, Kinds, RowsDigest, Segment, Sidecar, sidecar_of};
use crate::pivot::{FRAME, INDEX, LISTS_KEY, ORIGINAL, OVERFLOW, ROW, SOURCE, TIME, without_repeats};
use crate::words::{Limits, WordsWriter};

/// How much ciphertext is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;
/// What an event was taken for.
pub(super) const DATASET: &str = "event.dataset";

/// A segment and its sidecar, which are being written under their names with `.new` behind.
pub(crate) struct SegmentWriter<'d> {
    disk: &'d dyn Disk,
    file: String,
    writer: SerializedFileWriter<SealingFile>,
    encoder: GroupEncoder,
    words: WordsWriter<SealingFile>,
    schema: Arc<ArrowSchema>,
    key: KeyId,
    group_rows: usize,
    group_text_bytes: usize,
    summary: Summary,
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
        let schema = Arc::new(ArrowSchema::new(fields));
        let failed = |source| encode_error(source, &file);
        let properties = Arc::new(properties(&schema));
        let encoder = GroupEncoder::new(&schema, Arc::clone(&properties)).map_err(failed)?;
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(failed)?;
        let writer = SerializedFileWriter::new(sealing, parquet.root_schema_ptr(), properties).map_err(failed)?;
        Ok(Self {
            disk,
            file,
            writer,
            encoder,
            words: WordsWriter::new(words, Limits::default()),
            schema,
            key: key.id(),
            group_rows: 0,
            group_text_bytes: 0,
            summary: Summary::default(),
        })
    }

    /// Adds rows, which are later than those before or have higher ids. They begin row groups where one is full.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SegmentWriteError> {
        let first = self.summary.rows as u32;
        self.summary.add(batch);
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(first..first + batch.num_rows() as u32));
        let columns = batch.columns().iter().cloned().chain([numbers]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .and_then(without_repeats)
            .map_err(|source| self.encode_error(ParquetError::from(source)))?;
        let mut start = 0;
        for (row, length) in text_bytes(&batch).into_iter().enumerate() {
            let is_full = self.group_rows >= GROUP_ROWS_MAX || self.group_text_bytes + length > GROUP_TEXT_BYTES_MAX;
            if self.group_rows > 0 && is_full {
                self.put(&batch.slice(start, row - start))?;
                self.end_group()?;
                start = row;
            }
            self.group_rows += 1;
            self.group_text_bytes += length;
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
        for (name, texts) in self.encoder.texts() {
            self.words.add(name, texts);
        }
        self.encoder.finish_group(&mut self.writer).map_err(|source| encode_error(source, &self.file))?;
        self.words.end_group().map_err(disk_error("write", &sidecar_of(&self.file)))?;
        (self.group_rows, self.group_text_bytes) = (0, 0);
        Ok(())
    }

    /// Makes the content last and gives the file its name, which the caller makes last. `frames` are those that its
    /// events may be of, `class` its class of retention.
    pub(crate) fn finish(
        mut self,
        (frame_first, frame_last): (FrameId, FrameId),
        class: String,
    ) -> Result<Segment, SegmentWriteError> {
        if self.group_rows > 0 {
            self.end_group()?;
        }
        let Self { disk, file, writer, words, key, summary, .. } = self;
        let sealing = writer.into_inner().map_err(|source| encode_error(source, &file))?;
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
        self.sources.add(batch, SOURCE);
        self.datasets.add(batch, DATASET);
        self.rows += batch.num_rows() as u64;
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
    fn add(&mut self, batch: &RecordBatch, name: &str) {
        if self.is_unknown || batch.num_rows() == 0 {
            return;
        }
        // Values that do not fit the column, and second ones, lie in the overflow.
        let quoted = format!("\"{name}\"");
        let misfits = memchr::memmem::Finder::new(&quoted);
        let overflow = batch.column_by_name(OVERFLOW).and_then(|it| it.as_string_view_opt());
        if overflow.is_some_and(|it| it.iter().flatten().any(|it| misfits.find(it.as_bytes()).is_some())) {
            self.is_unknown = true;
            return;
        }
        let Some(column) = batch.column_by_name(name) else { return self.see("") };
        let has_lists = batch.schema().field_with_name(name).is_ok_and(|it| it.metadata().contains_key(LISTS_KEY));
        let Some(texts) = column.as_string_view_opt().filter(|_| !has_lists) else {
            self.is_unknown = true;
            return;
        };
        let mut last = None;
        for text in texts.iter().map(Option::unwrap_or_default) {
            // Neighbours are mostly alike.
            if last != Some(text) {
                self.see(text);
                last = Some(text);
            }
        }
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

/// Of a file with these columns: what the footer says, and how the columns that are in order are written.
fn properties(schema: &ArrowSchema) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has this level");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        // Of the sparse columns this says that a row group has none. Values are in no order within one, but for times.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(ColumnPath::new(vec![TIME.to_owned()]), EnabledStatistics::Page)
        .set_created_by("panoptes".to_owned())
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]))
        .build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    properties
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
