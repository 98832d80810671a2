//! Elasticsearch's way to send documents: `POST /_bulk` and its relatives, on the HTTP listener.
//!
//! *Takes* what Beats, rsyslog, syslog-ng, Logstash, Vector, Fluent Bit and the client libraries send: `index` and
//! `create` actions, each with its document; gzip as for `POST /logs`. A document becomes a record as it is. *Source*
//! is the name of the index without its date (`logs-2024.01.15` is `logs`), unless the request names one. *Position*
//! is the line of the document in its request. *Acknowledges* with its answer, which comes once every accepted
//! document is durable and has one item for each action. A full queue keeps the sender waiting for a moment and then refuses the
//! request with 429, as a whole: senders repeat that, while not all of them repeat single items.
//!
//! What clients ask before they send ([`probes`]) is answered so that they go on. Nothing is stored for it, nothing
//! can be searched here, and an id that comes again is a document of its own.

mod answer;
mod bulk;
mod probes;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::post;
use panoptes_model::{Origin, RawBatch};
use panoptes_stdx::ErrorChain;
use tokio::time::timeout;

use self::bulk::{Bulk, Wanted};
use super::HttpInput;
use super::InputKind;
use super::http::answer::Refusal;
use super::http::request::{encoding, named_source};
use super::http::{Shared, body};
use crate::budget::Lease;
use crate::counters::{Counters, RejectReason, SourceCounts};
use crate::flight::Flight;
use crate::sink::{Full, Pending, SinkError};

pub(super) static KIND: InputKind = InputKind {
    name: "elasticsearch",
    summary: "documents as Elasticsearch takes them, by POST /_bulk",
    default_address: Some("127.0.0.1:8080"),
    slows_sender: true,
};

/// Newer clients of Elastic send nothing to a server that does not say so in every answer.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));

/// The routes beside `POST /logs`, with the same limits and memory.
pub struct ElasticsearchInput(Arc<Shared>);

impl ElasticsearchInput {
    /// [`HttpInput::drained`] waits for the requests of both.
    pub fn beside(http: &HttpInput) -> Self {
        Self(Arc::clone(&http.0))
    }

    /// The routes, to be merged into the server's. Serve them with connection info for peers to be known.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/_bulk", post(bulk).put(bulk))
            .route("/{index}/_bulk", post(bulk_of_index).put(bulk_of_index))
            .route("/{index}/{type}/_bulk", post(bulk_of_type).put(bulk_of_type))
            .route("/{index}/_doc/_bulk", post(bulk_of_index).put(bulk_of_index))
            .route("/{index}/_doc", post(document_without_id))
            .route("/{index}/_doc/{id}", post(document).put(document))
            .route("/{index}/_create/{id}", post(document).put(document))
            .with_state(Arc::clone(&self.0))
            .merge(probes::router())
            .layer(map_response(async |mut response: Response| {
                let (name, value) = PRODUCT;
                response.headers_mut().insert(name, value);
                response
            }))
    }
}

async fn bulk(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    answer_bulk(&shared, None, request).await
}

async fn bulk_of_index(
    State(shared): State<Arc<Shared>>,
    Path(index): Path<String>,
    request: Request<Body>,
) -> Response {
    answer_bulk(&shared, Some(index), request).await
}

/// Before version 7, documents had types.
async fn bulk_of_type(
    State(shared): State<Arc<Shared>>,
    Path((index, _)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    answer_bulk(&shared, Some(index), request).await
}

async fn document_without_id(
    State(shared): State<Arc<Shared>>,
    Path(index): Path<String>,
    request: Request<Body>,
) -> Response {
    answer_document(&shared, index, None, request).await
}

async fn document(
    State(shared): State<Arc<Shared>>,
    Path((index, id)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    answer_document(&shared, index, Some(id), request).await
}

async fn answer_bulk(shared: &Arc<Shared>, index: Option<String>, request: Request<Body>) -> Response {
    // rsyslog, which has no name, gives a request up whenever the answer is JSON, whatever its status.
    let in_words = !request.headers().contains_key(USER_AGENT);
    match take(shared, Wanted::Actions { index }, request).await {
        Ok(Taken { failures, .. }) if in_words && failures.iter().any(Option::is_some) => answer::again_in_words(
            StatusCode::SERVICE_UNAVAILABLE,
            "a part could not be made durable: send all of it again",
        ),
        Ok(taken) => taken.into_bulk_response(),
        Err(refusal) => answer::refused(refusal, in_words),
    }
}

async fn answer_document(shared: &Arc<Shared>, index: String, id: Option<String>, request: Request<Body>) -> Response {
    match take(shared, Wanted::Document { index, id }, request).await {
        Ok(taken) => taken.into_document_response(),
        Err(refusal) => answer::refused(refusal, false),
    }
}

/// A request whose every item has its fate.
struct Taken {
    bulk: Bulk,
    /// By batch: why its documents are not durable.
    failures: Vec<Option<SinkError>>,
    took_millis: i64,
    /// Where the ids that we give begin.
    first_id: u64,
}

async fn take(shared: &Arc<Shared>, wanted: Wanted, request: Request<Body>) -> Result<Taken, Refusal> {
    let (parts, body) = request.into_parts();
    let taken = take_body(shared, &parts, wanted, body).await;
    if let Err(refusal) = &taken
        && let Some(reason) = refusal.counted_as
    {
        // How many documents were in it nobody knows: the request counts as one.
        let counts = shared.context.counters.source(KIND.name, KIND.name);
        counts.received(1);
        counts.rejected(reason, 1);
    }
    taken
}

async fn take_body(shared: &Arc<Shared>, parts: &Parts, wanted: Wanted, body: Body) -> Result<Taken, Refusal> {
    if shared.context.shutdown.is_cancelled() {
        return Err(Refusal::stopping());
    }
    let source = named_source(parts)?;
    let encoding = encoding(&parts.headers)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip().to_canonical());
    let origin = Origin {
        input: KIND.name.to_owned(),
        source: source.clone().unwrap_or_else(|| KIND.name.to_owned()),
        peer,
        time_zone: shared.config.time_zone.clone(),
        ..Origin::default()
    };
    let mut lease = shared.bodies.lease();
    let bytes = body::read(&shared.config, &mut lease, &parts.headers, body).await?;
    // A client that goes away drops this future; what it sent is settled all the same.
    let settling = shared.tasks.spawn({
        let shared = Arc::clone(shared);
        async move {
            let began_at = shared.context.now();
            let config = shared.config.clone();
            let cut = move || {
                let text = match encoding {
                    Some(encoding) => body::decode(&config, &mut lease, encoding, &bytes)?,
                    None => bytes,
                };
                let template = bulk::Template { origin, fixed: source.is_some(), now: began_at };
                bulk::cut(&template, wanted, &text, &mut lease).map(|bulk| (bulk, lease))
            };
            let (bulk, lease) = match tokio::task::spawn_blocking(cut).await {
                Ok(cut) => cut?,
                Err(error) => return Err(Refusal::internal(&error)),
            };
            let (bulk, failures) = settle(&shared, bulk, lease).await?;
            let took_millis = shared.context.now().nanos_since(began_at) / 1_000_000;
            Ok(Taken { bulk, failures, took_millis, first_id: began_at.0.unsigned_abs() })
        }
    });
    settling.await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}

/// Hands the batches on and waits until they are durable.
async fn settle(shared: &Shared, mut bulk: Bulk, lease: Lease) -> Result<(Bulk, Vec<Option<SinkError>>), Refusal> {
    let counters = &shared.context.counters;
    let batches = std::mem::take(&mut bulk.batches);
    let pages: Vec<_> = batches.iter().map(|it| pages(counters, it)).collect();
    for (counts, records) in pages.iter().flatten() {
        counts.received(*records);
    }
    let mut batches = batches.into_iter();
    let mut flight = Flight::default();
    let mut failures = vec![None; pages.len()];
    if let Some(first) = batches.next() {
        match offer(shared, first).await {
            Some(Ok(pending)) => flight.push(pending, 0),
            Some(Err(error)) => fail(&mut failures, 0, error),
            None => {
                for (counts, records) in pages.iter().flatten() {
                    counts.rejected(RejectReason::Busy, *records);
                }
                for (source, _) in bulk.rejected() {
                    let counts = counters.source(KIND.name, source);
                    counts.received(1);
                    counts.rejected(RejectReason::Busy, 1);
                }
                return Err(Refusal::busy_booked());
            }
        }
    }
    for (source, reason) in bulk.rejected() {
        let counts = counters.source(KIND.name, source);
        counts.received(1);
        counts.rejected(reason, 1);
    }
    // The first batch is on its way, so the request cannot be turned away any more: the others wait for room.
    for (number, batch) in (1..).zip(batches) {
        match shared.context.sink.enqueue(batch).await {
            Ok(pending) => flight.push(pending, number),
            Err(error) => fail(&mut failures, number, error),
        }
    }
    drop(lease);
    while let Some((result, number)) = flight.next().await {
        if let Err(error) = result {
            fail(&mut failures, number, error);
        }
    }
    for (pages, failure) in pages.iter().zip(&failures) {
        let result = failure.clone().map_or(Ok(()), Err);
        for (counts, records) in pages {
            counts.settle(&result, *records);
        }
    }
    match failures.iter().flatten().next() {
        None => Ok((bulk, failures)),
        Some(error) => {
            tracing::warn!(error = %ErrorChain(error), "documents could not be made durable");
            if failures.iter().all(Option::is_some) && bulk.is_all_taken() {
                return Err(Refusal::unavailable(0, error));
            }
            Ok((bulk, failures))
        }
    }
}

/// Hands a batch on if there is room, or will be soon: a sender that waits for its answer is slowed down by that alone,
/// and needs no skill in sending again. `None` if the queue stays full.
async fn offer(shared: &Shared, batch: RawBatch) -> Option<Result<Pending, SinkError>> {
    match shared.context.sink.try_commit(batch) {
        Ok(pending) => Some(Ok(pending)),
        Err(Full(batch)) => timeout(shared.config.bulk_patience, shared.context.sink.enqueue(batch)).await.ok(),
    }
}

fn fail(failures: &mut [Option<SinkError>], number: u64, error: SinkError) {
    if let Some(slot) = failures.get_mut(number as usize) {
        *slot = Some(error);
    }
}

/// How many records of each source a batch has.
fn pages(counters: &Counters, batch: &RawBatch) -> Vec<(Arc<SourceCounts>, u64)> {
    let mut records = vec![0; batch.origins.len()];
    for record in &batch.records {
        if let Some(count) = records.get_mut(record.origin as usize) {
            *count += 1;
        }
    }
    batch.origins.iter().zip(records).map(|(origin, n)| (counters.source(KIND.name, &origin.source), n)).collect()
}
