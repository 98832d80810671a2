//! Keys, and everything that is sealed with them: AES-256-GCM through `ring`.
//!
//! In go plaintext and a key; out come bytes that cannot be read, changed, cut, reordered or exchanged without
//! opening failing. This crate knows nothing of logs, segments or catalogues; it does no I/O but for the key file.
//!
//! # Where to look first
//! * [`KeyEncryptionKey`]: the operator's key, whose file is described in `key_file.rs`, and the store key.
//! * [`KeySlots`]: the store key, wrapped for each key, passphrase ([`Passphrase`]) or paper ([`RecoveryCode`]) that may
//!   open it.
//! * [`Header`]: how each sealed file begins.
//! * [`ChunkSealer`] and [`ChunkOpener`]: immutable files of any size with random access (segments).
//! * [`SequenceSealer`] and [`SequenceOpener`]: numbered records in one file (the log).
//! * [`ValueSealer`]: single values (catalogue cells, manifest entries) and keyed hashes for equality.
//!
//! # Keys
//! * A key-encryption key (KEK) has 32 bytes. Its public id is the first 8 bytes of
//!   `HKDF-SHA256(ikm = KEK, salt = "", info = "panoptes key id v1")`.
//! * The *store key* is a KEK of 32 random bytes for one data folder. It lies there wrapped by other KEKs, one for each
//!   slot (`slots.rs`), which never lie beside what they protect. Below, KEK is the store key.
//! * Each sealed file has a random data key of its own, wrapped by the KEK in its header:
//!   `random nonce (12) | AES-256-GCM(KEK, data key) (32) | tag (16)`.
//! * Keys for a purpose are `HKDF-SHA256(ikm = KEK, salt = "", info = "panoptes derive v1" 00 purpose)`.
//! * A new operator's key re-wraps the store key and touches no sealed file.
//!
//! # Header of a sealed file (version 1; all integers little-endian)
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic: which kind of file |
//! | 2 | version of that kind |
//! | 2 | c: length of the context |
//! | 16 | file nonce, random |
//! | c | context: what else the kind wants bound to the file |
//! | 8 | id of the KEK |
//! | 60 | data key, wrapped; AAD: all bytes before it |
//!
//! The *identity* of the file is SHA-256 over all bytes before the KEK's id. It is part of the AAD of everything
//! sealed in the file.
//!
//! # Chunked file (magic `PANOCHNK`, version 1, no context: 96 bytes of header)
//!
//! After the header come chunks of 65,536 bytes of plaintext, each followed by its 16-byte tag; the last may be
//! shorter and is empty only in an empty file. Chunk n is sealed with the nonce `first 4 bytes of the file nonce | n
//! (8 bytes, big-endian)` and the AAD `identity (32) | n (8) | 1 if it is the last, else 0 (1)`. The plaintext size
//! follows from the file size, so any range can be read alone. A file cut at a chunk border shows when its (new) last
//! chunk is opened: whoever reads single ranges reads the end first, as Parquet does.
//!
//! # Numbered record
//!
//! Sealed with the file's data key, the nonce `00000000 | number (8 bytes, big-endian)` and the AAD `identity (32) |
//! what the kind of file adds`. [`SequenceSealer`] refuses a number that is not greater than the last one.
//!
//! # Single value
//!
//! `01 | random nonce (12) | ciphertext | tag (16)`; the AAD is the caller's (table, column and row, so that cells
//! cannot be exchanged). Random nonces are safe for 2^32 values under one key.
//!
//! # Invariants
//! * No nonce is used twice under one key: data keys are fresh per file, numbers only rise, other nonces are random.
//! * Opening never panics and never gives bytes that were not sealed as they are given.
//! * Our copies of keys are wiped when they are dropped. What `ring` keeps of them inside its own types is not: a core
//!   dump of a running process holds keys.

mod chunk;
mod error;
mod header;
mod key;
mod key_file;
mod passphrase;
mod recovery;
mod sequence;
mod slots;
mod value;

pub use crate::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_SEALED_BYTES, ChunkOpener, ChunkSealer, ciphertext_size, plaintext_size,
};
pub use crate::error::SealError;
pub use crate::header::{Header, HeaderKind, sealed_with};
pub use crate::key::{DataKey, KEY_BYTES, KeyEncryptionKey, KeyId, KeyIdMalformed, TAG_BYTES, WRAPPED_KEY_BYTES};
pub use crate::key_file::{Created, KeyFileError, KeyTextError, KeyWarning};
pub use crate::passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, PassphraseCost};
pub use crate::recovery::{RecoveryCode, RecoveryCodeError};
pub use crate::sequence::{SequenceOpener, SequenceSealer};
pub use crate::slots::{KEYS_BYTES_MAX, KeySlots, Opened, Passphrase, SLOTS_MAX, Secret, Slot, SlotKind, SlotsError};
pub use crate::value::{VALUE_OVERHEAD_BYTES, ValueSealer};

use ring::digest;

/// SHA-256, for chains and digests of files.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// SHA-256 of bytes that come in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        // A SHA-256 digest has 32 bytes, always.
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}
