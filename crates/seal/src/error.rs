//! Why something could not be sealed or opened.

use crate::KeyId;

/// Why bytes could not be sealed or opened. Never says anything about the plaintext.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    #[error("sealed with key {needed}, but the key given is {given}; use the key file that belongs to this data")]
    KeyOther { needed: KeyId, given: KeyId },
    #[error("not a sealed file of the kind expected: its first bytes are others")]
    MagicOther,
    #[error("version {version} of the format is newer than this program, which reads up to {known}; update it")]
    VersionUnknown { version: u16, known: u16 },
    #[error("the header is cut short or damaged")]
    HeaderDamaged,
    #[error("the file has {bytes} bytes, which no complete sealed file has; it was cut short")]
    SizeImpossible { bytes: u64 },
    #[error("chunk {chunk} is damaged, cut, out of its place or of another file")]
    ChunkDamaged { chunk: u64 },
    #[error("the bytes given are not the chunks that hold the range asked for")]
    RangeMismatch,
    #[error("record {number} is damaged, out of its place or of another file")]
    RecordDamaged { number: u64 },
    #[error("record number {number} was used already under this key")]
    NumberUsed { number: u64 },
    #[error("the value is damaged, of another place or sealed with another key")]
    ValueDamaged,
    #[error("the operating system gave no random bytes")]
    RandomUnavailable,
    #[error("too large to seal in one piece")]
    TooLarge,
}
