//! How far files were imported, so that an import that was interrupted goes on and none is doubled.
//!
//! A batch of an import carries in its [`Origin::identity`](panoptes_model::Origin) which file it is of and how many of
//! the file's records were handed on with it, as text:
//!
//! ```text
//! import:DEVICE:INODE:SIZE:LENGTH:START:END:RECORDS
//! ```
//!
//! numbers in hexadecimal; START is a hash of the first LENGTH bytes, END one of the last. A batch becomes durable as a
//! whole, and none after one that failed ([`Line`](crate::sink::Line)): so the last one that is durable says how far
//! the file is done. A file is read again from its beginning, because what a line means may depend on it (a header, a
//! compressed stream); what was handed on before is left out. Of text in lines that is what ends up to the position of
//! the last durable record ([`audit`](crate::audit) sees to it that this is a clean cut), of all else the first RECORDS
//! records.
//!
//! A file is the same if it has the device, the inode and the beginning (it may have grown), or, as a copy, the size,
//! the beginning and the end.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::str::FromStr;

use panoptes_model::{RawBatch, content_hash};

use crate::archive::read_at_most;

/// How many bytes of a file's start and end tell it from others.
const START_BYTES: u64 = 64 << 10;
const END_BYTES: u64 = 4 << 10;
const PREFIX: &str = "import:";

/// Which file an import read, as far as one can tell without reading all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImportIdentity {
    device: u64,
    inode: u64,
    size: u64,
    length: u64,
    start: u128,
    end: u128,
}

impl ImportIdentity {
    /// `None` for what is no plain file: a pipe cannot be read twice.
    pub(super) fn of(file: &File) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        let size = metadata.len();
        if !metadata.is_file() || size == 0 {
            return Ok(None);
        }
        let length = size.min(START_BYTES);
        let (start, end) = (hash(file, 0, length)?, hash(file, size.saturating_sub(END_BYTES), END_BYTES)?);
        Ok(Some(Self { device: metadata.dev(), inode: metadata.ino(), size, length, start, end }))
    }

    /// What its position is kept under: the same as long as the file is imported, even if it grows.
    pub fn key(&self) -> String {
        format!("{PREFIX}{:x}:{:x}:{:x}:{:032x}", self.device, self.inode, self.length, self.start)
    }
}

fn hash(file: &File, offset: u64, bytes: u64) -> io::Result<u128> {
    Ok(content_hash(&[&read_at_most(file, offset, bytes as usize)?]))
}

/// What a batch says in its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    pub file: ImportIdentity,
    /// Records of the file that were handed on, up to the batch's end.
    pub records: u64,
}

impl fmt::Display for ImportProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImportIdentity { device, inode, size, length, start, end } = self.file;
        write!(f, "{PREFIX}{device:x}:{inode:x}:{size:x}:{length:x}:{start:032x}:{end:032x}:{:x}", self.records)
    }
}

/// A text that is no progress of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not say how far a file was imported")]
pub struct ImportProgressMalformed;

impl FromStr for ImportProgress {
    type Err = ImportProgressMalformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(ImportProgressMalformed)?.split(':');
        let mut part = || parts.next().ok_or(ImportProgressMalformed);
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| ImportProgressMalformed);
        let long = |text: &str| u128::from_str_radix(text, 16).map_err(|_| ImportProgressMalformed);
        let [device, inode, size, length] = [number(part()?)?, number(part()?)?, number(part()?)?, number(part()?)?];
        let (start, end, records) = (long(part()?)?, long(part()?)?, number(part()?)?);
        if parts.next().is_some() {
            return Err(ImportProgressMalformed);
        }
        Ok(Self { file: ImportIdentity { device, inode, size, length, start, end }, records })
    }
}

/// How far one file was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) records: u64,
    /// Where the last of them ends.
    pub(super) position: u64,
}

/// How far all files were imported before.
#[derive(Clone, Debug, Default)]
pub struct ImportCheckpoints {
    by_file: HashMap<(u64, u64), Vec<(ImportIdentity, Done)>>,
    /// By size and beginning.
    by_content: HashMap<(u64, u128), Vec<(ImportIdentity, Done)>>,
}

impl ImportCheckpoints {
    /// Notes what one position says; what is of no import is passed over. There are as many as positions are kept.
    pub fn note(&mut self, identity: &str, position: u64) {
        let Ok(ImportProgress { file, records }) = identity.parse() else { return };
        let done = Done { records, position };
        self.by_file.entry((file.device, file.inode)).or_default().push((file, done));
        self.by_content.entry((file.size, file.start)).or_default().push((file, done));
    }

    /// How far `file`, which is `identity`, was imported; the furthest if it was several times.
    pub(super) fn find(&self, file: &File, identity: &ImportIdentity) -> io::Result<Option<Done>> {
        let mut best: Option<Done> = None;
        let mut offer = |done: Done| best = best.filter(|it| it.records >= done.records).or(Some(done));
        for (known, done) in self.by_content.get(&(identity.size, identity.start)).into_iter().flatten() {
            if known.length == identity.length && known.end == identity.end {
                offer(*done);
            }
        }
        for (known, done) in self.by_file.get(&(identity.device, identity.inode)).into_iter().flatten() {
            // It was shorter then; what it began with must still be there.
            if known.length <= identity.length && hash(file, 0, known.length)? == known.start {
                offer(*done);
            }
        }
        Ok(best)
    }
}

/// Leaves the records out that were handed on before.
#[derive(Debug, Default)]
pub(super) struct Skipper {
    done: Done,
    /// Of this file, left out or not.
    records: u64,
    pub(super) skipped: u64,
}

impl Skipper {
    pub(super) fn new(done: Done) -> Self {
        Self { done, ..Self::default() }
    }

    /// `batch` without what was handed on before. `in_lines`: its positions are clean cuts.
    pub(super) fn rest_of(&mut self, batch: RawBatch, in_lines: bool) -> RawBatch {
        let count = batch.records.len();
        let left_out = if in_lines {
            batch.records.iter().take_while(|it| it.position <= self.done.position).count()
        } else {
            usize::try_from(self.done.records.saturating_sub(self.records)).map_or(count, |it| it.min(count))
        };
        self.records += count as u64;
        self.skipped += left_out as u64;
        match left_out {
            0 => batch,
            all if all == count => RawBatch::default(),
            some => {
                let mut rest = RawBatch::new();
                for record in batch.records.iter().skip(some) {
                    let text = batch.bytes.get(record.offset as usize..).unwrap_or_default();
                    let text = text.get(..record.length as usize).unwrap_or_default();
                    let origin = batch.origins.get(record.origin as usize).cloned().unwrap_or_default();
                    let origin = rest.origin(&origin);
                    rest.push(origin, record.received_at, record.position, text);
                }
                rest
            }
        }
    }

    /// How many records of the file there were so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use panoptes_model::{Origin, Timestamp};

    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> (File, ImportIdentity) {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let file = File::open(path).unwrap();
        let identity = ImportIdentity::of(&file).unwrap().unwrap();
        (file, identity)
    }

    fn noted(identity: ImportIdentity, records: u64, position: u64) -> ImportCheckpoints {
        let mut known = ImportCheckpoints::default();
        known.note("8:1:1024:ffff", 99);
        known.note(&ImportProgress { file: identity, records }.to_string(), position);
        known
    }

    #[test]
    fn progress_survives_as_text_and_nothing_else_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_, identity) = file(&folder, "a", b"one\n");
        let progress = ImportProgress { file: identity, records: 7 };
        assert_eq!(progress.to_string().parse(), Ok(progress));
        for text in ["", "import:", "import:1:2:3:4:5:6", "import:1:2:3:4:5:6:7:8", "1:2:3:4", "import:x:2:3:4:5:6:7"] {
            assert_eq!(text.parse::<ImportProgress>(), Err(ImportProgressMalformed), "{text}");
        }
    }

    #[test]
    fn a_file_is_known_when_it_has_grown_or_was_copied_and_not_when_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, identity) = file(&folder, "one", b"first\nsecond\n");
        let done = Done { records: 2, position: 13 };
        let known = noted(identity, 2, 13);
        assert_eq!(known.find(&one, &identity).unwrap(), Some(done));
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("one"))
            .unwrap()
            .write_all(b"third\n")
            .unwrap();
        let grown = ImportIdentity::of(&one).unwrap().unwrap();
        assert_ne!(grown, identity);
        assert_eq!(known.find(&one, &grown).unwrap(), Some(done));
        let (copy, copied) = file(&folder, "copy", b"first\nsecond\n");
        assert_eq!(known.find(&copy, &copied).unwrap(), Some(done));
        for other in [&b"first\nsecond?"[..], b"first\nsecond\nthird and more\n", b"another thing\n"] {
            let (other, identity) = file(&folder, "other", other);
            assert_eq!(known.find(&other, &identity).unwrap(), None);
        }
        // Alike at both ends of what is hashed, but not of one size.
        let long = |middle: usize| [vec![b'a'; 70_000], vec![b'b'; middle], vec![b'c'; 5_000]].concat();
        let (_, first) = file(&folder, "long-1", &long(10));
        let (other, identity) = file(&folder, "long-2", &long(11));
        assert_eq!((first.start, first.end), (identity.start, identity.end));
        assert_eq!(noted(first, 1, 1).find(&other, &identity).unwrap(), None);
    }

    #[test]
    fn an_emptied_file_and_one_that_is_none_are_no_file_to_know() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), b"").unwrap();
        assert_eq!(ImportIdentity::of(&File::open(folder.path().join("empty")).unwrap()).unwrap(), None);
        assert_eq!(ImportIdentity::of(&File::open("/dev/null").unwrap()).unwrap(), None);
    }

    #[test]
    fn what_was_handed_on_is_left_out_by_position_in_lines_and_by_number_elsewhere() {
        let batch = |positions: &[u64]| {
            let mut batch = RawBatch::new();
            let origin = batch.origin(&Origin::default());
            for position in positions {
                batch.push(origin, Timestamp(0), *position, format!("at {position}").as_bytes());
            }
            batch
        };
        let texts = |batch: &RawBatch| -> Vec<String> {
            let text = |at: u32, length: u32| &batch.bytes[at as usize..(at + length) as usize];
            batch.records.iter().map(|it| String::from_utf8_lossy(text(it.offset, it.length)).into_owned()).collect()
        };
        let done = Done { records: 3, position: 20 };
        // Several records of one line end at one position.
        let mut lines = Skipper::new(done);
        assert!(lines.rest_of(batch(&[5, 10]), true).is_empty());
        assert_eq!(texts(&lines.rest_of(batch(&[20, 20, 30, 40]), true)), ["at 30", "at 40"]);
        assert_eq!(texts(&lines.rest_of(batch(&[50]), true)), ["at 50"]);
        assert_eq!((lines.skipped, lines.records()), (4, 7));
        let mut numbers = Skipper::new(done);
        assert!(numbers.rest_of(batch(&[50, 10]), false).is_empty());
        assert_eq!(texts(&numbers.rest_of(batch(&[5, 1, 2]), false)), ["at 1", "at 2"]);
        assert_eq!((numbers.skipped, numbers.records()), (3, 5));
        assert_eq!(texts(&Skipper::default().rest_of(batch(&[0, 1]), false)), ["at 0", "at 1"]);
    }
}
