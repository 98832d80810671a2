//! How each sealed file begins (see the crate's header for the bytes).

use crate::key::random;
use crate::{DataKey, KeyEncryptionKey, KeyId, SealError, WRAPPED_KEY_BYTES, sha256};

const FIXED_BYTES: usize = 8 + 2 + 2 + 16;
const KEY_ID_BYTES: usize = 8;

/// One kind of sealed file.
#[derive(Clone, Copy, Debug)]
pub struct HeaderKind {
    pub magic: [u8; 8],
    /// What is written; a higher one found in a file is refused.
    pub version: u16,
    /// How many bytes the kind binds to its files.
    pub context_bytes: u16,
}

impl HeaderKind {
    /// Length of the header of such a file.
    pub const fn header_bytes(&self) -> usize {
        FIXED_BYTES + self.context_bytes as usize + KEY_ID_BYTES + WRAPPED_KEY_BYTES
    }
}

/// Which key wraps the data key of the sealed file that starts with `bytes`, whatever its kind; `None` if it is no
/// sealed file or is cut short. Nothing of it is proven.
pub fn sealed_with(bytes: &[u8]) -> Option<KeyId> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (_version, rest) = rest.split_first_chunk::<2>()?;
    let (context_bytes, rest) = rest.split_first_chunk()?;
    let (_file_nonce, rest) = rest.split_first_chunk::<16>()?;
    let rest = rest.get(usize::from(u16::from_le_bytes(*context_bytes))..)?;
    let (key_id, _wrapped) = rest.split_first_chunk::<KEY_ID_BYTES>()?;
    (magic.starts_with(b"PANO") && magic != b"PANOKEYS").then_some(KeyId(*key_id))
}

/// A header that was made or read: the file's own key and what is bound to it.
#[derive(Clone, Debug)]
pub struct Header {
    pub data_key: DataKey,
    /// Random, in clear.
    pub file_nonce: [u8; 16],
    /// Part of the AAD of everything in the file.
    pub identity: [u8; 32],
    pub context: Vec<u8>,
}

impl Header {
    /// A header for a new file with a fresh data key, and its bytes.
    ///
    /// # Panics
    /// If `context` has another length than `kind` says: that is a constant of the program.
    pub fn create(kek: &KeyEncryptionKey, kind: &HeaderKind, context: &[u8]) -> Result<(Self, Vec<u8>), SealError> {
        assert_eq!(context.len(), usize::from(kind.context_bytes), "the context has the length of its kind");
        let file_nonce: [u8; 16] = random()?;
        let data_key = DataKey::generate()?;
        let mut bytes = Vec::with_capacity(kind.header_bytes());
        bytes.extend_from_slice(&kind.magic);
        bytes.extend_from_slice(&kind.version.to_le_bytes());
        bytes.extend_from_slice(&kind.context_bytes.to_le_bytes());
        bytes.extend_from_slice(&file_nonce);
        bytes.extend_from_slice(context);
        let identity = sha256(&[&bytes]);
        bytes.extend_from_slice(&kek.id().0);
        let wrapped = kek.wrap(&data_key, &bytes)?;
        bytes.extend_from_slice(&wrapped);
        Ok((Self { data_key, file_nonce, identity, context: context.to_vec() }, bytes))
    }

    /// Reads the header at the start of `bytes`, which may be longer.
    pub fn open(kek: &KeyEncryptionKey, kind: &HeaderKind, bytes: &[u8]) -> Result<Self, SealError> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(SealError::HeaderDamaged)?;
        if *magic != kind.magic {
            return Err(SealError::MagicOther);
        }
        let (version, rest) = rest.split_first_chunk().ok_or(SealError::HeaderDamaged)?;
        let version = u16::from_le_bytes(*version);
        if version > kind.version {
            return Err(SealError::VersionUnknown { version, known: kind.version });
        }
        let (context_bytes, rest) = rest.split_first_chunk().ok_or(SealError::HeaderDamaged)?;
        if version != kind.version || u16::from_le_bytes(*context_bytes) != kind.context_bytes {
            return Err(SealError::HeaderDamaged);
        }
        let (file_nonce, rest) = rest.split_first_chunk::<16>().ok_or(SealError::HeaderDamaged)?;
        let (context, rest) = rest.split_at_checked(usize::from(kind.context_bytes)).ok_or(SealError::HeaderDamaged)?;
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(SealError::HeaderDamaged)?;
        let wrapped = rest.get(..WRAPPED_KEY_BYTES).ok_or(SealError::HeaderDamaged)?;
        let bound = bytes.get(..kind.header_bytes() - WRAPPED_KEY_BYTES).ok_or(SealError::HeaderDamaged)?;
        let data_key = kek.unwrap(KeyId(*key_id), wrapped, bound)?;
        let identity = sha256(&[bound.get(..bound.len() - KEY_ID_BYTES).ok_or(SealError::HeaderDamaged)?]);
        Ok(Self { data_key, file_nonce: *file_nonce, identity, context: context.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: HeaderKind = HeaderKind { magic: *b"PANOTEST", version: 1, context_bytes: 5 };

    #[test]
    fn a_header_reads_back_with_its_context() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let (made, mut bytes) = Header::create(&kek, &KIND, b"hello").unwrap();
        assert_eq!(bytes.len(), KIND.header_bytes());
        assert_eq!(sealed_with(&bytes), Some(kek.id()));
        assert_eq!(sealed_with(&bytes[..40]), None);
        assert_eq!(sealed_with(&[b"PANOKEYS", &bytes[8..]].concat()), None, "that has no such header");
        assert_eq!(sealed_with(&[0; 200]), None);
        bytes.extend_from_slice(b"what follows");
        let read = Header::open(&kek, &KIND, &bytes).unwrap();
        assert_eq!(
            (read.identity, read.file_nonce, &read.context[..]),
            (made.identity, made.file_nonce, &b"hello"[..])
        );
        assert_eq!(read.data_key.bytes(), made.data_key.bytes());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_header_is_noticed() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let (_, bytes) = Header::create(&kek, &KIND, b"hello").unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::open(&kek, &KIND, &changed).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Header::open(&kek, &KIND, &bytes[..length]).unwrap_err(), SealError::HeaderDamaged);
        }
    }

    #[test]
    fn another_kind_a_newer_version_and_another_key_are_told_apart() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let newer = HeaderKind { version: 2, ..KIND };
        let (_, bytes) = Header::create(&kek, &newer, b"hello").unwrap();
        assert_eq!(Header::open(&kek, &KIND, &bytes).unwrap_err(), SealError::VersionUnknown { version: 2, known: 1 });
        let other = HeaderKind { magic: *b"PANOELSE", ..KIND };
        assert_eq!(Header::open(&kek, &other, &bytes).unwrap_err(), SealError::MagicOther);
        let stranger = KeyEncryptionKey::generate().unwrap();
        assert_eq!(
            Header::open(&stranger, &newer, &bytes).unwrap_err(),
            SealError::KeyOther { needed: kek.id(), given: stranger.id() }
        );
    }
}
