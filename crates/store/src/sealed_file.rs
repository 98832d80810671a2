//! A sealed file as a Parquet reader sees it: its plaintext, a range at a time, from beginning to end. What searches use
//! instead (`object.rs`) shares caches between queries.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use panoptes_seal::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_SEALED_BYTES, ChunkOpener, KeyEncryptionKey, SealError, plaintext_size,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::disk::{Disk, DiskFile};

/// How many opened chunks are kept; beyond it the oldest goes. Columns are read side by side, a page at a time, and
/// those of small files share chunks.
const CHUNKS_KEPT: usize = 16;

/// Why a sealed file cannot be opened, or not at this place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealedFileError {
    #[error("it cannot be read from byte {offset}")]
    NotRead { offset: u64, source: io::Error },
    #[error("it cannot be opened")]
    NotOpened { source: SealError },
    #[error("it is damaged at byte {offset}")]
    Damaged { offset: u64, source: SealError },
}

/// A file whose chunks are opened as they are asked for. Clones share what they opened.
#[derive(Clone)]
pub(crate) struct SealedFile(Arc<Inner>);

struct Inner {
    file: Box<dyn DiskFile>,
    opener: ChunkOpener,
    kept: Mutex<VecDeque<(u64, Bytes)>>,
}

impl SealedFile {
    pub(crate) fn open(disk: &dyn Disk, key: &KeyEncryptionKey, path: &str) -> Result<Self, SealedFileError> {
        let not_read = |source| SealedFileError::NotRead { offset: 0, source };
        let file = disk.open_read(path).map_err(not_read)?;
        let size = file.len().map_err(not_read)?;
        let mut header = [0; CHUNK_HEADER_BYTES];
        if plaintext_size(size).is_none() {
            return Err(SealedFileError::NotOpened { source: SealError::SizeImpossible { bytes: size } });
        }
        file.read_at(0, &mut header).map_err(not_read)?;
        let opener = ChunkOpener::new(key, &header, size).map_err(|source| SealedFileError::NotOpened { source })?;
        Ok(Self(Arc::new(Inner { file, opener, kept: Mutex::default() })))
    }

    pub(crate) fn plaintext_size(&self) -> u64 {
        self.0.opener.plaintext_size()
    }

    /// How many chunks it has; the one of an empty file counts.
    pub(crate) fn chunks(&self) -> u64 {
        self.plaintext_size().div_ceil(CHUNK_BYTES as u64).max(1)
    }

    /// Where chunk `number` begins in the file, and what it holds.
    pub(crate) fn chunk(&self, number: u64) -> Result<Bytes, SealedFileError> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|it| it.0 == number) {
            return Ok(bytes.clone());
        }
        let start = number.saturating_mul(CHUNK_BYTES as u64);
        let plaintext = start..start.saturating_add(CHUNK_BYTES as u64);
        let on_disk = self.0.opener.ciphertext_range(&plaintext);
        let offset = on_disk.start;
        let mut sealed = vec![0; (on_disk.end - on_disk.start).min(CHUNK_SEALED_BYTES as u64) as usize];
        let not_read = |source| SealedFileError::NotRead { offset, source };
        self.0.file.read_at(offset, &mut sealed).map_err(not_read)?;
        let damaged = |source| SealedFileError::Damaged { offset, source };
        let bytes: Bytes = self.0.opener.open_range(&plaintext, &sealed).map_err(damaged)?.into();
        if kept.len() >= CHUNKS_KEPT {
            kept.pop_front();
        }
        kept.push_back((number, bytes.clone()));
        Ok(bytes)
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes, SealedFileError> {
        let end = start.saturating_add(length as u64).min(self.plaintext_size());
        let mut whole = BytesMut::new();
        let mut position = start;
        while position < end {
            let number = position / CHUNK_BYTES as u64;
            let chunk = self.chunk(number)?;
            let first = number * CHUNK_BYTES as u64;
            let part = (position - first) as usize..((end - first) as usize).min(chunk.len());
            if part.start >= part.end {
                break;
            }
            position += part.len() as u64;
            if whole.is_empty() && position == end {
                return Ok(chunk.slice(part));
            }
            whole.extend_from_slice(chunk.get(part).unwrap_or_default());
        }
        Ok(whole.freeze())
    }
}

fn parquet_error(error: SealedFileError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl Length for SealedFile {
    fn len(&self) -> u64 {
        self.plaintext_size()
    }
}

impl ChunkReader for SealedFile {
    type T = SealedRead;

    fn get_read(&self, start: u64) -> ParquetResult<SealedRead> {
        Ok(SealedRead { file: self.clone(), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.read(start, length).map_err(parquet_error)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(ParquetError::EOF(format!("the file ends before byte {start} + {length}")))
        }
    }
}

pub(crate) struct SealedRead {
    file: SealedFile,
    position: u64,
}

impl io::Read for SealedRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(self.position, buffer.len().min(CHUNK_BYTES)).map_err(io::Error::other)?;
        if let Some(filled) = buffer.get_mut(..bytes.len()) {
            filled.copy_from_slice(&bytes);
        }
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use panoptes_seal::ChunkSealer;

    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn any_range_reads_as_it_was_sealed_and_damage_costs_its_chunk() {
        let key = KeyEncryptionKey::from_bytes([5; 32]);
        let text: Vec<u8> = (0..20 * CHUNK_BYTES + 77).map(|n| ((n * 31) >> 3) as u8).collect();
        let disk = SimDisk::new();
        disk.create_new("x").unwrap().append(&ChunkSealer::seal_all(&key, &text).unwrap()).unwrap();
        let file = SealedFile::open(&disk, &key, "x").unwrap();
        assert_eq!((file.len(), file.chunks()), (text.len() as u64, 21));
        for (start, length) in [(0, 1), (0, text.len()), (CHUNK_BYTES - 1, 2), (19 * CHUNK_BYTES, CHUNK_BYTES + 77)] {
            assert_eq!(file.get_bytes(start as u64, length).unwrap(), text[start..start + length]);
        }
        assert!(file.get_bytes(text.len() as u64 - 1, 2).is_err());
        let mut all = Vec::new();
        io::Read::read_to_end(&mut file.get_read(5).unwrap(), &mut all).unwrap();
        assert_eq!(all, text[5..]);
        disk.tamper("x", |it| it[CHUNK_HEADER_BYTES + CHUNK_SEALED_BYTES + 9] ^= 1);
        let file = SealedFile::open(&disk, &key, "x").unwrap();
        assert!(file.chunk(0).is_ok() && file.chunk(2).is_ok());
        let offset = (CHUNK_HEADER_BYTES + CHUNK_SEALED_BYTES) as u64;
        assert!(matches!(file.chunk(1), Err(SealedFileError::Damaged { offset: it, .. }) if it == offset));
        disk.tamper("x", |it| it.truncate(50));
        assert!(SealedFile::open(&disk, &key, "x").is_err());
    }
}
