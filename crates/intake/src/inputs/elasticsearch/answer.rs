//! What a sender is told, in the words of Elasticsearch.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq};

use super::bulk::{Fate, Item};
use super::{Bulk, Refusal, Taken};
use crate::limits::RETRY_AFTER_SECONDS;

/// The name of what is told of a full queue: clients know it.
const REJECTED: &str = "es_rejected_execution_exception";

/// One document that was taken, or not.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Created {
        #[serde(rename = "_index")]
        index: &'a str,
        #[serde(rename = "_id")]
        id: String,
        #[serde(rename = "_version")]
        version: u32,
        result: &'static str,
        #[serde(rename = "_shards")]
        shards: Shards,
        #[serde(rename = "_seq_no")]
        sequence: u64,
        #[serde(rename = "_primary_term")]
        term: u32,
        status: u16,
    },
    Failed {
        #[serde(rename = "_index")]
        index: &'a str,
        #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        status: u16,
        error: Error<'a>,
    },
}

#[derive(Serialize)]
struct Shards {
    total: u32,
    successful: u32,
    failed: u32,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'a str,
    reason: &'a str,
}

impl Taken {
    pub(super) fn into_bulk_response(self) -> Response {
        Json(BulkAnswer(&self)).into_response()
    }

    /// The answer to a request for one document.
    pub(super) fn into_document_response(self) -> Response {
        match self.bulk.items.first().map(|it| self.outcome(0, it)) {
            Some(Outcome::Failed { status, error, .. }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                failure(status, error.r#type, error.reason)
            }
            Some(created) => (StatusCode::CREATED, Json(created)).into_response(),
            None => failure(StatusCode::BAD_REQUEST, "parse_exception", "request body is required"),
        }
    }

    fn outcome<'a>(&'a self, number: u64, item: &'a Item) -> Outcome<'a> {
        let index = self.bulk.index_of(item);
        match &item.fate {
            Fate::Refused { kind, reason, .. } => {
                let error = Error { r#type: kind, reason };
                Outcome::Failed { index, id: item.id.as_deref(), status: 400, error }
            }
            Fate::Taken { batch } if self.failures.get(*batch).is_some_and(Option::is_some) => {
                let reason = "the log could not be written: send it again";
                let error = Error { r#type: REJECTED, reason };
                Outcome::Failed { index, id: item.id.as_deref(), status: 429, error }
            }
            Fate::Taken { .. } => Outcome::Created {
                index,
                id: item.id.as_deref().map_or_else(|| format!("{:x}-{number}", self.first_id), str::to_owned),
                version: 1,
                result: "created",
                shards: Shards { total: 1, successful: 1, failed: 0 },
                sequence: number,
                term: 1,
                status: 201,
            },
        }
    }

    fn has_errors(&self) -> bool {
        !self.bulk.is_all_taken() || self.failures.iter().any(Option::is_some)
    }
}

struct BulkAnswer<'a>(&'a Taken);

impl Serialize for BulkAnswer<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("took", &self.0.took_millis.max(0))?;
        map.serialize_entry("errors", &self.0.has_errors())?;
        map.serialize_entry("items", &Items(self.0))?;
        map.end()
    }
}

struct Items<'a>(&'a Taken);

impl Serialize for Items<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Bulk { items, .. } = &self.0.bulk;
        let mut list = serializer.serialize_seq(Some(items.len()))?;
        for (number, item) in (0..).zip(items) {
            list.serialize_element(&Named(item.action.as_str(), self.0.outcome(number, item)))?;
        }
        list.end()
    }
}

struct Named<'a>(&'static str, Outcome<'a>);

impl Serialize for Named<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}

/// A request of which nothing was taken.
pub(super) fn refused(refusal: Refusal, in_words: bool) -> Response {
    let (status, reason, retry) = refusal.into_parts();
    if retry && in_words {
        return again_in_words(status, &reason);
    }
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => REJECTED,
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type_header_exception",
        _ => "illegal_argument_exception",
    };
    let response = failure(status, kind, &reason);
    if retry { again(response) } else { response }
}

/// That the request may come again, for a client that gives it up over an answer in JSON.
pub(super) fn again_in_words(status: StatusCode, reason: &str) -> Response {
    again((status, format!("{reason}\n")).into_response())
}

fn again(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    response
}

pub(super) fn failure(status: StatusCode, kind: &str, reason: &str) -> Response {
    let cause = serde_json::json!({ "type": kind, "reason": reason });
    let error = serde_json::json!({ "root_cause": [cause], "type": kind, "reason": reason });
    (status, Json(serde_json::json!({ "error": error, "status": status.as_u16() }))).into_response()
}
