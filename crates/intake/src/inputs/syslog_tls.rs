//! Syslog over TLS (RFC 5425): what [`SyslogTcpInput`](super::SyslogTcpInput) takes, encrypted.
//!
//! *Takes* octet-counted messages, as the RFC demands, and messages that end with LF, CRLF or NUL, as half the world
//! sends them. *Position* is the number of the message in its connection. *Acknowledges* nothing, as for
//! [`tcp`](super::TcpInput). With a CA for clients, only those with a certificate of it get in.

use std::net::SocketAddr;
use std::time::Duration;

use super::InputKind;
use super::listener::{Listener, ListenerConfig};
use super::tls::{Tls, TlsFiles};
use crate::context::{Clock, Context, InputError};
use crate::framing::Syslog;
use crate::limits::{CONNECTIONS_MAX, IDLE_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};

pub(super) static KIND: InputKind = InputKind {
    name: "syslog_tls",
    summary: "syslog over TLS, octet-counted or by line",
    default_address: Some("127.0.0.1:6514"),
    slows_sender: true,
};

/// How to listen for syslog over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTlsConfig {
    pub address: SocketAddr,
    pub files: TlsFiles,
    /// What the events' source is called.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub connections_max: usize,
    pub idle_timeout: Duration,
    pub handshake_timeout: Duration,
}

impl SyslogTlsConfig {
    pub fn new(files: TlsFiles) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 6514)),
            files,
            source: "syslog".to_owned(),
            format: None,
            time_zone: None,
            connections_max: CONNECTIONS_MAX,
            idle_timeout: IDLE_TIMEOUT,
            handshake_timeout: TLS_HANDSHAKE_TIMEOUT,
        }
    }
}

/// A listener that has its port and its certificate.
pub struct SyslogTlsInput(Listener<Syslog>);

impl SyslogTlsInput {
    /// `clock` is what client certificates are held against.
    pub async fn bind(config: SyslogTlsConfig, clock: Clock) -> Result<Self, InputError> {
        let SyslogTlsConfig { address, files, source, format, time_zone, connections_max, .. } = config;
        let (idle_timeout, handshake_timeout) = (config.idle_timeout, config.handshake_timeout);
        let failed = |source| InputError::Tls { input: KIND.name, source: Box::new(source) };
        let tls = Tls::new(&files, clock, handshake_timeout).map_err(failed)?;
        let config =
            ListenerConfig { input: KIND.name, address, source, format, time_zone, connections_max, idle_timeout };
        Ok(Self(Listener::bind(config, Syslog).await?.with_tls(tls)))
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Returns after a shutdown, once all that was read is settled.
    pub async fn run(self, context: Context) {
        self.0.run(context).await;
    }
}
