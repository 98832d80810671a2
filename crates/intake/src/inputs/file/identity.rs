//! Which file is which, whatever it is called, and how far each was read.
//!
//! A file is known by its device and inode and by a hash of its first bytes: names change when logs are rotated,
//! inodes are used again, and copies have neither in common but begin alike. The identity travels in
//! [`Origin::identity`](panoptes_model::Origin) and the position in each record, so that the batches in the log are
//! all that is needed to go on after a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

use panoptes_model::{RawBatch, content_hash};
use serde::{Deserialize, Serialize};

use crate::archive::rotation_base;
use crate::limits::{FILE_CHECKPOINTS_MAX, FILE_GENERATIONS_MAX, FINGERPRINT_BYTES};

/// A hash of the first bytes of a file, of as many as it had when it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    length: u16,
    hash: u64,
}

impl Fingerprint {
    pub(super) fn of(start: &[u8]) -> Self {
        let start = start.get(..FINGERPRINT_BYTES).unwrap_or(start);
        Self { length: start.len() as u16, hash: content_hash(&[start]) as u64 }
    }

    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }

    pub(super) fn is_whole(self) -> bool {
        usize::from(self.length) >= FINGERPRINT_BYTES
    }

    /// Whether a file that begins with `start` may be the one. Nothing is like an empty file.
    pub(super) fn matches(self, start: &[u8]) -> bool {
        let start = start.get(..usize::from(self.length));
        !self.is_empty() && start.is_some_and(|it| Self::of(it) == self)
    }
}

/// Device and inode: one file while it exists.
pub(super) type Key = (u64, u64);

pub(super) fn key_of(metadata: &Metadata) -> Key {
    (metadata.dev(), metadata.ino())
}

/// Which file a record was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    pub(super) fingerprint: Fingerprint,
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, fingerprint: Fingerprint { length, hash } } = self;
        write!(f, "{device:x}:{inode:x}:{length}:{hash:016x}")
    }
}

/// A text that is no file identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file identity has the form `device:inode:length:hash`")]
pub struct IdentityMalformed;

impl FromStr for FileIdentity {
    type Err = IdentityMalformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let mut part = |radix| {
            let text = parts.next().ok_or(IdentityMalformed)?;
            u64::from_str_radix(text, radix).map_err(|_| IdentityMalformed)
        };
        let (device, inode, length, hash) = (part(16)?, part(16)?, part(10)?, part(16)?);
        let length = u16::try_from(length).map_err(|_| IdentityMalformed)?;
        if parts.next().is_some() {
            return Err(IdentityMalformed);
        }
        Ok(Self { device, inode, fingerprint: Fingerprint { length, hash } })
    }
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheckpoint {
    /// What it was called when it was first seen.
    pub path: String,
    pub identity: FileIdentity,
    /// How many of its bytes (after decompression) are done: reading goes on here.
    pub offset: u64,
}

/// How far all files were read. Feed it every durable batch, keep it with the frame number that it stands for, and
/// start the tail with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<FileCheckpoint>", into = "Vec<FileCheckpoint>")]
pub struct FileCheckpoints {
    /// The contents that a file had, the newest last.
    files: BTreeMap<Key, Vec<Entry>>,
    entries: usize,
    /// Counts changes, so that the least recent can be forgotten.
    changes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    checkpoint: FileCheckpoint,
    changed: u64,
}

impl FileCheckpoints {
    /// Notes the positions in a batch that is durable.
    pub fn observe(&mut self, batch: &RawBatch) {
        for (origin, offset) in batch.positions() {
            let identity = origin.identity.as_deref().and_then(|it| it.parse().ok());
            if let (Some(path), Some(identity)) = (&origin.path, identity) {
                self.note(FileCheckpoint { path: path.clone(), identity, offset });
            }
        }
    }

    /// The checkpoints, the least recently changed first.
    pub fn iter(&self) -> impl Iterator<Item = &FileCheckpoint> {
        let mut entries: Vec<&Entry> = self.files.values().flatten().collect();
        entries.sort_by_key(|it| it.changed);
        entries.into_iter().map(|it| &it.checkpoint)
    }

    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(super) fn note(&mut self, checkpoint: FileCheckpoint) {
        self.changes += 1;
        let changed = self.changes;
        let identity = checkpoint.identity;
        let contents = self.files.entry((identity.device, identity.inode)).or_default();
        let same = |it: &&mut Entry| {
            let known = it.checkpoint.identity.fingerprint;
            // A longer fingerprint at a later position is a file that has grown.
            known == identity.fingerprint
                || (known.length < identity.fingerprint.length && it.checkpoint.offset <= checkpoint.offset)
        };
        match contents.iter_mut().rev().find(same) {
            Some(entry) => *entry = Entry { checkpoint, changed },
            None => {
                contents.push(Entry { checkpoint, changed });
                if contents.len() > FILE_GENERATIONS_MAX {
                    contents.remove(0);
                } else {
                    self.entries += 1;
                }
            }
        }
        if self.entries > FILE_CHECKPOINTS_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let newest = |it: &Vec<Entry>| it.iter().map(|it| it.changed).max().unwrap_or(0);
        let oldest = self.files.iter().min_by_key(|(_, contents)| newest(contents)).map(|(key, _)| *key);
        if let Some(contents) = oldest.and_then(|it| self.files.remove(&it)) {
            self.entries -= contents.len();
        }
    }

    /// Where to go on in the file `key` that begins with `start`.
    pub(super) fn resume(&self, key: Key, start: &[u8]) -> Option<&FileCheckpoint> {
        let contents = self.files.get(&key)?;
        contents.iter().rev().map(|it| &it.checkpoint).find(|it| it.identity.fingerprint.matches(start))
    }

    /// Whether a file of this name was read before.
    pub(super) fn knows_path(&self, path: &str) -> bool {
        self.files.values().flatten().any(|it| it.checkpoint.path == path)
    }

    /// The file that the one called `path`, which begins with `start`, is a copy of: a rotated name of the same log in
    /// the same folder, with the same beginning. The one that was read furthest, if there are several.
    pub(super) fn copied(&self, path: &Path, start: &[u8]) -> Option<&FileCheckpoint> {
        let like = |it: &&FileCheckpoint| {
            is_rotated_name_of(path, Path::new(&it.path)) && it.identity.fingerprint.matches(start)
        };
        self.files.values().flatten().map(|it| &it.checkpoint).filter(like).max_by_key(|it| it.offset)
    }
}

/// Whether `path` is a name that rotation gives to the log that is or was called `original`.
pub(super) fn is_rotated_name_of(path: &Path, original: &Path) -> bool {
    let name = |it: &Path| it.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (path_name, original_name) = (name(path), name(original));
    let (base, rotated) = rotation_base(&path_name);
    rotated && path.parent() == original.parent() && base == rotation_base(&original_name).0
}

impl From<Vec<FileCheckpoint>> for FileCheckpoints {
    fn from(checkpoints: Vec<FileCheckpoint>) -> Self {
        let mut all = Self::default();
        for checkpoint in checkpoints {
            all.note(checkpoint);
        }
        all
    }
}

impl From<FileCheckpoints> for Vec<FileCheckpoint> {
    fn from(checkpoints: FileCheckpoints) -> Self {
        checkpoints.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(inode: u64, path: &str, start: &[u8], offset: u64) -> FileCheckpoint {
        let identity = FileIdentity { device: 1, inode, fingerprint: Fingerprint::of(start) };
        FileCheckpoint { path: path.to_owned(), identity, offset }
    }

    #[test]
    fn an_identity_survives_as_text() {
        let identity = FileIdentity { device: 0xfd01, inode: 77, fingerprint: Fingerprint::of(b"hello") };
        assert_eq!(identity.to_string().parse(), Ok(identity));
        for bad in ["", "1:2:3", "1:2:3:4:5", "x:2:3:4", "1:2:65536:4", "1:2:-3:4"] {
            assert_eq!(bad.parse::<FileIdentity>(), Err(IdentityMalformed), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_matches_what_begins_alike() {
        let short = Fingerprint::of(b"abc");
        assert!(short.matches(b"abc") && short.matches(b"abcd"));
        assert!(!short.matches(b"ab") && !short.matches(b"abd"));
        assert!(!Fingerprint::of(b"").matches(b"anything"));
        let long = vec![b'x'; FINGERPRINT_BYTES];
        assert!(Fingerprint::of(&long).is_whole());
        assert_eq!(Fingerprint::of(&long), Fingerprint::of(&[long.as_slice(), b"more"].concat()));
    }

    #[test]
    fn a_growing_file_has_one_checkpoint_and_a_truncated_one_two() {
        let mut all = FileCheckpoints::default();
        all.note(checkpoint(5, "/l/a.log", b"one", 4));
        all.note(checkpoint(5, "/l/a.log", b"one two", 8));
        assert_eq!(all.len(), 1);
        all.note(checkpoint(5, "/l/a.log", b"new", 3));
        assert_eq!(all.len(), 2);
        assert_eq!(all.resume((1, 5), b"one two three").map(|it| it.offset), Some(8));
        assert_eq!(all.resume((1, 5), b"new words").map(|it| it.offset), Some(3));
        assert_eq!(all.resume((1, 5), b"other"), None);
        assert_eq!(all.copied(Path::new("/l/a.log.1"), b"one two three").map(|it| it.offset), Some(8));
        assert_eq!(all.copied(Path::new("/l/a.log"), b"one two three"), None, "not a rotated name");
        assert_eq!(all.copied(Path::new("/m/a.log.1"), b"one two three"), None, "another folder");
        for n in 0..10_u8 {
            all.note(checkpoint(5, "/l/a.log", &[b'x', n], 0));
        }
        assert_eq!(all.len(), FILE_GENERATIONS_MAX);
    }

    #[test]
    fn checkpoints_survive_as_json_with_their_order() {
        let mut all = FileCheckpoints::default();
        for inode in [3, 1, 2, 3] {
            all.note(checkpoint(inode, "/l/a", b"start", inode));
        }
        let json = serde_json::to_string(&all).unwrap();
        let back: FileCheckpoints = serde_json::from_str(&json).unwrap();
        let order = |it: &FileCheckpoints| it.iter().map(|it| it.identity.inode).collect::<Vec<_>>();
        assert_eq!((order(&back), order(&all)), (vec![1, 2, 3], vec![1, 2, 3]));
    }

    #[test]
    fn the_least_recently_changed_are_forgotten() {
        let mut all = FileCheckpoints::default();
        for inode in 0..FILE_CHECKPOINTS_MAX as u64 {
            all.note(checkpoint(inode, "/l/a", b"start", 1));
        }
        all.note(checkpoint(0, "/l/a", b"start", 2));
        all.note(checkpoint(1 << 40, "/l/a", b"start", 1));
        assert_eq!(all.len(), FILE_CHECKPOINTS_MAX);
        assert!(all.resume((1, 0), b"start").is_some() && all.resume((1, 1), b"start").is_none());
    }
}
