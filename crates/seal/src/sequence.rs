//! Numbered records under one file's data key: the number is the nonce, so it may only rise.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use crate::key::cipher;
use crate::{Header, SealError};

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (_, tail) = bytes.split_at_mut(4);
    tail.copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn aad(identity: &[u8; 32], extra: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([&identity[..], extra].concat())
}

/// Seals the records of a file that this process has just created. There is no way to make one for a file that was
/// read: the numbers that its earlier writer used cannot be known after a crash.
pub struct SequenceSealer {
    key: LessSafeKey,
    identity: [u8; 32],
    last: Option<u64>,
}

impl SequenceSealer {
    /// For the file of `header`, which was just [created](Header::create).
    pub fn new(header: &Header) -> Self {
        Self { key: cipher(header.data_key.bytes()), identity: header.identity, last: None }
    }

    /// Seals `record[from..]` in place and appends the tag; what lies before stays in clear and is authenticated.
    pub fn seal(&mut self, number: u64, record: &mut Vec<u8>, from: usize) -> Result<(), SealError> {
        if self.last.is_some_and(|last| number <= last) {
            return Err(SealError::NumberUsed { number });
        }
        let (clear, plain) = record.split_at_mut_checked(from).ok_or(SealError::TooLarge)?;
        // From here on the number counts as used, whatever becomes of the record.
        self.last = Some(number);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number), aad(&self.identity, clear), plain)
            .map_err(|_| SealError::TooLarge)?;
        record.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

/// Opens the records of a file.
#[derive(Clone)]
pub struct SequenceOpener {
    key: LessSafeKey,
    identity: [u8; 32],
}

impl SequenceOpener {
    pub fn new(header: &Header) -> Self {
        Self { key: cipher(header.data_key.bytes()), identity: header.identity }
    }

    /// Opens record `number` in place: `clear` is what lay before it, `sealed` ends with the tag.
    pub fn open<'b>(&self, number: u64, clear: &[u8], sealed: &'b mut [u8]) -> Result<&'b mut [u8], SealError> {
        self.key
            .open_in_place(nonce(number), aad(&self.identity, clear), sealed)
            .map_err(|_| SealError::RecordDamaged { number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeaderKind, KeyEncryptionKey};

    const KIND: HeaderKind = HeaderKind { magic: *b"PANOTEST", version: 1, context_bytes: 0 };

    fn header() -> Header {
        Header::create(&KeyEncryptionKey::generate().unwrap(), &KIND, &[]).unwrap().0
    }

    #[test]
    fn a_record_opens_only_under_its_number_file_and_clear_text() {
        let (file, other) = (header(), header());
        let mut sealer = SequenceSealer::new(&file);
        let mut record = b"clear|secret".to_vec();
        sealer.seal(5, &mut record, 6).unwrap();
        let (clear, sealed) = record.split_at(6);
        let open = |file: &Header, number, clear: &[u8]| {
            SequenceOpener::new(file).open(number, clear, &mut sealed.to_vec()).map(|it| it.to_vec())
        };
        assert_eq!(open(&file, 5, clear).unwrap(), b"secret");
        assert_eq!(open(&file, 6, clear).unwrap_err(), SealError::RecordDamaged { number: 6 });
        assert!(open(&file, 5, b"cleaR|").is_err());
        assert!(open(&other, 5, clear).is_err());
        assert!(SequenceOpener::new(&file).open(5, clear, &mut []).is_err());
    }

    #[test]
    fn no_number_is_used_twice_and_none_falls() {
        let mut sealer = SequenceSealer::new(&header());
        sealer.seal(5, &mut vec![1], 0).unwrap();
        assert_eq!(sealer.seal(5, &mut vec![2], 0).unwrap_err(), SealError::NumberUsed { number: 5 });
        assert_eq!(sealer.seal(4, &mut vec![2], 0).unwrap_err(), SealError::NumberUsed { number: 4 });
        sealer.seal(6, &mut vec![2], 0).unwrap();
    }
}
