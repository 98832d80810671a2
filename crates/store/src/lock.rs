//! One process per data folder.
//!
//! The file `lock` in the data folder is locked as long as the process lives, and holds its id in clear for whoever is
//! turned away. The operating system gives the lock up when the process ends, however it ends; the file stays.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "lock";
/// A process id is shorter. What is longer is not read on.
const PID_BYTES_MAX: u64 = 20;

/// Why a data folder is not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    #[error(
        "data folder {path} is in use by panoptes (pid {pid}); stop it or use another --data",
        path = path.display(), pid = pid.map_or_else(|| "unknown".to_owned(), |it| it.to_string())
    )]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("data folder {path} cannot be locked; choose a folder in which this user may write", path = path.display())]
    Unlockable { path: PathBuf, source: io::Error },
}

/// Proof that no other process writes to the data folder; given up when dropped.
#[derive(Debug)]
pub struct DataLock {
    // Closing the file unlocks it.
    _file: File,
}

impl DataLock {
    /// Locks `folder`, which is made if it is missing.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let unlockable = |source| LockError::Unlockable { path: folder.to_owned(), source };
        let mut builder = fs::DirBuilder::new();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
            builder.mode(0o700);
            options.mode(0o600);
        }
        builder.recursive(true).create(folder).map_err(unlockable)?;
        let mut file = options.open(folder.join(NAME)).map_err(unlockable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse { path: folder.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(unlockable(source)),
        }
        write_pid(&mut file).map_err(unlockable)?;
        Ok(Self { _file: file })
    }
}

/// Whether a process holds the lock of `folder`. Changes nothing.
///
/// # Errors
/// The file is there and cannot be asked.
pub fn is_locked(folder: &Path) -> io::Result<bool> {
    let file = match File::open(folder.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// Who holds the lock: `None` if it has not written its id yet.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_asks_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_locked(folder.path()).unwrap() && !folder.path().join(NAME).try_exists().unwrap());
        let lock = DataLock::acquire(folder.path()).unwrap();
        assert!(is_locked(folder.path()).unwrap());
        drop(lock);
        assert!(!is_locked(folder.path()).unwrap());
        DataLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_in_use_names_who_uses_it_and_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let held = DataLock::acquire(&path).unwrap();
        let error = DataLock::acquire(&path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "data folder {} is in use by panoptes (pid {}); stop it or use another --data",
                path.display(),
                std::process::id()
            )
        );
        drop(held);
        DataLock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_file_that_was_left_behind_does_not_lock() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "4194304 and more than a pid").unwrap();
        let _held = DataLock::acquire(folder.path()).unwrap();
        let pid = fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert_eq!(pid, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_holder_that_wrote_no_pid_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(NAME)).unwrap();
        file.lock().unwrap();
        let error = DataLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains("(pid unknown)"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = DataLock::acquire(&folder.path().join("file/data")).unwrap_err();
        assert!(matches!(error, LockError::Unlockable { .. }), "{error}");
    }
}
