//! Why the catalogue did not do what it was asked to.

use std::path::PathBuf;

use panoptes_model::{AlertId, AlertState};
use panoptes_seal::SealError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    #[error("there is no catalogue at {}; name the data folder of an instance that has run", path.display())]
    Missing { path: PathBuf },
    #[error("the catalogue file {} could not be made or protected; check that the folder is there and writable", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the path of the catalogue, {}, is not UTF-8 text; choose another data folder", path.display())]
    PathNotText { path: PathBuf },
    #[error("the catalogue {} cannot be opened with this key", path.display())]
    Key { path: PathBuf, source: SealError },
    #[error("the catalogue {} was written by a newer version (its schema has step {step}); update this program", path.display())]
    Newer { path: PathBuf, step: i64 },
    #[error("the tables of the catalogue {} could not be brought up to date", path.display())]
    Migrate { path: PathBuf, source: sqlx::migrate::MigrateError },
    #[error("the catalogue is locked by another process; try again when that has finished ({operation})")]
    Locked { operation: &'static str },
    #[error("the disk is full, so the catalogue could not be written; free some space ({operation})")]
    DiskFull { operation: &'static str },
    #[error("the catalogue file is damaged or no catalogue; restore it from a backup ({operation})")]
    FileDamaged { operation: &'static str, source: sqlx::Error },
    #[error("the catalogue failed to {operation}")]
    Database { operation: &'static str, source: sqlx::Error },
    #[error("row {row} of the catalogue's table {table} cannot be opened; it was changed or damaged")]
    Sealed { table: &'static str, row: String, source: SealError },
    #[error("row {row} of the catalogue's table {table} holds something unknown in {column}")]
    RowDamaged { table: &'static str, row: String, column: &'static str },
    #[error("`{text}` is not an alert id; give at least 4 of its hexadecimal digits")]
    IdMalformed { text: String },
    #[error("no alert has an id that begins with `{text}`; `panoptes alerts list` shows them")]
    AlertUnknown { text: String },
    #[error("`{prefix}` begins several alert ids ({}); give more digits", listed(matches))]
    AlertAmbiguous { prefix: String, matches: Vec<AlertId> },
    #[error("alert {id} is {state}, so it cannot be {wanted}")]
    StateConflict { id: AlertId, state: AlertState, wanted: &'static str },
    #[error("the {what} has {bytes} bytes, more than {max}; shorten it")]
    TextTooLong { what: &'static str, bytes: usize, max: usize },
    #[error("the thread's runtime could not be started")]
    Runtime { source: std::io::Error },
}

fn listed(matches: &[AlertId]) -> String {
    matches.iter().map(|it| format!("{:.8}", it.to_string())).collect::<Vec<_>>().join(", ")
}

impl CatalogError {
    /// What the database said while it was asked to `operation`, sorted by what the operator can do about it.
    pub(crate) fn database(operation: &'static str) -> impl Fn(sqlx::Error) -> Self {
        /// Primary result codes of SQLite; the extended ones hold them in their low byte.
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        const CORRUPT: u32 = 11;
        const FULL: u32 = 13;
        const NOT_A_DATABASE: u32 = 26;
        move |source| {
            let code = source.as_database_error().and_then(|it| it.code()?.parse::<u32>().ok());
            match code.map(|it| it & 0xff) {
                Some(BUSY | LOCKED) => Self::Locked { operation },
                Some(FULL) => Self::DiskFull { operation },
                Some(CORRUPT | NOT_A_DATABASE) => Self::FileDamaged { operation, source },
                _ => Self::Database { operation, source },
            }
        }
    }
}
