//! Reads everything and says what is missing, altered, truncated or unreadable.
//!
//! In goes a data folder, the key, and if one was kept elsewhere a [head](SignedHead); out comes a [`Report`]. Nothing is
//! changed. Checked are
//!
//! * the manifest: every entry opens, none is missing, each follows from the one before, and what was compacted or erased
//!   adds up: the digests of the rows before and after;
//! * each segment that it names, and its sidecar: size and SHA-256 of the file, the seal of every chunk, number and digest
//!   of its rows; a damaged place is given with the rows that it costs;
//! * the log: every frame that counts;
//! * the checkpoint, and the key slots;
//! * that there is no file which nothing names.
//!
//! A *problem* is something that should not be. A *note* is what a crash may leave, holds nothing that was acknowledged,
//! and goes at the next start.
//!
//! A manifest whose end was cut off at the border of an entry follows from itself; only a head that was kept elsewhere
//! tells.

mod file;
mod head;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::{ChunkOpener, KeyEncryptionKey, KeyId, SealError};

pub use self::head::{HEAD_FILE_BYTES_MAX, HeadError, SignedHead};
use crate::disk::{Disk, read_all};
use crate::keys;
use crate::log::{LogError, Recovery};
use crate::manifest::{self, Change, Contents, Erasure, Head, ManifestError, ManifestProblem, RowsDigest, Segment};
use crate::segment::FOLDER;
use crate::store::{CHECKPOINT, LOG, MANIFEST};

/// How many findings are told; further ones are only counted.
pub const FINDINGS_MAX: usize = 10_000;

/// What to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions {
    /// Read only segments that came into the manifest at this time or later; of the others only that they are there with
    /// their size. The manifest and the log are read in full.
    pub since: Option<Timestamp>,
    /// A head that was kept elsewhere: the manifest must have got there, and by the same entries.
    pub head: Option<Head>,
    /// An instance is writing meanwhile: what is under way is no left-over.
    pub is_running: bool,
}

/// What kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A file, an entry or a frame is gone.
    Missing,
    /// Nothing names the file.
    Unknown,
    /// Not what was written.
    Altered,
    /// Shorter than what was written, or the manifest shorter than it was.
    Truncated,
    /// A seal is broken.
    Damaged,
    /// The disk gave an error.
    Unreadable,
    /// A write that a crash interrupted.
    Unfinished,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Altered => "altered",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path in the data folder.
    pub file: String,
    pub kind: FindingKind,
    /// Nothing that was acknowledged is touched by it.
    pub is_note: bool,
    /// Where in the file, as it lies on disk, and how many bytes.
    pub offset: Option<u64>,
    pub bytes: Option<u64>,
    /// How many events it costs, and which rows of the segment these are, first and last.
    pub events: u64,
    pub rows: Vec<(u64, u64)>,
    /// In words, with a cure.
    pub text: String,
}

impl Finding {
    /// A problem of a file as a whole.
    pub fn of(file: &str, kind: FindingKind, text: String) -> Self {
        Self::new(file, kind, text)
    }

    fn new(file: &str, kind: FindingKind, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            kind,
            is_note: false,
            offset: None,
            bytes: None,
            events: 0,
            rows: Vec::new(),
            text: text.into(),
        }
    }

    fn note(self) -> Self {
        Self { is_note: true, ..self }
    }

    fn at(self, offset: u64, bytes: u64) -> Self {
        Self { offset: Some(offset), bytes: Some(bytes), ..self }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub bytes_total: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Problems and notes.
    pub findings: Vec<Finding>,
    /// How many more there are beyond [`FINDINGS_MAX`].
    pub findings_left_out: u64,
    /// The end of the chain.
    pub head: Option<Head>,
    /// How many segments there are, and how many of them were read.
    pub segments: u64,
    pub segments_read: u64,
    /// Events in the segments that were read.
    pub rows: u64,
    /// Frames of the log.
    pub frames: u64,
    pub bytes_read: u64,
}

impl Report {
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|it| !it.is_note)
    }

    pub fn notes(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|it| it.is_note)
    }

    /// Adds what was found elsewhere.
    pub fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }
}

/// Why a data folder cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    #[error(
        "the data is sealed with key {needed}, but the key given is {given}; use the key that belongs to this data"
    )]
    KeyOther { needed: KeyId, given: KeyId },
    #[error("could not {operation} `{path}`; check the disk and the permissions")]
    Disk { operation: &'static str, path: String, source: io::Error },
}

/// Verifies the store on `disk`.
pub fn verify(
    disk: &Arc<dyn Disk>,
    key: &KeyEncryptionKey,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let mut verifier = Verifier { disk, key, report: Report::default(), progress, told: Progress::default() };
    // The log first: what is sealed meanwhile is then in both.
    verifier.log(options)?;
    let names = verifier.list(FOLDER)?;
    let story = verifier.manifest(options)?;
    verifier.segments(&story, &names, options);
    if options.is_running {
        verifier.forget_replaced();
    }
    verifier.checkpoint();
    verifier.keys();
    verifier.folder(options)?;
    Ok(verifier.report)
}

struct Verifier<'v> {
    disk: &'v Arc<dyn Disk>,
    key: &'v KeyEncryptionKey,
    report: Report,
    progress: &'v mut dyn FnMut(Progress),
    told: Progress,
}

/// What the manifest tells.
#[derive(Default)]
struct Story {
    /// Live segments, and when they came.
    live: BTreeMap<String, (Timestamp, Segment)>,
    /// Files that were named once.
    former: HashMap<String, Option<RowsDigest>>,
    is_readable: bool,
}

impl Verifier<'_> {
    fn list(&self, folder: &str) -> Result<Vec<String>, VerifyError> {
        match self.disk.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|source| VerifyError::Disk { operation: "list", path: folder.to_owned(), source }),
        }
    }

    fn went_on(&mut self, bytes: u64) {
        self.report.bytes_read += bytes;
        self.told.bytes += bytes;
        (self.progress)(self.told);
    }

    fn log(&mut self, options: &VerifyOptions) -> Result<(), VerifyError> {
        let recovery = match Recovery::open_read_only(Arc::clone(self.disk), self.key, LOG) {
            Ok(recovery) => recovery,
            Err(LogError::KeyOther { needed, given, .. }) => return Err(VerifyError::KeyOther { needed, given }),
            Err(error) => {
                self.report.push(Finding::new(LOG, FindingKind::Unreadable, chain(&error)));
                return Ok(());
            }
        };
        for frame in recovery.frames_after(FrameId(0)) {
            match frame {
                Ok(_) => self.report.frames += 1,
                Err(LogError::Damaged { ref file, offset, first, last }) => {
                    let text =
                        format!("frames {} to {} of the log are lost; restore the file from a backup", first.0, last.0);
                    let finding = Finding::new(file, FindingKind::Damaged, text);
                    self.report.push(Finding { offset: Some(offset), ..finding });
                }
                Err(error) => self.report.push(Finding::new(LOG, FindingKind::Missing, error.to_string())),
            }
        }
        if let Some(torn) = recovery.torn_tail().filter(|_| !options.is_running) {
            let text = "the log ends in something that cannot be read: a write that a crash interrupted (nothing of it was \
                        acknowledged, and the next start clears it away), or damage to the last that came in";
            self.report.push(Finding::new(&torn.file, FindingKind::Unfinished, text).at(torn.offset, torn.bytes));
        }
        for left in recovery.unreadable() {
            let is_told = self.report.findings.iter().any(|it| it.file == left.file);
            let may_be_under_way = options.is_running && left.is_newest;
            if !is_told && !may_be_under_way {
                let text = "bytes that are no frame which counts: what a failed write or a crash left";
                let finding = Finding::new(&left.file, FindingKind::Unfinished, text).at(left.offset, left.bytes);
                self.report.push(finding.note());
            }
        }
        self.went_on(recovery.bytes());
        Ok(())
    }

    fn manifest(&mut self, options: &VerifyOptions) -> Result<Story, VerifyError> {
        let mut story = Story { is_readable: true, ..Story::default() };
        let mut findings = Vec::new();
        let mut at_head = None;
        let checked = manifest::check(&**self.disk, self.key, MANIFEST, &mut |entry| {
            if options.head.is_some_and(|it| it.number == entry.head.number) {
                at_head = Some(entry.head);
            }
            story.apply(entry, &mut findings);
        });
        let checked = match checked {
            Ok(Some(checked)) => checked,
            Ok(None) => {
                // A folder in which nothing was ever written has none either.
                if self.report.frames > 0 || options.head.is_some() || !self.list(FOLDER)?.is_empty() {
                    self.report.push(Finding::new(MANIFEST, FindingKind::Missing, "restore it from a backup"));
                    story.is_readable = false;
                }
                return Ok(story);
            }
            Err(ManifestError::KeyOther { needed, given, .. }) if self.report.frames == 0 => {
                return Err(VerifyError::KeyOther { needed, given });
            }
            Err(error) => {
                self.report.push(Finding::new(MANIFEST, FindingKind::Damaged, chain(&error)));
                story.is_readable = false;
                return Ok(story);
            }
        };
        self.report.head = Some(checked.head);
        for (offset, bytes) in checked.unreadable {
            let is_end = offset + bytes == checked.end;
            if is_end && options.is_running {
                continue;
            }
            let text = match is_end {
                true => {
                    "the manifest ends in something that cannot be read: a write that a crash interrupted (the next start \
                         clears it away), or damage to its last entry"
                }
                false => "an entry of the manifest cannot be read; restore it from a backup",
            };
            self.report.push(Finding::new(MANIFEST, FindingKind::Damaged, text).at(offset, bytes));
        }
        for problem in checked.problems {
            let kind = match problem {
                // Told with its place above.
                ManifestProblem::Damaged { .. } => continue,
                ManifestProblem::Missing { .. } => FindingKind::Missing,
                _ => FindingKind::Altered,
            };
            self.report.push(Finding::new(MANIFEST, kind, problem.to_string()));
        }
        findings.into_iter().for_each(|it| self.report.push(it));
        if let Some(kept) = options.head {
            let found = checked.head;
            if found.number < kept.number {
                let text = format!(
                    "the manifest ends with entry {}, but the head that was kept is entry {}: its end was cut off; restore it \
                     from a backup",
                    found.number, kept.number
                );
                self.report.push(Finding::new(MANIFEST, FindingKind::Truncated, text));
            } else if kept.number > 0 && at_head.is_none_or(|it| it != kept) {
                let text = format!(
                    "entry {} of the manifest is not the one that the head which was kept names: somebody who has the key \
                     wrote another story",
                    kept.number
                );
                self.report.push(Finding::new(MANIFEST, FindingKind::Altered, text));
            }
        }
        self.went_on(checked.end);
        Ok(story)
    }

    fn segments(&mut self, story: &Story, names: &[String], options: &VerifyOptions) {
        let is_new = |at: Timestamp| options.since.is_none_or(|since| at >= since);
        self.report.segments = story.live.len() as u64;
        let to_read = story.live.values().filter(|it| is_new(it.0)).map(|it| it.1.bytes_on_disk()).sum::<u64>();
        self.told.bytes_total = self.told.bytes.saturating_add(to_read);
        for (at, segment) in story.live.values() {
            let in_full = is_new(*at);
            self.report.segments_read += u64::from(in_full);
            let found = file::check_segment(&**self.disk, self.key, segment, in_full);
            self.report.rows += found.rows;
            found.findings.into_iter().for_each(|it| self.report.push(it));
            if in_full {
                self.went_on(segment.bytes_on_disk());
            }
        }
        if !story.is_readable || options.is_running {
            return;
        }
        for name in names {
            let path = format!("{FOLDER}/{name}");
            let is_named = story.live.values().any(|it| it.1.files().any(|file| file == path));
            if is_named {
                continue;
            }
            let finding = if story.former.contains_key(&path) || name.ends_with(".new") {
                let text = "a left-over of a crash: the next start removes it";
                Finding::new(&path, FindingKind::Unknown, text).note()
            } else {
                let text = "the manifest does not name it: a left-over of a crash, which the next start removes, or not of this store";
                Finding::new(&path, FindingKind::Unknown, text)
            };
            self.report.push(finding);
        }
    }

    /// What was found of segments that were merged or deleted meanwhile says nothing.
    fn forget_replaced(&mut self) {
        let now = match Contents::read(&**self.disk, self.key, MANIFEST) {
            Ok(Some(now)) => now,
            _ => return,
        };
        let live: HashSet<String> = now.segments().flat_map(Segment::files).collect();
        let folder = format!("{FOLDER}/");
        self.report.findings.retain(|it| !it.file.starts_with(&folder) || live.contains(&it.file));
    }

    fn checkpoint(&mut self) {
        let opened = match self.disk.open_read(CHECKPOINT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            other => other.and_then(|it| read_all(&*it)),
        };
        let finding = match opened.map(|it| (it.len() as u64, ChunkOpener::open_all(self.key, &it))) {
            Ok((bytes, Ok(_))) => return self.went_on(bytes),
            Ok((_, Err(error))) => {
                let text = format!("{error}: remove it, and the state of detection is made again from the log");
                let offset = match error {
                    SealError::ChunkDamaged { chunk } => Some(file::chunk_offset(chunk)),
                    _ => None,
                };
                Finding { offset, ..Finding::new(CHECKPOINT, FindingKind::Damaged, text) }
            }
            Err(error) => Finding::new(CHECKPOINT, FindingKind::Unreadable, error.to_string()),
        };
        self.report.push(finding);
    }

    /// The key slots: one of them opened, or there would be no key to verify with.
    fn keys(&mut self) {
        let text = match keys::read(&**self.disk) {
            Ok(None) => return,
            Ok(Some(slots)) if slots.is_genuine(self.key) => return,
            Ok(Some(_)) => {
                "it was changed: a slot may not open any more, or be somebody else's; restore it from a backup"
                    .to_owned()
            }
            Err(error) => chain(&error),
        };
        self.report.push(Finding::new(keys::FILE_NAME, FindingKind::Damaged, text));
    }

    /// Left-overs in the data folder itself.
    fn folder(&mut self, options: &VerifyOptions) -> Result<(), VerifyError> {
        if options.is_running {
            return Ok(());
        }
        for (folder, names) in [("", self.list("")?), (LOG, self.list(LOG)?)] {
            for name in names.iter().filter(|it| it.ends_with(".new")) {
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let text = "a left-over of a crash: the next start removes or replaces it";
                self.report.push(Finding::new(&path, FindingKind::Unfinished, text).note());
            }
        }
        Ok(())
    }
}

impl Story {
    fn apply(&mut self, entry: &manifest::Entry, findings: &mut Vec<Finding>) {
        let number = entry.head.number;
        match &entry.change {
            Change::Sealed(segments) => self.add(entry.at, segments),
            Change::Compacted { inputs, outputs } => {
                self.balance(number, inputs, outputs, (0, RowsDigest::EMPTY), findings);
                self.remove(inputs);
                self.add(entry.at, outputs);
            }
            Change::Erased(Erasure { inputs, outputs, rows, rows_digest, .. }) => {
                self.balance(number, inputs, outputs, (*rows, *rows_digest), findings);
                self.remove(inputs);
                self.add(entry.at, outputs);
            }
            Change::Deleted { files, .. } => self.remove(files),
        }
    }

    fn add(&mut self, at: Timestamp, segments: &[Segment]) {
        self.live.extend(segments.iter().map(|it| (it.file.clone(), (at, it.clone()))));
    }

    fn remove(&mut self, files: &[String]) {
        for file in files {
            if let Some((_, segment)) = self.live.remove(file) {
                self.former.extend(segment.files().map(|it| (it, segment.rows_digest)));
            }
        }
    }

    /// Whether what went in came out.
    fn balance(
        &self,
        number: u64,
        inputs: &[String],
        outputs: &[Segment],
        (rows, digest): (u64, RowsDigest),
        findings: &mut Vec<Finding>,
    ) {
        let sum = |segments: Vec<Option<&Segment>>| {
            segments.into_iter().try_fold((0_u64, RowsDigest::EMPTY), |(rows, digest), it| {
                let segment = it?;
                Some((rows.saturating_add(segment.rows), digest.plus(segment.rows_digest?)))
            })
        };
        let before = sum(inputs.iter().map(|it| self.live.get(it).map(|it| &it.1)).collect());
        let after = sum(outputs.iter().map(Some).collect()).map(|it| (it.0.saturating_add(rows), it.1.plus(digest)));
        // Segments of version 1 have no digest; inputs of an entry that is missing are not known.
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            let text = format!(
                "what entry {number} replaced does not add up: {} events before, {} after, or not the same ones",
                before.0, after.0
            );
            findings.push(Finding::new(MANIFEST, FindingKind::Altered, text));
        }
    }
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
