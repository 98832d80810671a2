//! Log, hot events and segments as one: what the pipeline writes to.
//!
//! An event is in exactly one of two places for searches: *hot* (in memory, made again from the log after a restart) or
//! in a *segment*. [`Store::seal`] moves the hot ones over; the manifest's entry is the moment.
//!
//! In the data folder: `lock`, `log/`, `manifest`, `segments/`, `checkpoint` (the caller's state, one sealed file that
//! is only ever replaced whole), and the catalogue, which is not the store's.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use panoptes_model::{EventBatch, FrameId, LogFrame, Timestamp};
use panoptes_seal::{CHUNK_BYTES, ChunkOpener, KeyEncryptionKey, SealError};

use crate::compact::CompactError;
use crate::disk::{Disk, RealDisk, create_dir_durably, read_all};
use crate::holds::HoldError;
use crate::lock::DataLock;
use crate::log::{Log, LogError, LogOptions, Recovery};
use crate::manifest::{Change, Contents, Manifest, ManifestError, Segment};
use crate::retention::Retention;
use crate::segment::{FOLDER, SealingFile, SegmentWriteError, remove_orphans, write_segments};

use self::tend::Tending;
pub use self::tend::{Compaction, Deletion, Erased};

pub(crate) const LOG: &str = "log";
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const CHECKPOINT: &str = "checkpoint";
const CHECKPOINT_NEW: &str = "checkpoint.new";

/// How long [`Store::keep`] waits for room. When sealing takes longer (a disk that is full or slow), the batch is kept
/// all the same: the log is on the same disk and then takes no more frames either.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);

/// When events move to segments, and how much may be in memory.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Hot events are sealed when their batches take this much memory.
    pub segment_bytes: usize,
    /// And at the latest so long after the first of them was received.
    pub segment_age: Duration,
    /// [`Store::keep`] waits when hot events take this much memory.
    pub hot_bytes_max: usize,
    pub log: LogOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            segment_age: Duration::from_secs(600),
            hot_bytes_max: 64 << 20,
            log: LogOptions::default(),
        }
    }
}

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("the log cannot be used")]
    Log(#[from] LogError),
    #[error("the manifest cannot be used")]
    Manifest(#[from] ManifestError),
    #[error("segments cannot be written")]
    Segment(#[from] SegmentWriteError),
    #[error("segments cannot be merged")]
    Compact(#[from] CompactError),
    #[error("it is not known what must be kept")]
    Hold(#[from] HoldError),
    #[error("the checkpoint cannot be written")]
    Checkpoint(#[source] SegmentWriteError),
    #[error("could not {operation} `{path}`; check the disk and the permissions")]
    Disk { operation: &'static str, path: &'static str, source: io::Error },
    #[error("`{path}` is damaged or sealed with another key; remove it to start without it")]
    CheckpointUnreadable { path: &'static str, source: SealError },
    #[error("`{path}` cannot be sealed")]
    Seal { path: &'static str, source: SealError },
}

fn disk_error(operation: &'static str, path: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Disk { operation, path, source }
}

/// Events that are not in segments yet, in the order of their frames.
#[derive(Default)]
struct Hot {
    batches: VecDeque<Arc<EventBatch>>,
    bytes: usize,
}

/// The one writer of a data folder.
pub struct Store {
    disk: Arc<dyn Disk>,
    key: KeyEncryptionKey,
    options: StoreOptions,
    log: Mutex<Log>,
    manifest: Mutex<Manifest>,
    hot: Mutex<Hot>,
    /// Told whenever hot events become fewer.
    room: Condvar,
    sealed_through: AtomicU64,
    /// One sealing at a time; how many there were.
    sealing: Mutex<u32>,
    /// One change to segments that are there at a time.
    tending: Mutex<Tending>,
    retention: Retention,
    /// Held as long as the store lives; `None` on a simulated disk.
    _lock: Option<DataLock>,
}

impl Store {
    /// Opens the data folder that `lock` locks. The frames of the [`Recovery`] after both the caller's checkpoint and
    /// [`sealed_through`](Self::sealed_through) have to be prepared, folded and [kept](Self::keep) again.
    pub fn open(
        folder: &Path,
        key: &KeyEncryptionKey,
        lock: DataLock,
        options: StoreOptions,
    ) -> Result<(Self, Recovery), StoreError> {
        let disk = RealDisk::open(folder.to_owned()).map_err(disk_error("open", "the data folder"))?;
        Self::open_on(Arc::new(disk), key, Some(lock), options)
    }

    /// The same on any disk. Without a lock, that there is no other writer is the caller's to see to.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        key: &KeyEncryptionKey,
        lock: Option<DataLock>,
        options: StoreOptions,
    ) -> Result<(Self, Recovery), StoreError> {
        let manifest = Manifest::open(&disk, key, MANIFEST)?;
        for problem in manifest.contents().problems() {
            tracing::error!("{problem}");
        }
        create_dir_durably(&*disk, FOLDER).map_err(disk_error("make", FOLDER))?;
        // With a damaged manifest nobody knows which segments are left-overs.
        if manifest.contents().problems().is_empty() {
            let known: HashSet<String> = manifest.segments().flat_map(Segment::files).collect();
            let removed = remove_orphans(&*disk, &known)?;
            if removed > 0 {
                tracing::info!(removed, "what an interrupted sealing left was removed");
            }
        }
        let (mut log, recovery) = Log::open_with(Arc::clone(&disk), key, LOG, options.log)?;
        if let Some(torn) = recovery.torn_tail() {
            tracing::info!(
                file = torn.file,
                offset = torn.offset,
                bytes = torn.bytes,
                "an unfinished write was cut off"
            );
        }
        log.continue_after(manifest.frame_last());
        let sealed_through = AtomicU64::new(manifest.frame_last().0);
        let store = Self {
            disk,
            key: key.clone(),
            options,
            log: Mutex::new(log),
            manifest: Mutex::new(manifest),
            hot: Mutex::default(),
            room: Condvar::new(),
            sealed_through,
            sealing: Mutex::new(0),
            tending: Mutex::default(),
            retention: Retention::default(),
            _lock: lock,
        };
        Ok((store, recovery))
    }

    /// The same with policies of retention: events of different ones go to different segments from now on.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// The id that the next frame must have.
    pub fn next_frame(&self) -> FrameId {
        lock(&self.log).next_id()
    }

    /// Declares all ids up to `last` as used ([`Log::continue_after`]).
    pub fn continue_after(&self, last: FrameId) {
        lock(&self.log).continue_after(last);
    }

    /// Makes frames durable ([`Log::append`]).
    pub fn append(&self, frames: &[LogFrame]) -> Result<(), LogError> {
        lock(&self.log).append(frames)
    }

    /// Makes the events of a frame searchable. Frames come in order; one that is in segments already is left out.
    /// Waits for room when sealing lags behind.
    pub fn keep(&self, batch: Arc<EventBatch>) {
        if batch.frame() <= self.sealed_through() {
            return;
        }
        let bytes = batch.memory_bytes();
        let full = |hot: &mut Hot| hot.bytes > 0 && hot.bytes + bytes > self.options.hot_bytes_max;
        let hot = lock(&self.hot);
        let (mut hot, _) =
            self.room.wait_timeout_while(hot, ROOM_WAIT_MAX, full).unwrap_or_else(PoisonError::into_inner);
        hot.bytes += bytes;
        hot.batches.push_back(batch);
    }

    /// Whether it is time to [`seal`](Self::seal), at the clock `now`.
    pub fn seal_due(&self, now: Timestamp) -> bool {
        let hot = lock(&self.hot);
        let age = || {
            let first = hot.batches.iter().find_map(|it| it.event(0))?.received_at();
            u64::try_from(now.nanos_since(first)).ok().map(Duration::from_nanos)
        };
        hot.bytes >= self.options.segment_bytes || age().is_some_and(|age| age >= self.options.segment_age)
    }

    /// Moves all hot events into segments. `now` is noted in the manifest. Gives the number of events moved.
    pub fn seal(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.seal_first(now, &|batches| batches.len())
    }

    /// The same, but events of the newest day wait for more of it if others take at least half of the memory: what is
    /// taken in day by day then makes a segment of each day, and little is left to merge.
    pub fn seal_ripe(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.seal_first(now, &ripe)
    }

    /// Seals as many of the hot batches, from the oldest on, as `count` says.
    fn seal_first(&self, now: Timestamp, count: &dyn Fn(&[Arc<EventBatch>]) -> usize) -> Result<u64, StoreError> {
        let mut attempt = lock(&self.sealing);
        let mut batches: Vec<Arc<EventBatch>> = lock(&self.hot).batches.iter().cloned().collect();
        batches.truncate(count(&batches));
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(0) };
        let (first, last) = (first.frame(), last.frame());
        *attempt += 1;
        let segments = write_segments(&*self.disk, &self.key, &batches, (first, last), *attempt, &self.retention)?;
        if segments.is_empty() {
            // Frames without events wait for the next that has some.
            return Ok(0);
        }
        let rows = segments.iter().map(|it| it.rows).sum();
        // Both at once, so that a search sees each event in exactly one place.
        let mut hot = lock(&self.hot);
        let mut manifest = lock(&self.manifest);
        manifest.append(now, Change::Sealed(segments))?;
        self.sealed_through.store(last.0, Ordering::Release);
        hot.batches.drain(..batches.len());
        hot.bytes = hot.batches.iter().map(|it| it.memory_bytes()).sum();
        self.room.notify_all();
        Ok(rows)
    }

    /// The last frame whose events are in segments.
    pub fn sealed_through(&self) -> FrameId {
        FrameId(self.sealed_through.load(Ordering::Acquire))
    }

    /// Bytes of memory that hot events take.
    pub fn hot_bytes(&self) -> usize {
        lock(&self.hot).bytes
    }

    /// What a search has to look at: hot batches in order of frames, and segments, at one moment.
    pub fn snapshot(&self) -> (Vec<Arc<EventBatch>>, Vec<Segment>) {
        let hot = lock(&self.hot);
        let manifest = lock(&self.manifest);
        (hot.batches.iter().cloned().collect(), manifest.segments().cloned().collect())
    }

    /// Deletes log files that hold only frames which are in segments and up to `through`: the caller's checkpoint.
    pub fn release(&self, through: FrameId) -> Result<(), StoreError> {
        Ok(lock(&self.log).remove_through(through.min(self.sealed_through()))?)
    }

    /// Replaces the checkpoint by what `fill` writes: afterwards it lasts, and until then the old one does. It goes to
    /// the disk piece by piece, because it may be large.
    pub fn write_checkpoint(&self, fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), StoreError> {
        match self.disk.remove(CHECKPOINT_NEW) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk_error("remove", CHECKPOINT_NEW)(error));
            }
            _ => {}
        }
        let sealing = SealingFile::create(&*self.disk, CHECKPOINT, &self.key).map_err(StoreError::Checkpoint)?;
        let mut out = io::BufWriter::with_capacity(CHUNK_BYTES, sealing);
        fill(&mut out).map_err(disk_error("write", CHECKPOINT))?;
        let sealing = out.into_inner().map_err(|it| disk_error("write", CHECKPOINT)(it.into_error()))?;
        sealing.finish(&*self.disk, CHECKPOINT).map_err(StoreError::Checkpoint)?;
        self.disk.sync_dir("").map_err(disk_error("sync", "the data folder"))
    }

    /// The last checkpoint that was written.
    pub fn read_checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let file = match self.disk.open_read(CHECKPOINT) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk_error("read", CHECKPOINT)(error)),
        };
        let sealed = read_all(&*file).map_err(disk_error("read", CHECKPOINT))?;
        let unreadable = |source| StoreError::CheckpointUnreadable { path: CHECKPOINT, source };
        ChunkOpener::open_all(&self.key, &sealed).map(Some).map_err(unreadable)
    }
}

/// How many of these batches are not to wait: those before the newest day, if they are at least half, or else all.
fn ripe(batches: &[Arc<EventBatch>]) -> usize {
    let newest = |batch: &Arc<EventBatch>| batch.events().map(|it| it.time().day()).max();
    let Some(day) = batches.iter().rev().find_map(newest) else { return batches.len() };
    let is_before = |batch: &&Arc<EventBatch>| newest(batch).is_none_or(|it| it < day);
    let before = batches.iter().take_while(is_before).count();
    let bytes = |batches: &[Arc<EventBatch>]| batches.iter().map(|it| it.memory_bytes()).sum::<usize>();
    let (first, rest) = batches.split_at_checked(before).unwrap_or((batches, &[]));
    // Frames without events take memory too.
    let has_events = first.iter().any(|it| !it.is_empty());
    if has_events && bytes(first) >= bytes(rest) { before } else { batches.len() }
}

/// A data folder to look into while another process may be writing to it.
pub struct StoreReader {
    pub disk: Arc<dyn Disk>,
    pub segments: Vec<Segment>,
    /// Frames after this one are not in segments: prepare them from [`log`](Self::log).
    pub sealed_through: FrameId,
    pub log: Recovery,
}

impl StoreReader {
    /// Opens `folder` without changing anything.
    pub fn open(folder: &Path, key: &KeyEncryptionKey) -> Result<Self, StoreError> {
        let disk = RealDisk::open(folder.to_owned()).map_err(disk_error("open", "the data folder"))?;
        Self::open_on(Arc::new(disk), key)
    }

    /// The same on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, key: &KeyEncryptionKey) -> Result<Self, StoreError> {
        // The log first: what is sealed meanwhile is then in both, and the manifest tells which frames to leave out.
        let log = Recovery::open_read_only(Arc::clone(&disk), key, LOG)?;
        let contents = Contents::read(&*disk, key, MANIFEST)?;
        for problem in contents.iter().flat_map(Contents::problems) {
            tracing::error!("{problem}");
        }
        let segments = contents.iter().flat_map(Contents::segments).cloned().collect();
        let sealed_through = contents.as_ref().map_or(FrameId(0), Contents::frame_last);
        Ok(Self { disk, segments, sealed_through, log })
    }

    /// Whether no frame went into a segment since it was opened. Otherwise the log may have given up some of those that
    /// segments did not have then.
    pub fn is_current(&self, key: &KeyEncryptionKey) -> Result<bool, StoreError> {
        let now = Contents::read(&*self.disk, key, MANIFEST)?;
        Ok(now.as_ref().map_or(FrameId(0), Contents::frame_last) == self.sealed_through)
    }
}

/// A panic elsewhere leaves nothing half changed under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

mod tend;

#[cfg(test)]
mod failures;
#[cfg(test)]
mod lying;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use panoptes_model::{Origin, RawBatch};

    use super::*;
    use crate::disk::SimDisk;

    fn frame(id: u64) -> LogFrame {
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin::default());
        for n in 0..3 {
            records.push(origin, Timestamp::from_seconds(id as i64), n, format!("event {id} {n}").as_bytes());
        }
        LogFrame {
            id: FrameId(id),
            now: Timestamp::from_seconds(id as i64),
            rules_epoch: 1,
            snapshots_epoch: 0,
            records,
        }
    }

    fn events(frame: &LogFrame) -> Arc<EventBatch> {
        testing::prepared_at(frame, |_| frame.now)
    }

    fn texts_of(batches: &[Arc<EventBatch>]) -> Vec<String> {
        batches.iter().flat_map(|it| it.events().map(|event| event.original().to_owned()).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn events_are_hot_or_in_a_segment_and_never_in_both() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::generate().unwrap();
        let (store, _) = Store::open_on(Arc::clone(&disk), &key, None, StoreOptions::default()).unwrap();
        for id in 1..=4 {
            store.append(&[frame(id)]).unwrap();
            store.keep(events(&frame(id)));
            if id == 2 {
                assert_eq!(store.seal(Timestamp(5)).unwrap(), 6);
            }
        }
        let (hot, segments) = store.snapshot();
        assert_eq!(texts_of(&hot).len(), 6);
        assert_eq!(segments.iter().map(|it| it.rows).sum::<u64>(), 6);
        // A frame that comes again from the log is not kept twice.
        store.keep(events(&frame(2)));
        assert_eq!(texts_of(&store.snapshot().0).len(), 6);
        drop(store);
        let (store, recovery) = Store::open_on(disk, &key, None, StoreOptions::default()).unwrap();
        assert_eq!((store.sealed_through(), store.next_frame()), (FrameId(2), FrameId(5)));
        let again: Vec<_> = recovery.frames_after(store.sealed_through()).map(|it| it.unwrap().id.0).collect();
        assert_eq!(again, [3, 4]);
    }

    #[test]
    fn the_log_goes_only_when_segments_and_checkpoint_are_past_it() {
        let disk = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::generate().unwrap();
        let log = LogOptions { file_bytes_max: 1, ..LogOptions::default() };
        let options = StoreOptions { log, ..StoreOptions::default() };
        let (store, _) = Store::open_on(Arc::clone(&disk) as Arc<dyn Disk>, &key, None, options).unwrap();
        for id in 1..=4 {
            store.append(&[frame(id)]).unwrap();
            store.keep(events(&frame(id)));
        }
        let files = || disk.list("log").unwrap().len();
        store.release(FrameId(4)).unwrap();
        assert_eq!(files(), 4, "nothing is in segments");
        store.seal(Timestamp(0)).unwrap();
        store.release(FrameId(2)).unwrap();
        assert_eq!(files(), 2, "the checkpoint is not past the rest");
        store.release(FrameId(4)).unwrap();
        assert_eq!(files(), 1, "the newest file stays");
    }

    #[test]
    fn a_checkpoint_is_replaced_whole_or_not_at_all() {
        let key = KeyEncryptionKey::generate().unwrap();
        for cut in 0..12 {
            let disk = Arc::new(SimDisk::new());
            let open =
                || Store::open_on(Arc::clone(&disk) as Arc<dyn Disk>, &key, None, StoreOptions::default()).unwrap().0;
            let store = open();
            assert_eq!(store.read_checkpoint().unwrap(), None);
            store.write_checkpoint(|out| out.write_all(b"old")).unwrap();
            disk.power_off_after(cut);
            let written = store.write_checkpoint(|out| out.write_all(b"new")).is_ok();
            drop(store);
            disk.crash(cut);
            let found = open().read_checkpoint().unwrap().unwrap();
            assert!(found == b"new" || (!written && found == b"old"), "{cut}: {found:?}");
        }
    }

    #[test]
    fn full_hot_memory_waits_for_sealing() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::generate().unwrap();
        let options = StoreOptions { hot_bytes_max: 1, segment_bytes: 1, ..StoreOptions::default() };
        let (store, _) = Store::open_on(disk, &key, None, options).unwrap();
        let store = Arc::new(store);
        store.keep(events(&frame(1)));
        assert!(store.seal_due(Timestamp(0)));
        let second = std::thread::spawn({
            let store = Arc::clone(&store);
            move || store.keep(events(&frame(2)))
        });
        while store.seal(Timestamp(0)).unwrap() == 0 {}
        second.join().unwrap();
        let (hot, segments) = store.snapshot();
        assert_eq!(texts_of(&hot).len() as u64 + segments.iter().map(|it| it.rows).sum::<u64>(), 6);
    }

    #[test]
    fn the_newest_day_waits_while_others_take_more_memory() {
        use super::testing::{DAY, frame, prepared_at};
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::generate().unwrap();
        let (store, _) = Store::open_on(disk, &key, None, StoreOptions::default()).unwrap();
        let keep = |id: u64, day: i64| {
            let frame = frame(FrameId(id), &vec!["x".repeat(100); 50]);
            store.append(std::slice::from_ref(&frame)).unwrap();
            store.keep(prepared_at(&frame, |n| Timestamp(day * DAY + n as i64)));
        };
        assert_eq!(store.seal_ripe(Timestamp(0)).unwrap(), 0, "there is nothing");
        (1..=3).for_each(|id| keep(id, 4));
        keep(4, 5);
        assert_eq!(store.seal_ripe(Timestamp(0)).unwrap(), 150);
        assert_eq!(store.sealed_through(), FrameId(3));
        assert_eq!(store.seal_ripe(Timestamp(0)).unwrap(), 50, "nothing else is there");
        keep(5, 4);
        (6..=8).for_each(|id| keep(id, 5));
        assert_eq!(store.seal_ripe(Timestamp(0)).unwrap(), 200, "most is of the newest day");
        let (hot, segments) = store.snapshot();
        let rows: Vec<(i32, u64)> = segments.iter().map(|it| (it.day, it.rows)).collect();
        assert_eq!((hot.len(), rows), (0, vec![(4, 150), (5, 50), (4, 50), (5, 150)]));
        for id in 9..=40 {
            let frame = frame(FrameId(id), &[]);
            store.append(std::slice::from_ref(&frame)).unwrap();
            store.keep(prepared_at(&frame, |_| Timestamp(0)));
        }
        keep(41, 5);
        assert_eq!(store.seal_ripe(Timestamp(0)).unwrap(), 50, "frames without events wait for nothing");
    }

    #[test]
    fn a_reader_sees_what_a_running_writer_has_written() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::generate().unwrap();
        assert!(StoreReader::open_on(Arc::clone(&disk), &key).unwrap().segments.is_empty());
        let (store, _) = Store::open_on(Arc::clone(&disk), &key, None, StoreOptions::default()).unwrap();
        for id in 1..=2 {
            store.append(&[frame(id)]).unwrap();
            store.keep(events(&frame(id)));
            if id == 1 {
                store.seal(Timestamp(0)).unwrap();
            }
        }
        let reader = StoreReader::open_on(disk, &key).unwrap();
        assert_eq!((reader.segments.len(), reader.sealed_through), (1, FrameId(1)));
        assert_eq!(reader.log.frames_after(reader.sealed_through).count(), 1);
        assert!(reader.is_current(&key).unwrap());
        store.seal(Timestamp(0)).unwrap();
        assert!(!reader.is_current(&key).unwrap(), "the log may have given the frame up");
    }
}
