//! Sealed files of any size with random access (the bytes are specified in the crate's header).

use std::ops::Range;

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use crate::key::cipher;
use crate::{Header, HeaderKind, KeyEncryptionKey, SealError, TAG_BYTES};

/// Plaintext of a full chunk.
pub const CHUNK_BYTES: usize = 64 << 10;
/// The same sealed.
pub const CHUNK_SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// What comes before the first chunk.
pub const CHUNK_HEADER_BYTES: usize = KIND.header_bytes();

const KIND: HeaderKind = HeaderKind { magic: *b"PANOCHNK", version: 1, context_bytes: 0 };
const _: () = assert!(CHUNK_HEADER_BYTES == 96, "the format says so");

/// Size of the file that holds `plaintext_size` bytes. Saturates far beyond what any disk holds.
pub const fn ciphertext_size(plaintext_size: u64) -> u64 {
    let chunks = if plaintext_size == 0 { 1 } else { plaintext_size.div_ceil(CHUNK_BYTES as u64) };
    plaintext_size.saturating_add(chunks * TAG_BYTES as u64).saturating_add(CHUNK_HEADER_BYTES as u64)
}

/// Size of what a file of `ciphertext_size` bytes holds; `None` if no complete file has that size.
pub const fn plaintext_size(ciphertext_size: u64) -> Option<u64> {
    let Some(body) = ciphertext_size.checked_sub(CHUNK_HEADER_BYTES as u64) else { return None };
    let chunks = body.div_ceil(CHUNK_SEALED_BYTES as u64);
    let Some(plaintext) = body.checked_sub(chunks * TAG_BYTES as u64) else { return None };
    // Every chunk but the last is full, and only the one chunk of an empty file holds nothing.
    let last_has_bytes = plaintext > chunks.saturating_sub(1) * CHUNK_BYTES as u64;
    if last_has_bytes || chunks == 1 { Some(plaintext) } else { None }
}

struct ChunkCipher {
    key: LessSafeKey,
    identity: [u8; 32],
    nonce_start: [u8; 4],
}

impl ChunkCipher {
    fn new(header: &Header) -> Self {
        let [a, b, c, d, ..] = header.file_nonce;
        Self { key: cipher(header.data_key.bytes()), identity: header.identity, nonce_start: [a, b, c, d] }
    }

    fn nonce(&self, chunk: u64) -> Nonce {
        let mut bytes = [0; NONCE_LEN];
        let (start, number) = bytes.split_at_mut(self.nonce_start.len());
        start.copy_from_slice(&self.nonce_start);
        number.copy_from_slice(&chunk.to_be_bytes());
        Nonce::assume_unique_for_key(bytes)
    }

    fn aad(&self, chunk: u64, last: bool) -> Aad<[u8; 41]> {
        let mut bytes = [0; 41];
        let (identity, rest) = bytes.split_at_mut(32);
        identity.copy_from_slice(&self.identity);
        let (number, flag) = rest.split_at_mut(8);
        number.copy_from_slice(&chunk.to_le_bytes());
        flag.copy_from_slice(&[u8::from(last)]);
        Aad::from(bytes)
    }
}

/// Seals one file from its start to its end. Push what comes in pieces of any size, then finish; a file that was not
/// finished does not open.
pub struct ChunkSealer {
    cipher: ChunkCipher,
    /// Plaintext that is not sealed yet: at most one chunk, because a full one may still turn out to be the last.
    pending: Vec<u8>,
    chunk: u64,
}

impl ChunkSealer {
    /// Begins a file; its header is appended to `out`.
    pub fn new(kek: &KeyEncryptionKey, out: &mut Vec<u8>) -> Result<Self, SealError> {
        let (header, bytes) = Header::create(kek, &KIND, &[])?;
        out.extend_from_slice(&bytes);
        Ok(Self { cipher: ChunkCipher::new(&header), pending: Vec::with_capacity(CHUNK_BYTES), chunk: 0 })
    }

    /// Seals the chunks that `plaintext` completes and appends them to `out`.
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        while !plaintext.is_empty() {
            if self.pending.len() == CHUNK_BYTES {
                self.seal_pending(false, out)?;
            }
            let room = (CHUNK_BYTES - self.pending.len()).min(plaintext.len());
            let (now, later) = plaintext.split_at(room);
            self.pending.extend_from_slice(now);
            plaintext = later;
        }
        Ok(())
    }

    /// Seals the last chunk and appends it to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.seal_pending(true, out)
    }

    /// A whole file in memory.
    pub fn seal_all(kek: &KeyEncryptionKey, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(ciphertext_size(plaintext.len() as u64) as usize);
        let mut sealer = Self::new(kek, &mut out)?;
        sealer.push(plaintext, &mut out)?;
        sealer.finish(&mut out)?;
        Ok(out)
    }

    fn seal_pending(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), SealError> {
        let cipher = &self.cipher;
        let tag = cipher
            .key
            .seal_in_place_separate_tag(cipher.nonce(self.chunk), cipher.aad(self.chunk, last), &mut self.pending)
            .map_err(|_| SealError::TooLarge)?;
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(tag.as_ref());
        self.pending.clear();
        self.chunk += 1;
        Ok(())
    }
}

/// Opens any range of one file. The caller does the reading; this says which bytes to read.
pub struct ChunkOpener {
    cipher: ChunkCipher,
    plaintext_size: u64,
}

impl ChunkOpener {
    /// For the file that starts with `start` (at least [`CHUNK_HEADER_BYTES`] of it) and has `ciphertext_size` bytes.
    pub fn new(kek: &KeyEncryptionKey, start: &[u8], ciphertext_size: u64) -> Result<Self, SealError> {
        let header = Header::open(kek, &KIND, start)?;
        let plaintext_size =
            plaintext_size(ciphertext_size).ok_or(SealError::SizeImpossible { bytes: ciphertext_size })?;
        Ok(Self { cipher: ChunkCipher::new(&header), plaintext_size })
    }

    pub fn plaintext_size(&self) -> u64 {
        self.plaintext_size
    }

    /// Which bytes of the file to read for `plaintext`: whole chunks. What lies behind the end is left out; an empty
    /// range needs no bytes.
    pub fn ciphertext_range(&self, plaintext: &Range<u64>) -> Range<u64> {
        let chunks = self.chunks(plaintext);
        let offset = |chunk: u64| CHUNK_HEADER_BYTES as u64 + chunk * CHUNK_SEALED_BYTES as u64;
        offset(chunks.start)..offset(chunks.end).min(ciphertext_size(self.plaintext_size)).max(offset(chunks.start))
    }

    /// The plaintext of `plaintext`, out of the bytes that [`ciphertext_range`](Self::ciphertext_range) names.
    pub fn open_range(&self, plaintext: &Range<u64>, ciphertext: &[u8]) -> Result<Vec<u8>, SealError> {
        let needed = self.ciphertext_range(plaintext);
        if needed.end - needed.start != ciphertext.len() as u64 {
            return Err(SealError::RangeMismatch);
        }
        let chunks = self.chunks(plaintext);
        let mut out = Vec::with_capacity(ciphertext.len());
        let mut opened = Vec::with_capacity(CHUNK_SEALED_BYTES);
        for (chunk, sealed) in chunks.clone().zip(ciphertext.chunks(CHUNK_SEALED_BYTES)) {
            opened.clear();
            opened.extend_from_slice(sealed);
            let last = chunk == self.last_chunk();
            let plain = self
                .cipher
                .key
                .open_in_place(self.cipher.nonce(chunk), self.cipher.aad(chunk, last), &mut opened)
                .map_err(|_| SealError::ChunkDamaged { chunk })?;
            // The part of this chunk that was asked for.
            let start = chunk * CHUNK_BYTES as u64;
            let from = plaintext.start.saturating_sub(start).min(plain.len() as u64) as usize;
            let to = plaintext.end.saturating_sub(start).min(plain.len() as u64) as usize;
            out.extend_from_slice(plain.get(from..to).unwrap_or_default());
        }
        Ok(out)
    }

    /// A whole file in memory.
    pub fn open_all(kek: &KeyEncryptionKey, file: &[u8]) -> Result<Vec<u8>, SealError> {
        let opener = Self::new(kek, file, file.len() as u64)?;
        let body = file.get(CHUNK_HEADER_BYTES..).ok_or(SealError::HeaderDamaged)?;
        if opener.plaintext_size == 0 {
            // No range asks for the one chunk of an empty file, but it too must be genuine.
            let mut tag = body.to_vec();
            let cipher = &opener.cipher;
            return match cipher.key.open_in_place(cipher.nonce(0), cipher.aad(0, true), &mut tag) {
                Ok(_) => Ok(Vec::new()),
                Err(_) => Err(SealError::ChunkDamaged { chunk: 0 }),
            };
        }
        opener.open_range(&(0..opener.plaintext_size), body)
    }

    fn last_chunk(&self) -> u64 {
        self.plaintext_size.div_ceil(CHUNK_BYTES as u64).saturating_sub(1)
    }

    /// The chunks that hold `plaintext`.
    fn chunks(&self, plaintext: &Range<u64>) -> Range<u64> {
        let end = plaintext.end.min(self.plaintext_size);
        let first = plaintext.start.min(end) / CHUNK_BYTES as u64;
        if plaintext.start >= end { first..first } else { first..end.div_ceil(CHUNK_BYTES as u64) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZES: [usize; 8] =
        [0, 1, 15, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 77];

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| ((n * 31) >> 3) as u8).collect()
    }

    fn key() -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes([3; 32])
    }

    #[test]
    fn files_of_all_sizes_read_back_and_their_sizes_map_both_ways() {
        for size in SIZES {
            let file = ChunkSealer::seal_all(&key(), &text(size)).unwrap();
            assert_eq!(file.len() as u64, ciphertext_size(size as u64));
            assert_eq!(plaintext_size(file.len() as u64), Some(size as u64));
            assert_eq!(ChunkOpener::open_all(&key(), &file).unwrap(), text(size));
        }
    }

    #[test]
    fn sizes_that_no_file_has_are_refused() {
        let sizes: std::collections::BTreeSet<u64> = (0..=2 * CHUNK_BYTES as u64 + 2).map(ciphertext_size).collect();
        for size in 0..ciphertext_size(2 * CHUNK_BYTES as u64 + 2) {
            assert_eq!(plaintext_size(size).is_some(), sizes.contains(&size), "{size}");
        }
        assert!(plaintext_size(u64::MAX).is_none_or(|it| ciphertext_size(it) == u64::MAX));
        assert_eq!(ciphertext_size(u64::MAX), u64::MAX);
    }

    #[test]
    fn pieces_of_any_size_give_the_same_file_content() {
        for piece in [1000, CHUNK_BYTES, CHUNK_BYTES + 1] {
            let plain = text(3 * CHUNK_BYTES);
            let mut file = Vec::new();
            let mut sealer = ChunkSealer::new(&key(), &mut file).unwrap();
            for part in plain.chunks(piece) {
                sealer.push(part, &mut file).unwrap();
            }
            sealer.finish(&mut file).unwrap();
            assert_eq!(ChunkOpener::open_all(&key(), &file).unwrap(), plain);
        }
    }

    #[test]
    fn a_truncated_file_is_noticed_wherever_it_is_cut() {
        let file = ChunkSealer::seal_all(&key(), &text(3 * CHUNK_BYTES)).unwrap();
        let borders = (0..3).map(|n| CHUNK_HEADER_BYTES + n * CHUNK_SEALED_BYTES);
        let cuts = borders.chain((0..file.len()).step_by(997)).chain([file.len() - 1]);
        for cut in cuts {
            assert!(ChunkOpener::open_all(&key(), &file[..cut]).is_err(), "cut at {cut}");
        }
        // Cut at a border, the size is a possible one; what is then the last chunk was not sealed as the last.
        let cut = &file[..CHUNK_HEADER_BYTES + 2 * CHUNK_SEALED_BYTES];
        assert_eq!(ChunkOpener::open_all(&key(), cut).unwrap_err(), SealError::ChunkDamaged { chunk: 1 });
    }

    #[test]
    fn an_unfinished_or_a_lengthened_file_is_noticed() {
        let mut file = Vec::new();
        let mut sealer = ChunkSealer::new(&key(), &mut file).unwrap();
        sealer.push(&text(2 * CHUNK_BYTES + 1), &mut file).unwrap();
        assert!(ChunkOpener::open_all(&key(), &file).is_err());
        let mut file = ChunkSealer::seal_all(&key(), &text(2 * CHUNK_BYTES)).unwrap();
        let again = file[file.len() - CHUNK_SEALED_BYTES..].to_vec();
        file.extend_from_slice(&again);
        assert!(ChunkOpener::open_all(&key(), &file).is_err());
    }

    #[test]
    fn reordered_chunks_are_noticed() {
        let mut file = ChunkSealer::seal_all(&key(), &text(3 * CHUNK_BYTES)).unwrap();
        let (first, second) = file[CHUNK_HEADER_BYTES..].split_at_mut(CHUNK_SEALED_BYTES);
        first.swap_with_slice(&mut second[..CHUNK_SEALED_BYTES]);
        assert_eq!(ChunkOpener::open_all(&key(), &file).unwrap_err(), SealError::ChunkDamaged { chunk: 0 });
    }

    #[test]
    fn chunks_and_headers_swapped_between_files_are_noticed() {
        let [mut a, mut b] = [1, 2].map(|_| ChunkSealer::seal_all(&key(), &text(2 * CHUNK_BYTES)).unwrap());
        a[CHUNK_HEADER_BYTES..].swap_with_slice(&mut b[CHUNK_HEADER_BYTES..]);
        assert!(ChunkOpener::open_all(&key(), &a).is_err());
        assert!(ChunkOpener::open_all(&key(), &b).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for size in [0, 40] {
            let file = ChunkSealer::seal_all(&key(), &text(size)).unwrap();
            for bit in 0..file.len() * 8 {
                let mut changed = file.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(ChunkOpener::open_all(&key(), &changed).is_err(), "bit {bit} of {size}");
            }
        }
    }

    #[test]
    fn bytes_of_another_length_than_asked_for_are_refused() {
        let file = ChunkSealer::seal_all(&key(), &text(100)).unwrap();
        let opener = ChunkOpener::new(&key(), &file, file.len() as u64).unwrap();
        assert_eq!(opener.open_range(&(0..5), &[]).unwrap_err(), SealError::RangeMismatch);
        assert_eq!(opener.open_range(&(200..300), &[]).unwrap(), b"");
        assert_eq!(opener.ciphertext_range(&(200..300)).count(), 0);
    }

    /// Files of format version 1 must be readable for ever. `PANOPTES_BLESS=1` writes it anew: only before a release.
    #[test]
    fn a_file_of_version_1_can_still_be_read() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/chunks-v1.bin");
        let plain = b"what was sealed once can be read for ever";
        if std::env::var_os("PANOPTES_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, ChunkSealer::seal_all(&key(), plain).unwrap()).unwrap();
        }
        assert_eq!(ChunkOpener::open_all(&key(), &std::fs::read(path).unwrap()).unwrap(), plain);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_range_reads_as_that_range(size in 0..3 * CHUNK_BYTES, a in 0..4 * CHUNK_BYTES, b in 0..4 * CHUNK_BYTES) {
            let plain = text(size);
            let file = ChunkSealer::seal_all(&key(), &plain).unwrap();
            let opener = ChunkOpener::new(&key(), &file[..CHUNK_HEADER_BYTES], file.len() as u64).unwrap();
            let range = a.min(b) as u64..a.max(b) as u64;
            let needed = opener.ciphertext_range(&range);
            let bytes = &file[needed.start as usize..needed.end as usize];
            let expected = &plain[a.min(b).min(size)..a.max(b).min(size)];
            prop_assert_eq!(opener.open_range(&range, bytes).unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_opening_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic: bool) {
            if magic && bytes.len() >= 12 {
                bytes[..12].copy_from_slice(b"PANOCHNK\x01\0\0\0");
            }
            prop_assert!(ChunkOpener::open_all(&key(), &bytes).is_err());
        }
    }
}
