//! The inputs. One file each, listed here.
//!
//! To add one: copy [`tcp`](TcpInput)'s file, list its `KIND` in [`ALL`], and teach `tests/contract.rs` to feed it.

mod container;
mod elasticsearch;
mod file;
mod http;
mod import;
mod journald;
mod listener;
mod stdin;
mod syslog_tcp;
mod syslog_tls;
mod syslog_udp;
mod tcp;
mod tls;

pub use self::container::{ContainerConfig, ContainerInput};
pub use self::elasticsearch::ElasticsearchInput;
pub use self::file::{
    FileCheckpoint, FileCheckpoints, FileConfig, FileIdentity, FileInput, FileTailer, IdentityMalformed, StartAt, Step,
    VAR_LOG,
};
pub use self::http::{HttpConfig, HttpInput};
pub use self::import::{
    FileProblem, Import, ImportCheckpoints, ImportConfig, ImportIdentity, ImportProgress, ImportProgressMalformed,
    ImportSummary, Problem, Progress,
};
pub use self::journald::{JournaldConfig, JournaldInput, OwnService};
pub use self::stdin::{StdinConfig, StdinInput};
pub use self::syslog_tcp::{SyslogTcpConfig, SyslogTcpInput};
pub use self::syslog_tls::{SyslogTlsConfig, SyslogTlsInput};
pub use self::syslog_udp::{SyslogUdpConfig, SyslogUdpInput};
pub use self::tcp::{TcpConfig, TcpInput};
pub use self::tls::{TlsError, TlsFiles};

/// What there is to say about an input before it runs.
#[derive(Debug)]
pub struct InputKind {
    /// As in `Origin::input`, in metrics and in the configuration.
    pub name: &'static str,
    pub summary: &'static str,
    /// Where it listens unless told otherwise, if it listens.
    pub default_address: Option<&'static str>,
    /// Whether a full pipeline slows its sender down. If not, records are dropped and counted.
    pub slows_sender: bool,
}

/// Every input.
pub static ALL: &[&InputKind] = &[
    &elasticsearch::KIND,
    &file::KIND,
    &http::KIND,
    &import::KIND,
    &journald::KIND,
    &stdin::KIND,
    &syslog_tcp::KIND,
    &syslog_tls::KIND,
    &syslog_udp::KIND,
    &tcp::KIND,
];
