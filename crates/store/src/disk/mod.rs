//! The files of the data folder, behind a trait: so that tests can run the store on a disk that fails.
//!
//! Paths are relative to the data folder, with `/` between names. The contract is what a cautious reader of POSIX
//! may rely on, and no more:
//!
//! * What was [appended](DiskFile::append) survives a loss of power once [`DiskFile::sync`] has returned `Ok`.
//! * A name that was created, renamed or removed does so once [`Disk::sync_dir`] of its folder has returned `Ok`;
//!   syncing a file does not save its name.
//! * After a failed sync nothing is known of what was not synced before: a later `Ok` does not vouch for it. Write it
//!   again, elsewhere.
//! * Until then any part of it may be there after a crash, in any order, and the last piece torn.
//!
//! A full disk is [`std::io::ErrorKind::StorageFull`]; a part of what was appended may then be in the file.

mod real;
pub mod sim;

use std::fmt;
use std::io;

pub use self::real::RealDisk;
pub use self::sim::SimDisk;

/// A folder of files.
pub trait Disk: Send + Sync + fmt::Debug {
    /// A new empty file, to append to. Fails with `AlreadyExists` if the name is taken.
    fn create_new(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// A file that exists, to read and append to.
    fn open_append(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// A file that exists, to read.
    fn open_read(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives the file `from` the name `to` in the same folder, in place of any file of that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Writes over bytes that a file has, in their place, and makes that last. The file gets no longer: `UnexpectedEof` if
    /// it ends before. The one way to change what was written, for what must not be readable any more.
    fn overwrite(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// The folder and those above it, as far as they are missing. [`create_dir_durably`] also makes them last.
    fn create_dir_all(&self, folder: &str) -> io::Result<()>;
    /// Makes the names in a folder last. The data folder itself is `""`.
    fn sync_dir(&self, folder: &str) -> io::Result<()>;
    /// Whether there is a file or folder of that name.
    fn exists(&self, path: &str) -> io::Result<bool>;
}

/// An open file. It can still be read when its name is gone.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` at the end. After an error any part of them may be there: see [`truncate`](Self::truncate).
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills `buffer` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Makes the content and the length last.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes. Lasts once synced.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Makes `folder`, those above it, and their names in each other last.
pub fn create_dir_durably(disk: &dyn Disk, folder: &str) -> io::Result<()> {
    if disk.exists(folder)? {
        // It may have been made a moment before a crash, by a process that did not come to sync its name.
        return sync_parents(disk, folder);
    }
    disk.create_dir_all(folder)?;
    sync_parents(disk, folder)
}

fn sync_parents(disk: &dyn Disk, folder: &str) -> io::Result<()> {
    let mut path = folder;
    while !path.is_empty() {
        path = split(path).0;
        disk.sync_dir(path)?;
    }
    Ok(())
}

/// All of a file.
pub fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Removes a sealed file for good: first the `key_bytes` before `header_bytes`, its wrapped data key, are written over and
/// that is made last, so that what the file system keeps of the file cannot be opened by whoever has the key that
/// wrapped it. A file that is gone is no error.
pub(crate) fn destroy(disk: &dyn Disk, path: &str, header_bytes: usize, key_bytes: usize) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match disk.overwrite(path, header_bytes.saturating_sub(key_bytes) as u64, &vec![0; key_bytes]) {
        // What has no whole header holds nothing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        other => gone(other)?,
    }
    gone(disk.remove(path))
}

/// The folder and the last name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Refuses what would lead out of the data folder, or name one file in two ways.
fn checked(path: &str) -> io::Result<&str> {
    let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains(['\\', '\0']);
    if path.is_empty() || path.split('/').all(plain) {
        Ok(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` is not a path inside the data folder")))
    }
}

/// Renaming is between names of one folder: that is atomic on every file system.
fn checked_rename<'p>(from: &'p str, to: &'p str) -> io::Result<()> {
    if split(checked(from)?).0 == split(checked(to)?).0 {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{from}` and `{to}` are in different folders")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both disks must do alike when nothing fails.
    fn check_contract(disk: &dyn Disk) {
        create_dir_durably(disk, "a/b").unwrap();
        create_dir_durably(disk, "a/b").unwrap();
        assert!(disk.exists("a/b").unwrap() && !disk.exists("a/c").unwrap());
        let mut file = disk.create_new("a/b/one").unwrap();
        assert_eq!(disk.create_new("a/b/one").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        file.sync().unwrap();
        let mut bytes = [0; 5];
        file.read_at(6, &mut bytes).unwrap();
        assert_eq!((&bytes, file.len().unwrap()), (b"world", 11));
        assert_eq!(file.read_at(7, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.truncate(6).unwrap();
        drop(file);
        let mut file = disk.open_append("a/b/one").unwrap();
        file.append(b"again").unwrap();
        assert_eq!(read_all(&*disk.open_read("a/b/one").unwrap()).unwrap(), b"hello again");
        assert!(disk.open_read("a/b/one").unwrap().append(b"x").is_err(), "opened to read only");

        disk.overwrite("a/b/one", 6, b"AG").unwrap();
        assert_eq!(read_all(&*disk.open_read("a/b/one").unwrap()).unwrap(), b"hello AGain");
        assert_eq!(disk.overwrite("a/b/one", 10, b"xx").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(disk.overwrite("a/b/none", 0, b"x").unwrap_err().kind(), io::ErrorKind::NotFound);

        disk.create_new("a/b/two").unwrap().append(b"2").unwrap();
        assert_eq!(disk.list("a/b").unwrap(), ["one", "two"]);
        disk.rename("a/b/two", "a/b/one").unwrap();
        assert_eq!(disk.list("a/b").unwrap(), ["one"]);
        assert_eq!(read_all(&*disk.open_read("a/b/one").unwrap()).unwrap(), b"2");
        let open = disk.open_read("a/b/one").unwrap();
        disk.remove("a/b/one").unwrap();
        assert_eq!(read_all(&*open).unwrap(), b"2", "an open file outlives its name");
        assert_eq!(file.len().unwrap(), 11, "and so does one that was replaced");
        disk.sync_dir("a/b").unwrap();
        disk.sync_dir("").unwrap();

        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(disk.remove("a/b/one")), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.open_read("a/b/one").map(drop)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.open_append("nowhere/one").map(drop)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.create_new("nowhere/one").map(drop)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.list("nowhere").map(drop)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.rename("a/b/one", "a/b/two")), io::ErrorKind::NotFound);
        for path in ["../x", "/etc/passwd", "a/../../x", "a//b", "a/./b", "a/b/"] {
            assert_eq!(kind(disk.create_new(path).map(drop)), io::ErrorKind::InvalidInput, "{path}");
        }
        disk.create_new("a/b/two").unwrap();
        assert_eq!(kind(disk.rename("a/b/two", "a/two")), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_real_and_the_simulated_disk_keep_the_same_contract() {
        let folder = tempfile::tempdir().unwrap();
        check_contract(&RealDisk::open(folder.path().join("data")).unwrap());
        check_contract(&SimDisk::new());
    }

    #[cfg(unix)]
    #[test]
    fn what_the_real_disk_makes_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let disk = RealDisk::open(root.clone()).unwrap();
        disk.create_dir_all("log").unwrap();
        disk.create_new("log/x").unwrap();
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&root), mode(&root.join("log")), mode(&root.join("log/x"))), (0o700, 0o700, 0o600));
    }
}
