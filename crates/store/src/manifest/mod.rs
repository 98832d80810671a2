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
//! | `change` | the variant of `ChangeOnDisk` (`on_disk.rs`) by number, and its fields |
//!
//! Changes 0 to 2 (sealed, compacted, deleted) are those of the first version and are only read; 3 to 6 say the same with
//! what a search prunes by, the digest of the rows, and who gave something up and why. The file is of version 1 with
//! either.
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

mod on_disk;
mod reader;
mod rows_digest;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::io;

use panoptes_model::Timestamp;
use panoptes_seal::{HeaderKind, KeyId, SealError, Sha256};

pub(crate) use self::reader::check;
pub use self::reader::{Contents, history};
pub use self::rows_digest::RowsDigest;
pub use self::segment::{KIND_BYTES_MAX, KINDS_MAX, Kinds, Segment, Sidecar, sidecar_of};
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

/// What happened to the segments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Segments were written. They count together or not at all: the events of a run of frames lie in one segment for
    /// each of their days.
    Sealed(Vec<Segment>),
    /// `outputs` replace `inputs` and hold the same events; the files of the inputs may be removed.
    Compacted { inputs: Vec<String>, outputs: Vec<Segment> },
    /// Segments were given up; their files may be removed.
    Deleted { files: Vec<String>, cause: Cause },
    /// Some events were given up.
    Erased(Erasure),
}

/// `outputs` replace `inputs` without some of their events; the files of the inputs may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    pub inputs: Vec<String>,
    pub outputs: Vec<Segment>,
    /// How many events went.
    pub rows: u64,
    /// What they were: whoever still has them elsewhere can show that it was these.
    pub rows_digest: RowsDigest,
    pub cause: Cause,
}

/// Why something was given up, and on whose behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// In words. Nothing of what was erased should stand here.
    pub reason: String,
    /// Who did it: the name of a user, or of a part of the program. Empty in entries of version 1.
    pub actor: String,
    /// The policy that asked for it, if one did.
    pub policy: String,
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
