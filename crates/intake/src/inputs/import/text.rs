//! One file of an import, whatever it holds, as batches.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use panoptes_model::{Origin, RawBatch, Timestamp};
use panoptes_stdx::decompress::{DecompressError, Decompressor, sniff as sniff_encoding};

use super::evtx::{self, EventLog};
use super::{FileProblem, Problem};
use crate::archive::{LIMITS, refusal, rotation_base};
use crate::audit::Ending;
use crate::cut::{
    Collected, Collector, CollectorLimits, CsvError, Shape, Table, cut_array, cut_carrier, cut_sequence, sniff,
};
use crate::cutter::{Cutter, Positions};
use crate::framing::Lines;
use crate::journal;
use crate::limits::{
    BODY_RECORDS_MAX, FINGERPRINT_BYTES, IMPORT_BATCH_BYTES, IMPORT_WHOLE_BYTES_MAX, LINE_BYTES_MAX, READ_BYTES_MAX,
};

/// How much of a text decides how it is divided.
const SNIFF_BYTES: usize = 64 << 10;

pub(super) type Reader = Box<dyn Read + Send>;

/// A batch, or something that could not be read.
pub(super) type Item = Result<RawBatch, FileProblem>;

/// A file that is being read.
pub(super) struct Text {
    path: PathBuf,
    origin: Origin,
    kind: Kind,
}

enum Kind {
    Lines {
        reader: Reader,
        cutter: Box<Cutter<Lines>>,
        end: Option<io::Result<()>>,
        /// Rows that have no header or do not fit it: told at the end.
        unfit: u64,
    },
    Table(Box<Table<Reader>>),
    /// Must be seen as a whole.
    Whole {
        reader: Reader,
        shape: Shape,
    },
    Events(Box<EventLog>),
    Journal {
        reader: Reader,
        decoder: Box<journal::Decoder>,
        /// Told once all before it is taken apart.
        end: Option<io::Result<()>>,
    },
}

impl Text {
    /// Looks at the beginning of `bytes` to tell what it is.
    /// `bytes_read` counts what was read of the file, whoever reads it.
    pub(super) fn open(
        path: PathBuf,
        origin: Origin,
        bytes: Reader,
        bytes_read: &Arc<AtomicU64>,
    ) -> Result<Self, FileProblem> {
        match Self::kind_of(&path, &origin, bytes, bytes_read) {
            Ok(kind) => Ok(Self { path, origin, kind }),
            Err(problem) => Err(FileProblem::new(&path, problem)),
        }
    }

    fn kind_of(path: &Path, origin: &Origin, bytes: Reader, bytes_read: &Arc<AtomicU64>) -> Result<Kind, Problem> {
        let (head, bytes) = Ahead::read(bytes, FINGERPRINT_BYTES)?;
        let encoding = sniff_encoding(&head);
        let text: Reader = match encoding {
            Some(encoding) => {
                Box::new(Decompressor::new(encoding, bytes, LIMITS).map_err(|it| Problem::broken(it.into()))?)
            }
            None => Box::new(bytes),
        };
        let (start, reader) = Ahead::read(text, SNIFF_BYTES)?;
        if start.starts_with(evtx::MAGIC) {
            let log = EventLog::open(path, Box::new(reader), encoding.is_some(), bytes_read)?;
            return Ok(Kind::Events(Box::new(log)));
        }
        if start.starts_with(journal::MAGIC) {
            return Ok(Kind::Journal { reader: Box::new(reader), decoder: Box::default(), end: None });
        }
        if let Some(reason) = refusal(start.get(..FINGERPRINT_BYTES).unwrap_or(&start)) {
            return Err(Problem::NotText { reason });
        }
        let name = path.file_name().map(|it| it.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let (name, _) = rotation_base(&name);
        let named_table = name.ends_with(".csv") || name.ends_with(".tsv");
        let reader: Reader = Box::new(reader);
        if named_table && Table::new(&*start, &start).is_ok_and(|it| it.is_plausible()) {
            let table = Table::new(reader, &start).map_err(table_problem)?;
            return Ok(Kind::Table(Box::new(table)));
        }
        Ok(match sniff(&start, name.ends_with(".json")) {
            shape @ (Shape::Array | Shape::Sequence | Shape::Carrier) => Kind::Whole { reader, shape },
            Shape::Lines | Shape::Csv => {
                let cutter = Box::new(Cutter::new(Lines, Positions::Offsets, origin.clone(), 0));
                Kind::Lines { reader, cutter, end: None, unfit: 0 }
            }
        })
    }

    /// Whether the last position of every batch is a place where reading can go on.
    pub(super) fn is_in_lines(&self) -> bool {
        matches!(self.kind, Kind::Lines { .. })
    }

    /// Reads on and adds what that gave to `out`. Returns whether the file is done; `cut` counts the records that
    /// lost their end.
    pub(super) fn step(&mut self, now: Timestamp, out: &mut VecDeque<Item>, cut: &mut u64) -> bool {
        match &mut self.kind {
            Kind::Lines { reader, cutter, end, unfit } => {
                let end = read_lines(reader, cutter, end, now);
                let offset = cutter.offset();
                if end.is_some() {
                    cutter.finish(now);
                }
                let batch = cutter.take(if end.is_some() { Ending::Closed } else { Ending::Open });
                if !batch.is_empty() {
                    out.push_back(Ok(batch));
                }
                *cut += cutter.take_cut().0;
                *unfit += cutter.take_unfit();
                if end.is_some() && *unfit > 0 {
                    out.push_back(Err(FileProblem::new(&self.path, Problem::RowsUnfit { rows: *unfit })));
                }
                if let Some(Err(error)) = end {
                    out.push_back(Err(FileProblem::new(&self.path, Problem::broken(error)).at(offset)));
                    return true;
                }
                end.is_some()
            }
            Kind::Events(log) => log.step(&self.path, &self.origin, now, out),
            Kind::Journal { reader, decoder, end } => {
                let end = read_journal(reader, decoder, end, (&self.path, &self.origin), now, out, cut);
                if let Some(Err(error)) = end {
                    let problem = FileProblem::new(&self.path, Problem::broken(error));
                    out.push_back(Err(problem.at(decoder.offset())));
                    return true;
                }
                end.is_some()
            }
            Kind::Table(table) => {
                let mut rows = collector(&self.origin, now, usize::MAX);
                let end = loop {
                    match table.next_row(&mut rows) {
                        Ok(true) if rows.bytes() < IMPORT_BATCH_BYTES => {}
                        Ok(more) => break (!more).then_some(Ok(())),
                        Err(error) => break Some(Err(error)),
                    }
                };
                self.hand_on(rows.finish(), out);
                if let Some(Err(error)) = end {
                    out.push_back(Err(FileProblem::new(&self.path, table_problem(error))));
                    return true;
                }
                end.is_some()
            }
            Kind::Whole { reader, shape } => {
                let mut text = Vec::new();
                let read = reader.take(IMPORT_WHOLE_BYTES_MAX as u64 + 1).read_to_end(&mut text);
                if text.len() > IMPORT_WHOLE_BYTES_MAX {
                    out.push_back(Err(FileProblem::new(&self.path, Problem::WholeTooLarge)));
                    return true;
                }
                let mut records = collector(&self.origin, now, BODY_RECORDS_MAX);
                let cut = match shape {
                    Shape::Sequence => cut_sequence(&mut records, &text),
                    Shape::Carrier => cut_carrier(&mut records, &text),
                    Shape::Array | Shape::Lines | Shape::Csv => cut_array(&mut records, &text),
                };
                self.hand_on(records.finish(), out);
                if cut.is_err() {
                    out.push_back(Err(FileProblem::new(&self.path, Problem::RecordsTooMany)));
                }
                if let Err(error) = read {
                    let offset = text.len() as u64;
                    out.push_back(Err(FileProblem::new(&self.path, Problem::broken(error)).at(offset)));
                }
                true
            }
        }
    }

    fn hand_on(&self, collected: Collected, out: &mut VecDeque<Item>) {
        let listed = collected.rejected.len() as u64;
        let unlisted = collected.rejected_total() - listed;
        out.extend(collected.batches.into_iter().map(Ok));
        for rejected in collected.rejected {
            let problem = Problem::Record { line: rejected.line, reason: rejected.reason };
            out.push_back(Err(FileProblem::new(&self.path, problem).at(rejected.offset)));
        }
        if unlisted > 0 {
            out.push_back(Err(FileProblem::new(&self.path, Problem::RecordsMore { records: unlisted })));
        }
    }
}

fn read_lines(
    reader: &mut Reader,
    cutter: &mut Cutter<Lines>,
    end: &mut Option<io::Result<()>>,
    now: Timestamp,
) -> Option<io::Result<()>> {
    loop {
        if !cutter.scan(now) || cutter.bytes() - cutter.open_bytes() >= IMPORT_BATCH_BYTES {
            return None;
        }
        // The end is told once all before it is cut.
        if let Some(end) = end.take() {
            return Some(end);
        }
        match reader.take(READ_BYTES_MAX as u64).read_to_end(cutter.buffer(READ_BYTES_MAX)) {
            Ok(0) => *end = Some(Ok(())),
            Ok(_) => {}
            Err(error) => *end = Some(Err(error)),
        }
    }
}

/// Reads about one batch of entries.
fn read_journal(
    reader: &mut Reader,
    decoder: &mut journal::Decoder,
    end: &mut Option<io::Result<()>>,
    (path, origin): (&Path, &Origin),
    now: Timestamp,
    out: &mut VecDeque<Item>,
    cut: &mut u64,
) -> Option<io::Result<()>> {
    let mut batch = RawBatch::new();
    let index = batch.origin(origin);
    let mut add = |entry: journal::Entry, offset| {
        *cut += u64::from(entry.cut_bytes > 0);
        batch.push(index, now, offset, &entry.json);
        batch.bytes.len() >= IMPORT_BATCH_BYTES || !batch.has_room_for(LINE_BYTES_MAX)
    };
    let ended = loop {
        match decoder.next() {
            journal::Found::Entry(entry) => {
                if add(entry, decoder.offset()) {
                    break None;
                }
            }
            journal::Found::Damaged(damaged) => {
                let offset = damaged.offset;
                out.push_back(Err(FileProblem::new(path, Problem::Journal { source: damaged.into() }).at(offset)));
            }
            journal::Found::Nothing if end.is_some() => {
                if let Some(entry) = decoder.finish() {
                    add(entry, decoder.offset());
                }
                break end.take();
            }
            journal::Found::Nothing => {
                let mut bytes = Vec::new();
                match reader.take(READ_BYTES_MAX as u64).read_to_end(&mut bytes) {
                    Ok(0) => *end = Some(Ok(())),
                    Ok(_) => {}
                    Err(error) => *end = Some(Err(error)),
                }
                decoder.push(&bytes);
            }
        }
    };
    if !batch.is_empty() {
        out.push_back(Ok(batch));
    }
    ended
}

fn collector(origin: &Origin, now: Timestamp, records_max: usize) -> Collector<'static> {
    let limits = CollectorLimits { records_max, bytes_max: usize::MAX };
    Collector::new(origin.clone(), now, Positions::Offsets, limits, None)
}

fn table_problem(error: CsvError) -> Problem {
    match error {
        CsvError::Read(source) => Problem::broken(source),
        CsvError::ColumnsTooMany | CsvError::HeaderTooLong => Problem::NotText { reason: "the header is too wide" },
        CsvError::Stopped(_) => Problem::RecordsTooMany,
    }
}

impl Problem {
    pub(super) fn broken(error: io::Error) -> Self {
        if DecompressError::from_io(&error).is_some() {
            Self::Broken { source: error }
        } else {
            Self::Unreadable { source: error }
        }
    }
}

/// A reader whose beginning was looked at.
struct Ahead {
    start: Cursor<Vec<u8>>,
    /// What went wrong behind it: told when a reader gets there.
    fault: Option<io::Error>,
    rest: Reader,
}

impl Ahead {
    fn read(mut rest: Reader, bytes: usize) -> Result<(Vec<u8>, Self), Problem> {
        let mut start = Vec::new();
        let fault = rest.by_ref().take(bytes as u64).read_to_end(&mut start).err();
        match fault {
            Some(error) if start.is_empty() => Err(Problem::broken(error)),
            fault => Ok((start.clone(), Self { start: Cursor::new(start), fault, rest })),
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.start.read(buffer)?;
        if length > 0 || buffer.is_empty() {
            return Ok(length);
        }
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.rest.read(buffer),
        }
    }
}
