//! The key-encryption key and the data keys that it wraps.

use std::fmt;
use std::str::FromStr;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::SealError;

pub const KEY_BYTES: usize = 32;
/// What sealing adds behind the ciphertext.
pub const TAG_BYTES: usize = 16;
/// Nonce, sealed key and tag.
pub const WRAPPED_KEY_BYTES: usize = NONCE_LEN + KEY_BYTES + TAG_BYTES;

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut out = [0; N];
    SystemRandom::new().fill(&mut out).map_err(|_| SealError::RandomUnavailable)?;
    Ok(out)
}

/// The cipher under `key`.
pub(crate) fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    // `ring` refuses only keys of another length than 32.
    let unbound = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 keys have 32 bytes");
    LessSafeKey::new(unbound)
}

/// Length of HKDF output, as `ring` wants it told.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-SHA256(key, salt = "", info = parts)`.
pub(crate) fn expand<const N: usize>(key: &[u8; KEY_BYTES], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key);
    // HKDF fails only beyond 255 * 32 bytes of output; all our lengths are constants far below.
    const { assert!(N <= 255 * 32) };
    prk.expand(info, Length(N)).and_then(|it| it.fill(&mut out)).expect("the output is short enough");
    out
}

/// Public name of a key: tells keys apart, tells nothing about them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The text is not 16 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a key id: it needs 16 hexadecimal digits")]
pub struct KeyIdMalformed(String);

impl FromStr for KeyId {
    type Err = KeyIdMalformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|it| it.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number.to_be_bytes())),
            _ => Err(KeyIdMalformed(text.to_owned())),
        }
    }
}

/// Seals one file, or one purpose. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// A key-encryption key as something that another one wraps.
    pub(crate) fn of(key: &KeyEncryptionKey) -> Self {
        Self(key.bytes.clone())
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// A key that wraps others and gives keys for purposes: what the operator keeps, which wraps a store key
/// ([`KeySlots`](crate::KeySlots)), and the store key itself, which wraps data keys. Wiped when dropped; never printed.
/// The operator's is read from a text or a file and made by [`create_or_load`](Self::create_or_load).
#[derive(Clone)]
pub struct KeyEncryptionKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: KeyId,
}

impl KeyEncryptionKey {
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self::from_bytes(random()?))
    }

    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let id = KeyId(expand(&bytes, &[b"panoptes key id v1"]));
        Self { bytes, id }
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Public name of this key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// `key`, sealed under this key. `aad` binds it to its place; what is unwrapped elsewhere is refused.
    pub fn wrap(&self, key: &DataKey, aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Zeroizing::new(*key.bytes());
        let tag = cipher(&self.bytes)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut *sealed)
            .map_err(|_| SealError::TooLarge)?;
        let mut out = Vec::with_capacity(WRAPPED_KEY_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&*sealed);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// The key that [`wrap`](Self::wrap) sealed. `needed` is the id that the place names: if it is another than this
    /// key's, the error names both.
    pub fn unwrap(&self, needed: KeyId, wrapped: &[u8], aad: &[u8]) -> Result<DataKey, SealError> {
        if needed != self.id {
            return Err(SealError::KeyOther { needed, given: self.id });
        }
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LEN>().ok_or(SealError::HeaderDamaged)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = cipher(&self.bytes)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut sealed)
            .map_err(|_| SealError::HeaderDamaged)?;
        let bytes: [u8; KEY_BYTES] = (&*plain).try_into().map_err(|_| SealError::HeaderDamaged)?;
        Ok(DataKey(Zeroizing::new(bytes)))
    }

    /// HMAC-SHA256 of `message` under the key for `purpose`: only who has this key can make or check it.
    pub fn sign(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.hmac_key(purpose), message);
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        out
    }

    /// Whether [`sign`](Self::sign) gave `signature` for the same.
    pub fn is_signed(&self, purpose: &str, message: &[u8], signature: &[u8; 32]) -> bool {
        hmac::verify(&self.hmac_key(purpose), message, signature).is_ok()
    }

    fn hmac_key(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(purpose).bytes())
    }

    /// The key for `purpose`: always the same for the same purpose, and nothing can be learnt from one about another.
    pub fn derive(&self, purpose: &str) -> DataKey {
        DataKey(Zeroizing::new(expand(&self.bytes, &[b"panoptes derive v1\0", purpose.as_bytes()])))
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_unwraps_only_in_its_place() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let key = DataKey::generate().unwrap();
        let wrapped = kek.wrap(&key, b"here").unwrap();
        assert_eq!(wrapped.len(), WRAPPED_KEY_BYTES);
        assert_eq!(kek.unwrap(kek.id(), &wrapped, b"here").unwrap().bytes(), key.bytes());
        assert_eq!(kek.unwrap(kek.id(), &wrapped, b"there").unwrap_err(), SealError::HeaderDamaged);
        for length in 0..wrapped.len() {
            assert!(kek.unwrap(kek.id(), wrapped.get(..length).unwrap(), b"here").is_err());
        }
        assert_ne!(kek.wrap(&key, b"here").unwrap(), wrapped, "a fresh nonce each time");
    }

    #[test]
    fn the_error_for_a_wrong_key_names_both_keys() {
        let [right, wrong] = [1, 2].map(|n| KeyEncryptionKey::from_bytes([n; KEY_BYTES]));
        let wrapped = right.wrap(&DataKey::generate().unwrap(), b"").unwrap();
        let text = wrong.unwrap(right.id(), &wrapped, b"").unwrap_err().to_string();
        assert!(text.contains(&right.id().to_string()) && text.contains(&wrong.id().to_string()), "{text}");
        // Even if the header lies about the key, nothing opens.
        assert_eq!(wrong.unwrap(wrong.id(), &wrapped, b"").unwrap_err(), SealError::HeaderDamaged);
    }

    #[test]
    fn derived_keys_are_stable_and_differ_by_purpose_and_key() {
        let kek = KeyEncryptionKey::from_bytes([7; KEY_BYTES]);
        assert_eq!(kek.derive("catalog").bytes(), kek.derive("catalog").bytes());
        assert_ne!(kek.derive("catalog").bytes(), kek.derive("catalog index").bytes());
        assert_ne!(
            kek.derive("catalog").bytes(),
            KeyEncryptionKey::from_bytes([8; KEY_BYTES]).derive("catalog").bytes()
        );
    }

    #[test]
    fn a_signature_holds_for_its_key_purpose_and_message() {
        let [key, other] = [1, 2].map(|n| KeyEncryptionKey::from_bytes([n; KEY_BYTES]));
        let signature = key.sign("head", b"message");
        assert!(key.is_signed("head", b"message", &signature));
        assert!(!key.is_signed("head", b"massage", &signature) && !key.is_signed("tail", b"message", &signature));
        assert!(!other.is_signed("head", b"message", &signature));
    }

    #[test]
    fn hkdf_agrees_with_rfc_5869() {
        // Test case 3 of the RFC has an empty salt and info, but 22 bytes of input key material; ours always has 32.
        // So: the same construction by hand from HMAC, as RFC 5869 section 2 states it.
        let key = [9; KEY_BYTES];
        let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), &key);
        let okm = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, prk.as_ref()), b"info\x01");
        assert_eq!(&expand::<32>(&key, &[b"in", b"fo"])[..], okm.as_ref());
    }

    #[test]
    fn neither_kind_of_key_prints_its_bytes() {
        let kek = KeyEncryptionKey::from_bytes([0xab; KEY_BYTES]);
        assert_eq!(format!("{kek:?}"), format!("KeyEncryptionKey({})", kek.id()));
        assert_eq!(format!("{:?}", kek.derive("x")), "DataKey(..)");
        assert_eq!(kek.id().to_string().parse::<KeyId>().unwrap(), kek.id());
        assert!("+123456789abcdef".parse::<KeyId>().is_err());
    }
}
