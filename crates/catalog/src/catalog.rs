//! Opening: the file, its protection, its pragmas, its tables, its key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use panoptes_seal::{DataKey, KeyEncryptionKey, KeyId, SealError, ValueSealer};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Row as _, SqlSafeStr as _, Transaction};

use crate::CatalogError;

/// Bound to the wrapped data key, so that it is taken for that of nothing else.
const KEY_AAD: &[u8] = b"panoptes catalog key v1";
/// Readers at a time; further ones wait for one to finish.
const READERS_MAX: u32 = 4;
/// How long a call waits for the lock that another process holds before it fails with
/// [`CatalogError::Locked`].
const BUSY_SECONDS_MAX: u64 = 10;
/// How often opening is tried while another process is just turning the new file to write-ahead mode, which no
/// timeout of SQLite waits for; then it fails with [`CatalogError::Locked`].
const OPEN_TRIES_MAX: u32 = 40;
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// SQLite's way to take the write lock at once instead of at the first write, where waiting could deadlock. PostgreSQL
/// will want `BEGIN ISOLATION LEVEL SERIALIZABLE`.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// What to do if there is no catalogue yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Make one.
    Create,
    /// Fail with [`CatalogError::Missing`].
    Existing,
}

/// The relational state. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Catalog {
    writer: AnyPool,
    readers: AnyPool,
    pub(crate) sealer: Arc<ValueSealer>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// The name of the file in the data folder.
    pub const FILE_NAME: &str = "catalog.sqlite";

    /// Opens the catalogue in the file `path`, whose folder must be there, and brings its tables up to date.
    ///
    /// The data key of a new catalogue is random and wrapped by `key`, so that the key can be changed later without
    /// sealing every row again.
    pub async fn open(path: &Path, key: &KeyEncryptionKey, mode: OpenMode) -> Result<Self, CatalogError> {
        sqlx::any::install_default_drivers();
        let path = prepare_file(path, mode)?;
        let url = url_of(&path)?;
        // The first connection is no pool's: a pool tries again for long what fails for good.
        let mut connection = connect(&url).await?;
        let mut transaction =
            connection.begin_with(BEGIN_WRITE).await.map_err(CatalogError::database("lock it for opening"))?;
        migrate(&path, &mut transaction).await?;
        let sealer = load_key(&path, &mut transaction, key).await?;
        transaction.commit().await.map_err(CatalogError::database("commit its tables"))?;
        let pool = |connections_max| {
            pool_options(connections_max).connect_lazy(&url).map_err(CatalogError::database("open it"))
        };
        let (writer, readers) = (pool(1)?, pool(READERS_MAX)?);
        connection.close().await.map_err(CatalogError::database("close the first connection"))?;
        Ok(Self { writer, readers, sealer: Arc::new(sealer) })
    }

    /// Waits for running calls and closes all connections; the write-ahead file is merged into the main one.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock. Dropped without a commit it leaves nothing.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        self.writer.begin_with(BEGIN_WRITE).await.map_err(CatalogError::database("lock it for writing"))
    }

    /// A transaction that sees one state of everything.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        self.readers.begin().await.map_err(CatalogError::database("begin reading"))
    }
}

/// Makes the file, if it may, readable by nobody else. SQLite gives its side files the same mode.
fn prepare_file(path: &Path, mode: OpenMode) -> Result<PathBuf, CatalogError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    let failed = |source| CatalogError::File { path: path.to_path_buf(), source };
    let missing = || CatalogError::Missing { path: path.to_path_buf() };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(missing()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let folder = match parent.canonicalize() {
        Err(error) if mode == OpenMode::Existing && error.kind() == std::io::ErrorKind::NotFound => {
            return Err(missing());
        }
        outcome => outcome.map_err(failed)?,
    };
    let path = folder.join(name);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && mode == OpenMode::Create => {
            let mut options = std::fs::OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                // Another process was faster; it made the file the same way.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                outcome => drop(outcome.map_err(failed)?),
            }
            // The name must survive power loss as well as the rows.
            std::fs::File::open(&folder).and_then(|it| it.sync_all()).map_err(failed)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(failed(error)),
    }
    Ok(path)
}

/// `Any` takes nothing but a URL.
fn url_of(path: &Path) -> Result<String, CatalogError> {
    let text = path.to_str().ok_or_else(|| CatalogError::PathNotText { path: path.to_path_buf() })?;
    let mut url = "sqlite://".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=rw");
    Ok(url)
}

fn pool_options(connections_max: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(Duration::from_secs(2 * BUSY_SECONDS_MAX))
        .after_connect(|connection, _| Box::pin(set_pragmas(connection)))
        .after_release(|connection, _| Box::pin(is_reusable(connection)))
}

/// On a full disk or an I/O error SQLite rolls back by itself; the driver then believes for ever to be in a
/// transaction and can begin no other. Such a connection is closed; the next call gets a fresh one.
async fn is_reusable(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // What was queued before, a rollback among it, is done when this returns.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn connect(url: &str) -> Result<AnyConnection, CatalogError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut connection = AnyConnection::connect(url).await.map_err(CatalogError::database("open it"))?;
        match set_pragmas(&mut connection).await.map_err(CatalogError::database("set it up")) {
            Ok(()) => return Ok(connection),
            Err(CatalogError::Locked { .. }) if tries < OPEN_TRIES_MAX => tokio::time::sleep(OPEN_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

async fn set_pragmas(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    const _: () = assert!(BUSY_SECONDS_MAX == 10, "the pragma below says the same");
    const PRAGMAS: [&str; 5] = [
        "PRAGMA busy_timeout = 10000",
        "PRAGMA journal_mode = WAL",
        // In write-ahead mode only FULL syncs at each commit.
        "PRAGMA synchronous = FULL",
        "PRAGMA secure_delete = ON",
        "PRAGMA temp_store = MEMORY",
    ];
    for pragma in PRAGMAS {
        sqlx::raw_sql(pragma).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn migrate(path: &Path, connection: &mut AnyConnection) -> Result<(), CatalogError> {
    let step = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    // A step that was ever released is never changed; the next one is added below.
    let steps = vec![
        step(1, "alerts", include_str!("../migrations/0001_alerts.sql")),
        step(2, "losses", include_str!("../migrations/0002_losses.sql")),
    ];
    Migrator::with_migrations(steps).run_direct(None, connection, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(step) => CatalogError::Newer { path: path.to_path_buf(), step },
        MigrateError::Execute(error) => CatalogError::database("make its tables")(error),
        source => CatalogError::Migrate { path: path.to_path_buf(), source },
    })
}

/// The sealer under the data key that `key` unwraps; a new one in a new catalogue.
async fn load_key(
    path: &Path,
    connection: &mut AnyConnection,
    key: &KeyEncryptionKey,
) -> Result<ValueSealer, CatalogError> {
    let failed = |source| CatalogError::Key { path: path.to_path_buf(), source };
    let data_key = match (meta(connection, "key_id").await?, meta(connection, "wrapped_key").await?) {
        (Some(id), Some(wrapped)) => {
            let id: KeyId = id.parse().map_err(|_| failed(SealError::HeaderDamaged))?;
            let wrapped = BASE64.decode(wrapped).map_err(|_| failed(SealError::HeaderDamaged))?;
            key.unwrap(id, &wrapped, KEY_AAD).map_err(failed)?
        }
        (None, None) => {
            let data_key = DataKey::generate().map_err(failed)?;
            let wrapped = key.wrap(&data_key, KEY_AAD).map_err(failed)?;
            set_meta(connection, "key_id", &key.id().to_string()).await?;
            set_meta(connection, "wrapped_key", &BASE64.encode(wrapped)).await?;
            data_key
        }
        _ => return Err(failed(SealError::HeaderDamaged)),
    };
    Ok(ValueSealer::new(&data_key))
}

pub(crate) async fn meta(connection: &mut AnyConnection, name: &str) -> Result<Option<String>, CatalogError> {
    let failed = CatalogError::database("read its settings");
    let row = sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name.to_owned());
    row.fetch_optional(connection).await.map_err(&failed)?.map(|it| it.try_get(0)).transpose().map_err(failed)
}

pub(crate) async fn set_meta(connection: &mut AnyConnection, name: &str, value: &str) -> Result<(), CatalogError> {
    const SQL: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let query = sqlx::query(SQL).bind(name.to_owned()).bind(value.to_owned());
    query.execute(connection).await.map_err(CatalogError::database("write its settings"))?;
    Ok(())
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
