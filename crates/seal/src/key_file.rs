//! The file that holds the key-encryption key: one line, `panoptes-key-v1 <base64 of 32 bytes>`, mode 0600.
//!
//! It is made atomically and never overwritten: written in full under another name, synced, and only then given its
//! name in a way that fails if the name is taken. Whoever loses a race to make it uses the winner's key.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::key::random;
use crate::{KEY_BYTES, KeyEncryptionKey, SealError};

const PREFIX: &str = "panoptes-key-v1 ";
/// A key file has 61 bytes. What is longer than this is not read on: it is not a key file.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    #[error(
        "there is no key file `{path}`; name the one that this data was sealed with, or restore it from a backup: \
         without it the data cannot be read",
        path = path.display()
    )]
    Missing { path: PathBuf },
    #[error("key file `{path}` may not be read by this user; run as its owner or change the owner", path = path.display())]
    PermissionDenied { path: PathBuf, source: std::io::Error },
    #[error("`{path}` is not a key file: it must be one line `panoptes-key-v1 …`; restore it from a backup", path = path.display())]
    NotAKeyFile { path: PathBuf },
    #[error(
        "the key in `{path}` has {bytes} bytes instead of {KEY_BYTES}; the file was cut or changed, restore it from a backup",
        path = path.display()
    )]
    LengthWrong { path: PathBuf, bytes: usize },
    #[error("key file `{path}` cannot be read", path = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("key file `{path}` cannot be made; choose a folder in which this user may write", path = path.display())]
    Uncreatable { path: PathBuf, source: std::io::Error },
    #[error("no key can be made")]
    Random { source: SealError },
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    #[error("it is not the content of a key file: it must be one line `panoptes-key-v1 …`")]
    NotAKey,
    #[error("the key has {bytes} bytes instead of {KEY_BYTES}; it was cut or changed")]
    LengthWrong { bytes: usize },
}

/// Whether [`KeyEncryptionKey::create_or_load`] made the key: then the user must be told where it is and to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    New,
    Existing,
}

/// What is unwise about a key file, but no reason to stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWarning {
    #[error("key file `{path}` is open to other users (mode {mode:04o}); run: chmod 600 {path}", path = path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
}

impl KeyWarning {
    /// What is unwise about the key file at `path`. `None` too where the system has no such modes.
    pub fn check(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
            (mode & 0o077 != 0).then(|| Self::OpenToOthers { path: path.to_owned(), mode })
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            None
        }
    }
}

impl KeyEncryptionKey {
    /// The key in the file at `path`.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let unreadable = |source: std::io::Error| match source.kind() {
            ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
            ErrorKind::PermissionDenied => KeyFileError::PermissionDenied { path: path.to_owned(), source },
            _ => KeyFileError::Unreadable { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
        file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
        Self::from_text(&content).map_err(|error| match error {
            KeyTextError::NotAKey => KeyFileError::NotAKeyFile { path: path.to_owned() },
            KeyTextError::LengthWrong { bytes } => KeyFileError::LengthWrong { path: path.to_owned(), bytes },
        })
    }

    /// The key in the content of a key file, wherever it was kept.
    pub fn from_text(content: &[u8]) -> Result<Self, KeyTextError> {
        if content.len() as u64 > KEY_FILE_BYTES_MAX {
            return Err(KeyTextError::NotAKey);
        }
        let text = std::str::from_utf8(content).map_err(|_| KeyTextError::NotAKey)?;
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(KeyTextError::NotAKey)?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).map_err(|_| KeyTextError::NotAKey)?);
        let bytes = <[u8; KEY_BYTES]>::try_from(&decoded[..])
            .map_err(|_| KeyTextError::LengthWrong { bytes: decoded.len() })?;
        Ok(Self::from_bytes(bytes))
    }

    /// The content of this key's file.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Sized so that it never grows: growing would leave a copy that nobody wipes.
        let mut line = Zeroizing::new(String::with_capacity(PREFIX.len() + 64));
        line.push_str(PREFIX);
        STANDARD.encode_string(self.bytes(), &mut line);
        line.push('\n');
        line
    }

    /// The key in the file at `path`, which is made if there is none. A file that is there is never changed.
    pub fn create_or_load(path: &Path) -> Result<(Self, Created), KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Missing { .. }) => {}
            loaded => return Ok((loaded?, Created::Existing)),
        }
        let key = Self::generate().map_err(|source| KeyFileError::Random { source })?;
        let suffix: [u8; 8] = random().map_err(|source| KeyFileError::Random { source })?;
        let uncreatable = |source| KeyFileError::Uncreatable { path: path.to_owned(), source };
        match publish(path, u64::from_be_bytes(suffix), &key).map_err(uncreatable)? {
            Created::New => Ok((key, Created::New)),
            // Somebody was faster: theirs is the key.
            Created::Existing => Ok((Self::load(path)?, Created::Existing)),
        }
    }
}

/// Gives `path` the content for `key`, unless there is such a file by now.
fn publish(path: &Path, suffix: u64, key: &KeyEncryptionKey) -> std::io::Result<Created> {
    // `Path::parent` of a bare name is the empty path, which cannot be opened.
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{suffix:016x}.new"));
    let temporary = PathBuf::from(temporary);
    let outcome = write_synced(&temporary, key).and_then(|()| match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(Created::New),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Created::Existing),
        // Not every file system has links. Renaming could replace a key that was made this very moment, so look first.
        Err(_) if !path.try_exists()? => fs::rename(&temporary, path).map(|()| Created::New),
        Err(_) => Ok(Created::Existing),
    });
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound && outcome.is_ok() => return Err(error),
        _ => {}
    }
    sync_folder(folder)?;
    outcome
}

fn write_synced(path: &Path, key: &KeyEncryptionKey) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(key.to_text().as_bytes())?;
    file.sync_all()
}

fn create_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Makes the names in `folder` survive a loss of power.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_then_loaded() {
        let folder = folder();
        let path = folder.path().join("config/panoptes/key");
        let (made, created) = KeyEncryptionKey::create_or_load(&path).unwrap();
        assert_eq!(created, Created::New);
        let (again, created) = KeyEncryptionKey::create_or_load(&path).unwrap();
        assert_eq!((again.id(), created), (made.id(), Created::Existing));
        assert_eq!(again.bytes(), made.bytes());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("panoptes-key-v1 ") && text.lines().count() == 1, "{text}");
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["key"], "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_its_owners_alone_and_an_open_one_is_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder();
        let path = folder.path().join("panoptes/key");
        KeyEncryptionKey::create_or_load(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(KeyWarning::check(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let warning = KeyWarning::check(&path).unwrap().to_string();
        assert!(warning.contains("mode 0644") && warning.contains("chmod 600"), "{warning}");
        assert!(KeyEncryptionKey::load(&path).is_ok(), "it is a warning, not an error");
    }

    #[test]
    fn a_race_to_make_the_key_has_one_winner() {
        let folder = folder();
        let path = folder.path().join("key");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| KeyEncryptionKey::create_or_load(&path).unwrap())).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(ids.iter().filter(|(_, created)| *created == Created::New).count(), 1);
        let kept = KeyEncryptionKey::load(&path).unwrap().id();
        assert!(ids.iter().all(|(key, _)| key.id() == kept));
    }

    #[test]
    fn what_is_no_key_file_is_refused_with_the_reason_and_never_overwritten() {
        let folder = folder();
        let path = folder.path().join("key");
        assert!(matches!(KeyEncryptionKey::load(&path), Err(KeyFileError::Missing { .. })));
        let long = "x".repeat(5000);
        let cases: [(&[u8], &str); 7] = [
            (b"", "not a key file"),
            (b"panoptes-key-v1", "not a key file"),
            (b"panoptes-key-v1 !!!!", "not a key file"),
            (b"panoptes-key-v2 AAAA", "not a key file"),
            (b"\xff\xfe", "not a key file"),
            (long.as_bytes(), "not a key file"),
            (b"panoptes-key-v1 AAAA\n", "has 3 bytes instead of 32"),
        ];
        for (content, reason) in cases {
            fs::write(&path, content).unwrap();
            let error = KeyEncryptionKey::create_or_load(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = folder();
        fs::write(folder.path().join("file"), b"").unwrap();
        let error = KeyEncryptionKey::create_or_load(&folder.path().join("file/key")).unwrap_err();
        assert!(error.to_string().contains("file/key"), "{error}");
    }
}
