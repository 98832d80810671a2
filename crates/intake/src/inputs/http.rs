//! `POST /logs`: records over HTTP.
//!
//! *Takes* one JSON object, an array of them, one value a line, plain lines, or CSV with a header; told apart by
//! `Content-Type` where it says something, else by content. `gzip`, `zstd` and `deflate` are understood, and capped
//! after decompression. *Position* is the number of the record in its request. *Acknowledges* with its answer, which
//! comes once every accepted record is durable and says for each rejected one where and why.
//!
//! `?source=NAME` or the header `X-Panoptes-Source` names the source.

pub(super) mod answer;
pub(super) mod body;
pub(super) mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use panoptes_model::{Origin, RawBatch};
use panoptes_stdx::ErrorChain;
use tokio_util::task::TaskTracker;

use self::answer::{Answer, Refusal};
use self::request::Meta;
use super::InputKind;
use crate::budget::{Budget, Lease};
use crate::context::Context;
use crate::counters::{RejectReason, SourceCounts};
use crate::cut::Collected;
use crate::flight::Flight;
use crate::limits::{
    BODIES_BYTES_MAX, BODY_BYTES_MAX, BODY_DECODED_BYTES_MAX, BODY_RECORDS_MAX, BODY_TIMEOUT, BULK_PATIENCE,
};
use crate::sink::{Full, SinkError};

pub(super) static KIND: InputKind = InputKind {
    name: "http",
    summary: "JSON, lines or CSV by POST /logs",
    default_address: Some("127.0.0.1:8080"),
    slows_sender: true,
};

/// What `POST /logs` takes. Where it listens is the server's matter, which also has other routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// What the events' source is called if the request does not name it.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub body_bytes_max: usize,
    pub body_decoded_bytes_max: usize,
    pub body_records_max: usize,
    pub body_timeout: Duration,
    /// How much memory all bodies may hold together.
    pub bodies_bytes_max: usize,
    /// How long `_bulk` waits for room in the queue before it refuses a request.
    pub bulk_patience: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            source: KIND.name.to_owned(),
            format: None,
            time_zone: None,
            body_bytes_max: BODY_BYTES_MAX,
            body_decoded_bytes_max: BODY_DECODED_BYTES_MAX,
            body_records_max: BODY_RECORDS_MAX,
            body_timeout: BODY_TIMEOUT,
            bodies_bytes_max: BODIES_BYTES_MAX,
            bulk_patience: BULK_PATIENCE,
        }
    }
}

/// The input behind the route.
pub struct HttpInput(pub(super) Arc<Shared>);

/// What everything that takes bodies on one listener shares: its limits above all.
pub(super) struct Shared {
    pub(super) config: HttpConfig,
    pub(super) context: Context,
    pub(super) bodies: Arc<Budget>,
    /// Requests that are being settled. They go on when their client has gone.
    pub(super) tasks: TaskTracker,
}

impl HttpInput {
    pub fn new(config: HttpConfig, context: Context) -> Self {
        let bodies = Budget::new(config.bodies_bytes_max);
        Self(Arc::new(Shared { config, context, bodies, tasks: TaskTracker::new() }))
    }

    /// The route, to be merged into the server's. Serve it with connection info for peers to be known.
    pub fn router(&self) -> Router {
        Router::new().route("/logs", post(logs)).with_state(Arc::clone(&self.0))
    }

    /// Waits until every request that was taken is settled. Call it after the server has stopped.
    pub async fn drained(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

async fn logs(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    match take(&shared, request).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn take(shared: &Arc<Shared>, request: Request<Body>) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let meta = Meta::read(&parts, &shared.config);
    let source = meta.as_ref().map_or(shared.config.source.as_str(), |it| &it.source);
    let counts = shared.context.counters.source(KIND.name, source);
    let taken = match meta {
        Ok(meta) => take_body(shared, &parts, meta, body, &counts).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &taken
        && let Some(reason) = refusal.counted_as
    {
        // How many records were in it nobody knows: the request counts as one.
        counts.received(1);
        counts.rejected(reason, 1);
    }
    taken
}

async fn take_body(
    shared: &Arc<Shared>,
    parts: &axum::http::request::Parts,
    meta: Meta,
    body: Body,
    counts: &Arc<SourceCounts>,
) -> Result<Answer, Refusal> {
    if shared.context.shutdown.is_cancelled() {
        return Err(Refusal::stopping());
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip().to_canonical());
    let origin = Origin {
        input: KIND.name.to_owned(),
        source: meta.source.clone(),
        peer,
        format: shared.config.format.clone(),
        time_zone: shared.config.time_zone.clone(),
        ..Origin::default()
    };
    let mut lease = shared.bodies.lease();
    let bytes = body::read(&shared.config, &mut lease, &parts.headers, body).await?;
    // A client that goes away drops this future; what it sent is settled all the same.
    let settling = shared.tasks.spawn({
        let (shared, counts) = (Arc::clone(shared), Arc::clone(counts));
        async move {
            let now = shared.context.now();
            let config = shared.config.clone();
            let cut = move || body::cut(&config, meta, origin, now, bytes, lease);
            let (collected, lease) = match tokio::task::spawn_blocking(cut).await {
                Ok(collected) => collected?,
                Err(error) => return Err(Refusal::internal(&error)),
            };
            settle(&shared, &counts, collected, lease).await
        }
    });
    settling.await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}

/// Hands the batches on and waits until they are durable.
async fn settle(
    shared: &Shared,
    counts: &SourceCounts,
    mut collected: Collected,
    lease: Lease,
) -> Result<Answer, Refusal> {
    counts.received(collected.records);
    let mut batches = std::mem::take(&mut collected.batches).into_iter();
    let mut flight = Flight::default();
    if let Some(first) = batches.next() {
        let records = first.records.len() as u64;
        match shared.context.sink.try_commit(first) {
            Ok(pending) => flight.push(pending, records),
            Err(Full(_)) => {
                counts.rejected(RejectReason::Busy, collected.records);
                return Err(Refusal::busy_booked());
            }
        }
    }
    for (reason, records) in &collected.rejected_counts {
        counts.rejected(*reason, *records);
    }
    let mut failed = None;
    // The first batch is on its way, so the request cannot be turned away any more: the others wait for room.
    for batch in batches {
        enqueue(shared, counts, &mut flight, &mut failed, batch).await;
    }
    drop(lease);
    let mut accepted = 0;
    while let Some((result, records)) = flight.next().await {
        counts.settle(&result, records);
        match result {
            Ok(_) => accepted += records,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        None => Ok(Answer::new(accepted, collected)),
        Some(error) => {
            tracing::warn!(error = %ErrorChain(&error), "records over HTTP could not be made durable");
            Err(Refusal::unavailable(accepted, &error))
        }
    }
}

async fn enqueue(
    shared: &Shared,
    counts: &SourceCounts,
    flight: &mut Flight,
    failed: &mut Option<SinkError>,
    batch: RawBatch,
) {
    let records = batch.records.len() as u64;
    match shared.context.sink.enqueue(batch).await {
        Ok(pending) => flight.push(pending, records),
        Err(error) => {
            counts.settle::<()>(&Err(error.clone()), records);
            *failed = Some(error);
        }
    }
}
