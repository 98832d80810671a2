//! Writing the log.

use std::sync::Arc;

use panoptes_model::{FrameId, LogFrame};
use panoptes_seal::{Header, KeyEncryptionKey, SequenceSealer, TAG_BYTES};

use super::frame::Encoder;
use super::{FileName, GROUP_BYTES_MAX, KIND, LOG_FILE_BYTES_MAX, LogError, Recovery, disk_error};
use crate::disk::{Disk, DiskFile, create_dir_durably};
use crate::record::{Marker, PREFIX_BYTES, marker, push_prefix};

/// How much of its buffers the log keeps between groups; what a larger group needed is given back.
pub(super) const BUFFER_KEPT_BYTES_MAX: usize = 4 << 20;

/// Behind the name of a file that is not whole yet.
const NEW: &str = ".new";

/// What is synced before frames are acknowledged. All but [`Full`](Self::Full) lose acknowledged frames when power
/// fails: they exist so that tests can show that they would notice, and that benchmarks can tell what syncing costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    #[default]
    Full,
    /// For tests: names are synced, content is not.
    WithoutFiles,
    /// For tests: content is synced, names are not.
    WithoutFolders,
    /// For tests and benchmarks.
    Never,
}

impl SyncPolicy {
    fn files(self) -> bool {
        matches!(self, Self::Full | Self::WithoutFolders)
    }

    fn folders(self) -> bool {
        matches!(self, Self::Full | Self::WithoutFiles)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A file that has reached this is closed and another begun.
    pub file_bytes_max: u64,
    pub sync: SyncPolicy,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { file_bytes_max: LOG_FILE_BYTES_MAX, sync: SyncPolicy::Full }
    }
}

/// The one writer of a log. That it is the only one is the caller's to see to ([`DataLock`](crate::lock::DataLock)).
pub struct Log {
    disk: Arc<dyn Disk>,
    kek: KeyEncryptionKey,
    folder: String,
    options: LogOptions,
    /// Files that are not written to any more, oldest first, with the last frame of each. The disk bounds their number:
    /// they go when their frames are in segments.
    closed: Vec<(FileName, FrameId)>,
    current: Option<Current>,
    next: FrameId,
    generation_next: u64,
    encoder: Encoder,
    /// Kept, so that each group need not allocate.
    buffer: Vec<u8>,
}

/// The file that is written to.
struct Current {
    name: FileName,
    file: Box<dyn DiskFile>,
    sealer: SequenceSealer,
    marker: Marker,
    /// What is acknowledged, with the header.
    bytes: u64,
}

impl Log {
    /// Opens the log in `folder`, which is made if it is missing, and gives what it holds.
    pub fn open(disk: Arc<dyn Disk>, kek: &KeyEncryptionKey, folder: &str) -> Result<(Self, Recovery), LogError> {
        Self::open_with(disk, kek, folder, LogOptions::default())
    }

    pub fn open_with(
        disk: Arc<dyn Disk>,
        kek: &KeyEncryptionKey,
        folder: &str,
        options: LogOptions,
    ) -> Result<(Self, Recovery), LogError> {
        if options.sync.folders() {
            create_dir_durably(&*disk, folder).map_err(disk_error("make", folder))?;
        } else {
            disk.create_dir_all(folder).map_err(disk_error("make", folder))?;
        }
        let recovery = Recovery::open_read_only(Arc::clone(&disk), kek, folder)?;
        let newest_of = |names: &mut dyn Iterator<Item = FileName>| names.map(|it| it.generation).max();
        let generation_last = newest_of(&mut recovery.files.iter().map(|it| it.name))
            .max(newest_of(&mut recovery.stillborn.iter().copied()))
            .unwrap_or(0);
        let mut log = Self {
            kek: kek.clone(),
            folder: folder.to_owned(),
            options,
            closed: recovery.files.iter().map(|it| (it.name, it.last)).collect(),
            current: None,
            next: recovery.last().unwrap_or_default().next(),
            generation_next: generation_last.saturating_add(1),
            encoder: Encoder::new()?,
            buffer: Vec::new(),
            disk,
        };
        log.settle(&recovery)?;
        Ok((log, recovery))
    }

    /// Makes durable what is about to be relied on. An earlier process may have been killed between writing and syncing;
    /// or after a failed sync, when what it wrote can still be read but will never reach the disk, and no sync says so.
    /// That can only be the last group, so it is written again.
    fn settle(&mut self, recovery: &Recovery) -> Result<(), LogError> {
        if let Some((name, _)) = self.closed.last()
            && self.options.sync.files()
        {
            let path = name.path(&self.folder);
            self.disk.open_append(&path).and_then(|mut it| it.sync()).map_err(disk_error("sync", &path))?;
        }
        let superseded = recovery.files.iter().rev().skip(1).filter(|it| it.is_superseded()).map(|it| it.name);
        for name in recovery.stillborn.iter().copied().chain(superseded) {
            let path = name.path(&self.folder);
            self.disk.remove(&path).map_err(disk_error("remove", &path))?;
            self.closed.retain(|(it, _)| *it != name);
        }
        let names = self.disk.list(&self.folder).map_err(disk_error("list", &self.folder))?;
        for name in names.iter().filter(|it| it.strip_suffix(NEW).is_some_and(|it| FileName::parse(it).is_some())) {
            let path = if self.folder.is_empty() { name.clone() } else { format!("{}/{name}", self.folder) };
            self.disk.remove(&path).map_err(disk_error("remove", &path))?;
        }
        self.sync_folder()?;
        match self.write_again(&recovery.last_group()) {
            // What can be done without space must not be refused: reading, and removing what is in segments.
            Err(error @ LogError::DiskFull { .. }) => {
                tracing::warn!(%error, "the last frames of the log could not be written again");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Writes frames that are in the newest file already to a new one, which then overrules it.
    fn write_again(&mut self, frames: &[LogFrame]) -> Result<(), LogError> {
        let (Some(first), Some((_, newest_last))) = (frames.first(), self.closed.last_mut()) else { return Ok(()) };
        let before = (self.next, *newest_last);
        *newest_last = FrameId(first.id.0.saturating_sub(1));
        self.next = first.id;
        let written = self.write_whole(frames);
        if written.is_err() {
            self.next = before.0;
            if let Some((_, newest_last)) = self.closed.last_mut() {
                *newest_last = before.1;
            }
        }
        written
    }

    /// Writes one group to a new file that gets its name only when all of it lasts: a file that overrules the one before
    /// it must hold what it overrules.
    fn write_whole(&mut self, frames: &[LogFrame]) -> Result<(), LogError> {
        let Some(first) = frames.first() else { return Ok(()) };
        let plaintexts =
            frames.iter().map(|it| Ok(self.encoder.encode(it, first.id)?.0)).collect::<Result<Vec<_>, LogError>>()?;
        let name = self.create_file(NEW)?;
        let (path, path_new) = (name.path(&self.folder), format!("{}{NEW}", name.path(&self.folder)));
        let written = self
            .write_group(&plaintexts)
            .and_then(|()| self.disk.rename(&path_new, &path).map_err(disk_error("rename", &path_new)))
            .and_then(|()| self.sync_folder());
        if written.is_err() {
            self.current = None;
            if let Err(error) = self.disk.remove(&path_new) {
                tracing::debug!(%error, path = path_new, "left to be removed at the next start");
            }
        }
        written
    }

    /// The id that the next frame must have.
    pub fn next_id(&self) -> FrameId {
        self.next
    }

    /// Declares all ids up to `last` as used, when others know of later frames than the log holds (the catalogue's
    /// `folded_through`, the manifest's last frame): no id is ever given to two frames.
    pub fn continue_after(&mut self, last: FrameId) {
        if last >= self.next {
            // The ids in one file have no gaps.
            self.close_current();
            self.next = last.next();
        }
    }

    /// Makes `frames` durable, as one group: one write, one sync. Their ids go on from [`next_id`](Self::next_id)
    /// without gaps.
    ///
    /// After an error none of them is acknowledged, though some may be found after a restart; what was acknowledged
    /// before is intact, and appending may be tried again, with the same ids. A file of which a write or sync failed is
    /// never written to again: the frames go to a new file at once, and only if that fails too there is an error.
    pub fn append(&mut self, frames: &[LogFrame]) -> Result<(), LogError> {
        let Some(first) = frames.first() else { return Ok(()) };
        let mut expected = self.next;
        for frame in frames {
            if frame.id != expected {
                return Err(LogError::FrameOutOfOrder { expected, found: frame.id });
            }
            expected = expected.next();
        }
        let mut plaintexts = Vec::with_capacity(frames.len());
        let (mut bytes, mut raw_bytes) = (0, 0);
        for frame in frames {
            let (plaintext, raw) = self.encoder.encode(frame, first.id)?;
            bytes += PREFIX_BYTES + plaintext.len() + TAG_BYTES;
            raw_bytes += raw;
            if raw_bytes > GROUP_BYTES_MAX {
                return Err(LogError::GroupTooLarge { bytes: raw_bytes as u64 });
            }
            plaintexts.push(plaintext);
        }
        let max = self.options.file_bytes_max;
        let full = |it: &Current| it.bytes > KIND.header_bytes() as u64 && it.bytes + bytes as u64 > max;
        if self.current.as_ref().is_some_and(full) {
            self.close_current();
        }
        if self.current.is_some() {
            match self.write_group(&plaintexts) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, source = ?std::error::Error::source(&error), "log file abandoned, going on in a new one");
                    self.abandon_current();
                }
            }
        }
        let written = self.begin_file().and_then(|()| self.write_group(&plaintexts));
        if written.is_err() {
            self.abandon_current();
        }
        written
    }

    /// Deletes the files whose frames all have ids up to `id`: they are in segments, and the checkpoint is past them.
    /// The file that is written to stays.
    pub fn remove_through(&mut self, id: FrameId) -> Result<(), LogError> {
        while let Some((name, last)) = self.closed.first().copied() {
            if last > id {
                break;
            }
            let path = name.path(&self.folder);
            match self.disk.remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(disk_error("remove", &path)(error));
                }
                _ => {}
            }
            // One by one: were an older file to come back after a crash without the newer that overrules its end, frames
            // that were never acknowledged would count.
            self.sync_folder()?;
            self.closed.remove(0);
        }
        Ok(())
    }

    /// How many files are written to no more and not removed yet.
    pub fn closed_files(&self) -> usize {
        self.closed.len()
    }

    /// Writes and syncs a group in the current file.
    fn write_group(&mut self, plaintexts: &[Vec<u8>]) -> Result<(), LogError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let path = current.name.path(&self.folder);
        self.buffer.clear();
        let mut number = self.next.0;
        let mut record = Vec::new();
        for plaintext in plaintexts {
            record.clear();
            // `GROUP_BYTES_MAX` is far below 4 GiB.
            push_prefix(&mut record, current.marker, (plaintext.len() + TAG_BYTES) as u32, number);
            record.extend_from_slice(plaintext);
            current
                .sealer
                .seal(number, &mut record, PREFIX_BYTES)
                .map_err(|source| LogError::Seal { file: path.clone(), source })?;
            self.buffer.extend_from_slice(&record);
            number += 1;
        }
        current.file.append(&self.buffer).map_err(disk_error("write", &path))?;
        if self.options.sync.files() {
            current.file.sync().map_err(disk_error("sync", &path))?;
        }
        current.bytes += self.buffer.len() as u64;
        self.next = FrameId(number);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES_MAX);
        Ok(())
    }

    /// Begins a new file; its header and its name are durable afterwards.
    fn begin_file(&mut self) -> Result<(), LogError> {
        self.create_file("")?;
        self.sync_folder()
    }

    /// Makes the next file current, with `suffix` behind its name. Its header is durable afterwards, its name is not.
    fn create_file(&mut self, suffix: &str) -> Result<FileName, LogError> {
        let name = FileName { generation: self.generation_next, first: self.next };
        if FileName::parse(&name.to_string()).is_none() {
            let file = self.closed.last().map_or_else(String::new, |(it, _)| it.to_string());
            return Err(LogError::GenerationsExhausted { folder: self.folder.clone(), file });
        }
        let path = format!("{}{suffix}", name.path(&self.folder));
        let (header, bytes) = Header::create(&self.kek, &KIND, &name.context())
            .map_err(|source| LogError::Seal { file: path.clone(), source })?;
        self.generation_next = self.generation_next.saturating_add(1);
        let file = self.disk.create_new(&path).map_err(disk_error("create", &path))?;
        let current = self.current.insert(Current {
            name,
            file,
            sealer: SequenceSealer::new(&header),
            marker: marker(&header.file_nonce),
            bytes: bytes.len() as u64,
        });
        current.file.append(&bytes).map_err(disk_error("write", &path))?;
        if self.options.sync.files() {
            current.file.sync().map_err(disk_error("sync", &path))?;
        }
        Ok(name)
    }

    fn sync_folder(&self) -> Result<(), LogError> {
        if self.options.sync.folders() {
            self.disk.sync_dir(&self.folder).map_err(disk_error("sync", &self.folder))?;
        }
        Ok(())
    }

    /// The current file is whole, and done.
    fn close_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.closed.push((current.name, FrameId(self.next.0.saturating_sub(1))));
        }
    }

    /// The current file failed. What was acknowledged in it stays; the rest is cut off as well as can be, to give its
    /// space back and so that nobody reads it. The format does not rely on that.
    fn abandon_current(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        let path = current.name.path(&self.folder);
        let acknowledged = current.bytes > KIND.header_bytes() as u64;
        let cleaned = if acknowledged {
            self.closed.push((current.name, FrameId(self.next.0.saturating_sub(1))));
            current.file.truncate(current.bytes)
        } else {
            self.disk.remove(&path)
        };
        if let Err(error) = cleaned {
            tracing::warn!(%error, path, "could not cut off what was not acknowledged");
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("folder", &self.folder)
            .field("next", &self.next)
            .field("closed", &self.closed.len())
            .finish_non_exhaustive()
    }
}
