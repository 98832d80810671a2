//! A recovery code: 256 random bits that a person can copy from paper.
//!
//! As text: 32 bytes and the first 3 bytes of `SHA-256("panoptes recovery check v1" | bytes)`, together 280 bits, as 56
//! characters of Crockford's base32 (no I, L, O, U) in eight groups of seven. Reading takes either case, any spaces and
//! dashes, O for 0 and I or L for 1.

use zeroize::Zeroizing;

use crate::key::{expand, random};
use crate::{KEY_BYTES, KeyEncryptionKey, SealError, sha256};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHECK_BYTES: usize = 3;
const CODE_CHARS: usize = (KEY_BYTES + CHECK_BYTES) * 8 / 5;
const GROUP_CHARS: usize = 7;
/// What is longer is not read: with spaces and dashes a code has far fewer bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Why a text is no recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryCodeError {
    #[error("a recovery code has {CODE_CHARS} letters and digits; this has {found}")]
    LengthWrong { found: usize },
    #[error("group {group} of the recovery code has a character that no code has; compare it with the paper")]
    Character { group: usize },
    #[error("the checksum of the recovery code is wrong: a character was mistyped; compare it with the paper")]
    Checksum,
}

/// The code itself. Wiped when dropped; only [`text`](Self::text) shows it.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<[u8; KEY_BYTES]>);

impl RecoveryCode {
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Eight groups of seven characters.
    pub fn text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([&self.0[..], &check(&self.0)].concat());
        let mut text = Zeroizing::new(String::with_capacity(CODE_CHARS + CODE_CHARS / GROUP_CHARS));
        let (mut bits, mut held, mut written) = (0_u32, 0, 0);
        for byte in bytes.iter() {
            bits = (bits << 8 | u32::from(*byte)) & 0xfff;
            held += 8;
            while held >= 5 {
                held -= 5;
                if written > 0 && written % GROUP_CHARS == 0 {
                    text.push('-');
                }
                let digit = ALPHABET.get((bits >> held & 31) as usize).copied().unwrap_or(b'0');
                text.push(char::from(digit));
                written += 1;
            }
        }
        text
    }

    /// The code that [`text`](Self::text) wrote.
    pub fn parse(text: &str) -> Result<Self, RecoveryCodeError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(RecoveryCodeError::LengthWrong { found: text.len() });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + CHECK_BYTES));
        let (mut bits, mut held, mut read) = (0_u32, 0, 0);
        for character in text.chars().filter(|it| !it.is_whitespace() && *it != '-') {
            let digit = match character.to_ascii_uppercase() {
                'O' => Some(0),
                'I' | 'L' => Some(1),
                other => ALPHABET.iter().position(|it| char::from(*it) == other),
            };
            let digit = digit.ok_or(RecoveryCodeError::Character { group: read / GROUP_CHARS + 1 })?;
            bits = (bits << 5 | digit as u32) & 0xfff;
            held += 5;
            read += 1;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held & 0xff) as u8);
            }
        }
        if read != CODE_CHARS {
            return Err(RecoveryCodeError::LengthWrong { found: read });
        }
        match bytes.split_first_chunk::<KEY_BYTES>() {
            Some((code, given)) if given == check(code) => Ok(Self(Zeroizing::new(*code))),
            _ => Err(RecoveryCodeError::Checksum),
        }
    }

    /// The key that the code stands for.
    pub(crate) fn key(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes(expand(&self.0, &[b"panoptes recovery key v1"]))
    }
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

fn check(code: &[u8; KEY_BYTES]) -> [u8; CHECK_BYTES] {
    let [a, b, c, ..] = sha256(&[b"panoptes recovery check v1", code]);
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_however_it_was_copied() {
        let code = RecoveryCode::generate().unwrap();
        let text = code.text();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [GROUP_CHARS; 8]);
        let copies =
            [text.to_string(), text.to_lowercase(), text.replace('-', " "), text.replace('0', "o").replace('1', "l")];
        for copy in copies {
            assert_eq!(RecoveryCode::parse(&format!(" {copy}\n")).unwrap().0, code.0, "{copy}");
        }
        assert_eq!(format!("{code:?}"), "RecoveryCode(..)");
        assert_ne!(RecoveryCode::generate().unwrap().text(), text);
    }

    #[test]
    fn every_mistyped_character_is_noticed() {
        let text = RecoveryCode::generate().unwrap().text();
        for (place, character) in text.char_indices().filter(|it| it.1 != '-') {
            for other in ALPHABET.iter().map(|it| char::from(*it)).filter(|it| *it != character) {
                let mut wrong = text.to_string();
                wrong.replace_range(place..=place, &other.to_string());
                assert_eq!(RecoveryCode::parse(&wrong).unwrap_err(), RecoveryCodeError::Checksum, "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_refused_with_the_reason() {
        let parse = |text: &str| RecoveryCode::parse(text).unwrap_err();
        assert_eq!(parse(""), RecoveryCodeError::LengthWrong { found: 0 });
        assert_eq!(parse(&"0".repeat(57)), RecoveryCodeError::LengthWrong { found: 57 });
        assert_eq!(parse(&"0".repeat(10_000)), RecoveryCodeError::LengthWrong { found: 10_000 });
        assert_eq!(parse("0000000-00u0000"), RecoveryCodeError::Character { group: 2 });
        assert_eq!(parse("0000000-é"), RecoveryCodeError::Character { group: 2 });
    }

    /// Codes on paper must work for ever.
    #[test]
    fn a_code_of_version_1_still_stands_for_its_key() {
        let code = RecoveryCode(Zeroizing::new(std::array::from_fn(|n| n as u8)));
        assert_eq!(&*code.text(), CODE_V1);
        assert_eq!(RecoveryCode::parse(CODE_V1).unwrap().key().id().to_string(), KEY_ID_V1);
    }

    const CODE_V1: &str = "000G40R-40M30E2-09185GR-38E1W81-24GK2GA-HC5RR34-D1P70X3-RFWFD4R";
    const KEY_ID_V1: &str = "fb0ea50319a56075";
}
