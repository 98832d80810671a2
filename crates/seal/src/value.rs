//! Single values: catalogue cells and manifest entries, and keyed hashes by which equal values can be found.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::hmac;

use crate::key::{cipher, expand, random};
use crate::{DataKey, SealError, TAG_BYTES};

const VERSION: u8 = 1;
/// How much longer a sealed value is.
pub const VALUE_OVERHEAD_BYTES: usize = 1 + NONCE_LEN + TAG_BYTES;

/// Seals values under one key, each with a random nonce.
pub struct ValueSealer {
    cipher: LessSafeKey,
    hash_key: hmac::Key,
}

impl ValueSealer {
    /// `key` is used for nothing else: [`KeyEncryptionKey::derive`](crate::KeyEncryptionKey::derive) gives one per
    /// purpose. Values and hashes get keys of their own from it.
    pub fn new(key: &DataKey) -> Self {
        let seal = zeroize::Zeroizing::new(expand::<32>(key.bytes(), &[b"panoptes value seal v1"]));
        let hash = zeroize::Zeroizing::new(expand::<32>(key.bytes(), &[b"panoptes value hash v1"]));
        Self { cipher: cipher(&seal), hash_key: hmac::Key::new(hmac::HMAC_SHA256, &*hash) }
    }

    /// `plaintext`, sealed. `aad` names its place; it opens nowhere else.
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut out = Vec::with_capacity(VALUE_OVERHEAD_BYTES + plaintext.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plaintext);
        let (_, body) = out.split_at_mut(1 + NONCE_LEN);
        let tag = self
            .cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
            .map_err(|_| SealError::TooLarge)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// The plaintext of what [`seal`](Self::seal) gave for the same place.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::ValueDamaged)?;
        if *version != VERSION {
            return Err(SealError::ValueDamaged);
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::ValueDamaged)?;
        let mut body = rest.to_vec();
        let length = self
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut body)
            .map_err(|_| SealError::ValueDamaged)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// The same for equal values, and for nobody without the key: what equality on sealed columns is looked up by.
    pub fn keyed_hash(&self, value: &[u8]) -> [u8; 16] {
        let tag = hmac::sign(&self.hash_key, value);
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyEncryptionKey;

    const SEALED_V1: &str = "013694e94d80adfa857a2d15415def7ad4668b37fb1b9620012f3e63b3f0cc5ae4";
    const HASH_V1: &str = "b16f760db48b33b79ab56ed2e1c68e14";

    fn sealer(byte: u8) -> ValueSealer {
        ValueSealer::new(&KeyEncryptionKey::from_bytes([byte; 32]).derive("test"))
    }

    #[test]
    fn a_value_opens_only_in_its_place_and_with_its_key() {
        let sealed = sealer(1).seal(b"root", b"alerts/entity/7").unwrap();
        assert_eq!(sealed.len(), 4 + VALUE_OVERHEAD_BYTES);
        assert_eq!(sealer(1).open(&sealed, b"alerts/entity/7").unwrap(), b"root");
        assert_eq!(sealer(1).open(&sealed, b"alerts/entity/8").unwrap_err(), SealError::ValueDamaged);
        assert_eq!(sealer(2).open(&sealed, b"alerts/entity/7").unwrap_err(), SealError::ValueDamaged);
        assert_ne!(sealer(1).seal(b"root", b"alerts/entity/7").unwrap(), sealed);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_value_is_noticed() {
        let sealer = sealer(1);
        let sealed = sealer.seal(b"", b"x").unwrap();
        assert_eq!(sealer.open(&sealed, b"x").unwrap(), b"");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&changed, b"x").is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open(&sealed[..length], b"x").is_err());
        }
    }

    #[test]
    fn keyed_hashes_agree_for_equal_values_under_one_key_only() {
        assert_eq!(sealer(1).keyed_hash(b"203.0.113.9"), sealer(1).keyed_hash(b"203.0.113.9"));
        assert_ne!(sealer(1).keyed_hash(b"203.0.113.9"), sealer(1).keyed_hash(b"203.0.113.8"));
        assert_ne!(sealer(1).keyed_hash(b"203.0.113.9"), sealer(2).keyed_hash(b"203.0.113.9"));
    }

    /// Values in catalogues out there must be readable and findable for ever.
    #[test]
    fn a_value_and_a_hash_of_version_1_still_hold() {
        let sealed = SEALED_V1.as_bytes().chunks(2).map(|it| std::str::from_utf8(it).unwrap());
        let sealed: Vec<u8> = sealed.map(|it| u8::from_str_radix(it, 16).unwrap()).collect();
        assert_eq!(sealer(1).open(&sealed, b"alerts/entity/7").unwrap(), b"root");
        let hash = sealer(1).keyed_hash(b"203.0.113.9");
        assert_eq!(hash.iter().map(|it| format!("{it:02x}")).collect::<String>(), HASH_V1);
    }
}
