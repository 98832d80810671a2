//! Sealed segments as an object store to read from: DataFusion and the Parquet reader see plaintext and its sizes.
//!
//! Opened chunks are kept in a cache of at most [`CHUNK_CACHE_BYTES_MAX`]; footers and indexes are read again and
//! again. Reading is done where it is awaited: queries belong on a runtime of their own. What cannot be read is an
//! error *and* noted ([`SegmentStore::damage_since`]), because the error passes through layers that make text of it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use panoptes_seal::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_SEALED_BYTES, ChunkOpener, KeyEncryptionKey, SealError, plaintext_size,
};

use crate::disk::{Disk, DiskFile};
use crate::segment::FOLDER;

/// How much opened plaintext is kept for the next query; beyond it the chunk that was used least recently goes.
pub(crate) const CHUNK_CACHE_BYTES_MAX: usize = 32 << 20;
/// How many segments are kept open; beyond it one that is not in use is closed.
const OPEN_FILES_MAX: usize = 128;
/// How many of the last failures are remembered; older ones are forgotten.
const DAMAGE_MAX: usize = 100;

/// Why a segment cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    #[error("segment {segment} cannot be opened; restore it from a backup")]
    NotOpened { segment: String, source: Arc<SealError> },
    #[error("segment {segment} is damaged at byte {offset} of the file; restore it from a backup")]
    Damaged { segment: String, offset: u64, source: Arc<SealError> },
    #[error(
        "segment {segment} is damaged at byte {offset} of the file: its rows {rows} (up to {events} events) cannot be \
         read, the others are intact; restore it from a backup"
    )]
    RowsLost { segment: String, offset: u64, events: u64, rows: String, source: Arc<SealError> },
    #[error("segment {segment} cannot be read at byte {offset} of the file")]
    NotRead { segment: String, offset: u64, source: Arc<io::Error> },
    #[error("segment {segment} does not exist; restore it from a backup")]
    Missing { segment: String, source: Arc<io::Error> },
}

impl SegmentError {
    /// The segment's path in the data folder.
    pub fn segment(&self) -> &str {
        match self {
            Self::NotOpened { segment, .. }
            | Self::Damaged { segment, .. }
            | Self::RowsLost { segment, .. }
            | Self::NotRead { segment, .. }
            | Self::Missing { segment, .. } => segment,
        }
    }

    /// No complete file has the size that the manifest tells.
    pub(crate) fn size_impossible(segment: &str, bytes: u64) -> Self {
        Self::NotOpened { segment: segment.to_owned(), source: Arc::new(SealError::SizeImpossible { bytes }) }
    }

    fn into_object_error(self) -> object_store::Error {
        match &self {
            Self::Missing { segment, .. } => {
                object_store::Error::NotFound { path: segment.clone(), source: Box::new(self) }
            }
            _ => object_store::Error::Generic { store: NAME, source: Box::new(self) },
        }
    }
}

const NAME: &str = "sealed segments";

struct Segment {
    /// Tells chunks of this opening from those of another file that had the same name.
    number: u64,
    file: Box<dyn DiskFile>,
    opener: ChunkOpener,
}

#[derive(Default)]
struct Damage {
    total: u64,
    last: VecDeque<SegmentError>,
}

/// All segments of a data folder, to read.
pub(crate) struct SegmentStore {
    disk: Arc<dyn Disk>,
    key: KeyEncryptionKey,
    segments: Mutex<HashMap<String, Arc<Segment>>>,
    cache: Mutex<ChunkCache>,
    damage: Mutex<Damage>,
    opened: AtomicU64,
    bytes_read: AtomicU64,
    bytes_opened: AtomicU64,
}

impl SegmentStore {
    /// The segments on `disk`, under their paths in the data folder.
    pub(crate) fn new(disk: Arc<dyn Disk>, key: KeyEncryptionKey) -> Self {
        Self {
            disk,
            key,
            segments: Mutex::default(),
            cache: Mutex::new(ChunkCache::new(CHUNK_CACHE_BYTES_MAX)),
            damage: Mutex::default(),
            opened: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_opened: AtomicU64::new(0),
        }
    }

    /// A mark for [`damage_since`](Self::damage_since).
    pub(crate) fn damage_mark(&self) -> u64 {
        lock(&self.damage).total
    }

    /// What could not be read since the mark, newest first.
    pub(crate) fn damage_since(&self, mark: u64) -> Vec<SegmentError> {
        let damage = lock(&self.damage);
        let count = usize::try_from(damage.total.saturating_sub(mark)).unwrap_or(usize::MAX);
        damage.last.iter().rev().take(count).cloned().collect()
    }

    /// How many times a segment was opened: what pruning saves shows here.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many bytes were read from the disk so far, and how many of plaintext came of them. What the cache had does
    /// not count.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes_read.load(Ordering::Relaxed), self.bytes_opened.load(Ordering::Relaxed))
    }

    /// Plaintext size of the segment `name`.
    pub(crate) fn size(&self, name: &str) -> Result<u64, SegmentError> {
        self.noted(self.segment(name).map(|it| it.opener.plaintext_size()))
    }

    /// The bytes `range` of the segment `name`; what lies behind its end is left out.
    pub(crate) fn read(&self, name: &str, range: &Range<u64>) -> Result<Bytes, SegmentError> {
        self.noted(self.segment(name).and_then(|segment| self.read_range(name, &segment, range)))
    }

    fn noted<T>(&self, result: Result<T, SegmentError>) -> Result<T, SegmentError> {
        if let Err(error) = &result {
            let mut damage = lock(&self.damage);
            damage.total += 1;
            damage.last.push_back(error.clone());
            if damage.last.len() > DAMAGE_MAX {
                damage.last.pop_front();
            }
        }
        result
    }

    fn segment(&self, name: &str) -> Result<Arc<Segment>, SegmentError> {
        if let Some(segment) = lock(&self.segments).get(name) {
            return Ok(Arc::clone(segment));
        }
        let not_read = |error| SegmentError::NotRead { segment: name.to_owned(), offset: 0, source: Arc::new(error) };
        let not_opened = |error| SegmentError::NotOpened { segment: name.to_owned(), source: Arc::new(error) };
        let file = self.disk.open_read(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SegmentError::Missing { segment: name.to_owned(), source: Arc::new(error) },
            _ => not_read(error),
        })?;
        let size = file.len().map_err(not_read)?;
        let mut header = [0; CHUNK_HEADER_BYTES];
        if size < header.len() as u64 {
            return Err(not_opened(SealError::SizeImpossible { bytes: size }));
        }
        file.read_at(0, &mut header).map_err(not_read)?;
        let opener = ChunkOpener::new(&self.key, &header, size).map_err(not_opened)?;
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let segment = Arc::new(Segment { number, file, opener });
        let mut segments = lock(&self.segments);
        if segments.len() >= OPEN_FILES_MAX {
            let idle = segments.iter().find(|it| Arc::strong_count(it.1) == 1).map(|it| it.0.clone());
            idle.and_then(|name| segments.remove(&name));
        }
        segments.insert(name.to_owned(), Arc::clone(&segment));
        Ok(segment)
    }

    fn read_range(&self, name: &str, segment: &Segment, range: &Range<u64>) -> Result<Bytes, SegmentError> {
        let end = range.end.min(segment.opener.plaintext_size());
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let chunk_bytes = CHUNK_BYTES as u64;
        let chunks = range.start / chunk_bytes..end.div_ceil(chunk_bytes);
        let mut parts: Vec<Option<Bytes>> = {
            let mut cache = lock(&self.cache);
            chunks.clone().map(|chunk| cache.get((segment.number, chunk))).collect()
        };
        // Neighbours that are missing are read together.
        let mut missing: Vec<Range<u64>> = Vec::new();
        for (chunk, _) in chunks.clone().zip(&parts).filter(|it| it.1.is_none()) {
            match missing.last_mut() {
                Some(run) if run.end == chunk => run.end += 1,
                _ => missing.push(chunk..chunk + 1),
            }
        }
        for run in missing {
            let plaintext = run.start * chunk_bytes..run.end * chunk_bytes;
            let on_disk = segment.opener.ciphertext_range(&plaintext);
            let mut sealed = vec![0; (on_disk.end - on_disk.start) as usize];
            segment.file.read_at(on_disk.start, &mut sealed).map_err(|error| SegmentError::NotRead {
                segment: name.to_owned(),
                offset: on_disk.start,
                source: Arc::new(error),
            })?;
            self.bytes_read.fetch_add(sealed.len() as u64, Ordering::Relaxed);
            for (chunk, sealed) in run.zip(sealed.chunks(CHUNK_SEALED_BYTES)) {
                let plaintext = chunk * chunk_bytes..(chunk + 1) * chunk_bytes;
                let opened: Bytes = segment
                    .opener
                    .open_range(&plaintext, sealed)
                    .map_err(|error| SegmentError::Damaged {
                        segment: name.to_owned(),
                        offset: segment.opener.ciphertext_range(&plaintext).start,
                        source: Arc::new(error),
                    })?
                    .into();
                self.bytes_opened.fetch_add(opened.len() as u64, Ordering::Relaxed);
                lock(&self.cache).put((segment.number, chunk), opened.clone());
                if let Some(part) = parts.get_mut((chunk - chunks.start) as usize) {
                    *part = Some(opened);
                }
            }
        }
        let cut = |(chunk, part): (u64, Option<Bytes>)| {
            let part = part.unwrap_or_default();
            let start = chunk * chunk_bytes;
            let from = (range.start.saturating_sub(start) as usize).min(part.len());
            let to = (end.saturating_sub(start) as usize).min(part.len());
            part.slice(from..to)
        };
        let mut cut_parts = chunks.zip(parts).map(cut);
        match (cut_parts.next(), cut_parts.next()) {
            (Some(only), None) => Ok(only),
            (first, second) => {
                let mut whole = BytesMut::with_capacity((end - range.start) as usize);
                for part in first.into_iter().chain(second).chain(cut_parts) {
                    whole.extend_from_slice(&part);
                }
                Ok(whole.freeze())
            }
        }
    }
}

fn meta(name: &str, size: u64) -> ObjectMeta {
    // Segments never change, so a fixed time is as true as any.
    ObjectMeta { location: Path::from(name), last_modified: Default::default(), size, e_tag: None, version: None }
}

/// A panic elsewhere leaves caches as they were; they are as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for SegmentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentStore").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl fmt::Display for SegmentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

fn refused<T>(operation: &str) -> object_store::Result<T> {
    let reason = format!("sealed segments are read-only here: {operation} is not possible");
    Err(object_store::Error::NotSupported { source: reason.into() })
}

#[async_trait]
impl ObjectStore for SegmentStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        refused("writing")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        refused("writing")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let name = location.as_ref();
        let size = self.size(name).map_err(SegmentError::into_object_error)?;
        let meta = meta(name, size);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..size,
            Some(range) => range
                .as_range(size)
                .map_err(|source| object_store::Error::Generic { store: NAME, source: Box::new(source) })?,
        };
        let bytes = match options.head {
            true => Bytes::new(),
            false => self.read(name, &range).map_err(SegmentError::into_object_error)?,
        };
        let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let read = |range| self.read(location.as_ref(), range).map_err(SegmentError::into_object_error);
        ranges.iter().map(read).collect()
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        locations.map(|it| it.and_then(|_| refused("deleting"))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let found = match self.disk.list(FOLDER) {
            Ok(names) => names
                .into_iter()
                .map(|name| format!("{FOLDER}/{name}"))
                .filter(|path| prefix.is_none_or(|it| Path::from(path.as_str()).prefix_matches(it)))
                .filter_map(|path| {
                    let size = self.disk.open_read(&path).ok()?.len().ok()?;
                    Some(Ok(meta(&path, plaintext_size(size)?)))
                })
                .collect(),
            Err(source) => vec![Err(object_store::Error::Generic { store: NAME, source: Box::new(source) })],
        };
        stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let objects = self.list(prefix).collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>()?;
        Ok(ListResult { common_prefixes: Vec::new(), objects })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        refused("copying")
    }
}

/// Which opening of which segment, and which chunk of it.
type ChunkId = (u64, u64);

struct ChunkCache {
    chunks: HashMap<ChunkId, (Bytes, u64)>,
    bytes: usize,
    bytes_max: usize,
    /// Counts uses: the smallest number is the least recent.
    uses: u64,
}

impl ChunkCache {
    fn new(bytes_max: usize) -> Self {
        Self { chunks: HashMap::new(), bytes: 0, bytes_max, uses: 0 }
    }

    fn get(&mut self, id: ChunkId) -> Option<Bytes> {
        self.uses += 1;
        let (bytes, used) = self.chunks.get_mut(&id)?;
        *used = self.uses;
        Some(bytes.clone())
    }

    fn put(&mut self, id: ChunkId, bytes: Bytes) {
        self.uses += 1;
        self.bytes += bytes.len();
        if let Some((old, _)) = self.chunks.insert(id, (bytes, self.uses)) {
            self.bytes -= old.len();
        }
        while self.bytes > self.bytes_max {
            // Some hundred entries: looking at each is cheaper than keeping them in order.
            let Some(oldest) = self.chunks.iter().min_by_key(|it| it.1.1).map(|it| *it.0) else { return };
            if let Some((old, _)) = self.chunks.remove(&oldest) {
                self.bytes -= old.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use panoptes_seal::{ChunkSealer, ciphertext_size};

    use super::*;
    use crate::disk::SimDisk;

    fn key() -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes([5; 32])
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| ((n * 7) >> 2) as u8).collect()
    }

    fn store(sizes: &[usize], change: impl Fn(&mut Vec<u8>)) -> SegmentStore {
        let disk = SimDisk::new();
        disk.create_dir_all("segments").unwrap();
        for (n, size) in sizes.iter().enumerate() {
            let mut sealed = ChunkSealer::seal_all(&key(), &text(*size)).unwrap();
            change(&mut sealed);
            disk.create_new(&format!("segments/{n}")).unwrap().append(&sealed).unwrap();
        }
        SegmentStore::new(Arc::new(disk), key())
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn ranges_heads_and_lists_speak_of_plaintext() {
        let size = 3 * CHUNK_BYTES + 17;
        let store = store(&[size, 0], |_| {});
        let all = text(size);
        let path = Path::from("segments/0");
        assert_eq!(now(store.head(&path)).unwrap().size, size as u64);
        assert_eq!(now(async { store.get(&path).await?.bytes().await }).unwrap(), all);
        let c = CHUNK_BYTES as u64;
        let ranges = [0..1, c - 1..c + 1, c..2 * c, 0..3 * c, 3 * c + 16..3 * c + 17, 5..5];
        for (range, bytes) in ranges.iter().zip(now(store.get_ranges(&path, &ranges)).unwrap()) {
            assert_eq!(bytes, all[range.start as usize..range.end as usize], "{range:?}");
        }
        let suffix = GetOptions { range: Some(object_store::GetRange::Suffix(8)), ..Default::default() };
        let tail = now(async { store.get_opts(&path, suffix).await?.bytes().await }).unwrap();
        assert_eq!(tail, all[size - 8..]);
        let listed = now(store.list_with_delimiter(None)).unwrap().objects;
        let sizes: Vec<_> = listed.iter().map(|it| (it.location.as_ref(), it.size)).collect();
        assert_eq!(sizes, [("segments/0", size as u64), ("segments/1", 0)]);
        assert_eq!(now(async { store.get(&Path::from("segments/1")).await?.bytes().await }).unwrap(), "");
        assert!(matches!(now(store.head(&Path::from("segments/2"))), Err(object_store::Error::NotFound { .. })));
        assert!(now(store.put(&path, "x".into())).is_err() && now(store.delete(&path)).is_err());
    }

    #[test]
    fn a_damaged_chunk_names_segment_and_offset_and_the_others_still_open() {
        let store = store(&[3 * CHUNK_BYTES], |sealed| sealed[CHUNK_HEADER_BYTES + CHUNK_SEALED_BYTES + 99] ^= 1);
        let c = CHUNK_BYTES as u64;
        assert_eq!(store.read("segments/0", &(0..c)).unwrap(), text(CHUNK_BYTES));
        assert_eq!(store.read("segments/0", &(2 * c..3 * c)).unwrap(), text(3 * CHUNK_BYTES)[2 * CHUNK_BYTES..]);
        let error = store.read("segments/0", &(c - 1..c + 1)).unwrap_err();
        let place = CHUNK_HEADER_BYTES + CHUNK_SEALED_BYTES;
        assert_eq!(
            error.to_string(),
            format!("segment segments/0 is damaged at byte {place} of the file; restore it from a backup")
        );
        assert_eq!((store.damage_since(0).len(), store.damage_since(store.damage_mark()).len()), (1, 0));
    }

    #[test]
    fn a_segment_cut_at_a_chunk_border_is_damaged_at_its_end() {
        let store =
            store(&[3 * CHUNK_BYTES], |sealed| sealed.truncate(ciphertext_size(2 * CHUNK_BYTES as u64) as usize));
        assert_eq!(store.size("segments/0").unwrap(), 2 * CHUNK_BYTES as u64);
        let end = 2 * CHUNK_BYTES as u64;
        assert!(matches!(store.read("segments/0", &(end - 8..end)), Err(SegmentError::Damaged { .. })));
    }

    #[test]
    fn another_key_is_told_by_name() {
        let disk = SimDisk::new();
        disk.create_dir_all("segments").unwrap();
        let sealed = ChunkSealer::seal_all(&KeyEncryptionKey::from_bytes([6; 32]), b"x").unwrap();
        disk.create_new("segments/0").unwrap().append(&sealed).unwrap();
        let error = SegmentStore::new(Arc::new(disk), key()).size("segments/0").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(&key().id().to_string()), "{source}");
    }

    #[test]
    fn only_the_last_failures_are_remembered() {
        let store = store(&[], |_| {});
        for n in 0..DAMAGE_MAX + 5 {
            assert!(store.size(&format!("segments/{n}")).is_err());
        }
        let remembered = store.damage_since(0);
        assert_eq!((remembered.len(), remembered[0].segment()), (DAMAGE_MAX, "segments/104"));
    }

    #[test]
    fn the_cache_forgets_what_was_used_least_recently() {
        let mut cache = ChunkCache::new(30);
        for chunk in 0..3 {
            cache.put((0, chunk), Bytes::from(vec![0; 10]));
        }
        assert!(cache.get((0, 0)).is_some());
        cache.put((0, 3), Bytes::from(vec![0; 10]));
        let kept: Vec<_> = (0..4).map(|chunk| cache.get((0, chunk)).is_some()).collect();
        assert_eq!((kept, cache.bytes), (vec![true, false, true, true], 30));
        cache.put((0, 9), Bytes::from(vec![0; 31]));
        assert_eq!((cache.bytes, cache.chunks.len()), (0, 0), "nothing may exceed the limit");
    }

    #[test]
    fn open_files_are_bounded() {
        let store = store(&vec![1; OPEN_FILES_MAX + 5], |_| {});
        for n in 0..OPEN_FILES_MAX + 5 {
            store.size(&format!("segments/{n}")).unwrap();
        }
        assert_eq!(lock(&store.segments).len(), OPEN_FILES_MAX);
    }
}
