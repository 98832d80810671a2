//! Reading the manifest and verifying its chain.

use std::collections::BTreeMap;
use std::io;

use panoptes_model::FrameId;
use panoptes_seal::{Header, KeyEncryptionKey, SealError, ValueSealer};

use super::{
    Change, Entry, Erasure, Head, KIND, ManifestError, ManifestProblem, SEALED_BYTES_MAX, Segment, disk_error, genesis,
    on_disk::EntryOnDisk,
};
use crate::disk::{Disk, DiskFile};
use crate::record::{Item, Marker, Scanner, marker};

/// What the manifest says.
#[derive(Clone, Debug)]
pub struct Contents {
    pub(super) segments: BTreeMap<String, Segment>,
    pub(super) head: Head,
    frame_last: FrameId,
    problems: Vec<ManifestProblem>,
    torn_bytes: u64,
}

impl Contents {
    /// Reads the manifest at `path` without changing anything: for other processes than the one that writes. `None` if
    /// there is none yet.
    pub fn read(disk: &dyn Disk, kek: &KeyEncryptionKey, path: &str) -> Result<Option<Self>, ManifestError> {
        match open_existing(disk, kek, path)? {
            Some((file, keys)) => Ok(Some(Self::of(file, &keys, path)?.0)),
            None => Ok(None),
        }
    }

    /// The live segments, by name.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> + Clone {
        self.segments.values()
    }

    pub fn segment(&self, file: &str) -> Option<&Segment> {
        self.segments.get(file)
    }

    /// The end of the chain.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The last frame that ever went into a segment: no id up to it may be used again.
    pub fn frame_last(&self) -> FrameId {
        self.frame_last
    }

    /// What is wrong with the file. The rest of it counts.
    pub fn problems(&self) -> &[ManifestProblem] {
        &self.problems
    }

    /// Length of the unfinished entry that a crash left at the end: it was not acknowledged.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    pub(super) fn new(head: Head) -> Self {
        Self { segments: BTreeMap::new(), head, frame_last: FrameId(0), problems: Vec::new(), torn_bytes: 0 }
    }

    /// What an open file says, where its last entry ends, and the plaintext of that.
    pub(super) fn of(
        file: Box<dyn DiskFile>,
        keys: &Keys,
        path: &str,
    ) -> Result<(Self, u64, Option<Vec<u8>>), ManifestError> {
        let mut contents = Self::new(keys.genesis);
        let outcome = scan(file, keys, path, &mut |entry| contents.apply(&entry))?;
        contents.problems = outcome.problems;
        contents.torn_bytes = outcome.torn_bytes;
        Ok((contents, outcome.end, outcome.last))
    }

    pub(super) fn apply(&mut self, entry: &Entry) {
        match &entry.change {
            Change::Sealed(segments) => segments.iter().for_each(|it| self.add(it)),
            Change::Compacted { inputs, outputs } | Change::Erased(Erasure { inputs, outputs, .. }) => {
                for file in inputs {
                    self.segments.remove(file);
                }
                outputs.iter().for_each(|it| self.add(it));
            }
            Change::Deleted { files, .. } => {
                for file in files {
                    self.segments.remove(file);
                }
            }
        }
        self.head = entry.head;
    }

    fn add(&mut self, segment: &Segment) {
        self.frame_last = self.frame_last.max(segment.frame_last);
        self.segments.insert(segment.file.clone(), segment.clone());
    }
}

/// Shows every readable entry of the manifest at `path`, oldest first, and gives what is wrong with it. To verify a
/// [`Head`] that was kept elsewhere, look for the entry that has it.
pub fn history(
    disk: &dyn Disk,
    kek: &KeyEncryptionKey,
    path: &str,
    see: &mut dyn FnMut(&Entry),
) -> Result<Vec<ManifestProblem>, ManifestError> {
    match open_existing(disk, kek, path)? {
        Some((file, keys)) => Ok(scan(file, &keys, path, &mut |entry| see(&entry))?.problems),
        None => Ok(Vec::new()),
    }
}

/// What [`check`] found.
pub(crate) struct Checked {
    pub(crate) head: Head,
    pub(crate) problems: Vec<ManifestProblem>,
    /// Bytes that are no entry, with their number: also where what stood there is there once more, or was never
    /// acknowledged.
    pub(crate) unreadable: Vec<(u64, u64)>,
    /// Length of the file.
    pub(crate) end: u64,
}

/// As [`history`], and every byte that cannot be read is told. `None` if there is no manifest.
pub(crate) fn check(
    disk: &dyn Disk,
    kek: &KeyEncryptionKey,
    path: &str,
    see: &mut dyn FnMut(&Entry),
) -> Result<Option<Checked>, ManifestError> {
    let Some((file, keys)) = open_existing(disk, kek, path)? else { return Ok(None) };
    let end = file.len().map_err(disk_error("measure", path))?;
    let mut head = keys.genesis;
    let outcome = scan(file, &keys, path, &mut |entry| {
        head = entry.head;
        see(&entry);
    })?;
    Ok(Some(Checked { head, problems: outcome.problems, unreadable: outcome.unreadable, end }))
}

/// What the header of the file gives.
pub(super) struct Keys {
    pub(super) sealer: ValueSealer,
    pub(super) marker: Marker,
    pub(super) genesis: Head,
}

impl Keys {
    pub(super) fn new(header: &Header) -> Self {
        Self {
            sealer: ValueSealer::new(&header.data_key),
            marker: marker(&header.file_nonce),
            genesis: genesis(&header.file_nonce),
        }
    }
}

type Opened = (Box<dyn DiskFile>, Keys);

fn open_existing(disk: &dyn Disk, kek: &KeyEncryptionKey, path: &str) -> Result<Option<Opened>, ManifestError> {
    match disk.open_read(path) {
        Ok(file) => {
            let keys = read_header(&*file, kek, path)?;
            Ok(Some((file, keys)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk_error("open", path)(error)),
    }
}

pub(super) fn read_header(file: &dyn DiskFile, kek: &KeyEncryptionKey, path: &str) -> Result<Keys, ManifestError> {
    let length = file.len().map_err(disk_error("measure", path))?;
    let mut start = vec![0; length.min(KIND.header_bytes() as u64) as usize];
    file.read_at(0, &mut start).map_err(disk_error("read", path))?;
    let path = path.to_owned();
    match Header::open(kek, &KIND, &start) {
        Ok(header) => Ok(Keys::new(&header)),
        Err(SealError::KeyOther { needed, given }) => Err(ManifestError::KeyOther { path, needed, given }),
        Err(SealError::VersionUnknown { version, known }) => {
            Err(ManifestError::VersionUnknown { path, version, known })
        }
        Err(_) => Err(ManifestError::HeaderDamaged { path }),
    }
}

struct Outcome {
    problems: Vec<ManifestProblem>,
    /// Bytes that are no entry.
    unreadable: Vec<(u64, u64)>,
    /// Where the last readable entry ends.
    end: u64,
    torn_bytes: u64,
    /// Plaintext of the last readable entry.
    last: Option<Vec<u8>>,
}

/// How many problems are told of one manifest; further ones are of the same kind and are left out.
const PROBLEMS_MAX: usize = 1000;

fn scan(
    file: Box<dyn DiskFile>,
    keys: &Keys,
    path: &str,
    see: &mut dyn FnMut(Entry),
) -> Result<Outcome, ManifestError> {
    let start = KIND.header_bytes() as u64;
    let mut scanner = Scanner::new(file, keys.marker, start, SEALED_BYTES_MAX).map_err(disk_error("measure", path))?;
    let open = |_, prefix: &[u8], sealed: Vec<u8>| keys.sealer.open(&sealed, prefix).ok();
    let mut problems = Vec::new();
    let mut tell = |problem| {
        if problems.len() < PROBLEMS_MAX {
            problems.push(problem);
        }
    };
    let path = || path.to_owned();
    let mut head = keys.genesis;
    let mut unreadable = None;
    let mut all_unreadable = Vec::new();
    let mut end = start;
    let mut last = None;
    while let Some(item) = scanner.next(&open).map_err(disk_error("read", &path()))? {
        let (offset, number, plaintext) = match item {
            Item::Unreadable { offset, bytes } => {
                unreadable = Some((offset, bytes));
                if all_unreadable.len() < PROBLEMS_MAX {
                    all_unreadable.push((offset, bytes));
                }
                continue;
            }
            Item::Record { offset, number, plaintext } => (offset, number, plaintext),
        };
        let unreadable = unreadable.take();
        let record_bytes = (crate::record::PREFIX_BYTES + panoptes_seal::VALUE_OVERHEAD_BYTES + plaintext.len()) as u64;
        end = offset + record_bytes;
        let hash = panoptes_seal::sha256(&[&plaintext]);
        if (Head { number, hash }) == head {
            // The entry before once more, written again by the next process to open the manifest.
            continue;
        }
        if number <= head.number {
            tell(ManifestProblem::Damaged { path: path(), offset, bytes: record_bytes });
            continue;
        }
        let follows = number == head.number.saturating_add(1);
        if !follows {
            // If nothing is missing, what cannot be read was not acknowledged, or is there once more.
            if let Some((offset, bytes)) = unreadable {
                tell(ManifestProblem::Damaged { path: path(), offset, bytes });
            }
            tell(ManifestProblem::Missing { path: path(), first: head.number + 1, last: number - 1 });
        }
        let previous = head.hash;
        head = Head { number, hash };
        last = Some(plaintext);
        let plaintext = last.as_deref().unwrap_or_default();
        let Ok(entry) = postcard::from_bytes::<EntryOnDisk>(plaintext) else {
            tell(ManifestProblem::EntryUnknown { path: path(), number });
            continue;
        };
        if follows && entry.previous != previous {
            tell(ManifestProblem::ChainBroken { path: path(), number });
        }
        see(Entry { head, at: entry.at, change: entry.change.into() });
    }
    Ok(Outcome { problems, unreadable: all_unreadable, end, torn_bytes: scanner.end().saturating_sub(end), last })
}
