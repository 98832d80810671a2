//! What a sender is told.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::counters::RejectReason;
use crate::cut::{Collected, Rejected};
use crate::limits::RETRY_AFTER_SECONDS;
use crate::sink::SinkError;

/// The body of every answer.
#[derive(Debug, Serialize)]
struct Text {
    accepted: u64,
    rejected: Vec<Rejected>,
    rejected_total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of the records of a request.
#[derive(Debug)]
pub(in crate::inputs) struct Answer {
    accepted: u64,
    rejected: Vec<Rejected>,
    rejected_total: u64,
}

impl Answer {
    pub(in crate::inputs) fn new(accepted: u64, collected: Collected) -> Self {
        let rejected_total = collected.rejected_total();
        Self { accepted, rejected: collected.rejected, rejected_total }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { accepted, rejected, rejected_total } = self;
        let status = if accepted == 0 && rejected_total > 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        (status, Json(Text { accepted, rejected, rejected_total, error: None })).into_response()
    }
}

/// Why a request was not taken.
#[derive(Debug)]
pub(in crate::inputs) struct Refusal {
    status: StatusCode,
    error: String,
    accepted: u64,
    retry: bool,
    /// Under which reason the request is booked, unless its records were.
    pub(in crate::inputs) counted_as: Option<RejectReason>,
}

impl Refusal {
    pub(in crate::inputs) fn new(status: StatusCode, reason: RejectReason, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), accepted: 0, retry: false, counted_as: Some(reason) }
    }

    pub(in crate::inputs) fn malformed(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, RejectReason::Malformed, error)
    }

    pub(in crate::inputs) fn too_large(error: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RejectReason::BodyTooLarge, error)
    }

    pub(in crate::inputs) fn unreadable(status: StatusCode, error: impl Into<String>) -> Self {
        Self::new(status, RejectReason::BodyUnreadable, error)
    }

    pub(in crate::inputs) fn unsupported(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, RejectReason::TypeUnsupported, error)
    }

    pub(in crate::inputs) fn busy() -> Self {
        let error = "the queue is full: send again after the seconds in `Retry-After`";
        Self { retry: true, ..Self::new(StatusCode::TOO_MANY_REQUESTS, RejectReason::Busy, error) }
    }

    /// The queue was full under records that are booked already.
    pub(in crate::inputs) fn busy_booked() -> Self {
        Self { counted_as: None, ..Self::busy() }
    }

    pub(in crate::inputs) fn stopping() -> Self {
        let error = "panoptes is stopping: send again once it runs again";
        Self { retry: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, RejectReason::Busy, error) }
    }

    /// The log failed under records that are booked already.
    pub(in crate::inputs) fn unavailable(accepted: u64, error: &SinkError) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, error: error.to_string(), accepted, retry: true, counted_as: None }
    }

    /// The same in parts, for an input that answers in another form.
    pub(in crate::inputs) fn into_parts(self) -> (StatusCode, String, bool) {
        (self.status, self.error, self.retry)
    }

    pub(in crate::inputs) fn internal(error: &tokio::task::JoinError) -> Self {
        tracing::error!(%error, "request over HTTP ended early");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, RejectReason::BodyUnreadable, "the request could not be worked on: see the log of panoptes")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error, accepted, retry, .. } = self;
        let text = Text { accepted, rejected: Vec::new(), rejected_total: 0, error: Some(error) };
        let mut response = (status, Json(text)).into_response();
        if retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}
