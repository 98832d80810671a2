//! Legal holds: what must not be deleted, whatever a policy says.
//!
//! # Format, version 1
//!
//! A hold is a file `holds/NAME.hold`, written as `….new`, synced and renamed: a chunked file of [`panoptes_seal`] around
//! JSON with the fields of [`Hold`] and `"version": 1`. A hold that was released is kept as `holds/NAME-N.released`, with
//! who released it, when and why: the record of what was held.
//!
//! Whoever holds or releases needs no lock on the data folder; a running instance reads the folder before each deletion.
//! A hold that cannot be read stops all deletions until it can.

use std::io;

use panoptes_model::Timestamp;
use panoptes_seal::{ChunkOpener, ChunkSealer, KeyEncryptionKey, SealError};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, create_dir_durably, read_all};
use crate::manifest::Segment;

const FOLDER: &str = "holds";
const VERSION: u32 = 1;
const SUFFIX: &str = ".hold";
const SUFFIX_RELEASED: &str = ".released";
/// How many holds there may be; a further one is refused.
pub const HOLDS_MAX: usize = 1_000;
/// A file that is longer is no hold.
const FILE_BYTES_MAX: u64 = 64 << 10;
const NAME_BYTES_MAX: usize = 64;
/// How long reasons and names of people may be; longer ones are refused.
const TEXT_BYTES_MAX: usize = 4096;

/// What must not be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub name: String,
    /// Events of these sources; empty: of all.
    pub sources: Vec<String>,
    /// Events from this time on, and before this time.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub reason: String,
    pub actor: String,
    pub at: Timestamp,
    pub released: Option<Release>,
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub reason: String,
    pub actor: String,
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    #[serde(flatten)]
    hold: Hold,
}

impl Hold {
    /// Whether any event of the segment may be held.
    pub fn covers(&self, segment: &Segment) -> bool {
        let in_time =
            self.since.is_none_or(|it| segment.time_max >= it) && self.until.is_none_or(|it| segment.time_min < it);
        in_time && (self.sources.is_empty() || self.sources.iter().any(|it| segment.sources.may_contain(it)))
    }
}

/// Why holds cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    #[error("could not {operation} `{path}`; check the disk and the permissions")]
    Disk { operation: &'static str, path: String, source: io::Error },
    #[error("the hold `{path}` cannot be read, so nothing is deleted; restore it from a backup, or remove it")]
    Unreadable { path: String },
    #[error("the hold `{path}` cannot be sealed")]
    Seal { path: String, source: SealError },
    #[error("`{name}` cannot name a hold: use letters, digits, `-` and `_`, at most {NAME_BYTES_MAX}")]
    NameImpossible { name: String },
    #[error("a reason, a source or a name is longer than {TEXT_BYTES_MAX} bytes; shorten it")]
    TextTooLong,
    #[error("there is a hold `{name}` already; choose another name")]
    Exists { name: String },
    #[error("there is no hold `{name}`")]
    Unknown { name: String },
    #[error("there are {HOLDS_MAX} holds, as many as there may be; release some")]
    TooMany,
}

fn disk_error(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> HoldError {
    move |source| HoldError::Disk { operation, path: path.to_owned(), source }
}

/// The holds that are in force, by name. If `released`, those that were released as well.
pub fn list(disk: &dyn Disk, key: &KeyEncryptionKey, released: bool) -> Result<Vec<Hold>, HoldError> {
    let names = match disk.list(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(disk_error("list", FOLDER))?,
    };
    let wanted = |it: &String| it.ends_with(SUFFIX) || released && it.ends_with(SUFFIX_RELEASED);
    names.iter().filter(|it| wanted(it)).map(|it| read(disk, key, &format!("{FOLDER}/{it}"))).collect()
}

fn read(disk: &dyn Disk, key: &KeyEncryptionKey, path: &str) -> Result<Hold, HoldError> {
    let unreadable = || HoldError::Unreadable { path: path.to_owned() };
    let file = disk.open_read(path).map_err(disk_error("open", path))?;
    if file.len().map_err(disk_error("measure", path))? > FILE_BYTES_MAX {
        return Err(unreadable());
    }
    let sealed = read_all(&*file).map_err(disk_error("read", path))?;
    let plain = ChunkOpener::open_all(key, &sealed).map_err(|_| unreadable())?;
    let on_disk: OnDisk = serde_json::from_slice(&plain).map_err(|_| unreadable())?;
    if on_disk.version == VERSION { Ok(on_disk.hold) } else { Err(unreadable()) }
}

fn write(disk: &dyn Disk, key: &KeyEncryptionKey, path: &str, hold: Hold) -> Result<(), HoldError> {
    let unsealed = |source| HoldError::Seal { path: path.to_owned(), source };
    let plain = serde_json::to_vec(&OnDisk { version: VERSION, hold }).map_err(|_| unsealed(SealError::TooLarge))?;
    let sealed = ChunkSealer::seal_all(key, &plain).map_err(unsealed)?;
    let new = format!("{path}.new");
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk_error("remove", &new)(error)),
        _ => {}
    }
    let save = || {
        let mut file = disk.create_new(&new)?;
        file.append(&sealed)?;
        file.sync()?;
        disk.rename(&new, path)?;
        disk.sync_dir(FOLDER)
    };
    save().map_err(disk_error("write", path))
}

/// Puts a hold in force.
pub fn hold(disk: &dyn Disk, key: &KeyEncryptionKey, hold: Hold) -> Result<(), HoldError> {
    let is_plain = |name: &str| name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if hold.name.is_empty() || hold.name.len() > NAME_BYTES_MAX || !is_plain(&hold.name) {
        return Err(HoldError::NameImpossible { name: hold.name });
    }
    if hold.sources.iter().chain([&hold.reason, &hold.actor]).any(|it| it.len() > TEXT_BYTES_MAX)
        || hold.sources.len() > 8
    {
        return Err(HoldError::TextTooLong);
    }
    create_dir_durably(disk, FOLDER).map_err(disk_error("make", FOLDER))?;
    if list(disk, key, false)?.len() >= HOLDS_MAX {
        return Err(HoldError::TooMany);
    }
    let path = format!("{FOLDER}/{}{SUFFIX}", hold.name);
    if disk.exists(&path).map_err(disk_error("look for", &path))? {
        return Err(HoldError::Exists { name: hold.name });
    }
    write(disk, key, &path, hold)
}

/// Ends a hold; that there was one stays on record.
pub fn release(disk: &dyn Disk, key: &KeyEncryptionKey, name: &str, release: Release) -> Result<Hold, HoldError> {
    let holds = list(disk, key, false)?;
    let Some(mut hold) = holds.into_iter().find(|it| it.name == name) else {
        return Err(HoldError::Unknown { name: name.to_owned() });
    };
    if release.reason.len().max(release.actor.len()) > TEXT_BYTES_MAX {
        return Err(HoldError::TextTooLong);
    }
    hold.released = Some(release);
    let record = (1..=HOLDS_MAX).map(|it| format!("{FOLDER}/{name}-{it}{SUFFIX_RELEASED}"));
    let free = |path: &String| disk.exists(path).is_ok_and(|it| !it);
    let record = record.into_iter().find(free).ok_or(HoldError::TooMany)?;
    // The record first: after a crash the hold may be there still, and is released again.
    write(disk, key, &record, hold.clone())?;
    let path = format!("{FOLDER}/{name}{SUFFIX}");
    disk.remove(&path).map_err(disk_error("remove", &path))?;
    disk.sync_dir(FOLDER).map_err(disk_error("sync", FOLDER))?;
    Ok(hold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn key() -> KeyEncryptionKey {
        KeyEncryptionKey::from_bytes([5; 32])
    }

    fn named(name: &str) -> Hold {
        Hold { name: name.into(), sources: vec!["web".into()], reason: "case 12".into(), ..Hold::default() }
    }

    fn ended() -> Release {
        Release { reason: "closed".into(), actor: "alice".into(), at: Timestamp(9) }
    }

    #[test]
    fn a_hold_lasts_until_it_is_released_and_then_stays_on_record() {
        let disk = SimDisk::new();
        assert_eq!(list(&disk, &key(), true).unwrap(), []);
        hold(&disk, &key(), named("case-12")).unwrap();
        disk.crash(1);
        assert_eq!(list(&disk, &key(), false).unwrap(), [named("case-12")]);
        assert!(matches!(hold(&disk, &key(), named("case-12")), Err(HoldError::Exists { .. })));
        for name in ["", "../x", "a b", &"x".repeat(65)] {
            assert!(matches!(hold(&disk, &key(), named(name)), Err(HoldError::NameImpossible { .. })), "{name}");
        }
        for _ in 0..2 {
            let gone = release(&disk, &key(), "case-12", ended()).unwrap();
            assert_eq!(gone.released, Some(ended()));
            disk.crash(2);
            assert_eq!(list(&disk, &key(), false).unwrap(), []);
            assert!(matches!(release(&disk, &key(), "case-12", ended()), Err(HoldError::Unknown { .. })));
            hold(&disk, &key(), named("case-12")).unwrap();
        }
        assert_eq!(list(&disk, &key(), true).unwrap().len(), 3);
    }

    #[test]
    fn an_interrupted_change_leaves_the_old_or_the_new_state() {
        for cut in 0..14 {
            let disk = SimDisk::new();
            hold(&disk, &key(), named("a")).unwrap();
            disk.power_off_after(cut);
            let done = release(&disk, &key(), "a", ended()).is_ok();
            disk.crash(cut);
            let held = list(&disk, &key(), false).unwrap().len();
            assert!(held == 0 || !done, "{cut}");
            assert!(held == 1 || list(&disk, &key(), true).unwrap().iter().any(|it| it.released.is_some()), "{cut}");
        }
    }

    #[test]
    fn a_hold_that_cannot_be_read_is_an_error() {
        let disk = SimDisk::new();
        hold(&disk, &key(), named("a")).unwrap();
        disk.tamper("holds/a.hold", |it| it[120] ^= 1);
        assert!(matches!(list(&disk, &key(), false), Err(HoldError::Unreadable { .. })));
        disk.tamper("holds/a.hold", |it| it.resize(100_000, 0));
        assert!(matches!(list(&disk, &key(), false), Err(HoldError::Unreadable { .. })));
    }
}
