//! Files on disk and the environment in, one validated [`Config`] out.
//!
//! Layers, later ones win: built-in defaults, the TOML file, environment variables (`PANOPTES__HTTP__LISTEN`; also
//! `PANOPTES_DATA`), the command line. What was written is a [`ConfigFile`]; what it means is a [`Config`], and nothing
//! downstream checks it again.
//!
//! # Where to look first
//! * [`ConfigFile`] (`file.rs`): every key, its default and its range. To add one, add it there (its doc comment and
//!   range become the JSON Schema, and the schema is what files are checked against) and give it a meaning in
//!   `meaning.rs`.
//! * [`Config::load`]: the whole way through.
//!
//! # Invariants
//! * All that is wrong is said at once, each with file, line and column (or the variable, or the flag) and a cure.
//! * An unknown key is refused, with the nearest known one named: a setting that silently does nothing is a trap.
//! * The environment is an argument ([`Environment`]); the only I/O is reading the file and resolving symbolic links.
//! * The key file and plaintext output never lie in the data folder. Only loopback is listened on, unless `insecure`.

mod check;
mod enrich;
mod environment;
mod file;
mod key;
mod meaning;
mod problem;
mod retention;
mod show;
mod tree;

pub use crate::enrich::{
    AssetConfig, AssetSection, Criticality, EnrichConfig, EnrichSection, ListConfig, ListKind, ListSection,
    NetworkConfig, NetworkSection,
};
pub use crate::environment::Environment;
pub use crate::file::{
    AlertsSection, ConfigFile, Console, ContainersSection, DetectSection, FilesSection, HttpSection, JournaldSection,
    Level, LimitsSection, NeverSeenSection, RulesSection, StartAt, StoreSection, SyslogSection, TcpSection, schema,
};
pub use crate::key::KeySource;
pub use crate::meaning::{
    AlertsConfig, Config, ContainersConfig, FileWatch, HttpConfig, JournaldConfig, LimitsConfig, NeverSeenConfig,
    RulesConfig, StoreConfig, StreamConfig, SyslogConfig, SyslogTlsConfig, TlsCertificate,
};
pub use crate::problem::{ConfigError, PROBLEMS_MAX, Problem, Problems};
pub use crate::retention::{DEFAULT_POLICY, PolicyConfig, PolicySection, RetentionSection};
pub use crate::tree::{Layers, Origin, Override, SourceFile};

/// Larger configuration files are refused: something else was named by mistake.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
