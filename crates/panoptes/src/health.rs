//! `/healthz`, `/readyz` and `/metrics` on the HTTP port.
//!
//! * `/healthz`: 200 while the process answers at all.
//! * `/readyz`: 200 when records are accepted and written; 503 with the reason while starting, stopping or when
//!   evidence or catalogue cannot be written.
//! * `/metrics`: Prometheus text.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use panoptes_intake::Sink;

use crate::pipeline::Vitals;

#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) prometheus: PrometheusHandle,
    /// Asked only for how full the queue is.
    pub(crate) sink: Sink,
}

pub(crate) fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let vitals = &health.vitals;
    if vitals.stopping.load(Ordering::Acquire) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else if !vitals.ready.load(Ordering::Acquire) {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    } else if let Some(trouble) = vitals.trouble() {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")).into_response()
    } else {
        "ready\n".into_response()
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let vitals = &health.vitals;
    let depth = health.sink.depth();
    metrics::gauge!("panoptes_queue_batches").set(depth.batches as f64);
    metrics::gauge!("panoptes_queue_bytes").set(depth.bytes as f64);
    metrics::gauge!("panoptes_queue_bytes_max").set(depth.limits.bytes_max as f64);
    let frame = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Acquire) as f64;
    metrics::gauge!("panoptes_log_committed_frame").set(frame(&vitals.committed));
    metrics::gauge!("panoptes_log_folded_frame").set(frame(&vitals.folded));
    metrics::gauge!("panoptes_store_sealed_frame").set(frame(&vitals.sealed));
    // How many frames are on disk but not yet seen by detection, and not yet in segments.
    metrics::gauge!("panoptes_fold_lag_frames").set((frame(&vitals.committed) - frame(&vitals.folded)).max(0.0));
    metrics::gauge!("panoptes_store_lag_frames").set((frame(&vitals.committed) - frame(&vitals.sealed)).max(0.0));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], health.prometheus.render()).into_response()
}
