//! Reading the log: after a start, and beside a running writer.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use panoptes_model::{FrameId, LogFrame};
use panoptes_seal::{Header, KeyEncryptionKey, SealError, SequenceOpener};

use super::frame::{self, Envelope};
use super::{FileName, KIND, LogError, RECORD_BYTES_MIN, SEALED_BYTES_MAX, disk_error};
use crate::disk::{Disk, DiskFile};
use crate::record::{Item, Marker, Scanner, marker};

/// The end of the newest file that a crash left unfinished. Nothing in it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: String,
    /// Where the unfinished part begins, and how long it is.
    pub offset: u64,
    pub bytes: u64,
}

/// A place of a file that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// A write may be under way there.
    pub(crate) is_newest: bool,
}

/// What the log held when it was opened.
#[derive(Debug)]
pub struct Recovery {
    disk: Arc<dyn Disk>,
    folder: String,
    /// Oldest first.
    pub(super) files: Vec<KnownFile>,
    /// Files that a crash left before their header was whole.
    pub(super) stillborn: Vec<FileName>,
    torn: Option<TornTail>,
    /// First frame of the last group, if any of it counts and it is in the newest file.
    last_group: Option<FrameId>,
}

#[derive(Clone, Debug)]
pub(super) struct KnownFile {
    pub(super) name: FileName,
    /// The last frame that counts; the one before the first if none does.
    pub(super) last: FrameId,
    /// Length of a file whose header is damaged.
    bytes: u64,
    /// `None`: the header is damaged. Then the name too may be anybody's: nothing follows from it about other files.
    keys: Option<Arc<FileKeys>>,
}

impl KnownFile {
    /// Whether later files hold again whatever this one holds.
    pub(super) fn is_superseded(&self) -> bool {
        self.keys.is_some() && self.last < self.name.first
    }
}

struct FileKeys {
    opener: SequenceOpener,
    marker: Marker,
}

impl std::fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKeys(..)")
    }
}

impl FileKeys {
    fn open(&self, number: u64, prefix: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let length = self.opener.open(number, prefix, &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// What the header of a file says.
enum Begun {
    Readable(Arc<FileKeys>),
    /// Nothing was ever acknowledged in it.
    Stillborn,
    Damaged {
        bytes: u64,
    },
    KeyOther {
        error: LogError,
        bytes: u64,
    },
}

struct End {
    /// The last frame that counts.
    last: FrameId,
    /// The first frame of the last group.
    group_first: FrameId,
    torn: Option<TornTail>,
}

impl Recovery {
    /// Reads the log without changing anything: for other processes than the one that writes. Sees what is in the files
    /// now; a torn tail may be a write under way, and a file that vanishes meanwhile holds only what is in segments.
    /// To miss nothing, open the log first and list the segments after.
    pub fn open_read_only(disk: Arc<dyn Disk>, kek: &KeyEncryptionKey, folder: &str) -> Result<Self, LogError> {
        let names = match disk.list(folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(disk_error("list", folder)(error)),
        };
        let mut names: Vec<_> = names.iter().filter_map(|it| FileName::parse(it)).collect();
        names.sort_unstable();
        let mut recovery = Self {
            disk,
            folder: folder.to_owned(),
            files: Vec::new(),
            stillborn: Vec::new(),
            torn: None,
            last_group: None,
        };
        let mut key_other = None;
        for name in names {
            let last = FrameId(name.first.0.saturating_sub(1));
            let (keys, bytes) = match recovery.begin(name, kek)? {
                None => continue,
                Some(Begun::Stillborn) => {
                    recovery.stillborn.push(name);
                    continue;
                }
                Some(Begun::Readable(keys)) => (Some(keys), 0),
                Some(Begun::Damaged { bytes }) => (None, bytes),
                Some(Begun::KeyOther { error, bytes }) => {
                    key_other = Some(error);
                    (None, bytes)
                }
            };
            recovery.files.push(KnownFile { name, last, bytes, keys });
        }
        // One file under another key among others is damage; all of them is the wrong key.
        if let Some(error) = key_other
            && recovery.files.iter().all(|it| it.keys.is_none())
        {
            return Err(error);
        }
        recovery.find_ends()?;
        Ok(recovery)
    }

    /// The newest frame; `None` if the log holds none.
    pub fn last(&self) -> Option<FrameId> {
        self.files.last().map(|it| it.last).filter(|it| it.0 > 0)
    }

    /// What a crash left unfinished.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// All frames with ids greater than `after`, in order. What cannot be read is an error in their midst, after which
    /// the rest follows. `FrameId(0)` means "from the beginning, wherever that is".
    pub fn frames_after(&self, after: FrameId) -> Frames<'_> {
        Frames { recovery: self, index: 0, after, expected: None, reading: None, next: None }
    }

    /// How many bytes all files have.
    pub(crate) fn bytes(&self) -> u64 {
        let length = |file: &KnownFile| Some(self.open_file(&file.name.path(&self.folder)).ok()??.len().unwrap_or(0));
        self.files.iter().filter_map(length).sum()
    }

    /// Every place that cannot be read, whether anything that counts lies there or not.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        let mut found = Vec::new();
        for (number, known) in self.files.iter().enumerate() {
            let is_newest = number + 1 == self.files.len();
            let file = known.name.path(&self.folder);
            let Some(keys) = &known.keys else {
                found.push(Unreadable { file, offset: 0, bytes: known.bytes, is_newest });
                continue;
            };
            let Ok(Some(mut scanner)) = self.scanner(known.name, keys) else { continue };
            let open = |number, prefix: &[u8], sealed| keys.open(number, prefix, sealed);
            while let Ok(Some(item)) = scanner.next(&open) {
                if let Item::Unreadable { offset, bytes } = item {
                    found.push(Unreadable { file: file.clone(), offset, bytes, is_newest });
                }
            }
        }
        let stillborn = self.stillborn.iter();
        found.extend(stillborn.map(|it| Unreadable {
            file: it.path(&self.folder),
            offset: 0,
            bytes: 0,
            is_newest: true,
        }));
        found
    }

    /// The frames of the last group in the newest file; none if there is none, or one of them cannot be read.
    pub(super) fn last_group(&self) -> Vec<LogFrame> {
        let Some(first) = self.last_group else { return Vec::new() };
        let frames = self.frames_after(FrameId(first.0.saturating_sub(1)));
        frames.collect::<Result<_, _>>().unwrap_or_default()
    }

    fn begin(&self, name: FileName, kek: &KeyEncryptionKey) -> Result<Option<Begun>, LogError> {
        let path = name.path(&self.folder);
        let Some(file) = self.open_file(&path)? else { return Ok(None) };
        let length = file.len().map_err(disk_error("measure", &path))?;
        let mut start = vec![0; length.min(KIND.header_bytes() as u64) as usize];
        file.read_at(0, &mut start).map_err(disk_error("read", &path))?;
        let begun = match Header::open(kek, &KIND, &start) {
            Ok(header) if header.context == name.context() => Begun::Readable(Arc::new(FileKeys {
                opener: SequenceOpener::new(&header),
                marker: marker(&header.file_nonce),
            })),
            // The header is synced before the first frame is written. A torn one may look like anything: like one of a
            // newer version or under another key, too.
            _ if length <= KIND.header_bytes() as u64 => Begun::Stillborn,
            Err(SealError::VersionUnknown { version, known }) => {
                return Err(LogError::VersionUnknown { file: path, version, known });
            }
            Err(SealError::KeyOther { needed, given }) => {
                Begun::KeyOther { error: LogError::KeyOther { file: path, needed, given }, bytes: length }
            }
            _ => Begun::Damaged { bytes: length },
        };
        Ok(Some(begun))
    }

    fn open_file(&self, path: &str) -> Result<Option<Box<dyn DiskFile>>, LogError> {
        match self.disk.open_read(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk_error("open", path)(error)),
        }
    }

    fn scanner(&self, name: FileName, keys: &FileKeys) -> Result<Option<Scanner>, LogError> {
        let path = name.path(&self.folder);
        let Some(file) = self.open_file(&path)? else { return Ok(None) };
        Scanner::new(file, keys.marker, KIND.header_bytes() as u64, SEALED_BYTES_MAX)
            .map(Some)
            .map_err(disk_error("measure", &path))
    }

    /// Sets the last frame of each file.
    fn find_ends(&mut self) -> Result<(), LogError> {
        let newest = self.files.iter().rposition(|it| it.keys.is_some());
        let mut end = None;
        if let Some(file) = newest.and_then(|it| self.files.get(it)).cloned()
            && let Some(keys) = &file.keys
            && let Some(found) = self.newest_end(file.name, keys)?
        {
            (end, self.torn) = (Some(found.last), found.torn);
            let is_newest = newest.is_some_and(|it| it + 1 == self.files.len());
            self.last_group = Some(found.group_first).filter(|first| is_newest && *first <= found.last);
        }
        // Downwards: what a file holds counts up to the first frame of the next readable one.
        let mut next_first: Option<FrameId> = None;
        for (index, file) in self.files.iter_mut().enumerate().rev() {
            if Some(index) == newest {
                file.last = end.unwrap_or(file.last);
            } else if let Some(next) = next_first {
                file.last = FrameId(next.0.saturating_sub(1));
            }
            if file.keys.is_some() {
                next_first = Some(next_first.map_or(file.name.first, |it| it.min(file.name.first)));
            }
        }
        // Upwards: damaged files after the newest readable one can have held so many frames. No id of theirs is used again.
        for file in self.files.iter_mut().skip(newest.map_or(0, |it| it + 1)) {
            let before = end.unwrap_or(file.last);
            file.last = FrameId(before.0.saturating_add(file.bytes / RECORD_BYTES_MIN));
            end = Some(file.last);
        }
        Ok(())
    }

    /// Where the newest file ends; `None` if it is gone.
    fn newest_end(&self, name: FileName, keys: &FileKeys) -> Result<Option<End>, LogError> {
        let path = name.path(&self.folder);
        let Some(mut scanner) = self.scanner(name, keys)? else { return Ok(None) };
        let open = |number, prefix: &[u8], sealed| keys.open(number, prefix, sealed);
        // Up to here all frames count, whatever becomes of the last group.
        let mut last = FrameId(name.first.0.saturating_sub(1));
        // Where the frames end that count.
        let mut end = KIND.header_bytes() as u64;
        // The last group: its first frame, and where in it the first frame is missing.
        let mut group_first = name.first;
        let mut torn_at = None;
        while let Some(item) = scanner.next(&open).map_err(disk_error("read", &path))? {
            let Item::Record { offset, number, plaintext } = item else { continue };
            let Some((envelope, body)) = Envelope::split(&plaintext) else { continue };
            if number <= last.0 {
                continue;
            }
            if envelope.group_first > group_first {
                // A later group was written, so the one before it was synced: what is missing there is damage.
                group_first = envelope.group_first;
                torn_at = None;
            }
            let missing_of_group = number > last.0.saturating_add(1).max(group_first.0);
            if missing_of_group && torn_at.is_none() {
                // Before the group all counts, missing or not.
                let before = FrameId(group_first.0.saturating_sub(1));
                last = last.max(before);
                torn_at = Some(end);
            }
            if torn_at.is_none() {
                last = FrameId(number);
                let sealed = body.len() + frame::ENVELOPE_BYTES + panoptes_seal::TAG_BYTES;
                end = offset + (crate::record::PREFIX_BYTES + sealed) as u64;
            }
        }
        let offset = torn_at.unwrap_or(end);
        let bytes = scanner.end().saturating_sub(offset);
        Ok(Some(End { last, group_first, torn: (bytes > 0).then_some(TornTail { file: path, offset, bytes }) }))
    }
}

/// The frames of a log in order; made by [`Recovery::frames_after`].
#[derive(Debug)]
pub struct Frames<'r> {
    recovery: &'r Recovery,
    index: usize,
    after: FrameId,
    /// The id that comes next; `None` before the first file.
    expected: Option<u64>,
    reading: Option<Reading>,
    /// A frame that was read while what is missing before it is told.
    next: Option<LogFrame>,
}

#[derive(Debug)]
struct Reading {
    scanner: Scanner,
    /// Where the unreadable bytes begin that were seen last.
    unreadable: Option<u64>,
}

impl Iterator for Frames<'_> {
    type Item = Result<LogFrame, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(frame) = self.next.take() {
            return Some(Ok(frame));
        }
        loop {
            let file = self.recovery.files.get(self.index)?;
            let first = file.name.first.0.max(self.after.0.saturating_add(1));
            let expected = match self.expected {
                // What is missing up to a readable file was told with the file before it.
                Some(expected) if file.keys.is_some() => expected.max(first),
                Some(expected) => expected,
                None => {
                    self.expected = Some(first);
                    let wanted = self.after.0.saturating_add(1);
                    if self.after.0 > 0 && first > wanted {
                        return Some(Err(LogError::Missing { first: FrameId(wanted), last: FrameId(first - 1) }));
                    }
                    first
                }
            };
            self.expected = Some(expected);
            match self.step(file, expected) {
                Step::Give(item) => return Some(item),
                Step::Again => {}
                Step::FileDone => {
                    self.reading = None;
                    self.index += 1;
                }
                Step::FileLost(error) => {
                    self.reading = None;
                    self.index += 1;
                    self.expected = Some(expected.max(file.last.0.saturating_add(1)));
                    return Some(Err(error));
                }
            }
        }
    }
}

enum Step {
    Give(Result<LogFrame, LogError>),
    Again,
    FileDone,
    /// The rest of the file cannot be read.
    FileLost(LogError),
}

impl Frames<'_> {
    fn step(&mut self, file: &KnownFile, expected: u64) -> Step {
        if expected > file.last.0 {
            return Step::FileDone;
        }
        let path = || file.name.path(&self.recovery.folder);
        let damaged = |offset, lost: RangeInclusive<u64>| LogError::Damaged {
            file: path(),
            offset,
            first: FrameId(*lost.start()),
            last: FrameId(*lost.end()),
        };
        let Some(keys) = &file.keys else { return Step::FileLost(damaged(0, expected..=file.last.0)) };
        let reading = match &mut self.reading {
            Some(reading) => reading,
            slot => match self.recovery.scanner(file.name, keys) {
                Ok(Some(scanner)) => slot.insert(Reading { scanner, unreadable: None }),
                // Removed meanwhile: what it held is in segments.
                Ok(None) => {
                    self.expected = Some(file.last.0.saturating_add(1));
                    return Step::FileDone;
                }
                Err(error) => return Step::FileLost(error),
            },
        };
        let open = |number, prefix: &[u8], sealed| keys.open(number, prefix, sealed);
        let (offset, number, plaintext) = match reading.scanner.next(&open) {
            Err(source) => return Step::FileLost(disk_error("read", &path())(source)),
            Ok(None) => {
                if self.recovery.files.get(self.index + 1).is_some_and(|it| it.keys.is_none()) {
                    // The next file, which cannot be read, held it.
                    return Step::FileDone;
                }
                let offset = reading.unreadable.unwrap_or(reading.scanner.end());
                return Step::FileLost(damaged(offset, expected..=file.last.0));
            }
            Ok(Some(Item::Unreadable { offset, .. })) => {
                reading.unreadable.get_or_insert(offset);
                return Step::Again;
            }
            Ok(Some(Item::Record { offset, number, plaintext })) => (offset, number, plaintext),
        };
        // Not asked for, or out of its place: then its absence in its place was told.
        if number < expected {
            return Step::Again;
        }
        if number > file.last.0 {
            // Unacknowledged frames behind the end; if one that counts is missing before them, the end of the file tells.
            return Step::Again;
        }
        let unreadable = reading.unreadable.take();
        self.expected = Some(number.saturating_add(1));
        let frame = frame::decode(&plaintext).filter(|it| it.id.0 == number);
        match (frame, number == expected) {
            (Some(frame), true) => Step::Give(Ok(frame)),
            (Some(frame), false) => {
                self.next = Some(frame);
                Step::Give(Err(damaged(unreadable.unwrap_or(offset), expected..=number - 1)))
            }
            (None, _) => Step::Give(Err(damaged(unreadable.unwrap_or(offset), expected..=number))),
        }
    }
}
