//! What clients ask before they send.
//!
//! They want to know whom they talk to, whether the licence suffices and whether their templates, policies and
//! pipelines are there. All of that is said to be there: Panoptes needs none of it, and clients then leave it alone.

use axum::extract::Path;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answer::failure;

/// The version of Elasticsearch that is spoken. High enough for shippers that refuse an older server than themselves,
/// and of the last major version whose `_bulk` all of them know.
const VERSION: &str = "8.19.0";
const UUID: &str = "cGFub3B0ZXMtc2llbS1pZA";

/// What can be asked for by name: the path, and what an answer about `name` looks like.
type Thing = (&'static str, fn(&str) -> Value);
const THINGS: &[Thing] = &[
    (
        "/_index_template",
        |name| json!({ "index_templates": [{ "name": name, "index_template": { "index_patterns": [name], "composed_of": [] } }] }),
    ),
    (
        "/_component_template",
        |name| json!({ "component_templates": [{ "name": name, "component_template": { "template": {} } }] }),
    ),
    ("/_template", |name| json!({ name: { "order": 0, "index_patterns": [name], "settings": {}, "mappings": {} } })),
    ("/_ilm/policy", |name| json!({ name: { "version": 1, "policy": { "phases": {} } } })),
    ("/_ingest/pipeline", |name| json!({ name: { "processors": [] } })),
    ("/_data_stream", |name| {
        json!({ "data_streams": [{
            "name": name, "timestamp_field": { "name": "@timestamp" }, "indices": [], "generation": 1,
            "status": "GREEN", "template": name,
        }] })
    }),
    ("/_alias", |name| json!({ name: { "aliases": { name: {} } } })),
];

/// Where else clients may ask: they hear that it is not there, in the form that they expect.
const UNKNOWN: &[&str] = &[
    "/_nodes",
    "/_nodes/{*rest}",
    "/_cat/{*rest}",
    "/_cluster/{*rest}",
    "/_security/{*rest}",
    "/_ilm/{*rest}",
    "/_ingest/{*rest}",
    "/_stats",
    "/_mget",
    "/{index}/_stats",
];

pub(super) fn router() -> Router {
    let health = || get(async || Json(health()));
    let mut router = Router::new()
        .route("/", get(async || Json(root())))
        .route("/_license", get(async || Json(license())))
        .route("/_xpack", get(async || Json(features())))
        .route("/_cluster/health", health())
        .route("/_cluster/health/{index}", health())
        .route("/_cat/health", get(async || "0 00:00:00 panoptes green 1 1 0 0 0 0 0 0 - 100.0%\n"))
        .route("/_cat/templates/{name}", get(async |Path(name): Path<String>| format!("{name} [{name}] 0\n")))
        .route("/_ilm/status", get(async || Json(json!({ "operation_mode": "RUNNING" }))))
        .route("/_aliases", any(acknowledged))
        .route("/_refresh", any(refreshed))
        .route("/_flush", any(refreshed))
        .route("/{index}/_refresh", any(refreshed))
        .route("/{index}/_flush", any(refreshed))
        .route("/_data_stream/{name}/_lifecycle", any(acknowledged))
        .route("/{index}/_mapping", get(async || Json(json!({}))).fallback(acknowledged))
        .route("/{index}/_settings", get(async || Json(json!({}))).fallback(acknowledged))
        .route("/_search", any(no_search))
        .route("/{index}/_search", any(no_search))
        .route("/{index}/_count", any(no_search))
        .route("/{index}", index());
    for path in UNKNOWN {
        router = router.route(path, any(unknown));
    }
    for (path, about) in THINGS {
        router = router
            .route(path, get(async || Json(json!({}))))
            .route(&format!("{path}/{{name}}"), any(move |name, method| thing(*about, name, method)));
    }
    router
}

fn root() -> Value {
    json!({
        "name": "panoptes",
        "cluster_name": "panoptes",
        "cluster_uuid": UUID,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "0000000000000000000000000000000000000000",
            "build_date": "2024-01-01T00:00:00.000000000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

fn license() -> Value {
    json!({ "license": {
        "status": "active", "uid": UUID, "type": "basic", "mode": "basic", "issue_date": "2024-01-01T00:00:00.000Z",
        "issue_date_in_millis": 1_704_067_200_000_u64, "max_nodes": 1_000, "max_resource_units": null,
        "issued_to": "panoptes", "issuer": "panoptes", "start_date_in_millis": -1,
    } })
}

fn features() -> Value {
    let on = json!({ "available": true, "enabled": true });
    let off = json!({ "available": true, "enabled": false });
    json!({
        "build": { "hash": "0000000", "date": "2024-01-01T00:00:00.000Z" },
        "license": { "uid": UUID, "type": "basic", "mode": "basic", "status": "active" },
        "features": { "ilm": on, "data_streams": on, "monitoring": on, "security": off, "ml": off, "watcher": off },
        "tagline": "You know, for X",
    })
}

fn health() -> Value {
    json!({
        "cluster_name": "panoptes", "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0,
        "initializing_shards": 0, "unassigned_shards": 0, "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    })
}

async fn thing(about: fn(&str) -> Value, Path(name): Path<String>, method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => Json(about(&name)).into_response(),
        _ => acknowledged().await,
    }
}

async fn acknowledged() -> Response {
    Json(json!({ "acknowledged": true })).into_response()
}

async fn refreshed() -> Response {
    Json(json!({ "_shards": { "total": 1, "successful": 1, "failed": 0 } })).into_response()
}

async fn no_search() -> Response {
    let reason = "documents are only taken here: search with `panoptes search`";
    failure(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
}

async fn unknown(uri: Uri) -> Response {
    let reason = format!("there is no {} here: documents are taken, and nothing else", uri.path());
    failure(StatusCode::NOT_FOUND, "resource_not_found_exception", &reason)
}

/// Programs make their index before they write to it. Any other single name is none of ours, and is not found.
fn index() -> MethodRouter {
    async fn existing() -> Response {
        StatusCode::OK.into_response()
    }
    async fn made(Path(index): Path<String>) -> Response {
        Json(json!({ "acknowledged": true, "shards_acknowledged": true, "index": index })).into_response()
    }
    get(unknown).head(existing).put(made).fallback(unknown)
}
