//! The file `keys` of a data folder, whose content is [`KeySlots`], and how the operator's key is exchanged.
//!
//! `keys` is only ever replaced whole: written as `keys.new`, synced, renamed, the folder synced. It is read once by each
//! process; a running instance does not notice that it changed, because the store key in it stays the same. Whoever
//! changes it holds the lock on `keys.lock` ([`KeysLock`]), beside a running instance too.
//!
//! # Exchanging the key in a file
//!
//! [`rotate`] goes through these states; after each step the key file opens `keys`:
//!
//! 1. `FILE.new`: a fresh key, synced.
//! 2. `keys` has a slot for it beside the old one, which it says it is to replace.
//! 3. `FILE.old`: a copy of the old key, synced.
//! 4. `FILE.new` is renamed to `FILE`.
//! 5. `keys` has no slot for the old key any more.
//!
//! Interrupted before step 4, it is begun anew; after it, [`finish`] does what is missing. Sealed files are not touched.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use panoptes_seal::{
    KEYS_BYTES_MAX, KeyEncryptionKey, KeyId, KeySlots, KeyTextError, PassphraseCost, SealError, Secret, SlotsError,
};

use crate::disk::{Disk, read_all};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "keys";
const LOCK_NAME: &str = "keys.lock";
/// No key file is longer: a longer one is not read.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// Why key slots could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    #[error("could not {operation} `{path}`; check the disk and the permissions")]
    Disk { operation: &'static str, path: String, source: io::Error },
    #[error("`{FILE_NAME}` in the data folder cannot be used")]
    Slots(#[from] SlotsError),
    #[error("`{FILE_NAME}` in the data folder is missing; restore it from a backup")]
    Missing,
    #[error("another `panoptes keys` is changing the keys of this data folder; wait for its end")]
    Busy,
    #[error("`{path}` is no key file")]
    KeyFile { path: String, source: KeyTextError },
    #[error("the key {id} in `{path}` opens no slot")]
    OpensNothing { path: String, id: KeyId },
    #[error(
        "`{path}` is still there from an earlier rotation; delete it once no backup needs it, or move it to a safe place"
    )]
    OldThere { path: String },
    #[error("no key can be made")]
    Random { source: SealError },
}

fn disk_error(operation: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> KeysError {
    let path = path.into();
    move |source| KeysError::Disk { operation, path, source }
}

/// The right to change `keys`, given up when dropped.
#[derive(Debug)]
pub struct KeysLock {
    // Closing the file unlocks it.
    _file: File,
}

impl KeysLock {
    /// Locks the keys of the data folder, which exists.
    pub fn acquire(folder: &Path) -> Result<Self, KeysError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(folder.join(LOCK_NAME)).map_err(disk_error("open", LOCK_NAME))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(KeysError::Busy),
            Err(TryLockError::Error(source)) => Err(disk_error("lock", LOCK_NAME)(source)),
        }
    }
}

/// The slots of the data folder; `None` if it has no such file.
pub fn read(disk: &dyn Disk) -> Result<Option<KeySlots>, KeysError> {
    let file = match disk.open_read(FILE_NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk_error("open", FILE_NAME)(error)),
    };
    let bytes = file.len().map_err(disk_error("read", FILE_NAME))?;
    if bytes > KEYS_BYTES_MAX as u64 {
        return Err(SlotsError::SizeImpossible { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }.into());
    }
    let bytes = read_all(&*file).map_err(disk_error("read", FILE_NAME))?;
    Ok(Some(KeySlots::parse(&bytes)?))
}

/// Replaces the slots of the data folder: afterwards the new ones last, and until then the old ones do.
pub fn write(disk: &dyn Disk, slots: &mut KeySlots, store_key: &KeyEncryptionKey) -> Result<(), KeysError> {
    let bytes = slots.to_bytes(store_key);
    replace(disk, FILE_NAME, &bytes)?;
    *slots = KeySlots::parse(&bytes)?;
    Ok(())
}

/// Does what is left of a rotation that was interrupted, if slot `opened` came of it. Gives whether it did.
pub fn finish(
    disk: &dyn Disk,
    slots: &mut KeySlots,
    store_key: &KeyEncryptionKey,
    opened: u8,
) -> Result<bool, KeysError> {
    if !slots.is_unfinished(opened) {
        return Ok(false);
    }
    slots.finish(opened);
    write(disk, slots, store_key).map(|()| true)
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The id of the key that is in force now.
    pub key: KeyId,
    pub slot: u8,
    /// An earlier rotation that was interrupted was brought to its end, and no other was begun.
    pub is_finished_only: bool,
}

/// Exchanges the key in the file `path` on the disk `place` for a fresh one. The caller holds the [`KeysLock`].
pub fn rotate(data: &dyn Disk, place: &dyn Disk, path: &str, made_at: i64) -> Result<Rotated, KeysError> {
    let [new, old] = ["new", "old"].map(|it| format!("{path}.{it}"));
    let text = read_key_file(place, path)?;
    let key =
        KeyEncryptionKey::from_text(&text).map_err(|source| KeysError::KeyFile { path: path.to_owned(), source })?;
    let mut slots = read(data)?.ok_or(KeysError::Missing)?;
    let opened = slots
        .open(&Secret::Key(key.clone()))
        .ok_or_else(|| KeysError::OpensNothing { path: path.to_owned(), id: key.id() })?;
    let store_key = &opened.store_key;
    if finish(data, &mut slots, store_key, opened.slot)? {
        return Ok(Rotated { key: key.id(), slot: opened.slot, is_finished_only: true });
    }
    // A copy of the key that is still in force is what an interrupted rotation left; anything else is somebody's key.
    let old_is_there = place.exists(&old).map_err(disk_error("look for", &old))?;
    if old_is_there && read_key_file(place, &old)? != text {
        return Err(KeysError::OldThere { path: old });
    }
    let fresh = KeyEncryptionKey::generate().map_err(|source| KeysError::Random { source })?;
    create(place, &new, fresh.to_text().as_bytes())?;
    sync_folder_of(place, &new)?;
    let secret = Secret::Key(fresh.clone());
    let slot = slots.add_in_place_of(opened.slot, store_key, &secret, made_at, PassphraseCost::RECOMMENDED)?;
    write(data, &mut slots, store_key)?;
    replace(place, &old, &text)?;
    place.rename(&new, path).map_err(disk_error("rename", &new))?;
    sync_folder_of(place, path)?;
    finish(data, &mut slots, store_key, slot)?;
    Ok(Rotated { key: fresh.id(), slot, is_finished_only: false })
}

fn read_key_file(disk: &dyn Disk, path: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, KeysError> {
    let file = disk.open_read(path).map_err(disk_error("open", path))?;
    if file.len().map_err(disk_error("read", path))? > KEY_FILE_BYTES_MAX {
        return Err(KeysError::KeyFile { path: path.to_owned(), source: KeyTextError::NotAKey });
    }
    read_all(&*file).map(zeroize::Zeroizing::new).map_err(disk_error("read", path))
}

/// Gives `path` the content `bytes`, whole or not at all.
fn replace(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Result<(), KeysError> {
    let temporary = format!("{path}.new");
    create(disk, &temporary, bytes)?;
    disk.rename(&temporary, path).map_err(disk_error("rename", &temporary))?;
    sync_folder_of(disk, path)
}

/// A synced file in place of whatever an interrupted attempt left.
fn create(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Result<(), KeysError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk_error("remove", path)(error)),
        _ => {}
    }
    let write = || {
        let mut file = disk.create_new(path)?;
        file.append(bytes)?;
        file.sync()
    };
    write().map_err(disk_error("write", path))
}

fn sync_folder_of(disk: &dyn Disk, path: &str) -> Result<(), KeysError> {
    let folder = path.rsplit_once('/').map_or("", |it| it.0);
    disk.sync_dir(folder).map_err(disk_error("sync the folder of", path))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::SimDisk;

    const KEY: &str = "config/key";

    fn key_on(disk: &dyn Disk, path: &str) -> KeyEncryptionKey {
        KeyEncryptionKey::from_text(&read_key_file(disk, path).unwrap()).unwrap()
    }

    fn opens(disk: &dyn Disk, key: &KeyEncryptionKey) -> Option<u8> {
        let opened = read(disk).unwrap().unwrap().open(&Secret::Key(key.clone()))?;
        assert!(opened.is_intact);
        Some(opened.slot)
    }

    /// A disk with a data folder, the key that opens it, and its store key.
    fn folder() -> (SimDisk, KeyEncryptionKey, KeyEncryptionKey) {
        let disk = SimDisk::new();
        let [key, store_key] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap());
        crate::disk::create_dir_durably(&disk, "config").unwrap();
        replace(&disk, KEY, key.to_text().as_bytes()).unwrap();
        let mut slots = KeySlots::new(&store_key, false);
        slots.add(&store_key, &Secret::Key(key.clone()), 1, PassphraseCost::RECOMMENDED).unwrap();
        write(&disk, &mut slots, &store_key).unwrap();
        (disk, key, store_key)
    }

    #[test]
    fn a_rotation_changes_the_key_and_leaves_the_store_key_and_a_copy_of_the_old_one() {
        let (disk, first, store_key) = folder();
        let rotated = rotate(&disk, &disk, KEY, 2).unwrap();
        let second = key_on(&disk, KEY);
        assert_eq!((rotated.key, rotated.is_finished_only), (second.id(), false));
        assert_eq!(opens(&disk, &second), Some(rotated.slot));
        assert_eq!(opens(&disk, &first), None);
        assert_eq!(key_on(&disk, "config/key.old").id(), first.id());
        assert_eq!(disk.list("config").unwrap(), ["key", "key.old"]);
        let slots = read(&disk).unwrap().unwrap();
        assert_eq!((slots.slots().len(), slots.store_key()), (1, store_key.id()));
        // Nobody's only copy of an old key is overwritten.
        let error = rotate(&disk, &disk, KEY, 3).unwrap_err();
        assert!(matches!(&error, KeysError::OldThere { path } if path == "config/key.old"), "{error}");
        assert_eq!(opens(&disk, &second), Some(rotated.slot));
    }

    /// The heart of it: at every operation of a rotation power is lost, an operation fails, or a sync does; afterwards
    /// the key file opens the slots, and a second attempt comes to the end of it.
    #[test]
    fn whatever_interrupts_a_rotation_the_key_file_opens_the_slots() {
        let operations = {
            let (disk, ..) = folder();
            let before = disk.operations();
            rotate(&disk, &disk, KEY, 2).unwrap();
            disk.operations() - before
        };
        assert!(operations > 20, "{operations}");
        let faults: [fn(&SimDisk, u64); 3] = [SimDisk::power_off_after, SimDisk::fail_operation, SimDisk::fail_sync];
        for (fault, plan) in faults.iter().enumerate() {
            for at in 0..=operations {
                for seed in 0..20 {
                    let (disk, first, store_key) = folder();
                    plan(&disk, at);
                    let done = rotate(&disk, &disk, KEY, 2).is_ok();
                    disk.crash(seed * 1000 + at);
                    let what = format!("fault {fault} at {at}, seed {seed}");
                    let key = key_on(&disk, KEY);
                    let opened = read(&disk).unwrap().unwrap().open(&Secret::Key(key.clone()));
                    let opened = opened.unwrap_or_else(|| panic!("{what}: the key file opens nothing"));
                    assert_eq!((opened.store_key.id(), opened.is_intact), (store_key.id(), true), "{what}");
                    assert!(!done || (key.id() != first.id() && opens(&disk, &first).is_none()), "{what}");
                    if key.id() != first.id() {
                        // It is in force, so the old key must have been kept.
                        assert_eq!(key_on(&disk, "config/key.old").id(), first.id(), "{what}");
                    }
                    match rotate(&disk, &disk, KEY, 3) {
                        Ok(_) => {}
                        Err(KeysError::OldThere { .. }) if key.id() != first.id() => {}
                        Err(error) => panic!("{what}: {error}"),
                    }
                    assert!(opens(&disk, &key_on(&disk, KEY)).is_some(), "{what}");
                    assert!(opens(&disk, &first).is_none(), "{what}: the old key still opens");
                    assert_eq!(read(&disk).unwrap().unwrap().slots().len(), 1, "{what}");
                }
            }
        }
    }

    #[test]
    fn slots_are_replaced_whole_or_not_at_all() {
        for cut in 0..8 {
            for seed in 0..20 {
                let (disk, key, store_key) = folder();
                let mut slots = read(&disk).unwrap().unwrap();
                let another = KeyEncryptionKey::generate().unwrap();
                let secret = Secret::Key(another.clone());
                slots.add(&store_key, &secret, 2, PassphraseCost::RECOMMENDED).unwrap();
                disk.power_off_after(cut);
                let written = write(&disk, &mut slots, &store_key).is_ok();
                disk.crash(seed);
                assert_eq!(opens(&disk, &key), Some(1));
                assert!(!written || opens(&disk, &another) == Some(2));
            }
        }
    }

    #[test]
    fn what_is_no_keys_file_is_refused_with_the_cure() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        assert!(read(&*disk).unwrap().is_none());
        for bytes in [&b"nothing"[..], &[0; 5000], b"PANOKEYS"] {
            replace(&*disk, FILE_NAME, bytes).unwrap();
            assert!(matches!(read(&*disk), Err(KeysError::Slots(_))));
        }
        let (disk, ..) = folder();
        replace(&disk, KEY, KeyEncryptionKey::generate().unwrap().to_text().as_bytes()).unwrap();
        assert!(matches!(rotate(&disk, &disk, KEY, 0), Err(KeysError::OpensNothing { .. })));
        replace(&disk, KEY, &[b'x'; 5000]).unwrap();
        assert!(matches!(rotate(&disk, &disk, KEY, 0), Err(KeysError::KeyFile { .. })));
        disk.remove(FILE_NAME).unwrap();
        replace(&disk, KEY, KeyEncryptionKey::generate().unwrap().to_text().as_bytes()).unwrap();
        assert!(matches!(rotate(&disk, &disk, KEY, 0), Err(KeysError::Missing)));
    }

    #[test]
    fn one_process_at_a_time_changes_keys() {
        let folder = tempfile::tempdir().unwrap();
        let held = KeysLock::acquire(folder.path()).unwrap();
        assert!(matches!(KeysLock::acquire(folder.path()), Err(KeysError::Busy)));
        drop(held);
        KeysLock::acquire(folder.path()).unwrap();
    }
}
