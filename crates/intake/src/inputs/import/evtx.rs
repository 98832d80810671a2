//! Windows event logs (EVTX): one event, one record of JSON.
//!
//! ```text
//! file header, 4 KiB │ chunk 0, 64 KiB │ chunk 1 │ …      chunk: header, events one after another, free space
//! ```
//!
//! Chunks stand for themselves, so damage in one costs the others nothing: each is read by itself with the `evtx`
//! crate, and whatever is lost is told with the chunk, the place and, where it is known, the event. A log that is full
//! overwrites its oldest chunk; a file is therefore read from the chunk with the oldest events on. What comes through a
//! pipe or a decompressor cannot be read twice and is taken in the order of its chunks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evtx::err::EvtxError;
use evtx::{EvtxChunkData, EvtxChunkHeader, EvtxFileHeader, HeaderFlags, ParserSettings};
use panoptes_model::{Origin, RawBatch, Timestamp};

use super::text::{Item, Reader};
use super::{FileProblem, Problem};
use crate::archive::read_at_most;
use crate::limits::{EVENT_LOG_CHUNKS_MAX, EVENT_LOG_PROBLEMS_MAX, IMPORT_BATCH_BYTES, LINE_BYTES_MAX};

/// What an event log begins with.
pub(super) const MAGIC: &[u8] = b"ElfFile\0";

const FILE_HEADER_BYTES: usize = 4_096;
const CHUNK_HEADER_BYTES: usize = 512;
const CHUNK_BYTES: usize = 65_536;
/// The smallest event: no chunk can hold more than what fits.
const EVENT_BYTES_MIN: u64 = 28;

/// An event log that is being read.
pub(super) struct EventLog {
    chunks: Chunks,
    settings: Arc<ParserSettings>,
    /// It was not closed: checksums may be older than what they stand for.
    is_open: bool,
    /// Of the chunk at hand.
    data: Vec<u8>,
    events: u64,
    problems: usize,
    problems_untold: u64,
}

/// Where chunks come from.
enum Chunks {
    File {
        file: File,
        /// The numbers of those that are left, in the order of their events.
        order: VecDeque<u64>,
        /// There are more than are read.
        is_too_long: bool,
        bytes_read: Arc<AtomicU64>,
    },
    Stream {
        reader: Reader,
        next: u64,
    },
}

/// A chunk's number, and whether all of it is there.
struct Taken {
    number: u64,
    is_whole: bool,
}

impl EventLog {
    /// The log at `path`, whose bytes `reader` gives. If they are a file's own they are read from the file instead, and
    /// `bytes_read` is kept up to date.
    pub(super) fn open(
        path: &Path,
        mut reader: Reader,
        is_compressed: bool,
        bytes_read: &Arc<AtomicU64>,
    ) -> Result<Self, Problem> {
        let mut head = Vec::new();
        let read = reader.by_ref().take(FILE_HEADER_BYTES as u64).read_to_end(&mut head);
        if let Err(error) = read {
            return Err(Problem::broken(error));
        }
        let header = EvtxFileHeader::from_bytes(&head).ok().filter(|_| head.len() == FILE_HEADER_BYTES);
        let Some(header) = header else { return Err(Problem::EventLogHeader) };
        let file = if is_compressed { None } else { File::open(path).ok() };
        let file = file.filter(|it| it.metadata().is_ok_and(|metadata| metadata.is_file()));
        let chunks = match file {
            Some(file) => {
                let (count, is_too_long) = chunk_count(file.metadata().map_or(0, |it| it.len()));
                let order = order_of(&file, count);
                Chunks::File { file, order, is_too_long, bytes_read: Arc::clone(bytes_read) }
            }
            None => Chunks::Stream { reader, next: 0 },
        };
        Ok(Self {
            chunks,
            settings: Arc::new(ParserSettings::new().indent(false)),
            is_open: header.flags.contains(HeaderFlags::DIRTY),
            data: Vec::new(),
            events: 0,
            problems: 0,
            problems_untold: 0,
        })
    }

    /// Reads on and adds what that gave to `out`. Returns whether the log is done.
    pub(super) fn step(&mut self, path: &Path, origin: &Origin, now: Timestamp, out: &mut VecDeque<Item>) -> bool {
        let mut batch = RawBatch::new();
        let mut told = Vec::new();
        let is_done = loop {
            match self.next_chunk() {
                Ok(Some(taken)) => {
                    let origin = batch.origin(origin);
                    let mut push = |id: u64, text: &[u8]| batch.push(origin, now, id, text);
                    self.chunk(&taken, &mut push, &mut told);
                    if batch.bytes.len() >= IMPORT_BATCH_BYTES || !told.is_empty() {
                        break false;
                    }
                }
                Ok(None) => break true,
                Err(problem) => {
                    told.push((None, problem));
                    break true;
                }
            }
        };
        self.events += batch.records.len() as u64;
        if !batch.is_empty() {
            out.push_back(Ok(batch));
        }
        for (position, problem) in told {
            self.tell(path, position, problem, out);
        }
        if is_done && self.problems_untold > 0 {
            let problem = Problem::EventLogMore { problems: self.problems_untold };
            out.push_back(Err(FileProblem::new(path, problem)));
        }
        if is_done && self.events == 0 && self.problems == 0 {
            out.push_back(Err(FileProblem::new(path, Problem::EventLogEmpty)));
        }
        is_done
    }

    fn tell(&mut self, path: &Path, position: Option<u64>, problem: Problem, out: &mut VecDeque<Item>) {
        self.problems += 1;
        if self.problems > EVENT_LOG_PROBLEMS_MAX {
            self.problems_untold += 1;
            return;
        }
        let problem = FileProblem { position, ..FileProblem::new(path, problem) };
        out.push_back(Err(problem));
    }

    /// Reads the next chunk into `data`, filled up with zeros if the log ends inside of it.
    fn next_chunk(&mut self) -> Result<Option<Taken>, Problem> {
        let number = match &mut self.chunks {
            Chunks::File { file, order, is_too_long, bytes_read } => {
                let Some(number) = order.pop_front() else {
                    return if *is_too_long { Err(Problem::EventLogTooLong) } else { Ok(None) };
                };
                self.data = read_at_most(file, offset_of(number), CHUNK_BYTES)
                    .map_err(|source| Problem::Unreadable { source })?;
                bytes_read.fetch_add(self.data.len() as u64, Ordering::Relaxed);
                number
            }
            Chunks::Stream { reader, next } => {
                self.data.clear();
                if *next >= EVENT_LOG_CHUNKS_MAX {
                    return Err(Problem::EventLogTooLong);
                }
                reader.take(CHUNK_BYTES as u64).read_to_end(&mut self.data).map_err(Problem::broken)?;
                if self.data.is_empty() {
                    return Ok(None);
                }
                *next += 1;
                *next - 1
            }
        };
        let is_whole = self.data.len() == CHUNK_BYTES;
        self.data.resize(CHUNK_BYTES, 0);
        Ok(Some(Taken { number, is_whole }))
    }

    /// Hands the events of the chunk at hand to `push`, and what is lost of them to `told`.
    fn chunk(
        &mut self,
        &Taken { number, is_whole }: &Taken,
        push: &mut dyn FnMut(u64, &[u8]),
        told: &mut Vec<(Option<u64>, Problem)>,
    ) {
        let offset = offset_of(number);
        if !is_whole {
            told.push((Some(offset), Problem::ChunkCut { chunk: number }));
        }
        // Room that was never used.
        if self.data.iter().all(|byte| *byte == 0) {
            return;
        }
        let lost = |source: evtx::err::ChunkError| Problem::ChunkLost { chunk: number, source: source.into() };
        let data = std::mem::take(&mut self.data);
        let mut data = match EvtxChunkData::new(data, false) {
            Ok(data) => data,
            Err(error) => return told.push((Some(offset), lost(error))),
        };
        if is_whole && !self.is_open && !data.validate_checksum() {
            told.push((Some(offset), Problem::ChunkChanged { chunk: number }));
        }
        let stated = stated_events(&data.header);
        let mut chunk = match data.parse(Arc::clone(&self.settings)) {
            Ok(chunk) => chunk,
            Err(error) => return told.push((Some(offset), lost(error))),
        };
        let mut seen = 0;
        for record in chunk.iter() {
            seen += 1;
            let text = record.and_then(|it| {
                let place = offset + it.binxml_offset;
                let id = it.event_record_id;
                it.into_json_bytes().map(|text| (place, id, text.data))
            });
            match text {
                Ok((_, id, text)) if text.len() < LINE_BYTES_MAX => push(id, &text),
                Ok((place, id, _)) => {
                    told.push((Some(place), Problem::EventTooLong { chunk: number, event: id }));
                }
                Err(error) => {
                    let (place, event) = place_of(&error);
                    let place = Some(offset + place.unwrap_or(0));
                    told.push((place, Problem::EventLost { chunk: number, event, source: error.into() }));
                }
            }
        }
        if let Some(missing @ 1..) = stated.checked_sub(seen) {
            told.push((Some(offset), Problem::EventsMissing { chunk: number, events: missing }));
        }
    }
}

const fn offset_of(chunk: u64) -> u64 {
    FILE_HEADER_BYTES as u64 + chunk * CHUNK_BYTES as u64
}

/// How many events the header of a chunk speaks of; zero if what it says cannot be.
fn stated_events(header: &EvtxChunkHeader) -> u64 {
    let last = header.last_event_record_number.checked_sub(header.first_event_record_number);
    let count = last.map_or(0, |it| it.saturating_add(1));
    if count > CHUNK_BYTES as u64 / EVENT_BYTES_MIN { 0 } else { count }
}

/// Where in its chunk an event could not be read, and its number, as far as the error tells.
fn place_of(error: &EvtxError) -> (Option<u64>, Option<u64>) {
    match error {
        EvtxError::FailedToReadRecordAt { offset, .. } => (Some(*offset), None),
        EvtxError::FailedToParseRecord { record_id, .. } => (None, Some(*record_id)),
        _ => (None, None),
    }
}

/// How many chunks of a file of so many bytes are read, the one that it ends in included, and whether it has more.
fn chunk_count(bytes: u64) -> (u64, bool) {
    let count = bytes.saturating_sub(FILE_HEADER_BYTES as u64).div_ceil(CHUNK_BYTES as u64);
    (count.min(EVENT_LOG_CHUNKS_MAX), count > EVENT_LOG_CHUNKS_MAX)
}

/// The first `count` chunks of a file from the one with the oldest events on. Headers alone are read; a chunk whose
/// header is damaged keeps its place.
fn order_of(file: &File, count: u64) -> VecDeque<u64> {
    let oldest = (0..count)
        .filter_map(|number| {
            let head = read_at_most(file, offset_of(number), CHUNK_HEADER_BYTES).ok()?;
            let header = EvtxChunkHeader::from_bytes(&head).ok()?;
            let is_sound = header.first_event_record_id <= header.last_event_record_id;
            is_sound.then_some((header.first_event_record_id, number))
        })
        .min()
        .map_or(0, |(_, number)| number);
    (oldest..count).chain(0..oldest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_chunks_is_bounded() {
        assert_eq!(chunk_count(0), (0, false));
        assert_eq!(chunk_count(4_096), (0, false));
        assert_eq!(chunk_count(4_097), (1, false));
        assert_eq!(chunk_count(4_096 + 2 * 65_536), (2, false));
        assert_eq!(chunk_count(u64::MAX), (EVENT_LOG_CHUNKS_MAX, true));
    }

    #[test]
    fn a_pipe_without_end_is_left_in_the_end() {
        let mut log = EventLog {
            chunks: Chunks::Stream { reader: Box::new(std::io::repeat(0)), next: EVENT_LOG_CHUNKS_MAX - 1 },
            settings: Arc::default(),
            is_open: false,
            data: Vec::new(),
            events: 0,
            problems: 0,
            problems_untold: 0,
        };
        let mut out = VecDeque::new();
        assert!(log.step(Path::new("-"), &Origin::default(), Timestamp(0), &mut out));
        assert!(matches!(out.pop_front(), Some(Err(FileProblem { problem: Problem::EventLogTooLong, .. }))));
    }
}
