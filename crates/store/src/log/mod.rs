//! The write-ahead log: what came in, durable before anything is derived from it.
//!
//! One [`LogFrame`](panoptes_model::LogFrame) is one input of `fold`. [`Log::append`] returns `Ok` once its frames
//! survive a loss of power; until then they may be there after one, or not, or the first few of them. Frames that were
//! not acknowledged can therefore come back: whoever sends them again may see them twice.
//!
//! # Where to look first
//! * [`Log::open`], [`Log::append`], [`Log::remove_through`]: the writer (`writer.rs`).
//! * [`Recovery`]: the reader, after a start or beside a running writer (`recovery.rs`).
//!
//! # Format, version 1
//!
//! A folder of files `GGGGGGGGGG-FFFFFFFFFFFFFFFFFFFF.wal`: generation (10 digits) and first frame (20 digits). Each
//! opening of the log, each rotation and each failed write begin a new file with a higher generation and a data key of
//! its own. Nothing is ever appended to a file that another process began, or of which a write or sync failed.
//!
//! A file is a header of [`panoptes_seal`] (magic `PANOPLOG`, version 1, context: generation (8) and first frame (8),
//! little-endian), and records as `record.rs` describes them: number = frame id, sealed as a *numbered record* of
//! `panoptes_seal` with the prefix as clear text. The plaintext of a record, integers little-endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | flags: 1 = the frame is compressed with zstd; all others are 0 |
//! | 8 | id of the first frame of the group that was written and synced at once |
//! | 4 | length of the frame before compression, at most [`FRAME_BYTES_MAX`] |
//! | rest | the frame in postcard: `FrameOnDisk` of `frame.rs` |
//!
//! # Which frames count
//!
//! Ids rise by one, through all files. A file's frames count up to the first frame of the next file: what it holds
//! beyond was not acknowledged, and was written again. The newest file's frames count up to the first unreadable one of
//! its *last group*; what follows is a torn tail, because a group is written only after the one before it was synced.
//! Whatever else is missing between the first and the last is damage: it is reported, and the rest is still given.
//! What a log cannot know is whether its end was cut off on purpose; `folded_through` of the catalogue tells.
//!
//! The header is synced, and the folder too, before the first frame is written. A file no longer than its header whose
//! header cannot be read is left from a crash and holds nothing.
//!
//! Whoever opens the log to write copies the last group to a new file before relying on it: after a failed sync a file
//! can still be read from memory though it never reached the disk, and a later sync does not say so. That file is named
//! `….wal.new` until all of it lasts: what overrules a file must hold what it overrules.
//!
//! # Invariants
//! * No nonce is used twice under one key: one writer per file, one record per frame id in a file.
//! * Frames are never changed; files are only removed whole, oldest first, each removal durable before the next.

mod frame;
mod recovery;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

use panoptes_model::FrameId;
use panoptes_seal::{HeaderKind, KeyId, SealError};

pub use self::recovery::{Frames, Recovery, TornTail};
pub use self::writer::{Log, LogOptions, SyncPolicy};

/// A file that has reached this is closed and another begun. A single group may exceed it.
pub const LOG_FILE_BYTES_MAX: u64 = 64 << 20;
/// How large a frame may be before compression: a full batch with room for its origins. A larger one is refused with
/// [`LogError::FrameTooLarge`]; split the batch.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// How large the frames of a group may be together, before compression: they are in memory at once, here and when the
/// group is written again after a restart. A larger group is refused with [`LogError::GroupTooLarge`]; append it in parts.
pub const GROUP_BYTES_MAX: usize = 128 << 20;

const KIND: HeaderKind = HeaderKind { magic: *b"PANOPLOG", version: 1, context_bytes: 16 };
const SEALED_BYTES_MAX: u32 = (FRAME_BYTES_MAX + frame::ENVELOPE_BYTES + panoptes_seal::TAG_BYTES) as u32;
/// Files with higher numbers in their names are not of the log: nobody makes the numbers overflow by planting a file.
const GENERATION_MAX: u64 = 1 << 40;
const FIRST_MAX: u64 = 1 << 60;
/// No record is shorter: how many frames a file can hold at most follows.
const RECORD_BYTES_MIN: u64 = (crate::record::PREFIX_BYTES + frame::ENVELOPE_BYTES + panoptes_seal::TAG_BYTES) as u64;

/// Why the log could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    #[error("could not {operation} `{path}`; check the disk")]
    Disk { operation: &'static str, path: String, source: io::Error },
    #[error("the disk is full: could not write `{path}`; free space and try again, what was written before is intact")]
    DiskFull { path: String, source: io::Error },
    #[error(
        "log file `{file}` is sealed with key {needed}, but the key given is {given}; use the key file that belongs to this data"
    )]
    KeyOther { file: String, needed: KeyId, given: KeyId },
    #[error("log file `{file}` has format version {version} and this program reads up to {known}; update it")]
    VersionUnknown { file: String, version: u16, known: u16 },
    /// Not fatal: all other frames are given.
    #[error(
        "log file `{file}` is damaged at byte {offset}: frames {first} to {last} are lost, all others are intact; \
         restore the file from a backup to get them back",
        first = first.0, last = last.0
    )]
    Damaged { file: String, offset: u64, first: FrameId, last: FrameId },
    /// Not fatal: what is there is given.
    #[error("frames {first} to {last} are missing: the log begins after them; restore its oldest files from a backup",
        first = first.0, last = last.0)]
    Missing { first: FrameId, last: FrameId },
    #[error("frame {found} cannot be appended: the log goes on with frame {expected}", found = found.0, expected = expected.0)]
    FrameOutOfOrder { expected: FrameId, found: FrameId },
    #[error("frame {id} has {bytes} bytes, a frame may have {FRAME_BYTES_MAX}; split the batch", id = id.0)]
    FrameTooLarge { id: FrameId, bytes: u64 },
    #[error("a group of frames has {bytes} bytes, a group may have {GROUP_BYTES_MAX}; append it in parts")]
    GroupTooLarge { bytes: u64 },
    #[error("frame {id} cannot be encoded", id = id.0)]
    FrameUnencodable { id: FrameId, source: postcard::Error },
    #[error("no log file can follow `{file}` in `{folder}`; if it is not of this log, move it away")]
    GenerationsExhausted { folder: String, file: String },
    #[error("a frame cannot be compressed")]
    Compression { source: io::Error },
    #[error("log file `{file}` cannot be sealed")]
    Seal { file: String, source: SealError },
}

/// For `map_err`: what was done to which file.
fn disk_error(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> LogError {
    move |source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::DiskFull { path, source },
            _ => LogError::Disk { operation, path, source },
        }
    }
}

/// The name of a file. Orders as the files were begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileName {
    generation: u64,
    first: FrameId,
}

impl FileName {
    /// `None` for files that are not of the log.
    fn parse(name: &str) -> Option<Self> {
        let (generation, first) = name.strip_suffix(".wal")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
        if !digits(generation) || !digits(first) {
            return None;
        }
        let parsed = Self { generation: generation.parse().ok()?, first: FrameId(first.parse().ok()?) };
        let possible = parsed.generation <= GENERATION_MAX && parsed.first.0 <= FIRST_MAX;
        (possible && parsed.to_string() == name).then_some(parsed)
    }

    /// What the header binds to the file.
    fn context(self) -> [u8; 16] {
        let mut out = [0; 16];
        let (generation, first) = out.split_at_mut(8);
        generation.copy_from_slice(&self.generation.to_le_bytes());
        first.copy_from_slice(&self.first.0.to_le_bytes());
        out
    }

    fn path(self, folder: &str) -> String {
        if folder.is_empty() { self.to_string() } else { format!("{folder}/{self}") }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{:020}.wal", self.generation, self.first.0)
    }
}
