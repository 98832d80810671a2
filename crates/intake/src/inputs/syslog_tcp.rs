//! Syslog over TCP (RFC 6587): framing only, `normalize` reads the messages.
//!
//! *Takes* octet-counted messages and messages that end with LF, CRLF or NUL, told apart for each message. *Position*
//! is the number of the message in its connection. *Acknowledges* nothing, as for [`tcp`](super::TcpInput).

use std::net::SocketAddr;
use std::time::Duration;

use super::InputKind;
use super::listener::{Listener, ListenerConfig};
use crate::context::{Context, InputError};
use crate::framing::Syslog;
use crate::limits::{CONNECTIONS_MAX, IDLE_TIMEOUT};

pub(super) static KIND: InputKind = InputKind {
    name: "syslog_tcp",
    summary: "syslog over TCP, octet-counted or by line",
    default_address: Some("127.0.0.1:5514"),
    slows_sender: true,
};

/// How to listen for syslog over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTcpConfig {
    pub address: SocketAddr,
    /// What the events' source is called.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub connections_max: usize,
    pub idle_timeout: Duration,
}

impl Default for SyslogTcpConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 5514)),
            source: "syslog".to_owned(),
            format: None,
            time_zone: None,
            connections_max: CONNECTIONS_MAX,
            idle_timeout: IDLE_TIMEOUT,
        }
    }
}

/// A listener that has its port.
pub struct SyslogTcpInput(Listener<Syslog>);

impl SyslogTcpInput {
    pub async fn bind(config: SyslogTcpConfig) -> Result<Self, InputError> {
        let SyslogTcpConfig { address, source, format, time_zone, connections_max, idle_timeout } = config;
        let config =
            ListenerConfig { input: KIND.name, address, source, format, time_zone, connections_max, idle_timeout };
        Listener::bind(config, Syslog).await.map(Self)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Returns after a shutdown, once all that was read is settled.
    pub async fn run(self, context: Context) {
        self.0.run(context).await;
    }
}
