//! One compressed file: a rotated log that does not grow any more.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;

use panoptes_model::{Origin, RawBatch, Timestamp};
use panoptes_stdx::decompress::{DecompressError, Decompressor, Encoding};

use super::identity::{FileIdentity, Key};
use crate::archive::LIMITS;
use crate::audit::Ending;
use crate::cutter::{Cutter, Positions};
use crate::framing::Lines;
use crate::limits::{FILE_SKIP_BYTES, FILE_TURN_BYTES, FINGERPRINT_BYTES, READ_BYTES_MAX};

/// A compressed file that waits for its turn: only one is open at a time.
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    pub(super) key: Key,
    /// Its compressed size when it was found: if it has another later, it was not finished then.
    pub(super) size: u64,
    pub(super) file: File,
    pub(super) encoding: Encoding,
    pub(super) identity: FileIdentity,
    /// How much of its text was read before, under another name maybe.
    pub(super) offset: u64,
}

/// The compressed file that is being read.
pub(super) struct Archived {
    pub(super) waiting: Waiting,
    reader: Decompressor<File>,
    skip: u64,
    cutter: Cutter<Lines>,
    end: Option<Result<(), DecompressError>>,
}

/// What one step read.
pub(super) struct ArchiveStep {
    pub(super) batch: RawBatch,
    pub(super) cut: (u64, u64),
    /// `None`: there is more.
    pub(super) end: Option<Result<(), DecompressError>>,
}

/// The first decompressed bytes.
pub(super) fn decompressed_start(file: &mut File, encoding: Encoding) -> Result<Vec<u8>, DecompressError> {
    let mut start = vec![0; FINGERPRINT_BYTES];
    let mut filled = 0;
    let mut reader = Decompressor::new(encoding, &*file, LIMITS)?;
    while let Some(rest) = start.get_mut(filled..)
        && !rest.is_empty()
    {
        match reader.read_checked(rest)? {
            0 => break,
            length => filled += length,
        }
    }
    start.truncate(filled);
    file.rewind().map_err(|source| DecompressError::Read { source })?;
    Ok(start)
}

impl Archived {
    pub(super) fn open(mut waiting: Waiting, origin: Origin) -> Result<Self, (Waiting, DecompressError)> {
        let clone = waiting.file.rewind().and_then(|()| waiting.file.try_clone());
        let file = match clone {
            Ok(file) => file,
            Err(source) => return Err((waiting, DecompressError::Read { source })),
        };
        let reader = match Decompressor::new(waiting.encoding, file, LIMITS) {
            Ok(reader) => reader,
            Err(error) => return Err((waiting, error)),
        };
        let origin = Origin { identity: Some(waiting.identity.to_string()), ..origin };
        let skip = waiting.offset;
        let cutter = Cutter::new(Lines, Positions::Offsets, origin, skip);
        Ok(Self { waiting, reader, skip, cutter, end: None })
    }

    pub(super) fn step(&mut self, now: Timestamp) -> ArchiveStep {
        let end = self.read(now);
        if let Some(Ok(())) = end {
            self.cutter.finish(now);
        }
        let ending = if end.is_some() { Ending::Closed } else { Ending::Open };
        ArchiveStep { batch: self.cutter.take(ending), cut: self.cutter.take_cut(), end }
    }

    fn read(&mut self, now: Timestamp) -> Option<Result<(), DecompressError>> {
        let mut passed = 0;
        while self.skip > 0 {
            if passed >= FILE_SKIP_BYTES {
                return None;
            }
            let mut chunk = vec![0; READ_BYTES_MAX.min(self.skip as usize)];
            match self.reader.read_checked(&mut chunk) {
                // Shorter than what was read of it before: nothing is left.
                Ok(0) => return Some(Ok(())),
                Ok(length) => {
                    if self.skip == self.waiting.offset {
                        self.cutter.prime(chunk.get(..length).unwrap_or_default());
                    }
                    self.skip -= length as u64;
                    passed += length as u64;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        loop {
            if !self.cutter.scan(now) || self.cutter.bytes() - self.cutter.open_bytes() >= FILE_TURN_BYTES {
                return None;
            }
            // The end is told once all before it is cut.
            if let Some(end) = self.end.take() {
                return Some(end);
            }
            let buffer = self.cutter.buffer(READ_BYTES_MAX);
            match self.reader.by_ref().take(READ_BYTES_MAX as u64).read_to_end(buffer) {
                Ok(0) => self.end = Some(Ok(())),
                Ok(_) => {}
                Err(error) => self.end = Some(Err(unwrap(error, self.waiting.encoding))),
            }
        }
    }
}

fn unwrap(error: std::io::Error, encoding: Encoding) -> DecompressError {
    let kind = error.kind();
    match error.into_inner().map(|it| it.downcast::<DecompressError>()) {
        Some(Ok(error)) => *error,
        Some(Err(other)) => DecompressError::Damaged { encoding, source: std::io::Error::new(kind, other) },
        None => DecompressError::Damaged { encoding, source: kind.into() },
    }
}
