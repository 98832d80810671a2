//! Files that are read once, from beginning to end: what `import` and `scan` take.
//!
//! *Takes* files, folders with all that is in them, and patterns; plain, gzip or zstd, told by content; lines, JSON
//! arrays, JSON over several lines, Windows event logs (EVTX), the journal's export
//! format, and CSV by name. Synchronous, without a runtime. What cannot be read is a value
//! with its path, position and reason, and the rest goes on. *Position* is the byte offset behind the record, after
//! decompression; in an event log it is the event's number there (an exported log counts anew, so it may differ from
//! the id that the event itself states). What an import interrupted or finished before is left out: `resume.rs`.

mod evtx;
mod find;
mod resume;
mod text;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use panoptes_model::{Origin, RawBatch};

use self::find::{Found, find};
use self::resume::Skipper;
pub use self::resume::{ImportCheckpoints, ImportIdentity, ImportProgress, ImportProgressMalformed};
use self::text::{Item, Reader, Text};
use super::InputKind;
use crate::context::Clock;
use crate::counters::{Counters, RejectReason};
use crate::limits::{IMPORT_WHOLE_BYTES_MAX, STREAM_IN_FLIGHT_MAX};
use crate::sink::{Line, Pending, Sink, SinkError};

pub(super) static KIND: InputKind = InputKind {
    name: "import",
    summary: "files and folders, read once from beginning to end",
    default_address: None,
    slows_sender: true,
};

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// Files, folders and patterns.
    pub paths: Vec<PathBuf>,
    /// What the events' source is called; each file's path without it.
    pub source: Option<String>,
    pub format: Option<String>,
    pub time_zone: Option<String>,
}

/// Something that could not be read, or not to its end.
#[derive(Debug)]
pub struct FileProblem {
    pub path: PathBuf,
    /// Up to which byte of its text it was read, if that is known.
    pub position: Option<u64>,
    pub problem: Problem,
}

impl FileProblem {
    fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), position: None, problem }
    }

    fn at(self, position: u64) -> Self {
        Self { position: Some(position), ..self }
    }
}

/// What is the matter with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("there is no such file: check the name")]
    NotFound,
    #[error("it is no file pattern: write `[*]` for a star")]
    Pattern { source: glob::PatternError },
    #[error("the pattern leads to too many files: narrow it")]
    PatternTooWide,
    #[error("it could not be read: check that this user may")]
    Unreadable { source: io::Error },
    #[error("{reason}")]
    NotText { reason: &'static str },
    #[error("it was read up to where its compression fails")]
    Broken { source: io::Error },
    #[error("record on line {line} rejected: {reason}")]
    Record { line: u64, reason: String },
    #[error("{rows} rows have no header (`#fields`, `#Fields`) or do not fit it: their text is kept as it is")]
    RowsUnfit { rows: u64 },
    #[error("{records} more records were rejected")]
    RecordsMore { records: u64 },
    #[error(
        "it has too many records for one JSON text: convert it to one object a line with `jq --compact-output '.[]'`"
    )]
    RecordsTooMany,
    #[error(
        "JSON that is not one object a line must fit into {IMPORT_WHOLE_BYTES_MAX} bytes: convert it with `jq --compact-output '.[]'`"
    )]
    WholeTooLarge,
    #[error("the header of the event log is damaged or cut: copy or export the log again")]
    EventLogHeader,
    #[error("the event log holds no events")]
    EventLogEmpty,
    #[error("the event log is longer than any that Windows writes: unpack it and read it as a file")]
    EventLogTooLong,
    #[error("the event log ends inside chunk {chunk}: what came after is lost")]
    ChunkCut { chunk: u64 },
    #[error("chunk {chunk} of the event log is damaged and its events are lost")]
    ChunkLost { chunk: u64, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the checksum of chunk {chunk} of the event log is wrong: its events were read but may have been changed")]
    ChunkChanged { chunk: u64 },
    #[error("chunk {chunk} of the event log lacks {events} of its events: they are lost")]
    EventsMissing { chunk: u64, events: u64 },
    #[error("{} in chunk {chunk} of the event log is damaged and lost", event_text(*event))]
    EventLost { chunk: u64, event: Option<u64>, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("event {event} in chunk {chunk} of the event log is too long for a record and lost")]
    EventTooLong { chunk: u64, event: u64 },
    #[error("{problems} more parts of the event log are damaged")]
    EventLogMore { problems: u64 },
    #[error("a part of the journal's export is damaged and lost")]
    Journal { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the folders are nested too deeply: import this one by itself")]
    TooDeep,
    #[error("{beyond} files are too many for one import: import the folders one by one")]
    FilesTooMany { beyond: usize },
}

impl Problem {
    /// How many records were lost by it, as far as they can be told apart.
    pub fn rejected_records(&self) -> u64 {
        match self {
            Self::Record { .. } | Self::EventLost { .. } | Self::EventTooLong { .. } => 1,
            Self::EventsMissing { events, .. } => *events,
            Self::RecordsMore { records } => *records,
            _ => 0,
        }
    }
}

fn event_text(event: Option<u64>) -> String {
    event.map_or_else(|| "an event".to_owned(), |event| format!("event {event}"))
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub files_done: u64,
    pub files_total: u64,
    /// Bytes as they are on the disk, compressed or not.
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Records that lost their end because they were too long.
    pub cut: u64,
    /// Records that were imported before.
    pub skipped: u64,
}

/// The batches of an import, and between them what could not be read.
pub struct Import {
    config: ImportConfig,
    clock: Clock,
    files: VecDeque<Found>,
    readers: VecDeque<(String, Reader)>,
    open: Option<Text>,
    known: ImportCheckpoints,
    /// Of the open file; `None` where nothing tells it from others.
    identity: Option<ImportIdentity>,
    skipper: Skipper,
    ready: VecDeque<Item>,
    /// Of the open file.
    bytes_read: Arc<AtomicU64>,
    open_bytes: u64,
    progress: Progress,
}

impl Import {
    /// Finds the files; reads none yet.
    pub fn new(config: ImportConfig, clock: Clock) -> Self {
        let (files, problems) = find(&config.paths);
        let progress = Progress {
            files_total: files.len() as u64,
            bytes_total: files.iter().map(|it| it.bytes).sum(),
            ..Progress::default()
        };
        Self {
            config,
            clock,
            files,
            readers: VecDeque::new(),
            open: None,
            known: ImportCheckpoints::default(),
            identity: None,
            skipper: Skipper::default(),
            ready: problems.into_iter().map(Err).collect(),
            bytes_read: Arc::default(),
            open_bytes: 0,
            progress,
        }
    }

    /// Reads `reader` (standard input, say) after the files, under the name `name`.
    pub fn add_reader(&mut self, name: &str, reader: impl Read + Send + 'static) {
        self.progress.files_total += 1;
        self.readers.push_back((name.to_owned(), Box::new(reader)));
    }

    /// Leaves out what was imported before.
    pub fn resume(&mut self, known: ImportCheckpoints) {
        self.known = known;
    }

    pub fn progress(&self) -> Progress {
        // A file may have grown since it was found, or end before its end was reached.
        let open = self.bytes_read.load(Ordering::Relaxed).min(self.open_bytes);
        let skipped = self.progress.skipped + self.skipper.skipped;
        Progress { bytes_done: self.progress.bytes_done + open, skipped, ..self.progress }
    }

    /// Hands all batches to `sink` and waits until they are durable; ends with the first that does not become so, and
    /// then none after it has. `tell` hears of every problem, and of the progress after every batch.
    pub fn commit(
        mut self,
        sink: &Sink,
        counters: &Counters,
        mut tell: impl FnMut(Progress, Option<FileProblem>),
    ) -> Result<ImportSummary, SinkError> {
        let mut summary = ImportSummary::default();
        let mut flight: VecDeque<(Pending, String, u64)> = VecDeque::new();
        let settle = |summary: &mut ImportSummary, (pending, source, records): (Pending, String, u64)| {
            let result = pending.blocking_wait();
            counters.source(KIND.name, &source).settle(&result, records);
            summary.records += if result.is_ok() { records } else { 0 };
            result.map(drop)
        };
        let line = Line::default();
        let mut failed = Ok(());
        while failed.is_ok()
            && let Some(item) = self.next()
        {
            match item {
                // All of it was imported before.
                Ok(batch) if batch.is_empty() => tell(self.progress(), None),
                Ok(batch) => {
                    let records = batch.records.len() as u64;
                    let source = batch.origins.first().map(|it| it.source.clone()).unwrap_or_default();
                    let counts = counters.source(KIND.name, &source);
                    counts.received(records);
                    match sink.blocking_enqueue_in(&line, batch) {
                        Ok(pending) => flight.push_back((pending, source, records)),
                        Err(error) => {
                            counts.settle::<()>(&Err(error.clone()), records);
                            failed = Err(error);
                        }
                    }
                    if flight.len() >= STREAM_IN_FLIGHT_MAX
                        && let Some(oldest) = flight.pop_front()
                    {
                        failed = failed.and(settle(&mut summary, oldest));
                    }
                    tell(self.progress(), None);
                }
                Err(problem) => {
                    let rejected = problem.problem.rejected_records();
                    let source = self.source_of(&problem.path);
                    let counts = counters.source(KIND.name, &source);
                    counts.received(rejected);
                    counts.rejected(RejectReason::Malformed, rejected);
                    summary.rejected += rejected;
                    summary.problems += 1;
                    tell(self.progress(), Some(problem));
                }
            }
        }
        for pending in flight {
            let settled = settle(&mut summary, pending);
            failed = failed.and(settled);
        }
        let progress = self.progress();
        summary.files = progress.files_done;
        summary.cut = progress.cut;
        summary.skipped = progress.skipped;
        failed.map(|()| summary)
    }

    fn source_of(&self, path: &Path) -> String {
        self.config.source.clone().unwrap_or_else(|| path.to_string_lossy().into_owned())
    }

    fn origin(&self, path: &Path) -> Origin {
        Origin {
            input: KIND.name.to_owned(),
            source: self.source_of(path),
            path: Some(path.to_string_lossy().into_owned()),
            format: self.config.format.clone(),
            time_zone: self.config.time_zone.clone(),
            ..Origin::default()
        }
    }

    /// Opens the next file. Returns whether there was one.
    fn open_next(&mut self) -> bool {
        let (path, reader): (PathBuf, io::Result<Reader>) = if let Some(found) = self.files.pop_front() {
            let bytes = Arc::clone(&self.bytes_read);
            let reader = File::open(&found.path).and_then(|file| -> io::Result<Reader> {
                self.recognise(&file)?;
                Ok(Box::new(Counted { inner: file, bytes }))
            });
            self.open_bytes = found.bytes;
            (found.path, reader)
        } else if let Some((name, reader)) = self.readers.pop_front() {
            (PathBuf::from(name), Ok(reader))
        } else {
            return false;
        };
        let origin = self.origin(&path);
        let opened = match reader {
            Ok(reader) => Text::open(path, origin, reader, &self.bytes_read),
            Err(source) => Err(FileProblem::new(&path, Problem::Unreadable { source })),
        };
        match opened {
            Ok(text) => self.open = Some(text),
            Err(problem) => {
                self.ready.push_back(Err(problem));
                self.file_done();
            }
        }
        true
    }

    /// Finds out whether the file was imported before, and how far.
    fn recognise(&mut self, file: &File) -> io::Result<()> {
        self.identity = ImportIdentity::of(file)?;
        let done = match &self.identity {
            Some(identity) => self.known.find(file, identity)?,
            None => None,
        };
        self.skipper = Skipper::new(done.unwrap_or_default());
        Ok(())
    }

    /// Leaves out of the batches from the `first`th on what was imported before, and says in the others how far they
    /// bring the file.
    fn account(&mut self, first: usize, in_lines: bool) {
        let Some(file) = self.identity else { return };
        for batch in self.ready.iter_mut().skip(first).flatten() {
            *batch = self.skipper.rest_of(std::mem::take(batch), in_lines);
            let progress = ImportProgress { file, records: self.skipper.records() };
            for origin in &mut batch.origins {
                origin.identity = Some(progress.to_string());
            }
        }
    }

    fn file_done(&mut self) {
        self.open = None;
        self.identity = None;
        self.progress.skipped += std::mem::take(&mut self.skipper).skipped;
        self.progress.files_done += 1;
        self.progress.bytes_done += std::mem::take(&mut self.open_bytes);
        self.bytes_read.store(0, Ordering::Relaxed);
    }
}

impl Iterator for Import {
    type Item = Result<RawBatch, FileProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            match &mut self.open {
                Some(text) => {
                    let (first, in_lines) = (self.ready.len(), text.is_in_lines());
                    let is_done = text.step((self.clock)(), &mut self.ready, &mut self.progress.cut);
                    self.account(first, in_lines);
                    if is_done {
                        self.file_done();
                    }
                }
                None => {
                    if !self.open_next() {
                        return None;
                    }
                }
            }
        }
    }
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    pub files: u64,
    /// Records that are durable.
    pub records: u64,
    pub rejected: u64,
    /// Records that lost their end because they were too long.
    pub cut: u64,
    /// Records that were imported before.
    pub skipped: u64,
    pub problems: u64,
}

struct Counted {
    inner: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
