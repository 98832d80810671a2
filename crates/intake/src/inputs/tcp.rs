//! Lines over TCP.
//!
//! *Takes* text that is divided by line feeds; a last line without one counts when the connection ends. *Position* is
//! the number of the line in its connection. *Acknowledges* nothing, because the protocol cannot; but it reads no
//! faster than the log takes, so a full pipeline slows the sender down.

use std::net::SocketAddr;
use std::time::Duration;

use super::InputKind;
use super::listener::{Listener, ListenerConfig};
use crate::context::{Context, InputError};
use crate::framing::Lines;
use crate::limits::{CONNECTIONS_MAX, IDLE_TIMEOUT};

pub(super) static KIND: InputKind =
    InputKind { name: "tcp", summary: "lines over TCP", default_address: Some("127.0.0.1:9090"), slows_sender: true };

/// How to listen for lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    pub address: SocketAddr,
    /// What the events' source is called.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub connections_max: usize,
    pub idle_timeout: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9090)),
            source: "tcp".to_owned(),
            format: None,
            time_zone: None,
            connections_max: CONNECTIONS_MAX,
            idle_timeout: IDLE_TIMEOUT,
        }
    }
}

/// A listener that has its port.
pub struct TcpInput(Listener<Lines>);

impl TcpInput {
    pub async fn bind(config: TcpConfig) -> Result<Self, InputError> {
        let TcpConfig { address, source, format, time_zone, connections_max, idle_timeout } = config;
        let config =
            ListenerConfig { input: KIND.name, address, source, format, time_zone, connections_max, idle_timeout };
        Listener::bind(config, Lines).await.map(Self)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Returns after a shutdown, once all that was read is settled.
    pub async fn run(self, context: Context) {
        self.0.run(context).await;
    }
}
