//! What the inputs that accept TCP connections share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use panoptes_model::Origin;
use panoptes_stdx::ErrorChain;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::tls::Tls;
use crate::budget::Budget;
use crate::context::{Context, InputError};
use crate::counters::SourceCounts;
use crate::cutter::{Cutter, Positions};
use crate::framing::Framing;
use crate::limits::{ACCEPT_PAUSE, CONNECTION_BYTES_MAX, TLS_CLOSE_TIMEOUT};
use crate::stream::{Ended, Stream};

pub(super) struct ListenerConfig {
    pub(super) input: &'static str,
    pub(super) address: SocketAddr,
    pub(super) source: String,
    pub(super) format: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) connections_max: usize,
    pub(super) idle_timeout: Duration,
}

/// A bound listener that cuts what its connections send with `F`.
pub(super) struct Listener<F> {
    config: ListenerConfig,
    framing: F,
    socket: TcpListener,
    local_addr: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl<F: Framing + Copy + Send + Sync + 'static> Listener<F> {
    pub(super) async fn bind(config: ListenerConfig, framing: F) -> Result<Self, InputError> {
        let failed = |source| InputError::bind(config.input, config.address, source);
        let socket = TcpListener::bind(config.address).await.map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        Ok(Self { config, framing, socket, local_addr, tls: None })
    }

    /// The same, encrypted.
    pub(super) fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(Arc::new(tls)), ..self }
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(super) async fn run(self, context: Context) {
        let input = self.config.input;
        let refused = metrics::counter!("panoptes_connections_refused_total", "input" => input);
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        let budget = Budget::new(CONNECTION_BYTES_MAX);
        let counts = context.counters.source(input, &self.config.source);
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = context.shutdown.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            let (connection, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Mostly a peer that went away again, or no file handles left: neither is a reason to stop.
                    tracing::warn!(input, error = %ErrorChain(&error), "connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                refused.increment(1);
                tracing::debug!(input, %peer, "connection refused: `connections_max` are open");
                continue;
            };
            let lease = budget.lease();
            let serving = self.serve(connection, peer, place, lease, Arc::clone(&counts), context.clone());
            tasks.spawn(serving);
        }
        drop(self.socket);
        tasks.close();
        tasks.wait().await;
    }

    fn serve(
        &self,
        connection: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        lease: crate::budget::Lease,
        counts: Arc<SourceCounts>,
        context: Context,
    ) -> impl Future<Output = ()> + Send + 'static {
        let origin = Origin {
            input: self.config.input.to_owned(),
            source: self.config.source.clone(),
            peer: Some(peer.ip().to_canonical()),
            format: self.config.format.clone(),
            time_zone: self.config.time_zone.clone(),
            ..Origin::default()
        };
        let cutter = Cutter::new(self.framing, Positions::Numbers, origin, 0);
        let (input, idle_timeout) = (self.config.input, Some(self.config.idle_timeout));
        let tls = self.tls.clone();
        async move {
            let (counts, context) = (&*counts, &context);
            let lease = Some(lease);
            let ended = match tls {
                None => Stream { reader: connection, cutter, lease, counts, context, idle_timeout }.run().await,
                Some(tls) => {
                    let Some(mut encrypted) = tls.accept(input, peer, connection, context).await else { return };
                    let reader = &mut encrypted;
                    let ended = Stream { reader, cutter, lease, counts, context, idle_timeout }.run().await;
                    // A sender that is told of the end knows that none of what it sent was cut off.
                    let _gone_already = timeout(TLS_CLOSE_TIMEOUT, encrypted.shutdown()).await;
                    ended
                }
            };
            match ended {
                Ended::BySink(error) => {
                    tracing::warn!(input, %peer, error = %ErrorChain(&error), "connection closed, lines were lost");
                }
                ended => tracing::debug!(input, %peer, ?ended, "connection ended"),
            }
            drop(place);
        }
    }
}
