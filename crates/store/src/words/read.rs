//! Look-ups in the sidecars of a data folder.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use panoptes_seal::{CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkOpener, KeyEncryptionKey, SealError};

use super::table::{all, bucket_of, buckets, look_up};
use super::{DIRECTORY_BYTES, FINGERPRINT_BITS, Limits, MAGIC, SECTION_GROUPS_MAX, SEED, TRAILER_BYTES, Term, VERSION};
use crate::disk::{Disk, DiskFile};
use crate::manifest::sidecar_of;

/// How much of sidecars is kept for the next look-up: their directories and the buckets that were looked at. Beyond it
/// those that were not used for longest are read again.
const CACHE_BYTES_MAX: usize = 16 << 20;
/// What an entry of the cache takes besides its bytes, about.
const CACHE_ENTRY_BYTES: usize = 128;
/// How large a bucket may be: those that are written have about 1 KiB, 32 KiB if all have sets of row groups. A sidecar
/// that says otherwise is refused.
const BUCKET_BYTES_MAX: u32 = 1 << 20;

/// What the row groups that match must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing that is known of.
    Nothing,
    Term(Term),
    All(Vec<Self>),
    /// One of these; with none of them nothing matches.
    Any(Vec<Self>),
}

impl Need {
    /// All of `parts`.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().filter(|it| *it != Self::Nothing).collect();
        match parts.len() {
            0 => Self::Nothing,
            1 => parts.remove(0),
            _ => Self::All(parts),
        }
    }

    /// One of `parts`.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().collect();
        match parts.len() {
            _ if parts.contains(&Self::Nothing) => Self::Nothing,
            1 => parts.remove(0),
            _ => Self::Any(parts),
        }
    }
}

/// Which row groups of a segment may match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Vec<bool>);

impl Groups {
    /// Those of a segment, in order: `true` for each to be read.
    pub(crate) fn new(groups: Vec<bool>) -> Self {
        Self(groups)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        self.0.iter().copied()
    }

    /// How many may match.
    pub fn count(&self) -> usize {
        self.0.iter().filter(|it| **it).count()
    }
}

/// Why a sidecar cannot be used. The segment is searched without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    #[error("`{path}` cannot be read; its segment is searched without it")]
    NotRead { path: String, source: io::Error },
    #[error("`{path}` cannot be opened; its segment is searched without it")]
    Sealed { path: String, source: SealError },
    #[error(
        "`{path}` is of format version {version}, this program reads {VERSION}; its segment is searched without it"
    )]
    VersionUnknown { path: String, version: u16 },
    #[error("`{path}` belongs to another segment than the one of its name; that is searched without it")]
    OtherSegment { path: String },
    #[error("`{path}` is malformed; its segment is searched without it")]
    Malformed { path: String },
}

/// The sidecars of a data folder, and what was read of them.
pub struct WordsStore {
    disk: Arc<dyn Disk>,
    key: KeyEncryptionKey,
    cache: Mutex<Cache>,
}

impl WordsStore {
    pub fn new(disk: Arc<dyn Disk>, key: KeyEncryptionKey) -> Self {
        Self { disk, key, cache: Mutex::new(Cache::new(CACHE_BYTES_MAX)) }
    }

    /// Which row groups of a segment (by its path and digest) may have what is needed. `None` if there is no sidecar to
    /// say so.
    pub fn groups(&self, segment: &str, digest: &[u8; 32], need: &Need) -> Result<Option<Groups>, WordsError> {
        let path = sidecar_of(segment);
        // Not in the `match`: the lock would be held through it.
        let known = lock(&self.cache).sidecar(digest);
        let sidecar = match known {
            Some(Known::Sidecar(sidecar)) => sidecar,
            Some(Known::Unusable) => return Ok(None),
            None => match self.open(&path, digest) {
                Ok(Some(sidecar)) => {
                    let sidecar = Arc::new(sidecar);
                    lock(&self.cache).put_sidecar(*digest, Known::Sidecar(Arc::clone(&sidecar)));
                    sidecar
                }
                Ok(None) => return Ok(None),
                // Said once. What could not be read is tried again.
                Err(error @ WordsError::NotRead { .. }) => return Err(error),
                Err(error) => {
                    lock(&self.cache).put_sidecar(*digest, Known::Unusable);
                    return Err(error);
                }
            },
        };
        let mut look = LookUp { store: self, path: &path, digest, sidecar: &sidecar, file: None };
        let mut found = Groups::default();
        for (number, section) in sidecar.sections.iter().enumerate() {
            let set = look.groups(number, section, need)?;
            found.0.extend((0..section.groups).map(|it| set >> it & 1 == 1));
        }
        Ok(Some(found))
    }

    #[cfg(test)]
    pub(super) fn with_cache(self, bytes_max: usize) -> Self {
        Self { cache: Mutex::new(Cache::new(bytes_max)), ..self }
    }

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        let cache = lock(&self.cache);
        cache.young.bytes + cache.old.bytes
    }

    fn open(&self, path: &str, digest: &[u8; 32]) -> Result<Option<Sidecar>, WordsError> {
        let file = match self.disk.open_read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WordsError::NotRead { path: path.to_owned(), source }),
        };
        let not_read = |source| WordsError::NotRead { path: path.to_owned(), source };
        let malformed = || WordsError::Malformed { path: path.to_owned() };
        let size = file.len().map_err(not_read)?;
        let mut header = [0; CHUNK_HEADER_BYTES];
        if size < header.len() as u64 {
            return Err(malformed());
        }
        file.read_at(0, &mut header).map_err(not_read)?;
        let opener = ChunkOpener::new(&self.key, &header, size)
            .map_err(|source| WordsError::Sealed { path: path.to_owned(), source })?;
        let end = opener.plaintext_size();
        // The last chunk, and the one before if the last is short: mostly that is all that is needed.
        let mut start = end.saturating_sub(CHUNK_BYTES as u64 / 2) / CHUNK_BYTES as u64 * CHUNK_BYTES as u64;
        let mut tail = read(&*file, &opener, path, start..end)?;
        let trailer = Trailer::parse(&tail).ok_or_else(malformed)?;
        if trailer.version != VERSION {
            return Err(WordsError::VersionUnknown { path: path.to_owned(), version: trailer.version });
        }
        if trailer.digest != *digest {
            return Err(WordsError::OtherSegment { path: path.to_owned() });
        }
        let directory_bytes = trailer.directory_bytes().ok_or_else(malformed)?;
        let mut need = |bytes: u64, tail: &mut Vec<u8>| -> Result<(), WordsError> {
            let from = end.checked_sub(bytes).ok_or_else(malformed)?;
            if from < start {
                let mut more = read(&*file, &opener, path, from..start)?;
                more.append(tail);
                (*tail, start) = (more, from);
            }
            Ok(())
        };
        need(directory_bytes, &mut tail)?;
        let directory = last(&tail, directory_bytes).ok_or_else(malformed)?;
        let sections = directory_entries(directory, trailer.sections).ok_or_else(malformed)?;
        let index_bytes = sections.iter().map(|it| buckets(it.terms) * 4).sum::<u64>();
        // No more is read than the file has, whatever it says.
        need(directory_bytes.saturating_add(index_bytes), &mut tail)?;
        let index = last(&tail, directory_bytes + index_bytes).ok_or_else(malformed)?;
        let data_end = end - directory_bytes - index_bytes;
        Sidecar::new(opener, sections, index, data_end).map(Some).ok_or_else(malformed)
    }
}

fn read(file: &dyn DiskFile, opener: &ChunkOpener, path: &str, range: Range<u64>) -> Result<Vec<u8>, WordsError> {
    let on_disk = opener.ciphertext_range(&range);
    let mut sealed = vec![0; (on_disk.end - on_disk.start) as usize];
    file.read_at(on_disk.start, &mut sealed).map_err(|source| WordsError::NotRead { path: path.to_owned(), source })?;
    opener.open_range(&range, &sealed).map_err(|source| WordsError::Sealed { path: path.to_owned(), source })
}

fn last(bytes: &[u8], count: u64) -> Option<&[u8]> {
    bytes.get(bytes.len().checked_sub(usize::try_from(count).ok()?)?..)
}

struct Trailer {
    version: u16,
    sections: u32,
    digest: [u8; 32],
}

impl Trailer {
    fn parse(tail: &[u8]) -> Option<Self> {
        let trailer = tail.last_chunk::<TRAILER_BYTES>()?.as_slice();
        let (magic, rest) = trailer.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (fingerprint, rest) = rest.split_first_chunk::<2>()?;
        let (sections, rest) = rest.split_first_chunk()?;
        let (seed, rest) = rest.split_first_chunk()?;
        let digest = *rest.first_chunk::<32>()?;
        let version = u16::from_le_bytes(*version);
        let is_known =
            version != VERSION || *fingerprint == [FINGERPRINT_BITS as u8, 0] && u64::from_le_bytes(*seed) == SEED;
        (*magic == MAGIC && is_known).then_some(Self { version, sections: u32::from_le_bytes(*sections), digest })
    }

    /// Of the directory and the trailer.
    fn directory_bytes(&self) -> Option<u64> {
        let sections = u64::from(self.sections);
        (sections <= Limits::default().sections_max as u64)
            .then_some(sections * DIRECTORY_BYTES as u64 + TRAILER_BYTES as u64)
    }
}

struct SectionEntry {
    groups: u32,
    has_all: u64,
    terms: u64,
}

fn directory_entries(directory: &[u8], sections: u32) -> Option<Vec<SectionEntry>> {
    let (entries, _) = directory.as_chunks::<DIRECTORY_BYTES>();
    entries
        .get(..sections as usize)?
        .iter()
        .map(|entry| {
            let (groups, rest) = entry.split_first_chunk()?;
            let (has_all, rest) = rest.get(4..)?.split_first_chunk()?;
            let groups = u32::from_le_bytes(*groups);
            let terms = u64::from_le_bytes(*rest.first_chunk()?);
            let is_possible = (1..=SECTION_GROUPS_MAX as u32).contains(&groups) && terms < 1 << 40;
            is_possible.then_some(SectionEntry { groups, has_all: u64::from_le_bytes(*has_all), terms })
        })
        .collect()
}

/// What is known of a sidecar without its data.
struct Sidecar {
    opener: ChunkOpener,
    sections: Vec<Section>,
}

struct Section {
    groups: u32,
    has_all: u64,
    terms: u64,
    /// Where its data begins.
    start: u64,
    /// Where each bucket ends, counted from `start`.
    ends: Vec<u32>,
}

impl Sidecar {
    fn new(opener: ChunkOpener, entries: Vec<SectionEntry>, mut index: &[u8], data_end: u64) -> Option<Self> {
        let mut start = 0;
        let mut sections = Vec::with_capacity(entries.len());
        for SectionEntry { groups, has_all, terms } in entries {
            let (ends, rest) = index.split_at_checked(usize::try_from(buckets(terms) * 4).ok()?)?;
            index = rest;
            let ends: Vec<u32> = ends.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it)).collect();
            let is_sorted =
                ends.is_sorted() && ends.windows(2).all(|it| matches!(it, [a, b] if b - a <= BUCKET_BYTES_MAX));
            if !is_sorted || ends.first().is_some_and(|it| *it > BUCKET_BYTES_MAX) {
                return None;
            }
            let length = ends.last().copied().unwrap_or(0);
            sections.push(Section { groups, has_all, terms, start, ends });
            start += u64::from(length);
        }
        (start == data_end).then_some(Self { opener, sections })
    }

    fn memory_bytes(&self) -> usize {
        let of_sections: usize = self.sections.iter().map(|it| size_of::<Section>() + it.ends.len() * 4).sum();
        size_of::<Self>() + of_sections
    }
}

/// Look-ups in one sidecar, whose file is opened for the first bucket that is not in the cache.
struct LookUp<'l> {
    store: &'l WordsStore,
    path: &'l str,
    digest: &'l [u8; 32],
    sidecar: &'l Sidecar,
    file: Option<Box<dyn DiskFile>>,
}

impl LookUp<'_> {
    /// Needs nest no deeper than queries.
    fn groups(&mut self, number: usize, section: &Section, need: &Need) -> Result<u64, WordsError> {
        let mut set;
        match need {
            Need::Nothing => set = all(section.groups),
            Need::Term(term) => set = self.term(number, section, *term)?,
            Need::All(parts) => {
                set = all(section.groups);
                for part in parts {
                    if set == 0 {
                        break;
                    }
                    set &= self.groups(number, section, part)?;
                }
            }
            Need::Any(parts) => {
                set = 0;
                for part in parts {
                    if set == all(section.groups) {
                        break;
                    }
                    set |= self.groups(number, section, part)?;
                }
            }
        }
        Ok(set)
    }

    fn term(&mut self, number: usize, section: &Section, Term(hash): Term) -> Result<u64, WordsError> {
        let has_all = section.has_all & all(section.groups);
        if section.terms == 0 {
            return Ok(has_all);
        }
        let bucket = bucket_of(hash, section.terms) as usize;
        let id = (*self.digest, number as u32, bucket as u32);
        let cached = lock(&self.store.cache).bucket(&id);
        let bytes = match cached {
            Some(bytes) => bytes,
            None => {
                let bytes: Arc<[u8]> = self.read(section, bucket)?.into();
                lock(&self.store.cache).put_bucket(id, Arc::clone(&bytes));
                bytes
            }
        };
        let malformed = |_| WordsError::Malformed { path: self.path.to_owned() };
        Ok(has_all | look_up(&bytes, hash, section.terms, section.groups).map_err(malformed)?)
    }

    fn read(&mut self, section: &Section, bucket: usize) -> Result<Vec<u8>, WordsError> {
        let start = bucket.checked_sub(1).and_then(|it| section.ends.get(it)).copied().unwrap_or(0);
        let end = section.ends.get(bucket).copied().unwrap_or(start);
        let not_read = |source| WordsError::NotRead { path: self.path.to_owned(), source };
        let file = match self.file.take() {
            Some(file) => file,
            None => self.store.disk.open_read(self.path).map_err(not_read)?,
        };
        let range = section.start + u64::from(start)..section.start + u64::from(end);
        let bytes = read(&*file, &self.sidecar.opener, self.path, range)?;
        self.file = Some(file);
        Ok(bytes)
    }
}

#[derive(Clone)]
enum Known {
    Sidecar(Arc<Sidecar>),
    /// It was said already that it is not.
    Unusable,
}

/// Digest of the segment, section, bucket.
type BucketId = ([u8; 32], u32, u32);

/// What was read: entries that were used lately, and those that were not, which go when the others take half of the
/// memory.
struct Cache {
    bytes_max: usize,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    sidecars: HashMap<[u8; 32], Known>,
    buckets: HashMap<BucketId, Arc<[u8]>>,
    bytes: usize,
}

impl Cache {
    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, young: Generation::default(), old: Generation::default() }
    }

    fn sidecar(&mut self, id: &[u8; 32]) -> Option<Known> {
        if let Some(known) = self.young.sidecars.get(id) {
            return Some(known.clone());
        }
        let known = self.old.sidecars.remove(id)?;
        self.put_sidecar(*id, known.clone());
        Some(known)
    }

    fn bucket(&mut self, id: &BucketId) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.young.buckets.get(id) {
            return Some(Arc::clone(bytes));
        }
        let bytes = self.old.buckets.remove(id)?;
        self.put_bucket(*id, Arc::clone(&bytes));
        Some(bytes)
    }

    fn put_sidecar(&mut self, id: [u8; 32], known: Known) {
        let bytes = match &known {
            Known::Sidecar(sidecar) => sidecar.memory_bytes(),
            Known::Unusable => 0,
        };
        if self.make_room(bytes) {
            self.young.sidecars.insert(id, known);
        }
    }

    fn put_bucket(&mut self, id: BucketId, bytes: Arc<[u8]>) {
        if self.make_room(bytes.len()) {
            self.young.buckets.insert(id, bytes);
        }
    }

    /// Whether there is room for an entry, which is then taken.
    fn make_room(&mut self, bytes: usize) -> bool {
        let bytes = bytes + CACHE_ENTRY_BYTES;
        if bytes > self.bytes_max / 2 {
            return false;
        }
        if self.young.bytes + bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        true
    }
}

/// A panic elsewhere leaves the cache as it was; it is as good as before.
fn lock(mutex: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
