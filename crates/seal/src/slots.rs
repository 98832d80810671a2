//! The key slots of a data folder: one *store key*, which seals everything, wrapped once for each key that opens it.
//!
//! Whoever has the key of one slot has the store key; slots come and go without any other file being touched. This is
//! the file's content; `panoptes_store::keys` reads and replaces it.
//!
//! # Format, version 1 (all integers little-endian)
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic `PANOKEYS` |
//! | 2 | version |
//! | 2 | flags: 1 the store key was the operator's key before there were slots |
//! | 4 | zero |
//! | 8 | id of the store key |
//! | 8 | generation: rises by one with each change |
//! | 112 each | the slots, at most [`SLOTS_MAX`] |
//! | 32 | HMAC-SHA256 over all before, under the store key's key for `keys file` |
//!
//! A slot:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | number, 1 to 255; no two are alike |
//! | 1 | kind: 1 key, 2 passphrase, 3 recovery code |
//! | 1 | number of the slot that this one is to replace (a rotation that was not finished), else zero |
//! | 5 | zero |
//! | 8 | made at, seconds since 1970 |
//! | 8 | id of the key that opens it |
//! | 16 | salt of a passphrase, else zero |
//! | 4, 4, 4 | its cost in memory (KiB), passes and lanes, else zero |
//! | 60 | the store key, wrapped by the slot's key; AAD: `panoptes key slot v1` and the slot's bytes before it |
//!
//! # Invariants
//! * A damaged byte costs at most one slot: every slot opens by itself. That something was changed is told
//!   ([`Opened::is_intact`]).
//! * Reading hostile bytes never panics, and costs no more memory or time than `passphrase.rs` allows for each slot.

use ring::hmac;
use zeroize::Zeroizing;

use crate::key::random;
use crate::passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, PassphraseCost, SALT_BYTES};
use crate::recovery::RecoveryCode;
use crate::{DataKey, KeyEncryptionKey, KeyId, SealError, WRAPPED_KEY_BYTES};

/// So many keys open a data folder at most; a further one is refused until another is removed.
pub const SLOTS_MAX: usize = 16;
/// No keys file is longer.
pub const KEYS_BYTES_MAX: usize = HEADER_BYTES + SLOTS_MAX * SLOT_BYTES + MAC_BYTES;

const MAGIC: &[u8; 8] = b"PANOKEYS";
const VERSION: u16 = 1;
const FLAG_ADOPTED: u16 = 1;
const HEADER_BYTES: usize = 32;
const BOUND_BYTES: usize = 52;
const SLOT_BYTES: usize = BOUND_BYTES + WRAPPED_KEY_BYTES;
const MAC_BYTES: usize = 32;
const SLOT_AAD: &[u8] = b"panoptes key slot v1";

/// What opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    Key,
    Passphrase,
    Recovery,
}

impl SlotKind {
    const fn code(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Passphrase => 2,
            Self::Recovery => 3,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Key),
            2 => Some(Self::Passphrase),
            3 => Some(Self::Recovery),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
        }
    }
}

impl std::fmt::Display for SlotKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What somebody has to open a slot with.
#[derive(Clone, Debug)]
pub enum Secret {
    Key(KeyEncryptionKey),
    Passphrase(Passphrase),
    Recovery(RecoveryCode),
}

impl Secret {
    pub const fn kind(&self) -> SlotKind {
        match self {
            Self::Key(_) => SlotKind::Key,
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Recovery(_) => SlotKind::Recovery,
        }
    }
}

/// A passphrase that somebody typed. Wiped when dropped; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    pub fn new(text: Zeroizing<String>) -> Result<Self, SlotsError> {
        match text.len() {
            0 => Err(SlotsError::PassphraseEmpty),
            length if length > PASSPHRASE_BYTES_MAX => Err(SlotsError::PassphraseLong),
            _ => Ok(Self(text)),
        }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why slots cannot be read or changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotsError {
    #[error("it is not a keys file: its first bytes are others; restore it from a backup")]
    MagicOther,
    #[error("its version {version} is newer than this program, which reads up to {VERSION}; update it")]
    VersionUnknown { version: u16 },
    #[error("it has {bytes} bytes, which no keys file has: it was cut or changed; restore it from a backup")]
    SizeImpossible { bytes: usize },
    #[error("all {SLOTS_MAX} slots are taken; remove one that is not needed any more")]
    Full,
    #[error("there is no slot {number}; `panoptes keys status` lists them")]
    Unknown { number: u8 },
    #[error("key {id} opens slot {number} already; nothing was added")]
    KeyTwice { id: KeyId, number: u8 },
    #[error(
        "slot {number} is the last that a key or a passphrase opens: without it nothing could be started; add another first"
    )]
    Last { number: u8 },
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    #[error("the passphrase has more than {PASSPHRASE_BYTES_MAX} bytes; was another file meant?")]
    PassphraseLong,
    #[error("a new passphrase needs at least {PASSPHRASE_CHARS_MIN} characters; several words make a good one")]
    PassphraseShort,
    #[error("no key can be made from a passphrase on this machine: its memory does not suffice")]
    PassphraseCost,
    #[error("the store key cannot be wrapped")]
    Seal(#[from] SealError),
}

/// One way to the store key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub number: u8,
    /// `None`: damaged, or of a kind that a newer program knows.
    pub kind: Option<SlotKind>,
    /// The slot that goes once this one is in use.
    pub replaces: Option<u8>,
    /// Seconds since 1970.
    pub made_at: i64,
    /// Of the key that opens it.
    pub key: KeyId,
    cost: PassphraseCost,
    salt: [u8; SALT_BYTES],
    /// As it lies on disk: what nobody has the key of is written back unchanged.
    bytes: [u8; SLOT_BYTES],
}

/// A store key that a slot gave.
#[derive(Debug)]
pub struct Opened {
    pub store_key: KeyEncryptionKey,
    pub slot: u8,
    /// Whether the file is as it was written.
    pub is_intact: bool,
}

/// All slots of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySlots {
    store_key: KeyId,
    is_adopted: bool,
    generation: u64,
    slots: Vec<Slot>,
    /// As it was read; empty for new ones.
    read: Vec<u8>,
}

impl KeySlots {
    /// No slots yet for `store_key`. `is_adopted`: it is a key that somebody kept before there were slots.
    pub fn new(store_key: &KeyEncryptionKey, is_adopted: bool) -> Self {
        Self { store_key: store_key.id(), is_adopted, generation: 0, slots: Vec::new(), read: Vec::new() }
    }

    /// What a keys file says. Nothing of it is proven before a slot [opens](Self::open).
    pub fn parse(bytes: &[u8]) -> Result<Self, SlotsError> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(SlotsError::SizeImpossible { bytes: bytes.len() })?;
        if magic != MAGIC {
            return Err(SlotsError::MagicOther);
        }
        let size = || SlotsError::SizeImpossible { bytes: bytes.len() };
        let (version, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(SlotsError::VersionUnknown { version });
        }
        let (flags, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let (_, rest) = rest.split_first_chunk::<4>().ok_or_else(size)?;
        let (store_key, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let (generation, rest) = rest.split_first_chunk().ok_or_else(size)?;
        let slots = rest.len().checked_sub(MAC_BYTES).and_then(|it| rest.get(..it)).ok_or_else(size)?;
        let (slots, []) = slots.as_chunks::<SLOT_BYTES>() else { return Err(size()) };
        if slots.len() > SLOTS_MAX {
            return Err(size());
        }
        Ok(Self {
            store_key: KeyId(*store_key),
            is_adopted: u16::from_le_bytes(*flags) & FLAG_ADOPTED != 0,
            generation: u64::from_le_bytes(*generation),
            slots: slots.iter().map(Slot::read).collect(),
            read: bytes.to_vec(),
        })
    }

    /// The file, sealed against changes. `store_key` is the one that [`open`](Self::open) gave.
    pub fn to_bytes(&self, store_key: &KeyEncryptionKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(KEYS_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(if self.is_adopted { FLAG_ADOPTED } else { 0 }).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&store_key.id().0);
        bytes.extend_from_slice(&self.generation.saturating_add(1).to_le_bytes());
        for slot in &self.slots {
            bytes.extend_from_slice(&slot.bytes);
        }
        let tag = hmac::sign(&mac_key(store_key), &bytes);
        bytes.extend_from_slice(tag.as_ref());
        bytes
    }

    /// The store key, if `secret` opens a slot.
    pub fn open(&self, secret: &Secret) -> Option<Opened> {
        self.slots.iter().find_map(|slot| {
            let store_key = slot.open(secret)?;
            let is_intact = store_key.id() == self.store_key && self.is_genuine(&store_key);
            Some(Opened { store_key, slot: slot.number, is_intact })
        })
    }

    /// Adds a slot for `secret` and gives its number. `cost` is what a passphrase is to cost.
    pub fn add(
        &mut self,
        store_key: &KeyEncryptionKey,
        secret: &Secret,
        made_at: i64,
        cost: PassphraseCost,
    ) -> Result<u8, SlotsError> {
        self.insert(None, store_key, secret, made_at, cost)
    }

    /// Adds a slot for `secret` that is to take the place of slot `old`: [`finish`](Self::finish) removes that one. What
    /// an earlier attempt left is dropped.
    pub fn add_in_place_of(
        &mut self,
        old: u8,
        store_key: &KeyEncryptionKey,
        secret: &Secret,
        made_at: i64,
        cost: PassphraseCost,
    ) -> Result<u8, SlotsError> {
        self.slot(old).ok_or(SlotsError::Unknown { number: old })?;
        self.slots.retain(|it| it.replaces != Some(old) || it.number == old);
        self.insert(Some(old), store_key, secret, made_at, cost)
    }

    fn insert(
        &mut self,
        replaces: Option<u8>,
        store_key: &KeyEncryptionKey,
        secret: &Secret,
        made_at: i64,
        cost: PassphraseCost,
    ) -> Result<u8, SlotsError> {
        let number = (1..=u8::MAX).find(|number| self.slots.iter().all(|it| it.number != *number));
        let number = number.filter(|_| self.slots.len() < SLOTS_MAX).ok_or(SlotsError::Full)?;
        let slot = Slot::make(number, replaces, store_key, secret, made_at, cost)?;
        if let Some(same) = self.slots.iter().find(|it| it.key == slot.key) {
            return Err(SlotsError::KeyTwice { id: slot.key, number: same.number });
        }
        self.slots.push(slot);
        Ok(number)
    }

    /// Whether slot `number` is in use and its predecessor has not gone yet.
    pub fn is_unfinished(&self, number: u8) -> bool {
        let replaces = self.slot(number).and_then(|it| it.replaces);
        replaces.is_some_and(|it| self.slot(it).is_some())
    }

    /// Removes the slot that slot `number` takes the place of.
    pub fn finish(&mut self, number: u8) {
        if let Some(old) = self.slot(number).and_then(|it| it.replaces) {
            self.slots.retain(|it| it.number != old || it.number == number);
        }
    }

    /// Removes a slot: what opened it does not open this file any more.
    ///
    /// # Errors
    /// There is none of that number, or no key and no passphrase would be left.
    pub fn remove(&mut self, number: u8) -> Result<(), SlotsError> {
        let slot = self.slot(number).ok_or(SlotsError::Unknown { number })?;
        let starts = |it: &&Slot| matches!(it.kind, Some(SlotKind::Key | SlotKind::Passphrase));
        if starts(&slot) && self.slots.iter().filter(starts).count() == 1 {
            return Err(SlotsError::Last { number });
        }
        self.slots.retain(|it| it.number != number);
        Ok(())
    }

    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn slot(&self, number: u8) -> Option<&Slot> {
        self.slots.iter().find(|it| it.number == number)
    }

    /// The id of the store key, as the file says it.
    pub fn store_key(&self) -> KeyId {
        self.store_key
    }

    /// Whether the store key was a key that somebody kept: then that key alone opens the evidence, without this file.
    pub fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// Rises with each change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the file is as whoever has the store key wrote it; new slots are.
    pub fn is_genuine(&self, store_key: &KeyEncryptionKey) -> bool {
        let Some((content, tag)) = self.read.split_last_chunk::<MAC_BYTES>() else { return true };
        hmac::verify(&mac_key(store_key), content, tag).is_ok()
    }
}

impl Slot {
    fn make(
        number: u8,
        replaces: Option<u8>,
        store_key: &KeyEncryptionKey,
        secret: &Secret,
        made_at: i64,
        cost: PassphraseCost,
    ) -> Result<Self, SlotsError> {
        let (key, cost, salt) = match secret {
            Secret::Key(key) => (key.clone(), PassphraseCost::NONE, [0; SALT_BYTES]),
            Secret::Recovery(code) => (code.key(), PassphraseCost::NONE, [0; SALT_BYTES]),
            Secret::Passphrase(Passphrase(text)) => {
                if text.chars().count() < PASSPHRASE_CHARS_MIN {
                    return Err(SlotsError::PassphraseShort);
                }
                let salt = random()?;
                (cost.derive(text, &salt).ok_or(SlotsError::PassphraseCost)?, cost, salt)
            }
        };
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(&[number, secret.kind().code(), replaces.unwrap_or(0), 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&made_at.to_le_bytes());
        bytes.extend_from_slice(&key.id().0);
        bytes.extend_from_slice(&salt);
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let wrapped = key.wrap(&DataKey::of(store_key), &[SLOT_AAD, &bytes].concat())?;
        bytes.extend_from_slice(&wrapped);
        let bytes = bytes.try_into().map_err(|_| SealError::TooLarge)?;
        Ok(Self { number, kind: Some(secret.kind()), replaces, made_at, key: key.id(), cost, salt, bytes })
    }

    fn read(bytes: &[u8; SLOT_BYTES]) -> Self {
        let mut fields = &bytes[..];
        let [number, kind, replaces] = take(&mut fields);
        let _zero: [u8; 5] = take(&mut fields);
        let made_at = i64::from_le_bytes(take(&mut fields));
        let key = KeyId(take(&mut fields));
        let salt = take(&mut fields);
        let [memory_kib, passes, lanes] = [(); 3].map(|()| u32::from_le_bytes(take(&mut fields)));
        let cost = PassphraseCost { memory_kib, passes, lanes };
        let replaces = (replaces != 0).then_some(replaces);
        Self { number, kind: SlotKind::of(kind), replaces, made_at, key, cost, salt, bytes: *bytes }
    }

    /// The store key, if `secret` is of this slot's kind and opens it.
    fn open(&self, secret: &Secret) -> Option<KeyEncryptionKey> {
        if self.kind != Some(secret.kind()) {
            return None;
        }
        let key = match secret {
            Secret::Key(key) => key.clone(),
            Secret::Recovery(code) => code.key(),
            Secret::Passphrase(Passphrase(text)) => self.cost.derive(text, &self.salt)?,
        };
        let (bound, wrapped) = self.bytes.split_at_checked(BOUND_BYTES)?;
        // The id in the slot is for people: only the seal decides.
        let store_key = key.unwrap(key.id(), wrapped, &[SLOT_AAD, bound].concat()).ok()?;
        Some(KeyEncryptionKey::from_bytes(*store_key.bytes()))
    }
}

fn mac_key(store_key: &KeyEncryptionKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, store_key.derive("keys file").bytes())
}

/// The next `N` bytes of a slot, whose size is a constant: it always has them.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    match bytes.split_first_chunk::<N>() {
        Some((first, rest)) => {
            *bytes = rest;
            *first
        }
        None => [0; N],
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
