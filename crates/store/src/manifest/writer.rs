//! Writing the manifest.

use std::io;
use std::sync::Arc;

use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::{Header, KeyEncryptionKey, VALUE_OVERHEAD_BYTES};

use super::reader::{Keys, read_header};
use super::{
    Change, Contents, ENTRY_BYTES_MAX, Entry, Erasure, Head, KIND, ManifestError, SEGMENTS_MAX, Segment, disk_error,
    on_disk::EntryOnDisk,
};
use crate::disk::{Disk, DiskFile, create_dir_durably};
use crate::record::{PREFIX_BYTES, push_prefix};

/// The one writer of a manifest. That it is the only one is the caller's to see to
/// ([`DataLock`](crate::lock::DataLock)).
pub struct Manifest {
    path: String,
    file: Box<dyn DiskFile>,
    keys: Keys,
    pub(super) contents: Contents,
    /// Where the last acknowledged entry ends.
    end: u64,
    /// A write or sync failed: what lies behind `end` must be cut off before more is written.
    tail_unknown: bool,
}

impl Manifest {
    /// Opens the manifest at `path`, verifies its chain and cuts off a torn entry at its end. It is made if it is
    /// missing. What is wrong with it is in [`Contents::problems`].
    pub fn open(disk: &Arc<dyn Disk>, kek: &KeyEncryptionKey, path: &str) -> Result<Self, ManifestError> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !disk.exists(path).map_err(disk_error("look for", path))? {
            create(&**disk, kek, folder, path)?;
        }
        // An earlier process may have been killed between renaming and syncing.
        disk.sync_dir(folder).map_err(disk_error("sync", folder))?;
        let mut file = disk.open_append(path).map_err(disk_error("open", path))?;
        let keys = read_header(&*file, kek, path)?;
        let reading = disk.open_read(path).map_err(disk_error("open", path))?;
        let (contents, end, last) = Contents::of(reading, &keys, path)?;
        if contents.torn_bytes() > 0 {
            file.truncate(end).map_err(disk_error("cut", path))?;
        }
        file.sync().map_err(disk_error("sync", path))?;
        let mut manifest = Self { path: path.to_owned(), file, keys, contents, end, tail_unknown: false };
        match last.map_or(Ok(()), |it| manifest.write_again(&it)) {
            // What can be done without space must not be refused: deleting segments needs the manifest.
            Err(error @ ManifestError::DiskFull { .. }) => {
                tracing::warn!(%error, "the last entry of the manifest could not be written again");
            }
            outcome => outcome?,
        }
        Ok(manifest)
    }

    /// Writes the last entry once more. Its sync may have failed just before an earlier process ended: then it can still
    /// be read, but will never reach the disk, and no sync says so.
    fn write_again(&mut self, plaintext: &[u8]) -> Result<(), ManifestError> {
        let record = self.record(self.contents.head.number, plaintext)?;
        self.write(&record)
    }

    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The live segments, by name.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> + Clone {
        self.contents.segments()
    }

    /// The last frame that ever went into a segment.
    pub fn frame_last(&self) -> FrameId {
        self.contents.frame_last()
    }

    /// Appends one entry; it is durable afterwards. After an error it does not count (though it may be found after a
    /// restart), what was acknowledged before is intact, and appending may be tried again.
    pub fn append(&mut self, at: Timestamp, change: Change) -> Result<Head, ManifestError> {
        self.check(&change)?;
        let on_disk = EntryOnDisk { previous: self.contents.head.hash, at, change: (&change).into() };
        let plaintext = postcard::to_stdvec(&on_disk).map_err(|source| ManifestError::Unencodable { source })?;
        if plaintext.len() > ENTRY_BYTES_MAX {
            return Err(ManifestError::EntryTooLarge { bytes: plaintext.len() as u64 });
        }
        let number = self.contents.head.number.saturating_add(1);
        let record = self.record(number, &plaintext)?;
        self.write(&record)?;
        let head = Head { number, hash: panoptes_seal::sha256(&[&plaintext]) };
        self.contents.apply(&Entry { head, at, change });
        Ok(head)
    }

    fn record(&self, number: u64, plaintext: &[u8]) -> Result<Vec<u8>, ManifestError> {
        let mut record = Vec::with_capacity(PREFIX_BYTES + VALUE_OVERHEAD_BYTES + plaintext.len());
        // `ENTRY_BYTES_MAX` is far below 4 GiB.
        push_prefix(&mut record, self.keys.marker, (VALUE_OVERHEAD_BYTES + plaintext.len()) as u32, number);
        let sealed = self.keys.sealer.seal(plaintext, &record).map_err(|source| ManifestError::Seal { source })?;
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    fn write(&mut self, record: &[u8]) -> Result<(), ManifestError> {
        if self.tail_unknown {
            // What is written again below is dirty again, so that the sync that follows speaks of it.
            self.file.truncate(self.end).map_err(disk_error("cut", &self.path))?;
        }
        self.tail_unknown = true;
        self.file.append(record).map_err(disk_error("write", &self.path))?;
        self.file.sync().map_err(disk_error("sync", &self.path))?;
        self.tail_unknown = false;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Refuses what does not fit the segments that there are.
    fn check(&self, change: &Change) -> Result<(), ManifestError> {
        let segments = &self.contents.segments;
        let known = |file: &String| match segments.contains_key(file) {
            true => Ok(()),
            false => Err(ManifestError::SegmentUnknown { file: file.clone() }),
        };
        let new = |segment: &Segment| match segments.contains_key(&segment.file) {
            true => Err(ManifestError::SegmentExists { file: segment.file.clone() }),
            false => Ok(()),
        };
        let added = |more: &[Segment], removed: usize| {
            if segments.len().saturating_add(more.len()) > SEGMENTS_MAX.saturating_add(removed) {
                return Err(ManifestError::SegmentsTooMany);
            }
            let mut names = std::collections::HashSet::new();
            match more.iter().find(|it| !names.insert(&it.file)) {
                Some(twice) => Err(ManifestError::SegmentExists { file: twice.file.clone() }),
                None => more.iter().try_for_each(new),
            }
        };
        match change {
            Change::Sealed(more) => added(more, 0),
            Change::Compacted { inputs, outputs } | Change::Erased(Erasure { inputs, outputs, .. }) => {
                inputs.iter().try_for_each(known).and_then(|()| added(outputs, inputs.len()))
            }
            Change::Deleted { files, .. } => files.iter().try_for_each(known),
        }
    }
}

/// Makes an empty manifest: its header is whole before it has its name.
fn create(disk: &dyn Disk, kek: &KeyEncryptionKey, folder: &str, path: &str) -> Result<(), ManifestError> {
    create_dir_durably(disk, folder).map_err(disk_error("make", folder))?;
    let temporary = format!("{path}.new");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk_error("remove", &temporary)(error)),
        _ => {}
    }
    let (_, bytes) = Header::create(kek, &KIND, &[]).map_err(|source| ManifestError::Seal { source })?;
    let mut file = disk.create_new(&temporary).map_err(disk_error("create", &temporary))?;
    file.append(&bytes).and_then(|()| file.sync()).map_err(disk_error("write", &temporary))?;
    disk.rename(&temporary, path).map_err(disk_error("rename", &temporary))
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest").field("path", &self.path).field("contents", &self.contents).finish_non_exhaustive()
    }
}
