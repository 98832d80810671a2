//! Which segments there are, and the whole story of how that came about: a chain of sealed entries that only grows.
//!
//! [`Manifest`] is the one writer, [`Contents`] what it or any other process reads, [`history`] the story itself, for
//! those who verify. An entry is acknowledged once it survives a loss of power. What is in the manifest counts: a
//! segment file that it does not name is a left-over.
//!
//! # Format, version 1
//!
//! One file: a header of [`panoptes_seal`] (magic `PANOMANI`, version 1, no context), made under another name and renamed
//! once it was synced, so that it is always whole; then records as `record.rs` describes them, numbered from 1 without
//! gaps. Each is sealed as a *single value* of `panoptes_seal` under the file's data key (the nonce is random, because
//! a number may be used again after a torn write); AAD: the record's prefix. The plaintext is postcard of:
//!
//! | field | what |
//! | --- | --- |
//! | `previous` | SHA-256 of the plaintext of the entry before; for the first: of `panoptes manifest v1` and the file nonce |
//! | `at` | when, nanoseconds since the epoch |
//! | `change` | 0 sealed, 1 compacted, 2 deleted, with the fields of [`Change`] |
//!
//! An entry may stand there twice in a row: each process that opens the manifest to write copies the last one before it
//! relies on it, because after a failed sync it can still be read from memory though it never reached the disk. Bytes
//! that cannot be read are damage only if an entry is missing between those around them.
//!
//! Kinds of change may be added at the end of the list; the fields of one never change. The hash of the last entry, the
//! [`Head`], can be kept elsewhere: whoever cuts entries off the end cannot make the chain reach it again. Hashes are of
//! plaintext, so that sealing under a new key does not break the chain.
//!
//! # Invariants
//! * Entries are never changed or removed, but for a torn one at the end that was not acknowledged.
//! * Damage costs the entry that it hits: it is told as a [`ManifestProblem`], and the rest counts.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::io;

use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::{HeaderKind, KeyId, SealError, Sha256};
use serde::{Deserialize, Serialize};

pub use self::reader::{Contents, history};
pub use self::writer::Manifest;
use crate::disk::DiskFile;

/// How large an entry may be. A larger one is refused with [`ManifestError::EntryTooLarge`]: compact fewer segments at
/// once.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// How many segments may be live: all are in memory. A further one is refused with [`ManifestError::SegmentsTooMany`]
/// until others are compacted or deleted.
pub const SEGMENTS_MAX: usize = 1 << 20;

const KIND: HeaderKind = HeaderKind { magic: *b"PANOMANI", version: 1, context_bytes: 0 };
const SEALED_BYTES_MAX: u32 = (ENTRY_BYTES_MAX + panoptes_seal::VALUE_OVERHEAD_BYTES) as u32;

/// One immutable file of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its path in the data folder.
    pub file: String,
    /// The UTC day of its events, as days since the epoch.
    pub day: i32,
    pub rows: u64,
    pub time_min: Timestamp,
    pub time_max: Timestamp,
    /// The frames of the log that its events came in.
    pub frame_first: FrameId,
    pub frame_last: FrameId,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file as it lies on disk, sealed: [`digest`].
    pub digest: [u8; 32],
}

/// What happened to the segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Change {
    /// Segments were written. They count together or not at all: the events of a run of frames lie in one segment for
    /// each of their days.
    Sealed(Vec<Segment>),
    /// `output` replaces `inputs`; their files may be removed.
    Compacted { inputs: Vec<String>, output: Segment },
    /// A segment was given up; its file may be removed.
    Deleted { file: String, reason: String },
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub head: Head,
    pub at: Timestamp,
    pub change: Change,
}

/// The end of the chain: its length and the hash of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub number: u64,
    pub hash: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct EntryOnDisk {
    previous: [u8; 32],
    at: Timestamp,
    change: Change,
}

/// What is wrong with a manifest of which the rest can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    #[error("manifest `{path}` is damaged at byte {offset} ({bytes} bytes); restore it from a backup")]
    Damaged { path: String, offset: u64, bytes: u64 },
    #[error("entries {first} to {last} of manifest `{path}` are missing; restore it from a backup")]
    Missing { path: String, first: u64, last: u64 },
    #[error(
        "entry {number} of manifest `{path}` does not follow from the one before: somebody who has the key changed the file"
    )]
    ChainBroken { path: String, number: u64 },
    #[error(
        "entry {number} of manifest `{path}` cannot be understood; a newer program may have written it: update this one"
    )]
    EntryUnknown { path: String, number: u64 },
}

/// Why the manifest could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    #[error("could not {operation} `{path}`; check the disk")]
    Disk { operation: &'static str, path: String, source: io::Error },
    #[error("the disk is full: could not write `{path}`; free space and try again, what was written before is intact")]
    DiskFull { path: String, source: io::Error },
    #[error(
        "manifest `{path}` is sealed with key {needed}, but the key given is {given}; use the key file that belongs to this data"
    )]
    KeyOther { path: String, needed: KeyId, given: KeyId },
    #[error("manifest `{path}` has format version {version} and this program reads up to {known}; update it")]
    VersionUnknown { path: String, version: u16, known: u16 },
    #[error("the header of manifest `{path}` is damaged, so that none of it can be read; restore it from a backup")]
    HeaderDamaged { path: String },
    #[error("an entry has {bytes} bytes, one may have {ENTRY_BYTES_MAX}; compact fewer segments at once")]
    EntryTooLarge { bytes: u64 },
    #[error("there are {SEGMENTS_MAX} segments, as many as there may be; compact or delete some")]
    SegmentsTooMany,
    #[error("there is a segment `{file}` already")]
    SegmentExists { file: String },
    #[error("there is no segment `{file}`")]
    SegmentUnknown { file: String },
    #[error("an entry cannot be encoded")]
    Unencodable { source: postcard::Error },
    #[error("an entry cannot be sealed")]
    Seal { source: SealError },
}

/// For `map_err`: what was done to which file.
fn disk_error(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> ManifestError {
    move |source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ManifestError::DiskFull { path, source },
            _ => ManifestError::Disk { operation, path, source },
        }
    }
}

/// The hash that the first entry of the file with this nonce names.
fn genesis(file_nonce: &[u8; 16]) -> Head {
    Head { number: 0, hash: panoptes_seal::sha256(&[b"panoptes manifest v1", file_nonce]) }
}

/// SHA-256 of a file as it lies on disk: what [`Segment::digest`] holds.
pub fn digest(file: &dyn DiskFile) -> io::Result<[u8; 32]> {
    const WINDOW_BYTES: u64 = 1 << 20;
    let length = file.len()?;
    let mut hasher = Sha256::new();
    let mut window = vec![0; length.min(WINDOW_BYTES) as usize];
    let mut offset = 0;
    while offset < length {
        window.truncate((length - offset).min(WINDOW_BYTES) as usize);
        file.read_at(offset, &mut window)?;
        hasher.update(&window);
        offset += window.len() as u64;
    }
    Ok(hasher.finish())
}
