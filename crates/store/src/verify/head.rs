//! The end of the manifest's chain, to be kept elsewhere.
//!
//! # Format, version 1
//!
//! Text of five lines, each ended by a line feed, at most [`HEAD_FILE_BYTES_MAX`] bytes:
//!
//! ```text
//! panoptes head v1
//! entry NUMBER
//! hash 64 HEXADECIMAL DIGITS
//! at TIME (RFC 3339)
//! signature 64 HEXADECIMAL DIGITS
//! ```
//!
//! `entry` and `hash` are the [`Head`]: the length of the chain and the SHA-256 of its last entry. The signature is
//! HMAC-SHA256 over the lines before it, under the key that `panoptes_seal` derives for the purpose `panoptes head v1`:
//! who has the key can make and check one, nobody else can.

use panoptes_model::Timestamp;
use panoptes_seal::KeyEncryptionKey;

use crate::manifest::Head;
use crate::pivot::instant;

/// A file that is longer is no head.
pub const HEAD_FILE_BYTES_MAX: usize = 1024;
const FIRST_LINE: &str = "panoptes head v1";
const PURPOSE: &str = "panoptes head v1";

/// A head and when it was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead {
    pub head: Head,
    pub at: Timestamp,
}

/// Why a file is not a head of this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    #[error("this is no head that `panoptes verify --export-head` wrote")]
    Malformed,
    #[error("the signature does not hold: the head was changed, or is of a store with another key")]
    SignatureWrong,
}

impl SignedHead {
    /// The file.
    pub fn to_text(&self, key: &KeyEncryptionKey) -> String {
        let Self { head: Head { number, hash }, at } = self;
        let signed = format!("{FIRST_LINE}\nentry {number}\nhash {}\nat {at}\n", hex(hash));
        let signature = hex(&key.sign(PURPOSE, signed.as_bytes()));
        format!("{signed}signature {signature}\n")
    }

    /// Reads a file and checks its signature.
    pub fn from_text(key: &KeyEncryptionKey, text: &str) -> Result<Self, HeadError> {
        let parsed = || {
            let (signed, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
            let signature = unhex(last.strip_prefix("signature ")?)?;
            let mut lines = signed.split('\n');
            (lines.next() == Some(FIRST_LINE)).then_some(())?;
            let number = lines.next()?.strip_prefix("entry ")?.parse().ok()?;
            let hash = unhex(lines.next()?.strip_prefix("hash ")?)?;
            let at = instant(lines.next()?.strip_prefix("at ")?)?;
            lines.next().is_none().then_some(())?;
            Some((Self { head: Head { number, hash }, at }, format!("{signed}\n"), signature))
        };
        if text.len() > HEAD_FILE_BYTES_MAX {
            return Err(HeadError::Malformed);
        }
        let (head, signed, signature) = parsed().ok_or(HeadError::Malformed)?;
        match key.is_signed(PURPOSE, signed.as_bytes(), &signature) {
            true => Ok(head),
            false => Err(HeadError::SignatureWrong),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != out.len() {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let digit = |it: &u8| char::from(*it).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes([byte; 32])
    }

    fn head() -> SignedHead {
        let mut hash = [0xab; 32];
        hash[0] = 1;
        SignedHead { head: Head { number: 12, hash }, at: Timestamp(1_700_000_000_000_000_000) }
    }

    /// Written by version 1; must be readable for ever.
    const V1: &str = "panoptes head v1\nentry 12\nhash 01ababababababababababababababababababababababababababababababab\nat 2023-11-14T22:13:20Z\nsignature ";

    #[test]
    fn a_head_reads_back_under_its_key_alone() {
        let text = head().to_text(&key(5));
        assert!(text.starts_with(V1), "{text}");
        assert_eq!(SignedHead::from_text(&key(5), &text), Ok(head()));
        assert_eq!(SignedHead::from_text(&key(6), &text), Err(HeadError::SignatureWrong));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let text = head().to_text(&key(5));
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = String::from_utf8(changed) {
                // The digits of the signature may be written either way.
                let same = changed.eq_ignore_ascii_case(&text) && changed.starts_with(V1);
                assert_eq!(SignedHead::from_text(&key(5), &changed).is_ok(), same, "{changed}");
            }
        }
        for length in 0..text.len() {
            assert_eq!(SignedHead::from_text(&key(5), text.get(..length).unwrap()), Err(HeadError::Malformed));
        }
        assert_eq!(SignedHead::from_text(&key(5), &"x\n".repeat(600)), Err(HeadError::Malformed));
    }
}
