//! What every input is given.

use std::sync::Arc;

use panoptes_model::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::inputs::TlsError;
use crate::{Counters, Sink};

/// Tells the time. Injected, so that only the binary reads the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where an input hands its batches, counts its records, learns the time and is told to stop.
#[derive(Clone)]
pub struct Context {
    pub sink: Sink,
    pub counters: Counters,
    pub clock: Clock,
    /// Cancelled to stop: an input then takes nothing new, hands on what it has read, waits until that is durable,
    /// and returns.
    pub shutdown: CancellationToken,
}

impl Context {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Why an input could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    #[error("input `{input}` could not listen on {address}: {cure}")]
    Bind { input: &'static str, address: std::net::SocketAddr, cure: &'static str, source: std::io::Error },
    #[error("`{pattern}` is not a file pattern: write `*` for any name, `**` for any folders, `[*]` for a star")]
    Pattern { pattern: String, source: glob::PatternError },
    #[error("the journal cannot be read, as `{program}` could not be run: {cure}")]
    Journalctl { program: String, cure: &'static str, source: std::io::Error },
    #[error("input `{input}` could not set up TLS")]
    Tls { input: &'static str, source: Box<TlsError> },
}

impl InputError {
    pub(crate) fn bind(input: &'static str, address: std::net::SocketAddr, source: std::io::Error) -> Self {
        let cure = match source.kind() {
            std::io::ErrorKind::AddrInUse => "another program has the port; stop it or set another `address`",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; set a higher port in `address`",
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have the address; correct `address`",
            _ => "check `address`",
        };
        Self::Bind { input, address, cure, source }
    }
}
